"""Credit notes, void and uncollectible invoices, one-off invoices."""

from decimal import Decimal

import pytest

from billing import collecting, correcting, drafting, refunding, settling
from billing.correcting import LineCredit
from billing.drafting import NewLine
from billing.models import Event, Invoice, Payment
from billing.refusals import Refused

pytestmark = pytest.mark.django_db
STAFF = "user:1"


@pytest.fixture
def make_invoice(clock, make_customer):
    """A one-off invoice of a customer in Ireland: 23 % VAT on each line."""

    def make(*lines, customer=None, **terms):
        lines = lines or (("Widgets", "68.33", "1"), ("Gadgets", "68.33", "3"))
        draft = drafting.write(
            customer=customer or make_customer(clock), now=clock.now, actor=STAFF, **terms,
            lines=[NewLine(words, Decimal(unit), Decimal(n)) for words, unit, n in lines],
        )  # fmt: skip
        return drafting.finalize(invoice=draft, now=clock.now, actor=STAFF)

    return make


@pytest.fixture
def credit(clock):
    def make(invoice, **how):
        return correcting.credit(invoice=invoice, reason="agreed", now=clock.now, actor=STAFF, **how)

    return make


def pay(invoice, amount, now):
    collecting.record_transfer(
        invoice=invoice, amount=amount, reference=f"T{amount}", paid_at=now, now=now, actor=STAFF
    )


def test_a_draft_is_issued_like_any_other(clock, make_customer, books):
    customer = make_customer(clock, net_days=15)
    draft = drafting.write(
        customer=customer,
        lines=[NewLine("Setup", Decimal("1000.005"), Decimal(2))],
        now=clock.now,
        actor=STAFF,
    )
    assert (draft.status, draft.number, draft.total, draft.amount_due) == ("draft", "", 246_001, 246_001)
    issued = drafting.finalize(invoice=draft, now=clock.now, actor=STAFF)
    assert (issued.pk, issued.status, issued.number[-6:]) == (draft.pk, "open", "000001")
    assert [line.net for line in issued.lines.all()] == [200_001]
    with pytest.raises(drafting.NotADraft):
        drafting.finalize(invoice=issued, now=clock.now, actor=STAFF)
    with pytest.raises(drafting.NotADraft):
        drafting.discard(invoice=issued, now=clock.now, actor="system")


def test_a_draft_that_the_tax_has_turned_is_not_issued(clock, make_customer, books):
    """Two cents and one cent twice less: with tax, rounded line by line, less than nothing."""
    customer = make_customer(clock, tax_exempt=True)
    lines = [NewLine("A", Decimal("0.02")), NewLine("B", Decimal("0.02")), NewLine("C", Decimal("-0.04"))]
    draft = drafting.write(customer=customer, lines=lines, now=clock.now, actor=STAFF)
    assert draft.total == 0
    customer.__class__.objects.filter(pk=customer.pk).update(tax_exempt=False)
    with pytest.raises(drafting.NegativeInvoice):
        drafting.finalize(invoice=draft, now=clock.now, actor=STAFF)


def test_a_draft_can_be_thrown_away(clock, make_customer, books):
    draft = drafting.write(
        customer=make_customer(clock), lines=[NewLine("Setup", Decimal(5))], now=clock.now, actor=STAFF
    )
    drafting.discard(invoice=draft, now=clock.now, actor="system")
    assert not Invoice.objects.exists()


@pytest.mark.parametrize(
    ("lines", "code"),
    [((), "invalid_line"), ([("a", "-5")], "invoice_negative"), ([("a", "1e20")], "invalid_line")],
)
def test_it_refuses_a_draft_by_name(clock, make_customer, lines, code):
    with pytest.raises(Refused) as refused:
        drafting.write(
            customer=make_customer(clock), now=clock.now, actor=STAFF,
            lines=[NewLine(words, Decimal(unit)) for words, unit in lines],
        )  # fmt: skip
    assert (refused.value.code, refused.value.field) == (code, "lines")


def test_the_parts_of_an_invoice_add_up_to_it(make_invoice, credit, books):
    invoice = make_invoice()
    first, second = invoice.lines.order_by("position")
    assert (invoice.subtotal, invoice.tax_total) == (273_32, 62_87)
    notes = [
        credit(invoice, lines=[LineCredit(first, amount=10_00)]),
        credit(invoice, lines=[LineCredit(second, quantity=Decimal(1))]),
        credit(invoice, lines=[LineCredit(second, quantity=Decimal(1))]),
        credit(invoice, amount=33_33),
        credit(invoice),
    ]
    assert [n.subtotal for n in notes[1:3]] == [68_33, 68_33]
    assert sum(n.subtotal for n in notes) == invoice.subtotal
    assert sum(n.tax_total for n in notes) == invoice.tax_total
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_due, invoice.amount_credited) == ("paid", 0, invoice.total)


def test_credit_lowers_what_is_due_and_the_rest_goes_to_the_balance(clock, make_invoice, credit, books):
    invoice = make_invoice(("Setup", "100", "1"))
    pay(invoice, 100_00, clock.now)  # 23.00 are still due
    note = credit(invoice, amount=61_50)
    invoice.refresh_from_db()
    invoice.customer.refresh_from_db()
    assert (note.to, note.subtotal, note.tax_total) == ("balance", 50_00, 11_50)
    assert (invoice.status, invoice.amount_due, invoice.customer.balance) == ("paid", 0, 38_50)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"amount": 0}, "invalid_credit"),
        ({"lines": []}, "invalid_credit"),
        ({"amount": 123_01}, "credit_too_large"),
        ({"line": {"amount": 100_01}}, "credit_too_large"),
        ({"line": {"quantity": Decimal(2)}}, "credit_too_large"),
        ({"line": {"quantity": Decimal(-1)}}, "invalid_credit"),
        ({"line": {"amount": 0}}, "invalid_credit"),
        ({"line": {"amount": 5, "quantity": Decimal(1)}}, "invalid_credit"),
        ({"line": {"amount": 5}, "amount": 5}, "invalid_credit"),
    ],
)
def test_it_refuses_a_credit_by_name(make_invoice, credit, books, how, code):
    invoice = make_invoice(("Setup", "100", "1"))
    given = {name: value for name, value in how.items() if name != "line"}
    if "line" in how:
        given["lines"] = [LineCredit(invoice.lines.get(), **how["line"])]
    with pytest.raises(Refused) as refused:
        credit(invoice, **given)
    assert refused.value.code == code
    assert not invoice.credit_notes.exists()


def test_a_line_by_itself_is_credited_as_far_as_it_is_left(make_invoice, credit, books):
    invoice = make_invoice(("Setup", "100", "1"), ("Seats", "10", "3"))
    setup, seats = invoice.lines.order_by("description").reverse()
    credit(invoice, lines=[LineCredit(seats, quantity=Decimal(1))])
    note = credit(invoice, lines=[LineCredit(seats)])
    assert [(line.net, line.quantity) for line in note.lines.all()] == [(20_00, 2)]
    with pytest.raises(Refused) as refused:
        credit(invoice, lines=[LineCredit(setup), LineCredit(seats)])
    assert (refused.value.code, refused.value.field) == ("credit_too_large", "lines.1.line")


def test_a_void_invoice_is_not_owed_and_not_asked_for_again(clock, make_customer, subscribe, advance, books):
    customer = make_customer(clock)
    subscription = subscribe(customer)
    voided = correcting.void(invoice=subscription.invoices.get(), now=clock.now, actor=STAFF, reason="a gift")
    assert (voided.status, voided.next_attempt_at) == ("void", None)
    books()
    advance(clock, days=32)
    assert [i.period_start.month for i in subscription.invoices.exclude(status="void")] == [2]
    with pytest.raises(correcting.NotVoidable):
        correcting.void(invoice=voided, now=clock.now, actor=STAFF)
    with pytest.raises(correcting.NotCreditable):
        correcting.credit(invoice=voided, amount=1, reason="", now=clock.now, actor=STAFF)


def test_a_void_invoice_makes_nobody_late(clock, make_customer, subscribe, advance, books):
    terms = {"collection_method": "send_invoice", "net_days": 15, "payment_rule_override": "agreed"}
    subscription = subscribe(make_customer(clock), **terms)
    advance(clock, days=20)
    subscription.refresh_from_db()
    assert subscription.status == "past_due"
    correcting.void(invoice=subscription.invoices.get(), now=clock.now, actor=STAFF)
    subscription.refresh_from_db()
    assert subscription.status == "active"


def test_credit_that_was_used_returns_when_the_invoice_is_void(clock, make_invoice, credit, books):
    first = make_invoice(("Setup", "100", "1"))
    pay(first, 123_00, clock.now)
    credit(first, amount=50_00)
    second = make_invoice(
        ("More", "100", "1"), customer=first.customer.__class__.objects.get(pk=first.customer_id)
    )
    assert second.amount_paid == 50_00
    books()
    correcting.void(invoice=second, now=clock.now, actor=STAFF)
    first.customer.refresh_from_db()
    assert first.customer.balance == 50_00


def test_credit_is_not_used_beside_a_charge_under_way(clock, make_invoice, credit, books):
    """Both would pay: the charge whose answer is not known may have gone through."""
    first = make_invoice(("Setup", "100", "1"))
    second = make_invoice(("More", "100", "1"), customer=first.customer)
    under_way = Payment.objects.create(
        customer=second.customer, invoice=second, livemode=False, status="unknown", method="card", amount=123_00,
        currency=second.currency, key="under-way", created_at=clock.now,
    )  # fmt: skip
    pay(first, 123_00, clock.now)
    credit(first, amount=50_00)
    settling.use_balance(customer=first.customer, now=clock.now, actor=STAFF)
    second.refresh_from_db()
    assert (second.amount_paid, second.amount_due) == (0, 123_00)
    under_way.delete()
    assert settling.use_balance(customer=first.customer, now=clock.now, actor=STAFF) == 50_00


def test_what_is_not_paid_yet_is_credited_and_not_refunded(clock, make_invoice, books):
    invoice = make_invoice(("Setup", "100", "1"))
    pay(invoice, 23_00, clock.now)
    with pytest.raises(refunding.NotRefundable, match="not paid yet") as refused:
        refunding.credit_and_refund(invoice=invoice, amount=10_00, reason="", now=clock.now, actor=STAFF)
    assert refused.value.field == "invoice"
    assert not invoice.credit_notes.exists()


def test_an_invoice_with_money_on_it_is_not_voided(clock, make_invoice, books):
    invoice = make_invoice()
    pay(invoice, 5_00, clock.now)
    with pytest.raises(correcting.NotVoidable):
        correcting.void(invoice=invoice, now=clock.now, actor=STAFF)


def test_what_was_given_up_can_still_be_paid(clock, make_invoice, credit, books):
    invoice = make_invoice(("Setup", "100", "1"))
    correcting.mark_uncollectible(invoice=invoice, now=clock.now, actor=STAFF)
    books()
    with pytest.raises(correcting.NotOpen):
        correcting.mark_uncollectible(invoice=invoice, now=clock.now, actor=STAFF)
    credit(invoice, amount=23_00)
    pay(invoice, 100_00, clock.now)
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    kinds = Event.objects.filter(object_id=invoice.pk).order_by("number").values_list("type", flat=True)
    assert list(kinds)[-2:] == ["invoice.uncollectible", "invoice.paid"]

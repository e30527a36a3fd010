"""A quote's life on the seller's side: drafted, edited, approved, sent, revised, withdrawn, expired."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing import customers, running, sending_again
from billing.models import Document, Event, Mail, User
from billing.moves import IllegalMove
from billing.refusals import Refused
from sales import accepting, approving, comparing, quoting
from sales.models import Approval, ApprovalDelegate, ApprovalRule, Deal, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")


def types(quote):
    return list(Event.objects.filter(object_id=quote.pk).order_by("sequence").values_list("type", flat=True))


# -- Drafting and editing


def test_it_numbers_quotes_and_opens_a_deal(make_customer, draft, rita):
    first = draft(customer=make_customer(name="Nova"))
    second = draft(customer=make_customer())
    assert (first.number, second.number) == ("Q-000001", "Q-000002")
    deal = Deal.objects.get(pk=first.deal_id)
    assert (deal.name, deal.amount, deal.owner, deal.stage) == (
        "Nova: Enterprise",
        47520_00,
        rita,
        "discovery",
    )
    assert types(first) == ["quote.created"]
    assert first.expires_at == NOON + timedelta(days=30)


def test_it_writes_to_the_owner_among_the_members(make_customer, draft, add_members):
    from billing import customers

    customer = make_customer()
    add_members(customer, 1)
    customers.add_member(
        customer=customer, email="ada@nova.example", name="Ada", role="owner", now=NOON, actor="buyer"
    )
    quote = draft(customer=customer)
    assert (quote.contact_name, quote.contact_email) == ("Ada", "ada@nova.example")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"discount_percent": Decimal(101)}, "discount_percent"),
        ({"discount_percent": Decimal("NaN")}, "discount_percent"),
        ({"discount_percent": 10, "discount_amount": 500}, "discount_percent"),
        ({"discount_amount": -1}, "discount_amount"),
        ({"term_months": 18}, "term_months"),
        ({"term_months": 0}, "term_months"),
        ({"net_days": 7}, "net_days"),
        ({"starts": "period_end"}, "starts"),
        ({"starts": "date"}, "starts_on"),
        ({"starts_on": "2026-02-01"}, "starts_on"),
        ({"quantity": Decimal("1.5")}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "1e400"}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantities": {"x": 1}}, "quantities"),
        ({"interval": "decade"}, "interval"),
        ({"interval": "quarter"}, "interval"),
        ({"fees": [{"description": "", "unit_amount": "5"}]}, "fees.0.description"),
        ({"fees": [{"description": "Fee", "unit_amount": "-5"}]}, "fees.0"),
        ({"ramp": [{"year": 2, "quantity": 5}]}, "ramp.0.year"),
        ({"ramp": [{"year": 1, "quantity": "2.5"}]}, "ramp.0.quantity"),
        ({"contact_email": "nobody"}, "contact_email"),
        ({"expires_at": NOON - timedelta(days=1)}, "expires_at"),
        ({"notes": "a\x00"}, "notes"),
        ({"colour": "red"}, "colour"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_it_refuses_wrong_terms_by_field(make_customer, draft, terms, field):
    with pytest.raises(Refused) as refusal:
        draft(customer=make_customer(), **terms)
    assert refusal.value.field == field
    assert not Quote.objects.exists()


def test_it_keeps_seats_when_the_interval_changes(make_customer, draft):
    quote = draft(customer=make_customer())
    quoting.edit(quote=quote, now=NOON, actor="user:1", interval="month")
    assert quote.arr == 57024_00
    assert {line.price.code for line in quote.lines.filter(price__isnull=False)} == {
        "seats-month",
        "api-calls",
    }


# -- Approvals


@pytest.mark.parametrize(
    ("percent", "roles"),
    [(20, []), ("20.0001", ["manager"]), (35, ["manager"]), ("35.0001", ["manager", "director"])],
)
def test_it_asks_for_approval_of_deep_discounts(make_customer, draft, percent, roles):
    quote = draft(customer=make_customer(), quantity=60, discount_percent=Decimal(percent))
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    assert list(quote.approvals.values_list("needed_role", flat=True)) == roles
    assert quote.state == ("in_approval" if roles else "approved")
    assert types(quote)[1:] == ["quote.submitted"] + ([] if roles else ["quote.approved"])


def test_it_looks_at_the_deepest_year_of_a_ramp(make_customer, draft):
    quote = draft(
        customer=make_customer(), quantity=60, term_months=24, ramp=[{"year": 2, "discount_percent": "25"}]
    )
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    assert [a.words for a in quote.approvals.all()] == ["Discount over 20 %: 25\u00a0%"]


def test_it_measures_a_fixed_discount_in_percent(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=60, discount_amount=14850_00)  # of 59,400.00: 25 %
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    assert quote.state == "in_approval"


def test_it_asks_before_a_small_customer_pays_by_invoice(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=5)
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    assert [a.words for a in quote.approvals.all()] == ["Payment that the segment does not allow: Invoice"]


def test_the_owner_of_a_customer_does_not_allow_its_way_of_paying(make_customer, draft, staff):
    mia, mara = staff("mia", "Sales managers"), staff("mara", "Sales managers")
    customer = make_customer()
    quote = draft(customer=customer, quantity=5)
    customers.assign_owner(customer=customer, owner=mia, now=NOON, actor="system", why="test")
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    with pytest.raises(quoting.OwnQuote, match="customer is yours"):
        quoting.approve(quote=quote, by=mia, now=NOON)
    quoting.approve(quote=quote, by=mara, now=NOON)
    assert quote.state == "approved"


@pytest.mark.parametrize(
    ("measure", "over", "meets"),
    [("tcv", 59_399, True), ("tcv", 59_400, False), ("term_months", 11, True), ("net_days", 30, False)],
)
def test_it_measures_what_a_rule_names(make_customer, draft, measure, over, meets):
    ApprovalRule.objects.all().delete()
    ApprovalRule.objects.create(name="Rule", measure=measure, over=over)
    quote = draft(customer=make_customer(), quantity=60)
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    assert (quote.state == "in_approval") is meets


@pytest.fixture
def deep(make_customer, draft, rita):
    quote = draft(customer=make_customer(), quantity=60, discount_percent=Decimal(40))
    quoting.submit(quote=quote, now=NOON, actor=f"user:{rita.pk}", by=rita)
    return quote


def fresh(user):
    return User.objects.get(pk=user.pk)  # permissions are cached on the object


def test_it_needs_a_director_besides_the_manager(deep, staff):
    mia, dan = staff("mia", "Sales managers"), staff("dan", "Directors")
    quoting.approve(quote=deep, by=mia, now=NOON)
    assert deep.state == "in_approval"
    quoting.approve(quote=deep, by=dan, now=NOON, note="Go")
    assert (deep.state, deep.approved_at) == ("approved", NOON)
    assert Event.objects.get(type="quote.approved").actor == f"user:{dan.pk}"


def test_it_lets_a_director_decide_for_both(deep, staff):
    quoting.approve(quote=deep, by=staff("dan", "Directors"), now=NOON)
    assert deep.state == "approved"


def test_it_lets_no_rep_and_no_author_decide(deep, staff, rita):
    with pytest.raises(quoting.NotForYou):
        quoting.approve(quote=deep, by=staff("sam"), now=NOON)
    rita.is_superuser = True
    rita.save()
    with pytest.raises(quoting.OwnQuote):
        quoting.approve(quote=deep, by=fresh(rita), now=NOON)
    assert deep.state == "in_approval"
    assert set(deep.approvals.values_list("decision", flat=True)) == {"waiting"}


def test_it_tells_those_who_may_decide_and_the_directors_again_when_it_waits(
    make_customer, draft, staff, rita
):
    staff("mia", "Sales managers")
    quote = draft(customer=make_customer(None), quantity=60, discount_percent=Decimal(25))
    quoting.submit(quote=quote, now=NOON, actor=f"user:{rita.pk}", by=rita)
    staff("dan", "Directors")
    assert [m.recipient for m in Mail.objects.filter(template="quote_approval")] == ["mia@seller.example"]
    assert quoting.escalate(now=NOON + timedelta(hours=23)) == 0
    assert quoting.escalate(now=NOON + timedelta(hours=24)) == 1
    assert quoting.escalate(now=NOON + timedelta(hours=25)) == 0
    late = Mail.objects.get(template="quote_approval", recipient="dan@seller.example")
    assert late.subject == "Quote Q-000001 still waits for approval"


def test_it_goes_back_with_a_note(deep, staff):
    quoting.reject(quote=deep, by=staff("mia", "Sales managers"), now=NOON, note="Too deep")
    assert deep.state == "draft"
    assert sorted(deep.approvals.values_list("decision", flat=True)) == ["rejected", "void"]
    assert Event.objects.get(type="quote.rejected").data["note"] == "Too deep"


def test_it_is_open_again_after_an_edit(deep, staff):
    quoting.approve(quote=deep, by=staff("dan", "Directors"), now=NOON)
    quoting.edit(quote=deep, now=NOON, actor="user:1", discount_percent=Decimal(45))
    assert (deep.state, deep.approved_at) == ("draft", None)
    assert set(deep.approvals.values_list("decision", flat=True)) == {"void"}
    with pytest.raises(quoting.NeedsApproval):
        quoting.send(quote=deep, now=NOON, actor="user:1")
    quoting.submit(quote=deep, now=NOON, actor="user:1")
    assert deep.approvals.filter(decision=Approval.Decision.WAITING).count() == 2


# -- Sending


def test_it_freezes_the_paper_and_mails_the_link(make_customer, draft, fake_print):
    quote = draft(customer=make_customer(), quantity=60, title="For Nova")
    quoting.send(quote=quote, now=NOON, actor="user:1", message="As discussed.")
    assert (quote.state, quote.sent_at) == ("sent", NOON)
    document = Document.objects.get()
    assert quote.document == document
    assert document.name == "Q-000001-v1.pdf"
    assert quote.paper["number"] == "Q-000001"
    mail = Mail.objects.get(template="quote_sent")
    assert (mail.document, mail.recipient) == (document, quote.contact_email)
    assert quote.url in mail.text
    assert "As discussed." in mail.text
    assert Deal.objects.get().stage == "proposal"
    assert len(fake_print) == 1
    assert Event.objects.get(type="quote.sent").data["sha256"] == document.sha256


def test_its_mail_goes_out_again_while_it_is_open(make_customer, draft, fake_print):
    quote = quoting.send(quote=draft(customer=make_customer(), quantity=60), now=NOON, actor="user:1")
    first = Mail.objects.get(template="quote_sent")
    Mail.objects.filter(pk=first.pk).update(sent_at=NOON)
    first.refresh_from_db()
    copy = sending_again.send_again(source=first, now=NOON, actor="user:1")
    assert (copy.recipient, copy.document, copy.text) == (quote.contact_email, first.document, first.text)
    late = first.created_at + timedelta(days=60)
    with pytest.raises(accepting.QuoteExpired):
        sending_again.send_again(source=first, now=late, actor="user:1")
    quoting.withdraw(quote=quote, now=NOON, actor="user:1")
    with pytest.raises(accepting.Withdrawn):
        sending_again.send_again(source=first, now=late, actor="user:1")


def test_it_says_on_paper_what_it_comes_to(make_customer, draft, fake_print):
    quote = draft(
        customer=make_customer(country="US"), quantity=60, discount_percent=Decimal(10), term_months=24,
        ramp=[{"year": 2, "quantity": 70}], fees=[{"description": "Onboarding", "unit_amount": "1000"}],
    )  # fmt: skip
    quoting.send(quote=quote, now=NOON, actor="user:1")
    (paper,) = fake_print
    assert (paper.list_total, paper.discount_total, paper.subtotal) == (60400_00, 6040_00, 54360_00)
    assert [line.description for line in paper.lines] == ["Enterprise seat", "API calls", "Onboarding"]
    assert paper.lines[1].detail == "per month: up to 5,000,000 included, then $0.0008 each"
    assert [year.words for year in paper.ramp] == ["60 seats, 10 % discount", "70 seats, 10 % discount"]
    assert paper.tcv == sum(each.amount for each in paper.schedule) == 54360_00 + 62370_00
    assert paper.payment_terms == "Net 30 days from each invoice, by bank transfer."


def test_it_does_not_send_what_has_expired_or_has_no_reader(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=60)
    with pytest.raises(quoting.QuoteExpired):
        quoting.send(quote=quote, now=NOON + timedelta(days=30), actor="user:1")
    quoting.edit(quote=quote, now=NOON, actor="user:1", contact_email="")
    with pytest.raises(quoting.NotReady) as refusal:
        quoting.send(quote=quote, now=NOON, actor="user:1")
    assert refusal.value.field == "contact_email"


def test_it_does_not_send_another_thing_than_it_printed(make_customer, draft, monkeypatch):
    from billing.moves import StaleMove

    quote = draft(customer=make_customer(), quantity=60)

    def edited_meanwhile(paper):
        other = Quote.objects.get(pk=quote.pk)
        quoting.edit(quote=other, now=NOON, actor="user:2", quantity=61)
        quoting.submit(quote=other, now=NOON, actor="user:2")
        return b"%PDF"

    monkeypatch.setattr("sales.quote_papers.print_paper", edited_meanwhile)
    with pytest.raises(StaleMove):
        quoting.send(quote=quote, now=NOON, actor="user:1")
    assert not Document.objects.exists()


def test_it_cannot_be_edited_once_it_is_out(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=60)
    quoting.send(quote=quote, now=NOON, actor="user:1")
    with pytest.raises(quoting.NotEditable):
        quoting.edit(quote=quote, now=NOON, actor="user:1", quantity=61)
    with pytest.raises(IllegalMove):
        quoting.send(quote=quote, now=NOON, actor="user:1")


# -- Versions and ends


def test_it_makes_a_new_version_and_closes_the_old_link(make_customer, draft):
    old = draft(customer=make_customer(), quantity=60, term_months=24, ramp=[{"year": 2, "quantity": 70}])
    quoting.send(quote=old, now=NOON, actor="user:1")
    new = quoting.revise(quote=old, now=NOON, actor="user:1", quantity=65)
    assert (old.state, new.state) == ("withdrawn", "draft")
    assert (new.number, new.version, new.revision_of) == (old.number, 2, old)
    assert new.token != old.token
    assert [(r.year, r.quantity) for r in new.ramp.all()] == [(2, 70)]
    assert new.arr == 64350_00
    assert new.deal == old.deal
    assert types(old)[-1] == "quote.withdrawn"
    with pytest.raises(quoting.NotEditable):
        quoting.revise(quote=old, now=NOON, actor="user:1")
    with pytest.raises(quoting.NotEditable):
        quoting.revise(quote=new, now=NOON, actor="user:1")


def test_it_is_withdrawn_once(make_customer, draft):
    quote = draft(customer=make_customer(), quantity=60)
    quoting.send(quote=quote, now=NOON, actor="user:1")
    quoting.withdraw(quote=quote, now=NOON, actor="user:1", reason="Wrong plan")
    assert quote.withdrawn_at == NOON
    with pytest.raises(IllegalMove):
        quoting.withdraw(quote=quote, now=NOON, actor="user:1")


def test_it_expires_on_the_clock_of_its_customer(make_customer, draft, clock, advance):
    real = draft(customer=make_customer(None), quantity=60, now=NOON)
    clocked = draft(customer=make_customer(), quantity=60)
    for quote in (real, clocked):
        quoting.send(quote=quote, now=NOON, actor="user:1")
    assert quoting.expire(now=NOON + timedelta(days=29)) == 0
    advance(clock, days=30)
    assert quoting.expire(now=NOON) == 1
    clocked.refresh_from_db()
    assert clocked.state == "expired"
    assert quoting.expire(now=NOON + timedelta(days=30)) == 1
    assert quoting.expire(now=NOON + timedelta(days=31)) == 0


@pytest.mark.parametrize("state", ["sent", "viewed"])
def test_it_is_expired_from_its_last_moment_on_without_waiting_for_the_job(
    make_customer, draft, clock, advance, state
):
    """Whoever counts, lists or changes quotes, on the real clock and on a test clock."""
    real, clocked = (
        draft(customer=make_customer(None), quantity=60, now=NOON),
        draft(customer=make_customer()),
    )
    for quote in (real, clocked):
        quoting.send(quote=quote, now=NOON, actor="user:1")
    Quote.objects.update(state=state)

    def standing(now, state):
        return set(Quote.objects.filter(Quote.standing_as(state, now)).values_list("pk", flat=True))

    last = NOON + timedelta(days=30)
    assert standing(last - timedelta(seconds=1), state) == {real.pk, clocked.pk}
    assert standing(last, state) == {clocked.pk}
    assert standing(last, "expired") == {real.pk}
    advance(clock, days=30)
    assert standing(NOON, state) == {real.pk}
    assert standing(NOON, "expired") == {clocked.pk}
    over = Quote.objects.get(pk=clocked.pk)
    assert (over.state, over.standing, over.state_for_buyer) == (state, "expired", "Expired")
    with pytest.raises(IllegalMove):
        quoting.withdraw(quote=over, now=over.now, actor="user:1")
    over.refresh_from_db()
    quoting.revise(quote=over, now=over.now, actor="user:1")
    over.refresh_from_db()
    assert (over.state, types(over)[-1]) == ("expired", "quote.expired")


def test_a_last_day_that_ends_at_midnight_is_the_day_before(make_customer, draft, fake_print):
    quote = draft(customer=make_customer(), quantity=60)
    quoting.edit(quote=quote, now=NOON, actor="user:1", expires_at=datetime(2026, 4, 1, tzinfo=UTC))
    quoting.send(quote=quote, now=NOON, actor="user:1")
    assert fake_print[-1].expires_on == date(2026, 3, 31)
    assert quote.last_day("America/New_York") == date(2026, 3, 31)


def test_an_approval_waits_on_its_buyers_clock(make_customer, clock, draft, staff, rita):
    staff("dan", "Directors")
    for on in (clock, None):
        quote = draft(customer=make_customer(on), quantity=60, discount_percent=Decimal(25))
        quoting.submit(quote=quote, now=quote.now, actor=f"user:{rita.pk}", by=rita)
    here = timezone.now()
    assert quoting.escalate(now=here) == 0  # for who lives on the clock no time has passed
    running.advance(clock=clock, to=NOON + timedelta(hours=24), actor="system")
    assert quoting.escalate(now=here) == 1
    assert Quote.objects.get(escalated_at=NOON + timedelta(hours=24)).customer.test_clock == clock
    assert quoting.escalate(now=here + timedelta(hours=25)) == 1


def test_who_stands_in_for_a_director_is_told_of_what_waits(make_customer, draft, staff, rita):
    dan, sam = staff("dan", "Directors"), staff("sam")
    ApprovalDelegate.objects.create(
        person=dan, delegate=sam, since=NOON.date(), until=NOON.date() + timedelta(2)
    )
    quote = draft(customer=make_customer(None), quantity=60, discount_percent=Decimal(25))
    quoting.submit(quote=quote, now=NOON, actor=f"user:{rita.pk}", by=rita)
    quoting.escalate(now=NOON + timedelta(hours=24))
    told = Mail.objects.filter(template="quote_approval", subject__contains="still waits")
    assert {each.recipient for each in told} == {dan.email, sam.email}


# -- Steps, delegates, copies


def test_it_asks_the_next_step_when_the_first_has_agreed(make_customer, draft, staff):
    mia, dan = staff("mia", "Sales managers"), staff("dan", "Directors")
    quote = draft(customer=make_customer(), discount_percent=Decimal(40))
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    asked = Mail.objects.filter(template="quote_approval")
    assert [m.recipient for m in asked] == [mia.email]
    quoting.approve(quote=quote, by=mia, now=NOON)
    assert quote.state == "in_approval"
    assert [m.recipient for m in asked.all().order_by("id")][-1] == dan.email
    with pytest.raises(quoting.NotForYou):
        quoting.approve(quote=quote, by=mia, now=NOON)
    quoting.approve(quote=quote, by=dan, now=NOON)
    assert quote.state == "approved"


def test_a_delegate_decides_for_some_days_and_never_about_an_own_quote(make_customer, draft, staff, rita):
    dan, mia = staff("dan", "Directors"), staff("mia", "Sales managers")
    day = NOON.date()
    ApprovalDelegate.objects.create(person=dan, delegate=mia, since=day, until=day)
    ApprovalDelegate.objects.create(person=dan, delegate=rita, since=day, until=day)
    quote = draft(customer=make_customer(), discount_percent=Decimal(40))
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    with pytest.raises(quoting.OwnQuote):
        quoting.approve(quote=quote, by=rita, now=NOON)
    assert approving.roles_of(mia, NOON + timedelta(days=1)) == ["manager"]
    quoting.approve(quote=quote, by=mia, now=NOON)
    assert quote.state == "approved"
    assert set(quote.approvals.values_list("decided_by", flat=True)) == {mia.pk}


def test_it_makes_a_new_quote_with_the_terms_of_an_earlier_one(make_customer, draft):
    old = draft(
        customer=make_customer(), term_months=24, escalator_percent="3", discount_percent=Decimal(5),
        ramp=[{"year": 2, "quantity": 60}], fees=[{"description": "Set-up", "unit_amount": "10"}],
        starts="date", starts_on=date(2026, 1, 20),
    )  # fmt: skip
    quoting.withdraw(quote=old, now=NOON, actor="user:1")
    new = quoting.copy(quote=old, now=NOON, actor="user:1")
    assert (new.number, new.version, new.state, new.deal) == ("Q-000002", 1, "draft", old.deal)
    assert (new.tcv, new.starts_on, new.revision_of) == (old.tcv, old.starts_on, None)
    assert comparing.differences(old, new) == []
    late = quoting.copy(quote=old, now=NOON + timedelta(days=30), actor="user:1")
    assert (late.starts, late.starts_on) == ("now", None)


def test_it_says_what_a_version_changes(make_customer, draft, fake_print):
    old = draft(customer=make_customer(), term_months=24)
    quoting.send(quote=old, now=NOON, actor="user:1")
    new = quoting.revise(
        quote=old, now=NOON, actor="user:1", quantity=50, discount_percent=Decimal(10), net_days=45
    )
    changed = {each.label: (each.before, each.after) for each in comparing.differences(old, new)}
    assert changed["Paid by"] == ("Invoice, Net 30", "Invoice, Net 45")
    assert changed["Discount"] == ("", "10 %")
    assert changed["Enterprise seat"] == ("48 × $990.00", "50 × $990.00")
    assert changed["TCV"] == ("$95,040.00", "$89,100.00")
    assert "Term" not in changed
    rows = comparing.side_by_side([old, new])
    assert ("Term", ["24 months", "24 months"], False) in rows
    assert ("Discount", ["–", "10 %"], True) in rows


def test_the_buyer_reads_the_state_in_other_words():
    words = {state: Quote(state=state).state_for_buyer for state in Quote.State.values}
    assert (words["sent"], words["viewed"], words["converted"]) == ("Open", "Open", "Accepted")
    assert words["expired"] == "Expired"


# -- Both steps at once


def test_a_director_agrees_to_both_steps_at_once(make_customer, draft, staff):
    quote = draft(customer=make_customer(), quantity=60, discount_percent=Decimal(40))
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    quoting.approve(quote=quote, by=staff("dora", "Directors"), now=NOON)
    assert quote.state == "approved"
    assert {each.decision for each in quote.approvals.all()} == {"approved"}

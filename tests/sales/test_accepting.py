"""The buyer's side: the link, reading, asking, declining, accepting; and what follows acceptance."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import cataloguing, ending, forgetting, running
from billing.models import Customer, Discount, Document, Event, Invoice, Mail, Seller, Subscription
from billing.papers.sheet import quote_sheet
from billing.refusals import Refused
from billing.timelines import WrongCurrency
from sales import accepting, handing_over, leads, proposing, quote_papers, quoting
from sales.models import Deal, HandoffTask, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")


@pytest.fixture
def sent(make_customer, draft):
    """sent(quantity=60, …) -> a quote that is out."""

    def make(**terms):
        if not terms.keys() & {"customer", "subscription", "lead"}:
            terms["customer"] = make_customer()
        quote = draft(**{"quantity": 60, **terms})
        return quoting.send(quote=quote, now=quote.now if quote.customer else NOON, actor="user:1")

    return make


def open_approvals():
    from sales.models import ApprovalRule

    ApprovalRule.objects.all().update(enabled=False)


def test_it_is_sent_and_signed_by_a_role_that_deletes_nothing(as_app, sent, sign):
    with as_app():
        sign(sent())
    assert Invoice.objects.get().status == "open"


# -- The link


def test_it_opens_what_was_sent(sent):
    quote = sent()
    assert quoting.find(quote.token) == quote
    assert quote.url.endswith(f"/quotes/{quote.token}/")


def test_it_opens_nothing_else(sent, draft, make_customer, settings):
    quote, unsent = sent(), draft(customer=make_customer())
    for token in (
        "",
        "x",
        quote.token[:-1],
        quote.token + "x",
        quote.token.upper(),
        unsent.token,
        "é" * 32 + ".x",
    ):
        with pytest.raises(quoting.UnknownLink):
            quoting.find(token)
    own_id, signature = quote.token.split(".")
    with pytest.raises(quoting.UnknownLink):
        quoting.find(f"{unsent.token.split('.')[0]}.{signature}")
    settings.SECRET_KEY = "another"
    with pytest.raises(quoting.UnknownLink):
        quoting.find(f"{own_id}.{signature}")


def test_it_still_opens_after_the_secret_key_was_changed_with_a_fallback(sent, settings):
    quote = sent()
    token = quote.token
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert quoting.find(token) == quote


def test_it_notes_the_first_look(sent):
    quote = sent()
    for _ in range(2):
        quoting.view(quote=quoting.find(quote.token), now=quote.now)
    quote.refresh_from_db()
    assert (quote.state, quote.viewed_at) == ("viewed", quote.now)
    assert Event.objects.filter(type="quote.viewed").count() == 1


def test_it_passes_a_question_on_to_the_owner(sent, rita):
    quote = sent()
    quoting.comment(quote=quote, author="Ada", text="Why\nso much?", by_buyer=True, now=quote.now)
    mail = Mail.objects.get(template="quote_comment")
    assert mail.recipient == rita.email
    assert "Why\nso much?" in mail.text
    with pytest.raises(Refused) as refusal:
        quoting.comment(quote=quote, author="Ada", text="  ", by_buyer=True, now=quote.now)
    assert refusal.value.field == "text"


def test_it_is_declined_once_with_a_reason(sent):
    quote = sent()
    quoting.decline(quote=quote, reason="Too dear", now=quote.now)
    assert (quote.state, quote.decline_reason) == ("declined", "Too dear")
    with pytest.raises(quoting.Declined):
        quoting.decline(quote=quote, reason="Still", now=quote.now)


# -- Refusals


def nothing_changed():
    return (
        Subscription.objects.count(),
        Invoice.objects.count(),
        Document.objects.count(),
        Event.objects.count(),
    )


def refuses(error, sign, quote, **other):
    before = nothing_changed()
    with pytest.raises(error):
        sign(quote, **other)
    assert nothing_changed() == before


def test_it_is_not_accepted_twice(sent, sign):
    quote = sent()
    sign(quote)
    refuses(quoting.AlreadyAccepted, sign, quote)


def test_it_is_not_accepted_at_or_after_its_expiry(sent, sign):
    quote = sent()
    refuses(quoting.QuoteExpired, sign, quote, now=quote.expires_at)
    sign(quote, now=quote.expires_at - timedelta(seconds=1))


def test_it_is_not_accepted_once_closed(sent, sign):
    quote = sent()
    quoting.expire(now=NOON)
    Quote.objects.filter(pk=quote.pk).update(state="expired")
    refuses(quoting.QuoteExpired, sign, quote)


def test_it_is_not_accepted_when_withdrawn_or_declined(sent, sign):
    withdrawn, declined = sent(), sent()
    quoting.withdraw(quote=withdrawn, now=withdrawn.now, actor="user:1")
    quoting.decline(quote=declined, reason="", now=declined.now)
    refuses(quoting.Withdrawn, sign, withdrawn)
    refuses(quoting.Declined, sign, declined)


def test_it_is_not_accepted_after_a_newer_version(sent, sign):
    old = sent()
    new = quoting.revise(quote=old, now=old.now, actor="user:1")
    refuses(quoting.Superseded, sign, old)
    refuses(quoting.UnknownLink, sign, new)
    quoting.send(quote=new, now=new.now, actor="user:1")
    refuses(quoting.Superseded, sign, new, version=1)
    sign(new, version=2)
    refuses(quoting.AlreadyAccepted, sign, new)


@pytest.mark.parametrize("field", ["name", "email", "signature"])
def test_it_needs_who_signs(sent, sign, field):
    quote = sent()
    with pytest.raises(Refused) as refusal:
        sign(quote, **{field: " "})
    assert refusal.value.field == field
    assert not Subscription.objects.exists()


# -- Accepting


def test_it_keeps_who_signed_what(sent, sign, fake_print):
    quote = sent()
    sign(quote, po_number="PO-7")
    quote.refresh_from_db()
    assert (quote.accepted_name, quote.accepted_title) == ("Ada Byron", "CFO")
    assert quote.accepted_email == "ada@buyer.example"
    assert (quote.accepted_signature, quote.accepted_ip, quote.po_number) == (
        "Ada Byron",
        "192.0.2.7",
        "PO-7",
    )
    assert quote.accepted_at == NOON
    assert quote.accepted_sha256 == quote.document.sha256
    signed = fake_print[-1]
    assert signed.signature.document_sha256 == quote.document.sha256
    assert signed.signature.address == "192.0.2.7"
    assert quote.signed_document.name == "Q-000001-v1-signed.pdf"
    assert quote.signed_document.pk != quote.document.pk


def test_it_starts_a_new_customer_and_issues_the_first_invoice(sent, sign, books):
    quote = sent(fees=[{"description": "Onboarding", "unit_amount": "2500"}])
    sign(quote, po_number="PO-7")
    quote.refresh_from_db()
    subscription = Subscription.objects.get()
    assert (subscription.source, subscription.origin, subscription.motion) == (quote.pk, "quote", "sales_led")
    assert (subscription.contract_start_on, subscription.contract_end_on) == (
        date(2026, 1, 15),
        date(2027, 1, 15),
    )
    assert quote.state == "converted"
    invoice = Invoice.objects.get()
    assert (invoice.total, invoice.net_days, invoice.collection_method) == (
        quote.schedule[0]["total"],
        30,
        "send_invoice",
    )
    assert (invoice.subtotal, invoice.po_number) == (59400_00 + 2500_00, "PO-7")
    books()


def test_it_wins_the_deal_and_ends_the_task(sent, sign, make_customer, rita):
    customer = make_customer()
    handing_over.raise_by_hand(customer=customer, reason="By hand", now=NOON, actor="user:1")
    quote = sent(customer=customer)
    sign(quote)
    deal, task = Deal.objects.get(), HandoffTask.objects.get()
    assert (deal.stage, deal.amount, deal.closed_at) == ("won", 59400_00, NOON)
    assert (task.status, task.note) == ("won", "Quote Q-000001 accepted")


def test_it_mails_the_signed_paper_to_both(sent, sign, rita):
    quote = sent()
    sign(quote)
    quote.refresh_from_db()
    mails = Mail.objects.filter(template="quote_accepted").order_by("recipient")
    assert [m.recipient for m in mails] == sorted(["ada@buyer.example", rita.email])
    assert {m.document for m in mails} == {quote.signed_document}


def test_it_makes_a_customer_of_a_lead(sent, sign, rita):
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", country="DE", employees=200, livemode=False,
        now=NOON, actor="buyer",
    )  # fmt: skip
    quote = sent(lead=lead, currency="EUR", now=NOON, expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    sign(quote, now=NOON)
    customer = Customer.objects.get()
    assert (customer.name, customer.email, customer.country) == ("Nova", "ada@nova.example", "DE")
    assert (customer.currency, customer.collection_method, customer.owner) == ("EUR", "send_invoice", rita)
    assert customer.members.get().user.email == "ada@buyer.example"
    lead.refresh_from_db()
    assert (lead.status, lead.customer) == ("converted", customer)
    assert Deal.objects.get().customer == customer
    assert Invoice.objects.get().total == 70_686_00  # 59,400.00 and German VAT, without a VAT id


def test_a_lead_pays_the_taxes_of_its_province_that_the_quote_said(sent, sign, rita):
    parts = [{"name": "GST", "percentage": Decimal(5)}, {"name": "QST", "percentage": Decimal("9.975")}]
    cataloguing.create_tax_rate(now=NOON, name="Sales tax", country="CA", taxes=parts, state="Quebec")
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", country="CA", state="Québec", employees=200,
        livemode=False, now=NOON, actor="buyer",
    )  # fmt: skip
    quote = sent(lead=lead, currency="EUR", now=NOON, expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert quote.tax_total == 8_895_15  # 2,970.00 and 5,925.15 of 59,400.00
    sign(quote, now=NOON)
    invoice = Invoice.objects.get()
    assert (invoice.tax_total, invoice.customer.billing_address["state"]) == (8_895_15, "Québec")


def test_a_quote_for_a_customer_who_was_deleted_is_withdrawn(sent, sign, make_customer):
    customer = make_customer()
    quote = sent(customer=customer)
    forgetting.delete_customer(customer=customer, now=NOON, actor="user:1")
    with pytest.raises(accepting.Withdrawn):
        sign(quote)


def test_it_bills_nobody_in_a_currency_that_was_not_offered(sent, sign, make_customer):
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", country="DE", employees=200, livemode=False,
        now=NOON, actor="buyer",
    )  # fmt: skip
    quote = sent(lead=lead, currency="EUR", now=NOON, expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    leads.convert(lead=lead, customer=make_customer(currency="USD"), now=NOON, actor="buyer")
    with pytest.raises(WrongCurrency):
        sign(quote, now=NOON)
    quote.refresh_from_db()
    assert (quote.state, Invoice.objects.count()) == ("sent", 0)


# -- After a live subscription


def invoiced(subscription):
    rows = Invoice.objects.filter(subscription=subscription).order_by("issued_at", "id")
    return [(i.issued_on.isoformat(), i.subtotal - i.discount_total, i.tax_total) for i in rows]


def test_it_waits_for_the_end_of_the_paid_period(on_pro, sent, sign, advance, run_jobs, books):
    subscription = on_pro(6)
    quote = sent(subscription=subscription, starts="period_end", discount_percent=Decimal(15))
    assert [(row["date"], row["amount"]) for row in quote.schedule] == [("2026-02-15", 50490_00)]
    sign(quote)
    quote.refresh_from_db()
    assert (quote.state, quote.subscription) == ("accepted", subscription)
    assert len(invoiced(subscription)) == 1
    advance(subscription.customer.test_clock, days=40)
    run_jobs()
    quote.refresh_from_db()
    assert (quote.state, quote.converted_at is not None) == ("converted", True)
    planned = quote.schedule[0]
    assert invoiced(subscription)[1] == (planned["date"], planned["amount"], planned["tax"])
    subscription.refresh_from_db()
    assert subscription.customer.__class__.objects.get().collection_method == "send_invoice"
    phases = list(subscription.phases.values_list("start_on", "end_on", "collection_method", "motion"))
    given = Discount.objects.filter(label=f"Quote {quote.number}")
    assert [discount.redemptions for discount in given] == [1]
    assert phases == [
        (date(2026, 1, 15), date(2026, 2, 15), "charge_automatically", "self_serve"),
        (date(2026, 2, 15), None, "send_invoice", "sales_led"),
    ]
    assert Event.objects.filter(type="quote.converted").count() == 1
    books()


def test_it_bills_nothing_else_while_a_quote_is_open(on_pro, sent, sign, advance, make_clock):
    with_quote, without = on_pro(6), on_pro(6)
    quote = sent(subscription=with_quote, starts="period_end")
    quoting.decline(quote=quote, reason="No", now=quote.now)
    sent(subscription=with_quote, starts="period_end")
    advance(with_quote.customer.test_clock, days=70)
    assert invoiced(with_quote) == invoiced(without)
    assert len(invoiced(without)) == 3


def test_a_first_subscription_waits_for_its_day(make_customer, sent, sign, advance, run_jobs, books):
    open_approvals()
    customer = make_customer(collection_method="charge_automatically")
    quote = sent(customer=customer, starts="date", starts_on=date(2026, 2, 1), quantity=60)
    sign(quote)
    run_jobs()
    quote.refresh_from_db()
    subscription = quote.subscription
    assert (quote.state, subscription.status, Invoice.objects.count()) == ("accepted", "incomplete", 0)
    customer.refresh_from_db()
    assert (customer.collection_method, customer.arr) == ("charge_automatically", subscription.arr)
    advance(customer.test_clock, days=20)
    run_jobs()
    for row in (quote, subscription, customer):
        row.refresh_from_db()
    assert (quote.state, subscription.status) == ("converted", "active")
    assert customer.collection_method == "send_invoice"
    planned = [(row["date"], row["amount"], row["tax"]) for row in quote.schedule]
    assert invoiced(subscription) == planned
    types = Event.objects.filter(object_id=subscription.pk).values_list("type", flat=True)
    assert list(types).count("subscription.activated") == 1
    assert list(types).count("subscription.converted_to_invoice") == 1
    books()


def test_no_second_quote_starts_beside_one_that_waits(make_customer, sent, sign):
    open_approvals()
    customer = make_customer()
    first, second = (sent(customer=customer, starts="date", starts_on=date(2026, 2, 1)) for _ in range(2))
    sign(first)
    refuses(quoting.AnotherAccepted, sign, second)
    assert Subscription.objects.count() == 1


@pytest.mark.parametrize("interval", ["year", "month"])
def test_it_invoices_what_the_schedule_said(on_pro, sent, sign, advance, run_jobs, books, interval):
    open_approvals()
    subscription = on_pro(6, country="DE")
    quote = sent(
        subscription=subscription, starts="date", starts_on=date(2026, 1, 28), interval=interval,
        term_months=36, discount_percent=Decimal("7.77"),
        ramp=[{"year": 2, "quantity": 71}, {"year": 3, "discount_percent": "3.33"}],
        fees=[{"description": "Onboarding", "unit_amount": "1999.99"}],
    )  # fmt: skip
    sign(quote)
    quote.refresh_from_db()
    planned = [(row["date"], row["amount"], row["tax"]) for row in quote.schedule]
    assert len(planned) == (3 if interval == "year" else 36)
    assert planned[0][1] < proposing.price(quote, now=quote.now).lines[0].net + 1999_99
    for month in range(36):
        advance(subscription.customer.test_clock, days=30 + month % 2)
    run_jobs()
    subscription.refresh_from_db()
    assert invoiced(subscription)[1 : len(planned) + 1] == planned
    books()


def test_it_starts_today_with_exact_credit(on_pro, sent, sign, advance, books):
    open_approvals()
    subscription = on_pro(6)
    advance(subscription.customer.test_clock, days=10)
    subscription.refresh_from_db()
    quote = sent(subscription=Subscription.objects.get(), starts="now", quantity=10)
    sign(quote)
    quote.refresh_from_db()
    assert quote.state == "converted"
    (row,) = quote.schedule
    assert row["amount"] == 9900_00 - 117_87
    assert invoiced(subscription)[1] == (row["date"], row["amount"], row["tax"])
    customer = Customer.objects.get()
    assert customer.collection_method == "send_invoice"
    assert Event.objects.filter(type="subscription.converted_to_invoice").count() == 1
    books()


@pytest.mark.parametrize("billed", [True, False])
def test_a_period_that_no_run_has_billed_is_billed_first(on_pro, sent, sign, advance, books, billed):
    subscription = on_pro(6)
    clock = subscription.customer.test_clock
    advance(clock, days=26)
    quote = sent(subscription=subscription, starts="now")
    clock.now = datetime(2026, 2, 15, 0, 5, tzinfo=UTC)
    clock.save()
    if billed:
        running.run(now=clock.now, clock=clock)
    sign(Quote.objects.get(pk=quote.pk))
    assert invoiced(subscription)[:2] == [("2026-01-15", 174_00, 40_02), ("2026-02-15", 174_00, 40_02)]
    assert len(invoiced(subscription)) == 3
    assert Event.objects.filter(object_id=subscription.pk, type="subscription.renewed").count() == 1
    books()


def test_it_follows_what_the_customer_bought_meanwhile(make_customer, sent, sign, subscribe, books):
    open_approvals()
    customer = make_customer()
    quote = sent(customer=customer, quantity=10)
    bought = subscribe(customer, "pro", "month", 2)
    sign(quote)
    quote.refresh_from_db()
    assert quote.subscription == bought
    assert Subscription.objects.count() == 1
    books()


def test_it_starts_anew_when_what_it_waited_for_has_ended(on_pro, sent, sign, books):

    open_approvals()
    subscription = on_pro(2)
    quote = sent(subscription=subscription, starts="period_end", quantity=10)
    ending.cancel(subscription=subscription, now=quote.now, actor="user:1", effective="now")
    sign(quote)
    quote.refresh_from_db()
    assert quote.subscription != subscription
    assert quote.state == "converted"
    books()


def test_it_lets_one_accepted_quote_wait(on_pro, sent, sign):
    subscription = on_pro(6)
    first, second = (sent(subscription=subscription, starts="period_end") for _ in range(2))
    sign(first)
    refuses(quoting.AnotherAccepted, sign, second)
    first.refresh_from_db()
    assert first.state == "accepted"


def test_it_converts_nothing_before_its_day(on_pro, sent, sign):
    quote = sent(subscription=on_pro(6), starts="period_end")
    sign(quote)
    quote.refresh_from_db()
    assert quoting.convert(quote=quote, now=quote.now) is False
    assert quote.state == "accepted"


def test_it_prints_a_real_paper(make_customer, draft, sign, monkeypatch):
    from billing.papers import render

    monkeypatch.setattr("sales.quote_papers.print_paper", render.quote_pdf)
    quote = draft(customer=make_customer(), quantity=60, title="Für Nova")
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    sign(quote)
    quote.refresh_from_db()
    assert bytes(quote.document.content).startswith(b"%PDF")
    assert bytes(quote.signed_document.content).startswith(b"%PDF")
    assert quote.signed_document.sha256 != quote.document.sha256


def test_who_comes_too_late_is_led_to_whoever_made_the_quote(client, sent):
    quote = sent()
    address = f"/quotes/{quote.token}/"
    assert "Ask here" in client.get(address).text
    quote.refresh_from_db()
    quoting.withdraw(quote=quote, now=quote.now, actor="user:1")
    page = client.get(address).text
    assert f'<a href="mailto:{quote.owner.email}">Write to {quote.owner}</a>' in page
    assert "Ask here" not in page


# -- How much it asks


@pytest.mark.parametrize("button", ["accept", "decline", "comment"])
def test_the_address_of_a_button_leads_to_its_quote(client, sent, button):
    quote = sent()
    assert client.get(f"/quotes/{quote.token}/{button}/").url == f"/quotes/{quote.token}/"
    quote.refresh_from_db()
    assert quote.state == "sent"
    assert client.put(f"/quotes/{quote.token}/{button}/").status_code == 405


AROUND = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")


@pytest.fixture
def signing(client):
    """signing(quote) -> how many statements the buyer's signature takes, from the request on."""

    def count(quote):
        typed = {
            **SIGNED,
            "version": quote.version,
            "terms_url": Seller.objects.get().terms_url,
        }  # as the page sends it
        with CaptureQueriesContext(connection) as queries:
            answer = client.post(f"/quotes/{quote.token}/accept/", typed)
        assert answer.status_code == 302
        assert Quote.objects.get(pk=quote.pk).state in accepting.ACCEPTED
        return len([each for each in queries if not each["sql"].startswith(AROUND)])

    return count


SIGNED = {
    "name": "Ada Byron", "title": "CFO", "email": "ada@buyer.example", "signature": "Ada Byron", "agreed": "on",
}  # fmt: skip


def much_before(customer, draft, rita):
    """A customer with a past: older quotes, and a handoff that led to this one."""
    for _ in range(3):
        old = quoting.send(quote=draft(customer=customer), now=customer.now, actor="user:1")
        quoting.withdraw(quote=old, now=customer.now, actor="user:1")
    handing_over.raise_by_hand(
        customer=customer, reason="Asked", owner=rita, now=customer.now, actor="user:1"
    )


def test_the_page_takes_five_statements_at_the_first_look(
    sent, draft, make_customer, client, rita, django_assert_max_num_queries
):
    for before in (lambda customer: None, lambda customer: much_before(customer, draft, rita)):
        customer = make_customer()
        before(customer)
        quote = sent(customer=customer)
        quoting.revise(quote=quote, now=customer.now, actor="user:1")
        address = f"/quotes/{quote.token}/"
        with django_assert_max_num_queries(3):
            assert "There is a newer version" in client.get(address).text
        address = f"/quotes/{sent(customer=customer).token}/"
        with django_assert_max_num_queries(7):  # and a savepoint
            assert client.get(address).status_code == 200


def test_a_signature_takes_fourteen_statements(make_customer, sent, draft, signing, rita):
    """A new subscription, billed at once: customer, deal, task, segment and way of paying change with it."""
    customer = make_customer()
    assert signing(sent(customer=customer)) <= 14
    customer = make_customer()
    much_before(customer, draft, rita)
    assert signing(sent(customer=customer)) <= 14


def test_a_signature_that_waits_for_the_paid_period_takes_fourteen(on_pro, sent, draft, signing, rita):
    open_approvals()
    subscription = on_pro()
    much_before(subscription.customer, draft, rita)
    assert signing(sent(subscription=subscription, starts="period_end")) <= 14


@pytest.mark.parametrize("quantity", [10, 60])
def test_a_signature_that_replaces_running_terms_today_takes_fourteen(
    on_pro, sent, draft, signing, advance, rita, quantity
):
    """It also asks what was billed, and what of that is given back; of 60 seats the segment changes too."""
    open_approvals()
    subscription = on_pro()
    if quantity == 60:
        much_before(subscription.customer, draft, rita)
    advance(subscription.customer.test_clock, days=10)
    quote = sent(subscription=Subscription.objects.get(), starts="now", quantity=quantity)
    assert signing(quote) <= 14


@pytest.mark.parametrize("others", [0, 3])
def test_a_signature_of_a_lead_takes_fourteen(sent, draft, signing, others):
    """It makes the customer and its first member, too, and takes over all that was the lead's."""
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", country="DE", employees=200, livemode=False,
        now=NOON, actor="buyer",
    )  # fmt: skip
    for _ in range(others):
        draft(lead=lead, currency="EUR", quantity=60)
    quote = sent(lead=lead, currency="EUR", expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert signing(quote) <= 14
    assert set(Quote.objects.values_list("customer", flat=True)) == {Customer.objects.get().pk}


# -- What is agreed to beside the quote


TERMS = "https://seller.example/terms/2026-01"
OPENS_TERMS = f'<a href="{TERMS}" target="_blank" rel="noopener noreferrer">'


def test_it_keeps_which_terms_were_agreed_to(sent, client):
    Seller.objects.update(terms_url=TERMS, privacy_url="https://seller.example/privacy")
    quote = sent()
    address = f"/quotes/{quote.token}/"
    page = client.get(address).text
    assert f"I have read the quote and the {OPENS_TERMS}terms of service<" in page
    assert "How we use your data" in page
    assert f"{OPENS_TERMS}Terms<" in page.partition("<footer")[2]
    client.post(f"{address}accept/", {**SIGNED, "version": quote.version})
    Seller.objects.update(terms_url="https://seller.example/terms/2027-01")
    assert Quote.objects.get(pk=quote.pk).accepted_terms_url == TERMS
    signed, foot = client.get(address).text.split("<footer", 1)
    assert f"<dt>Agreed to</dt><dd>{OPENS_TERMS}Terms of service<" in signed
    assert "2027-01" not in signed
    assert "2027-01" in foot


def test_terms_that_changed_meanwhile_are_accepted_anew(sent, client):
    Seller.objects.update(terms_url=TERMS)
    quote = sent()
    address = f"/quotes/{quote.token}/"
    assert f'<input type="hidden" name="terms_url" value="{TERMS}">' in client.get(address).text
    Seller.objects.update(terms_url="https://seller.example/terms/2027-01")
    typed = {**SIGNED, "version": quote.version, "name": "Ada King"}
    again = client.post(f"{address}accept/", {**typed, "terms_url": TERMS})
    assert again.status_code == 422
    assert "The terms of service have changed since you opened this page" in again.text
    assert 'name="terms_url" value="https://seller.example/terms/2027-01"' in again.text
    assert 'value="Ada King"' in again.text
    assert not re.search(r'name="agreed"[^>]*checked', again.text)
    assert Quote.objects.get(pk=quote.pk).state == "viewed"
    client.post(f"{address}accept/", {**typed, "terms_url": "https://seller.example/terms/2027-01"})
    assert Quote.objects.get(pk=quote.pk).accepted_terms_url == "https://seller.example/terms/2027-01"


def test_the_signature_page_and_the_api_name_the_terms(sent, sign, api, monkeypatch):
    Seller.objects.update(terms_url=TERMS)
    quote, printed = sent(), []
    monkeypatch.setattr(quote_papers, "print_paper", lambda paper: printed.append(paper) or b"%PDF-1")
    assert api.get(f"quotes/{quote.pk}").json()["accepted_terms_url"] == ""
    sign(quote)
    assert ("Terms of service", TERMS) in quote_sheet(printed[0])["signature"]["facts"]
    assert api.get(f"quotes/{quote.pk}").json()["accepted_terms_url"] == TERMS


def test_the_terms_stay_with_a_lead_that_becomes_a_customer(sent, sign, sales_catalogue):
    Seller.objects.update(terms_url=TERMS)
    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", country="DE", employees=200, livemode=False,
        now=NOON, actor="buyer",
    )  # fmt: skip
    quote = sent(lead=lead, now=NOON, expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert sign(quote, now=NOON).accepted_terms_url == TERMS


def test_without_terms_it_asks_what_it_asked_before(sent, sign, client):
    Seller.objects.update(terms_url="", privacy_url="")
    quote = sent()
    page = client.get(f"/quotes/{quote.token}/").text
    assert "I have read the quote and may accept it for my company." in page
    assert "_blank" not in page
    assert "How we use your data" not in page
    assert sign(quote).accepted_terms_url == ""
    assert "Agreed to" not in client.get(f"/quotes/{quote.token}/").text

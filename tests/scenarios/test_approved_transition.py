"""From self-serve to a discounted contract and back to the card, at the desks alone: the manager is away, the approval
waits until the directors hear of it, a stand-in agrees, and every amount is what a pocket calculator says."""

from datetime import UTC, date, datetime, timedelta

import pytest

from billing import books, invoicing
from billing.models import Invoice, Mail, Payment, Plan
from checkout import catalogue as checkout_catalogue
from sales import catalogue as sales_catalogue
from sales import tasks
from sales.models import ApprovalDelegate, HandoffTask, Quote
from tests.scenarios.test_hybrid_story import (
    BUYER,
    START,
    Story,
    check_out,
    typed,
    use_the_portal,
    use_the_product,
)

pytestmark = pytest.mark.django_db

# 50 seats of 990.00 a year are 49,500.00; 25 % off are 12,375.00; 23 % tax of 37,125.00 are 8,538.75.
NET, TAX, TOTAL = 37_125_00, 8_538_75, 45_663_75
TERMS = {
    "interval": "year", "quantity": "50", "discount_percent": "25", "term_months": "12", "net_days": "30",
    "starts": "period_end",
}  # fmt: skip


@pytest.fixture
def story(catalogue, fake_stripe, run_jobs):
    sales_catalogue.ship(now=START)
    checkout_catalogue.ship(now=START)
    return Story(run_jobs)


def page_of(row):
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def propose(story):
    """The rep quotes from the live subscription, one click from the task; a quarter off needs somebody else."""
    task = HandoffTask.objects.get()
    desk = story.desk(task.owner)
    desk.post(page_of(task), {"action": "accept"})
    desk.post(page_of(task), {"action": "quote"})
    quote = Quote.objects.get()
    terms = {**TERMS, "plan": Plan.objects.get(code="enterprise").pk}
    answer = desk.post(page_of(quote), {**typed(desk.get(page_of(quote))), **terms, "action": "edit"})
    assert answer.status_code == 302, answer.text[:3000]
    assert "37,125.00" in desk.get(page_of(quote)).text
    desk.post(page_of(quote), {"action": "submit"})
    quote.refresh_from_db()
    assert (quote.state, quote.arr, quote.acv, quote.tcv) == ("in_approval", NET, NET, NET)
    return quote, desk


def agree(story, quote, desk, away, director, stand_in):
    """Nobody decides about their own; after a day of the clock the directors hear of it; the stand-in agrees."""
    seen = {"action": "approve", "seen": desk.get(page_of(quote)).context.get("seen", "")}
    assert desk.post(page_of(quote), seen).status_code in (403, 422)
    story.advance(START + timedelta(days=12, hours=23))
    assert tasks.escalate_approvals() == 0
    story.advance(START + timedelta(days=13, hours=1))
    assert tasks.escalate_approvals() == 1
    late = Mail.objects.filter(template="quote_approval", subject__contains="still waits")
    assert [mail.recipient for mail in late] == [director.email]
    place = story.desk(stand_in)
    answer = place.post(page_of(quote), {**seen, "seen": place.get(page_of(quote)).context.get("seen", "")})
    assert answer.status_code == 302, answer.text[:3000]
    quote.refresh_from_db()
    assert quote.state == "approved"
    assert [each.decided_by for each in quote.approvals.all()] == [stand_in]
    assert away.email in Mail.objects.filter(template="quote_approval").values_list("recipient", flat=True)


def accept(story, quote, desk):
    assert desk.post(page_of(quote), {"action": "send"}).status_code == 302
    quote.refresh_from_db()
    assert [(row["date"], row["amount"], row["tax"]) for row in quote.schedule] == [("2026-02-15", NET, TAX)]
    assert invoicing.upcoming(subscription=story.subscription, now=story.clock.now).result.total == 107_01
    signature = {
        "name": "Ada Noor", "title": "COO", "email": BUYER["email"], "signature": "Ada Noor", "agreed": "on",
        "version": str(quote.version), "po_number": "",
    }  # fmt: skip
    assert story.buyer.post(f"/quotes/{quote.token}/accept/", signature).status_code == 302
    story.run_jobs()


def convert(story, quote):
    """At renewal one invoice, thirty days to pay, paid by a transfer; the card is not touched."""
    story.advance(datetime(2026, 2, 16, 12, tzinfo=UTC))
    first, second = Invoice.objects.order_by("sequence")
    assert (first.period_end, first.total) == (date(2026, 2, 15), 107_01)
    assert (second.subtotal, second.discount_total, second.tax_total, second.total) == (
        49_500_00, 12_375_00, TAX, TOTAL,
    )  # fmt: skip
    assert (second.issued_on, second.due_on, second.status) == (
        date(2026, 2, 15), date(2026, 3, 17), "open",
    )  # fmt: skip
    assert Payment.objects.count() == 1
    paid = {"action": "transfer", "amount": "45663.75", "paid_on": "2026-02-16", "reference": "SEPA 1"}
    assert story.desk(story.finance).post(page_of(second), paid).status_code == 302
    assert (story.customer.segment.code, story.customer.mrr) == ("mid-market", 309_375)


def return_to_card(story, desk):
    """Back to the card from the next invoice on: a year later the same terms are charged, and nothing else."""
    answer = desk.post(
        page_of(story.customer), {"action": "switch", "method": "charge_automatically", "net_days": ""}
    )
    assert answer.status_code == 302, answer.text[:3000]
    story.advance(datetime(2027, 2, 16, 12, tzinfo=UTC))
    *_, second, third = Invoice.objects.order_by("sequence")
    assert Invoice.objects.count() == 3
    assert (second.collection_method, second.net_days, second.status) == ("send_invoice", 30, "paid")
    assert (third.collection_method, third.total, third.status) == ("charge_automatically", TOTAL, "paid")
    assert (third.period_start, third.period_end) == (date(2027, 2, 15), date(2028, 2, 15))
    assert Payment.objects.get(invoice=third).amount == TOTAL


def test_it_goes_to_a_contract_by_way_of_a_stand_in_and_back(story):
    away = story._staff("mia@lumen.example", "Mia Lund", sales_catalogue.MANAGERS)
    director = story._staff("dan@lumen.example", "Dan Roth", sales_catalogue.DIRECTORS)
    stand_in = story._staff("sol@lumen.example", "Sol Vega", sales_catalogue.SUPPORT)
    ApprovalDelegate.objects.create(
        person=away, delegate=stand_in, since=START.date(), until=START.date() + timedelta(days=60)
    )
    check_out(story)
    use_the_portal(story)
    use_the_product(story)
    quote, desk = propose(story)
    agree(story, quote, desk, away, director, stand_in)
    accept(story, quote, desk)
    convert(story, quote)
    return_to_card(story, desk)
    assert [f"{b.id} {b.words}: {b.found}" for b in books.check()] == []

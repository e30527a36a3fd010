"""The pipeline, and what becomes of signals, added up by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from billing.models import Document, Plan, TestClock, User
from sales import closing, deals, drafting, handing_over, watching
from sales.models import Deal, HandoffTask, Quote
from sales.owning import REPS
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue")
DAY = timedelta(days=1)
RANGE = {"start": NOON - 5 * DAY, "end": NOON + DAY, "currency": "USD"}


def told(customer, rule, key="1", at=NOON):
    said = {"occurred_at": at, "now": NOON, "actor": "key:app", "key": key}
    return watching.report(customer=customer, rule=rule, **said)


def of(rule, **scope):
    return next(each for each in closing.by_rule(**{**RANGE, **scope}) if each.rule == rule)


def test_the_pipeline_is_what_is_open_by_stage(make_customer):
    customer = make_customer()
    for amount, stage in ((100_00, "discovery"), (250_01, "proposal"), (50_00, "proposal"), (999_00, "lost")):
        deal = deals.open_deal(name="x", customer=customer, now=NOON, amount=amount)
        deals.set_stage(deal=deal, stage=stage, now=NOON, actor="user:1")
    deals.open_deal(name="elsewhere", customer=customer, now=NOON, amount=70_00, currency="EUR")
    rows = [(row.stage, row.deals, row.amount, row.weighted) for row in closing.pipeline(currency="USD")]
    assert rows == [
        ("discovery", 1, 100_00, 10_00), ("proposal", 2, 300_01, 120_00), ("negotiation", 0, 0, 0),
    ]  # fmt: skip
    assert not any(row.deals for row in closing.pipeline(currency="USD", livemode=True))


def test_a_signal_is_closed_with_its_task(make_customer, rita):
    won, open_one = make_customer(), make_customer()
    told(won, "target_domain", at=NOON - 4 * DAY)
    told(won, "target_domain", "2")
    told(won, "team_growing")
    told(open_one, "target_domain")
    task = HandoffTask.objects.get(customer=won)
    deal = deals.open_deal(name="x", customer=won, now=NOON, amount=1200_00, task=task)
    deals.win(deal=deal, amount=1300_00, currency="USD", now=NOON + 2 * DAY, actor="user:1")
    found = of("target_domain")
    assert (found.signals, found.customers, found.won, found.amount) == (3, 2, 1, 1300_00)
    assert (found.share, found.days) == (Decimal("50.00"), Decimal("6.0"))
    joined = of("team_growing")
    assert (joined.won, joined.amount, joined.days) == (1, 1300_00, Decimal("2.0"))
    assert next(iter(closing.by_rule(**RANGE))).rule == "demo_requested"
    nothing = of("engagement")
    assert (nothing.signals, nothing.customers, nothing.share, nothing.days) == (0, 0, None, None)
    assert of("target_domain", end=NOON).signals == 1
    assert of("target_domain", currency="EUR").signals == of("target_domain", livemode=True).signals == 0


def test_it_counts_what_was_no_finding(make_customer, rita):
    customer = make_customer()
    told(customer, "team_growing")
    told(customer, "team_growing", "2", at=NOON - DAY)
    signal = customer.signals.order_by("occurred_at").last()
    watching.dismiss(signal=signal, reason="two are the same person", now=NOON, actor="user:1")
    found = of("team_growing")
    assert (found.signals, found.dismissed, found.false_alarms) == (2, 1, Decimal("50.00"))
    assert of("engagement").false_alarms is None


def test_it_tells_what_each_rep_has_in_hand_and_won(make_customer, rita):
    idle = User.objects.create_user("ida@seller.example", name="Ida", is_staff=True)
    idle.groups.add(Group.objects.get(name=REPS))
    late, snoozed = make_customer(), make_customer()
    for customer in (late, snoozed):
        told(customer, "target_domain")
    HandoffTask.objects.update(owner=rita, due_on=NOON.date() - DAY)
    HandoffTask.objects.filter(customer=snoozed).update(snoozed_until=NOON.date() + DAY)
    quote = drafting.draft(
        customer=late, plan=Plan.objects.get(code="enterprise"), quantity=10, now=NOON, actor="user:1"
    )
    document = Document.objects.create(name="q.pdf", sha256="0" * 64, content=b"")
    Quote.objects.filter(pk=quote.pk).update(
        state="sent", owner=rita, deal=None, document=document, sent_at=NOON
    )
    Deal.objects.filter(pk=quote.deal_id).delete()
    for amount, stage, owner in ((100_01, "discovery", rita), (250_00, "proposal", rita), (70_00, "won", rita),
                                 (30_00, "lost", rita), (90_00, "discovery", None)):  # fmt: skip
        deal = deals.open_deal(name="x", customer=late, now=NOON, amount=amount, owner=owner)
        deals.set_stage(deal=deal, stage=stage, now=NOON, actor="user:1")
    deals.open_deal(name="elsewhere", customer=late, now=NOON, amount=5_00, currency="EUR", owner=rita)

    def loads(**changes):
        rows = closing.by_rep(**{**RANGE, "today": NOON.date(), "now": NOON, **changes})
        return {row.name: row for row in rows}

    found = loads()
    mine = found["Rita"]
    assert (mine.user, mine.tasks, mine.late, mine.quotes) == (rita.pk, 2, 1, 1)
    TestClock.objects.update(now=quote.expires_at)
    assert loads()["Rita"].quotes == 0, "nobody can accept it any more"
    assert (mine.deals, mine.amount, mine.weighted) == (
        2,
        350_01,
        110_00,
    )  # a tenth of 100.01, 40 % of 250.00
    assert (mine.won, mine.won_amount) == (1, 70_00)
    assert (found["Ida"].tasks, found["Ida"].deals, found["Ida"].won) == (0, 0, 0)
    assert (found[""].user, found[""].deals, found[""].amount) == (None, 1, 90_00)
    assert list(found)[-1] == ""
    assert loads(end=NOON)["Rita"].won == 0
    live = loads(livemode=True)["Rita"]
    assert (live.tasks, live.late, live.quotes, live.deals) == (0, 0, 0, 0)
    assert loads(today=NOON.date() + DAY)["Rita"].late == 2


def test_a_task_that_is_won_by_hand_closes_without_a_deal(make_customer, rita):
    customer = make_customer()
    told(customer, "target_domain")
    task = HandoffTask.objects.get(customer=customer)
    handing_over.complete(task=task, outcome="won", now=NOON + DAY, actor="user:1")
    found = of("target_domain")
    assert (found.won, found.amount, found.days) == (1, 0, Decimal("1.0"))

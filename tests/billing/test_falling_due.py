"""The gap before a billing run: whatever is done in it, invoices, facts and state are what they are after the run.

Each case lives twice, on two clocks. In the one life a run comes to what has fallen due and then somebody acts; in the
other somebody acts first, at the same moment. Afterwards nothing tells the two apart.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from django.forms.models import model_to_dict

from billing import (
    dunning,
    ending,
    falling_due,
    pausing,
    renewing,
    repricing,
    running,
    starting,
    subscribing,
    switching,
    timelines,
    trialing,
)
from billing.models import (
    BalanceEntry,
    BillingFailure,
    CreditNote,
    Event,
    Invoice,
    Plan,
    Price,
    Subscription,
)
from billing.refusals import Refused

pytestmark = pytest.mark.django_db
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
ACTOR = "user:1"
WAITS_ON = date(2024, 4, 10)


class Case(NamedTuple):
    """What was sold, what was then asked for, and the moment of the gap: something has fallen due since so long ago,
    when all was up to date."""

    at: datetime
    sold: dict[str, Any] = {}
    before: Callable[..., Any] | None = None
    since: timedelta = timedelta(minutes=10)


def asking(act: Callable[..., Any], **wish: Any) -> Callable[..., Any]:
    return lambda row, now: act(subscription=row, now=now, actor=ACTOR, **wish)


MIDNIGHT = datetime(2024, 2, 1, 0, 5, tzinfo=UTC)
GAPS = {
    "a trial is over": Case(datetime(2024, 1, 15, 12, 5, tzinfo=UTC), {"trial_days": 14}),
    "a period begins": Case(MIDNIGHT),
    "two periods begin": Case(datetime(2024, 3, 5, tzinfo=UTC), since=timedelta(days=40)),
    "a trial and a period are over": Case(
        datetime(2024, 2, 20, 11, tzinfo=UTC), {"trial_days": 14}, since=timedelta(days=36)
    ),
    "a change begins": Case(
        datetime(2024, 1, 20, 0, 5, tzinfo=UTC),
        before=asking(subscribing.change, quantity=5, effective=date(2024, 1, 20)),
    ),
    "a pause begins": Case(
        datetime(2024, 1, 20, 0, 5, tzinfo=UTC),
        before=asking(pausing.pause, effective=date(2024, 1, 20), resume_at=date(2024, 3, 1)),
    ),
    "a pause ends": Case(
        datetime(2024, 1, 20, 0, 5, tzinfo=UTC), before=asking(pausing.pause, resume_at=date(2024, 1, 20))
    ),
    "it is over": Case(MIDNIGHT, before=asking(ending.cancel)),
    "it was over in the period": Case(
        datetime(2024, 1, 20, 0, 5, tzinfo=UTC), before=asking(ending.cancel, effective=date(2024, 1, 20))
    ),
    "it starts": Case(datetime(2024, 1, 5, 0, 5, tzinfo=UTC), {"start_at": date(2024, 1, 5)}),
    "its contract is renewed": Case(
        datetime(2024, 2, 1, 0, 5, tzinfo=UTC), {"contract_months": 1, "renewal_months": 12}
    ),
    "it is paid otherwise": Case(
        datetime(2024, 1, 20, 0, 5, tzinfo=UTC),
        before=asking(
            subscribing.change, collection_method="send_invoice", override="any", effective=date(2024, 1, 20)
        ),
    ),
}  # fmt: skip


def agree(row: Subscription, now: datetime) -> subscribing.Change:
    """Terms of a quote, from today."""
    held = falling_due.current(row, now)
    spec = timelines.specs_of(held)[-1]
    today = timelines.local_day(held, now)
    phase = subscribing.with_end(held, [spec])[-1]
    agreed = subscribing.replace(
        phase, start_on=today, end_on=None, row=None, wishes=None, starts_at=None, free=False, paused=False
    )
    subscribing.follow_on(
        subscription=held,
        phases=[agreed],
        now=now,
        actor=ACTOR,
        source="quote_1",
        payment_rule_override="any",
    )
    return subscribing.answer(today, subscribing.invoicing.nothing())


def large() -> Plan:
    return Plan.objects.get(code="large")


ACTS: dict[str, Callable[[Subscription, datetime], Any]] = {
    "more seats": asking(subscribing.change, quantity=7),
    "fewer seats, as usual": asking(starting.change, quantity=1),
    "more seats at the period's end": asking(subscribing.change, quantity=7, effective="period_end"),
    "more seats ahead": asking(subscribing.change, quantity=7, effective=date(2024, 3, 20)),
    "more seats back": asking(subscribing.change, quantity=7, effective=date(2024, 1, 3)),
    "another plan": lambda row, now: asking(subscribing.change, plan=large())(row, now),
    "another plan at the contract's end": lambda row, now: asking(
        subscribing.change, plan=large(), effective="contract_end"
    )(row, now),
    "another plan, without proration": lambda row, now: asking(
        subscribing.change, plan=large(), proration="none"
    )(row, now),
    "years": asking(subscribing.change, interval="year"),
    "another billing day": asking(subscribing.change, anchor=12),
    "paid by invoice": asking(subscribing.change, collection_method="send_invoice", override="any"),
    "a change that waits is removed": lambda row, now: subscribing.remove_change(
        subscription=row, phase=waiting(row, now), now=now, actor=ACTOR
    ),
    "pause": asking(pausing.pause),
    "pause until": asking(pausing.pause, resume_at=date(2024, 3, 12)),
    "pause at the period's end": asking(pausing.pause, effective="period_end"),
    "pause ahead": asking(pausing.pause, effective=date(2024, 3, 18), resume_at=date(2024, 3, 25)),
    "resume": asking(pausing.resume),
    "resume and collect": asking(starting.resume),
    "cancel": asking(ending.cancel, effective="now"),
    "cancel and keep the money": asking(ending.cancel, effective="now", credit_unused=False),
    "cancel at the period's end": asking(ending.cancel),
    "cancel at the contract's end": asking(ending.cancel, effective="contract_end"),
    "cancel ahead": asking(ending.cancel, effective=date(2024, 3, 18)),
    "cancel back": asking(ending.cancel, effective=date(2024, 1, 10)),
    "go on after all": asking(ending.undo_cancel),
    "start again": asking(ending.restart),
    "end the trial": asking(trialing.change_end, trial_end="now"),
    "move the trial's end": asking(trialing.change_end, trial_end=date(2024, 3, 20)),
    "today's prices": asking(repricing.move),
    "all by invoice": lambda row, now: switching.switch(
        customer=row.customer, method="send_invoice", now=now, actor=ACTOR, override="any"
    ),
    "a quote": agree,
    "unpaid: canceled": lambda row, now: dunning._stop(row, "cancel", now=now, actor="system"),
    "unpaid: paused": lambda row, now: dunning._stop(row, "pause", now=now, actor="system"),
}


def waiting(row: Subscription, now: datetime) -> str:
    fresh = Subscription.objects.get(pk=row.pk)
    return next((s.row.pk for s in subscribing.pending_changes(fresh, now) if s.row), "phase_none")


PREVIEWS: dict[str, Callable[..., subscribing.Change]] = {
    "more seats": lambda row, now: subscribing.preview(subscription=row, now=now, quantity=7),
    "fewer seats, as usual": lambda row, now: starting.preview(subscription=row, now=now, quantity=1),
    "another plan": lambda row, now: subscribing.preview(subscription=row, now=now, plan=large()),
    "years": lambda row, now: subscribing.preview(subscription=row, now=now, interval="year"),
    "pause": lambda row, now: pausing.preview_pause(subscription=row, now=now),
    "resume": lambda row, now: pausing.preview_resume(subscription=row, now=now),
    "end the trial": lambda row, now: trialing.preview_end(subscription=row, trial_end="now", now=now),
    "today's prices": lambda row, now: repricing.preview(subscription=row, now=now),
}


@pytest.fixture
def live(make_clock, make_customer, subscribe, advance):
    """live(case) -> a subscription at the moment of the gap, to which no run has come."""
    for code, amount in (("small", "31.00"), ("large", "62.00")):
        plan = Plan.objects.create(code=code, name=code, motion="self_serve", published=True)
        common: dict[str, Any] = {"plan": plan, "currency": "USD", "model": "per_unit"}
        for interval, times in (("month", 1), ("year", 10)):
            Price.objects.create(
                **common, interval=interval, code=interval, unit_amount=Decimal(amount) * times
            )

    def make(case: Case, **customer: Any) -> Subscription:
        clock = make_clock(now=START)
        buyer = make_customer(clock, currency="USD", timezone="UTC", tax_exempt=True, **customer)
        row = subscribe(buyer, plan="small", quantity=3, payment_rule_override="any", **case.sold)
        advance(clock, hours=1)
        if case.before is not None:
            case.before(row, clock.now)
        subscribing.change(
            subscription=row, now=clock.now, actor=ACTOR, quantity=4, effective=WAITS_ON
        ) if row.end_on is None and case.before is None else None
        advance(clock, to=case.at - case.since)
        clock.now = case.at
        clock.save()
        return Subscription.objects.get(pk=row.pk)

    return make


def run(row: Subscription) -> None:
    clock = row.customer.test_clock
    renewing.notify(now=clock.now, clock=clock)
    running.run(now=clock.now, clock=clock)
    assert not BillingFailure.objects.exists()


def acted(act: Callable[..., Any], row: Subscription) -> Any:
    """What it answered: its figures, or the code of the refusal."""
    try:
        done = act(Subscription.objects.get(pk=row.pk), row.customer.test_clock.now)
    except Refused as refusal:
        return refusal.code
    if not isinstance(done, subscribing.Change):
        return None
    return (done.effective_on, [(line.description, line.net) for line in done.lines], done.total,
            done.due_now, done.credit_to_balance, done.credit_to_invoices)  # fmt: skip


OWN = re.compile(r"[a-z]+_[0-9a-f]{32}|T\d+-(?:CN-)?\d+|[Cc]ustomer ?\d+")


def said(found: Any) -> str:
    """Without what tells two lives apart in any case: ids, numbers, names."""
    return OWN.sub("…", str(found))


def told(row: Subscription) -> dict[str, Any]:
    """All that there is to be known of the customer, apart from ids."""
    fresh, customer = Subscription.objects.get(pk=row.pk), row.customer
    rows = {
        "subscriptions": customer.subscriptions.order_by("pk"),
        "phases": fresh.phases.order_by("start_on", "end_on", "pk"),
        "invoices": Invoice.objects.filter(customer=customer).order_by("pk"),
        "credit notes": CreditNote.objects.filter(customer=customer).order_by("pk"),
        "balance": BalanceEntry.objects.filter(customer=customer).order_by("pk"),
    }
    lines = [
        (line.kind, line.net, line.period_start, line.period_end)
        for invoice in rows["invoices"]
        for line in invoice.lines.order_by("pk")
    ]
    events = Event.objects.filter(customer=customer).order_by("number")
    return {
        **{name: [said(_fields(each)) for each in found] for name, found in rows.items()},
        "lines": lines,
        "events": [said((e.type, e.actor, e.at, e.data)) for e in events],
    }


NOT_COMPARED = {"id", "customer", "subscription", "test_clock", "series", "recorded_at", "created_at"}


def _fields(row: Any) -> dict[str, Any]:
    return {name: value for name, value in model_to_dict(row).items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("gap", GAPS)
def test_who_acts_before_the_run_finds_what_it_would_have_left(live, books, gap) -> None:
    after, before = live(GAPS[gap]), live(GAPS[gap])
    run(after)
    refused = [name for name, act in ACTS.items() if not _alike(act, after, before)]
    assert refused != [*ACTS]


@pytest.mark.parametrize("gap", ["a trial is over", "a period begins", "a pause ends"])
def test_a_preview_says_what_the_act_does_and_leaves_nothing_behind(live, books, gap) -> None:
    row = live(GAPS[gap])
    before = told(row)
    for name, preview in PREVIEWS.items():
        shown = acted(preview, row)
        assert told(row) == before
        with transaction.atomic():
            assert acted(ACTS[name], row) == shown
            transaction.set_rollback(True)


def test_what_shares_a_paper_shares_it_in_the_gap_too(live, subscribe, books) -> None:
    """The run's paper says both periods; whoever acts before it leaves the same."""
    found = []
    for first in (True, False):
        row = live(GAPS["a period begins"], consolidate_invoices=True)
        clock = row.customer.test_clock
        other = subscribe(row.customer, plan="large", quantity=1, now=START, payment_rule_override="any")
        if first:
            run(row)
        pausing.pause(subscription=row, now=clock.now, actor=ACTOR)
        run(row)
        found.append(told(row))
        assert other.invoices.count() == 1
        assert Invoice.objects.filter(customer=row.customer, subscription=None).count() == 1
    assert found[0] == found[1]


def test_one_that_was_set_aside_is_tried_again(live, books) -> None:
    row = live(GAPS["a trial is over"])
    BillingFailure.objects.create(subscription=row, reason="no such price", at=row.customer.now)
    subscribing.change(subscription=row, now=row.customer.now, actor=ACTOR, quantity=5)
    row.refresh_from_db()
    assert (row.status, BillingFailure.objects.count()) == ("active", 0)


@pytest.mark.parametrize(
    "act",
    [
        asking(subscribing.change, quantity=5),
        asking(ending.cancel, effective="now"),
        lambda row, now: subscribing.preview(subscription=row, now=now, quantity=5),
    ],
)
def test_what_cannot_be_billed_is_a_refusal_that_changes_nothing(live, monkeypatch, caplog, act) -> None:
    row = live(GAPS["a trial is over"])
    BillingFailure.objects.create(subscription=row, reason="no such price", at=row.customer.now)
    before, facts = model_to_dict(row), Event.objects.count()
    monkeypatch.setattr(falling_due.invoicing, "bill_many", lambda *_, **__: {}["no such price"])
    with pytest.raises(falling_due.NotBilled) as refused:
        act(row, row.customer.test_clock.now)
    assert refused.value.code == "subscription_not_billed"
    row.refresh_from_db()
    assert (model_to_dict(row), Event.objects.count()) == (before, facts)
    assert BillingFailure.objects.get().subscription == row
    assert row.pk in caplog.text


def _alike(act: Callable[..., Any], after: Subscription, before: Subscription) -> bool:
    """Whether the act was done, in both lives with the same end; then it is taken back."""
    with transaction.atomic():
        answers = [acted(act, row) for row in (after, before)]
        assert answers[1] == answers[0]
        if isinstance(answers[0], str):
            return False
        for row in (before, after):
            run(row)
        ones, others = told(before), told(after)
        for name in ones:
            for one, other in zip_longest(ones[name], others[name]):
                assert one == other, name
        transaction.set_rollback(True)
    return True

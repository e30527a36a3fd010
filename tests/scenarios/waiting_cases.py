"""What waits for its day: pauses that were asked for ahead, what happens before they begin, and what is left when they
are taken back.

A day of the 31.00 is 1.00; the amounts were worked out by hand from docs/billing-maths.md, sections 1 and 6.
"""

from typing import Any

from tests.scenarios.cases import (
    YEAR,
    Step,
    balance,
    cancel,
    change,
    clock,
    customer,
    off,
    plan,
    price,
    story,
    subscribe,
    to,
    totals,
)
from tests.scenarios.kindred_cases import period
from tests.scenarios.timeline_cases import card, happened, pause, refused, resume, sub

MONTHLY = plan(price("31.00"))
BIG = plan(price("62.00"), name="big")
# The pause of the 11th as a change that waits.
THE_PAUSE = {"start": "2024-01-11", "paused": True}


def pause_ahead(day: str, expect: Any = None, **body: Any) -> Step:
    """A pause that waits; `waits` is what was answered."""
    said = {"total": "0.00", "credit_to_balance": "0.00", "effective_at": day[:10], **(expect or {})}
    return {**pause(said, effective=day, **body), "as": "waits"}


def take_back(status: int = 204) -> Step:
    return {"call": "DELETE /subscriptions/${sub.id}/changes/${waits.change}", "status": status}


WAITING_PAUSES = [
    story(  # 21.00 back on the 11th, 11.00 again on the 21st
        "a pause from a later day", clock("2024-01-01"), MONTHLY, customer(), subscribe(), to("2024-01-05"),
        pause_ahead(
            "2024-01-11", {"next_invoice": {"date": "2024-01-11", "total": "-21.00"}}, resume_at="2024-01-21",
            reason="holidays",
        ),
        sub(status="active", mrr="31.00", pending_changes=[{**THE_PAUSE, "end": "2024-01-21"}]),
        happened("subscription.paused", 0), to("2024-01-11T00:00"), sub(status="paused", mrr="0.00", pending_changes=[]),
        balance(2100), to("2024-01-21T00:00"), sub(status="active", mrr="31.00"), totals(3100, 1100), balance(1000),
        happened("subscription.paused", 1), happened("subscription.resumed", 1),
        {"call": "GET /events?customer=${customer.id}&type=subscription.paused", "expect": {"results": [
            {"data": {"resume_on": "2024-01-21", "reason": "holidays"}}]}},
    ),
    story(  # nothing is given back, nor asked for; 22 of the 31 days of March
        "a pause from the end of the paid period", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        to("2024-01-05"), {**pause({"effective_at": "2024-02-01"}, effective="period_end")}, to("2024-02-02"),
        sub(status="paused"), totals(3100), to("2024-03-10"), totals(3100), resume(expect={"total": "22.00"}), balance(0),
    ),
    story(
        "a pause that waits is taken back", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        pause_ahead("2024-01-11", resume_at="2024-01-21"), take_back(), sub(pending_changes=[], phases={"$length": 1}),
        take_back(404), to("2024-02-02"), totals(3100, 3100), happened("subscription.paused", 0),
    ),
    story(
        "nor is one that has begun", clock("2024-01-01"), MONTHLY, customer(), subscribe(), pause_ahead("2024-01-11"),
        to("2024-01-11T01:00"), take_back(404), sub(status="paused"),
    ),
    story(  # 21 days of 31.00 more, then 11 days of 62.00 back
        "another plan before a pause that waits", clock("2024-01-01"), MONTHLY, BIG, customer(), subscribe(),
        pause_ahead("2024-01-21"), to("2024-01-11"), change(plan="big", expect={"total": "21.00"}),
        to("2024-01-21T00:00"), sub(status="paused"), totals(3100, 2100), balance(2200), to("2024-01-26"),
        resume(expect={"total": "12.00"}), balance(1000),
    ),
    story(  # 19 of 29 days of 58.00
        "another plan on the day of a pause that waits", clock("2024-01-01"), plan(price("29.00")),
        plan(price("58.00"), name="big"), customer(), subscribe(), change(plan="big", effective="2024-02-01"),
        pause_ahead("2024-02-01", resume_at="2024-02-11"), to("2024-02-01T01:00"), sub(status="paused"), totals(2900),
        to("2024-02-11T01:00"), sub(status="active"), totals(2900, 3800), balance(0),
    ),
    story(
        "a pause taken back from a day with another plan", clock("2024-01-01"), plan(price("29.00")),
        plan(price("58.00"), name="big"), customer(), subscribe(), change(plan="big", effective="2024-02-01"),
        pause_ahead("2024-02-01", resume_at="2024-02-11"), take_back(), sub(pending_changes=[{"start": "2024-02-01",
        "paused": False}]), to("2024-03-01T01:00"), totals(2900, 5800, 5800), happened("subscription.paused", 0),
    ),
    story(  # the plan of the 6th day of the pause: 11 days of 62.00
        "another plan in a pause that waits", clock("2024-01-01"), MONTHLY, BIG, customer(), subscribe(),
        pause_ahead("2024-01-11", resume_at="2024-01-21"), change(plan="big", effective="2024-01-16"),
        to("2024-01-16T01:00"), sub(status="paused"), to("2024-01-21T01:00"), totals(3100, 2200), balance(1000 - 1000),
    ),
    story(
        "a pause taken back from around another plan", clock("2024-01-01"), MONTHLY, BIG, customer(), subscribe(),
        pause_ahead("2024-01-11", resume_at="2024-01-21"), change(plan="big", effective="2024-01-16"), take_back(),
        to("2024-01-21T01:00"), sub(status="active"), totals(3100, 1600), balance(0),
    ),
    story(
        "a pause takes the place of one that waits", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        pause_ahead("2024-01-11", resume_at="2024-01-21"), pause_ahead("2024-01-26", resume_at="2024-01-31"),
        sub(pending_changes=[{"start": "2024-01-26", "end": "2024-01-31"}]), to("2024-01-31T01:00"), totals(3100, 100),
        balance(500), happened("subscription.paused", 1),
    ),
    story(
        "a pause now, while one waits", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        pause_ahead("2024-01-11", resume_at="2024-01-21"), to("2024-01-06"),
        pause({"credit_to_balance": "26.00"}, resume_at="2024-01-26"), sub(status="paused", pending_changes=[]),
        to("2024-01-22"), sub(status="paused"), to("2024-01-26T01:00"), sub(status="active"), totals(3100, 600),
        balance(2000),
    ),
    story(
        "the end comes before a pause that waits", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        pause_ahead("2024-01-21"), cancel(effective="2024-01-11"), to("2024-02-02"), sub(status="canceled"),
        totals(3100), balance(2100), happened("subscription.paused", 0),
    ),
    story(
        "a pause ahead is refused", clock("2024-01-01"), MONTHLY, customer(), subscribe(), to("2024-01-10"),
        refused(pause(effective="2024-01-09"), 422, "invalid_date"),
        refused(pause(effective="2024-01-21", resume_at="2024-01-21"), 422, "invalid_date"),
        refused(pause(effective="2024-01-21", resume_at="2026-02-01"), 422, "invalid_date"),
        refused(pause(effective="someday"), 400, "invalid_date"), cancel(effective="2024-01-31"),
        refused(pause(effective="2024-01-31"), 422, "invalid_date"), pause_ahead("2024-01-30"),
    ),
    story(
        "a pause from an hour", clock("2024-01-01"), MONTHLY, customer(), subscribe(),
        pause_ahead("2024-01-11T15:00:00Z", resume_at="2024-01-21"), to("2024-01-11T14:59"), sub(status="active"),
        balance(0), to("2024-01-11T15:00"), sub(status="paused"), balance(2100), to("2024-01-21T00:00"),
        sub(status="active"), totals(3100, 1100),
    ),
    story(
        "a pause ahead, in the customer's days", clock("2024-01-01T05:00"), MONTHLY,
        customer(timezone="America/New_York"), subscribe(), pause_ahead("2024-01-11"), to("2024-01-11T04:59"),
        sub(status="active"), to("2024-01-11T05:00"), sub(status="paused"), balance(2100),
    ),
    story(  # 306 of 366 days back, 245 again; the year stays
        "a pause ahead in a year", clock("2024-01-01"), plan(price("366.00", YEAR)), customer(),
        subscribe(interval=YEAR), pause_ahead("2024-03-01", resume_at="2024-05-01"), to("2024-03-01T01:00"),
        balance(30600), to("2024-05-02"), totals(36600, 24500), balance(6100), period("2024-01-01", "2025-01-01"),
    ),
    story(  # half of January; March in whole
        "a discount ends where a pause begins", clock("2024-01-01"), MONTHLY,
        off("half", percent_off=50, duration="once"), customer(), subscribe(discount="${half.id}"),
        pause_ahead("2024-02-01", resume_at="2024-03-01"), to("2024-03-01T01:00"), totals(1550, 3100), balance(0),
    ),
    story(  # the end of the discount stays
        "a pause taken back from the day a discount ends", clock("2024-01-01"), MONTHLY,
        off("half", percent_off=50, duration="once"), customer(), subscribe(discount="${half.id}"),
        pause_ahead("2024-02-01", resume_at="2024-03-01"), take_back(), to("2024-03-01T01:00"), totals(1550, 3100, 3100),
    ),
    story(  # the discount of two months ends on the day of the pause that waited before it was given
        "a discount given before a pause that waits", clock("2024-01-01"), MONTHLY,
        off("half", percent_off=50, duration="repeating", periods=1), customer(), subscribe(),
        pause_ahead("2024-02-01", resume_at="2024-03-01"), change(discount="${half.id}", expect={"total": "-15.50"}),
        take_back(), to("2024-02-01T01:00"), totals(3100, 3100), balance(0),
    ),
    story(
        "a pause ahead of who is late", clock("2024-01-01"), MONTHLY, customer(), card("pm_card_chargeCustomerFail"),
        subscribe(), pause_ahead("2024-01-11"), to("2024-01-05"), sub(status="past_due"), to("2024-01-11T01:00"),
        sub(status="paused"),
    ),
    story(  # one seat more in the pause is worked out with the end of it
        "seats changed on the day of a pause that waits", clock("2024-01-01"), plan(price("31.00", model="per_unit")),
        customer(), subscribe(quantity=1), pause_ahead("2024-01-11", resume_at="2024-01-21"),
        change(quantity=2, effective="2024-01-11"), to("2024-01-11T01:00"), sub(status="paused"), balance(2100),
        to("2024-01-21T01:00"), totals(3100, 2200),
    ),
    story(
        "a change that keeps the paid period, on the day of a pause that waits", clock("2024-01-01"),
        plan(price("31.00", model="per_unit")), customer(), subscribe(quantity=1), pause_ahead("2024-01-11"),
        change(quantity=2, effective="2024-01-11", proration="none"), to("2024-01-11T01:00"), sub(status="paused"),
        balance(2100), to("2024-02-01T01:00"), totals(3100),
    ),
    story(
        "no pause waits in a trial", clock("2024-01-01"), MONTHLY, customer(), subscribe(trial_days=14),
        refused(pause(effective="2024-02-01"), 409, "trial_not_paused"),
    ),
]  # fmt: skip

STORIES = WAITING_PAUSES

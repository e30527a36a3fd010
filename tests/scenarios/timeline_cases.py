"""What becomes of a subscription in time: anchors and zones, trials, changes now, ahead and told late, pauses, ends,
contracts, usage, cards that are refused, and papers that are shared.

The situations are those of the suites of getlago/lago-api, killbill/killbill, polarsource/polar, flexprice/flexprice,
meteroid-oss/meteroid and openmeterio/openmeter, and of the guides of Stripe and Chargebee, with rounder prices: 31.00
for a month of 31 days, so that a day is 1.00. What comes of each was worked out by hand from docs/billing-maths.md.
"""

from typing import Any

from tests.scenarios.cases import (
    ARREARS,
    BY_INVOICE,
    MONTH,
    YEAR,
    Step,
    balance,
    cancel,
    change,
    clock,
    customer,
    invoices,
    issued_on,
    lines,
    meter,
    money,
    off,
    plan,
    price,
    span,
    story,
    subscribe,
    tier,
    to,
    totals,
    upcoming,
    use,
)
from tests.scenarios.kindred_cases import paid, period
from tests.scenarios.more_cases import notes, void
from tests.scenarios.neighbour_cases import calls, fee, seats

TOGETHER = {"consolidate_invoices": True}


def sub(**expect: Any) -> Step:
    return {"call": "GET /subscriptions/${sub.id}", "expect": expect}


def act(what: str, expect: Any = None, **body: Any) -> Step:
    step = {"call": f"POST /subscriptions/${{sub.id}}/{what}", "body": body}
    return step if expect is None else {**step, "expect": expect}


def pause(expect: Any = None, **body: Any) -> Step:
    return act("pause", expect, **body)


def resume(expect: Any = None) -> Step:
    return act("resume", expect)


def undo() -> Step:
    return act("undo_cancel")


def unsaid(expect: Any, **fields: Any) -> Step:
    """A change that does not say when."""
    step = change(expect, **fields)
    return {**step, "body": {name: value for name, value in step["body"].items() if name != "effective"}}


def then(day: str, cents: int, **more: Any) -> dict[str, Any]:
    """Nothing now, and so much on the next paper."""
    return {"total": "0.00", "next_invoice": {"date": day, "total": money(cents)}, **more}


def amounts(*cents: int) -> dict[str, Any]:
    return {"lines": [{"amount": money(one)} for one in cents]}


def refused(step: Step, status: int, code: str | None = None) -> Step:
    return {**step, "status": status, "expect": {"code": code} if code else {}}


def happened(kind: str, times: int) -> Step:
    call = f"GET /events?customer=${{customer.id}}&type={kind}&limit=100"
    return {"call": call, "expect": {"results": {"$length": times}}}


def card(name: str = "pm_card_visa") -> Step:
    return {"call": "POST /customers/${customer.id}/payment_methods", "body": {"payment_method": name}}


def taken_back(key: int) -> Step:
    return {"call": f"POST /usage_events/${{run}}-{key}/void", "status": 204}


def replaced(quantity: int) -> Step:
    """The first event, by another."""
    step = use(quantity, key="9")
    return {**step, "body": {**step["body"], "replaces": "${run}-1"}}


def every(*days: str, start: str, interval: str, zone: str = "UTC") -> Any:
    """A paper on the day of the start and on each of these."""
    return story(
        f"every {interval} from {start}, {zone}", clock(start), plan(price("10.00", interval)),
        customer(timezone=zone), subscribe(interval=interval), to(days[-1]), issued_on(start, *days),
    )  # fmt: skip


TIME = [
    every(
        "2024-02-29", "2024-05-29", "2024-08-29", "2024-11-29", "2025-02-28", "2025-05-29", start="2023-11-29",
        interval="quarter",
    ),
    every("2023-12-30", "2024-06-30", start="2023-06-30", interval="half_year"),
    every("2023-12-30", "2024-03-30", "2024-06-30", start="2023-09-30", interval="quarter"),
    every(
        "2024-03-11T04:00:00Z", "2024-03-18T04:00:00Z", start="2024-03-04T05:00:00Z", interval="week",
        zone="America/New_York",
    ),
    every("2024-10-28T00:00:00Z", start="2024-10-20T23:00:00Z", interval="week", zone="Europe/London"),
    every(
        "2024-02-28T18:30:00Z", "2024-03-30T18:30:00Z", start="2024-01-30T19:00:00Z", interval="month",
        zone="Asia/Kolkata",
    ),
    story(
        "last local hour of the month", clock("2024-02-01T04:30"), plan(price("31.00")),
        customer(timezone="America/New_York"), subscribe(anchor="calendar"), totals(100), to("2024-02-01T05:00"),
        issued_on("2024-02-01T04:30:00Z", "2024-02-01T05:00:00Z"),
    ),
    story(
        "first local hour of the month", clock("2024-01-31T10:30"), plan(price("31.00")),
        customer(timezone="Pacific/Kiritimati"), subscribe(anchor="calendar"), totals(3100),
        period("2024-02-01", "2024-03-01"), to("2024-02-29T10:00"), totals(3100, 3100),
    ),
    story(
        "year calendar leap", clock("2024-03-01"), plan(price("366.00", YEAR)), customer(),
        subscribe(interval=YEAR, anchor="calendar"), totals(30600),
    ),
    story(
        "year with a billing day", clock("2024-01-20"), plan(price("365.00", YEAR)), customer(),
        subscribe(interval=YEAR, anchor=15), totals(2600), to("2024-02-15T01:00"), totals(2600, 36500),
    ),
    story(
        "week from Sunday", clock("2024-03-06"), plan(price("7.00", "week")), customer(),
        subscribe(interval="week", anchor=7), totals(400), to("2024-03-10T01:00"), totals(400, 700),
    ),
    story(
        "customer moves to another zone", clock("2024-01-15T12:00"), plan(price("31.00")), customer(), subscribe(),
        {"call": "PATCH /customers/${customer.id}", "body": {"timezone": "America/Los_Angeles"}}, to("2024-02-16"),
        totals(3100, 3100), period("2024-02-15", "2024-03-15"),
    ),
    story(
        "canceled in the stub", clock("2024-01-16"), plan(price("31.00")), customer(), subscribe(anchor=1),
        totals(1600), to("2024-01-20T10:00"), cancel(), notes(1100),
    ),
    story(
        "anchor 31 start 28 feb leap", clock("2024-02-28"), plan(price("29.00")), customer(), subscribe(anchor=31),
        totals(100), to("2024-02-29T01:00"), totals(100, 2900),
    ),
    story(
        "anchor 30 start 28 feb", clock("2023-02-28"), plan(price("31.00")), customer(), subscribe(anchor=30),
        to("2023-04-30"), issued_on("2023-02-28", "2023-03-30", "2023-04-30"),
    ),
]  # fmt: skip


def trial_end(when: str, expect: Any = None) -> Step:
    return act("changes", expect, trial_end=when)


TRIALS = [
    story(  # Stripe, Recurly: a longer trial
        "two more weeks", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-10"), act("changes/preview", then("2024-01-29", 3100), trial_end="2024-01-29"),
        trial_end("2024-01-29", then("2024-01-29", 3100, effective_at="2024-01-29")),
        sub(status="trialing", trial_end="2024-01-29T00:00:00Z"), to("2024-01-28T12:00"), invoices(),
        to("2024-01-30"), sub(status="active"), totals(3100), *lines(span("2024-01-29", "2024-02-29")),
    ),
    story(  # Stripe, Polar, Chargebee: a trial that ends now
        "ends now", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-05"), act("changes/preview", {"total": "31.00", "due_now": "31.00"}, trial_end="now"),
        trial_end("now", {"total": "31.00", "next_invoice": {"date": "2024-02-05", "total": "31.00"}}),
        sub(status="active", trial_end="2024-01-05T00:00:00Z"), to("2024-02-06"), totals(3100, 3100),
    ),
    story(
        "ends now without a card", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-05"), trial_end("now"), to("2024-01-06"), invoices({"status": "open", "amount_due": "31.00"}),
        sub(needs_card={"reason": "no_card"}),
    ),
    story(
        "shorter by the calendar, half off once", clock("2024-01-01"), plan(price("31.00")),
        off("half", percent_off=50, duration="once"), customer(),
        subscribe(trial_days=40, anchor="calendar", discount="${half.id}"), to("2024-01-05"), trial_end("2024-01-12"),
        to("2024-02-02"), totals(1000, 3100),
    ),
    story(
        "a longer trial and what it includes", clock("2024-01-01"), meter(),
        plan(price("31.00"), price("1.00", meter="${api.code}", included_in_trial=2)), customer(),
        subscribe(trial_days=14), to("2024-01-05"), use(5), trial_end("2024-01-20"), to("2024-01-18"), use(4, key="2"),
        to("2024-01-21"), totals(3800),
    ),
    story(
        "nothing to move", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        refused(trial_end("now"), 409, "subscription_not_trialing"),
    ),
    story(
        "not in the past", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-05"),
        refused(trial_end("2024-01-04"), 422, "invalid_trial"),
    ),
    story(
        "nothing beside it", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        refused(act("changes", trial_end="now", quantity=2), 400, "ambiguous"),
    ),
    story(
        "canceled with the trial", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-05"), cancel(effective="period_end", expect={"cancel_at": "2024-01-15", "status": "trialing"}),
        to("2024-01-16"), sub(status="canceled"), invoices(),
    ),
    story(
        "canceled and undone", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-05"), cancel(effective="period_end"), to("2024-01-07"), undo(), to("2024-01-16"),
        sub(status="active", cancel_at=None), totals(3100),
    ),
    story(
        "another plan with the trial's end", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(trial_days=14), to("2024-01-05"),
        change(plan="big", effective="period_end", expect=then("2024-01-15", 6200, effective_at="2024-01-15")),
        sub(status="trialing"), to("2024-01-16"), totals(6200),
    ),
    story(
        "seats in a trial", clock("2024-01-01"), plan(seats("10.00")), customer(),
        subscribe(quantity=5, trial_days=14), to("2024-01-05"),
        change(quantity=8, expect=then("2024-01-15", 8000)),
        to("2024-01-08"),
        change(quantity=3, expect=then("2024-01-15", 3000)),
        to("2024-01-16"), totals(3000),
    ),
    story(
        "interval in a trial", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)), customer(),
        subscribe(trial_days=14), to("2024-01-05"),
        change(interval=YEAR, expect=then("2024-01-15", 36600)),
        to("2024-01-16"), totals(36600), period("2024-01-15", "2025-01-15"),
    ),
    story(
        "interval with the trial's end", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)),
        customer(), subscribe(trial_days=14), to("2024-01-05"),
        change(interval=YEAR, effective="period_end", expect=then("2024-01-15", 36600)),
        to("2024-01-16"), totals(36600), period("2024-01-15", "2025-01-15"),
    ),
    story(
        "start ahead", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(start_at="2024-02-01", trial_days=14), sub(status="incomplete"), to("2024-02-02"),
        sub(status="trialing"), invoices(), to("2024-02-16"), totals(3100), period("2024-02-15", "2024-03-15"),
    ),
    story(
        "start behind, trial over", clock("2024-02-20"), plan(price("31.00")), customer(),
        subscribe(start_at="2024-01-01", trial_days=14), sub(status="active"), totals(6200),
        lines(span("2024-01-15", "2024-02-15"), span("2024-02-15", "2024-03-15")),
    ),
    story(
        "ends before it starts", clock("2024-01-01"), plan(price("31.00")), customer(),
        refused(subscribe(trial_end="2023-12-31"), 422, "invalid_trial"),
    ),
    story(
        "yearly with monthly usage", clock("2024-01-01"), meter(), plan(price("366.00", YEAR), calls()), customer(),
        subscribe(interval=YEAR, trial_days=14), use(5), to("2024-01-20"), use(7, key="2"), to("2024-02-15T01:00"),
        totals(36600, 700),
    ),
    story(
        "a setup fee", clock("2024-01-01"),
        plan(price("31.00"), {"kind": "one_time", "model": "flat", "amount": "100.00", "code": "setup"}), customer(),
        subscribe(trial_days=14), to("2024-01-16"), totals(13100),
    ),
    story(
        "minutes before midnight, west", clock("2024-03-01T07:00"), plan(price("31.00")),
        customer(timezone="America/Los_Angeles"), subscribe(trial_days=10), to("2024-03-10T07:00"), invoices(),
        to("2024-03-11T08:00"), totals(3100),
    ),
    story(
        "across the end of summer time", clock("2024-10-20T22:30"), plan(price("31.00")),
        customer(timezone="Europe/Berlin"), subscribe(trial_days=14), to("2024-11-03T22:00"), invoices(),
        to("2024-11-03T23:00"), totals(3100),
    ),
    story(
        "mails and events", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        to("2024-01-16"), happened("subscription.trial_ending", 3), happened("subscription.trial_ended", 1),
    ),
    story(
        "a trial shorter than its notices", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(trial_days=2), to("2024-01-06"), happened("subscription.trial_ending", 2),
    ),
    story(
        "pause is refused", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(trial_days=14),
        refused(pause(), 409),
    ),
    story(
        "back-dated change into a trial", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(trial_days=10), to("2024-01-20"), totals(3100),
        change(plan="big", effective="2024-01-05", expect={"total": "31.00"}), to("2024-02-11T01:00"),
        totals(3100, 3100, 6200),
    ),
]  # fmt: skip

CHANGES = [
    story(
        "nothing changes", clock("2024-01-01"), plan(seats("10.00")), customer(), subscribe(quantity=5),
        to("2024-01-10"), change(quantity=5, expect={"total": "0.00", "lines": []}), to("2024-02-02"),
        totals(5000, 5000),
    ),
    story(
        "more and back on one day", clock("2024-01-01"), plan(seats("10.00")), customer(), subscribe(quantity=5),
        to("2024-01-10"), change(quantity=9), change(quantity=5), to("2024-02-02"), balance(0),
    ),
    story(
        "defaults", clock("2024-01-01"), plan(price("31.00"), rank=1), plan(price("62.00"), name="big", rank=2),
        customer(), subscribe(), to("2024-01-16"),
        unsaid(plan="big", expect={"total": "16.00", "effective_at": "2024-01-16"}),
        unsaid(plan="plan", expect={"total": "0.00", "effective_at": "2024-02-01"}),
        to("2024-02-02"), totals(3100, 1600, 3100),
    ),
    story(
        "seats defaults", clock("2024-01-01"), plan(seats("31.00")), customer(), subscribe(quantity=2),
        to("2024-01-16"),
        unsaid(quantity=3, expect={"total": "16.00", "effective_at": "2024-01-16"}),
        unsaid(quantity=1, expect={"total": "0.00", "effective_at": "2024-02-01"}),
        to("2024-02-02"), totals(6200, 1600, 3100),
    ),
    story(
        "interval defaults", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)), customer(),
        subscribe(), to("2024-01-16"),
        unsaid(interval=YEAR, expect={"total": "350.00"}),
        unsaid(interval=MONTH, expect={"total": "0.00", "effective_at": "2025-01-16"}),
        to("2025-01-17"), totals(3100, 35000, 3100), period("2025-01-16", "2025-02-16"),
    ),
    story(
        "several back-dated, one between", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), to("2024-01-25"),
        change(quantity=4, effective="2024-01-21", expect={"total": "33.00"}),
        change(quantity=2, effective="2024-01-11", expect={"total": "10.00"}), to("2024-02-02"),
        totals(3100, 3300, 1000, 12400),
    ),
    story(
        "a back-dated plan between keeps later seats", clock("2024-01-01"), plan(seats("31.00")),
        plan(seats("62.00"), name="big"), customer(), subscribe(quantity=1), to("2024-01-21"),
        change(quantity=2, expect={"total": "11.00"}), to("2024-01-25"),
        change(plan="big", effective="2024-01-11", expect={"total": "32.00"}), to("2024-02-02"),
        totals(3100, 1100, 3200, 12400),
    ),
    story(
        "middle one of three removed", clock("2024-01-01"), plan(seats("10.00")), customer(), subscribe(quantity=1),
        change(quantity=2, effective="2024-02-01"), change(quantity=3, effective="2024-03-01"),
        {**change(quantity=4, effective="2024-04-01"), "as": "third"},
        {"call": "DELETE /subscriptions/${sub.id}/changes/${change.change}", "status": 204}, to("2024-04-02"),
        totals(1000, 2000, 2000, 4000),
    ),
    story(
        "cancel keeps what waits, undo", clock("2024-01-01"), plan(seats("10.00")), customer(),
        subscribe(quantity=1), change(quantity=2, effective="2024-03-01"), to("2024-01-10"),
        cancel(effective="period_end"), to("2024-01-15"), undo(), to("2024-03-02"), totals(1000, 1000, 2000),
    ),
    story(
        "upgrade with a known end", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(), subscribe(), cancel(effective="2024-01-21"), to("2024-01-11"),
        change(plan="big", expect={"total": "-1.00"}), to("2024-02-05"), balance(100), sub(status="canceled"),
    ),
    story(
        "upgrade after the end was fixed for the period's end", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(), cancel(effective="period_end"), to("2024-01-11"),
        change(plan="big", expect={"total": "21.00"}), to("2024-02-05"), totals(3100, 2100), balance(0),
        sub(status="canceled"),
    ),
    story(
        "month to year with seats and plan", clock("2024-01-01"),
        plan(seats("31.00"), price("310.00", YEAR, model="per_unit")),
        plan(seats("62.00"), price("620.00", YEAR, model="per_unit"), name="big"), customer(), subscribe(quantity=2),
        to("2024-01-16"), change(plan="big", interval=YEAR, quantity=3, expect=amounts(-3200, 186000)),
        period("2024-01-16", "2025-01-16"),
    ),
    story(
        "year to quarter at the end", clock("2024-01-31"), plan(price("366.00", YEAR), price("91.00", "quarter")),
        customer(), subscribe(interval=YEAR), change(interval="quarter", effective="period_end"), to("2025-05-01"),
        totals(36600, 9100, 9100), lines(span("2025-04-30", "2025-07-31")),
    ),
    story(
        "month to year keeps the calendar", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)),
        customer(), subscribe(anchor="calendar"), to("2024-02-15"),
        change(interval=YEAR, anchor="calendar", expect={"total": "304.97"}), period("2024-02-15", "2025-01-01"),
    ),
    story(
        "from free to paid on day 31", clock("2024-01-31"), plan(price("0.00"), name="free"), plan(price("29.00")),
        customer(), subscribe("free"), to("2024-02-15"), change(plan="plan", expect={"total": "14.00"}),
        to("2024-03-01"), totals(1400, 2900), period("2024-02-29", "2024-03-31"),
    ),
    story(
        "there and back over two days", clock("2024-04-01"), plan(price("30.00")), plan(price("60.00"), name="big"),
        customer(), subscribe(), to("2024-04-11"), change(plan="big", expect=amounts(-2000, 4000)),
        to("2024-04-13"), change(plan="plan", expect=amounts(-3600, 1800)), balance(1800), to("2024-05-02"),
        totals(3000, 2000, 3000), balance(0),
    ),
    story(
        "proration none with seats", clock("2024-01-01"), plan(seats("10.00")), customer(), subscribe(quantity=1),
        to("2024-01-10"),
        change(quantity=5, proration="none", expect=then("2024-02-01", 5000)),
        to("2024-02-02"), totals(1000, 5000),
    ),
    story(
        "proration none, then more with", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), to("2024-01-10"), change(quantity=2, proration="none"), to("2024-01-21"),
        change(quantity=3, expect={"total": "22.00"}), to("2024-02-02"), totals(3100, 2200, 9300),
    ),
    story(
        "proration none on interval", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)), customer(),
        subscribe(), to("2024-01-16"), change(interval=YEAR, proration="none", expect={"total": "0.00"}),
        to("2024-02-02"), totals(3100, 36600),
    ),
    story(
        "arrears upgrade twice", clock("2024-01-01"), plan(seats("31.00", **ARREARS)), customer(),
        subscribe(quantity=1), to("2024-01-11"), change(quantity=2), to("2024-01-21"), change(quantity=3),
        to("2024-02-01T01:00"), totals(1000 + 2000 + 3300),
    ),
    story(
        "quarterly upgrade", clock("2024-01-15"), plan(price("91.00", "quarter")),
        plan(price("182.00", "quarter"), name="big"), customer(), subscribe(interval="quarter"), to("2024-02-15"),
        change(plan="big", expect={"total": "60.00"}), to("2024-04-16"), totals(9100, 6000, 18200),
    ),
    story(
        "back-dated over a renewal", clock("2024-01-01"), plan(seats("31.00")), customer(), subscribe(quantity=1),
        to("2024-02-15"), change(quantity=2, effective="2024-01-21", expect={"total": "42.00"}),
        totals(3100, 3100, 4200),
    ),
    story(
        "back-dated down over a renewal", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=2), to("2024-02-15"),
        change(quantity=1, effective="2024-01-21", expect={"credit_to_balance": "42.00"}), balance(4200),
    ),
    story(
        "a new price leaves who has it", clock("2024-01-01"), plan(fee("31.00")), customer(), subscribe(),
        {"call": "POST /plans/${plan.id}/prices", "body": fee("62.00", currency="USD")}, to("2024-02-02"),
        totals(3100, 3100), subscribe(), totals(3100, 3100, 6200),
    ),
    story(
        "a new price and more seats keep the old", clock("2024-01-01"), plan(seats("10.00")), customer(),
        subscribe(quantity=1), {"call": "POST /plans/${plan.id}/prices", "body": seats("20.00", currency="USD")},
        change(quantity=3, expect={"total": "20.00"}),
    ),
]  # fmt: skip

SEVERAL = [
    story(
        "two changes on a day, then one told late", clock("2024-01-01"), plan(seats("31.00")),
        plan(seats("62.00"), name="big"), customer(), subscribe(quantity=1), to("2024-01-11"), change(plan="big"),
        change(quantity=2, expect={"total": "42.00"}), to("2024-01-20"),
        change(quantity=3, effective="2024-01-06", expect={"total": "10.00"}), to("2024-02-02"),
        totals(3100, 2100, 4200, 1000, 12400),
    ),
    story(
        "seats then terms on a day, then a late plan", clock("2024-01-01"), plan(seats("31.00")),
        plan(seats("62.00"), name="big"), customer(), subscribe(quantity=1), to("2024-01-11"), change(quantity=2),
        change(net_days=15), to("2024-01-20"), change(plan="big", effective="2024-01-06"), to("2024-02-02"),
        upcoming(12400),
    ),
    story(
        "a change of the first day, told late", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(), to("2024-01-20"),
        change(plan="big", effective="2024-01-01", expect=amounts(-3100, 6200)), to("2024-02-02"),
        totals(3100, 3100, 6200),
    ),
    story(
        "of what is canceled", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(), subscribe(), to("2024-01-20"), cancel(),
        refused(change(plan="big"), 409, "subscription_not_live"), refused(cancel(), 409, "subscription_not_live"),
        refused(undo(), 409, "nothing_to_undo"),
    ),
    story(
        "a plan, scheduled, meets seats before and after", clock("2024-01-01"), plan(seats("10.00")),
        plan(seats("20.00"), name="big"), customer(), subscribe(quantity=2),
        change(quantity=5, effective="2024-02-01"), change(plan="big", effective="2024-03-01"), to("2024-01-15"),
        change(quantity=3, effective="period_end"), to("2024-03-02"), totals(2000, 3000, 6000),
    ),
    story(
        "seats scheduled, then fewer now", clock("2024-04-01"), plan(seats("30.00")), customer(),
        subscribe(quantity=3), change(quantity=6, effective="period_end"), to("2024-04-16"),
        change(quantity=2, expect={"credit_to_balance": "15.00"}), to("2024-05-02"), totals(9000, 18000), balance(0),
    ),
    story(
        "a one-time fee is not asked for twice", clock("2024-01-01"),
        plan(price("31.00"), {"kind": "one_time", "model": "flat", "amount": "100.00", "code": "setup"}),
        plan(price("62.00"), name="big"), customer(), subscribe(), to("2024-01-16"), change(plan="big"),
        to("2024-02-16"), change(plan="plan", effective="now"), to("2024-03-02"),
        invoices({"total": "131.00"}, {"total": "16.00"}, {"total": "62.00"}, {"total": "31.00"}),
    ),
    story(
        "quantity by decimals", clock("2024-01-01"), plan(seats("10.00")), customer(),
        refused(subscribe(quantity="1.5"), 422, "invalid_quantity"),
        refused(subscribe(quantity=0), 422, "invalid_quantity"),
    ),
]  # fmt: skip

PAUSES = [
    story(
        "on the first day of a period", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-02-01T01:00"), pause(expect={"credit_to_balance": "31.00"}), sub(status="paused", mrr="0.00"),
        to("2024-03-10"), totals(3100, 3100), resume(expect={"total": "22.00"}), balance(900),
        sub(status="active", mrr="31.00"),
    ),
    story(
        "on the day it started", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        pause(expect={"credit_to_balance": "31.00"}), to("2024-01-11"), resume(expect={"total": "21.00"}),
        balance(1000),
    ),
    story(
        "twice in a period", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), to("2024-01-06"),
        pause(), to("2024-01-11"), resume(), to("2024-01-21"), pause(), to("2024-01-26"), resume(), balance(1000),
        to("2024-02-02"), totals(3100, 2100, 600, 3100),
    ),
    story(
        "resumed on the billing day", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(resume_at="2024-02-01"), to("2024-02-01T01:00"), sub(status="active"),
        totals(3100, 3100), balance(0),
    ),
    story(
        "resumed before its day", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(resume_at="2024-03-01"), to("2024-01-21"), resume(expect={"total": "11.00"}),
        to("2024-03-02"), totals(3100, 1100, 3100, 2900 + 200), sub(status="active"),
    ),
    story(
        "canceled in it", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), to("2024-01-11"),
        pause(), to("2024-01-21"), cancel(), sub(status="canceled"), balance(2100), to("2024-03-01"), totals(3100),
    ),
    story(
        "canceled in it with the period", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(), to("2024-01-21"), cancel(effective="period_end"),
        sub(cancel_at="2024-02-01", status="paused"), to("2024-02-02"), sub(status="canceled"), totals(3100),
        balance(2100),
    ),
    story(
        "canceled, resumed before the end", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(), to("2024-01-12"), cancel(effective="period_end"), to("2024-01-21"),
        resume(expect={"total": "11.00"}), to("2024-02-02"), sub(status="canceled"), balance(1000),
    ),
    story(
        "no other plan in it", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(), subscribe(), to("2024-01-11"), pause(), to("2024-01-15"),
        refused(change(plan="big"), 409, "subscription_not_live"), to("2024-01-21"),
        resume(expect={"total": "11.00"}), to("2024-02-02"), totals(3100, 1100, 3100), balance(0),
    ),
    story(
        "what waits keeps its day", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(), subscribe(), change(plan="big", effective="2024-02-01"), to("2024-01-11"), pause(),
        to("2024-02-11"), resume(expect={"total": "40.62"}),
    ),
    story(
        "arrears and usage", clock("2024-01-01"), meter(), plan(price("31.00", code="fee", **ARREARS), calls()),
        customer(), subscribe(), use(5), to("2024-01-11"), pause(), to("2024-01-15"), use(7, key="2"),
        to("2024-01-21"), resume(), use(11, key="3"), to("2024-02-01T01:00"), totals(1000 + 500 + 1100 + 1100),
    ),
    story(
        "yearly", clock("2024-01-01"), plan(price("366.00", YEAR)), customer(), subscribe(interval=YEAR),
        to("2024-03-01"), pause(resume_at="2024-05-01", expect={"credit_to_balance": "306.00"}), to("2024-05-02"),
        totals(36600, 24500), balance(6100), period("2024-01-01", "2025-01-01"),
    ),
    story(
        "refused twice", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), pause(),
        refused(pause(), 409), resume(), refused(resume(), 409, "subscription_not_paused"),
        refused(pause(resume_at="2023-12-01"), 422, "invalid_date"),
    ),
    story(
        "events", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), to("2024-01-11"),
        pause(resume_at="2024-01-15"), to("2024-01-16"), happened("subscription.paused", 1),
        happened("subscription.resumed", 1),
    ),
    story(
        "told late over a pause", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(), subscribe(), to("2024-01-11"), pause(), to("2024-01-21"), resume(), to("2024-01-25"),
        change(plan="big", effective="2024-01-06", expect={"total": "16.00"}), to("2024-02-02"), upcoming(6200),
    ),
    story(
        "units not prorated", clock("2024-01-01"), plan(price("31.00", prorate=False)), customer(), subscribe(),
        to("2024-01-11"), pause(expect={"credit_to_balance": "0.00"}), to("2024-01-21"),
        resume(expect={"total": "0.00"}), to("2024-02-02"), totals(3100, 3100),
    ),
    story(
        "the discount of a month in it", clock("2024-01-01"), plan(price("31.00")),
        off("half", percent_off=50, duration="once"), customer(), subscribe(discount="${half.id}"), to("2024-01-11"),
        pause(expect={"credit_to_balance": "10.50"}), to("2024-01-21"), resume(expect={"total": "5.50"}),
    ),
]  # fmt: skip

CANCELS = [
    story(
        "a date back", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), to("2024-01-20"),
        cancel(effective="2024-01-11"), sub(status="canceled"), notes(2100),
    ),
    story(
        "a date back over a renewal", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-02-10"), cancel(effective="2024-01-21"), balance(3100 + 1100), sub(status="canceled"),
    ),
    story(
        "second wish wins", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        cancel(effective="2024-03-01"), cancel(effective="period_end", expect={"cancel_at": "2024-02-01"}),
        to("2024-02-02"), sub(status="canceled"), totals(3100),
    ),
    story(
        "pending, then at once", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        cancel(effective="period_end"), to("2024-01-10"), cancel(), sub(status="canceled"), balance(2100),
    ),
    story(
        "unpaid by invoice: lowers what is due", clock("2024-01-01"), plan(price("3100.00")), customer(),
        subscribe(**BY_INVOICE, payment_rule_override="x"), to("2024-01-10"), cancel(), balance(0),
        invoices({"total": "3100.00", "amount_due": "1000.00", "status": "open"}),
    ),
    story(
        "undo after a renewal with a known end", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        cancel(effective="2024-02-11"), to("2024-02-05"), totals(3100, 1069), undo(), totals(3100, 1069, 2031),
        to("2024-03-02"), totals(3100, 1069, 2031, 3100),
    ),
    story(
        "a contract of six months ends", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 3, "auto_renew": False}), to("2024-05-01"), sub(status="canceled"),
        totals(3100, 3100, 3100),
    ),
    story(
        "a contract goes on", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 3}), to("2024-04-02"),
        sub(status="active", contract={"start": "2024-04-01", "end": "2024-07-01"}),
    ),
    story(
        "a contract goes on by the month", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 3, "renewal_months": 1}), to("2024-05-02"),
        sub(contract={"start": "2024-05-01", "end": "2024-06-01"}),
    ),
    story(
        "with the contract", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 3}), to("2024-01-15"),
        cancel(effective="contract_end", expect={"cancel_at": "2024-04-01"}), to("2024-04-02"),
        sub(status="canceled"), totals(3100, 3100, 3100),
    ),
    story(
        "another plan with the contract", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(contract={"months": 2}),
        change(plan="big", effective="contract_end", expect={"effective_at": "2024-03-01"}), to("2024-03-02"),
        totals(3100, 3100, 6200),
    ),
    story(
        "a contract over the calendar", clock("2024-01-16"), plan(price("31.00")), customer(),
        subscribe(anchor="calendar", contract={"months": 2, "auto_renew": False}), to("2024-04-01"),
        totals(1600, 3100, 1500), sub(status="canceled"),
    ),
    story(
        "a contract of a year from a leap day", clock("2024-02-29"), plan(price("366.00", YEAR)), customer(),
        subscribe(interval=YEAR, contract={"months": 12}), to("2025-03-01"), sub(contract={"start": "2025-02-28"}),
    ),
    story(
        "bought again", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(), to("2024-01-10"),
        cancel(), to("2024-01-20"), subscribe(), balance(0),
        invoices({"amount_due": "31.00"}, {"total": "31.00", "amount_due": "10.00"}),
    ),
    story(
        "bought again on the day", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-10"), cancel(), subscribe(start_at="2024-01-11"), to("2024-01-11T01:00"), totals(3100, 3100),
        period("2024-01-11", "2024-02-11"),
    ),
    story(
        "yearly in the third month", clock("2024-01-01"), plan(price("366.00", YEAR)), customer(),
        subscribe(interval=YEAR), to("2024-03-15T10:00"), cancel(), notes(29100),
    ),
    story(
        "what waits is gone with the end", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(), change(plan="big", effective="2024-03-01"),
        cancel(effective="period_end"), to("2024-03-02"), totals(3100), sub(pending_changes=[]),
    ),
]  # fmt: skip

USAGE = [
    story(
        "count and late within grace", clock("2024-01-01"), meter("count"), plan(calls()), customer(), subscribe(),
        to("2024-01-31"), use(1), to("2024-02-02"), totals(100), use(1, "2024-01-31T20:00", key="2"),
        to("2024-03-02"), totals(100, 100),
    ),
    story(
        "last survives a void", clock("2024-01-01"), meter("last"), plan(calls()), customer(), subscribe(),
        to("2024-01-05"), use(5, "2024-01-03", key="1"), use(9, "2024-01-04", key="2"),
        taken_back(2), to("2024-02-02"), totals(500),
    ),
    story(
        "void after the bill", clock("2024-01-01"), meter(), plan(calls()), customer(), subscribe(),
        to("2024-01-05"), use(5), use(7, key="2"), to("2024-02-02"), totals(1200),
        taken_back(2), to("2024-03-02"), notes(700),
    ),
    story(
        "last by time, not arrival", clock("2024-01-01"), meter("last"), plan(calls()), customer(), subscribe(),
        to("2024-01-10"), use(9, "2024-01-08", key="1"), use(5, "2024-01-03", key="2"), to("2024-02-02"),
        totals(900),
    ),
    story(
        "before the start", clock("2024-01-10"), meter(), plan(calls()), customer(), use(7, "2024-01-09"),
        subscribe(), use(5, key="2"), to("2024-02-11"), totals(500),
    ),
    story(
        "on the day it started, earlier", clock("2024-01-10T12:00"), meter(), plan(calls()), customer(),
        use(7, "2024-01-10T08:00"), subscribe(), use(5, key="2"), to("2024-02-11"), totals(1200),
    ),
    story(
        "a year with usage by the month, canceled", clock("2024-01-15"), meter(),
        plan(price("366.00", YEAR), calls()), customer(), subscribe(interval=YEAR), to("2024-02-20"), use(5),
        cancel(), to("2024-02-21T01:00"), invoices({"total": "366.00"}, {"total": "5.00"}), notes(32900),
    ),
    story(
        "monthly on yearly, upgraded in the month", clock("2024-01-15"), meter(),
        plan(price("366.00", YEAR), calls()), plan(price("732.00", YEAR), calls("2.00"), name="big"), customer(),
        subscribe(interval=YEAR), to("2024-01-20"), use(5), to("2024-01-25"), change(plan="big"), use(7, key="2"),
        to("2024-02-15T01:00"), lines({"amount": "5.00"}, {"amount": "14.00"}),
    ),
    story(
        "change of interval closes the usage period", clock("2024-01-01"), meter(),
        plan(price("31.00"), price("366.00", YEAR), calls()), customer(), subscribe(), to("2024-01-10"), use(5),
        to("2024-01-16"), change(interval=YEAR, expect={"total": "355.00"}), use(7, key="2"), to("2024-02-16T01:00"),
        totals(3100, 35500, 700),
    ),
    story(
        "tiers over late events", clock("2024-01-01"), meter(),
        plan(calls(None, model="graduated", tiers=[tier(10, "1.00"), tier(None, "0.50")])), customer(), subscribe(),
        to("2024-01-20"), use(10), to("2024-02-02"), totals(1000), use(4, "2024-01-31", key="2"), to("2024-03-02"),
        totals(1000, 200),
    ),
    story(
        "thresholds once, and again", clock("2024-01-01"), meter(), plan(price("0.00"), calls(included=10)),
        customer(), subscribe(), to("2024-01-05"), use(8), use(1, key="2"), happened("usage.threshold_reached", 1),
        use(3, key="3"), happened("usage.threshold_reached", 2), use(30, key="4"),
        happened("usage.threshold_reached", 2), to("2024-02-05"), use(10, key="5"),
        happened("usage.threshold_reached", 4),
    ),
    story(
        "zone decides the month", clock("2024-01-01T08:00"), meter(), plan(calls()),
        customer(timezone="America/Los_Angeles"), subscribe(), to("2024-02-01T09:00"),
        use(5, "2024-02-01T07:59", key="1"), use(7, "2024-02-01T08:00", key="2"), to("2024-03-01T09:00"),
        lines({**span("2024-01-01", "2024-02-01"), "amount": "5.00"},
              {**span("2024-02-01", "2024-03-01"), "amount": "7.00"}),
    ),
    story(
        "replaced in its period", clock("2024-01-01"), meter(), plan(calls()), customer(), subscribe(),
        to("2024-01-05"), use(5),
        replaced(3),
        to("2024-02-02"), totals(300),
    ),
]  # fmt: skip

DUNNING = [
    story(
        "declined, tried four times more, given up", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-01T00:00"), sub(status="past_due"),
        to("2024-01-16"), happened("payment.failed", 5), happened("invoice.payment_failed", 5),
        invoices({"status": "uncollectible"}),
    ),
    story(
        "expired is not tried again", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeDeclinedExpiredCard"), subscribe(), to("2024-01-16"), happened("payment.failed", 1),
    ),
    story(
        "a new card pays at once", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-02T12:00"), sub(status="past_due"), card(),
        to("2024-01-02T13:00"), sub(status="active"), invoices({"status": "paid"}), to("2024-01-20"),
        happened("payment.succeeded", 1),
    ),
    story(
        "net terms", clock("2024-01-01"), plan(price("3100.00")), customer(net_days=15), subscribe(**BY_INVOICE),
        invoices({"due_at": "2024-01-16T23:59:59Z"}), to("2024-01-17T01:00"), happened("invoice.overdue", 1),
        sub(status="past_due"), to("2024-02-08"), invoices({"status": "uncollectible"}, {"status": "open"}),
    ),
    story(
        "paid in part by transfer, then by the balance", clock("2024-01-01"), plan(price("3100.00")), customer(),
        subscribe(**BY_INVOICE), *paid("5000.00"), balance(190000), to("2024-02-02"),
        invoices({"status": "paid"}, {"amount_due": "1200.00", "status": "open"}),
    ),
    story(
        "late, paid, active", clock("2024-01-01"), plan(price("3100.00")), customer(net_days=15),
        subscribe(**BY_INVOICE), to("2024-01-20"), sub(status="past_due"), *paid(), sub(status="active"),
    ),
    story(
        "late upgrade", clock("2024-01-01"), plan(price("3100.00")), plan(price("6200.00"), name="big"),
        customer(net_days=15), subscribe(**BY_INVOICE), to("2024-01-20"),
        change(plan="big", expect={"total": "1200.00"}), sub(status="past_due"),
    ),
    story(
        "late, canceled, nothing more", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-02T12:00"), cancel(), balance(0),
        invoices({"amount_due": "2.00"}),
    ),
    story(
        "voided stops", clock("2024-01-01"), plan(price("31.00")), customer(), card("pm_card_chargeCustomerFail"),
        subscribe(), to("2024-01-01T12:00"),
        void(), to("2024-01-20"),
        happened("payment.failed", 1), sub(status="active"),
    ),
    story(
        "renewal while late", clock("2024-01-25"), plan(price("7.00", "week")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(interval="week"), to("2024-02-01T12:00"),
        invoices({"status": "open"}, {"status": "open"}), card(), to("2024-02-01T13:00"),
        invoices({"status": "paid"}, {"status": "paid"}), sub(status="active"),
    ),
]  # fmt: skip

TOLD_LATE = [
    story(
        "none on an interval, no change told late moves it", clock("2024-01-01"), meter(),
        plan(price("31.00"), price("366.00", YEAR), calls()), customer(), subscribe(), to("2024-01-10"), use(3),
        to("2024-01-16"),
        change(interval=YEAR, proration="none", expect=then("2024-02-01", 36900)),
        use(4, key="2"), to("2024-02-02"), totals(3100, 36600 + 700), period("2024-02-01", "2025-02-01"),
        change(net_days=15, effective="2024-01-05"), to("2024-03-02"), period("2024-02-01", "2025-02-01"),
    ),
    story(
        "none on an interval on the first day of a period", clock("2024-01-01"),
        plan(price("31.00"), price("366.00", YEAR)), customer(), subscribe(), to("2024-02-01T10:00"),
        change(interval=YEAR, proration="none", expect={"total": "0.00"}), to("2024-03-02"),
        totals(3100, 3100, 36600),
    ),
    story(
        "none on an interval for the period's end", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)),
        customer(), subscribe(), change(interval=YEAR, proration="none", effective="period_end"), to("2024-03-02"),
        totals(3100, 36600),
    ),
    story(
        "year to month without proration", clock("2024-01-01"), plan(price("31.00"), price("366.00", YEAR)),
        customer(), subscribe(interval=YEAR), to("2024-03-16"),
        change(interval=MONTH, effective="now", proration="none", expect={"total": "0.00"}), to("2025-02-02"),
        totals(36600, 3100, 3100),
    ),
    story(
        "none, then a late seat before it", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), to("2024-01-21"), change(quantity=5, proration="none"), to("2024-01-25"),
        change(quantity=2, effective="2024-01-11", expect={"total": "21.00"}), to("2024-02-02"),
        totals(3100, 2100, 15500),
    ),
    story(
        "quantities, then a plan, for one day", clock("2024-01-01"), plan(seats("10.00")),
        plan(price("20.00", model="per_unit", code="other"), name="big"), customer(), subscribe(quantity=1),
        change(quantities={"seats": 4}, effective="2024-02-01"), change(plan="big", effective="2024-02-01"),
        change(net_days=15), to("2024-02-02"), totals(1000, 8000),
    ),
    story(
        "quantities by and by, for one day", clock("2024-01-01"),
        plan(seats("10.00"), price("5.00", model="per_unit", code="b")), customer(),
        subscribe(quantities={"seats": 1, "b": 1}), change(quantities={"seats": 4}, effective="2024-02-01"),
        change(quantities={"b": 3}, effective="2024-02-01"), change(net_days=15), to("2024-02-02"),
        totals(1500, 5500),
    ),
    story(
        "quantities by and by, on one day", clock("2024-01-01"),
        plan(seats("31.00"), price("62.00", model="per_unit", code="b")), customer(),
        subscribe(quantities={"seats": 1, "b": 1}), to("2024-01-11"), change(quantities={"seats": 4}),
        change(quantities={"b": 3}), to("2024-01-20"),
        change(net_days=15, effective="2024-01-05", expect={"total": "0.00"}), to("2024-02-02"),
        upcoming(12400 + 18600),
    ),
    story(
        "the end of a discount, a change on its day, then one told late", clock("2024-01-01"), plan(seats("31.00")),
        off("half", percent_off=50, duration="once"), customer(), subscribe(quantity=1, discount="${half.id}"),
        to("2024-02-01T10:00"), totals(1550, 3100), change(quantity=2), to("2024-02-10"),
        change(net_days=15, effective="2024-01-05", expect={"total": "0.00"}), upcoming(6200),
    ),
    story(
        "a scheduled plan, seats on its day, then one told late", clock("2024-01-01"), plan(seats("31.00")),
        plan(seats("62.00"), name="big"), customer(), subscribe(quantity=1),
        change(plan="big", effective="period_end"), to("2024-02-01T10:00"), totals(3100, 6200),
        change(quantity=2, expect={"total": "62.00"}), to("2024-02-10"),
        change(net_days=15, effective="2024-01-20", expect={"total": "0.00"}), upcoming(12400),
    ),
    story(
        "paused and resumed on a day, then one told late", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), to("2024-01-11"), pause(), resume(), to("2024-01-20"),
        change(quantity=2, effective="2024-01-06", expect={"total": "26.00"}), sub(status="active", mrr="62.00"),
    ),
    story(
        "changed and paused on a day, then one told late", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), to("2024-01-11"), change(quantity=3), pause(expect={"credit_to_balance": "63.00"}),
        to("2024-01-21"), resume(expect={"total": "33.00"}), to("2024-01-25"),
        change(net_days=15, effective="2024-01-06", expect={"total": "0.00"}),
    ),
    story(
        "a trial's plan twice on a day", clock("2024-01-01"), plan(seats("31.00")), plan(seats("62.00"), name="big"),
        customer(), subscribe(quantity=1, trial_days=14), to("2024-01-05"), change(plan="big"), change(quantity=2),
        to("2024-01-16"), totals(12400),
    ),
]  # fmt: skip

MIXED = [
    story(
        "KB billing day in a trial, then an end told late", clock("2016-04-01"), plan(price("249.95")), customer(),
        subscribe(trial_days=30), to("2016-04-04"), change(anchor=15, expect={"total": "0.00"}),
        to("2016-05-15T01:00"), totals(11664, 24995), to("2016-05-18"), cancel(effective="2016-05-15"),
        balance(24995),
    ),
    story(
        "KB free to paid on a moved day", clock("2016-04-01"), plan(price("0.00"), name="free"),
        plan(price("29.95")), customer(), subscribe("free"), to("2016-04-15"), change(anchor=15),
        change(plan="plan", expect={"total": "29.95"}), to("2016-06-15T01:00"), totals(2995, 2995, 2995),
        period("2016-06-15", "2016-07-15"),
    ),
    story(
        "POLAR seats go up at once and down at renewal", clock("2026-01-01"), plan(seats("10.00")), customer(),
        subscribe(quantity=5), to("2026-01-16"), change(quantity=10, expect={"total": "25.80"}),
        to("2026-02-01T01:00"), change(quantity=3, effective="period_end", expect={"total": "0.00"}),
        to("2026-03-02"), totals(5000, 2580, 10000, 3000),
    ),
    story(
        "POLAR a wish for the period's end that goes back to what there is", clock("2026-01-01"),
        plan(seats("10.00")), customer(), subscribe(quantity=5), change(quantity=3, effective="period_end"),
        change(quantity=5, effective="period_end"), to("2026-02-02"), totals(5000, 5000),
    ),
    story(
        "POLAR seats now beside a plan that waits", clock("2026-01-01"), plan(seats("10.00")),
        plan(seats("20.00"), name="big"), customer(), subscribe(quantity=5),
        change(plan="big", effective="period_end"), to("2026-01-16"), change(quantity=10, expect={"total": "25.80"}),
        to("2026-02-02"), totals(5000, 2580, 20000),
    ),
    story(
        "consolidated: an upgrade of one beside the other", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(**TOGETHER), subscribe(), {**subscribe(), "as": "second"},
        to("2024-01-16"), change(plan="big"), to("2024-02-02"), totals(3100, 3100, 1600, 9300),
    ),
    story(
        "consolidated: one ends, what comes back pays the other", clock("2024-01-01"), plan(price("31.00")),
        customer(**TOGETHER), subscribe(), {**subscribe(), "as": "second"}, cancel(effective="2024-02-11"),
        to("2024-02-02"), totals(3100, 3100, 4169),
    ),
    story(
        "consolidated: three intervals meet on a day", clock("2024-01-01"),
        plan(price("31.00"), price("91.00", "quarter"), price("366.00", YEAR)), customer(**TOGETHER), subscribe(),
        subscribe(interval="quarter"), subscribe(interval=YEAR), to("2024-04-02"),
        totals(3100, 9100, 36600, 3100, 3100, 12200),
    ),
    story(
        "consolidated: one paused", clock("2024-01-01"), plan(price("31.00")), customer(**TOGETHER), subscribe(),
        {**subscribe(), "as": "second"}, to("2024-01-11"), pause(resume_at="2024-02-11"), to("2024-02-12"),
        totals(3100, 3100, 3100, 2031), balance(0),
    ),
    story(
        "contract and trial", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(trial_days=31, contract={"months": 3, "auto_renew": False}), to("2024-05-01"),
        sub(status="canceled"), totals(3100, 3100),
    ),
    story(
        "a contract ended by hand before its end", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 3}), to("2024-02-10"), cancel(), balance(2031), sub(status="canceled"),
    ),
    story(
        "contract, cancel undone keeps its renewal", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(contract={"months": 2}), cancel(effective="contract_end"), to("2024-02-10"), undo(),
        to("2024-03-02"), sub(status="active", contract={"start": "2024-03-01", "end": "2024-05-01"}),
    ),
    story(
        "contract without renewal, canceled earlier and undone, still ends", clock("2024-01-01"),
        plan(price("31.00")), customer(), subscribe(contract={"months": 2, "auto_renew": False}),
        cancel(effective="period_end"), to("2024-01-10"), undo(), sub(cancel_at="2024-03-01"), to("2024-03-02"),
        sub(status="canceled"), totals(3100, 3100),
    ),
    story(
        "a ramp within a contract", clock("2024-01-01"), plan(price("10.00", YEAR, model="per_unit")), customer(),
        subscribe(interval=YEAR, quantity=10, contract={"months": 36}), change(quantity=20, effective="2025-01-01"),
        change(quantity=30, effective="2026-01-01"), to("2026-01-02"), totals(10000, 20000, 30000),
    ),
    story(
        "a ramp told at once, then more seats in the first year", clock("2024-01-01"),
        plan(price("366.00", YEAR, model="per_unit")), customer(), subscribe(interval=YEAR, quantity=1),
        change(quantity=3, effective="2025-01-01"), to("2024-07-01"), change(quantity=2, expect={"total": "184.00"}),
        to("2025-01-02"), totals(36600, 18400, 109800),
    ),
    story(
        "a date in the past for a scheduled plan with a change that waits", clock("2024-01-01"),
        plan(seats("31.00")), plan(seats("62.00"), name="big"), customer(), subscribe(quantity=1),
        change(quantity=3, effective="2024-03-01"), to("2024-01-21"),
        change(plan="big", effective="2024-01-11", expect={"total": "21.00"}), to("2024-03-02"),
        totals(3100, 2100, 6200, 18600),
    ),
    story(
        "usage: limits and credit at the end of a year", clock("2024-01-31"), meter(),
        plan(price("366.00", YEAR), calls()), customer(), subscribe(interval=YEAR), to("2024-02-28"), use(1),
        to("2024-03-30"), use(2, key="2"), to("2024-04-29"), use(4, key="3"), to("2024-04-30T01:00"),
        totals(36600, 100, 200, 400),
    ),
    story(
        "usage: quarter with monthly usage", clock("2024-01-31"), meter(), plan(price("91.00", "quarter"), calls()),
        customer(), subscribe(interval="quarter"), to("2024-02-28"), use(1), to("2024-04-15"), use(2, key="2"),
        to("2024-05-01"), totals(9100, 100, 9300),
    ),
    story(
        "usage: by the quarter on a monthly plan", clock("2024-01-01"), meter(),
        plan(price("31.00"), calls(interval="quarter")), customer(), subscribe(), to("2024-02-10"), use(5),
        to("2024-03-10"), use(7, key="2"), to("2024-04-02"), totals(3100, 3100, 3100, 4300),
    ),
    story(
        "usage: a meter that the new plan has not", clock("2024-01-01"), meter(), plan(price("31.00"), calls()),
        plan(price("62.00"), name="big"), customer(), subscribe(), to("2024-01-10"), use(5), to("2024-01-16"),
        change(plan="big"), use(7, key="2"), to("2024-02-02"), totals(3100, 1600, 6700),
    ),
    story(
        "usage: negative after the bill", clock("2024-01-01"), meter(), plan(calls()), customer(), subscribe(),
        to("2024-01-10"), use(5), to("2024-02-02"), use(-2, "2024-01-31", key="2"), to("2024-03-02"), notes(200),
    ),
    story(
        "usage: limit in two plans, threshold arms with more", clock("2024-01-01"), meter(),
        plan(price("31.00"), calls(included=10)), plan(price("62.00"), calls(included=100), name="big"), customer(),
        subscribe(), to("2024-01-05"), use(10), happened("usage.threshold_reached", 2), change(plan="big"),
        use(70, key="2"), happened("usage.threshold_reached", 3),
    ),
    story(
        "dunning: pays by transfer between tries", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-02T12:00"), sub(status="past_due"), *paid(),
        sub(status="active"), to("2024-01-20"), happened("payment.failed", 2),
    ),
    story(
        "dunning: paused while late", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-11T00:00"), pause(),
        invoices({"amount_due": "10.00"}), sub(status="paused"), to("2024-01-20"), sub(status="paused"),
    ),
    story(
        "dunning: downgrade while late lowers what is due", clock("2024-01-01"), plan(price("62.00")),
        plan(price("31.00"), name="small"), customer(), card("pm_card_chargeCustomerFail"), subscribe(),
        to("2024-01-02T00:00"), change(plan="small", expect={"total": "-30.00"}), balance(0),
        invoices({"amount_due": "32.00"}),
    ),
    story(
        "dunning: bank asks", clock("2024-01-01"), plan(price("31.00")), customer(),
        card("pm_card_authenticationRequired"), subscribe(), to("2024-01-02"),
        sub(needs_card={"reason": "authentication_required"}),
    ),
    story(
        "dunning: invoices by date, three open", clock("2024-01-01"), plan(price("3100.00")), customer(net_days=30),
        subscribe(**BY_INVOICE), to("2024-03-02"),
        invoices(
            {"due_at": "2024-01-31T23:59:59Z"}, {"due_at": "2024-03-02T23:59:59Z"}, {"due_at": "2024-03-31T22:59:59Z"}),
        sub(status="past_due"),
    ),
    story(
        "one subscription ahead, changed and canceled in time", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(start_at="2024-02-01"),
        change(plan="big", effective="2024-02-16"), to("2024-03-02"), totals(3100, 1496, 6200),
    ),
    story(
        "a start back with the 31st", clock("2024-05-15"), plan(price("31.00")), customer(),
        subscribe(start_at="2024-01-31"), period("2024-04-30", "2024-05-31"), totals(12400),
    ),
    story(
        "a start a year back by the year", clock("2024-06-15"), plan(price("366.00", YEAR)), customer(),
        subscribe(interval=YEAR, start_at="2023-06-20"), totals(36600), to("2024-06-21"), totals(36600, 36600),
    ),
    story(
        "void, then the same period is not asked again; the change is", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(),
        void(), to("2024-01-16"),
        change(plan="big", expect={"total": "32.00"}),
    ),
]  # fmt: skip

GROUPS = {
    "time": TIME, "trial": TRIALS, "change": [*CHANGES, *SEVERAL], "pause": PAUSES, "end": CANCELS, "usage": USAGE,
    "dunning": DUNNING, "told late": TOLD_LATE, "mixed": MIXED,
}  # fmt: skip
STORIES = [{**one, "name": f"{group}: {one['name']}"} for group, stories in GROUPS.items() for one in stories]

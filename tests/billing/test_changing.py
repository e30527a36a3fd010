"""What waits, what is changed in the past, how a change is priced, pauses, and how a subscription ends."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from billing import discounting, ending, invoicing, pausing, running, starting, subscribing, timelines
from billing.models import Discount, Event, Invoice, Mail, Plan
from billing.refusals import Refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def sub(clock, make_customer, subscribe):
    """Three seats of Pro at 29.00, from 15 January 2026, without tax."""
    return subscribe(make_customer(clock, tax_exempt=True))


@pytest.fixture
def change(clock):
    def make(subscription, **wishes):
        shown = subscribing.preview(subscription=subscription, now=clock.now, with_next=True, **wishes)
        papers = Invoice.objects.count(), Event.objects.count()
        done = subscribing.change(
            subscription=subscription, now=clock.now, actor="user:1", with_next=True, **wishes
        )
        assert Event.objects.count() > papers[1]
        assert [(a.kind, a.net) for a in shown.lines] == [(b.kind, b.net) for b in done.lines]
        assert (shown.total, shown.effective_on) == (done.total, done.effective_on)
        assert (shown.next.on, shown.next.result.total) == (done.next.on, done.next.result.total)
        subscription.refresh_from_db()
        return done

    return make


def plan(code):
    return Plan.objects.get(code=code)


def told(subscription):
    """(plan, seats, first day) of every phase that lasts."""
    return [
        (s.plan.code, int(subscribing.seats(s.items) or 0), s.start_on.isoformat())
        for s in timelines.specs_of(subscription)
        if not s.empty
    ]


def billed(subscription):
    return [i.subtotal - i.discount_total for i in subscription.invoices.order_by("sequence")]


# -- Several changes that wait ----------------------------------------------------------------------------


def test_it_lists_the_changes_that_wait_and_removes_one_from_between(sub, change, clock, advance, books):
    change(sub, plan=plan("business"), effective=date(2026, 3, 15))
    change(sub, quantity=9, effective=date(2026, 4, 15))
    assert told(sub)[1:] == [("business", 3, "2026-03-15"), ("business", 9, "2026-04-15")]
    first, second = subscribing.pending_changes(sub, clock.now)
    subscribing.remove_change(subscription=sub, phase=first.row.pk, now=clock.now, actor="user:1")
    assert told(sub) == [("pro", 3, "2026-01-15"), ("pro", 9, "2026-04-15")]
    assert [s.row.pk for s in subscribing.pending_changes(sub, clock.now)] == [second.row.pk]
    with pytest.raises(subscribing.NoSuchChange):
        subscribing.remove_change(subscription=sub, phase=first.row.pk, now=clock.now, actor="user:1")
    advance(clock, to=datetime(2026, 4, 20, tzinfo=UTC))
    assert billed(sub) == [87_00, 87_00, 87_00, 9 * 29_00]
    with pytest.raises(subscribing.NoSuchChange):
        subscribing.remove_change(subscription=sub, phase=second.row.pk, now=clock.now, actor="user:1")


def test_a_change_for_the_same_day_takes_the_place_of_the_first(sub, change, clock):
    change(sub, plan=plan("business"), effective="period_end")
    done = change(sub, plan=plan("starter"), effective="period_end")
    assert told(sub)[1:] == [("starter", 0, "2026-02-15")]
    [waiting] = subscribing.pending_changes(sub, clock.now)
    assert waiting.row.pk == done.phase


def test_seats_that_change_now_reach_the_plan_that_waits(sub, change, clock, advance, books):
    change(sub, plan=plan("business"), effective="period_end")
    change(sub, quantity=8)
    advance(clock, days=32)
    assert billed(sub)[-1] == 8 * 79_00


def test_two_changes_of_one_day_hold_when_one_before_them_is_told_late(sub, change, clock, advance, books):
    advance(clock, days=10)
    change(sub, plan=plan("business"))
    change(sub, quantity=5)
    advance(clock, days=5)
    change(sub, quantity=4, effective=date(2026, 1, 20))
    assert told(sub) == [("pro", 3, "2026-01-15"), ("pro", 4, "2026-01-20"), ("business", 5, "2026-01-25")]


def test_what_had_begun_on_the_day_of_a_change_holds_when_one_before_it_is_told_late(
    sub, change, clock, advance, books
):
    change(sub, plan=plan("business"), effective="period_end")
    advance(clock, to=datetime(2026, 2, 15, 12, tzinfo=UTC))
    change(sub, quantity=5)
    change(sub, net_days=15, effective=date(2026, 2, 1))
    assert told(sub) == [("pro", 3, "2026-01-15"), ("pro", 3, "2026-02-01"), ("business", 5, "2026-02-15")]


def test_what_a_change_without_proration_keeps_follows_one_that_is_told_late(
    sub, change, clock, advance, books
):
    advance(clock, days=10)
    change(sub, quantity=9, proration="none")
    late = change(sub, quantity=5, effective=date(2026, 1, 20))
    assert late.total == round(5 * 29_00 * 26 / 31) - round(3 * 29_00 * 26 / 31)
    advance(clock, days=25)
    assert billed(sub)[-1] == 9 * 29_00


# -- How a change is priced -------------------------------------------------------------------------------


def test_a_change_without_proration_moves_no_money_before_the_period_ends(sub, change, clock, advance, books):
    advance(clock, days=10)
    assert change(sub, quantity=5, proration="none").total == 0
    assert sub.mrr == 5 * 29_00
    advance(clock, days=25)
    assert billed(sub) == [87_00, 145_00]
    advance(clock, days=5)
    up = change(sub, quantity=6)  # on 24 February, 19 of 28 days are left
    assert up.total == -round(145_00 * 19 / 28) + round(174_00 * 19 / 28)


@pytest.mark.parametrize(
    "day", [datetime(2026, 1, 25, 12, tzinfo=UTC), datetime(2026, 1, 15, 13, tzinfo=UTC)]
)
def test_without_proration_another_interval_starts_its_cycle_when_the_paid_period_ends(
    sub, change, clock, advance, books, day
):
    advance(clock, to=day)
    done = change(sub, interval="year", proration="none")
    yearly = 3 * 290_00
    assert (done.total, done.next.on, done.next.result.total) == (0, date(2026, 2, 15), yearly)
    advance(clock, to=datetime(2026, 3, 20, 12, tzinfo=UTC))
    change(sub, net_days=15, effective=date(2026, 1, 20))
    assert (sub.current_period_start, sub.current_period_end) == (date(2026, 2, 15), date(2027, 2, 15))
    assert billed(sub) == [87_00, yearly]


def test_without_proration_the_period_that_is_paid_for_runs_on(
    clock, make_customer, subscribe, change, advance, books
):
    sub = subscribe(make_customer(clock, tax_exempt=True), interval="year")
    advance(clock, days=60)
    assert change(sub, interval="month", proration="none").total == 0
    assert (sub.current_period_start, sub.current_period_end) == (date(2026, 1, 15), date(2027, 1, 15))
    assert ending.cancel(subscription=sub, now=clock.now, actor="user:1").effective_on == date(2027, 1, 15)
    advance(clock, to=datetime(2027, 2, 20, tzinfo=UTC))
    assert billed(sub) == [3 * 290_00]


def test_without_proration_the_period_that_begins_on_the_day_is_kept_too(sub, change, clock, advance, books):
    """It is paid for already: giving it back and asking for it anew would move money on the very day."""
    first = change(sub, quantity=5, proration="none")
    advance(clock, to=datetime(2026, 2, 15, 12, tzinfo=UTC))
    second = change(sub, quantity=7, proration="none")
    third = change(sub, quantity=4, proration="none")
    assert [done.total for done in (first, second, third)] == [0, 0, 0]
    assert sub.mrr == 4 * 29_00
    advance(clock, days=30)
    assert billed(sub) == [87_00, 145_00, 116_00]


def test_without_proration_a_change_that_waits_for_the_period_begins_with_it(
    sub, change, clock, advance, books
):
    change(sub, quantity=5, proration="none", effective="period_end")
    advance(clock, days=32)
    assert billed(sub) == [87_00, 145_00]


def test_what_was_paid_on_the_day_is_kept_when_it_changes_again_without_proration(
    sub, change, clock, advance, books
):
    advance(clock, to=datetime(2026, 1, 25, 12, tzinfo=UTC))
    assert change(sub, quantity=5).total > 0
    assert change(sub, quantity=9, proration="none").total == 0
    assert change(sub, quantity=2).total == -round(145_00 * 21 / 31) + round(58_00 * 21 / 31)
    advance(clock, days=30)


def test_the_billing_day_is_moved_and_nothing_is_billed_twice(sub, change, clock, advance, books):
    advance(clock, days=10)
    done = change(sub, anchor=1)  # on the 25th: 21 of 31 days back, 7 of 31 to 1 February
    assert [line.net for line in done.lines] == [-58_94, 19_65]
    advance(clock, days=10)
    last = sub.invoices.order_by("-sequence").first()
    assert (last.period_start, last.period_end, last.subtotal) == (date(2026, 2, 1), date(2026, 3, 1), 87_00)


def test_another_interval_starts_a_cycle_on_its_day(sub, change, clock, advance, books):
    advance(clock, days=20)
    change(sub, interval="year")
    assert (sub.current_period_start, sub.current_period_end) == (date(2026, 2, 4), date(2027, 2, 4))


# -- The past ---------------------------------------------------------------------------------------------


def test_a_change_in_the_past_is_corrected_to_the_cent(
    clock, make_customer, subscribe, change, advance, books
):
    late, punctual = (subscribe(make_customer(clock, tax_exempt=True)) for _ in range(2))
    advance(clock, to=datetime(2026, 2, 1, tzinfo=UTC))
    change(punctual, quantity=7)
    change(punctual, plan=plan("business"), effective=date(2026, 3, 1))
    advance(clock, to=datetime(2026, 4, 20, tzinfo=UTC))
    change(late, plan=plan("business"), effective=date(2026, 3, 1))
    change(late, quantity=7, effective=date(2026, 2, 1))
    for subscription in (late, punctual):
        subscription.customer.refresh_from_db()
    sums = [sum(billed(s)) - sum(n.subtotal for n in s.customer.credit_notes.all()) for s in (late, punctual)]
    assert sums[0] == sums[1]
    assert told(late) == told(punctual)


def test_it_refuses_a_day_too_far_back_or_before_the_start(sub, clock, advance):
    for day, code in ((date(2026, 1, 14), "invalid_date"), ("yesterday", "invalid_date")):
        with pytest.raises(Refused) as refused:
            subscribing.preview(subscription=sub, now=clock.now, quantity=4, effective=day)
        assert (refused.value.code, refused.value.field) == (code, "effective")
    advance(clock, days=400)
    with pytest.raises(subscribing.TooFarBack):
        subscribing.preview(subscription=sub, now=clock.now, quantity=4, effective=date(2026, 1, 20))


# -- Starting ---------------------------------------------------------------------------------------------


def test_it_starts_in_the_past_and_catches_up_on_one_paper(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock, tax_exempt=True), start_at=date(2025, 11, 10))
    assert (sub.status, sub.start_on) == ("active", date(2025, 11, 10))
    lines = [(line.period_start.month, line.net) for line in sub.invoices.get().lines.order_by("position")]
    assert lines == [(11, 87_00), (12, 87_00), (1, 87_00)]
    advance(clock, days=30)
    assert billed(sub) == [261_00, 87_00]


def test_it_waits_for_a_start_that_lies_ahead(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock, tax_exempt=True), start_at=datetime(2026, 2, 1, 9, tzinfo=UTC))
    assert (sub.status, sub.mrr, sub.invoices.count()) == ("incomplete", 0, 0)
    shown = invoicing.upcoming(subscription=sub, now=clock.now)
    assert (shown.on, shown.result.total) == (date(2026, 2, 1), 87_00)
    advance(clock, to=datetime(2026, 2, 1, 8, tzinfo=UTC))
    assert not sub.invoices.exists()
    advance(clock, days=1)
    sub.refresh_from_db()
    assert (sub.status, sub.mrr, billed(sub)) == ("active", 87_00, [87_00])
    kinds = Event.objects.filter(object_id=sub.pk, type="subscription.activated")
    assert kinds.count() == 1


def test_a_start_that_lies_ahead_is_canceled_for_nothing(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock), start_at=date(2026, 2, 1))
    result = ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="now")
    advance(clock, days=40)
    sub.refresh_from_db()
    assert (sub.status, result.total, sub.invoices.count()) == ("canceled", 0, 0)


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        ({"anchor": "calendar"}, (date(2026, 1, 15), date(2026, 2, 1), 47_71), 87_00),
        ({"anchor": 20}, (date(2026, 1, 15), date(2026, 1, 20), 14_03), 87_00),
        ({"anchor": 31}, (date(2026, 1, 15), date(2026, 1, 31), 44_90), 87_00),
        ({"trial_end": date(2026, 1, 20)}, (date(2026, 1, 20), date(2026, 2, 20), 87_00), 87_00),
    ],
)
def test_it_counts_periods_from_where_it_is_told(
    clock, make_customer, subscribe, advance, books, options, first, second
):
    sub = subscribe(make_customer(clock, tax_exempt=True), **options)
    advance(clock, days=45)
    one, two = sub.invoices.order_by("sequence")[:2]
    assert (one.period_start, one.period_end, one.subtotal) == first
    assert two.subtotal == second


def test_a_plan_grants_its_trial_once(clock, make_customer, subscribe, books):
    Plan.objects.filter(code="pro").update(trial_days=7)
    customer = make_customer(clock)
    first = subscribe(customer)
    assert first.status == "trialing"
    ending.cancel(subscription=first, now=clock.now, actor="user:1", effective="now")
    assert subscribe(customer).status == "active"
    assert subscribe(customer, trial_days=5).status == "trialing"
    with pytest.raises(Refused) as refused:
        subscribe(customer, trial_days=5, trial_end=date(2026, 2, 1))
    assert refused.value.code == "invalid_trial"


# -- On the day of a pause --------------------------------------------------------------------------------


def scheduled(subscription, clock, acts):
    """What waits under which id, as it was answered, of a change and a pause for 15 February."""
    do = {
        "change": lambda: subscribing.change(
            subscription=subscription, now=clock.now, actor="user:1", plan=plan("business"), effective=date(2026, 2, 15)
        ),
        "pause": lambda: pausing.pause(
            subscription=subscription, now=clock.now, actor="user:1", effective=date(2026, 2, 15),
            resume_at=date(2026, 3, 15),
        ),
    }  # fmt: skip
    return {act: do[act]().phase for act in acts}


@pytest.mark.parametrize("acts", [("change", "pause"), ("pause", "change"), ("pause", "change", "pause")])
@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        (None, [87_00, 3 * 79_00]),
        ("change", [87_00, 87_00]),
        ("pause", [87_00, 3 * 79_00, 3 * 79_00]),
    ],
)
def test_a_change_and_a_pause_of_one_day_are_two(sub, clock, advance, books, acts, removed, expected):
    ids = scheduled(sub, clock, acts)
    assert {spec.row.pk for spec in subscribing.pending_changes(sub, clock.now)} == set(ids.values())
    assert len(ids) == len(set(ids.values())) == 2
    if removed:
        subscribing.remove_change(subscription=sub, phase=ids[removed], now=clock.now, actor="user:1")
    advance(clock, to=datetime(2026, 3, 20, tzinfo=UTC))
    assert billed(sub) == expected


def test_a_pause_that_is_resumed_early_leaves_nothing_behind(sub, change, clock, advance, books):
    pausing.pause(subscription=sub, now=clock.now, actor="user:1", resume_at=date(2026, 3, 20))
    advance(clock, to=datetime(2026, 2, 20, 9, tzinfo=UTC))
    pausing.resume(subscription=sub, now=clock.now, actor="user:1")
    assert [spec.start_on for spec in timelines.planned(sub) if not spec.empty][-1] == date(2026, 2, 20)
    advance(clock, to=datetime(2026, 3, 1, 9, tzinfo=UTC))
    sub.refresh_from_db()
    pausing.pause(subscription=sub, now=clock.now, actor="user:1")
    sub.refresh_from_db()
    change(sub, net_days=60)
    papers = len(billed(sub))
    advance(clock, to=datetime(2026, 5, 1, tzinfo=UTC))
    sub.refresh_from_db()
    assert (sub.status, len(billed(sub))) == ("paused", papers)


@pytest.mark.parametrize("back", ["resumed", "removed"])
def test_a_change_on_the_day_on_which_a_pause_was_to_end_does_not_end_another(
    sub, change, clock, advance, books, back
):
    pausing.pause(
        subscription=sub, now=clock.now, actor="user:1", effective=date(2026, 1, 20), resume_at=date(2026, 3, 20)
    )  # fmt: skip
    change(sub, quantity=4, effective=date(2026, 3, 20))
    if back == "removed":
        waiting = next(
            s for s in subscribing.pending_changes(sub, clock.now) if s.start_on == date(2026, 1, 20)
        )
        subscribing.remove_change(subscription=sub, phase=waiting.row.pk, now=clock.now, actor="user:1")
    advance(clock, to=datetime(2026, 1, 25, 9, tzinfo=UTC))
    sub.refresh_from_db()
    if back == "resumed":
        pausing.resume(subscription=sub, now=clock.now, actor="user:1")
    sub.refresh_from_db()
    pausing.pause(subscription=sub, now=clock.now, actor="user:1")
    sub.refresh_from_db()
    change(sub, net_days=60)
    advance(clock, to=datetime(2026, 5, 1, tzinfo=UTC))
    sub.refresh_from_db()
    assert sub.status == "paused"
    assert told(sub)[-1] == ("pro", 4, "2026-03-20")


# -- Discounts --------------------------------------------------------------------------------------------


def discount(**fields):
    return Discount.objects.create(**{"code": "TEN", "percent_off": Decimal(10), **fields})


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"duration": "once"}, [78_30, 87_00, 87_00, 87_00]),
        ({"duration": "repeating", "periods": 2}, [78_30, 78_30, 87_00, 87_00]),
        ({"duration": "forever"}, [78_30, 78_30, 78_30, 78_30]),
        (
            {"percent_off": None, "amount_off": 5_00, "currency": "USD", "duration": "once"},
            [82_00, 87_00, 87_00, 87_00],
        ),
    ],
)
def test_a_discount_lasts_as_long_as_it_says(
    clock, make_customer, subscribe, advance, books, terms, expected
):
    given = discount(**terms)
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=given)
    advance(clock, days=100)
    assert billed(sub) == expected
    given.refresh_from_db()
    assert given.redemptions == 1


def test_a_discount_ends_on_its_day_although_the_plan_has_changed(
    clock, make_customer, subscribe, change, advance, books
):
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=discount(duration="repeating", periods=2))
    advance(clock, days=10)
    change(sub, plan=plan("business"))
    advance(clock, days=60)
    assert billed(sub)[-2:] == [3 * 79_00 * 9 // 10, 3 * 79_00]
    assert told(sub)[-1][0] == "business"


def test_several_discounts_that_are_named_again_cost_nothing_else(
    clock, make_customer, subscribe, change, advance, books
):
    named = [discount(code=code, percent_off=percent) for code, percent in (("TEN", 10), ("FIVE", 5))]
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=discounting.together(named))
    advance(clock, days=3)
    again = discounting.together([Discount.objects.get(pk=each.pk) for each in named])
    assert list(change(sub, discount=again).lines) == []
    assert change(sub, discount=again, quantity=4).due_now > 0


def test_a_discount_that_is_dropped_and_given_anew_lasts_its_whole_time_again(
    clock, make_customer, subscribe, change, advance, books
):
    given = discount(duration="repeating", periods=2)
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=given)
    change(sub, discount=None)
    advance(clock, to=datetime(2026, 2, 15, 12, tzinfo=UTC))
    change(sub, discount=given)
    advance(clock, to=datetime(2026, 4, 20, tzinfo=UTC))
    assert billed(sub)[-2:] == [78_30, 87_00]


@pytest.mark.parametrize(
    ("removed", "expected"),
    [(0, [78_30, 87_00, 78_30, 78_30, 78_30, 87_00]), (2, [78_30, 78_30, 78_30, 87_00, 87_00, 87_00])],
)
def test_a_discount_ends_when_it_was_given_for_unless_it_is_given_anew_before(
    clock, make_customer, subscribe, change, advance, books, removed, expected
):
    given = discount(duration="repeating", periods=3)
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=given)
    change(sub, discount=None, effective=date(2026, 2, 15))
    change(sub, discount=given, effective=date(2026, 3, 15))
    for waiting in subscribing.pending_changes(sub, clock.now)[:removed]:
        subscribing.remove_change(subscription=sub, phase=waiting.row.pk, now=clock.now, actor="user:1")
    advance(clock, to=datetime(2026, 6, 20, tzinfo=UTC))
    assert billed(sub) == expected


def test_a_discount_that_is_given_anew_for_the_day_on_which_it_ends_goes_on(
    clock, make_customer, subscribe, change, advance, books
):
    given = discount(duration="once")
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=given)
    change(sub, discount=given, effective=date(2026, 2, 15))
    change(sub, quantity=4, effective=date(2026, 2, 14))
    advance(clock, to=datetime(2026, 3, 20, tzinfo=UTC))
    assert billed(sub)[-2:] == [4 * 29_00 * 9 // 10, 4 * 29_00]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, "discount_expired"),
        ({"max_redemptions": 1, "redemptions": 1}, "discount_used_up"),
        ({"percent_off": None, "amount_off": 5_00, "currency": "EUR"}, "discount_currency"),
    ],
)
def test_it_refuses_a_discount_by_name(clock, make_customer, subscribe, terms, code):
    with pytest.raises(Refused) as refused:
        subscribe(make_customer(clock), discount=discount(**terms))
    assert (refused.value.code, refused.value.field) == (code, "discount")


def test_it_refuses_a_discount_for_another_plan(sub, clock):
    given = discount()
    given.plans.add(plan("starter"))
    with pytest.raises(Refused) as refused:
        subscribing.preview(subscription=sub, now=clock.now, discount=given)
    assert refused.value.code == "discount_not_for_plan"


def test_it_leaves_a_discount_behind_that_is_not_for_the_new_plan(sub, clock, books):
    limited, forever = discount(percent_off=50), discount(code="ALL")
    limited.plans.add(plan("pro"))
    subscribing.change(
        subscription=sub, now=clock.now, actor="user:1", discount=discounting.together([limited, forever])
    )
    sub.refresh_from_db()
    assert sub.mrr == 39_15
    ahead = subscribing.change(
        subscription=sub, now=clock.now, actor="user:1", plan=plan("starter"), effective="period_end"
    )
    waiting = timelines.specs_of(sub)[-1]
    assert (waiting.plan.code, waiting.discount) == ("starter", forever)
    subscribing.remove_change(subscription=sub, phase=ahead.phase, now=clock.now, actor="user:1")
    assert [str(one) for one in timelines.specs_of(sub)[-1].discount.members] == [str(limited), str(forever)]


# -- Pauses -----------------------------------------------------------------------------------------------


def test_a_pause_gives_the_rest_back_and_resuming_asks_for_it_again(sub, clock, advance, books):
    advance(clock, days=10)
    shown = pausing.preview_pause(subscription=sub, now=clock.now)
    paused = pausing.pause(subscription=sub, now=clock.now, actor="user:1")
    sub.refresh_from_db()
    assert (sub.status, sub.mrr, paused.total, shown.total) == ("paused", 0, -58_94, -58_94)
    advance(clock, days=60)
    assert billed(sub) == [87_00]
    shown = pausing.preview_resume(subscription=sub, now=clock.now)
    resumed = pausing.resume(subscription=sub, now=clock.now, actor="user:1")
    sub.refresh_from_db()
    # 26 March is day 11 of 31 that begin on 15 March: 20 days are left.
    assert (sub.status, resumed.total, shown.total) == ("active", 56_13, 56_13)
    assert sub.current_period_end == date(2026, 4, 15)
    with pytest.raises(pausing.NotPaused):
        pausing.resume(subscription=sub, now=clock.now, actor="user:1")


def test_a_pause_ends_by_itself_on_its_day(sub, clock, advance, books):
    advance(clock, days=10)
    pausing.pause(subscription=sub, now=clock.now, actor="user:1", resume_at=date(2026, 2, 1))
    advance(clock, days=8)
    sub.refresh_from_db()
    assert (sub.status, billed(sub)[-1]) == ("active", 39_29)
    assert Event.objects.filter(object_id=sub.pk, type="subscription.resumed").count() == 1


def test_a_pause_taken_back_on_its_day_leaves_the_same_money(sub, clock, advance, books):
    advance(clock, days=10)
    down = pausing.pause(subscription=sub, now=clock.now, actor="user:1")
    up = pausing.resume(subscription=sub, now=clock.now, actor="user:1")
    assert down.total == -up.total


def test_a_change_that_waits_outlives_a_pause(sub, change, clock, advance, books):
    change(sub, quantity=9, effective=date(2026, 3, 15))
    pausing.pause(subscription=sub, now=clock.now, actor="user:1", resume_at=date(2026, 4, 15))
    advance(clock, days=100)
    assert billed(sub)[-1] == 9 * 29_00


def test_it_refuses_to_pause_what_costs_nothing_or_has_ended(clock, make_customer, subscribe, sub):
    trial = subscribe(make_customer(clock), trial_days=5)
    for row, day, code in (
        (trial, None, "trial_not_paused"),
        (sub, date(2026, 1, 15), "invalid_date"),
        (sub, date(2028, 1, 16), "invalid_date"),
    ):
        with pytest.raises(Refused) as refused:
            pausing.pause(subscription=row, now=clock.now, actor="user:1", resume_at=day)
        assert refused.value.code == code


def test_a_paused_subscription_can_be_canceled(sub, clock, advance, books):
    pausing.pause(subscription=sub, now=clock.now, actor="user:1")
    ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="now")
    sub.refresh_from_db()
    assert sub.status == "canceled"


# -- Ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("credit", "given"), [(True, 39_29), (False, 0)])
def test_it_ends_on_a_day_with_or_without_credit(sub, clock, advance, books, credit, given):
    ending.cancel(
        subscription=sub, now=clock.now, actor="user:1", effective=date(2026, 2, 1), credit_unused=credit
    )
    advance(clock, days=5)
    books()
    advance(clock, days=20)
    sub.customer.refresh_from_db()
    assert sub.customer.balance == given  # 14 of 31 days
    sub.refresh_from_db()
    assert sub.status == "canceled"


def test_a_known_end_is_not_paid_for_first_and_is_when_it_is_undone(sub, clock, advance, books):
    ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective=date(2026, 3, 1))
    advance(clock, to=datetime(2026, 2, 20, tzinfo=UTC))
    assert billed(sub) == [87_00, 43_50]  # 14 of 28 days
    books()
    undone = ending.undo_cancel(subscription=sub, now=clock.now, actor="user:1")
    assert undone.total == 43_50
    advance(clock, days=30)
    assert billed(sub) == [87_00, 43_50, 43_50, 87_00]


def test_it_ends_in_the_past(sub, clock, advance, books):
    advance(clock, days=40)
    result = ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective=date(2026, 2, 20))
    assert result.total == -71_46  # 23 of 28 days


def test_who_leaves_is_asked_for_the_periods_that_no_run_has_billed(sub, clock, books):
    """Nothing ran for two months: a whole period lies behind, and seventeen days of the next. Each is asked for as a run
    would have, and the days after the end come back."""
    clock.now += timedelta(days=75)
    clock.save()
    done = ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="now")
    assert billed(sub) == [87_00, 87_00, 87_00]
    assert done.total == done.lines[0].net == 47_71 - 87_00
    books()
    assert running.run(now=clock.now + timedelta(days=40), clock=clock).invoices == 0


def test_a_canceled_one_is_taken_up_again_as_a_new_one(sub, clock, advance, books):
    with pytest.raises(subscribing.NotLive):
        ending.restart(subscription=sub, now=clock.now, actor="user:1")
    ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="now")
    sub.refresh_from_db()
    again = ending.restart(subscription=sub, now=clock.now, actor="user:1")
    assert (again.status, again.start_on) == ("incomplete", date(2026, 1, 16))  # today was paid for
    advance(clock, days=1)
    again.refresh_from_db()
    assert (again.status, billed(again)) == ("active", [87_00])


# -- Contracts --------------------------------------------------------------------------------------------


def test_a_cancellation_that_is_undone_late_gives_the_last_notice_alone(
    clock, make_customer, subscribe, advance
):
    """105 days before the end it is canceled, 20 days before the end not any more."""
    sub = subscribe(make_customer(clock), interval="year", contract_months=12)
    advance(clock, days=260)
    ending.cancel(subscription=sub, now=clock.now, actor="user:1", effective="contract_end")
    advance(clock, days=85)
    ending.undo_cancel(subscription=sub, now=clock.now, actor="user:1")
    advance(clock, days=1)
    notices = Event.objects.filter(object_id=sub.pk, type="subscription.renewal_approaching")
    assert [notice.data["days"] for notice in notices] == [30]


def test_a_contract_gives_notice_and_renews(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock), interval="year", contract_months=12, renewal_months=6)
    advance(clock, days=400)
    sub.refresh_from_db()
    assert (sub.contract_start_on, sub.contract_end_on) == (date(2027, 1, 15), date(2027, 7, 15))
    notices = Event.objects.filter(object_id=sub.pk, type="subscription.renewal_approaching").order_by(
        "number"
    )
    assert [e.data["days"] for e in notices] == [90, 60, 30]
    assert notices[0].at.date() == date(2026, 10, 17)


def test_terms_that_are_over_when_it_is_told_of_renew(clock, make_customer, subscribe, advance, books):
    """Begun on 15 October for a month at a time, and told of in January; the running term alone is announced."""
    started = datetime(2025, 10, 15, 9, tzinfo=UTC)
    sub = subscribe(make_customer(clock), start_at=started, contract_months=1)
    assert (sub.contract_start_on, sub.contract_end_on) == (date(2025, 10, 15), date(2025, 11, 15))
    advance(clock, days=2)
    sub.refresh_from_db()
    assert (sub.contract_start_on, sub.contract_end_on) == (date(2026, 1, 15), date(2026, 2, 15))
    told = Event.objects.filter(object_id=sub.pk).order_by("number")
    assert told.filter(type="subscription.renewed").count() == 3
    notices = told.filter(type="subscription.renewal_approaching")
    assert [(notice.data["days"], notice.data["contract_end_on"]) for notice in notices] == [
        (30, "2026-02-15")
    ]


@pytest.mark.parametrize(
    ("start", "months", "ends"),
    [
        (datetime(2026, 1, 31, 9, tzinfo=UTC), 1, ["2026-02-28", "2026-03-31", "2026-04-30"]),
        (datetime(2024, 2, 29, 9, tzinfo=UTC), 12, ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
    ],
)
def test_a_term_from_the_last_day_of_a_month_goes_back_to_it(
    make_clock, make_customer, subscribe, advance, start, months, ends
):
    clock = make_clock(now=start)
    sub = subscribe(make_customer(clock), interval="month", contract_months=months)
    found = [sub.contract_end_on.isoformat()]
    for _ in ends[1:]:
        advance(clock, to=datetime.combine(sub.contract_end_on, time(12), tzinfo=UTC))
        sub.refresh_from_db()
        found.append(sub.contract_end_on.isoformat())
    assert found == ends


def test_a_contract_that_is_not_renewed_ends_with_its_term(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock), contract_months=3, auto_renew=False)
    assert sub.end_on == date(2026, 4, 15)
    with pytest.raises(ending.NothingToUndo):
        ending.undo_cancel(subscription=sub, now=clock.now, actor="user:1")
    advance(clock, days=120)
    sub.refresh_from_db()
    assert (sub.status, len(billed(sub))) == ("canceled", 3)


def test_a_trial_says_when_it_ends(clock, make_customer, subscribe, advance, books):
    sub = subscribe(make_customer(clock), trial_days=14)
    advance(clock, days=20)
    said = Event.objects.filter(object_id=sub.pk, type="subscription.trial_ending").order_by("number")
    assert [(e.data["days"], e.at.isoformat()) for e in said] == [
        (3, "2026-01-26T12:00:00+00:00"),
        (1, "2026-01-28T12:00:00+00:00"),
        (0, "2026-01-29T00:00:00+00:00"),
    ]
    assert Mail.objects.filter(template="trial_ending", customer=sub.customer).count() == 3


def test_a_trial_that_was_changed_tells_its_own_end_and_what_it_goes_on_with(
    clock, make_customer, subscribe, change, advance, books
):
    sub = subscribe(make_customer(clock, tax_exempt=True), trial_days=14)
    advance(clock, days=2)
    change(sub, plan=plan("business"))
    change(sub, plan=plan("pro"), effective=date(2026, 6, 29))
    advance(clock, days=10)
    mail = Mail.objects.get(template="trial_ending", customer=sub.customer)
    assert mail.subject == "Your trial of Business ends on 29 January"
    assert "for 237.00 USD" in mail.text


@pytest.mark.parametrize(
    ("terms", "says"),
    [({"plan": "business", "collection_method": "send_invoice", "payment_rule_override": "agreed"},
      "on that day we send an invoice for 237.00 USD"),
     ({"discount": {"percent_off": 100}}, "There is nothing to do.")],
)  # fmt: skip
def test_a_trial_says_what_is_asked_for_when_it_ends(clock, make_customer, subscribe, advance, terms, says):
    if "discount" in terms:
        terms = {"discount": discount(**terms["discount"])}
    sub = subscribe(make_customer(clock, tax_exempt=True), trial_days=14, **terms)
    advance(clock, days=12)
    text = Mail.objects.get(template="trial_ending", customer=sub.customer).text
    assert says in text
    assert "card" not in text


def test_a_trial_that_ends_with_a_cancellation_says_nothing_unless_that_is_undone(
    clock, make_customer, subscribe, advance, books
):
    sub = subscribe(make_customer(clock), trial_days=14)
    ending.cancel(subscription=sub, now=clock.now, actor="user:1")
    advance(clock, days=12)
    mails = Mail.objects.filter(template="trial_ending", customer=sub.customer)
    assert not mails.exists()
    ending.undo_cancel(subscription=sub, now=clock.now, actor="user:1")
    advance(clock, days=5)
    assert mails.count() == 3


def test_notices_come_once_whoever_gives_them(clock, make_customer, subscribe, advance):
    from billing import renewing

    subscribe(make_customer(clock), trial_days=14)
    later = clock.now + timedelta(days=12)
    assert renewing.notify(now=later, clock=clock) == 1
    assert renewing.notify(now=later, clock=clock) == 0


def test_starting_takes_all_the_terms_at_once(clock, make_customer):
    sub = starting.start(
        customer=make_customer(clock), plan=plan("pro"), interval="month", now=clock.now, actor="api", origin="api",
        quantities={"seats-month": Decimal(4)}, contract_months=12, metadata={"crm": "7"}, anchor="calendar",
    )  # fmt: skip
    assert (sub.metadata, sub.contract_end_on, sub.current_period_end) == (
        {"crm": "7"}, date(2027, 1, 15), date(2026, 2, 1),
    )  # fmt: skip
    assert running.run(now=clock.now, clock=clock).invoices == 0


# -- Several discounts at once -----------------------------------------------------------------------------


def several(*terms):
    return discounting.together([discount(code=f"d{n}", **each) for n, each in enumerate(terms)])


def test_each_of_several_discounts_lasts_as_long_as_it_says(clock, make_customer, subscribe, advance, books):
    given = several(
        {"percent_off": 50, "duration": "once"},
        {"percent_off": None, "amount_off": 7_00, "currency": "USD", "duration": "repeating", "periods": 2},
        {"percent_off": 10, "duration": "forever"},
    )  # fmt: skip
    sub = subscribe(make_customer(clock, tax_exempt=True), discount=given)
    advance(clock, datetime(2026, 4, 20, tzinfo=UTC))
    # 87.00: half, less 7.00, less a tenth; without the half; without the 7.00
    assert billed(sub) == [32_85, 72_00, 78_30, 78_30]
    assert [len(spec.discount.members) for spec in timelines.specs_of(sub)] == [3, 2, 1]
    assert set(Discount.objects.filter(parts=[]).values_list("redemptions", flat=True)) == {1}
    line = sub.invoices.order_by("sequence")[0].lines.get()
    assert [step["off"] for step in line.explanation["discount"]] == [43_50, 7_00, 3_65]


def test_who_is_named_again_keeps_its_end(sub, change, clock, advance, books):
    once, more = (
        discount(code=code, percent_off=10, duration="repeating", periods=periods)
        for code, periods in (("a", 2), ("b", 1))
    )
    change(sub, discount=once)
    advance(clock, datetime(2026, 2, 16, tzinfo=UTC))
    sub.refresh_from_db()
    sub.customer.refresh_from_db()
    change(sub, discount=discounting.together([once, more]))
    ends = [
        (spec.start_on.isoformat(), spec.discount and str(spec.discount)) for spec in timelines.specs_of(sub)
    ]
    assert ends[-2:] == [("2026-02-16", "a + b"), ("2026-03-15", None)]
    once.refresh_from_db()
    more.refresh_from_db()
    assert (once.redemptions, more.redemptions) == (1, 1)


def test_a_discount_ends_on_its_day_although_a_change_waits_before_it(sub, change, clock, advance, books):
    change(sub, quantity=5, effective=date(2026, 2, 15))
    change(sub, discount=discount(percent_off=50, duration="repeating", periods=2))
    advance(clock, datetime(2026, 3, 20, tzinfo=UTC))
    assert [(spec.start_on.isoformat(), bool(spec.discount)) for spec in timelines.specs_of(sub)][-2:] == [
        ("2026-02-15", True), ("2026-03-15", False),
    ]  # fmt: skip
    assert billed(sub)[-2:] == [72_50, 145_00]


def test_the_same_discounts_are_one_row_however_often_they_are_given(clock, make_customer, subscribe, books):
    given = [discount(code=code, percent_off=10, duration="forever") for code in "ab"]
    for members in (given, given, given[::-1]):
        subscribe(make_customer(clock), discount=discounting.together(members))
    assert Discount.objects.exclude(parts=[]).count() == 2
    assert set(Discount.objects.filter(parts=[]).values_list("redemptions", flat=True)) == {3}


def test_it_refuses_one_of_several_by_name(clock, make_customer, subscribe):
    given = several({"percent_off": 10}, {"percent_off": 5, "max_redemptions": 1, "redemptions": 1})
    with pytest.raises(Refused) as refused:
        subscribe(make_customer(clock), discount=given)
    assert refused.value.code == "discount_used_up"
    assert not Discount.objects.exclude(parts=[]).exists()
    with pytest.raises(Refused) as refused:
        discounting.together([discount(code=f"e{n}") for n in range(6)])
    assert refused.value.code == "too_many_discounts"

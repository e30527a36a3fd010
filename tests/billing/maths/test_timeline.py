from collections.abc import Callable
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from billing.maths.discounts import Discount
from billing.maths.periods import Interval, Period
from billing.maths.pricing import Billed, Price, PriceKind, PriceModel, Tier
from billing.maths.timeline import (
    Entry,
    InvalidTimeline,
    Item,
    Phase,
    PhasesDoNotTouch,
    Timeline,
    arr,
    current_period,
    mrr,
    next_due,
    owed,
)

FOREVER = date(2030, 1, 1)


def d(text: str) -> date:
    return date.fromisoformat(f"2024-{text}" if len(text) == 5 else text)


def fee(key: str, amount: str, interval: str = "month", **more: Any) -> Price:
    more = {"kind": PriceKind.RECURRING, "model": PriceModel.FLAT, "currency": "USD"} | more
    return Price(key, interval=Interval(interval), unit_amount=D(amount), **more)


def seats(key: str, amount: str, **more: Any) -> Price:
    return fee(key, amount, model=PriceModel.PER_UNIT, **more)


def used(key: str, amount: str, interval: str = "month", **more: Any) -> Price:
    more = {"kind": PriceKind.USAGE, "model": PriceModel.PER_UNIT, "meter": "api"} | more
    return fee(key, amount, interval, **more)


def phase(start: str, end: str | None, *items: Price | Item, anchor: str = "01-01", **more: Any) -> Phase:
    bought = tuple(item if isinstance(item, Item) else Item(item) for item in items)
    return Phase(d(start), d(end) if end else None, d(anchor), bought, **more)


def ask(
    *phases: Phase,
    since: str = "2000-01-01",
    until: str = "2030-01-01",
    usage: Callable[[str, date, date], D] | None = None,
    credit_unused: bool = True,
) -> list[Entry]:
    timeline = Timeline(phases, credit_unused)
    return owed(timeline, since=d(since), until=d(until), usage=usage or (lambda *_: D(0)))


def brief(entries: list[Entry]) -> list[tuple[str, str, str, str, int]]:
    """(due, price, span start, span end, net), month-day."""
    return [
        (f"{e.due_on:%m-%d}", e.price_key, f"{e.span.start:%m-%d}", f"{e.span.end:%m-%d}", e.net)
        for e in entries
    ]


PRO, MAX = fee("pro", "29.00"), fee("max", "99.00")


def test_it_charges_each_period_at_its_start() -> None:
    entries = ask(phase("01-01", None, PRO), until="03-01")
    assert brief(entries) == [
        ("01-01", "pro", "01-01", "02-01", 2900),
        ("02-01", "pro", "02-01", "03-01", 2900),
        ("03-01", "pro", "03-01", "04-01", 2900),
    ]


def test_it_leaves_out_periods_that_ended_by_since() -> None:
    entries = ask(phase("01-01", None, PRO), since="02-01", until="02-15")
    assert brief(entries) == [("02-01", "pro", "02-01", "03-01", 2900)]


def test_it_fills_an_entry() -> None:
    item = Item(seats("seat", "10.00", label="Seats"), D(5))
    (entry,) = ask(phase("01-16", None, item, discount=Discount("ten", percent_off=D(10))), until="01-31")
    assert entry.kind == "charge"
    assert entry.key[:3] == ("advance", "seat", D(5))
    assert (entry.quantity, entry.unit_amount, entry.label, entry.billed) == (
        D(5),
        D("10.00"),
        "Seats",
        "advance",
    )
    assert (entry.gross, entry.discount, entry.net) == (2581, 258, 2323)
    assert entry.span == Period(d("01-16"), d("02-01"))
    assert entry.period == Period(d("01-01"), d("02-01"))
    assert entry.explanation == {
        "days": 16,
        "of_days": 31,
        "model": "per_unit",
        "quantity": "5",
        "unit": "10",
        "tiers": [],
        "rounding": "half away from zero, once",
        "policy": "advance",
        "discount": [{"label": "", "percent_off": "10", "off": 258}],
    }


def test_it_credits_the_unused_rest_and_charges_the_new_rest_on_a_change() -> None:
    old = (PRO, seats("seat", "10.00"))
    new = (MAX, seats("seat-max", "25.00"))
    entries = ask(phase("01-01", "01-16", *old), phase("01-16", None, *new), until="01-16")
    assert [entry.net for entry in entries] == [2900, 1000, -1497, -516, 5110, 1290]
    assert [entry.kind for entry in entries[2:]] == ["credit", "credit", "charge", "charge"]


def test_it_says_nothing_where_the_terms_stay_the_same() -> None:
    whole = ask(phase("01-01", None, PRO), until="06-01")
    cut = ask(
        phase("01-01", "01-10", PRO), phase("01-10", "03-20", PRO), phase("03-20", None, PRO), until="06-01"
    )
    assert cut == whole


def test_it_ignores_a_phase_replaced_on_the_day_it_began() -> None:
    undone = ask(
        phase("01-01", "01-10", PRO), phase("01-10", "01-10", MAX), phase("01-10", None, PRO), until="03-01"
    )
    assert undone == ask(phase("01-01", None, PRO), until="03-01")


def test_it_credits_only_the_item_that_changed() -> None:
    seat = seats("seat", "10.00")
    entries = ask(
        phase("01-01", "01-16", PRO, Item(seat, D(5))),
        phase("01-16", None, PRO, Item(seat, D(8))),
        until="01-20",
    )
    assert brief(entries)[2:] == [
        ("01-16", "seat", "01-16", "02-01", -2581),
        ("01-16", "seat", "01-16", "02-01", 4129),
    ]


@pytest.mark.parametrize(("credit_unused", "net"), [(True, [2900, -1497]), (False, [2900])])
def test_it_gives_back_the_rest_at_the_end_only_if_asked(credit_unused: bool, net: list[int]) -> None:
    entries = ask(phase("01-01", "01-16", PRO), credit_unused=credit_unused)
    assert [entry.net for entry in entries] == net


def test_it_credits_a_change_inside_even_when_the_end_gives_nothing_back() -> None:
    entries = ask(phase("01-01", "01-16", PRO), phase("01-16", "01-20", MAX), credit_unused=False)
    assert [entry.net for entry in entries] == [2900, -1497, 5110]


def test_it_costs_nothing_while_free() -> None:
    entries = ask(
        phase("01-01", "01-15", PRO, free=True), phase("01-15", None, PRO, anchor="01-15"), until="02-20"
    )
    assert brief(entries) == [
        ("01-15", "pro", "01-15", "02-15", 2900),
        ("02-15", "pro", "02-15", "03-15", 2900),
    ]


def test_it_gives_back_the_days_of_a_pause() -> None:
    entries = ask(
        phase("01-01", "01-11", PRO),
        phase("01-11", "01-21", PRO, free=True),
        phase("01-21", None, PRO),
        until="01-31",
    )
    assert brief(entries) == [
        ("01-01", "pro", "01-01", "02-01", 2900),
        ("01-11", "pro", "01-11", "02-01", -1965),
        ("01-21", "pro", "01-21", "02-01", 1029),
    ]


def test_it_settles_arrears_when_their_period_ends() -> None:
    late = fee("late", "910.00", "quarter", billed=Billed.ARREARS)
    assert brief(ask(phase("05-20", "06-21", late, anchor="04-01"))) == [
        ("06-21", "late", "05-20", "06-21", 32000)
    ]
    assert brief(ask(phase("05-20", None, late, anchor="04-01"), until="07-01")) == [
        ("07-01", "late", "05-20", "07-01", 42000)
    ]


def test_it_lets_arrears_of_a_dropped_price_wait_for_the_period_end() -> None:
    late = fee("late", "31.00", billed=Billed.ARREARS)
    entries = ask(phase("01-01", "01-11", late), phase("01-11", None, PRO), until="02-01")
    assert brief(entries) == [
        ("01-11", "pro", "01-11", "02-01", 1965),
        ("02-01", "late", "01-01", "01-11", 1000),
        ("02-01", "pro", "02-01", "03-01", 2900),
    ]


def test_it_settles_arrears_at_once_when_a_new_cycle_begins() -> None:
    late = fee("late", "31.00", billed=Billed.ARREARS)
    entries = ask(
        phase("01-01", "01-11", late),
        phase("01-11", None, fee("year", "300.00", "year"), anchor="01-11"),
        until="01-11",
    )
    assert brief(entries) == [
        ("01-11", "late", "01-01", "01-11", 1000),
        ("01-11", "year", "01-11", "01-11", 30000),
    ]


def test_it_prices_usage_of_each_stretch_and_does_not_prorate_it() -> None:
    quantities = {("01-01", "02-01"): D(1000), ("02-01", "02-15"): D(50), ("02-15", "03-01"): D(200)}
    old, new = (fee("rate", "10.00"), used("api", "0.10")), (fee("rate2", "20.00"), used("api2", "0.20"))
    entries = ask(
        phase("2023-01-01", "2023-02-15", *old, anchor="2023-01-01"),
        phase("2023-02-15", None, *new, anchor="2023-01-01"),
        until="2023-03-01",
        usage=lambda meter, start, end: quantities[f"{start:%m-%d}", f"{end:%m-%d}"],
    )
    assert [(f"{e.due_on:%m-%d}", e.price_key, e.net) for e in entries] == [
        ("01-01", "rate", 1000),
        ("02-01", "rate", 1000),
        ("02-01", "api", 10000),
        ("02-15", "rate", -500),
        ("02-15", "rate2", 1000),
        ("03-01", "api", 500),
        ("03-01", "rate2", 2000),
        ("03-01", "api2", 4000),
    ]


def test_it_keeps_the_key_of_usage_when_late_events_change_the_quantity() -> None:
    life = phase("01-01", None, used("api", "0.10"))
    before, after = (ask(life, until="02-01", usage=lambda *_, n=n: D(n)) for n in (5, 7))
    assert before[0].key == after[0].key
    assert (before[0].quantity, after[0].quantity) == (D(5), D(7))


def test_it_asks_only_for_usage_that_is_due() -> None:
    asked: list[tuple[str, date, date]] = []

    def usage(*question: Any) -> D:
        asked.append(question)
        return D(1)

    ask(phase("01-01", None, used("api", "0.10")), until="02-29", usage=usage)
    assert asked == [("api", d("01-01"), d("02-01"))]


def test_it_prorates_included_units_with_a_short_first_period() -> None:
    api = used("api", "2.50", included=D(20))
    (entry,) = ask(phase("2015-02-15", None, api), until="2015-03-01", usage=lambda *_: D(12))
    assert entry.net == 500
    assert entry.explanation["included"] == "10"
    assert entry.explanation["policy"] == "usage"


def test_it_merges_usage_over_a_change_of_the_fee() -> None:
    api = used("api", "1.00", included=D(10))
    entries = ask(
        phase("01-01", "01-16", PRO, api),
        phase("01-16", None, MAX, api),
        until="02-01",
        usage=lambda *_: D(11),
    )
    assert [e.net for e in entries if e.price_key == "api"] == [100]


def test_it_bills_monthly_usage_on_a_yearly_plan() -> None:
    entries = ask(
        phase("01-15", None, fee("year", "1200.00", "year"), used("api", "1.00"), anchor="01-15"),
        until="03-20",
        usage=lambda *_: D(3),
    )
    assert brief(entries) == [
        ("01-15", "year", "01-15", "01-15", 120000),
        ("02-15", "api", "01-15", "02-15", 300),
        ("03-15", "api", "02-15", "03-15", 300),
    ]


def test_it_starts_a_new_cycle_when_the_interval_changes() -> None:
    entries = ask(
        phase("2024-02-18", "2024-04-19", fee("year", "1000.00", "year"), anchor="2024-02-18"),
        phase("2024-04-19", None, fee("month", "100.00"), anchor="2024-04-19"),
        until="2024-04-19",
    )
    assert [entry.net for entry in entries] == [100000, -83333, 10000]


def test_it_bridges_to_a_moved_billing_day_without_charging_twice() -> None:
    entries = ask(phase("01-01", "01-10", PRO), phase("01-10", None, PRO, anchor="01-15"), until="02-14")
    assert brief(entries) == [
        ("01-01", "pro", "01-01", "02-01", 2900),
        ("01-10", "pro", "01-10", "02-01", -2058),
        ("01-10", "pro", "01-10", "01-15", 468),
        ("01-15", "pro", "01-15", "02-15", 2900),
    ]


def test_it_charges_a_one_time_price_once() -> None:
    setup = Price("setup", PriceKind.ONE_TIME, PriceModel.FLAT, None, "USD", D("500"))
    entries = ask(
        phase("01-01", "01-10", PRO, setup, free=True),
        phase("01-10", "02-20", PRO, setup, anchor="01-10"),
        phase("02-20", None, MAX, setup, anchor="01-10"),
        until="04-01",
    )
    assert [(f"{e.due_on:%m-%d}", e.net, e.span.days) for e in entries if e.price_key == "setup"] == [
        ("01-10", 50000, 1)
    ]


@pytest.mark.parametrize(("billed", "due"), [("advance", "02-04"), ("arrears", "03-01")])
def test_it_charges_the_whole_of_a_price_that_is_not_prorated(billed: str, due: str) -> None:
    whole = fee("whole", "2000.00", prorate=False, billed=Billed(billed))
    entries = ask(phase("02-04", None, whole), until="03-01")
    assert brief(entries)[0][:2] == (due, "whole")
    assert entries[0].net == 200000
    assert entries[0].explanation["policy"] == "whole"


def test_it_charges_nothing_for_a_change_inside_a_period_that_is_not_prorated() -> None:
    one, other = fee("one", "10.00", prorate=False), fee("other", "30.00", prorate=False)
    entries = ask(phase("01-01", "01-16", one), phase("01-16", None, other), until="02-01")
    assert brief(entries) == [
        ("01-01", "one", "01-01", "02-01", 1000),
        ("02-01", "other", "02-01", "03-01", 3000),
    ]


def test_more_units_that_cost_less_in_all_cost_nothing_where_it_is_not_prorated() -> None:
    stair = (Tier(D(5), D(10), D(0)), Tier(None, D(1), D(0)))
    volume = fee("volume", "0", model=PriceModel.VOLUME, tiers=stair, prorate=False)
    entries = ask(
        phase("01-01", "01-16", Item(volume, D(5))), phase("01-16", None, Item(volume, D(6))), until="01-31"
    )
    assert [entry.net for entry in entries] == [5000, 0]


def test_a_fixed_discount_is_not_taken_twice_of_a_period_that_is_not_prorated() -> None:
    each, off = seats("each", "10.00", prorate=False), Discount("five", amount_off=500)
    before = phase("01-01", "01-16", Item(each, D(1)), discount=off)
    entries = ask(before, phase("01-16", None, Item(each, D(2)), discount=off), until="01-31")
    assert [entry.net for entry in entries] == [500, 1000]


def test_the_period_is_that_of_the_longest_recurring_item() -> None:
    mixed = phase("01-01", None, fee("month", "1"), fee("year", "9", "year"), used("api", "1"))
    assert mixed.period_at(d("03-05")) == Period(d("01-01"), d("2025-01-01"))
    measured = phase("01-01", None, fee("quarter", "1", "quarter"), used("api", "1", "year"))
    assert measured.period_at(d("03-05")) == Period(d("01-01"), d("04-01"))


def test_it_charges_the_whole_after_a_trial_that_ends_inside_a_period() -> None:
    whole = fee("whole", "10.00", prorate=False)
    entries = ask(phase("01-01", "01-16", whole, free=True), phase("01-16", None, whole), until="01-31")
    assert brief(entries) == [("01-16", "whole", "01-16", "02-01", 1000)]


def test_it_changes_at_the_period_end_when_the_change_does_not_prorate() -> None:
    entries = ask(
        phase("01-01", "01-16", PRO, used("api", "1")),
        phase("01-16", None, MAX, prorate=False),
        until="02-01",
        usage=lambda *_: D(7),
    )
    assert brief(entries) == [
        ("01-01", "pro", "01-01", "02-01", 2900),
        ("02-01", "api", "01-01", "01-16", 700),
        ("02-01", "max", "02-01", "03-01", 9900),
    ]


def test_it_prorates_from_what_was_paid_after_a_change_that_did_not() -> None:
    entries = ask(
        phase("01-01", "01-11", PRO),
        phase("01-11", "01-16", MAX, prorate=False),
        phase("01-16", None, fee("top", "310.00")),
        until="01-31",
    )
    assert [(e.price_key, e.net) for e in entries] == [("pro", 2900), ("pro", -1497), ("top", 16000)]


def test_it_prorates_a_change_at_a_boundary_like_any_other() -> None:
    entries = ask(phase("01-01", "02-01", PRO), phase("02-01", None, MAX, prorate=False), until="02-10")
    assert [entry.net for entry in entries] == [2900, 9900]


QUARTER_OFF, HALF_OFF = Discount("q", percent_off=D(25)), Discount("h", percent_off=D(50))
FIX_25, FIX_50 = Discount("f25", amount_off=2500), Discount("f50", amount_off=5000)


@pytest.mark.parametrize(
    ("before", "after", "credit", "charge"),
    [
        (QUARTER_OFF, HALF_OFF, -3750, 25000),
        (None, HALF_OFF, -5000, 25000),
        (QUARTER_OFF, None, -3750, 50000),
        (FIX_25, FIX_50, -3750, 47500),
    ],
)
def test_it_discounts_what_it_credits_and_what_it_charges(
    before: Discount | None, after: Discount | None, credit: int, charge: int
) -> None:
    entries = ask(
        phase("06-01", "06-16", fee("old", "100"), discount=before),
        phase("06-16", None, fee("new", "1000"), discount=after),
        until="06-20",
    )
    assert [entry.net for entry in entries[1:]] == [credit, charge]


def test_it_shares_a_fixed_discount_over_the_recurring_items() -> None:
    entries = ask(
        phase(
            "01-01",
            None,
            PRO,
            seats("seat", "10.00"),
            used("api", "1"),
            discount=Discount("d", amount_off=1000),
        ),
        until="02-01",
        usage=lambda *_: D(4),
    )
    assert [(e.price_key, e.discount) for e in entries[:2]] == [("pro", 744), ("seat", 256)]
    assert [(e.price_key, e.gross, e.discount) for e in entries if e.price_key == "api"] == [("api", 400, 0)]


def test_usage_has_what_the_fee_leaves_by_the_days_that_have_the_discount() -> None:
    """10.00 of 39.00 for 15 days of January, over two meters of which one changes its price with the discount's end."""
    off = Discount("d", amount_off=39_00)
    api, disk = used("api", "1"), used("disk", "1")
    entries = ask(
        phase("01-01", "01-16", PRO, api, disk, discount=off),
        phase("01-16", None, PRO, api, used("disk-2", "2")),
        until="02-01",
        usage=lambda *_: D(4),
    )
    taken = [(e.price_key, e.gross, e.discount) for e in entries if e.price_key != "pro"]
    assert taken == [("api", 400, 242), ("api", 400, 0), ("disk", 400, 242), ("disk-2", 800, 0)]


def test_several_discounts_reach_usage_in_their_order_and_say_so() -> None:
    steps = Discount("s", parts=(Discount("a", percent_off=D(50)), Discount("b", amount_off=300)))
    api = ask(phase("01-01", None, used("api", "1"), discount=steps), until="02-01", usage=lambda *_: D(10))[
        0
    ]
    assert (api.gross, api.discount) == (1000, 800)
    assert [step["off"] for step in api.explanation["discount"]] == [500, 300]


def test_usage_of_another_interval_has_no_part_in_a_fixed_discount() -> None:
    yearly = fee("yearly", "10.00", interval=Interval.YEAR)
    entries = ask(
        phase("01-01", None, yearly, used("api", "1"), discount=Discount("d", amount_off=99_00)),
        until="02-01",
        usage=lambda *_: D(4),
    )
    assert [(e.price_key, e.discount) for e in entries] == [("yearly", 1000), ("api", 0)]


def test_it_never_discounts_below_nothing() -> None:
    entries = ask(phase("01-16", None, PRO, discount=Discount("d", amount_off=99999)), until="01-20")
    assert [(e.gross, e.net) for e in entries] == [(1497, 0)]


def test_it_takes_a_percentage_off_usage_too() -> None:
    entries = ask(
        phase("01-01", None, used("api", "1"), discount=HALF_OFF), until="02-01", usage=lambda *_: D(5)
    )
    assert [(e.gross, e.discount) for e in entries] == [(500, 250)]


def test_it_applies_minimum_and_maximum_by_days() -> None:
    plan = fee("plan", "1000.00", minimum=D("10000"), billed=Billed.ARREARS)
    came_to, added = ask(phase("2023-02-04", None, plan), until="2023-03-01")
    assert (came_to.net, added.net) == (89286, 803571)
    assert (added.true_up, added.quantity) == (True, 1)
    assert added.explanation == {
        "days": 25, "of_days": 28, "minimum": 892857, "came_to": 89286, "policy": "minimum",
        "rounding": "half away from zero, once",
    }  # fmt: skip
    (entry,) = ask(
        phase("01-01", None, used("api", "1", maximum=D(50))), until="02-01", usage=lambda *_: D(70)
    )
    assert (entry.net, entry.explanation["maximum"], entry.explanation["unlimited"]) == (5000, 5000, 7000)


def test_it_asks_for_no_minimum_that_is_reached() -> None:
    month = phase("01-01", None, used("api", "1", minimum=D(5)))
    for units, parts in (("0", [0, 500]), ("4.99", [499, 1]), ("5", [500]), ("7", [700])):
        entries = ask(month, until="02-01", usage=lambda *_, had=D(units): had)
        assert [entry.gross for entry in entries] == parts


def test_a_known_end_is_not_paid_for_first_whatever_lies_between() -> None:
    """The phase in which it ends begins later than the day asked about, on the same terms."""
    entries = ask(phase("01-01", "01-20", PRO), phase("01-20", "01-25", PRO), until="01-05")
    assert [(entry.kind, entry.net) for entry in entries] == [("charge", 2900), ("credit", -655)]


def test_a_minimum_in_advance_is_given_back_with_its_price() -> None:
    seat = Item(fee("seat", "10.00", model=PriceModel.PER_UNIT, minimum=D(31)), D(1))
    off = Discount("ten", percent_off=D(10))
    entries = ask(phase("01-01", "01-16", seat, discount=off), until="01-16")
    assert [(e.kind, e.true_up, e.gross, e.discount) for e in entries] == [
        ("charge", False, 1000, 100), ("charge", True, 2100, 210),
        ("credit", False, -516, -52), ("credit", True, -1084, -108),
    ]  # fmt: skip


@pytest.mark.parametrize(("prorate", "least"), [(True, 1600), (False, 3100)])
def test_the_minimum_of_usage_is_whole_where_its_price_is_not_prorated(prorate: bool, least: int) -> None:
    api = used("api", "1", minimum=D(31), prorate=prorate)
    _, added = ask(phase("01-16", None, api, anchor="01-01"), until="02-01", usage=lambda *_: D(0))
    assert added.net == least


def test_it_explains_tiers_in_plain_values() -> None:
    api = used(
        "api", "0", model=PriceModel.GRADUATED, tiers=(Tier(D(5), D(10), D(100)), Tier(None, D(5), D(50)))
    )
    (entry,) = ask(phase("01-01", None, api), until="02-01", usage=lambda *_: D("8.5"))
    assert entry.explanation["tiers"] == [
        {
            "from": "0",
            "to": "5",
            "quantity": "5",
            "unit_amount": "10",
            "flat_amount": "100",
            "amount": "15000",
        },
        {
            "from": "5",
            "to": None,
            "quantity": "3.5",
            "unit_amount": "5",
            "flat_amount": "50",
            "amount": "6750",
        },
    ]


@pytest.mark.parametrize(
    ("phases", "after", "due"),
    [
        ([phase("01-01", None, PRO)], "01-01", "02-01"),
        ([phase("01-01", None, PRO)], "2023-06-01", "01-01"),
        ([phase("01-01", "01-16", PRO), phase("01-16", None, MAX)], "01-05", "01-16"),
        ([phase("01-01", "01-16", PRO), phase("01-16", None, PRO)], "01-05", "02-01"),
        ([phase("01-01", "01-16", PRO)], "01-05", "01-16"),
        ([phase("01-01", "01-16", PRO)], "01-16", None),
        ([phase("01-01", "02-01", PRO)], "01-01", "02-01"),
        (
            [phase("01-01", "2026-01-10", PRO, free=True), phase("2026-01-10", None, PRO)],
            "01-05",
            "2026-01-10",
        ),
        ([phase("01-01", "01-16", used("api", "1", "year")), phase("01-16", None)], "01-20", "2025-01-01"),
        ([phase("01-01", None)], "01-20", None),
        ([phase("01-01", "01-31", PRO), phase("01-31", None, PRO, free=True)], "01-31", None),
        ([phase("01-01", None, fee("y", "1", "year"), used("api", "1"))], "01-20", "02-01"),
    ],
)
def test_it_knows_the_next_due_day(phases: list[Phase], after: str, due: str | None) -> None:
    assert next_due(Timeline(tuple(phases)), after=d(after)) == (d(due) if due else None)


def test_it_shows_the_current_notional_period() -> None:
    life = Timeline(
        (phase("01-10", "03-05", PRO, anchor="01-31"), phase("03-05", "04-01", used("a", "1", "year"), PRO))
    )
    assert current_period(life, d("02-15")) == Period(d("01-31"), d("02-29"))
    assert current_period(life, d("03-05")) == Period(d("03-01"), d("04-01"))
    assert current_period(life, d("01-09")) is None
    assert current_period(life, d("04-01")) is None
    assert current_period(Timeline((phase("01-01", None),)), d("01-09")) is None


def test_it_measures_recurring_revenue() -> None:
    items = (
        Item(fee("y", "1000.00", "year")),
        Item(seats("s", "10.00", interval="month"), D(3)),
        Item(used("api", "5")),
        Item(fee("w", "7.00", "week")),
        Item(fee("h", "60", "half_year")),
    )
    assert mrr(items[:1]) == 8333
    assert arr(items[:1]) == 100000
    assert mrr(items) == 15367  # 8333.33 + 3000 + 3033.33 + 1000, rounded once
    assert arr(items) == 100000 + 36000 + 36400 + 12000
    assert mrr(items[:2], HALF_OFF) == 5667
    assert mrr(items[1:3], Discount("d", amount_off=1000)) == 2000
    assert mrr(()) == 0


@pytest.mark.parametrize(
    "phases",
    [
        (phase("01-01", "01-10", PRO), phase("01-11", None, PRO)),
        (phase("01-01", "01-10", PRO), phase("01-09", None, PRO)),
        (phase("01-01", None, PRO), phase("01-09", None, PRO)),
        (phase("01-10", "01-01", PRO),),
    ],
)
def test_it_refuses_phases_that_do_not_touch(phases: tuple[Phase, ...]) -> None:
    with pytest.raises(PhasesDoNotTouch):
        Timeline(phases)


@pytest.mark.parametrize(
    "phases",
    [
        (),
        (phase("01-01", None, PRO, PRO),),
        (phase("01-01", "01-10", PRO), phase("01-10", None, fee("eur", "5", currency="EUR"))),
    ],
)
def test_it_refuses_what_cannot_be_one_subscription(phases: tuple[Phase, ...]) -> None:
    with pytest.raises(InvalidTimeline):
        Timeline(phases)


def test_it_charges_the_whole_after_a_stretch_of_mere_usage() -> None:
    whole = fee("whole", "10.00", prorate=False)
    entries = ask(phase("01-01", "01-16", used("api", "1")), phase("01-16", None, whole), until="01-31")
    assert brief(entries) == [("01-16", "whole", "01-16", "02-01", 1000)]


def test_it_does_not_ask_to_pay_first_what_lies_beyond_a_known_end() -> None:
    entries = ask(phase("01-01", "02-11", PRO), until="02-01")
    assert brief(entries)[1:] == [
        ("02-01", "pro", "02-01", "03-01", 2900),
        ("02-01", "pro", "02-11", "03-01", -1900),
    ]


def test_it_gives_back_what_was_charged_before_the_end_was_decided_at_the_end() -> None:
    ends_in_march = (phase("01-01", "03-11", PRO),)
    charges = [("01-01", 2900), ("02-01", 2900), ("03-01", 2900)]
    for known, credited_on in (("02-20", "03-01"), ("03-01", "03-11"), ("03-05", "03-11")):
        timeline = Timeline(ends_in_march, known_on=d(known))
        found = owed(timeline, since=d("01-01"), until=d("04-01"), usage=lambda *_: D(0))
        assert sorted((f"{e.due_on:%m-%d}", e.net) for e in found) == sorted([*charges, (credited_on, -1965)])


def test_what_began_at_different_times_is_equal_for_the_periods_that_are_asked_about() -> None:
    seat = seats("seat", "10")
    old, new = (Timeline((phase(start, None, seat, anchor=start),)) for start in ("2021-05-03", "02-03"))
    assert old != new
    assert old.recent(d("03-10")) == new.recent(d("03-10"))
    fresh = Timeline((phase("03-05", None, seat, anchor="02-03"),))
    assert fresh.recent(d("03-10")).start == d("03-05")
    once = Price("setup", PriceKind.ONE_TIME, PriceModel.FLAT, None, "USD", D("500"))
    setup = Timeline((phase("02-03", None, seat, once),))
    assert setup.recent(d("03-10")) is setup

"""What must hold for every timeline: random phases, prices, discounts, trials, pauses, moved billing days."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from fractions import Fraction as F
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.maths import stretches
from billing.maths.discounts import Discount
from billing.maths.money import round_ratio
from billing.maths.periods import Interval
from billing.maths.phases import in_force
from billing.maths.pricing import Billed, Price, PriceKind, PriceModel, Tier, amount
from billing.maths.statement import difference, key_of, key_text, unsaid
from billing.maths.stretches import claims
from billing.maths.timeline import Entry, Item, Phase, Timeline, next_due, owed

BEGINNING = date(2023, 10, 1)
LONG_AGO, LAST_DAY = date(2020, 1, 1), date(2026, 6, 30)
DAY = timedelta(days=1)
STAIR = (Tier(D(5), D(10), D(100)), Tier(D("20.5"), D("7.33"), D(0)), Tier(None, D("0.001"), D(50)))


def price(key: str, model: PriceModel, interval: Interval, unit: str, **more: Any) -> Price:
    kind = PriceKind.USAGE if "meter" in more else PriceKind.RECURRING
    return Price(key, kind, model, interval, "USD", D(unit), **more)


CATALOGUE = (
    price("flat-month", PriceModel.FLAT, Interval.MONTH, "29.99"),
    price("flat-year", PriceModel.FLAT, Interval.YEAR, "1188"),
    price("seat-month", PriceModel.PER_UNIT, Interval.MONTH, "10.05"),
    price("seat-quarter", PriceModel.PER_UNIT, Interval.QUARTER, "30.333"),
    price("stair-week", PriceModel.GRADUATED, Interval.WEEK, "0", tiers=STAIR),
    price("late-month", PriceModel.FLAT, Interval.MONTH, "99.95", billed=Billed.ARREARS),
    price("late-half", PriceModel.VOLUME, Interval.HALF_YEAR, "0", tiers=STAIR, billed=Billed.ARREARS),
    price("api", PriceModel.GRADUATED, Interval.MONTH, "0", tiers=STAIR, meter="api", included=D(3)),
    price("store", PriceModel.PER_UNIT, Interval.QUARTER, "0.5", meter="store", minimum=D(5)),
    price("pack", PriceModel.PACKAGE, Interval.MONTH, "15", package_size=D(10), meter="pack", maximum=D(40)),
    price("least", PriceModel.PER_UNIT, Interval.MONTH, "1.01", minimum=D(9)),
    price("whole", PriceModel.FLAT, Interval.MONTH, "7.77", prorate=False),
    price("each", PriceModel.PER_UNIT, Interval.MONTH, "3.33", prorate=False, minimum=D(5), maximum=D(100)),
    Price("setup", PriceKind.ONE_TIME, PriceModel.FLAT, None, "USD", D("500")),
)
PRORATED = tuple(p for p in CATALOGUE if p.kind == PriceKind.RECURRING and p.prorate)

items = st.builds(Item, st.sampled_from(CATALOGUE), st.sampled_from([D(1), D(3), D("2.5"), D(40)]))
baskets = st.lists(items, max_size=4, unique_by=lambda item: item.price.key).map(tuple)
prorated_items = st.builds(Item, st.sampled_from(PRORATED), st.sampled_from([D(1), D(3), D("2.5"), D(40)]))
prorated_baskets = st.lists(
    prorated_items, min_size=1, max_size=3, unique_by=lambda item: item.price.key
).map(tuple)
discounts = st.sampled_from(
    [
        None,
        None,
        Discount("ten", percent_off=D(10)),
        Discount("third", percent_off=D("33.3")),
        Discount("fix", amount_off=777),
        Discount(
            "three",
            parts=(
                Discount("p", percent_off=D(7)),
                Discount("f", amount_off=501),
                Discount("q", percent_off=D("12.5")),
            ),
        ),
    ]
)
days = st.dates(BEGINNING, BEGINNING + timedelta(days=500))


@st.composite
def timelines(
    draw: st.DrawFn, basket: st.SearchStrategy[tuple[Item, ...]] = baskets, plain: bool = False
) -> Timeline:
    cuts = sorted(draw(st.lists(days, min_size=2, max_size=6)))
    ends: list[date | None] = [*cuts[1:]]
    if draw(st.booleans()):
        cuts, ends = cuts, [*cuts[1:], None]
    anchor = draw(days)
    phases = []
    for start, end in zip(cuts, ends, strict=False):
        if draw(st.integers(0, 4)) == 0:
            anchor = draw(st.just(start) | days)
        free = not plain and draw(st.integers(0, 5)) == 0
        prorate = plain or draw(st.integers(0, 4)) > 0
        discount = None if plain else draw(discounts)
        phases.append(Phase(start, end, anchor, draw(basket), discount, free, prorate))
    return Timeline(tuple(phases), draw(st.booleans()))


def usage(meter: str, start: date, end: date) -> D:
    """Additive over days, as a meter that sums is."""
    return D(sum((day * 7 + len(meter)) % 5 for day in range(start.toordinal(), end.toordinal()))) / 4


def ask(timeline: Timeline, until: date = LAST_DAY, since: date = LONG_AGO) -> list[Entry]:
    return owed(timeline, since=since, until=until, usage=usage)


def money(entries: list[Entry]) -> int:
    return sum(entry.net for entry in entries)


Said = dict[str, tuple[int, int]]


def bill(timeline: Timeline, said: Said, until: date, since: date = LONG_AGO) -> None:
    for line in unsaid(timeline, said, since=since, until=until, usage=usage):
        gross, discount = said.get(line.key, (0, 0))
        said[line.key] = gross + line.gross, discount + line.discount


def spoken(said: Said) -> Said:
    return {key: amounts for key, amounts in said.items() if any(amounts)}


def as_said(entries: list[Entry]) -> Said:
    return spoken({key_text(entry.key): (entry.gross, entry.discount) for entry in entries})


@given(timelines())
def test_no_two_entries_share_a_key(timeline: Timeline) -> None:
    texts = [key_text(entry.key) for entry in ask(timeline)]
    assert len(set(texts)) == len(texts)
    assert all(key_text(key_of(text)) == text for text in texts)


@given(timelines())
def test_entries_come_in_time_order_and_inside_their_periods(timeline: Timeline) -> None:
    entries = ask(timeline)
    assert [e.due_on for e in entries] == sorted(e.due_on for e in entries)
    for e in entries:
        assert e.period.start <= e.span.start < e.span.end <= e.period.end
        assert e.due_on <= e.period.end if e.kind == "charge" else e.due_on <= e.span.start
        assert e.due_on >= e.span.start or e.kind == "credit"
        assert timeline.start <= e.span.start
        assert abs(e.discount) <= abs(e.gross)
        assert e.gross * e.discount >= 0


@given(timelines(), days, st.integers(0, 200))
def test_running_late_is_running_on_time(timeline: Timeline, until: date, later: int) -> None:
    soon, late = ask(timeline, until), ask(timeline, until + timedelta(days=later))
    assert soon == [entry for entry in late if entry.due_on <= until]


@given(timelines(), days)
def test_since_only_leaves_out(timeline: Timeline, since: date) -> None:
    assert ask(timeline, since=since) == [entry for entry in ask(timeline) if entry.period.end > since]


@given(timelines())
def test_what_was_said_is_said(timeline: Timeline) -> None:
    entries = ask(timeline)
    assert difference(entries, {key_text(e.key): (e.gross, e.discount) for e in entries}) == []


@given(timelines(), st.lists(days, max_size=8), days)
def test_runs_in_any_rhythm_say_the_same(timeline: Timeline, runs: list[date], until: date) -> None:
    said: Said = {}
    for day in [*runs, until]:
        bill(timeline, said, day)
    assert spoken(said) == as_said(ask(timeline, max([*runs, until])))


@given(timelines(), timelines(), days, days)
def test_whatever_was_said_before_the_papers_end_up_right(
    first: Timeline, second: Timeline, early: date, late: date
) -> None:
    early, late = sorted([early, late])
    said: Said = {}
    bill(first, said, early)
    bill(second, said, late)
    assert spoken(said) == as_said(ask(second, late))


@given(timelines(), days)
def test_cutting_a_phase_in_two_changes_nothing(timeline: Timeline, cut: date) -> None:
    phases: list[Phase] = []
    for phase in timeline.phases:
        if cut in phase and cut > phase.start:
            phases += [replace(phase, end=cut), replace(phase, start=cut, prorate=True)]
        else:
            phases.append(phase)
    timeline = in_force(timeline)
    if all(phase.prorate for phase in phases):
        assert ask(replace(timeline, phases=tuple(phases))) == ask(timeline)


@given(timelines(), baskets, days)
def test_a_change_undone_on_the_same_day_leaves_the_same_money(
    timeline: Timeline, basket: tuple[Item, ...], day: date
) -> None:
    phase = in_force(timeline).phase_at(day)
    if phase is None or day == phase.start:
        return
    timeline = in_force(timeline)
    phase = timeline.phase_at(day)
    assert phase is not None
    at = timeline.phases.index(phase)
    before, after = replace(phase, end=day), replace(phase, start=day, prorate=True)

    def built(*middle: Phase) -> Timeline:
        return replace(timeline, phases=(*timeline.phases[:at], *middle, *timeline.phases[at + 1 :]))

    changed = built(before, replace(after, items=basket))
    undone = built(before, replace(after, items=basket, end=day), after)
    said: Said = {}
    for state in (timeline, changed, undone):
        bill(state, said, day)
    assert spoken(said) == as_said(ask(timeline, day))


@given(timelines(), days)
def test_the_next_due_day_is_the_next_due_day(timeline: Timeline, after: date) -> None:
    due = [entry.due_on for entry in ask(timeline)] + ([timeline.end] if timeline.end else [])
    assert next_due(timeline, after=after) == min((day for day in due if day > after), default=None)


@given(timelines(), days, days)
def test_what_one_phase_claims_is_the_same_with_and_without_a_short_cut(
    timeline: Timeline, since: date, until: date
) -> None:
    """Its days are remembered for any quantity and discount, and for any start before them: claims are as if they were
    cut for these."""
    for phase in timeline.phases:
        alone = replace(timeline, phases=(phase,))
        cut = stretches._cut_up(alone, since, until)
        assert claims(alone, since, until) == cut
        assert claims(alone.recent(since), since, until) == cut


@given(timelines(prorated_baskets, plain=True))
def test_the_sum_is_that_of_the_days(timeline: Timeline) -> None:
    """An independent count, day by day in exact fractions; each entry may differ by half a cent."""
    ended = replace(timeline, credit_unused=True)
    last = ended.phases[-1]
    if last.end is None:
        ended = replace(ended, phases=(*ended.phases[:-1], replace(last, end=LAST_DAY)))
    entries = ask(ended, LAST_DAY)
    assert abs(money(entries) - _by_days(ended)) <= F(len(entries), 2)


def _by_days(timeline: Timeline) -> F:
    counted = Counter[tuple[Item, int]]()
    for phase in timeline.phases:
        day = phase.start
        while phase.end and day < phase.end:
            counted.update((item, item.cycle(phase.anchor).period_at(day).days) for item in phase.items)
            day += DAY
    return sum(
        (amount(item.price, item.quantity) * days / of_days for (item, of_days), days in counted.items()),
        F(0),
    )


@given(timelines(prorated_baskets, plain=True))
def test_no_period_ends_up_below_nothing(timeline: Timeline) -> None:
    kept: dict[tuple[Any, ...], int] = {}
    for entry in ask(replace(timeline, credit_unused=True)):
        if entry.billed == Billed.ADVANCE:
            key = (entry.price_key, entry.period.start, entry.period.end)
            kept[key] = kept.get(key, 0) + entry.net
    assert all(net >= 0 for net in kept.values())


EACH = price("each", PriceModel.PER_UNIT, Interval.MONTH, "10", prorate=False)
LATER = price("each-later", PriceModel.PER_UNIT, Interval.MONTH, "10", prorate=False, billed=Billed.ARREARS)


@given(st.sampled_from([EACH, LATER]), st.lists(st.tuples(days, st.integers(0, 9)), min_size=1, max_size=8))
def test_what_is_not_prorated_costs_the_most_units_of_each_month(
    price: Price, changes: list[tuple[date, int]]
) -> None:
    """An independent count: in a month of the calendar the most that there were on any day of it."""
    changes = sorted(dict(changes).items())
    ends = [*(day for day, _ in changes[1:]), date(2025, 6, 1)]
    phases = [
        Phase(start, end, date(2024, 1, 1), (Item(price, D(units)),))
        for (start, units), end in zip(changes, ends, strict=True)
    ]
    most: dict[tuple[int, int], int] = {}
    for phase in phases:
        day = phase.start
        while phase.end and day < phase.end:
            month = day.year, day.month
            most[month] = max(most.get(month, 0), int(phase.items[0].quantity))
            day += DAY
    assert money(ask(Timeline(tuple(phases)))) == 1000 * sum(most.values())


@given(timelines())
def test_a_timeline_without_proration_flags_is_in_force_as_it_is(timeline: Timeline) -> None:
    charged = in_force(timeline)
    assert charged.start == timeline.start
    assert charged.end == timeline.end
    assert Timeline(charged.phases) is not None
    plain = replace(timeline, phases=tuple(replace(phase, prorate=True) for phase in timeline.phases))
    assert in_force(plain) is plain


@given(timelines())
def test_an_explanation_is_enough_to_compute_the_amount_again(timeline: Timeline) -> None:
    for entry in ask(timeline):
        assert abs(entry.gross) == _computed(entry.explanation)
        assert abs(entry.discount) == sum(step["off"] for step in entry.explanation.get("discount", ()))


def _computed(told: dict[str, Any]) -> int:
    if told["policy"] == "minimum":
        return int(told["minimum"] - told["came_to"])
    exact = sum((F(tier["amount"]) for tier in told["tiers"]), F(0)) if told["tiers"] else _untiered(told)
    if told["policy"] != "usage":
        exact = exact * told["days"] / told["of_days"]
    cents = round_ratio(exact)
    if told.get("maximum") is not None:
        cents = min(cents, told["maximum"])
    return max(cents - told["beyond"]["amount"], 0) if "beyond" in told else cents


def _untiered(told: dict[str, Any]) -> F:
    units = F(told["quantity"]) - F(told.get("included", 0))
    if units <= 0:
        return F(0)
    counted = {"flat": F(1), "package": F(ceil(units / F(told.get("package_size", 1))))}.get(
        told["model"], units
    )
    return counted * F(told["unit"]) * 100

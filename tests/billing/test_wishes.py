"""Changes in any order of asking come to the terms that they would have come to in the order of their days."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import subscribing, wishes
from billing.choosing import choose_items, interval_of
from billing.models import Plan
from billing.refusals import Refused
from billing.timelines import PhaseSpec, spec_on
from billing.wishes import Wish

pytestmark = pytest.mark.django_db
START, TODAY = date(2026, 1, 31), date(2026, 3, 20)


def first() -> PhaseSpec:
    """Three seats of Pro by the month."""
    plan = Plan.objects.get(code="pro")
    items = choose_items(plan, interval="month", currency="USD", quantity=3)
    return PhaseSpec(
        plan=plan, items=items, start_on=START, end_on=None, anchor_on=START, motion=plan.motion,
        collection_method="charge_automatically",
    )  # fmt: skip


def seats_of(code: str) -> str:
    """The code of the per-unit price, by the month and by the year alike where a plan calls them so."""
    return next(price.code for price in Plan.objects.get(code=code).prices.all() if price.model == "per_unit")


def wish(said: dict) -> Wish:
    given = dict(said)
    if "plan" in given:
        given["plan"] = Plan.objects.get(code=given["plan"])
    if "seats" in given:
        given["quantities"] = {seats_of("pro"): Decimal(given.pop("seats"))}
    return Wish(**given)


def asked(specs: list[PhaseSpec], one: Wish, on: date) -> list[PhaseSpec]:
    """As `subscribing.change` rewrites phases."""
    old = spec_on(specs, on)
    return wishes.follow(subscribing._with_wish(specs, old, one, on, TODAY, on, ""), on)


def terms_on(specs: list[PhaseSpec], day: date) -> tuple:
    found = spec_on(specs, day)
    counts = {price.code: quantity for price, quantity in found.items}
    return (
        found.plan.code,
        interval_of(found),
        found.anchor_on,
        counts,
        found.net_days,
        found.collection_method,
    )


SAID = st.one_of(
    st.builds(lambda n: {"quantity": Decimal(n)}, st.integers(1, 9)),
    st.builds(lambda n: {"seats": n}, st.integers(1, 9)),
    st.builds(lambda code: {"plan": code}, st.sampled_from(["starter", "pro", "business"])),
    st.builds(lambda each: {"interval": each}, st.sampled_from(["month", "year"])),
    st.builds(lambda days: {"net_days": days}, st.sampled_from([0, 15, 60])),
    st.builds(lambda day: {"anchor": day}, st.sampled_from([1, 15, 31, "calendar"])),
    st.just({"collection_method": "send_invoice"}),
    st.just("taken back"),
)
# A few days, so that several changes meet on one of them: before, on and after today.
DAYS = st.sampled_from(
    [date(2026, 2, 10), date(2026, 2, 28), date(2026, 3, 20), date(2026, 4, 1), date(2026, 4, 30)]
)


def taken_back(specs: list[PhaseSpec], on: date) -> list[PhaseSpec]:
    """As `subscribing.remove_change` does with all that waits for the day."""
    gone = next((s for s in specs if s.start_on == on > TODAY), None)
    return wishes.without(specs, gone) if gone else specs


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(DAYS, SAID), min_size=2, max_size=6))
def test_the_order_of_asking_does_not_matter(catalogue, steps):
    specs, done = [first()], []
    for on, said in steps:
        if said == "taken back":
            specs, done = taken_back(specs, on), [step for step in done if step[0] != on or on <= TODAY]
            continue
        try:
            specs = asked(specs, wish(said), on)
        except Refused:
            continue
        done.append((on, said))
    in_order = [replace(first())]
    for on, said in sorted(done, key=lambda step: step[0]):
        in_order = [
            *(replace(s, end_on=on) if s.covers(on) else s for s in in_order),
            replace(in_order[-1], start_on=on, end_on=None, **wishes.terms(in_order[-1], wish(said), on)),
        ]
    for n in range(120):
        day = START + timedelta(days=n)
        assert terms_on(specs, day) == terms_on(in_order, day), day

from decimal import Decimal as D
from fractions import Fraction as F
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.maths.periods import Interval
from billing.maths.pricing import (
    Billed,
    InvalidPrice,
    PerTransaction,
    Price,
    PriceKind,
    PriceModel,
    Tier,
    amount,
    amount_ratio,
    explain,
    spend_limits,
    unlimited_ratio,
)


def make(model: str, unit: str = "0", *tiers: tuple[str | None, str, str], **more: Any) -> Price:
    rows = tuple(Tier(None if up_to is None else D(up_to), D(one), D(flat)) for up_to, one, flat in tiers)
    more = {"kind": PriceKind.RECURRING, "interval": Interval.MONTH, "currency": "USD"} | more
    return Price("p", model=PriceModel(model), unit_amount=D(unit), tiers=rows, **more)


def least(unit: str = "0", model: str = "flat", **more: Any) -> Price:
    return make(model, unit, **{"kind": PriceKind.MINIMUM, "minimum": D(5), "billed": Billed.ARREARS} | more)


def of_each(**terms: Any) -> Any:
    """A percentage of usage that takes something of every event."""
    return make(
        "percentage", "2", kind=PriceKind.USAGE, meter="paid", per_transaction=PerTransaction(**terms)
    )


STAIR = (("5", "10", "100"), (None, "5", "50"))
DECIMAL_STAIR = (("0.5", "2", "0"), ("10.25", "1", "1"), (None, "0.001", "0"))


@pytest.mark.parametrize(
    ("price", "quantity", "cents"),
    [
        (make("flat", "29"), "1", 2900),
        (make("flat", "29"), "17", 2900),
        (make("flat", "29"), "0", 0),
        (make("flat", "29", included=D(5)), "1", 2900),
        (make("per_unit", "0.0002"), "1000000", 20000),
        (make("per_unit", "0.000000000001"), "1", F(1, 10**10)),
        (make("per_unit", "10", included=D(3)), "5", 2000),
        (make("per_unit", "10", included=D(3)), "2.5", 0),
        (make("per_unit", "10"), "-4", 0),
        (make("per_unit", "100", currency="JPY"), "3", 300),
        (make("per_unit", "0.125", currency="KWD"), "3", 375),
        (make("graduated", "0", *STAIR), "0", 0),
        (make("graduated", "0", *STAIR), "3", 13000),
        (make("graduated", "0", *STAIR), "5", 15000),
        (make("graduated", "0", *STAIR), "8", 21500),
        (make("graduated", "0", *DECIMAL_STAIR), "0.5", 100),
        (make("graduated", "0", *DECIMAL_STAIR), "1.5", 300),
        (make("graduated", "0", *DECIMAL_STAIR), "20.25", 1176),
        (make("volume", "0", *STAIR), "5", 15000),
        (make("volume", "0", *STAIR), "5.001", F(750050, 100)),
        (make("volume", "0", *STAIR), "0", 0),
        (make("package", "15", package_size=D(10)), "0", 0),
        (make("package", "15", package_size=D(10)), "10", 1500),
        (make("package", "15", package_size=D(10)), "10.01", 3000),
        (make("package", "1", package_size=D("0.25"), included=D(1)), "1.3", 200),
        (make("percentage", "2.99"), "10090", F(301691, 10)),
        (make("percentage", "0", ("10", "1", "200"), (None, "2", "300")), "12", 50014),
        (make("per_unit", "10", minimum=D(50)), "2", 5000),
        (make("per_unit", "10", minimum=D(50)), "0", 5000),
        (make("per_unit", "10", maximum=D(50)), "7", 5000),
        (make("per_unit", "10", minimum=D(20), maximum=D(50)), "3", 3000),
    ],
)
def test_it_prices_a_whole_period(price: Price, quantity: str, cents: int | F) -> None:
    assert amount(price, D(quantity)) == cents


def test_it_shrinks_allowances_with_the_days_measured() -> None:
    price = make("per_unit", "10", included=D(20), minimum=D(10), maximum=D(100))
    half = F(1, 2)
    assert amount(price, D(12), half) == 2000
    assert amount(price, D(10), half) == 500
    assert amount(price, D(100), half) == 5000
    assert spend_limits(price, half) == (500, 5000)


def test_it_leaves_the_included_units_whole_when_not_prorated() -> None:
    assert amount(make("per_unit", "10", included=D(20), prorate=False), D(21), F(1, 31)) == 1000


def test_it_tells_what_it_would_cost_without_limits() -> None:
    assert F(*unlimited_ratio(make("per_unit", "10", minimum=D(50)), D(2))) == 2000


def test_it_refuses_a_float() -> None:
    with pytest.raises(TypeError):
        amount(make("per_unit", "10"), 0.5)  # type: ignore[arg-type]


def test_it_explains_tier_by_tier() -> None:
    rows = explain(make("graduated", "0", *STAIR), D(8))
    assert [tuple(row) for row in rows] == [
        (D(0), D(5), F(5), D(10), D(100), F(15000)),
        (D(5), None, F(3), D(5), D(50), F(6500)),
    ]
    assert [tuple(row) for row in explain(make("volume", "0", *STAIR), D(8))] == [
        (D(5), None, F(8), D(5), D(50), F(9000))
    ]
    assert explain(make("flat", "10"), D(0)) == ()


amounts = st.decimals(0, 1000, places=4)
sizes = st.decimals(D("0.001"), 500, places=3)
quantities = st.decimals(-5, 2000, places=3)
portions = st.integers(1, 31).map(lambda days: F(days, 31))


@st.composite
def prices(draw: st.DrawFn) -> Price:
    model = draw(st.sampled_from(list(PriceModel)))
    more: dict[str, Any] = {"included": draw(st.just(D(0)) | sizes)}
    tiers: list[Tier] = []
    if model in (PriceModel.GRADUATED, PriceModel.VOLUME) or (model == "percentage" and draw(st.booleans())):
        bounds = sorted(draw(st.sets(sizes, max_size=4)))
        tiers = [Tier(bound, draw(amounts), draw(amounts)) for bound in [*bounds, None]]
    if model == PriceModel.PACKAGE:
        more["package_size"] = draw(sizes)
    currency = draw(st.sampled_from(["USD", "JPY", "KWD"]))
    return Price(
        "p", PriceKind.RECURRING, model, Interval.MONTH, currency, draw(amounts), tuple(tiers), **more
    )


@given(prices(), quantities, portions)
def test_it_computes_fast_what_it_explains(price: Price, quantity: D, portion: F) -> None:
    rows = explain(price, quantity, portion)
    assert amount(price, quantity, portion) == sum((row.amount for row in rows), F(0))
    assert F(*amount_ratio(price, quantity, portion)) >= 0


@given(prices(), quantities, quantities)
def test_it_never_charges_less_for_more(price: Price, one: D, other: D) -> None:
    assume(price.model != PriceModel.VOLUME)  # reaching a cheaper volume tier is meant to cost less
    less, more = sorted([one, other])
    assert amount(price, less) <= amount(price, more)


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("key", lambda: Price("", PriceKind.RECURRING, PriceModel.FLAT, Interval.MONTH, "USD")),
        ("key", lambda: Price("a|b", PriceKind.RECURRING, PriceModel.FLAT, Interval.MONTH, "USD")),
        ("key", lambda: Price("x" * 61, PriceKind.RECURRING, PriceModel.FLAT, Interval.MONTH, "USD")),
        ("interval", lambda: make("flat", "1", interval=None)),
        ("meter", lambda: make("per_unit", "1", kind=PriceKind.USAGE)),
        ("meter", lambda: make("per_unit", "1", meter="api")),
        ("unit_amount", lambda: make("flat", "-1")),
        ("unit_amount", lambda: make("flat", "NaN")),
        ("unit_amount", lambda: make("flat", "0.0000000000001")),
        ("unit_amount", lambda: make("flat", "1.000000000000000000000000000000000001")),
        ("unit_amount", lambda: make("flat", "1E+999999")),
        ("unit_amount", lambda: make("flat", "1E-999999")),
        ("unit_amount", lambda: make("flat", "1000000000000000")),
        ("included", lambda: make("per_unit", "1", included=0.5)),
        ("tiers", lambda: make("graduated")),
        ("tiers", lambda: make("graduated", "0", ("5", "1", "0"))),
        ("tiers", lambda: make("graduated", "0", ("5", "1", "0"), ("5", "1", "0"), (None, "1", "0"))),
        ("tiers", lambda: make("volume", "0", ("0", "1", "0"), (None, "1", "0"))),
        ("tiers", lambda: make("volume", "0", (None, "1", "0"), (None, "1", "0"))),
        ("tiers", lambda: make("flat", "1", (None, "1", "0"))),
        ("tiers.0.flat_amount", lambda: make("volume", "0", (None, "1", "-1"))),
        ("package_size", lambda: make("package", "1")),
        ("package_size", lambda: make("package", "1", package_size=D(0))),
        ("package_size", lambda: make("flat", "1", package_size=D(5))),
        ("minimum", lambda: make("flat", "1", minimum=D(2), maximum=D(1))),
        ("per_transaction.minimum", lambda: of_each(minimum=D(2), maximum=D(1))),
        ("per_transaction.free_events", lambda: of_each(free_events=1.5)),
        ("per_transaction.free_events", lambda: of_each(free_events=-1)),
        ("minimum", lambda: least(minimum=None)),
        ("unit_amount", lambda: least("1")),
        ("included", lambda: least(included=D(1))),
        ("maximum", lambda: least(maximum=D(9))),
        ("model", lambda: least(model="per_unit")),
        ("billed", lambda: least(billed=Billed.ADVANCE)),
        ("prorate", lambda: least(prorate=False)),
    ],
)
def test_it_refuses_a_price_that_contradicts_itself(field: str, build: Any) -> None:
    with pytest.raises(InvalidPrice, match=f"^{field}:"):
        build()


def test_bounds_may_be_the_same_or_one_alone() -> None:
    assert make("flat", "1", minimum=D(2), maximum=D(2)).minimum == 2
    assert of_each(minimum=D(2), maximum=D(2), free_events=1).per_transaction.minimum == 2
    assert of_each(minimum=D(2)).per_transaction.maximum is None
    assert of_each(maximum=D(2)).per_transaction.minimum is None


def test_it_compares_prices_by_what_they_say() -> None:
    assert make("flat", "29") == make("flat", "29.00")
    assert hash(make("flat", "29")) == hash(make("flat", "29.00"))

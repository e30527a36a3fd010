"""Setting up what is sold."""

from decimal import Decimal

import pytest

from billing import cataloguing, subscribing
from billing.models import Discount, Event, Plan, Price, TaxRate
from billing.refusals import Refused
from tests.fixtures_billing import NOON

WHO = {"now": NOON, "actor": "user:1", "livemode": False}


def make(**fields):
    return cataloguing.create_plan(
        **{"code": "gold", "name": "Gold", "motion": "self_serve", **WHO, **fields}
    )


def test_it_makes_a_plan_of_prices_that_say_almost_nothing(catalogue):
    plan = make(prices=[{"amount": Decimal(49)}, {"meter": "api_calls", "amount": Decimal("0.01")}])
    fee, calls = plan.prices.order_by("kind")
    assert (fee.code, fee.kind, fee.model, fee.interval, fee.billed) == (
        "recurring-month-usd", "recurring", "flat", "month", "advance",
    )  # fmt: skip
    assert (calls.code, calls.model, calls.billed) == ("api-calls-month-usd", "per_unit", "arrears")


def test_codes_that_are_made_up_are_all_different(catalogue):
    plan = make(prices=[{"amount": Decimal(n)} for n in (1, 2, 3)])
    assert sorted(plan.prices.values_list("code", flat=True)) == [
        "recurring-month-usd", "recurring-month-usd-2", "recurring-month-usd-3",
    ]  # fmt: skip


def test_lines_have_a_name_though_nobody_gave_one(catalogue):
    alone = make(prices=[{"amount": Decimal(49)}, {"meter": "api_calls", "amount": Decimal("0.01")}])
    assert list(alone.prices.order_by("kind").values_list("label", flat=True)) == ["Gold", "API calls"]
    two = make(code="two", name="Two", prices=[{"code": "base_fee"}, {"code": "seats", "label": "Seat"}])
    assert list(two.prices.order_by("code").values_list("label", flat=True)) == ["Two: base fee", "Seat"]
    again = cataloguing.add_price(plan=two, terms={"code": "seats", "amount": Decimal(5)}, now=NOON)
    assert again.label == "Seat"


def test_a_used_price_stays_and_another_takes_its_place(catalogue, make_customer, subscribe):
    plan = make(prices=[{"code": "base", "amount": Decimal(49)}])
    held = subscribe(make_customer(), plan="gold", quantity=None)
    fresh = cataloguing.add_price(plan=plan, terms={"code": "base", "amount": Decimal(59)}, now=NOON)
    old = Price.objects.exclude(pk=fresh.pk).get(plan=plan)
    assert (old.active, old.unit_amount, fresh.active) == (False, 49, True)
    assert held.phases.get().items.get().price_id == old.pk
    assert (
        subscribe(make_customer(), plan="gold", quantity=None).phases.get().items.get().price_id == fresh.pk
    )


def test_a_price_that_was_never_used_makes_room(catalogue):
    plan = make(prices=[{"code": "base", "amount": Decimal(49)}])
    cataloguing.add_price(plan=plan, terms={"code": "base", "amount": Decimal(59)}, now=NOON)
    assert plan.prices.get().unit_amount == 59


def test_publishing_is_a_fact_once(catalogue):
    plan = make()
    cataloguing.update_plan(plan=plan, published=True, **WHO)
    cataloguing.update_plan(plan=plan, name="Golden", **WHO)
    told = Event.objects.order_by("number").values_list("type", flat=True)
    assert list(told) == ["plan.created", "plan.updated", "plan.published", "plan.updated"]
    assert Plan.objects.get(pk=plan.pk).name == "Golden"


def test_an_archived_plan_is_changed_no_more(catalogue):
    plan = cataloguing.archive_plan(plan=make(published=True), now=NOON)
    assert (plan.archived_at, plan.published) == (NOON, False)
    with pytest.raises(cataloguing.PlanArchived):
        cataloguing.add_price(plan=plan, terms={}, now=NOON)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"model": "graduated"}, "prices.0.tiers"),
        ({"model": "package"}, "prices.0.package_size"),
        ({"amount": Decimal(-1)}, "prices.0.amount"),
        ({"kind": "usage"}, "prices.0.meter"),
        ({"meter": "nothing"}, "prices.0.meter"),
        ({"kind": "one_time", "interval": "month"}, "prices.0.interval"),
        ({"kind": "rent"}, "prices.0.kind"),
        ({"currency": "XXQ"}, "prices.0.currency"),
        ({"code": "a b"}, "prices.0.code"),
        ({"amount": Decimal(9), "included": Decimal(3)}, "prices.0.included"),
        ({"minimum": Decimal(9), "maximum": Decimal(3)}, "prices.0.minimum"),
        ({"tiers": [{"up_to": Decimal(5)}, {"up_to": Decimal(5)}]}, "prices.0.tiers"),
    ],
)
def test_it_names_the_part_of_a_price_that_is_wrong(catalogue, terms, field):
    with pytest.raises(Refused) as refused:
        make(prices=[terms])
    assert refused.value.field == field
    assert not Plan.objects.filter(code="gold").exists()


def test_a_code_is_taken_once(catalogue):
    make()
    with pytest.raises(cataloguing.CodeTaken):
        make()
    with pytest.raises(cataloguing.CodeTaken):
        make(code="silver", prices=[{"code": "a"}, {"code": "a"}])


def test_an_entitlement_of_a_meters_name_is_counted_by_it(catalogue):
    plan = make(entitlements=[{"feature": "api_calls", "limit": Decimal(100)}, {"feature": "sso"}])
    calls, sso = plan.entitlements.order_by("feature")
    assert (calls.meter.code, calls.limit, sso.meter, sso.name) == ("api_calls", 100, None, "Sso")
    with pytest.raises(Refused):
        cataloguing.update_plan(plan=plan, entitlements=[{"feature": "a"}, {"feature": "a"}], **WHO)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "percent_off"),
        ({"percent_off": Decimal(10), "amount_off": 100, "currency": "USD"}, "percent_off"),
        ({"percent_off": Decimal(101)}, "percent_off"),
        ({"amount_off": 100}, "currency"),
        ({"amount_off": 0, "currency": "USD"}, "amount_off"),
        ({"percent_off": Decimal(5), "duration": "repeating"}, "periods"),
        ({"percent_off": Decimal(5), "periods": 2}, "periods"),
        ({"percent_off": Decimal(5), "plans": ["nothing"]}, "plans.0"),
    ],
)
def test_it_refuses_discounts_that_mean_nothing(catalogue, given, field):
    with pytest.raises(Refused) as refused:
        cataloguing.create_discount(now=NOON, **given)
    assert refused.value.field == field
    assert not Discount.objects.exists()


def test_promotion_codes_differ_whatever_their_capitals(catalogue):
    cataloguing.create_discount(now=NOON, code="LAUNCH", percent_off=Decimal(10))
    with pytest.raises(cataloguing.CodeTaken):
        cataloguing.create_discount(now=NOON, code="launch", percent_off=Decimal(20))


def test_a_tax_rate_takes_the_place_of_the_countrys_last(catalogue):
    cataloguing.create_tax_rate(now=NOON, name="VAT", percentage=Decimal(21), country="DE")
    rates = TaxRate.objects.filter(country="DE").order_by("percentage")
    assert [(rate.percentage, rate.active) for rate in rates] == [(19, False), (21, True)]


def test_a_unit_price_keeps_twelve_decimals(catalogue, make_customer):
    tiny = Decimal("0.000000000001")
    plan = make(prices=[{"amount": Decimal(1)}, {"meter": "api_calls", "amount": tiny}])
    assert plan.prices.get(kind="usage").unit_amount == tiny
    items = subscribing.choose_items(plan, interval="month", currency="USD")
    assert len(items) == 2


def test_a_rate_that_is_set_for_a_country_is_taken_there(catalogue, make_customer):
    """The shipped seller is Irish: exports are outside the scope until a rate says that it is registered there."""
    from billing import taxes
    from billing.models import Seller

    def percent(**fields):
        rate = taxes.tax_for(make_customer(**fields), Seller.objects.get(), taxes.rates())
        return rate.percentage, rate.category

    assert percent(country="GB") == (0, "O")
    cataloguing.create_tax_rate(now=NOON, name="VAT", percentage=Decimal(20), country="GB")
    assert percent(country="GB") == (20, "S")
    assert percent(country="CH") == percent(country="") == (0, "O")
    cataloguing.create_tax_rate(now=NOON, name="Everywhere", percentage=Decimal("7.5"))
    assert percent(country="CH") == percent(country="") == (Decimal("7.5"), "S")
    assert percent(country="DE") == (19, "S")


def test_the_value_of_a_price_is_worked_out_once_for_all_who_read_it_and_anew_for_other_terms(catalogue):
    price = Price.objects.filter(plan__code="pro", kind="recurring").first()
    assert Price.objects.get(pk=price.pk).value is price.value
    price.tiers = [{"up_to": "5", "unit_amount": "3"}, {"up_to": None, "unit_amount": "2"}]
    price.model = "graduated"
    values = []
    for amount in ("3", "4"):
        price.tiers[0]["unit_amount"] = amount  # in place
        price.__dict__.pop("value", None)
        values.append(price.value.tiers[0].unit_amount)
    assert values == [3, 4]

"""The form of a discount: what it is for, by what staff know prices and meters by."""

import pytest
from django.db import IntegrityError, transaction

from billing.models import Discount, Meter, UsageDay
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
PAGE = "/admin/billing/discount/"


def test_staff_limit_a_discount_to_prices_and_meters(catalogue, admin_client):
    meter = Meter.objects.get(code="api_calls")
    given = {"code": "SEATS", "percent_off": "20", "duration": "forever", "meters": [meter.pk]}
    refused = admin_client.post(f"{PAGE}add/", {**given, "prices": "seats-month, no-such"})
    assert b"There is no price no-such." in refused.content
    assert admin_client.post(f"{PAGE}add/", {**given, "prices": "seats-month"}).status_code == 302
    made = Discount.objects.get(code="SEATS")
    assert (made.prices, made.meters) == (["seats-month"], [meter.pk])
    shown = admin_client.get(f"{PAGE}{made.pk}/change/").content.decode()
    assert 'value="seats-month"' in shown
    assert f'value="{meter.pk}" id="id_meters_0" checked' in shown


def typed(**more):
    return {"code": "SPRING", "duration": "forever"} | more


def test_an_amount_is_typed_in_whole_currency(catalogue, admin_client):
    given = typed(amount_off="12.50", currency="eur")
    assert admin_client.post(f"{PAGE}add/", given).status_code == 302
    made = Discount.objects.get(code="SPRING")
    assert (made.amount_off, made.currency) == (1250, "EUR")
    assert 'value="12.50"' in admin_client.get(f"{PAGE}{made.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "A discount takes off a percentage or an amount: one of the two."),
        ({"percent_off": "10", "amount_off": "5", "currency": "USD"}, "one of the two."),
        ({"percent_off": "120"}, "A percentage above 0, at most 100."),
        ({"amount_off": "5"}, "An amount needs its currency: USD, EUR."),
        ({"amount_off": "5", "currency": "XQZ"}, "Use a three-letter currency code such as USD."),
        ({"amount_off": "5.001", "currency": "USD"}, "USD"),
        (
            {"percent_off": "10", "duration": "repeating"},
            "A repeating discount, and no other, names its periods.",
        ),
        ({"percent_off": "10", "periods": "3"}, "A repeating discount, and no other, names its periods."),
    ],
)
def test_it_says_what_is_wrong_and_keeps_what_was_typed(catalogue, admin_client, given, words):
    page = admin_client.post(f"{PAGE}add/", typed(label="Spring sale", **given)).content.decode()
    assert words in page
    assert 'value="Spring sale"' in page
    assert "is violated" not in page
    assert not Discount.objects.filter(code="SPRING").exists()


def test_a_code_in_other_letters_is_the_same(catalogue, admin_client):
    for code, percentage in (("Spring", "10"), ("SPRING", "20")):
        page = admin_client.post(f"{PAGE}add/", typed(code=code, percent_off=percentage))
    assert "There is a discount “SPRING” already." in page.content.decode()
    (kept,) = Discount.objects.filter(code__iexact="spring")
    assert (
        admin_client.post(f"{PAGE}{kept.pk}/change/", typed(code="spring", percent_off="10")).status_code
        == 302
    )


def test_what_somebody_has_keeps_its_terms(catalogue, admin_client, clock, make_customer, subscribe):
    """Else the next invoice would correct those before it."""
    admin_client.post(f"{PAGE}add/", typed(percent_off="10"))
    discount = Discount.objects.get(code="SPRING")
    subscribe(make_customer(clock), discount=discount)
    page = admin_client.get(f"{PAGE}{discount.pk}/change/").content.decode()
    assert "Somebody has it, so this stays as it is." in page
    assert "percent_off" not in page
    admin_client.post(f"{PAGE}{discount.pk}/change/", typed(percent_off="50", max_redemptions="5"))
    discount.refresh_from_db()
    assert (discount.percent_off, discount.max_redemptions) == (10, 5)


@pytest.mark.parametrize("change", [{"percent_off": 50}, {"duration": "once"}, {"prices": ["seats-month"]}])
def test_the_database_keeps_them_too(catalogue, clock, make_customer, subscribe, change):
    discount = Discount.objects.create(code="SPRING", percent_off=10)
    Discount.objects.filter(pk=discount.pk).update(**change)  # nobody has it yet
    Discount.objects.filter(pk=discount.pk).update(percent_off=10, duration="forever", prices=[])
    subscribe(make_customer(clock), discount=discount)
    with pytest.raises(IntegrityError, match="SPRING was given"), transaction.atomic():
        Discount.objects.filter(pk=discount.pk).update(**change)


def test_a_meter_that_measured_adds_up_as_before(catalogue, admin_client, make_customer):
    meter = Meter.objects.get(code="api_calls")
    UsageDay.objects.create(customer=make_customer(), meter=meter, day=NOON.date(), count=1, total=1)
    with pytest.raises(IntegrityError, match="api_calls has measured"), transaction.atomic():
        Meter.objects.filter(pk=meter.pk).update(aggregation="max")
    where = f"/admin/billing/meter/{meter.pk}/change/"
    fields = {
        "name": "Calls",
        "code": "api_calls",
        "unit": "calls",
        "event_name": "api_call",
        "aggregation": "max",
    }
    assert admin_client.post(where, fields).status_code == 302
    meter.refresh_from_db()
    assert (meter.name, meter.aggregation) == ("Calls", "sum")

"""The form of a discount: what it is for, by what staff know prices and meters by."""

import pytest

from billing.models import Discount, Meter

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
    assert f'value="{meter.pk}" selected' in shown

"""Who sells, as staff set it up."""

import pytest

from billing.models import Seller
from tests.billing.admin.test_careful import sent
from tests.staff import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def test_the_address_is_typed_part_by_part():
    Seller.objects.update(address={"line1": "1 Main St", "city": "Dublin", "country": "IE", "vat_house": "7"})
    browser = signed_in("view_seller", "change_seller")
    where = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"
    page = browser.get(where)
    assert 'value="1 Main St"' in page.text
    assert "{&quot;" not in page.text
    typed = {**sent(page), "seen": page.context["seen"], "line1": "2 Quay", "line2": "", "postal_code": "D02"}
    refused = browser.post(where, {**typed, "city": "", "country": "XX"})
    assert {"city", "country"} <= set(refused.context["adminform"].form.errors)
    assert Seller.objects.get().address["line1"] == "1 Main St"
    saved = browser.post(where, typed)
    assert saved.status_code == 302, saved.context["errors"]
    assert Seller.objects.get().address == {
        "line1": "2 Quay", "postal_code": "D02", "city": "Dublin", "country": "IE", "vat_house": "7",
    }  # fmt: skip


def test_limits_are_typed_as_money():
    Seller.objects.update(upgrade_alert_delta=500_00, sign_off_over=None)
    browser = signed_in("view_seller", "change_seller")
    where = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"
    page = browser.get(where)
    assert 'value="500.00"' in page.text
    assert "Large upgrade above, USD" in page.text
    typed = {**sent(page), "seen": page.context["seen"], "line1": "1 Quay", "city": "Dublin", "country": "IE"}
    refused = browser.post(where, {**typed, "upgrade_alert_delta": "12,5", "sign_off_over": "-1"})
    assert {"upgrade_alert_delta", "sign_off_over"} <= set(refused.context["adminform"].form.errors)
    assert 'value="12,5"' in refused.text
    saved = browser.post(where, {**typed, "upgrade_alert_delta": "1,250.50", "sign_off_over": "99"})
    assert saved.status_code == 302, saved.context["errors"]
    seller = Seller.objects.get()
    assert (seller.upgrade_alert_delta, seller.sign_off_over) == (1250_50, 99_00)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://seller.example/terms", "must begin with https://"),
        ("seller.example/terms", "must begin with https://"),
        ("javascript:alert(1)", "must begin with https://"),
        ("https://", "Give an address such as https://example.com/"),
        ("https://me:pw@seller.example/", "no user, password or fragment"),
        ("https://seller.example/our terms", "no spaces"),
        ('https://seller.example/"onclick=', "no spaces"),
    ],
)
@pytest.mark.parametrize("field", ["terms_url", "privacy_url"])
def test_the_pages_that_buyers_open_are_addresses_of_the_web(field, url, words):
    browser = signed_in("view_seller", "change_seller")
    where = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"
    page = browser.get(where)
    typed = {**sent(page), "seen": page.context["seen"]}
    refused = browser.post(where, {**typed, field: url})
    assert words in str(refused.context["adminform"].form.errors[field])
    assert refused.context["adminform"].form[field].value() == url
    saved = browser.post(where, {**typed, field: " https://seller.example/new?v=2 "})
    assert saved.status_code == 302
    assert getattr(Seller.objects.get(), field) == "https://seller.example/new?v=2"
    page = browser.get(where)
    assert browser.post(where, {**sent(page), "seen": page.context["seen"], field: ""}).status_code == 302
    assert getattr(Seller.objects.get(), field) == ""

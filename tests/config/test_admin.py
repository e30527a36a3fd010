"""The admin's frame: its menu and its door."""

import pytest
from django.contrib import admin
from django.urls import reverse

from billing.models import User
from config.admin_menu import Item, menu
from sales import catalogue as sales_catalogue
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss():
    return User.objects.create_superuser("grace@tandem.example", "correct horse battery", name="Grace Hopper")


def apps(*keys):
    return [
        {
            "app_label": label,
            "models": [{"object_name": name, "name": name, "admin_url": f"/admin/{label}/{name}/"}],
        }
        for label, name in (key.split(".") for key in keys)
    ]


def test_it_orders_the_menu_by_work_and_leaves_out_what_is_not_there():
    sections = menu(
        apps("sites.Site", "auth.Group", "billing.TaxRate", "sales.Quote", "billing.Invoice"), "/admin/"
    )
    headings = [section.heading for section in sections]
    assert headings == ["", "Sell", "Bill", "Learn", "Set-up", "People", "Other"]
    assert [item.label for item in sections[1].items] == ["Quotes"]


def test_it_shows_a_page_to_whoever_may_look_at_what_it_tells_of():
    def labels(*keys):
        return {item.label for section in menu(apps(*keys), "/admin/") for item in section.items}

    assert not labels("sales.Quote") & {"Metrics", "Who did what"}
    assert {"Who did what", "Events"} <= labels("billing.Event")
    assert "Metrics" in labels("billing.Invoice")


def test_it_marks_where_the_reader_is():
    sections = menu(apps("sales.Quote", "billing.Invoice"), "/admin/sales/Quote/7/change/")
    current = [item.label for section in sections for item in section.items if item.current]
    assert current == ["Quotes"]


def test_it_marks_the_overview_on_the_overview_only():
    overview = menu([], "/admin/")[0].items[0]
    assert overview == Item("Overview", "/admin/", "layout-dashboard", True)


def test_it_folds_the_mirror_away():
    last = menu(apps("djstripe.Charge", "auth.Group"), "/admin/")[-1]
    assert (last.heading, last.folded) == ("Stripe mirror", True)


@pytest.mark.parametrize("address", ["admin:index", "admin:auth_group_changelist", "admin:auth_group_add"])
def test_it_renders_in_our_clothes(client, boss, address):
    client.force_login(boss)
    page = client.get(reverse(address))
    assert page.status_code == 200
    assert "tandem/admin.css" in page.text
    assert "Grace Hopper" in page.text


def test_every_form_of_ours_opens(client, boss, catalogue):
    """Empty, and with a row where one ships: a page that cannot be drawn is found here, not by who needs it."""
    sales_catalogue.ship(now=NOON)
    client.force_login(boss)
    wrong = {}
    for model in admin.site._registry:
        if model._meta.app_label not in ("billing", "sales", "checkout"):
            continue
        place = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = model.objects.first()
        for address in (f"{place}add/", *([f"{place}{row.pk}/change/"] if row else [])):
            status = client.get(address, follow=True).status_code
            if status != 200 and not (address.endswith("add/") and status == 403):
                wrong[address] = status
    assert wrong == {}


def test_our_own_screens_load_no_sheet_of_djangos(client, boss):
    client.force_login(boss)
    assert "admin/css/base.css" not in client.get(reverse("admin:index")).text


def test_it_asks_strangers_to_sign_in_at_the_common_door(client):
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/accounts/login/?next=%2Fadmin%2F"


def test_it_refuses_members(client):
    client.force_login(User.objects.create_user("ada@nova.example"))
    assert client.get("/admin/", follow=True).status_code == 403


def test_it_is_the_site_in_use():
    assert (
        type(admin.site._wrapped if hasattr(admin.site, "_wrapped") else admin.site).__name__
        == "TandemAdminSite"
    )

"""A plan's prices for any quantity before it is published, and moving who is on an old one."""

from decimal import Decimal

import pytest

from billing import cataloguing
from billing.admin.catalogue import Lines
from billing.models import Meter, PhaseItem, Plan, Price
from tests.fixtures_billing import NOON
from tests.staff import signed_in

pytestmark = pytest.mark.django_db

TIERS = [
    {"up_to": Decimal(100), "unit_amount": Decimal("0.30"), "flat_amount": Decimal(5)},
    {"up_to": None, "unit_amount": Decimal("0.20"), "flat_amount": Decimal(0)},
]


@pytest.fixture
def plan(catalogue):
    prices = [
        {"code": "fee", "amount": Decimal(49)},
        {"code": "calls", "meter": "api_calls", "model": "graduated", "tiers": TIERS, "maximum": Decimal(60)},
    ]
    return cataloguing.create_plan(
        code="gold", name="Gold", motion="self_serve", prices=prices, now=NOON, actor="user:1", livemode=False
    )


def where(plan, **query):
    return f"/admin/billing/plan/{plan.pk}/prices/?" + "&".join(f"{k}={v}" for k, v in query.items())


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [
        ("10", ["$49.00", "$8.00"]),  # 10 x 0.30 + 5
        ("150", ["$35.00", "$10.00", "$45.00"]),  # 100 x 0.30 + 5, 50 x 0.20
        ("1000", ["$180.00", "$60.00", "the maximum"]),
        ("0", ["$49.00", "Nothing is charged for so few."]),
    ],
)
def test_it_shows_what_any_quantity_comes_to_tier_by_tier(plan, quantity, shown):
    page = signed_in("view_plan").get(where(plan, quantity=quantity)).content.decode()
    assert "Not published" in page
    for words in shown:
        assert words in page


@pytest.mark.parametrize("wrong", ["-1", "many", "", "1e400", "NaN"])
def test_a_wrong_quantity_is_named_and_kept(plan, wrong):
    answer = signed_in("view_plan").get(where(plan, quantity=wrong))
    assert answer.status_code == 422
    assert f'value="{wrong}"' in answer.content.decode() or not wrong


def test_only_who_may_see_plans_sees_it(plan):
    assert signed_in("view_invoice").get(where(plan)).status_code == 403
    assert signed_in("view_plan").get(where(Plan(pk="plan_0"))).status_code == 404


@pytest.fixture
def behind(plan, make_customer, subscribe, clock):
    row = subscribe(make_customer(clock, name="Nova <b>"), plan="gold", quantity=None)
    cataloguing.add_price(plan=plan, terms={"code": "fee", "amount": Decimal(59)}, now=NOON)
    return row


def amounts(subscription):
    items = PhaseItem.objects.filter(phase__subscription=subscription, price__code="fee")
    return list(items.order_by("phase__start_on").values_list("price__unit_amount", flat=True))


def test_it_lists_who_is_on_an_old_price_and_moves_only_who_is_ticked(
    plan, behind, make_customer, subscribe, books
):
    browser = signed_in("view_plan", "change_plan")
    page = browser.get(where(plan)).content.decode()
    assert "Nova &lt;b&gt;" in page
    assert amounts(behind) == [49]
    assert "Tick who is to move." in browser.post(where(plan), follow=True).content.decode()
    said = browser.post(where(plan), {"subscription": [behind.pk, "sub_0"]}, follow=True).content.decode()
    assert "1 subscription moves to today" in said
    assert amounts(behind) == [49, 59]


def test_looking_is_not_moving(plan, behind):
    browser = signed_in("view_plan")
    assert f'value="{behind.pk}"' not in browser.get(where(plan)).content.decode()
    assert browser.post(where(plan), {"subscription": behind.pk}).status_code == 403
    assert amounts(behind) == [49]


def test_it_asks_as_often_for_many_as_for_one(
    plan, behind, make_customer, subscribe, django_assert_max_num_queries
):
    browser = signed_in("view_plan")
    for n in range(5):
        subscribe(make_customer(name=f"Customer {n}"), plan="gold", quantity=None)
    cataloguing.add_price(plan=plan, terms={"code": "fee", "amount": Decimal(69)}, now=NOON)
    browser.get(where(plan))
    with django_assert_max_num_queries(10):
        page = browser.get(where(plan)).content.decode()
    assert page.count("Customer ") >= 5


def test_highlights_are_typed_one_to_a_line(plan):
    field = Lines()
    assert field.clean("Ten seats\r\n\n  E-mail ") == ["Ten seats", "E-mail"]
    assert field.prepare_value(["Ten seats", "E-mail"]) == "Ten seats\nE-mail"
    assert not field.has_changed(["Ten seats"], "Ten seats\r\n")
    plan.highlights = ["Ten <seats>", "E-mail"]
    plan.save()
    page = signed_in("change_plan", "view_plan").get(f"/admin/billing/plan/{plan.pk}/change/")
    assert "Ten &lt;seats&gt;\nE-mail</textarea>" in page.text


def test_each_row_of_entitlements_says_whose_it_is(catalogue):
    starter = Plan.objects.get(code="starter")
    page = signed_in("change_plan", "view_plan", "change_entitlement", "view_entitlement", "view_meter")
    text = page.get(f"/admin/billing/plan/{starter.pk}/change/").text
    for row in starter.entitlements.all():
        assert text.count(f'aria-label="Meter: {row}"') == 1


def price_form(plan, **typed):
    usual = {
        "plan": plan.pk, "code": "more-calls", "label": "", "active": "on", "kind": "usage", "model": "graduated",
        "meter": Meter.objects.get(code="api_calls").pk, "currency": "USD", "unit_amount": "0", "interval": "month",
        "billed": "arrears", "prorate": "on", "included": "0", "tax_category": "",
    }  # fmt: skip
    return signed_in("add_price", "view_price").post("/admin/billing/price/add/", usual | typed)


def test_tiers_are_typed_in_lines(plan):
    answer = price_form(plan, tiers="up to 1000: 0.02 + 5\r\n\r\nAbove : 0.01")
    assert answer.status_code == 302, answer.context["errors"]
    made = Price.objects.get(code="more-calls")
    assert made.tiers == [
        {"up_to": "1000", "unit_amount": "0.02", "flat_amount": "5"},
        {"up_to": None, "unit_amount": "0.01", "flat_amount": "0"},
    ]
    page = signed_in("change_price", "view_price").get(f"/admin/billing/price/{made.pk}/change/").text
    assert "up to 1000: 0.02 + 5\nabove: 0.01" in page
    assert (
        "up to 1,000: $0.02 each and $5.00 once"
        in signed_in("view_price").get(f"/admin/billing/price/{made.pk}/change/").text
    )


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ("up to 1,000: 0.02", "Line 1: write it as"),
        ("up to 10: 1\n\nabove 0.01", "Line 3: write it as"),
        ("above: -1", "Line 1: write it as"),
        ("above: 1\nup to 10: 2", "iers"),
        ("", "A graduated price needs at least one tier."),
    ],
)
def test_wrong_tiers_are_named_beside_their_field_and_kept(plan, tiers, said):
    page = price_form(plan, tiers=tiers)
    assert page.status_code == 200
    assert said in str(page.context["adminform"].form.errors["tiers"])
    assert tiers.splitlines()[-1:] == page.context["adminform"].form["tiers"].value().splitlines()[-1:]


def test_a_price_that_was_used_says_its_terms_in_words(admin_client, make_customer, subscribe):
    used = (
        subscribe(make_customer(), "pro", "month", 3).phases.get().items.select_related("price").first().price
    )
    page = admin_client.get(f"/admin/billing/price/{used.pk}/change/")
    assert "A price that was used stays as it is." in page.text
    assert "$29.00" in page.text
    assert "0.000000000000" not in page.text
    assert list(page.context["adminform"].form.fields) == ["label", "active"]

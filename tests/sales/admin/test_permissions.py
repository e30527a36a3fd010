"""Who may press which button: every group against every act."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client

from billing.admin.base import Screen
from billing.models import (
    ApiKey,
    BillingRehearsal,
    Customer,
    Discount,
    Invoice,
    Mail,
    Meter,
    Plan,
    Price,
    PrivacyRequest,
    SignOff,
    Subscription,
    TestClock,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from checkout.models import RoutingRule
from sales import catalogue as shipped
from sales import leads
from sales.models import (
    ApprovalDelegate,
    ApprovalRule,
    Automation,
    Deal,
    HandoffTask,
    Lead,
    Quote,
    Rule,
    SalesSettings,
    Signal,
    TargetDomain,
    TargetProfile,
)
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db

SALES = {shipped.REPS, shipped.MANAGERS, shipped.DIRECTORS, shipped.ADMINS}
LEADERS = {shipped.MANAGERS, shipped.DIRECTORS, shipped.ADMINS}
DEVELOPERS = {shipped.ADMINS}
BOOKS = {shipped.FINANCE, shipped.ADMINS}
MAY = {
    (Invoice, "mail"): {*SALES, *BOOKS, shipped.SUPPORT}, (Mail, "again"): {*SALES, *BOOKS, shipped.SUPPORT},
    (Customer, "invite"): {*SALES, *BOOKS, shipped.SUPPORT},
    (Invoice, "credit"): BOOKS, (Invoice, "void"): BOOKS, (Invoice, "write_off"): BOOKS,
    (Quote, "edit"): SALES, (Quote, "submit"): SALES, (Quote, "send"): SALES, (Quote, "revise"): SALES,
    (Quote, "withdraw"): SALES, (Quote, "copy"): SALES, (Quote, "option"): SALES, (Quote, "drop"): SALES,
    (Quote, "comment"): SALES, (Quote, "approve"): LEADERS, (Quote, "reject"): LEADERS,
    (HandoffTask, "accept"): SALES, (HandoffTask, "won"): SALES, (HandoffTask, "lost"): SALES,
    (HandoffTask, "return"): SALES, (HandoffTask, "later"): SALES, (HandoffTask, "snooze"): SALES,
    (HandoffTask, "quote"): SALES, (Signal, "dismiss"): SALES,
    (Lead, "qualify"): SALES, (Lead, "close"): SALES, (Lead, "demo"): SALES, (Lead, "quote"): SALES,
    (Lead, "take_on"): SALES, (Lead, "place"): SALES, (Customer, "switch"): {*SALES, shipped.SUPPORT},
    (Customer, "allow"): LEADERS, (Customer, "refuse"): LEADERS,
    (Deal, "move"): SALES, (Customer, "company"): {*SALES, shipped.SUPPORT}, (Customer, "pin"): LEADERS,
    (Customer, "consolidate"): LEADERS,
    (Subscription, "trial"): {*SALES, shipped.SUPPORT}, (Subscription, "trial_now"): {*SALES, shipped.SUPPORT},
    (Automation, "save"): LEADERS, (Automation, "try"): LEADERS, (Automation, "again"): LEADERS,
    (Invoice, "transfer"): BOOKS, (Invoice, "explain"): BOOKS, (Customer, "pay_out"): BOOKS,
    **{(WebhookEndpoint, act): DEVELOPERS for act in ("save", "enable", "disable", "rotate", "test", "replay", "remove")},
    (WebhookDelivery, "again"): DEVELOPERS, (ApiKey, "revoke"): DEVELOPERS, (TestClock, "advance"): DEVELOPERS,
    (TestClock, "remove"): DEVELOPERS, (SignOff, "take_back"): BOOKS,
    (PrivacyRequest, "export"): DEVELOPERS, (PrivacyRequest, "erase"): DEVELOPERS,
    (SignOff, "give"): {*BOOKS, shipped.DIRECTORS}, (SignOff, "refuse"): {*BOOKS, shipped.DIRECTORS},
}  # fmt: skip
GROUPS = [*shipped.PERMISSIONS, None]


def screens():
    return {model: each for model, each in admin.site._registry.items() if isinstance(each, Screen)}


def member_of(group):
    user = User.objects.create_user("sam@seller.example", name="Sam", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


def test_every_act_is_in_the_table_or_tested_elsewhere(sales_catalogue):
    elsewhere = {("Customer", "quote"), ("Customer", "demo"), ("CheckoutSession", "unlock")}
    named = {(model.__name__, act) for model, act in MAY} | elsewhere
    assert {(model.__name__, act) for model, each in screens().items() for act in each.acts} == named


def test_every_act_asks_for_a_permission():
    assert all(needed for each in screens().values() for needed, _ in each.acts.values())


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_may_press_what_the_table_says(sales_catalogue, group):
    user = member_of(group)
    for (model, act), groups in MAY.items():
        needed, _ = screens()[model].acts[act]
        assert user.has_perm(needed) == (group in groups), (group, model.__name__, act)


@pytest.mark.parametrize("group", [shipped.FINANCE, shipped.SUPPORT, shipped.READ_ONLY])
def test_it_refuses_and_changes_nothing(sales_catalogue, address, group):
    lead = leads.contact(name="Kim", email="kim@nova.example", company="Nova", now=NOON, actor="buyer")
    browser = Client()
    browser.force_login(member_of(group))
    page = browser.get(address(lead))
    assert page.status_code == 200
    assert 'value="close"' not in page.text
    assert browser.post(address(lead), {"action": "close"}).status_code == 403
    lead.refresh_from_db()
    assert lead.status == "open"


@pytest.mark.parametrize(
    "where", ["/admin/sales/deal/board/", "/admin/metrics/", "/admin/sales/lead/", "/admin/sales/rule/try/"]
)
def test_staff_of_no_group_see_nothing(sales_catalogue, where):
    browser = Client()
    browser.force_login(member_of(None))
    assert browser.get(where).status_code == 403
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize("group", shipped.PERMISSIONS)
def test_every_group_may_look(sales_catalogue, group):
    browser = Client()
    browser.force_login(member_of(group))
    for where in (
        "/admin/",
        "/admin/metrics/",
        "/admin/sales/deal/board/",
        "/admin/sales/quote/",
        "/admin/sales/rule/try/",
        "/admin/billing/invoice/",
    ):
        assert browser.get(where).status_code == 200, where


def test_it_refuses_an_act_that_there_is_not(sales_catalogue, browser, address):
    lead = leads.contact(name="Kim", email="kim@nova.example", company="Nova", now=NOON, actor="buyer")
    assert browser.post(address(lead), {"action": "delete"}).status_code == 404


# -- Every screen, every group

ADMIN = "admin"
PRICERS = {shipped.FINANCE, shipped.ADMINS}
SOLD = (Plan, Price, Meter, Discount)
CHANGES = {
    **dict.fromkeys(SOLD, PRICERS),
    Rule: LEADERS, SalesSettings: LEADERS, TargetDomain: LEADERS, TargetProfile: LEADERS, ApprovalDelegate: LEADERS,
    ApprovalRule: {shipped.DIRECTORS, shipped.ADMINS}, RoutingRule: LEADERS,
}  # fmt: skip
ADDS = {
    **dict.fromkeys(SOLD, PRICERS),
    TargetDomain: SALES, TargetProfile: LEADERS, ApprovalDelegate: LEADERS,
    ApprovalRule: {shipped.DIRECTORS, shipped.ADMINS}, Automation: LEADERS, Rule: set(), SalesSettings: set(),
    RoutingRule: LEADERS, BillingRehearsal: BOOKS,
}  # fmt: skip


@pytest.mark.parametrize("group", [*GROUPS, ADMIN])
def test_a_group_changes_and_adds_what_the_table_says(sales_catalogue, rf, group):
    request = rf.get("/")
    request.user = User.objects.create_superuser("a@seller.example") if group == ADMIN else member_of(group)
    for model, groups in CHANGES.items():
        screen = admin.site._registry[model]
        assert screen.has_change_permission(request) == (group in groups or group == ADMIN), (
            group,
            model.__name__,
        )
    for model, groups in ADDS.items():
        may = admin.site._registry[model].has_add_permission(request)
        assert may == (group in groups or (group == ADMIN and model not in (Rule, SalesSettings))), (
            group,
            model,
        )


OURS = ("billing", "sales", "checkout")


@pytest.mark.parametrize("group", [*GROUPS, ADMIN])
def test_a_group_may_look_at_every_screen_of_ours_and_strangers_at_none(sales_catalogue, rf, group):
    request = rf.get("/")
    request.user = User.objects.create_superuser("a@seller.example") if group == ADMIN else member_of(group)
    ours = [each for model, each in admin.site._registry.items() if model._meta.app_label in OURS]
    assert {each.has_view_permission(request) for each in ours} == {group is not None}


@pytest.mark.parametrize("group", [*GROUPS, ADMIN])
def test_the_pages_of_no_model_open_for_whom_they_are(sales_catalogue, group):
    browser = Client()
    user = User.objects.create_superuser("a@seller.example") if group == ADMIN else member_of(group)
    browser.force_login(user)
    imports = {*SALES, shipped.SUPPORT, ADMIN}
    for where, may in (
        ("metrics", group is not None),
        ("audit", group is not None),
        ("import", group in imports),
    ):
        assert browser.get(f"/admin/{where}/").status_code == (200 if may else 403), (group, where)
    assert ('href="/admin/metrics/"' in browser.get("/admin/").text) is (group is not None)


def test_who_may_change_colleagues_gives_no_rights_and_nobody_is_deleted(sales_catalogue, rf):
    screen, request = admin.site._registry[User], rf.get("/")
    request.user = member_of(shipped.ADMINS)
    request.user.user_permissions.add(*Permission.objects.filter(codename__in=["change_user", "delete_user"]))
    boss = User.objects.create_superuser("a@seller.example")
    assert {"is_superuser", "groups", "is_staff"} <= set(screen.get_readonly_fields(request, request.user))
    assert screen.has_change_permission(request, request.user)
    assert not screen.has_change_permission(request, boss)
    request.user = boss
    assert "groups" not in screen.get_readonly_fields(request, boss)
    assert not screen.has_delete_permission(request, boss)

"""What broken browsers and curious colleagues send to staff's pages: an answer that names the field, never a server
error."""

import html
import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import DataError
from django.test import Client

from billing.models import RetentionRule, Seller, TaxRate, User
from config import failing
from sales.models import Automation

pytestmark = pytest.mark.django_db
NUL = "a\x00b"


@pytest.fixture
def root(sales_catalogue):
    """Who may do everything; a server error is an answer, as on a server."""
    browser = Client(raise_request_exception=False)
    browser.force_login(User.objects.create_superuser("root@seller.example", name="Root"))
    return browser


LISTS = [
    (
        model._meta.label_lower.replace(".", "/"),
        str(by[0] if isinstance(by, tuple) else getattr(by, "parameter_name", by)),
    )
    for model, screen in admin.site._registry.items()
    for by in ("q", *screen.list_filter)
]


@pytest.mark.parametrize(("table", "by"), LISTS)
def test_a_nul_in_what_a_list_is_narrowed_by_is_no_fault_of_ours(root, caplog, table, by):
    answer = root.get(f"/admin/{table}/", {by: NUL})
    assert answer.status_code in (200, 302, 400)
    assert [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []


def test_a_value_without_a_nul_that_cannot_be_stored_is_logged_with_its_place(rf, caplog):
    answer = failing.told(rf.get("/admin/", {"q": "9"}), DataError("out of range"))
    assert answer.status_code == 400
    assert [bool(record.exc_info) for record in caplog.records] == [True]


def fields_of(page):
    """What a correct browser sends of the form that has the most fields."""
    forms = re.findall(r"<form\b.*?</form>", page.text, re.S)
    form = max(forms, key=lambda text: text.count("name="))
    found = {}
    for tag in re.findall(r"<input\b[^>]*>", form):
        name, value, kind = (re.search(rf'\b{one}="([^"]*)"', tag) for one in ("name", "value", "type"))
        if name and kind and (kind[1] not in ("checkbox", "radio", "file") or "checked" in tag):
            found[name[1]] = html.unescape(value[1]) if value else ""
    for name, words in re.findall(r'<textarea\b[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        found[name] = html.unescape(words).removeprefix("\n")
    for name, options in re.findall(r'<select\b[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = html.unescape(chosen[1]) if chosen else ""
    return found


@pytest.mark.parametrize("typed", ["   ", "XXX", "1e400", NUL, "usd"])
def test_a_seller_bills_in_a_currency_that_there_is(root, typed):
    address = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"
    given = {
        **fields_of(root.get(address)),
        "currency": typed,
        "line1": "K 1",
        "city": "Bonn",
        "country": "DE",
    }
    answer = root.post(address, given)
    assert answer.status_code == (302 if typed == "usd" else 200)
    assert Seller.objects.get().currency == "USD"
    if answer.status_code == 200:
        assert answer.context["adminform"].form.errors.keys() >= {"currency"}
        assert "K 1" in answer.text


@pytest.mark.parametrize("taxes", ["1e400", "GST: x", ""])
def test_a_tax_rate_without_a_number_names_what_is_missing(root, taxes):
    rate = TaxRate.objects.create(name="VAT", percentage=19, country="PT")
    address = f"/admin/billing/taxrate/{rate.pk}/change/"
    given = {**fields_of(root.get(address)), "percentage": "", "taxes": taxes, "name": "Mine"}
    answer = root.post(address, given)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors.keys() & {"percentage", "taxes"}
    assert 'value="Mine"' in answer.text


@pytest.mark.parametrize(
    "sent",
    [
        {"form-INITIAL_FORMS": "1e400"},
        {"form-TOTAL_FORMS": "-1"},
        {"form-0-kind": "\u200b"},
        {"form-0-kind": NUL},
        {"form-0-days": "1e30"},
        {"form-0-days": "NaN"},
    ],
)
def test_rows_that_are_gone_are_told(root, sent):
    address, before = "/admin/billing/retentionrule/", list(RetentionRule.objects.values_list("kind", "days"))
    shown = root.get(address)
    answer = root.post(address, {**fields_of(shown), "_save": "Save", **sent})
    assert answer.status_code in (200, 302, 400)
    assert list(RetentionRule.objects.values_list("kind", "days")) == before


CEL = [
    "customer.mrr >", "nobody.name == 1", 'customer.name.matches("(a+)+$")', "(" * 400 + "1" + ")" * 400,
    "customer.name + 1 > 2", "x" * 3000, NUL, "1e400 > 1", "[1].map(x, " * 60 + "1" + ")" * 60, "'" * 999, "\u202e1",
]  # fmt: skip


@pytest.mark.parametrize("sent", [*({"condition": text} for text in CEL), {"trigger": NUL}, {"trigger": "x" * 3000},
                                  {"pause_days": "1e30"}, {"kind_0": NUL}, {"what_0": NUL, "how_0": "==", "value_0": "1"},
                                  {"what_0": "customer.mrr", "how_0": ">", "value_0": "NaN"}])  # fmt: skip
@pytest.mark.parametrize("act", ["save", "try"])
def test_a_condition_that_means_nothing_is_told_and_kept(root, act, sent):
    automation = Automation.objects.first()
    address = f"/admin/sales/automation/{automation.pk}/change/"
    before = automating_of(automation)
    given = {**fields_of(root.get(address)), "action": act, **sent}
    answer = root.post(address, given)
    assert answer.status_code < 500
    if answer.status_code == 422:
        assert automating_of(automation) == before
        [(name, typed)] = list(sent.items())[-1:]
        assert "\0" in typed or name not in ("condition", "pause_days") or html.escape(typed) in answer.text


def automating_of(automation):
    return (
        Automation.objects.filter(pk=automation.pk)
        .values_list("condition", "trigger", "actions", "name")
        .get()
    )


@pytest.mark.parametrize("run", ["x", NUL, "1e30", "9" * 40, "-1", "\u0661", ""])
def test_a_run_that_there_is_not_is_not_tried_again(root, run):
    address = f"/admin/sales/automation/{Automation.objects.first().pk}/change/"
    assert root.post(address, {"action": "again", "run": run}).status_code == 302


def test_the_mirror_is_searched_and_never_written(root):
    models = [
        model for model in apps.get_app_config("djstripe").get_models() if admin.site.is_registered(model)
    ]
    assert len(models) > 30
    for model in models:
        address = f"/admin/djstripe/{model._meta.model_name}/"
        assert root.get(address, {"q": "cus_1'; \u202e"}).status_code == 200, model
        assert root.get(f"{address}add/").status_code == 403, model
        assert root.post(f"{address}add/", {"id": NUL}).status_code == 403, model


def test_no_key_of_the_card_network_is_read_on_a_page(root):
    from djstripe.models import APIKey

    made = APIKey.objects.create(id="key_1", secret="sk_test_" + "7" * 24, livemode=False, type="secret")
    answer = root.get(f"/admin/djstripe/apikey/{made.pk}/change/")
    assert answer.status_code == 200
    assert "sk_test_7" not in answer.text
    assert "sk_test_7" not in root.get("/admin/djstripe/apikey/").text


def test_the_overview_opens_while_a_task_belongs_to_nobody(root, things):
    from sales.models import HandoffTask

    HandoffTask.objects.update(owner=None)
    answer = root.get("/admin/")
    assert answer.status_code == 200
    assert HandoffTask.objects.filter(owner=None).exists()

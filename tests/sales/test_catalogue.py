"""What sales ships with, and that it is written down."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission

from billing.models import NumberSeries, User
from sales import catalogue, rules
from sales.models import ApprovalRule, Rule, SalesSettings
from tests.fixtures_billing import NOON

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "signals.md").read_text()


@pytest.mark.parametrize("row", catalogue.RULES, ids=lambda row: row["code"])
def test_it_explains_every_rule(row):
    found = re.search(rf"^\| `{row['code']}` \| [^|]+ \| (\w+) \| (.+?) \|", PAGE, re.M)
    assert found, f"{row['code']} has no row in docs/signals.md"
    threshold = f"{row['threshold']:,}" if "threshold" in row else "–"
    assert found.groups() == (row["weight"], threshold)


def test_it_ships_a_row_for_every_rule():
    assert {row["code"] for row in catalogue.RULES} == {*rules.RULES, "engagement"}


def test_it_changes_nothing_that_staff_edited(sales_catalogue):
    Rule.objects.filter(code="engagement").update(threshold=50, enabled=False)
    SalesSettings.objects.update(qualifies_at=4)
    ApprovalRule.objects.filter(name="Discount over 20 %").update(over=25)
    Group.objects.get(name=catalogue.REPS).permissions.clear()
    NumberSeries.objects.filter(code=catalogue.QUOTE_SERIES).update(next=7)
    catalogue.ship(now=NOON)
    assert Rule.objects.get(code="engagement").threshold == 50
    assert SalesSettings.current().qualifies_at == 4
    assert ApprovalRule.objects.get(name="Discount over 20 %").over == 25
    assert not Group.objects.get(name=catalogue.REPS).permissions.exists()
    assert NumberSeries.objects.get(code=catalogue.QUOTE_SERIES).next == 7


@pytest.mark.parametrize(
    ("group", "may", "may_not"),
    [
        (catalogue.REPS, "sales.send_quote", "sales.approve_quote"),
        (catalogue.MANAGERS, "sales.approve_quote", "sales.approve_quote_as_director"),
        (catalogue.DIRECTORS, "sales.approve_quote_as_director", "billing.void_invoice"),
        (catalogue.FINANCE, "billing.record_payment", "sales.send_quote"),
        (catalogue.SUPPORT, "billing.change_customer", "sales.change_quote"),
        (catalogue.READ_ONLY, "sales.view_quote", "sales.change_quote"),
        (catalogue.ADMINS, "billing.add_apikey", "billing.delete_invoice"),
    ],
)
def test_it_lets_each_group_do_its_work(sales_catalogue, staff, group, may, may_not):
    user = User.objects.get(pk=staff("ann", group).pk)
    assert user.has_perm(may)
    assert user.has_perm("billing.view_invoice")
    assert not user.has_perm(may_not)


def test_it_gives_a_group_what_came_later_and_nothing_that_was_taken_away(sales_catalogue, monkeypatch):
    reps = Group.objects.get(name=catalogue.REPS)
    reps.permissions.remove(Permission.objects.get(codename="send_quote"))
    reps.permissions.remove(
        Permission.objects.get(codename="view_invoice", content_type__app_label="billing")
    )
    later = [*catalogue.SELLING, "billing.void_invoice"]
    monkeypatch.setitem(catalogue.PERMISSIONS, catalogue.REPS, later)
    catalogue.ship(now=NOON)
    catalogue.ship(now=NOON)
    may = set(reps.permissions.values_list("codename", flat=True))
    assert "void_invoice" in may
    assert not {"send_quote", "view_invoice"} & may


def test_it_makes_a_group_whole_that_was_thrown_away(sales_catalogue):
    Group.objects.get(name=catalogue.FINANCE).delete()
    catalogue.ship(now=NOON)
    names = Group.objects.get(name=catalogue.FINANCE).permissions.values_list("codename", flat=True)
    assert {"void_invoice", "view_invoice"} <= set(names)

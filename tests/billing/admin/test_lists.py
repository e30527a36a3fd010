"""What a list of staff offers to narrow it by: filters, and a calendar from the first row to the last."""

from datetime import UTC, datetime

import pytest

from billing.models import User
from sales.models import Lead

pytestmark = pytest.mark.django_db
WHERE = "/admin/sales/lead/"


@pytest.fixture
def lead(sales_catalogue):
    def make(*day, **fields):
        row = Lead.objects.create(name="A", email="a@more.example", company="A", **fields)
        Lead.objects.filter(pk=row.pk).update(created_at=datetime(*day, 23, 30, tzinfo=UTC))
        return row

    return make


def calendar(browser, **asked):
    shown = browser.get(WHERE, {"o": "1", **asked}).context["cl"].calendar()
    return [each["title"] for each in shown["choices"]], shown["back"] and shown["back"]["title"]


def test_it_offers_years_then_months_then_days_from_the_first_row_to_the_last(admin_client, lead):
    for day in ((2024, 11, 30), (2025, 2, 27), (2025, 3, 1), (2026, 1, 5)):
        lead(*day)
    assert calendar(admin_client) == (["2024", "2025", "2026"], None)
    year = {"created_at__year": "2025"}
    assert calendar(admin_client, **year) == (["February 2025", "March 2025"], "All dates")
    month = {**year, "created_at__month": "2"}
    assert calendar(admin_client, **month) == (["February 27"], "2025")
    day = {**month, "created_at__day": "27"}
    assert calendar(admin_client, **day) == (["February 27"], "February 2025")
    page = admin_client.get(WHERE, {"o": "1", **year})
    assert "created_at__month=3&amp;created_at__year=2025" in page.text
    assert page.context["cl"].result_count == 2


@pytest.mark.parametrize(
    "asked", [{"year": "9" * 30}, {"year": "9999"}, {"year": "0"}, {"year": "9999", "month": "12"}]
)
def test_a_year_that_no_calendar_has_is_left_aside(admin_client, lead, asked):
    lead(2025, 2, 27)
    answer = admin_client.get(WHERE, {f"created_at__{part}": value for part, value in asked.items()})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{WHERE}?e=1")


def test_one_year_opens_at_its_months_and_one_month_at_its_days(admin_client, lead):
    lead(2025, 2, 27)
    lead(2025, 3, 1)
    assert calendar(admin_client)[0] == ["February 2025", "March 2025"]
    Lead.objects.filter(created_at__month=3).delete()
    lead(2025, 2, 25)
    assert calendar(admin_client)[0] == ["February 25", "February 26", "February 27"]


def test_filters_offer_colleagues_by_name_and_the_values_that_there_are(admin_client, lead):
    zoe = User.objects.create_user("zoe@seller.example", name="Zoe", is_staff=True)
    User.objects.create_user("ada@nova.example", name="Ada")
    lead(2025, 2, 27, owner=zoe, source="fair")
    lead(2025, 2, 27, source="page")
    filters = {each.title: each for each in admin_client.get(WHERE, {"o": "1"}).context["cl"].filter_specs}
    assert "Zoe" in [words for _, words in filters["owner"].lookup_choices]
    assert "Ada" not in [words for _, words in filters["owner"].lookup_choices]
    assert filters["source"].lookup_choices == ["fair", "page"]
    found = admin_client.get(WHERE, {"o": "1", "source": "fair"}).context["cl"]
    assert [row.owner for row in found.result_list] == [zoe]
    assert admin_client.get(WHERE, {"owner__id__exact": zoe.pk}).context["cl"].result_count == 1


def test_a_list_that_nothing_is_in_has_no_calendar(admin_client, sales_catalogue):
    page = admin_client.get(WHERE, {"o": "1"})
    assert page.context["cl"].calendar() == {"show": False}
    assert "date-hierarchy-label" not in page.text

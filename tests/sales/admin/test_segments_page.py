"""The segmentation table in the admin."""

import pytest

from billing.models import Segment

pytestmark = pytest.mark.django_db
WHERE = "/admin/billing/segment/"


@pytest.fixture
def filled(boss):
    """filled(**changes) -> the table as a browser would send it."""

    def values(**changes):
        bands = boss.get(WHERE).context["bands"]
        found = {f.html_name: f.value() for form in bands for f in form} | {
            f.html_name: f.value() for f in bands.management_form
        }
        return {k: v for k, v in {**found, **changes}.items() if v not in (None, False, "")}

    return values


def test_a_border_moves_in_both_bands_at_once(boss, browser, filled):
    given = filled(**{"form-0-max_arr": "12000", "form-1-min_arr": "12000"})
    assert given["form-2-min_arr"] == "50000"
    assert browser.post(WHERE, given).status_code == 403
    assert boss.post(WHERE, given).status_code == 302
    assert list(Segment.objects.values_list("min_arr", "max_arr")) == [
        (0, 12_000_00), (12_000_00, 50_000_00), (50_000_00, None),
    ]  # fmt: skip


def test_it_names_the_gap_and_keeps_what_was_typed(boss, filled):
    page = boss.post(WHERE, filled(**{"form-1-min_arr": "12000.50"}))
    assert page.status_code == 422
    assert "No band holds an ARR from 10000.00 USD to under 12000.50 USD." in page.text
    assert 'value="12000.50"' in page.text
    assert Segment.objects.get(code="mid-market").min_arr == 10_000_00


def test_anybody_on_the_staff_may_look(browser):
    assert browser.get(WHERE).status_code == 200
    assert "Save the table" not in browser.get(WHERE).text

"""Usage by day, of the running period and of earlier ones."""

from decimal import Decimal

import pytest

from billing import metering

pytestmark = pytest.mark.django_db


def use(nova, calls, key):
    nova.test_clock.refresh_from_db()
    event = {"id": key, "customer": nova.pk, "event_name": "api_call", "properties": {"value": calls}}
    metering.record(events=[{**event, "timestamp": nova.now.isoformat()}], livemode=False, now=nova.now)


def test_it_shows_each_day_and_the_sum_so_far(alice, nova, clock, advance):
    use(nova, 1000, "a")
    advance(clock, days=2)
    use(nova, 500, "b")
    page = alice.get("/portal/usage/")
    assert [values[0] for _, values in page.context["daily"]] == [Decimal(1000), Decimal(0), Decimal(500)]
    assert [values[0] for _, values in page.context["sums"]] == [Decimal(1000), Decimal(1000), Decimal(1500)]
    assert 'data-limit="50000' in page.text
    assert 'data-columns="31" data-last="14 Feb"' in page.text
    assert "15 January 2026 – 14 February 2026" in page.text


def test_earlier_periods_can_be_chosen(alice, nova, clock, advance):
    use(nova, 1000, "a")
    advance(clock, days=40)
    page = alice.get("/portal/usage/")
    assert [p.start.isoformat() for p, _ in page.context["periods"]] == ["2026-02-15", "2026-01-15"]
    before = alice.get("/portal/usage/?from=2026-01-15")
    assert len(before.context["daily"]) == 31
    assert before.context["used"] == Decimal(1000)


@pytest.mark.parametrize("query", ["?from=2020-01-01", "?from=x", "?meter=nothing", "?meter=%00"])
def test_what_there_is_not_does_not_exist(alice, query):
    assert alice.get(f"/portal/usage/{query}").status_code == 404


def test_nothing_measured_is_said(enter, make_customer, sales_catalogue):
    assert "Nothing is measured" in enter(make_customer()).get("/portal/usage/").text

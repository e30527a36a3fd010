"""Leads, deals and the board in the admin."""

from datetime import date, timedelta

import pytest

from sales import deals, leads
from sales.admin.pipeline import COLUMN_SHOWN
from sales.models import Deal, Lead, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(sales_catalogue):
    return leads.contact(
        name="Kim Lee", email="kim@nova.example", company="Nova", need="Single sign-on", plan="enterprise",
        demo_wanted=True, employees=300, now=NOON, actor="buyer",
    )  # fmt: skip


@pytest.fixture
def deal(lead, rita):
    return deals.open_deal(name="Nova: Enterprise", lead=lead, owner=rita, amount=990_000, now=NOON)


def test_it_shows_what_a_lead_asked(browser, address, lead):
    page = browser.get(address(lead)).text
    for words in ("Single sign-on", "300", "Demo requested"):
        assert words in page


@pytest.mark.parametrize(("act", "status"), [("qualify", "qualified"), ("close", "closed")])
def test_it_moves_a_lead(browser, address, lead, act, status):
    browser.post(address(lead), {"action": act})
    assert Lead.objects.get().status == status


def test_it_marks_the_demo_done(browser, address, lead):
    browser.post(address(lead), {"action": "demo"})
    assert Lead.objects.get().demo_done_at is not None


def test_it_says_where_a_lead_is(browser, address, lead):
    browser.post(address(lead), {"action": "place", "country": "CA", "state": "QC"})
    assert (Lead.objects.get().country, Lead.objects.get().state) == ("CA", "QC")
    page = browser.post(address(lead), {"action": "place", "country": "CA", "state": "Bavaria"})
    assert page.status_code == 422
    assert "Canada has no state or province of this name." in page.text
    assert 'value="Bavaria"' in page.text
    assert Lead.objects.get().state == "QC"


def test_it_makes_a_quote_for_a_lead(browser, address, lead):
    plan = browser.get(address(lead)).context["form"].initial["plan"]
    answer = browser.post(address(lead), {"action": "quote", "plan": plan.pk, "quantity": "12"})
    quote = Quote.objects.get(lead=lead)
    assert answer.url == address(quote)
    assert quote.arr == 12 * 99_000


def test_one_click_makes_a_customer_and_a_deal(browser, address, lead):
    page = browser.get(address(lead)).text
    assert "Make customer and deal" in page
    answer = browser.post(address(lead), {"action": "take_on"})
    lead.refresh_from_db()
    deal = Deal.objects.get(customer=lead.customer)
    assert (lead.status, answer.headers["Location"]) == ("converted", f"/admin/sales/deal/{deal.pk}/change/")
    assert "Make customer and deal" not in browser.get(address(lead)).text


def test_it_asks_before_it_makes_a_customer_twice(browser, address, lead, make_customer):
    domain = lead.email.partition("@")[2]
    there = make_customer(None, name="Nova Robotics Inc", email=f"it@{domain}")
    page = browser.get(address(lead)).text
    assert "Nova Robotics Inc" in page
    assert browser.post(address(lead), {"action": "take_on"}).status_code == 422
    browser.post(address(lead), {"action": "take_on", "customer": there.pk})
    lead.refresh_from_db()
    assert lead.customer == there


def test_it_keeps_a_wrong_number_of_seats(browser, address, lead):
    plan = browser.get(address(lead)).context["form"].initial["plan"]
    answer = browser.post(address(lead), {"action": "quote", "plan": plan.pk, "quantity": "-3"})
    assert answer.status_code == 422
    assert 'value="-3"' in answer.text
    assert answer.context["form"]["quantity"].errors


def test_it_stands_on_the_board_in_the_column_of_its_stage(browser, deal):
    columns = browser.get("/admin/sales/deal/board/").context["columns"]
    assert {c["stage"]: [d.name for d in c["deals"]] for c in columns if c["deals"]} == {
        "discovery": [deal.name]
    }
    assert columns[0]["sums"] == {"USD": 990_000}


def test_it_is_moved_on_the_board(browser, deal):
    browser.post("/admin/sales/deal/board/", {"deal": deal.pk, "stage": "negotiation"})
    deal.refresh_from_db()
    assert deal.stage == "negotiation"


def test_it_refuses_a_move_that_is_none(browser, deal):
    deals.set_stage(deal=deal, stage="won", now=NOON, actor="user:1")
    answer = browser.post("/admin/sales/deal/board/", {"deal": deal.pk, "stage": "lost"}, follow=True)
    deal.refresh_from_db()
    assert deal.stage == "won"
    assert "alert--bad" in answer.text


def test_it_keeps_why_a_deal_was_lost(browser, address, deal):
    browser.post(address(deal), {"action": "move", "stage": "lost", "reason": "Budget"})
    deal.refresh_from_db()
    assert deal.lost_reason == "Budget"


def test_the_list_leads_to_the_board(browser, deal):
    assert "/admin/sales/deal/board/" in browser.get("/admin/sales/deal/").text


def test_owners_to_filter_by_are_colleagues(browser, deal, on_pro, add_members):
    add_members(on_pro().customer, 2)
    page = browser.get("/admin/sales/deal/").text
    assert "Rita" in page
    assert "M 0" not in page


def test_the_board_forecasts_by_month_and_chance(browser, make_customer):
    customer = make_customer()

    def deal(stage, amount, close_on, currency="USD"):
        Deal.objects.create(
            name="D", customer=customer, stage=stage, amount=amount, close_on=close_on, currency=currency
        )

    deal("discovery", 1000_00, date(2026, 3, 9))
    deal("negotiation", 1_05, date(2026, 3, 30))
    deal("proposal", 500_00, date(2025, 12, 1))
    deal("proposal", 500_00, date(2026, 2, 1), "EUR")
    deal("won", 9, date(2026, 3, 1))
    deal("proposal", 9, None)
    totals = deals.totals(Deal.objects.all(), today=date(2026, 2, 14))
    found = [(f.month, f.currency, f.deals, f.amount, f.weighted) for f in deals.forecast(totals)]
    assert found == [
        (date(2026, 2, 1), "EUR", 1, 500_00, 200_00),
        (date(2026, 2, 1), "USD", 1, 500_00, 200_00),
        (date(2026, 3, 1), "USD", 2, 1001_05, 100_74),
    ]
    Deal.objects.all().delete()
    deals.open_deal(name="Nova", customer=customer, now=customer.now, amount=1000_00)
    assert "$100.00" in browser.get("/admin/sales/deal/board/").text


def test_a_stage_of_the_board_shows_the_next_to_close_and_leads_to_all(browser, make_customer, rita):
    customer, first = make_customer(), date(2026, 3, 1)
    of_rita = [
        Deal(name=f"D {n:02}", customer=customer, amount=100, close_on=first + timedelta(days=n), owner=rita)
        for n in range(COLUMN_SHOWN + 2)
    ]
    undated = Deal(name="No day", customer=customer, amount=5, currency="EUR")
    early = Deal(name="Early", customer=customer, amount=7, close_on=first, stage="proposal")
    Deal.objects.bulk_create([undated, early, *reversed(of_rita)])
    page = browser.get("/admin/sales/deal/board/")
    discovery, proposal, *_ = page.context["columns"]
    assert [deal.name for deal in discovery["deals"]] == [f"D {n:02}" for n in range(COLUMN_SHOWN)]
    assert (discovery["count"], discovery["more"]) == (COLUMN_SHOWN + 3, 3)
    assert discovery["sums"] == {"EUR": 5, "USD": 100 * (COLUMN_SHOWN + 2)}
    assert ([deal.name for deal in proposal["deals"]], proposal["more"]) == (["Early"], 0)
    assert page.text.count("All of this stage") == 1
    assert 'href="/admin/sales/deal/?stage__exact=discovery"' in page.text


def test_all_of_a_stage_stays_ones_own(client, make_customer, rita):
    customer = make_customer()
    Deal.objects.bulk_create(
        [Deal(name=f"D {n}", customer=customer, owner=rita) for n in range(COLUMN_SHOWN + 1)]
        + [Deal(name="Another's", customer=customer)]
    )
    client.force_login(rita)
    page = client.get("/admin/sales/deal/board/", {"owner": "me"})
    assert page.context["columns"][0]["count"] == COLUMN_SHOWN + 1
    address = f"/admin/sales/deal/?stage__exact=discovery&owner__id__exact={rita.pk}"
    assert f'href="{address.replace("&", "&amp;")}"' in page.text
    assert client.get(address).context["cl"].result_count == COLUMN_SHOWN + 1

"""The quote builder in the admin."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from billing.models import Plan, Seller
from sales import catalogue as shipped
from sales import quoting
from sales.models import ApprovalDelegate, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def quote(draft, on_pro):
    return draft(subscription=on_pro(), starts="period_end", net_days=30)


@pytest.fixture
def build(browser, address, typed, quote):
    """build(action="edit", **changes) fills the builder in and presses a button."""

    def press(action="edit", **changes):
        form = typed(browser.get(address(quote)))
        return browser.post(address(quote), {**form, "action": action, **changes})

    return press


def test_it_shows_totals_and_every_invoice_to_come(browser, address, quote):
    page = browser.get(address(quote))
    assert page.status_code == 200
    # 48 Enterprise seats at 990.00 a year
    assert "$47,520" in page.text
    assert [row["amount"] for row in page.context["schedule"]] == [4_752_000]


def test_it_reprices_what_is_typed(build, quote):
    answer = build(quantity="50", discount_percent="10", term_months="24", seats_2="60", discount_2="5")
    assert answer.status_code == 302
    quote.refresh_from_db()
    # 50 × 990 × 0.9 and 60 × 990 × 0.95
    assert (quote.arr, quote.tcv) == (4_455_000, 4_455_000 + 5_643_000)
    assert [row.year for row in quote.ramp.all()] == [2]


def test_it_takes_a_commitment_to_usage(build, browser, address, quote):
    assert build(committed_0="7000000").status_code == 302
    quote.refresh_from_db()
    assert quote.tcv == 4_752_000 + 12 * 160_000
    page = browser.get(address(quote)).text
    assert "Committed: API calls" in page
    assert "7,000,000 committed each month" in page
    wrong = build(committed_0="2000000000")
    assert wrong.context["form"]["committed_0"].errors
    assert build(quantity="50").status_code == 302
    assert quote.lines.get(price__kind="usage").quantity == 7_000_000


def test_it_adds_a_fee(build, quote):
    build(fee_0_description="Onboarding", fee_0_unit_amount="1500")
    quote.refresh_from_db()
    assert quote.tcv == 4_752_000 + 150_000


def test_it_says_beside_the_field_what_is_wrong_and_keeps_what_was_typed(build, quote):
    answer = build(term_months="18", title="Our offer")
    assert answer.status_code == 422
    assert "whole number of periods" in answer.context["form"]["term_months"].errors[0]
    assert 'value="18"' in answer.text
    assert "Our offer" in answer.text
    quote.refresh_from_db()
    assert (quote.term_months, quote.title) == (12, "")


def test_it_names_the_ramp_year_that_is_beyond_the_term(build):
    answer = build(seats_3="70")
    assert answer.status_code == 422
    assert answer.context["form"]["seats_3"].errors


def test_it_finds_words_in_a_number(build):
    answer = build(quantity="many")
    assert answer.context["form"]["quantity"].errors
    assert 'value="many"' in answer.text


def test_it_changes_nothing_when_nothing_was_changed(build, quote):
    quoting.submit(quote=quote, now=quote.now, actor="user:1")
    build()
    quote.refresh_from_db()
    assert quote.state == Quote.State.APPROVED


def test_it_keeps_the_day_on_which_it_ends(build, quote):
    build(expires_on="2026-03-31")
    quote.refresh_from_db()
    assert quote.expires_at.isoformat() == "2026-04-01T00:00:00+00:00"


def test_it_saves_what_was_typed_before_it_asks_for_approval(build, quote):
    build("submit", discount_percent="25")
    quote.refresh_from_db()
    assert (quote.state, quote.discount_percent) == ("in_approval", 25)


def test_it_lets_a_manager_approve_but_not_the_author(build, boss, browser, address, quote):
    build("submit", discount_percent="25")
    assert browser.post(address(quote), {"action": "approve"}).status_code == 403
    assert 'value="approve"' in boss.get(address(quote)).text
    boss.post(address(quote), {"action": "approve", "note": "Fine"})
    quote.refresh_from_db()
    assert quote.state == "approved"


def test_it_sends_back_with_a_note(build, boss, address, quote):
    build("submit", discount_percent="25")
    boss.post(address(quote), {"action": "reject", "note": "Too deep"})
    quote.refresh_from_db()
    assert quote.state == "draft"
    assert "Too deep" in boss.get(address(quote)).text


def test_it_sends_and_is_then_read_only(build, browser, address, quote, fake_print):
    assert build("send").status_code == 302
    quote.refresh_from_db()
    assert quote.state == "sent"
    page = browser.get(address(quote))
    assert page.context["form"] is None
    assert quote.url in page.text


def build_late(browser, where):
    return browser.post(where, {"action": "edit", "plan": "1", "quantity": "1"})


def test_it_ignores_terms_for_a_quote_that_is_out(build, browser, address, quote, fake_print):
    build("send")
    build_late(browser, address(quote))
    quote.refresh_from_db()
    assert (quote.state, quote.arr) == ("sent", 4_752_000)


def test_it_says_that_a_quote_beyond_the_rules_needs_approval(build, quote, fake_print):
    answer = build("send", discount_percent="30")
    assert "needs approval" in answer.text
    quote.refresh_from_db()
    assert quote.state == "draft"


def test_it_revises_and_withdraws(build, browser, address, quote, fake_print):
    build("send")
    answer = browser.post(address(quote), {"action": "revise"})
    new = Quote.objects.get(revision_of=quote)
    assert answer.url == address(new)
    browser.post(address(new), {"action": "withdraw", "reason": "They left"})
    new.refresh_from_db()
    assert new.state == "withdrawn"


def test_one_whose_last_day_is_over_is_expired_on_every_page(build, browser, address, quote, fake_print):
    build(action="send")
    Quote.objects.update(expires_at=quote.now - timedelta(seconds=1))
    page = browser.get(address(quote)).content.decode()
    assert "Expired</span>" in page
    assert "Sent</span>" not in page
    assert 'value="withdraw"' not in page
    assert 'value="revise"' in page
    quote.refresh_from_db()
    assert quote.state == "sent", "no job was there"
    for about in (quote.customer, quote.deal):
        assert "Expired</span>" in browser.get(address(about)).content.decode()
    listed = "/admin/sales/quote/?state="
    assert str(quote) in browser.get(listed + "expired").content.decode()
    assert address(quote) not in browser.get(listed + "sent").content.decode()
    assert address(quote) not in browser.get("/admin/").content.decode()


def test_it_answers_the_buyer(build, browser, address, quote, fake_print):
    build("send")
    browser.post(address(quote), {"action": "comment", "text": "From 1 March."})
    assert quote.comments.get().author == "Rita"


def test_it_compares_what_runs_with_what_is_proposed(browser, address, on_pro, rita):
    row = on_pro(6)
    quote = quoting.draft_from_subscription(subscription=row, now=row.customer.now, actor="user:1", by=rita)
    page = browser.get(address(quote))
    # six Pro seats at 29.00 a month
    assert page.context["growth"] == quote.arr - 208_800
    assert "$2,088.00" in page.text


def test_it_previews_the_paper(browser, quote, fake_print):
    answer = browser.get(f"/admin/sales/quote/{quote.pk}/pdf/")
    assert answer["Content-Type"] == "application/pdf"
    assert not Quote.objects.get().document_id


def test_it_copies_compares_and_says_what_changed(browser, address, build, quote, fake_print):
    build(escalator_percent="4", term_months="24")
    quote.refresh_from_db()
    assert quote.escalator_percent == 4
    answer = browser.post(address(quote), {"action": "copy"})
    copy = Quote.objects.exclude(pk=quote.pk).get()
    assert answer.url == address(copy)
    assert copy.tcv == quote.tcv
    assert "Side by side" in browser.get(address(quote.deal)).text
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    newer = quoting.revise(quote=quote, now=quote.now, actor="user:1", discount_percent=5)
    page = browser.get(address(newer)).text
    assert "What changed" in page
    assert "5 %" in page


def test_it_shows_what_was_signed_beside_what_was_invoiced(
    browser, address, quote, sign, fake_print, advance
):
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    sign(quote)
    advance(quote.customer.test_clock, days=32)
    page = browser.get(address(quote)).text
    assert "Signed and invoiced" in page
    assert "As signed" in page


def test_it_says_which_terms_of_service_were_agreed_to(browser, address, quote, sign, fake_print):
    Seller.objects.update(terms_url="https://seller.example/terms/2026-01")
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    assert "seller.example/terms" not in browser.get(address(quote)).text
    sign(quote)
    Seller.objects.update(terms_url="https://seller.example/terms/2027-01")
    page = browser.get(address(quote)).text
    assert '<a href="https://seller.example/terms/2026-01" target="_blank" rel="noopener noreferrer">' in page
    assert "2027-01" not in page


# -- Two people on one quote


def test_it_does_not_put_back_what_a_colleague_has_changed(build, browser, address, typed, quote):
    opened = browser.get(address(quote))
    build(discount_percent="15")
    stale = {**typed(opened), "seen": opened.context["seen"], "action": "edit", "title": "For the board"}
    answer = browser.post(address(quote), stale)
    quote.refresh_from_db()
    assert (answer.status_code, quote.discount_percent, quote.title) == (422, 15, "")
    assert "For the board" in answer.text
    assert "stored is Discount: 15; Title: –." in answer.text
    browser.post(address(quote), {**stale, "seen": answer.context["seen"]})
    quote.refresh_from_db()
    assert (quote.discount_percent, quote.title) == (None, "For the board")


def test_nobody_sends_terms_that_they_have_not_seen(build, browser, address, typed, quote, fake_print):
    opened = browser.get(address(quote))
    build(discount_percent="15")
    fresh = typed(browser.get(address(quote)))
    answer = browser.post(address(quote), {**fresh, "seen": opened.context["seen"], "action": "send"})
    quote.refresh_from_db()
    assert (answer.status_code, quote.state) == (422, "draft")


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_nobody_decides_about_terms_that_they_have_not_seen(build, boss, address, quote, decision):
    build("submit", discount_percent="25")
    seen = boss.get(address(quote)).context["seen"]
    build("submit", discount_percent="34")
    late = {"action": decision, "note": "Fine at 25 %", "seen": seen}
    answer = boss.post(address(quote), late)
    quote.refresh_from_db()
    assert (answer.status_code, quote.state) == (422, "in_approval")
    assert "was changed after you opened it" in answer.text
    assert "Fine at 25 %" in answer.text
    boss.post(address(quote), {**late, "seen": answer.context["seen"]})
    quote.refresh_from_db()
    assert quote.state == {"approve": "approved", "reject": "draft"}[decision]


def test_the_deal_is_called_after_the_plan_that_is_proposed_until_somebody_names_it(build, quote):
    buyer = quote.buyer_name
    assert quote.deal.name == f"{buyer}: Enterprise"
    business = Plan.objects.get(code="business")
    build(plan=business.pk)
    quote.deal.refresh_from_db()
    assert quote.deal.name == f"{buyer}: Business"
    quote.deal.name = "The big one"
    quote.deal.save()
    build(plan=quote.plan_id)
    quote.deal.refresh_from_db()
    assert quote.deal.name == "The big one"


def test_who_decides_sees_the_terms_first_and_the_form_folded(build, boss, browser, address, quote):
    build("submit", discount_percent="25")
    assert "Change it yourself" in boss.get(address(quote)).text
    assert "Change it yourself" not in browser.get(address(quote)).text


def test_a_stand_in_decides_with_no_such_permission_of_their_own(
    sales_catalogue, make_customer, draft, staff, rita, address
):
    mia, sol = staff("mia", shipped.MANAGERS), staff("sol", shipped.SUPPORT)
    quote = draft(customer=make_customer(), discount_percent=Decimal(25))
    quoting.submit(quote=quote, now=NOON, actor=f"user:{rita.pk}", by=rita)
    place = Client()
    place.force_login(sol)
    assert 'value="approve"' not in place.get(address(quote)).text
    assert place.post(address(quote), {"action": "approve"}).status_code == 403
    ApprovalDelegate.objects.create(person=mia, delegate=sol, since=NOON.date(), until=NOON.date())
    page = place.get(address(quote))
    assert 'value="approve"' in page.text
    assert place.post(address(quote), {"action": "approve", "seen": page.context["seen"]}).status_code == 302
    quote.refresh_from_db()
    assert quote.state == "approved"
    assert place.post(address(quote), {"action": "send"}).status_code == 403

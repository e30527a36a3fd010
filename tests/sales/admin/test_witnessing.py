"""What has to leave a line for whoever looks into it later: one table, and the line of each."""

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from billing import cards, collecting
from billing.models import Event, Invoice, Price, PrivacyRequest, TaxRate, User
from sales import catalogue as shipped
from sales import leads
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough one 7"
LOGIN = "/accounts/login/"


@pytest.fixture
def sam(sales_catalogue):
    made = User.objects.create_user("sam@seller.example", PASSWORD, name="Sam", is_staff=True)
    made.groups.add(Group.objects.get(name=shipped.ADMINS))
    return made


@pytest.fixture
def browser(sam):
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.post(LOGIN, {"login": sam.email, "password": PASSWORD})
    return client


@pytest.fixture
def lines(sam):
    """lines() -> {(what, note)} of all that Sam did, or that was tried as Sam."""

    def found():
        events = Event.objects.filter(actor=f"user:{sam.pk}")
        entries = LogEntry.objects.filter(user=sam)
        return [(each.type, each.data.get("note", "")) for each in events.order_by("number")] + [
            (f"log.{each.content_type.model}", each.get_change_message()) for each in entries.order_by("pk")
        ]

    return found


def test_who_came_in_and_who_did_not(sam, lines):
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.post(LOGIN, {"login": sam.email, "password": "wrong"})
    client.post(LOGIN, {"login": sam.email, "password": PASSWORD})
    assert lines() == [("user.sign_in_failed", "password"), ("user.signed_in", "password")]
    assert {each.data["address"] for each in Event.objects.all()} == {"192.0.2.7"}


def test_of_an_address_that_nobody_has_only_the_try_is_kept(sam):
    Client().post(LOGIN, {"login": "hunter2@nobody.example", "password": "x"})
    line = Event.objects.get()
    assert (line.type, line.object_id, line.actor) == ("user.sign_in_failed", "usr_unknown", "unknown")
    assert "hunter2" not in str(line.data)


def test_a_wrong_code_is_told_from_mail_and_from_an_app(sam, lines):
    for address in (sam.email, "nobody@nova.example"):
        client = Client()
        client.post("/accounts/login/code/", {"email": address})
        client.post("/accounts/login/code/confirm/", {"code": "0000-0000"})
    assert lines() == [("user.sign_in_failed", "code")]
    assert Event.objects.get(actor="unknown").data["note"] == "code"
    TOTP.activate(sam, generate_totp_secret())
    client = Client()
    client.post(LOGIN, {"login": sam.email, "password": PASSWORD})
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert lines()[-1] == ("user.sign_in_failed", "code")


def test_a_permission_refused(sam, browser, lines, make_customer):
    sam.groups.set([Group.objects.get(name=shipped.REPS)])
    row = make_customer()
    assert browser.post(f"/admin/billing/customer/{row.pk}/change/", {"action": "pay_out"}).status_code == 403
    assert lines()[-1] == ("user.refused", f"POST /admin/billing/customer/{row.pk}/change/")
    assert browser.get("/admin/billing/apikey/add/").status_code == 403
    assert lines()[-1] == ("user.refused", "GET /admin/billing/apikey/add/")


def test_keys_and_files(browser, lines, sales_catalogue):
    made = browser.post(
        "/admin/billing/apikey/add/", {"name": "Shop", "scopes": ["read"], "livemode": "test"}
    )
    assert made.status_code == 200
    where = made.context["onwards"]
    browser.post(where, {"action": "revoke"})
    assert [line for line in lines() if line[0] == "log.apikey"] == [
        ("log.apikey", "test: read"),
        ("log.apikey", "Taken away"),
    ]
    assert browser.get("/admin/metrics/?format=csv").status_code == 200
    assert ("user.exported", "Metrics as CSV (by month)") in lines()


def test_invoices_as_csv(browser, lines, make_customer, subscribe):
    row = subscribe(make_customer(), quantity=3).invoices.get()
    chosen = {"action": "as_csv", "_selected_action": [row.pk]}
    assert browser.post("/admin/billing/invoice/", chosen).status_code == 200
    assert lines()[-1] == ("user.exported", "Invoices as CSV (1)")


def test_prices_and_taxes_that_were_changed(browser, lines):
    rate = TaxRate.objects.filter(active=True)[0]
    where = f"/admin/billing/taxrate/{rate.pk}/change/"
    form = browser.get(where).context["adminform"].form
    typed = {each.html_name: each.value() for each in form if each.value() not in (None, False, "")}
    assert browser.post(where, {**typed, "name": "TVA"}).status_code == 302
    assert lines()[-1][0] == "log.taxrate"
    assert Price.objects.exists(), "a price itself is never changed: a new one replaces it"


def test_money_back_and_papers_undone(browser, lines, make_customer, subscribe, fake_stripe):
    customer = make_customer(tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    paid = subscribe(customer, quantity=3).invoices.get()
    collecting.attempt(invoice=paid, now=paid.issued_at, actor="system")
    left = {"action": "credit", "amount": "10.00", "to": "refund", "reason": "Twice", "left": 87_00}
    assert browser.post(f"/admin/billing/invoice/{paid.pk}/change/", left).status_code == 302
    assert {"credit_note.issued", "payment.refunded"} <= {what for what, _ in lines()}
    open_one = subscribe(make_customer(tax_exempt=True), quantity=3).invoices.get()
    browser.post(f"/admin/billing/invoice/{open_one.pk}/change/", {"action": "void", "reason": "Twice"})
    assert Invoice.objects.get(pk=open_one.pk).status == "void"
    assert "invoice.voided" in {what for what, _ in lines()}


def test_what_is_held_about_somebody_is_told_and_erased(browser, lines, run_jobs):
    leads.contact(name="Kim", email="kim@nova.example", company="Nova", now=NOON, actor="buyer")
    browser.post("/admin/billing/privacyrequest/add/", {"address": "kim@nova.example", "reason": "By mail"})
    run_jobs()
    row = PrivacyRequest.objects.get()
    where = f"/admin/billing/privacyrequest/{row.pk}/change/"
    assert browser.post(where, {"action": "export"}).status_code == 200
    browser.post(where, {"action": "erase", "address": "kim@nova.example"})
    run_jobs()
    row.refresh_from_db()
    assert row.erased_at
    assert {"person.exported", "person.erased"} <= {what for what, _ in lines()}


def test_the_page_of_who_did_what_shows_them(sam, browser):
    Client().post(LOGIN, {"login": sam.email, "password": "wrong"})
    browser.get("/admin/metrics/?format=csv")
    page = browser.get("/admin/audit/").text
    for words in ("Signed in", "Sign-in failed", "File taken out", "192.0.2.7"):
        assert words in page, words
    assert f"usr_{sam.pk}" not in page

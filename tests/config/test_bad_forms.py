"""What people, broken browsers and programs send to the buyers' pages: never a server error, nothing lost that was typed,
nothing made of what was refused."""

import html

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing import hosted
from billing.models import Invoice, Plan
from checkout import sessions
from checkout.urls import urlpatterns as of_checkout
from portal.urls import urlpatterns as of_portal
from tests.checkout.conftest import ANSWERS

pytestmark = pytest.mark.django_db

BAD = {
    "nothing": "",
    "blanks": "   ",
    "a space that is not seen": "\u200b",
    "text that runs backwards": "\u202egnp.exe",
    "NUL": "a\x00b",
    "a header of its own": "a@b.example\r\nBcc: x@y.example",
    "a hundred thousand characters": "x" * 100_000,
    "three hundred characters of address": "a" * 300 + "@b.example",
    "other digits": "\u0661\u0660",
    "below zero": "-1",
    "an exponent": "1e9",
    "no number": "NaN",
    "endless": "Infinity",
    "a part": "1.5",
    "more than fits": "9" * 40,
    "a script": "\"><img src=x onerror=alert(1)><script>alert(1)</script>",
    "a template": "{{7*7}} ${7*7} {% include 'x' %}",
    "a statement": "'; drop table billing_invoice; --",
    "a path": "../../../../etc/passwd",
    "a formula": "=HYPERLINK(\"http://evil.example\")",
    "an emoji": "\U0001f600",
    "right to left": "\u0634\u0631\u0643\u0629",
    "a list": ["1", "2"],
    "JSON": '{"$gt": ""}',
    "an id of another": "inv_" + "0" * 32,
}  # fmt: skip
PATHS = (
    "%00",
    "%ff%fe",
    "..%2f..",
    "inv_" + "0" * 32,
    "x" * 3000,
    "%F0%9F%98%80",
    "-1",
    "'",
    "{{7*7}}",
    "a%0d%0ab",
)


@pytest.fixture
def buyer(sales_catalogue, make_customer, clock, subscribe):
    """A signed-in owner with an open invoice; errors are answered as buyers would see them."""
    from billing import customers

    customer = make_customer(clock, name="Nova Robotics")
    buyer = Client(raise_request_exception=False)
    buyer.subscription = subscribe(customer)
    made = customers.add_member(
        customer=customer, email="ada@nova.example", role="owner", now=customer.now, actor="system"
    )
    buyer.force_login(made.user)
    buyer.customer = customer
    return buyer


@pytest.fixture
def session(buyer):
    return sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)


def tables():
    """How much there is of what a refused form must not make."""
    names = ("billing_customer", "billing_subscription", "billing_invoice", "billing_payment", "billing_member",
             "billing_paymentmethod", "sales_lead", "billing_phase")  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(" union all ".join(f"select count(*) from {name}" for name in names))
        return [count for (count,) in cursor.fetchall()]


def forms(buyer, session):
    """(address, what a correct browser sends) of every form."""
    sub = buyer.subscription.pk
    contact = {"name": "Ada", "email": "ada@nova.example", "company": "Nova", "employees": "12", "need": "Help",
               "country": "DE", "plan": "pro", "seats": "3", "website": ""}  # fmt: skip
    yield f"/checkout/{session.token}/", {**ANSWERS, "action": "update", "expected": "8700", "terms": "on"}
    yield (
        f"/checkout/{session.token}/",
        {**ANSWERS, "action": "pay", "expected": "8700", "terms": "on", "payment_method": ""},
    )
    yield "/contact-sales/", contact
    yield "/checkout/start/", {"plan": "pro", "interval": "month", "seats": "3", "currency": "USD"}
    yield "/portal/team/", {"email": "bob@nova.example", "name": "Bob", "role": "viewer"}
    yield "/portal/details/", {"name": "Nova", "email": "a@b.example", "line1": "K 1", "line2": "", "postal_code": "1",
                               "city": "Bonn", "state": "", "country": "DE", "tax_id": ""}  # fmt: skip
    yield "/portal/help/", {"about": "help", "text": "Help"}
    yield f"/portal/plan/{sub}/", {"plan": "pro", "interval": "month", "quantity": "5"}
    yield f"/portal/plan/{sub}/confirm/", {"plan": "pro", "interval": "month", "quantity": "5", "shown": "x"}
    yield f"/portal/plan/{sub}/cancel/", {"reason": "price", "comment": "", "shown": "x"}
    yield f"/portal/plan/{sub}/pause/", {"months": "1"}
    yield f"/portal/plan/{sub}/unplan/", {"phase": "x"}
    yield "/portal/payment/card/", {"payment_method": "", "invoice": ""}
    yield "/portal/payment/method/", {"method": "send_invoice"}
    yield f"/portal/invoices/{buyer.subscription.invoices.get().pk}/pay/", {"card": ""}
    yield f"/invoices/{hosted.token(buyer.subscription.invoices.get())}/pay/", {"payment_method": ""}
    yield "/portal/choose/", {"customer": "x"}


# What may be saved by a form whose other fields are right: it is text, or left out.
MAKES = ("/contact-sales/", "/portal/team/", "/portal/help/", "/checkout/start/", "/portal/plan/")


@pytest.mark.parametrize("turn", range(len(BAD)))
def test_no_field_of_any_form_breaks_a_page(buyer, session, fake_stripe, no_request_limits, turn):
    """Each value goes into another field of each form, the next one in the next turn; some of them into all."""
    name = list(BAD)[turn]
    for address, right in forms(buyer, session):
        field = list(right)[turn % len(right)]
        wrong = dict.fromkeys(right, BAD[name]) if turn % 4 == 0 else {**right, field: BAD[name]}
        before = tables()
        answer = buyer.post(address, {**wrong, "action": right["action"]} if "action" in right else wrong)
        where = (address, field, answer.status_code)
        assert answer.status_code < 500, where
        if answer.status_code in (400, 404, 422) and not address.startswith(MAKES):
            assert tables() == before, where
        for unescaped in (b"<script>alert(1)", b"onerror=alert(1)>", b" 49 49 "):
            assert unescaped not in answer.content, where


@pytest.mark.parametrize(
    "bad", ["a script", "right to left", "an emoji", "a statement", "text that runs backwards"]
)
def test_what_was_typed_stays_in_the_form(buyer, session, fake_stripe, bad):
    """Right or wrong, beside a field that is wrong in any case."""
    for field in ("name", "company", "line1", "city", "postal_code", "email", "promotion_code"):
        sent = {**ANSWERS, "action": "pay", "terms": "on", "payment_method": "", "employees": "many"}
        sent[field] = BAD[bad]
        answer = buyer.post(f"/checkout/{session.token}/", sent)
        assert answer.status_code == 422
        page = html.unescape(answer.text)
        for name in {"name", "company", "line1", "city", "employees", field}:
            assert sent[name] in page, (field, name)


def bodies():
    """(name, body, content type) of what is no form at all."""
    yield "JSON", b'{"plan": "pro"}', "application/json"
    yield (
        "bytes that are no text",
        b"name=%ff%fe%ed%a0%80&email=\xff\xfe",
        "application/x-www-form-urlencoded",
    )
    yield "an unknown charset", b"name=a", "application/x-www-form-urlencoded; charset=klingon"
    yield "UTF-16", "name=Ada".encode("utf-16"), "application/x-www-form-urlencoded; charset=utf-16"
    yield "a broken part", b"--x\r\nContent-Disposition: form-data; name=", "multipart/form-data; boundary=x"
    yield "no boundary", b"--x", "multipart/form-data"
    yield (
        "two thousand fields",
        b"&".join(b"f%d=1" % n for n in range(2000)),
        "application/x-www-form-urlencoded",
    )
    yield "three megabytes", b"name=" + b"x" * 3_000_000, "application/x-www-form-urlencoded"
    yield "plain text", b"name=a", "text/plain"
    yield "XML", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "application/xml"
    yield "nothing", b"", "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("body", "kind"), [pytest.param(b, k, id=n) for n, b, k in bodies()])
def test_no_body_breaks_a_page(buyer, session, fake_stripe, body, kind):
    for address in {address for address, _ in forms(buyer, session)}:
        before = tables()
        answer = buyer.generic("POST", address, body, content_type=kind)
        assert answer.status_code < 500, address
        if not address.startswith(MAKES):
            assert tables() == before, address


def test_a_file_where_text_is_asked_for_breaks_nothing(buyer, session, fake_stripe):
    for address, right in forms(buyer, session):
        for field in list(right)[:3]:
            sent = {**right, field: SimpleUploadedFile("x.svg", b"<svg onload='alert(1)'/>", "image/svg+xml")}
            assert buyer.post(address, sent).status_code < 500, (address, field)


def addresses(gap):
    for prefix, patterns in (("/", of_checkout), ("/portal/", of_portal)):
        for pattern in patterns:
            route = str(pattern.pattern).replace("(?P<token>[A-Za-z0-9_-]{20,64})", gap)
            yield prefix + route.strip("^$").replace("<str:pk>", gap).replace("<str:token>", gap)


@pytest.mark.parametrize("gap", PATHS)
def test_no_address_breaks(buyer, gap):
    for n, address in enumerate(addresses("gap")):
        method = ("get", "post")[(n + len(gap)) % 2]
        if "gap" in address:
            assert getattr(buyer, method)(address.replace("gap", gap)).status_code < 500, (method, address)


QUERIES = (
    "page=-1", "page=9999999999999999999999", "page=%00", "plan=%00", "plan=" + "x" * 5000, "interval=%ff",
    "currency=%00", "currency=XXX", "quantity=%00&plan=pro&interval=month", "payment_intent=%00",
    "next=//evil.example", "setup_intent=%00&redirect_status=succeeded", "invoice=%00", "about=%00", "meter=%00",
    "period=%00", "period=2026-02-30", "success_url=javascript:alert(1)", "a=1&" * 1500, "plan[]=pro", "%00=1",
)  # fmt: skip
READ = ("/pricing/", "/contact-sales/", "/portal/invoices/", "/portal/usage/", "/portal/help/", "/portal/payment/card/",
        "/portal/payment/card/back/", "/checkout/start/")  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_breaks_a_page(buyer, session, query):
    invoice = buyer.subscription.invoices.get().pk
    own = (
        f"/portal/plan/{buyer.subscription.pk}/",
        f"/portal/invoices/{invoice}/",
        f"/invoices/{hosted.token(buyer.subscription.invoices.get())}/",
        f"/checkout/{session.token}/",
    )
    for address in (*READ, *own):
        answer = buyer.get(f"{address}?{query}")
        assert answer.status_code < 500, address
        assert "evil.example" not in answer.get("Location", ""), address


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "x"])
def test_no_method_breaks_a_page(buyer, session, method):
    before = tables()
    for address in {address for address, _ in forms(buyer, session)}:
        assert buyer.generic(method, address).status_code < 500, address
    assert tables() == before


def test_a_hidden_field_that_was_changed_is_not_believed(buyer, session, fake_stripe, books):
    """The amount, the plan and the currency are ours; what the page sends back of them is compared, never used."""
    for changed in ({"expected": "1"}, {"expected": "-8700"}, {"expected": "10352"}):
        sent = {**ANSWERS, "action": "pay", "terms": "on", "payment_method": "pm_card_visa", **changed}
        answer = Client().post(f"/checkout/{session.token}/", sent)
        assert answer.status_code in (200, 409, 422), changed
        assert fake_stripe.rows("charge") == []
    extra = {"plan": "starter", "amount": "1", "currency": "JPY", "status": "completed", "customer": buyer.customer.pk,
             "trial_days": "365", "discount": "100"}  # fmt: skip
    sent = {**ANSWERS, "action": "pay", "terms": "on", "payment_method": "pm_card_visa", **extra}
    assert Client().post(f"/checkout/{session.token}/", sent).status_code == 302
    assert [charge["amount"] for charge in fake_stripe.rows("charge")] == [10353]
    assert Invoice.objects.order_by("-id").first().subscription.phases.get().plan == Plan.objects.get(
        code="pro"
    )


def test_a_token_of_a_finished_checkout_shows_its_receipt_and_takes_no_card(session, fake_stripe):
    sent = {**ANSWERS, "action": "pay", "terms": "on", "payment_method": "pm_card_visa"}
    for _ in range(3):
        answer = Client().post(f"/checkout/{session.token}/", sent)
        assert answer["Location"].endswith("/receipt/")
    assert len(fake_stripe.rows("charge")) == 1


def test_what_is_paid_is_not_paid_again(buyer, fake_stripe):
    from billing import cards

    customer = buyer.customer
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    invoice = buyer.subscription.invoices.get()
    for _ in range(2):
        answer = buyer.post(f"/portal/invoices/{invoice.pk}/pay/", follow=True)
    assert "Nothing is due" in answer.text
    assert len(fake_stripe.rows("charge")) == 1

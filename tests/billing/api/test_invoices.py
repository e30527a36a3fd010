"""Invoices and payments over the API."""

import pytest

from billing.models import Invoice, Payment


@pytest.fixture
def customer(make_customer, clock):
    return make_customer(clock, currency="EUR", country="DE")


@pytest.fixture
def invoice(subscribe, customer):
    return subscribe(customer).invoices.get()


@pytest.fixture
def by_invoice(subscribe, customer):
    terms = {"collection_method": "send_invoice", "payment_rule_override": "test", "net_days": 30}
    return subscribe(customer, **terms).invoices.get()


def test_it_shows_an_invoice_with_its_lines(api, invoice):
    body = api.get(f"invoices/{invoice.pk}").json()
    assert (body["number"], body["status"], body["currency"]) == (invoice.number, "open", "EUR")
    assert (body["subtotal"], body["tax_total"], body["total"]) == ("87.00", "16.53", "103.53")
    [line] = body["lines"]
    assert (line["quantity"], line["unit_amount"], line["amount"], line["tax_rate"]) == (
        "3",
        "29.00",
        "87.00",
        "19",
    )
    assert line["period"] == {"start": "2026-01-15", "end": "2026-02-15"}
    assert body["seller"]["legal_name"]
    assert body["bill_to"]["name"] == invoice.customer.name


def test_it_says_where_anybody_can_pay_it(api, client, invoice):
    address = api.get(f"invoices/{invoice.pk}").json()["hosted_invoice_url"]
    page = client.get(address)
    assert page.status_code == 200
    assert invoice.number in page.text
    listed = api.get("invoices").json()["results"]
    assert [row["hosted_invoice_url"] for row in listed] == [address]
    made = api.post(
        "invoices", customer=invoice.customer_id, lines=[{"description": "x", "amount": "5"}]
    ).json()
    assert (made["status"], made["hosted_invoice_url"]) == ("draft", None)


def test_it_is_due_on_its_due_day(api, by_invoice):
    """Issued on 15 January with 30 days: the 14th of February still belongs to the customer."""
    assert api.get(f"invoices/{by_invoice.pk}").json()["due_at"] == "2026-02-14T23:59:59Z"


def test_it_lists_and_filters(api, invoice, make_customer, subscribe):
    other = subscribe(make_customer()).invoices.get()
    ids = lambda **query: [row["id"] for row in api.get("invoices", **query).json()["results"]]  # noqa: E731
    assert ids() == [other.pk, invoice.pk]
    assert ids(customer=invoice.customer_id) == ids(subscription=invoice.subscription_id) == [invoice.pk]
    assert ids(status="paid") == []
    alone = api.get(f"invoices/{invoice.pk}").json()
    assert alone.pop("payments") == []
    assert alone.pop("needs_card")["reason"] == "no_card"
    assert api.get("invoices").json()["results"][1] == alone


def test_it_prints_the_paper_once(api, invoice):
    first, again = api.get(f"invoices/{invoice.pk}/pdf"), api.get(f"invoices/{invoice.pk}/pdf")
    assert first["Content-Type"] == "application/pdf"
    assert first.content.startswith(b"%PDF-")
    assert first.content == again.content
    assert first["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'


def test_it_tells_what_comes_next(api, invoice):
    body = api.get("invoices/upcoming", subscription=invoice.subscription_id).json()
    assert (body["date"], body["total"], body["currency"]) == ("2026-02-15", "103.53", "EUR")
    assert [line["amount"] for line in body["lines"]] == ["87.00"]


def test_it_records_transfers_until_it_is_paid(api, by_invoice, code, books):
    path = f"invoices/{by_invoice.pk}/mark_paid"
    part = api.post(path, amount="100.00", reference="T-1").json()
    assert (part["status"], part["amount_paid"], part["amount_due"]) == ("open", "100.00", "3.53")
    again = api.post(path, amount="100.00", reference="T-1").json()
    assert again["amount_paid"] == "100.00"
    paid = api.post(path, amount="3.53", reference="T-2").json()
    assert (paid["status"], paid["amount_due"]) == ("paid", "0.00")
    assert code(api.post(path, amount="1.00", reference="T-3")) == (409, "nothing_due")
    assert {row["method"] for row in api.get("payments", invoice=by_invoice.pk).json()["results"]} == {
        "bank_transfer"
    }


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        (29, 400, "invalid_amount"), (29.5, 400, "invalid_amount"), (True, 400, "invalid_amount"),
        (None, 400, "null"), ("NaN", 400, "invalid_amount"), ("sNaN", 400, "invalid_amount"),
        ("Infinity", 400, "invalid_amount"), ("-Infinity", 400, "invalid_amount"),
        ("1e3", 400, "invalid_amount"),
        ("1,00", 400, "invalid_amount"), ("€1", 400, "invalid_amount"), ("", 400, "invalid_amount"),
        ("١٠", 400, "invalid_amount"), ("10.505", 422, "invalid_precision"), ("-5", 422, "invalid_amount"),
        ("0", 422, "invalid_amount"), ("9223372036854775808", 400, "amount_too_large"),
        ("100000000000000", 422, "amount_too_large"), ("1" + "0" * 30, 400, "amount_too_large"),
        ("9" * 5000, 400, "invalid_amount"),
    ],
)  # fmt: skip
def test_money_is_a_decimal_string_that_fits_its_currency(api, by_invoice, amount, status, code):
    answer = api.post(f"invoices/{by_invoice.pk}/mark_paid", amount=amount)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["field"] == "amount"
    assert not Payment.objects.exists()


def test_decimals_follow_the_currency():
    from billing.api.fields import minor
    from billing.api.problems import Problem

    assert (minor("1050", "JPY"), minor("1.234", "KWD"), minor("1.2", "EUR")) == (1050, 1234, 120)
    for amount, currency in (("10.50", "JPY"), ("1.2345", "KWD")):
        with pytest.raises(Problem, match="decimals"):
            minor(amount, currency)


def test_nobody_edits_an_invoice(api, invoice):
    for method, refusal in (
        ("PATCH", (405, "method_not_allowed")),
        ("PUT", (405, "method_not_allowed")),
        ("DELETE", (409, "invoice_not_draft")),
    ):
        answer = api.client.generic(
            method, f"/api/v1/invoices/{invoice.pk}", '{"memo": "x"}', content_type="application/json",
            headers=api.headers,
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == refusal
    assert Invoice.objects.get(pk=invoice.pk).memo == ""


def test_paying_needs_a_card(api, invoice, code):
    assert code(api.post(f"invoices/{invoice.pk}/pay")) == (409, "no_card")
    unknown = api.post(f"invoices/{invoice.pk}/pay", payment_method="pm_" + "0" * 32)
    assert code(unknown) == (422, "unknown_payment_method")


def test_it_answers_in_a_fixed_number_of_statements(
    api, make_customer, subscribe, django_assert_max_num_queries
):
    invoices = [subscribe(make_customer()).invoices.get() for _ in range(6)]
    api.get("payments")  # the first request of a key asks for its allowance, too
    for limit in (1, 6):
        with django_assert_max_num_queries(3):
            assert len(api.get("invoices", limit=limit).json()["results"]) == limit
        with django_assert_max_num_queries(3):
            api.get("payments", limit=limit)
    with django_assert_max_num_queries(6):
        api.get(f"invoices/{invoices[0].pk}")

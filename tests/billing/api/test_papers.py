"""One-off invoices, credit notes and refunds over the API."""

from datetime import UTC, datetime

import pytest

from billing import disputing
from billing.models import CreditNote, Invoice


@pytest.fixture
def acme(make_customer, clock):
    return make_customer(clock, external_id="acme", country="IE")


LINES = [
    {"description": "Workshop", "unit_amount": "250.00", "quantity": 2},
    {"description": "Travel", "unit_amount": "99.995"},
]


@pytest.fixture
def draft(api, acme):
    return api.post("invoices", customer="acme", lines=LINES, memo="Thanks").json()


@pytest.fixture
def invoice(api, draft):
    return api.post(f"invoices/{draft['id']}/finalize").json()


def test_a_draft_becomes_an_invoice(api, draft, books):
    assert (draft["status"], draft["number"], draft["pdf"], draft["memo"]) == ("draft", "", None, "Thanks")
    assert [line["amount"] for line in draft["lines"]] == ["500.00", "100.00"]
    assert (draft["subtotal"], draft["tax_total"], draft["total"]) == ("600.00", "138.00", "738.00")
    issued = api.post(f"invoices/{draft['id']}/finalize").json()
    assert (issued["id"], issued["status"], issued["total"]) == (draft["id"], "open", "738.00")
    assert issued["number"]
    assert issued["xml"].endswith("/xml")


def test_a_draft_is_thrown_away_and_an_invoice_is_not(api, draft, code):
    assert api.delete(f"invoices/{draft['id']}").status_code == 204
    assert code(api.get(f"invoices/{draft['id']}")) == (404, "not_found")
    issued = api.post("invoices", customer="acme", lines=LINES).json()["id"]
    api.post(f"invoices/{issued}/finalize")
    assert code(api.delete(f"invoices/{issued}")) == (409, "invoice_not_draft")
    assert code(api.post(f"invoices/{issued}/finalize")) == (409, "invoice_not_draft")


@pytest.mark.parametrize(
    ("fields", "status", "name"),
    [
        ({"lines": []}, 422, "invalid_line"),
        ({"lines": [{"description": "x", "unit_amount": 1.5}]}, 400, "invalid_amount"),
        ({"lines": [{"description": "x"}]}, 400, "required"),
        ({"lines": [{"description": "x", "amount": "1.00", "quantity": 2}]}, 400, "ambiguous"),
        ({"lines": [{"description": "x", "amount": "1.00", "unit_amount": "2.00"}]}, 400, "ambiguous"),
        ({"lines": [{"description": "x", "amount": "1.001"}]}, 422, "invalid_precision"),
        ({"lines": [{"description": "x", "unit_amount": "-1.00"}]}, 422, "invoice_negative"),
        ({"lines": [{"description": "x", "unit_amount": "999999999999999"}]}, 422, "invalid_line"),
        ({"currency": "EUR"}, 422, "currency_mismatch"),
        ({"period_start": "2026-02-01"}, 400, "unknown_field"),
        ({"customer": "nobody"}, 422, "unknown_customer"),
    ],
)
def test_it_refuses_by_name_and_writes_nothing(api, acme, code, fields, status, name):
    assert code(api.post("invoices", **{"customer": "acme", "lines": LINES, **fields})) == (status, name)
    assert not Invoice.objects.exists()


def test_it_says_what_a_draft_cannot(api, draft, code):
    path = f"invoices/{draft['id']}"
    assert code(api.post(f"{path}/void")) == (409, "invoice_not_voidable")
    assert code(api.post(f"{path}/pay")) == (409, "nothing_due")
    paid = api.post(f"{path}/mark_paid", amount="1.00").json()
    assert (paid["code"], paid["detail"][:6]) == ("nothing_due", "draft ")


@pytest.mark.parametrize(
    ("given", "field", "name"),
    [
        ({"amount": "0.00"}, "amount", "invalid_credit"),
        ({"amount": "-5.00"}, "amount", "invalid_credit"),
        ({"lines": [{"amount": "1.00"}, {"amount": "600.00"}]}, "lines.1.amount", "credit_too_large"),
        ({"lines": [{"quantity": 3}]}, "lines.0.quantity", "credit_too_large"),
        ({"lines": [{"quantity": "-1"}]}, "lines.0.quantity", "invalid_credit"),
        ({"lines": [{"amount": "1.00", "quantity": 1}]}, "lines.0", "invalid_credit"),
    ],
)
def test_it_names_what_of_a_credit_is_wrong(api, invoice, given, field, name):
    line = invoice["lines"][0]["id"]
    given = {
        **given,
        **({"lines": [{"line": line, **one} for one in given["lines"]]} if "lines" in given else {}),
    }
    refused = api.post("credit_notes", invoice=invoice["id"], **given).json()["errors"]
    assert [(error["field"], error["code"]) for error in refused] == [(field, name)]


def test_it_is_sent_once_and_voided_while_unpaid(api, invoice, code, books):
    sent = api.post(f"invoices/{invoice['id']}/send").json()
    assert sent["sent_at"] == api.post(f"invoices/{invoice['id']}/send").json()["sent_at"]
    voided = api.post(f"invoices/{invoice['id']}/void", reason="Twice").json()
    assert (voided["status"], voided["total"]) == ("void", "738.00")
    assert code(api.post(f"invoices/{invoice['id']}/send")) == (409, "invoice_not_open")
    assert code(api.post(f"invoices/{invoice['id']}/void")) == (409, "invoice_not_voidable")


def test_it_is_given_up_and_paid_after_all(api, invoice, books):
    path = f"invoices/{invoice['id']}"
    assert api.post(f"{path}/mark_uncollectible").json()["status"] == "uncollectible"
    assert api.post(f"{path}/mark_paid", amount="738.00").json()["status"] == "paid"


def test_parts_that_are_credited_add_up_to_the_invoice(api, invoice, code, books):
    first, second = (line["id"] for line in invoice["lines"])
    one = api.post(
        "credit_notes", invoice=invoice["id"], lines=[{"line": first, "quantity": 1}], reason="Half"
    )
    body = one.json()
    assert (one.status_code, body["total"], body["to"]) == (201, "307.50", "invoice")
    assert [(line["amount"], line["tax_amount"], line["line"]) for line in body["lines"]] == [
        ("250.00", "57.50", first)
    ]
    two = api.post("credit_notes", invoice=invoice["id"], lines=[{"line": second, "amount": "33.33"}]).json()
    rest = api.post("credit_notes", invoice=invoice["id"]).json()
    assert rest["total"] == f"{738 - 307.5 - float(two['total']):.2f}"
    assert api.get(f"invoices/{invoice['id']}").json()["amount_due"] == "0.00"
    assert code(api.post("credit_notes", invoice=invoice["id"])) == (422, "credit_too_large")
    listed = api.get("credit_notes", invoice=invoice["id"]).json()["results"]
    assert [note["id"] for note in listed] == [rest["id"], two["id"], body["id"]]
    assert api.get(f"credit_notes/{body['id']}").json() == body


def test_a_paid_invoice_is_credited_to_the_balance(api, invoice, books):
    api.post(f"invoices/{invoice['id']}/mark_paid", amount="738.00")
    note = api.post("credit_notes", invoice=invoice["id"], amount="100.00").json()
    assert (note["total"], note["to"]) == ("100.00", "balance")
    assert api.get("customers/acme").json()["balance"] == "100.00"


def test_a_card_payment_goes_back(api, acme, invoice, fake_stripe, code, books):
    api.post("customers/acme/payment_methods", payment_method="pm_card_visa")
    payment = api.post(f"invoices/{invoice['id']}/pay").json()
    assert payment["status"] == "succeeded"
    back = api.post(f"payments/{payment['id']}/refund", amount="38.00", reason="Late")
    assert (back.status_code, back.json()["status"], back.json()["amount"]) == (201, "succeeded", "38.00")
    note = api.post("credit_notes", invoice=invoice["id"], amount="100.00", to="refund").json()
    assert (note["to"], api.get(f"payments/{payment['id']}").json()["amount_refunded"]) == (
        "refund",
        "138.00",
    )
    assert code(api.post(f"payments/{payment['id']}/refund", amount="700.00")) == (422, "credit_too_large")
    assert api.post(f"payments/{payment['id']}/refund").json()["amount"] == "600.00"
    assert CreditNote.objects.count() == 3
    assert api.get("customers/acme").json()["balance"] == "0.00"


def test_an_unpaid_payment_is_not_refunded(api, acme, invoice, fake_stripe, code):
    api.post("customers/acme/payment_methods", payment_method="pm_card_chargeCustomerFail")
    payment = api.post(f"invoices/{invoice['id']}/pay").json()
    assert payment["status"] == "failed"
    assert code(api.post(f"payments/{payment['id']}/refund")) == (409, "not_refundable")


def test_its_electronic_form_is_the_one_in_its_pdf(api, invoice, code, make_customer):
    found = api.get(f"invoices/{invoice['id']}/xml")
    if found.status_code == 200:
        assert invoice["number"].encode() in found.content
        assert b"CrossIndustryInvoice" in found.content
    else:
        assert code(found) == (409, "no_electronic_invoice")


def test_lists_take_a_fixed_number_of_statements(api, invoice, django_assert_max_num_queries):
    for _ in range(3):
        api.post("credit_notes", invoice=invoice["id"], amount="10.00")
    for limit in (1, 3):
        with django_assert_max_num_queries(3):
            api.get("credit_notes", limit=limit)
    with django_assert_max_num_queries(6):
        api.get(f"invoices/{invoice['id']}")


def test_an_invoice_shows_its_refunds_and_disputes(
    api, acme, invoice, fake_stripe, django_assert_max_num_queries
):
    api.post("customers/acme/payment_methods", payment_method="pm_card_visa")
    payment = api.post(f"invoices/{invoice['id']}/pay").json()
    back = api.post(f"payments/{payment['id']}/refund", amount="38.00").json()
    opened = fake_stripe.dispute(fake_stripe.rows("charge")[-1]["id"])
    disputing.look(provider_id=opened["id"], now=datetime.now(UTC), actor="provider")
    with django_assert_max_num_queries(6):
        (shown,) = api.get(f"invoices/{invoice['id']}").json()["payments"]
    assert shown["refunds"] == [back]
    (dispute,) = shown["disputes"]
    assert (dispute["status"], dispute["withdrawn"], dispute["fee"]) == ("needs_response", "738.00", "15.00")
    assert dispute["evidence_url"].endswith(opened["id"])
    listed = api.get("payments", dispute_status="needs_response").json()["results"]
    assert [row["dispute_status"] for row in listed] == ["needs_response"]
    assert api.get("payments", dispute_status="won").json()["results"] == []
    assert api.get("payments", dispute_status="odd").status_code == 400

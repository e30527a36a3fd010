"""Every mail, with a full and a bare context: three parts, nothing unfilled, nothing escaped twice."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace as Row

import pytest

from billing import mail
from billing.models import Seller

NAMES = sorted(
    path.name.removesuffix(".subject.txt")
    for path in (Path(__file__).resolve().parents[2] / "templates" / "mail").glob("*.subject.txt")
)
EVIL = "Nova <b>& Söhne</b>"
DAY = date(2026, 12, 22)
MOMENT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def everything():
    return {
        "seller": Seller(
            name="Nordlicht",
            legal_name="Nordlicht GmbH",
            email="hi@nordlicht.example",
            iban="DE89",
            address={"line1": "Kai 5", "city": "Kiel", "postal_code": "24103"},
        ),
        "site_url": "https://billing.example",
        "portal_url": "https://billing.example/portal/",
        "url": "https://billing.example/x/?a=1&b=2",
        "customer": Row(name=EVIL),
        "invoice": Row(
            number="INV-42",
            currency="EUR",
            discount_total=500,
            tax_total=1900,
            total=11900,
            amount_due=11900,
            po_number="PO-7",
        ),
        "asks": True,
        "by_transfer": True,
        "lines": [Row(description=EVIL, gross=10000)] * 15,
        "amount": "€119.00",
        "paid_on": DAY,
        "due_on": DAY,
        "starts_on": DAY,
        "ends_on": DAY,
        "next_on": DAY,
        "next_amount": "€119.00",
        "method": "Visa ending 4242",
        "card": "Visa ending 4242",
        "expires": "12/2026",
        "reason": "Not enough funds.",
        "title": f"{EVIL} is growing",
        "words": "Write to them.\n\nSoon.",
        "retry_at": MOMENT,
        "member": Row(get_role_display="Billing"),
        "inviter": EVIL,
        "plan": "Pro",
        "differences": [EVIL],
        "dispute": Row(status="needs_response", evidence_due_at=MOMENT),
        "answer_url": "https://stripe.example/disputes/?a=1&b=2",
        "has_card": True,
        "by_invoice": False,
        "asker": EVIL,
        "sign_off": Row(customer=EVIL, amount=10000, currency="EUR", reason=EVIL, get_kind_display="Refund"),
        "quote": Row(
            number="Q-7",
            title=EVIL,
            contact_name="Ada",
            term_months=12,
            expires_at=MOMENT,
            accepted_name="Ada",
            accepted_title="CFO",
            accepted_at=MOMENT,
            po_number="7",
        ),
        "message": f"Hello\n{EVIL}",
        "rep": "Sam",
        "total": "€9,900.00",
        "arr": "€9,900.00",
        "lead": Row(
            name=EVIL,
            email="ada@nova.example",
            company=EVIL,
            employees=300,
            country="DE",
            need=EVIL,
            plan_code="business",
            seats=9,
            demo_wanted=True,
        ),
        "owner": Row(get_full_name="Sam Sales"),
        "task": Row(due_on=DAY, reason=""),
        "signals": [Row(sentence=EVIL)],
        "comment": Row(author="Ada", text=EVIL),
        "approvals": [Row(words=EVIL)],
    }


@pytest.mark.parametrize("name", NAMES)
def test_it_has_three_parts(name):
    parts = mail.render(name, everything())
    assert parts["subject"]
    assert "\n" not in parts["subject"]
    for part in parts.values():
        assert "{%" not in part
        assert "{{" not in part
    assert "Nordlicht GmbH" in parts["text"]
    assert "Nordlicht GmbH" in parts["html"]


@pytest.mark.parametrize("name", NAMES)
def test_it_stands_without_what_may_be_missing(name):
    given = everything()
    bare = {
        key: given[key]
        for key in ("seller", "site_url", "portal_url", "customer", "invoice", "due_on", "ends_on")
    }
    assert mail.render(name, bare)["text"].strip()


def test_bank_details_are_no_invitation_to_pay_a_second_time():
    for other in ({"asks": False}, {"by_transfer": False}):
        parts = mail.render("invoice", {**everything(), **other})
        assert "IBAN" not in parts["text"] + parts["html"]
        assert "transfer" not in parts["text"] + parts["html"]


def test_bank_details_and_the_sellers_country_can_be_read_out():
    given = everything()
    seller = Row(**{**vars(given["seller"]), "iban": "DE02120300000000202051", "address": {"country": "DE"}})
    parts = mail.render("invoice", {**given, "seller": seller})
    for part in (parts["text"], parts["html"]):
        assert "DE02 1203 0000 0000 2020 51" in part
        assert "Germany" in part
    assert parts["text"].index("To pay") < parts["text"].index("IBAN")


@pytest.mark.parametrize("name", NAMES)
def test_html_is_escaped_once_and_text_never(name):
    parts = mail.render(name, everything())
    assert "<b>&" not in parts["html"]
    assert "&amp;amp;" not in parts["html"]
    assert "&lt;" not in parts["text"] + parts["subject"]
    assert "&amp;" not in parts["text"]


@pytest.mark.parametrize("name", NAMES)
def test_html_asks_for_nothing_from_outside(name):
    html = mail.render(name, everything())["html"]
    assert not re.search(r"<(img|link|script|iframe)\b", html)


@pytest.mark.parametrize("name", NAMES)
def test_text_has_the_address_of_the_button(name):
    parts = mail.render(name, everything())
    links = re.findall(r'class="btn".*?href="([^"]+)"', parts["html"], re.S)
    assert all(link.replace("&amp;", "&") in parts["text"] for link in links)


def test_long_invoices_are_cut_with_a_note():
    parts = mail.render("invoice", everything())
    assert parts["text"].count("€100.00") == 12
    assert "More lines: see the PDF" in parts["text"]

"""Every mail with invented facts, as staff may look at it before anybody gets it.

What there is, is read from the templates: a mail that is added shows up by itself, with the first line of its comment
as its purpose.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace as Row
from typing import Any

from django.conf import settings

from billing import mail
from billing.models import Seller
from billing.reasons import TaxRow
from billing.templatetags.tandem import money, spelled

# The other ways in which a mail can read: what is said, and what differs from the sample for it.
VARIANTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "payment_failed": [
        ("is tried again", {}),
        (
            "needs another card",
            {"retry_at": None, "reason": "The card has expired. Please use another card."},
        ),
        ("needs the bank's confirmation", {"payment": Row(decline_code="authentication_required")}),
    ],
    "payment_disputed": [
        ("needs an answer", {"reason": "product not received"}),
        ("is lost", {"reason": "fraudulent", "dispute": Row(status="lost")}),
        ("is won", {"reason": "fraudulent", "dispute": Row(status="won")}),
    ],
    "trial_ending": [
        ("with a card", {}),
        ("without a card", {"has_card": False}),
        ("by invoice", {"by_invoice": True}),
        ("costs nothing then", {"amount": ""}),
    ],
    "trial_started": [("with a card", {}), ("without a card", {"has_card": False})],
    "receipt": [
        ("of a purchase", {}),
        ("of a later charge", {"next_on": None, "before": "−$10.00", "amount": "$93.53"}),
    ],
    "invoice": [("to pay", {}), ("to pay by card", {"by_transfer": False}), ("settled", {"asks": False})],
    "invoice_reminder": [("before the day", {"upcoming": True}), ("after it", {"upcoming": False})],
    "books_differ": [
        ("", {"breaches": ["I-01 an invoice is the sum of its lines: inv_sample"], "more": 0}),
        ("many of them", {"breaches": ["I-01 an invoice is the sum of its lines: inv_sample"], "more": 12}),
    ],
    "charges_differ": [("", {"differences": ["charged, not recorded: $103.53  pi_3Qexample  inv_sample-1"]})],
    "lead_owner": [("", {"reason": "the rule for large companies names you"})],
    "automation": [("to a customer", {}), ("to staff", {"to_staff": True})],
    "checkout_link": [("from a rep", {}), ("unlocked", {"unlocked": True, "message": ""})],
}


@dataclass(frozen=True, slots=True)
class _Wish:
    """Another way of paying that somebody asks for; reads as what is asked."""

    customer: str = "Nova Robotics"
    asked_by: str = "Riley Okafor"
    reason: str = "Their procurement pays by transfer only."

    def __str__(self) -> str:
        return "Invoice, net 60 days"


class NoSuchMail(LookupError):
    """There is no template of this name."""


@dataclass(frozen=True, slots=True)
class Template:
    """A mail that Tandem can write: `purpose` says when and to whom."""

    name: str
    purpose: str
    variants: tuple[str, ...] = field(default=("",))

    @property
    def label(self) -> str:
        return spelled(self.name)


@cache
def _folder() -> Path:
    return Path(settings.BASE_DIR) / "templates" / "mail"


def templates() -> Iterator[Template]:
    """All of them, by name."""
    for path in sorted(_folder().glob("*.subject.txt")):
        name = path.name.removesuffix(".subject.txt")
        ways = tuple(label for label, _ in VARIANTS.get(name, [("", {})]))
        yield Template(name, _purpose(name), ways)


def _purpose(name: str) -> str:
    return (_folder() / f"{name}.html").read_text().splitlines()[1].strip()


def sample(name: str, seller: Seller, now: datetime, variant: int = 0) -> dict[str, str]:
    """A mail's subject, text and html with invented facts. Raises NoSuchMail."""
    ways = VARIANTS.get(name, [("", {})])
    if name not in {each.name for each in templates()} or not 0 <= variant < len(ways):
        raise NoSuchMail(name)
    return mail.render(name, {**facts(seller, now), **ways[variant][1]})


def facts(seller: Seller, now: datetime) -> Mapping[str, Any]:
    """Whatever any mail may name, invented."""
    site, day = settings.SITE_URL, now.date()
    return {
        "seller": seller, "site_url": site, "portal_url": mail.portal_url(), "url": mail.portal_url(),
        "recipient": "ada@nova.example", "name": "Ada Lovelace", "customer": Row(name="Nova Robotics"),
        **_papers(seller.currency, day, now), **_people(day, now), **_quote(now),
    }  # fmt: skip


def _papers(currency: str, day: date, now: datetime) -> dict[str, Any]:
    invoice = Row(
        pk="inv_sample", number="INV-000042", currency=currency, discount_total=1000, tax_total=1653,
        total=10353, amount_due=10353, po_number="PO-7",
    )  # fmt: skip
    lines = [
        Row(description="Pro, 3 seats", gross=8700),
        Row(description="API calls: 12,000 over what is included", gross=1000),
    ]
    return {
        "invoice": invoice, "asks": True, "by_transfer": True, "lines": lines, "taxes": [TaxRow("VAT 19%", 1653, "")],
        "amount": money(10353, currency), "next_amount": money(10353, currency),
        "dispute": Row(status="needs_response", evidence_due_at=now + timedelta(days=9)),
        "answer_url": "https://dashboard.stripe.com/test/disputes/",
        "payment": Row(decline_code="insufficient_funds"), "reason": "The card does not have enough funds.",
        "paid_on": day, "due_on": day + timedelta(days=30), "next_on": day + timedelta(days=30),
        "ends_on": day + timedelta(days=3), "starts_on": day, "retry_at": day + timedelta(days=3),
        "sign_off": Row(
            customer="Nova Robotics", get_kind_display="Refund", amount=1000000, currency=currency,
            reason="The annual plan was bought twice.",
        ),
        "asker": "Riley Okafor",
        "method": "Visa ending 4242", "card": "Visa ending 4242", "expires": f"{day.month}/{day.year}",
        "reference": "re_3Qexample", "plan": "Pro", "has_card": True, "by_invoice": False, "upcoming": True,
    }  # fmt: skip


def _people(day: date, now: datetime) -> dict[str, Any]:
    lead = Row(
        name="Ada Lovelace", email="ada@nova.example", company="Nova Robotics", employees=300, country="DE",
        need="We would like to see how teams of ours would share one account.", plan_code="business", seats=40,
        demo_wanted=True,
    )  # fmt: skip
    return {
        "member": Row(get_role_display="Billing"), "inviter": "Grace Hopper", "rep": "Riley Okafor",
        "message": "Good to talk to you today. Here is what we agreed.", "unlocked": False,
        "expires_at": now + timedelta(hours=24), "lead": lead, "owner": Row(get_full_name="Riley Okafor"),
        "task": Row(due_on=day + timedelta(days=2), reason="Usage is near its limit"),
        "signals": [Row(sentence="API calls reached 86 % of what Pro includes.")],
        "differences": ["the header X-Frame-Options is missing, released as DENY"],
        "endpoint": Row(url="https://nova.example/hooks"), "why": "It has not answered for three days.", "waiting": 12,
    }  # fmt: skip


def _quote(now: datetime) -> dict[str, Any]:
    quote = Row(
        number="Q-000007", title="Enterprise for Nova Robotics", contact_name="Ada Lovelace", term_months=12,
        expires_at=now + timedelta(days=30), last_moment=now + timedelta(days=30), accepted_name="Ada Lovelace",
        accepted_title="CFO", accepted_at=now,
        po_number="PO-7", currency="USD", tcv=5940000, version=1,
    )  # fmt: skip
    return {
        "quote": quote, "total": "$59,400.00", "arr": "$59,400.00", "late": False,
        "wish": _Wish(), "title": "How is it going?", "words": "You have added five people.",
        "comment": Row(author="Ada Lovelace", text="Could we start on the first of next month?"),
        "approvals": [Row(words="The discount of 25 % is over 20 %.")],
    }  # fmt: skip

"""A right body of every operation of the API that takes one: each is accepted as it stands, so that what is refused after
one change is refused for that change. `{name}` stands for an id of the world (`tests/config/conftest.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `before` are the requests after which it is accepted; `makes` is the name by which the id that
    one of those answers is known afterwards."""

    operation: str
    body: Body
    about: str = ""
    before: Sequence["Call"] = ()
    makes: str = ""

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.operation.partition(" ")[2]

    @property
    def name(self) -> str:
        return f"{self.operation} {self.about}".strip()


# What a quote says of what it offers, in every word that there is for it.
OFFER = { "plan": "enterprise", "interval": "year", "quantity": 50,
    "lines": [{"description": "Fee", "amount": "100.00", "quantity": 1}],
    "ramp": [{"year": 2, "quantity": 60, "discount": {"percent_off": 5}}],
    "discount": {"percent_off": 5}, "escalator_percent": 3, "term_months": 24, "net_days": 30,
    "collection_method": "send_invoice", "auto_renew": True, "starts": "2027-03-01",
    "expires_at": "2027-01-20T00:00:00Z", "title": "T", "contact_name": "C", "contact_email": "c@acme.example",
    "notes": "n", "internal_notes": "i", "owner": "rita@seller.example",
}  # fmt: skip
SHORT = {name: OFFER[name] for name in ("quantity", "term_months", "lines", "ramp", "discount", "starts")}
GRADUATED = {
    "code": "px", "label": "L", "kind": "recurring", "model": "graduated", "interval": "month", "currency": "USD",
    "tiers": [
        {"up_to": 10, "unit_amount": "1", "flat_amount": "5"}, {"up_to": None, "unit_amount": "0.5", "flat_amount": "0"},
    ],
    "included": 1, "billed": "advance", "prorate": True, "tax_category": "books",
}  # fmt: skip
PLAN = {
    "name": "N", "motion": "self_serve", "tagline": "t", "published": False, "quote_only": False,
    "requires_demo": False, "rank": 5, "trial_days": 3, "entitlements": [{"feature": "sso", "name": "SSO", "limit": 3}],
    "prices": [GRADUATED], "tax_category": "books",
}  # fmt: skip
CUSTOMER = {
    "name": "N", "email": "n@n.example", "external_id": "x-1", "country": "DE", "domain": "n.example", "employees": 5,
    "industry": "x", "tax_id": "DE123456788", "tax_exempt": False,
    "billing_address": {"line1": "a", "line2": "b", "city": "c", "state": "s", "postal_code": "1", "country": "DE"},
    "net_days": 30, "collection_method": "charge_automatically", "consolidate_invoices": False, "metadata": {"a": "b"},
}  # fmt: skip
SUBSCRIPTION = {
    "customer": "{buyer}", "plan": "pro", "interval": "month", "quantity": 3,
    "collection_method": "charge_automatically", "net_days": 30, "start_at": "2026-01-15", "anchor": "start",
    "discounts": ["{discount}"], "contract": {"months": 12, "auto_renew": True, "renewal_months": 12},
    "po_number": "p", "metadata": {"a": "b"}, "payment_method": "{card}",
}  # fmt: skip
CHANGE = {
    "quantity": 7, "plan": "pro", "interval": "year", "collection_method": "send_invoice", "net_days": 30,
    "payment_rule_override": "x", "discounts": ["{discount}"], "proration": "prorate", "effective": "now",
}  # fmt: skip
EVENT = {
    "id": "ue", "customer": "{customer}", "event_name": "api_call", "timestamp": "2026-01-15T11:00:00Z",
    "properties": {"value": 1},
}  # fmt: skip
DISCOUNT = {
    "code": "DD", "label": "l", "percent_off": 5, "duration": "repeating", "periods": 3, "plans": ["pro"],
    "max_redemptions": 3, "expires_at": "2027-01-01T00:00:00Z",
}  # fmt: skip

TRIAL = Call(
    "POST subscriptions",
    {"customer": "{buyer}", "plan": "pro", "quantity": 1, "trial_days": 20},
    makes="trial",
)
ASKED = (
    Call("PATCH quotes/{quote}", {"discount": {"percent_off": 25}, "owner": "rita@seller.example"}),
    Call("POST quotes/{quote}/submit", {}),
)
APPROVED = (
    Call("POST quotes/{quote}/submit", {}),
    Call("POST quotes/{quote}/approve", {"by": "max@seller.example"}),
)
SENT = (*APPROVED, Call("POST quotes/{quote}/send", {}))
DRAFT = Call(
    "POST invoices",
    {"customer": "{customer}", "lines": [{"description": "d", "unit_amount": "1.00"}]},
    makes="draft",
)

CATALOGUE = (
    Call("POST plans", {"code": "np", **PLAN}),
    Call("PATCH plans/{plan}", {name: value for name, value in PLAN.items() if name != "prices"}),
    Call("POST plans/{plan}/archive", {}),
    Call("POST plans/{plan}/prices", GRADUATED),
    Call(
        "POST plans/{plan}/prices",
        {
            "code": "pu", "kind": "usage", "model": "package", "interval": "month", "currency": "USD", "amount": "5",
            "package_size": 100, "included": 5, "included_in_trial": 3, "billed": "arrears", "meter": "api_calls",
            "minimum": "1.00", "maximum": "100.00",
        },
        "of packages",
    ),
    Call(
        "POST plans/{plan}/prices",
        {
            "code": "pp", "kind": "usage", "model": "percentage", "interval": "month", "currency": "USD",
            "amount": "2.5",
            "per_transaction": {"fixed_amount": "0.30", "minimum": "0.40", "maximum": "9", "free_events": 2},
             "meter": "api_calls", "billed": "arrears",
        },
        "in percent",
    ),
    Call("POST meters", {"code": "mm", "name": "M", "event_name": "mm", "aggregation": "sum", "property": "value",
                         "unit": "u"}),
    Call("POST discounts", DISCOUNT),
    Call("POST discounts", {"code": "DE", "amount_off": "5.00", "currency": "USD", "duration": "once",
                            "prices": ["seats-month"], "meters": []}, "by an amount"),
    Call("POST tax_rates", {"name": "VAT", "percentage": "21", "country": "NL", "inclusive": False,
                            "category": "S"}),
    Call("POST tax_rates", {"name": "Sales tax", "country": "US", "state": "NY", "taxes": [
        {"name": "State", "percentage": "4"}, {"name": "City", "percentage": "4.5", "compound": True},
    ]}, "of several"),
)  # fmt: skip
CUSTOMERS = (
    Call("POST customers", {**CUSTOMER, "currency": "USD", "timezone": "Europe/Berlin", "test_clock": "{clock}"}),
    Call("PATCH customers/{customer}", CUSTOMER),
    Call("POST customers/{customer}/members", {"email": "z@acme.example", "name": "Z", "role": "billing"}),
    Call("POST customers/{buyer}/pay_out", {"amount": "1.00", "method": "bank_transfer", "reference": "r"}),
    Call("POST customers/{customer}/payment_methods", {"payment_method": "pm_card_visa", "default": True}),
    Call("POST leads", {
        "name": "N", "email": "l@l.example", "company": "C", "employees": 5, "country": "DE", "state": "s",
        "industry": "i", "need": "n", "demo_wanted": True, "plan": "pro", "seats": 3,
    }),
    Call("POST test_clocks", {"time": "2026-01-01T00:00:00Z", "name": "n"}),
    Call("POST test_clocks/{clock}/advance", {"to": "2026-02-01T00:00:00Z"}),
    Call("POST checkout_sessions", {
        "plan": "pro", "interval": "month", "quantity": 3, "currency": "USD", "customer": "{bare}",
        "success_url": "http://127.0.0.1:8000/", "cancel_url": "http://127.0.0.1:8000/", "allow_promotion_codes": True,
        "trial_days": 3, "metadata": {"a": "b"},
    }),
    Call("POST checkout_sessions/{session}/expire", {}),
    Call("POST portal_sessions", {
        "customer": "{customer}", "return_url": "http://127.0.0.1:8000/x", "sections": ["invoices"],
    }),
)  # fmt: skip
PAPERS = (
    Call("POST invoices", {
        "customer": "{customer}", "currency": "USD", "collection_method": "send_invoice", "net_days": 30,
        "lines": [
            {"description": "d", "unit_amount": "1.00", "quantity": 1, "tax_category": "books"},
            {"description": "e", "amount": "1.00"},
        ],
        "po_number": "p", "memo": "m",
    }),
    Call("POST invoices/{draft}/finalize", {}, before=[DRAFT]),
    Call("POST invoices/{invoice}/send", {}),
    Call("POST invoices/{invoice}/mark_paid", {
        "amount": "1.00", "paid_at": "2026-01-15T12:00:00Z", "reference": "r",
    }),
    Call("POST invoices/{invoice}/mark_uncollectible", {"reason": "r"}),
    Call("POST invoices/{unpaid}/pay", {"payment_method": "{card}"}),
    Call("POST invoices/{unpaid}/void", {"reason": "r"}),
    Call("POST credit_notes", {"invoice": "{invoice}", "amount": "1.00", "to": "balance", "reason": "r"}),
    Call("POST credit_notes", {
        "invoice": "{invoice}", "lines": [{"line": "{line}", "amount": "1.00"}], "reason": "r",
    }, "of a line"),
    Call("POST credit_notes", {"invoice": "{invoice}", "lines": [{"line": "{line}", "quantity": 1}]}, "by number"),
    Call("POST payments/{paid}/refund", {"amount": "1.00", "reason": "r"}),
    Call("POST refunds/{refund}/explain", {"by": "balance", "reason": "r"}),
)  # fmt: skip
SUBSCRIPTIONS = (
    Call("POST subscriptions", SUBSCRIPTION),
    Call("POST subscriptions", {
        "customer": "{buyer}", "plan": "pro", "interval": "month", "quantities": {"seats-month": 3},
        "trial_end": "2026-02-15", "discount": "{discount}", "start_at": "2026-01-15T00:00:00Z", "anchor": 31,
        "collection_method": "send_invoice", "payment_rule_override": "x",
    }, "with a trial"),
    Call("POST subscriptions/{subscription}/changes", CHANGE),
    Call("POST subscriptions/{subscription}/changes/preview", CHANGE),
    Call("POST subscriptions/{subscription}/changes", {
        "quantities": {"seats-month": 9}, "discount": "{discount}", "anchor": 5, "effective": "period_end",
    }, "later"),
    Call("POST subscriptions/{trial}/changes", {"trial_end": "2026-02-01"}, "of a trial", [TRIAL]),
    Call("POST subscriptions/{trial}/changes/preview", {"trial_end": "now"}, "of a trial", [TRIAL]),
    Call("POST subscriptions/{subscription}/cancel", {
        "effective": "2026-12-24", "reason": "r", "comment": "c", "credit_unused": True,
    }),
    Call("POST subscriptions/{subscription}/pause", {"resume_at": "2027-03-01", "reason": "r"}),
    Call("POST subscriptions/{subscription}/undo_cancel", {}, before=[
        Call("POST subscriptions/{subscription}/cancel", {"effective": "period_end"}),
    ]),
    Call("POST subscriptions/{subscription}/resume", {}, before=[
        Call("POST subscriptions/{subscription}/pause", {}),
    ]),
)  # fmt: skip
QUOTES = (
    Call("POST quotes", {**OFFER, "customer": "{customer}", "currency": "USD"}),
    Call("POST quotes", {"plan": "enterprise", "quantities": {"seats-year": 50}, "lead": "{lead}"}, "for a lead"),
    Call(
        "POST quotes",
        {
            "customer": "{customer}", "plan": "enterprise", "quantity": 50, "subscription": "{subscription}",
            "starts": "period_end",
        },
        "of a subscription",
    ),
    Call("PATCH quotes/{quote}", OFFER),
)  # fmt: skip
DECISIONS = (
    Call("POST quotes/{quote}/options", {"option_name": "A", "recommended": True, **SHORT}),
    Call("POST quotes/{quote}/revise", SHORT, before=SENT),
    Call("POST quotes/{quote}/approve", {"by": "max@seller.example", "note": "n"}, before=ASKED),
    Call("POST quotes/{quote}/reject", {"by": "max@seller.example", "note": "n"}, before=ASKED),
    Call("POST quotes/{quote}/submit", {}),
    Call("POST quotes/{quote}/send", {"message": "m"}, before=APPROVED),
    Call("POST quotes/{quote}/withdraw", {"reason": "r"}),
    Call("POST quotes/{option}/remove", {}, before=[
        Call("POST quotes/{quote}/options", {"option_name": "B"}, makes="option"),
    ]),
)  # fmt: skip
SALES = (
    Call("POST deals", {
        "name": "D", "customer": "{customer}", "amount": "10.00", "currency": "USD", "close_on": "2026-03-01",
        "owner": "rita@seller.example", "motion": "sales_led",
    }),
    Call("POST deals", {"name": "D", "lead": "{lead}"}, "of a lead"),
    Call("POST signals", {
        "customer": "{customer}", "rule": "enterprise_features", "occurred_at": "2026-01-15T00:00:00Z",
        "evidence": {"feature": "sso", "score": 80},
    }),
    Call("POST signals", {"customer": "{customer}", "rule": "engagement", "evidence": {"score": 80}}, "of a score"),
    Call("POST signals/{signal}/dismiss", {"reason": "r"}),
    Call("POST handoff_tasks/{task}/accept", {"by": "rita@seller.example", "note": "n"}),
    Call("POST handoff_tasks/{task}/complete", {"outcome": "won", "note": "n"}),
    Call("POST handoff_tasks/{task}/return", {"note": "n"}),
)  # fmt: skip
EDGES = (
    Call("POST usage_events", EVENT),
    Call("POST usage_events", {"events": [EVENT]}, "in a batch"),
    Call("POST usage_events", {**EVENT, "replaces": "used-1"}, "instead of another"),
    Call("POST usage_events/{key}/void", {}),
    Call("POST webhook_endpoints", {"url": "https://8.8.8.8/x", "event_types": ["invoice.paid"], "description": "d"}),
    Call(
        "PATCH webhook_endpoints/{endpoint}",
        {"url": "https://8.8.8.8/x", "event_types": ["invoice.paid"], "description": "d", "enabled": False},
    ),
    Call(
        "POST webhook_endpoints/{endpoint}/replay",
        {"since": "2026-01-14T00:00:00Z", "until": "2026-01-15T00:00:00Z"},
    ),
    Call("POST webhook_endpoints/{endpoint}/rotate_secret", {"overlap_hours": 3}),
    Call("POST webhook_endpoints/{endpoint}/test", {}),
    Call("POST webhook_endpoints/{endpoint}/deliveries/{delivery}/redeliver", {}),
)  # fmt: skip
AREAS = {
    "catalogue": CATALOGUE, "customers": CUSTOMERS, "papers": PAPERS, "subscriptions": SUBSCRIPTIONS,
    "quotes": QUOTES, "decisions": DECISIONS, "sales": SALES, "edges": EDGES,
}  # fmt: skip

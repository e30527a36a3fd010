"""Billing's tables. One file per subject; import from here."""

from billing.models.catalogue import Entitlement, Meter, Plan, Price, TaxRate
from billing.models.clocks import TestClock
from billing.models.customers import (
    BalanceEntry,
    CollectionMethod,
    Customer,
    ExchangeRate,
    Member,
    Motion,
    Segment,
    SegmentChange,
    Seller,
    User,
)
from billing.models.events import (
    Event,
    EventAmendment,
    EventDigest,
    KeptMail,
    Mail,
    ObjectSequence,
    ProviderEvent,
)
from billing.models.figures import CustomerFigure, Figure
from billing.models.invoices import (
    CreditNote,
    CreditNoteLine,
    Document,
    Invoice,
    InvoiceLine,
    LineKind,
    NumberSeries,
    PaperRemoved,
    Posting,
)
from billing.models.keys import ApiKey, IdempotentRequest, PortalLink, RequestWindow
from billing.models.payments import Dispute, Payment, PaymentMethod, Refund
from billing.models.privacy import PrivacyRequest, RetentionRule
from billing.models.runs import BillingFailure, BillingRehearsal, BillingRun
from billing.models.sign_offs import SignOff
from billing.models.subscriptions import Discount, MrrMovement, Phase, PhaseItem, Subscription
from billing.models.usage import ThresholdCrossing, UsageCounter, UsageDay, UsageEvent, UsageImport
from billing.models.webhooks import Lease, WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiKey", "BalanceEntry", "BillingFailure", "BillingRehearsal", "BillingRun", "CollectionMethod", "CreditNote",
    "CreditNoteLine", "Customer", "CustomerFigure", "Discount", "Dispute", "Document", "Entitlement", "Event",
    "EventAmendment", "EventDigest",
    "ExchangeRate", "Figure", "IdempotentRequest",
    "Invoice", "InvoiceLine", "KeptMail", "Lease", "LineKind", "Mail", "Member", "Meter", "Motion", "MrrMovement",
    "NumberSeries", "ObjectSequence", "PaperRemoved", "Payment", "PaymentMethod", "Phase", "PhaseItem", "Plan",
    "PortalLink",
    "Posting", "Price", "PrivacyRequest", "ProviderEvent", "Refund", "RequestWindow", "RetentionRule",
    "Segment", "SegmentChange", "Seller",
    "SignOff", "Subscription", "TaxRate", "TestClock",
    "ThresholdCrossing", "UsageCounter", "UsageDay", "UsageEvent", "UsageImport", "User", "WebhookAttempt",
    "WebhookDelivery", "WebhookEndpoint",
]  # fmt: skip

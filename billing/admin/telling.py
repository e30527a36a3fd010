"""Events in words for whoever reads them: a title with its icon and tone, and a line of what they say of themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.models import Event
from billing.models.customers import CollectionMethod
from billing.templatetags.tandem import money, spelled

# event type -> (words, icon, tone)
WORDS = {
    "customer.created": ("Became a customer", "building-2", "accent"),
    "customer.updated": ("Details changed", "pencil", ""),
    "customer.segment_changed": ("Segment changed", "layers", ""),
    "customer.collection_method_changed": ("Way of paying changed", "wallet", "accent"),
    "customer.owner_assigned": ("Owner assigned", "user-plus", ""),
    "customer.consolidated": ("Another account joined", "building-2", "accent"),
    "customer.balance_paid_out": ("Credit paid out", "wallet", ""),
    "member.added": ("Team member added", "user-plus", ""),
    "member.removed": ("Team member removed", "user-plus", ""),
    "checkout.completed": ("Checkout completed", "shopping-cart", "good"),
    "checkout.expired": ("Checkout not completed", "shopping-cart", ""),
    "subscription.created": ("Subscription started", "repeat", "good"),
    "subscription.activated": ("Subscription active", "circle-check", "good"),
    "subscription.trial_ending": ("Trial ends soon", "clock", "warn"),
    "subscription.trial_ended": ("Trial over", "clock", ""),
    "subscription.changed": ("Subscription changed", "repeat", "accent"),
    "subscription.renewal_approaching": ("Contract ends soon", "calendar-clock", "warn"),
    "subscription.renewed": ("Renewed", "refresh-cw", ""),
    "subscription.phase_started": ("New terms began", "layers", "accent"),
    "subscription.converted_to_invoice": ("Converted to invoice", "receipt-text", "good"),
    "subscription.past_due": ("Payment is late", "triangle-alert", "bad"),
    "subscription.paused": ("Paused", "pause", "warn"),
    "subscription.resumed": ("Goes on", "play", "good"),
    "subscription.cancel_scheduled": ("Cancellation scheduled", "triangle-alert", "warn"),
    "subscription.canceled": ("Ended", "circle-alert", "bad"),
    "usage.threshold_reached": ("Usage threshold reached", "gauge", "warn"),
    "usage.voided": ("Usage taken back", "undo-2", ""),
    "invoice.deleted": ("Draft invoice thrown away", "ban", ""),
    "invoice.finalized": ("Invoice issued", "receipt-text", ""),
    "invoice.sent": ("Invoice sent", "send", ""),
    "invoice.paid": ("Invoice paid", "circle-check", "good"),
    "invoice.payment_failed": ("Payment failed", "circle-alert", "bad"),
    "invoice.overdue": ("Invoice overdue", "triangle-alert", "bad"),
    "invoice.voided": ("Invoice voided", "ban", ""),
    "invoice.uncollectible": ("Invoice given up", "circle-x", "bad"),
    "credit_note.issued": ("Credit note issued", "undo-2", ""),
    "payment.succeeded": ("Payment came in", "circle-check", "good"),
    "payment.failed": ("Payment declined", "circle-alert", "bad"),
    "payment.refunded": ("Money went back to a card", "undo-2", ""),
    "payment.refund_explained": ("Refund explained", "undo-2", ""),
    "payment.disputed": ("Payment disputed", "scale", "bad"),
    "payment.unanswered": ("Payment without an answer", "circle-alert", "bad"),
    "portal_session.created": ("Way into the portal made", "key-round", ""),
    "sign_off.requested": ("Asked for a second person", "user-plus", "warn"),
    "sign_off.given": ("Signed by a second person", "circle-check", "good"),
    "sign_off.refused": ("Refused by a second person", "circle-alert", ""),
    "payment_method.attached": ("Card saved", "wallet", ""),
    "payment_method.expiring": ("Card expires soon", "wallet", "warn"),
    "person.exported": ("Told what is held about them", "shield-check", ""),
    "person.erased": ("Person erased", "shield-check", "warn"),
    "retention.applied": ("Old rows removed", "archive", ""),
    "mail.sent_again": ("Mail sent again", "mail", ""),
    "command.run": ("Command typed on the server", "code", "warn"),
    "payment_method.detached": ("Card removed", "wallet", ""),
    "user.signed_in": ("Signed in", "key-round", ""),
    "user.sign_in_failed": ("Sign-in failed", "triangle-alert", "warn"),
    "user.refused": ("Asked for what they may not", "triangle-alert", "warn"),
    "user.exported": ("File taken out", "download", ""),
    "user.security_changed": ("Way of signing in changed", "shield-check", ""),
}
# Facts that are about a value which became another.
METHODS = {str(value): str(label) for value, label in CollectionMethod.choices}
CHANGED = ("customer.segment_changed", "customer.collection_method_changed")
NAMING = ("customer.consolidated",)


@dataclass(frozen=True, slots=True)
class Told:
    """An event for a list: what happened, when, and on which page the whole of it stands."""

    pk: int
    title: str
    at: datetime
    text: str


def told(events: Iterable[Event]) -> list[Told]:
    return [Told(event.pk, title(event.type), event.at, detail(event)) for event in events]


def title(type: str) -> str:
    """What happened; of a type without words of its own, its name spelled out."""
    return WORDS[type][0] if type in WORDS else spelled(type)


def detail(event: Event) -> str:
    """What the fact says of itself, in a line."""
    data = event.data
    named = ("number", "sentence", "reason", "owner", *(["name"] if event.type in NAMING else []))
    parts = [str(data[key]) for key in named if isinstance(data.get(key), str)]
    if isinstance(data.get("total"), int) and data.get("currency"):
        parts.append(str(money(data["total"], data["currency"])))
    if isinstance(data.get("to"), dict):
        parts.append(", ".join(str(data["to"][key]) for key in ("plan", "quantity") if data["to"].get(key)))
    if event.type in CHANGED:
        ends = [data.get("before", data.get("from")), data.get("after", data.get("to"))]
        parts.append(" → ".join(METHODS.get(str(end), str(end or "none").replace("_", " ")) for end in ends))
    if data.get("percent"):
        parts.append(f"{data['percent']} % of {data.get('name', 'the limit')}")
    if data.get("email"):
        parts.append(str(data["email"]))
    return " · ".join(part for part in parts if part)

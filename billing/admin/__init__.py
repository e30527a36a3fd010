"""Staff's view of billing. What has states or is frozen is looked at here and changed by verbs, never by a form."""

from billing.admin import (
    catalogue,
    developing,
    discounts,
    looking,
    mails,
    mirror,
    papers,
    privacy,
    rehearsing,
    segments,
    sign_offs,
    tax_rates,
)

__all__ = [
    "catalogue", "developing", "discounts", "looking", "mails", "mirror", "papers", "privacy", "rehearsing", "segments",
    "sign_offs", "tax_rates",
]  # fmt: skip

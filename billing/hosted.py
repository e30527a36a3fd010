"""Links to the page of one invoice, which opens without sign-in: who gets the mail, a bookkeeper say, can read and pay.

A link is the invoice's id, signed with `SECRET_KEY`, so it is the same whenever somebody asks for it, and nothing is
stored. It opens while the invoice is open, and for `LASTS` after that; taking a key out of `SECRET_KEY` and
`SECRET_KEY_FALLBACKS` closes every link that was signed with it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer

from billing.models import Invoice
from billing.refusals import Refused

# Counted from the last of: issued, due, paid, voided.
LASTS = timedelta(days=120)
SALT = "tandem.hosted_invoice"


class UnknownLink(Refused):
    """Not signed by us, or of what no longer exists."""

    code = "unknown_link"


class LinkExpired(Refused):
    code = "link_expired"


def url(invoice: Invoice) -> str:
    return f"{settings.SITE_URL}/invoices/{token(invoice)}/"


def token(invoice: Invoice) -> str:
    return _signer().sign(invoice.pk)


def find(token: str) -> Invoice:
    """The issued invoice, with its customer. Raises UnknownLink, LinkExpired."""
    try:
        key = _signer().unsign(token)
    except BadSignature as error:
        raise UnknownLink("There is no such invoice.") from error
    rows = Invoice.objects.filter(pk=key, customer__deleted_at=None).exclude(status=Invoice.Status.DRAFT)
    invoice = rows.select_related("customer__test_clock").first()
    if invoice is None:
        raise UnknownLink("There is no such invoice.")
    end = ends_at(invoice)
    if end is not None and end <= invoice.customer.now:
        raise LinkExpired("This link has expired.")
    return invoice


def ends_at(invoice: Invoice) -> datetime | None:
    """From when on its link no longer opens; None while it is open, so that it can be paid."""
    if invoice.status == Invoice.Status.OPEN:
        return None
    times = (invoice.issued_at, invoice.due_at, invoice.paid_at, invoice.voided_at)
    return max(at for at in times if at is not None) + LASTS


def _signer() -> Signer:
    return Signer(salt=SALT, sep=".")

"""Links into the portal that the seller's own product asks for: bound to one customer, once, within the
hour."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing import keys, redirecting
from billing.events import Fact, record_many
from billing.models import Customer, PortalLink
from billing.refusals import Refused

LASTS = timedelta(hours=1)
SECTIONS = ("plan", "usage", "team", "invoices", "payment", "details", "quotes", "support")


class LinkSpent(Refused):
    """The link is unknown, was used, or is too old; which of these is nobody's business."""

    code = "portal_link_spent"


def issue(
    customer: Customer, *, now: datetime, actor: str, return_url: str = "", sections: Sequence[str] = ()
) -> tuple[PortalLink, str]:
    """A link and its address, which nobody can read again.

    `now` is real time even for a customer with a test clock: the link is opened by a person. Raises RedirectNotAllowed.
    """
    redirecting.check(return_url=return_url)
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        link = PortalLink.objects.create(
            customer=customer, digest=keys.digest(token), return_url=return_url, sections=list(sections),
            made_by=actor, created_at=now, expires_at=now + LASTS,
        )  # fmt: skip
        fact = (
            "portal_session.created",
            link.public_id,
            customer.pk,
            customer.livemode,
            actor,
            customer.on_clock(now),
        )
        record_many([Fact(*fact, {"sections": link.sections})])
    return link, f"{settings.SITE_URL}/portal/enter/{token}/"


def find(token: str, *, now: datetime) -> PortalLink:
    """The link, unused and in time; opening the page does not spend it. Raises LinkSpent."""
    rows = PortalLink.objects.filter(digest=keys.digest(token), used_at__isnull=True, expires_at__gt=now)
    link = rows.select_related("customer__test_clock").first()
    if link is None:
        raise LinkSpent("This link has been used or has expired. Ask for a new one.")
    return link


def redeem(token: str, *, now: datetime) -> PortalLink:
    """Spend the link: of two who come at once, one gets in. Raises LinkSpent."""
    link = find(token, now=now)
    if not PortalLink.objects.filter(pk=link.pk, used_at__isnull=True).update(used_at=now):
        raise LinkSpent("This link has been used or has expired. Ask for a new one.")
    link.used_at = now
    return link


def forget(*, now: datetime) -> int:
    """Drop links that can no longer be used."""
    return PortalLink.objects.filter(expires_at__lte=now).delete()[0]

"""Every night the books are asked whether what must hold does; what does not is told, none is put right by itself."""

import logging
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from django.conf import settings

from billing import books, mail
from billing.models import Seller

log = logging.getLogger(__name__)
# Ids end in a random digit: a night works out the whole life of a sixteenth of the subscriptions, two weeks that of all.
DIGITS = "0123456789abcdef"
SHOWN = 50


def watch(*, now: datetime) -> int:
    """Log each breach and mail the seller, once for the same ones. Answers how many."""
    breaches = books.check(ending=DIGITS[now.toordinal() % len(DIGITS)])
    for breach in breaches:
        log.error("books: %s %s: %s", breach.id, breach.words, breach.found)
    if breaches:
        _mail_seller(sorted(f"{one.id} {one.words}: {one.found}" for one in breaches), now)
    return len(breaches)


def _mail_seller(found: Sequence[str], now: datetime) -> None:
    mark = sha256("\n".join(found).encode()).hexdigest()[:32]
    mail.compose(
        template="books_differ",
        to=Seller.objects.get().email,
        context={
            "breaches": found[:SHOWN], "more": max(0, len(found) - SHOWN),
            "url": f"{settings.SITE_URL}/admin/billing/invoice/",
        },
        event=f"books-{mark}",
        now=now,
    )  # fmt: skip

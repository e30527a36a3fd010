"""Whether the payment page that buyers get over the network is the one that was released (PCI DSS 4.0.1, 11.6.1).

A job opens the page as a buyer does, through whatever stands in front, and compares its headers with
`checkout/headers.json` and its scripts with `checkout/scripts.json`. What differs is mailed to the seller, once.
"""

import json
import logging
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from html.parser import HTMLParser
from urllib.error import HTTPError
from urllib.parse import urljoin

from django.conf import settings
from django.utils import timezone

from billing import mail
from billing.models import Plan, Seller
from billing.refusals import Refused
from checkout import inventory, sessions

log = logging.getLogger(__name__)

PAGE = "checkout"
MOST = 2**21
SECONDS = 20

type Answer = tuple[int, Mapping[str, str], bytes]
type Fetch = Callable[[str], Answer]


def watch() -> int:
    """A job: look at the page, and write to the seller when it is not as released. Answers how much differs."""
    now = timezone.now()
    found = differences(fetch=fetch, now=now)
    if found:
        tell(found, now=now)
    return len(found)


def tell(found: list[str], *, now: datetime) -> None:
    """The same finding is mailed once."""
    mark = sha256("\n".join(found).encode()).hexdigest()[:32]
    context = {"differences": found, "url": f"{settings.SITE_URL}/pricing/"}
    mail.compose(
        template="payment_page_changed", to=Seller.objects.get().email, context=context, event=f"page-{mark}",
        now=now,
    )  # fmt: skip


def differences(*, fetch: Fetch, now: datetime) -> list[str]:
    """What a buyer gets and was not released, in words. The session that opens the page is gone afterwards."""
    session = _session(now)
    if session is None:
        return []
    try:
        status, headers, body = fetch(f"{settings.SITE_URL}/checkout/{session.token}/")
        if status != 200:
            return [f"the page answers {status}"]
        return [*_of_headers(headers), *_of_scripts(body.decode("utf-8", "replace"), fetch)]
    except OSError as error:
        log.warning("The payment page could not be opened: %s", error)
        return []
    finally:
        session.delete()


def _session(now: datetime) -> sessions.CheckoutSession | None:
    """One that nobody is told of, for the first plan that can be bought by card."""
    currency = Seller.objects.get().currency
    for plan in Plan.objects.filter(published=True).order_by("rank"):
        try:
            return sessions.start(
                plan=plan.code,
                interval="month",
                now=now,
                livemode=settings.STRIPE_LIVE_MODE,
                currency=currency,
            )
        except Refused:
            continue
    return None


def fetch(url: str) -> Answer:
    """An address of this very site (or a listed script's). Raises OSError."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - our own address
            return answer.status, dict(answer.headers), answer.read(MOST)
    except HTTPError as refused:
        return refused.code, dict(refused.headers), b""


# -- Headers --------------------------------------------------------------------------------------------------


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, wanted in expected().items():
        got = headers.get(name, "")
        if got != wanted:
            yield f"the header {name} is {got or 'missing'}, released as {wanted}"


def expected() -> dict[str, str]:
    """By what the settings say of Stripe and https, nothing else: a changed policy has to be released as such."""
    baseline = json.loads(inventory.HEADERS.read_text())
    wanted = {**baseline["always"], **baseline["stand-in" if settings.STRIPE_FAKE else "stripe"]}
    return wanted | (baseline["https"] if settings.SITE_URL.startswith("https://") else {})


# -- Scripts --------------------------------------------------------------------------------------------------


class _Scripts(HTMLParser):
    """The addresses of a page's scripts, and what of it runs without one."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        handlers = [name for name in given if name.startswith("on")]
        self.inline += [f"{name} on <{tag}>" for name in handlers]
        if tag == "script":
            self.addresses += [given["src"] or ""] if "src" in given else []
            self.inline += [] if "src" in given or given.get("type") == "application/json" else ["a <script>"]


def _of_scripts(html: str, fetch: Fetch) -> Iterator[str]:
    page = _Scripts()
    page.feed(html)
    yield from (f"the page has {each} of its own" for each in page.inline)
    listed = [script for script in inventory.listed() if PAGE in script.pages]
    known = {script.sha384 for script in listed if script.sha384}
    outside = {script.src for script in listed if not script.sha384}
    ours = [src for src in page.addresses if src not in outside and not _stands_in(src)]
    served = {src: inventory.hashed(fetch(urljoin(settings.SITE_URL, src))[2]) for src in ours}
    yield from (f"{src} is not as listed" for src, found in served.items() if found not in known)
    yield from (f"{s.src} is missing" for s in listed if s.sha384 and s.sha384 not in served.values())
    if not settings.STRIPE_FAKE:
        yield from (f"{src} is missing" for src in outside - set(page.addresses))


def _stands_in(src: str) -> bool:
    """The stand-in's script takes the place of Stripe's."""
    return settings.STRIPE_FAKE and "/fakestripe/" in src

"""The provider's own list of charges against ours: every difference is told, none is put right by itself.

After a restore this finds what was paid after the dump; otherwise it finds nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings

from billing import mail
from billing.gateway import Outcome, gateway
from billing.models import Payment, Seller
from billing.templatetags.tandem import money

# Two clocks differ a little, and a charge is asked for a little after its attempt is written down.
SLACK = timedelta(hours=1)
# A job that was kept from its work for a weekend misses nothing; what is under way is left for tomorrow.
LOOKS_BACK = timedelta(days=4)
SETTLED = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Difference:
    """`amount`: minor units of `currency`, as charged, or as recorded where nothing was. `key`: of our attempt."""

    words: str
    intent_id: str
    key: str
    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{self.words}: {money(self.amount, self.currency)}  {self.intent_id}  {self.key}"


def watch(*, now: datetime) -> int:
    """Mail the seller what of the last days is not the same on both sides, once. Answers how much. `now` is real time.
    Raises ProviderUnreachable."""
    found = sorted(str(one) for one in differences(since=now - LOOKS_BACK, until=now - SETTLED))
    if found:
        mark = sha256("\n".join(found).encode()).hexdigest()[:32]
        context = {"differences": found, "url": f"{settings.SITE_URL}/admin/billing/payment/"}
        mail.compose(
            template="charges_differ",
            to=Seller.objects.get().email,
            context=context,
            event=f"charges-{mark}",
            now=now,
        )
    return len(found)


def differences(*, since: datetime, until: datetime) -> list[Difference]:
    """Charges from `since` to `until` (real time) that are not the same on both sides, oldest first. Attempts without an
    answer are left to `collecting.reconcile`. Raises ProviderUnreachable."""
    theirs = [
        one
        for one in gateway().payments(since=since - SLACK, until=until + SLACK)
        if one.state == "succeeded"
    ]
    return [*_not_here(theirs[::-1]), *_not_there(theirs, since, until)]


def _not_here(theirs: Iterable[Outcome]) -> Iterator[Difference]:
    """Charged, and not recorded as it was charged."""
    ids = [one.intent_id for one in theirs]
    known = {row.provider_id: row for row in Payment.objects.filter(provider_id__in=ids)}
    asked = set(Payment.objects.filter(status__in=Payment.OPEN).values_list("key", flat=True))
    for one in theirs:
        row, key = known.get(one.intent_id), one.metadata.get("tandem_key", "")
        if key in asked:
            continue
        if row is None or row.status != Payment.Status.SUCCEEDED:
            yield _told("charged, not recorded", one, key)
        elif (row.amount, row.currency) != (one.amount, one.currency):
            yield _told(f"charged, recorded as {row.amount} {row.currency}", one, key)


def _told(words: str, one: Outcome, key: str) -> Difference:
    return Difference(words, one.intent_id or "", key, one.amount, one.currency)


def _not_there(theirs: Iterable[Outcome], since: datetime, until: datetime) -> Iterator[Difference]:
    """Recorded as charged, and not charged."""
    ours = Payment.objects.filter(
        method=Payment.Method.CARD, status=Payment.Status.SUCCEEDED, livemode=settings.STRIPE_LIVE_MODE,
        recorded_at__range=(since, until),
    )  # fmt: skip
    for row in ours.exclude(provider_id__in=[one.intent_id for one in theirs]).order_by("recorded_at"):
        yield Difference("recorded, not charged", row.provider_id or "", row.key, row.amount, row.currency)

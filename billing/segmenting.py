"""The table of segments: its bands cover every ARR exactly once, and customers are where their ARR belongs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, Subquery

from billing import customers, exchanging, typed
from billing.maths.money import spans_at_most, to_major
from billing.models import Customer, ExchangeRate, Segment, SegmentChange, Seller
from billing.refusals import Refused


class InvalidBands(Refused):
    """The bands leave an ARR out, or hold one twice; the message says which."""

    code = "invalid_bands"


class SegmentInUse(Refused):
    """Customers are in it, or were: their history names it."""

    code = "segment_in_use"


class InvalidRate(Refused):
    """Not a rate between two currencies."""

    code = "invalid_rate"


@dataclass(frozen=True, slots=True)
class Band:
    """ARR from `low` to below `high` (None: no end), minor units of the seller's currency."""

    name: str
    low: int
    high: int | None


def check_bands(bands: Sequence[Band], say: Callable[[int], str] = str) -> None:
    """Every ARR from nothing up lies in exactly one band. Raises InvalidBands; `say` writes an amount."""
    reached: int | None = 0
    for band in sorted(bands, key=lambda b: (b.low, b.high is None, b.high or 0)):
        if band.high is not None and band.high <= band.low:
            raise InvalidBands(f"{band.name} ends where it begins, or before.")
        if reached is None or band.low < reached:
            raise InvalidBands(f"{band.name} overlaps the band below it {_where(band, reached, say)}.")
        if band.low > reached:
            raise InvalidBands(f"No band holds an ARR from {say(reached)} to under {say(band.low)}.")
        reached = band.high
    if reached is not None:
        raise InvalidBands(f"No band holds an ARR of {say(reached)} and more.")


def _where(band: Band, reached: int | None, say: Callable[[int], str]) -> str:
    ends = [end for end in (reached, band.high) if end is not None]
    return f"from {say(band.low)} to under {say(min(ends))}" if ends else f"from {say(band.low)} on"


@transaction.atomic
def save_table(*, segments: Sequence[Segment], removed: Sequence[Segment] = ()) -> None:
    """Store the whole table at once. `segments` is all that is to remain. Raises InvalidBands, SegmentInUse."""
    currency = Seller.objects.get().currency
    bands = [Band(each.name, each.min_arr, each.max_arr) for each in segments]
    check_bands(bands, lambda minor: f"{to_major(minor, currency)} {currency}")
    for each in removed:
        if (
            each.customer_set.exists()
            or SegmentChange.objects.filter(Q(before=each) | Q(after=each)).exists()
        ):
            raise SegmentInUse(f"Customers are or were in {each}; give it another band instead.")
        each.delete()
    for each in segments:
        each.save()


def recompute(*, now: datetime, why: str = "nightly") -> int:
    """Put every customer that is not pinned where its ARR belongs; each on its clock. Answers how many moved.

    Three statements find those who are elsewhere; only they are looked at one by one. Who pays in a currency without
    an exchange rate stays.
    """
    above = Q(max_arr__isnull=True) | Q(max_arr__gt=OuterRef("worth"))
    right = (
        Segment.objects.filter(above, min_arr__lte=OuterRef("worth")).order_by("-min_arr").values("pk")[:1]
    )
    rows = Customer.objects.filter(segment_pinned_reason="")
    rows = rows.alias(worth=exchanging.rates_on(now.date()).expression("arr")).annotate(right=Subquery(right))
    elsewhere = rows.filter(Q(segment__isnull=True) | ~Q(segment=F("right")), right__isnull=False)
    moved = 0
    for customer in elsewhere.select_related("segment", "test_clock").order_by("pk"):
        before = customer.segment_id
        present = customer.on_clock(now)
        customers.resegment(customer, present, why)
        moved += customer.segment_id != before
    return moved


def without_rate(now: datetime) -> dict[str, int]:
    """Currencies of revenue that nobody can compare with the bands, with how many customers stay where they are."""
    rates = exchanging.rates_on(now.date())
    rows = Customer.objects.filter(segment_pinned_reason="", arr__gt=0)
    rows = rows.exclude(currency__in=[rates.into, *rates.rates])
    return dict(
        rows.values("currency").annotate(n=Count("pk")).values_list("currency", "n").order_by("currency")
    )


@transaction.atomic
def set_rate(*, currency: str, rate: Decimal, since: date) -> ExchangeRate:
    """What one unit is worth from a day on; the same day again replaces what was typed. Raises InvalidRate."""
    code, into = typed.currency(currency), Seller.objects.get().currency
    if code == into:
        raise InvalidRate(f"{into} is the currency of the bands.", field="currency")
    if not rate.is_finite() or not 0 < rate < 10**9 or not spans_at_most(rate, 9, 9):
        raise InvalidRate(
            "A rate is above 0 and has up to 9 digits on either side of the point.", field="rate"
        )
    row, _ = ExchangeRate.objects.update_or_create(
        currency=code, into=into, since=since, defaults={"rate": rate}
    )
    return row

"""The table of segments: its bands cover every ARR exactly once, and customers are where their ARR belongs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from billing import customers
from billing.maths.money import to_major
from billing.models import Customer, Segment, SegmentChange, Seller
from billing.refusals import Refused


class InvalidBands(Refused):
    """The bands leave an ARR out, or hold one twice; the message says which."""

    code = "invalid_bands"


class SegmentInUse(Refused):
    """Customers are in it, or were: their history names it."""

    code = "segment_in_use"


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

    One statement finds those who are elsewhere; only they are looked at one by one.
    """
    above = Q(max_arr__isnull=True) | Q(max_arr__gt=OuterRef("arr"))
    right = Segment.objects.filter(above, min_arr__lte=OuterRef("arr")).order_by("-min_arr").values("pk")[:1]
    rows = Customer.objects.filter(segment_pinned_reason="").annotate(right=Subquery(right))
    elsewhere = rows.filter(Q(segment__isnull=True) | ~Q(segment=F("right")), right__isnull=False)
    moved = 0
    for customer in elsewhere.select_related("segment", "test_clock").order_by("pk"):
        before = customer.segment_id
        present = customer.on_clock(now)
        customers.resegment(customer, present, why)
        moved += customer.segment_id != before
    return moved

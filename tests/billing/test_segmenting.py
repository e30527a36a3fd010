"""Bands that cover every ARR once, and customers who are where they belong."""

import pytest

from billing import customers, segmenting
from billing.models import Customer, Segment, SegmentChange
from billing.segmenting import Band, InvalidBands
from tests.fixtures_billing import NOON


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        ([(0, 100), (100, 500), (500, None)], ""),
        ([(500, None), (0, 500)], ""),
        ([(0, None)], ""),
        ([], "No band holds an ARR of 0 and more."),
        ([(0, 100)], "No band holds an ARR of 100 and more."),
        ([(10, None)], "No band holds an ARR from 0 to under 10."),
        ([(0, 100), (101, None)], "No band holds an ARR from 100 to under 101."),
        ([(0, 100), (99, None)], "B1 overlaps the band below it from 99 to under 100."),
        ([(0, None), (50, 70)], "B1 overlaps the band below it from 50 to under 70."),
        ([(0, None), (50, None)], "B1 overlaps the band below it from 50 on."),
        ([(0, 100), (0, 100), (100, None)], "B1 overlaps the band below it from 0 to under 100."),
        ([(0, 0), (0, None)], "B0 ends where it begins, or before."),
    ],
)
def test_it_says_which_gap_or_overlap(bands, words):
    rows = [Band(f"B{n}", low, high) for n, (low, high) in enumerate(bands)]
    if not words:
        return segmenting.check_bands(rows)
    with pytest.raises(InvalidBands, match=words.replace(".", "[.]")):
        segmenting.check_bands(rows)
    return None


def test_it_moves_who_is_elsewhere_and_nobody_else(make_customer, django_assert_num_queries):
    right, wrong, lost, pinned = [make_customer() for _ in range(4)]
    Customer.objects.filter(pk__in=[wrong.pk, pinned.pk, lost.pk]).update(arr=60_000_00)
    Customer.objects.filter(pk=lost.pk).update(segment=None)
    customers.pin_segment(
        customer=pinned, segment=Segment.objects.get(code="smb"), reason="Pilot", now=NOON, actor="user:1"
    )
    assert segmenting.recompute(now=NOON) == 2
    codes = dict(Customer.objects.values_list("pk", "segment__code"))
    assert (codes[right.pk], codes[wrong.pk], codes[lost.pk], codes[pinned.pk]) == (
        "smb", "enterprise", "enterprise", "smb",
    )  # fmt: skip
    assert SegmentChange.objects.filter(why="nightly").count() == 2
    with django_assert_num_queries(1):
        assert segmenting.recompute(now=NOON) == 0


def test_a_band_that_was_used_stays(make_customer):
    make_customer()
    kept = list(Segment.objects.exclude(code="smb"))
    kept[0].min_arr = 0
    with pytest.raises(segmenting.SegmentInUse):
        segmenting.save_table(segments=kept, removed=[Segment.objects.get(code="smb")])
    assert Segment.objects.count() == 3

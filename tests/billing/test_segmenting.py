"""Bands that cover every ARR once, and customers who are where they belong."""

from datetime import date
from decimal import Decimal

import pytest

from billing import customers, exchanging, segmenting, subscribing
from billing.models import Customer, ExchangeRate, Segment, SegmentChange, Seller
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
    with django_assert_num_queries(3):
        assert segmenting.recompute(now=NOON) == 0


def test_a_band_that_was_used_stays(make_customer):
    make_customer()
    kept = list(Segment.objects.exclude(code="smb"))
    kept[0].min_arr = 0
    with pytest.raises(segmenting.SegmentInUse):
        segmenting.save_table(segments=kept, removed=[Segment.objects.get(code="smb")])
    assert Segment.objects.count() == 3


# -- Other currencies

TODAY = NOON.date()


def rate(currency, value, since=TODAY):
    return segmenting.set_rate(currency=currency, rate=Decimal(value), since=since)


@pytest.fixture
def yen(make_customer):
    """yen(arr) -> a customer with so many yen a year, who is in no better segment yet."""

    def make(arr, **fields):
        customer = make_customer(currency="JPY", **fields)
        Customer.objects.filter(pk=customer.pk).update(arr=arr)
        customer.arr = arr
        return customer

    return make


def test_without_a_rate_nobody_moves_and_staff_see_who(yen):
    customer = yen(9_000_000)
    assert customers.resegment(customer, NOON, "test").code == "smb"
    assert segmenting.recompute(now=NOON) == 0
    assert segmenting.without_rate(NOON) == {"JPY": 1}
    rate("JPY", "0.0064")
    assert segmenting.without_rate(NOON) == {}


@pytest.mark.parametrize(
    ("arr", "value", "code"),
    [
        (60_000_00, "0.0064", "mid-market"),  # 6,000,000 yen are 38,400.00, not 60,000.00
        (1_562_499, "0.0064", "smb"),  # 9,999.99
        (1_562_500, "0.0064", "mid-market"),  # 10,000.00
        (7_812_500, "0.0064", "enterprise"),
        (0, "0.0064", "smb"),
    ],
)
def test_it_compares_what_the_revenue_is_worth(yen, arr, value, code):
    one, nightly = yen(arr), yen(arr)
    rate("JPY", value)
    assert customers.resegment(one, NOON, "test").code == code
    segmenting.recompute(now=NOON)
    nightly.refresh_from_db()
    assert nightly.segment.code == code


def test_the_newest_rate_that_has_begun_counts(yen):
    rate("JPY", "0.005", date(2025, 1, 1))
    rate("JPY", "0.01", date(2030, 1, 1))
    assert exchanging.worth(1000, "JPY", TODAY) == 500
    assert exchanging.worth(1000, "JPY", date(2030, 1, 1)) == 1000
    assert exchanging.worth(1000, "JPY", date(2024, 12, 31)) is None
    rate("JPY", "0.006", date(2025, 1, 1))
    assert (exchanging.worth(1000, "JPY", TODAY), ExchangeRate.objects.filter(currency="JPY").count()) == (
        600,
        2,
    )
    Seller.objects.update(currency="EUR")
    assert exchanging.worth(1000, "JPY", TODAY) is None


@pytest.mark.parametrize(
    ("currency", "value", "field"),
    [
        ("USD", "1", "currency"), ("XXX", "1", "currency"), ("EUR", "0", "rate"), ("EUR", "-1", "rate"),
        ("EUR", "1E-10", "rate"), ("EUR", "NaN", "rate"), ("EUR", "1E9", "rate"),
    ],
)  # fmt: skip
def test_it_refuses_what_is_no_rate(catalogue, currency, value, field):
    with pytest.raises(segmenting.Refused) as refused:
        rate(currency, value)
    assert refused.value.field == field


def test_a_pinned_segment_decides_how_new_terms_are_paid(make_customer, subscribe):
    customer = make_customer()
    enterprise = Segment.objects.get(code="enterprise")
    customers.pin_segment(customer=customer, segment=enterprise, reason="Group", now=NOON, actor="user:1")
    subscription = subscribe(customer, collection_method="send_invoice")
    assert subscription.phases.get().collection_method == "send_invoice"
    other = make_customer()
    with pytest.raises(subscribing.CollectionNotAllowed):
        subscribe(other, collection_method="send_invoice")

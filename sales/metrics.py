"""The figures of the hybrid motion, each from invoices, phases or movements, so that each can be added up again.

Amounts are minor units of one currency. Periods are half-open instants. Percentages are exact fractions as Decimal,
None where there is nothing to divide by.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from django.db import connection

from billing import bulk
from billing.maths.periods import ONE_DAY, add_months

KINDS = ("new", "expansion", "contraction", "churn", "reactivation")


@dataclass(frozen=True, slots=True)
class Revenue:
    """Invoiced net revenue (less credit notes) by motion, minor units."""

    self_serve: int
    sales_assisted: int
    sales_led: int

    @property
    def total(self) -> int:
        return self.self_serve + self.sales_assisted + self.sales_led

    @property
    def self_serve_share(self) -> Decimal | None:
        return percent(self.self_serve, self.total)

    @property
    def sales_assisted_share(self) -> Decimal | None:
        """With sales, light or high; with the self-serve share it sums to 100."""
        share = self.self_serve_share
        return None if share is None else 100 - share


@dataclass(frozen=True, slots=True)
class Conversion:
    """Customers who began self-serve, and how many of them sales has since taken further."""

    began: int
    converted: int

    @property
    def share(self) -> Decimal | None:
        return percent(self.converted, self.began)


@dataclass(frozen=True, slots=True)
class Expansion:
    """Positive MRR changes of customers who had MRR when the period began, by motion and cause."""

    rows: tuple[tuple[str, str, int], ...]

    @property
    def total(self) -> int:
        return sum(amount for _, _, amount in self.rows)


@dataclass(frozen=True, slots=True)
class LandAndExpand:
    """Mean ARR at month 12 over mean ARR at close, of customers at least twelve months old."""

    customers: int
    at_close: int
    at_month_12: int
    stayed: int
    stayed_at_close: int
    stayed_at_month_12: int

    @property
    def ratio(self) -> Decimal | None:
        return ratio(self.at_month_12, self.at_close)

    @property
    def ratio_without_churned(self) -> Decimal | None:
        return ratio(self.stayed_at_month_12, self.stayed_at_close)


@dataclass(frozen=True, slots=True)
class Retention:
    """Of the customers who had MRR when the range began: how much, how much they have at its end, and how much of that is
    no more than they had."""

    customers: int
    at_start: int
    at_end: int
    kept: int

    @property
    def net(self) -> Decimal | None:
        """NRR: with what they added."""
        return percent(self.at_end, self.at_start)

    @property
    def gross(self) -> Decimal | None:
        """GRR: without it, so 100 at most."""
        return percent(self.kept, self.at_start)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The five figures for [start, end) in one currency."""

    start: datetime
    end: datetime
    currency: str
    revenue: Revenue
    conversion: Conversion
    expansion: Expansion
    land_and_expand: LandAndExpand


def percent(part: int, whole: int) -> Decimal | None:
    """Two decimals, half away from zero; None of nothing."""
    if whole <= 0:
        return None
    return (Decimal(100 * part) / Decimal(whole)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def ratio(part: int, whole: int) -> Decimal | None:
    if whole <= 0:
        return None
    return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Month:
    """One month's movements and the MRR at its end, minor units."""

    month: str
    new: int
    expansion: int
    contraction: int
    churn: int
    reactivation: int
    mrr: int


# -- From the sums that are kept ------------------------------------------------------------------------------
# `billing.models.figures` says what their rows mean. They count by days of UTC, and so do the ranges.

_SUMS = """
select name, case when name = 'mrr' and month >= date_trunc('month', %(start)s::date) then month end as month, motion,
    detail, sum(number)::bigint as number, sum(amount)::bigint as amount, sum(later)::bigint as later
from billing_figure
where livemode = %(live)s and currency = %(currency)s and (
    name = 'revenue' and day >= %(start)s and day < %(end)s
    or name = 'expansion' and month < %(start)s and day >= %(start)s and day < %(end)s
    or name = 'landed' and day <= %(end)s
    or name = 'mrr' and day < %(end)s
    or name = 'began' and day < %(end)s and motion = 'self_serve'
    or name = 'converted' and day < %(end)s
) group by 1, 2, 3, 4
union all
select 'beyond', null, '', '', count(*), 0, 0 from (
    select from billing_figure where livemode = %(live)s and currency = %(currency)s and name = 'mrr' and day >= %(end)s
    limit 1) later
"""


class Sum(NamedTuple):
    """What the rows of a name say together. `month` tells MRR movements from the range's first month on apart."""

    month: date | None
    motion: str
    detail: str
    number: int
    amount: int
    later: int


type Sums = Mapping[str, Sequence[Sum]]


def hybrid(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> Hybrid:
    """All five for whole days of UTC, by one statement whatever the number of customers (see `_expansion`)."""
    return _hybrid(start, end, currency, livemode, _sums(start, end, currency, livemode))


def months(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> list[Month]:
    """MRR movements of each month that the range touches, up to its end; by one statement."""
    return _months(start, end, _sums(start, end, currency, livemode))


def months_by_currency(
    currencies: Sequence[str], *, start: datetime, end: datetime, livemode: bool = False
) -> dict[str, list[Month]]:
    """`months` of each currency, by one statement."""
    asked = [(_SUMS, _days(start, end, currency, livemode)) for currency in currencies]
    tables = bulk.tables(*asked) if asked else []
    return {
        currency: _months(start, end, _by_name(map(_dated, rows)))
        for currency, rows in zip(currencies, tables, strict=True)
    }


def _dated(row: Sequence[Any]) -> Sequence[Any]:
    """A row of `_SUMS` that came as JSON."""
    name, month, *rest = row
    return name, month and date.fromisoformat(month), *rest


def overview(
    *, start: datetime, end: datetime, currency: str, livemode: bool = False
) -> tuple[Hybrid, list[Month]]:
    """Both of them, by one statement."""
    sums = _sums(start, end, currency, livemode)
    return _hybrid(start, end, currency, livemode, sums), _months(start, end, sums)


def _sums(start: datetime, end: datetime, currency: str, livemode: bool) -> Sums:
    return _by_name(_rows(_SUMS, _days(start, end, currency, livemode)))


def _by_name(rows: Iterable[Sequence[Any]]) -> Sums:
    found: defaultdict[str, list[Sum]] = defaultdict(list)
    for name, *values in rows:
        found[name].append(Sum(*values))
    return found


def _days(start: datetime, end: datetime, currency: str, live: bool) -> dict[str, Any]:
    first, last = _span(start, end)
    return {"start": first, "end": last, "currency": currency, "live": live}


def _span(start: datetime, end: datetime) -> tuple[date, date]:
    """The first day, and the one after the last: a day that has begun counts."""
    return start.astimezone(UTC).date(), (end.astimezone(UTC) + ONE_DAY - timedelta.resolution).date()


def _hybrid(start: datetime, end: datetime, currency: str, livemode: bool, sums: Sums) -> Hybrid:
    counted = {name: sum(each.number for each in sums[name]) for name in ("began", "converted")}
    return Hybrid(
        start,
        end,
        currency,
        _revenue(sums),
        Conversion(**counted),
        _expansion(start, end, currency, livemode, sums),
        _land_and_expand(sums),
    )


def _revenue(sums: Sums) -> Revenue:
    by_motion = {each.motion: each.amount for each in sums["revenue"]}
    return Revenue(*(by_motion.get(m, 0) for m in ("self_serve", "sales_assisted", "sales_led")))


def _land_and_expand(sums: Sums) -> LandAndExpand:
    """The means share their divisor, so the ratio of sums is the ratio of means."""
    totals = [
        [sum(values) for values in zip(*(each[3:] for each in rows), strict=True)] or [0, 0, 0]
        for rows in (sums["landed"], [each for each in sums["landed"] if each.detail == "stayed"])
    ]
    return LandAndExpand(*totals[0], *totals[1])


def _expansion(start: datetime, end: datetime, currency: str, livemode: bool, sums: Sums) -> Expansion:
    """MRR that customers added who had some when the period began. The sums know it of whole months: of any others the
    movements are read, but for a month in which nothing moves after the range's end."""
    first, last = _span(start, end)
    beyond = any(each.number for each in sums["beyond"])
    if first.day == 1 and (last.day == 1 or not beyond):
        rows = [(each.motion, each.detail, each.amount) for each in sums["expansion"] if each.amount]
        return Expansion(tuple(sorted(rows)))
    return Expansion(
        tuple(_rows(_EXPANSION, {"start": start, "end": end, "currency": currency, "live": livemode}))
    )


def _months(start: datetime, end: datetime, sums: Sums) -> list[Month]:
    moved = {(each.month, each.detail): each.amount for each in sums["mrr"] if each.month}
    mrr = sum(each.amount for each in sums["mrr"] if each.month is None)
    made = []
    for month in _months_of(start, end):
        by_kind = {kind: moved.get((month, kind), 0) for kind in KINDS}
        mrr += sum(by_kind.values())
        made.append(Month(f"{month:%Y-%m}", **by_kind, mrr=mrr))
    return made


def _months_of(start: datetime, end: datetime) -> Iterator[date]:
    first, last = _span(start, end)
    month = first.replace(day=1)
    while month < last:
        yield month
        month = add_months(month, 1)


_COHORTS = """
select to_char(month, 'YYYY-MM'), coalesce(sum(number) filter (where name = 'began'), 0)::bigint,
    coalesce(sum(number) filter (where name = 'converted'), 0)::bigint
from billing_figure
where livemode = %(live)s and currency = %(currency)s and day < %(end)s
    and (name = 'began' and motion = 'self_serve' or name = 'converted')
group by 1 having sum(number) <> 0 order by 1
"""


def conversion_by_cohort(
    *, start: datetime, end: datetime, currency: str, livemode: bool = False
) -> list[tuple[str, Conversion]]:
    """Conversions by the month of the first payment: [("2026-01", Conversion), …]."""
    rows = _rows(_COHORTS, _days(start, end, currency, livemode))
    return [(cohort, Conversion(began, converted)) for cohort, began, converted in rows]


_EXPANSION = """
with had as (
    select customer_id from billing_mrrmovement
    where at < %(start)s and currency = %(currency)s and livemode = %(live)s
    group by 1 having sum(mrr) > 0
)
select m.motion, m.cause, sum(m.mrr)::bigint from billing_mrrmovement m join had using (customer_id)
where m.at >= %(start)s and m.at < %(end)s and m.mrr > 0 and m.currency = %(currency)s and m.livemode = %(live)s
group by 1, 2 order by 1, 2
"""


_RETAINED = """
    select customer_id, (sum(mrr) filter (where at < %(start)s))::bigint as before, sum(mrr)::bigint as after
    from billing_mrrmovement where at < %(end)s and currency = %(currency)s and livemode = %(live)s
    group by 1 having sum(mrr) filter (where at < %(start)s) > 0"""
_RETENTION = f"""
select count(*), coalesce(sum(before), 0)::bigint, coalesce(sum(after), 0)::bigint,
    coalesce(sum(least(before, after)), 0)::bigint
from ({_RETAINED}) retained
"""


def retention(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> Retention:
    """NRR and GRR of the range, from the movements; by one statement."""
    scope = {"start": start, "end": end, "currency": currency, "live": livemode}
    [row] = _rows(_RETENTION, scope)
    return Retention(*row)


# -- Drill-down ---------------------------------------------------------------------------------------------


BEHIND = {
    "revenue": """
        select c.id, c.name, papers.motion, sum(papers.net)::bigint from (
            select customer_id, motion, subtotal - discount_total as net from billing_invoice
            where status in ('open', 'paid', 'uncollectible') and issued_at >= %(start)s and issued_at < %(end)s
                and currency = %(currency)s and livemode = %(live)s
            union all
            select i.customer_id, i.motion, -n.subtotal
            from billing_creditnote n join billing_invoice i on i.id = n.invoice_id
            where n.issued_at >= %(start)s and n.issued_at < %(end)s and n.currency = %(currency)s
                and n.livemode = %(live)s
        ) papers join billing_customer c on c.id = papers.customer_id
        group by 1, 2, 3 order by 4 desc, 2, 3 limit %(limit)s""",
    "expansion": """
        with had as (select customer_id from billing_mrrmovement where at < %(start)s and currency = %(currency)s
            and livemode = %(live)s group by 1 having sum(mrr) > 0)
        select c.id, c.name, m.motion || ' · ' || m.cause, sum(m.mrr)::bigint
        from billing_mrrmovement m join had using (customer_id) join billing_customer c on c.id = m.customer_id
        where m.at >= %(start)s and m.at < %(end)s and m.mrr > 0 and m.currency = %(currency)s and m.livemode = %(live)s
        group by 1, 2, 3 order by 4 desc, 2, 3 limit %(limit)s""",
    "conversion": """
        select c.id, c.name, case when v.customer_id is null then 'self_serve' else 'converted' end, c.arr
        from billing_customerfigure b join billing_customer c on c.id = b.customer_id
        left join billing_customerfigure v on v.customer_id = b.customer_id and v.livemode = b.livemode
            and v.currency = b.currency and v.name = 'converted' and v.day < %(last)s
        where b.livemode = %(live)s and b.currency = %(currency)s and b.name = 'began' and b.motion = 'self_serve'
            and b.day < %(last)s
        order by v.customer_id is null, c.arr desc, c.name limit %(limit)s""",
    "land_and_expand": """
        select c.id, c.name, l.amount::text, l.later
        from billing_customerfigure l join billing_customer c on c.id = l.customer_id
        where l.livemode = %(live)s and l.currency = %(currency)s and l.name = 'landed' and l.day <= %(last)s
        order by 4 desc, 2 limit %(limit)s""",
    "retention": f"""
        select c.id, c.name, r.before::text, r.after from ({_RETAINED}) r join billing_customer c on c.id = r.customer_id
        order by r.before desc, 2 limit %(limit)s""",
    "mrr": """
        select c.id, c.name, '', sum(m.mrr)::bigint
        from billing_mrrmovement m join billing_customer c on c.id = m.customer_id
        where m.at < %(end)s and m.currency = %(currency)s and m.livemode = %(live)s
        group by 1, 2 having sum(m.mrr) <> 0 order by 4 desc, 2 limit %(limit)s""",
}  # fmt: skip


def behind(
    figure: str,
    *,
    start: datetime,
    end: datetime,
    currency: str,
    livemode: bool = False,
    limit: int | None = 500,
) -> list[tuple[str, str, str, int]]:
    """The customers behind a figure: (customer id, name, what, amount); without a limit they add up to it.

    `what` is nothing for the MRR at the range's end, the motion of revenue, motion and cause of expansion, the
    outcome of a conversion (its amount is the present ARR), the ARR at close, minor units, of land-and-expand (its
    amount is the ARR at month 12), and the MRR at the range's start of retention (its amount is that at the end).
    Raises KeyError for an unknown figure.
    """
    _, last = _span(start, end)
    scope = {"start": start, "end": end, "last": last, "currency": currency, "live": livemode, "limit": limit}
    return [
        (f"cus_{id_.hex}", name, what, amount) for id_, name, what, amount in _rows(BEHIND[figure], scope)
    ]


def _rows(sql: str, scope: Any) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, scope)
        return cursor.fetchall()


def currencies(livemode: bool = False) -> list[str]:
    """The currencies in which anything was ever invoiced, most used first."""
    return [currency for (currency,) in _rows(*asking_currencies(livemode))]


def asking_currencies(livemode: bool) -> tuple[str, dict[str, Any]]:
    """The statement for `currencies`, to be asked together with others."""
    sql = """select currency from billing_figure where livemode = %(live)s and name = 'revenue'
             group by 1 order by sum(number) desc, 1"""
    return sql, {"live": livemode}

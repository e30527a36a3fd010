"""The figures of the hybrid motion, each from invoices, phases or movements, so that each can be added up again.

Amounts are minor units of one currency. Periods are half-open instants. Percentages are exact fractions as Decimal,
None where there is nothing to divide by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import connection

HYBRID = ("self_serve_share", "sales_assisted_share", "conversion", "expansion", "land_and_expand")


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


def hybrid(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> Hybrid:
    """All five, in four statements whatever the number of customers."""
    scope = {"start": start, "end": end, "currency": currency, "live": livemode}
    return Hybrid(
        start,
        end,
        currency,
        revenue(**scope),
        conversion(**scope),
        expansion(**scope),
        land_and_expand(**scope),
    )


_REVENUE = """
select motion, sum(net)::bigint from (
    select motion, subtotal - discount_total as net from billing_invoice
    where status in ('open', 'paid', 'uncollectible') and issued_at >= %(start)s and issued_at < %(end)s
        and currency = %(currency)s and livemode = %(live)s
    union all
    select i.motion, -c.subtotal from billing_creditnote c join billing_invoice i on i.id = c.invoice_id
    where c.issued_at >= %(start)s and c.issued_at < %(end)s and c.currency = %(currency)s and c.livemode = %(live)s
) papers group by motion
"""


def revenue(**scope: Any) -> Revenue:
    """What was invoiced in the period, net of tax, discounts and credit notes."""
    by_motion = dict(_rows(_REVENUE, scope))
    return Revenue(*(by_motion.get(m, 0) for m in ("self_serve", "sales_assisted", "sales_led")))


# The first subscription that was ever paid for decides how a customer began.
_BEGAN = """
with paid as (
    select distinct on (s.customer_id) s.customer_id, s.motion, i.paid_at
    from billing_subscription s join (
        select id, subscription_id from billing_invoice where subscription_id is not null
        union all select i.id, l.subscription_id from billing_invoice i join billing_invoiceline l on l.invoice_id = i.id
            where i.subscription_id is null
    ) o on o.subscription_id = s.id join billing_invoice i on i.id = o.id
    where i.status = 'paid' and i.total > 0 and i.paid_at < %(end)s and s.currency = %(currency)s
        and i.livemode = %(live)s
    order by s.customer_id, i.paid_at, s.id
), began as (select * from paid where motion = 'self_serve'),
converted as (
    select b.customer_id, min(p.start_on) as on_day from began b
    join billing_subscription s on s.customer_id = b.customer_id
    join billing_phase p on p.subscription_id = s.id and (p.end_on is null or p.end_on > p.start_on)
    where p.motion in ('sales_assisted', 'sales_led') and p.start_on <= (%(end)s at time zone 'UTC')::date
        and p.start_on >= (b.paid_at at time zone 'UTC')::date
    group by 1
)
"""


def conversion(**scope: Any) -> Conversion:
    """Self-serve to sales, of everybody who began self-serve before the period's end."""
    [(began, converted)] = _rows(
        _BEGAN
        + "select count(*), count(c.customer_id) from began b left join converted c using (customer_id)",
        scope,
    )
    return Conversion(began, converted)


def conversion_by_cohort(**scope: Any) -> list[tuple[str, Conversion]]:
    """The same by the month of the first payment: [("2026-01", Conversion), …]."""
    rows = _rows(
        _BEGAN
        + """select to_char(b.paid_at at time zone 'UTC', 'YYYY-MM') as cohort, count(*), count(c.customer_id)
             from began b left join converted c using (customer_id) group by 1 order by 1""",
        scope,
    )
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


def expansion(**scope: Any) -> Expansion:
    """MRR that customers added who had some when the period began."""
    return Expansion(tuple(_rows(_EXPANSION, scope)))


_LEVELS = """
with first as (
    select customer_id, min(at) as closed_at from billing_mrrmovement
    where currency = %(currency)s and livemode = %(live)s group by 1
), old as (select * from first where closed_at + interval '12 months' <= %(end)s),
levels as (
    select o.customer_id,
        sum(m.arr) filter (where m.at <= o.closed_at) as at_close,
        coalesce(sum(m.arr) filter (where m.at <= o.closed_at + interval '12 months'), 0) as at_12
    from old o join billing_mrrmovement m on m.customer_id = o.customer_id
        and m.currency = %(currency)s and m.livemode = %(live)s
    group by 1
)
"""

_LAND = (
    _LEVELS
    + """
select count(*), coalesce(sum(at_close), 0)::bigint, coalesce(sum(at_12), 0)::bigint,
    count(*) filter (where at_12 > 0), coalesce(sum(at_close) filter (where at_12 > 0), 0)::bigint,
    coalesce(sum(at_12) filter (where at_12 > 0), 0)::bigint
from levels
"""
)


def land_and_expand(**scope: Any) -> LandAndExpand:
    """The means share their divisor, so the ratio of sums is the ratio of means."""
    [row] = _rows(_LAND, scope)
    return LandAndExpand(*row)


# -- MRR over time ----------------------------------------------------------------------------------------


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


_MONTHS = """
with months as (
    select generate_series(date_trunc('month', %(start)s at time zone 'UTC'),
                           date_trunc('month', (%(end)s - interval '1 microsecond') at time zone 'UTC'),
                           interval '1 month') as month
), moved as (
    select date_trunc('month', at at time zone 'UTC') as month, kind, sum(mrr) as amount from billing_mrrmovement
    where currency = %(currency)s and livemode = %(live)s and at < %(end)s group by 1, 2
)
select to_char(m.month, 'YYYY-MM'),
    coalesce(sum(v.amount) filter (where v.kind = 'new'), 0)::bigint,
    coalesce(sum(v.amount) filter (where v.kind = 'expansion'), 0)::bigint,
    coalesce(sum(v.amount) filter (where v.kind = 'contraction'), 0)::bigint,
    coalesce(sum(v.amount) filter (where v.kind = 'churn'), 0)::bigint,
    coalesce(sum(v.amount) filter (where v.kind = 'reactivation'), 0)::bigint,
    coalesce((select sum(w.amount) from moved w where w.month <= m.month), 0)::bigint
from months m left join moved v on v.month = m.month
group by m.month order by m.month
"""


def months(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> list[Month]:
    """MRR movements month by month, in one statement."""
    scope = {"start": start, "end": end, "currency": currency, "live": livemode}
    return [Month(*row) for row in _rows(_MONTHS, scope)]


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
    "conversion": _BEGAN + """
        select c.id, c.name, case when v.customer_id is null then 'self_serve' else 'converted' end, c.arr
        from began b join billing_customer c on c.id = b.customer_id left join converted v using (customer_id)
        order by v.customer_id is null, c.arr desc, c.name limit %(limit)s""",
    "land_and_expand": _LEVELS + """
        select c.id, c.name, l.at_close::text, l.at_12::bigint
        from levels l join billing_customer c on c.id = l.customer_id order by 4 desc, 2 limit %(limit)s""",
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
    outcome of a conversion (its amount is the present ARR), and the ARR at close, minor units, of land-and-expand (its
    amount is the ARR at month 12).
    Raises KeyError for an unknown figure.
    """
    scope = {"start": start, "end": end, "currency": currency, "live": livemode, "limit": limit}
    return [
        (f"cus_{id_.hex}", name, what, amount) for id_, name, what, amount in _rows(BEHIND[figure], scope)
    ]


def _rows(sql: str, scope: Any) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, scope)
        return cursor.fetchall()


def currencies(livemode: bool = False) -> Iterable[str]:
    """The currencies in which anything was ever invoiced, most used first."""
    sql = (
        "select currency from billing_invoice where livemode = %(live)s group by 1 order by count(*) desc, 1"
    )
    return [row[0] for row in _rows(sql, {"live": livemode})]

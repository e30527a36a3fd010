"""The figures of the hybrid motion, counted from papers, phases and movements each time."""

from typing import Any

from django.db import connection

from sales.metrics import Conversion, Expansion, Hybrid, LandAndExpand, Month, Revenue

REVENUE = """
select motion, sum(net)::bigint from (
    select motion, subtotal - discount_total as net from billing_invoice
    where status in ('open', 'paid', 'uncollectible') and issued_at >= %(start)s and issued_at < %(end)s
        and currency = %(currency)s and livemode = %(live)s
    union all
    select i.motion, -c.subtotal from billing_creditnote c join billing_invoice i on i.id = c.invoice_id
    where c.issued_at >= %(start)s and c.issued_at < %(end)s and c.currency = %(currency)s and c.livemode = %(live)s
) papers group by motion
"""
BEGAN = """
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
    where p.motion in ('sales_assisted', 'sales_led') and p.start_on < (%(end)s at time zone 'UTC')::date
        and p.start_on >= (b.paid_at at time zone 'UTC')::date
    group by 1
)
"""
EXPANSION = """
with had as (
    select customer_id from billing_mrrmovement
    where at < %(start)s and currency = %(currency)s and livemode = %(live)s
    group by 1 having sum(mrr) > 0
)
select m.motion, m.cause, sum(m.mrr)::bigint from billing_mrrmovement m join had using (customer_id)
where m.at >= %(start)s and m.at < %(end)s and m.mrr > 0 and m.currency = %(currency)s and m.livemode = %(live)s
group by 1, 2 order by 1, 2
"""
LEVELS = """
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
LAND = (
    LEVELS
    + """
select count(*), coalesce(sum(at_close), 0)::bigint, coalesce(sum(at_12), 0)::bigint,
    count(*) filter (where at_12 > 0), coalesce(sum(at_close) filter (where at_12 > 0), 0)::bigint,
    coalesce(sum(at_12) filter (where at_12 > 0), 0)::bigint
from levels
"""
)
MONTHS = """
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
CONVERSION = (
    BEGAN + "select count(*), count(c.customer_id) from began b left join converted c using (customer_id)"
)
COHORTS = (
    BEGAN
    + """select to_char(b.paid_at at time zone 'UTC', 'YYYY-MM') as cohort, count(*), count(c.customer_id)
         from began b left join converted c using (customer_id) group by 1 order by 1"""
)


def hybrid(**scope: Any) -> Hybrid:
    by_motion = dict(rows(REVENUE, scope))
    return Hybrid(
        scope["start"],
        scope["end"],
        scope["currency"],
        Revenue(*(by_motion.get(motion, 0) for motion in ("self_serve", "sales_assisted", "sales_led"))),
        Conversion(*rows(CONVERSION, scope)[0]),
        Expansion(tuple(rows(EXPANSION, scope))),
        LandAndExpand(*rows(LAND, scope)[0]),
    )


def months(**scope: Any) -> list[Month]:
    return [Month(*row) for row in rows(MONTHS, scope)]


def cohorts(**scope: Any) -> list[tuple[str, Conversion]]:
    return [(cohort, Conversion(began, converted)) for cohort, began, converted in rows(COHORTS, scope)]


def rows(sql: str, scope: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"live": False, **scope})
        return cursor.fetchall()

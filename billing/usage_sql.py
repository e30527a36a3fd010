"""The statements behind `billing.metering`. Written out, because each is one round trip whatever the batch's
size.

A usage period is the cycle of the customer's terms that holds a day: of the usage price in the phase that
runs, counted from the phase's anchor; without such terms the calendar month. `PERIOD` says in SQL what
`billing.maths.periods.Cycle` says in Python, and a test holds them equal.
"""

# ruff: noqa: S608 - the parts that are put together are constants of ours; values are parameters.
from billing.one_trip import UNFINISHED

# Of a relation `need(customer_id, meter_id, today, …)`: the same rows with the terms in force and the limit, which
# is what the plan allows, or what its price includes where the plan names none. The newest subscription that speaks
# of the meter decides. Put together as one set: row by row takes half as long again. `any(array[…])` keeps the
# planner off the index that guards phases against overlap: looking one up there takes thirty times as long.
TERMS = """
    select distinct on (need.customer_id, need.meter_id) need.*,
           case when pr.id is not null or e.id is not null then s.id end as subscription_id,
           case when pr.id is not null or e.id is not null then p.anchor_on end as anchor_on,
           pr.interval, free.included, coalesce(e."limit", free.included) as "limit"
    from need
    left join (billing_subscription s join billing_phase p on p.subscription_id = any(array[s.id]))
        on s.customer_id = need.customer_id and s.status in ('trialing', 'active', 'past_due')
        and p.start_on <= need.today and (p.end_on is null or need.today < p.end_on)
    left join (billing_phaseitem i join billing_price pr on pr.id = i.price_id and pr.kind = 'usage')
        on i.phase_id = p.id and pr.meter_id = need.meter_id
    left join billing_entitlement e on e.plan_id = p.plan_id and e.meter_id = need.meter_id
    cross join lateral (
        select case when p.free and not p.paused and pr.included_in_trial is not null
            then nullif(pr.included_in_trial, 0) else coalesce(nullif(pr.included, 0), case
            when (pr.tiers -> 0 ->> 'unit_amount')::numeric = 0
                 and coalesce((pr.tiers -> 0 ->> 'flat_amount')::numeric, 0) = 0
            then (pr.tiers -> 0 ->> 'up_to')::numeric end) end as included
    ) free
    order by need.customer_id, need.meter_id, (pr.id is null and e.id is null), s.start_on desc, s.id desc
"""

# Of a row `terms(today, anchor_on, interval)`: the period that holds today, and where the one before began. `offset 0`
# has the number of the period worked out once; the planner would write it out wherever it is used, six times.
PERIOD = """
cross join lateral (
    select coalesce(terms.anchor_on, date_trunc('month', terms.today)::date) as anchor,
           case terms.interval when 'quarter' then 3 when 'half_year' then 6 when 'year' then 12 else 1
           end as step
) cycle
cross join lateral (
    select floor(((date_part('year', terms.today) - date_part('year', anchor)) * 12
                  + date_part('month', terms.today) - date_part('month', anchor)) / step)::int as months,
           floor((terms.today - anchor) / 7.0)::int as weeks
) passed
cross join lateral (
    select months - ((anchor + make_interval(months => months * step))::date > terms.today)::int as nth
    offset 0
) whole
cross join lateral (
    select case when terms.interval = 'week' then anchor + 7 * weeks
                else (anchor + make_interval(months => nth * step))::date end as start_on,
           case when terms.interval = 'week' then anchor + 7 * (weeks + 1)
                else (anchor + make_interval(months => (nth + 1) * step))::date end as end_on,
           case when terms.interval = 'week' then anchor + 7 * (weeks - 1)
                else (anchor + make_interval(months => (nth - 1) * step))::date end as previous_on
) period
"""

# What the event of a crossing says. Quantities as texts: JSON has no decimals.
_CROSSING = """jsonb_build_object(
    'customer', 'cus_' || replace(c.customer_id::text, '-', ''), 'at', t.now,
    'data', jsonb_build_object(
        'meter', m.code, 'name', m.name, 'percent', c.percent, 'limit', trim_scale(c."limit")::text,
        'used', trim_scale(c.used)::text, 'period', jsonb_build_object('start', t.start_on, 'end', t.end_on),
        'subscription', 'sub_' || replace(t.subscription_id::text, '-', '')))"""

_NUMBER = r"'^-?[0-9]{1,15}(\.[0-9]{1,12})?$'"

# Of a row `reached(customer_id, meter_id, start_on, "limit")` and a `percent`: whether it was said of this period for a
# limit as high. A limit that falls asks nothing again; one that rises does.
_SAID = """exists (
        select from billing_thresholdcrossing x
        where x.customer_id = reached.customer_id and x.meter_id = reached.meter_id and x.percent = percentage
          and x.period_start = reached.start_on and x."limit" >= reached."limit")"""

# Of a customer `c`: whom its usage counts for, its zone and clock. What is sent for an account that became a part of
# another counts there once nothing of its own runs; both live on one clock.
_COUNTED_FOR = """case when c.merged_into_id is null then c.id else tandem_counts_for(c.id, c.merged_into_id) end as id,
           case when c.merged_into_id is null then c.timezone
                else tandem_zone_of(tandem_counts_for(c.id, c.merged_into_id)) end as timezone, c.test_clock_id"""


# Rows are written in the order of their keys, days before counters, so that concurrent batches wait for each
# other and never in a circle. The planner takes every batch for a hundred events, for whose customers it would read
# all customers there are; `any(array[…])` has each looked up by its key. It is `UNFINISHED` where more belongs into its
# transaction: the fact of a crossed limit, the count of distinct values.
def _recording(how: str, source: str) -> str:
    """From a relation `source(n int, k text, c uuid, x text, e text, t timestamptz, p jsonb)`; `how` it is kept."""
    return f"""
with given as {how} (
    select n, k as key, c as customer_id, x as external_id, coalesce(x, c::text) as ref, e as event_name,
           t as at, coalesce(p, '{{}}') as properties
    from {source}
), named as (
    select c.id::text as ref, {_COUNTED_FOR}
    from (select distinct customer_id from given where customer_id is not null) g
    join billing_customer c on c.id = any(array[g.customer_id])
        and c.livemode = %(livemode)s::bool and c.deleted_at is null
    union all
    select c.external_id, {_COUNTED_FOR}
    from (select distinct external_id from given where external_id is not null) g
    join billing_customer c on c.livemode = %(livemode)s::bool and c.external_id = any(array[g.external_id])
), who as materialized (
    select ref, named.id, timezone, present.now, (present.now at time zone timezone)::date as today
    from named
    left join billing_testclock k on k.id = test_clock_id
    cross join lateral (select coalesce(k.now, %(now)s::timestamptz) as now) present
), sent as materialized (
    select g.n, g.key, g.event_name, g.properties, w.id as customer_id, w.now, w.today, m.id as meter_id,
           m.aggregation, m.property, coalesce(g.at, w.now) as at,
           (coalesce(g.at, w.now) at time zone w.timezone)::date as day, g.properties ->> m.property as said
    from given g
    left join who w on w.ref = g.ref
    left join billing_meter m on m.event_name = g.event_name
), need as (
    select distinct customer_id, meter_id, aggregation, today, now
    from sent where customer_id is not null and meter_id is not null
), terms as materialized (
    select terms.customer_id, terms.meter_id, terms.aggregation, terms.now, terms.subscription_id, terms."limit",
           period.start_on, period.end_on,
           case when terms.today < period.start_on + %(grace)s::int then previous_on else start_on
           end as open_from
    from ({TERMS}) terms {PERIOD}
), judged as materialized (
    select s.*, case
        when s.customer_id is null then 'unknown_customer'
        when s.meter_id is null then 'unknown_event_name'
        when s.at > s.now + interval '5 minutes' then 'timestamp_in_future'
        when s.day < t.open_from then 'after_grace_window'
        when s.aggregation = 'count' then null
        when coalesce(s.said, '') = '' then 'missing_value'
        when s.aggregation <> 'unique' and s.said !~ {_NUMBER} then 'invalid_value'
        end as refusal
    from sent s left join terms t using (customer_id, meter_id)
), refused as (
    select distinct on (n) n, refusal, property from judged where refusal is not null order by n, refusal
), inserted as (
    insert into billing_usageevent
        (livemode, key, customer_id, meter_id, event_name, occurred_at, day, value, properties, received_at)
    select %(livemode)s::bool, key, customer_id, meter_id, event_name, at, day,
           case when aggregation in ('count', 'unique') then 1 else said::numeric end, properties, now
    from judged where n not in (select n from refused)
    order by key, meter_id, n
    on conflict (livemode, key, meter_id) do nothing
    returning key, customer_id, meter_id, day, occurred_at, value
), delta as materialized (
    select customer_id, meter_id, day, count(*) as count, sum(value) as total, max(value) as peak,
           max(occurred_at) as last_at, (array_agg(value order by occurred_at desc, key desc))[1] as last
    from inserted group by customer_id, meter_id, day
), days as (
    insert into billing_usageday as d (customer_id, meter_id, day, count, total, peak, last, last_at)
    select customer_id, meter_id, day, count, total, peak, last, last_at from delta
    order by customer_id, meter_id, day
    on conflict (customer_id, meter_id, day) do update set
        count = d.count + excluded.count, total = d.total + excluded.total,
        peak = greatest(d.peak, excluded.peak),
        last = case when d.last_at > excluded.last_at then d.last else excluded.last end,
        last_at = greatest(d.last_at, excluded.last_at)
    returning 1
), fresh as materialized (
    select t.customer_id, t.meter_id, t.start_on, t.end_on, t.aggregation, max(last_at) as last_at,
           case t.aggregation when 'count' then sum(count) when 'sum' then sum(total)
                when 'max' then max(peak)
                when 'last' then (array_agg(last order by last_at desc))[1] else 0 end as added,
           exists (select from billing_usagecounter u where u.customer_id = t.customer_id
                   and u.meter_id = t.meter_id and u.start_on = t.start_on) as begun
    from delta join terms t using (customer_id, meter_id)
    where t."limit" > 0 and day >= t.start_on and day < t.end_on
    group by t.customer_id, t.meter_id, t.start_on, t.end_on, t.aggregation
), before as (
    select f.customer_id, f.meter_id, sum(d.count) as count, sum(d.total) as total, max(d.peak) as peak,
           max(d.last_at) as last_at, (array_agg(d.last order by d.last_at desc))[1] as last
    from fresh f
    join billing_usageday d on d.customer_id = f.customer_id and d.meter_id = f.meter_id
        and d.day >= f.start_on and d.day < f.end_on
    where not f.begun
    group by f.customer_id, f.meter_id
), counted as (
    insert into billing_usagecounter as u (customer_id, meter_id, start_on, end_on, used, added, last_at)
    select f.customer_id, f.meter_id, f.start_on, f.end_on,
           case aggregation when 'max' then greatest(f.added, before.peak)
                when 'last' then case when before.last_at > f.last_at then before.last else f.added end
                else f.added
                    + coalesce(case aggregation when 'count' then before.count else before.total end, 0) end,
           f.added, f.last_at
    from fresh f
    left join before using (customer_id, meter_id)
    where (select count(*) from days) > 0
    order by f.customer_id, f.meter_id
    on conflict (customer_id, meter_id, start_on) do update set
        used = case (select aggregation from billing_meter m where m.id = u.meter_id)
            when 'max' then greatest(u.used, excluded.added)
            when 'last' then case when u.last_at > excluded.last_at then u.used else excluded.added end
            else u.used + excluded.added end,
        added = excluded.added, last_at = greatest(u.last_at, excluded.last_at)
    returning customer_id, meter_id, start_on, used
), crossed as (
    insert into billing_thresholdcrossing (customer_id, meter_id, percent, period_start, "limit", used, at)
    select customer_id, meter_id, percentage, start_on, "limit", used, now
    from (
        select customer_id, meter_id, c.start_on, t."limit", c.used, t.now
        from counted c join terms t using (customer_id, meter_id) where t.aggregation <> 'unique'
    ) reached cross join unnest(%(percents)s::int[]) as percentage
    where used * 100 >= "limit" * percentage and not {_SAID}
    order by customer_id, meter_id, percentage
    on conflict do nothing
    returning customer_id, meter_id, percent, period_start, "limit", used
), answer as materialized (
    select (select count(*) from (select distinct key from inserted) keys) as accepted,
           (select count(*) from given) - (select count(*) from refused) as taken,
           (select jsonb_agg(jsonb_build_array(n, refusal, property)) from refused) as refusals,
           (select jsonb_agg({_CROSSING} order by c.percent)
            from crossed c join terms t using (customer_id, meter_id) join billing_meter m on m.id = c.meter_id
           ) as crossings,
           (select jsonb_agg(jsonb_build_array(customer_id, meter_id))
            from fresh where aggregation = 'unique') as distincts
)
select answer.*, case when coalesce(crossings, distincts) is not null then {UNFINISHED} end from answer
"""


# A request's events, as they are in it.
_GIVEN = """jsonb_to_recordset(%(events)s::jsonb)
        as g(n int, k text, c uuid, x text, e text, t timestamptz, p jsonb)"""
RECORD = _recording("materialized", _GIVEN)
# The same for so few events that the planner should look each one's terms up: for a hundred it reads every phase's
# prices, which one event pays for.
FEW = 10
RECORD_FEW = _recording("materialized", f"{_GIVEN} limit {FEW}")

# Thousands of them, copied into a table of this session first: that reads them quicker than JSON, and the planner
# sees how many there are. It exists for one statement, so that a pooler may give the next one another session.
GIVEN = "create temporary table usage_given (n int, k text, c uuid, x text, e text, t timestamptz, p jsonb)"
COPY_GIVEN = "copy usage_given from stdin (null '')"
RECORD_GIVEN = _recording("not materialized", "usage_given")
DROP_GIVEN = "drop table usage_given"

# Of a row `span(customer_id, meter_id, aggregation, property, start_on, end_on)`: the quantity of those days.
USED = """
cross join lateral (
    select trim_scale(coalesce(case span.aggregation
        when 'unique' then (
            select count(distinct e.properties ->> span.property) from billing_usageevent e
            where e.customer_id = span.customer_id and e.meter_id = span.meter_id
              and e.day >= span.start_on and e.day < span.end_on and e.voided_at is null)
        else (
            select case span.aggregation when 'count' then sum(d.count) when 'sum' then sum(d.total)
                   when 'max' then max(d.peak)
                   else (array_agg(d.last order by d.last_at desc nulls last))[1] end
            from billing_usageday d
            where d.customer_id = span.customer_id and d.meter_id = span.meter_id
              and d.day >= span.start_on and d.day < span.end_on) end, 0)) as used
) used
"""

# Every meter that means something to each of the customers today: its terms speak of it, or something was used.
CURRENT = f"""
with need as (
    select g.customer_id, m.id as meter_id, m.aggregation, m.property, m.code, g.today
    from unnest(%(customers)s::uuid[], %(todays)s::date[]) as g(customer_id, today) cross join billing_meter m
), span as (
    select terms.*, period.start_on, period.end_on from ({TERMS}) terms {PERIOD}
)
select span.customer_id, span.meter_id, used.used, span."limit", span.included, span.start_on, span.end_on
from span {USED}
where span.subscription_id is not null or used.used <> 0
order by span.code
"""

# What every single event of a stretch costs, in hundredths of a percentage's amount (`pricing.PerTransaction` says the
# rules): how many, how many of them and how much of their sum were free, and the fees.
FEES = """
select count(*), count(*) filter (where free >= value and value > 0), coalesce(sum(free), 0), coalesce(sum(fee), 0)
from (
    select value, free, case
        when value <= 0 then value * %(rate)s::numeric
        when free >= value then 0
        else least(greatest((value - free) * %(rate)s::numeric + %(fixed_amount)s::numeric * 100,
                            %(minimum)s::numeric * 100), %(maximum)s::numeric * 100) end as fee
    from (
        select value, case
            when value <= 0 or (%(free_events)s > 0 and nth > %(free_events)s) then 0
            when %(free_amount)s::numeric > 0 then least(value, greatest(%(free_amount)s::numeric - before, 0))
            when %(free_events)s > 0 then value else 0 end as free
        from (
            select value, count(*) filter (where value > 0) over so_far as nth,
                   sum(greatest(value, 0)) over so_far - greatest(value, 0) as before
            from billing_usageevent
            where customer_id = %(customer)s and meter_id = %(meter)s and day >= %(start)s and day < %(end)s
              and voided_at is null
            window so_far as (order by occurred_at, key rows unbounded preceding)
        ) in_order
    ) freed
) charged
"""

QUANTITIES = f"""
select span.n, used.used
from (
    select g.n, g.customer_id, g.meter_id, m.aggregation, m.property, g.start_on, g.end_on
    from jsonb_to_recordset(%(wanted)s::jsonb)
        as g(n int, customer_id uuid, meter_id uuid, start_on date, end_on date)
    join billing_meter m on m.id = g.meter_id
) span {USED}
"""

DAILY = f"""
select span.start_on, used.used
from (
    select %(customer)s::uuid as customer_id, m.id as meter_id, m.aggregation, m.property,
           day::date as start_on, day::date + 1 as end_on
    from billing_meter m, generate_series(%(start)s::date, %(end)s::date - 1, interval '1 day') as day
    where m.id = %(meter)s
) span {USED}
order by span.start_on
"""

# Distinct values are counted from the events themselves, after they are in; the counters' rows are still
# held.
CROSS_UNIQUE = f"""
with need as (
    select p.customer_id, p.meter_id, m.aggregation, m.property, present.now,
           (present.now at time zone c.timezone)::date as today
    from jsonb_to_recordset(%(pairs)s::jsonb) as p(customer_id uuid, meter_id uuid)
    join billing_meter m on m.id = p.meter_id
    join billing_customer c on c.id = p.customer_id
    left join billing_testclock k on k.id = c.test_clock_id
    cross join lateral (select coalesce(k.now, %(now)s::timestamptz) as now) present
), span as (
    select terms.*, period.start_on, period.end_on from ({TERMS}) terms {PERIOD}
), crossed as (
    insert into billing_thresholdcrossing (customer_id, meter_id, percent, period_start, "limit", used, at)
    select customer_id, meter_id, percentage, start_on, "limit", used, now
    from (
        select span.customer_id, span.meter_id, span.start_on, span."limit", used.used, span.now from span {USED}
    ) reached cross join unnest(%(percents)s::int[]) as percentage
    where used * 100 >= "limit" * percentage and not {_SAID}
    order by customer_id, meter_id, percentage
    on conflict do nothing
    returning customer_id, meter_id, percent, period_start, "limit", used
)
select jsonb_agg({_CROSSING} order by c.percent)
from crossed c join span t using (customer_id, meter_id) join billing_meter m on m.id = c.meter_id
"""

# Taking an event back: its days and counters are held, in the order in which `RECORD` takes them, …
HOLD_DAYS = """
select d.id from billing_usageday d join billing_usageevent e using (customer_id, meter_id, day)
where e.id = any(%(events)s) order by d.customer_id, d.meter_id, d.day for update of d
"""
HOLD_AROUND = """
select d.id from billing_usageday d join billing_usageevent e using (customer_id, meter_id)
where e.key = %(key)s and e.livemode = %(livemode)s and abs(d.day - e.day) < 400
order by d.customer_id, d.meter_id, d.day for update of d
"""
HOLD_COUNTERS = """
select u.id from billing_usagecounter u join billing_usageevent e using (customer_id, meter_id)
where e.id = any(%(events)s) order by u.customer_id, u.meter_id, u.start_on for update of u
"""
# … then said anew from what is left. Of two events of the same instant the one that came in later is the last, as it was
# when they came in (the one with the larger key, where that was in one batch: they are stored in that order).
RECOUNT_DAYS = """
update billing_usageday d set count = left_over.count, total = left_over.total, peak = left_over.peak,
       last = left_over.last, last_at = left_over.last_at
from (
    select d.id, count(e.id) as count, coalesce(sum(e.value), 0) as total, max(e.value) as peak,
           max(e.occurred_at) as last_at,
           (array_agg(e.value order by e.occurred_at desc, e.id desc))[1] as last
    from billing_usageday d
    left join billing_usageevent e
        on e.customer_id = d.customer_id and e.meter_id = d.meter_id and e.day = d.day
        and e.voided_at is null
    where d.id = any(%(days)s) group by d.id
) left_over
where left_over.id = d.id
"""
RECOUNT_COUNTERS = f"""
update billing_usagecounter u set used = used.used, added = 0, last_at = (
    select max(d.last_at) from billing_usageday d
    where d.customer_id = span.customer_id and d.meter_id = span.meter_id
      and d.day >= span.start_on and d.day < span.end_on)
from (select u.*, m.aggregation, m.property
      from billing_usagecounter u join billing_meter m on m.id = u.meter_id
      where u.id = any(%(counters)s)) span {USED}
where u.id = span.id
"""

# The first day for which events are still taken.
OPEN_FROM = f"""
with need as (
    select %(customer)s::uuid as customer_id, %(meter)s::uuid as meter_id, %(today)s::date as today
)
select case when terms.today < period.start_on + %(grace)s then previous_on else start_on end
from ({TERMS}) terms {PERIOD}
"""

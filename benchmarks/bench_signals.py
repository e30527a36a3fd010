"""All signal rules over every customer against one SQL for each rule that writes the same rows.

    python benchmarks/bench_signals.py [--n CUSTOMERS] [--rounds ROUNDS] [--rules-alone] [--strict]

Seeds customers whose events nobody has weighed: each with a company, a subscription and up to twelve members, one in
twenty near a limit, one in ten upgraded, some who looked at features, asked for a demo or end their contract soon, and
a thousand listed domains. A round weighs all of it in one process (`watching.sweep`: findings, their facts, scores,
tasks and owners), then does the limit, which writes the same rows: for each rule one `INSERT ... SELECT` that finds and
writes its signals, and one each for their facts, for the notes that an event was weighed, for the tasks, and for what
tasks bring (their facts, the customers' owners with theirs, the signals that are in them). With --rules-alone the limit
leaves out the tasks, which the product still raises. Both run in a transaction that is rolled back. Then engagement of
everybody is measured against one statement that scores and keeps the same.

Prints customers a second of both and the ratios. The exit status is 1 when the statements of a chunk grow with its
customers, which is steady, or when both do not find as many signals and raise as many tasks; the ratios are judged with
--strict.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import standalone  # noqa: F401  # isort: skip

from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import bulk, catalogue
from billing.models import (
    Customer,
    Event,
    Meter,
    Phase,
    PhaseItem,
    Plan,
    Subscription,
    UsageDay,
    User,
)
from billing.models.ids import new_id
from sales import catalogue as sales_catalogue
from sales import chunking, engagement, watching
from sales.handing_over import working_day
from sales.models import Rule, TargetDomain, TargetProfile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATIO = 4.0
INDUSTRIES = ("Logistics", "Retail", "Media", "Health", "Energy", "Travel", "Food", "Law", "Games", "Steel")
BLOCK = 20_000


# -- Customers ---------------------------------------------------------------------------------------------


def seed(n: int) -> None:
    rng = random.Random(n)
    for first in range(0, n, BLOCK):
        _seed_block(range(first, min(first + BLOCK, n)), rng)
    TargetDomain.objects.bulk_create(
        [TargetDomain(domain=f"company{i * 100}.example", added_at=NOW) for i in range(1000)],
        ignore_conflicts=True,
    )
    TargetProfile.objects.create(name="Movers", industry="Logistics", min_employees=90)
    for sql in EVENTS:
        run(sql)
    vacuum()


def _seed_block(numbers: range, rng: random.Random) -> None:
    pro = Plan.objects.get(code="pro")
    seat, meter = pro.prices.get(code="seats-month"), Meter.objects.get(code="api_calls")
    rows: dict[type, list[dict]] = {m: [] for m in (Customer, Subscription, Phase, PhaseItem, UsageDay)}
    for i in numbers:
        customer, subscription, phase = new_id("cus"), new_id("sub"), new_id("phase")
        rows[Customer].append(
            {"id": customer, "name": f"Company {i}", "email": f"a{i}@company{i}.example", "country": "IE",
             "domain": f"eu.company{i // 20 * 20 if i % 20 < 2 else i}.example", "industry": rng.choice(INDUSTRIES),
             "employees": rng.randrange(1, 110), "created_at": NOW}
        )  # fmt: skip
        rows[Subscription].append(
            {"id": subscription, "customer_id": customer, "status": "active", "motion": "self_serve", "origin": "api",
             "currency": "USD", "start_on": date(2026, 2, 1), "started_at": NOW, "created_at": NOW}
        )  # fmt: skip
        rows[Phase].append(
            {"id": phase, "subscription_id": subscription, "plan_id": pro.pk, "start_on": date(2026, 2, 1),
             "anchor_on": date(2026, 2, 1), "collection_method": "charge_automatically", "motion": "self_serve",
             "created_at": NOW}
        )  # fmt: skip
        rows[PhaseItem].append({"phase_id": phase, "price_id": seat.pk, "quantity": Decimal(3)})
        rows[UsageDay] += [
            {"customer_id": customer, "meter_id": meter.pk, "day": NOW.date() - timedelta(days=3 * day + i % 3),
             "count": 1, "total": Decimal(rng.randrange(1, 4000))} for day in range(i % 12)
        ]  # fmt: skip
    with transaction.atomic():
        for model, given in rows.items():
            bulk.copy(model, given)


# `n` is the customer's place; each statement makes the events of one kind.
_MADE = """
with c as (select id, row_number() over (order by id) as n, employees from billing_customer)
insert into billing_event (id, type, object_id, sequence, customer_id, livemode, actor, at, recorded_at, data)
select gen_random_uuid(), '{type}', 'bench_' || gen_random_uuid(), 1, c.id, false, '{actor}',
       %(now)s::timestamptz - interval '20 days' + k * interval '1 hour', now(), {data}
from c cross join lateral generate_series(1, {times}) k order by k, c.n
"""


def _events(type_: str, times: str, data: str = "'{}'::jsonb", actor: str = "key:app") -> str:
    return _MADE.format(type=type_, actor=actor, times=times, data=data)


_MOVED = "jsonb_build_object('mrr_before', 5800, 'mrr_after', 5800 + 1000 * (n %% 90), 'plan', 'pro', 'quantity', 3)"
_NEAR = """jsonb_build_object('meter', 'api_calls', 'name', 'API calls', 'used', '41000', 'limit', '50000',
    'period', jsonb_build_object('start', '2026-02-01', 'end', '2026-03-01'))"""
EVENTS = (
    _events("customer.created", "1"),
    _events("member.added", "1", actor="buyer"),
    _events(
        "member.added", "(c.n %% 12)::int", "jsonb_build_object('email', 'm' || k || '@company.example')"
    ),
    _events(
        "subscription.created", "1", "jsonb_build_object('mrr_after', 5800, 'plan', 'pro', 'quantity', 2)"
    ),
    _events("subscription.changed", "(c.n %% 10 = 3)::int", _MOVED),
    _events("usage.threshold_reached", "(c.n %% 20 = 7)::int", _NEAR),
    _events("feature.viewed", "2 * (c.n %% 20 = 9)::int", "jsonb_build_object('feature', 'sso')"),
    _events("feature.viewed", "2 * (c.n %% 25 = 9)::int", "jsonb_build_object('feature', 'annual_prices')"),
    _events("demo.requested", "(c.n %% 100 = 1)::int", "jsonb_build_object('need', 'SSO')"),
    _events(
        "subscription.renewal_approaching",
        "(c.n %% 33 = 1)::int",
        "jsonb_build_object('days', 60, 'contract_end_on', '2026-05-01')",
    ),
)


# -- The limit ---------------------------------------------------------------------------------------------

_SIGNAL = """
insert into sales_signal
    (id, customer_id, rule_id, weight, sentence, evidence, occurred_at, dedupe_key, status, dismissed_reason, created_at)
select gen_random_uuid(), f.customer_id, r.id, r.weight, f.sentence, f.evidence, f.at,
       r.code || ':cus_' || replace(f.customer_id::text, '-', '') || ':' || f.about, 'open', '', now()
from ({found}) f (customer_id, at, about, sentence, evidence) join sales_rule r on r.code = '{code}' and r.enabled
on conflict (dedupe_key) do nothing
"""
_OF = "from billing_event e join billing_customer c on c.id = e.customer_id where e.type = '{}'"
_GAIN = "(e.data ->> 'mrr_after')::bigint - coalesce((e.data ->> 'mrr_before')::bigint, 0)"
_COMPANY = "from billing_event e join billing_customer c on c.id = e.customer_id {} where e.type = 'customer.created' {}"
_BURST = """
    select customer_id, at, '1', 'Looked at ' || feature, jsonb_build_object('views', jsonb_build_array(before, at))
    from (select e.customer_id, e.at, e.data ->> 'feature' as feature,
                 lag(e.at) over (partition by e.customer_id order by e.number) as before
          from billing_event e where e.type = 'feature.viewed' and {which}) seen
    where before > at - interval '{days} days'"""

FOUND = {
    "demo_requested": "select e.customer_id, e.at, e.number::text, e.data ->> 'need', e.data "
    + _OF.format("demo.requested"),
    "company_size": "select c.id, e.at, '', c.employees || ' employees', jsonb_build_object('employees', c.employees) "
    + _COMPANY.format("", "and c.employees > (select threshold from sales_rule where code = 'company_size')"),
    "target_domain": "select c.id, e.at, t.domain, c.domain || ' is listed', jsonb_build_object('listed', t.domain) "
    + _COMPANY.format(
        "cross join lateral (select t.domain from sales_targetdomain t"
        " where t.domain = any(array[c.domain, substr(c.domain, strpos(c.domain, '.') + 1)])) t",
        "",
    ),
    "same_domain": """select c.id, e.at, c.domain, c.n || ' accounts', jsonb_build_object('accounts', c.n) from (
        select *, row_number() over (partition by domain, livemode order by id) as n
        from billing_customer where domain <> '') c
        join billing_event e on e.customer_id = c.id and e.type = 'customer.created' where c.n >= 2""",
    "target_profile": "select c.id, e.at, p.name, 'Matches ' || p.name, jsonb_build_object('profile', p.name) "
    + _COMPANY.format(
        "join sales_targetprofile p on lower(p.industry) = lower(c.industry) and c.employees >= p.min_employees", ""
    ),
    "team_of_ten": """select customer_id, at, '1', 'Ten members', '{"members": 10}'::jsonb from (
        select customer_id, at, type, sum(case type when 'member.added' then 1 else -1 end)
            over (partition by customer_id order by number) as n
        from billing_event where type in ('member.added', 'member.removed')) t where n = 10 and type = 'member.added'""",
    "team_growing": """select customer_id, at, '', 'Five members added', jsonb_build_object('members', emails) from (
        select customer_id, at, row_number() over w as n, jsonb_agg(data -> 'email') over w as emails
        from billing_event where type = 'member.added' window w as (partition by customer_id order by number)) t
        where n = 6""",
    "usage_near_limit": """select e.customer_id, e.at, e.data ->> 'meter', 'Used ' || (e.data ->> 'used'), e.data
        from billing_event e where e.type = 'usage.threshold_reached'
        and (e.data ->> 'used')::numeric > 0.8 * (e.data ->> 'limit')::numeric""",
    "upgraded_in_app": f"""select e.customer_id, e.at, e.number::text, 'Upgraded', e.data
        from billing_event e where e.type = 'subscription.changed'
        and e.actor ~ '^(member:|buyer|key:)' and {_GAIN} > 0""",
    "large_upgrade": f"""select e.customer_id, e.at, e.number::text, 'Upgraded', e.data
        from billing_event e where e.type in ('subscription.created', 'subscription.changed')
        and e.actor ~ '^(member:|buyer|key:)' and {_GAIN} > 0
        and (12 * (e.data ->> 'mrr_after')::bigint >= 1000000
            or {_GAIN} > (select upgrade_alert_delta from billing_seller))""",
    "renewal_approaching": "select e.customer_id, e.at, e.number::text, 'Ends soon', e.data "
    + _OF.format("subscription.renewal_approaching"),
    "enterprise_features": _BURST.format(
        days=7,
        which="""e.data ->> 'feature' in (
            select n.feature from billing_entitlement n join billing_plan l on l.id = n.plan_id
            where n."limit" is null and l.archived_at is null
            and l.rank > (select rank from billing_plan where code = 'pro'))""",
    ),
    "wants_annual": _BURST.format(days=30, which="e.data ->> 'feature' = 'annual_prices'"),
}  # fmt: skip
_FACTS = """
with made as (
    insert into billing_objectsequence (object_id, value) select 'sig_' || replace(id::text, '-', ''), 1 from sales_signal
)
insert into billing_event (id, type, object_id, sequence, customer_id, livemode, actor, at, recorded_at, data)
select gen_random_uuid(), 'signal.created', 'sig_' || replace(s.id::text, '-', ''), 1, s.customer_id, false, 'system',
       s.occurred_at, clock_timestamp(), jsonb_build_object('rule', r.code, 'weight', s.weight, 'sentence', s.sentence)
from sales_signal s join sales_rule r on r.id = s.rule_id
"""
_TASKS = """
insert into sales_handofftask (id, status, customer_id, livemode, owner_id, owner_why, reason, score, due_on, raised_at,
    note, closed_why)
select gen_random_uuid(), 'open', g.customer_id, false, u.id, 'round robin by load', g.reason, g.score,
       case when g.urgent then %(urgent)s else %(due)s end, %(now)s, '', ''
from billing_user u, (
    select s.customer_id, string_agg(distinct r.name, ', ') as reason, bool_or(s.weight = 'high') as urgent,
        round(sum(case s.weight when 'high' then 3 when 'medium' then 2 else 1 end
            * power(0.5, extract(epoch from %(now)s - s.occurred_at) / 86400 / 30)), 2) as score
    from sales_signal s join sales_rule r on r.id = s.rule_id where s.status = 'open' and s.task_id is null group by 1) g
where g.urgent or g.score >= 5
"""
_BROUGHT = (
    "update sales_signal s set task_id = t.id from sales_handofftask t where t.customer_id = s.customer_id",
    "update billing_customer c set owner_id = t.owner_id from sales_handofftask t where t.customer_id = c.id",
    """
with made as (
    insert into billing_objectsequence (object_id, value)
    select 'task_' || replace(id::text, '-', ''), 1 from sales_handofftask
    union all select 'cus_' || replace(customer_id::text, '-', ''), 1 from sales_handofftask
    on conflict (object_id) do update set value = billing_objectsequence.value + 1
)
insert into billing_event (id, type, object_id, sequence, customer_id, livemode, actor, at, recorded_at, data)
select gen_random_uuid(), f.type, f.object_id, f.sequence, t.customer_id, false, 'system', t.raised_at, clock_timestamp(),
       f.data
from sales_handofftask t cross join lateral (values
    ('handoff.raised', 'task_' || replace(t.id::text, '-', ''), 1,
     jsonb_build_object('reason', t.reason, 'score', t.score, 'due_on', t.due_on, 'owner', t.owner_id)),
    ('customer.owner_assigned', 'cus_' || replace(t.customer_id::text, '-', ''), 2,
     jsonb_build_object('before', null, 'after', t.owner_id, 'owner', 'Rep', 'why', t.owner_why))
) f (type, object_id, sequence, data)
""",
)
_NOTES = """
insert into sales_weighedevent (event_id, at) select e.number, %(now)s from billing_event e
where e.customer_id is not null and e.type = any(%(types)s) on conflict do nothing
"""
_SCORES = """
insert into sales_engagementscore (customer_id, day, score, parts)
select c.id, %(day)s, least(100, 2 * coalesce(d.days, 0) + 2 * coalesce(m.n, 0)), jsonb_build_array(
    jsonb_build_object('name', 'Active days', 'points', 2 * coalesce(d.days, 0), 'of', 40,
                       'words', d.days || ' of 28 days'),
    jsonb_build_object('name', 'Growth', 'points', 0, 'of', 20, 'words', d.recent || ' over ' || d.earlier),
    jsonb_build_object('name', 'Included quantity', 'points', 0, 'of', 20, 'words', x.share || ' of it'),
    jsonb_build_object('name', 'Team', 'points', 2 * coalesce(m.n, 0), 'of', 20, 'words', m.n || ' members'))
from billing_customer c
left join (select customer_id, count(distinct day) filter (where day > %(day)s - 28) as days,
        sum(total) filter (where day > %(day)s - 28) as recent, sum(total) filter (where day <= %(day)s - 28) as earlier
    from billing_usageday where day > %(day)s - 56 and day <= %(day)s and count > 0 group by 1) d on d.customer_id = c.id
left join (select customer_id, count(*) as n from billing_member where removed_at is null group by 1) m
    on m.customer_id = c.id
left join (select customer_id, max(used / "limit") as share from billing_thresholdcrossing
    where "limit" > 0 group by 1) x on x.customer_id = c.id
where exists (select from billing_subscription s
    where s.customer_id = c.id and s.status in ('trialing', 'active', 'past_due'))
on conflict do nothing
"""


def run(sql: str) -> None:
    given = {
        "now": NOW, "day": NOW.date(), "types": list(watching.WEIGHED),
        "urgent": working_day(NOW.date(), 1), "due": working_day(NOW.date(), 3),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(sql, given if "%(" in sql else None)


def limit() -> None:
    """All rows that the product writes."""
    rules_alone()
    run(_TASKS)
    for sql in _BROUGHT:
        run(sql)


def rules_alone() -> None:
    for code, found in FOUND.items():
        run(_SIGNAL.format(code=code, found=found))
    run(_FACTS)
    run(_NOTES)


# -- Measuring ---------------------------------------------------------------------------------------------


def vacuum() -> None:
    """What autovacuum does sooner or later, outside the measured time."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def timed(work: Callable[[], Any]) -> tuple[float, dict[str, int]]:
    """Seconds, and how many rows it wrote, before they are thrown away."""
    with transaction.atomic():
        began = time.perf_counter()
        work()
        taken = time.perf_counter() - began
        counts = {name: _count(name) for name in ("sales_signal", "sales_handofftask", "sales_weighedevent")}
        transaction.set_rollback(True)
    vacuum()
    return taken, counts


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {table}")
        return cursor.fetchone()[0]


def statements(customers: int) -> int:
    """Of weighing all that so many customers wait with."""
    some = Customer.objects.order_by("pk").values_list("pk")[:customers]
    numbers = Event.objects.filter(customer__in=some, type__in=watching.WEIGHED).values_list(
        "number", flat=True
    )
    waiting = list(numbers)
    with transaction.atomic():
        with CaptureQueriesContext(connection) as queries:
            watching.weigh(numbers=waiting, now=NOW)
        made = len(queries)
        transaction.set_rollback(True)
    connection.queries_log.clear()
    return made


def against(
    name: str, n: int, product: Callable[[], Any], barest: Callable[[], Any], rounds: int
) -> tuple[float, set[str]]:
    """The median ratio, and of which tables the limit wrote another number of rows."""
    pairs = [(timed(product), timed(barest)) for _ in range(rounds)]
    ours, least = [a for (a, _), _ in pairs], [b for _, (b, _) in pairs]
    ratio = statistics.median(a / b for a, b in zip(ours, least, strict=True))
    (_, wrote), (_, same) = pairs[-1]
    taken, bare = statistics.median(ours), statistics.median(least)
    print(
        f"{name}: {n} customers in {taken:.2f} s ({min(ours):.2f}-{max(ours):.2f}), {n / taken:.0f}/s   "
        f"SQL {bare:.2f} s ({min(least):.2f}-{max(least):.2f})   ratio {ratio:.2f} (budget {RATIO})   {wrote} and {same}",
        flush=True,
    )
    return ratio, {name for name in wrote if wrote[name] != same[name]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000, help="customers (default 2000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules-alone", action="store_true", help="a limit without the tasks")
    parser.add_argument("--strict", action="store_true", help="fail when a ratio misses its budget")
    given = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    catalogue.ship(now=NOW)
    sales_catalogue.ship(now=NOW)
    Rule.objects.update(enabled=True)
    rep = User.objects.create(email="rep@bench.example", name="Rep", is_staff=True)
    rep.groups.add(Group.objects.get(name=sales_catalogue.REPS))
    seed(given.n)
    size = min(given.n, chunking.CHUNK)
    few, many = statements(size // 10), statements(size)
    print(f"statements of one chunk: {few} for {size // 10} customers, {many} for {size}", flush=True)
    barest, left_out = (rules_alone, {"sales_handofftask"}) if given.rules_alone else (limit, set())
    weighed, other = against("weighing", given.n, lambda: watching.sweep(now=NOW), barest, given.rounds)
    scored, _ = against(
        "engagement", given.n, lambda: engagement.measure(now=NOW), lambda: run(_SCORES), given.rounds
    )
    if missed := max(weighed, scored) > RATIO:
        print("A ratio misses its budget.")
    return 0 if other <= left_out and few == many and not (missed and given.strict) else 1


if __name__ == "__main__":
    sys.exit(main())

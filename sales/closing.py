"""From signals to signatures: the open deals by stage, what each rep has in hand and has won, and what became of the
signals of each rule.

Amounts are minor units of one currency, first-year values. Ranges are half-open instants, by when a signal occurred.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from billing.maths.money import round_ratio
from sales.deals import LIKELY
from sales.metrics import percent
from sales.models import Deal, HandoffTask, Quote
from sales.owning import REPS


@dataclass(frozen=True, slots=True)
class Stage:
    """The open deals of a stage. `weighted`: by the stage's chance."""

    stage: str
    deals: int
    amount: int
    weighted: int

    @property
    def label(self) -> str:
        return str(Deal.Stage(self.stage).label)


def pipeline(*, currency: str, livemode: bool = False) -> list[Stage]:
    """As it stands now, every open stage; by one statement."""
    rows = Deal.objects.filter(stage__in=Deal.OPEN, currency=currency, livemode=livemode).order_by()
    sums = rows.values_list("stage").annotate(n=Count("pk"), sum=Sum("amount"))
    known = {stage: (n, int(amount)) for stage, n, amount in sums}
    return [_stage(stage, *known.get(stage, (0, 0))) for stage in Deal.OPEN]


def _stage(stage: str, deals: int, amount: int) -> Stage:
    return Stage(stage, deals, amount, round_ratio(Fraction(amount * LIKELY[stage], 100)))


@dataclass(frozen=True, slots=True)
class Rep:
    """What somebody has in hand today, and won in a range. `user` is None for what nobody owns. Tasks are of every
    currency; `late` are those past their day that are not snoozed. `weighted`: by the chances of the stages."""

    user: int | None
    name: str
    email: str
    tasks: int
    late: int
    quotes: int
    deals: int
    amount: int
    weighted: int
    won: int
    won_amount: int


_LOADS = """
with tasks as (
    select owner_id, count(*) as n, count(*) filter (
        where due_on < %(today)s and (snoozed_until is null or snoozed_until <= %(today)s)) as late
    from sales_handofftask where status = any(%(open_tasks)s) and livemode = %(live)s group by 1
), quotes as (
    select q.owner_id, count(*) as n from sales_quote q
    left join billing_customer c on c.id = q.customer_id left join billing_testclock k on k.id = c.test_clock_id
    where q.state = any(%(out)s) and q.expires_at > coalesce(k.now, %(now)s)
        and q.option = any(%(first)s) and q.currency = %(currency)s and q.livemode = %(live)s
    group by 1
), deals as (
    select owner_id, count(chance) as n, sum(amount) filter (where chance is not null) as amount,
        sum(amount * chance) as weighted,
        count(*) filter (where won) as won, sum(amount) filter (where won) as won_amount
    from sales_deal left join unnest(%(stages)s::text[], %(chances)s::int[]) as likely(stage, chance) using (stage)
    cross join lateral (select stage = 'won' and closed_at >= %(start)s and closed_at < %(end)s as won) w
    where currency = %(currency)s and livemode = %(live)s and (chance is not null or won) group by 1
), reps as (
    select user_id as owner_id from billing_user_groups m join auth_group g on g.id = m.group_id
    join billing_user u on u.id = m.user_id where g.name = %(reps)s and u.is_active and u.is_staff
), everybody as (
    select owner_id from tasks union select owner_id from quotes union select owner_id from deals
    union select owner_id from reps
)
select e.owner_id, coalesce(nullif(u.name, ''), u.email, ''), coalesce(u.email, ''),
    coalesce(t.n, 0), coalesce(t.late, 0), coalesce(q.n, 0),
    coalesce(d.n, 0), coalesce(d.amount, 0)::bigint, coalesce(d.weighted, 0)::bigint, coalesce(d.won, 0),
    coalesce(d.won_amount, 0)::bigint
from everybody e left join billing_user u on u.id = e.owner_id
left join tasks t on t.owner_id is not distinct from e.owner_id
left join quotes q on q.owner_id is not distinct from e.owner_id
left join deals d on d.owner_id is not distinct from e.owner_id
order by e.owner_id is null, 2, 1
"""


def by_rep(
    *, start: datetime, end: datetime, currency: str, today: date, now: datetime, livemode: bool = False
) -> list[Rep]:
    """Everybody who sells, with nothing in hand too, and whoever else owns something; by name, what nobody owns last. By
    one statement."""
    scope: dict[str, Any] = {
        "start": start, "end": end, "currency": currency, "live": livemode, "today": today, "now": now, "reps": REPS,
        "open_tasks": list(HandoffTask.OPEN), "out": list(Quote.OUT), "first": list(Quote.FIRST),
        "stages": list(LIKELY), "chances": list(LIKELY.values()),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LOADS, scope)
        rows = cursor.fetchall()
    # All but the weighted worth, whose chances are percent, come as they are shown.
    return [Rep(*(*row[:8], round_ratio(Fraction(row[8], 100)), *row[9:])) for row in rows]


@dataclass(frozen=True, slots=True)
class Closed:
    """What came of a rule's signals: how many somebody `dismissed` as no finding; of the `customers` that it spoke of,
    how many were `won` since, for how much, and after how many days on average. One who was won by several rules counts
    for each of them."""

    rule: str
    name: str
    signals: int
    dismissed: int
    customers: int
    won: int
    amount: int
    days: Decimal | None

    @property
    def share(self) -> Decimal | None:
        return percent(self.won, self.customers)

    @property
    def false_alarms(self) -> Decimal | None:
        """The share of its signals that were dismissed."""
        return percent(self.dismissed, self.signals)


# A signal is closed with the task that it is in: by a deal of the task, or by whoever said that it is won.
_CLOSED = """
with heard as (
    select s.rule_id, s.customer_id, count(*) as signals, min(s.occurred_at) as at,
        count(*) filter (where s.status = 'dismissed') as dismissed,
        array_agg(distinct s.task_id) as tasks,
        min(coalesce(d.closed_at, t.closed_at)) filter (where t.status = 'won' or d.closed_at is not null) as won_at
    from sales_signal s join billing_customer c on c.id = s.customer_id
    left join sales_handofftask t on t.id = s.task_id
    left join lateral (
        select min(closed_at) as closed_at from sales_deal where task_id = s.task_id and stage = 'won') d on true
    where s.occurred_at >= %(start)s and s.occurred_at < %(end)s
        and c.currency = %(currency)s and c.livemode = %(live)s
    group by 1, 2
)
select r.code, r.name, coalesce(sum(h.signals), 0)::bigint, coalesce(sum(h.dismissed), 0)::bigint,
    count(h.customer_id), count(h.won_at),
    coalesce(sum(w.amount), 0)::bigint,
    avg(greatest(extract(epoch from h.won_at - h.at), 0) / 86400) filter (where h.won_at is not null)
from sales_rule r left join heard h on h.rule_id = r.id
left join lateral (
    select sum(amount) as amount from sales_deal
    where task_id = any(h.tasks) and stage = 'won' and currency = %(currency)s) w on true
group by r.id order by r.position, r.id
"""


def by_rule(*, start: datetime, end: datetime, currency: str, livemode: bool = False) -> list[Closed]:
    """Every rule in its order; by one statement."""
    scope: dict[str, Any] = {"start": start, "end": end, "currency": currency, "live": livemode}
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED, scope)
        rows = cursor.fetchall()
    return [
        Closed(code, name, signals, dismissed, told, won, amount, _rounded(days))
        for code, name, signals, dismissed, told, won, amount, days in rows
    ]


def _rounded(days: Decimal | None) -> Decimal | None:
    return None if days is None else Decimal(days).quantize(Decimal("0.1"), ROUND_HALF_UP)

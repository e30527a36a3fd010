"""From signals to signatures: the open deals by stage, and what became of the signals of each rule.

Amounts are minor units of one currency, first-year values. Ranges are half-open instants, by when a signal occurred.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from billing.maths.money import round_ratio
from sales.deals import LIKELY
from sales.metrics import percent
from sales.models import Deal


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
class Closed:
    """What came of a rule's signals: of the `customers` that it spoke of, how many were `won` since, for how much, and
    after how many days on average. One who was won by several rules counts for each of them."""

    rule: str
    name: str
    signals: int
    customers: int
    won: int
    amount: int
    days: Decimal | None

    @property
    def share(self) -> Decimal | None:
        return percent(self.won, self.customers)


# A signal is closed with the task that it is in: by a deal of the task, or by whoever said that it is won.
_CLOSED = """
with heard as (
    select s.rule_id, s.customer_id, count(*) as signals, min(s.occurred_at) as at,
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
select r.code, r.name, coalesce(sum(h.signals), 0)::bigint, count(h.customer_id), count(h.won_at),
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
        Closed(code, name, signals, told, won, amount, _rounded(days))
        for code, name, signals, told, won, amount, days in rows
    ]


def _rounded(days: Decimal | None) -> Decimal | None:
    return None if days is None else Decimal(days).quantize(Decimal("0.1"), ROUND_HALF_UP)

"""How much a customer uses what it pays for: a score of 100 with its parts, measured every day and kept.

The formula is four parts, each shown with the figure that it comes from, so that a rep can say why.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, reduce
from operator import or_
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.db.models.functions import Coalesce

from billing.maths.periods import local_date
from billing.models import Customer, Member, Subscription, ThresholdCrossing
from billing.models.ids import array_of
from sales import watching
from sales.models import EngagementScore, Rule, Signal
from sales.rules import Finding

CODE = "engagement"
WINDOW = 28
KEPT_DAYS = 400
BATCH = 1000
HALF, ONE = Decimal("0.5"), Decimal(1)
FULL_DAYS, FULL_TEAM = 20, 10


# -- The formula: pure -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Activity:
    """What a customer did in the last 28 days. `growth`: its use over that of the 28 days before (None: no use
    before); `used_share`: how much of a limit it was last seen to pass, 1 being all of it."""

    active_days: int = 0
    growth: Decimal | None = None
    used_share: Decimal = Decimal(0)
    members: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One summand: `points` of at most `of`, and the words that say why."""

    name: str
    points: int
    of: int
    words: str


def parts_of(seen: Activity) -> tuple[Part, ...]:
    """The four summands of the score; they add up to at most 100.

    Days: 40 for 20 of 28 days or more. Growth: 20 for half as much again as before, 10 for the same, none for
    half or less. Included: 20 for all that is included. Team: 20 for ten members or more.
    """
    return (
        _days(seen.active_days),
        _growth_over(seen.growth, seen.active_days > 0),
        _included(seen.used_share),
        _team(seen.members),
    )


# Most customers have one of a few dozen of each.


@lru_cache
def _days(active: int) -> Part:
    return _part("Active days", 40, Decimal(active) / FULL_DAYS, f"{active} of {WINDOW} days")


@lru_cache(maxsize=1024)
def _growth_over(growth: Decimal | None, active: bool) -> Part:
    if growth is None:
        return _part("Growth", 20, (ONE if active else Decimal(0)) - HALF, "no use before")
    words = f"{growth * 100:.0f} % of the use of the {WINDOW} days before"
    return _part("Growth", 20, growth - HALF, words)


@lru_cache(maxsize=1024)
def _included(share: Decimal) -> Part:
    return _part("Included quantity", 20, share, f"{share * 100:.0f} % of it passed")


@lru_cache
def _team(members: int) -> Part:
    return _part("Team", 20, Decimal(members) / FULL_TEAM, f"{members} members")


def _part(name: str, of: int, share: Decimal, words: str) -> Part:
    held = min(max(share, Decimal(0)), ONE)
    return Part(name, int((of * held).quantize(ONE, ROUND_HALF_UP)), of, words)


def total(parts: Iterable[Part]) -> int:
    return sum([part.points for part in parts])


# -- Measuring: a fixed number of queries for each batch -----------------------------------------------------


def measure(*, now: datetime) -> int:
    """Score every customer with running terms once for its day; who crosses the rule's threshold is a signal.

    May run twice: a day's score is stored once. Answers how many were scored.
    """
    live = Subscription.objects.filter(customer=OuterRef("pk"), status__in=Subscription.LIVE)
    running = Customer.objects.filter(Exists(live), merged_into__isnull=True).order_by("pk")
    rows = running.values_list("pk", "timezone", Coalesce("test_clock__now", now))
    done, last, errors = 0, None, list[Exception]()
    while batch := list((rows.filter(pk__gt=last) if last else rows)[:BATCH]):
        errors += watching.keep(findings=_measure(batch), now=now).errors
        done, last = done + len(batch), batch[-1][0]
    EngagementScore.objects.filter(day__lt=(now - timedelta(days=KEPT_DAYS)).date()).delete()
    if errors:
        raise ExceptionGroup("some scores were kept and not told", errors)
    return done


class Scored(NamedTuple):
    """A customer's score of a day with its parts."""

    customer_id: str
    day: date
    score: int
    parts: Sequence[Part]


def _measure(customers: Sequence[tuple[str, str, datetime]]) -> dict[str, list[Finding]]:
    """Keep the day's scores of customers (id, zone, moment); who came up to the threshold, by id. Measured again, it
    answers the same."""
    moments = {pk: moment for pk, _, moment in customers}
    days = {pk: local_date(moment, timezone) for pk, timezone, moment in customers}
    before, seen = _latest(days), activities(days)
    scored = [_scored(pk, day, seen[pk]) for pk, day in days.items()]
    _keep(scored)
    rule = Rule.objects.filter(code=CODE, enabled=True).first()
    return _crossed(rule, scored, before, moments) if rule else {}


_KEEP = """
insert into sales_engagementscore (customer_id, day, score, parts)
select g.customer, g.day, g.score, g.parts
from jsonb_to_recordset(%s::jsonb) as g(customer uuid, day date, score int, parts jsonb)
on conflict do nothing
"""


def _keep(scored: Sequence[Scored]) -> None:
    rows = [
        {"customer": row.customer_id[-32:], "day": row.day, "score": row.score, "parts": row.parts}
        for row in scored
    ]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [orjson.dumps(rows).decode()])


def _scored(customer: str, day: date, seen: Activity) -> Scored:
    parts = parts_of(seen)
    return Scored(customer, day, total(parts), parts)


def _latest(days: Mapping[str, date]) -> dict[str, int]:
    """The score that each customer had before its day."""
    earlier = Q(pk__in=[])
    for day, whose in _by_day(days).items():
        earlier |= Q(customer__pk__any=whose, day__lt=day)
    rows = EngagementScore.objects.filter(earlier).order_by("customer_id", "-day").distinct("customer_id")
    return dict(rows.values_list("customer_id", "score"))


def _by_day(days: Mapping[str, date]) -> dict[date, set[str]]:
    found: dict[date, set[str]] = defaultdict(set)
    for pk, day in days.items():
        found[day].add(pk)
    return found


def _crossed(
    rule: Rule, scored: Sequence[Scored], before: Mapping[str, int], moments: Mapping[str, datetime]
) -> dict[str, list[Finding]]:
    """Where the score comes up to the threshold, no sooner than the rule's window after the last."""
    up = [row for row in scored if _comes_up(rule, before.get(row.customer_id, 0), row.score)]
    ids = [row.customer_id for row in up]
    last = (
        Signal.objects.filter(customer__pk__any=ids, rule=rule)
        .values_list("customer")
        .annotate(at=Max("occurred_at"))
    )
    fired = dict(last.order_by())
    window = timedelta(days=rule.window_days or 0)
    rested = [row for row in up if not _within(fired.get(row.customer_id), moments[row.customer_id], window)]
    return {row.customer_id: [_finding(rule, row, moments[row.customer_id])] for row in rested}


def _comes_up(rule: Rule, before: int, score: int) -> bool:
    limit = rule.threshold or 0
    return before < limit and score >= max(limit, 1)


def replayed(rule: Rule, scores: Iterable[EngagementScore]) -> Iterator[Finding]:
    """What measuring day by day would have found in a customer's scores, given in order."""
    before, last = 0, None
    for row in scores:
        at = datetime.combine(row.day, time(12), UTC)
        if _comes_up(rule, before, row.score) and not _within(
            last, at, timedelta(days=rule.window_days or 0)
        ):
            last = at
            parts = [Part(**part) for part in row.parts]
            yield _finding(rule, Scored(row.customer_id, row.day, row.score, parts), at)
        before = row.score


def _within(last: datetime | None, now: datetime, window: timedelta) -> bool:
    return last is not None and last > now - window


def _finding(rule: Rule, row: Scored, now: datetime) -> Finding:
    words = ", ".join(f"{part.name.lower()} {part.points} of {part.of}" for part in row.parts)
    return watching.finding(
        rule=rule, customer=row.customer_id, about=row.day.isoformat(), occurred_at=now,
        sentence=f"Engagement is {row.score} of 100: {words}.",
        evidence={"score": row.score, **{part.name: part.words for part in row.parts}},
    )  # fmt: skip


def activities(days: Mapping[str, date]) -> dict[str, Activity]:
    """What customers (id -> today) did; three statements for all of them."""
    uses, shares, members = _uses(days), _shares(days), _members(days)
    made = {}
    for pk in days:
        used = uses.get(pk, ())
        active = reduce(or_, (use.days for use in used), 0).bit_count()
        made[pk] = Activity(active, _growth(used), shares.get(pk, Decimal(0)), members.get(pk, 0))
    return made


class Use(NamedTuple):
    """Of one meter: its totals in the window and in the one before (None: no use), and a bit for each day with use in
    the window, the lowest for today."""

    recent: Decimal | None
    earlier: Decimal | None
    days: int


_USES = """
select u.customer_id, sum(u.total) filter (where u.day > a.today - %(window)s),
    sum(u.total) filter (where u.day <= a.today - %(window)s),
    coalesce(bit_or(1 << (a.today - u.day)) filter (where u.day > a.today - %(window)s), 0)
from unnest(%(customers)s::uuid[], %(days)s::date[]) a (customer_id, today)
join billing_usageday u on u.customer_id = a.customer_id and u.day > a.today - 2 * %(window)s and u.day <= a.today
where u.count > 0 group by u.customer_id, u.meter_id
"""


def _uses(days: Mapping[str, date]) -> dict[str, list[Use]]:
    """What each customer used, meter by meter."""
    given: dict[str, Any] = {"window": WINDOW, "customers": array_of(days), "days": list(days.values())}
    found: dict[str, list[Use]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_USES, given)
        for pk, *use in cursor.fetchall():
            found[f"cus_{pk.hex}"].append(Use(*use))
    return found


def _growth(used: Iterable[Use]) -> Decimal | None:
    """Of the meter that grew most; None when nothing was used before."""
    ratios = [(use.recent or Decimal(0)) / use.earlier for use in used if use.earlier and use.earlier > 0]
    return max(ratios, default=None)


def _shares(days: Mapping[str, date]) -> dict[str, Decimal]:
    """The largest share of a limit that was crossed in the last window: what metering has said already."""
    since = min(days.values()) - timedelta(days=WINDOW)
    rows = ThresholdCrossing.objects.filter(
        customer__pk__any=days.keys(), limit__gt=0, period_start__gte=since
    )
    return dict(rows.values_list("customer").annotate(share=Max(F("used") / F("limit"))).order_by())


def _members(days: Mapping[str, date]) -> dict[str, int]:
    rows = Member.objects.filter(customer__pk__any=days.keys(), removed_at__isnull=True)
    return dict(rows.values_list("customer").annotate(n=Count("pk")).order_by())

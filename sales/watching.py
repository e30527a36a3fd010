"""From events to signals. The receiver only enqueues; `weigh` does the work, once for each event, repeatably.

Nothing is missed: the job commits with its cause, and `sweep` finds what a dead worker left. Nothing fires
twice: a signal's dedupe key is unique.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Exists, F, Func, JSONField, OuterRef, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce
from django_q.tasks import async_task

from billing import bulk, customers, metering
from billing.events import Fact, record, record_many
from billing.models import Customer, Event, ThresholdCrossing, UsageCounter
from billing.models.ids import new_id
from billing.moves import move
from billing.refusals import Refused
from sales import chunking, gathering, handing_over, rules, sifting
from sales.models import HandoffTask, Rule, Signal, TargetDomain, TargetProfile
from sales.rules import Facts, Finding, Happened, Setting

LONGEST_PERIOD = timedelta(days=367)
# Terms of a quote begin as the next phase, or as a subscription that waited for its day.
BEGINNINGS = ("subscription.phase_started", "subscription.activated")
# No finding about the customer, but work for a person at once, whatever the score.
ALARMS = {"payment.unanswered": "A payment has had no answer for a day"}
WEIGHED = (*rules.TRIGGERS, *ALARMS)


class UnknownRule(Refused):
    """No rule has this code, or it is switched off."""

    code = "unknown_rule"


# -- Listening -------------------------------------------------------------------------------------------


def on_recorded(*, events: Sequence[Event], **_: Any) -> None:
    """Called in the transaction of the facts: enqueue one job for those that sales cares about."""
    numbers = [event.number for event in events if event.type in WEIGHED and event.customer_id]
    if numbers:
        async_task("sales.tasks.weigh", numbers)
    for event in events:
        source = str(event.data.get("source") or "")
        if event.type in BEGINNINGS and source.startswith("quote_"):
            async_task("sales.tasks.convert_quote", source)


# -- Weighing ----------------------------------------------------------------------------------------------


def weigh(*, numbers: Sequence[int], now: datetime) -> list[Signal]:
    """Look at events (by number) that were not looked at yet; answers the new signals.

    So many customers at once are a transaction, which holds them. May run twice, late, or on two workers at once. Who
    cannot be weighed does not hold up the others; what went wrong is raised at the end.
    """
    settings = _settings()
    sifting.pass_over(settings=settings, now=now, numbers=numbers)
    done = _weigh(_unweighed(number__in=_any(numbers)), settings, now)
    if done.errors:
        raise ExceptionGroup("some events could not be weighed", done.errors)
    return done.found


def _unweighed(**which: Any) -> QuerySet[Event]:
    return Event.objects.filter(**which, weighed__isnull=True, customer__isnull=False)


def _any(numbers: Iterable[int]) -> RawSQL:
    """One array instead of a parameter for each."""
    return RawSQL("select unnest(%s::bigint[])", [_array(numbers)])


def _array(numbers: Iterable[int]) -> str:
    """As the database reads it: one text, whatever the number."""
    return f"{{{','.join(map(str, numbers))}}}"


def _weigh(waiting: QuerySet[Event], settings: Mapping[str, Setting], now: datetime) -> chunking.Done[Signal]:
    parts = _parts()
    numbers = _by_account(waiting, parts)
    work = partial(_weigh_held, numbers=numbers, parts=parts, settings=settings, now=now)
    return chunking.each(numbers, work)


type Parts = Mapping[str, str]
"""Ids of accounts that became parts of others, with those of the others: what happens to a part is news about the
account."""


def _parts() -> Parts:
    rows = gathering.plain(
        Customer.objects.filter(merged_into__isnull=False).values_list("pk", "merged_into_id")
    )
    return {f"cus_{pk.hex}": f"cus_{into.hex}" for pk, into in rows}


def _by_account(waiting: QuerySet[Event], parts: Parts) -> dict[str, list[int]]:
    """The numbers of what waits, by the id of the account that it is news about."""
    rows = waiting.order_by("customer_id", "number").values_list("customer_id", "number")
    found: dict[str, list[int]] = {}
    for pk, theirs in gathering.by_customer(rows):
        found.setdefault(parts.get(pk, pk), []).extend(number for _, number in theirs)
    return found


def _weigh_held(
    held: Mapping[str, Customer],
    *,
    numbers: Mapping[str, Sequence[int]],
    parts: Parts,
    settings: Mapping[str, Setting],
    now: datetime,
) -> list[Signal]:
    """A fixed number of statements; what was weighed before its customer was held is left out."""
    mine = [number for pk in held for number in numbers[pk]]
    events = _of_accounts(gathering.happened(_unweighed(number__in=_any(mine))), parts)
    for pk, theirs in events.items():
        for alarm in (event for event in theirs if event.type in ALARMS):
            _sound(alarm, held[pk], now)
    told = [
        Told(held[facts.customer], finding, facts.event.at)
        for facts in gathering.gather(held, events)
        for finding in rules.weigh(facts, settings)
    ]
    found = _keep(told, held, dict.fromkeys(held, now))
    _note([event.number for theirs in events.values() for event in theirs], now)
    return found


def _of_accounts(events: dict[str, list[Happened]], parts: Parts) -> dict[str, list[Happened]]:
    """Events of parts beside those of their accounts, each account's in order."""
    for pk in [pk for pk in events if pk in parts]:
        theirs = events.setdefault(parts[pk], [])
        theirs += events.pop(pk)
        theirs.sort(key=attrgetter("number"))
    return events


def _note(numbers: Sequence[int], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into sales_weighedevent (event_id, at) select number, %s from unnest(%s::bigint[]) number"
            " on conflict do nothing",
            [now, _array(numbers)],
        )


def _sound(alarm: Happened, customer: Customer, now: datetime) -> None:
    """A task for a person."""
    words = (
        f"{alarm.subject}, reference {alarm.data.get('reference', '')}, since {alarm.data.get('since', '')}."
    )
    note = f"{words} Ask the payment provider, then say on the payment's page what became of it."
    handing_over.raise_by_hand(
        customer=customer, reason=ALARMS[alarm.type], note=note, actor="system",
        now=_moment(customer, alarm.at, now),
    )  # fmt: skip


def _moment(customer: Customer, at: datetime, now: datetime) -> datetime:
    """A customer on a test clock lives at the time of its events; everybody else in the present."""
    return at if customer.test_clock_id else max(at, now)


# -- Keeping what was found: a fixed number of statements for any number of findings ---------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A finding about a customer that is held, and when it was made."""

    customer: Customer
    finding: Finding
    at: datetime


def _keep(
    told: Sequence[Told], held: Mapping[str, Customer], now: Mapping[str, datetime], actor: str = "system"
) -> list[Signal]:
    """Keep what is new; each new signal is a fact, and its customer is considered."""
    new = _new(told)
    if not new:
        return []
    by_code = {rule.code: rule for rule in Rule.objects.all()}
    rows = [_row(each, by_code[each.finding.rule]) for each in new]
    bulk.write((Signal, rows))
    record_many([_fact(row["id"], each, actor) for row, each in zip(rows, new, strict=True)])
    moments = {each.customer.pk: _moment(each.customer, each.at, now[each.customer.pk]) for each in new}
    tasks = handing_over.consider_all(held=held, moments=moments)
    return [_kept(row, tasks.get(row["customer_id"])) for row in rows]


def _kept(row: Mapping[str, Any], task: HandoffTask | None) -> Signal:
    """The stored signal; what was not given is read when it is asked for."""
    signal = Signal.from_db(connection.alias, row.keys(), row.values())
    signal.task_id = task.pk if task else None
    return signal


def _new(told: Sequence[Told]) -> list[Told]:
    """Each key once, and none that is there: who holds the customer is alone in writing about it."""
    first = {each.finding.key: each for each in reversed(told)}
    keys = RawSQL("select unnest(%s::text[])", [list(first)])
    rows = Signal.objects.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True)
    known = set(rows) if first else set()
    return [each for each in told if each.finding.key not in known and first[each.finding.key] is each]


def _row(told: Told, rule: Rule) -> dict[str, Any]:
    finding = told.finding
    return {
        "id": new_id("sig"), "customer_id": told.customer.pk, "rule_id": rule.pk, "weight": finding.weight,
        "sentence": finding.sentence, "evidence": dict(finding.evidence), "occurred_at": finding.occurred_at,
        "dedupe_key": finding.key, "livemode": told.customer.livemode,
    }  # fmt: skip


def _fact(signal: str, told: Told, actor: str) -> Fact:
    customer, finding = told.customer, told.finding
    data = {"rule": finding.rule, "weight": finding.weight, "sentence": finding.sentence}
    return Fact("signal.created", signal, customer.pk, customer.livemode, actor, told.at, data)


def setting_of(rule: Rule) -> Setting:
    """A row of the rules table, saved or not, as a value."""
    return Setting(rule.code, rule.weight, rule.threshold or Decimal(0), rule.window_days)


def _settings() -> dict[str, Setting]:
    return {rule.code: setting_of(rule) for rule in Rule.objects.filter(enabled=True)}


# -- What was missed, and what only others know ---------------------------------------------------------


def sweep(*, now: datetime) -> int:
    """Weigh what no worker has weighed, and look at the target lists again. Answers how many were found.

    Facts change by events, so nobody else has anything new, but for the target lists and for usage that went on from
    exactly a threshold. Who cannot be weighed stays for the next sweep, and is in the log.
    """
    settings = _settings()
    sifting.pass_over(settings=settings, now=now)
    done = _weigh(_unweighed(type__in=WEIGHED), settings, now)
    done.log("events left unweighed")
    found = len(done.found) + len(look_for_targets(now=now)) + len(look_past_thresholds(now=now))
    handing_over.reconsider(now=now)
    return found


def look_past_thresholds(*, now: datetime) -> list[Signal]:
    """Customers whose usage stood exactly at a threshold when billing said so, and has gone past it since."""
    settings = _settings()
    crossings: dict[str, list[ThresholdCrossing]] = defaultdict(list)
    for crossing in _passed(now) if "usage_near_limit" in settings else ():
        crossings[crossing.customer_id].append(crossing)
    return _looked(
        chunking.each(crossings, partial(_look_past, crossings=crossings, settings=settings, now=now))
    )


def _passed(now: datetime) -> QuerySet[ThresholdCrossing]:
    """Crossings of exactly a threshold that usage has left behind, as far as counters know, and no signal tells of."""
    exact = ThresholdCrossing.objects.filter(used__gt=0, used=F("limit") * F("percent") / 100)
    counters = UsageCounter.objects.filter(
        customer=OuterRef("customer"), meter=OuterRef("meter"), start_on=OuterRef("period_start")
    )
    told = Signal.objects.alias(code=KeyTextTransform("meter", "evidence")).filter(
        customer=OuterRef("customer"), rule__code="usage_near_limit", occurred_at__gte=OuterRef("at"),
        code=OuterRef("meter__code"),
    )  # fmt: skip
    passed = Exists(counters.filter(used__gt=OuterRef("used"))) | ~Exists(counters)
    rows = exact.filter(
        passed, ~Exists(told), at__gte=now - LONGEST_PERIOD, customer__merged_into__isnull=True
    )
    return rows.select_related("meter").order_by("customer_id")


def _looked(done: chunking.Done[Signal]) -> list[Signal]:
    done.log("customers not looked at")
    return done.found


def _look_past(
    held: Mapping[str, Customer],
    *,
    crossings: Mapping[str, Sequence[ThresholdCrossing]],
    settings: Mapping[str, Setting],
    now: datetime,
) -> list[Signal]:
    moments = {pk: row.on_clock(now) for pk, row in held.items()}
    running = metering.current_of(moments={held[pk]: moment for pk, moment in moments.items()})
    told = [
        Told(held[pk], finding, moments[pk])
        for pk in held
        for crossing in crossings[pk]
        for facts in _went_on(crossing, running.get(pk, ()), moments[pk])
        for finding in rules.weigh(facts, settings)
    ]
    return _keep(told, held, moments)


def _went_on(
    crossing: ThresholdCrossing, running: Sequence[metering.MeterUsage], moment: datetime
) -> Iterator[Facts]:
    meter = crossing.meter
    for usage in running:
        same = usage.meter == meter and usage.period.start == crossing.period_start
        if same and usage.limit == crossing.limit:
            yield Facts(stands(crossing.customer_id, usage, moment), crossing.customer_id)


def stands(customer: str, usage: metering.MeterUsage, moment: datetime) -> Happened:
    """How much of a limit is used by now, as billing would say it."""
    data = {
        "meter": usage.meter.code, "name": usage.meter.name, "used": str(usage.used), "limit": str(usage.limit),
        "period": {"start": usage.period.start.isoformat()},
    }  # fmt: skip
    return Happened(0, metering.THRESHOLD_REACHED, customer, moment, data=data)


def look_for_targets(*, now: datetime) -> list[Signal]:
    """Customers who were there before their domain or profile was put on a target list."""
    settings = {code: s for code, s in _settings().items() if code in _LISTED}
    missed = {pk for code in settings for pk in _missed(code)}
    return _looked(chunking.each(sorted(missed), partial(_look_at, settings=settings, now=now)))


def _missed(code: str) -> Iterable[str]:
    told = Signal.objects.filter(customer=OuterRef("pk"), rule__code=code)
    return _LISTED[code](Customer.objects.filter(merged_into__isnull=True).exclude(Exists(told)))


def _on_target_domain(rows: QuerySet[Customer]) -> list[str]:
    listed = set(TargetDomain.objects.values_list("domain", flat=True))
    if not listed:
        return []
    known = gathering.plain(rows.exclude(domain="").values_list("pk", "domain"))
    return [f"cus_{pk.hex}" for pk, domain in known if gathering.nearest(domain.lower(), listed)]


def _in_target_profile(rows: QuerySet[Customer]) -> Iterable[str]:
    wanted = Q(pk__in=[])
    for profile in TargetProfile.objects.all():
        wanted |= _matching(profile)
    return rows.filter(wanted).values_list("pk", flat=True)


def _matching(profile: TargetProfile) -> Q:
    wanted = Q(industry__iexact=profile.industry) if profile.industry else Q()
    if profile.min_employees is not None:
        wanted &= Q(employees__gte=profile.min_employees)
    if profile.max_employees is not None:
        wanted &= Q(employees__lte=profile.max_employees)
    return wanted


_LISTED = {"target_domain": _on_target_domain, "target_profile": _in_target_profile}


def _look_at(held: Mapping[str, Customer], *, settings: Mapping[str, Setting], now: datetime) -> list[Signal]:
    moments = {pk: row.on_clock(now) for pk, row in held.items()}
    news = {pk: [Happened(0, "customer.updated", pk, moment)] for pk, moment in moments.items()}
    told = [
        Told(held[facts.customer], finding, facts.event.at)
        for facts in gathering.gather(held, news)
        for finding in rules.weigh(facts, settings)
    ]
    return _keep(told, held, moments)


def finding(
    *,
    rule: Rule,
    customer: str,
    about: str,
    occurred_at: datetime,
    sentence: str,
    evidence: Mapping[str, Any],
) -> Finding:
    """What somebody else than the rules found. `about` is its key among the customer's of this rule."""
    return Finding(
        rule=rule.code, weight=rule.weight, key=f"{rule.code}:{customer}:{about}"[:250], evidence=evidence,
        occurred_at=occurred_at, sentence=(sentence or f"{rule.name}: {rule.description}.")[:400],
    )  # fmt: skip


def keep(*, findings: Mapping[str, Sequence[Finding]], now: datetime) -> chunking.Done[Signal]:
    """Keep findings, by customer id; finds what was new. A fixed number of statements for so many customers."""

    def work(held: Mapping[str, Customer]) -> list[Signal]:
        told = [Told(held[pk], each, each.occurred_at) for pk in held for each in findings[pk]]
        return _keep(told, held, dict.fromkeys(held, now))

    return chunking.each(findings, work)


@transaction.atomic
def report(
    *,
    customer: Customer,
    rule: str,
    occurred_at: datetime,
    now: datetime,
    actor: str,
    evidence: Mapping[str, Any] | None = None,
    sentence: str = "",
    key: str = "",
) -> Signal:
    """A finding that only the seller's product, the portal or staff can know. Raises UnknownRule.

    The same `key` again answers the signal that is there; without one, the rule and the instant are the key.
    """
    row, customer = Rule.objects.filter(code=rule, enabled=True).first(), customer.account
    if row is None:
        raise UnknownRule("There is no such rule, or it is switched off.", field="rule")
    made = finding(
        rule=row, customer=customer.pk, about=key or f"reported:{occurred_at.isoformat()}",
        occurred_at=occurred_at, sentence=sentence, evidence=evidence or {},
    )  # fmt: skip
    held = customers.held([customer.pk])
    _keep([Told(held[customer.pk], made, now)], held, {customer.pk: now}, actor)
    return Signal.objects.select_related("rule", "customer").get(dedupe_key=made.key)


# What the seller's product counts up to, and what it measures.
VIEWED = {"enterprise_features": "", "wants_annual": rules.ANNUAL_PRICES}
MEASURED = {"engagement": "score"}


@transaction.atomic
def tell(
    *,
    customer: Customer,
    rule: str,
    occurred_at: datetime,
    now: datetime,
    actor: str,
    evidence: Mapping[str, Any] | None = None,
) -> Signal | None:
    """A fact that only the seller's product knows, judged by the rule it is for: one look at a feature is counted
    (`evidence.feature`), a score is measured against the threshold (`evidence.score`), anything else stands.

    Answers the signal, None while there is none. Raises UnknownRule.
    """
    known, customer = evidence or {}, customer.account
    setting = _settings().get(rule)
    feature = str(known.get("feature") or VIEWED.get(rule, ""))[:100]
    if setting is not None and rule in VIEWED and feature:
        return _viewed(customer, setting, feature, occurred_at=occurred_at, now=now, actor=actor)
    if setting is not None and rule in MEASURED and _below(known.get(MEASURED[rule]), setting):
        return None
    return report(customer=customer, rule=rule, occurred_at=occurred_at, now=now, actor=actor, evidence=known)


def _viewed(
    customer: Customer, setting: Setting, feature: str, *, occurred_at: datetime, now: datetime, actor: str
) -> Signal | None:
    data = {"feature": feature}
    customers.hold(customer.pk)  # before the event is numbered among the customer's: see “Locks”
    event = record(
        "feature.viewed", subject=customer, customer=customer, actor=actor, now=occurred_at, data=data
    )
    found = weigh(numbers=[event.number], now=now)
    return next((signal for signal in found if signal.rule.code == setting.code), None)


def _below(score: Any, setting: Setting) -> bool:
    """A score that is no number says nothing, and so is not enough."""
    try:
        return Decimal(str(score)) < setting.threshold if score is not None else False
    except ArithmeticError:
        return True


@transaction.atomic
def dismiss(*, signal: Signal, now: datetime, actor: str, reason: str = "") -> None:
    """Take a signal out of the score. Raises IllegalMove when it is dismissed already."""
    move(
        signal, Signal.Status.DISMISSED, event="signal.dismissed", actor=actor, now=now,
        dismissed_reason=reason[:200], data={"reason": reason[:200]},
    )  # fmt: skip


# -- How good the rules are -----------------------------------------------------------------------------------


_RAISED = "select rule_id, count(*) as told from sales_signal group by 1"
_ENDED = """select rule_id, jsonb_build_array(count(*) filter (where status = 'won'), count(*)) as told
    from (select distinct rule_id, task_id from sales_signal where task_id is not null) heard
    join sales_handofftask t on t.id = heard.task_id where status in ('won', 'lost', 'nurture', 'returned') group by 1"""


def with_precision(rows: QuerySet[Rule]) -> QuerySet[Rule]:
    """Each rule with `raised_signals` and `came_of`: [won, ended] of the tasks that its signals are in, None if none has
    ended. Signals are read once for all rules."""

    def told(sql: str, text: str, **options: Any) -> Func:
        template = f"((select jsonb_object_agg(rule_id, told) from ({sql}) each) {text})"  # noqa: S608 - our own
        return Func(Cast("pk", TextField()), template=template, **options)

    raised = told(_RAISED, "->> %(expressions)s", output_field=TextField())
    return rows.annotate(
        raised_signals=Coalesce(Cast(raised, BigIntegerField()), 0),
        came_of=told(_ENDED, "-> %(expressions)s", output_field=JSONField()),
    )

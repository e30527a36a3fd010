"""From events to signals. The receiver only enqueues; `weigh` does the work, once for each event, repeatably.

Nothing is missed: the job commits with its cause, and `sweep` finds what a dead worker left. Nothing fires
twice: a signal's dedupe key is unique.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import (
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, Concat
from django_q.tasks import async_task

from billing import metering, timelines, typed
from billing.events import record
from billing.maths.periods import local_date
from billing.models import Customer, Entitlement, Event, Plan, Seller, Subscription, ThresholdCrossing
from billing.moves import move
from billing.refusals import Refused
from sales import handing_over, rules
from sales.models import HandoffTask, Rule, Signal, TargetDomain, TargetProfile, WeighedEvent
from sales.rules import Account, Facts, Finding, Happened, Setting

BATCH = 200
LONGEST_PERIOD = timedelta(days=367)
# Terms of a quote begin as the next phase, or as a subscription that waited for its day.
BEGINNINGS = ("subscription.phase_started", "subscription.activated")
# No finding about the customer, but work for a person at once, whatever the score.
ALARMS = {"payment.unanswered": "A payment has had no answer for a day"}
WEIGHED = (*rules.TRIGGERS, *ALARMS)
log = logging.getLogger(__name__)


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

    Each customer is a transaction of its own. May run twice, late, or on two workers at once.
    """
    events = Event.objects.filter(number__in=numbers, weighed__isnull=True, customer__isnull=False)
    by_customer: dict[str, list[Event]] = defaultdict(list)
    for event in events.order_by("number"):
        by_customer[str(event.customer_id)].append(event)
    return _each(list(by_customer.values()), now)


def _each(groups: Sequence[Sequence[Event]], now: datetime) -> list[Signal]:
    """One that cannot be weighed must not hold up the others; what went wrong is raised at the end."""
    settings, found, errors = _settings(), [], []
    for rows in groups:
        try:
            found.extend(_weigh_one(rows, settings, now))
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("some events could not be weighed", errors)
    return found


@transaction.atomic
def _weigh_one(events: Sequence[Event], settings: Mapping[str, Setting], now: datetime) -> list[Signal]:
    customer = _customer(str(events[0].customer_id))
    found: list[Signal] = []
    for alarm in (event for event in events if event.type in ALARMS):
        _sound(alarm, customer, now)
    for facts in _gather(customer, events):
        new = _store(customer, rules.weigh(facts, settings), actor="system", now=facts.event.at)
        if new:
            handing_over.consider(customer=customer, now=_moment(customer, facts.event.at, now))
        found.extend(new)
    WeighedEvent.objects.bulk_create(
        [WeighedEvent(event=event, at=now) for event in events], ignore_conflicts=True
    )
    return found


def _sound(alarm: Event, customer: Customer, now: datetime) -> None:
    """A task for a person. Who notes the event first raises it; a second worker waits here and finds it noted."""
    _, first = WeighedEvent.objects.get_or_create(event=alarm, defaults={"at": now})
    if not first:
        return
    words = f"{alarm.object_id}, reference {alarm.data.get('reference', '')}, since {alarm.data.get('since', '')}."
    note = f"{words} Ask the payment provider, then say on the payment's page what became of it."
    handing_over.raise_by_hand(
        customer=customer, reason=ALARMS[alarm.type], note=note, actor="system",
        now=_moment(customer, alarm.at, now),
    )  # fmt: skip


def _customer(pk: str) -> Customer:
    return Customer.objects.select_related("test_clock").get(pk=pk)


def _moment(customer: Customer, at: datetime, now: datetime) -> datetime:
    """A customer on a test clock lives at the time of its events; everybody else in the present."""
    return at if customer.test_clock_id else max(at, now)


def _store(customer: Customer, findings: Iterable[Finding], *, actor: str, now: datetime) -> list[Signal]:
    """Keep what is new among the findings; each new signal is a fact."""
    new = []
    for finding in findings:
        fields: dict[str, Any] = {
            "customer": customer, "rule": partial(Rule.objects.get, code=finding.rule),
            "weight": finding.weight,
            "sentence": finding.sentence, "evidence": dict(finding.evidence),
            "occurred_at": finding.occurred_at,
        }  # fmt: skip
        signal, created = Signal.objects.get_or_create(dedupe_key=finding.key, defaults=fields)
        if created:
            data = {"rule": finding.rule, "weight": finding.weight, "sentence": finding.sentence}
            record("signal.created", subject=signal, actor=actor, now=now, data=data)
            new.append(signal)
    return new


def _settings() -> dict[str, Setting]:
    return {
        rule.code: Setting(rule.code, rule.weight, rule.threshold or Decimal(0), rule.window_days)
        for rule in Rule.objects.filter(enabled=True)
    }


# -- Facts: a fixed number of queries for each customer ------------------------------------------------------


def _gather(customer: Customer, events: Sequence[Event]) -> list[Facts]:
    types = {event.type for event in events}
    common: dict[str, Any] = {
        "customer": customer.pk, "name": customer.name, "domain": _business_domain(customer),
        "employees": customer.employees, "industry": customer.industry, "currency": customer.currency,
    }  # fmt: skip
    if types & {"customer.created", "customer.updated"}:
        common |= _company(customer)
    if types & {"subscription.created", "subscription.changed"}:
        common["alert_delta"] = Seller.objects.get().upgrade_alert_delta
    if "feature.viewed" in types:
        common |= _features(customer, events[-1])
    if types & set(rules.COUNTED):
        common["history"] = _history(customer)
    return [Facts(event=_happened(event), **common) for event in events]


def _happened(event: Event) -> Happened:
    return Happened(event.number, event.type, event.object_id, event.at, event.actor, event.data)


def _history(customer: Customer) -> tuple[Happened, ...]:
    """All of it: an event that committed after a younger one was weighed is counted with the next."""
    rows = Event.objects.filter(customer=customer, type__in=rules.COUNTED)
    return tuple(_happened(event) for event in rows.order_by("number"))


def _business_domain(customer: Customer) -> str:
    return "" if customer.domain in typed.FREE_MAIL else customer.domain.lower()


def _company(customer: Customer) -> dict[str, Any]:
    domain = _business_domain(customer)
    profiles = [
        p.name for p in TargetProfile.objects.all() if p.matches(customer.industry, customer.employees)
    ]
    return {
        "target_domain": listed_domain(domain),
        "target_profiles": tuple(profiles),
        "same_domain": _others(customer, domain),
    }


def listed_domain(domain: str) -> str:
    """The entry of the target list that covers a domain: itself or its nearest parent; "" for none."""
    parts = domain.split(".")
    parents = [".".join(parts[n:]) for n in range(len(parts) - 1)]
    listed = set(TargetDomain.objects.filter(domain__in=parents).values_list("domain", flat=True))
    return next((parent for parent in parents if parent in listed), "")


def _others(customer: Customer, domain: str) -> tuple[Account, ...]:
    """Accounts that were there before on the same domain; the newcomer is the one that is told about them."""
    if not domain:
        return ()
    older = Customer.objects.filter(domain=domain, livemode=customer.livemode, pk__lt=customer.pk)
    return tuple(Account(pk, name) for pk, name in older.order_by("pk").values_list("pk", "name")[:50])


def _features(customer: Customer, event: Event) -> dict[str, Any]:
    """What the plan in force at the event has, and what only higher plans have."""
    day = local_date(event.at, customer.timezone)
    rows = customer.subscriptions.filter(status__in=Subscription.LIVE).prefetch_related(
        *timelines.PHASE_PREFETCH
    )
    spec = next((s for row in rows if (s := timelines.spec_on(timelines.specs_of(row), day))), None)
    rank = spec.plan.rank if spec else 0
    plans = Plan.objects.filter(archived_at__isnull=True)
    own = Entitlement.objects.filter(plan=spec.plan if spec else None)
    above = Entitlement.objects.filter(plan__in=plans, plan__rank__gt=rank, limit__isnull=True)
    interval = ""
    if spec:
        interval = next((str(p.interval) for p, _ in spec.items if p.kind == "recurring"), "")
    return {
        "plan_features": frozenset(own.values_list("feature", flat=True)),
        "higher_features": dict(above.values_list("feature", "name")),
        "interval": interval,
    }


# -- What was missed, and what only others know ---------------------------------------------------------


def sweep(*, now: datetime) -> int:
    """Weigh what no worker has weighed, and look at the target lists again. Answers how many were found."""
    waiting = Event.objects.filter(type__in=WEIGHED, customer__isnull=False, weighed__isnull=True)
    numbers = list(waiting.order_by("number").values_list("number", flat=True))
    found = 0
    for start in range(0, len(numbers), BATCH):
        found += _try(numbers[start : start + BATCH], now)
    found += len(look_for_targets(now=now)) + len(look_past_thresholds(now=now))
    handing_over.reconsider(now=now)
    return found


def _try(numbers: Sequence[int], now: datetime) -> int:
    """What cannot be weighed stays for the next sweep, and is in the log."""
    try:
        return len(weigh(numbers=numbers, now=now))
    except ExceptionGroup:
        log.exception("events left unweighed")
        return 0


def look_past_thresholds(*, now: datetime) -> list[Signal]:
    """Customers whose usage stood exactly at a threshold when billing said so, and has gone past it since."""
    exact = ThresholdCrossing.objects.filter(used__gt=0, used=F("limit") * F("percent") / 100)
    recent = exact.filter(at__gte=now - LONGEST_PERIOD).select_related("customer__test_clock", "meter")
    settings = _settings()
    return [signal for crossing in recent for signal in _look_past(crossing, settings, now)]


@transaction.atomic
def _look_past(crossing: ThresholdCrossing, settings: Mapping[str, Setting], now: datetime) -> list[Signal]:
    customer, meter = crossing.customer, crossing.meter
    moment = customer.on_clock(now)
    running = next((each for each in metering.current(customer, moment) if each.meter == meter), None)
    if running is None or running.period.start != crossing.period_start or running.limit != crossing.limit:
        return []
    data = {
        "meter": meter.code, "name": meter.name, "used": str(running.used), "limit": str(running.limit),
        "period": {"start": running.period.start.isoformat()},
    }  # fmt: skip
    facts = Facts(Happened(0, metering.THRESHOLD_REACHED, customer.pk, moment, data=data), customer.pk)
    return _keep(customer, rules.weigh(facts, settings), moment)


def look_for_targets(*, now: datetime) -> list[Signal]:
    """Customers who were there before their domain or profile was put on a target list."""
    settings = {code: s for code, s in _settings().items() if code in _LISTED}
    missed = [customer for code in settings for customer in _LISTED[code]().exclude(signals__rule__code=code)]
    return [signal for customer in missed for signal in _look_at(customer, settings, now)]


def _on_target_domain() -> QuerySet[Customer]:
    host = ExpressionWrapper(OuterRef("domain"), output_field=CharField())
    listed = TargetDomain.objects.alias(host=host).filter(
        Q(host=F("domain")) | Q(host__endswith=Concat(Value("."), F("domain")))
    )
    return Customer.objects.filter(~Q(domain=""), Exists(listed)).select_related("test_clock", "owner")


def _in_target_profile() -> QuerySet[Customer]:
    wanted = Q(pk__in=[])
    for profile in TargetProfile.objects.all():
        wanted |= _matching(profile)
    return Customer.objects.filter(wanted).select_related("test_clock", "owner")


def _matching(profile: TargetProfile) -> Q:
    wanted = Q(industry__iexact=profile.industry) if profile.industry else Q()
    if profile.min_employees is not None:
        wanted &= Q(employees__gte=profile.min_employees)
    if profile.max_employees is not None:
        wanted &= Q(employees__lte=profile.max_employees)
    return wanted


_LISTED = {"target_domain": _on_target_domain, "target_profile": _in_target_profile}


@transaction.atomic
def _look_at(customer: Customer, settings: Mapping[str, Setting], now: datetime) -> list[Signal]:
    moment = customer.on_clock(now)
    happened = Happened(0, "customer.updated", customer.pk, moment)
    facts = Facts(
        event=happened, customer=customer.pk, name=customer.name, domain=_business_domain(customer),
        employees=customer.employees, industry=customer.industry, **_company(customer),
    )  # fmt: skip
    return _keep(customer, rules.weigh(facts, settings), moment)


def _keep(customer: Customer, findings: Iterable[Finding], moment: datetime) -> list[Signal]:
    new = _store(customer, findings, actor="system", now=moment)
    if new:
        handing_over.consider(customer=customer, now=moment)
    return new


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
    row = Rule.objects.filter(code=rule, enabled=True).first()
    if row is None:
        raise UnknownRule("There is no such rule, or it is switched off.", field="rule")
    about = key or f"reported:{occurred_at.isoformat()}"
    finding = Finding(
        rule=row.code, weight=row.weight, key=f"{row.code}:{customer.pk}:{about}"[:250],
        evidence=evidence or {}, occurred_at=occurred_at,
        sentence=(sentence or f"{row.name}: {row.description}.")[:400],
    )  # fmt: skip
    if _store(customer, [finding], actor=actor, now=now):
        handing_over.consider(customer=customer, now=now)
    return Signal.objects.select_related("rule", "customer").get(dedupe_key=finding.key)


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
    known = evidence or {}
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


def with_precision(rows: QuerySet[Rule]) -> QuerySet[Rule]:
    """Each rule with `raised_signals`, `ended_tasks` and `won_tasks`: what came of the tasks its signals are in."""

    def tasks(**which: Any) -> Coalesce:
        found = HandoffTask.objects.filter(signals__rule=OuterRef("pk"), **which).values("signals__rule")
        return Coalesce(Subquery(found.annotate(n=Count("pk", distinct=True)).values("n")), 0)

    signals = Signal.objects.filter(rule=OuterRef("pk")).values("rule").annotate(n=Count("pk")).values("n")
    return rows.annotate(
        raised_signals=Coalesce(Subquery(signals), 0), won_tasks=tasks(status="won"),
        ended_tasks=tasks(status__in=["won", "lost", "nurture", "returned"]),
    )  # fmt: skip

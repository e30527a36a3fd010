"""What a rule would say if it were set otherwise: the same pure rules over the same facts. Nothing is written or held.

The past is replayed as if the setting had stood for the last 90 days: what had been told before them is not told
again. Companies, plans and target lists are taken as they are today.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import batched
from typing import Any

from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce

from billing import bulk, metering
from billing.models import Customer, Event, Meter
from sales import chunking, engagement, gathering, handing_over, rules, watching
from sales.models import EngagementScore, HandoffTask, Rule, SalesSettings, Signal
from sales.rules import Facts, Finding, Happened, Setting

LOOKED_BACK = timedelta(days=90)
MOST_EVENTS = 20_000
"""The newest so many are replayed: a page is waited for."""
WARM_UP = timedelta(days=40)
STANDING = {*gathering.COMPANY, metering.THRESHOLD_REACHED}
"""Types of events that only say how things stand; today is judged by how they stand today."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A finding, and the signal that was raised for the very same thing, if one was."""

    customer: Customer
    finding: Finding
    signal: Signal | None

    @property
    def task(self) -> HandoffTask | None:
        return self.signal.task if self.signal else None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a setting finds in the last 90 days, newest first."""

    setting: Setting
    found: tuple[Tried, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(each.finding.key for each in self.found)

    @property
    def customers(self) -> int:
        return len({each.customer.pk for each in self.found})

    @property
    def raised(self) -> int:
        return sum(each.signal is not None for each in self.found)

    @property
    def tasks(self) -> dict[str, int]:
        """How many tasks the signals were in, by what became of them (`HandoffTask.Status`)."""
        known = {each.task.pk: each.task.status for each in self.found if each.task}
        return {status: sum(each == status for each in known.values()) for status in set(known.values())}

    @property
    def ended(self) -> int:
        return sum(n for status, n in self.tasks.items() if status not in HandoffTask.OPEN)

    @property
    def won(self) -> int:
        return self.tasks.get(HandoffTask.Status.WON, 0)

    @property
    def precision(self) -> int:
        """Of the tasks that ended, how many were won, in whole percent."""
        return 100 * self.won // self.ended if self.ended else 0

    def without(self, other: "Replayed") -> list[Tried]:
        """What this setting finds and the other does not."""
        return [each for each in self.found if each.finding.key not in other.keys]


@dataclass(frozen=True, slots=True)
class Present:
    """Would it fire today, for one customer? `known` says of what, where it does not."""

    found: tuple[Tried, ...]
    known: str

    @property
    def fires(self) -> bool:
        """For something that nobody was told of."""
        return any(each.signal is None for each in self.found)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a customer's signals add up to, and whether that is enough for a task."""

    score: Decimal
    qualifies: bool


# -- The past --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """What happened to customers (by id) since their days, as the rules see it. `cut`: there was more than is read."""

    since: Mapping[str, datetime]
    customers: Mapping[str, Customer]
    facts: Sequence[Facts] = ()
    scores: Mapping[str, Sequence[EngagementScore]] = field(default_factory=dict)
    cut: bool = False


def look_back(*, codes: Collection[str], now: datetime, customer: Customer | None = None) -> Past:
    """The last 90 days of a customer, or of everybody, as far as the rules with these codes look at them."""
    numbers = _recent(codes, now, customer)
    events = gathering.happened(Event.objects.filter(number__in=numbers[:MOST_EVENTS])) if numbers else {}
    scores = _scores(now, customer) if engagement.CODE in codes else {}
    known = {customer.pk: customer} if customer else _customers({*events, *scores})
    facts = [
        each
        for some in batched(events, chunking.CHUNK)
        for each in gathering.gather(known, {pk: events[pk] for pk in some})
    ]
    since = {pk: row.on_clock(now) - LOOKED_BACK for pk, row in known.items()}
    return Past(since, known, facts, scores, len(numbers) > MOST_EVENTS)


def _customers(ids: Collection[str]) -> dict[str, Customer]:
    rows = Customer.objects.filter(pk__any=sorted(ids)).select_related("test_clock")
    return {row.pk: row for row in rows}


def _recent(codes: Collection[str], now: datetime, customer: Customer | None) -> list[int]:
    types = [type for type, theirs in rules.TRIGGERS.items() if set(theirs).intersection(codes)]
    present = Coalesce("customer__test_clock__now", Value(now), output_field=DateTimeField())
    rows = Event.objects.alias(present=present)  # in a filter alone, who has no clock would be left out
    rows = rows.filter(type__in=types, customer__isnull=False, at__gt=F("present") - LOOKED_BACK)
    rows = rows.filter(customer=customer) if customer else rows
    return list(rows.order_by("-number").values_list("number", flat=True)[: MOST_EVENTS + 1])


def _scores(now: datetime, customer: Customer | None) -> dict[str, list[EngagementScore]]:
    """Each customer's, in order, with those before the window from which the first may have come up."""
    rows = EngagementScore.objects.filter(day__gt=(now - LOOKED_BACK - WARM_UP).date())
    rows = rows.filter(customer=customer) if customer else rows
    found: dict[str, list[EngagementScore]] = defaultdict(list)
    for row in rows.order_by("customer_id", "day")[: 10 * MOST_EVENTS]:
        found[row.customer_id].append(row)
    return found


def replay(*, past: Past, rows: Sequence[Rule]) -> list[Replayed]:
    """What each rule, as it is set on the given row (which need not be saved), finds in the past."""
    settings = [watching.setting_of(row) for row in rows]
    found = [_first(past, row, setting) for row, setting in zip(rows, settings, strict=True)]
    signals = _signals(finding.key for each in found for _, finding in each)
    return [
        Replayed(setting, tuple(reversed(_new(past, _joined(each, past.customers, signals)))))
        for setting, each in zip(settings, found, strict=True)
    ]


def _first(past: Past, rule: Rule, setting: Setting) -> list[tuple[str, Finding]]:
    """Each thing when it was found first in the window, with whom it is about."""
    first: dict[str, tuple[str, Finding]] = {}
    for pk, finding in sorted(_findings(past, rule, setting), key=lambda each: each[1].occurred_at):
        if finding.occurred_at > past.since[pk]:
            first.setdefault(finding.key, (pk, finding))
    return list(first.values())


def _new(past: Past, told: Iterable[Tried]) -> list[Tried]:
    """Without what had been told before the window."""
    return [
        each for each in told if not each.signal or each.signal.occurred_at > past.since[each.customer.pk]
    ]


def _findings(past: Past, rule: Rule, setting: Setting) -> Iterator[tuple[str, Finding]]:
    for facts in past.facts:
        for finding in rules.weigh(facts, {setting.code: setting}):
            yield facts.customer, finding
    if setting.code == engagement.CODE:
        for pk, scores in past.scores.items():
            for finding in engagement.replayed(rule, scores):
                yield pk, finding


def _signals(keys: Iterable[str]) -> dict[str, Signal]:
    rows = Signal.objects.filter(dedupe_key__in=list(keys)).select_related("task").defer("evidence")
    return {row.dedupe_key: row for row in rows}


def _joined(
    found: Iterable[tuple[str, Finding]], customers: Mapping[str, Customer], signals: Mapping[str, Signal]
) -> list[Tried]:
    return [Tried(customers[pk], finding, signals.get(finding.key)) for pk, finding in found]


# -- The present -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How a customer stands at a moment, as far as rules look at it, and what sales was told: `signals` by key, with
    their tasks."""

    customer: Customer
    moment: datetime
    facts: Sequence[Facts]
    scores: Sequence[EngagementScore]
    signals: Mapping[str, Signal]
    settings: SalesSettings

    @property
    def counting(self) -> list[Signal]:
        """What makes up the score."""
        rows = [each for each in self.signals.values() if each.status == Signal.Status.OPEN]
        return [each for each in rows if each.task is None or each.task.is_open]


def stand(*, customer: Customer, codes: Collection[str], now: datetime) -> Standing:
    """What the rules with these codes look at."""
    moment = customer.on_clock(now)
    signals, tasks, scores, settings, meters, rows = bulk.read(
        Signal.objects.filter(customer=customer).order_by("occurred_at", "pk"),
        HandoffTask.objects.filter(customer=customer),
        EngagementScore.objects.filter(customer=customer).order_by("day"),
        SalesSettings.objects.filter(pk=1),
        Meter.objects.all(),
        Rule.objects.all(),
    )
    _point(signals, "task", tasks)
    _point(signals, "rule", rows)
    known = {meter.pk: meter for meter in meters}
    events = {customer.pk: _standing(customer, codes, moment, known)}
    return Standing(
        customer, moment, gathering.gather({customer.pk: customer}, events), scores,
        {each.dedupe_key: each for each in signals}, next(iter(settings), SalesSettings(pk=1)),
    )  # fmt: skip


def _point(rows: Iterable[Signal], name: str, targets: Iterable[Any]) -> None:
    known = {target.pk: target for target in targets}
    for row in rows:
        setattr(row, name, known.get(getattr(row, f"{name}_id")))


def today(*, standing: Standing, rule: Rule) -> Present:
    """Would the rule, set as on the given row, fire for this customer as things stand?"""
    setting, customer = watching.setting_of(rule), standing.customer
    if setting.code == engagement.CODE:
        return _engaged(standing, rule)
    facts = [each for each in standing.facts if setting.code in rules.TRIGGERS.get(each.event.type, ())]
    found = {
        each.key: (customer.pk, each) for one in facts for each in rules.weigh(one, {setting.code: setting})
    }
    told = _joined(found.values(), {customer.pk: customer}, standing.signals)
    return Present(tuple(told), _seen(setting.code, facts))


def _standing(
    customer: Customer, codes: Collection[str], moment: datetime, meters: Mapping[str, Meter]
) -> list[Happened]:
    """The last event of each kind that the rules listen to, and how the company and its usage stand."""
    types = {type for type, theirs in rules.TRIGGERS.items() if set(theirs).intersection(codes)}
    rows = Event.objects.filter(customer=customer, type__in=types - STANDING)
    last = rows.order_by("type", "-number").distinct("type").values("number")
    events = gathering.happened(Event.objects.filter(number__in=last)).get(customer.pk, [])
    if types & gathering.COMPANY:
        events.append(Happened(0, "customer.updated", customer.pk, moment))
    if metering.THRESHOLD_REACHED in types:
        for usage in metering.current_of(moments={customer: moment}, known=meters).get(customer.pk, ()):
            if usage.limit:
                events.append(watching.stands(customer.pk, usage, moment))
    return events


def _engaged(standing: Standing, rule: Rule) -> Present:
    scores, customer = standing.scores, standing.customer
    if not scores:
        return Present((), "Nothing was measured yet: that is done every night.")
    up = list(engagement.replayed(rule, scores))[-1:] if scores[-1].score >= (rule.threshold or 0) else []
    found = [(customer.pk, finding) for finding in up]
    told = _joined(found, {customer.pk: customer}, standing.signals)
    return Present(tuple(told), f"Engagement is {scores[-1].score} of 100.")


def _members(facts: Facts) -> str:
    members = sum({"member.added": 1, "member.removed": -1}.get(each.type, 0) for each in facts.history)
    return f"{members} members in the team."


def _used(facts: Facts) -> str:
    data = facts.event.data
    return f"{data['name']}: {Decimal(data['used']):,.0f} of {Decimal(data['limit']):,.0f}."


def _looks(facts: Facts, feature: str = "") -> int:
    views = [str(each.data.get("feature", "")) for each in facts.history if each.type == "feature.viewed"]
    return sum(not feature or view == feature for view in views)


SEEN: dict[str, Callable[[Facts], str]] = {
    "company_size": lambda f: f"{f.employees:,} employees." if f.employees else "Nobody said how many they are.",
    "target_domain": lambda f: f"{f.domain or 'Their mail address'} is not on the target list.",
    "target_profile": lambda f: "No target profile matches the industry and size that are known.",
    "same_domain": lambda f: f"{len(f.same_domain) + 1} on {f.domain}." if f.domain else "No business domain.",
    "usage_near_limit": _used,
    "team_of_ten": _members,
    "team_growing": _members,
    "enterprise_features": lambda f: f"{_looks(f)} looks at features.",
    "upgraded_in_app": lambda f: "The last change of terms was no upgrade of their own.",
    "large_upgrade": lambda f: "The last change of terms was not large enough, or not their own.",
    "wants_annual": lambda f: f"{_looks(f, rules.ANNUAL_PRICES)} looks at annual prices.",
}  # fmt: skip


def _seen(code: str, facts: Sequence[Facts]) -> str:
    """What the rule looked at, in words."""
    if not facts or code not in SEEN:
        return "Nothing that this rule listens to has happened."
    return " ".join(dict.fromkeys(SEEN[code](each) for each in facts))


# -- What it would add up to -------------------------------------------------------------------------------------


def add_up(*, standing: Standing, stored: Rule, tried: Rule) -> tuple[Weighed, Weighed]:
    """The customer's score as the rule is stored, and with the rule as it is tried."""
    counting, moment, settings = standing.counting, standing.moment, standing.settings
    before, after = (today(standing=standing, rule=row) for row in (stored, tried))
    gone = {each.finding.key for each in before.found} - {each.finding.key for each in after.found}
    others = [each for each in counting if each.rule_id != tried.pk]
    mine = [each for each in counting if each.rule_id == tried.pk and each.dedupe_key not in gone]
    reweighed = [Signal(weight=tried.weight, occurred_at=each.occurred_at) for each in mine]
    new = [
        Signal(weight=tried.weight, occurred_at=each.finding.occurred_at)
        for each in after.found
        if each.signal is None
    ]
    return _sum(counting, moment, settings), _sum([*others, *reweighed, *new], moment, settings)


def _sum(signals: Sequence[Signal], moment: datetime, settings: SalesSettings) -> Weighed:
    return Weighed(
        handing_over.score(signals, moment, settings), handing_over.qualifies(signals, moment, settings)
    )

"""Automations: a trigger, a condition, actions. Saved checked, tried on the past, run once for each event.

A worker looks every minute for events that an automation waits for. Each that meets the condition becomes a run, unique
by automation and event; its actions happen in order, each in a transaction with its line in the log, so that a run that
is repeated goes on where it stopped. What automations do starts no automation.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from billing import customers, event_types, mail, outside, timelines, typed
from billing.events import TYPES
from billing.maths.money import to_major
from billing.maths.periods import local_date
from billing.models import Customer, Event, Subscription, User
from billing.refusals import Refused
from sales import addresses, conditions, drafting, handing_over
from sales.models import Automation, AutomationRun, CustomerTag, Quote, SalesSettings
from sales.models.quotes import open_at

KINDS = {
    "task": "Raise a task", "owner": "Assign the owner", "mail": "Send a mail", "webhook": "Call an address",
    "post": "Post to a chat (Slack style)", "quote": "Draft a quote", "tag": "Add a tag",
}  # fmt: skip
ACTOR = "automation:"
LOOK_BACK = timedelta(minutes=2)
LATELY = timedelta(days=30)
MOST_TRIES = 6
BATCH = 500
MOST_ACTIONS = 5
# A system outside that answers each call with a change would have it called for ever.
MOST_AN_HOUR = 100
log = logging.getLogger(__name__)


class InvalidAutomation(Refused):
    """A trigger or an action that there is not, or one without what it needs; `field` names it."""

    code = "invalid_automation"


class ChangedMeanwhile(Refused):
    """Somebody changed the automation after this reader had looked at it."""

    code = "automation_changed_meanwhile"


class ActionFailed(Exception):
    """An action could not be done now; the message says why."""


# -- Saving ----------------------------------------------------------------------------------------------


@transaction.atomic
def save(
    *, automation: Automation, name: str, trigger: str, condition: str, actions: Sequence[Mapping[str, Any]],
    now: datetime, pause_days: int = 0, enabled: bool = False, seen: str = "",
) -> Automation:  # fmt: skip
    """Store it, checked. What happened before it was switched on is left alone. Raises Refused naming the field.

    `seen` is the fingerprint of what the editor looked at, if anything; then ChangedMeanwhile is raised too.
    """
    _refuse_stale(automation, seen)
    automation.name = typed.text(name, "name", limit=120, required=True)
    _write_terms(automation, trigger, condition, actions)
    automation.pause_days = pause_days
    if enabled and not automation.enabled:
        automation.enabled_at = now
    automation.enabled = enabled
    automation.save()
    return automation


def fingerprint(automation: Automation) -> str:
    """A short text that differs once anything that staff write does."""
    written = [getattr(automation, name) for name in WRITTEN]
    return sha256(repr(written).encode()).hexdigest()[:20]


WRITTEN = ("name", "trigger", "condition", "actions", "pause_days", "enabled")


def _refuse_stale(automation: Automation, seen: str) -> None:
    stored = Automation.objects.select_for_update().filter(pk=automation.pk).first() if seen else None
    if stored is not None and seen != fingerprint(stored):
        raise ChangedMeanwhile(
            "Somebody changed this after you opened it. What you typed is below; press again to replace theirs."
        )


def _write_terms(
    automation: Automation, trigger: str, condition: str, actions: Sequence[Mapping[str, Any]]
) -> None:
    if trigger not in TYPES and trigger != Automation.DAILY:
        raise InvalidAutomation("There is no such event.", field="trigger")
    automation.trigger, automation.condition = trigger, conditions.check(condition)
    if trigger == Automation.DAILY and not automation.condition:
        raise InvalidAutomation("A daily automation needs a condition.", field="condition")
    automation.actions = checked(actions)


def checked(actions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not 1 <= len(actions) <= MOST_ACTIONS:
        raise InvalidAutomation(f"From one to {MOST_ACTIONS} actions.", field="actions.0.kind")
    return [_checked(action, f"actions.{n}") for n, action in enumerate(actions)]


def _checked(action: Mapping[str, Any], field: str) -> dict[str, Any]:
    kind = action.get("kind")
    if kind not in KINDS:
        raise InvalidAutomation("Choose what to do.", field=f"{field}.kind")
    text = typed.text(action.get("text", ""), f"{field}.text", limit=400)
    if kind in ("task", "mail", "post", "tag", "owner", "webhook") and not text:
        raise InvalidAutomation(NEEDS[str(kind)], field=f"{field}.text")
    body = str(action.get("body", "")).replace("\r\n", "\n").strip()
    if len(body) > 4000:
        raise InvalidAutomation("At most 4,000 characters.", field=f"{field}.body")
    for part, words in (("text", text), ("body", body)):
        _refuse_unknown(words, f"{field}.{part}")
    if kind in ("webhook", "post"):
        outside.check(text, f"{field}.text")
    if (
        kind == "owner"
        and not User.objects.filter(email__iexact=text, is_staff=True, is_active=True).exists()
    ):
        raise InvalidAutomation("No colleague has this e-mail address.", field=f"{field}.text")
    if kind == "tag" and not _is_tag(text):
        raise InvalidAutomation("A tag has small letters, digits and hyphens.", field=f"{field}.text")
    if kind in ("mail", "post") and not body:
        raise InvalidAutomation("Write what it says.", field=f"{field}.body")
    to = action.get("to", "owner") if kind == "mail" else ""
    return {
        "kind": kind,
        "text": text,
        "body": body,
        "to": to if to in ("owner", "customer", "") else "owner",
    }


NEEDS = {
    "task": "Say what is to be done.", "mail": "Write a subject.", "post": "Give the address of the chat's webhook.",
    "webhook": "Give the address.", "tag": "Write the tag.", "owner": "Give the colleague's e-mail.",
}  # fmt: skip


PLACE = re.compile(r"\{\s*(customer|event)\s*\.?\s*([A-Za-z_.]*)\s*\}")


def _refuse_unknown(words: str, field: str) -> None:
    """A name in braces that nothing fills in would be read by the customer."""
    for found in PLACE.finditer(words):
        known = conditions.ROOTS[found[1]]
        name = found[2].partition(".")[0]
        if name not in known or found[0] != f"{{{found[1]}.{found[2]}}}":
            names = ", ".join(f"{{{found[1]}.{each}}}" for each in known)
            raise InvalidAutomation(f"Nothing fills in “{found[0]}”. There are {names}.", field=field)


def _is_tag(text: str) -> bool:
    return len(text) <= 40 and all(c.isascii() and (c.islower() or c.isdigit() or c == "-") for c in text)


# -- What conditions and words may use ---------------------------------------------------------------------


def facts_of(customer: Customer, event: Event | None, now: datetime) -> dict[str, Any]:
    """The vocabulary of `conditions` filled in. Money is told as everywhere outside: text in major units."""
    found = {"type": "", "actor": "", "object": "", "data": {}}
    if event is not None:
        data = event_types.told(event)
        found = {"type": event.type, "actor": event.actor, "object": event.object_id, "data": data}
    return {"customer": _customer(customer, now), "event": found}


def _customer(customer: Customer, now: datetime) -> dict[str, Any]:
    signals = list(customer.signals.filter(status="open", task__isnull=True))
    engagement = customer.engagement.order_by("-day").values_list("score", flat=True).first()
    names = ("id", "name", "email", "domain", "country", "currency", "industry", "collection_method")
    return {
        **{name: getattr(customer, name) for name in names},
        "segment": customer.segment.code if customer.segment else "",
        **{name: to_major(getattr(customer, name), customer.currency) for name in conditions.MONEY},
        "employees": float(customer.employees or 0), "owner": customer.owner.email if customer.owner else "",
        "tags": list(CustomerTag.objects.filter(customer=customer).values_list("tag", flat=True)),
        "plan": _plan(customer, now),
        "score": float(handing_over.score(signals, now, SalesSettings.current())),
        "engagement": float(engagement or 0), "days": float((now - customer.created_at).days),
    }  # fmt: skip


def _plan(customer: Customer, now: datetime) -> str:
    rows = customer.subscriptions.filter(status__in=Subscription.LIVE).order_by("-mrr")
    row = rows.prefetch_related(*timelines.PHASE_PREFETCH).first()
    spec = timelines.spec_on(timelines.specs_of(row), local_date(now, customer.timezone)) if row else None
    return spec.plan.code if spec else ""


def filled(text: str, facts: Mapping[str, Any]) -> str:
    """{customer.name} and the like put in; what is not known stays as it is."""
    for root in ("customer", "event"):
        for name, value in facts[root].items():
            if isinstance(value, list):
                value = ", ".join(value)
            if isinstance(value, str | int | float):
                text = text.replace(
                    f"{{{root}.{name}}}", f"{value:g}" if isinstance(value, float) else str(value)
                )
    for name, value in facts["event"]["data"].items():
        if isinstance(value, str | int | float):
            text = text.replace(f"{{event.data.{name}}}", str(value))
    return text


# -- Trying on the past --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """What an automation would do about an event: nothing is done. `problem`: why the condition could not be told;
    `looked_at`: what the condition's names stood for, in words.
    """

    event: Event | None
    customer: Customer
    holds: bool
    problem: str
    actions: tuple[str, ...]
    looked_at: tuple[str, ...]


def dry_run(*, automation: Automation, now: datetime, limit: int = 10) -> list[Trial]:
    """The newest events of its trigger (or, daily, the largest customers) and what it would have done about them."""
    return [_trial(automation, customer, event, now) for customer, event in _recent(automation, limit)]


def dry_run_of(
    *, trigger: str, condition: str, actions: Sequence[Mapping[str, Any]], now: datetime
) -> list[Trial]:
    """The same for one that is not stored. Raises Refused as `save` does."""
    automation = Automation()
    _write_terms(automation, trigger, condition, actions)
    return dry_run(automation=automation, now=now)


def ran_lately(*, now: datetime) -> QuerySet[Any, Any]:
    """(automation, its runs of the last thirty days, those of them that failed)"""
    rows = AutomationRun.objects.filter(at__gte=now - LATELY).order_by().values_list("automation")
    failed = Count("pk", filter=Q(status=AutomationRun.Status.FAILED))
    return rows.annotate(runs=Count("pk"), failed=failed)


def examples(trigger: str) -> dict[str, str]:
    """{event.data.rule: “engagement”}: what the newest event of this type says, for who writes a condition."""
    if trigger not in TYPES:
        return {}
    newest = Event.objects.filter(type=trigger, customer__isnull=False).order_by("-number").first()
    data = event_types.told(newest) if newest else {}
    return {name: str(value)[:60] for name, value in _named("event.data", data)}


def _named(root: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each value under the name that a condition asks for it by: `event.data.period.start`."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _named(f"{root}.{name}", value)
        else:
            yield f"{root}.{name}", value


def _recent(automation: Automation, limit: int) -> Iterator[tuple[Customer, Event | None]]:
    joins = ("test_clock", "segment", "owner")
    if automation.trigger == Automation.DAILY:
        for customer in Customer.objects.select_related(*joins).order_by("-arr", "pk")[:limit]:
            yield customer, None
        return
    rows = Event.objects.filter(type=automation.trigger, customer__isnull=False).order_by("-number")
    for event in rows.select_related(*(f"customer__{join}" for join in joins))[:limit]:
        if event.customer is not None:
            yield event.customer, event


def _trial(automation: Automation, customer: Customer, event: Event | None, now: datetime) -> Trial:
    facts = facts_of(customer, event, now)
    held, problem = conditions.holds(automation.condition, facts)
    words = tuple(described(action, facts) for action in automation.actions) if held else ()
    looked_at = tuple(f"{name}: {value}" for name, value in conditions.looked_at(automation.condition, facts))
    return Trial(event, customer, held, problem, words, looked_at)


def described(action: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """“Raise a task: Call Nova”."""
    text = filled(action["text"], facts)
    return f"{KINDS[action['kind']]}: {text}" if text else KINDS[action["kind"]]


# -- Looking for work ------------------------------------------------------------------------------------------


def look(*, now: datetime) -> int:
    """Every minute: make runs of what has happened, and do them. Repeatable, on several workers at once."""
    made = 0
    for automation in Automation.objects.filter(enabled=True).exclude(trigger=Automation.DAILY):
        made += sum(_begin(automation, event, now) for event in _fresh(automation, now))
        Automation.objects.filter(pk=automation.pk).update(looked_at=now)
    work(now=now)
    return made


def _fresh(automation: Automation, now: datetime) -> Iterator[Event]:
    """Events since it last looked, and of the minutes before: a transaction may commit late."""
    since = automation.enabled_at or now
    if automation.looked_at is not None:
        since = max(since, automation.looked_at - LOOK_BACK)
    ran = AutomationRun.objects.filter(automation=automation, event=OuterRef("pk"))
    rows = Event.objects.filter(
        ~Exists(ran), type=automation.trigger, customer__isnull=False, recorded_at__gte=since
    )
    joins = ("customer__test_clock", "customer__segment", "customer__owner")
    rows = rows.exclude(actor__startswith=ACTOR).select_related(*joins).order_by("number")
    last = 0
    while batch := list(rows.filter(number__gt=last)[:BATCH]):
        yield from batch
        last = batch[-1].number


def _begin(automation: Automation, event: Event, now: datetime) -> bool:
    customer = event.customer
    assert customer is not None
    moment = event.at if customer.test_clock_id else now
    held, _ = conditions.holds(automation.condition, facts_of(customer, event, moment))
    return held and _start(automation, customer, event, str(event.number), moment, now)


def daily(*, now: datetime) -> int:
    """Once a day: every customer against the automations that run by the day. Answers how many runs began."""
    made = 0
    for automation in Automation.objects.filter(enabled=True, trigger=Automation.DAILY):
        rows = Customer.objects.select_related("test_clock", "segment", "owner").order_by("pk")
        for customer in rows.iterator(chunk_size=BATCH):
            moment = customer.on_clock(now)
            held, _ = conditions.holds(automation.condition, facts_of(customer, None, moment))
            key = f"{local_date(moment, customer.timezone)}:{customer.pk}"
            made += held and _start(automation, customer, None, key, moment, now)
    work(now=now)
    return made


@transaction.atomic
def _start(
    automation: Automation, customer: Customer, event: Event | None, key: str, moment: datetime, now: datetime
) -> bool:
    """A run, unless there is one, or the customer's last is too young. The customer's row is held meanwhile."""
    Customer.objects.select_for_update(of=("self",), no_key=True).get(pk=customer.pk)
    young = moment - timedelta(days=automation.pause_days)
    runs = AutomationRun.objects.filter(automation=automation, customer=customer)
    if automation.pause_days and runs.filter(at__gt=young).exclude(key=key).exists():
        return False
    if runs.filter(at__gt=moment - timedelta(hours=1)).exclude(key=key).count() >= MOST_AN_HOUR:
        log.error(
            "%s goes in circles: it ran %s times for %s in an hour", automation, MOST_AN_HOUR, customer.pk
        )
        return False
    _, created = AutomationRun.objects.get_or_create(
        automation=automation, key=key,
        defaults={"customer": customer, "event": event, "actions": automation.actions, "at": moment, "next_try_at": now},
    )  # fmt: skip
    return created


# -- Doing it ------------------------------------------------------------------------------------------------


def work(*, now: datetime) -> int:
    """Do what waits and is due; a run is claimed, so that two workers do not do the same. Answers how many ended."""
    ended = 0
    while run := _claim(now):
        ended += _run(run, now)
    return ended


@transaction.atomic
def _claim(now: datetime) -> AutomationRun | None:
    rows = AutomationRun.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        status=AutomationRun.Status.WAITING, next_try_at__lte=now
    )
    run = (
        rows.select_related("automation", "event", "customer__owner", "customer__segment")
        .order_by("id")
        .first()
    )
    if run is None:
        return None
    run.attempts, run.next_try_at = run.attempts + 1, now + timedelta(minutes=2**run.attempts)
    run.save(update_fields=["attempts", "next_try_at"])
    return run


def _run(run: AutomationRun, now: datetime) -> bool:
    """Do the actions that are not done; True when the run is over."""
    assert run.customer is not None
    facts = facts_of(run.customer, run.event, run.at)
    while run.done < len(run.actions):
        action = run.actions[run.done]
        try:
            _do(run, action, facts, now)
        except (Refused, ActionFailed, outside.Unreachable) as error:
            return _note_failure(run, action, getattr(error, "message", str(error)), now)
        except Exception:  # nobody foresaw it: it must not hold up the runs behind it, nor be tried for ever
            log.exception("automation %s: %s", run, action["kind"])
            return _note_failure(run, action, "Something went wrong; the server's log says what.", now)
    AutomationRun.objects.filter(pk=run.pk).update(status=AutomationRun.Status.DONE, next_try_at=None)
    return True


def _do(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], now: datetime) -> None:
    """One action and its line in the log, together; a call to the outside comes before, with nothing held."""
    kind = action["kind"]
    words = OUTSIDE[kind](run, action, facts) if kind in OUTSIDE else ""
    with transaction.atomic():
        if kind in INSIDE:
            words = INSIDE[kind](run, action, facts, f"{ACTOR}{run.automation_id}")
        _write(run, {"kind": kind, "ok": True, "words": words, "at": now.isoformat()}, done=run.done + 1)


def _write(run: AutomationRun, line: Mapping[str, Any], **fields: Any) -> None:
    run.log = [*run.log, line]
    for name, value in fields.items():
        setattr(run, name, value)
    run.save(update_fields=["log", *fields])


def _note_failure(run: AutomationRun, action: Mapping[str, Any], words: str, now: datetime) -> bool:
    over = run.attempts >= MOST_TRIES
    line = {"kind": action["kind"], "ok": False, "words": words[:300], "at": now.isoformat()}
    fields: dict[str, Any] = {"status": AutomationRun.Status.FAILED, "next_try_at": None} if over else {}
    _write(run, line, **fields)
    if over:
        log.error("automation %s gave up: %s", run, words)
    return over


@transaction.atomic
def again(*, run: AutomationRun, now: datetime) -> None:
    """Try a failed run once more from where it stopped; one that is not failed stays as it is."""
    failed = AutomationRun.objects.filter(pk=run.pk, status=AutomationRun.Status.FAILED)
    failed.update(status=AutomationRun.Status.WAITING, attempts=F("attempts") - 1, next_try_at=now)


# -- Actions ---------------------------------------------------------------------------------------------------

type Done = Callable[[AutomationRun, Mapping[str, Any], Mapping[str, Any], str], str]


def _task(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], actor: str) -> str:
    assert run.customer is not None
    task = handing_over.raise_by_hand(
        customer=run.customer, reason=filled(action["text"], facts), note=filled(action["body"], facts), now=run.at,
        actor=actor,
    )  # fmt: skip
    return f"Task for {task.owner or 'nobody yet'}"


def _owner(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], actor: str) -> str:
    owner = User.objects.filter(email__iexact=action["text"], is_staff=True, is_active=True).first()
    if owner is None or run.customer is None:
        raise ActionFailed(f"{action['text']} is no colleague any more.")
    why = f"automation: {run.automation}"[:120]
    customers.assign_owner(customer=run.customer, owner=owner, now=run.at, actor=actor, why=why)
    return f"Owner is {owner}"


def _mail(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], actor: str) -> str:
    assert run.customer is not None
    owner = run.customer.owner.email if run.customer.owner else ""
    to = run.customer.email if action["to"] == "customer" else owner
    if not to:
        raise ActionFailed("The customer has no owner to write to.")
    context = {
        "title": filled(action["text"], facts), "words": filled(action["body"], facts),
        "url": addresses.portal_url() if action["to"] == "customer" else addresses.customer_url(run.customer),
        "to_staff": action["to"] != "customer",
    }  # fmt: skip
    cause = f"automation:{run.pk}:{run.done}"
    mail.compose(
        template="automation", to=to, context=context, event=cause, now=run.at, customer=run.customer
    )
    return f"Mail to {to}"


def _quote(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], actor: str) -> str:
    assert run.customer is not None
    rows = run.customer.subscriptions.filter(status__in=Subscription.LIVE).order_by("-mrr")
    row = rows.select_related("customer__test_clock").first()
    if row is None:
        raise ActionFailed("There is no running subscription to start from.")
    open_ones = run.customer.quotes.filter(Q(state__in=Quote.EDITABLE) | open_at(run.at))
    if (there := open_ones.first()) is not None:
        return f"Quote {there} is open already"
    return f"Quote {drafting.draft_from_subscription(subscription=row, now=run.at, actor=actor)}"


def _tag(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any], actor: str) -> str:
    given = {"added_by": actor, "added_at": run.at}
    CustomerTag.objects.get_or_create(customer=run.customer, tag=action["text"], defaults=given)
    return f"Tag {action['text']}"


INSIDE: dict[str, Done] = {"task": _task, "owner": _owner, "mail": _mail, "quote": _quote, "tag": _tag}


def _call(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    body = {"automation": run.automation.name, "customer": facts["customer"], "event": facts["event"]}
    return _post(run, action, body)


def _chat(run: AutomationRun, action: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return _post(run, action, {"text": filled(action["body"], facts)})


def _post(run: AutomationRun, action: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """At least once: the receiver knows a repeat by its Idempotency-Key."""
    given = {"Content-Type": "application/json", "Idempotency-Key": f"automation-{run.pk}-{run.done}"}
    answer = outside.post(action["text"], body=json.dumps(body, default=str).encode(), headers=given)
    if not 200 <= answer.status < 300:
        raise ActionFailed(f"The address answered {answer.status}.")
    return f"Answered {answer.status}"


OUTSIDE: dict[str, Callable[[AutomationRun, Mapping[str, Any], Mapping[str, Any]], str]] = {
    "webhook": _call, "post": _chat,
}  # fmt: skip

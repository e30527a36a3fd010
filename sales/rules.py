"""What sales should know: pure functions from the facts of one event to findings.

A finding depends on nothing but the event and the customer's history, and its key says what it is about. So
an event that is weighed twice, late, or after a younger one still leads to the same signals.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from billing.maths.money import exponent
from billing.templatetags.tandem import money, number, rounded

IN_APP = ("member:", "buyer", "key:")
"""Actors that are the customer itself, or the seller's product acting for it."""

AT_SIGN_UP = ("buyer", "provider", "system")
"""Actors that make the first member as part of signing up."""

ANNUAL_PRICES = "annual_prices"
"""The `feature` of a `feature.viewed` event that says: looked at what a year would cost."""


NOTHING: Mapping[str, Any] = MappingProxyType({})


# Values that are made by the ten thousand are named tuples, which are made several times as quickly as dataclasses.


class Happened(NamedTuple):
    """The event that is weighed. `number` orders events, `at` is on the customer's clock."""

    number: int
    type: str
    subject: str
    at: datetime
    actor: str = ""
    data: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class Account:
    """Another customer on the same domain."""

    id: str
    name: str


class Facts(NamedTuple):
    """What the rules may look at. `history` is the customer's events of the kinds that rules count, in order.
    Amounts are minor units of the customer's currency."""

    event: Happened
    customer: str
    name: str = ""
    domain: str = ""
    employees: int | None = None
    industry: str = ""
    currency: str = "USD"
    interval: str = ""
    plan_features: frozenset[str] = frozenset()
    higher_features: Mapping[str, str] = NOTHING
    target_domain: str = ""
    target_profiles: tuple[str, ...] = ()
    same_domain: tuple[Account, ...] = ()
    history: tuple[Happened, ...] = ()
    alert_delta: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the rules table as a value."""

    code: str
    weight: str
    threshold: Decimal = Decimal(0)
    window_days: int | None = None


class Finding(NamedTuple):
    """Something sales should know. `key` names it for ever; `sentence` says the evidence in words."""

    rule: str
    weight: str
    key: str
    sentence: str
    evidence: Mapping[str, Any]
    occurred_at: datetime


type Rule = Callable[[Facts, Setting], Finding | Iterable[Finding] | None]


def weigh(facts: Facts, settings: Mapping[str, Setting]) -> list[Finding]:
    """The findings of one event, by the rules that listen to its type and are in `settings` (switched on)."""
    findings: list[Finding] = []
    for code in TRIGGERS.get(facts.event.type, ()):
        if code in settings:
            found = RULES[code](facts, settings[code])
            findings.extend([found] if isinstance(found, Finding) else found or ())
    return findings


# -- About the company ---------------------------------------------------------------------------------


def demo_requested(facts: Facts, setting: Setting) -> Finding | None:
    """Every request counts, once each."""
    need = str(facts.event.data.get("need", ""))
    words = f"Asked for a demo: “{_short(need)}”" if need else "Asked for a demo."
    return _found(facts, setting, str(facts.event.number), words, {"need": need, "by": facts.event.actor})


def company_size(facts: Facts, setting: Setting) -> Finding | None:
    """More employees than the threshold, once for each customer."""
    if facts.employees is None or facts.employees <= setting.threshold:
        return None
    words = f"{facts.employees:,} employees, more than {setting.threshold:,.0f}."
    return _found(facts, setting, "", words, {"employees": facts.employees})


def target_domain(facts: Facts, setting: Setting) -> Finding | None:
    """The domain, or a parent of it, is on the target list; once for each listed domain."""
    if not facts.target_domain:
        return None
    words = f"{facts.domain} is on the target list."
    if facts.domain != facts.target_domain:
        words = f"{facts.domain} belongs to {facts.target_domain}, which is on the target list."
    evidence = {"domain": facts.domain, "listed": facts.target_domain}
    return _found(facts, setting, facts.target_domain, words, evidence)


def same_domain(facts: Facts, setting: Setting) -> Finding | None:
    """As many accounts on one business domain as the threshold; once for each account that joins."""
    if not facts.domain or len(facts.same_domain) + 1 < setting.threshold:
        return None
    names = ", ".join(account.name for account in facts.same_domain[:5])
    words = f"{len(facts.same_domain) + 1} accounts on {facts.domain}: this one and {names}."
    accounts = [{"id": account.id, "name": account.name} for account in facts.same_domain]
    return _found(facts, setting, facts.domain, words, {"domain": facts.domain, "accounts": accounts})


def target_profile(facts: Facts, setting: Setting) -> Finding | None:
    """Industry and size match a profile of the target lists; once for each profile."""
    if not facts.target_profiles:
        return None
    profile = facts.target_profiles[0]
    known = [facts.industry, f"{facts.employees:,} employees" if facts.employees else ""]
    words = f"Matches the target profile “{profile}”: {', '.join(part for part in known if part)}."
    evidence = {"profile": profile, "industry": facts.industry, "employees": facts.employees}
    return _found(facts, setting, profile, words, evidence)


# -- About the team --------------------------------------------------------------------------------------


def team_of_ten(facts: Facts, setting: Setting) -> Iterator[Finding]:
    """The team reaches the threshold from below; again only after it fell and the window has passed."""
    words = f"The team has grown to {setting.threshold:,.0f} members."
    evidence = {"members": int(setting.threshold)}
    for nth, event in enumerate(_spaced(_crossings(facts.history, setting.threshold), setting), 1):
        yield _found(facts, setting, str(nth), words, evidence, event.at)


def _crossings(history: Iterable[Happened], threshold: Decimal) -> Iterator[Happened]:
    members = 0
    for event in history:
        if event.type == "member.added":
            members += 1
            if members == threshold:
                yield event
        elif event.type == "member.removed":
            members -= 1


def team_growing(facts: Facts, setting: Setting) -> Finding | None:
    """As many members added since sign-up as the threshold, once for each customer."""
    added = [event for event in facts.history if event.type == "member.added"]
    if added and added[0].actor in AT_SIGN_UP:
        del added[0]
    if len(added) < setting.threshold:
        return None
    first = added[: int(setting.threshold)]
    evidence = {"added": len(first), "members": [str(event.data.get("email", "")) for event in first]}
    return _found(
        facts, setting, "", f"{len(first)} team members added since sign-up.", evidence, first[-1].at
    )


# -- About what they use and buy --------------------------------------------------------------------------


def usage_near_limit(facts: Facts, setting: Setting) -> Finding | None:
    """Used more than the threshold (percent) of a limit; once for each meter, period and limit."""
    data = facts.event.data
    used, limit = Decimal(str(data.get("used", 0))), Decimal(str(data.get("limit", 0)))
    if not limit or used * 100 <= setting.threshold * limit:
        return None
    meter, since = str(data.get("meter", "")), str(data.get("period", {}).get("start", ""))
    percent = (used * 100 / limit).to_integral_value(ROUND_DOWN)  # a limit that is not reached is not 100 %
    words = f"Used {rounded(used)} of {number(limit)} {data.get('name', meter)} ({percent} %)"
    evidence = {
        "meter": meter,
        "used": str(used),
        "limit": str(limit),
        "percent": int(percent),
        "since": since,
    }
    about = f"{meter}:{since}:{limit.normalize():f}"
    return _found(facts, setting, about, f"{words} in the period from {said(since)}.", evidence)


def upgraded_in_app(facts: Facts, setting: Setting) -> Finding | None:
    """The customer itself chose a plan or seats that bring more MRR."""
    if _gain(facts.event) <= 0 or not facts.event.actor.startswith(IN_APP):
        return None
    words = f"Upgraded in the app: {_terms(facts.event)}, {money(_gain(facts.event), facts.currency)} more a month."
    return _found(facts, setting, str(facts.event.number), words, _upgrade(facts.event))


def large_upgrade(facts: Facts, setting: Setting) -> Finding | None:
    """The customer's own upgrade: ARR reaches the threshold (major units), or MRR gains above the setting."""
    event, gain = facts.event, _gain(facts.event)
    if gain <= 0 or not event.actor.startswith(IN_APP):
        return None
    limit = int(setting.threshold * 10 ** exponent(facts.currency))
    crossed = _yearly(event, "after") >= limit > _yearly(event, "before")
    if not crossed and gain <= facts.alert_delta:
        return None
    arr = money(_yearly(event, "after"), facts.currency)
    words = f"{_terms(event)}: ARR is now {arr}, MRR grew by {money(gain, facts.currency)}."
    return _found(facts, setting, str(event.number), words, _upgrade(event))


def enterprise_features(facts: Facts, setting: Setting) -> Iterator[Finding]:
    """As many views as the threshold, within the window, of features that the plan does not have."""
    views = [e for e in facts.history if e.type == "feature.viewed" and _above_plan(e, facts)]
    for nth, burst in enumerate(_bursts(views, setting), 1):
        names = sorted({facts.higher_features[str(view.data["feature"])] for view in burst})
        words = f"Looked {len(burst)} times at what the plan does not have: {', '.join(names)}."
        evidence = {"features": names, "views": [view.at.isoformat() for view in burst]}
        yield _found(facts, setting, str(nth), words, evidence, burst[-1].at)


def _above_plan(event: Happened, facts: Facts) -> bool:
    feature = str(event.data.get("feature", ""))
    return feature in facts.higher_features and feature not in facts.plan_features


def wants_annual(facts: Facts, setting: Setting) -> Iterator[Finding]:
    """Pays monthly, and looked at the price of a year as often as the threshold within the window."""
    looks = [e for e in facts.history if e.data.get("feature") == ANNUAL_PRICES]
    for nth, burst in enumerate(_bursts(looks, setting), 1):
        if facts.interval in ("month", ""):
            words = f"Pays monthly and looked at annual prices {len(burst)} times."
            evidence = {"looks": [look.at.isoformat() for look in burst]}
            yield _found(facts, setting, str(nth), words, evidence, burst[-1].at)


def renewal_approaching(facts: Facts, setting: Setting) -> Finding | None:
    """Each notice before the end of a contract, once."""
    data = facts.event.data
    days, ends = data.get("days"), data.get("contract_end_on") or data.get("on")
    words = (
        f"The contract ends on {said(str(ends))}, in {days} days."
        if ends
        else f"The contract ends in {days} days."
    )
    return _found(facts, setting, f"{facts.event.subject}:{ends}:{days}", words, {"days": days, "ends": ends})


RULES: dict[str, Rule] = {
    "demo_requested": demo_requested,
    "company_size": company_size,
    "usage_near_limit": usage_near_limit,
    "target_domain": target_domain,
    "same_domain": same_domain,
    "team_of_ten": team_of_ten,
    "team_growing": team_growing,
    "target_profile": target_profile,
    "upgraded_in_app": upgraded_in_app,
    "large_upgrade": large_upgrade,
    "enterprise_features": enterprise_features,
    "renewal_approaching": renewal_approaching,
    "wants_annual": wants_annual,
}

COMPANY = ("company_size", "target_domain", "same_domain", "target_profile")
TRIGGERS: dict[str, tuple[str, ...]] = {
    "customer.created": COMPANY,
    "customer.updated": COMPANY,
    "demo.requested": ("demo_requested",),
    "member.added": ("team_of_ten", "team_growing"),
    "usage.threshold_reached": ("usage_near_limit",),
    "subscription.created": ("large_upgrade",),
    "subscription.changed": ("upgraded_in_app", "large_upgrade"),
    "subscription.renewal_approaching": ("renewal_approaching",),
    "feature.viewed": ("enterprise_features", "wants_annual"),
}
COUNTED = ("member.added", "member.removed", "feature.viewed")
"""Events that rules count: they come to the rules as history."""


# -- Firing once, and again --------------------------------------------------------------------------------
# The nth firing keeps its number when younger events follow, and when an older one becomes visible late.


def _spaced(candidates: Iterable[Happened], setting: Setting) -> Iterator[Happened]:
    """Candidates in order, without those within the window of the one before."""
    window, last = timedelta(days=setting.window_days or 0), None
    for candidate in candidates:
        if last is None or candidate.at - last >= window:
            last = candidate.at
            yield candidate


def _bursts(events: Sequence[Happened], setting: Setting) -> Iterator[list[Happened]]:
    """As many events as the threshold, all within the window; an event belongs to one burst at most."""
    window = timedelta(days=setting.window_days or 7)
    recent: list[Happened] = []
    for event in events:
        recent = [*(e for e in recent if e.at > event.at - window), event]
        if len(recent) >= setting.threshold:
            yield recent
            recent = []


# -- Small parts -------------------------------------------------------------------------------------------


def _found(
    facts: Facts,
    setting: Setting,
    about: str,
    words: str,
    evidence: Mapping[str, Any],
    at: datetime | None = None,
) -> Finding:
    key = f"{setting.code}:{facts.customer}" + (f":{about}" if about else "")
    return Finding(setting.code, setting.weight, key[:250], words[:400], evidence, at or facts.event.at)


def _gain(event: Happened) -> int:
    """More MRR than before, in minor units; a start counts from nothing. What sales sold is no news."""
    if event.data.get("origin") == "quote" or str(event.data.get("source") or "").startswith("quote_"):
        return 0
    after, before = event.data.get("mrr_after"), event.data.get("mrr_before", 0)
    return int(after) - int(before or 0) if after is not None else 0


def _yearly(event: Happened, when: str) -> int:
    exact = event.data.get(f"arr_{when}")
    return int(exact) if exact is not None else 12 * int(event.data.get(f"mrr_{when}") or 0)


def _upgrade(event: Happened) -> dict[str, Any]:
    names = ("from", "to", "mrr_before", "mrr_after")
    return {"gain": _gain(event), **{name: event.data[name] for name in names if name in event.data}}


def _terms(event: Happened) -> str:
    to = event.data.get("to") or event.data
    plan, quantity = str(to.get("plan", "")).replace("-", " ").title(), to.get("quantity")
    return f"{plan}, {quantity} seats" if quantity else plan


def said(day: str) -> str:
    """2026-02-01 as people say it: “1 February 2026”; anything else as it is."""
    try:
        return f"{date.fromisoformat(day):%-d %B %Y}"
    except ValueError:
        return day


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}…"

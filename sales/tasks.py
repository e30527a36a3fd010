"""Jobs of sales, one call each. Every job may run late, twice, or on two workers at once."""

from collections.abc import Sequence

from django.utils import timezone

from sales import automating, engagement, handing_over, promises, quoting, watching
from sales.models import Quote


def weigh(numbers: Sequence[int]) -> None:
    """Look for signals in events that were just recorded."""
    watching.weigh(numbers=numbers, now=timezone.now())


def sweep() -> int:
    """Nightly: look at what a dead worker left, and at the target lists."""
    return watching.sweep(now=timezone.now())


def look_past_thresholds() -> int:
    """Every minute: usage that stood exactly at a threshold, and has gone on."""
    return len(watching.look_past_thresholds(now=timezone.now()))


def tell_owners(tasks: Sequence[str]) -> None:
    """Handoff tasks were raised: mail whoever has them."""
    handing_over.tell_owners(tasks=tasks)


def measure_engagement() -> int:
    """Daily: how much each customer uses what it pays for."""
    return engagement.measure(now=timezone.now())


def convert_quote(quote_id: str) -> None:
    """The first phase of an accepted quote has begun."""
    quote = Quote.objects.select_related("customer__test_clock", "subscription").filter(pk=quote_id).first()
    if quote is not None:
        quoting.convert(quote=quote, now=quote.now)


def expire_quotes() -> int:
    """Quotes whose time is up, each on its customer's clock."""
    return quoting.expire(now=timezone.now())


def check_promises() -> int:
    """Nightly: are signed schedules invoiced as they were signed?"""
    return promises.check(now=timezone.now())


def automate() -> int:
    """Every minute: what automations wait for."""
    return automating.look(now=timezone.now())


def automate_daily() -> int:
    """Daily: the automations that look at every customer."""
    return automating.daily(now=timezone.now())


def escalate_approvals() -> int:
    """Approvals that have waited too long go to the directors."""
    return quoting.escalate(now=timezone.now())

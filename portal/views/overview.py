"""The home page: plan, next charge, payment, usage, what waits or needs attention. Six statements at most."""

from dataclasses import dataclass
from datetime import date

from django.http import HttpRequest, HttpResponse

from billing.invoicing import Upcoming
from portal import access, reading, wording
from portal.access import Visit
from portal.reading import Terms


@dataclass(frozen=True, slots=True)
class Running:
    """A subscription's card."""

    terms: Terms
    next: Upcoming
    waiting: list[str]
    seats: str
    free_until: date | None

    @property
    def interval_words(self) -> str:
        return wording.ADVERB[self.terms.interval]

    @property
    def ends_on(self) -> date | None:
        return self.terms.subscription.end_on


@access.page("overview")
def overview(request: HttpRequest, visit: Visit) -> HttpResponse:
    found = reading.terms(visit)
    facts = reading.home(visit)
    coming = reading.upcoming(visit, found, facts.rates)
    running = [_running(one, coming[one.subscription.pk]) for one in found]
    context = {
        "running": running, "home": facts, "usage": reading.usage(visit, found),
        "needs_card": any(not one.by_invoice for one in found) and facts.card is None,
        "by_invoice": any(one.by_invoice for one in found),
    }  # fmt: skip
    return access.show(request, visit, "portal/overview.html", context)


def _running(one: Terms, coming: Upcoming) -> Running:
    seats = "" if one.seats is None else f"{one.seats.normalize():f}"
    return Running(
        one,
        coming,
        wording.waiting(one),
        seats,
        one.running.end_on if one.running.free and not one.paused else None,
    )

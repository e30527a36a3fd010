"""Quotes that wait for an answer, and those that had one."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from portal import access
from portal.access import Visit
from sales.models import Quote

SEEN = (*Quote.OUT, "accepted", "converted", "declined", "expired")


@access.page("quotes")
def quotes(request: HttpRequest, visit: Visit) -> HttpResponse:
    once = Q(option__in=Quote.FIRST) | Q(state__in=["accepted", "converted"])
    rows = visit.customer.quotes.filter(once, state__in=SEEN, sent_at__isnull=False)
    found = list(rows.select_related("plan", "owner").order_by("-sent_at")[:50])
    context = {
        "waiting": [q for q in found if q.standing_at(visit.now) in Quote.OUT],
        "answered": [q for q in found if q.standing_at(visit.now) not in Quote.OUT],
    }
    return access.show(request, visit, "portal/quotes.html", context)

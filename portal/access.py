"""Who is here, for which customer, and what they may do. Every view of the portal comes in through `page`.

Two ways in: a member who signed in, and a link that the seller's product made for one customer. Staff are
nobody here unless they are members. What belongs to another customer does not exist: 404, never 403.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Exists, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.maths.periods import local_date
from billing.models import ApiKey, Customer, Member, PortalLink, Seller
from sales.models import Quote
from sales.models.quotes import open_at

KEY = "portal"
LINK_LASTS = timedelta(hours=8)
READS = ("GET", "HEAD")
# What the seller's product calls a part of the portal, where our menu has another word.
LINK_WORDS = {"support": "help"}
SELLER = ("name", "legal_name", "address", "email", "currency", "timezone", "net_days", "upgrade_alert_delta",
          "customers_may_pause", "downgrades_at_once", "terms_url", "privacy_url", "logo_hash", "logo_tone")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody in one customer's portal. `sections` limits what a link opens; None: everything."""

    customer: Customer
    seller: Seller
    role: str
    actor: str
    member: Member | None
    sections: frozenset[str] | None
    return_url: str
    choices: int
    quotes_waiting: int
    now: datetime

    @property
    def manages(self) -> bool:
        """May change things: plan, payment, team."""
        return self.role in (Member.Role.OWNER, Member.Role.BILLING)

    @property
    def owns(self) -> bool:
        """May also make and unmake owners."""
        return self.role == Member.Role.OWNER

    def sees(self, section: str) -> bool:
        return self.sections is None or section in self.sections or section == "overview"


type View = Callable[Concatenate[HttpRequest, Visit, ...], HttpResponseBase]


def page(
    section: str, *, methods: Sequence[str] = READS
) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """The one door: signed in, a member of a customer, a part that is open to them, and allowed to write. Who opens the
    address of a button (after an error, or from a list of addresses) is told so and led on."""

    def around(view: View) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def inside(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            visit = visit_of(request)
            if not isinstance(visit, Visit):
                return visit
            if not visit.sees(section):
                raise Http404
            if request.method in READS and request.method not in methods:
                return HttpResponseNotAllowed(methods, render_to_string("405.html", request=request))
            if request.method not in READS and not visit.manages:
                raise PermissionDenied
            return view(request, visit, **kwargs)

        return never_cache(require_http_methods([*READS, *methods])(inside))

    return around


# -- Who is here -----------------------------------------------------------------------------------------


def visit_of(request: HttpRequest) -> Visit | HttpResponse:
    """The visit, or the page that leads to one."""
    chosen = request.session.get(KEY, {})
    if "until" in chosen:
        return _by_link(request, chosen)
    if not request.user.is_authenticated:
        return _sign_in(request)
    return _as_member(request, chosen.get("customer", ""))


class ToChoose(HttpResponseRedirect):
    """To where somebody with several customers says which one this is about; `back`: where they wanted to."""

    def __init__(self, back: str = "") -> None:
        super().__init__(reverse("portal:choose") + (f"?{urlencode({'next': back})}" if back else ""))


def buyer_of(request: HttpRequest, back: str) -> tuple[Customer | None, str] | HttpResponse:
    """Whom somebody who begins a checkout buys for (`settings.CHECKOUT_BUYER`): the customer whose plan they may change
    here, and where another one is chosen ("" where there is none). Who has several and has not said for which is asked
    first. Both ways lead `back`."""
    visit = visit_of(request)
    if isinstance(visit, ToChoose):
        return ToChoose(back)
    if isinstance(visit, Visit) and visit.manages and visit.sees("plan"):
        return visit.customer, ToChoose(back).url if visit.choices > 1 else ""
    return None, ""


def _sign_in(request: HttpRequest) -> HttpResponse:
    wanted = request.get_full_path() if request.method in READS else reverse("portal:overview")
    return redirect(f"{reverse('account_login')}?{urlencode({'next': wanted})}")


def _by_link(request: HttpRequest, chosen: dict[str, Any]) -> Visit | HttpResponse:
    until = parse_datetime(chosen["until"])
    row = None
    if until and until > timezone.now():
        rows = Customer.objects.filter(~_revoked(chosen["actor"]), pk=chosen["customer"])
        row = _described(rows, "pk").first()
    if row is None:
        leave(request)
        return render(
            request, "portal/link_over.html", {"return_url": chosen.get("return_url", "")}, status=403
        )
    sections = frozenset(LINK_WORDS.get(name, name) for name in chosen["sections"])
    return Visit(
        customer=row, seller=Seller(pk=1, **row.seller_facts), role=Member.Role.BILLING,
        actor=chosen["actor"],
        member=None, sections=sections or None, return_url=chosen.get("return_url", ""), choices=1,
        quotes_waiting=row.quotes_waiting, now=row.now,
    )  # fmt: skip


def _revoked(actor: str) -> Exists:
    """Was the key taken away with which the link was made?"""
    prefix = actor.removeprefix("key:")
    return Exists(ApiKey.objects.filter(prefix=prefix, revoked_at__isnull=False))


def _as_member(request: HttpRequest, chosen: str) -> Visit | HttpResponse:
    rows = list(_described(memberships(request), "customer"))
    if not rows:
        return render(request, "portal/no_customer.html", status=403)
    found = next((row for row in rows if row.customer_id == chosen), None)
    if found is None and (part := _part(rows, chosen)) is not None:
        return part
    if found is None and len(rows) > 1:
        return ToChoose()
    found = found or rows[0]
    return Visit(
        customer=found.customer, seller=Seller(pk=1, **found.seller_facts), role=found.role,
        actor=f"member:{found.pk}", member=found, sections=None, return_url="", choices=_choices(rows),
        quotes_waiting=found.quotes_waiting, now=found.customer.now,
    )  # fmt: skip


# An account that became a part of another has no team of its own.
OF_A_PART = frozenset({"plan", "usage", "invoices", "payment", "details", "quotes", "help"})


def _part(members: Sequence[Member], chosen: str) -> Visit | None:
    """In an account that became a part of one that the person belongs to, with the role they have there."""
    there = {member.customer_id: member for member in members if member.parts}  # type: ignore[attr-defined]
    rows = Customer.objects.filter(pk=chosen, merged_into__in=there) if chosen and there else None
    row = _described(rows, "pk").first() if rows is not None else None
    if row is None:
        return None
    member = there[row.merged_into_id]
    return Visit(
        customer=row, seller=Seller(pk=1, **row.seller_facts), role=member.role, actor=f"member:{member.pk}",
        member=member, sections=OF_A_PART, return_url="", choices=_choices(members),
        quotes_waiting=row.quotes_waiting, now=row.now,
    )  # fmt: skip


def _choices(members: Sequence[Member]) -> int:
    return sum(1 + member.parts for member in members)  # type: ignore[attr-defined]


def accounts(request: HttpRequest) -> list[Customer]:
    """The customers that the signed-in person may look after: theirs, oldest first, each followed by its parts."""
    mine = [member.customer for member in memberships(request)]
    parts = Customer.objects.filter(merged_into__in=mine).order_by("merged_at", "pk")
    return [
        each for one in mine for each in [one, *(part for part in parts if part.merged_into_id == one.pk)]
    ]


def memberships(request: HttpRequest) -> QuerySet[Member]:
    """The customers that the signed-in person belongs to, oldest first."""
    rows = Member.objects.filter(user=request.user.pk, removed_at__isnull=True)
    return rows.select_related("customer").order_by("added_at", "pk")


def _described(rows: QuerySet[Any], customer: str) -> QuerySet[Any]:
    """With what every page shows, in the same statement: the clock, the seller, how many quotes wait."""
    prefix = "" if customer == "pk" else "customer__"
    sent = Quote.objects.filter(open_at(timezone.now()), option__in=Quote.FIRST)
    out = sent.filter(customer=OuterRef(customer)).order_by()
    waiting = out.values("customer").annotate(n=Count("pk")).values("n")
    seller = Seller.objects.values(facts=JSONObject(**{name: name for name in SELLER}))[:1]
    joined = Customer.objects.filter(merged_into=OuterRef(customer)).order_by().values("merged_into")
    return rows.select_related(f"{prefix}test_clock", f"{prefix}segment", f"{prefix}owner").annotate(
        quotes_waiting=Coalesce(Subquery(waiting), 0), seller_facts=Subquery(seller),
        parts=Coalesce(Subquery(joined.annotate(n=Count("pk")).values("n")), 0),
    )  # fmt: skip


# -- Coming and going ------------------------------------------------------------------------------------


def admit(request: HttpRequest, link: PortalLink) -> None:
    """Let the bearer of a link in: for some hours, to one customer."""
    request.session.cycle_key()
    request.session[KEY] = {
        "customer": link.customer_id, "actor": link.made_by, "sections": list(link.sections),
        "return_url": link.return_url, "until": (timezone.now() + LINK_LASTS).isoformat(),
    }  # fmt: skip


def choose(request: HttpRequest, customer: str) -> None:
    request.session[KEY] = {"customer": customer}


def leave(request: HttpRequest) -> None:
    request.session.pop(KEY, None)


# -- What is there ---------------------------------------------------------------------------------------


def own[Row: Model](rows: QuerySet[Row], pk: str) -> Row:
    """The row with this id among those that the visitor may see, or 404. `rows` is already the customer's."""
    try:
        found = rows.filter(pk=pk).first()
    except ValidationError:
        found = None
    if found is None:
        raise Http404
    return found


def show(
    request: HttpRequest,
    visit: Visit,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    """A page of the portal with what its frame needs."""
    frame = {
        "visit": visit, "customer": visit.customer, "member": visit.member, "seller": visit.seller,
        "quotes_waiting": visit.quotes_waiting, "today": local_date(visit.now, visit.customer.timezone),
    }  # fmt: skip
    return render(request, template, {**frame, **(context or {})}, status=status)

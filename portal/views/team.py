"""The people who may come in: invited, given a role, removed."""

from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from billing import customers
from billing.models import Member
from billing.refusals import Refused
from portal import access, reading
from portal.access import Visit
from portal.forms import InviteForm, refuse, roles
from portal.reading import Terms


def _mine(visit: Visit) -> QuerySet[Member]:
    rows = Member.objects.filter(customer=visit.customer, removed_at__isnull=True)
    return rows.select_related("user").order_by("added_at", "pk")


@access.page("team", methods=["GET", "HEAD", "POST"])
def team(request: HttpRequest, visit: Visit) -> HttpResponse:
    form = InviteForm(request.POST if request.method == "POST" else None, owns=visit.owns)
    if request.method == "POST" and form.is_valid() and _invited(request, visit, form):
        return redirect("portal:team")
    people = list(_mine(visit))
    found = reading.terms(visit)
    limits = [limit for limit in reading.limits({t.plan.pk for t in found}).values() if limit is not None]
    seats = sum(int(t.seats or 0) for t in found)
    context = {
        "more_seats": _more_seats(found, len(people)) if seats and len(people) > seats else "",
        "form": form, "people": people, "roles": roles(visit.owns), "limit": max(limits, default=None),
        "seats": seats,
    }  # fmt: skip
    return access.show(request, visit, "portal/team.html", context, status=422 if form.errors else 200)


def _more_seats(found: list[Terms], people: int) -> str:
    """The page that shows what it costs to have as many seats as people. Nothing is bought by looking."""
    one = next((t for t in found if t.seats is not None), None)
    if one is None or one.with_sales or len(found) > 1:
        return ""
    wish = {"plan": one.plan.code, "interval": one.interval, "quantity": str(people)}
    return f"{reverse('portal:change', args=[one.subscription.pk])}?{urlencode(wish)}#preview"


def _invited(request: HttpRequest, visit: Visit, form: InviteForm) -> bool:
    try:
        member = customers.add_member(
            customer=visit.customer, **form.cleaned_data, now=visit.now, actor=visit.actor
        )
    except Refused as refusal:
        refuse(form, refusal)
        return False
    messages.success(request, f"{member.user.email} now has access. A mail with the way in is on its way.")
    return True


@access.page("team", methods=["POST"])
def role(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    member = access.own(_mine(visit), pk)
    wanted = request.POST.get("role", "")
    _only_owners_touch_owners(visit, member, wanted)
    try:
        customers.change_role(member=member, role=wanted, now=visit.now, actor=visit.actor)
        messages.success(request, f"{member.user} is now {member.get_role_display().lower()}.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:team")


@access.page("team", methods=["POST"])
def remove(request: HttpRequest, visit: Visit, pk: str) -> HttpResponse:
    member = access.own(_mine(visit), pk)
    _only_owners_touch_owners(visit, member, "")
    try:
        customers.remove_member(member=member, now=visit.now, actor=visit.actor)
        messages.success(request, f"{member.user} no longer has access.")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("portal:team" if member != visit.member else "portal:overview")


def _only_owners_touch_owners(visit: Visit, member: Member, wanted: str) -> None:
    if not visit.owns and Member.Role.OWNER in (member.role, wanted):
        raise PermissionDenied

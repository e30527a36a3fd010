"""Ways in and out: a link of the seller's product, and which of several customers."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from billing import portal_links
from portal import access

PLACES = {"support": "portal:help"}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """Looking at the link spends nothing, so that mail scanners do not use it up; the button does."""
    now = timezone.now()
    try:
        if request.method != "POST":
            link = portal_links.find(token, now=now)
            return _outside(render(request, "portal/enter.html", {"link": link}))
        link = portal_links.redeem(token, now=now)
    except portal_links.LinkSpent as refusal:
        return _outside(render(request, "portal/link_over.html", {"refusal": refusal}, status=410))
    access.admit(request, link)
    first = link.sections[0] if len(link.sections) == 1 else "overview"
    return redirect(PLACES.get(first, f"portal:{first}"))


def _outside(response: HttpResponse) -> HttpResponse:
    """The address is a secret: it goes to nobody as a referrer."""
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponse:
    """A member of several customers says which one this is about, and goes on to `next`, an address of ours."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    wanted_next = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(wanted_next, allowed_hosts=None)
    accounts = access.accounts(request)
    if request.method == "POST":
        wanted = request.POST.get("customer", "")
        if wanted not in {each.pk for each in accounts}:
            raise Http404
        access.choose(request, wanted)
        return redirect(wanted_next if ours else "portal:overview")
    return render(request, "portal/choose.html", {"accounts": accounts, "goes_on": ours})


@never_cache
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Somebody who came by a link is done; back to where the link came from."""
    back = request.session.get(access.KEY, {}).get("return_url", "")
    access.leave(request)
    return redirect(back or "/")

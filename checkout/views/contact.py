"""`/contact-sales/`: somebody wants to talk to a person first."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.models import Plan
from billing.refusals import Refused
from checkout import limits
from checkout.forms import ContactForm
from checkout.views.common import slow_down, told_to_wait
from sales import leads

IN_TEN_MINUTES = 5


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contact(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        form = ContactForm(
            initial={"plan": request.GET.get("plan", ""), "demo_wanted": "demo" in request.GET}
        )
        return _page(request, form, 200)
    form = ContactForm(request.POST)
    if form.by_a_program:
        return redirect("checkout:contact_thanks")
    if not form.is_valid():
        return _page(request, form, 422)
    try:
        slow_down(request, "contact-sales", limit=IN_TEN_MINUTES)
        leads.contact(**_asked(form.cleaned_data), source="contact_form", now=timezone.now(), actor="buyer")
    except limits.TooOften as refusal:
        form.add_error(None, refusal.message)
        return told_to_wait(_page(request, form, 429), refusal)
    except Refused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return _page(request, form, 422)
    return redirect("checkout:contact_thanks")


def _asked(data: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "email", "company", "employees", "country", "state", "need", "demo_wanted")
    known = Plan.objects.filter(code=data["plan"], published=True).exists() if data["plan"] else False
    return {**{name: data[name] for name in names}, "plan": data["plan"] if known else ""}


def _page(request: HttpRequest, form: ContactForm, status: int) -> HttpResponse:
    code = str(form["plan"].value() or "")
    plan = Plan.objects.filter(code=code, published=True).first() if code.isprintable() else None
    return render(request, "checkout/contact.html", {"form": form, "plan": plan}, status=status)


@require_safe
def thanks(request: HttpRequest) -> HttpResponse:
    return render(request, "checkout/contact_thanks.html")

"""The try-out of the rules: what one would find if it were set otherwise. Questions only, so a GET; nothing is stored."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from billing.models import Customer
from sales import trying
from sales.models import Rule, Weight

SHOWN = 50
CHOICES = 8


class WhoForm(forms.Form):
    """A customer, found by name, e-mail or id; nothing is everybody."""

    customer = forms.CharField(
        max_length=200, required=False, help_text="Name, e-mail or id. Empty: everybody.",
        widget=forms.TextInput({"dir": "auto", "autocomplete": "off"}),
    )  # fmt: skip

    def clean_customer(self) -> Customer | None:
        asked = self.cleaned_data["customer"].strip()
        if not asked:
            return None
        rows = Customer.objects.select_related("test_clock")
        exact = rows.filter(Q(pk=asked) if _is_id(asked) else Q(email__iexact=asked) | Q(name__iexact=asked))
        found = list(exact[:2]) or list(rows.filter(name__icontains=asked).order_by("name")[: CHOICES + 1])
        if len(found) == 1:
            return found[0]
        raise forms.ValidationError(_several(found) if found else "No customer is called this.")


def _is_id(asked: str) -> bool:
    try:
        Customer._meta.pk.to_python(asked)
    except (ValidationError, ValueError):
        return False
    return asked.startswith("cus_")


def _several(found: list[Customer]) -> str:
    names = ", ".join(f"{row.name} ({row.email})" for row in found[:CHOICES])
    return f"More than one: {names}{' …' if len(found) > CHOICES else ''}. Type the e-mail of one."


class TryForm(WhoForm):
    """What may be tried of a rule: as many of the three as it looks at."""

    threshold = forms.DecimalField(
        min_value=0, max_digits=14, decimal_places=2, widget=forms.NumberInput({"step": "any"})
    )
    window_days = forms.IntegerField(label="Window, in days", min_value=0, max_value=3660)
    weight = forms.ChoiceField(choices=Weight.choices)

    def __init__(self, asked: Mapping[str, Any], *, rule: Rule) -> None:
        """Asked for nothing, it is tried as it is set."""
        super().__init__(
            asked if "weight" in asked else {**_set(rule), "customer": asked.get("customer", "")}
        )
        self.rule = rule
        self.fields["threshold"].help_text = rule.unit
        for name in ("threshold", "window_days"):
            if getattr(rule, name) is None:
                del self.fields[name]

    @property
    def tried(self) -> Rule:
        """The rule as it was typed; never saved."""
        row = copy(self.rule)
        for name in ("threshold", "window_days", "weight"):
            if name in self.cleaned_data:
                setattr(row, name, self.cleaned_data[name])
        return row


def _set(rule: Rule) -> dict[str, Any]:
    threshold = rule.threshold
    return {
        "threshold": None if threshold is None else f"{threshold.normalize():f}",
        "window_days": rule.window_days,
        "weight": rule.weight,
    }


def one(request: HttpRequest, rule_id: str) -> HttpResponse:
    """A rule: as it is set beside as it is tried."""
    rule = Rule.objects.filter(pk=rule_id).first() if rule_id.isdigit() and len(rule_id) < 10 else None
    if rule is None:
        raise Http404
    form = TryForm(request.GET, rule=rule)
    judged = _judged(form, rule) if form.is_valid() else {}
    return _page(request, "rule_try", form, {"rule": rule, **judged})


def _judged(form: TryForm, rule: Rule) -> dict[str, Any]:
    now, customer, tried = timezone.now(), form.cleaned_data["customer"], form.tried
    past = trying.look_back(codes=[rule.code], now=now, customer=customer)
    before, after = trying.replay(past=past, rows=[rule, tried])
    return {
        "customer": customer, "past": past, "before": before, "after": after, "shown": SHOWN,
        "newly": after.without(before), "gone": before.without(after),
        "deaf": _deaf(tried), **(_today(customer, rule, tried, now) if customer else {}),
    }  # fmt: skip


def _today(customer: Customer, stored: Rule, tried: Rule, now: Any) -> dict[str, Any]:
    standing = trying.stand(customer=customer, codes=[stored.code], now=now)
    was, would = trying.add_up(standing=standing, stored=stored, tried=tried)
    return {"today": trying.today(standing=standing, rule=tried), "was": was, "would": would}


def _deaf(tried: Rule) -> str:
    """What no replay can tell: below its own thresholds billing says nothing."""
    least = min(settings.USAGE_THRESHOLDS)
    if tried.code != "usage_near_limit" or (tried.threshold or 0) >= least:
        return ""
    return f"Billing tells of usage from {least} % of a limit on: below that, this rule hears nothing."


def every(request: HttpRequest) -> HttpResponse:
    """All rules, as they are set: what each would say of a customer today, and found in the last 90 days."""
    form = WhoForm(request.GET if "customer" in request.GET else None)
    if form.is_bound and not form.is_valid():
        return _page(request, "rules_try", form, {})
    customer, now = form.cleaned_data["customer"] if form.is_bound else None, timezone.now()
    rows = list(Rule.objects.all())
    codes = [rule.code for rule in rows]
    past = trying.look_back(codes=codes, now=now, customer=customer)
    standing = trying.stand(customer=customer, codes=codes, now=now) if customer else None
    judged = [
        (rule, trying.today(standing=standing, rule=rule) if standing else None, replayed)
        for rule, replayed in zip(rows, trying.replay(past=past, rows=rows), strict=True)
    ]
    return _page(request, "rules_try", form, {"judged": judged, "customer": customer, "past": past})


def _page(request: HttpRequest, template: str, form: forms.Form, context: dict[str, Any]) -> HttpResponse:
    own = {**admin.site.each_context(request), "title": "Try the rules", "opts": Rule._meta, "form": form}
    status = 422 if form.errors else 200
    return TemplateResponse(request, f"admin/tandem/{template}.html", {**own, **context}, status=status)

"""What a plan's prices come to for any quantity, tier by tier, and who still pays a price that is no longer sold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from billing import repricing
from billing.admin.base import Careful, staff
from billing.maths import pricing
from billing.maths.money import round_ratio
from billing.models import Plan, Price, Subscription
from billing.moves import IllegalMove, StaleMove
from billing.refusals import Refused

PER_PAGE = 100


class QuantityForm(forms.Form):
    quantity = forms.DecimalField(
        label="How many", min_value=0, max_digits=24, decimal_places=12,
        widget=forms.NumberInput({"step": "any"}), help_text="Units of each price in one period",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tier:
    """A row of the preview, in words that need no arithmetic; `amount` in minor units."""

    start: Decimal
    end: Decimal | None
    quantity: Decimal
    unit_amount: Decimal
    flat_amount: Decimal
    amount: int


@dataclass(frozen=True, slots=True)
class Preview:
    """One period of a price; `total` in minor units. `limit`: that it is a minimum or a maximum."""

    price: Price
    tiers: Sequence[Tier]
    total: int
    limit: str = ""


def previews(plan: Plan, quantity: Decimal) -> Iterator[Preview]:
    """What each price that is sold comes to for the quantity: the rating of invoices, rounded once."""
    for price in plan.prices.filter(active=True).order_by("currency", "kind", "interval", "code"):
        value = price.value
        units = Decimal(1) if price.model == "flat" else quantity
        total = round_ratio(pricing.amount(value, units))
        free = round_ratio(Fraction(*pricing.unlimited_ratio(value, units)))
        limit = "" if total == free else "minimum" if total > free else "maximum"
        yield Preview(price, [_tier(row) for row in pricing.explain(value, units)], total, limit)


def _tier(row: pricing.TierRow) -> Tier:
    units = Decimal(row.quantity.numerator) / Decimal(row.quantity.denominator)
    return Tier(row.start, row.end, units, row.unit_amount, row.flat_amount, round_ratio(row.amount))


class PriceList(Careful):
    """A plan's page of prices, beside its form."""

    change_form_template = "admin/billing/plan_form.html"

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.price_list)
        return [path("<path:object_id>/prices/", page, name="billing_plan_prices"), *super().get_urls()]

    def price_list(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A GET, so that a quantity can be sent to a colleague; a POST moves who was ticked."""
        plan = self.get_object(request, unquote(object_id))
        if plan is None:
            raise Http404
        if not self.has_view_permission(request, plan):
            raise PermissionDenied
        if request.method == "POST":
            return self._move(request, plan)
        return self._shown(request, plan)

    def _shown(self, request: HttpRequest, plan: Plan) -> HttpResponse:
        form = QuantityForm(request.GET if "quantity" in request.GET else {"quantity": "10"})
        found = list(previews(plan, form.cleaned_data["quantity"])) if form.is_valid() else []
        old = repricing.on_old_prices(plan)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request), "title": f"Prices of {plan}", "opts": self.model._meta,
            "plan": plan, "form": form, "previews": found, "old": old[:PER_PAGE], "more": len(old[PER_PAGE:]),
            "may_move": self.has_change_permission(request, plan),
        }  # fmt: skip
        return TemplateResponse(
            request, "admin/tandem/plan_prices.html", context, status=422 if form.errors else 200
        )

    def _move(self, request: HttpRequest, plan: Plan) -> HttpResponse:
        if not self.has_change_permission(request, plan):
            raise PermissionDenied
        ticked = request.POST.getlist("subscription")[:PER_PAGE]
        mine = {old.subscription.pk: old.subscription for old in repricing.on_old_prices(plan)}
        rows = [mine[key] for key in dict.fromkeys(ticked) if key in mine]
        moved = sum(self._moved(request, row) for row in rows)
        if moved:
            words = "1 subscription moves" if moved == 1 else f"{moved} subscriptions move"
            messages.success(request, f"{words} to today's prices with the next period.")
        elif not rows:
            messages.error(request, "Tick who is to move.")
        return redirect(request.get_full_path())

    def _moved(self, request: HttpRequest, row: Subscription) -> bool:
        """Each by itself: one that cannot be moved keeps no other back."""
        try:
            repricing.move(subscription=row, now=row.customer.now, actor=staff(request))
        except (Refused, IllegalMove, StaleMove) as refusal:
            messages.error(request, f"{row.customer}: {refusal}")
            return False
        return True

"""A rep sends a checkout link: the form, and the links that anybody may put on a page of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html

from billing.models import Customer, Plan
from checkout import wording
from checkout.sessions import INTERVALS


class LinkForm(forms.Form):
    """What is offered to whom. Bounds that need the catalogue are checked by `sessions.start`, which names the field."""

    email = forms.EmailField(label="Buyer's e-mail", max_length=320)
    plan = forms.ModelChoiceField(Plan.objects.none(), to_field_name="code", empty_label=None)
    interval = forms.ChoiceField(
        label="Billed", choices=[(i, wording.ADVERB[i].capitalize()) for i in INTERVALS]
    )
    quantity = forms.IntegerField(label="Seats", min_value=1, max_value=1_000_000, initial=1)
    currency = forms.CharField(max_length=3, min_length=3, initial="USD")
    trial_days = forms.IntegerField(
        label="Trial days", min_value=0, max_value=730, required=False, help_text="Empty: as the plan says."
    )
    without_card = forms.BooleanField(label="The trial begins without a card", required=False)
    unlock = forms.BooleanField(
        label="Let this buyer pay by card whatever the routing rules say", required=False
    )
    message = forms.CharField(
        label="A few words of yours", max_length=2000, required=False, widget=forms.Textarea({"rows": 4})
    )

    def __init__(self, *args: Any, customer: Customer | None, may_unlock: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].queryset = Plan.objects.filter(  # type: ignore[attr-defined]
            published=True, archived_at=None, quote_only=False
        )
        if customer is not None:
            del self.fields["email"], self.fields["currency"]
        if not may_unlock:
            del self.fields["unlock"]

    def wishes(self) -> dict[str, Any]:
        """As `sessions.send` takes them."""
        data = self.cleaned_data
        plain = ("email", "interval", "quantity", "currency", "trial_days", "message")
        chosen = {name: data[name] for name in plain if name in data}
        return {**chosen, "plan": data["plan"].code, "needs_card": False if data["without_card"] else None}


@dataclass(frozen=True, slots=True)
class Link:
    """An address that opens a checkout of one plan, and a button with it to paste into a page."""

    label: str
    url: str
    html: str


def links() -> Iterator[Link]:
    """One for each plan that can be bought alone and each interval it has a price for."""
    plans = Plan.objects.filter(published=True, archived_at=None, quote_only=False, requires_demo=False)
    for plan in plans.prefetch_related("prices"):
        sold = {p.interval for p in plan.prices.all() if p.active and p.kind == "recurring"}
        for interval in (name for name in INTERVALS if name in sold and plan.self_serve):
            yield _link(plan, interval)


def _link(plan: Plan, interval: str) -> Link:
    query = urlencode({"plan": plan.code, "interval": interval})
    url = f"{settings.SITE_URL}{reverse('checkout:start')}?{query}"
    label = f"{plan.name}, {wording.ADVERB[interval]}"
    return Link(label, url, format_html('<a href="{}">Buy {}</a>', url, plan.name))

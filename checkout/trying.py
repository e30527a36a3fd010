"""The try-out box of routing: which way would this buyer go, and why? Nothing is stored."""

from typing import Any

from django import forms

from billing import typed
from billing.models import Plan
from billing.refusals import Refused
from checkout import judging, routing
from checkout.models import Outcome, RoutingRule


class TryForm(forms.Form):
    """What is known of a buyer; all of it optional, as in a checkout that has just been opened."""

    employees = forms.IntegerField(
        label="People in the company", min_value=0, max_value=10_000_000, required=False
    )
    seats = forms.IntegerField(label="Seats", min_value=1, max_value=1_000_000, required=False)
    plan = forms.ModelChoiceField(
        Plan.objects.none(), to_field_name="code", required=False, empty_label="Any plan"
    )
    country = forms.CharField(
        label="Country", max_length=2, required=False, help_text="Two letters, such as DE"
    )
    industry = forms.CharField(label="Industry", max_length=80, required=False)
    email = forms.CharField(label="E-mail", max_length=254, required=False, help_text="Its domain counts")
    need = forms.CharField(label="What they need", max_length=500, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["plan"].queryset = Plan.objects.filter(archived_at=None)  # type: ignore[attr-defined]

    def clean_country(self) -> str:
        return self._typed(typed.country, "country")

    def clean_email(self) -> str:
        return self._typed(typed.email, "email") if self.cleaned_data["email"] else ""

    def _typed(self, clean: Any, name: str) -> str:
        try:
            return str(clean(self.cleaned_data[name]))
        except Refused as refusal:
            raise forms.ValidationError(refusal.message) from refusal

    @property
    def inputs(self) -> routing.Inputs:
        """The answers as a checkout would tell them."""
        data = self.cleaned_data
        return routing.Inputs(
            employees=data["employees"],
            seats=data["seats"],
            country=data["country"],
            industry=data["industry"],
            plan=data["plan"].code if data["plan"] else "",
            need=data["need"],
            domain=typed.business_domain(data["email"]) if data["email"] else "",
        )


def tried(inputs: routing.Inputs) -> dict[str, Any]:
    """Where the buyer goes (`way`), by which `decision`, and what each rule said."""
    rules = judging.rules(RoutingRule.objects.filter(active=True))
    decision = routing.decide(rules, inputs)
    return {
        "decision": decision,
        "way": Outcome(decision.outcome).label,
        "verdicts": routing.verdicts(rules, inputs),
    }

"""What customers fill in. Billing's and sales' own verbs judge it; what was typed stays in the form."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing import typed
from billing.models import Customer, Member
from billing.refusals import Refused

ROLES = [
    ("viewer", _("Viewer")),
    ("billing", _("Billing")),
    ("owner", _("Owner")),
]


def refuse(form: forms.Form, refusal: Refused) -> None:
    """Put a refusal to the field that it names (`billing_address.city` is `city` here), else to the form."""
    name = (refusal.field or "").rpartition(".")[2]
    form.add_error(name if name in form.fields else None, refusal.message)


class InviteForm(forms.Form):
    email = forms.CharField(
        label=_("E-mail"), max_length=320,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "inputmode": "email"}),
        error_messages={"required": _("Enter the e-mail address of the person.")},
    )  # fmt: skip
    name = forms.CharField(
        label=_("Name"), max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(
        label=_("Role"),
        initial="viewer",
        help_text=_("Viewers look on. Billing manages plan, payment and team. Owners also choose owners."),
    )

    def __init__(self, *args: Any, owns: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles(owns)  # type: ignore[attr-defined]


def roles(owns: bool) -> list[tuple[str, Any]]:
    """The roles that somebody may give: only owners make owners."""
    return [(value, label) for value, label in ROLES if owns or value != Member.Role.OWNER]


class ChangeForm(forms.Form):
    """Plan, interval and seats of a subscription."""

    plan = forms.ChoiceField(label=_("Plan"), widget=forms.RadioSelect)
    interval = forms.ChoiceField(label=_("Billing"), widget=forms.RadioSelect)
    quantity = forms.RegexField(
        regex=r"^[0-9]{1,7}$", label=_("Seats"), required=False, widget=forms.NumberInput,
        error_messages={"invalid": _("Enter a whole number.")},
    )  # fmt: skip

    def __init__(
        self, *args: Any, plans: list[tuple[str, str]], intervals: list[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].choices = plans  # type: ignore[attr-defined]
        self.fields["interval"].choices = intervals  # type: ignore[attr-defined]
        self.fields["quantity"].widget.attrs.update({"min": 1, "max": 1_000_000, "inputmode": "numeric"})


def country_choices() -> list[tuple[str, Any]]:
    return [("", _("Choose a country")), *typed.countries().items()]


def _line(label: Any, limit: int, autocomplete: str, *, required: bool = False) -> forms.CharField:
    attrs = {"autocomplete": autocomplete, "maxlength": limit * 2}
    return forms.CharField(label=label, required=required, widget=forms.TextInput(attrs=attrs))


class DetailsForm(forms.Form):
    """What invoices say about the customer."""

    name = _line(_("Company"), 200, "organization", required=True)
    email = forms.CharField(
        label=_("E-mail for invoices"), max_length=320,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )  # fmt: skip
    line1 = _line(_("Address"), 200, "address-line1")
    line2 = _line(_("Address, second line"), 200, "address-line2")
    postal_code = _line(_("Postal code"), 20, "postal-code")
    city = _line(_("City"), 100, "address-level2")
    state = _line(_("State or region"), 100, "address-level1")
    country = forms.ChoiceField(
        label=_("Country"), choices=country_choices, widget=forms.Select(attrs={"autocomplete": "country"}),
        error_messages={"required": _("Choose a country: the tax depends on it.")},
    )  # fmt: skip
    tax_id = _line(_("Tax number"), 40, "off")
    consolidate_invoices = forms.BooleanField(
        label=_("One invoice for all plans that are due on the same day"), required=False,
        help_text=_("As far as they are paid in the same way, with the same terms and order number."),
    )  # fmt: skip

    @staticmethod
    def values_of(customer: Customer) -> dict[str, Any]:
        return {
            **customer.billing_address, "name": customer.name, "email": customer.email,
            "country": customer.country, "tax_id": customer.tax_id,
            "consolidate_invoices": customer.consolidate_invoices,
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Every field is judged, so that all that is wrong is said at once."""
        data = super().clean() or self.cleaned_data
        for name in ("name", "line1", "line2", "postal_code", "city", "state"):
            self._judge(name, lambda value, at=name: typed.text(value, at, limit=200))
        self._judge("email", typed.email)
        if data.get("country"):
            self._judge("tax_id", lambda value: typed.tax_id(value, data["country"]))
        return data

    def _judge(self, name: str, cleaner: Any) -> None:
        if name not in self.cleaned_data:
            return
        try:
            cleaner(self.cleaned_data[name])
        except Refused as refusal:
            self.add_error(name, refusal.message)

    def fields_of_customer(self) -> dict[str, Any]:
        data = self.cleaned_data
        parts = ("line1", "line2", "postal_code", "city", "state", "country")
        address = {part: data[part] for part in parts if data.get(part)}
        kept = {name: data[name] for name in ("name", "email", "country", "tax_id", "consolidate_invoices")}
        return {**kept, "billing_address": address}


class AskForm(forms.Form):
    about = forms.ChoiceField(
        label=_("What is it about?"), widget=forms.RadioSelect,
        choices=[("help", _("Help")), ("demo", _("A demo")), ("quote", _("A quote"))],
        error_messages={"required": _("Choose what it is about.")},
    )  # fmt: skip
    text = forms.CharField(
        label=_("What do you need?"), max_length=4000, required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
    )  # fmt: skip

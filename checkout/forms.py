"""What a buyer fills in. Values are cleaned by `billing.typed`; what was typed stays in the form, right or
wrong."""

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing import customers, typed
from billing.models import Plan
from billing.refusals import Refused
from billing.taxes import EU
from checkout.addresses import AddressForm, form_for

WHOLE_NUMBER = r"[0-9]{1,7}"


class TypedField(forms.CharField):
    """Text that one function of `billing.typed` cleans; its refusal is the field's error."""

    def __init__(self, cleaner: Callable[[str], Any], **options: Any) -> None:
        self.cleaner = cleaner
        super().__init__(**{"strip": False, **options})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            cleaned = self.cleaner(text)
        except Refused as refusal:
            raise forms.ValidationError(refusal.message, code=refusal.code) from refusal
        if self.required and not cleaned:
            raise forms.ValidationError(self.error_messages["required"], code="required")
        return cleaned


def line(limit: int, label: Any, autocomplete: str, **options: Any) -> TypedField:
    """One line of text, at most `limit` characters of it."""
    widget = options.pop("widget", forms.TextInput)(
        attrs={"autocomplete": autocomplete, "maxlength": limit * 2}
    )
    return TypedField(lambda value: typed.text(value, "", limit=limit), label=label, widget=widget, **options)


class WholeNumber(forms.RegexField):
    """Digits 0 to 9 only: other scripts' digits, signs, dots and exponents are refused, not guessed."""

    widget = forms.NumberInput

    def __init__(self, *, least: int, most: int, **options: Any) -> None:
        self.least, self.most = least, most
        message = _("Enter a whole number.")
        super().__init__(regex=rf"^{WHOLE_NUMBER}$", error_messages={"invalid": message}, **options)

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if text == "":
            return None
        if not self.least <= int(text) <= self.most:
            raise forms.ValidationError(
                _("From %(least)s to %(most)s."), params=self._limits(), code="limits"
            )
        return int(text)

    def _limits(self) -> dict[str, Any]:
        return {"least": f"{self.least:,}", "most": f"{self.most:,}"}

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {
            **super().widget_attrs(widget),
            "min": self.least,
            "max": self.most,
            "step": 1,
            "inputmode": "numeric",
        }


def email_field() -> TypedField:
    attrs = {"autocomplete": "email", "inputmode": "email", "maxlength": 320}
    return TypedField(typed.email, label=_("Work e-mail"), widget=forms.EmailInput(attrs=attrs))


def country_choices() -> list[tuple[str, Any]]:
    return [("", _("Choose a country")), *typed.countries().items()]


class CountryField(forms.ChoiceField):
    """One of all countries, which is looked up: Django would walk over them."""

    def valid_value(self, value: Any) -> bool:
        return value in typed.countries()


class Declared(dict[str, forms.Field]):
    """The fields of a form's class. Django copies all of them for each form, which takes longer than reading what was
    typed; only those that a form changes (`own`) need to be."""

    def __init__(self, fields: Mapping[str, forms.Field], own: Collection[str]) -> None:
        super().__init__(fields)
        self.own = own

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, forms.Field]:
        return {name: deepcopy(field, memo) if name in self.own else field for name, field in self.items()}


class CheckoutForm(forms.Form):
    """Everything on the checkout page but the card."""

    interval = forms.ChoiceField(label=_("Billing"), widget=forms.RadioSelect)
    quantity = WholeNumber(label=_("Seats"), least=1, most=1_000_000)
    name = line(200, _("Your name"), "name")
    email = email_field()
    company = line(200, _("Company"), "organization")
    employees = WholeNumber(
        label=_("People in your company"), least=1, most=customers.MAX_EMPLOYEES,
        help_text=_("Larger companies get a person to help them."),
    )  # fmt: skip
    country = CountryField(
        label=_("Country"), choices=country_choices, widget=forms.Select(attrs={"autocomplete": "country"})
    )
    line1 = line(200, _("Address"), "address-line1")
    line2 = line(200, _("Address, second line"), "address-line2", required=False)
    postal_code = line(20, _("Postal code"), "postal-code", required=False)
    city = line(100, _("City"), "address-level2")
    state = line(100, _("State or region"), "address-level1", required=False)
    tax_id = line(40, _("Tax number"), "off", required=False)
    promotion_code = line(60, _("Promotion code"), "off", required=False)
    timezone = forms.CharField(required=False, widget=forms.HiddenInput)
    saved_card = forms.ChoiceField(
        label=_("Pay with"), required=False, widget=forms.RadioSelect,
        error_messages={"invalid_choice": _("This card is not saved any more. Please choose another.")},
    )  # fmt: skip
    payment_method = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    terms = forms.BooleanField(label=_("I agree"))

    def __init__(
        self, *args: Any, plan: Plan, intervals: list[tuple[str, Any]], cards: list[tuple[str, Any]], seats: bool,
        most: int, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(*args, **kwargs)
        self.plan = plan
        self.fields["interval"].choices = intervals  # type: ignore[attr-defined]
        self.fields["quantity"].most = most  # type: ignore[attr-defined]
        self.fields["quantity"].widget.attrs["max"] = most
        self.fields["saved_card"].choices = cards  # type: ignore[attr-defined]
        if not seats:
            del self.fields["quantity"]
        if not cards:
            del self.fields["saved_card"]
        self.address = self._in_words_of(self._chosen_country())

    def _chosen_country(self) -> str:
        value = self.data.get("country") if self.is_bound else self.initial.get("country")
        return value if value in typed.countries() else ""

    def _in_words_of(self, country: str) -> AddressForm:
        """Labels and needs of the country that is chosen at present."""
        parts = form_for(country, in_eu=country in EU)
        self.fields["city"].label = parts.city
        self.fields["state"].label, self.fields["state"].required = parts.region, parts.region_needed
        self.fields["postal_code"].label = parts.postal_code
        self.fields["postal_code"].required = parts.postal_code_needed
        self.fields["tax_id"].label = parts.tax_id
        for name, label in (("state", parts.region), ("postal_code", parts.postal_code)):
            if not label:
                self.fields[name].widget = forms.HiddenInput()
        return parts

    def clean_timezone(self) -> str:
        """The browser's guess; a wrong one is nobody's fault."""
        try:
            return typed.timezone(self.cleaned_data["timezone"])
        except Refused:
            return ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.address.region:
            data["state"] = ""
        if not self.address.postal_code:
            data["postal_code"] = ""
        if "tax_id" in data and "country" in data:
            try:
                data["tax_id"] = typed.tax_id(data["tax_id"], data["country"])
            except Refused as refusal:
                self.add_error("tax_id", refusal.message)
        return data


# What a form changes, by plan, customer and country.
CHANGED = ("interval", "quantity", "saved_card", "city", "state", "postal_code", "tax_id")
CheckoutForm.base_fields = Declared(CheckoutForm.base_fields, own=CHANGED)  # type: ignore[misc]

# What the session keeps of the form, as typed; a card's token and a tick are not for keeping.
KEPT = tuple(name for name in CheckoutForm.base_fields if name not in ("payment_method", "terms"))
LONGEST = 500


def as_typed(form: CheckoutForm) -> dict[str, str]:
    """The form's texts as they were typed, whatever is wrong with them; cut where no field is that long."""
    given = {name: str(form.data.get(name, "")) for name in KEPT if name in form.fields and name in form.data}
    return {name: value.replace("\x00", "")[:LONGEST] for name, value in given.items()}


class ContactForm(forms.Form):
    """Somebody wants to talk to a person."""

    name = line(200, _("Your name"), "name")
    email = email_field()
    company = line(200, _("Company"), "organization")
    employees = WholeNumber(label=_("People in your company"), least=1, most=customers.MAX_EMPLOYEES)
    country = CountryField(
        label=_("Country"), choices=country_choices, required=False,
        widget=forms.Select(attrs={"autocomplete": "country"}),
    )  # fmt: skip
    state = line(100, _("State or province"), "address-level1", required=False)
    need = forms.CharField(
        label=_("What do you need?"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 5, "maxlength": 4000}),
    )
    demo_wanted = forms.BooleanField(label=_("I would like to see a demo"), required=False)
    plan = forms.SlugField(required=False, widget=forms.HiddenInput)
    # People do not see this one; programs that fill in forms do.
    website = forms.CharField(label=_("Leave this empty"), required=False, max_length=500)

    @property
    def by_a_program(self) -> bool:
        return bool(self.data.get("website"))

"""Money as people type it: major units, with a point and perhaps commas between thousands."""

import re
from typing import Any

from django import forms

from billing.maths.money import EXPONENTS, InvalidAmount, to_major, to_minor

# 87,00 is eighty-seven to many who type it: it must not be booked as eight thousand seven hundred.
THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")


def typed_amount(typed: str, currency: str) -> int:
    """What somebody typed, in minor units. Raises forms.ValidationError."""
    text = typed.strip()
    if "," in text and not THOUSANDS.fullmatch(text):
        raise forms.ValidationError("Write the amount like 1,234.50: the comma parts thousands.")
    try:
        return to_minor(text.replace(",", ""), currency)
    except InvalidAmount as error:
        raise forms.ValidationError(str(error)) from error


class AmountField(forms.Field):
    """Money as people type it, kept in minor units of `currency`, which its form says."""

    currency = ""

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        if self.currency not in EXPONENTS:
            raise forms.ValidationError("An amount needs its currency: USD, EUR.")
        amount = typed_amount(str(value), self.currency)
        if amount < 0:
            raise forms.ValidationError("An amount of 0 or more.")
        return amount

    def prepare_value(self, value: Any) -> Any:
        return to_major(value, self.currency) if isinstance(value, int) else value

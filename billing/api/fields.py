"""What values look like in the API: money, instants, quantities, texts; and objects that refuse unknown
names."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.problems import FieldProblem, Problem
from billing.maths.money import LIMIT, exponent, to_major, to_unit

PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1970, 2200
A_DAY = {
    "type": "string",
    "format": "date",
    "pattern": r"^(19[7-9][0-9]|2[01][0-9]{2}|2200)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
}


# So many are named where none of them was sent.
MOST_CHOICES = 20


class Strict(serializers.Serializer[Any]):
    """An object whose unknown names are refused by name, and whose numbers and truths are what JSON calls so.

    With `query` in its context it is a query, where everything is text: `25`, `true`.
    """

    # Names of which at least one is needed, for the schema; `validate` says it to the caller.
    either: ClassVar[Collection[str]] = ()
    # What else `validate` asks of several fields together, in the words of JSON Schema.
    together: ClassVar[Mapping[str, Any]] = {}

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        for named in fields.values():
            field = named.child if isinstance(named, serializers.ListField) else named
            if isinstance(field, serializers.ChoiceField) and len(field.choices) <= MOST_CHOICES:
                field.error_messages["invalid_choice"] = _choices(field)
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        known = {name for name, field in self.fields.items() if not field.read_only}
        if unknown := [name for name in data if name not in known]:
            there_is_none = serializers.ErrorDetail("There is no such field.", code="unknown_field")
            raise serializers.ValidationError({name: [there_is_none] for name in unknown})
        wrong = {name: [error] for name in data if (error := self._error(name, data[name]))}
        try:
            found = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**error.detail, **wrong}) from None  # type: ignore[dict-item]
        if wrong:
            raise serializers.ValidationError(wrong)
        return found

    def _error(self, name: str, value: Any) -> serializers.ErrorDetail | None:
        field = self.fields[name]
        if value is None:
            return None
        query = "query" in self.context
        if isinstance(field, serializers.IntegerField) and not _is_whole(value, query):
            return serializers.ErrorDetail("A valid integer is required.", code="invalid")
        if isinstance(field, serializers.BooleanField) and not _is_truth(value, query):
            return serializers.ErrorDetail("Must be true or false.", code="invalid")
        return None


def _choices(field: Any) -> str:
    named = [str(choice) for choice in field.choices if choice != ""]
    return f"Use {', '.join(named[:-1])} or {named[-1]}." if len(named) > 1 else f"Use {named[0]}."


def whole(value: Any) -> int | None:
    """The whole number of at most 15 digits that stands in the JSON, if it is one: 3.0 is, 1e999999999 is not
    worth writing out."""
    if isinstance(value, Decimal) and value.adjusted() < 15 and value == value.to_integral_value():
        return int(value)
    return value if type(value) is int and abs(value) < 10**15 else None


WHOLE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
# What a column of whole numbers holds.
LEAST, MOST = -(2**31), 2**31 - 1


def _is_whole(value: Any, query: bool) -> bool:
    """Others' readers take `1_0`, `"12"` and other alphabets' digits for numbers."""
    if query:
        return isinstance(value, str) and WHOLE.fullmatch(value) is not None and LEAST <= int(value) <= MOST
    found = whole(value)
    return found is not None and LEAST <= found <= MOST


def _is_truth(value: Any, query: bool) -> bool:
    return value in ("true", "false") if query else isinstance(value, bool)


class Text(serializers.CharField):
    """Text only: a number is not made into one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,12})?$", "examples": ["29.00"]})
class Amount(serializers.Field[str, Any, Any, Any]):
    """Money as it is sent: a decimal string in major units. `minor` makes it whole minor units."""

    default_error_messages = {
        "invalid_amount": 'An amount is a decimal string in major units, such as "29.00".'
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > 40:
            self.fail("invalid_amount")
        if re.fullmatch(r"-?[0-9]{16,}(\.[0-9]*)?", data, re.ASCII):
            raise serializers.ValidationError("This amount is too large.", code="amount_too_large")
        if not PLAIN.fullmatch(data):
            self.fail("invalid_amount")
        return data

    def to_representation(self, value: Any) -> str:
        return str(value)


def minor(amount: str, currency: str, field: str = "amount") -> int:
    """Whole minor units of what `Amount` let through. Raises Problem (422): invalid_precision,
    amount_too_large."""
    digits = exponent(currency)
    if len(amount.partition(".")[2]) > digits:
        raise _refusal("invalid_precision", f"{currency} has {digits} decimals.", field)
    value = int(Decimal(amount).scaleb(digits))
    if abs(value) >= LIMIT:
        raise _refusal("amount_too_large", "This amount is too large.", field)
    return value


def _refusal(code: str, message: str, field: str) -> Problem:
    return Problem(422, code, f"{field}: {message}", [FieldProblem(field, code, message)])


@extend_schema_field({"type": "string", "examples": ["29.00"]})
class Money(serializers.Field[Any, Any, str, Any]):
    """Money as it is answered: the column `source` in the currency that stands at `currency`."""

    def __init__(self, *, currency: str = "currency", **options: Any) -> None:
        self.currency = currency
        super().__init__(read_only=True, **options)

    def get_attribute(self, instance: Any) -> Any:
        amount, currency = super().get_attribute(instance), instance
        for part in self.currency.split("."):
            currency = currency[part] if isinstance(currency, Mapping) else getattr(currency, part)
        return None if amount is None else (amount, currency)

    def to_representation(self, value: tuple[Any, str]) -> str:
        return self.written(*value)

    @staticmethod
    def written(amount: Any, currency: str) -> str:
        return to_major(amount, currency)


@extend_schema_field({"type": "string", "examples": ["29.00", "0.0015"]})
class UnitMoney(Money):
    """A unit price as it is answered: the decimals of its currency, or more."""

    @staticmethod
    def written(amount: Any, currency: str) -> str:
        return to_unit(amount, currency)


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,12})?$", "examples": ["0.0015"]})
class UnitAmount(Amount):
    """A price in major units with up to 12 decimals, never below zero, as a Decimal."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if text.startswith("-"):
            raise serializers.ValidationError("A price is not below zero.", code="invalid_amount")
        return Decimal(text)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number", "minimum": 0, "maximum": 100},
            {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?$"},
        ]
    }
)
class Percent(serializers.Field[Decimal, Any, str, Any]):
    """A share in percent: a number or a decimal string, exact either way."""

    def to_internal_value(self, data: Any) -> Decimal:
        if not _is_exact(data):
            raise serializers.ValidationError(
                'A percentage is a number or a decimal string such as "12.5".', code="invalid_percentage"
            )
        return Decimal(data)

    def to_representation(self, value: Decimal) -> str:
        return f"{Decimal(value).normalize():f}"


def _is_exact(data: Any) -> bool:
    if isinstance(data, Decimal):
        return int(data.as_tuple().exponent) >= -12 and data.adjusted() < 15
    if type(data) is int:
        return abs(data) < 10**15
    return isinstance(data, str) and PLAIN.fullmatch(data) is not None


class Json(serializers.DictField):
    """Any object. Its numbers with decimals become floats: they are told, never reckoned with."""

    def to_internal_value(self, data: Any) -> Any:
        return _as_floats(super().to_internal_value(data))


# Digits before and after the point: what every reader of JSON reads back as it was written.
WIDEST = range(-300, 18)


def _as_floats(value: Any) -> Any:
    """Raises ValidationError for a number that others cannot read."""
    if type(value) is Decimal or type(value) is int:
        if value and Decimal(value).adjusted() not in WIDEST:
            raise serializers.ValidationError("This number is too large or too small.", code="invalid_number")
        return value if type(value) is int else float(value)
    if isinstance(value, dict):
        return {name: _as_floats(part) for name, part in value.items()}
    return [_as_floats(part) for part in value] if isinstance(value, list) else value


@extend_schema_field({"type": "string", "examples": ["3"]})
class Number(serializers.Field[Any, Any, str, Any]):
    """A quantity or unit price as it is answered: a plain decimal string."""

    def to_representation(self, value: Decimal) -> str:
        return f"{Decimal(value).normalize():f}"


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 1 - 10**15, "maximum": 10**15 - 1},
            {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,12})?$"},
        ]
    }
)
class Quantity(serializers.Field[Decimal, Any, Any, Any]):
    """How many, as it is sent: a whole number, or a decimal string."""

    default_error_messages = {
        "invalid_quantity": 'A quantity is a whole number, or a decimal string such as "2.5".'
    }

    def to_internal_value(self, data: Any) -> Decimal:
        number = whole(data)
        if number is None and not (isinstance(data, str) and PLAIN.fullmatch(data)):
            self.fail("invalid_quantity")
        return Decimal(data if number is None else number)

    def to_representation(self, value: Any) -> str:
        return str(value)


class Instant(serializers.DateTimeField):
    """RFC 3339 with an offset; answered in UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        message = "A time has an offset, such as 2026-01-31T09:30:00Z."
        if not isinstance(value, str) or not RFC_3339.fullmatch(value):
            raise serializers.ValidationError(message, code="invalid_timestamp")
        try:
            instant = datetime.fromisoformat(value.upper())
        except ValueError:
            raise serializers.ValidationError(message, code="invalid_timestamp") from None
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise serializers.ValidationError("This time is too far away.", code="invalid_timestamp")
        return instant.astimezone(UTC)  # the database knows no offsets beyond those of real places


class Day(serializers.DateField):
    """`YYYY-MM-DD` in the customer's zone, from 1970 to 2200."""

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or not DATE.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(value)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise serializers.ValidationError("This day is too far away.", code="invalid")
        return day


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "enum": ["now", "period_end", "contract_end"]},
            A_DAY,
            {"type": "string", "format": "date-time"},
        ],
        "description": "When: now, at the period's end, at the contract's end, on a day, or at a time.",
    }
)
class Effective(serializers.Field[Any, Any, Any, Any]):
    def __init__(
        self, *, words: tuple[str, ...] = ("now", "period_end", "contract_end"), **options: Any
    ) -> None:
        self.words = words
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str | date | datetime:
        if isinstance(data, str) and data in self.words:
            return data
        if isinstance(data, str) and (DATE.fullmatch(data) or RFC_3339.fullmatch(data)):
            return day_or_instant(data)
        raise serializers.ValidationError(f"Use {', '.join(self.words)} or a day.", code="invalid_date")

    def to_representation(self, value: Any) -> str:
        return str(value)


def day_or_instant(text: str) -> date | datetime:
    """Raises ValidationError."""
    kind: serializers.Field[Any, Any, Any, Any] = Day() if DATE.fullmatch(text) else Instant()
    return kind.run_validation(text)


@extend_schema_field({"oneOf": [A_DAY, {"type": "string", "format": "date-time"}]})
class Moment(serializers.Field[Any, Any, Any, Any]):
    """A day in the customer's zone, from its midnight on, or a time."""

    def to_internal_value(self, data: Any) -> date | datetime:
        if not isinstance(data, str):
            raise serializers.ValidationError("Use a day or a time.", code="invalid_timestamp")
        return day_or_instant(data)

    def to_representation(self, value: Any) -> str:
        return str(value)


class ListQuery(Strict):
    """What every list takes."""

    limit = serializers.IntegerField(min_value=1, max_value=100, default=25)
    cursor = Text(max_length=200, default="", help_text="from `next` or `previous` of another answer")


class PeriodOut(serializers.Serializer[Any]):
    """Half-open: the last day named does not belong to it."""

    start = Day()
    end = Day()

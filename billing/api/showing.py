"""Objects as the API answers them: what a serializer says of its fields, as one plain function.

The serializer stays the only description of an object, for the schema and for the answer. Asking each of its fields
for each row takes several times as long as reading the rows.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from types import MethodType
from typing import Any

from django.db.models import Manager
from rest_framework import serializers
from rest_framework.fields import _UnvalidatedField, empty

from billing.api.fields import Instant, Money, Text

type Shower = Callable[[Any], Any]

TEXTS = (serializers.CharField, serializers.EmailField, serializers.URLField, Text)


@cache
def shower(serializer: type[serializers.BaseSerializer[Any]]) -> Shower:
    """What makes the object of a row: the same as `serializer(row).data`."""
    return _object(serializer())


def _object(serializer: Any) -> Shower:
    if any(map(_may_be_missing, serializer.fields.values())):
        return serializer.to_representation  # type: ignore[no-any-return]
    parts = [(name, _part(field)) for name, field in serializer.fields.items()]
    return lambda row: {name: part(row) for name, part in parts}


def _may_be_missing(field: Any) -> bool:
    return field.write_only or not (field.required or field.read_only or field.default is not empty)


def _part(field: Any) -> Shower:
    """The field's value of a row, as it is answered."""
    if isinstance(field, serializers.SerializerMethodField):
        return getattr(field.parent, field.method_name)  # type: ignore[no-any-return, arg-type]
    read, written = (
        (_money(field), _as_it_is) if isinstance(field, Money) else (_reader(field), _writer(field))
    )

    def part(row: Any) -> Any:
        found = read(row)
        return None if found is None else written(found)

    return part


def _as_it_is(value: Any) -> Any:
    return value


def _reader(field: Any) -> Shower:
    """What stands at the field's source; the field itself is asked where nothing does."""
    name, path = field.source, attrgetter(field.source)

    def read(row: Any) -> Any:
        try:
            found = row[name] if type(row) is dict else path(row)
        except (AttributeError, KeyError):
            return field.get_attribute(row)
        return found() if type(found) is MethodType else found

    return read


def _money(field: Money) -> Shower:
    amount, currency = attrgetter(str(field.source)), attrgetter(field.currency)
    written = type(field).written

    def read(row: Any) -> str | None:
        if type(row) is dict:
            found = field.get_attribute(row)
            return found and written(*found)
        minor = amount(row)
        return None if minor is None else written(minor, currency(row))

    return read


def _writer(field: Any) -> Shower:
    if isinstance(field, serializers.ListSerializer):
        return _list(_object(field.child))
    if isinstance(field, serializers.Serializer):
        return _object(field)
    if type(field) in TEXTS or _is_word(field):
        return str
    if type(field) is serializers.DictField and type(field.child) is _UnvalidatedField:
        return _as_it_is
    return _instant if type(field) is Instant else field.to_representation  # type: ignore[no-any-return]


def _is_word(field: Any) -> bool:
    """One of several texts; as `str` writes it, whether it comes from a row or is a member of its enumeration."""
    return type(field) is serializers.ChoiceField and all(isinstance(choice, str) for choice in field.choices)


def _list(show: Shower) -> Shower:
    return lambda rows: [show(row) for row in (rows.all() if isinstance(rows, Manager) else rows)]


def _instant(value: datetime | str) -> str:
    """RFC 3339 in UTC."""
    return value if isinstance(value, str) else value.astimezone(UTC).isoformat().replace("+00:00", "Z")

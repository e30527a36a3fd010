"""Objects as the API answers them: what a serializer says of its fields, as one plain function.

The serializer stays the only description of an object, for the schema and for the answer. Asking each of its fields
for each row takes several times as long as reading the rows; here each field is asked once for all rows.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from itertools import chain, islice
from operator import attrgetter, itemgetter
from types import MethodType
from typing import Any

from django.db.models import Manager
from rest_framework import serializers
from rest_framework.fields import _UnvalidatedField, empty

from billing.api.fields import Day, Instant, Money, Text

# One value for each of so many rows, or of so many values.
type Column = Callable[[Sequence[Any]], list[Any]]
# A class of serializers; as such, type checkers take it for unhashable.
type Shown = Any

TEXTS = (serializers.CharField, serializers.EmailField, serializers.URLField, Text)


def shown(serializer: Shown, rows: Sequence[Any]) -> list[Any]:
    """The objects of rows: the same as `serializer(row).data` of each."""
    return _shower(serializer)(rows)


@cache
def _shower(serializer: Shown) -> Column:
    return _object(serializer())


def _object(serializer: Any) -> Column:
    if any(map(_may_be_missing, serializer.fields.values())):
        return lambda rows: list(map(serializer.to_representation, rows))
    names = list(serializer.fields)
    columns = [_column(field) for field in serializer.fields.values()]
    return lambda rows: [dict(zip(names, row)) for row in zip(*(column(rows) for column in columns))]  # noqa: B905 - as many of each


def _may_be_missing(field: Any) -> bool:
    return field.write_only or not (field.required or field.read_only or field.default is not empty)


def _column(field: Any) -> Column:
    """The field's values of rows, as they are answered."""
    if isinstance(field, serializers.SerializerMethodField):
        method: Any = getattr(field.parent, str(field.method_name))
        return lambda rows: list(map(method, rows))
    if isinstance(field, Money):
        return _money(field)
    read, written = _reader(field), _writer(field)
    return lambda rows: written(read(rows))


# -- Read ---------------------------------------------------------------------------------------------------


def _reader(field: Any) -> Column:
    """What stands at the field's source; the field itself is asked where nothing does."""
    of_dict, of_row = itemgetter(field.source), attrgetter(field.source)

    def one(row: Any) -> Any:
        try:
            return of_dict(row) if type(row) is dict else of_row(row)
        except (AttributeError, KeyError):
            return field.get_attribute(row)

    def read(rows: Sequence[Any]) -> list[Any]:
        try:
            found = list(map(one if _are_dicts(rows) else of_row, rows))
        except AttributeError:
            found = list(map(one, rows))
        if MethodType in set(map(type, found)):
            return [value() if type(value) is MethodType else value for value in found]
        return found

    return read


def _are_dicts(rows: Sequence[Any]) -> bool:
    return dict in set(map(type, rows))


def _money(field: Money) -> Column:
    amount, currency = attrgetter(str(field.source)), attrgetter(field.currency)
    written = type(field).written

    def column(rows: Sequence[Any]) -> list[str | None]:
        if _are_dicts(rows):
            found = map(field.get_attribute, rows)
            return [None if pair is None else written(*pair) for pair in found]
        return [
            None if minor is None else written(minor, code)
            for minor, code in zip(map(amount, rows), map(currency, rows), strict=True)
        ]

    return column


# -- Written ------------------------------------------------------------------------------------------------


def _writer(field: Any) -> Column:
    if isinstance(field, serializers.ListSerializer):
        return _lists(_object(field.child))
    if isinstance(field, serializers.Serializer):
        return _objects(_object(field))
    if type(field) is serializers.DictField:
        return _dictionaries(field)
    for kinds, kind, write in PLAIN:
        if type(field) in kinds:
            return _each(kind, write)
    return _each(str, str) if _is_word(field) else _each(None, field.to_representation)


def _is_word(field: Any) -> bool:
    """One of several texts; as `str` writes it, whether it comes from a row or is a member of its enumeration."""
    return type(field) is serializers.ChoiceField and all(isinstance(choice, str) for choice in field.choices)


def _instant(value: datetime) -> str:
    """RFC 3339 in UTC."""
    return f"{value.astimezone(UTC).isoformat()[: -len('+00:00')]}Z"


# Of which kind the values of a field are already, as they are to be written, and how others are.
PLAIN: tuple[tuple[tuple[Any, ...], type, Callable[[Any], Any]], ...] = (
    (TEXTS, str, str),
    ((Instant,), str, _instant),
    ((Day,), str, date.isoformat),
    ((serializers.BooleanField,), bool, serializers.BooleanField().to_representation),
    ((serializers.IntegerField,), int, int),
)


def _each(kind: type | None, write: Callable[[Any], Any]) -> Column:
    """Values of this kind as they are."""
    return lambda values: [
        value if value is None or type(value) is kind else write(value) for value in values
    ]


def _dictionaries(field: serializers.DictField) -> Column:
    if type(field.child) is _UnvalidatedField:
        return list
    return lambda values: [value and field.to_representation(value) for value in values]


def _objects(show: Column) -> Column:
    def column(values: Sequence[Any]) -> list[Any]:
        made = iter(show([value for value in values if value is not None]))
        return [None if value is None else next(made) for value in values]

    return column


def _lists(show: Column) -> Column:
    def column(values: Sequence[Any]) -> list[Any]:
        """Those of all rows at once."""
        lists = [list(value.all() if isinstance(value, Manager) else value or ()) for value in values]
        made = iter(show(list(chain.from_iterable(lists))))
        return [
            None if value is None else list(islice(made, len(rows)))
            for value, rows in zip(values, lists, strict=True)
        ]

    return column

"""A list of the admin in three statements, whatever it may be narrowed by: what to choose among, how many rows there
are from when to when, and the rows of a page. Django asks once for each filter, and twice more for the calendar.

None of them reads a large table whole. A list counts and leafs through `MOST` rows and says that there are more. One
that `grows` with time rather than with customers, and has more, is looked through by its indexes alone: for customers by
their names, for texts of its own as a whole; and where more than `MOST` are left, it stands in an order that an index
has.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache, cached_property, reduce
from operator import or_
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.expressions import ArraySubquery
from django.core.paginator import Page, Paginator
from django.db import models
from django.db.models import Count, F, Max, Min, OrderBy, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql.where import WhereNode
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import smart_split
from django.utils.translation import gettext as _

from billing import bulk
from billing.models import Customer

type Choices = Mapping[str, Sequence[Any]]
"""By a filter's field: keys and words of rows, or values."""

FEW = 1_000
"""Up to so many rows are found once: counting them answers their keys."""
MOST = 10_000
"""A list counts so many rows, and its pages end there: beyond, it is narrowed down rather than leafed through."""


# -- What to choose among ----------------------------------------------------------------------------------


class OneOf(admin.RelatedFieldListFilter):
    """A choice among few rows, which the list has read."""

    @staticmethod
    def narrowed(rows: QuerySet[Any]) -> QuerySet[Any]:
        """Who or what can be chosen."""
        return rows

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        return list(request.choices[self.field_path])  # type: ignore[attr-defined]


class StaffFilter(OneOf):
    """Owners are colleagues: customers' people, who are users as well, are no choice."""

    @staticmethod
    def narrowed(rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(is_staff=True).order_by("name")


class Stored(admin.AllValuesFieldListFilter):
    """A choice among the values that rows have, which the list has read."""

    def __init__(self, field: Any, request: Any, *args: Any, **options: Any) -> None:
        super().__init__(field, request, *args, **options)
        self.lookup_choices = request.choices[self.field_path]

    @staticmethod
    def values(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        """Those of the rows of the list."""
        return rows.order_by(name).values(name).distinct()


class CustomersCurrency(Stored):
    """A paper is in its customer's currency: there are fewer customers than papers."""

    @staticmethod
    def values(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return Stored.values(Customer._base_manager.all(), "currency")


def filters(model: type[models.Model], named: Sequence[Any]) -> list[Any]:
    """A list's filters, those that would ask by themselves as ours."""
    return [_ours(model, each) if isinstance(each, str) else each for each in named]


def _ours(model: type[models.Model], name: str) -> Any:
    field: Any = model._meta.get_field(name)
    if field.remote_field:
        return name, OneOf
    plain = not field.flatchoices and isinstance(field, models.CharField | models.TextField)
    return (name, Stored) if plain else name


ENDS = "ends"


def read(request: HttpRequest, table: admin.ModelAdmin) -> Choices:
    """What the filters of a list offer, by one statement."""
    asked = {
        str(name): _asked(request, table, str(name), kind)
        for name, kind in (each for each in table.get_list_filter(request) if isinstance(each, tuple))
        if issubclass(kind, OneOf | Stored)
    }
    if table.date_hierarchy:
        asked[ENDS] = _ends(table, table.date_hierarchy)
    if not asked:
        return {}
    found = bulk.read(*(rows for rows, _ in asked.values()))
    return {
        name: list(map(offered, rows))
        for (name, (_, offered)), rows in zip(asked.items(), found, strict=True)
    }


def _ends(table: admin.ModelAdmin, span: str) -> tuple[QuerySet[Any], Callable[[Any], Any]]:
    """The first and the last of all rows by a day or an instant, and which."""
    rows = table.model._default_manager.filter(**{f"{span}__isnull": False})
    keys = [rows.order_by(f"{sign}{span}").values("pk")[:1] for sign in ("", "-")]
    ends = table.model._default_manager.filter(Q(*(("pk", key) for key in keys), _connector=Q.OR))
    return ends.order_by(span), lambda row: getattr(row, span)


def _asked(
    request: HttpRequest, table: admin.ModelAdmin, name: str, kind: Any
) -> tuple[QuerySet[Any], Callable[[Any], Any]]:
    """The rows to choose among, in their own list's order, and what is offered of each."""
    if issubclass(kind, OneOf):
        field: Any = table.model._meta.get_field(name)
        rows = table.get_field_queryset(None, field, request)
        rows = field.remote_field.model._default_manager.all() if rows is None else rows
        return kind.narrowed(rows), lambda row: (row.pk, str(row))
    return kind.values(table.get_queryset(request), name), lambda row: getattr(row, name)


# -- Looked through --------------------------------------------------------------------------------------------


def long(model: type[models.Model]) -> bool:
    """Whether a table has more rows than can be looked through for a part of a text while somebody waits."""
    return model._base_manager.all()[: MOST + 1].count() > MOST


def sought(rows: QuerySet[Any], text: str, fields: Sequence[str]) -> QuerySet[Any]:
    """Those whose own text is the one that was typed, or whose neighbour has every word of it: `customer__name` is
    looked for among customers, and their rows are found by the index of the foreign key."""
    wanted, beside = Q(), defaultdict[str, list[str]](list)
    for field in fields:
        first, _, rest = field.partition(LOOKUP_SEP)
        if rest:
            beside[first].append(rest)
        else:
            wanted |= _whole(text, first)
    for name, names in beside.items():
        key: Any = rows.model._meta.get_field(name)
        found = key.remote_field.model._default_manager.filter(_every_word(text, names))
        wanted |= Q(**{f"{name}__pk__any": ArraySubquery(found.order_by().values("pk"))})
    return rows.filter(wanted)


def _every_word(text: str, names: Sequence[str]) -> Q:
    """`name__exact` stands for the whole text in that column of a table which grows itself."""
    whole = [name.removesuffix("__exact") for name in names if name.endswith("__exact")]
    wanted = Q()
    for word in smart_split(text) if len(whole) < len(names) else ():
        parts = ((f"{name}__icontains", word.strip("\"'")) for name in names if not name.endswith("__exact"))
        wanted &= Q(*parts, _connector=Q.OR)
    return reduce(or_, (_whole(text, name) for name in whole), wanted)


def _whole(text: str, name: str) -> Q:
    """As it was typed, and in the two ways in which numbers and addresses are written."""
    text = text.strip()
    return Q(**{f"{name}__in": sorted({text, text.upper(), text.lower()})})


# -- How many, from when to when ---------------------------------------------------------------------------


class AtLeast(int):
    """A count that was given up: the number with a plus, wherever it is written."""

    def __str__(self) -> str:
        return f"{int(self):,}+"

    def __format__(self, spec: str) -> str:
        return str(self)


class _Few(models.Func):
    """The first of an array, `FEW` at most."""

    template = f"(%(expressions)s)[1:{FEW}]"


class Spanning(Paginator):
    """Counts the rows, and finds the first and the last by the field that a calendar narrows them by; of more than
    `MOST` it knows no more than that."""

    span: str | None = None
    ends: Sequence[Any] = ()
    """The first and the last of all rows, by `span`."""
    grows = False
    usual: Sequence[Any] = ()
    """The order in which the list opens."""

    @cached_property
    def found(self) -> Mapping[str, Any]:
        asked = {"number": Count("pk"), "keys": _Few(ArrayAgg("pk"))}
        if self.span:
            asked |= {"first": Min(self.span), "last": Max(self.span)}
        rows: Any = self.object_list
        found: dict[str, Any] = rows.order_by()[: MOST + 1].aggregate(**asked)
        return found

    @property
    def most(self) -> int:
        return MOST

    @property
    def cut(self) -> bool:
        return int(self.found["number"]) > MOST

    @cached_property
    def count(self) -> int:
        return AtLeast(MOST) if self.cut else int(self.found["number"])

    @property
    def unsorted(self) -> bool:
        """Another order was asked for than so many rows can be put in."""
        rows: Any = self.object_list
        return self.cut and not all(self._has(order, rows) for order in rows.query.order_by[:1])

    def _has(self, order: Any, rows: QuerySet[Any]) -> bool:
        """Whether many rows can be put in this order: by an index where the table grows, else by a stored column."""
        name = order.lstrip("-") if isinstance(order, str) else _named(order)
        if self.grows:
            model: Any = rows.model
            return name in indexed(model)
        return name is not None and name not in rows.query.annotations

    def page(self, number: int | str) -> Page:
        """The page's keys are found and put in order first: what a row shows is read of those rows alone."""
        rows: Any = self.object_list
        self.object_list = self.few(rows.order_by(*self.usual) if self.unsorted else rows)
        page = super().page(number)
        if not rows.query.distinct:
            page.object_list = _alone(page.object_list)  # type: ignore[arg-type]
        return page

    def few(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """A few of them are not looked for a second time."""
        number, keys = self.found["number"], self.found["keys"]
        if not number:
            return rows.none()
        return rows.filter(pk__in=keys) if number <= FEW and not self.cut else rows


def _alone(page: QuerySet[Any]) -> QuerySet[Any]:
    """The rows of a page, looked for by their keys and by nothing else."""
    rows: Any = page.all()
    rows.query.clear_limits()
    rows.query.where = WhereNode()
    return rows.filter(pk__in=page.values("pk"))  # type: ignore[no-any-return]


@cache
def indexed(model: type[models.Model]) -> frozenset[str]:
    """The fields by which an index has all rows of a table in order."""
    # By a neighbour means in the neighbour's own order, if it has one.
    fields: Sequence[Any] = model._meta.concrete_fields
    own = (each for each in fields if not (each.is_relation and _ordered(each)))
    alone = {each.name for each in own if each.db_index or each.unique}
    first = {
        each.fields[0].lstrip("-") for each in model._meta.indexes if each.fields and each.condition is None
    }
    once = {each.fields[0] for each in model._meta.total_unique_constraints}
    return frozenset({"pk", *alone, *first, *once})


def _ordered(key: Any) -> bool:
    return bool(key.related_model._meta.ordering)


class Listed(ChangeList):
    """Django's list with a calendar that asks for nothing: each year, month or day from the first row to the last."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Django stumbles over years of the address that no calendar has."""
        try:
            return super().get_filters(request)
        except (OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.few(self.result_list)

    def calendar(self) -> dict[str, Any]:
        """As `admin/date_hierarchy.html` shows it."""
        name = str(self.date_hierarchy or "")
        asked = [self.params.get(f"{name}__{part}") for part in PARTS]
        chosen = [*asked, None].index(None)
        first, last = self._ends([int(part or 0) for part in asked[:chosen]])
        if first is None or last is None:
            return {"show": False}
        depth = chosen or _shared(first, last)
        return {
            "show": True, "field_name": get_fields_from_path(self.model, name)[-1].verbose_name,
            "back": self._back(name, chosen, first), "choices": list(self._steps(name, depth, first, last)),
        }  # fmt: skip

    def _ends(self, chosen: list[int]) -> tuple[date | None, date | None]:
        """The first and the last day; of more rows than are counted those of the whole table, in what was chosen."""
        found = self.paginator.found
        first, last = _day(found.get("first")), _day(found.get("last"))
        if self.paginator.cut and self.paginator.ends:
            first, last = map(_day, self.paginator.ends)
            if chosen and first and last:
                year, month = chosen[0], chosen[1] if len(chosen) > 1 else None
                end = monthrange(year, month or 12)[1]
                first = max(first, date(year, month or 1, 1))
                last = min(last, date(year, month or 12, end))
        return first, last

    def _back(self, name: str, chosen: int, day: date) -> dict[str, str] | None:
        if not chosen:
            return None
        title = [_("All dates"), str(day.year), date_format(day, "YEAR_MONTH_FORMAT")][chosen - 1]
        return {"link": self._link(name, chosen - 1, day), "title": title}

    def _steps(self, name: str, depth: int, first: date, last: date) -> Iterator[dict[str, str]]:
        """Years, months of a year, days of a month; a day that was chosen leads no further."""
        words = ["Y", "YEAR_MONTH_FORMAT", "MONTH_DAY_FORMAT", "MONTH_DAY_FORMAT"][depth]
        seen = [day for n in range((last - first).days + 1) if (day := first + timedelta(days=n))]
        for day in {_parts(day)[: depth + 1]: day for day in seen}.values():
            link = {} if depth == len(PARTS) else {"link": self._link(name, depth + 1, day)}
            yield {**link, "title": date_format(day, words)}

    def _link(self, name: str, depth: int, day: date) -> str:
        wanted = {f"{name}__{part}": value for part, value in zip(PARTS[:depth], _parts(day), strict=False)}
        return self.get_query_string(wanted, [f"{name}__"])


PARTS = ("year", "month", "day")


def _named(order: Any) -> str | None:
    """The column of an order that is an expression; None where it is worked out of several."""
    inner: Any = order.expression if isinstance(order, OrderBy) else order
    return getattr(inner, "name", None) if isinstance(inner, F) else None


def _parts(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day


def _shared(first: date, last: date) -> int:
    """Where there is but one year, its months are the first choice; of one month, its days."""
    return 0 if first.year != last.year else 1 if first.month != last.month else 2


def _day(moment: Any) -> date | None:
    return timezone.localtime(moment).date() if isinstance(moment, datetime) else moment

"""A list of the admin in three statements, whatever it may be narrowed by: what to choose among, how many rows there
are from when to when, and the rows of a page. Django asks once for each filter, and twice more for the calendar."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing import bulk

type Choices = Mapping[str, Sequence[Any]]
"""By a filter's field: keys and words of rows, or values."""


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


def filters(model: type[models.Model], named: Sequence[Any]) -> list[Any]:
    """A list's filters, those that would ask by themselves as ours."""
    return [_ours(model, each) if isinstance(each, str) else each for each in named]


def _ours(model: type[models.Model], name: str) -> Any:
    field: Any = model._meta.get_field(name)
    if field.remote_field:
        return name, OneOf
    plain = not field.flatchoices and isinstance(field, models.CharField | models.TextField)
    return (name, Stored) if plain else name


def read(request: HttpRequest, table: admin.ModelAdmin) -> Choices:
    """What the filters of a list offer, by one statement."""
    asked = {
        str(name): _asked(request, table, str(name), kind)
        for name, kind in (each for each in table.get_list_filter(request) if isinstance(each, tuple))
        if issubclass(kind, OneOf | Stored)
    }
    if not asked:
        return {}
    found = bulk.read(*(rows for rows, _ in asked.values()))
    return {
        name: list(map(offered, rows))
        for (name, (_, offered)), rows in zip(asked.items(), found, strict=True)
    }


def _asked(
    request: HttpRequest, table: admin.ModelAdmin, name: str, kind: Any
) -> tuple[QuerySet[Any], Callable[[Any], Any]]:
    """The rows to choose among, in their own list's order, and what is offered of each."""
    if issubclass(kind, OneOf):
        field: Any = table.model._meta.get_field(name)
        rows = table.get_field_queryset(None, field, request)
        rows = field.remote_field.model._default_manager.all() if rows is None else rows
        return kind.narrowed(rows), lambda row: (row.pk, str(row))
    values = table.get_queryset(request).order_by(name).values(name).distinct()
    return values, lambda row: getattr(row, name)


# -- How many, from when to when ---------------------------------------------------------------------------


class Spanning(Paginator):
    """Counts the rows, and finds the first and the last by the field that a calendar narrows them by."""

    span: str | None = None

    @cached_property
    def found(self) -> Mapping[str, Any]:
        ends = {"first": Min(self.span), "last": Max(self.span)} if self.span else {}
        rows: Any = self.object_list
        found: Mapping[str, Any] = rows.aggregate(number=Count("pk"), **ends)
        return found

    @cached_property
    def count(self) -> int:
        return int(self.found["number"])


class Listed(ChangeList):
    """Django's list with a calendar that asks for nothing: each year, month or day from the first row to the last."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Django stumbles over years of the address that no calendar has."""
        try:
            return super().get_filters(request)
        except (OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error

    def calendar(self) -> dict[str, Any]:
        """As `admin/date_hierarchy.html` shows it."""
        name = str(self.date_hierarchy or "")
        found = self.paginator.found
        first, last = _day(found.get("first")), _day(found.get("last"))
        if first is None or last is None:
            return {"show": False}
        asked = [f"{name}__{part}" in self.params for part in PARTS]
        chosen = [*asked, False].index(False)
        depth = chosen or _shared(first, last)
        return {
            "show": True, "field_name": get_fields_from_path(self.model, name)[-1].verbose_name,
            "back": self._back(name, chosen, first), "choices": list(self._steps(name, depth, first, last)),
        }  # fmt: skip

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


def _parts(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day


def _shared(first: date, last: date) -> int:
    """Where there is but one year, its months are the first choice; of one month, its days."""
    return 0 if first.year != last.year else 1 if first.month != last.month else 2


def _day(moment: Any) -> date | None:
    return timezone.localtime(moment).date() if isinstance(moment, datetime) else moment

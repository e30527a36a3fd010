"""Who a person is to Tandem: an e-mail address, the names that stand beside it, and the rows that tell of them.

Nothing here names a table of the packages above. A model says beside its columns whose address they hold (`PEOPLE`,
see `billing.models.people`); foreign keys say where its rows lead. So a table that is added tomorrow is looked
through as well.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Cast

from billing.models import Customer, Seller
from billing.models.people import Told

# Keys of rows, by their table.
type Rows = dict[type[models.Model], set[Any]]

# What people are called, in the objects of JSON that hold their address too.
NAMING = frozenset(
    "name contact_name full_name person accepted_name accepted_signature phone line1 line2".split()
)
# Papers that were issued say for ever what they say, within their period.
PAPERS = frozenset(
    {"billing.Document", "billing.InvoiceLine", "billing.CreditNote", "billing.CreditNoteLine"}
)
# How many foreign keys a row may be away from whom it is about: an attempt, of a delivery, of an event, of a customer.
STEPS = 3


@dataclass
class Person:
    """What was found of one person. `rows` name them by address, `about` hold the address anywhere else."""

    address: str
    names: set[str] = field(default_factory=set)
    rows: Rows = field(default_factory=dict)
    about: Rows = field(default_factory=dict)
    accounts: list[Customer] = field(default_factory=list)
    customers: set[str] = field(default_factory=set)

    @property
    def roots(self) -> Rows:
        """The rows from which everything else about the person is reached."""
        return {**self.rows, Customer: self.customers}

    @property
    def known(self) -> bool:
        return bool(self.rows or self.about or self.accounts)


def find(address: str) -> Person:
    """Everything that tells of whoever has this address. Reads every table that holds text, once."""
    person = Person(address.strip().lower())
    for model in holders():
        for column, told in people_of(model).items():
            _named(person, model, column, told)
    person.accounts = list(Customer.objects.filter(email__iexact=person.address).order_by("pk"))
    person.customers = {account.pk for account in person.accounts} | _customers(person)
    for model in holders():
        found = list(told_in(model, [person.address]).values_list("pk", *json_columns(model)))
        if found:
            person.about[model] = {pk for pk, *_ in found}
            for _, *values in found:
                person.names.update(_beside(values, person.address))
    person.names -= _of_companies(person)
    return person


def _named(person: Person, model: type[models.Model], column: str, told: Told) -> None:
    wanted = model._base_manager.filter(**{f"{column}__iexact": person.address})
    found = list(wanted.values_list("pk", *told.names))
    if found:
        person.rows.setdefault(model, set()).update(pk for pk, *_ in found)
        person.names.update(name.strip() for _, *names in found for name in names if _is_name(name))


def _is_name(text: Any) -> bool:
    """Or a number to call: not a short figure, which stands in many rows."""
    if not isinstance(text, str):
        return False
    return len(text.strip()) > (2 if any(letter.isalpha() for letter in text) else 6)


def _customers(person: Person) -> set[str]:
    """The customers that the rows lead to: whose member, contact or lead the person was."""
    found: set[str] = set()
    for model in holders():
        for column in model._meta.concrete_fields:
            if column.is_relation and column.related_model is Customer and model is not Customer:
                reached = reach(model, person.rows) | Q(pk__in=person.rows.get(model, ()))
                rows = model._base_manager.filter(reached) if reached else model._base_manager.none()
                found.update(rows.values_list(column.attname, flat=True))
    return {pk for pk in found if pk}


def _of_companies(person: Person) -> set[str]:
    """Names that are a company's: they stay, also where the person's address stands beside them."""
    own = {account.pk for account in person.accounts}
    return set(Customer._base_manager.filter(pk__in=person.customers - own).values_list("name", flat=True))


def _beside(values: Any, address: str) -> Iterator[str]:
    """Names in the objects of JSON that have the address as one of their values."""
    if isinstance(values, Mapping):
        if any(isinstance(each, str) and each.lower() == address for each in values.values()):
            yield from _names_in(values)
        values = list(values.values())
    if isinstance(values, list | tuple):
        for each in values:
            yield from _beside(each, address)


def _names_in(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _names_in(value)
        elif key in NAMING and _is_name(value):
            yield value.strip()


# -- Tables and columns -------------------------------------------------------------------------------------


@cache
def holders() -> tuple[type[models.Model], ...]:
    """Every table that may hold something about a person: all but the papers and the seller."""
    found = (model for model in apps.get_models(include_auto_created=False) if model._meta.managed)
    plain = (model for model in found if not model._meta.proxy and columns(model))
    return tuple(model for model in plain if model._meta.label not in PAPERS and model is not Seller)


def models_named(*labels: str) -> list[type[models.Model]]:
    return [apps.get_model(label) for label in labels]


def people_of(model: type[models.Model]) -> Mapping[str, Told]:
    return getattr(model, "PEOPLE", {})


@cache
def columns(model: type[models.Model]) -> tuple[str, ...]:
    """The columns in which somebody may have written something."""
    return tuple(each.name for each in model._meta.concrete_fields if _is_text(each))


def _is_text(column: Any) -> bool:
    if isinstance(column, ArrayField):
        return _is_text(column.base_field)
    texts = (models.CharField, models.TextField, models.JSONField, models.BinaryField)
    return isinstance(column, texts) and not column.choices and not column.primary_key


def json_columns(model: type[models.Model]) -> list[str]:
    return [name for name in columns(model) if isinstance(model._meta.get_field(name), models.JSONField)]


def as_text(model: type[models.Model], name: str) -> Any:
    """The column as text, whatever it holds; bytes with what is not ASCII escaped."""
    if isinstance(model._meta.get_field(name), models.BinaryField):
        return Func(F(name), Value("escape"), function="encode", output_field=models.TextField())
    return Cast(name, models.TextField())


def changeable(model: type[models.Model]) -> models.QuerySet[Any]:
    """Its rows that are no issued paper."""
    rows = model._base_manager.all()
    return rows.filter(issued_at__isnull=True) if model._meta.label == "billing.Invoice" else rows


def told_in(model: type[models.Model], needles: Iterable[str]) -> models.QuerySet[Any]:
    """The rows with one of these texts in any column."""
    texts = [as_text(model, name) for name in columns(model)]
    told = Func(Value("\n"), *texts, function="concat_ws", output_field=models.TextField())
    wanted = Q()
    for needle in needles:
        for form in forms(needle):
            wanted |= Q(told__icontains=form)
    return changeable(model).annotate(told=told).filter(wanted) if wanted else model._base_manager.none()


# -- Where rows lead ----------------------------------------------------------------------------------------


def reach(model: type[models.Model], roots: Mapping[type[models.Model], Iterable[Any]]) -> Q:
    """The rows of a table that lead to these rows by the shortest way; an empty Q where none does."""
    wanted = Q(pk__in=roots[model]) if roots.get(model) else Q()
    for steps in range(1, STEPS + 1):
        paths = [(path, target) for path, target in ways(model, steps) if roots.get(target)]
        if paths:
            for path, target in paths:
                wanted |= Q(**{f"{path}__in": list(roots[target])})
            return wanted
    return wanted


@cache
def ways(model: type[models.Model], steps: int) -> tuple[tuple[str, type[models.Model]], ...]:
    """(path of foreign keys, the model at its end), of exactly so many steps."""
    keys = [each for each in model._meta.concrete_fields if each.is_relation and each.related_model]
    found: list[tuple[str, type[models.Model]]] = []
    for key in keys:
        target: Any = key.related_model
        if steps == 1:
            found.append((key.name, target))
        else:
            found += [(f"{key.name}__{path}", end) for path, end in ways(target, steps - 1)]
    return tuple(found)


# -- Texts --------------------------------------------------------------------------------------------------


def forms(text: str) -> set[str]:
    """How a text may be written: plainly, in JSON, in HTML, in an address of the web, in escaped bytes."""
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = html.replace('"', "&quot;").replace("'", "&#x27;")
    json = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(chr(byte) if 31 < byte < 127 else f"\\{byte:03o}" for byte in text.encode())
    return {text, html, quoted, json, text.replace("@", "%40"), escaped}


def pattern(needles: Iterable[str]) -> re.Pattern[str]:
    """Finds each text as a whole: `ann@x.example` is not within `joann@x.example`, nor Ann within Annabel."""
    every = {form for needle in needles for form in forms(needle)}
    longest_first = sorted(every, key=len, reverse=True)
    before, after = r"(?:(?<=%[0-9a-f]{2})|(?<![\w.+-]))", r"(?![\w-]|\.\w)"
    return re.compile(before + "(?:" + "|".join(map(re.escape, longest_first)) + ")" + after, re.IGNORECASE)

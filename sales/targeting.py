"""Whom sales would like to hear from, and what companies are like: typed, or imported as CSV.

A file is taken line by line: what is right is kept, what is wrong is answered with its line and the reason.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

from django.db import transaction

from billing import customers, typed
from billing.delimited import UnreadableFile, rows, text_of
from billing.models import Customer, User
from billing.refusals import Refused
from sales.models import TargetDomain

MAX_LINES = 20_000
MAX_BYTES = 4_000_000
# Of what was typed, in an answer.
LONGEST_SHOWN = 80

_WHOLE = re.compile(r"[0-9]{1,15}")


class TooManyCells(Refused):
    """More cells in a line than the header names."""

    code = "too_many_cells"


class UnknownName(Refused):
    """A line is about a customer or a colleague that there is not, or about several."""

    code = "unknown_name"


@dataclass(slots=True)
class Imported:
    """What became of a file: counts, and [(line, words)] of what was left out; the header is line 1."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)


type Line = Mapping[str, str]


def import_domains(*, content: bytes, now: datetime) -> Imported:
    """Columns `domain`, and if wanted `note` and `owner` (a colleague's e-mail). A domain stands once."""
    return _each(content, ("domain",), lambda line: _domain(line, now))


def import_companies(*, content: bytes, livemode: bool, now: datetime, actor: str) -> Imported:
    """Columns `customer` (id, external id, e-mail or domain) and any of `employees`, `industry`, `country`, `domain`.

    An empty cell leaves what is known.
    """
    return _each(content, ("customer",), lambda line: _company(line, livemode, now, actor))


def _each(content: bytes, needed: tuple[str, ...], take: Callable[[Line], str]) -> Imported:
    done = Imported()
    for number, names, cells in _rows(content, needed):
        try:
            with transaction.atomic():
                outcome = take(_line(names, cells))
        except Refused as refusal:
            done.problems.append((number, f"{refusal.field or needed[0]}: {refusal.message}"))
        else:
            setattr(done, outcome, getattr(done, outcome) + 1)
    return done


def _rows(content: bytes, needed: tuple[str, ...]) -> list[tuple[int, list[str], list[str]]]:
    """(line number, names of the columns whatever their case, cells) of every line in which something stands, separated
    by comma or semicolon. Read to the end before anything is taken. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"A file of at most {MAX_BYTES // 1_000_000} MB.", field="file")
    text = text_of(content)
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise UnreadableFile(f"At most {MAX_LINES:,} lines at once.", field="file")
    head = lines[0] if lines else ""
    delimiter = ";" if head.count(";") > head.count(",") else ","
    found = rows(text, needed, delimiter=delimiter, name=lambda cell: cell.strip().lower())
    return [row for row in found if any(cell.strip() for cell in row[-1])]


def _line(names: list[str], cells: list[str]) -> Line:
    """{column: text}. Raises TooManyCells: what stands behind the last column was meant for one before it."""
    if any(cell.strip() for cell in cells[len(names) :]):
        raise TooManyCells("This line has more cells than there are columns.", field="line")
    return {name: cell.strip() for name, cell in zip_longest(names, cells[: len(names)], fillvalue="")}


def _domain(line: Line, now: datetime) -> str:
    domain = typed.domain(line["domain"].removeprefix("https://").removeprefix("http://").strip("/"))
    if not domain:
        raise typed.Missing("Say which domain.", field="domain")
    given = {
        "note": typed.text(line.get("note", ""), "note", limit=200),
        "owner": _colleague(line.get("owner", "")),
    }
    row, added = TargetDomain.objects.get_or_create(domain=domain, defaults={**given, "added_at": now})
    if added:
        return "added"
    wanted = {name: value for name, value in given.items() if value and getattr(row, name) != value}
    if not wanted:
        return "unchanged"
    TargetDomain.objects.filter(pk=row.pk).update(**wanted)
    return "changed"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _colleague(email: str) -> User | None:
    if not email:
        return None
    found = User.objects.filter(email__iexact=email, is_staff=True, is_active=True).first()
    if found is None:
        raise UnknownName(f"No colleague has the address {_short(email)}.", field="owner")
    return found


def _company(line: Line, livemode: bool, now: datetime, actor: str) -> str:
    customer = _find(line["customer"], livemode)
    fields: dict[str, Any] = {
        name: line[name] for name in ("industry", "country", "domain") if line.get(name)
    }
    if line.get("employees"):
        digits = line["employees"].replace(",", "").replace(" ", "")
        if not _WHOLE.fullmatch(digits):
            raise customers.InvalidValue("Write a whole number.", field="employees")
        fields["employees"] = int(digits)
    before = {name: getattr(customer, name) for name in fields}
    customers.update(customer=customer, now=now, actor=actor, **fields)
    customer.refresh_from_db()
    return (
        "changed" if any(getattr(customer, name) != value for name, value in before.items()) else "unchanged"
    )


def _find(text: str, livemode: bool) -> Customer:
    rows = Customer.objects.filter(livemode=livemode)
    for name in ("external_id", "email__iexact", "domain__iexact"):
        found = list(rows.filter(**{name: text})[:2])
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownName(f"Several customers match “{_short(text)}”; give the id.", field="customer")
    known = rows.filter(pk=text).first() if _is_id(text) else None
    if known is None:
        raise UnknownName(f"No customer matches “{_short(text)}”.", field="customer")
    return known


def _is_id(text: str) -> bool:
    head, _, rest = text.partition("_")
    return head == "cus" and len(rest) == 32 and all(c in "0123456789abcdef" for c in rest)

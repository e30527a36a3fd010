"""Whom sales would like to hear from, and what companies are like: typed, or imported as CSV.

A file is taken line by line: what is right is kept, what is wrong is answered with its line and the reason.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from billing import customers, typed
from billing.models import Customer, User
from billing.refusals import Refused
from sales.models import TargetDomain

MAX_LINES = 20_000
MAX_BYTES = 4_000_000


class UnreadableFile(Refused):
    """Not a CSV file with the columns that are wanted."""

    code = "unreadable_file"


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
    for number, line in _lines(content, needed):
        try:
            with transaction.atomic():
                outcome = take(line)
        except Refused as refusal:
            done.problems.append((number, f"{refusal.field or needed[0]}: {refusal.message}"))
        else:
            setattr(done, outcome, getattr(done, outcome) + 1)
    return done


def _lines(content: bytes, needed: tuple[str, ...]) -> Iterator[tuple[int, Line]]:
    """(line number, {column: text}); names of columns whatever their case, separated by comma or semicolon."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"A file of at most {MAX_BYTES // 1_000_000} MB.", field="file")
    try:
        rows = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UnreadableFile("Save the file as UTF-8 text.", field="file") from None
    if len(rows) > MAX_LINES:
        raise UnreadableFile(f"At most {MAX_LINES:,} lines at once.", field="file")
    head = rows[0] if rows else ""
    reader = csv.DictReader(rows, delimiter=";" if head.count(";") > head.count(",") else ",")
    reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames or []]
    for name in needed:
        if name not in reader.fieldnames:
            raise UnreadableFile(f"The first line names the columns; “{name}” is missing.", field="file")
    for row in reader:
        line = {
            name: (text or "").strip() for name, text in row.items() if isinstance(text, str | None) and name
        }
        if any(line.values()):
            yield reader.line_num, line


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


def _colleague(email: str) -> User | None:
    if not email:
        return None
    found = User.objects.filter(email__iexact=email, is_staff=True, is_active=True).first()
    if found is None:
        raise UnreadableFile(f"No colleague has the address {email}.", field="owner")
    return found


def _company(line: Line, livemode: bool, now: datetime, actor: str) -> str:
    customer = _find(line["customer"], livemode)
    fields: dict[str, Any] = {
        name: line[name] for name in ("industry", "country", "domain") if line.get(name)
    }
    if line.get("employees"):
        digits = line["employees"].replace(",", "").replace(" ", "")
        if not (digits.isascii() and digits.isdigit()):
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
            raise UnreadableFile(f"Several customers match “{text}”; give the id.", field="customer")
    known = rows.filter(pk=text).first() if _is_id(text) else None
    if known is None:
        raise UnreadableFile(f"No customer matches “{text}”.", field="customer")
    return known


def _is_id(text: str) -> bool:
    head, _, rest = text.partition("_")
    return head == "cus" and len(rest) == 32 and all(c in "0123456789abcdef" for c in rest)

"""Watches what a deed locks, by the statements that it sends: the customer's row first (“Locks” in docs/architecture.md).

A deed is one transaction (within a test's own, what would be one outside of it). One that locks rows of a single table
cannot be part of a deadlock, so nothing is asked of it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

# What belongs to one customer, and the counters that many share, which come after.
OWNED = "billing_subscription billing_invoice billing_payment billing_refund billing_dispute".split()
SHARED = ["billing_numberseries", "billing_discount"]
CUSTOMER = "billing_customer"

_CHANGE = re.compile(r"\s*(?:update|delete from)\s+\"?(\w+)", re.IGNORECASE)
_SELECT = re.compile(r"for (?:no key )?update(?: of (?P<of>[^;]*?))?(?: skip locked)?\s*$", re.IGNORECASE)
_FROM = re.compile(r"\bfrom \"(\w+)\"", re.IGNORECASE)
_MADE = re.compile(r"\s*(?:with t0 as \()?insert into \"?billing_customer\b", re.IGNORECASE)
_REFRESHED = re.compile(r"\s*select \* from tandem_refresh_customer", re.IGNORECASE)


@dataclass
class Deed:
    """The tables that it locked, in order, without a table twice."""

    locked: list[str] = field(default_factory=list)

    def take(self, sql: str, params: Any) -> None:
        if _MADE.match(sql) and CUSTOMER not in self.locked:
            self.locked.insert(0, CUSTOMER)  # it was nobody's to wait for, whenever it is stored
        self.locked += [table for table in tables(sql, params) if table not in self.locked]

    @property
    def breach(self) -> str:
        """Two or more tables of a customer's, and not the customer's own first; "" where all is well."""
        mine = [table for table in self.locked if table in (CUSTOMER, *OWNED, *SHARED)]
        wrong = len(mine) > 1 and mine[0] != CUSTOMER and not {*OWNED, CUSTOMER}.isdisjoint(mine)
        return " -> ".join(mine) if wrong else ""


def tables(sql: str, params: Any) -> list[str]:
    """What a statement locks, in the order in which it does."""
    if _REFRESHED.match(sql):
        return [CUSTOMER]
    if found := _CHANGE.match(sql):
        return [] if "numberseries" in sql and "quote" in str(params) else [found[1]]
    found = _SELECT.search(sql)
    if not found:
        return []
    named = re.findall(r"\"(\w+)\"", found["of"] or "")
    return named or _FROM.findall(sql)[:1]


@contextmanager
def watched() -> Iterator[list[str]]:
    """What was found to be wrong, one for each deed; complete when the block is left."""
    breaches: list[str] = []
    deeds: dict[Any, Deed] = {}

    def look(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        outermost = next((each for each in connection.atomic_blocks if not each._from_testcase), None)
        if outermost is not None and isinstance(sql, str):
            deeds.setdefault(outermost, Deed()).take(sql, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield breaches
    breaches += [deed.breach for deed in deeds.values() if deed.breach]

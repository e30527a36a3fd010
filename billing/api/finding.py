"""Rows by their public ids, on one side: a sandbox key never sees that a live row exists."""

from typing import Any

from django.db.models import QuerySet

from billing.api.problems import FieldProblem, Problem
from billing.models import Customer
from billing.models.ids import is_id

__all__ = ["customer_at", "is_id", "missing", "row"]


def row(rows: QuerySet[Any], ref: str, *, what: str, field: str = "") -> Any:
    """The row with this id. Raises Problem: 404, or 422 where a body or query names it in `field`."""
    found = rows.filter(pk=ref).first() if is_id(ref, rows.model._meta.pk.prefix) else None
    if found is None:
        raise missing(what, field)
    return found


def missing(what: str, field: str = "") -> Problem:
    words = f"There is no such {what}."
    if not field:
        return Problem(404, "not_found", words)
    code = f"unknown_{what.replace(' ', '_')}"
    return Problem(422, code, words, [FieldProblem(field, code, words)])


def customer_at(ref: str, *, livemode: bool, field: str = "") -> Customer:
    rows = Customer.objects.filter(livemode=livemode).select_related("test_clock", "segment", "owner")
    named = rows.filter(pk=ref) if is_id(ref, "cus") else rows.filter(external_id=ref)
    found = named.first()
    if found is None:
        raise missing("customer", field)
    return found

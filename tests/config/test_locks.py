"""“Locks” in docs/architecture.md: who locks a row of a customer's takes the customer's own with it, and first."""

import ast
from pathlib import Path

import pytest
from django.db import transaction

from billing.models import Invoice
from tests.config.test_imports import CHECKOUT, modules
from tests.locks import watched

OWNED = {"Subscription", "Invoice", "Payment", "Refund", "Dispute"}
# Each place that locks such a row without its customer's, and why that can wait for nobody who waits for it.
WITHOUT = {
    "billing/apportioning.py:_unpaid_of": "the customer is held by whoever bills",
    "billing/dunning.py:late": "the invoice is held, and with it the customer",
    "billing/printing.py:_kept": "one row, and nothing after it",
    "billing/refunding.py:reserve": "the invoice is held, and with it the customer",
    "billing/renewing.py:_one_chunk": "skips what is held, and waits for nothing after it",
    "billing/running.py:_set_aside": "skips what is held; one row",
    "billing/settling.py:use_balance": "the statement before it holds the customer",
    "billing/sharing.py:siblings": "skips what is held; the run holds the customers",
}


def sites(path: Path) -> list[tuple[str, str, ast.Call]]:
    """(place, what is written before the call, the call) of each `select_for_update` in a module."""
    found = []
    for function in ast.walk(ast.parse((CHECKOUT / path).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            func = node.func if isinstance(node, ast.Call) else None
            if isinstance(func, ast.Attribute) and func.attr == "select_for_update":
                found.append((f"{path}:{function.name}", ast.unparse(func.value), node))
    return found


SITES = [
    site for path in modules() if path.parts[0] in ("billing", "sales", "checkout") for site in sites(path)
]


def first_of(call: ast.Call) -> str:
    of = next((word.value for word in call.keywords if word.arg == "of"), None)
    return of.elts[0].value if isinstance(of, ast.Tuple) else ""  # type: ignore[attr-defined]


def test_it_takes_the_customer_first_wherever_a_row_of_one_is_locked():
    bare = {
        place
        for place, before, call in SITES
        if place.startswith("billing/") and first_of(call) != "customer" and not _of_something_else(before)
    }
    assert bare == set(WITHOUT)


def _of_something_else(before: str) -> bool:
    """Of a model that is no part of a customer's money (the customer itself, a plan, a clock, an upload)."""
    model = before.split(".")[0]
    return model not in OWNED and (model[0].isupper() or model == "found")


def test_no_lock_on_a_customer_keeps_rows_about_it_from_being_written():
    """`for update` would make everybody wait who writes a row that names the customer."""
    strong = [
        place
        for place, before, call in SITES
        if before.startswith("Customer.") and "no_key" not in {word.arg for word in call.keywords}
    ]
    assert strong == []


@pytest.mark.django_db
def test_the_watch_sees_an_invoice_that_is_locked_before_its_customer(make_customer, subscribe):
    invoice = subscribe(make_customer()).invoices.get()
    with watched() as breaches:
        with transaction.atomic():
            Invoice.objects.filter(pk=invoice.pk).update(memo="")
            type(invoice.customer).objects.filter(pk=invoice.customer_id).update(name="Else")
        with transaction.atomic():
            Invoice.objects.filter(pk=invoice.pk).update(memo="")
    assert breaches == ["billing_invoice -> billing_customer"]

"""The page of invariants against what is there: every id, with what keeps it, what asks for it, and what shows it."""

import re
from pathlib import Path

import pytest
from django.db import connection

from billing import books

ROOT = Path(__file__).resolve().parents[2]
# The catalogue's ids, one row each.
IDS = [f"I-{number:02}" for number in range(1, 43)]
ROWS = [
    [re.findall(r"`([^`]+)`|(I-\d\d[a-z]?)", cell) for cell in line.strip()[1:-1].split("|")]
    for line in (ROOT / "docs" / "invariants.md").read_text().splitlines()
    if line.startswith("| I-")
]
NAMES = """
    select conname from pg_constraint where connamespace = 'public'::regnamespace
    union select indexname from pg_indexes where schemaname = 'public' and indexdef like 'CREATE UNIQUE%'
    union select tgname from pg_trigger where not tgisinternal and tgenabled = 'O'"""


def named(column):
    return {first or second for row in ROWS for first, second in row[column]}


def asked(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.mark.django_db
def test_every_invariant_is_kept_and_asked_or_shown():
    assert [row[0][0][1] for row in ROWS] == IDS
    assert [row[0][0][1] for row in ROWS if not any(row[3:])] == []
    assert named(2) - {name for (name,) in asked(NAMES)} == set()
    assert named(3) - {"I-11", "I-37b"} == {invariant.id for invariant in books.invariants()}
    tests = [test.split("::") for test in named(4)]
    assert [test for path, test in tests if f"def {test}(" not in (ROOT / path).read_text()] == []


# Columns of unique indexes that may be empty, and what it means then: such rows are not compared.
MAY_BE_EMPTY = {
    "billing_creditnote_document_id_key": "not printed yet",
    "billing_discount_code_key": "given by staff, without a code to type",
    "billing_invoice_document_id_key": "not printed yet",
    "billing_payment_provider_id_key": "not asked yet, or not by card",
    "customer_external_id_once": "the seller has no id for them",
    "delivery_once": "a test that was sent by hand, of no fact",
    "invoice_number_once": "a draft",
    "invoice_once_per_source": "made by nothing that could be repeated",
    "one_accepted_quote_waits_per_subscription": "not among the rows: its condition",
    "one_invoice_per_subscription_and_cycle": "not among the rows; shared papers: I-10",
    "one_open_attempt_per_invoice": "a checkout's payment: one_open_attempt_per_source",
    "one_open_task_per_customer": "not among the rows: its condition",
    "one_open_task_per_lead": "not among the rows: its condition",
    "one_paying_session_per_customer": "a buyer who is nobody yet",
    "one_session_per_subscription": "not completed",
    "price_once_per_quote": "not among the rows: its condition",
    "sales_automation_shipped_code_key": "the seller's own",
    "sales_quote_revision_of_id_key": "a first version",
    "subscription_once_per_source": "made by nothing that could be repeated",
}
EMPTY = """
    select distinct i.indexrelid::regclass::text
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
    where i.indisunique and not i.indnullsnotdistinct and not a.attnotnull
        and i.indrelid::regclass::text ~ '^(billing|sales|checkout)_'"""


@pytest.mark.django_db
def test_where_a_unique_column_may_be_empty_it_was_meant():
    """PostgreSQL takes empty values for different ones, so an index does not bite there."""
    assert {name for (name,) in asked(EMPTY)} == set(MAY_BE_EMPTY)

"""Cases of what an account holds: papers that several subscriptions share, credit that waits for the next paper, notes on
what is paid and what is not, and what a customer promised to spend.

Each is named after the system and what its test is about; the amounts are the expected ones there.
"""

from typing import Any

from tests.scenarios.cases import (
    balance,
    cancel,
    change,
    clock,
    customer,
    invoices,
    issued_on,
    lines,
    money,
    plan,
    price,
    story,
    subscribe,
    tax,
    to,
    totals,
)
from tests.scenarios.kindred_cases import line, note, paid
from tests.scenarios.mixed_cases import OPEN, PAPER, least
from tests.scenarios.priced_cases import place

# -- killbill/killbill, beatrix/…/integration/TestIntegrationParentInvoice, TestWithTaxItems, TestIntegration ---------

MONTHLY, LESS = plan(price("249.95")), plan(price("29.95"), name="less")
BOTH = [subscribe(**OPEN), {**subscribe("less", **OPEN), "as": "second"}]

KB = [
    story(
        "KB one paper for two", clock("2015-06-14"), MONTHLY, LESS, customer(consolidate_invoices=True), *BOTH,
        to("2015-07-14T01:00"), totals(24995, 2995, 27990), lines({"amount": "249.95"}, {"amount": "29.95"}),
    ),
    story(
        "KB a shared paper is adjusted five times", clock("2015-06-14"), MONTHLY, LESS,
        customer(consolidate_invoices=True), *BOTH, to("2015-07-14T01:00"), PAPER,
        *(note(line(0, amount=amount)) for amount in ("10.00", "5.00", "10.00", "5.00", "10.00")),
        {"call": "GET /invoices/${paper.id}", "expect": {"total": "279.90", "amount_due": "239.90"}}, balance(0),
    ),
    story(
        "KB credit that there is goes before what is charged", clock("2015-06-14"), plan(price("20.00"), name="first"),
        LESS, customer(), subscribe("first", **OPEN), *paid("30.00"), balance(1000), subscribe("less", **OPEN),
        invoices({"amount_due": "0.00"}, {"total": "29.95", "amount_paid": "10.00", "amount_due": "19.95"}), balance(0),
    ),
    story(
        "KB what an early end gives back pays the next month", clock("2015-06-14"), MONTHLY, customer(),
        subscribe(**OPEN), *paid(), cancel(effective="2015-06-15"), to("2015-06-15T01:00"), balance(24162),
        to("2015-07-14T00:00"), subscribe(**OPEN), invoices({"amount_due": "0.00"}, {"amount_due": "8.33"}), balance(0),
    ),
    story(
        "KB an early end of what is not paid", clock("2015-06-14"), MONTHLY, customer(), subscribe(**OPEN),
        cancel(effective="2015-06-16"), to("2015-06-16T01:00"), invoices({"total": "249.95", "amount_due": "16.66"}),
        balance(0),
    ),
    story(
        "KB a note of a part of a taxed line", tax("10", "FR"), clock("2012-05-01"), LESS, customer(country="FR"),
        subscribe("less"), *paid(), invoices({"subtotal": "29.95", "tax_total": "3.00"}), to("2012-05-08"),
        note(line(0, amount="10.00"), expect={"tax_total": "1.00", "total": "11.00"}), balance(1100),
    ),
    story(  # what is charged for days that are known to end is given back on that day
        "KB a price changes on a day in the period", clock("2018-03-15"), plan(price("49.95")),
        plan(price("59.95"), name="new"), customer(), subscribe(), to("2018-04-10"),
        change(plan="new", effective="2018-05-01"), to("2018-05-01T01:00"),
        lines({"amount": "-23.31"}, {"amount": "27.98"}), to("2018-05-15T01:00"), totals(4995, 4995, 467, 5995),
    ),
    story(
        "KB a stub up to the 31st, then a smaller plan", clock("2012-03-02"), plan(price("599.95")), LESS, customer(),
        subscribe(anchor=31), change(plan="less", effective="period_end"), to("2012-07-01T01:00"),
        totals(56124, 2995, 2995, 2995, 2995),
        issued_on("2012-03-02", "2012-03-31", "2012-04-30", "2012-05-31", "2012-06-30"),
    ),
]  # fmt: skip

# -- meteroid-oss/meteroid, modules/meteroid/crates/meteroid-store/src/repositories/credit_notes.rs ------------------

METEROID = [
    story(
        "METEROID a third of a line with two taxes", place("FR", ("VAT", "15"), ("City", "5")), clock("2025-01-01"),
        plan(price("100.00")), customer(country="FR"), subscribe(), *paid(),
        note(line(0, amount="33.33"), expect={"subtotal": "33.33", "tax_total": "6.67", "taxes": [
            {"amount": "5.00"}, {"amount": "1.67"}]}),
        note(line(0, amount="66.67"), expect={"subtotal": "66.67", "tax_total": "13.33", "taxes": [
            {"amount": "10.00"}, {"amount": "3.33"}]}), balance(12000),
    ),
]  # fmt: skip

# -- getlago/lago-api, spec/scenarios/commitments/minimum/in_advance_spec.rb ------------------------------------------


def committed(case: str, interval: str, start: str, anchor: str, renewal: str, *cents: int) -> Any:
    """1000.00 in advance, at least 10000.00: the first paper, and the next with the period after it."""
    first, added = cents
    return story(
        f"LAGO commitment in advance, {case}", clock(start),
        plan(price("1000.00", interval), least("10000.00", interval=interval), currency="EUR"), customer(currency="EUR"),
        subscribe(interval=interval, anchor=anchor, payment_rule_override="any"), totals(first), to(f"{renewal}T01:00"),
        lines({"amount": "1000.00"}, {"amount": money(added), "kind": "minimum"}),
    )  # fmt: skip


LAGO = [
    committed("weeks of the calendar", "week", "2023-02-01", "calendar", "2023-02-06", 71429, 642857),
    committed("weeks", "week", "2023-02-01", "start", "2023-02-08", 100000, 900000),
    committed("months of the calendar", "month", "2023-02-04", "calendar", "2023-03-01", 89286, 803571),
    committed("months", "month", "2023-02-04", "start", "2023-03-04", 100000, 900000),
    committed("quarters of the calendar", "quarter", "2023-02-04", "calendar", "2023-04-01", 62222, 560000),
]

STORIES = [*KB, *METEROID, *LAGO]

"""Cases of further test files of other billing systems, told as in `cases`.

Each is named after the system and what its test is about; the amounts are the expected ones there. Where ours fall on
another day or paper, the story says so in its name and docs/scenarios.md gives the reason.
"""

from typing import Any

from tests.scenarios.cases import (
    ARREARS,
    MONTH,
    YEAR,
    Step,
    balance,
    cancel,
    change,
    clock,
    customer,
    invoices,
    issued_on,
    lines,
    measured,
    meter,
    money,
    off,
    plan,
    price,
    span,
    story,
    subscribe,
    switch,
    tax,
    tier,
    to,
    totals,
    upcoming,
    use,
)
from tests.scenarios.more_cases import notes
from tests.scenarios.neighbour_cases import calls, fee, seats, stubs, taxed


def paid(amount: str | None = None) -> list[Step]:
    """The customer's newest invoice, by bank transfer."""
    return [
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest"},
        {
            "call": "POST /invoices/${newest.results.0.id}/mark_paid",
            "body": {"amount": amount} if amount else {},
        },
        {"call": "GET /invoices/${newest.results.0.id}", "as": "paper"},
    ]


def note(*given: dict[str, Any], expect: Any = None, **fields: Any) -> Step:
    """A credit note on the paper that was just paid."""
    body = {
        "invoice": "${paper.id}",
        "reason": "Goodwill",
        **({"lines": list(given)} if given else {}),
        **fields,
    }
    return {"call": "POST /credit_notes", "body": body, **({} if expect is None else {"expect": expect})}


def line(n: int, **fields: Any) -> dict[str, Any]:
    return {"line": f"${{paper.lines.{n}.id}}", **fields}


def period(start: str, end: str) -> Step:
    return {
        "call": "GET /subscriptions/${sub.id}",
        "expect": {"current_period": {"start": start, "end": end}},
    }


# -- meteroid-oss/meteroid, test_credit_note.rs, test_billing.rs, services/subscriptions/proration.rs -----------

FOUR = plan(*(price(f"{n}0.00", code=f"p{n}") for n in (1, 2, 3, 4)), currency="EUR")


def in_june(
    name: str, at: str, before: Step, after: Step, first: dict[str, Any], then: dict[str, Any], *cents: int
) -> Any:
    return story(
        name, clock("2025-06-01"), before, after, customer(), subscribe(**first), to(at),
        change(**then, expect={"total": money(sum(cents)), "lines": [{"amount": money(one)} for one in cents]}),
    )  # fmt: skip


METEROID = [
    story(
        "METEROID credit notes of discounted lines add up", tax("10", "FR"), clock("2024-01-01"), FOUR,
        off("ten", percent_off=10), customer(currency="EUR", country="FR"), subscribe(discount="${ten.id}"),
        invoices({"subtotal": "100.00", "discount_total": "10.00", "tax_total": "9.00", "total": "99.00"}), *paid(),
        note(line(0), line(1), expect={"tax_total": "2.70", "total": "29.70"}),
        note(line(2), line(3), expect={"tax_total": "6.30", "total": "69.30"}), balance(9900),
    ),
    story(
        "METEROID a credit note of half a line and a whole one", tax("10", "FR"), clock("2024-01-01"), FOUR,
        customer(currency="EUR", country="FR"), subscribe(), invoices(taxed(10000, 1000)), *paid(),
        note(line(0, quantity="0.5"), line(1), expect=taxed(2500, 250)), balance(2750),
    ),
    story(
        "METEROID a refund of what was paid in part from the balance", clock("2024-01-01"), plan(price("100.00")),
        plan(price("20.00"), name="first"), customer(), subscribe("first"), *paid("40.00"), balance(2000), subscribe(),
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest",
         "expect": {"results": [{"total": "100.00", "amount_due": "80.00"}]}},
        {"call": "POST /customers/${customer.id}/payment_methods", "body": {"payment_method": "pm_card_visa"}},
        {"call": "POST /invoices/${newest.results.0.id}/pay", "body": {}},
        {"call": "POST /credit_notes", "body": {
            "invoice": "${newest.results.0.id}", "to": "refund", "reason": "Goodwill"}},
        {"call": "GET /payments?customer=${customer.id}&limit=1", "expect": {"results": [{"amount_refunded": "80.00"}]}},
        balance(2000),
    ),
    switch("METEROID half a period", "2025-06-01", "2025-06-16", (MONTH, "100.00"), (MONTH, "200.00"), 5000, 10000),
    switch("METEROID on the first day", "2025-06-01", "2025-06-01", (MONTH, "100.00"), (MONTH, "200.00"), 10000, 20000),
    switch("METEROID on the last day", "2025-06-01", "2025-06-30", (MONTH, "300.00"), (MONTH, "600.00"), 1000, 2000),
    in_june(
        "METEROID components matched, removed and added", "2025-06-16",
        plan(price("100.00", code="base"), price("30.00", code="y")),
        plan(price("200.00", code="base"), price("50.00", code="x"), name="other"), {}, {"plan": "other"},
        -5000, -1500, 10000, 2500,
    ),
    in_june("METEROID slots", "2025-06-16", plan(seats("10.00")), plan(seats("1.00"), name="unused"), {"quantity": 5},
            {"quantity": 10}, -2500, 5000),
    story(
        "METEROID a fee once, twice of it, is never prorated", clock("2025-06-01"), plan(price("1.00", code="fee")),
        plan(price("1.00", code="fee"), {"kind": "one_time", "model": "per_unit", "amount": "500.00", "code": "setup"},
             name="other"),
        customer(), subscribe(), to("2025-06-23"),
        change(plan="other", quantities={"setup": 2}, expect={"total": "1000.00"}),
    ),
    story(
        "METEROID billing day after the start", clock("2024-03-01"), plan(price("35.00")), customer(),
        subscribe(anchor=15), to("2024-07-15T12:00"),
        issued_on("2024-03-01", "2024-03-15", "2024-04-15", "2024-05-15", "2024-06-15", "2024-07-15"),
    ),
    story(
        "METEROID first quarter of the calendar", clock("2025-10-08"),
        plan(price("90.00", "quarter"), currency="EUR"), customer(currency="EUR"),
        subscribe(interval="quarter", anchor="calendar"), totals(8315),
        period("2025-10-08", "2026-01-01"), to("2026-01-01T01:00"), totals(8315, 9000),
        period("2026-01-01", "2026-04-01"),
    ),
    story(
        "METEROID an end that is known ahead", clock("2024-01-31"), plan(price("35.00")), customer(), subscribe(),
        cancel(effective="2024-03-10"), {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "35.00"}},
        to("2024-02-29T01:00"), totals(3500, 1129), to("2024-03-10T01:00"), totals(3500, 1129),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "0.00", "status": "canceled"}},
    ),
    story(
        "METEROID tax of a discounted price", tax("8.25", "US"), clock("2024-02-01"), plan(price("35.00")),
        off("ten", percent_off=10), customer(country="US"), subscribe(discount="${ten.id}"),
        invoices({"subtotal": "35.00", "discount_total": "3.50", "tax_total": "2.60", "total": "34.10"}),
    ),
    story(
        "METEROID a change now takes back a change that waits", clock("2024-01-01"), plan(price("29.00")),
        plan(price("99.00"), name="pro"), plan(price("199.00"), name="max"), customer(), subscribe(),
        change(plan="pro", effective="period_end"), to("2024-01-16"), change(plan="max"), to("2024-02-01T01:00"),
        lines({"amount": "99.00"}),
    ),
]  # fmt: skip

# -- killbill/killbill, beatrix/…/integration: repair, periods, discounts, usage in arrears ---------------------

BULLETS = {"model": "package", "package_size": 100}
KILLBILL = [
    story(
        "KB a year canceled after thirty days", clock("2013-08-18"), plan(price("2399.95", YEAR)), customer(),
        subscribe(interval=YEAR), *paid(), to("2013-09-16"), cancel(), notes(220269), balance(220269),
    ),
    story(
        "KB all that is left is adjusted after the end", clock("2013-08-18"), plan(price("2399.95", YEAR)), customer(),
        subscribe(interval=YEAR), *paid(), to("2013-09-16"), cancel(), note(), notes(220269, 19726), balance(239995),
    ),
    story(
        "KB all is adjusted in parts, then canceled", clock("2013-08-18"), plan(price("2399.95", YEAR)), customer(),
        subscribe(interval=YEAR), *paid(), note(line(0, amount="1000.00")), note(line(0, amount="1000.00")),
        note(line(0)), to("2013-09-16"), cancel(), notes(100000, 100000, 39995), balance(239995),
    ),
    story(
        "KB an adjustment that is too large", clock("2013-08-18"), plan(price("2399.95", YEAR)), customer(),
        subscribe(interval=YEAR), *paid(), {**note(line(0, amount="2399.96")), "status": 422}, balance(0),
    ),
    story(
        "KB a partial adjustment, a late end, and no more than what is left", clock("2013-08-18"),
        plan(price("2399.95", YEAR)), customer(), subscribe(interval=YEAR), *paid(), note(line(0, amount="1000.00")),
        to("2014-03-17"), cancel(), balance(100000 + 100601),
    ),
    story(
        "KB a year paused for twenty-three days", clock("2012-05-01"), plan(price("2399.95", YEAR)), customer(),
        subscribe(interval=YEAR), to("2012-05-12"),
        {"call": "POST /subscriptions/${sub.id}/pause", "body": {}, "expect": {"credit_to_balance": "2327.62"}},
        to("2012-06-04"), {"call": "POST /subscriptions/${sub.id}/resume", "body": {}}, balance(15123),
    ),
    story(
        "KB three months discounted, then evergreen", clock("2023-02-28T03:47"), plan(price("24.95")),
        off("intro", amount_off="20.00", currency="USD", duration="repeating", periods=3), customer(),
        subscribe(discount="${intro.id}"), to("2023-06-28T04:00"), totals(495, 495, 495, 2495, 2495),
    ),
    story(
        "KB terms of two months, then a fixed end", clock("2012-04-01"), plan(price("900.00", **ARREARS)),
        plan(price("1000.00", **ARREARS), name="more"), customer(), subscribe(), to("2012-04-11"),
        change(plan="more"), to("2012-05-01T01:00"), lines({"amount": "300.00"}, {"amount": "666.67"}),
    ),
    story(
        "KB arrears changed in the second month", clock("2012-04-01"), plan(price("900.00", **ARREARS)),
        plan(price("1000.00", **ARREARS), name="more"), customer(), subscribe(), to("2012-05-11"),
        change(plan="more"), to("2012-06-01T01:00"), lines({"amount": "290.32"}, {"amount": "677.42"}),
    ),
    story(
        "KB add-on in arrears changed and canceled", clock("2023-08-11"), plan(price("900.00", **ARREARS)),
        customer(), subscribe(), to("2023-08-19"), cancel(), totals(26129),
    ),
    story(
        "KB greedy arrears, to the end", clock("2022-01-13"), plan(price("100.00")), customer(), subscribe(),
        to("2022-03-10"), cancel(), totals(10000, 10000), balance(714),
    ),
    story(
        "KB blocks of usage, period by period", clock("2012-04-01"), meter(),
        plan(price("0.00", code="fee"), calls("2.95", **BULLETS)), customer(), subscribe(), use(99, key="1"),
        to("2012-04-15"), use(100, key="2"), to("2012-05-01T01:00"), totals(590), use(50, key="3"), to("2012-05-15"),
        use(300, key="4"), cancel(), totals(590, 1180),
    ),
    story(
        "KB usage of a canceled end that is taken back", clock("2012-05-01"), meter(),
        plan(price("0.00", code="fee"), calls("2.95", **BULLETS)), customer(), subscribe(), use(50, key="1"),
        to("2012-05-16"), cancel(effective="period_end"), to("2012-05-17"),
        {"call": "POST /subscriptions/${sub.id}/undo_cancel", "body": {}}, to("2012-06-01T01:00"), totals(295),
        to("2012-06-16"), use(300, key="2"), to("2012-07-01T01:00"), totals(295, 885),
    ),
    story(
        "KB usage that comes late, after no usage", clock("2012-04-01"), meter(),
        plan(price("0.00", code="fee"), calls("2.95", **BULLETS)), customer(), subscribe(), to("2012-05-02"), invoices(),
        use(100, "2012-04-30", key="1"), use(199, "2012-05-01", key="2"), to("2012-06-01T01:00"),
        totals(885),
    ),
    stubs("a double proration", MONTH, "310.00", "2012-01-20", 15, "2012-03-09", 26000, 24586),
    stubs("a year with a leading stub", YEAR, "365.00", "2011-02-01", 13, "2012-02-13", 1200, 36500),
    story(
        "KB a plan of its own price for one customer", clock("2012-05-01"), plan(price("249.95")),
        plan(price("279.95"), name="own"), customer(), subscribe(), change(plan="own", expect={
            "lines": [{"amount": "-249.95"}, {"amount": "279.95"}], "due_now": "30.00"}),
        to("2012-06-01T01:00"), totals(24995, 3000, 27995),
    ),
    *(
        story(
            f"KB {name}", clock(start), plan(price("29.95")), customer(timezone="America/Los_Angeles"),
            subscribe(anchor=day), to(until), lines({**span(*last), "amount": "29.95"}),
        )
        for name, start, day, until, last in (
            ("into daylight saving", "2017-03-02T07:30", "start", "2017-04-01T08:00", ("2017-04-01", "2017-05-01")),
            ("out of daylight saving", "2017-11-01T07:30", "start", "2017-12-01T09:00", ("2017-12-01", "2018-01-01")),
            ("in the gap of daylight saving", "2015-03-08T10:00", "start", "2015-04-08T08:00",
             ("2015-04-08", "2015-05-08")),
        )
    ),
]  # fmt: skip

# -- flexprice/flexprice, line_item_proration_test.go, fixed_charge_billing_test.go, tax_rounding_test.go, date_test.go

SLAB = [tier(10, "5"), tier(None, "3")]


def taxed_once(n: int, amount: str, percentage: str, tax_total: str, currency: str = "USD") -> list[Step]:
    return [
        tax(percentage, "US"), plan(price(amount), currency=currency, name=f"p{n}"),
        customer(country="US", currency=currency), subscribe(f"p{n}"), invoices({"tax_total": tax_total}),
    ]  # fmt: skip


def next_date(interval: str, start: str, anchor: Any, then: str, zone: str = "UTC") -> list[Step]:
    return [
        clock(start), customer(timezone=zone), subscribe(interval=interval, anchor=anchor),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"current_period": {"end": then}}},
    ]  # fmt: skip


FLEX = [
    in_june("FLEX an item added in the period", "2025-06-11", plan(seats("20.00", prorate=True)),
            plan(price("1.00"), name="unused"), {"quantities": {"seats": 0}}, {"quantities": {"seats": 1}}, 1333),
    in_june("FLEX an item removed in the period", "2025-06-11", plan(seats("20.00"), fee("5.00")),
            plan(price("1.00"), name="unused"), {"quantities": {"seats": 1}}, {"quantities": {"seats": 0}}, -1333),
    story(
        "FLEX two items added on one day, one after the other", clock("2025-06-01"),
        plan(seats("20.00"), price("35.00", model="per_unit", code="more"), fee("5.00")), customer(),
        subscribe(quantities={"seats": 0, "more": 0}), to("2025-06-11"),
        change(quantities={"seats": 1, "more": 0}, expect={"total": "13.33"}),
        change(quantities={"seats": 1, "more": 1}, expect={"total": "23.33"}), totals(500, 1333, 2333),
    ),
    story(
        "FLEX what was credited before is not given back again", clock("2025-06-01"), plan(seats("20.00"), fee("5.00")),
        customer(), subscribe(quantities={"seats": 1}), *paid(), note(line(0, amount="8.00")), to("2025-06-11"),
        change(quantities={"seats": 0}), balance(800 + 1200),
    ),
    story(
        "FLEX quantities of fees, packages, slabs and volumes", clock("2025-01-01"),
        plan(price("100", model="per_unit", code="a"), price("50", model="package", package_size=10, code="b"),
             price(model="graduated", tiers=SLAB, code="c"), price(model="volume", tiers=SLAB, code="d")),
        customer(), subscribe(quantities={"a": 3, "b": 25, "c": 20, "d": 20}),
        lines({"amount": "300.00"}, {"amount": "150.00"}, {"amount": "80.00"}, {"amount": "60.00"}),
    ),
    story(
        "FLEX tax rounded once", clock("2024-01-01"), *taxed_once(1, "1000", "10", "100", "JPY"),
        *taxed_once(2, "999", "10.5", "105", "JPY"), *taxed_once(3, "100.00", "0.01", "0.01"),
        *taxed_once(4, "1.00", "0.1", "0.00"), *taxed_once(5, "99.99", "8.875", "8.87"),
        *taxed_once(6, "999999.99", "10", "100000.00"),
    ),
    story(
        "FLEX the next date", clock("2024-01-01"),
        plan(*(price("0.00", one, code=one) for one in ("week", "month", "quarter", "half_year", "year"))),
        *next_date("month", "2024-01-31", "start", "2024-02-29"), *next_date("year", "2024-02-29", "start", "2025-02-28"),
        *next_date("year", "2023-02-28", "start", "2024-02-28"),
        *next_date("year", "2024-02-29T12:00", "calendar", "2025-01-01"),
        *next_date("quarter", "2024-02-15", "calendar", "2024-04-01"),
        *next_date("quarter", "2024-11-30", "start", "2025-02-28"),
        *next_date("half_year", "2024-03-15", "calendar", "2024-07-01"),
        *next_date("half_year", "2024-08-31", "start", "2025-02-28"),
        *next_date("week", "2024-03-06", "calendar", "2024-03-11"),
        *next_date("week", "2024-03-06", "start", "2024-03-13"),
        *next_date("month", "2024-12-30T20:00", "calendar", "2025-01-01", "Asia/Kolkata"),
        *next_date("quarter", "2024-02-15", "2024-04-01", "2024-04-01"),
        *next_date("half_year", "2024-03-15", "2024-07-01", "2024-07-01"),
        *next_date("week", "2024-03-04", "2024-01-03", "2024-03-06"),
    ),
]  # fmt: skip

# -- openmeterio/openmeter, subscriptionsync/service/sync_test.go; polarsource/polar, order/test_service.py -----

OTHERS = [
    story(
        "OM aligned to the first of the month", clock("2024-01-15"), meter(),
        plan(price("5.00", code="advance"), price("5.00", code="late", **ARREARS), calls("10")), customer(),
        subscribe(anchor="calendar"), totals(274), use(1), to("2024-02-01T01:00"),
        lines({"amount": "5.00"}, {"amount": "2.74"}, {"amount": "10.00"}),
    ),
    story(
        "OM a price changed on the second day", clock("2024-01-01"), plan(price("10.00")),
        plan(price("20.00"), name="new"), customer(), subscribe(), to("2024-01-02"),
        change(plan="new", expect={"lines": [{"amount": "-9.68"}, {"amount": "19.35"}]}), to("2024-02-01T01:00"),
        totals(1000, 967, 2000),
    ),
    story(
        "OM 110 units are free", clock("2025-01-01"), meter(), plan(calls("100", included=110)), customer(), subscribe(),
        to("2025-01-05"), use(50, key="1"), to("2025-01-10"), use(75, key="2"), to("2025-01-20"), use(30, key="3"),
        to("2025-02-01T01:00"), totals(450000),
    ),
    story(
        "OM a start that lies ahead", clock("2024-01-01"), meter(), plan(price("6.00", code="fee"), calls("10")),
        customer(), subscribe(start_at="2024-01-10"), invoices(), to("2024-01-10T01:00"), totals(600), use(2),
        to("2024-02-10T01:00"), totals(600, 2600),
    ),
    story(
        "POLAR tax of a proration and of the next period", tax("20", "FR"), clock("2025-06-01"), plan(price("5.00")),
        plan(price("30.00"), name="pro"), customer(country="FR"), subscribe(), to("2025-06-16"), change(plan="pro"),
        to("2025-07-01T01:00"), invoices(taxed(500, 100), taxed(1250, 250), taxed(3000, 600)),
    ),
    story(
        "POLAR half off from a year to a month", tax("20", "FR"), clock("2025-06-01"), plan(price("300.00", YEAR)),
        plan(price("30.00"), name="monthly"), off("half", percent_off=50), customer(country="FR"),
        subscribe(interval=YEAR, discount="${half.id}"), to("2025-09-01"),
        change(plan="monthly", interval=MONTH, effective="now", expect={
            "due_now": "0.00",
            "lines": [{"amount": "-112.19"}, {"amount": "15.00"}, {"kind": "tax", "amount": "-19.44"}]}),
        balance(11663),
    ),
    story(
        "STRIPE graduated and volume tiers", clock("2025-01-01"),
        plan(price(model="graduated", code="a", tiers=[tier(5, "7"), tier(10, "6.5"), tier(None, "6")]),
             price(model="volume", code="b", tiers=[tier(5, "7"), tier(10, "6.5"), tier(None, "6")])),
        customer(), subscribe(quantity=6), lines({"amount": "41.50"}, {"amount": "39.00"}), to("2025-02-01"),
        change(quantity=20), to("2025-03-01T01:00"), lines({"amount": "127.50"}, {"amount": "120.00"}),
    ),
    story(
        "STRIPE an amount and then a percentage off", clock("2025-01-01"), plan(price("100.00")),
        off("twenty", amount_off="20.00", currency="USD"), off("ten", percent_off=10), customer(),
        subscribe(discounts=["${twenty.id}", "${ten.id}"]), totals(7200),
    ),
    story(
        "STRIPE an upgrade in the middle of a month, previewed", clock("2025-04-01"), plan(price("10.00")),
        plan(price("20.00"), name="new"), customer(), subscribe(), to("2025-04-16"),
        {"call": "POST /subscriptions/${sub.id}/changes/preview", "body": {"plan": "${new.code}"},
         "expect": {"lines": [{"amount": "-5.00"}, {"amount": "10.00"}], "due_now": "5.00",
                    "next_invoice": {"date": "2025-05-01", "total": "20.00"}}},
        upcoming(1000),
    ),
    measured("STRIPE a flat fee and units in tiers", {5: 3500, 6: 5150}, model="graduated",
             tiers=[tier(5, "5", "10"), tier(None, "6.5", "10")]),
]  # fmt: skip

# -- getlago/lago-api, spec/scenarios/fixed_charges, invoices/one_off, subscriptions/upgrade ---------------------

UNITS = price("10.00", model="per_unit", code="units", prorate=False)
LAGO = [
    story(
        "LAGO units updated and others added at once", clock("2024-03-01"),
        plan(UNITS, price("5.00", model="per_unit", code="others", prorate=False)), customer(),
        subscribe(quantities={"units": 10, "others": 0}), totals(10000), to("2024-03-06"),
        change(quantities={"units": 15, "others": 8}, expect={"lines": [{"amount": "50.00"}, {"amount": "40.00"}]}),
        totals(10000, 9000),
    ),
    story(
        "LAGO a one-off with the customer's tax", tax("15", "ES"), clock("2024-01-01"), customer(country="ES"),
        {"call": "POST /invoices", "as": "one_off", "body": {
            "customer": "${customer.id}", "lines": [{"description": "Setup", "unit_amount": "100.00"}]}},
        {"call": "POST /invoices/${one_off.id}/finalize", "expect": taxed(10000, 1500)},
    ),
    story(
        "LAGO a paid invoice is credited in whole", tax("20", "ES"), clock("2024-01-01"), plan(price("10.00")),
        customer(country="ES"), subscribe(), *paid("12.00"), note(expect={"total": "12.00"}), balance(1200),
    ),
    story(
        "LAGO a yearly upgrade on the last day of the month, in a cycle of its own", clock("2023-06-29T12:12"),
        plan(price("10.00")), plan(price("120.00", YEAR), name="yearly"), customer(), subscribe(),
        to("2023-09-28T05:00"), change(plan="yearly", interval=YEAR, expect={"lines": [
            {"amount": "-0.32"}, {"amount": "120.00"}]}),
    ),
    story(
        "LAGO a downgrade of units that are not prorated, with the month", clock("2023-07-19T12:12"),
        plan(price("100.00", code="fee", **ARREARS), price("1.00", model="per_unit", code="a", prorate=False),
             price("3.00", model="per_unit", code="b", prorate=False)),
        plan(price("10.00", code="fee", **ARREARS), price("10.00", model="per_unit", code="b", prorate=False),
             price("20.00", model="per_unit", code="c", prorate=False), name="less"),
        customer(), subscribe(anchor="calendar", quantities={"a": 10, "b": 5}), totals(2500), to("2023-08-21"),
        change(plan="less", quantities={"b": 10, "c": 1}, effective="period_end"), to("2023-09-01T00:00"),
        lines({"amount": "100.00"}, {"amount": "100.00"}, {"amount": "20.00"}),
    ),
]  # fmt: skip

STORIES = [*METEROID, *KILLBILL, *FLEX, *OTHERS, *LAGO]

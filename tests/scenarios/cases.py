"""Billing cases with known answers, from the test suites of other billing systems, told as scenarios for the API.

Each is what a user of the API would send. Amounts are the expected ones of the case of that name; where a case leaves
something open it is Tandem's rule that fills it (docs/billing-maths.md).
"""

from decimal import Decimal
from typing import Any

Step = dict[str, Any]


# -- Words to tell them with --------------------------------------------------------------------------------


def money(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):.2f}"


def clock(time: str) -> Step:
    return {"call": "POST /test_clocks", "body": {"time": full(time)}, "as": "clock"}


def full(time: str) -> str:
    """A day as its midnight in UTC, a minute as an instant."""
    return time if time.endswith("Z") else f"{time}T00:00:00Z" if "T" not in time else f"{time}:00Z"


def customer(**fields: Any) -> Step:
    body = {"name": "Acme", "email": "it@acme.example", "test_clock": "${clock.id}", **fields}
    return {"call": "POST /customers", "body": body, "as": "customer"}


def price(amount: str | None = None, interval: str = "month", **fields: Any) -> dict[str, Any]:
    said = {} if amount is None else {"amount": amount}
    return {**said, "interval": interval, **fields}


def plan(*prices: dict[str, Any], name: str = "plan", currency: str = "USD", **fields: Any) -> Step:
    body = {
        "code": f"{name}-${{run}}", "name": name.title(), "motion": "self_serve",
        "prices": [{"currency": currency, **one} for one in prices], **fields,
    }  # fmt: skip
    return {"call": "POST /plans", "body": body, "as": name}


def meter(aggregation: str = "sum", name: str = "api") -> Step:
    body = {
        "code": f"{name}-${{run}}", "name": name.upper(), "event_name": f"{name}-${{run}}",
        "aggregation": aggregation,
    }  # fmt: skip
    return {"call": "POST /meters", "body": body, "as": name}


def subscribe(name: str = "plan", **fields: Any) -> Step:
    body = {"customer": "${customer.id}", "plan": f"${{{name}.code}}", **fields}
    return {"call": "POST /subscriptions", "body": body, "as": "sub"}


def change(expect: Any = None, **fields: Any) -> Step:
    if "plan" in fields:
        fields["plan"] = f"${{{fields['plan']}.code}}"
    body = {"effective": "now", **fields}
    step = {"call": "POST /subscriptions/${sub.id}/changes", "body": body, "as": "change"}
    return step if expect is None else {**step, "expect": expect}


def cancel(expect: Any = None, **fields: Any) -> Step:
    step = {"call": "POST /subscriptions/${sub.id}/cancel", "body": {"effective": "now", **fields}}
    return step if expect is None else {**step, "expect": expect}


def to(time: str) -> Step:
    return {"advance": full(time)}


def use(quantity: int | str, at: str | None = None, name: str = "api", key: str = "1") -> Step:
    event = {
        "id": f"${{run}}-{key}", "customer": "${customer.id}", "event_name": f"{name}-${{run}}",
        "properties": {"value": quantity}, **({} if at is None else {"timestamp": full(at)}),
    }  # fmt: skip
    return {"call": "POST /usage_events", "body": event, "expect": {"accepted": 1}}


def invoices(*expected: Any) -> Step:
    """All of the customer's, from the first to the last."""
    return {
        "call": "GET /invoices?customer=${customer.id}&limit=100",
        "expect": {"results": list(reversed(expected))},
    }


def totals(*cents: int) -> Step:
    return invoices(*({"total": money(one)} for one in cents))


def issued_on(*days: str, **fields: Any) -> Step:
    return invoices(*({"issued_at": full(day), **fields} for day in days))


def lines(*expected: Any, invoice: int = 0) -> list[Step]:
    """Of the newest invoice, or of the one before it …"""
    return [
        {"call": "GET /invoices?customer=${customer.id}&limit=100", "as": "found"},
        {"call": f"GET /invoices/${{found.results.{invoice}.id}}", "expect": {"lines": list(expected)}},
    ]


def balance(cents: int) -> Step:
    return {"call": "GET /customers/${customer.id}", "expect": {"balance": money(cents)}}


def upcoming(cents: int) -> Step:
    return {"call": "GET /invoices/upcoming?subscription=${sub.id}", "expect": {"total": money(cents)}}


def tax(percentage: str, country: str) -> Step:
    return {"call": "POST /tax_rates", "body": {"name": "VAT", "percentage": percentage, "country": country}}


def span(start: str, end: str) -> dict[str, Any]:
    return {"period": {"start": start, "end": end}}


def story(name: str, *steps: Step | list[Step]) -> dict[str, Any]:
    flat = [one for step in steps for one in (step if isinstance(step, list) else [step])]
    return {"name": name, "steps": flat}


ARREARS = {"billed": "arrears"}


# -- Anchors and periods ------------------------------------------------------------------------------------

ANCHORS = [
    story(
        "LAGO-ANCHOR-31",
        clock("2022-12-31"),
        plan(price("50000.00", **ARREARS), currency="GBP"),
        customer(currency="GBP"),
        subscribe(),
        to("2024-03-31T12:00"),
        issued_on(
            "2023-01-31",
            "2023-02-28",
            "2023-03-31",
            "2023-04-30",
            "2023-05-31",
            "2023-06-30",
            "2023-07-31",
            "2023-08-31",
            "2023-09-30",
            "2023-10-31",
            "2023-11-30",
            "2023-12-31",
            "2024-01-31",
            "2024-02-29",
            "2024-03-31",
            total="50000.00",
        ),
    ),
    story(
        "LAGO-ANCHOR-30",
        clock("2022-04-30"),
        plan(price("10.00", **ARREARS)),
        customer(),
        subscribe(),
        to("2024-03-30T12:00"),
        issued_on(
            "2022-05-30",
            "2022-06-30",
            "2022-07-30",
            "2022-08-30",
            "2022-09-30",
            "2022-10-30",
            "2022-11-30",
            "2022-12-30",
            "2023-01-30",
            "2023-02-28",
            "2023-03-30",
            "2023-04-30",
            "2023-05-30",
            "2023-06-30",
            "2023-07-30",
            "2023-08-30",
            "2023-09-30",
            "2023-10-30",
            "2023-11-30",
            "2023-12-30",
            "2024-01-30",
            "2024-02-29",
            "2024-03-30",
        ),
    ),
    story(
        "LAGO-ANCHOR-Q31",
        clock("2022-12-31"),
        plan(price("10.00", "quarter", **ARREARS)),
        customer(),
        subscribe(interval="quarter"),
        to("2023-12-31T12:00"),
        issued_on("2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"),
    ),
    story(
        "LAGO-YEARLY-29FEB",
        clock("2020-02-29"),
        plan(price("10.00", "year", **ARREARS)),
        customer(),
        subscribe(interval="year"),
        to("2022-02-28T12:00"),
        to("2023-02-27T00:00"),
        to("2023-02-28T01:00"),
        to("2023-02-28T02:00"),
        to("2023-04-29"),
        issued_on("2021-02-28", "2022-02-28", "2023-02-28"),
    ),
    story(
        "LAGO-WEEKLY-CAL",
        clock("2023-02-01"),
        plan(price("7.00", "week", **ARREARS)),
        customer(),
        subscribe(interval="week", anchor="calendar"),
        to("2023-02-05"),
        invoices(),
        to("2023-02-06T01:00"),
        issued_on("2023-02-06"),
        to("2023-02-06T02:00"),
        to("2023-02-07T01:00"),
        issued_on("2023-02-06"),
    ),
    story(
        "LAGO-BOUND-30JAN",
        clock("2024-01-30"),
        meter(),
        plan(price("10.00"), price("0.10", meter="${api.code}")),
        customer(),
        subscribe(),
        use(1),
        to("2024-02-29T02:00"),
        use(1, key="2"),
        lines(span("2024-02-29", "2024-03-30"), span("2024-01-30", "2024-02-29")),
        to("2024-03-30T02:00"),
        use(1, key="3"),
        lines(span("2024-03-30", "2024-04-30"), span("2024-02-29", "2024-03-30")),
        to("2024-04-30T02:00"),
        lines(span("2024-04-30", "2024-05-30"), span("2024-03-30", "2024-04-30")),
    ),
    *(
        story(
            f"LAGO-TZ-PRORATE-{place}",
            clock(start),
            plan(price("7.00", "week")),
            customer(timezone=zone),
            subscribe(interval="week", anchor="calendar"),
            totals(cents),
        )
        for place, zone, start, cents in (
            ("DENVER", "America/Denver", "2023-06-16T05:00", 400),
            ("PARIS", "Europe/Paris", "2023-06-16T20:00", 300),
            ("KARACHI", "Asia/Karachi", "2023-06-16T20:00", 200),
        )
    ),
    story(
        "LAGO-LEAP-FEB-PERIOD",
        clock("2023-06-16T05:00"),
        plan(price("7.00")),
        customer(),
        subscribe(anchor="calendar"),
        to("2024-02-01T12:12"),
        lines({**span("2024-02-01", "2024-03-01"), "amount": "7.00"}),
    ),
    story(
        "FLEX-ANCHOR",
        clock("2024-04-01"),
        plan(price("30.00")),
        customer(),
        subscribe(anchor=15),
        {
            "call": "GET /subscriptions/${sub.id}",
            "expect": {"current_period": {"start": "2024-04-01", "end": "2024-04-15"}},
        },
        to("2024-04-15T01:00"),
        issued_on("2024-04-01", "2024-04-15"),
    ),
    story(
        "FLEX-ANCHOR-ANNUAL-QUIRK",
        clock("2024-01-15"),
        plan(price("366.00", "year")),
        customer(),
        subscribe(interval="year", anchor="2024-06-15"),
        to("2024-06-15T01:00"),
        totals(15200, 36600),
        lines(span("2024-06-15", "2025-06-15")),
        change(anchor="2024-10-01", effective="2024-09-15"),
        to("2024-10-01T01:00"),
        lines({**span("2024-10-01", "2025-10-01"), "amount": "366.00"}),
    ),
]

# -- Stubs --------------------------------------------------------------------------------------------------

STUBS = [
    story(
        "KB-LEADING",
        clock("2011-02-01"),
        plan(price("31.00")),
        customer(),
        subscribe(anchor=13),
        totals(1200),
        to("2011-02-04"),
        totals(1200),
        to("2011-02-13T01:00"),
        totals(1200, 3100),
        to("2011-04-13T01:00"),
        totals(1200, 3100, 3100, 3100),
    ),
    story(
        "KB-TRAILING",
        clock("2010-06-17"),
        plan(price("31.00")),
        customer(),
        subscribe(anchor=17),
        cancel(effective="2010-07-25"),
        to("2010-06-20"),
        totals(3100),
        to("2010-07-17T01:00"),
        totals(3100, 800),
        to("2010-07-30"),
        totals(3100, 800),
    ),
    story(
        "KB-LEAP-FEB",
        clock("2012-02-01"),
        plan(price("29.00")),
        customer(),
        subscribe(anchor=1),
        cancel(effective="2012-02-15"),
        to("2012-02-19"),
        totals(2900),
        balance(1500),
    ),
    *(
        story(
            f"KB-RATIO-ACTUAL {start}",
            clock(start),
            plan(price("1000000.00")),
            customer(),
            subscribe(anchor=15),
            totals(cents),
        )
        for start, cents in (
            ("2023-05-23", 74193548),
            ("2023-06-23", 73333333),
            ("2023-02-23", 71428571),
            ("2024-02-23", 72413793),
        )
    ),
    story(
        "LAGO-PRORATE-WHOLE-PERIOD-2",
        clock("2024-05-20T10:00"),
        plan(price("910.00", "quarter", **ARREARS)),
        customer(),
        subscribe(interval="quarter", anchor="calendar"),
        to("2024-06-20T10:00"),
        cancel(),
        totals(32000),
    ),
    story(
        "LAGO-LEAP-PARTIAL-MONTH",
        clock("2024-02-04"),
        plan(
            price("50000.00", code="fee", **ARREARS),
            price("2000.00", code="a", prorate=False, **ARREARS),
            price("2000.00", code="b", **ARREARS),
            price("2000.00", code="c", prorate=False),
            price("2000.00", code="d"),
        ),
        customer(),
        subscribe(anchor="calendar"),
        totals(379310),
        to("2024-03-01T01:00"),
        totals(379310, 5262069),
    ),
]

# -- Changes ------------------------------------------------------------------------------------------------


def switch(
    name: str, start: str, at: str, old: tuple[str, str], new: tuple[str, str], credit: int, debit: int
) -> Any:
    """From one plan to another, at once."""
    return story(
        name, clock(start), plan(price(old[1], old[0])), plan(price(new[1], new[0]), name="other"), customer(),
        subscribe(interval=old[0]), to(at),
        change(
            plan="other", interval=new[0],
            expect={
                "lines": [{"amount": money(-credit), "kind": "credit"}, {"amount": money(debit), "kind": "charge"}],
                "total": money(debit - credit),
            },
        ),
    )  # fmt: skip


def seats_pending(n: int, old: str, new: str, seats: tuple[int, int], at: str, cents: int, after: int) -> Any:
    """Seats at once while a plan change waits for the period's end."""
    return story(
        f"POLAR-SEATS-PENDING {n}", clock("2025-06-01"), plan(price(old, model="per_unit")),
        plan(price(new, model="per_unit"), name="other"), customer(), subscribe(quantity=seats[0]), to(at),
        change(plan="other", effective="period_end"), change(quantity=seats[1], expect={"total": money(cents)}),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"pending_changes": [{"plan": "${other.code}"}]}},
        to("2025-07-01T01:00"), lines({"amount": money(after)}),
    )  # fmt: skip


MONTH, YEAR = "month", "year"
CHANGES = [
    switch("POLAR-MONTHLY-BASIC-TO-PRO-MIDDLE-OF-MONTH", "2025-06-01", "2025-06-16", (MONTH, "100.00"),
           (MONTH, "300.00"), 5000, 15000),
    switch("POLAR-MONTHLY-BASIC-TO-PRO-FEBRUARY-LEAP-YEAR", "2024-02-18", "2024-02-25", (MONTH, "100.00"),
           (MONTH, "300.00"), 7586, 22759),
    switch("POLAR-YEARLY-BASIC-TO-PRO-TWO-MONTHS", "2024-08-01", "2024-10-01", (YEAR, "1000.00"),
           (YEAR, "3000.00"), 83288, 249863),
    switch("POLAR-YEARLY-BASIC-TO-PRO-FEBRUARY-NON-LEAP-YEAR", "2023-02-18", "2023-09-05", (YEAR, "1000.00"),
           (YEAR, "3000.00"), 45479, 136438),
    switch("POLAR-YEARLY-TO-MONTHLY-FIFTH-OF-YEAR", "2025-06-01", "2025-08-13", (YEAR, "1000.00"),
           (MONTH, "100.00"), 80000, 10000),
    switch("POLAR-YEARLY-TO-MONTHLY-FEBRUARY-LEAP-YEAR", "2024-02-18", "2024-04-19", (YEAR, "1000.00"),
           (MONTH, "100.00"), 83333, 10000),
    story(
        "POLAR-MULTI-SWITCH", clock("2025-06-01"), plan(price("100.00")),
        *(plan(price(f"{n}00.00"), name=f"p{n}") for n in (2, 3, 4)), customer(), subscribe(),
        to("2025-06-07"), change(plan="p2", expect={"lines": [{"amount": "-80.00"}, {"amount": "160.00"}]}),
        to("2025-06-13"), change(plan="p3", expect={"lines": [{"amount": "-120.00"}, {"amount": "180.00"}]}),
        to("2025-06-19"), change(plan="p4", expect={"lines": [{"amount": "-120.00"}, {"amount": "160.00"}]}),
    ),
    seats_pending(0, "10.00", "25.00", (5, 8), "2025-06-16", 1500, 20000),
    seats_pending(1, "15.00", "25.00", (5, 10), "2025-06-11", 5000, 25000),
    seats_pending(2, "20.00", "10.00", (10, 12), "2025-06-16", 2000, 12000),
    seats_pending(3, "15.00", "25.00", (10, 7), "2025-06-16", -2250, 17500),
    story(
        "METEROID-UPGRADE", clock("2024-01-01"),
        plan(price("29.00", code="platform"), price("10.00", code="seats"), currency="EUR"),
        plan(price("99.00", code="platform"), price("25.00", code="seats"), currency="EUR", name="other"),
        customer(currency="EUR"), subscribe(), to("2024-01-16"),
        change(plan="other", expect={
            "lines": {"$length": 4}, "total": "43.87", "due_now": "43.87", "credit_to_balance": "0.00",
        }),
        lines({"amount": "-14.97"}, {"amount": "-5.16"}, {"amount": "51.10"}, {"amount": "12.90"}), balance(0),
    ),
    story(
        "METEROID-DOWNGRADE", clock("2024-01-01"),
        plan(price("99.00", code="platform"), price("25.00", code="seats"), currency="EUR"),
        plan(price("29.00", code="platform"), price("10.00", code="seats"), currency="EUR", name="other"),
        customer(currency="EUR"), subscribe(), to("2024-01-16"),
        change(plan="other", expect={"total": "-43.87", "due_now": "0.00", "credit_to_balance": "43.87"}),
        balance(4387),
    ),
    story(
        "METEROID-SCHEDULED", clock("2024-01-01"), plan(price("39.00")), plan(price("124.00"), name="other"),
        customer(), subscribe(), to("2024-01-10"), change(plan="other", effective="period_end"),
        to("2024-03-01T01:00"), totals(3900, 12400, 12400),
        lines({**span("2024-03-01", "2024-04-01"), "amount": "124.00"}),
    ),
    story(
        "METEROID-USAGE-SPLIT", clock("2025-01-01"), meter(), meter(name="db"),
        plan(price("10.00"), price("0.10", meter="${api.code}"), currency="EUR"),
        plan(
            price("20.00"), price("0.20", meter="${api.code}"), price("0.50", meter="${db.code}"),
            currency="EUR", name="other",
        ),
        customer(currency="EUR"), subscribe(), to("2025-01-20"), use(1000, key="1"), to("2025-02-10"),
        use(50, key="2"), to("2025-02-15"), change(plan="other"), to("2025-02-20"), use(200, key="3"),
        use(100, name="db", key="4"), to("2025-03-01T01:00"), totals(1000, 11000, 500, 11500),
    ),
    story(
        "KB-MULTI-CHANGE", clock("2012-05-01"), plan(price("599.95")), plan(price("9.95"), name="small"),
        plan(price("29.95"), name="middle"), customer(), subscribe(), to("2012-05-07"),
        change(plan="small", expect={"lines": [{"amount": "-483.83"}, {"amount": "8.02"}], "total": "-475.81"}),
        balance(47581), to("2012-05-08"),
        change(plan="middle", expect={"lines": [{"amount": "-7.70"}, {"amount": "23.19"}], "total": "15.49"}),
        balance(47581 - 1549), to("2012-07-01T01:00"), balance(47581 - 1549 - 2 * 2995),
    ),
    story(
        "KB-ANNUAL-TO-MONTHLY", clock("2012-05-01"), plan(price("2399.95", "year")),
        plan(price("249.95"), name="monthly"), customer(), subscribe(interval="year"),
        change(
            plan="monthly", interval="month",
            expect={"lines": [{"amount": "-2399.95"}, {"amount": "249.95"}], "credit_to_balance": "2150.00"},
        ),
        balance(215000), to("2012-07-01T01:00"), balance(215000 - 2 * 24995),
    ),
    story(
        "KB-QUANTITY", clock("2022-11-27"), plan(price("29.95", model="per_unit")), customer(),
        subscribe(quantity=7), to("2022-12-01"), change(quantity=10, effective="2022-12-27"),
        to("2022-12-27T01:00"), totals(20965, 29950),
    ),
    story(
        "LAGO-QTY-ROUNDING", clock("2024-03-01"), plan(price("5000.00", model="per_unit")), customer(),
        subscribe(quantity=1), to("2024-03-15"), change(quantity=11, expect={"total": "27419.35"}),
    ),
]  # fmt: skip

# -- Ends, trials, time zones -------------------------------------------------------------------------------

ENDS = [
    story(
        "LAGO-TERM-ADVANCE", clock("2024-01-01"),
        plan(price("29.00", code="fee"), price("1.00", code="seat", model="per_unit", **ARREARS)), customer(),
        subscribe(quantities={"seat": 5}), to("2024-02-12T06:00"), cancel(), totals(2900, 3400, 207),
        {"call": "GET /credit_notes?customer=${customer.id}", "expect": {"results": [{"total": "17.00"}]}},
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "expect": {"results": [
            {"status": "paid", "amount_due": "0.00", "lines": [{"amount": "2.07"}]}]}},
        balance(1493), {"call": "GET /subscriptions/${sub.id}", "expect": {"status": "canceled"}},
    ),
    story(
        "LATE-USAGE-AFTER-THE-END", clock("2024-01-01"), meter(),
        plan(price("31.00", code="fee"), price("1.00", code="calls", meter="${api.code}")), customer(), subscribe(),
        to("2024-01-10T06:00"), use(3, "2024-01-10T05:00"), cancel(), balance(1800),
        to("2024-01-12"), use(5, "2024-01-09T23:00", key="late"), use(2, "2024-01-10T23:00", key="last day"),
        use(9, "2024-01-11T00:00", key="after the end"), to("2024-02-03T23:00"), totals(3100, 300),
        to("2024-02-05"), totals(3100, 300, 700), balance(1100), to("2024-04-01"), totals(3100, 300, 700),
    ),
    story(
        "LAGO-TERMINATE-GRACE-REFRESH", tax("20", "PT"),
        clock("2022-12-15"), plan(price("10.00", **ARREARS)), customer(country="PT"), subscribe(anchor="calendar"),
        to("2022-12-20T06:00"), cancel(), invoices({"subtotal": "1.94", "tax_total": "0.39", "total": "2.33"}),
    ),
    story(
        "LAGO-CN-ROUND-1", tax("25", "SE"),
        clock("2025-09-18T16:00"), plan(price("200.00")), customer(country="SE"), subscribe(),
        invoices({"subtotal": "200.00", "tax_total": "50.00", "total": "250.00"}), cancel(), balance(24166),
    ),
    story(
        "LAGO-CN-ROUND-3", tax("23.33", "FI"),
        clock("2025-10-06T16:00"), plan(price("29.99", "week")), customer(country="FI"),
        subscribe(interval="week", anchor="calendar"), invoices({"tax_total": "7.00", "total": "36.99"}),
        cancel(), balance(3171),
    ),
    story(
        "LAGO-TRIAL-HOUR", clock("2024-03-05T12:12"), plan(price("50000.00")), customer(),
        subscribe(anchor="calendar", trial_days=10), to("2024-03-10T12:12"), invoices(), to("2024-03-15T12:02"),
        invoices(), to("2024-03-15T13:02"), totals(2741935),
    ),
    story(
        "LAGO-TRIAL-ONCE", clock("2024-03-04T21:00"), plan(price("35.00"), trial_days=7), customer(),
        subscribe(anchor="calendar"), to("2024-03-11T22:00"), totals(2371), cancel(),
        subscribe(anchor="calendar"), {"call": "GET /subscriptions/${sub.id}", "expect": {"status": "active"}},
    ),
    story(
        "SILVER-TRIAL-SPAN", clock("2015-05-20"), meter(),
        plan(price("200.00"), price("2.5", meter="${api.code}", included_in_trial=0), currency="EUR"),
        customer(currency="EUR"), subscribe(anchor="calendar", trial_days=24), to("2015-06-04"), invoices(), use(5),
        to("2015-06-12T23:00"), use(5, key="2"), upcoming(14500), to("2015-06-13T01:00"), totals(14500),
        lines({**span("2015-06-13", "2015-07-01"), "amount": "120.00"},
              {**span("2015-05-20", "2015-06-13"), "amount": "25.00", "explanation": {"policy": "trial"}}),
    ),
    story(
        "LAGO-TRIAL-UPGRADE", clock("2024-03-05T12:12"), meter("count"),
        plan(price("50000.00"), price("10.00", meter="${api.code}", included_in_trial="0")),
        plan(price("100000.00"), price("12.00", meter="${api.code}", included_in_trial="0"), name="other"), customer(),
        subscribe(anchor="calendar", trial_days=13), to("2024-03-08"), use(1), to("2024-03-10T12:12"),
        change(plan="other", expect={"due_now": "0.00"}), to("2024-03-11"), use(1, key="2"), to("2024-03-18T12:02"),
        invoices(), to("2024-03-18T13:00"), totals(4516129 + 1000 + 1200), to("2024-04-01T12:12"),
        totals(4516129 + 1000 + 1200, 10000000),
    ),
    story(
        "some units of a trial are free, however many months it has", clock("2024-01-16"), meter(),
        plan(price("31.00"), price("1.00", meter="${api.code}", included=5, included_in_trial=20, minimum="50.00")),
        customer(), subscribe(anchor="calendar", trial_days=31), use(12), to("2024-02-03"), use(11, key="2"),
        to("2024-02-16T00:00"), totals(1497 + 300), use(4, "2024-02-15T23:00", key="late"), to("2024-03-01T00:00"),
        lines({"amount": "4.00"}, {"amount": "31.00"}, {"amount": "24.14"}),
    ),
    story(
        "a trial that is canceled asks for what is beyond its units", clock("2024-01-01"), meter(),
        plan(price("31.00"), price("1.00", meter="${api.code}", included_in_trial=2)), customer(),
        subscribe(trial_days=14), to("2024-01-05"), use(5), cancel(), to("2024-01-06T00:00"), totals(300),
        to("2024-02-10"), totals(300),
    ),
    story(
        "a pause costs nothing, whatever a trial costs", clock("2024-01-01"), meter(),
        plan(price("31.00"), price("1.00", meter="${api.code}", included_in_trial=0)), customer(), subscribe(),
        to("2024-01-11"), {"call": "POST /subscriptions/${sub.id}/pause", "body": {"resume_at": "2024-02-01"}},
        to("2024-01-20"), use(9), to("2024-02-02T00:00"), totals(3100, 3100),
    ),
    story(
        "SILVER-INCLUDED-PRORATED", clock("2015-02-15"), meter(),
        plan(price("200.00"), price("2.5", meter="${api.code}", included=20)), customer(),
        subscribe(anchor="calendar"), totals(10000), to("2015-02-20"), use(12), to("2015-03-02"),
        totals(10000, 20500),
    ),
    story(
        "OM-ANCHOR-PHASES", clock("2025-07-10T15:00"), plan(price("31.00")), customer(),
        subscribe(anchor=31, trial_end="2025-08-10T15:00:00Z"), to("2025-08-31T01:00"),
        lines(span("2025-08-31", "2025-09-30")), lines(span("2025-08-10", "2025-08-31"), invoice=1),
    ),
    story(
        "KB-DST-18-MONTHS", clock("2015-09-01T08:01"), plan(price("249.95")), customer(timezone="America/Juneau"),
        subscribe(anchor=1), to("2017-02-02"), totals(*[24995] * 18),
        lines(span("2017-02-01", "2017-03-01")),
    ),
    story(
        "KB-DST-CANCEL", clock("2015-11-01T07:01"), plan(price("29.95")), customer(timezone="America/Los_Angeles"),
        subscribe(anchor=1), cancel(effective="2015-12-01", expect={"cancel_at": "2015-12-01"}), to("2016-01-05"),
        totals(2995),
    ),
    story(
        "KB-TZ-LOCAL-DAY", clock("2024-02-01T06:30"), meter(),
        plan(price("100.00", code="fee", **ARREARS), price("1.00", code="usage", meter="${api.code}")),
        customer(timezone="America/Los_Angeles"), subscribe(anchor=31), use(1), to("2024-02-29T12:00"),
        lines({**span("2024-01-31", "2024-02-29"), "amount": "100.00"},
              {**span("2024-01-31", "2024-02-29"), "amount": "1.00"}),
    ),
    story(
        "KB-DST-USAGE", clock("2023-03-01T05:00"), meter("count"),
        plan(price("0.00"), price("1.00", meter="${api.code}")), customer(timezone="America/New_York"),
        subscribe(anchor=1), to("2023-03-02"), use(1, "2023-03-01T09:00", key="1"), to("2023-03-16"),
        use(1, "2023-03-15T04:00", key="2"),
        to("2023-04-01T03:59"), use(1, "2023-04-01T03:59", key="3"), to("2023-04-01T04:02"),
        use(1, "2023-04-01T04:00", key="4"), use(1, "2023-04-01T04:01", key="5"), to("2023-05-01T03:59"),
        use(1, "2023-04-15T04:00", key="6"), use(1, "2023-05-01T03:59", key="7"), to("2023-05-01T04:02"),
        use(1, "2023-05-01T04:00", key="8"),
        use(1, "2023-05-01T04:01", key="9"),
        *({
            "call": f"GET /usage?customer=${{customer.id}}&meter=${{api.code}}&start={start}&end={end}",
            "expect": {"results": [{"quantity": n}]},
        } for start, end, n in (
            ("2023-03-01", "2023-04-01", "3"), ("2023-04-01", "2023-05-01", "4"), ("2023-05-01", "2023-06-01", "2"),
        )),
    ),
]  # fmt: skip

# -- Pricing models -----------------------------------------------------------------------------------------


def measured(name: str, quantities: dict[Any, int], *, aggregation: str = "sum", **terms: Any) -> Any:
    """One month for each quantity, each on its own invoice; a quantity that costs nothing makes none."""
    steps: list[Step] = [
        clock("2025-01-01"),
        meter(aggregation),
        plan(price("0.00"), price(meter="${api.code}", **terms)),
    ]
    steps += [customer(), subscribe()]
    expected = []
    for n, (quantity, cents) in enumerate(quantities.items(), 1):
        year, month = 2025 + n // 12, n % 12 + 1
        steps += [use(quantity, key=str(n)), to(f"{year}-{month:02d}-01T01:00")]
        expected += [cents] if cents else []
    return story(name, *steps, totals(*expected))


def paid_each(name: str, values: list[int], cents: int, rate: str, **terms: Any) -> dict[str, Any]:
    """Transactions of one month, each of which costs its part."""
    dearer = price(rate, model="percentage", meter="${api.code}", per_transaction=terms)
    sent = [use(value, f"2025-01-02T09:0{n}", key=str(n)) for n, value in enumerate(values)]
    return story(
        name, clock("2025-01-01"), meter(), plan(dearer), customer(), subscribe(), to("2025-01-05"), *sent,
        to("2025-02-01T01:00"), totals(*[cents] * bool(cents)),
    )  # fmt: skip


def tier(up_to: Any, unit: str = "0", flat: str = "0") -> dict[str, Any]:
    return {"up_to": up_to, "unit_amount": unit, "flat_amount": flat}


BB = [tier(10, flat="10.00"), tier(None, flat="15.00")]
PRICING = [
    measured("LAGO-GRADUATED-2", {3: 13000, 8: 21500}, model="graduated",
             tiers=[tier(5, "10", "100"), tier(None, "5", "50")]),
    measured("LAGO-VOLUME", {1: 1200, 100: 21000, "100.5": 10050, 101: 10100, 200: 20000, 300: 20000},
             model="volume", tiers=[tier(100, "2", "10"), tier(200, "1"), tier(None, "0.5", "50")]),
    measured("OM-VOLUME", {3: 10000, 5: 10000, 14: 14000, 15: 15000}, model="volume",
             tiers=[tier(5, flat="100"), tier(10, flat="150"), tier(15, "10"), tier(None, "5")]),
    measured("BB-TIERED graduated", {5: 1000, 50: 2500}, model="graduated", tiers=BB),
    measured("BB-TIERED volume", {50: 1500, 9: 1000}, model="volume", tiers=BB),
    measured("OM-PACKAGE-CARRY", {17: 3000, 22: 4500}, model="package", package_size=10, amount="15"),
    measured("KB-BLOCKS", {401: 500}, model="package", package_size=100, amount="1"),
    measured("BB-USAGE-RESET sum", {30: 2500}, model="graduated",
             tiers=[tier(20, flat="10.00"), tier(None, flat="15.00")]),
    measured("LAGO-PERCENT 1.3", {"800.00": 1040}, model="percentage", amount="1.3"),
    *(
        paid_each(f"LAGO-PERCENT-MINMAX {name}", [10, 80, 10000], cents, "2.99", minimum="1.75", maximum="12", **more)
        for name, cents, more in (
            ("bounds", 1614, {}), ("fixed amount", 1869, {"fixed_amount": "2"}), ("two free", 1200, {"free_events": 2}),
            ("30.00 free", 1379, {"free_amount": 30}), ("both", 269, {"free_events": 3, "free_amount": 10000}),
        )
    ),
    paid_each("LAGO-PERCENT-MINMAX none", [10, 80, 10000], 30169, "2.99"),
    *(
        paid_each(f"LAGO-PERCENT-FREE {name}", [50, 100, 250, 400], cents, "1.3", fixed_amount="2.0", **more)
        for name, cents, more in (
            ("both", 1115, {"free_events": 3, "free_amount": 250}), ("events", 720, {"free_events": 3}),
            ("more than the events come to", 720, {"free_events": 3, "free_amount": 500}), ("none", 1840, {}),
            ("all", 0, {"free_events": 5}),
        )
    ),
    measured("LAGO-GRADPERCENT", {1: 20001, 10: 20010, 11: 50012, 12: 50014, 21: 90033}, model="percentage",
             tiers=[tier(10, "1", "200"), tier(20, "2", "300"), tier(None, "3", "400")]),
    *(
        story(
            name, clock(start), plan(price("1000.00", interval, minimum="10000.00", **ARREARS)), customer(),
            subscribe(interval=interval, anchor=anchor), to(f"{on}T01:00"), totals(cents),
        )
        for name, interval, anchor, start, on, cents in (
            ("LAGO-COMMIT-WEEK", "week", "calendar", "2023-02-01", "2023-02-06", 642857 + 71429),
            ("LAGO-COMMIT-WEEKA", "week", "start", "2023-02-01", "2023-02-08", 1000000),
            ("LAGO-COMMIT-MONTH", "month", "calendar", "2023-02-04", "2023-03-01", 803571 + 89286),
            ("LAGO-COMMIT-MONTHA", "month", "start", "2023-02-04", "2023-03-04", 1000000),
            ("LAGO-COMMIT-YEAR", "year", "calendar", "2022-02-01", "2023-01-01", 823561 + 91507),
        )
    ),
]  # fmt: skip


def reset(name: str, aggregation: str, values: list[int], cents: int) -> dict[str, Any]:
    """Values of one month in a stair of two flat tiers; the month after has none of them."""
    return story(
        name, clock("2025-01-01"), meter(aggregation),
        plan(price(meter="${api.code}", model="graduated", tiers=[tier(20, flat="10.00"), tier(None, flat="15.00")])),
        customer(), subscribe(), to("2025-01-06"),
        *[use(value, f"2025-01-0{n}T09:00", key=str(n)) for n, value in enumerate(values, 2)],
        to("2025-03-04T01:00"), totals(cents),
    )  # fmt: skip


USAGE = [
    reset("BB-USAGE-RESET max", "max", [12, 25], 2500),
    reset("BB-USAGE-RESET latest", "last", [12, 35, 25], 2500),
    reset("BB-USAGE-RESET unique", "unique", [12, 35, 25], 1000),
]

# -- Discounts ----------------------------------------------------------------------------------------------


def off(name: str, **terms: Any) -> Step:
    body = {"code": f"{name}-${{run}}", "duration": "forever", **terms}
    return {"call": "POST /discounts", "body": body, "as": name}


def discounted(name: str, before: Any, after: Any, credit: int, debit: int) -> dict[str, Any]:
    """From 100.00 to 1000.00 in the middle of a month, with another discount."""
    given = [off(which, **terms) for which, terms in (("old", before), ("new", after)) if terms]
    first = {"discount": "${old.id}"} if before else {}
    lines = [{"amount": money(-credit), "kind": "credit"}, {"amount": money(debit), "kind": "charge"}]
    return story(
        name, clock("2025-06-01"), plan(price("100.00")), plan(price("1000.00"), name="big"), *given, customer(),
        subscribe(**first), to("2025-06-16"),
        change({"lines": lines}, plan="big", discount="${new.id}" if after else None),
    )  # fmt: skip


FIXED = [{"amount_off": amount, "currency": "USD"} for amount in ("25.00", "50.00")]
DISCOUNTS = [
    discounted("POLAR-DISCOUNT-CHANGE 25 to 50", {"percent_off": 25}, {"percent_off": 50}, 3750, 25000),
    discounted("POLAR-DISCOUNT-CHANGE none to 50", None, {"percent_off": 50}, 5000, 25000),
    discounted("POLAR-DISCOUNT-CHANGE 25 to none", {"percent_off": 25}, None, 3750, 50000),
    discounted("POLAR-DISCOUNT-CHANGE fixed", *FIXED, 3750, 47500),
]  # fmt: skip

# -- Tax ----------------------------------------------------------------------------------------------------

TAX = [
    story(
        "Prices that contain tax, at two rates, with two discounts",
        clock("2025-01-01"),
        {"call": "POST /tax_rates", "body": {"name": "VAT", "percentage": "19", "country": "DE", "inclusive": True}},
        {"call": "POST /tax_rates", "body": {
            "name": "VAT", "percentage": "7", "country": "DE", "inclusive": True, "category": "books-${run}"}},
        off("half", percent_off=50, duration="once"),
        off("ten", percent_off=10),
        plan(price("119.00", currency="EUR"), price("10.70", currency="EUR", code="b", tax_category="books-${run}")),
        customer(currency="EUR", country="DE"),
        subscribe(discounts=["${half.code}", "${ten.code}"]),
        lines(
            {"amount": "45.00", "discount": "55.00", "tax_rate": "19", "tax_amount": "8.55"},
            {"amount": "4.50", "tax_rate": "7", "tax_amount": "0.31"},
        ),
        to("2025-02-01T01:00"),
        totals(5355 + 481, 10710 + 963),
    ),
]  # fmt: skip

# -- Papers that several share ------------------------------------------------------------------------------

BY_CARD = {"collection_method": "charge_automatically"}
BY_INVOICE = {"collection_method": "send_invoice"}


def renewed(case: str, first: Step, second: Step, *renewals: int, flag: bool = True) -> Any:
    """Two subscriptions of 1000.00 and 2000.00, whose first papers are their own; and the papers of the renewal."""
    return story(
        f"METEROID-CONSOLIDATION {case}", clock("2026-01-01"), plan(price("1000.00")),
        plan(price("2000.00"), name="other"), customer(consolidate_invoices=flag), subscribe(**first),
        {**subscribe("other", **second), "as": "second"}, to("2026-02-02T01:00"),
        totals(100000, 200000, *renewals),
    )  # fmt: skip


def another(name: str) -> list[Step]:
    """The second subscription is another customer's."""
    body = {
        "name": "Else",
        "email": "it@else.example",
        "test_clock": "${clock.id}",
        "consolidate_invoices": True,
    }
    return [
        {"call": "POST /customers", "body": body, "as": "else"},
        {"call": "POST /subscriptions", "body": {"customer": "${else.id}", "plan": f"${{{name}.code}}"}},
    ]


SHARED = [
    renewed("same day", BY_INVOICE, BY_INVOICE, 300000),
    story(
        "METEROID-CONSOLIDATION different customers", clock("2026-01-01"), plan(price("1000.00")),
        customer(consolidate_invoices=True), subscribe(), another("plan"), to("2026-02-02T01:00"),
        totals(100000, 100000),
    ),
    story(
        "METEROID-CONSOLIDATION different day", clock("2026-01-01"), plan(price("1000.00")),
        customer(consolidate_invoices=True), subscribe(), to("2026-01-02T01:00"), subscribe(),
        to("2026-02-03T01:00"), totals(100000, 100000, 100000, 100000),
    ),
    renewed("different net terms", {**BY_INVOICE, "net_days": 30}, {**BY_INVOICE, "net_days": 60}, 100000, 200000),
    renewed("different auto-charge", BY_CARD, BY_INVOICE, 100000, 200000),
    renewed("flag off", BY_INVOICE, BY_INVOICE, 100000, 200000, flag=False),
    story(
        "METEROID-CONSOLIDATION prepaid balance", clock("2026-01-01"), plan(price("1000.00")),
        customer(consolidate_invoices=True), subscribe(**BY_INVOICE), {**subscribe(**BY_INVOICE), "as": "second"},
        {"call": "GET /invoices?subscription=${sub.id}", "as": "first"},
        {"call": "POST /invoices/${first.results.0.id}/mark_paid", "body": {"amount": "1500.00", "reference": "prepaid"}},
        {"call": "PATCH /customers/${customer.id}", "body": {"consolidate_invoices": True},
         "expect": {"balance": "500.00", "consolidate_invoices": True}},
        to("2026-02-01T01:00"),
        {"call": "GET /invoices?subscription=${second.id}", "as": "found", "expect": {"results": [
            {"total": "2000.00", "amount_paid": "500.00", "amount_due": "1500.00", "subscription": None},
            {"total": "1000.00", "amount_paid": "0.00"},
        ]}},
        {"call": "GET /invoices/${found.results.0.id}", "expect": {"lines": [
            {"amount": "1000.00", "subscription": "${sub.id}"}, {"amount": "1000.00", "subscription": "${second.id}"},
        ]}},
        {"call": "GET /customers/${customer.id}", "expect": {"balance": "0.00"}},
    ),
]  # fmt: skip

STORIES = [*ANCHORS, *STUBS, *CHANGES, *ENDS, *PRICING, *USAGE, *DISCOUNTS, *TAX, *SHARED]

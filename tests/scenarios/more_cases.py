"""Further cases of the kinds that the suites of other billing systems hold, by Tandem's rules: what each is about is in
its name, what comes of it was worked out by hand from docs/billing-maths.md.
"""

from typing import Any

from tests.scenarios.cases import (
    ARREARS,
    Step,
    balance,
    cancel,
    change,
    clock,
    customer,
    invoices,
    lines,
    meter,
    money,
    plan,
    price,
    story,
    subscribe,
    tax,
    to,
    totals,
    use,
)


def seats(unit: str = "10.00") -> dict[str, Any]:
    return price(unit, model="per_unit")


def credit(**fields: Any) -> list[Step]:
    """Credit the customer's newest invoice."""
    return [
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest"},
        {"call": "POST /credit_notes", "body": {"invoice": "${newest.results.0.id}", "reason": "Goodwill", **fields}},
    ]  # fmt: skip


def notes(*cents: int) -> Step:
    """All credit notes of the customer, from the first to the last."""
    expected = [{"total": money(one)} for one in reversed(cents)]
    return {"call": "GET /credit_notes?customer=${customer.id}", "expect": {"results": expected}}


def void() -> list[Step]:
    return [
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest"},
        {"call": "POST /invoices/${newest.results.0.id}/void", "body": {}},
    ]


ENDED = {"call": "GET /subscriptions/${sub.id}", "expect": {"status": "canceled", "mrr": "0.00"}}

GIVEN_BACK_ONCE = [
    story(
        "KB-REPAIR-CAP", clock("2012-05-01"), plan(price("249.95")), plan(price("9.95"), name="small"), customer(),
        subscribe(), {"call": "GET /invoices?customer=${customer.id}", "as": "found"},
        {"call": "POST /invoices/${found.results.0.id}/mark_paid", "body": {"amount": "249.95"}},
        to("2012-05-02T00:00"), credit(amount="10.00"), balance(1000),
        change(plan="small", expect={
            "lines": [{"amount": "-241.89"}, {"amount": "1.94"}, {"amount": "9.63"}], "credit_to_balance": "230.32",
            "next_invoice": {"date": "2012-06-01", "total": "9.95"}}),
        balance(24032), to("2012-06-02"), totals(24995, 995),
    ),
    story(
        "goodwill and unused time together stay under the line", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(), credit(amount="5.00"), to("2024-01-15T01:00"), cancel(), notes(500, 1600), balance(1600),
    ),
    story(
        "an end after everything was credited gives nothing back", clock("2024-01-01"), plan(price("31.00")),
        customer(), subscribe(), credit(), to("2024-01-05T01:00"), cancel(), ENDED, balance(0), notes(3100),
    ),
    story(
        "an upgrade after everything was credited costs the new terms", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="large"), customer(), subscribe(), credit(), to("2024-01-17T00:00"),
        change(plan="large", expect={"due_now": "30.00"}), to("2024-02-02"), totals(3100, 3000, 6200),
    ),
    story(
        "an end after a void invoice gives nothing back", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(), void(), to("2024-01-05T01:00"), cancel(), ENDED, balance(0), notes(),
    ),
]  # fmt: skip

TAXED = [
    story(
        "unused time comes back with the tax that was charged, whatever is charged now", tax("20", "HR"),
        clock("2024-01-01"), plan(price("10.00")), plan(price("20.00"), name="large"), customer(country="HR"),
        subscribe(), tax("22", "HR"), to("2024-01-16T00:00"),
        change(plan="large", expect={"lines": [{"amount": "-5.16"}, {"amount": "10.32"}, {"amount": "1.24"}]}),
        to("2024-01-20T00:00"), cancel(),
        {"call": "GET /credit_notes?customer=${customer.id}",
         "expect": {"results": [{"subtotal": "7.10", "tax_total": "1.56"}]}},
    ),
    story(
        "a customer whose VAT id comes later gets back the tax that it paid", tax("19", "DE"), clock("2024-01-01"),
        plan(price("31.00")), customer(country="DE"), subscribe(), to("2024-01-11T01:00"),
        {"call": "PATCH /customers/${customer.id}", "body": {"tax_id": "DE136695976"}}, cancel(),
        {"call": "GET /credit_notes?customer=${customer.id}",
         "expect": {"results": [{"subtotal": "20.00", "tax_total": "3.80"}]}},
    ),
    story(
        "prices that contain tax give back what they contained",
        {"call": "POST /tax_rates",
         "body": {"name": "VAT", "percentage": "19", "country": "BG", "inclusive": True}},
        clock("2024-01-01"), plan(price("119.00")), customer(country="BG"), subscribe(), totals(11900),
        {"call": "POST /tax_rates",
         "body": {"name": "VAT", "percentage": "20", "country": "BG", "inclusive": True}},
        to("2024-01-16T01:00"), cancel(), notes(5758), balance(5758),
    ),
]  # fmt: skip

ENDS = [
    story(
        "an end on a date inside a period: usage is asked for, the rest comes back", clock("2024-01-01"), meter(),
        plan(price("31.00", code="fee"), price("1.00", code="calls", meter="${api.code}")), customer(), subscribe(),
        to("2024-01-05T00:00"), use(4, "2024-01-05"), cancel(effective="2024-01-22"), to("2024-01-23"), ENDED,
        totals(3100, 400), notes(1000), balance(600),
    ),
    story(
        "a late event of the last period after the end of the period", clock("2024-01-01"), meter(),
        plan(price("1.00", meter="${api.code}")), customer(), subscribe(), to("2024-01-05T00:00"),
        use(4, "2024-01-05"), cancel(effective="period_end"), to("2024-02-02T00:00"), totals(400), ENDED,
        use(3, "2024-01-31T23:00", key="late"), to("2024-02-05"), totals(400, 300),
    ),
    story(
        "arrears with an end on a date", clock("2024-01-01"), plan(price("31.00", **ARREARS)), customer(), subscribe(),
        cancel(effective="2024-02-10"), to("2024-03-15"), totals(3100, 962),
    ),
    story(
        "paused until a day", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11T00:00"),
        {"call": "POST /subscriptions/${sub.id}/pause", "body": {"resume_at": "2024-02-15"},
         "expect": {"credit_to_balance": "21.00"}},
        to("2024-03-02"), totals(3100, 1603, 3100), balance(0),
    ),
]  # fmt: skip

METERS = [
    story(
        "the peak and the last value, before and after a change", clock("2024-01-01"), meter("max", "peak"),
        meter("last", "disk"),
        plan(price("1.00", code="peak", meter="${peak.code}"), price("1.00", code="disk", meter="${disk.code}")),
        plan(price("2.00", code="peak", meter="${peak.code}"), price("2.00", code="disk", meter="${disk.code}"),
             name="large"),
        customer(), subscribe(), to("2024-01-12T00:00"), use(10, "2024-01-05", "peak", "a"),
        use(4, "2024-01-11", "peak", "b"), use(9, "2024-01-05", "disk", "c"), use(3, "2024-01-10", "disk", "d"),
        to("2024-01-16T00:00"), change(plan="large"), to("2024-01-20T00:00"), use(7, None, "peak", "e"),
        use(5, None, "disk", "f"), to("2024-02-02"),
        invoices({"total": "37.00", "lines": [
            {"amount": "10.00"}, {"amount": "3.00"}, {"amount": "14.00"}, {"amount": "10.00"}]}),
    ),
    story(
        "a plan by the year from a leap day with usage by the month", clock("2024-02-29"), meter(),
        plan(price("1200.00", "year", code="fee"), price("0.50", code="calls", meter="${api.code}")), customer(),
        subscribe(), to("2024-03-10T00:00"), use(10, key="a"), to("2024-03-29T00:00"), use(20, key="b"),
        to("2024-04-28T00:00"), use(30, key="c"), to("2024-04-29T00:00"), use(40, key="d"), to("2024-05-30"),
        totals(120000, 500, 2500, 2000),
    ),
    story(
        "an event that was billed is replaced", clock("2024-01-01"), meter(), plan(price("1.00", meter="${api.code}")),
        customer(), subscribe(), to("2024-01-05"), use(10), to("2024-02-01T01:00"), totals(1000),
        {"call": "POST /usage_events", "expect": {"accepted": 1}, "body": {
            "id": "${run}-2", "replaces": "${run}-1", "customer": "${customer.id}", "event_name": "api-${run}",
            "timestamp": "2024-01-05T00:00:00Z", "properties": {"value": 4}}},
        to("2024-03-01T01:00"), totals(1000), notes(600),
    ),
    story(
        "transactions by themselves: late, negative, taken back, and what each line says", clock("2024-01-01"), meter(),
        plan(price("10", model="percentage", meter="${api.code}", minimum="3.00", per_transaction={
            "fixed_amount": "1.00", "maximum": "20.00", "free_events": 1})),
        customer(), subscribe(), to("2024-01-05"), use("100.00", "2024-01-02", key="b"), use("500.00", key="c"),
        {"call": "POST /usage_events/${run}-c/void", "status": 204}, use("50.00", "2024-01-04", key="d"),
        use("-20.00", "2024-01-03", key="e"), to("2024-02-01T01:00"), totals(400),
        lines({"amount": "4.00", "quantity": "130", "explanation": {"per_transaction": {
            "events": 3, "free_events": 1, "free_amount": "100.00", "fixed_amount": "1.00", "maximum": "20.00",
            "came_to": "4.00"}}}),
        use("30.00", "2024-01-01", key="a"), to("2024-03-01T01:00"), totals(400, 1400),
    ),
    story(
        "included units of both terms by their days", clock("2024-04-01"), meter(),
        plan(price("10.00", code="fee"), price("1.00", code="calls", meter="${api.code}", included=30)),
        plan(price("20.00", code="fee"), price("1.00", code="calls", meter="${api.code}", included=60), name="large"),
        customer(), subscribe(), to("2024-04-05T00:00"), use(25, key="a"), to("2024-04-16T00:00"),
        change(plan="large"), use(50, key="b"), to("2024-05-02"), totals(1000, 500, 5000),
    ),
]  # fmt: skip

CALENDAR = [
    story(
        "yen have no decimals, dinars three", clock("2024-01-16"), plan(price("1000"), currency="JPY"),
        plan(price("3000"), name="large", currency="JPY"), customer(currency="JPY"), subscribe(anchor="calendar"),
        invoices({"total": "516"}), to("2024-01-20T00:00"),
        change(plan="large", expect={"lines": [{"amount": "-387"}, {"amount": "1161"}]}),
        plan(price("9.999"), name="dinar", currency="KWD"), customer(currency="KWD"),
        subscribe("dinar", anchor="calendar"), invoices({"total": "3.871"}),
    ),
    story(
        "both sides of the date line", clock("2024-03-10T10:30"), plan(price("31.00")),
        customer(timezone="Pacific/Auckland"), subscribe(anchor="calendar"), totals(2200),
        to("2024-03-31T11:00"), invoices({"total": "22.00"}, {"issued_at": "2024-03-31T11:00:00Z"}),
    ),
    story(
        "the other side of the date line", clock("2024-03-10T10:30"), plan(price("31.00")),
        customer(timezone="Pacific/Pago_Pago"), subscribe(anchor="calendar"), totals(2300), to("2024-04-01T10:59"),
        totals(2300), to("2024-04-01T11:00"), totals(2300, 3100),
    ),
    story(
        "a start in the past with arrears, usage and the calendar", clock("2024-06-15"), meter(),
        plan(price("30.00", code="fee", **ARREARS), price("2.00", code="calls", meter="${api.code}")), customer(),
        subscribe(start_at="2024-04-16", anchor="calendar"), totals(4500), use(4, "2024-06-14"), to("2024-07-02"),
        totals(4500, 3800),
    ),
    story(
        "a ramp of seats that waits", clock("2024-01-01"), plan(seats()), customer(), subscribe(quantity=10),
        change(quantity=20, effective="2024-02-01"), change(quantity=30, effective="2024-03-01"),
        change(quantity=31, effective="2024-03-16"), to("2024-04-02"), totals(10000, 20000, 30000, 516, 31000),
    ),
    story(
        "seats several times in one period, fewer at its end", clock("2024-04-01"), plan(seats()), customer(),
        subscribe(quantity=5), to("2024-04-06T00:00"), change(quantity=8, expect={"total": "25.00"}),
        to("2024-04-11T00:00"), change(quantity=10, expect={"total": "13.34"}), to("2024-04-16T00:00"),
        change(quantity=12, expect={"total": "10.00"}), change(quantity=4, effective="period_end"), to("2024-05-02"),
        totals(5000, 2500, 1334, 1000, 4000),
    ),
]  # fmt: skip

STORIES = [*GIVEN_BACK_ONCE, *TAXED, *ENDS, *METERS, *CALENDAR]

"""Rules of Tandem that meet in one story: discounts, trials, taxes, minimums, included units, moved billing days, pauses
and changes of plan at once. Amounts are worked out by hand in the remarks."""

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
    off,
    plan,
    price,
    story,
    subscribe,
    tax,
    tier,
    to,
    totals,
    upcoming,
    use,
)
from tests.scenarios.neighbour_cases import rate


def inclusive(percentage: str, country: str) -> Step:
    body = {"name": "VAT", "percentage": percentage, "country": country, "inclusive": True}
    return {"call": "POST /tax_rates", "body": body}


def calls(amount: str | None = "1.00", **terms: Any) -> dict[str, Any]:
    return price(amount, meter="${api.code}", code="calls", **terms)


def notes(*expected: Any) -> Step:
    return {
        "call": "GET /credit_notes?customer=${customer.id}",
        "expect": {"results": list(reversed(expected))},
    }


def together(amount: str) -> Step:
    """What all invoices come to."""
    expected = {"$sum": {"of": "total", "is": amount}}
    return {"call": "GET /invoices?customer=${customer.id}", "expect": {"results": expected}}


HALF_ONCE = {"percent_off": 50, "duration": "once"}

DISCOUNTS = [
    story(  # 31.00 from 10 February on; the first month that is paid for is the one at half
        "a discount that is given in a trial counts from the first paid day", clock("2024-01-01"),
        plan(price("31.00")), off("half", **HALF_ONCE), customer(), subscribe(trial_days=40), to("2024-01-10"),
        change(discount="${half.id}", expect={"total": "0.00", "next_invoice": {"total": "15.50"}}),
        to("2024-03-10T01:00"), totals(1550, 3100),
    ),
    story(  # 15.50 x 16/31 back, 62.00 x 16/31 asked for
        "a discount for one plan ends with the change to another", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), off("half", percent_off=50, plans=["${plan.code}"]), customer(),
        subscribe(discount="${half.id}"), to("2024-01-16"),
        change(plan="big", expect={"lines": [{"amount": "-8.00"}, {"amount": "32.00"}], "total": "24.00"}),
        to("2024-02-01T01:00"), totals(1550, 2400, 6200),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "62.00"}},
    ),
    story(  # 6.00 used, at least 10.00; less a tenth, less 5.00
        "two discounts on what a minimum makes of usage", clock("2024-01-01"), meter(),
        plan(calls("2.00", minimum="10.00")), off("tenth", percent_off=10),
        off("five", amount_off="5.00", currency="USD"), customer(), subscribe(discounts=["${tenth.id}", "${five.id}"]),
        use(3), to("2024-02-01T01:00"), totals(400),
    ),
    story(  # 15/31 of 30.00 off the first 50.00, 30.00 off the next
        "an amount off usage, and the billing day moves", clock("2024-01-01"), meter(), plan(calls()),
        off("thirty", amount_off="30.00", currency="USD"), customer(), subscribe(discount="${thirty.id}"), use(50),
        to("2024-01-16"), change(anchor=16), to("2024-01-17"), use(50, key="2"), to("2024-02-16T01:00"),
        together("55.48"),
    ),
    story(  # ten days and eleven of a month, each 21.00 a month
        "an amount off arrears with a pause in the month", clock("2024-01-01"), plan(price("31.00", **ARREARS)),
        off("ten", amount_off="10.00", currency="USD"), customer(), subscribe(discount="${ten.id}"), to("2024-01-11"),
        {"call": "POST /subscriptions/${sub.id}/pause", "body": {"resume_at": "2024-01-21"}},
        to("2024-02-01T01:00"), totals(677 + 745),
    ),
    story(  # 51.61 and 25.81 for 16 of 31 days, each less a fifth; the fee is not touched
        "a percentage off seats alone, and more of them", clock("2024-01-01"),
        plan(price("29.00", code="fee"), price("10.00", code="seats", model="per_unit")),
        off("fifth", percent_off=20, prices=["seats"]), customer(),
        subscribe(quantity=5, discount="${fifth.id}"), lines({"amount": "29.00"}, {"amount": "40.00"}),
        to("2024-01-16"),
        change(quantity=10, expect={"lines": [{"amount": "-20.65"}, {"amount": "41.29"}], "total": "20.64"}),
        to("2024-02-01T01:00"), totals(6900, 2064, 10900),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "109.00"}},
    ),
    story(  # 20.00 off 10.00 and 20.00: 3.33 and 6.67 are left of 80.00, over which 5.00 are shared
        "LAGO-COUPON-CASCADE, of one plan", clock("2024-01-01"), *(meter(name=f"bm{n}") for n in (1, 2, 3, 4)),
        plan(*(price("1.00", meter=f"${{bm{n}.code}}", code=f"bm{n}") for n in (1, 2, 3, 4))),
        off("twenty", amount_off="20.00", currency="USD", meters=["${bm1.code}", "${bm2.id}"]),
        off("five", amount_off="5.00", currency="USD"), customer(),
        subscribe(discounts=["${twenty.id}", "${five.id}"]),
        *(use(10 * n, name=f"bm{n}", key=str(n)) for n in (1, 2, 3, 4)), to("2024-02-01T01:00"),
        lines({"amount": "3.12"}, {"amount": "6.25"}, {"amount": "28.13"}, {"amount": "37.50"}), totals(7500),
    ),
    story(  # the fee of a year has nothing of what is for a meter of months
        "an amount off a meter, beside a yearly fee", clock("2024-01-01"), meter(),
        plan(price("20.00", "year"), calls()), off("fifty", amount_off="50.00", currency="USD", prices=["calls"]),
        customer(), subscribe(interval="year", discount="${fifty.id}"), use(60), to("2024-02-01T01:00"),
        totals(2000, 1000),
    ),
    story(  # three months from 1 January; February is given back, and pays for March
        "a pause uses up a period of a discount", clock("2024-01-01"), plan(price("30.00")),
        off("half", percent_off=50, duration="repeating", periods=3), customer(),
        subscribe(discount="${half.id}"), to("2024-02-01T01:00"),
        {"call": "POST /subscriptions/${sub.id}/pause", "body": {"resume_at": "2024-03-01"}},
        to("2024-04-01T01:00"), totals(1500, 1500, 1500, 3000), balance(0),
    ),
    story(
        "a discount for what a plan does not have", clock("2024-01-01"), meter(), plan(price("20.00", code="fee")),
        plan(price("30.00"), calls(), name="metered"), customer(),
        off("some", percent_off=50, meters=["${api.code}"]),
        {**subscribe(discount="${some.id}"), "status": 422, "expect": {"code": "discount_not_for_plan"}},
        subscribe("metered", discount="${some.id}"), to("2024-01-02"),
        change(plan="plan", proration="none"), to("2024-02-01T01:00"), totals(3000, 2000),
        {"call": "POST /discounts", "body": {"percent_off": 5, "prices": ["no-such-price"]}, "status": 422,
         "expect": {"code": "unknown_price", "errors": [{"field": "prices.0"}]}},
    ),
]  # fmt: skip


def least(amount: str, **terms: Any) -> dict[str, Any]:
    return price(None, kind="minimum", minimum=amount, code="least", **terms)


def added(amount: str, **said: Any) -> dict[str, Any]:
    return {"amount": amount, "kind": "minimum", **said}


MINIMUMS = [
    story(
        "seats by the month, a whole by the year: five of it are refused", clock("2024-01-01"),
        plan(price("10.00", code="seats", model="per_unit"), price("100.00", "year", code="whole")), customer(),
        {**subscribe(interval="year", quantity=5), "status": 422,
         "expect": {"code": "invalid_quantity", "errors": [{"field": "quantity"}]}},
        subscribe(quantity=5), totals(5000), subscribe(interval="year", quantity=1), together("150.00"),
    ),
    story(  # 10,000.00 x 2/29 - 6.90 - 30.00; 10,000.00 - 100.00 - 10.00
        "LAGO-COMMIT-USAGE, with all usage in arrears", clock("2024-02-28"),
        *(meter(name=name) for name in ("one", "two", "kept")),
        plan(
            price("100.00", code="fee", **ARREARS), least("10000.00"),
            *(price("1.00", meter=f"${{{name}.code}}", code=name) for name in ("one", "two", "kept")),
        ),
        customer(), subscribe(anchor="calendar"),
        *(use(10, name=name, key=name) for name in ("one", "two", "kept")), to("2024-03-01T01:00"),
        lines({"amount": "6.90"}, {"amount": "10.00"}, {"amount": "10.00"}, {"amount": "10.00"},
              added("652.76", description="Minimum spend: Plan",
                    explanation={"policy": "minimum", "minimum": "689.66", "came_to": "36.90"})),
        use(10, name="kept", key="again"), to("2024-04-01T01:00"),
        lines({"amount": "100.00"}, {"amount": "10.00"}, added("9890.00")), totals(68966, 1000000),
    ),
    story(  # usage that is told late is asked for, and the minimum adds as much less
        "a minimum of the plan, an upgrade, and usage that comes late", clock("2024-01-01"), meter(),
        plan(price("31.00", code="fee"), calls(), least("310.00")),
        plan(price("62.00", code="fee"), calls(), least("620.00"), name="big"), customer(), subscribe(),
        to("2024-01-02"), use(50), to("2024-01-16"), change(plan="big", expect={"total": "16.00"}),
        to("2024-01-20"), use(100, key="2"), upcoming(6200 + 5000 + 8500 + 10000 + 18800), to("2024-02-02"),
        use(20, "2024-01-25", key="3"), to("2024-03-01T01:00"),
        lines({"amount": "20.00", "kind": "reversal"}, {"amount": "-20.00", "kind": "reversal"}, {"amount": "62.00"},
              added("558.00")),
        totals(3100, 1600, 48500, 62000),
    ),
    story(  # 100.00 are missing: a tenth off them too; of 30.00 off a period the fee of 20.00 leaves 10.00
        "discounts on what a minimum of the plan adds", clock("2024-01-01"), meter(),
        plan(price("100.00", code="fee"), calls(), least("200.00")), off("tenth", percent_off=10), customer(),
        subscribe(discount="${tenth.id}"), to("2024-02-01T01:00"), totals(9000, 18000),
        plan(price("20.00", code="fee"), least("50.00"), name="small"),
        off("thirty", amount_off="30.00", currency="USD"), subscribe("small", discount="${thirty.id}"),
        to("2024-03-01T01:00"), together("470.00"),
    ),
    story(  # 310.00 x 10/31 - 10.00; 21.00 back
        "a minimum of the plan and a cancellation at once", clock("2024-01-01"),
        plan(price("31.00", code="fee"), least("310.00")), customer(), subscribe(), to("2024-01-10"), cancel(),
        to("2024-01-11T01:00"), lines(added("90.00")), notes({"total": "21.00"}),
    ),
    story(  # the old minimum holds to the end of its month, and counts what is used on the new terms
        "a minimum of the plan and a change without proration", clock("2024-01-01"), meter(),
        plan(price("31.00", code="fee"), calls(), least("310.00")),
        plan(price("62.00", code="fee"), calls("2.00"), least("620.00"), name="big"), customer(), subscribe(),
        to("2024-01-02"), use(50), to("2024-01-16"), change(plan="big", proration="none"), to("2024-01-20"),
        use(100, key="2"), to("2024-02-01T01:00"), totals(3100, 5000 + 20000 + 2900 + 6200),
    ),
    story(
        "a minimum of a plan of usage alone, and what it may not say", clock("2024-01-01"), meter(),
        plan(calls(), least("40.00")), customer(), subscribe(), use(15), to("2024-02-01T01:00"), totals(4000),
        {"call": "POST /plans/${plan.id}/prices", "body": price("5.00", kind="minimum"), "status": 422,
         "expect": {"code": "invalid_price", "errors": [{"field": "minimum"}]}},
        {"call": "POST /plans/${plan.id}/prices", "body": least("5.00", billed="advance"), "status": 422,
         "expect": {"code": "invalid_price", "errors": [{"field": "billed"}]}},
    ),
]  # fmt: skip

TAXES = [
    story(  # 119.00 less a tenth is 107.10 with 17.10 in it; half a month of that back, half of twice as much asked for
        "prices that contain tax, a percentage off, an upgrade in the middle", inclusive("19", "AT"), clock("2024-04-01"),
        plan(price("119.00")), plan(price("238.00"), name="big"), off("tenth", percent_off=10), customer(country="AT"),
        subscribe(discount="${tenth.id}"), invoices({"tax_total": "17.10", "total": "107.10"}), to("2024-04-16"),
        change(plan="big", expect={"total": "53.55"}),
        lines({"amount": "-45.00", "tax_amount": "-8.55"}, {"amount": "90.00", "tax_amount": "17.10"}),
        to("2024-04-21"), cancel(effective="2024-04-26"), to("2024-04-26T01:00"),
        notes({"total": "35.70", "tax_total": "5.70"}), balance(3570),
    ),
    story(  # from 15 February 29.00 more a month at half price, and a fifth of tax
        "an upgrade that is told a month late, with discount and tax",
        {"call": "POST /tax_rates", "body": {"name": "VAT", "percentage": "20", "country": "AT"}}, clock("2024-02-01"),
        plan(price("29.00")), plan(price("58.00"), name="big"), off("half", percent_off=50), customer(country="AT"),
        subscribe(discount="${half.id}"), to("2024-03-10"), change(plan="big", effective="2024-02-15"),
        invoices({"total": "17.40"}, {"total": "17.40"},
                 {"subtotal": "44.00", "discount_total": "22.00", "total": "26.40"}),
        upcoming(3480),
    ),
]  # fmt: skip

CURRENCIES = [
    story(  # 14 of 28 days: 500 back, 20 units beyond 5 at 7, and 110 up to half of 500
        "yen: included units and a minimum by the days of February", clock("2023-01-31"), meter(),
        plan(price("1000"), calls("7", included=10, minimum="500"), currency="JPY"), customer(currency="JPY"),
        subscribe(), use(25), to("2023-02-13"), cancel(), to("2023-02-14T01:00"), notes({"total": "500"}),
        lines({"amount": "140"}, {"amount": "110", "kind": "minimum"}),
        {"call": "GET /customers/${customer.id}", "expect": {"balance": "250"}},
    ),
    story(  # half of 1.001 is 0.5005
        "dinars: half a fil goes away from zero", clock("2023-01-31"), plan(price("1.001"), currency="KWD"),
        customer(currency="KWD"), subscribe(), to("2023-02-13"), cancel(), notes({"total": "0.501"}),
    ),
]  # fmt: skip

CHANGES = [
    story(  # 31.00 -> 62.00 with 21 of 31 days left, -> 732.00 a year with 11 left, -> 366.00 a year with 336 of 366
        "three changes, one of them of the interval", clock("2024-01-01"),
        plan(price("31.00"), price("366.00", "year")), plan(price("62.00"), price("732.00", "year"), name="big"),
        customer(), subscribe(), to("2024-01-11"), change(plan="big", expect={"total": "21.00"}), to("2024-01-21"),
        change(interval="year", expect={"lines": [{"amount": "-22.00"}, {"amount": "732.00"}]}), to("2024-02-20"),
        change(plan="plan", expect={"lines": [{"amount": "-672.00"}, {"amount": "336.00"}]}), balance(33600),
        {"call": "GET /subscriptions/${sub.id}", "expect": {
            "current_period": {"start": "2024-01-21", "end": "2025-01-21"}}},
    ),
    story(  # a trial to 3 February, then 26 of the 29 days up to the 29th
        "a trial, the 31st and a discount once", clock("2024-01-20"), plan(price("29.00")), off("half", **HALF_ONCE),
        customer(), subscribe(trial_days=14, anchor=31, discount="${half.id}"), to("2024-03-31T01:00"),
        totals(1300, 2900, 2900),
    ),
    story(  # each plan's tiers for what was used on it
        "tiers begin anew with the plan", clock("2024-01-01"), meter(),
        plan(calls(None, model="graduated", tiers=[tier(10, "1.00"), tier(None, "0.50")])),
        plan(calls(None, model="graduated", tiers=[tier(10, "2.00"), tier(None, "1.00")]), name="big"), customer(),
        subscribe(), to("2024-01-05"), use(15), to("2024-01-16"), change(plan="big"), to("2024-01-20"),
        use(15, key="2"), to("2024-02-01T01:00"),
        together("37.50"),
    ),
    story(  # at most 31.00 a month: 16.00 up to the 17th, then at most 30.00 of 62.00 x 15/31
        "a maximum by the days of each plan", clock("2024-01-01"), meter(), plan(calls(maximum="31.00")),
        plan(calls(maximum="62.00"), name="big"), customer(), subscribe(), to("2024-01-05"), use(100),
        to("2024-01-17"), change(plan="big"), to("2024-01-20"), use(100, key="2"), to("2024-02-01T01:00"),
        together("46.00"),
    ),
]  # fmt: skip

OPEN = {"collection_method": "send_invoice", "payment_rule_override": "agreed"}
SENT = [
    story(  # 60.00 of 100.00 are paid: a credit of all takes the 40.00 that are open, the rest is money
        "a credit note of all that was asked, when a part is paid", clock("2024-01-01"), plan(price("100.00")),
        customer(), subscribe(**OPEN), {"call": "GET /invoices?customer=${customer.id}", "as": "found"},
        {"call": "POST /invoices/${found.results.0.id}/mark_paid", "body": {"amount": "60.00", "reference": "bank"},
         "expect": {"amount_due": "40.00", "status": "open"}},
        {"call": "POST /credit_notes", "body": {"invoice": "${found.results.0.id}", "amount": "100.00",
                                                "reason": "Goodwill", "to": "balance"}},
        invoices({"amount_due": "0.00", "amount_paid": "60.00", "status": "paid"}), balance(6000),
    ),
    story(  # 100.00 with a tenth off; half of the line goes back with half of its discount
        "a part of a line with a discount comes back", clock("2024-01-01"), plan(price("100.00")),
        off("tenth", percent_off=10), customer(), subscribe(discount="${tenth.id}", **OPEN), lines({"amount": "90.00"}),
        {"call": "GET /invoices/${found.results.0.id}", "as": "paper"},
        {"call": "POST /credit_notes", "body": {"invoice": "${paper.id}", "reason": "Goodwill", "to": "balance",
                                                "lines": [{"line": "${paper.lines.0.id}", "amount": "45.00"}]}},
        invoices({"amount_due": "45.00", "status": "open"}), balance(0),
        {"call": "POST /credit_notes", "body": {"invoice": "${paper.id}", "reason": "Goodwill", "amount": "45.01"},
         "status": 422},
    ),
    story(  # what is paid in part is reminded of with what is left, on its days
        "a reminder names what is left", clock("2024-01-01"), plan(price("100.00", "year")), customer(net_days=15),
        subscribe(interval="year", **OPEN), {"call": "GET /invoices?customer=${customer.id}", "as": "found"},
        to("2024-01-10"),
        {"call": "POST /invoices/${found.results.0.id}/mark_paid", "body": {"amount": "99.99", "reference": "bank"}},
        to("2024-01-17"), invoices({"amount_due": "0.01", "status": "open"}),
        {"call": "GET /events?customer=${customer.id}&type=invoice.overdue", "expect": {"results": {"$length": 1}}},
        {"call": "POST /invoices/${found.results.0.id}/mark_paid", "body": {"reference": "bank"},
         "expect": {"amount_due": "0.00", "status": "paid"}},
    ),
]  # fmt: skip


def taken_back(cents: str, **fields: Any) -> Step:
    """A note for a part of `paper`, by amount or of its first line."""
    body = {"invoice": "${paper.id}", "reason": "Goodwill", "to": "balance", **fields}
    return {"call": "POST /credit_notes", "body": body, "expect": {"total": cents}}


def one_of_the_first(cents: str) -> Step:
    return taken_back(cents, lines=[{"line": "${paper.lines.0.id}", "quantity": 1}])


PAPER = [
    {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest"},
    {"call": "GET /invoices/${newest.results.0.id}", "as": "paper"},
]
NOTHING_LEFT = {
    "call": "POST /credit_notes", "status": 422,
    "body": {"invoice": "${paper.id}", "reason": "Goodwill", "amount": "1.00"},
}  # fmt: skip


def notes_come_to(**sums: str) -> list[Step]:
    """What all credit notes come to, by field."""
    call = "GET /credit_notes?customer=${customer.id}"
    return [
        {"call": call, "expect": {"results": {"$sum": {"of": of, "is": sum}}}} for of, sum in sums.items()
    ]


IN_PARTS = [
    story(  # 10.00 with a tenth and 10.01 with a fifth (2.002) of tax
        "three notes over lines at two rates are the invoice", rate("PT", "10", "one-${run}"),
        rate("PT", "20", "two-${run}"), clock("2024-01-01"),
        plan(price("10.00", code="one", tax_category="one-${run}"),
             price("10.01", code="two", tax_category="two-${run}")), customer(country="PT"),
        subscribe(**OPEN), invoices({"subtotal": "20.01", "tax_total": "3.00", "total": "23.01"}),
        PAPER, *[taken_back("7.67", amount="7.67")] * 3, NOTHING_LEFT,
        notes_come_to(subtotal="20.01", tax_total="3.00"), invoices({"amount_due": "0.00", "status": "paid"}), balance(0),
    ),
    story(  # 3.33, 3.33 and 3.34; 19 % of them, counted from the start: 0.63, 1.27, 1.90
        "one seat of three comes back three times",
        tax("19", "AT"), clock("2024-01-01"),
        plan(price("3.3333", model="per_unit")), customer(country="AT"), subscribe(quantity=3, **OPEN),
        invoices({"subtotal": "10.00", "tax_total": "1.90"}), PAPER, one_of_the_first("3.96"), one_of_the_first("3.97"),
        one_of_the_first("3.97"), NOTHING_LEFT, notes_come_to(subtotal="10.00", tax_total="1.90"), balance(0),
    ),
    story(  # 400 of 1100 are paid: two notes of 367 leave nothing due but 34, and what is beyond it is the customer's
        "yen come back in three parts after a part was paid",
        tax("10", "JP"), clock("2024-01-01"),
        plan(price("1000"), currency="JPY"), customer(currency="JPY", country="JP"), subscribe(**OPEN), PAPER,
        {"call": "POST /invoices/${paper.id}/mark_paid", "body": {"amount": "400", "reference": "bank"}},
        *[taken_back("367", amount="367")] * 2, taken_back("366", amount="366"),
        notes_come_to(subtotal="1000", tax_total="100"), invoices({"amount_due": "0", "status": "paid"}),
        {"call": "GET /customers/${customer.id}", "expect": {"balance": "400"}},
    ),
]  # fmt: skip

TIERS = [
    story(  # a tier holds its last unit, and nothing beyond it: 10 x 1.00, then 10.001 x 0.50
        "the edge of a volume tier", clock("2024-01-01"), meter(),
        plan(calls(None, model="volume", tiers=[tier(10, "1.00"), tier(None, "0.50")])), customer(), subscribe(),
        use(10), to("2024-02-01T01:00"), use("10.001", key="2"), to("2024-03-01T01:00"), totals(1000, 500),
    ),
    story(  # at least 1.00 a day: 10.00 up to the pause, 20.00 used after it
        "a minimum with a pause in the month", clock("2024-01-01"), meter(), plan(calls(minimum="31.00")), customer(),
        subscribe(), use(5), to("2024-01-11"),
        {"call": "POST /subscriptions/${sub.id}/pause", "body": {"resume_at": "2024-01-21"}}, to("2024-01-22"),
        use(20, key="2"), to("2024-02-01T01:00"), together("30.00"),
    ),
    story(  # 11 units are two packages of ten: 8.00, but at most 6.00; in February 14 of 29 days, at most 2.90
        "a package within a maximum, and an end in the month", clock("2024-01-01"), meter(),
        plan(calls("4.00", model="package", package_size=10, maximum="6.00")), customer(), subscribe(), use(11),
        to("2024-02-01T01:00"), totals(600), use(11, key="2"), to("2024-02-14"), cancel(), to("2024-02-15T01:00"),
        together("8.90"),
    ),
]  # fmt: skip

UNDER_WAY = [
    story(
        "a change of what has not started yet", clock("2026-01-31"), plan(price("31.00")),
        plan(price("62.00"), name="big"), plan(price("10.00", model="per_unit"), name="seats"), customer(),
        subscribe(start_at="2026-02-15"),
        change(plan="big", expect={"next_invoice": {"date": "2026-02-15", "total": "62.00"}}),
        subscribe("seats", quantity=2, start_at="2026-02-16"),
        change(quantity=5, expect={"next_invoice": {"date": "2026-02-16", "total": "50.00"}}),
        to("2026-02-16T01:00"), totals(6200, 5000),
    ),
    story(  # from 14 February 6 of the 31 days up to the 20th
        "a billing day that is chosen in a trial", clock("2026-01-31"), plan(price("31.00")), customer(),
        subscribe(trial_days=14),
        change(anchor=20, expect={"total": "0.00", "next_invoice": {"date": "2026-02-14", "total": "6.00"}}),
        to("2026-02-03"), change(plan="plan", expect={"next_invoice": {"date": "2026-02-14", "total": "6.00"}}),
        to("2026-02-20T01:00"), totals(600, 3100),
    ),
    story(  # 16.00 at 20 % go back as they were charged; 32.00 at the new 10 %
        "a tax rate that changes between a bill and an upgrade", tax("20", "AT"), clock("2024-01-01"),
        plan(price("31.00")), plan(price("62.00"), name="big"), customer(country="AT"), subscribe(), to("2024-01-10"),
        tax("10", "AT"), to("2024-01-16"), change(plan="big"), to("2024-02-01T01:00"),
        invoices({"tax_total": "6.20", "total": "37.20"}, {"tax_total": "0.00", "total": "16.00"},
                 {"tax_total": "6.20", "total": "68.20"}),
    ),
    story(  # the seats of the year that waits are its own: 2 x 16/31 of 10.00 now, seven in February, ten from March on
        "seats in the year before a ramp", clock("2024-01-01"), plan(price("10.00", model="per_unit")), customer(),
        subscribe(quantity=5), change(quantity=10, effective="2024-03-01"), to("2024-01-16"),
        change(quantity=7, expect={"lines": [{"amount": "-25.81"}, {"amount": "36.13"}], "total": "10.32"}),
        to("2024-04-01T01:00"), totals(5000, 1032, 7000, 10000, 10000),
    ),
    story(  # what was used by card and by invoice is one amount, on the paper that the new terms send
        "card becomes invoice while usage is open", clock("2024-01-01"), meter(), plan(price("3100.00"), calls()),
        customer(), subscribe(), use(10), to("2024-01-16"),
        change(collection_method="send_invoice", net_days=45, expect={"total": "0.00"}), use(5, key="2"),
        to("2024-02-01T01:00"),
        invoices({"total": "3100.00", "collection_method": "charge_automatically"},
                 {"total": "3115.00", "collection_method": "send_invoice", "due_at": "2024-03-17T23:59:59Z"}),
    ),
    story(  # what is issued keeps its day
        "other net terms while an invoice is open", clock("2024-01-01"), plan(price("3100.00")), customer(),
        subscribe(collection_method="send_invoice", net_days=60), to("2024-01-16"), change(net_days=15),
        to("2024-02-01T01:00"),
        invoices({"due_at": "2024-03-01T23:59:59Z", "status": "open"},
                 {"due_at": "2024-02-16T23:59:59Z", "status": "open"}),
    ),
    story(  # 100.00 and 200.00, less a tenth, less 5.00; nothing for the days between
        "two discounts and a change that is not prorated", clock("2024-01-01"), plan(price("100.00")),
        plan(price("200.00"), name="big"), off("tenth", percent_off=10),
        off("five", amount_off="5.00", currency="USD"), customer(),
        subscribe(discounts=["${tenth.id}", "${five.id}"]), to("2024-01-16"),
        change(plan="big", proration="none", expect={"total": "0.00", "next_invoice": {"total": "175.00"}}),
        to("2024-02-01T01:00"), together("260.00"), lines({"amount": "175.00"}),
    ),
]  # fmt: skip

STORIES = [*UNDER_WAY, *DISCOUNTS, *MINIMUMS, *TAXES, *CURRENCIES, *CHANGES, *SENT, *IN_PARTS, *TIERS]

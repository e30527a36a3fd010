"""More cases of other billing systems' suites, neighbours of those in `cases` and `peer_cases`.

A story is named after the system and what its test is about, and its amounts are the expected ones there; where ours
fall on another day or paper, the story says so in its name and docs/scenarios.md gives the reason.
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
    use,
)
from tests.scenarios.more_cases import notes

MONTH, YEAR = "month", "year"


def calls(amount: str = "1.00", **terms: Any) -> dict[str, Any]:
    return price(amount, meter="${api.code}", code="calls", **terms)


def seats(amount: str, **terms: Any) -> dict[str, Any]:
    return price(amount, model="per_unit", code="seats", **terms)


def fee(amount: str, **terms: Any) -> dict[str, Any]:
    return price(amount, code="platform", **terms)


def rate(country: str, percentage: str, category: str) -> Step:
    body = {"name": "VAT", "percentage": percentage, "country": country, "category": category}
    return {"call": "POST /tax_rates", "body": body}


def taxed(subtotal: int, tax_total: int) -> dict[str, str]:
    return {"subtotal": money(subtotal), "tax_total": money(tax_total), "total": money(subtotal + tax_total)}


# -- Lago ---------------------------------------------------------------------------------------------------


def upgraded_twice(anchor: str, first: int, *amounts: int) -> Any:
    return story(
        f"LAGO multiple upgrades, {anchor}", tax("25", "SE"), clock("2024-03-05T12:12"), plan(price("10.00")),
        plan(price("15.00"), name="second"), plan(price("19.00"), name="third"), customer(country="SE"),
        subscribe(anchor=anchor), invoices({"subtotal": money(first)}), to("2024-03-12T12:12"),
        change(plan="second", expect={"lines": {"$contains": {"amount": money(amounts[1])}}}),
        lines({"amount": money(-amounts[0])}, {"amount": money(amounts[1])}), to("2024-03-12T13:12"),
        change(plan="third"), lines({"amount": money(-amounts[1])}, {"amount": money(amounts[2])}),
    )  # fmt: skip


def ended_at_once(name: str, anchor: str, zone: str, first: tuple[int, int], back: tuple[int, int]) -> Any:
    return story(
        f"LAGO ended on the first day, {name}", tax("20", "AT"), clock("2023-02-08"), plan(price("50.00")),
        customer(country="AT", timezone=zone), subscribe(anchor=anchor), invoices(taxed(*first)), cancel(),
        {"call": "GET /credit_notes?customer=${customer.id}", "expect": {"results": [taxed(*back)]}},
        balance(sum(back)),
    )  # fmt: skip


def ended_with_usage(name: str, *last: Any, **fields: Any) -> Any:
    return story(
        f"LAGO ended by hand, {name}", tax("20", "AT"), clock("2025-02-08"), meter(),
        plan(price("100.00"), calls()), customer(country="AT"), subscribe(anchor="calendar"),
        invoices(taxed(7500, 1500)), to("2025-02-10"), *[use(10, key=str(n)) for n in range(5)], to("2025-02-21T00:00"),
        cancel(**fields), to("2025-02-21T01:00"), *last,
    )  # fmt: skip


def units(name: str, *asked: tuple[int, int]) -> Any:
    """Ten units that are paid for whole at the start; each change is asked for at once, on the days after."""
    made = [
        [to(f"2024-03-{5 * n:02d}"), change(quantity=count, expect={"total": money(cents)})]
        for n, (count, cents) in enumerate(asked, 2)
    ]
    return story(
        f"LAGO units that are not prorated, {name}", clock("2024-03-05"),
        plan(price("10.00", model="per_unit", prorate=False)), customer(), subscribe(quantity=10), totals(10000),
        *(step for steps in made for step in steps), to("2024-04-05T01:00"),
        lines({"amount": money(1000 * asked[-1][0])}),
    )  # fmt: skip


def committed(interval: str, start: str, end: str, fee: int, added: int) -> Any:
    return story(
        f"LAGO commitment in arrears, {interval}", clock(start),
        plan(price("1000.00", interval, minimum="10000.00", **ARREARS), currency="EUR"), customer(currency="EUR"),
        subscribe(interval=interval, anchor="calendar", payment_rule_override="any"), to(f"{end}T01:00"),
        to(f"{end}T02:00"),
        lines({"amount": money(fee)}, {"amount": money(added), "kind": "minimum"}),
    )  # fmt: skip


TRIAL_USAGE = {"included_in_trial": 0}
LAGO = [
    units("fewer", (5, 0)),
    units("more", (15, 5000)),
    units("fewer, then more", (5, 0), (15, 5000)),
    units("more twice", (15, 5000), (20, 5000)),
    story(
        "LAGO units that are not prorated, of two prices at once", clock("2024-03-05"),
        plan(price("10.00", model="per_unit", code="one", prorate=False),
             price("20.00", model="per_unit", code="two", prorate=False)),
        customer(), subscribe(quantities={"one": 10, "two": 5}), to("2024-03-10"),
        change(quantities={"one": 15, "two": 10},
               expect={"lines": [{"amount": "50.00"}, {"amount": "100.00"}], "total": "150.00"}),
    ),
    committed("week", "2023-02-01", "2023-02-06", 71429, 642857),
    committed("month", "2023-02-04", "2023-03-01", 89286, 803571),
    committed("quarter", "2023-02-04", "2023-04-01", 62222, 560000),
    committed("year", "2022-02-01", "2023-01-01", 91507, 823561),
    upgraded_twice("calendar", 871, 645, 968, 1226),
    upgraded_twice("start", 1000, 774, 1161, 1471),
    ended_at_once("UTC", "calendar", "UTC", (3750, 750), (3571, 714)),
    ended_at_once("east", "calendar", "Asia/Tokyo", (3750, 750), (3571, 714)),
    ended_at_once("west", "calendar", "America/Los_Angeles", (3929, 786), (3750, 750)),
    ended_at_once("anniversary", "start", "UTC", (5000, 1000), (4821, 964)),
    ended_with_usage("credit and usage", notes(3000), invoices({"total": "90.00"}, taxed(5000, 1000)), balance(0)),
    ended_with_usage(
        "no credit", notes(), invoices({"total": "90.00"}, taxed(5000, 1000)), balance(0), credit_unused=False
    ),
    story(
        "LAGO ended quarter after an upgrade", clock("2024-01-15T10:00"), plan(price("455.00", "quarter", **ARREARS)),
        plan(price("910.00", "quarter", **ARREARS), name="other"), customer(), subscribe(interval="quarter"),
        to("2024-05-20T10:00"), change(plan="other"), to("2024-06-20T10:00"), cancel(), to("2024-06-21T00:00"),
        lines({"amount": "175.00"}, {"amount": "320.00"}), totals(45500, 17500 + 32000),
    ),
    *(
        story(
            f"LAGO ended by its date, {zone}", clock("2023-09-05"), plan(price("10.00", **ARREARS)),
            customer(timezone=zone), subscribe(), to("2023-09-06T00:15"), cancel(), to("2023-09-07T08:00"), totals(67),
        )
        for zone in ("Europe/Paris", "Asia/Bangkok")
    ),
    story(
        "LAGO ended on the billing day, in arrears", clock("2023-09-05"), plan(price("10.00", **ARREARS)), customer(),
        subscribe(), cancel(effective="2023-10-05"), to("2023-10-05T00:15"), totals(1000),
    ),
    story(
        "LAGO ended on the billing day, in advance", clock("2023-09-05"), plan(price("10.00")), customer(),
        subscribe(), cancel(effective="2023-10-05"), to("2023-10-05T00:15"), totals(1000), notes(),
    ),
    story(
        "LAGO spending minimum at an end", tax("20", "AT"), clock("2023-01-08T08:00"), meter("count"),
        plan(price("50.00"), calls("8", minimum="10.00")), customer(country="AT"), subscribe(anchor="calendar"),
        invoices(taxed(3871, 774)), to("2023-02-25T06:00"), use(1), cancel(), to("2023-02-26T01:00"),
        lines({"amount": "8.00", "tax_amount": "1.60"}, {"amount": "0.93", "tax_amount": "0.19"}), notes(643),
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "expect": {"results": [
            {**taxed(893, 179), "amount_due": "4.29"}]}},
    ),
    story(
        "LAGO upgrade in advance", clock("2024-01-01"), plan(price("29.00")), plan(price("290.00"), name="other"),
        customer(), subscribe(), to("2024-02-12T06:00"),
        change({"lines": [{"amount": "-18.00"}, {"amount": "180.00"}]}, plan="other"), to("2024-03-01T12:12"),
        totals(2900, 2900, 16200, 29000),
    ),
    story(
        "LAGO upgrade in arrears, both with the month", clock("2024-01-01"), plan(price("29.00", **ARREARS)),
        plan(price("290.00", **ARREARS), name="other"), customer(), subscribe(), to("2024-02-12T06:00"),
        change(plan="other"), to("2024-03-01T12:12"), lines({"amount": "11.00"}, {"amount": "180.00"}),
    ),
    story(
        "LAGO upgrade from nothing, ended", tax("20", "AT"), clock("2023-04-24T10:00"), plan(price("0.00", **ARREARS)),
        plan(price("20.00", **ARREARS), name="other"), customer(country="AT"), subscribe(anchor="calendar"),
        to("2023-04-24T11:00"), change(plan="other"), to("2023-04-26T11:00"), cancel(), to("2023-04-27T00:00"),
        invoices(taxed(200, 40)),
    ),
    story(
        "LAGO ended on the first day with usage", clock("2024-02-01T03:00"), meter("count"),
        plan(price("29.00"), calls("12")), customer(), subscribe(anchor="calendar"), to("2024-02-01T10:00"), use(1),
        to("2024-02-01T18:00"), cancel(), to("2024-02-02T01:00"), notes(2800), totals(2900, 1200), balance(1600),
    ),
    story(
        "LAGO a trial longer than its month", clock("2024-03-05T12:12"), meter("count"),
        plan(price("50000.00"), calls("10", **TRIAL_USAGE), trial_days=45), customer(), subscribe(anchor="calendar"),
        to("2024-03-10"), use(1), to("2024-04-01"), invoices(), to("2024-04-19T13:01"), totals(2000000 + 1000),
    ),
    story(
        "LAGO a trial that ends on the billing day", clock("2024-03-22T01:12"), meter("count"),
        plan(price("50000.00"), calls("10", **TRIAL_USAGE), trial_days=10), customer(timezone="Europe/Paris"),
        subscribe(anchor="calendar"), to("2024-03-23"), use(1), to("2024-04-01T13:11"), totals(5000000 + 1000),
    ),
    story(
        "LAGO a trial that ends by the customer's day", clock("2024-03-22T18:12"), meter("count"),
        plan(price("50000.00"), calls("10", **TRIAL_USAGE), trial_days=10), customer(timezone="Asia/Tokyo"),
        subscribe(anchor="calendar"), to("2024-03-28"), use(1), to("2024-04-01T19:11"), totals(4833333 + 1000),
    ),
    story(
        "LAGO a coupon over fee, usage and what a minimum adds", rate("FR", "10", "fee-${run}"),
        rate("FR", "0", "fx-${run}"), rate("FR", "20", "cards-${run}"), clock("2023-01-01"), meter(name="fx"),
        meter("count", "cards"), off("ten", amount_off="10.00", currency="EUR", duration="once"),
        plan(
            price("100.00", tax_category="fee-${run}", **ARREARS),
            price("1", meter="${fx.code}", tax_category="fx-${run}"),
            price("30", meter="${cards.code}", minimum="50.00", tax_category="cards-${run}"), currency="EUR",
        ),
        customer(currency="EUR", country="FR"), subscribe(discount="${ten.id}"), use(50, name="fx"),
        use(1, name="cards", key="2"), to("2023-02-01T01:00"),
        invoices({"subtotal": "200.00", "discount_total": "10.00", "tax_total": "19.00", "total": "209.00"}),
    ),
    story(
        "LAGO coupons over more than there is", tax("10", "AT"), clock("2023-01-01"), meter(),
        off("a", amount_off="100.00", currency="EUR"), off("b", amount_off="100.00", currency="EUR"),
        plan(price("100.00", **ARREARS), calls(), currency="EUR"), customer(currency="EUR", country="AT"),
        subscribe(discounts=["${a.id}", "${b.id}"]), use(50), to("2023-02-01T01:00"),
        invoices({"subtotal": "150.00", "discount_total": "150.00", "tax_total": "0.00", "total": "0.00"}),
    ),
    story(
        "LAGO-CN-COUPON-TAX", rate("PT", "10", "one-${run}"), rate("PT", "20", "two-${run}"), clock("2023-01-01"),
        plan(price("179.00", tax_category="one-${run}"), currency="EUR", name="one"),
        plan(price("399.00", tax_category="two-${run}"), currency="EUR", name="two"),
        off("coupon", amount_off="250.00", currency="EUR", plans=["${two.code}"]),
        customer(currency="EUR", country="PT", consolidate_invoices=True), subscribe("one"),
        subscribe("two", discount="${coupon.id}"), to("2023-02-01T01:00"),
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "newest", "expect": {"results": [
            {"subtotal": "578.00", "discount_total": "250.00", "tax_total": "47.70", "total": "375.70"}]}},
        {"call": "GET /invoices/${newest.results.0.id}", "as": "paper"},
        {"call": "POST /credit_notes", "body": {
            "invoice": "${newest.results.0.id}", "reason": "Goodwill",
            "lines": [{"line": "${paper.lines.1.id}", "amount": "98.06"}]}, "expect": taxed(9806, 1961)},
    ),
]  # fmt: skip

# -- Silver -------------------------------------------------------------------------------------------------


def tried(name: str, included: int, *amounts: int, cents: int) -> Any:
    """Two weeks from 20 May, with usage in May and in June."""
    sent = [use(amounts[0])] + [step for n in amounts[1:] for step in (to("2015-06-01"), use(n, key="2"))]
    return story(
        f"SILVER {name}", clock("2015-05-20"), meter(),
        plan(price("200.00"), calls("2.5", included_in_trial=included), trial_days=14), customer(),
        subscribe(anchor="calendar"), *sent, to("2015-06-02T23:00"), invoices(), to("2015-06-03T01:00"), totals(cents),
    )  # fmt: skip


SILVER = [
    story(
        "SILVER included units of a short month suffice", clock("2015-02-14"), meter(),
        plan(price("200.00"), calls("2.5", included=20)), customer(), subscribe(anchor="calendar"), to("2015-02-16"),
        use(10), to("2015-03-02"), totals(10714, 20000),
    ),
    story(
        "SILVER a trial without usage", clock("2015-02-04"), plan(price("200.00"), trial_days=14), customer(),
        subscribe(anchor="calendar"), to("2015-03-02"), totals(7857, 20000),
    ),
    story(
        "SILVER fewer than a trial includes", clock("2015-02-01"), meter(),
        plan(price("200.00"), calls("2.5", included_in_trial=5), trial_days=7), customer(),
        subscribe(anchor="calendar"), use(3), to("2015-02-10"), use(4, key="2"), to("2015-03-02"),
        totals(15000, 20000 + 1000),
    ),
    tried("what a trial includes suffices over two months", 10, 5, 5, cents=18667),
    tried("all of the second month is beyond a trial's units", 10, 10, 12, cents=18667 + 3000),
    tried("some of the second month is beyond a trial's units", 12, 10, 12, cents=18667 + 2500),
    story(
        "SILVER more than a trial includes, over the end of February", clock("2015-02-20"), meter(),
        plan(price("200.00"), calls("2.5", included_in_trial=10), trial_days=14), customer(),
        subscribe(anchor="calendar"), use(12), to("2015-03-07"),
        lines({**span("2015-03-06", "2015-04-01"), "amount": "167.74"}, {"amount": "5.00"}),
    ),
    story(
        "SILVER canceled in the trial", clock("2015-01-03"), plan(price("200.00"), trial_days=7), customer(),
        subscribe(anchor="calendar"), to("2015-01-06"), cancel(), to("2015-02-07"), invoices(),
    ),
    story(
        "SILVER canceled with the month", clock("2015-05-20"), meter(), plan(price("200.00"), calls("2.5")),
        customer(), subscribe(anchor="calendar"), to("2015-05-27"), use(5), cancel(effective="period_end"),
        to("2015-06-02"), totals(7742, 1250),
    ),
    story(
        "SILVER a plan by the year with usage by the month", clock("2015-01-23"), meter(),
        plan(price("200.00", YEAR), calls()), customer(), subscribe(interval=YEAR, anchor="calendar"), use(15),
        to("2015-02-05"), use(15, key="2"), totals(18795, 1500), to("2015-03-02"), totals(18795, 1500, 1500),
    ),
    story(
        "SILVER a percentage off plan and usage", tax("19", "DE"), clock("2015-06-01"), meter(),
        off("quarter", percent_off=25), plan(price("200.00"), calls("2.5", included=20)), customer(country="DE"),
        subscribe(discount="${quarter.id}"), use(40), to("2015-07-01T01:00"),
        invoices({"total": "178.50"}, {"subtotal": "250.00", "discount_total": "62.50", "total": "223.13"}),
    ),
]  # fmt: skip

# -- Polar --------------------------------------------------------------------------------------------------


def fixed_and_seats(case: str, discount: dict[str, Any], amounts: tuple[int, int]) -> Any:
    """Two seats become four in the middle of a month, beside a fee."""
    return story(
        f"POLAR more seats beside a fee, {case}", clock("2025-06-01"), off("given", **discount),
        plan(fee("100.00"), seats("50.00")), customer(), subscribe(quantity=2, discount="${given.id}"),
        to("2025-06-16"), change(quantity=4, expect={"total": money(sum(amounts))}),
    )  # fmt: skip


GRADUATED = [tier(50), tier(100, "20"), tier(None, "17.50")]
POLAR = [
    switch("POLAR a third of a month", "2025-06-01", "2025-06-11", (MONTH, "100.00"), (MONTH, "300.00"), 6667, 20000),
    switch("POLAR a leap year", "2024-02-18", "2024-09-05", (YEAR, "1000.00"), (YEAR, "3000.00"), 45355, 136066),
    switch("POLAR from month to year, half", "2025-06-01", "2025-06-16", (MONTH, "100.00"), (YEAR, "1000.00"), 5000,
           100000),
    switch("POLAR from month to year, a third", "2025-06-01", "2025-06-11", (MONTH, "100.00"), (YEAR, "1000.00"), 6667,
           100000),
    switch("POLAR from month to year, leap February", "2024-02-18", "2024-02-25", (MONTH, "100.00"),
           (YEAR, "1000.00"), 7586, 100000),
    story(
        "POLAR from a price to none", clock("2025-06-01"), plan(price("100.00")), plan(price("0.00"), name="free"),
        customer(), subscribe(), to("2025-06-16"), change(plan="free", expect={"credit_to_balance": "50.00"}),
    ),
    story(
        "POLAR from none to a price", clock("2025-06-01"), plan(price("0.00")), plan(price("100.00"), name="paid"),
        customer(), subscribe(), to("2025-06-16"), change(plan="paid", expect={"total": "50.00"}),
    ),
    story(
        "POLAR one of two subscriptions changes", clock("2025-06-01"), plan(price("200.00")),
        plan(price("50.00"), name="b"), plan(price("400.00"), name="c"), customer(), subscribe("b"),
        subscribe(), to("2025-06-16"),
        change(plan="c", expect={"lines": [{"amount": "-100.00"}, {"amount": "200.00"}]}),
    ),
    story(
        "POLAR a fixed discount over fee and seats, at a change", clock("2025-06-01"),
        off("given", amount_off="90.00", currency="USD"), plan(fee("100.00"), seats("200.00")),
        plan(fee("300.00"), seats("200.00"), name="other"), customer(), subscribe(discount="${given.id}"),
        to("2025-06-16"),
        change(plan="other", expect={"lines": [
            {"amount": "-35.00"}, {"amount": "-70.00"}, {"amount": "123.00"}, {"amount": "82.00"}]}),
    ),
    fixed_and_seats("a percentage", {"percent_off": 10}, (9000, -4500)),
    fixed_and_seats("an amount, shared anew over both", {"amount_off": "150.00", "currency": "USD"}, (5000, 0)),
    story(
        "POLAR seats in tiers beside a fee", clock("2024-01-01"),
        plan(fee("999.00"), price(model="graduated", tiers=GRADUATED, code="seats")), customer(),
        subscribe(quantity=100), totals(199900), to("2024-01-16"), change(quantity=143),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "2751.50"}}, to("2024-02-01T01:00"),
        lines({"amount": "999.00"}, {"amount": "1752.50"}),
    ),
]  # fmt: skip

# -- Kill Bill ----------------------------------------------------------------------------------------------


def stubs(case: str, interval: str, amount: str, start: str, day: int, end: str, *cents: int) -> Any:
    """With a billing day, to an end that is agreed."""
    return story(
        f"KB {case}", clock(start), plan(price(amount, interval)), customer(), subscribe(interval=interval, anchor=day),
        cancel(effective=end), to(f"{end}T12:00"), totals(*cents),
    )  # fmt: skip


KILLBILL = [
    stubs("quarter with a stub", "quarter", "92.00", "2011-02-01", 13, "2011-08-13", 1200, 9200, 9200),
    stubs("stubs at both ends of a month", MONTH, "868.00", "2011-01-01", 15, "2011-02-27", 39200, 86800, 37200),
    stubs("stubs at both ends of a year", YEAR, "133590.00", "2011-01-10", 17, "2012-03-04", 256200, 13359000, 1715500),
    stubs("a year and eight days", YEAR, "366.00", "2010-06-17", 17, "2011-06-25", 36600, 800),
    stubs("a month over the year's end", MONTH, "31.00", "2010-12-15", 15, "2011-01-15", 3100),
    measured("KB blocks of a tier, all of them", {1001: 1100}, model="package", package_size=100, amount="1"),
]  # fmt: skip

# -- Meteroid -----------------------------------------------------------------------------------------------

STARTER = plan(fee("29.00"), seats("10.00"), currency="EUR")
PRO = plan(fee("99.00"), seats("25.00"), currency="EUR", name="pro")


def coupons(case: str, *given: dict[str, Any], paid: tuple[int, ...], **fields: Any) -> Any:
    """On a plan of 49.00, for as many months as there are amounts."""
    steps = [off(f"c{n}", currency="USD", **one) if "amount_off" in one else off(f"c{n}", **one)
             for n, one in enumerate(given)]  # fmt: skip
    return story(
        f"METEROID {case}", clock("2024-01-01"), plan(price("49.00")), *steps, customer(),
        subscribe(discounts=[f"${{c{n}.id}}" for n in range(len(given))], **fields),
        to(f"2024-{len(paid):02d}-20"), totals(*paid),
    )  # fmt: skip


METEROID = [
    story(
        "METEROID upgrade with five seats", clock("2024-01-01"), STARTER, PRO, customer(currency="EUR"),
        subscribe(quantity=5), to("2024-01-16"),
        change(plan="pro", expect={"total": "74.84", "lines": [
            {"amount": "-14.97"}, {"amount": "-25.81"}, {"amount": "51.10"}, {"amount": "64.52"}]}),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "224.00"}},
    ),
    story(
        "METEROID ten seats stay when the plan changes with the period", clock("2024-01-01"), STARTER, PRO,
        customer(currency="EUR"), subscribe(quantity=10), change(plan="pro", effective="period_end"),
        to("2024-02-01T01:00"), totals(12900, 34900),
        {"call": "GET /subscriptions/${sub.id}", "expect": {"mrr": "349.00"}},
    ),
    story(
        "METEROID from a rate to a plan with seats", clock("2024-01-01"),
        plan(price("35.00"), currency="EUR", name="code"), STARTER, customer(currency="EUR"), subscribe("code"),
        to("2024-01-16"),
        change(plan="plan", quantity=5, expect={"total": "22.72"}),
    ),
    story(
        "METEROID there and back in one month", clock("2024-01-01"), STARTER, PRO, customer(currency="EUR"),
        subscribe(), to("2024-01-10"), change(plan="pro"), to("2024-01-20"), change(plan="plan", effective="now"),
        to("2024-02-01T01:00"), lines({"amount": "29.00"}, {"amount": "10.00"}),
    ),
    story(
        "METEROID only the price of usage changes", clock("2025-01-01"), meter(),
        plan(price("10.00"), calls("0.10"), currency="EUR"),
        plan(price("10.00"), calls("0.11"), currency="EUR", name="v2"), customer(currency="EUR"), subscribe(),
        to("2025-01-20"), use(1000, key="1"), to("2025-02-10"), use(500, key="2"),
        to("2025-02-15"), change(plan="v2", expect={"total": "0.00"}), to("2025-02-20"), use(800, key="3"),
        to("2025-03-01T01:00"), totals(1000, 11000, 0, 14800),
    ),
    coupons("a fixed coupon", {"amount_off": "10.00"}, paid=(3900,)),
    coupons("a percentage for two months", {"percent_off": 20, "duration": "repeating", "periods": 2},
            paid=(3920, 3920, 4900, 4900)),
    coupons("a percentage for ever", {"percent_off": 20}, paid=(3920,) * 4),
    coupons("everything off, once", {"percent_off": 100, "duration": "once"}, paid=(0, 4900)),
    coupons("two of sixty per cent, one after the other", {"percent_off": 60}, {"percent_off": 60}, paid=(784,)),
    coupons("two of everything", {"percent_off": 100}, {"percent_off": 100}, paid=(0,)),
    coupons("more than there is", {"amount_off": "100.00"}, paid=(0, 0)),
    coupons("a percentage after a trial", {"percent_off": 20, "duration": "once"}, paid=(3920,), trial_days=14),
]  # fmt: skip

# -- OpenMeter, BillaBear -----------------------------------------------------------------------------------

FOUR = [tier(5, flat="100"), tier(10, flat="50"), tier(15, "5"), tier(None, "1")]


def in_seats(name: str, quantity: int, cents: int, **terms: Any) -> Any:
    return story(
        f"BB {name}", clock("2025-01-01"), plan(price(interval="week", code="seats", **terms)), customer(),
        subscribe(interval="week", quantity=quantity), totals(cents),
    )  # fmt: skip


OPENMETER = [
    measured("OM graduated over four tiers", {22: 18200, 7: 15000, 12: 16000}, model="graduated", tiers=FOUR),
    measured("OM graduated with a minimum", {2: 100000}, model="graduated", tiers=FOUR, minimum="1000"),
    measured("OM graduated with a maximum", {22: 17000}, model="graduated", tiers=FOUR, maximum="170"),
    in_seats("package of seats", 50, 5000, model="package", package_size=10, amount="10"),
    in_seats("volume of seats, units and a flat amount", 11, 2200, model="volume",
             tiers=[tier(10, "10", "10"), tier(None, "2")]),
    in_seats("volume of seats, beyond the first tier", 50, 1500, model="volume",
             tiers=[tier(10, flat="10"), tier(None, flat="15")]),
    in_seats("graduated seats", 50, 2500, model="graduated", tiers=[tier(10, flat="10"), tier(None, flat="15")]),
]  # fmt: skip

STORIES = [*LAGO, *SILVER, *POLAR, *KILLBILL, *METEROID, *OPENMETER]

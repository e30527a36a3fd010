"""Cases that stand beside those of cases.py in the test suites of other billing systems, told in the same way.

The amounts are those that the tests of the peer assert (repository and test are named above each group). Where a peer
leaves something open, or bills the same amount on another day, docs/billing-maths.md fills it; where the peer follows
another policy the case is named in docs/scenarios.md instead.
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
    off,
    plan,
    price,
    story,
    subscribe,
    switch,
    tax,
    tier,
    to,
    totals,
    use,
)


def seats(unit: str, **fields: Any) -> dict[str, Any]:
    return price(unit, model="per_unit", **fields)


def notes(*expected: dict[str, Any]) -> Step:
    """The customer's credit notes, from the first to the last."""
    return {
        "call": "GET /credit_notes?customer=${customer.id}",
        "expect": {"results": list(reversed(expected))},
    }


# -- getlago/lago-api, spec/scenarios -------------------------------------------------------------------------

MINIMUM = price("100.00", minimum="10000.00", **ARREARS)
FIXED = plan(
    price("1.00", code="fee", **ARREARS), seats("1.00", code="a"), seats("3.00", code="b"),
)  # fmt: skip
FIXED_MORE = plan(
    price("100.00", code="fee", **ARREARS), seats("10.00", code="b"), seats("20.00", code="c"), name="more",
)  # fmt: skip


def credited(amount: str) -> list[Step]:
    """A part of the one line of the newest invoice, which lines() has read."""
    given = {"line": "${newest.lines.0.id}", "amount": amount}
    return [
        {"call": "GET /invoices/${found.results.0.id}", "as": "newest"},
        {
            "call": "POST /credit_notes",
            "body": {"invoice": "${newest.id}", "lines": [given], "reason": "Goodwill"},
        },
    ]


def several_upgrades(anchor: str, first: int, *cents: tuple[str, str, str]) -> Any:
    """10.00, 15.00 and 19.00 a month with 25 % of tax: two upgrades on the 12th, an hour apart."""
    one, two = ([{"amount": amount} for amount in said] for said in cents)
    return story(
        f"LAGO-MULTIPLE-UPGRADE {anchor}", tax("25", "SE"), clock("2024-03-05T12:12"), plan(price("10.00")),
        plan(price("15.00"), name="second"), plan(price("19.00"), name="third"), customer(country="SE"),
        subscribe(anchor=anchor), totals(first), to("2024-03-12T12:12"), change(plan="second", expect={"lines": one}),
        to("2024-03-12T13:12"), change(plan="third", expect={"lines": two}),
    )  # fmt: skip


LAGO = [
    story(
        "LAGO-PRORATE-AFTER-UPGRADE", clock("2024-01-15T10:00"), plan(price("455.00", "quarter", **ARREARS)),
        plan(price("910.00", "quarter", **ARREARS), name="dearer"), customer(), subscribe(interval="quarter"),
        to("2024-05-20T10:00"), change(plan="dearer"), to("2024-06-20T10:00"), cancel(),
        totals(45500, 17500 + 32000),
    ),
    several_upgrades("calendar", 1089, ("-6.45", "9.68", "0.81"), ("-9.68", "12.26", "0.65")),
    several_upgrades("start", 1250, ("-7.74", "11.61", "0.96"), ("-11.61", "14.71", "0.78")),
    *(
        story(
            f"LAGO-TERMINATE-ENDED {zone}", clock("2023-09-05"), plan(price("10.00", **ARREARS)),
            customer(timezone=zone), subscribe(), to("2023-09-06T00:15"), cancel(), totals(67),
        )
        for zone in ("Europe/Paris", "Asia/Bangkok", "America/Bogota")
    ),
    story(
        "LAGO-SPENDING-MINIMUM", tax("20", "PT"), clock("2023-01-08T08:00"), meter("count"),
        plan(price("50.00", code="fee"), price("8.00", code="calls", meter="${api.code}", minimum="10.00")),
        customer(country="PT"), subscribe(anchor="calendar"), totals(4645), to("2023-02-25T06:00"),
        use(1), cancel(), totals(4645, 6929, 1072),
        lines({"amount": "8.00", "tax_amount": "1.60"}, {"amount": "0.93", "tax_amount": "0.19"}),
        notes({"subtotal": "5.36", "tax_total": "1.07", "total": "6.43"}),
        invoices({}, {}, {"total": "10.72", "amount_due": "4.29"}),
    ),
    *(
        story(
            f"LAGO-TERMINATE-MANUALLY {name}", tax("20", "PT"), clock("2025-02-08"), meter(),
            plan(price("100.00", code="fee"), price("1.00", code="calls", meter="${api.code}")),
            customer(country="PT"), subscribe(anchor="calendar"), totals(9000), to("2025-02-10"),
            *(use(10, key=str(n)) for n in range(5)), to("2025-02-21"), cancel(**how),
            invoices({"total": "90.00"}, {"subtotal": "50.00", "tax_total": "10.00", "amount_due": due}), notes(*given),
        )
        for name, how, due, given in (
            ("credit", {}, "30.00", [{"total": "30.00"}]), ("skip", {"credit_unused": False}, "60.00", []),
        )
    ),
    story(
        "LAGO-TAXES-ON-INVOICE", clock("2023-01-01"),
        *(
            {"call": "POST /tax_rates", "body": {"name": name, "percentage": rate, "category": f"{name}-${{run}}"}}
            for name, rate in (("bank", "10"), ("none", "0"), ("sales", "20"))
        ),
        meter(name="fx"), meter("count", name="cards"),
        off("coupon", amount_off="10.00", currency="EUR", duration="once"),
        plan(
            price("100.00", code="fee", tax_category="bank-${run}", **ARREARS),
            price("1.00", code="fx", meter="${fx.code}", tax_category="none-${run}"),
            price("30.00", code="cards", meter="${cards.code}", minimum="50.00", tax_category="sales-${run}"),
            currency="EUR",
        ),
        customer(currency="EUR"), subscribe(discount="${coupon.code}"), use(50, name="fx"), use(1, name="cards", key="2"),
        to("2023-02-01T00:00"), invoices(
            {"subtotal": "200.00", "discount_total": "10.00", "tax_total": "19.00", "total": "209.00"}),
    ),
    story(
        "LAGO-UPGRADE-FIXED-CHARGES", clock("2023-07-19T12:12"), FIXED, FIXED_MORE, customer(),
        subscribe(anchor="calendar", quantities={"a": 10, "b": 5}), lines({"amount": "4.19"}, {"amount": "6.29"}),
        to("2023-08-01T00:00"), lines({"amount": "0.42"}, {"amount": "10.00"}, {"amount": "15.00"}),
        to("2023-08-21T12:00"), change(
            plan="more", quantities={"b": 10, "c": 1}, expect={"lines": [
                {"amount": "-3.55"}, {"amount": "-5.32"}, {"amount": "35.48"}, {"amount": "7.10"}]}),
        to("2023-09-01T00:00"), totals(1048, 2542, 3371, 65 + 3548 + 12000),
    ),
    story(
        "LAGO-UPGRADE-FIXED-CHARGES same day", clock("2025-12-22T12:12"), FIXED, FIXED_MORE, customer(),
        subscribe(anchor="calendar", quantities={"a": 10, "b": 5}), lines({"amount": "3.23"}, {"amount": "4.84"}),
        to("2025-12-22T13:12"), change(
            plan="more", quantities={"b": 10, "c": 1}, expect={"total": "30.64"}),
    ),
    story(
        "LAGO-CN-ROUND-2", tax("25", "SE"), clock("2025-09-18T16:00"), plan(price("160.00")), customer(country="SE"),
        subscribe(), invoices({"subtotal": "160.00", "tax_total": "40.00", "total": "200.00"}), cancel(),
        notes({"subtotal": "154.67", "tax_total": "38.67", "total": "193.34"}),
    ),
    story(
        "LAGO-CN-EXISTING", tax("20", "PT"), clock("2025-09-18T16:00"), plan(price("769.00")), customer(country="PT"),
        subscribe(), invoices({"tax_total": "153.80", "total": "922.80"}),
        lines({"amount": "769.00"}), *credited("726.86"), *credited("42.14"),
        notes({"tax_total": "145.37", "total": "872.23"}, {"tax_total": "8.43", "total": "50.57"}),
        invoices({"amount_due": "0.00"}),
    ),
    story(
        "LAGO-TRIAL-LONGER-THAN-PERIOD", clock("2024-03-05T12:12"), meter("count"),
        plan(price("50000.00"), price("10.00", meter="${api.code}", included_in_trial=0), trial_days=45), customer(),
        subscribe(anchor="calendar"), to("2024-03-10"), use(1), to("2024-04-19T12:02"), invoices(),
        to("2024-04-19T13:01"), lines({"amount": "20000.00"}, {"amount": "10.00"}),
    ),
    story(
        "LAGO-COMMITMENT-DOWNGRADE", clock("2024-03-01"), plan(MINIMUM), plan(price("10.00", **ARREARS), name="less"),
        customer(), subscribe(anchor="calendar"), to("2024-05-15"), change(plan="less", effective="period_end"),
        to("2024-06-01T00:15"), totals(1000000, 1000000, 1000000),
        lines({"amount": "100.00"}, {"amount": "9900.00", "kind": "minimum"}), to("2024-07-01T00:15"),
        totals(1000000, 1000000, 1000000, 1000),
    ),
]  # fmt: skip

# -- polarsource/polar, server/tests/subscription/test_service_prorations.py ----------------------------------

GRADUATED = {"model": "graduated", "tiers": [tier(50), tier(100, "20"), tier(200, "17.50"), tier(None, "15")]}
JUNE = ("2025-06-01", "2025-06-16")


def in_june(name: str, *steps: Any) -> Any:
    return story(name, clock(JUNE[0]), *steps)


POLAR = [
    switch("POLAR-MONTHLY-THIRD-OF-MONTH", "2025-06-01", "2025-06-11", (MONTH, "100.00"), (MONTH, "300.00"), 6667, 20000),
    switch("POLAR-YEARLY-FEBRUARY-LEAP-YEAR", "2024-02-18", "2024-09-05", (YEAR, "1000.00"), (YEAR, "3000.00"),
           45355, 136066),
    *(
        switch(f"POLAR-MONTHLY-TO-YEARLY {at}", start, at, (MONTH, "100.00"), (YEAR, "1000.00"), credit, 100000)
        for start, at, credit in (
            ("2025-06-01", "2025-06-16", 5000), ("2025-06-01", "2025-06-11", 6667), ("2024-02-18", "2024-02-25", 7586),
        )
    ),
    in_june(
        "POLAR-FIXED-TO-FREE", plan(price("100.00")), plan(price("0.00"), name="free"), customer(), subscribe(),
        to(JUNE[1]), change(plan="free", expect={"lines": [{"amount": "-50.00"}], "credit_to_balance": "50.00"}),
        balance(5000),
    ),
    in_june(
        "POLAR-FREE-TO-FIXED", plan(price("0.00"), name="free"), plan(price("100.00")), customer(), subscribe("free"),
        to(JUNE[1]), change(plan="plan", expect={"lines": [{"amount": "50.00"}], "due_now": "50.00"}),
    ),
    in_june(
        "POLAR-SEVERAL-SUBSCRIPTIONS", *(plan(price(f"{n}00.00"), name=f"p{n}") for n in (1, 2, 3, 4)), customer(),
        {**subscribe("p1"), "as": "first"}, to("2025-06-02"), subscribe("p2"), to("2025-06-03"),
        {**subscribe("p3"), "as": "third"}, to("2025-06-17"),
        change(plan="p4", expect={"lines": [{"amount": "-100.00"}, {"amount": "200.00"}]}), to("2025-07-04"),
        totals(10000, 20000, 30000, 10000, 10000, 40000, 30000),
    ),
    in_june(
        "POLAR-FIXED-DISCOUNT-DISTRIBUTES", off("ninety", amount_off="90.00", currency="USD"),
        plan(price("100.00", code="fee"), seats("200.00", code="seat")),
        plan(price("300.00", code="fee"), seats("200.00", code="seat"), name="dearer"), customer(),
        subscribe(quantity=1, discount="${ninety.code}"), totals(21000), to(JUNE[1]),
        change(plan="dearer", expect={"lines": [
            {"amount": "-35.00"}, {"amount": "-70.00"}, {"amount": "123.00"}, {"amount": "82.00"}]}),
    ),
    in_june(
        "POLAR-SEATS-PERCENTAGE-DISCOUNT", off("ten", percent_off="10"),
        plan(price("100.00", code="fee"), seats("50.00", code="seat")), customer(),
        subscribe(quantity=2, discount="${ten.code}"), to(JUNE[1]),
        change(quantity=4, expect={"total": "45.00", "lines": [{"amount": "-45.00"}, {"amount": "90.00"}]}),
    ),
    in_june(
        "POLAR-DISCOUNT-OF-A-PLAN", plan(price("10.00"), name="go"), plan(price("20.00"), name="pro"),
        off("half", percent_off="50", plans=["${go.code}"]), customer(), subscribe("go", discount="${half.code}"),
        to(JUNE[1]), change(plan="pro", expect={"lines": [{"amount": "-2.50"}, {"amount": "10.00"}]}),
    ),
    story(
        "POLAR-SEAT-DELTA", clock("2024-01-01"), plan(price("999.00", code="fee"), price(code="seat", **GRADUATED)),
        customer(), subscribe(quantity=100), totals(199900), to("2024-01-16"),
        change(quantity=143, expect={"lines": [{"amount": "-516.13"}, {"amount": "904.52"}]}), to("2024-02-01T01:00"),
        totals(199900, 38839, 275150),
    ),
    *(
        story(
            f"POLAR-INCLUDED-SEATS {n}", clock("2024-01-01"),
            plan(price("200.00", code="fee"), price(code="seat", **GRADUATED)), customer(), subscribe(quantity=n),
            totals(cents),
        )
        for n, cents in ((1, 20000), (50, 20000), (51, 22000))
    ),
]  # fmt: skip

# -- silverapp/silver, silver/tests/commands/test_generate_docs.py ---------------------------------------------


def used_in_trial(free: int, unit: str = "2.5") -> dict[str, Any]:
    return price(unit, meter="${api.code}", included_in_trial=free)


CALENDAR: dict[str, Any] = {"anchor": "calendar"}
SILVER = [
    story(
        "SILVER-INCLUDED-NOT-REACHED", clock("2015-02-14"), meter(),
        plan(price("200.00"), price("2.5", meter="${api.code}", included=20)), customer(), subscribe(**CALENDAR),
        totals(10714), to("2015-02-20"), use(10), to("2015-03-02"), totals(10714, 20000),
    ),
    story(
        "SILVER-TRIAL-DRAFT", clock("2015-02-04"), plan(price("200.00"), trial_days=14), customer(),
        subscribe(**CALENDAR), to("2015-03-02"), totals(7857, 20000),
    ),
    story(
        "SILVER-TRIAL-METERED-OVERFLOW", clock("2015-02-01"), meter(),
        plan(price("200.00"), used_in_trial(5)), customer(),
        subscribe(**CALENDAR, trial_end="2015-02-09T00:00:00Z"), to("2015-02-05"), use(7), to("2015-02-10"),
        lines({"amount": "142.86"}, {"amount": "5.00", "quantity": "7"}), use(3, key="2"), to("2015-03-02"),
        totals(14786, 20750),
    ),
    story(
        "SILVER-TRIAL-ALL-CONSUMED", clock("2015-05-20"), meter(),
        plan(price("200.00"), used_in_trial(10), trial_days=14), customer(), subscribe(**CALENDAR), to("2015-05-25"),
        use(10), to("2015-06-01T12:00"), use(12, key="2"), to("2015-06-04"), totals(21667),
    ),
    story(
        "SILVER-CANCEL-AT-CYCLE-END", clock("2015-05-20"), meter(),
        plan(price("200.00"), price("2.5", meter="${api.code}")), customer(), subscribe(**CALENDAR), to("2015-05-27"),
        cancel(effective="period_end"), use(5), to("2015-06-01T00:00"), totals(7742, 1250), to("2015-08-01"),
        totals(7742, 1250),
    ),
    story(
        "SILVER-WEEKLY-TRIAL", clock("2015-01-23"), meter(),
        plan(price("200.00", "week"), used_in_trial(5, "1") | {"interval": "week"}, trial_days=15), customer(),
        subscribe(interval="week", **CALENDAR), to("2015-01-24"), use(5), to("2015-01-27"), use(5, key="2"),
        to("2015-02-08"), totals(6214),
    ),
    story(
        "SILVER-ANNUAL-TRIAL", clock("2015-01-23"), meter(),
        plan(price("200.00", "year"), used_in_trial(5, "1") | {"interval": "year"}, trial_days=30), customer(),
        subscribe(interval="year", **CALENDAR), to("2015-01-24"), use(5), to("2015-02-03"), use(5, key="2"),
        to("2015-02-22T00:00"), totals(17651),
    ),
    story(
        "SILVER-ANNUAL-PLAN-MONTHLY-USAGE", clock("2015-01-23"), meter(),
        plan(price("200.00", "year"), price("1", meter="${api.code}")), customer(),
        subscribe(interval="year", **CALENDAR), totals(18795), to("2015-01-30"), use(15), to("2015-02-22"),
        use(15, key="2"), totals(18795, 1500), to("2015-03-01T00:00"), totals(18795, 1500, 1500),
    ),
    story(
        "SILVER-DISCOUNT-FRACTIONAL-CYCLE", clock("2015-05-14"), meter(),
        off("ten", percent_off="10", duration="repeating", periods=3),
        plan(price("200.00"), price("2.5", meter="${api.code}")), customer(),
        subscribe(**CALENDAR, discount="${ten.code}"), to("2015-05-20"), use(40), to("2015-06-01T00:00"),
        totals(10452, 9000 + 18000),
    ),
]  # fmt: skip

# -- killbill/killbill, beatrix/…/integration and invoice/…/generator ------------------------------------------


def moved(day: int, expect: Any = None, **fields: Any) -> Step:
    """The billing day moves when the paid period ends."""
    return change(anchor=day, expect=expect, **{"effective": "period_end", **fields})


KILL_BILL = [
    story(
        "KB-RECURRING-FREE", clock("2017-01-01"), plan(price("0.00"), name="free"), plan(price("29.95")), customer(),
        subscribe("free"), to("2017-02-01T01:00"), change(plan="plan", effective="2017-02-15"), to("2017-04-01T01:00"),
        totals(1498, 2995, 2995),
    ),
    story(
        "KB-BCD-LARGER-THAN-MONTH", clock("2017-01-31"), plan(price("29.95")), customer(), subscribe(),
        to("2017-05-01"), issued_on("2017-01-31", "2017-02-28", "2017-03-31", "2017-04-30"),
    ),
    story(
        "KB-LEADING-FIFTEENTH", clock("2011-09-01"), plan(price("10.00")), customer(), subscribe(anchor=15),
        to("2011-10-03"), totals(452, 1000),
    ),
    story(
        "KB-PHASE-WITH-ANOTHER-DAY", clock("2011-09-01"), plan(price("5.00")), plan(price("10.00"), name="second"),
        customer(), subscribe(), change(plan="second", anchor=15, effective="2011-10-15"), to("2011-12-03"),
        totals(500, 500, 226 - 500 + 1000, 1000),
    ),
    story(
        "KB-ARREARS-CANCEL-ON-BOUNDARY", clock("2020-01-01"), plan(price("100.00", **ARREARS)), customer(),
        subscribe(), to("2020-02-20"), cancel(effective="2020-03-01"), to("2020-06-01"), totals(10000, 10000),
    ),
    story(
        "KB-ARREARS-PAUSE-RESUME", clock("2020-01-01T00:03"), plan(price("100.00", **ARREARS)), customer(),
        subscribe(), to("2020-01-15"), {"call": "POST /subscriptions/${sub.id}/pause", "body": {}}, to("2020-01-20"),
        {"call": "POST /subscriptions/${sub.id}/resume", "body": {}}, to("2020-02-01T01:00"),
        lines({"amount": "45.16"}, {"amount": "38.71"}), to("2020-03-01T01:00"), totals(8387, 10000),
    ),
    story(
        "KB-BCD-CHANGE-TWICE", clock("2016-05-01"), plan(price("249.95")), customer(), subscribe(), to("2016-05-15"),
        moved(15), to("2016-06-15T01:00"), totals(24995, 11288, 24995), moved(10), to("2016-07-15T01:00"),
        totals(24995, 11288, 24995, 20964), to("2016-08-10T01:00"), totals(24995, 11288, 24995, 20964, 24995),
    ),
    story(
        "KB-BCD-CHANGE-WITH-PLAN", clock("2016-05-01"), plan(price("249.95")), plan(price("599.95"), name="dearer"),
        customer(), subscribe(), to("2016-05-05"), change(plan="dearer", anchor=10, expect={
            "lines": [{"amount": "-217.70"}, {"amount": "99.99"}], "credit_to_balance": "117.71"}),
        balance(11771), to("2016-05-10T01:00"), balance(0), totals(24995, 59995),
    ),
    story(
        "KB-BCD-CHANGE-AFTER-PLAN", clock("2016-05-01"), plan(price("249.95")), plan(price("599.95"), name="dearer"),
        customer(), subscribe(), to("2016-05-05"), change(plan="dearer", expect={
            "lines": [{"amount": "-217.70"}, {"amount": "522.54"}]}),
        moved(10), to("2016-06-01T01:00"), totals(24995, 30484, 17418),
    ),
    story(
        "KB-BCD-CHANGE-ANNUAL", clock("2016-05-01"), plan(price("2399.95", "year")), customer(),
        subscribe(interval="year"), to("2016-05-10"), moved(10), to("2017-05-10T01:00"), totals(239995, 5918, 239995),
    ),
    story(
        "KB-USER-CREDIT", clock("2015-06-14"), plan(price("249.95")), customer(), subscribe(),
        {"call": "GET /invoices?customer=${customer.id}", "as": "found"},
        {"call": "POST /invoices/${found.results.0.id}/mark_paid", "body": {"amount": "1000.00"}}, balance(75005),
        to("2015-07-14T01:00"), balance(50010), invoices({"amount_due": "0.00"}, {"amount_due": "0.00"}),
    ),
    story(
        "KB-CANCEL-AT-END-AFTER-FULL-ADJUSTMENT", clock("2016-10-09"), plan(price("39.95")), customer(), subscribe(),
        {"call": "GET /invoices?customer=${customer.id}", "as": "found"},
        {"call": "POST /credit_notes", "body": {"invoice": "${found.results.0.id}", "reason": "Goodwill"}},
        cancel(effective="period_end"), to("2016-12-10"), totals(3995), notes({"total": "39.95"}), balance(0),
    ),
]  # fmt: skip

# -- openmeterio/openmeter, openmeter/billing/rating/service/rate; flexprice, internal/ee/service/price_test.go -
# -- and internal/domain/proration; billabear, features/Invoice/Pricing -----------------------------------------

STAIRS = [tier(5, flat="100"), tier(10, flat="50"), tier(15, "5"), tier(None, "1")]
STEEPER = [tier(5, flat="100"), tier(10, flat="50"), tier(15, "10"), tier(None, "5")]
VOLUME = [tier(5, flat="100"), tier(10, flat="150"), tier(15, "10"), tier(None, "5")]
THREE = [tier(10, "50"), tier(20, "40"), tier(None, "30")]


def changed_on_the_15th(case: str, before: Step, after: Step, first: Any, then: Any, *cents: str) -> Any:
    return story(
        f"FLEX-PRORATE-{case}", clock("2024-03-01"), before, after, customer(), subscribe(**first), to("2024-03-15"),
        change(**then, expect={"lines": [{"amount": one} for one in cents]}),
    )  # fmt: skip


ITEMS = plan(price("0.00", code="base"), seats("25.00", code="added"), seats("40.00", code="removed"))
PRICES = [
    measured("OM-UNIT", {10: 100000}, amount="100"),
    measured("OM-UNIT-MINIMUM", {0: 10000}, amount="10", minimum="100"),
    measured("OM-UNIT-MAXIMUM", {10: 10000, 12: 10000}, amount="10", maximum="100"),
    measured("OM-GRADUATED", {3: 10000, 5: 10000, "5.001": 15000, 7: 15000, 12: 16000, 22: 18200}, model="graduated",
             tiers=STAIRS),
    measured("OM-GRADUATED-STEEPER", {12: 17000, 22: 23500}, model="graduated", tiers=STEEPER),
    measured("OM-GRADUATED-MINIMUM", {2: 100000}, model="graduated", tiers=STAIRS, minimum="1000"),
    measured("OM-GRADUATED-MAXIMUM", {12: 16000, 22: 17000}, model="graduated", tiers=STAIRS, maximum="170"),
    measured("OM-VOLUME-LAST-TIER", {16: 8000, 100: 50000}, model="volume", tiers=VOLUME),
    measured("OM-VOLUME-MINIMUM", {5: 15000, 100: 50000}, model="volume", tiers=VOLUME, minimum="150"),
    measured("OM-VOLUME-MAXIMUM", {5: 10000, 7: 12500}, model="volume", tiers=VOLUME, maximum="125"),
    measured("OM-PACKAGE-MINIMUM", {0: 10000}, model="package", package_size=10, amount="15", minimum="100"),
    measured("OM-PACKAGE-MAXIMUM", {5: 1500, 10: 1500, 110: 10000}, model="package", package_size=10, amount="15",
             maximum="100"),
    measured("OM-DYNAMIC", {10: 1333, 120: 10000}, model="percentage", amount="133.333", maximum="100"),
    measured("FLEX-VOLUME", {5: 25000, 15: 60000, 25: 75000}, model="volume", tiers=THREE),
    measured("FLEX-SLAB", {5: 25000, 15: 70000, 25: 105000}, model="graduated", tiers=THREE),
    measured("FLEX-PACKAGE", {25: 15000}, model="package", package_size=10, amount="50"),
    measured("FLEX-PACKAGE-SCENARIOS", {0: 0, 2: 100, 99: 100, 100: 100, 101: 200, 150: 200, 300: 300}, model="package",
             package_size=100, amount="1"),
    measured("BB-PACKAGE-USAGE", {99: 2500}, model="package", package_size=10, amount="2.50"),
    *(
        story(
            f"BB-VOLUME-SEATS {n}", clock("2025-01-01"),
            plan(price(model="volume", tiers=[tier(10, "10.00", "10.00"), last])), customer(), subscribe(quantity=n),
            totals(cents),
        )
        for n, last, cents in ((9, tier(None, flat="15.00"), 10000), (11, tier(None, "2.00"), 2200))
    ),
    story(
        "BB-PER-SEAT-WEEKLY", clock("2025-01-01"), plan(seats("10.00", interval="week")), customer(),
        subscribe(interval="week", quantity=10), to("2025-01-08T01:00"), totals(10000, 10000),
    ),
    switch("FLEX-PRORATE-UPGRADE", "2024-03-01", "2024-03-15", (MONTH, "10.00"), (MONTH, "20.00"), 548, 1097),
    changed_on_the_15th(
        "DOWNGRADE", plan(seats("50.00")), plan(seats("30.00"), name="less"), {"quantity": 2},
        {"plan": "less", "quantity": 1}, "-54.84", "16.45"),
    changed_on_the_15th(
        "QUANTITY", plan(seats("10.00")), plan(seats("1.00"), name="unused"), {"quantity": 5}, {"quantity": 10},
        "-27.42", "54.84"),
    changed_on_the_15th(
        "ADD-ITEM", ITEMS, plan(seats("1.00"), name="unused"), {"quantities": {"added": 0, "removed": 1}},
        {"quantities": {"added": 1, "removed": 1}}, "13.71"),
    changed_on_the_15th(
        "REMOVE-ITEM", ITEMS, plan(seats("1.00"), name="unused"), {"quantities": {"added": 0, "removed": 1}},
        {"quantities": {"added": 0, "removed": 0}}, "-21.94"),
]  # fmt: skip

# -- What somebody sends who knows the contract alone ----------------------------------------------------------

SENT = [
    story(
        "a meter without a name, named by its id", clock("2024-01-01"),
        {"call": "POST /meters", "as": "api",
         "body": {"code": "m-${run}", "event_name": "api-${run}", "aggregation": "sum"}},
        plan(price("1.00", meter="${api.id}", included=None, package_size=None), price("0.00", minimum=None)),
        customer(), subscribe(anchor="1"), use(3), to("2024-02-01T01:00"), totals(300),
        {"call": "GET /usage?customer=${customer.id}&meter=${api.id}&start=2024-01-01&end=2024-02-01",
         "expect": {"results": [{"quantity": "3"}]}},
        {"call": "GET /meters/m-${run}", "expect": {"name": "m-${run}", "id": "${api.id}"}},
    ),
    story(
        "a one-off invoice whose lines have amounts, paid in whole", clock("2024-01-01"), customer(),
        {"call": "POST /invoices", "as": "one_off", "body": {"customer": "${customer.id}", "lines": [
            {"description": "Setup", "quantity": 1, "amount": "60.00"},
            {"description": "Fee", "quantity": 4, "unit_amount": "10.00", "amount": "40.00"},
            {"description": "Hours", "quantity": "2.5", "unit_amount": "40.00"}]}},
        {"call": "POST /invoices/${one_off.id}/finalize", "expect": {"total": "200.00", "amount_due": "200.00"}},
        {"call": "POST /invoices/${one_off.id}/mark_paid",
         "expect": {"status": "paid", "amount_paid": "200.00", "amount_due": "0.00"}},
        {"call": "POST /invoices/${one_off.id}/mark_paid", "body": {}, "status": 409, "expect": {"code": "nothing_due"}},
        balance(0),
    ),
]  # fmt: skip

# -- meteroid-oss/meteroid, modules/meteroid/tests/integration/subscription ------------------------------------


def coupon(case: str, discount: dict[str, Any], *cents: int, **fields: Any) -> Any:
    return story(
        f"METEROID-COUPON-{case}", clock("2024-01-01"), plan(price("49.00"), currency="EUR"), off("coupon", **discount),
        customer(currency="EUR"), subscribe(discount="${coupon.code}", **fields), to("2024-04-02"), totals(*cents),
    )  # fmt: skip


BANDWIDTH = plan(
    price("20.00", code="rate"), price("0.10", code="bandwidth", meter="${api.code}"), currency="EUR"
)
STARTER = plan(price("39.00", code="rate"), currency="EUR")
METEROID = [
    coupon("FIXED", {"amount_off": "10.00", "currency": "EUR"}, 3900, 3900, 3900, 3900),
    coupon("PERCENT", {"percent_off": "20"}, 3920, 3920, 3920, 3920),
    coupon("TWO-CYCLES", {"percent_off": "20", "duration": "repeating", "periods": 2}, 3920, 3920, 4900, 4900),
    coupon("FREE-TRIAL", {"percent_off": "20", "duration": "once"}, 3920, 4900, 4900, trial_days=14),
    story(
        "METEROID-COUPON-OF-ANOTHER-PLAN", clock("2024-01-01"), plan(price("49.00")), plan(price("9.00"), name="other"),
        off("coupon", percent_off="20", plans=["${other.code}"]), customer(),
        {**subscribe(discount="${coupon.code}"), "status": 422}, subscribe("other", discount="${coupon.code}"),
        totals(720),
    ),
    story(
        "METEROID-COUPON-EXPIRED", clock("2024-01-01"), plan(price("49.00")),
        off("coupon", percent_off="20", expires_at="2023-12-31T00:00:00Z"), customer(),
        {**subscribe(discount="${coupon.code}"), "status": 422}, invoices(),
    ),
    story(
        "METEROID-USAGE-ARREARS", clock("2024-01-01"), meter(), BANDWIDTH, customer(currency="EUR"), subscribe(),
        to("2024-01-10"), use(100), to("2024-02-10"), use(100, key="2"), cancel(effective="period_end"),
        to("2024-03-02"), totals(2000, 3000, 1000),
        {"call": "GET /customers/${customer.id}", "expect": {"mrr": "0.00", "arr": "0.00"}},
    ),
    story(
        "METEROID-AMENDMENT-END-OF-PERIOD", clock("2024-01-01"), STARTER,
        plan(price("39.00", code="rate"), price("50.00", code="more"), currency="EUR", name="amended"),
        customer(currency="EUR"), subscribe(), to("2024-01-16"), change(plan="amended", effective="period_end"),
        to("2024-02-01T01:00"), totals(3900, 8900),
    ),
    story(
        "METEROID-AMENDMENT-ARREARS", clock("2024-01-01"), STARTER,
        plan(price("39.00", code="rate"), price("30.00", code="late", **ARREARS), currency="EUR", name="amended"),
        customer(currency="EUR"), subscribe(), to("2024-01-16"), change(plan="amended", expect={"due_now": "0.00"}),
        to("2024-02-01T01:00"), totals(3900, 0, 5448),
    ),
    story(
        "METEROID-ADDED-ONE-TIME", clock("2024-01-01"), STARTER,
        plan(price("39.00", code="rate"),
             {"kind": "one_time", "model": "flat", "amount": "1000.00", "code": "setup"}, currency="EUR", name="amended"),
        customer(currency="EUR"), subscribe(), to("2024-01-23"), change(plan="amended", expect={"due_now": "1000.00"}),
        to("2024-02-01T01:00"), totals(3900, 100000, 3900),
    ),
]  # fmt: skip

STORIES = [*LAGO, *POLAR, *SILVER, *KILL_BILL, *PRICES, *SENT, *METEROID]

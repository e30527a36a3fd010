"""Cases of what things cost: tiers, packages, percentages, discounts, tax and credit, from other billing systems' tests
and documents, told as in `cases`. Amounts are the expected ones there.
"""

from typing import Any

from tests.scenarios.cases import (
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
    paid_each,
    plan,
    price,
    story,
    subscribe,
    tax,
    tier,
    to,
    totals,
    use,
)
from tests.scenarios.kindred_cases import line, note, paid
from tests.scenarios.neighbour_cases import calls, fee, rate, taxed


def bought(name: str, quantities: dict[int, int], **terms: Any) -> Any:
    """One subscription for each quantity of seats, paid at the start."""
    made = [step for n in quantities for step in (customer(), subscribe(quantity=n), totals(quantities[n]))]
    return story(name, clock("2025-01-01"), plan(price(model=terms.pop("model"), **terms)), *made)


def in_currency(name: str, currency: str, quantity: str, total: str, **terms: Any) -> Any:
    return story(
        name, clock("2025-01-01"), meter(), plan(price(meter="${api.code}", **terms), currency=currency),
        customer(currency=currency), subscribe(), use(quantity), to("2025-02-01T01:00"), invoices({"total": total}),
    )  # fmt: skip


# -- Prices -------------------------------------------------------------------------------------------------

LAGO_RANGES = [tier(10, "10", "2"), tier(20, "5", "3"), tier(None, "5", "3")]
STRIPE = [tier(5, "7"), tier(10, "6.50"), tier(None, "6")]
PRICES = [
    measured("LAGO package", {121: 130000}, model="package", package_size=10, amount="100"),
    measured("LAGO package with free units", {121: 120000, 9: 0}, model="package", package_size=10, amount="100",
        included=10),
    measured("LAGO package, all of it free", {121: 0, 201: 10000}, model="package", package_size=10, amount="100",
        included=200),
    measured("LAGO graduated ranges", {1: 1200, 10: 10200, 11: 11000, 12: 11500, 21: 16300}, model="graduated",
        tiers=LAGO_RANGES),
    measured("LAGO graduated, decimal bounds", {"0.05": 50, "0.5": 300, "1": 550, "1.5": 650}, model="graduated",
             tiers=[tier("0.1", "10"), tier(1, "5"), tier(None, "2")]),
    measured("FLEX a free first tier", {3: 0, 5: 0, 7: 400, 10: 1000, 11: 1300, 15: 2500}, model="graduated",
             tiers=[tier(5), tier(10, "2"), tier(None, "3")]),
    measured("FLEX flat amounts of tiers", {3: 100, 7: 500, 12: 1200}, model="graduated",
             tiers=[tier(5, "0", "1"), tier(10, "1", "2"), tier(None, "2")]),
    measured("FLEX tiers of one unit", {1: 1000, 2: 3000, 3: 6000, "2.5": 4500}, model="graduated",
             tiers=[tier(1, "10"), tier(2, "20"), tier(None, "30")]),
    bought("STRIPE volume", {5: 3500, 6: 3900, 10: 6500, 20: 12000, 25: 15000}, model="volume", tiers=STRIPE),
    bought("STRIPE graduated", {5: 3500, 6: 4150, 20: 12750, 25: 15750}, model="graduated", tiers=STRIPE),
    bought("CHARGEBEE stairstep", {1: 2000, 50: 2000, 51: 4000, 100: 4000, 101: 7500, 5000: 7500}, model="volume",
           tiers=[tier(50, flat="20"), tier(100, flat="40"), tier(None, flat="75")]),
    bought("STRIPE packages of five seats", {1: 2500, 5: 2500, 8: 5000}, model="package", package_size=5,
        amount="25.00"),
    measured("ORB package", {1000: 500, 1001: 1000}, model="package", package_size=1000, amount="5.00"),
    measured("a package of a fraction", {"1.0": 600, "1.01": 900}, model="package", package_size="0.5", amount="3"),
    measured("ZUORA overage", {99: 0, 100: 0, 101: 50, 250: 7500}, amount="0.50", included=100),
    measured("included units before tiers", {10: 0, 15: 5000, 25: 12500}, model="graduated",
             tiers=[tier(10, "10"), tier(None, "5")], included=10),
    measured("included units before volume", {10: 0, 20: 10000, 21: 5500}, model="volume",
             tiers=[tier(10, "10"), tier(None, "5")], included=10),
    measured("a percentage beyond a free sum", {"1000.00": 0, "1500.00": 1000, "1000.01": 0, "1000.25": 1},
        model="percentage",
             amount="2", included=1000),
    measured("a percentage between a floor and a cap", {"1": 500, "400": 800, "9999": 5000}, model="percentage",
        amount="2",
             minimum="5", maximum="50"),
    measured("FLEX rounding, fractional units", {"123.456": 6173}, amount="0.50"),
    measured("FLEX rounding, high precision", {1000: 333}, amount="0.003333"),
    measured("a millionth of a millionth", {5000000000000: 500}, amount="0.000000000001"),
    in_currency("FLEX yen with half a yen a unit", "JPY", "50", "525", amount="10.5"),
    in_currency("half a yen is rounded away from zero", "JPY", "3", "2", amount="0.5"),
    in_currency("a percentage in yen", "JPY", "1999", "72", model="percentage", amount="3.6"),
    in_currency("a percentage in dinars", "KWD", "12.345", "0.309", model="percentage", amount="2.5"),
    in_currency("half a fils", "KWD", "1", "0.001", amount="0.0005"),
    in_currency("a flat amount of a tier in yen", "JPY", "11", "1310", model="graduated", tiers=[tier(10, "100",
        "200"), tier(None, "10", "100")]),
    paid_each("ORB basis points with a cap of each", [10000, 100], 550, "0.5", maximum="5"),
    paid_each("a fee of each alone", [1, 1, 1], 90, "0", fixed_amount="0.30"),
    paid_each("STRIPE's own price", [100, 10, 1], 412, "2.9", fixed_amount="0.30"),
    story(
        "what is corrected to less than nothing costs nothing", clock("2025-01-01"), meter(), plan(fee("5.00"),
        calls()), customer(),
        subscribe(), use(3), use(-5, key="2"), to("2025-02-01T01:00"), totals(500, 500),
    ),
    story(
        "FLEX amounts that are no cents", clock("2025-01-01"),
        plan(price("10.333", code="a"), price("10.334", code="b"), price("10.335", code="c")), customer(),
        subscribe(),
        totals(1033 + 1033 + 1034),
    ),
    story(
        "FLEX yen that are no yen", clock("2025-01-01"),
        plan(price("100.4", code="a"), price("200.5", code="b"), price("301", code="c"), currency="JPY"),
        customer(currency="JPY"), subscribe(), invoices({"total": "602"}),
    ),
]  # fmt: skip

# -- Discounts ----------------------------------------------------------------------------------------------


def credited(cents: int) -> list[Step]:
    """That much on the customer's balance."""
    return [
        {"call": "POST /invoices", "as": "one_off", "body": {"customer": "${customer.id}", "lines": [
            {"description": "Prepaid", "quantity": 1, "unit_amount": money(cents)}]}},
        {"call": "POST /invoices/${one_off.id}/finalize", "body": {}},
        {"call": "POST /invoices/${one_off.id}/mark_paid", "body": {"amount": money(cents)}},
        {"call": "POST /credit_notes", "body": {"invoice": "${one_off.id}", "reason": "Prepaid", "to": "balance"}},
    ]  # fmt: skip


TWO = [price("30.00", code="a"), price("70.00", code="b")]


def of_two(
    name: str, prices: Any, discounts: list[dict[str, Any]], credit: int, discount: int, due: int, rest: int
) -> Any:
    given = [off(f"d{n}", **one) for n, one in enumerate(discounts)]
    return story(
        name, clock("2025-01-01"), plan(*prices), *given, customer(), *(credited(credit) if credit else []),
        subscribe(discounts=[f"${{d{n}.code}}" for n in range(len(given))], collection_method="send_invoice",
            payment_rule_override="any"),
        {"call": "GET /invoices?subscription=${sub.id}", "expect": {"results": [
            {"discount_total": money(discount), "amount_due": money(due)}]}},
        balance(rest),
    )  # fmt: skip


def usd(amount: str) -> dict[str, Any]:
    return {"amount_off": amount, "currency": "USD"}


DISCOUNTS = [
    of_two("FLEX a tenth and a wallet", TWO, [{"percent_off": 10}], 2000, 1000, 7000, 0),
    of_two("FLEX a tenth of 33.33 and 66.67", [price("33.33", code="a"), price("66.67", code="b")],
        [{"percent_off": 10}], 1000, 1000, 8000, 0),
    of_two("FLEX as much as there is", [price("50.00", code="a"), price("50.00", code="b")], [usd("100.00")], 5000,
        10000, 0, 5000),
    of_two("FLEX more credit than is left", TWO, [usd("50.00")], 10000, 5000, 0, 5000),
    of_two("FLEX half of one price, and 10.00 of all", [price("50.00", code="a"), price("50.00", code="b")],
           [{"percent_off": 50, "prices": ["a"]}, usd("10.00")], 2000, 3500, 4500, 0),
    of_two("FLEX a tenth, then a fifth", [price("100.00")], [{"percent_off": 10}, {"percent_off": 20}], 0, 2800,
        7200, 0),
    of_two("a third", [price("100.00")], [{"percent_off": "33.3333"}], 0, 3333, 6667, 0),
    of_two("FLEX a hundredth of a percent", [price("1.00")], [{"percent_off": "0.01"}], 0, 0, 100, 0),
    of_two("all of it", TWO, [{"percent_off": 100}], 0, 10000, 0, 0),
    {
        "name": "FLEX one and a half times all of it",
        "steps": [{**off("much", percent_off=150), "status": 422}],
    },
    story(
        "an amount in another currency", clock("2025-01-01"), plan(price("10.00"), currency="EUR"), off("usd",
        **usd("5.00")),
        customer(currency="EUR"), {**subscribe(discount="${usd.code}"), "status": 422}, invoices(),
    ),
    story(
        "two may have it", clock("2025-01-01"), plan(price("10.00")), off("few", percent_off=50, max_redemptions=2),
        *(step for _ in range(2) for step in (customer(), subscribe(discount="${few.code}"), totals(500))),
        customer(), {**subscribe(discount="${few.code}"), "status": 422}, invoices(),
    ),
    story(
        "three quarters", clock("2025-01-01"), plan(price("90.00", "quarter")),
        off("three", percent_off=10, duration="repeating", periods=3), customer(),
        subscribe(interval="quarter", discount="${three.code}"), to("2025-10-01T01:00"), totals(8100, 8100, 8100,
            9000),
    ),
    story(
        "a discount and a minimum", clock("2025-01-01"), meter(), plan(calls("1.00", minimum="50.00")),
        off("tenth", percent_off=10), customer(), subscribe(discount="${tenth.code}"), use(20),
        to("2025-02-01T01:00"),
        totals(4500),
    ),
    story(
        "a discount of a stub", clock("2025-01-16"), plan(price("31.00")), off("tenth", percent_off=10), customer(),
        subscribe(anchor="calendar", discount="${tenth.code}"), totals(1440), to("2025-02-01T01:00"), totals(1440,
            2790),
    ),
    story(
        "POLAR a fixed discount of more than a stub", clock("2025-01-25"), plan(price("31.00")), off("all",
        **usd("50.00")),
        customer(), subscribe(anchor="calendar", discount="${all.code}"), totals(0),
    ),
]  # fmt: skip

# -- Tax ----------------------------------------------------------------------------------------------------


def inclusive(country: str, percentage: str) -> Step:
    return {"call": "POST /tax_rates", "body": {
        "name": "VAT", "percentage": percentage, "country": country, "inclusive": True}}  # fmt: skip


TAX = [
    story(
        "METEROID tax is rounded for each line", tax("21", "NO"), clock("2025-01-01"),
        plan(price("9.99", code="a"), price("9.97", code="b"), price("0.00", code="c")), customer(country="NO"),
        subscribe(),
        lines({"tax_amount": "2.10"}, {"tax_amount": "2.09"}), invoices(taxed(1996, 419)),
    ),
    story(
        "METEROID two rates by what is sold", rate("NO", "20", "one-${run}"), rate("NO", "5", "two-${run}"),
        clock("2025-01-01"),
        plan(price("100.00", code="a", tax_category="one-${run}"), price("50.00", code="b",
            tax_category="one-${run}"),
             price("80.00", code="c", tax_category="two-${run}")),
        customer(country="NO"), subscribe(), invoices(taxed(23000, 3400)),
    ),
    story(
        "yen that contain tax", inclusive("JP", "10"), clock("2025-01-01"), plan(price("1000"), currency="JPY"),
        customer(country="JP", currency="JPY"), subscribe(), invoices({"subtotal": "909", "tax_total": "91",
            "total": "1000"}),
    ),
    story(
        "dinars that contain tax", inclusive("KW", "5"), clock("2025-01-01"), plan(price("10.500"), currency="KWD"),
        customer(country="KW", currency="KWD"), subscribe(), invoices({"subtotal": "10.000", "tax_total": "0.500",
            "total": "10.500"}),
    ),
    story(
        "STRIPE a price that contains tax", inclusive("NO", "20"), clock("2025-01-01"), plan(price("5.00")),
        customer(country="NO"),
        subscribe(), invoices({"subtotal": "4.17", "tax_total": "0.83", "total": "5.00"}),
    ),
    story(
        "nothing has no tax", tax("25", "NO"), clock("2025-01-01"), plan(price("10.00")), off("all", percent_off=100),
        customer(country="NO"), subscribe(discount="${all.code}"),
        invoices({"tax_total": "0.00", "total": "0.00", "status": "paid"}),
    ),
    story(
        "who becomes exempt", tax("25", "NO"), clock("2025-01-01"), plan(price("31.00")), customer(country="NO"),
        subscribe(),
        to("2025-01-17"), {"call": "PATCH /customers/${customer.id}", "body": {"tax_exempt": True}},
        to("2025-02-01T01:00"), invoices(taxed(3100, 775), taxed(3100, 0)),
    ),
    story(
        "credit pays what has tax", tax("25", "NO"), clock("2025-01-01"), plan(price("100.00")),
        customer(country="NO"),
        subscribe(), *paid("150.00"), balance(2500), to("2025-02-01T01:00"),
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "expect": {"results": [
            {"total": "125.00", "amount_paid": "25.00", "amount_due": "100.00"}]}}, balance(0),
    ),
    story(
        "parts of a price that contains tax", inclusive("NO", "25"), clock("2025-01-01"), plan(price("99.99")),
        customer(country="NO"), subscribe(), *paid(), note(amount="33.33", expect={"total": "33.33"}),
        note(amount="33.33", expect={"total": "33.33"}), note(expect={"total": "33.33"}), balance(9999),
    ),
    story(
        "LAGO four items credited whole and in parts", tax("20", "NO"), clock("2025-01-01"),
        plan(*(price("68.33", code=f"p{n}") for n in range(4))), customer(country="NO"), subscribe(),
        invoices(taxed(27332, 5468)),
        *paid(), note(line(0), expect=taxed(6833, 1367)), note(line(1, amount="13.67"), expect=taxed(1367, 273)),
        note(line(1, amount="22.33"), expect=taxed(2233, 447)), note(line(1), expect=taxed(3233, 647)),
    ),
    story(
        "LAGO credit of a cent of many", tax("10", "NO"), clock("2025-01-01"),
        plan(*(price("1.00", code=f"p{n}") for n in range(5))), customer(country="NO"), subscribe(), *paid(),
        note(*(line(n, amount="0.01") for n in range(5)), expect={"total": "0.05", "tax_total": "0.00"}), balance(5),
    ),
]  # fmt: skip

# -- Several taxes on a line, and the taxes of states ---------------------------------------------------------


def place(country: str, *parts: tuple[str, str], state: str = "", compound: int = 99, **fields: Any) -> Step:
    """The rate of a country or a state, by name and percentage of each of its taxes; from the nth on they compound."""
    made = [
        {"name": name, "percentage": each, "compound": n >= compound} for n, (name, each) in enumerate(parts)
    ]
    return {"call": "POST /tax_rates", "body": {
        "name": "Sales tax", "country": country, "state": state, "taxes": made, **fields}}  # fmt: skip


def living(country: str, state: str, **fields: Any) -> Step:
    return customer(country=country, billing_address={"state": state}, **fields)


def says(*each: str, total: str) -> list[Step]:
    """The taxes of the newest invoice, by amount, and their sum."""
    return [
        {"call": "GET /invoices?customer=${customer.id}&limit=1", "as": "found",
         "expect": {"results": [{"tax_total": total}]}},
        {"call": "GET /invoices/${found.results.0.id}", "as": "paper",
         "expect": {"taxes": [{"amount": one} for one in each]}},
    ]  # fmt: skip


GST, PST, QST = ("GST", "5"), ("PST", "7"), ("QST", "9.975")
SEVERAL = [
    story(
        "BILLABEAR a state without and one with a tax of the country",
        {"call": "POST /tax_rates", "body": {"name": "None", "percentage": "0", "country": "US"}},
        {"call": "POST /tax_rates", "body": {"name": "Sales tax", "percentage": "9", "country": "US",
            "state": "Texas"}},
        place("CA", GST), place("CA", GST, QST, state="QC"), clock("2025-01-01"), plan(price("10.00", "week")),
        living("US", "Texas"), subscribe(interval="week"), says("0.90", total="0.90"),
        living("US", "OR"), subscribe(interval="week"), says(total="0.00"),
        living("CA", "Québec"), subscribe(interval="week"), says("0.50", "1.00", total="1.50"),
        living("CA", "Ontario"), subscribe(interval="week"), says("0.50", total="0.50"),
        lines({"tax_rate": "5", "tax_amount": "0.50", "taxes": [{"name": "GST", "percentage": "5",
            "amount": "0.50"}]}),
    ),
    story(
        "METEROID a tax on a tax", place("CA", GST, PST, state="BC", compound=1), clock("2025-01-01"),
        plan(price("100.00")), living("CA", "British Columbia"), subscribe(), says("5.00", "7.35", total="12.35"),
        lines({"tax_rate": "12.35", "tax_amount": "12.35"}),
        {"call": "GET /invoices/${paper.id}", "expect": {"taxes": [
            {"name": "GST", "percentage": "5", "taxable": "100.00"},
            {"name": "PST", "percentage": "7", "taxable": "105.00"}]}},
    ),
    story(
        "METEROID a tax on a tax of millions", place("CA", GST, QST, state="CA-QC", compound=1), clock("2025-01-01"),
        plan(price("7999999.99")), living("CA", "QC"), subscribe(payment_rule_override="any"),
        says("400000.00", "837900.00", total="1237900.00"),
    ),
    story(
        "METEROID the state's rate before the country's", place("US", ("State", "5")),
        place("US", ("State", "7.25"), state="CA"), place("US", ("State", "8"), state="NY"), clock("2025-01-01"),
        plan(price("100.00")), living("US", "california"), subscribe(), says("7.25", total="7.25"),
        living("US", "nowhere"), subscribe(), says("5.00", total="5.00"),
    ),
    story(
        "FLEX three taxes, each rounded", place("US", ("State", "8.875"), ("City", "2.125"), ("District", "0.5"),
        state="NY"),
        clock("2025-01-01"), plan(price("99.99")), living("US", "NY"), subscribe(), says("8.87", "2.12", "0.50",
            total="11.49"),
    ),
    story(
        "LAGO two taxes, and notes that are the invoice", place("US", ("a", "10"), ("b", "20")), clock("2025-01-01"),
        plan(price("10.01")), customer(country="US"), subscribe(), says("1.00", "2.00", total="3.00"), *paid(),
        note(line(0, amount="3.33"), expect={"tax_total": "1.00", "taxes": [{"amount": "0.33"}, {"amount": "0.67"}]}),
        note(amount="4.34", expect={"tax_total": "1.00", "taxes": [{"amount": "0.34"}, {"amount": "0.66"}]}),
        note(expect={"subtotal": "3.34", "tax_total": "1.00", "taxes": [{"amount": "0.33"}, {"amount": "0.67"}]}),
        balance(1301),
    ),
    story(  # half of June is given back with the taxes that it was charged with
        "two taxes go back as they were charged", place("CA", GST, QST, state="QC"), place("CA", ("HST", "13"),
        state="ON"),
        clock("2025-06-01"), plan(price("100.00")), plan(price("200.00"), name="big"), living("CA", "QC"),
        subscribe(),
        says("5.00", "9.98", total="14.98"), to("2025-06-16"),
        {"call": "PATCH /customers/${customer.id}", "body": {"billing_address": {"state": "ON"}}}, change(plan="big"),
        says("-2.50", "-4.99", "13.00", total="5.51"),
        lines({"amount": "-50.00", "tax_amount": "-7.49", "taxes": [{"amount": "-2.50"}, {"amount": "-4.99"}]},
              {"amount": "100.00", "tax_amount": "13.00"}),
        cancel(), {"call": "GET /credit_notes?customer=${customer.id}", "expect": {"results": [
            {"subtotal": "93.33", "tax_total": "12.13", "taxes": [{"name": "HST", "amount": "12.13"}]}]}},
    ),
    story(
        "two taxes in a price, less a tenth", place("IN", ("CGST", "9"), ("SGST", "9"), state="Karnataka",
        inclusive=True),
        clock("2025-01-01"), plan(price("118.00")), off("tenth", percent_off=10), living("IN", "KA"),
        subscribe(discount="${tenth.code}"), says("8.10", "8.10", total="16.20"),
        invoices({"subtotal": "100.00", "discount_total": "10.00", "total": "106.20"}),
    ),
    story(
        "who is exempt pays none of them", place("CA", GST, QST, state="QC"), clock("2025-01-01"),
        plan(price("100.00")),
        living("CA", "QC", tax_exempt=True), subscribe(), says(total="0.00"), invoices({"total": "100.00"}),
    ),
    {
        "name": "taxes that cannot be",
        "steps": [
            {**place("CA", GST, compound=0), "status": 422},
            {**place("CA", GST, QST, percentage="15"), "status": 422},
            {**place("CA", ("GST", "0")), "status": 422},
            {**place("CA", ("GST", "60"), ("PST", "60")), "status": 422},
            {**place("CA", GST, state="TX"), "status": 422},
            {**place("", GST, state="QC"), "status": 422},
            {"call": "POST /tax_rates", "body": {"name": "VAT"}, "status": 422},
            {**place("CA", GST, QST, percentage="14.975"), "expect": {"percentage": "14.975", "taxes": [
                {"name": "GST", "percentage": "5", "compound": False}, {"name": "QST", "percentage": "9.975"}]}},
        ],
    },
]  # fmt: skip

STORIES = [*PRICES, *DISCOUNTS, *TAX, *SEVERAL]

"""What becomes of papers once they are out: paid in part or too much, late, credited, refunded, voided, written off; and
how the days around a trial, a pause and a moved billing day are told.

Amounts are those of the peers where one is named (their tests and documents); elsewhere they are worked out by hand
from docs/billing-maths.md, in the comment above each story.
"""

from typing import Any

from tests.scenarios.cases import (
    BY_INVOICE,
    YEAR,
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
    to,
    totals,
    upcoming,
    use,
)
from tests.scenarios.kindred_cases import line, note, period
from tests.scenarios.mixed_cases import (
    NOTHING_LEFT,
    OPEN,
    PAPER,
    inclusive,
    notes_come_to,
    taken_back,
    together,
)
from tests.scenarios.neighbour_cases import calls, fee, rate, seats
from tests.scenarios.timeline_cases import (
    card,
    happened,
    pause,
    refused,
    resume,
    sub,
    then,
    trial_end,
    undo,
)

MONTHLY = plan(price("100.00"))
SANDBOX_YEN = {"currency": "JPY", "country": "JP"}


def transfer(amount: str | None = None, expect: Any = None, reference: str = "") -> Step:
    """A bank transfer for `paper`; all that is due, where nothing is said."""
    body = {**({"amount": amount} if amount else {}), "reference": reference}
    step = {"call": "POST /invoices/${paper.id}/mark_paid", "body": body}
    return step if expect is None else {**step, "expect": expect}


def due(amount: str, status: str = "open") -> dict[str, str]:
    return {"amount_due": amount, "status": status}


def read(expect: Any) -> Step:
    return {"call": "GET /invoices/${paper.id}", "expect": expect}


def paid_by_card(name: str = "pm_card_visa", **expect: Any) -> Step:
    step = {"call": "POST /invoices/${paper.id}/pay", "body": {"payment_method": name}}
    return {**step, "expect": expect} if expect else step


PAYMENT = {"call": "GET /payments?customer=${customer.id}&limit=1", "as": "payments"}


def refund(amount: str | None = None, status: int = 201) -> Step:
    body = {} if amount is None else {"amount": amount}
    return {"call": "POST /payments/${payments.results.0.id}/refund", "body": body, "status": status}


def refunded(amount: str) -> Step:
    call = "GET /payments?customer=${customer.id}&limit=1"
    return {"call": call, "expect": {"results": [{"amount_refunded": amount}]}}


def pay_out(amount: str | None = None, status: int = 201) -> Step:
    body = {**({"amount": amount} if amount else {}), "method": "bank_transfer", "reference": "bank"}
    return {"call": "POST /customers/${customer.id}/pay_out", "body": body, "status": status}


def on_paper(what: str, status: int = 200) -> Step:
    return {"call": f"POST /invoices/${{paper.id}}/{what}", "body": {}, "status": status}


def holds(amount: str) -> Step:
    return {"call": "GET /customers/${customer.id}", "expect": {"balance": amount}}


PAID = [
    story(  # 249.95 of which 10.00 come, then the next month in whole, then the rest
        "KB a partial payment, the next month, then the rest", clock("2012-05-01T00:03"), plan(price("249.95")),
        customer(), subscribe(trial_days=30, **OPEN), to("2012-05-31T01:00"), PAPER, transfer("10.00", due("239.95")),
        to("2012-06-30T01:00"), invoices(due("239.95"), due("249.95")), transfer(None, due("0.00", "paid")),
        invoices(due("0.00", "paid"), due("249.95")), PAPER, transfer(None, due("0.00", "paid")), balance(0),
    ),
    story(  # each refund is a credit note as well, so nothing is due again
        "KB three partial refunds of a card payment", clock("2012-05-01"), plan(price("249.95")), customer(), card(),
        subscribe(), to("2012-05-01T01:00"), PAYMENT, refund("10.00"), refunded("10.00"), refund("1.00"),
        refunded("11.00"), refund("10.00"), refunded("21.00"), invoices(due("0.00", "paid")),
        notes_come_to(total="21.00"), balance(0),
    ),
    story(
        "a refund of all that is left, and none beyond it", clock("2024-01-01"), MONTHLY, customer(), card(),
        subscribe(),
        to("2024-01-01T01:00"), PAYMENT, refund("99.99"), refund("0.02", 422), refund(), refunded("100.00"),
        refund("0.01", 409), notes_come_to(total="100.00"), balance(0),
    ),
    story(
        "STRIPE a note before the payment lowers what is due", clock("2024-01-01"), MONTHLY, customer(),
        subscribe(**OPEN), PAPER, taken_back("30.00", amount="30.00"), read(due("70.00")), balance(0),
        transfer(None, due("0.00", "paid")), to("2024-02-01T01:00"), invoices({}, due("100.00")),
    ),
    story(
        "STRIPE a note after the payment pays the next invoice", clock("2024-01-01"), MONTHLY, customer(),
        subscribe(**OPEN), PAPER, transfer(), taken_back("30.00", amount="30.00"), balance(3000),
        to("2024-02-01T01:00"), invoices({"total": "100.00"}, {"total": "100.00", **due("70.00")}), balance(0),
    ),
    story(
        "STRIPE a note over paid and unpaid", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        transfer("60.00", due("40.00")), taken_back("70.00", amount="70.00"), read(due("0.00", "paid")), balance(3000),
    ),
    story(
        "a note of more than the invoice", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        refused(taken_back("100.01", amount="100.01"), 422), read(due("100.00")), balance(0),
    ),
    story(
        "a second note of more than is left", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        taken_back("60.00", amount="60.00"), refused(taken_back("", amount="40.01"), 422),
        taken_back("40.00", amount="40.00"), NOTHING_LEFT, read(due("0.00", "paid")), balance(0),
    ),
    story(
        "what is paid too much pays the next invoice and a part of the one after", clock("2024-01-01"), MONTHLY,
        customer(), subscribe(**OPEN), PAPER, transfer("250.00", due("0.00", "paid")), balance(15000),
        to("2024-02-01T01:00"), balance(5000), to("2024-03-01T01:00"),
        invoices(due("0.00", "paid"), due("0.00", "paid"), due("50.00")), balance(0),
    ),
    story(
        "a transfer told twice by its reference counts once", clock("2024-01-01"), MONTHLY, customer(),
        subscribe(**OPEN),
        PAPER, transfer("40.00", due("60.00"), "tr-1"), transfer("40.00", due("60.00"), "tr-1"),
        transfer("40.00", due("20.00"), "tr-2"),
    ),
    story(
        "transfers of the same amount without a reference are two", clock("2024-01-01"), MONTHLY, customer(),
        subscribe(**OPEN), PAPER, transfer("40.00", due("60.00")), transfer("40.00", due("20.00")),
    ),
    story(  # 31.00 credited, 20.00 of them paid out; 11.00 stay for the next month
        "credit is paid out in part and the rest pays", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(**OPEN), PAPER, transfer(), taken_back("31.00", amount="31.00"), pay_out("20.00"), balance(1100),
        pay_out("11.01", 422), to("2024-02-01T01:00"), invoices({}, due("20.00")), balance(0),
    ),
    story(
        "credit is paid out once, however often its transfer is told", clock("2024-01-01"), MONTHLY, customer(), card(),
        subscribe(), to("2024-01-01T01:00"), PAPER, taken_back("25.00", amount="25.00"), balance(2500), pay_out(),
        balance(0), pay_out(), balance(0),
    ),
    story(
        "a card pays what a transfer left", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        transfer("33.33", due("66.67")), paid_by_card(), read(due("0.00", "paid")), PAYMENT,
        {"call": "GET /payments?customer=${customer.id}", "expect": {"results": [
            {"amount": "66.67", "method": "card"}, {"amount": "33.33", "method": "bank_transfer"}]}},
    ),
    story(  # the card paid 80.00 and credit 20.00: the refund gives each back
        "a refund of what credit and a card paid", clock("2024-01-01"), plan(price("120.00")), plan(price("20.00"),
        name="small"),
        customer(), subscribe("small", **OPEN), PAPER, transfer("40.00"), balance(2000), subscribe(**OPEN), PAPER,
        read(due("100.00")), paid_by_card(), taken_back("60.00", amount="60.00", to="refund"), refunded("60.00"),
        balance(0),
        taken_back("60.00", amount="60.00", to="refund"), refunded("100.00"), balance(2000), NOTHING_LEFT,
    ),
    story(
        "nothing is paid twice", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER, transfer(),
        {**paid_by_card(), "status": 409}, read(due("0.00", "paid")), balance(0),
    ),
]  # fmt: skip

LATE = [
    story(  # tried with 100.00 on the 1st and the 2nd; on the 4th only what is left
        "a transfer in part between two tries", clock("2024-01-01"), MONTHLY, customer(),
        card("pm_card_chargeCustomerFail"),
        subscribe(), to("2024-01-02T12:00"), PAPER, transfer("60.00", due("40.00")), card(), to("2024-01-04T12:00"),
        read(due("0.00", "paid")), sub(status="active"), balance(0),
    ),
    story(
        "a note over all that is late ends it", clock("2024-01-01"), MONTHLY, customer(),
        card("pm_card_chargeCustomerFail"),
        subscribe(), to("2024-01-02T12:00"), sub(status="past_due"), PAPER, taken_back("100.00", amount="100.00"),
        sub(status="active"), to("2024-01-20"), happened("payment.failed", 2), balance(0),
    ),
    story(
        "a note over a part of what is late does not", clock("2024-01-01"), MONTHLY, customer(),
        card("pm_card_chargeCustomerFail"), subscribe(), to("2024-01-02T12:00"), PAPER,
        taken_back("99.99", amount="99.99"), sub(status="past_due"), read(due("0.01")),
    ),
    story(
        "another card, by hand", clock("2024-01-01"), MONTHLY, customer(), card("pm_card_chargeCustomerFail"),
        subscribe(), to("2024-01-02T12:00"), PAPER, paid_by_card(), sub(status="active"), read(due("0.00", "paid")),
        to("2024-01-20"), happened("payment.failed", 2),
    ),
    story(  # reminded of on the day after the 15th, then a week and two weeks later; paid, and silence
        "two invoices late, the older is paid", clock("2024-01-01"), plan(price("3100.00")), customer(net_days=15),
        subscribe(**BY_INVOICE), PAPER, to("2024-02-20"), sub(status="past_due"), transfer(), sub(status="past_due"),
        PAPER, transfer(), sub(status="active"),
    ),
    story(
        "written off, and paid all the same", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        on_paper("mark_uncollectible"), read({"status": "uncollectible"}), transfer(),
        read(due("0.00", "paid")), balance(0),
    ),
    story(
        "written off after a part was paid", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        transfer("40.00"), on_paper("mark_uncollectible"), read({"status": "uncollectible", "amount_due": "60.00"}),
        to("2024-02-01T01:00"), invoices({"status": "uncollectible"}, due("100.00")),
    ),
    story(
        "a void invoice takes no money", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        on_paper("void"), {**transfer("10.00"), "status": 409}, {**paid_by_card(), "status": 409},
        refused(taken_back("1.00", amount="1.00"), 409), read({"status": "void"}), balance(0),
    ),
    story(
        "a void invoice gives back the credit that paid for it", clock("2024-01-01"), MONTHLY, plan(price("30.00"),
        name="small"),
        customer(), subscribe("small", **OPEN), PAPER, transfer("50.00"), balance(2000), subscribe(**OPEN), PAPER,
        read(due("80.00")), balance(0), on_paper("void"), balance(2000),
    ),
    story(
        "net days of the customer, the subscription and a one-off", clock("2024-01-01"), plan(price("3100.00")),
        customer(net_days=60), subscribe(**BY_INVOICE), subscribe(net_days=15, **BY_INVOICE),
        invoices({"due_at": "2024-03-01T23:59:59Z"}, {"due_at": "2024-01-16T23:59:59Z"}),
    ),
]  # fmt: skip

GIVEN_BACK = [
    story(  # 262.60 of the 399.00 with its share of the 250.00 off: 98.06, and a fifth of that
        "LAGO a note of a part of a discounted line, two taxes on the paper", rate("PT", "10", "one-${run}"),
        rate("PT", "20", "two-${run}"), clock("2023-10-19"),
        off("coupon", amount_off="250.00", currency="USD"),
        plan(price("179.00", code="one", tax_category="one-${run}")),
        plan(price("399.00", code="two", tax_category="two-${run}"), name="second"),
        customer(country="PT", consolidate_invoices=True), subscribe(**OPEN),
        subscribe("second", discount="${coupon.id}", **OPEN), to("2023-11-19T01:00"), PAPER,
        read({"subtotal": "578.00", "discount_total": "250.00", "tax_total": "47.70", "total": "375.70"}),
        transfer("12.00", due("363.70")),
        note(line(1, amount="98.06"), expect={"subtotal": "98.06", "tax_total": "19.61", "total": "117.67"}),
        read(due("246.03")),
    ),
    story(  # 119.00 with 19 % in it, less a tenth: 107.10 is 90.00 and 17.10; of 50.00 7.98 are tax
        "a part of a discounted price that contains tax", inclusive("19", "DE"), clock("2024-01-01"), off("tenth",
        percent_off=10),
        plan(price("119.00")), customer(country="DE"), subscribe(discount="${tenth.id}", **OPEN), PAPER,
        read({"subtotal": "100.00", "discount_total": "10.00", "tax_total": "17.10", "total": "107.10"}),
        taken_back("50.00", amount="50.00"), notes_come_to(subtotal="42.02", tax_total="7.98"),
        taken_back("57.10", amount="57.10"), notes_come_to(subtotal="90.00", tax_total="17.10"), NOTHING_LEFT,
    ),
    story(  # 31.00 with 20 % in it; from the 16th two of them with 10 %: what was paid comes back as it was
        "a price that contains tax, and the rate changes in the month", inclusive("20", "AT"), clock("2024-01-01"),
        plan(seats("31.00")), customer(country="AT"), subscribe(quantity=1, **OPEN), to("2024-01-10"), inclusive("10",
        "AT"),
        to("2024-01-16"), change(quantity=2, expect={"total": "16.00"}),
        to("2024-02-01T01:00"), invoices({"tax_total": "5.17"}, {"total": "16.00", "tax_total": "0.24"},
        {"total": "62.00", "tax_total": "5.64"}),
    ),
    story(  # the rest of January, 16 of 31 days, with the tax of the day on which it was asked for
        "an end after the rate has changed", tax("20", "AT"), clock("2024-01-01"), plan(price("31.00")),
        customer(country="AT"), subscribe(**OPEN), PAPER, transfer(), to("2024-01-10"), tax("10", "AT"),
        to("2024-01-15"), cancel(), balance(1920),
    ),
    story(
        "two taxes: a third, a third and the rest are the whole",
        {"call": "POST /tax_rates", "body": {"name": "Sales tax", "country": "CA", "taxes": [
            {"name": "GST", "percentage": "5", "compound": False}, {"name": "QST", "percentage": "9.975",
            "compound": False}]}},
        clock("2024-01-01"), MONTHLY, customer(country="CA"), subscribe(**OPEN), PAPER,
        read({"tax_total": "14.98", "total": "114.98"}), taken_back("38.33", amount="38.33"),
        taken_back("38.33", amount="38.33"), taken_back("38.32", amount="38.32"), NOTHING_LEFT,
        notes_come_to(subtotal="100.00", tax_total="14.98", total="114.98"), read(due("0.00", "paid")),
    ),
    story(  # half of each line: 12.50 and 25.00 off a fixed amount that was shared 10.00 and 20.00
        "two halves of a line with a shared amount off", clock("2024-01-01"), off("thirty", amount_off="30.00",
        currency="USD"),
        plan(fee("50.00"), price("100.00", code="more")), customer(), subscribe(discount="${thirty.id}", **OPEN), PAPER,
        read({"total": "120.00"}), note(line(0, quantity="0.5"), expect={"total": "20.00"}),
        note(line(0, quantity="0.5"), expect={"total": "20.00"}), note(line(1), expect={"total": "80.00"}),
        NOTHING_LEFT,
    ),
    story(  # a credited month is not given back a second time
        "credited in part, then canceled: the rest of what is left", clock("2024-01-01"), plan(price("31.00")),
        customer(),
        subscribe(**OPEN), PAPER, transfer(), taken_back("25.00", amount="25.00"), to("2024-01-15"), cancel(),
        balance(3100),
    ),
    story(  # 100.00 are paid by credit; half of them comes back to it
        "a note of what credit paid, to the balance", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN),
        PAPER,
        transfer("200.00"), balance(10000), to("2024-02-01T01:00"), balance(0), PAPER, taken_back("50.00",
        amount="50.00"),
        balance(5000), to("2024-03-01T01:00"), invoices({}, {}, due("50.00")),
    ),
    story(  # an upgrade gives 16.00 back and asks for 32.00; the note over the upgrade's paper knows its two lines
        "the paper of an upgrade is credited in whole", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(**OPEN), to("2024-01-16"), change(plan="big"), PAPER,
        read({"total": "16.00"}), taken_back("16.00", amount="16.00"), NOTHING_LEFT, to("2024-02-01T01:00"),
        totals(3100, 1600, 6200),
    ),
    story(  # usage that is taken back after its paper comes back as a credit on the next one
        "usage is taken back after it was paid", clock("2024-01-01"), meter(), plan(fee("10.00"), calls()), customer(),
        subscribe(**OPEN), to("2024-01-10"), use(8), to("2024-02-02"), totals(1000, 1800),
        {"call": "POST /usage_events/${run}-1/void", "status": 204}, to("2024-03-01T01:00"), totals(1000, 1800, 200),
    ),
]  # fmt: skip

CURRENCIES = [
    story(
        "yen: paid too much, and the next month", clock("2024-01-01"), plan(price("1000"), currency="JPY"),
        customer(**SANDBOX_YEN), subscribe(**OPEN), PAPER, transfer("1001"), holds("1"), to("2024-02-01T01:00"),
        invoices({}, {"total": "1000", "amount_due": "999"}), holds("0"),
    ),
    story(  # 550 of 1100 are 500 and 50
        "yen: half of an invoice with tax, and the other half", tax("10", "JP"), clock("2024-01-01"),
        plan(price("1000"), currency="JPY"), customer(**SANDBOX_YEN), subscribe(**OPEN), PAPER,
        taken_back("550", amount="550"), notes_come_to(subtotal="500", tax_total="50"), taken_back("550", amount="550"),
        NOTHING_LEFT, notes_come_to(subtotal="1000", tax_total="100"),
    ),
    story(  # 3.333 with 5 % in the amount: 3.174 and 0.159
        "dinars: a third of an invoice with tax", tax("5", "KW"), clock("2024-01-01"), plan(price("10.000"),
        currency="KWD"),
        customer(currency="KWD", country="KW"), subscribe(**OPEN), PAPER, read({"total": "10.500"}),
        taken_back("3.500", amount="3.500"), notes_come_to(subtotal="3.333", tax_total="0.167"),
        taken_back("7.000", amount="7.000"), notes_come_to(subtotal="10.000", tax_total="0.500"), NOTHING_LEFT,
    ),
    story(  # 16 of 31 days of 1.000: 0.516 back
        "dinars: an end in the month", clock("2024-01-01"), plan(price("1.000"), currency="KWD"),
        customer(currency="KWD"), subscribe(**OPEN), PAPER, transfer(), to("2024-01-15"), cancel(),
        holds("0.516"),
    ),
    story(  # a third of 100 yen off: 33
        "yen: a third off, and an end after ten days of thirty", clock("2024-04-01"), off("third", percent_off="33.33"),
        plan(price("100"), currency="JPY"), customer(**SANDBOX_YEN), subscribe(discount="${third.id}", **OPEN), PAPER,
        transfer(), read({"total": "67"}), to("2024-04-10"), cancel(), holds("45"),
    ),
    story(
        "an amount with more decimals than its currency has", clock("2024-01-01"), plan(price("1000"), currency="JPY"),
        customer(**SANDBOX_YEN), subscribe(**OPEN), PAPER, {**transfer("0.5"), "status": 422},
        refused(taken_back("0.5", amount="0.5"), 422), read({"amount_due": "1000"}),
    ),
]  # fmt: skip

ONES_OFF = {"call": "POST /invoices", "as": "draft"}


def one_off(*given: dict[str, Any], **fields: Any) -> list[Step]:
    """An invoice that belongs to no subscription, issued."""
    body = {"customer": "${customer.id}", "lines": list(given), **fields}
    return [
        {**ONES_OFF, "body": body}, {"call": "POST /invoices/${draft.id}/finalize", "body": {}, "as": "paper"},
    ]  # fmt: skip


WORK = {"description": "Work", "unit_amount": "33.333", "quantity": "3"}
ONE_OFF = [
    story(  # 99.999 are 100.00
        "one-off: thirds of a hundred", clock("2024-01-01"), customer(), one_off(WORK,
        collection_method="send_invoice"),
        read({"total": "100.00"}), transfer("0.01", due("99.99")), taken_back("99.99", amount="99.99"),
        read(due("0.00", "paid")),
    ),
    story(
        "one-off: credit pays it at once", clock("2024-01-01"), MONTHLY, customer(), subscribe(**OPEN), PAPER,
        transfer("150.00"),
        one_off({"description": "Work", "amount": "80.00"}, collection_method="send_invoice"), read(due("30.00")),
        balance(0),
    ),
    story(
        "one-off: of two taxes by what is sold", rate("PT", "6", "book-${run}"), rate("PT", "23", "work-${run}"),
        clock("2024-01-01"), customer(country="PT"),
        one_off({"description": "Book", "amount": "9.99", "tax_category": "book-${run}"},
                {"description": "Work", "amount": "9.99", "tax_category": "work-${run}"},
                collection_method="send_invoice"),
        read({"subtotal": "19.98", "tax_total": "2.90", "total": "22.88"}),
        note(line(1), expect={"subtotal": "9.99", "tax_total": "2.30"}), note(line(0), expect={"subtotal": "9.99",
        "tax_total": "0.60"}),
        NOTHING_LEFT,
    ),
    story(
        "one-off: void, and nothing is left of it", clock("2024-01-01"), customer(),
        one_off({"description": "Work", "amount": "80.00"}, collection_method="send_invoice"), on_paper("void"),
        read({"status": "void"}), balance(0),
    ),
]  # fmt: skip

BOUNDS = [
    story(  # 31.00 a month at most, from the 16th: 16.00
        "bounds: a maximum of a short first month", clock("2024-01-16"), meter(), plan(calls(maximum="31.00")),
        customer(),
        subscribe(anchor="calendar"), use(100), to("2024-02-01T01:00"), totals(1600),
    ),
    story(  # 31.00 a month at least, ten days: 10.00
        "bounds: a minimum of ten days", clock("2024-01-01"), meter(), plan(calls(minimum="31.00")), customer(),
        subscribe(),
        use(4), to("2024-01-10"), cancel(), to("2024-01-11T01:00"), together("10.00"), lines({"amount": "4.00"},
        {"amount": "6.00"}),
    ),
    story(  # 15 days of at most 31.00 and 16 days of at most 62.00
        "bounds: a maximum before and after an upgrade", clock("2024-01-01"), meter(), plan(calls(maximum="31.00")),
        plan(calls(maximum="62.00"), name="big"), customer(), subscribe(), use(100), to("2024-01-16"),
        change(plan="big"),
        use(100, key="2"), to("2024-02-01T01:00"), together("47.00"),
    ),
    story(  # the minimum takes back what late usage brings, and no more
        "bounds: late usage within a minimum costs nothing", clock("2024-01-01"), meter(), plan(calls(minimum="31.00")),
        customer(), subscribe(), to("2024-01-10"), use(4), to("2024-02-01T12:00"), use(6, "2024-01-20", key="2"),
        to("2024-02-01T13:00"), totals(3100), to("2024-03-01T01:00"), totals(3100, 3100),
    ),
    story(  # 30.00 used, 5.00 more come late: 1.00 of them was the minimum's
        "bounds: late usage beyond a minimum costs what is beyond", clock("2024-01-01"), meter(),
        plan(calls(minimum="31.00")), customer(), subscribe(), to("2024-01-10"), use(30), to("2024-02-01T12:00"),
        use(5, "2024-01-20", key="2"), to("2024-03-01T01:00"), totals(3100, 400 + 3100),
    ),
    story(  # 80 % and all of ten, in each month
        "thresholds: again in the next month", clock("2024-01-01"), meter(), plan(fee("1.00"), calls(included=10)),
        customer(),
        subscribe(), use(8), happened("usage.threshold_reached", 1), use(5, key="2"),
        happened("usage.threshold_reached", 2),
        to("2024-02-02"), use(12, key="3"), happened("usage.threshold_reached", 4),
    ),
    story(
        "thresholds: taken back and used again", clock("2024-01-01"), meter(), plan(fee("1.00"), calls(included=10)),
        customer(),
        subscribe(), use(8), {"call": "POST /usage_events/${run}-1/void", "status": 204}, use(8, key="2"),
        happened("usage.threshold_reached", 1),
    ),
]  # fmt: skip

METHODS = [
    story(  # what is issued keeps its way; the next invoice has the new one
        "card, invoice, card", clock("2024-01-01"), plan(price("3100.00")), customer(), card(), subscribe(),
        to("2024-01-16"), change(collection_method="send_invoice", net_days=45), to("2024-02-16"),
        change(collection_method="charge_automatically"), to("2024-03-01T01:00"),
        invoices({"collection_method": "charge_automatically", "status": "paid"},
                 {"collection_method": "send_invoice", "status": "open", "due_at": "2024-03-17T23:59:59Z"},
                 {"collection_method": "charge_automatically", "status": "paid"}),
        happened("customer.collection_method_changed", 2),
    ),
    story(  # ten seats less a tenth, twenty from March on; by invoice from the middle of January, which moves no money
        "a ramp, a discount and a conversion in the month", clock("2024-01-01"), plan(seats("100.00")),
        off("tenth", percent_off=10), customer(), card(), subscribe(quantity=10, discount="${tenth.id}"),
        change(quantity=20, effective="2024-03-01"), to("2024-01-16"),
        change(collection_method="send_invoice", net_days=30, expect=then("2024-02-01", 90000)), to("2024-03-01T01:00"),
        invoices({"total": "900.00", "collection_method": "charge_automatically"},
                 {"total": "900.00", "collection_method": "send_invoice"},
                 {"total": "1800.00", "collection_method": "send_invoice"}),
    ),
    story(  # an upgrade of the day is sent too: 31 days of 3100.00, 16 of them twice
        "a conversion with an upgrade", clock("2024-01-01"), plan(price("3100.00")), plan(price("6200.00"), name="big"),
        customer(), card(), subscribe(), to("2024-01-16"),
        change(plan="big", collection_method="send_invoice", net_days=30, expect={"total": "1600.00"}),
        invoices({"collection_method": "charge_automatically"},
                 {"total": "1600.00", "collection_method": "send_invoice", "due_at": "2024-02-15T23:59:59Z"}),
    ),
    story(
        "a contract of a year: three notices, its end by hand", clock("2024-01-01"), plan(price("366.00", YEAR)),
        customer(),
        subscribe(interval=YEAR, contract={"months": 12}), to("2024-12-05"),
        happened("subscription.renewal_approaching", 3),
        cancel(effective="contract_end"), to("2025-01-02"), sub(status="canceled"), totals(36600), balance(0),
    ),
    story(
        "a contract of a year that goes on gives its notices again", clock("2024-01-01"), plan(price("10.00")),
        customer(),
        subscribe(contract={"months": 12, "renewal_months": 6}), to("2025-06-20"),
        happened("subscription.renewal_approaching", 6), sub(contract={"start": "2025-01-01", "end": "2025-07-01"}),
    ),
    story(  # one of two on a shared paper is credited: each line for itself
        "shared: a note of one of two", clock("2024-01-01"), plan(price("31.00")), plan(price("62.00"), name="big"),
        customer(consolidate_invoices=True), subscribe(**OPEN), subscribe("big", **OPEN), to("2024-02-01T01:00"), PAPER,
        read({"total": "93.00"}), note(line(1), expect={"total": "62.00"}), read(due("31.00")),
    ),
    story(  # 31.00 and 62.00 paid together; ended on the 10th of 29 days, 19 of them come back: 40.62 of the second
        "shared: one ends after the paper was paid in part", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(consolidate_invoices=True), subscribe(**OPEN), subscribe("big",
        **OPEN),
        to("2024-02-01T01:00"), PAPER, transfer("50.00", due("43.00")), to("2024-02-10"), cancel(),
        read(due("2.38")), balance(0),
    ),
]  # fmt: skip

DAYS = [
    story(
        "days: the last hours of a trial", clock("2024-01-01T12:00"), plan(seats("31.00")), customer(),
        subscribe(trial_days=14, quantity=1), to("2024-01-15T09:00"), sub(status="trialing"),
        change(quantity=2, expect=then("2024-01-15", 6200)), sub(status="trialing", pending_changes={"$length": 1}),
        to("2024-01-15T12:00"), sub(status="active", pending_changes=[]), totals(6200),
    ),
    story(
        "days: canceled in the last hours of a trial", clock("2024-01-01T12:00"), plan(price("31.00")), customer(),
        subscribe(trial_days=14), to("2024-01-15T09:00"), cancel(effective="period_end"), to("2024-02-20"),
        sub(status="canceled"), invoices(),
    ),
    story(  # the trial's last day is used until noon; service ends with the trial, not at midnight before
        "days: canceled with the trial's end, at its hour", clock("2024-01-01T12:00"), plan(price("31.00")), customer(),
        subscribe(trial_days=14), to("2024-01-05"), cancel(effective="period_end"), to("2024-01-15T11:59"),
        sub(status="trialing", cancel_at="2024-01-15"), to("2024-01-15T12:00"),
        sub(status="canceled", ended_at="2024-01-15T12:00:00Z"), invoices(),
    ),
    story(  # taken back in its last hours: the trial ends at its hour, and the first period is asked for then
        "days: a cancellation taken back in the trial's last hours", clock("2024-01-01T12:00"), plan(price("31.00")),
        customer(), subscribe(trial_days=14), to("2024-01-05"), cancel(effective="period_end"), to("2024-01-15T11:00"),
        undo(), sub(status="trialing"), invoices(), to("2024-01-15T12:00"), sub(status="active"), totals(3100),
    ),
    story(
        "days: the end of a trial is no renewal", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(trial_days=14), to("2024-01-16"), happened("subscription.activated", 1),
        happened("subscription.renewed", 0),
        to("2024-02-16"), happened("subscription.renewed", 1),
    ),
    story(
        "days: nor is one that ends at once", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(trial_days=14),
        to("2024-01-05"), trial_end("now"), happened("subscription.activated", 1), happened("subscription.renewed", 0),
        to("2024-02-06"), happened("subscription.renewed", 1),
    ),
    story(
        "days: a moved billing day, and what it is a part of", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(), to("2024-01-10"), period("2024-01-01", "2024-02-01"), change(anchor=15), period("2024-01-10",
        "2024-01-15"),
        to("2024-01-16"), period("2024-01-15", "2024-02-15"),
    ),
    story(
        "days: the first period after a trial by the calendar", clock("2024-01-01"), plan(price("31.00")), customer(),
        subscribe(trial_days=14, anchor="calendar"), to("2024-01-16"), period("2024-01-15", "2024-02-01"), totals(1700),
        to("2024-02-02"), period("2024-02-01", "2024-03-01"),
    ),
    story(
        "days: a plan within a period leaves the period", clock("2024-01-01"), plan(price("31.00")),
        plan(price("62.00"), name="big"), customer(), subscribe(), to("2024-01-10"), change(plan="big"),
        period("2024-01-01", "2024-02-01"),
    ),
    story(
        "days: an interval that waits for the paid period leaves the period", clock("2024-01-01"),
        plan(price("31.00"), price("366.00", YEAR)), customer(), subscribe(), to("2024-01-10"),
        change(interval=YEAR, proration="none"), period("2024-01-01", "2024-02-01"), to("2024-02-02"),
        period("2024-02-01", "2025-02-01"),
    ),
    story(
        "days: a pause leaves the period", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(), to("2024-01-21"), resume(expect={"total": "11.00"}), period("2024-01-01",
        "2024-02-01"),
    ),
    story(
        "days: what waits can be taken back in a pause", clock("2024-01-01"), plan(seats("31.00")), customer(),
        subscribe(quantity=1), change(quantity=3, effective="2024-03-01"), to("2024-01-11"), pause(),
        {"call": "DELETE /subscriptions/${sub.id}/changes/${change.change}", "status": 204}, to("2024-01-21"), resume(),
        to("2024-03-02"), totals(3100, 1100, 3100, 3100),
    ),
    story(
        "days: what follows a pause is known in it", clock("2024-01-01"), plan(price("31.00")), customer(), subscribe(),
        to("2024-01-11"), pause(resume_at="2024-02-11"), upcoming(2031), to("2024-02-12"), sub(status="active"),
    ),
]  # fmt: skip

GROUPS = [PAID, LATE, GIVEN_BACK, CURRENCIES, ONE_OFF, BOUNDS, METHODS, DAYS]
STORIES = [{**one, "name": f"settled: {one['name']}"} for group in GROUPS for one in group]

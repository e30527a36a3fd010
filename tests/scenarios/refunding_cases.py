"""Money on its way back: refunds of card payments by credit notes, in part and in pieces, with taxes, in currencies
without and with three decimals, of what a change, a pause or an end gave back before.

Situations of the suites of killbill/killbill and getlago/lago-api and of Stripe's guide to credit notes; the amounts are
worked out by hand from docs/billing-maths.md, in the comment above each story.
"""

from tests.scenarios.cases import (
    Step,
    balance,
    cancel,
    change,
    clock,
    customer,
    plan,
    price,
    story,
    subscribe,
    tax,
    to,
    totals,
)
from tests.scenarios.mixed_cases import NOTHING_LEFT, PAPER, inclusive, notes_come_to, taken_back
from tests.scenarios.neighbour_cases import seats
from tests.scenarios.settled_cases import PAYMENT, due, read, refund, refunded
from tests.scenarios.timeline_cases import card, happened, pause, refused, resume, sub

YEN = {"currency": "JPY"}
DINAR = {"currency": "KWD"}
PAID = to("2024-01-01T01:00")


def back(amount: str, asked: str | None = None) -> Step:
    """A note that is refunded to the card."""
    return taken_back(amount, amount=asked or amount, to="refund")


REFUNDS = [
    story(
        "refunds: in yen, to the last", clock("2024-01-01"), plan(price("1000"), **YEN), customer(**YEN), card(),
        subscribe(), PAID, PAYMENT, refund("333"), refunded("333"), refund("666"), refunded("999"), refund("2", 422),
        refund("1"), refunded("1000"), notes_come_to(total="1000"),
    ),
    story(  # cards are charged tens of fils
        "refunds: in dinars, to the last ten fils", clock("2024-01-01"), plan(price("10.010"), **DINAR),
        customer(**DINAR), card(), subscribe(), PAID, PAYMENT, refund("0.010"), refund("9.990"), refunded("10.000"),
        refund("0.020", 422), refund(), refunded("10.010"), notes_come_to(total="10.010"),
    ),
    story(  # 19 % of 100.00; three thirds of 119.00 are all of both
        "refunds: the tax goes back in three parts, all of it", clock("2024-01-01"), tax("19", "DE"),
        plan(price("100.00")), customer(country="DE"), card(), subscribe(), PAID, PAYMENT, refund("39.66"),
        refund("39.67"), refund("39.67"), refunded("119.00"), notes_come_to(total="119.00", tax_total="19.00"),
    ),
    story(  # 100.00 contain 15.97
        "refunds: of a price that contains its tax", clock("2024-01-01"), inclusive("19", "DE"), plan(price("100.00")),
        customer(country="DE"), card(), subscribe(), PAID, PAYMENT, refund("50.00"), refund("50.00"),
        refunded("100.00"), notes_come_to(total="100.00", tax_total="15.97"),
    ),
    story(  # 21 of 31 days come back at the end: 21.00; the card gets no more than the 10.00 that were used
        "refunds: after an end gave the unused days back", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, PAPER, to("2024-01-10T01:00"), cancel(), balance(2100), back("10.00"), refunded("10.00"),
        NOTHING_LEFT, balance(2100),
    ),
    story(  # an end without credit leaves all of it to be refunded
        "refunds: after an end that kept the unused days", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, PAPER, to("2024-01-10T01:00"), cancel(credit_unused=False), balance(0), back("31.00"),
        refunded("31.00"), NOTHING_LEFT, balance(0),
    ),
    story(  # all was refunded on the 5th: no period gives back more than was asked for it, and a paper of nothing says so
        "refunds: an end after all was refunded gives nothing more", clock("2024-01-01"), plan(price("31.00")),
        customer(), card(), subscribe(), PAID, PAPER, to("2024-01-05"), back("31.00"), to("2024-01-10T01:00"), cancel(),
        balance(0), notes_come_to(total="31.00"), totals(3100, 0),
    ),
    story(  # 21.00 are left of the period, of which 15.00 were refunded: the end gives back the 16.00 that remain at most
        "refunds: an end after a part was refunded", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, PAPER, to("2024-01-05"), back("15.00"), to("2024-01-10T01:00"), cancel(), balance(1600),
        notes_come_to(total="31.00"),
    ),
    story(
        "refunds: twice what was asked for", clock("2024-01-01"), plan(price("31.00")), customer(), card(), subscribe(),
        PAID, PAPER, refused(back("31.01"), 422), back("31.00"), NOTHING_LEFT, read(due("0.00", "paid")), balance(0),
    ),
    story(  # what comes next is asked for in whole
        "refunds: the next month is asked for as ever", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, PAYMENT, refund(), sub(status="active"), to("2024-02-01T01:00"), totals(3100, 3100),
        balance(0), happened("payment.refunded", 1),
    ),
    story(  # 16 of 31 days: 30.97 for two seats less 15.48 for one; that paper is refunded alone
        "refunds: of the seats that came later", clock("2024-01-01"), plan(seats("30.00")), customer(), card(),
        subscribe(quantity=1), PAID, to("2024-01-16"), change(quantity=2, expect={"total": "15.49"}),
        to("2024-01-16T01:00"), PAPER, back("15.49"), refunded("15.49"), NOTHING_LEFT, balance(0),
    ),
    story(  # 21.00 back for the pause pay the 11.00 of the resumption; that paper was never charged to the card
        "refunds: of what the credit of a pause paid", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, to("2024-01-11"), pause(expect={"credit_to_balance": "21.00"}), to("2024-01-21"),
        resume(expect={"total": "11.00"}), to("2024-01-21T01:00"), balance(1000), PAPER,
        taken_back("11.00", amount="11.00"), balance(2100), NOTHING_LEFT,
    ),
    story(
        "refunds: of nothing, of less, and of another's", clock("2024-01-01"), plan(price("31.00")), customer(), card(),
        subscribe(), PAID, PAYMENT, refund("0.00", 422), refund("-1.00", 422), refund("0.001", 422), refunded("0.00"),
    ),
]  # fmt: skip

STORIES = REFUNDS

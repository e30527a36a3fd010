"""What may happen in a life of `anything`: each act chooses by lot whom it is about, and answers a deed or nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from tests.faults import work, world

if TYPE_CHECKING:
    from tests.faults.anything import Life

type Key = tuple[str, str]

CARDS = (*world.CARDS, "pm_card_visa", "pm_card_threeDSecure2Required")


class NoAnswer(Exception):
    """Nobody knows whether it was done."""


@dataclass
class Deed:
    """`do` raises what refuses it, or NoAnswer. What whoever did it believes afterwards: of the thing `about` that it is
    what `becomes` makes of what it was."""  # fmt: skip

    do: Callable[[], object]
    about: Key | None = None
    becomes: Callable[[Any], Any] = lambda was: was
    forgets: tuple[Key, ...] = ()


type Act = Callable[["Life"], Deed | None]


def told(value: Any) -> Callable[[Any], Any]:
    return lambda was: value


def one_more(was: int | None) -> int:
    return (was or 0) + 1


def plainly(task: Callable[[datetime, Random], None]) -> Act:
    """A task of the kill harness, of which nobody believes anything afterwards."""

    def act(life: "Life") -> Deed:
        dice = Random(life.dice.randrange(2**31))
        return Deed(lambda: task(life.now, dice))

    act.__name__ = task.__name__
    return act


# -- Coming -----------------------------------------------------------------------------------------------


def buys(life: "Life") -> Deed:
    """On the pricing page's checkout, by card."""
    from checkout import sessions

    number = life.number()
    session = sessions.start(
        plan="pro", interval=life.dice.choice(["month", "year"]), quantity=life.dice.randint(1, 9), now=life.now,
        livemode=False, currency="EUR",
    )  # fmt: skip
    life.checkouts[session.token] = number
    return presses(life, session.token, life.dice.choice(CARDS))


def comes_back(life: "Life") -> Deed | None:
    """To a checkout page that was left: presses again, perhaps with another card."""
    if not life.checkouts:
        return None
    return presses(life, life.dice.choice(sorted(life.checkouts)), life.dice.choice(CARDS))


def presses(life: "Life", token: str, card: str) -> Deed:
    from tests.checkout.conftest import ANSWERS

    number = life.checkouts[token]
    email = f"buyer{number}@bought.example"
    typed = {name: value for name, value in ANSWERS.items() if name not in ("interval", "quantity")}
    data = {**typed, "email": email, "company": f"Bought {number}", "action": "pay", "payment_method": card}

    def do() -> None:
        from checkout.models import CheckoutSession

        chosen = CheckoutSession.objects.values("interval", "quantity").get(token=token)
        answer = life.browser().post(f"/checkout/{token}/", {**data, **chosen, "terms": "on"})
        life.answered(answer)
        if "receipt" not in answer.get("Location", ""):
            raise NoAnswer

    return Deed(do, ("subscriptions of", email), told(1))


def asks_the_api(
    life: "Life", path: str, body: dict[str, Any], about: Key | None = None, amount: Any = 1
) -> Deed:
    """With a key, so that it can be asked again, and counts once."""
    request = Asked(f"k-{life.number()}", path, body)
    counted = frozenset([(request.key, amount)])
    deed = Deed(lambda: request.ask(life), about, lambda was: (was or frozenset()) | counted)
    life.unanswered[request.key] = deed
    return deed


@dataclass
class Asked:
    key: str
    path: str
    body: dict[str, Any]

    def ask(self, life: "Life") -> None:
        from billing.refusals import Refused

        headers = {"Authorization": f"Bearer {life.secret}", "Idempotency-Key": self.key}
        answer = life.browser().post(
            f"/api/v1/{self.path}", json.dumps(self.body), content_type="application/json", headers=headers
        )
        life.answered(answer)
        if answer.status_code >= 500 or b"idempotency_in_progress" in answer.content:
            raise NoAnswer
        life.unanswered.pop(self.key, None)
        if answer.status_code >= 300 or answer.json().get("rejected"):
            raise Refused(answer.text)


def subscribes(life: "Life") -> Deed:
    """By the API: somebody who pays by invoice."""
    customer = world.someone(life.now, life.dice)
    body = {"customer": customer.pk, "plan": "pro", "quantity": life.dice.randint(1, 9)}
    return asks_the_api(
        life, "subscriptions", body | {"collection_method": "send_invoice", "net_days": 14},
        ("subscriptions of", customer.email),
    )  # fmt: skip


def asks_again(life: "Life") -> Deed | None:
    """A client that got no answer sends the same request with the same key."""
    waiting = sorted(life.unanswered)
    return life.unanswered[life.dice.choice(waiting)] if waiting else None


# -- Changing ---------------------------------------------------------------------------------------------


def takes_seats(life: "Life") -> Deed | None:
    from billing import subscribing

    row, seats = life.subscription(), life.dice.randint(1, 12)
    if row is None:
        return None

    def do() -> None:
        subscribing.change(
            subscription=row, quantity=Decimal(seats), now=life.now, actor="system", effective="now"
        )

    life.believed.looked("seats of", row.pk)
    return Deed(do, ("seats of", row.pk), told(seats))


def wishes(life: "Life") -> Deed | None:
    """Other terms: now, from the next period on, or from some day on."""
    from billing import subscribing
    from billing.models import Plan

    row, dice = life.subscription(), life.dice
    if row is None:
        return None
    terms = dice.choice([
        {"interval": dice.choice(["month", "year"])}, {"plan": Plan.objects.get(code=dice.choice(["starter", "pro"]))},
        {"quantity": Decimal(dice.randint(1, 12))}, {"collection_method": "charge_automatically"},
    ])  # fmt: skip
    effective = dice.choice(["now", "period_end", (life.now + timedelta(days=dice.randint(1, 60))).date()])
    return Deed(
        lambda: subscribing.change(
            subscription=row, now=life.now, actor="system", effective=effective, **terms
        ),
        forgets=(("seats of", row.pk),),
    )


def ends(life: "Life") -> Deed | None:
    from billing import ending

    row = life.subscription()
    if row is None:
        return None
    return Deed(
        lambda: ending.cancel(subscription=row, now=life.now, actor="system", effective="now"),
        ("has ended", row.pk), told(True),
    )  # fmt: skip


def will_end(life: "Life") -> Deed | None:
    from billing import ending

    row, verb = life.subscription(), life.dice.choice([ending.cancel, ending.undo_cancel])
    return Deed(lambda: verb(subscription=row, now=life.now, actor="system")) if row else None


def rests(life: "Life") -> Deed | None:
    from billing import pausing

    row = life.one("subscription", status__in=("active", "paused", "past_due"))
    if row is None:
        return None
    verb = pausing.resume if row.status == "paused" else pausing.pause
    return Deed(lambda: verb(subscription=row, now=life.now, actor="system"))


def pays_otherwise(life: "Life") -> Deed | None:
    from billing import switching

    customer, method = (
        life.one("customer"),
        life.dice.choice(["charge_automatically", "send_invoice"]),
    )
    return customer and Deed(
        lambda: switching.switch(
            customer=customer, method=method, now=life.now, actor="system", override="it"
        )
    )


def uses(life: "Life") -> Deed | None:
    """A batch of usage with ids; sent again until it is answered, and now and then afterwards."""
    customer = life.one("customer")
    if customer is None:
        return None
    events = [
        {"id": f"u-{life.number()}", "customer": customer.pk, "event_name": "api_call",
         "timestamp": life.now.isoformat(), "properties": {"value": str(life.dice.randint(1, 9000))}}
        for _ in range(3)
    ]  # fmt: skip
    total = sum(Decimal(event["properties"]["value"]) for event in events)
    return asks_the_api(life, "usage_events", {"events": events}, ("usage of", customer.pk), total)


# -- Money ------------------------------------------------------------------------------------------------


def saves_a_card(life: "Life") -> Deed | None:
    from billing import cards

    customer, card = life.one("customer"), life.dice.choice(CARDS)
    return customer and Deed(
        lambda: cards.save(customer=customer, payment_method=card, now=life.now, actor="system")
    )


def transfers(life: "Life") -> Deed | None:
    """Money comes to the bank: all, a part, or too much."""
    from billing import collecting

    invoice, reference = life.one("invoice", status="open"), f"T-{life.number()}"
    if invoice is None:
        return None
    amount = life.dice.choice([invoice.amount_due, max(invoice.amount_due // 2, 1), invoice.amount_due + 500])
    return Deed(
        lambda: collecting.record_transfer(
            invoice=invoice, amount=amount, reference=reference, paid_at=life.now, now=life.now, actor="system"
        ),
        ("transfer", reference), told(amount),
    )  # fmt: skip


def credits(life: "Life") -> Deed | None:
    invoice = life.one("invoice", status__in=("open", "paid"))
    if invoice is None:
        return None
    amount = life.dice.choice([1, max(invoice.total // 3, 1), invoice.total])
    body = {
        "invoice": invoice.pk,
        "amount": amount,
        "reason": "it",
        "to": life.dice.choice(["balance", "refund"]),
    }
    return asks_the_api(life, "credit_notes", body, ("credit notes of", invoice.pk))


def gives_back(life: "Life") -> Deed | None:
    payment = life.one("payment", method="card", status="succeeded")
    if payment is None:
        return None
    body = {"amount": max(payment.amount // life.dice.choice([1, 2, 3]), 1)}
    return asks_the_api(life, f"payments/{payment.pk}/refund", body, ("refunds of", payment.pk))


def pays_out(life: "Life") -> Deed | None:
    customer = life.one("customer", balance__gt=0)
    return customer and asks_the_api(life, f"customers/{customer.pk}/pay_out", {})


def asks_for_help(life: "Life") -> Deed | None:
    """Staff write an invoice by hand."""
    from billing import drafting

    customer, amount = life.one("customer"), life.dice.randint(1, 900)
    if customer is None:
        return None
    lines = [drafting.NewLine(f"Help {life.number()}", Decimal(amount))]

    def do() -> None:
        draft = drafting.write(customer=customer, lines=lines, now=life.now, actor="system")
        drafting.finalize(invoice=draft, now=life.now, actor="system")

    return Deed(do, ("helped", customer.pk), one_more)


def promotes(life: "Life") -> Deed | None:
    from billing import subscribing
    from billing.models import Discount

    row = life.subscription()
    if row is None:
        return None
    discount = life.dice.choice([None, *Discount.objects.filter(code__isnull=False).order_by("code")])
    return Deed(lambda: subscribing.change(subscription=row, discount=discount, now=life.now, actor="system"))


# -- The bank ---------------------------------------------------------------------------------------------


def disputes(life: "Life") -> Deed | None:
    """A card holder goes to the bank, or the bank decides."""
    open_ones = [row for row in life.fake.rows("dispute") if row["status"] == "needs_response"]
    if open_ones and life.dice.random() < 0.5:
        one, won = life.dice.choice(open_ones), life.dice.random() < 0.5
        return Deed(lambda: life.fake.close_dispute(one["id"], won=won))
    charge = life.charge()
    return charge and Deed(lambda: life.fake.dispute(charge["id"]))


def gives_back_elsewhere(life: "Life") -> Deed | None:
    """Staff give money back in the provider's own pages."""
    charge = life.charge()
    if charge is None:
        return None
    amount = max((charge["amount"] - charge["amount_refunded"]) // 3, 1)
    return Deed(lambda: life.fake.refund(charge["id"], amount))


def answers_the_bank(life: "Life") -> Deed | None:
    """A buyer passes the challenge of a card, or fails it."""
    waiting = [row for row in life.fake.rows("payment_intent") if row["status"] == "requires_action"]
    if not waiting:
        return None
    one, ok = life.dice.choice(waiting), life.dice.random() < 0.7
    return Deed(lambda: life.fake.authenticate(one["id"], ok=ok))


# -- Quotes -----------------------------------------------------------------------------------------------


def is_quoted(life: "Life") -> Deed | None:
    from billing.models import Plan
    from sales import drafting, quoting

    row, dice = life.subscription(), life.dice
    customer = world.someone(life.now, dice) if row is None or dice.random() < 0.5 else None
    about = {"customer": customer} if customer else {"subscription": row, "starts": "period_end"}
    terms = {
        "quantity": Decimal(dice.randint(5, 60)),
        "interval": dice.choice(["month", "year"]),
        "term_months": 12,
    }

    def do() -> None:
        plan = Plan.objects.get(code="enterprise")
        quote = drafting.draft(plan=plan, now=life.now, actor="system", **about, **terms)
        quoting.send(quote=quote, now=life.now, actor="system")

    return Deed(do)


def signs(life: "Life") -> Deed | None:
    from sales import accepting

    quote = life.one("quote", state="sent")
    if quote is None:
        return None
    lost = (("seats of", quote.subscription_id),) if quote.subscription_id else ()

    def do() -> None:
        accepting.accept(
            quote=accepting.find(quote.token), name="Ada Byron", title="CFO", email="ada@buyer.example",
            signature="Ada Byron", now=life.now,
        )  # fmt: skip

    return Deed(do, ("signed", quote.pk), told(True), forgets=lost)


def is_quoted_anew(life: "Life") -> Deed | None:
    from sales import quoting

    quote = life.one("quote", state="sent")
    if quote is None:
        return None
    if life.dice.random() < 0.5:
        return Deed(lambda: quoting.withdraw(quote=quote, now=life.now, actor="system"))
    seats = Decimal(life.dice.randint(5, 60))
    return Deed(lambda: quoting.revise(quote=quote, now=life.now, actor="system", quantity=seats))


ACTS: list[tuple[Act, int]] = [
    (buys, 4), (comes_back, 2), (subscribes, 2), (asks_again, 4), (plainly(work.come), 2),
    (takes_seats, 8), (wishes, 6), (ends, 1), (will_end, 3), (rests, 2), (pays_otherwise, 1), (uses, 6),
    (saves_a_card, 2), (transfers, 5), (credits, 4), (gives_back, 4), (pays_out, 3), (asks_for_help, 3), (promotes, 3),
    (plainly(work.pay), 5), (plainly(work.give_up), 1),
    (disputes, 3), (gives_back_elsewhere, 2), (answers_the_bank, 3),
    (is_quoted, 3), (signs, 3), (is_quoted_anew, 1),
]  # fmt: skip

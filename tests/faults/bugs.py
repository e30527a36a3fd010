"""Mistakes on purpose, put into a worker. A harness that does not find each of them is broken."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4


def numbers_outside_the_transaction() -> None:
    """The counter commits on its own: a rolled-back or killed transaction leaves a gap."""
    import psycopg
    from django.db import connection

    from billing import numbering

    def take(count: int, day: Any, code: str) -> Any:
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as own:
            return own.execute(numbering._TAKE, [count, day, code, count]).fetchone()

    def block(code: str, count: int, day: Any) -> Any:
        first, prefix, issued_on = take(count, day, code)
        return (numbering.Number(code, n, f"{prefix}{n:06d}", issued_on) for n in range(first, first + count))

    numbering._block = block


def attempt_after_the_call() -> None:
    """The row is written when the provider has answered, with a key made up for the call."""
    from billing import collecting
    from billing.models import Payment

    def open_attempt(invoice: Any, now: Any, payment_method: Any, off_session: bool, *_: Any) -> Any:
        card = payment_method or collecting.customers.default_card(invoice.customer)
        if card is None or invoice.amount_due <= 0:
            raise collecting.NothingDue("")
        return Payment(
            customer=invoice.customer, invoice=invoice, livemode=invoice.livemode, amount=invoice.amount_due,
            currency=invoice.currency, key=f"late-{uuid4().hex}", payment_method=card, off_session=off_session,
            created_at=now,
        )  # fmt: skip

    apply = collecting.apply

    def called(payment: Any, **options: Any) -> Any:
        outcome = collecting.gateway().charge(**collecting._charge(payment), **options)
        payment.save(force_insert=True)
        return outcome

    collecting._open_attempt, collecting.call, collecting.apply = open_attempt, called, apply


def nobody_claims() -> None:
    """Rows are read without holding them: two workers bill the same subscription at the same time."""
    from django.db.models import QuerySet

    QuerySet.select_for_update = lambda rows, **how: rows  # type: ignore[method-assign]


def unknown_is_taken_for_failed() -> None:
    """No answer is read as no: the next try charges again."""
    from dataclasses import replace

    from billing import collecting

    call = collecting.call

    def guessing(payment: Any, **options: Any) -> Any:
        outcome = call(payment, **options)
        return (
            replace(outcome, state="failed", decline_code="guessed")
            if outcome.state == "unknown"
            else outcome
        )

    collecting.call = guessing


def an_answer_counts_twice() -> None:
    """The answer of the provider is written down whatever was written down before."""
    from billing import collecting
    from billing.models import Payment

    settle = collecting.settle

    def again(*, payment: Any, now: Any, actor: str) -> Any:
        collecting.settle = settle
        try:
            collecting.issuing.add_balance(
                payment.customer, 1, payment.currency, reason="again", now=now, payment=payment
            )
            return settle(payment=Payment.objects.get(pk=payment.pk), now=now, actor=actor)
        finally:
            collecting.settle = again

    collecting.settle = again


def delivered_before_it_is_sent() -> None:
    """A webhook is marked as delivered when it is taken up."""
    from billing import webhooks_out
    from billing.models import WebhookDelivery

    claim = webhooks_out.claim

    def hasty(*args: Any) -> Any:
        rows = claim(*args)
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            status="delivered", next_at=None
        )
        return rows

    webhooks_out.claim = hasty


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        numbers_outside_the_transaction, attempt_after_the_call, nobody_claims, unknown_is_taken_for_failed,
        an_answer_counts_twice, delivered_before_it_is_sent,
    )
}  # fmt: skip


def misplaced(errors: list[str]) -> list[str]:
    """Errors that say that a mistake does not fit the code any more, in which it would be found without looking."""
    return [line for line in errors if "AttributeError" in line or "TypeError" in line]

"""F05, F20 to F23: many processes do the same, or what excludes it, at the same moment, each on a session of its own.

A race sets its stage, names what each process does, and says how often it may succeed.
"""

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import judging, processes, world
from tests.faults.kills import Report

DONE = "done"
Deed = Callable[[], object]


@dataclass
class Race:
    """`least` and `most`: how many of the deeds may be done. `after`: what is wrong then, beyond the books."""

    deeds: Sequence[Deed]
    least: int = 1
    most: int = 1
    after: Callable[[], str] = str


def run(*, seed: int, rounds: int = 20, runners: int = 16) -> Report:
    """Every race so many times, in one world."""
    started, dice = time.monotonic(), Random(seed)
    report = Report(f"{runners} processes at once", seed)
    report.found = {"races": [], "books": [], "errors": []}
    clock = world.Clock()
    world.make(clock, dice, customers=0)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "errors.log"
        for turn in range(rounds):
            for set_up in RACES:
                clock.advance(minutes=1)
                race = set_up(clock, dice, runners)
                answers = at_once(race.deeds, log)
                report.found["races"] += [f"{set_up.__name__}: {words}" for words in wrong(race, answers)]
                report.counts[set_up.__name__] += answers[DONE]
            if turn == rounds - 1 or turn % 5 == 4:
                report.found["books"] += judging.broken_books()
        report.found["errors"] = judging.errors(log)
    report.seconds = time.monotonic() - started
    return report


def wrong(race: Race, answers: Counter[str]) -> Iterator[str]:
    if not race.least <= answers[DONE] <= race.most:
        yield f"{answers[DONE]} were done, {race.least} to {race.most} may be: {dict(answers)}"
    if sum(answers.values()) != len(race.deeds):
        yield f"{len(race.deeds) - sum(answers.values())} never answered"
    if words := race.after():
        yield words


def at_once(deeds: Sequence[Deed], log: Path) -> Counter[str]:
    """What came of each: done, or the name of the refusal. Anything else goes to the log."""
    barrier = multiprocessing.get_context("fork").Barrier(len(deeds))
    answers = log.with_name("answers")
    answers.unlink(missing_ok=True)

    def live(deed: Deed) -> None:
        from django.db import connection

        connection.ensure_connection()
        barrier.wait(60)
        words = answer_of(deed, log)
        with answers.open("a") as file:
            file.write(f"{words}\n")

    for pid in [processes.fork(lambda deed=deed: live(deed), log) for deed in deeds]:
        processes.wait(pid, 120)
    return Counter(answers.read_text().split())


def answer_of(deed: Deed, log: Path) -> str:
    from django.db import IntegrityError

    from billing.moves import IllegalMove, StaleMove
    from billing.refusals import Refused

    try:
        deed()
    except (Refused, IllegalMove, StaleMove) as refusal:
        return type(refusal).__name__
    except IntegrityError as error:
        processes.note(log, error)
        return "IntegrityError"
    except Exception as error:
        processes.note(log, error)
        return "error"
    return DONE


# -- The races -------------------------------------------------------------------------------------------------


def a_draft(clock: world.Clock, customer: Any, amount: int = 20) -> Any:
    from billing import drafting

    lines = [drafting.NewLine("A day of help", Decimal(amount))]
    return drafting.write(customer=customer, lines=lines, now=clock(), actor="system")


def a_number_for_one_paper(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F20: one draft is issued by all of them."""
    from billing import drafting
    from billing.models import Event

    draft, now = a_draft(clock, world.on_account(clock(), dice).customer), clock()

    def after() -> str:
        said = Event.objects.filter(object_id=draft.pk, type="invoice.finalized").count()
        return "" if said == 1 else f"{said} events"

    deed = lambda: drafting.issue(invoice=draft, now=now, actor="system")  # noqa: E731
    return Race([deed] * runners, after=after)


def a_run_by_all_schedulers(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F05: what is due is billed by sixteen runs."""
    from billing import running
    from billing.models import Invoice

    row = world.on_account(clock(), dice)
    clock.advance(days=32)
    now = clock()

    def after() -> str:
        papers = Invoice.objects.filter(subscription=row).count()
        return "" if papers == 2 else f"{papers} papers for two periods"

    return Race([lambda: running.run(now=now, chunk=2)] * runners, least=runners, most=runners, after=after)


def credit_for_many_papers(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F22: a balance of 50 pays for sixteen papers of 20 as far as it goes."""
    from django.db.models import Sum

    from billing import collecting, drafting
    from billing.models import Customer, Payment

    first, now = world.on_account(clock(), dice).invoices.get(), clock()
    customer = first.customer
    drafts = [a_draft(clock, customer) for _ in range(runners)]
    amount = first.total + 5000
    collecting.record_transfer(
        invoice=first, amount=amount, reference="", paid_at=now, now=now, actor="system"
    )

    def after() -> str:
        left = Customer.objects.get(pk=customer.pk).balance
        paid = Payment.objects.filter(customer=customer, method="balance").aggregate(paid=Sum("amount"))[
            "paid"
        ]
        return "" if (left, paid) == (0, 5000) else f"{paid} paid, {left} left of 5000"

    deeds = [lambda d=draft: drafting.issue(invoice=d, now=now, actor="system") for draft in drafts]
    return Race(deeds, least=runners, most=runners, after=after)


def the_last_uses_of_a_code(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F22: three may have it."""
    from billing.models import Discount

    name = f"code-{dice.randrange(10**9)}"
    code = Discount.objects.create(code=name, percent_off=Decimal(20), max_redemptions=3, created_at=clock())
    buyers, now = [world.someone(clock(), dice) for _ in range(runners)], clock()
    deeds = [lambda c=buyer: world.subscribe(c, now, discount=code) for buyer in buyers]
    return Race(deeds, least=3, most=3)


def credit_notes_for_one_invoice(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F21, F22: three thirds fit, a fourth does not."""
    from billing import correcting

    invoice, now = world.on_account(clock(), dice).invoices.get(), clock()
    part = invoice.total // 3
    deed = lambda: correcting.credit(invoice=invoice, amount=part, reason="it", now=now, actor="system")  # noqa: E731
    return Race([deed] * runners, least=3, most=3)


def four_ends_of_one_invoice(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F21: paid, void, credited, given up. The books say whether they agree."""
    from billing import collecting, correcting

    invoice, now = world.on_account(clock(), dice).invoices.get(), clock()
    who = {"invoice": invoice, "now": now, "actor": "system"}
    ends: list[Deed] = [
        lambda: collecting.record_transfer(amount=invoice.total, reference="T", paid_at=now, **who),
        lambda: correcting.void(**who),
        lambda: correcting.credit(reason="it", **who),
        lambda: correcting.mark_uncollectible(**who),
    ]
    return Race([ends[n % 4] for n in range(runners)], most=runners)


def seats_by_many(clock: world.Clock, dice: Random, runners: int) -> Race:
    """F23: each wants another number of seats, a few days into the period."""
    from billing import subscribing

    row = world.on_account(clock(), dice)
    clock.advance(days=3)
    now = clock()
    deeds = [
        lambda n=n: subscribing.change(subscription=row, quantity=Decimal(n), now=now, actor="system")
        for n in dice.sample(range(1, 60), runners)
    ]
    return Race(deeds, least=runners - 1, most=runners)


RACES: tuple[Callable[[world.Clock, Random, int], Race], ...] = (
    a_number_for_one_paper, a_run_by_all_schedulers, credit_for_many_papers, the_last_uses_of_a_code,
    credit_notes_for_one_invoice, four_ends_of_one_invoice, seats_by_many,
)  # fmt: skip

"""F45: anything happens, in any order, one thing after another, while things go wrong.

A life is made of steps by lot: an act of a buyer, of staff, of a bank, of the API; a job; the provider's events, late,
doubled, shuffled and cut off; an hour or forty days that pass. One act in twenty dies at some border of the code with
what lasts, one in twenty loses its database there, one call of the provider in twenty goes wrong. Who was told that
something is done believes it; who got no answer believes both, and asks again. The time is the life's everywhere, so
that the same seed lives the same life.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from tests.faults import judging, processes, work, world
from tests.faults.acts import ACTS, Act, Deed, Key, NoAnswer
from tests.faults.kills import Report
from tests.faults.points import Points

SHARE = 0.05
WEATHER = [
    {"mode": mode, "path": path, "share": SHARE / 5}
    for path in ("/v1/payment_intents", "/v1/refunds")
    for mode in ("lose_answer", "half_answer", "refused", "unavailable", "error_500_after")
]
# What is left to the harnesses that are made for it: it takes long, or asks another server.
NOT_HERE = {"config.payment_page.watch", "billing.tasks.send_webhooks", "billing.tasks.print_paper"}


class Doom(Points):
    """The n-th border is the last, whichever it is: the process dies there, or loses its database."""

    def __init__(self, number: int, *, dies: bool) -> None:
        super().__init__()
        self.left, self.dies = number, dies

    def at(self, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), 9) if self.dies else lose_the_session()


def lose_the_session() -> None:
    """Somebody ends this process's own session."""
    import psycopg
    from django.db import connection

    if connection.connection is not None:
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [connection.connection.info.backend_pid])


class Beliefs:
    """What people were told, in plain Python: for each thing every value that it may have."""

    def __init__(self) -> None:
        self.may: dict[Key, set[Any]] = {}
        self.forgotten: set[Key] = set()

    def follow(self, deed: Deed, answer: bool | None) -> None:
        """`answer` as `Life.lived` tells it."""
        if answer is not False:
            self.forgotten.update(deed.forgets)
        if deed.about is None or deed.about in self.forgotten or answer is False:
            return
        was = self.may.get(deed.about, {None})
        now = {deed.becomes(value) for value in was}
        self.may[deed.about] = was | now if answer is None else now

    def looked(self, kind: str, of: str) -> None:
        """Who changes something has looked at it before."""
        self.may.setdefault((kind, of), {LOOKS[kind](of)})

    def wrong(self) -> Iterator[str]:
        for (kind, of), values in self.may.items():
            seen = None if (kind, of) in self.forgotten else LOOKS[kind](of)
            if seen is not None and seen not in {measure(value) for value in values}:
                yield f"{kind} {of}: {seen}, and may be {sorted(map(str, map(measure, values)))}"


def measure(value: Any) -> Any:
    """What answers add up to; nothing was there before the first."""
    return sum(amount for _, amount in value) if isinstance(value, frozenset) else value or 0


# -- What is there --------------------------------------------------------------------------------------------


def seats_of(subscription: str) -> int | None:
    """Of the terms that hold today, where they have seats."""
    from django.utils import timezone

    from billing import timelines
    from billing.models import Subscription

    row = Subscription.objects.get(pk=subscription)
    spec = timelines.spec_on(timelines.specs_of(row), timelines.local_day(row, timezone.now()))
    seats = [
        quantity
        for price, quantity in (spec.items if spec else ())
        if price.kind == "recurring" and price.model != "flat"
    ]
    return int(seats[0]) if len(seats) == 1 else None


def subscriptions_of(email: str) -> int:
    from billing.models import Subscription

    return Subscription.objects.filter(customer__email=email).count()


def has_ended(subscription: str) -> bool:
    from billing.models import Subscription

    return bool(Subscription.objects.get(pk=subscription).status == "canceled")


def transfer(reference: str) -> int:
    from billing.models import Payment

    return sum(Payment.objects.filter(reference=reference).values_list("amount", flat=True))


def usage_of(customer: str) -> Any:
    from billing.models import UsageEvent

    return sum(UsageEvent.objects.filter(customer=customer).values_list("value", flat=True))


def credit_notes_of(invoice: str) -> int:
    from billing.models import CreditNote

    return CreditNote.objects.filter(invoice=invoice, reason="it").count()


def refunds_of(payment: str) -> int:
    from billing.models import Refund

    return Refund.objects.filter(payment=payment, elsewhere=False, credit_note=None).count()


def helped(customer: str) -> int:
    from billing.models import Invoice

    return (
        Invoice.objects.filter(customer=customer, lines__description__startswith="Help ")
        .exclude(status="draft")
        .count()
    )


def signed(quote: str) -> bool:
    from sales.models import Quote

    return Quote.objects.get(pk=quote).state in ("accepted", "converted")


LOOKS = {
    "seats of": seats_of, "subscriptions of": subscriptions_of, "has ended": has_ended, "transfer": transfer,
    "usage of": usage_of, "credit notes of": credit_notes_of, "refunds of": refunds_of, "helped": helped,
    "signed": signed,
}  # fmt: skip


# -- A life ---------------------------------------------------------------------------------------------------


class Life:
    """One seller with what happens to it."""

    def __init__(self, seed: int, folder: Path, report: Report, lot: list[tuple[Act, int]] = ACTS) -> None:
        from billing.fakestripe import FakeStripe, SqliteStore

        self.lot = lot

        self.dice, self.report, self.log = Random(seed), report, folder / "errors.log"
        self.clock = world.Clock()
        self.fake = FakeStripe(
            SqliteStore(folder / "bank.sqlite3"), clock=lambda: self.now.timestamp(), sleep=lambda s: None
        )
        self.fake.faults.seed(seed)
        self.believed, self.papers = Beliefs(), dict[str, tuple[Any, ...]]()
        self.checkouts: dict[str, int] = {}
        self.unanswered: dict[str, Deed] = {}
        self.heard: list[dict[str, Any]] = []
        self.numbers, self.secret = 0, ""

    @property
    def now(self) -> datetime:
        return self.clock()

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def browser(self) -> Any:
        from django.test import Client

        return Client(raise_request_exception=False)

    def answered(self, answer: Any) -> None:
        """A server error that does not ask to come again is nothing to be answered with."""
        if answer.status_code >= 500 and not answer.get("Retry-After"):
            path = answer.wsgi_request.path
            processes.note(self.log, RuntimeError(f"{answer.status_code} of {path}: {answer.text[:200]}"))

    # -- by lot --
    def one(self, kind: str, **where: Any) -> Any:
        from billing.models import Customer, Invoice, Payment, Subscription
        from sales.models import Quote

        rows = {"customer": Customer, "invoice": Invoice, "payment": Payment, "subscription": Subscription}
        return work.some(rows.get(kind, Quote).objects.filter(**where), self.dice)  # type: ignore[attr-defined]

    def subscription(self) -> Any:
        return work.some_subscription(self.dice)

    def charge(self) -> Any:
        paid = [
            row for row in self.fake.rows("charge")
            if row["status"] == "succeeded" and not row["disputed"] and row["amount"] > row["amount_refunded"]
        ]  # fmt: skip
        return self.dice.choice(paid) if paid else None

    # -- steps --
    def begins(self) -> None:
        from billing import cataloguing, keys
        from checkout import catalogue as checkout
        from sales import catalogue as sales

        world.make(self.clock, self.dice, customers=3)
        checkout.ship(now=self.now)
        sales.ship(now=self.now)
        cataloguing.create_discount(code="TENTH", percent_off=Decimal(10), duration="forever", now=self.now)
        cataloguing.create_discount(code="ONCE", percent_off=Decimal(50), max_redemptions=2, now=self.now)
        self.secret = keys.issue(name="it", livemode=False, now=self.now)[1]
        self.fake.webhooks.to(self.door)
        for fault in WEATHER:
            self.fake.faults.add(**fault)

    def step(self) -> None:
        kind = self.dice.choices(
            [self.acts, self.works, self.time_passes, self.stream], [10, 8, 3, 3]
        )[0]  # fmt: skip
        self.clock.advance(seconds=1)
        kind()

    def acts(self) -> None:
        act = self.dice.choices([act for act, _ in self.lot], [weight for _, weight in self.lot])[0]
        deed = act(self)
        if deed is not None:
            self.report.counts[act.__name__] += 1
            self.do(deed)

    def works(self) -> None:
        """A job that the clock calls, or those that wait."""
        if self.dice.random() < 0.5:
            self.do(Deed(self.queue))
        else:
            self.do(Deed(self.dice.choice(jobs())))

    def time_passes(self) -> None:
        """An hour to forty days; and what the clock calls then, in any order."""
        self.clock.advance(hours=self.dice.choice([1, 7, 24, 24 * 8, 24 * 31, 24 * 40]))
        for job in self.dice.sample(jobs(), 8):
            self.clock.advance(seconds=1)
            self.do(Deed(job))

    def stream(self) -> None:
        """The provider's events: some of those that wait, some again, in any order, one cut off."""
        waiting = self.fake.webhooks.pending()
        old = self.dice.sample(self.heard, min(len(self.heard), self.dice.choice([0, 0, 3])))
        events = [*self.dice.sample(waiting, min(len(waiting), self.dice.randint(0, 5))), *old]
        self.dice.shuffle(events)
        for event in events:
            for _ in range(self.dice.choice([1, 1, 2])):
                self.do(Deed(lambda event=event: self.fake.webhooks.replay([event])))
            self.heard.append(event)

    def queue(self) -> None:
        from django.utils import timezone
        from django_q.models import OrmQ

        while OrmQ.objects.filter(lock__lt=timezone.now()).exists() and work.work_one():
            pass

    def door(self, payload: bytes, headers: dict[str, str]) -> int:
        given = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        kind = given.pop("HTTP_CONTENT_TYPE")
        if self.dice.random() < SHARE:
            cut = self.browser().post(
                "/webhooks/stripe/", payload[: len(payload) // 2], content_type=kind, **given
            )
            return int(cut.status_code)
        answer = self.browser().post("/webhooks/stripe/", payload, content_type=kind, **given)
        self.answered(answer)
        return int(answer.status_code)

    # -- one deed --
    def do(self, deed: Deed) -> None:
        luck = self.dice.random()
        number = self.dice.choice([1, 2, 3, 5, 8, 13, 21, 34])
        if luck < 2 * SHARE:
            self.report.kills += luck < SHARE
            self.report.counts["sessions lost"] += luck >= SHARE
            answer = self.doomed(deed, number, dies=luck < SHARE)
        else:
            answer = self.lived(deed)
        self.believed.follow(deed, answer)

    def doomed(self, deed: Deed, number: int, *, dies: bool) -> None:
        """In a process of its own; nobody hears what it answers."""

        def live() -> None:
            Doom(number, dies=dies).install()
            self.lived(deed)

        processes.wait(processes.fork(live, self.log), 60)

    def lived(self, deed: Deed) -> bool | None:
        """True when it is done, False when it is refused by name, None when nobody knows."""
        from django.db import connection

        from billing.gateway import CardRefused, ProviderUnreachable
        from billing.moves import IllegalMove, StaleMove
        from billing.refusals import Refused

        try:
            deed.do()
        except (Refused, IllegalMove, StaleMove, CardRefused):
            return False
        except (ProviderUnreachable, NoAnswer):
            return None
        except Exception as error:
            if not work.lost(error):
                processes.note(self.log, error)
            connection.close()
            return None
        return True

    # -- the end --
    def ends(self) -> None:
        """Without faults: everything that waits is heard, asked again and done, until nothing changes any more."""
        self.fake.faults.clear()
        self.clock.advance(minutes=30)  # what the dead had claimed is free
        for _ in range(3):
            for deed in list(self.unanswered.values()):
                self.believed.follow(deed, self.lived(deed))
            self.fake.webhooks.replay(self.fake.webhooks.pending())
            for job in [*jobs(), self.queue]:
                self.lived(Deed(job))
            self.clock.advance(hours=6)

    def judged(self) -> dict[str, list[str]]:
        return {
            "books": judging.broken_books(),
            **judging.against_provider(self),  # type: ignore[arg-type]
            "set aside": judging.set_aside(),
            "beliefs": list(self.believed.wrong()),
            "papers": list(self.papers_changed()),
            "errors": judging.errors(self.log),
        }

    def charges(self) -> list[dict[str, Any]]:
        return self.fake.rows("charge")

    def papers_changed(self) -> Iterator[str]:
        """What was issued once is there for ever, and says what it said."""
        from billing.models import CreditNote, Invoice

        now = {row[0]: row[1:] for row in Invoice.objects.exclude(number="").values_list("number", *SAYS)}
        now |= {row[0]: row[1:] for row in CreditNote.objects.values_list("number", *SAYS)}
        yield from (
            f"{number}: {said}, now {now.get(number)}"
            for number, said in self.papers.items()
            if said != now.get(number)
        )
        self.papers = now


SAYS = ("customer", "currency", "total", "tax_total", "issued_on")


def jobs() -> list[Any]:
    from django.utils.module_loading import import_string

    from config.schedules import JOBS

    return [import_string(job.function) for job in JOBS if job.function not in NOT_HERE]


# -- Lives ----------------------------------------------------------------------------------------------------


def run(*, seed: int, steps: int, lot: list[tuple[Act, int]] = ACTS) -> Report:
    """One life of so many steps, judged at its end and, cheaply, on its way. lot: its acts, and how often each."""
    started = time.monotonic()
    report = Report("anything", seed)
    with tempfile.TemporaryDirectory() as folder, surroundings(Life(seed, Path(folder), report, lot)) as life:
        life.begins()
        for n in range(steps):
            life.step()
            if n % 50 == 49 and (broken := [*life.papers_changed(), *life.believed.wrong()]):
                report.found["on the way"] = [f"step {n}: {words}" for words in broken]
                break
        life.ends()
        report.found |= life.judged()
    report.counts["steps"] += steps
    report.seconds = time.monotonic() - started
    return report


@contextlib.contextmanager
def surroundings(life: Life) -> Iterator[Life]:
    """The life's time and bank for the whole process; papers are not printed."""
    import stripe
    import time_machine

    from billing import gateway
    from billing.fakestripe import FakeStripeHTTPClient
    from tests.faults.provider import KEY

    http = FakeStripeHTTPClient(life.fake)
    with (
        time_machine.travel(life.now, tick=False) as traveller,
        mock.patch.object(life.clock, "set", moving(life.clock.set, traveller)),
        mock.patch.object(stripe, "default_http_client", http), mock.patch.object(stripe, "api_key", KEY),
        mock.patch("billing.papers.isolated.render_isolated", return_value=b"%PDF a paper"),
        mock.patch("sales.quote_papers.print_paper", return_value=b"%PDF a quote"),
        mock.patch("billing.webhooks_in.mirror"),
        gateway.use(gateway.Gateway(gateway.client(http, KEY))),
    ):  # fmt: skip
        yield life


def moving(move: Any, traveller: Any) -> Any:
    def to(at: datetime) -> None:
        move(at)
        traveller.move_to(at, tick=False)

    return to

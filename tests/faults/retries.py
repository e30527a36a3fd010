"""F43: a web process is killed in the middle of a request with an `Idempotency-Key`; its client tries again.

A second later the same request is refused as still running, or answered if the answer was kept; ninety-one seconds
later it is taken up, and the answer stays the same from then on. A subscription is made then, once. A payment that was
on its way is not made again: the answer is what came of it. The
places at which the process dies are those that the request passes (see `points`).
"""

import json
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from tests.faults import processes, work, world
from tests.faults.kills import Report, Round, a_round
from tests.faults.points import Points

Ask = Callable[[], Any]


def run(*, seed: int, kills: int = 100) -> Report:
    started = time.monotonic()
    report = Report("a request killed in the middle", seed)
    retries: list[str] = []
    asked: list[Request] = []
    with a_round(seed, customers=0) as this:
        requests = [request(this) for request in (starts_a_subscription, pays_an_invoice)]
        places = [(ask, name) for ask in requests for name in passed_by(this, ask)]
        report.counts["points"] = len(places)
        while report.kills < kills:
            ask, name = places[report.kills % len(places)]
            report.kills += 1
            asked.append(ask())
            retries += [f"{name}: {words}" for words in killed_and_retried(this, asked[-1], name, report)]
        done = this.judge(report, started)
        wrong = [ask for ask in asked if ask.happened() not in ask.times]
    done.found["retries"] = retries
    done.found["not once"] = [f"{ask.path}: {ask.happened()} times" for ask in wrong]
    return done


def killed_and_retried(this: Round, ask: "Request", name: str, report: Report) -> list[str]:
    """What is wrong with the three answers."""
    if dies(this, ask, Points(name)) != signal.SIGKILL:
        return ["it was not killed"]
    with work.ready(this.provider):
        soon, late, again = (ask.at(timedelta(seconds=s)) for s in (1, 91, 92))
    report.counts[f"{soon.status_code} after a second"] += 1
    wrong = []
    if soon.status_code not in (409, *ask.statuses):
        wrong.append(f"{soon.status_code} after a second: {soon.content!r}")
    if (
        late.status_code not in ask.statuses
        or b"idempotency" in late.content
        or late.content != again.content
    ):
        wrong.append(f"{late.status_code} after 91 seconds: {late.content!r}, then {again.content!r}")
    return wrong


def dies(this: Round, ask: "Request", points: Points) -> int:
    def live() -> None:
        points.install()
        with work.ready(this.provider):
            ask.at(timedelta(0))

    return processes.wait(processes.fork(live, this.log), 60)


def passed_by(this: Round, made: Callable[[], "Request"]) -> list[str]:
    """The points that a request passes, from a child that lives."""
    listed, first, ask = this.log.with_name("passed"), made(), made()

    def live() -> None:
        points = Points()
        points.install()
        with work.ready(this.provider):
            first.at(timedelta(0))  # what is done once in a while is done now
            points.passed.clear()
            ask.at(timedelta(0))
        listed.write_text(json.dumps(sorted(points.passed)))

    processes.wait(processes.fork(live, this.log), 60)
    names: list[str] = json.loads(listed.read_text())
    return names


# -- The requests ----------------------------------------------------------------------------------------------


class Request:
    """A POST with a key of its own. `happened`: how often its effect is there; `times`: how often it may be, when
    everything is settled."""  # fmt: skip

    statuses, times = (201,), (1,)

    def __init__(self, secret: str, path: str, body: dict[str, Any], happened: Callable[[], int]):
        self.path, self.body, self.happened = path, body, happened
        self.headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": f"k-{time.monotonic_ns()}"}
        self.now = datetime.now(tz=world.START.tzinfo)

    def at(self, later: timedelta) -> Any:
        from django.test import Client

        with mock.patch("django.utils.timezone.now", return_value=self.now + later):
            return Client(raise_request_exception=False).post(
                f"/api/v1/{self.path}",
                json.dumps(self.body),
                content_type="application/json",
                headers=self.headers,
            )


class Payment(Request):
    """Made again it says what came of it; it may be given up, when it is sure that the provider was never asked."""

    statuses, times = (200,), (0, 1)


def secret() -> str:
    from django.utils import timezone

    from billing import keys

    return keys.issue(name="it", livemode=False, now=timezone.now())[1]


def starts_a_subscription(this: Round) -> Callable[[], Request]:
    key = secret()

    def made() -> Request:
        customer = world.someone(this.clock(), this.dice)
        body = {"customer": customer.pk, "plan": "pro", "quantity": 3}
        return Request(key, "subscriptions", body, lambda: int(customer.invoices.count()))

    return made


def pays_an_invoice(this: Round) -> Callable[[], Request]:
    key = secret()

    def made() -> Request:
        from billing import cards

        row = world.on_account(this.clock(), this.dice)
        cards.save(customer=row.customer, payment_method="pm_card_visa", now=this.clock(), actor="system")
        invoice = row.invoices.get()

        def happened() -> int:
            return sum(
                charge["status"] == "succeeded" and charge["metadata"]["tandem_key"] in keys_of(invoice)
                for charge in this.provider.charges()
            )

        return Payment(key, f"invoices/{invoice.pk}/pay", {}, happened)

    return made


def keys_of(invoice: Any) -> set[str]:
    return set(invoice.payments.values_list("key", flat=True))

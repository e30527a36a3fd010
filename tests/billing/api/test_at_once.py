"""The same requests at the same moment: sixteen processes, each on a session of its own, round after round.

`make races` does it 200 times.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from billing import keys
from billing.models import CreditNote, Customer, Event, Invoice, Subscription
from tests.fixtures_billing import NOON
from tests.races import PROCESSES, ROUNDS, in_processes

pytestmark = pytest.mark.django_db(transaction=True)
# Of seats: each round is sixteen changes one after another.
OF_SEATS = max(1, ROUNDS // 4)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    replayed: bool

    @property
    def code(self) -> str:
        return json.loads(self.body)["code"] if self.status >= 400 else ""


Send = Callable[..., Answer]


@pytest.fixture
def send(catalogue, no_request_limits) -> Send:
    """send(path, body, key="") posts it, from a client of its own."""
    _, secret = keys.issue(name="race", livemode=False, now=NOON)

    def post(path: str, body: dict[str, Any], key: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {secret}", **({"Idempotency-Key": key} if key else {})}
        sent = json.dumps(body)
        answer = Client().post(f"/api/v1/{path}", sent, content_type="application/json", headers=headers)
        return Answer(answer.status_code, answer.content, answer.get("Idempotent-Replayed") == "true")

    post("customers", {})  # what the first request imports, before there are sixteen processes
    return post


def done_once(answers: list[Answer], again: Answer) -> None:
    """One did it; who came later has its bytes, or was told to wait; who asks again has its bytes."""
    done = [answer for answer in answers if answer.status < 400]
    assert sum(not answer.replayed for answer in done) == 1
    assert {answer.body for answer in done} == {again.body}
    assert again.replayed
    waiting = {(answer.status, answer.code) for answer in answers if answer.status >= 400}
    assert waiting <= {(409, "idempotency_in_progress")}


def test_one_key_and_one_body_are_done_once_and_answered_alike(send, make_customer, books):
    buyers = [make_customer().pk for _ in range(ROUNDS)]

    def start(turn: int, process: int = 0) -> Answer:
        body = {"customer": buyers[turn], "plan": "pro", "quantity": 3}
        return send("subscriptions", body, key=f"start-{turn}")

    for turn, answers in enumerate(in_processes(start)):
        done_once(answers, again=start(turn))
    assert Subscription.objects.count() == Invoice.objects.count() == ROUNDS
    assert Event.objects.filter(type="subscription.created").count() == ROUNDS


def test_of_several_bodies_with_one_key_one_is_done(send, books):
    bodies = 4  # each sent by four of the sixteen

    def make(turn: int, process: int) -> Answer:
        body = {"name": f"Acme {process % bodies}", "email": "a@b.example"}
        return send("customers", body, key=f"make-{turn}")

    for turn, answers in enumerate(in_processes(make)):
        (winner,) = {n % bodies for n, answer in enumerate(answers) if answer.status == 201}
        done_once(answers[winner::bodies], again=make(turn, winner))
        others = [answer for n, answer in enumerate(answers) if n % bodies != winner]
        assert Counter((answer.status, answer.code) for answer in others) == {
            (422, "idempotency_mismatch"): PROCESSES - PROCESSES // bodies
        }
    assert Customer.objects.count() == ROUNDS


def test_one_external_id_is_taken_once(send):
    def make(turn: int, process: int) -> int:
        return send(
            "customers", {"name": "Acme", "email": "a@b.example", "external_id": f"acme-{turn}"}
        ).status

    for answers in in_processes(make):
        assert Counter(answers) == {201: 1, 409: PROCESSES - 1}
    assert Customer.objects.count() == ROUNDS


@pytest.fixture
def subscriptions(send, make_customer) -> list[str]:
    """The ids of one subscription with three seats for each round."""

    def start() -> str:
        body = {"customer": make_customer(country="").pk, "plan": "pro", "quantity": 3}
        return str(json.loads(send("subscriptions", body).body)["id"])

    return [start() for _ in range(OF_SEATS)]


def billed(subscription: Subscription) -> int:
    """Cents that its papers say in all."""
    papers = (
        Invoice.objects.filter(customer=subscription.customer),
        CreditNote.objects.filter(invoice__customer=subscription.customer),
    )
    invoiced, credited = (sum(paper.total for paper in each) for each in papers)
    return invoiced - credited


def test_sixteen_numbers_of_seats_end_as_one_of_them_billed_to_the_cent(send, subscriptions, books):
    """Each is asked for twice with its key, as by a client that had no answer."""

    def change(turn: int, process: int) -> tuple[Answer, Answer]:
        path, body = (
            f"subscriptions/{subscriptions[turn]}/changes",
            {"quantity": 4 + process, "effective": "now"},
        )
        first, again = (send(path, body, key=f"seats-{turn}-{process}") for _ in range(2))
        return first, again

    for answers in in_processes(change, rounds=OF_SEATS):
        assert {first.status for first, _ in answers} == {200}
        assert all(again.replayed and again.body == first.body for first, again in answers)
    for row in Subscription.objects.all():
        seats = row.mrr // 2900
        assert 4 <= seats < 4 + PROCESSES
        assert billed(row) == seats * 2900
    changes = Event.objects.filter(type="subscription.changed")
    assert changes.count() == PROCESSES * OF_SEATS


def test_one_change_of_seats_with_one_key_is_billed_once(send, subscriptions, books):
    def change(turn: int, process: int = 0) -> Answer:
        path = f"subscriptions/{subscriptions[turn]}/changes"
        return send(path, {"quantity": 7, "effective": "now"}, key=f"seats-{turn}")

    for turn, answers in enumerate(in_processes(change, rounds=OF_SEATS)):
        done_once(answers, again=change(turn))
    assert {billed(row) for row in Subscription.objects.all()} == {7 * 2900}
    assert Invoice.objects.count() == 2 * OF_SEATS
    assert Event.objects.filter(type="subscription.changed").count() == OF_SEATS

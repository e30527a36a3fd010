"""Requests at the same moment: sixteen threads, each on a connection of its own, behind a barrier."""

import json

import pytest
from django.test import Client

from billing import keys
from billing.models import CreditNote, Customer, Invoice, Subscription
from tests.fixtures_billing import NOON
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 16


@pytest.fixture
def send(catalogue, no_request_limits):
    """send(path, body, key="") -> a function that posts it, each time from a client of its own."""
    _, secret = keys.issue(name="race", livemode=False, now=NOON)

    def prepared(path, body, key=""):
        headers = {"Authorization": f"Bearer {secret}", **({"Idempotency-Key": key} if key else {})}

        def post():
            return Client().post(
                f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers
            )

        return post

    return prepared


def test_one_key_makes_one_subscription_and_one_answer(send, make_customer, books):
    customer = make_customer()
    post = send("subscriptions", {"customer": customer.pk, "plan": "pro", "quantity": 3}, key="start")
    answers = at_once(*[post] * THREADS)
    assert {a.status_code for a in answers} <= {201, 409}
    running = [json.loads(a.content)["code"] for a in answers if a.status_code == 409]
    assert set(running) <= {"idempotency_in_progress"}
    assert len({a.content for a in [*answers, post()] if a.status_code == 201}) == 1
    assert (Subscription.objects.count(), Invoice.objects.count()) == (1, 1)


def test_two_requests_with_one_key_never_both_happen(send):
    deeds = [
        send("customers", {"name": name, "email": "a@b.example"}, key="same") for name in ("Acme", "Other")
    ]
    answers = at_once(*deeds * (THREADS // 2))
    assert {a.status_code for a in answers} <= {201, 409, 422}
    assert Customer.objects.count() == 1


def test_one_external_id_is_taken_once(send):
    post = send("customers", {"name": "Acme", "email": "a@b.example", "external_id": "acme"})
    answers = at_once(*[post] * THREADS)
    assert sorted(a.status_code for a in answers) == [201] + [409] * (THREADS - 1)
    assert Customer.objects.count() == 1


def test_seats_changed_at_once_end_as_one_of_them_and_are_billed_to_the_cent(send, make_customer, books):
    customer = make_customer(country="")
    subscription = json.loads(
        send("subscriptions", {"customer": customer.pk, "plan": "pro", "quantity": 3})().content
    )["id"]
    wanted = range(4, 4 + THREADS)
    answers = at_once(
        *(send(f"subscriptions/{subscription}/changes", {"quantity": n, "effective": "now"}) for n in wanted)
    )
    assert {a.status_code for a in answers} == {200}
    row = Subscription.objects.get()
    seats = row.mrr // 2900
    assert seats in wanted
    said = sum(invoice.total for invoice in Invoice.objects.all())
    said -= sum(note.total for note in CreditNote.objects.all())
    assert said == seats * 2900

"""The short form of `python -m tests.faults outages`, and that nothing else is said when the database is away."""

import logging

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from tests.faults import outages


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)  # what the database did not answer is logged, as it should
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.django_db(transaction=True)
def test_it_comes_back_by_itself_and_loses_nothing_it_has_taken():
    report = outages.run(
        seed=7, crashes=1, gone=0.7, full=0.5, slow=1, delay=0.05, soon=30
    )  # a busy machine is slow
    assert report.clean, "\n".join(report.lines())
    assert report.counts["503"]
    assert report.counts["taken"] > 10


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, psycopg.OperationalError])
@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/admin/", "text/html; charset=utf-8"),  # the seller's zone is read by middleware
        ("/checkout/nowhere/", "text/html; charset=utf-8"),
        ("/portal/", "text/html; charset=utf-8"),
        ("/healthz", "application/json"),
        ("/api/v1/customers", "application/problem+json"),
    ],
)
def test_every_address_asks_to_come_again(monkeypatch, error, address, kind):
    def away(*args, **options):
        raise error("the connection is closed")

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", away)
    monkeypatch.setattr("billing.prepared._connected", away)
    headers = {"Cookie": "sessionid=somebodys", "Authorization": "Bearer sk_test_something"}
    answer = Client(raise_request_exception=False).get(address, headers=headers)
    if address == "/portal/" and answer.status_code == 302:
        return  # asks who it is, without the database
    assert (answer.status_code, answer["Content-Type"]) == (503, kind)
    assert int(answer["Retry-After"]) >= 1
    assert "closed" not in answer.text

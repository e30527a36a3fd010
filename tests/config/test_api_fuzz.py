"""Every operation of the published schema against what a generator makes of it: no 5xx, no answer that the schema does
not describe, nothing taken that it forbids, nothing refused as malformed that it allows. The same few requests each
time; `FUZZ_EXAMPLES=200` sends so many others to each operation, about things that there are, and every boundary of
every field, and lives as many lives of several requests each, in which one answer leads to the next by the links of the
schema.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.signals import request_started
from django.db import close_old_connections, transaction
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from billing import keys
from config.wsgi import application
from tests.fixtures_billing import NOON
from tests.fixtures_stripe import undone

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))


def alone(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Each request in a savepoint, as each has a transaction of its own on a server."""
    request_started.disconnect(close_old_connections)
    try:
        with transaction.atomic():
            return application(environ, start_response)
    finally:
        request_started.connect(close_old_connections)


THOROUGH = "FUZZ_EXAMPLES" in os.environ
schema = schemathesis.openapi.from_wsgi(
    "/api/v1/schema/",
    application,
    config=schemathesis.Config.from_dict(
        {
            "phases": {
                "coverage": {"enabled": THOROUGH},
                "fuzzing": {"extra-data-sources": {"responses": False}},
                # Its own guesses at what leads where, and what it learns on the way, make a life another one when it is
                # lived again.
                "stateful": {"inference": {"algorithms": []}, "link-calibration": False},
            }
        }
    ),
)
schema.app = alone


@pytest.fixture
def secret(catalogue, no_request_limits):
    return keys.issue(name="fuzz", livemode=False, now=NOON)[1]


@pytest.fixture
def world(request):
    """The ids that stand for those of an address: without them nearly every request would end at 404."""
    return request.getfixturevalue("things") if THOROUGH else {}


def aim(case: schemathesis.Case, world: Mapping[str, str]) -> None:
    """At something that there is, where the generator meant a right id, and with words that it would not find."""
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        for name in world.keys() & (case.path_parameters or {}).keys():
            case.path_parameters[name] = world[name]
    if world and case.meta.generation.mode == GenerationMode.POSITIVE and len(str(case.body)) % 2:
        likely(case.body)


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    derandomize=not THOROUGH,
    database=None,
)
def test_it_answers_as_the_schema_says(case, world, secret, fake_stripe):
    aim(case, world)
    before = transaction.savepoint_create()
    try:
        with undone(fake_stripe):
            hold(case, secret)
    finally:
        transaction.savepoint_rollback(before)


def hold(case: schemathesis.Case, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    batch = case.operation.label == USAGE
    # What it allows may still be refused for what the world is like: 404, 409, 422.
    excluded = [positive_data_acceptance, negative_data_rejection] if batch else [positive_data_acceptance]
    response = case.call_and_validate(headers=headers, excluded_checks=excluded)
    if batch and case.meta.generation.mode == GenerationMode.NEGATIVE and response.status_code == 202:
        assert response.json()["accepted"] == 0, response.text
    if case.meta.generation.mode == GenerationMode.POSITIVE and response.status_code == 400:
        assert set(codes(response)) <= UNSAID, response.text


# Of a batch the good events are kept: a wrong one is named in the answer, which is a 202 all the same.
USAGE = "POST /api/v1/usage_events"
# What no schema can say of a value: that a page begins there, that a range has days, that a year is near, that a
# number has few decimals or digits.
UNSAID = {
    "invalid_cursor", "invalid_range", "invalid_timestamp", "invalid_characters", "ambiguous", "invalid_percentage",
    "invalid_number",
}  # fmt: skip


def codes(response: Any) -> Iterable[str]:
    problem = response.json()
    return [error["code"] for error in problem["errors"]] or [problem["code"]]


# -- Lives ----------------------------------------------------------------------------------------------------

AREAS = {
    "subscriptions": "/(customers|subscriptions|discounts|test_clocks)",
    "papers": "/(customers|invoices|credit_notes|payments|sign_offs)",
    "sales": "/(customers|leads|deals|quotes|signals|handoff_tasks)",
    "catalogue": "/(plans|meters|usage|tax_rates|discounts)",
    "edges": "/(customers|webhook_endpoints|checkout_sessions|portal_sessions|usage_imports)",
}
STEPS = 8
# Words that no generator finds, so that some of its lives come further than their first request.
KNOWN = {
    "email": "ada@acme.example", "plan": "pro", "quantity": 5, "interval": "month", "country": "DE", "currency": "USD",
    "timezone": "Europe/Berlin", "url": "https://8.8.8.8/", "success_url": "http://testserver/",
    "cancel_url": "http://testserver/", "payment_method": "pm_card_visa", "time": "2026-01-15T12:00:00Z",
    "motion": "self_serve", "collection_method": "send_invoice", "amount": "1.00",
}  # fmt: skip
# What seldom fits: left out of most.
IN_THE_WAY = (
    "quantities",
    "discount",
    "discounts",
    "anchor",
    "trial_end",
    "domain",
    "tax_id",
    "start_at",
    "currency",
)


def likely(body: Any) -> None:
    """The body as somebody would send it who knows the catalogue; what a link has filled in stays."""
    if isinstance(body, dict) and len(str(body)) % 5:
        for name in set(body) & set(IN_THE_WAY):
            del body[name]
        body.update({name: KNOWN[name] for name in body.keys() & KNOWN.keys()})
        if body.keys() == {"to"}:  # of a clock, not of money
            body["to"] = "2026-02-20T12:00:00Z"


@pytest.mark.skipif(not THOROUGH, reason="minutes: FUZZ_EXAMPLES=200")
@pytest.mark.parametrize("area", AREAS)
def test_one_answer_leads_to_the_next(area, secret):
    machine = schema.include(path_regex=AREAS[area]).as_state_machine()

    class Life(machine):  # type: ignore[misc, valid-type]
        def setup(self) -> None:
            """Each life begins in the same world, so that a failing one can be made shorter."""
            self.before = transaction.savepoint_create()

        def teardown(self) -> None:
            transaction.savepoint_rollback(self.before)

        def before_call(self, case: schemathesis.Case) -> None:
            if case.meta.generation.mode == GenerationMode.POSITIVE:
                likely(case.body)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {secret}"}}

        def validate_response(self, response: Any, case: schemathesis.Case, **sent: Any) -> None:
            left_out = [positive_data_acceptance, negative_data_rejection, ignored_auth]
            case.validate_response(
                response, excluded_checks=left_out, transport_kwargs=sent, recorder=self.recorder
            )
            done[case.operation.label, response.status_code // 100] += 1

    done: Counter[tuple[str, int]] = Counter()
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Life, settings=settings)
    print(area, sorted(done.items()))
    if EXAMPLES >= 50:
        assert any(status == 2 and "{" in label for label, status in done), "nothing was followed"

"""Every operation of the published schema against what a generator makes of it: no 5xx, no answer that the schema does
not describe, nothing taken that it forbids, nothing refused as malformed that it allows. The same few requests each
time; `FUZZ_EXAMPLES=200` sends so many others to each operation, and every boundary of every field.
"""

import os
from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.signals import request_started
from django.db import close_old_connections, transaction
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from billing import keys
from config.wsgi import application
from tests.fixtures_billing import NOON

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
    config=schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": THOROUGH}}}),
)
schema.app = alone


@pytest.fixture
def secret(catalogue, no_request_limits):
    return keys.issue(name="fuzz", livemode=False, now=NOON)[1]


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    derandomize=not THOROUGH,
    database=None,
)
def test_it_answers_as_the_schema_says(case, secret):
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

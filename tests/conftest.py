"""Where shared fixtures come from; each module says what it is for."""

import importlib.util

pytest_plugins = [
    "tests.machine",
    "tests.fixtures_billing",
    "tests.fixtures_api",
    "tests.fixtures_outside",
    "tests.fixtures_role",
    "tests.facts_said",
]
if importlib.util.find_spec("tests.fixtures_stripe"):
    pytest_plugins.append("tests.fixtures_stripe")

"""What tests need from the machine: a PostgreSQL (their own, unless DATABASE_URL names one), a Chromium."""

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

import environ
import pytest

from config import chromium, embedded

LONGEST = 60_000  # milliseconds that a browser waits for what must come: a busy machine is slow
RUNNING = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    # Every test's client starts the middleware anew, which would list all static files each time (0.1 s).
    settings.WHITENOISE_AUTOREFRESH = True
    # A password that is kept for real takes half a second to hash, on purpose.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    config.stash[RUNNING] = contextlib.ExitStack()
    if config.getoption("numprocesses", None):
        start_server(config)  # once, before the workers that will share it
    else:
        gc.disable()  # until everything is collected


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[RUNNING].close()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request, django_db_modify_db_settings_parallel_suffix) -> None:
    """pytest-django's hook before the first test that needs a database."""
    start_server(request.config)


def start_server(config: pytest.Config) -> None:
    from django.conf import settings

    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = url = config.stash[RUNNING].enter_context(embedded.in_use(None))
        settings.DATABASES["default"]["HOST"] = environ.Env.db_url_config(url)["OPTIONS"]["host"]


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: the collector of garbage never walks over it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and not chromium.find_chromium():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(chromium.HOW_TO_GET_ONE)


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly() -> None:
    """Tests that commit leave an empty database (`tests/emptying.py`), without Django's flush."""
    from django.test import TransactionTestCase

    from tests.emptying import empty

    TransactionTestCase._fixture_teardown = lambda self: empty()


@pytest.fixture(scope="module")
def real_browser() -> Iterator[Any]:
    """The machine's own Chromium, driven by Playwright; its tests speak to the database beside Playwright's loop."""
    from playwright.sync_api import expect, sync_playwright

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    expect.set_options(timeout=LONGEST)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium.find_chromium(), args=chromium.flags())
        yield opened
        opened.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]

"""Tandem on one machine, for trying it: database, web server and job worker, with sample data."""

import contextlib
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from config import children, embedded, schedules

ANSWERS_WITHIN = 120.0  # seconds
STOPPED_WITHIN = 8.0
CHECKOUT = Path(settings.BASE_DIR)
Say = Callable[[str], object]


class UnableToStart(Exception):
    """The demo cannot run here; the message says why and what to do."""


def run(say: Say) -> None:
    """Start everything, say where it is, and stop it all on Ctrl-C, SIGTERM or the end of one part."""
    refuse_taken_port(settings.PORT)
    log_to_file()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as running, contextlib.suppress(KeyboardInterrupt):
        if settings.EMBEDDED:
            running.enter_context(embedded.in_use(settings.TANDEM_HOME))
            say("Database ready")
        prepare(say)
        parts = running.enter_context(started())
        parts["web"] = child("web", "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi")
        wait_for_first_page(parts)
        fill(say)
        parts["worker"] = child("worker", "manage.py", "qcluster")
        say(welcome(sample()))
        keep_running(parts)
        say("Stopping")


def log_to_file() -> None:
    """What this process logs goes where its children's logs are; the terminal is for `say`."""
    handler = logging.FileHandler(children.log_file(settings.TANDEM_HOME, "demo"))
    handler.setFormatter(logging.Formatter(settings.LOG_FORMAT))
    logging.getLogger().handlers = [handler]


def refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnableToStart(
                f"Port {port} is taken ({error.strerror}). Choose another: make demo PORT={port + 1}"
            ) from error


# -- Data -------------------------------------------------------------------------------------------


def prepare(say: Say) -> None:
    """Bring the database up to date, with what is sold in it when it is empty."""
    unfinished = settings.SAMPLE_UNFINISHED
    if settings.EMBEDDED and unfinished.exists():
        say("An earlier start was cut off while it made the sample data; beginning anew")
        connection.close()
        embedded.empty(settings.TANDEM_HOME)
        for file in ("", "-wal", "-shm"):
            Path(settings.STRIPE_FAKE_STORE + file).unlink(missing_ok=True)
    call_command("migrate", interactive=False, verbosity=0)
    schedules.write(jobs=schedules.JOBS, now=timezone.now())
    say("Tables ready")
    module = sample()
    if module and is_empty():
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        module.ship()
    else:
        unfinished.unlink(missing_ok=True)
    connection.close()


def fill(say: Say) -> None:
    """Make the sample data where there are none. The web server tells visitors how far it is (`SampleGate`)."""
    module, unfinished = sample(), settings.SAMPLE_UNFINISHED
    if module is None or not unfinished.exists():
        return
    say(
        f"First page: {urljoin(settings.SITE_URL, '/pricing/')} - the rest opens when the sample data are there"
    )

    def tell(words: str) -> None:
        unfinished.write_text(words.strip())
        say(words)

    module.load(tell)
    unfinished.unlink(missing_ok=True)
    say("Sample data ready")
    connection.close()


def is_empty() -> bool:
    from billing.models import Customer

    return not Customer.objects.exists()


def sample() -> ModuleType | None:
    return importlib.import_module("config.sample") if (CHECKOUT / "config" / "sample.py").exists() else None


# -- Processes ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def started() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The web server and the job worker, by name: what is put there runs no longer than the block."""
    parts: dict[str, subprocess.Popen[bytes]] = {}
    try:
        yield parts
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # asking a second time changes nothing
        for part in parts.values():
            part.terminate()
        for part in parts.values():
            children.stop(part, signal.SIGTERM, STOPPED_WITHIN)


def child(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TANDEM_DEMO": "1", "PORT": str(settings.PORT)}
    environment["TANDEM_HOME"] = str(settings.TANDEM_HOME)
    with children.log_file(settings.TANDEM_HOME, name).open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; we pass it on
            preexec_fn=children.dying_with_parent(signal.SIGTERM),
        )


def wait_for_first_page(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + ANSWERS_WITHIN
    for path in ("/healthz", "/pricing/"):
        while not answers(f"http://127.0.0.1:{settings.PORT}{path}"):
            refuse_dead(parts)
            if time.monotonic() > deadline:
                raise UnableToStart(f"The web server does not answer; see {settings.TANDEM_HOME}/log/web.log")
            time.sleep(0.1)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=10).close()  # noqa: S310  (our own address)
    except urllib.error.HTTPError:
        return True  # an answer all the same
    except OSError:
        return False
    return True


def keep_running(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            refuse_dead(parts)
            time.sleep(0.5)


def refuse_dead(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, part in parts.items():
        if part.poll() is not None:
            words = children.last_words(settings.TANDEM_HOME, name)
            raise UnableToStart(f"The {name} process ended with code {part.returncode}:\n{words}")


# -- Words ----------------------------------------------------------------------------------------------


def welcome(module: ModuleType | None) -> str:
    """The box with every address and sign-in of the sample."""
    rows = [("Who", "Where", "E-mail", "Sign in")]
    rows += [
        (who, urljoin(settings.SITE_URL, where), mail, how) for who, where, mail, how in sign_ins(module)
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines[1:1] = [""]
    foot = [f"Data and logs: {settings.TANDEM_HOME}", "Ctrl-C stops everything; the data stay."]
    return boxed([f"Tandem runs at {settings.SITE_URL}", "", *lines, "", *foot])


def sign_ins(module: ModuleType | None) -> list[tuple[str, str, str, str]]:
    return list(module.SIGN_INS) if module else [("Staff", "/admin/", "", "no sample data yet")]


def boxed(lines: list[str]) -> str:
    """Between two rules; without sides, which a narrow terminal would fold into a muddle."""
    rule = "-" * min(100, max(len(line) for line in lines) + 2)
    return "\n".join([rule, *(f" {line}".rstrip() for line in lines), rule])

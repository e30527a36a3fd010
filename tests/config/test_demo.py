"""`manage.py demo`, as somebody who tries it meets it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from config import demo
from config.embedded import server

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST_PAGE_WITHIN = 480.0  # seconds; a busy machine makes the sample data slowly
GONE_WITHIN = 60.0


@pytest.fixture
def home() -> Iterator[Path]:
    folder = server.throw_away_home()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_demo(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with (home / "demo.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo"],
            cwd=CHECKOUT,
            env={**environment, "TANDEM_HOME": str(home), "PORT": str(port)},
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def words(home: Path) -> str:
    return (home / "demo.log").read_text()


def answer(port: int) -> int | None:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def status_of(port: int, path: str) -> int:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def wait_for(text: str, process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + FIRST_PAGE_WITHIN
    while text not in words(home):
        assert process.poll() is None, words(home)
        assert time.monotonic() < deadline, words(home)
        time.sleep(0.1)


def wait_for_box(process: subprocess.Popen[bytes], home: Path) -> None:
    wait_for("Ctrl-C stops everything", process, home)


def using(home: Path) -> list[str]:
    """The commands of the processes that work on `home`: named in their arguments or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if os.fsencode(home) in text and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def wait_until_gone(home: Path) -> None:
    deadline = time.monotonic() + GONE_WITHIN
    while using(home):
        assert time.monotonic() < deadline, using(home)
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at Linux's process table")
def test_it_runs_survives_a_kill_and_stops(home: Path, port: int) -> None:
    with running_demo(home, port) as first:
        wait_for("First page", first, home)
        assert (status_of(port, "/pricing/"), status_of(port, "/portal/")) == (200, 503)
        wait_for_box(first, home)
        assert status_of(port, "/portal/") == 200
        assert answer(port) == 200
        assert f"Tandem runs at http://127.0.0.1:{port}" in words(home)
        first.kill()
        first.wait()
        wait_until_gone(home)
    with running_demo(home, port) as second:
        wait_for_box(second, home)
        assert answer(port) == 200
        second.send_signal(signal.SIGTERM)
        assert second.wait(GONE_WITHIN) == 0
        wait_until_gone(home)
    assert answer(port) is None


def test_it_says_that_the_port_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(demo.UnableToStart, match=rf"Port {port} is taken .* make demo PORT={port + 1}"):
            demo.refuse_taken_port(port)


def test_it_refuses_production(settings) -> None:
    from django.core.management import CommandError, call_command

    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="not for TANDEM_ENV=production"):
        call_command("demo")


@pytest.mark.parametrize(
    ("going", "told", "not_told"),
    [
        ("", ["ada@harbourworks.example", "finance@lumen.example", "tandem-demo-2026"], []),
        ("?next=/admin/sales/deal/", ["rep@lumen.example", "tandem-demo-2026"], ["ada@harbourworks.example"]),
        ("?next=/portal/usage/", ["ada@harbourworks.example"], ["rep@lumen.example", "tandem-demo-2026"]),
    ],
)
@pytest.mark.django_db
def test_who_signs_in_is_told_who_there_is_in_the_demo_alone(client, settings, going, told, not_told) -> None:
    settings.DEMO = True
    page = client.get(f"/accounts/login/{going}").text
    assert [words for words in told if words not in page] == []
    assert [words for words in not_told if words in page] == []
    settings.DEMO = False
    page = client.get(f"/accounts/login/{going}").text
    assert [words for words in told if words in page] == []


def test_it_tells_every_sign_in(settings) -> None:
    settings.SITE_URL = "http://127.0.0.1:8000"
    sample = SimpleNamespace(
        SIGN_INS=[
            ("Sales", "/admin/", "rita@example.com", "password"),
            ("Elsewhere", "http://x.test/", "", "a code"),
        ]
    )
    lines = demo.welcome(sample).splitlines()
    assert lines[0] == lines[-1] == "-" * len(lines[0])
    assert any("http://127.0.0.1:8000/admin/" in line and "rita@example.com" in line for line in lines)
    assert any("http://x.test/" in line for line in lines)

"""Papers in a process of their own: the same bytes, and nothing stuck when one goes wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.conf import settings

from billing.papers import isolated, render
from billing.papers.annex import MOST_ROWS
from billing.papers.data import PaperDoesNotAddUp
from billing.papers.isolated import Helper, PaperFailed, allowed_memory, allowed_seconds, render_isolated
from tests.billing.papers import samples


@pytest.fixture(scope="module", autouse=True)
def no_helper_left() -> Iterator[None]:
    yield
    isolated._helper().stop()


def test_it_makes_the_same_bytes() -> None:
    grouped = samples.invoice(samples.line(group="Team A"), samples.line(group="Team B"), notes="Thanks")
    for paper in (samples.usual_invoice(), grouped):
        assert render_isolated(paper) == render.invoice_pdf(paper)
    assert render_isolated(samples.quote()) == render.quote_pdf(samples.quote())


def test_it_kills_what_takes_too_long_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "GRACE", 60)  # a busy machine is slow
    began = time.monotonic()
    with pytest.raises(PaperFailed, match="longer than 1 seconds"):
        render_isolated(samples.long_invoice(MOST_ROWS), seconds=1)
    assert time.monotonic() - began < isolated.GRACE
    assert render_isolated(samples.usual_invoice()).startswith(b"%PDF")


def test_it_bounds_memory_and_goes_on() -> None:
    with pytest.raises(PaperFailed):
        render_isolated(samples.long_invoice(50), memory=64 * 2**20)
    assert render_isolated(samples.usual_invoice()).startswith(b"%PDF")


def test_it_passes_refusals_on_by_name() -> None:
    with pytest.raises(PaperDoesNotAddUp, match="total"):
        render_isolated(samples.usual_invoice(total=1))


def test_it_starts_again_when_the_helper_died() -> None:
    render_isolated(samples.usual_invoice())
    process = isolated._helper().process
    assert process is not None
    process.kill()
    process.wait()
    assert render_isolated(samples.usual_invoice()).startswith(b"%PDF")


def test_its_helper_goes_when_nothing_is_printed_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "IDLE_SECONDS", 0.1)
    helper = Helper()
    try:
        assert helper.print(samples.usual_invoice(), 30, isolated.MEMORY).startswith(b"%PDF")
        first = helper.process
        assert first is not None
        assert first.wait(timeout=30) == 0
        monkeypatch.setattr(isolated, "IDLE_SECONDS", 60)
        # Asked at the very moment when it goes, nobody has seen yet that it has.
        monkeypatch.setattr(first, "poll", lambda: None)
        assert helper.print(samples.usual_invoice(), 30, isolated.MEMORY).startswith(b"%PDF")
        assert helper.process is not first
    finally:
        helper.stop()


def test_it_gives_up_on_a_helper_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "GRACE", 0)
    helper = Helper()
    with pytest.raises(PaperFailed, match="took too long"):
        helper.print(samples.usual_invoice(), 0, isolated.MEMORY)
    assert helper.process is None


def test_its_helper_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    helper = Helper()
    process = helper._running()
    with open(f"/proc/{process.pid}/environ", "rb") as file:
        environment = file.read()
    helper.stop()
    assert b"DATABASE_URL" not in environment
    assert b"SECRET" not in environment


def test_a_forked_worker_gets_a_helper_of_its_own() -> None:
    kept = isolated._helper()
    child = os.fork()
    if child == 0:
        os._exit(0 if isolated._helper() is not kept else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert isolated._helper() is kept


def test_long_papers_get_more_time() -> None:
    assert allowed_seconds(samples.usual_invoice()) == 30
    assert allowed_seconds(samples.long_invoice(400)) == 50
    assert allowed_seconds(samples.long_invoice(10_000)) == 30 + 25 + 20


def test_long_papers_get_more_memory() -> None:
    """10,000 lines took less than 500 MB of address space, 10 lines less than 300."""
    mebibytes = [allowed_memory(samples.long_invoice(lines)) // 2**20 for lines in (10, 10_000)]
    assert mebibytes == [1024, 1219]


def test_no_paper_outlasts_the_job_that_makes_it() -> None:
    paper = samples.usual_invoice()
    endless = replace(paper, lines=paper.lines * 100_000)
    assert allowed_seconds(endless) + isolated.GRACE < settings.Q_CLUSTER["timeout"]


def test_it_does_not_wait_for_ever_for_another_paper() -> None:
    helper = Helper()
    with helper.lock, pytest.raises(PaperFailed, match="another paper"):
        helper.print(samples.usual_invoice(), 0, isolated.MEMORY)


LEAVES = "import os; os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)"
may_leave = (
    subprocess.run([sys.executable, "-c", LEAVES], check=False, stderr=subprocess.DEVNULL).returncode == 0
)


@pytest.mark.skipif(not may_leave, reason="this system lets nobody have a network of their own")
def test_its_helper_has_no_network() -> None:
    """Not even the machine's own addresses: a database that listens there is out of reach."""
    render_isolated(samples.usual_invoice())
    process = isolated._helper().process
    assert process is not None
    assert os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
    with open(f"/proc/{process.pid}/net/dev") as file:
        assert [line.split(":")[0].strip() for line in file if ":" in line] == ["lo"]
    with open(f"/proc/{process.pid}/net/route") as file:
        assert file.readlines()[1:] == []  # after the heading

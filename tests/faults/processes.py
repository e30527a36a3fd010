"""Children by fork: they start in milliseconds, with everything imported, and never come back into the parent's code."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path


def fork(work: Callable[[], object], log: Path | None = None) -> int:
    """The pid of a child that does `work`. What it raises goes to `log`, a line for each."""
    from django.db import connections

    connections.close_all()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work()
        status = 0
    except BaseException as error:
        note(log, error)
    finally:
        os._exit(status)


def note(log: Path | None, error: BaseException) -> None:
    """One line: the kind, the words, and where in our own code."""
    if log is None:
        traceback.print_exception(error)
        return
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/site-packages/" not in f.filename]
    where = " < ".join(f"{Path(f.filename).stem}.{f.name}:{f.lineno}" for f in frames[-4:][::-1])
    words = " ".join(str(error).split())[:300]
    with log.open("a") as file:
        file.write(f"{type(error).__name__}: {words} @ {where}\n")


def kill(pid: int, number: int = signal.SIGKILL, seconds: float = 15) -> int:
    """Send a signal and wait for the end; its status as `waitpid` gives it. SIGKILL when it takes too long."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return wait(pid, seconds)


def wait(pid: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"process {pid} did not end in {seconds} s")


@contextlib.contextmanager
def running(work: Callable[[], object], log: Path | None = None) -> Iterator[int]:
    pid = fork(work, log)
    try:
        yield pid
    finally:
        kill(pid)

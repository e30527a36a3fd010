"""Papers made in a process of their own, with a limit on memory, processor and time.

A hostile or unlucky document may hang a typesetter or eat its memory; then one child dies, the caller gets
`PaperFailed`, and the worker goes on. A helper process with everything loaded is kept, and forks a child for
each paper, so that isolation costs a fork and not a start. The helper has neither the database nor the
settings, and where the system lets it, no network either.
"""

import atexit
import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from billing.papers.annex import MOST_ROWS
from billing.papers.data import Paper, PaperDoesNotAddUp, UnreadablePaper
from billing.papers.framing import HEAD, request_of
from billing.papers.press import PaperToolsMissing
from billing.papers.render import pdf

ROOT = Path(__file__).parents[2]
SECONDS = 30
# A job is ended after 300 seconds, and then it could not say what happened.
MOST_SECONDS = 240
# Address space in bytes: the loaded helper takes some 300 MiB, as many printed lines as there may be 70 more, and a line
# of the table and the XML some 15 KiB.
MEMORY, MEMORY_OF_A_LINE = 1024 * 2**20, 20 * 2**10
# The helper takes 100 MB and is started in a second or two: it goes when nothing is printed for so long.
IDLE_SECONDS = 300
GRACE = 15  # seconds on top for starting the helper and for passing the result
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "FONTCONFIG_FILE",
)
NAMED: dict[str, type[Exception]] = {
    each.__name__: each for each in (PaperDoesNotAddUp, PaperToolsMissing, UnreadablePaper)
}


class PaperFailed(RuntimeError):
    """The child that made the paper died, ran into a limit or raised; the text says which."""


def render_isolated(paper: Paper, *, seconds: int | None = None, memory: int | None = None) -> bytes:
    """The PDF of `paper`, made in a child with at most `memory` bytes and `seconds` of time and of processor.

    Raises `PaperFailed`, or what `render.pdf` raises. Where the system cannot fork, it is made right here.
    """
    if not hasattr(os, "fork"):
        return pdf(paper)
    seconds = allowed_seconds(paper) if seconds is None else seconds
    return _helper().print(paper, seconds, allowed_memory(paper) if memory is None else memory)


def allowed_seconds(paper: Paper) -> int:
    """Half a minute, a second more for every twenty lines that are printed (a line is typeset in some 10 ms) and for
    every 500 that there are. At most four minutes."""
    lines = len(paper.lines)
    return min(SECONDS + min(lines, MOST_ROWS) // 20 + lines // 500, MOST_SECONDS)


def allowed_memory(paper: Paper) -> int:
    """Bytes: so many that no paper fails for its length alone before it takes too long."""
    return MEMORY + MEMORY_OF_A_LINE * len(paper.lines)


class Helper:
    """The kept process, restarted when it died. One paper at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def print(self, paper: Paper, seconds: int, memory: int) -> bytes:
        """Ask for one paper and wait for it."""
        if not self.lock.acquire(timeout=seconds):
            raise PaperFailed("another paper is being made, which takes long")
        try:
            return self._print(paper, seconds, memory)
        finally:
            self.lock.release()

    def _print(self, paper: Paper, seconds: int, memory: int) -> bytes:
        request = request_of(paper, seconds, memory)
        try:
            verdict, body = self._asked(request, seconds)
        except (OSError, EOFError) as error:
            self.stop()
            raise PaperFailed(f"the paper's helper process is gone: {error}") from error
        if verdict == "ok":
            return body
        raise NAMED.get(verdict, PaperFailed)(body.decode())

    def _asked(self, request: bytes, seconds: int) -> tuple[str, bytes]:
        """What it answers; one that went since nothing had been asked for long, just as this was, is started again."""
        while True:
            process = self._running()
            deadline = time.monotonic() + seconds + GRACE
            try:
                _write(process, request)
                return _reply(process, deadline)
            except (OSError, EOFError):
                if not self._retired():
                    raise

    def _retired(self) -> bool:
        """Whether it has ended by itself; then the next one is another."""
        assert self.process is not None
        try:
            ended = self.process.wait(timeout=1) == 0
        except subprocess.TimeoutExpired:
            return False
        if ended:
            self.process.communicate()  # closes the pipes
            self.process = None
        return ended

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-m", "billing.papers.helper", str(IDLE_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        return self.process

    def stop(self) -> None:
        """End the helper and whatever it forked."""
        if self.process is None or self.owner != os.getpid():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.process = None


_kept: Helper | None = None
_making = threading.Lock()


def _helper() -> Helper:
    """This process's helper; one inherited through a fork belongs to the parent and is left to it."""
    global _kept
    with _making:
        if _kept is None or _kept.owner != os.getpid():
            _kept = Helper()
            atexit.register(_kept.stop)
        return _kept


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def _reply(process: subprocess.Popen[bytes], deadline: float) -> tuple[str, bytes]:
    """(verdict, body) of the next frame."""
    verdict_length, body_length = struct.unpack(HEAD, _read(process, struct.calcsize(HEAD), deadline))
    return _read(process, verdict_length, deadline).decode(), _read(process, body_length, deadline)


def _read(process: subprocess.Popen[bytes], wanted: int, deadline: float) -> bytes:
    assert process.stdout is not None
    got, channel = bytearray(), process.stdout.fileno()
    while len(got) < wanted:
        ready, _, _ = select.select([channel], [], [], max(deadline - time.monotonic(), 0))
        piece = os.read(channel, wanted - len(got)) if ready else b""
        if not piece:
            raise EOFError("it took too long" if not ready else "it ended")
        got += piece
    return bytes(got)

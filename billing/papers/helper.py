"""The helper process of `isolated`: loads the press once, then forks a child with limits for every paper.

python -m billing.papers.helper SECONDS    (requests on standard input, answers on standard output)

It ends when no request comes for so long.
"""

import gc
import json
import os
import select
import signal
import struct
import sys
from datetime import date
from typing import Any, BinaryIO

from billing.papers.data import InvoicePaper, PaperLine, Party, Seller
from billing.papers.framing import HEAD, frame, paper_of
from billing.papers.press import PaperToolsMissing
from billing.papers.render import pdf


def main(idle: float) -> None:
    """Answer requests until the worker closes the pipe, or has asked for nothing for `idle` seconds."""
    leave_the_network()
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may look like an answer
    _warm()
    gc.freeze()  # a collection in a child would copy every page of the helper
    while _is_asked(requests, idle) and (asked := _next(requests)):
        answers.write(_answer(asked))
        answers.flush()


def leave_the_network() -> bool:
    """Go into a network of one's own, in which there is nothing: whatever a document makes the typesetter do, it reaches
    neither a database nor anybody else. Linux lets everybody do so unless its administrator forbids it; False then."""
    if not hasattr(os, "unshare"):
        return False
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    except OSError:
        return False
    return True


def _warm() -> None:
    """Load typefaces, templates and locales before the first fork, so that no child does it again."""
    every_script = PaperLine(description="a Ω Я م ש 世 界 한", detail="a م ש 世", unit_amount=None)
    nobody = Seller(name="a م ש 世", country="DE")
    try:
        pdf(
            InvoicePaper(
                number="0",
                issued_on=date(2000, 1, 1),
                currency="EUR",
                seller=nobody,
                bill_to=Party(name="b"),
                lines=(every_script,),
            )
        )
    except PaperToolsMissing:
        return  # every request will be told


def _is_asked(requests: BinaryIO, within: float) -> bool:
    """Whether there is a request, or the end of them, within so many seconds. Nothing is read ahead: the next request
    comes after the last answer."""
    return bool(select.select([requests], [], [], within)[0])


def _next(requests: BinaryIO) -> dict[str, Any] | None:
    head = requests.read(struct.calcsize(HEAD))
    if len(head) < struct.calcsize(HEAD):
        return None
    word_length, body_length = struct.unpack(HEAD, head)
    requests.read(word_length)
    asked: dict[str, Any] = json.loads(requests.read(body_length))
    return asked


def _answer(asked: dict[str, Any]) -> bytes:
    """Fork, let the child print, read what it says, and say how it ended if it could not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _print(asked, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return frame("killed", _cause(os.WTERMSIG(status), asked).encode())
    return said or frame("silent", b"the paper's process ended without a word")


def _cause(number: int, asked: dict[str, Any]) -> str:
    if number in (signal.SIGALRM, signal.SIGXCPU):
        return f"the paper took longer than {asked['seconds']} seconds"
    return f"the paper's process was ended by {signal.Signals(number).name}"


def _print(asked: dict[str, Any], writing: int) -> None:
    """In the child: make the paper within the limits, write the answer, vanish without tidying up."""
    try:
        gc.disable()  # it lives for one paper
        _limit(asked["seconds"], asked["memory"])
        result = frame("ok", pdf(paper_of(asked)))
    except MemoryError:
        result = frame("memory", b"the paper needs more memory than it may use")
    except Exception as error:
        result = frame(type(error).__name__, str(error).encode(errors="replace"))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(result)
    os._exit(0)  # the typefaces' folder belongs to the helper: no clean-up may run here


def _limit(seconds: int, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))

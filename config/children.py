"""Child processes that end with the process that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
LARGEST_LOG = 10_000_000  # bytes, beyond which a start begins a new one


def dying_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a child runs before its program starts: have the kernel send it `number` when its parent dies.

    Only Linux can do this; elsewhere a parent that is killed outright leaves its children to the next start.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: loading a library after it is not safe
    return lambda: prctl(PR_SET_PDEATHSIG, int(number))


def stop(child: subprocess.Popen[bytes], number: signal.Signals, patience: float) -> None:
    """Ask `child` to end with signal `number`; after `patience` seconds its whole process group is killed."""
    if child.poll() is not None:
        return
    child.send_signal(number)
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def log_file(home: Path, name: str) -> Path:
    """The file to which the child `name` writes; its predecessor stays beside it."""
    path = home / "log" / f"{name}.log"
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    return path


def last_words(home: Path, name: str) -> str:
    """The end of the child's log, for the message that says it has failed."""
    lines = log_file(home, name).read_text(errors="replace").splitlines()
    return "\n".join(lines[-8:])

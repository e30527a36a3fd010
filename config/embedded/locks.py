"""Locks on files: the kernel frees them when their holder ends, however it ends."""

import fcntl
from pathlib import Path
from typing import IO


def locked(path: Path, kind: int) -> IO[str]:
    """The file at `path`, locked until it is closed; waits for the lock."""
    file = path.open("a+")
    fcntl.flock(file, kind)
    return file


def took(file: IO[str]) -> bool:
    """Whether nobody else holds a lock on `file`; if so it is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody holds `path` for himself."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False

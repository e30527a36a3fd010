"""The data folder: made once, of one major version, worked on by one server."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import places
from .places import MAJOR, NAME, PLAIN_ENVIRONMENT, ServerUnavailable

STOPPED_WITHIN = 10.0  # seconds
# The builtin locale sorts the same on every machine and after every upgrade of the C library.
CLUSTER = [
    "--encoding",
    "UTF8",
    "--locale",
    "C",
    "--locale-provider",
    "builtin",
    "--builtin-locale",
    "C.UTF-8",
]
CLUSTER += ["--auth-local", "trust", "--auth-host", "reject", "--no-instructions"]


def initialise(room: Path, *, careless: bool) -> None:
    """Make the data folder on first use, whole or not at all; refuse one of another major version."""
    data = room / "data"
    if data.is_dir():
        check_version(data)
        return
    unfinished = room / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    user = places.server_user()
    places.give(unfinished, user)
    command = [str(places.programs() / "initdb"), *CLUSTER, "--username", NAME, "--pgdata", str(unfinished)]
    command += ["--no-sync"] if careless else []
    done = subprocess.run(  # noqa: S603
        command,
        cwd="/",
        env=PLAIN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        **places.as_user(user),
    )
    if done.returncode:
        raise ServerUnavailable(f"PostgreSQL could not prepare {room}:\n{done.stderr.strip()}")
    unfinished.rename(data)


def check_version(data: Path) -> None:
    try:
        written = (data / "PG_VERSION").read_text().strip()
    except PermissionError as error:
        raise ServerUnavailable(
            f"The data in {data} belong to another user. Start as that user, or set another TANDEM_HOME."
        ) from error
    except FileNotFoundError as error:
        raise ServerUnavailable(f"{data} is not a PostgreSQL data folder.") from error
    if written != MAJOR:
        raise ServerUnavailable(
            f"The data in {data} were written by PostgreSQL {written}. This is PostgreSQL {MAJOR}, "
            f"which cannot read them: dump them with version {written} and load them here ('Moving data' in "
            "docs/operating.md), or set another TANDEM_HOME to begin with an empty database."
        )


def sweep(data: Path) -> None:
    """Clear what a supervisor that was killed left: its server, or the note of a server that is long gone."""
    note = data / "postmaster.pid"
    try:
        pid = int(note.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if not is_server_of(data, pid):
        note.unlink(missing_ok=True)  # after a crash the number may belong to another process by now
        return
    deadline = time.monotonic() + 2 * STOPPED_WITHIN
    os.kill(pid, signal.SIGINT)
    while is_server_of(data, pid):
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"An older server (process {pid}) on {data} does not stop.")
        time.sleep(0.05)


def is_server_of(data: Path, pid: int) -> bool:
    """Whether process `pid` is a server working on `data`."""
    command = ["ps", "-o", "args=", "-p", str(pid)]
    proc = Path("/proc", str(pid), "cmdline")
    if Path("/proc/self").exists():
        return proc.exists() and os.fsencode(data) in proc.read_bytes().split(b"\0")
    return str(data) in subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603

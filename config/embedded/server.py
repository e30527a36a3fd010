"""Starting, sharing and stopping one server."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from config import children

from . import places
from .data import STOPPED_WITHIN, initialise, sweep
from .locks import is_locked, locked, took
from .places import NAME, PLAIN_ENVIRONMENT, ServerUnavailable

if TYPE_CHECKING:
    import psycopg

CHECKOUT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 60.0  # seconds; recovery after a crash is part of it

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For data that nobody will miss.
CARELESS_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextlib.contextmanager
def in_use(home: Path | None, *, careless: bool | None = None) -> Iterator[str]:
    """Have the server of `home` running while the block runs; gives its address for `DATABASE_URL`.

    A server that already runs there is used too. Without a home the data are thrown away at the end, and are not waited
    for until the disk has them, unless `careless` is False: then commits take as long as a seller's.
    Raises ServerUnavailable.
    """
    throw_away = home is None
    careless = throw_away if careless is None else careless
    home = throw_away_home() if home is None else home.resolve()
    room = places.make_room(home)
    with contextlib.ExitStack() as held:
        with locked(room / "start.lock", fcntl.LOCK_EX):
            # Waits while a supervisor that found nobody left stops its server.
            users = held.enter_context(locked(room / "users.lock", fcntl.LOCK_SH))
            supervisor = start(home, room, careless=careless, throw_away=throw_away)
        try:
            yield places.database_url(home)
        finally:
            release(room, users, supervisor)


def throw_away_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="tandem-")).resolve()
    home.chmod(0o711)  # the server's user goes through it
    return home


def start(
    home: Path, room: Path, *, careless: bool, throw_away: bool = False
) -> subprocess.Popen[bytes] | None:
    """Start the server unless it runs; gives the supervisor when it is ours."""
    if is_locked(room / "supervisor.lock"):
        # One whose server ended, or that was killed, may be about to let go.
        with contextlib.suppress(SupervisorEnded):
            wait_until_ready(home, lambda: not is_locked(room / "supervisor.lock"))
            return None
    sweep(room / "data")
    initialise(room, careless=careless)
    places.make_socket_folder(home)
    supervisor = start_supervisor(home, room, careless=careless, throw_away=throw_away)
    wait_until_ready(home, lambda: supervisor.poll() is not None)
    return supervisor


def release(room: Path, users: IO[str], supervisor: subprocess.Popen[bytes] | None) -> None:
    """Let go of the server; the last user waits until it has stopped."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else still uses it
    stop_supervisor(room)
    if supervisor:
        wait_for_end(supervisor)


def wait_for_end(supervisor: subprocess.Popen[bytes]) -> None:
    """On a busy machine its server may take all of its time, and is ended then; what the command said stands."""
    try:
        supervisor.wait(2 * STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        print(
            f"PostgreSQL (process {supervisor.pid}) is still stopping; the next start waits for it.",
            file=sys.stderr,
        )


def stop_supervisor(room: Path) -> None:
    path = room / "supervisor.lock"
    if is_locked(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + 2 * STOPPED_WITHIN
    while is_locked(path) and time.monotonic() < deadline:
        time.sleep(0.02)


# -- The processes ----------------------------------------------------------------------------------------


def start_supervisor(home: Path, room: Path, *, careless: bool, throw_away: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "config.embedded", "supervise", str(home), str(room)]
    command += ["--throw-away"] if throw_away else []
    command += [] if careless else ["--durable"]
    with children.log_file(home, "postgres").open("ab") as out:
        return subprocess.Popen(  # noqa: S603
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


class SupervisorEnded(ServerUnavailable):
    """It ended before its server took anybody in."""


def wait_until_ready(home: Path, ended: Callable[[], bool]) -> None:
    """Raises ServerUnavailable; SupervisorEnded as soon as the supervisor `ended`."""
    import psycopg

    address = f"host='{places.socket_folder(home)}' user={NAME} dbname=postgres connect_timeout=5"
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                return make_database(connection)
        except psycopg.OperationalError as error:
            over = ended()
            if over or time.monotonic() > deadline:
                words = f"PostgreSQL did not start:\n{children.last_words(home, 'postgres')}"
                raise (SupervisorEnded if over else ServerUnavailable)(words) from error
        time.sleep(0.03)


def make_database(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
        connection.execute(f"CREATE DATABASE {NAME}".encode())


def empty(home: Path) -> None:
    """Throw away everything in the database of a server in use."""
    import psycopg

    address = f"host='{places.socket_folder(home)}' user={NAME} dbname=postgres"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)".encode())
        make_database(connection)


def supervise(home: Path, room: Path, *, careless: bool, throw_away: bool) -> int:
    """The supervisor's life: be the server's parent until nobody uses it. Gives the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    with contextlib.ExitStack() as held:
        # Once taken, this is held until the server has stopped and the other lock is free: a new user waits for that.
        users = held.enter_context((room / "users.lock").open())
        mine = held.enter_context(locked(room / "supervisor.lock", fcntl.LOCK_EX))
        mine.truncate(0)
        mine.write(str(os.getpid()))
        mine.flush()
        server = run_server(home, room, careless=careless)
        try:
            while server.poll() is None and not took(users):
                time.sleep(0.5)
            return server.poll() or 0
        finally:
            children.stop(server, signal.SIGINT, STOPPED_WITHIN)
            tidy(home, throw_away=throw_away)


def leave(number: int, frame: object) -> None:
    raise SystemExit(0)


def run_server(home: Path, room: Path, *, careless: bool) -> subprocess.Popen[bytes]:
    settings = {**SETTINGS, "unix_socket_directories": str(places.socket_folder(home))}
    settings |= CARELESS_SETTINGS if careless else {}
    command = [str(places.programs() / "postgres"), "-D", str(room / "data")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return subprocess.Popen(  # noqa: S603
        command,
        cwd="/",
        env=PLAIN_ENVIRONMENT,
        start_new_session=True,
        preexec_fn=children.dying_with_parent(signal.SIGINT),
        **places.as_user(places.server_user()),
    )


def tidy(home: Path, *, throw_away: bool) -> None:
    with contextlib.suppress(OSError):
        places.socket_folder(home).rmdir()
    if throw_away:
        room = home / "postgres"
        if room.is_symlink():
            shutil.rmtree(room.resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)

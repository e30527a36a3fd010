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
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from config import children

from . import places
from .places import MAJOR, NAME, ServerUnavailable

if TYPE_CHECKING:
    import psycopg

CHECKOUT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 60.0  # seconds; recovery after a crash is part of it
STOPPED_WITHIN = 10.0
LARGEST_LOG = 10_000_000  # bytes, beyond which a start begins a new one
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For data that nobody will miss.
CARELESS_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextlib.contextmanager
def in_use(home: Path | None) -> Iterator[str]:
    """Have the server of `home` running while the block runs; gives its address for `DATABASE_URL`.

    A server that already runs there is used too. Without a home the data are thrown away at the end.
    Raises ServerUnavailable.
    """
    careless = home is None
    home = throw_away_home() if home is None else home.resolve()
    room = places.make_room(home)
    with contextlib.ExitStack() as held:
        with locked(room / "start.lock", fcntl.LOCK_EX):
            # Waits while a supervisor that found nobody left stops its server.
            users = held.enter_context(locked(room / "users.lock", fcntl.LOCK_SH))
            supervisor = start(home, room, careless=careless)
        try:
            yield places.database_url(home)
        finally:
            release(room, users, supervisor)


def throw_away_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="tandem-")).resolve()
    home.chmod(0o711)  # the server's user goes through it
    return home


def start(home: Path, room: Path, *, careless: bool) -> subprocess.Popen[bytes] | None:
    """Start the server unless it runs; gives the supervisor when it is ours."""
    supervisor = None
    if not is_locked(room / "supervisor.lock"):
        places.make_socket_folder(home)
        sweep(room / "data")
        initialise(room, careless=careless)
        supervisor = start_supervisor(home, room, careless=careless)
    wait_until_ready(home, supervisor)
    return supervisor


def release(room: Path, users: IO[str], supervisor: subprocess.Popen[bytes] | None) -> None:
    """Let go of the server; the last user waits until it has stopped."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else still uses it
    stop_supervisor(room)
    if supervisor:
        supervisor.wait(STOPPED_WITHIN)


def stop_supervisor(room: Path) -> None:
    path = room / "supervisor.lock"
    if is_locked(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + 2 * STOPPED_WITHIN
    while is_locked(path) and time.monotonic() < deadline:
        time.sleep(0.02)


# -- Data -----------------------------------------------------------------------------------------------


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
    command = [places.programs() / "initdb", "--pgdata", unfinished, "--username", NAME, "--encoding", "UTF8"]
    command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    command += ["--auth-local", "trust", "--auth-host", "reject", "--no-instructions"]
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
            f"The data in {data} were written by PostgreSQL {written}, and this is PostgreSQL {MAJOR}, which cannot "
            f"read them. Dump them with version {written} and load them here (docs/operating.md, 'Moving data'), "
            "or set another TANDEM_HOME to begin with an empty database."
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


# -- Start and stop ---------------------------------------------------------------------------------------


def start_supervisor(home: Path, room: Path, *, careless: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "config.embedded", "supervise", str(home), str(room)]
    command += ["--throw-away"] if careless else []
    with log(home).open("ab") as out:
        return subprocess.Popen(  # noqa: S603
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def log(home: Path) -> Path:
    path = home / "log" / "postgres.log"
    path.parent.mkdir(mode=0o755, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    return path


def wait_until_ready(home: Path, supervisor: subprocess.Popen[bytes] | None) -> None:
    import psycopg

    address = {"host": str(places.socket_folder(home)), "user": NAME, "dbname": "postgres"}
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            with psycopg.connect(**address, connect_timeout=5, autocommit=True) as connection:
                return make_database(connection)
        except psycopg.OperationalError as error:
            ended = supervisor is not None and supervisor.poll() is not None
            if ended or time.monotonic() > deadline:
                raise ServerUnavailable(f"PostgreSQL did not start:\n{last_words(home)}") from error
        time.sleep(0.03)


def make_database(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchone():
        connection.execute(f"CREATE DATABASE {NAME}".encode())


def last_words(home: Path) -> str:
    lines = log(home).read_text(errors="replace").splitlines()
    return "\n".join(lines[-8:])


def supervise(home: Path, room: Path, *, careless: bool) -> int:
    """The supervisor's life: be the server's parent until nobody uses it. Gives the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    with locked(room / "supervisor.lock", fcntl.LOCK_EX) as mine:
        mine.truncate(0)
        mine.write(str(os.getpid()))
        mine.flush()
        server = run_server(home, room, careless=careless)
        try:
            with (room / "users.lock").open() as users:
                while server.poll() is None and not took(users):
                    time.sleep(0.5)
                return server.poll() or 0
        finally:
            children.stop(server, signal.SIGINT, STOPPED_WITHIN)
            tidy(home, careless=careless)


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


def tidy(home: Path, *, careless: bool) -> None:
    with contextlib.suppress(OSError):
        places.socket_folder(home).rmdir()
    if careless:
        room = home / "postgres"
        if room.is_symlink():
            shutil.rmtree(room.resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


# -- Locks --------------------------------------------------------------------------------------------------


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

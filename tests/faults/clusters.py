"""PostgreSQL of the harness's own, with the tables of this one: it can be crashed and started again, have few places,
be followed by a standby, and have a pooler before it."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from config import children, embedded
from config.embedded import data, places, server
from config.embedded.locks import is_locked


class Cluster:
    """The embedded server of a home, whose data are as safe as in production."""

    def __init__(self, home: Path) -> None:
        self.home, self.room = home, places.make_room(home)
        self.socket = places.socket_folder(home)

    def start(self) -> None:
        server.start(self.home, self.room, careless=False)

    def crash(self) -> None:
        """As `pg_ctl stop -m immediate`: every session is cut, nothing is written down, recovery follows."""
        postmaster = int((self.room / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        while is_locked(self.room / "supervisor.lock"):  # its parent notices
            time.sleep(0.02)

    def url(self, socket: Path | None = None) -> str:
        return f"postgres://{places.NAME}@/{places.NAME}?host={socket or self.socket}"


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Running, and empty."""
    home = server.throw_away_home()
    try:
        with embedded.in_use(home):
            yield Cluster(home)
    finally:
        shutil.rmtree(places.make_room(home), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


# -- With settings of its own ---------------------------------------------------------------------------------


SOCKET = ".s.PGSQL.5432"


class Server:
    """A server whose process is ours, and other settings than the embedded one has. The machine outlives it, so what it
    has handed to the system is kept without waiting for a disk."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home, self.room, self.socket = home, places.make_room(home), places.socket_folder(home)
        self.settings = {
            **server.SETTINGS, "fsync": "off", "wal_level": "replica", "max_wal_senders": "4", **settings,
            "unix_socket_directories": str(self.socket),
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Makes its data first, unless `follows` has."""
        data.initialise(self.room, careless=True)
        places.make_socket_folder(self.home)
        command = [program("postgres"), "-D", str(self.room / "data")]
        with children.log_file(self.home, "postgres").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in self.settings.items())], cwd="/",
                env=places.PLAIN_ENVIRONMENT, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=children.dying_with_parent(signal.SIGINT), **places.as_user(places.server_user()),
            )  # fmt: skip
        server.wait_until_ready(self.home, lambda: self.process is None or self.process.poll() is not None)

    def follows(self, other: "Server") -> None:
        """Takes the other's data, and what is written there from now on. To be called before `start`."""
        self.takes(other, "--write-recovery-conf")

    def takes(self, other: "Server", *options: str) -> None:
        """A base backup: the other's data as they are now, in place of an empty server's."""
        target, user = self.room / "data", places.server_user()
        target.mkdir()
        places.give(target, user)
        subprocess.run(
            [program("pg_basebackup"), "--host", str(other.socket), "--username", places.NAME, "--pgdata", str(target),
             *options, "--no-sync", "--checkpoint=fast"],
            cwd="/", env=places.PLAIN_ENVIRONMENT, check=True, **places.as_user(user),
        )  # fmt: skip

    def archives(self) -> Path:
        """Keeps its log from now on, in the folder that it answers. To be called before `start`."""
        archive = self.room / "archive"
        archive.mkdir()
        places.give(archive, places.server_user())
        self.settings |= {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
        return archive

    def archived(self) -> None:
        """Waits until what was written so far is in the archive."""
        ((last,),) = self.ask("select pg_walfile_name(pg_switch_wal())")
        while not self.ask("select 1 from pg_stat_archiver where last_archived_wal >= %s", last):
            time.sleep(0.02)

    def recovers(self, archive: Path, until: datetime) -> None:
        """From the base backup and the archive, as it was at that time. In place of `start`."""
        self.settings |= {
            "restore_command": f"cp {archive}/%f %p", "recovery_target_time": until.isoformat(),
            "recovery_target_action": "promote",
        }  # fmt: skip
        signal_file = self.room / "data" / "recovery.signal"
        signal_file.touch()
        places.give(signal_file, places.server_user())
        self.start()
        while self.ask("select 1 where pg_is_in_recovery()"):
            time.sleep(0.02)

    def kill(self) -> None:
        """As a machine that loses its power: every process of it at once, with all that was not written down."""
        if self.process is None:
            return
        shared = (self.room / "data" / "postmaster.pid").read_text().splitlines()[6].split()
        for pid in (self.process.pid, *children_of(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        subprocess.run(["ipcrm", "--shmem-id", shared[1]], check=False, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is not None:
            children.stop(self.process, signal.SIGINT, data.STOPPED_WITHIN)
            self.process = None

    def ask(self, statement: str, *given: Any) -> list[tuple[Any, ...]]:
        """By a session of its own, in no transaction."""
        address = f"host={self.socket} user={places.NAME} dbname={places.NAME}"
        with psycopg.connect(address, autocommit=True) as session:
            found = session.execute(statement.encode(), given or None)
            return found.fetchall() if found.description else []


def children_of(parent: int) -> list[int]:
    """Their process ids, as Linux tells them."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


@contextlib.contextmanager
def servers(number: int, **settings: str) -> Iterator[list[Server]]:
    """Not started yet."""
    homes = [server.throw_away_home() for _ in range(number)]
    made = [Server(home, **settings) for home in homes]
    try:
        yield made
    finally:
        for one in made:
            one.stop()
            shutil.rmtree(one.room, ignore_errors=True)
            shutil.rmtree(one.home, ignore_errors=True)
            with contextlib.suppress(OSError):
                one.socket.rmdir()


@contextlib.contextmanager
def pair(*, synchronous: bool) -> Iterator[tuple[Server, Server]]:
    """A primary with this database's tables, and the standby that follows it. synchronous: whoever commits waits until
    the standby has it."""
    with servers(2) as (primary, standby):
        primary.start()
        copied(primary)
        standby.follows(primary)
        standby.start()
        while not primary.ask("select 1 from pg_stat_replication where state = 'streaming'"):
            time.sleep(0.02)
        if synchronous:
            primary.ask("alter system set synchronous_standby_names = '*'")
            primary.ask("select pg_reload_conf()")
            while not primary.ask("select 1 from pg_stat_replication where sync_state = 'sync'"):
                time.sleep(0.02)
        yield primary, standby


class Address:
    """A folder with the socket of a server, which can be another one's from one moment to the next."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.url = folder, f"postgres://{places.NAME}@/{places.NAME}?host={folder}"
        self.leads_to(server)

    def leads_to(self, server: Server) -> None:
        """Whoever connects from now on."""
        link = self.folder / "next"
        link.symlink_to(server.socket / SOCKET)
        link.rename(self.folder / SOCKET)


@contextlib.contextmanager
def pooler(server: Server, folder: Path, *, size: int) -> Iterator[str]:
    """PgBouncer before the server: each transaction may have another one of `size` sessions. Answers its address. It is
    set up as docs/operating.md says. Raises FileNotFoundError where it is not installed."""
    if not (installed := shutil.which("pgbouncer")):
        raise FileNotFoundError("PgBouncer is not installed")
    user = places.server_user()
    folder.mkdir()
    places.give(folder, user)
    (folder / "users").write_text(f'"{places.NAME}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{places.NAME} = host={server.socket}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\n"
        f"listen_port = 5432\nauth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        f"default_pool_size = {size}\nmax_client_conn = 500\nignore_startup_parameters = options\n"
    )
    (folder / "pgbouncer.ini").chmod(0o644)
    process = subprocess.Popen(
        [installed, "--quiet", str(folder / "pgbouncer.ini")], cwd="/", env=places.PLAIN_ENVIRONMENT,
        preexec_fn=children.dying_with_parent(signal.SIGINT), start_new_session=True, **places.as_user(user),
    )  # fmt: skip
    try:
        while not (folder / SOCKET).exists():
            if process.poll() is not None:
                raise RuntimeError(f"PgBouncer ended with {process.returncode}")
            time.sleep(0.01)
        yield f"postgres://{places.NAME}@/{places.NAME}?host={folder}"
    finally:
        children.stop(process, signal.SIGINT, data.STOPPED_WITHIN)


# -- What is in it --------------------------------------------------------------------------------------------


def copied(target: Cluster | Server, *, rows: bool = False) -> None:
    """This process's database there: its tables and what migrations have put into them, or all its rows."""
    from tests.emptying import KEPT

    dump(["--schema-only"] if not rows else [], target)
    if not rows:
        dump(["--data-only", *(f"--table={name}" for name in KEPT)], target)


def dump(options: list[str], target: Cluster | Server) -> None:
    from django.db import connection

    given = connection.get_connection_params()
    source = ["--host", str(given.get("host", "")), "--username", str(given.get("user", "")), given["dbname"]]
    with subprocess.Popen(
        [program("pg_dump"), "--no-owner", *options, *source], stdout=subprocess.PIPE
    ) as taken:
        subprocess.run(
            [program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", "--host", str(target.socket),
             "--username", places.NAME, places.NAME],
            stdin=taken.stdout, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    if taken.returncode:
        raise RuntimeError(f"pg_dump ended with {taken.returncode}")


def program(name: str) -> str:
    return str(places.programs() / name)


@contextlib.contextmanager
def at(address: Path) -> Iterator[None]:
    """This process's own connection leads to the server at that socket."""
    from django.db import connection

    settings: dict[str, Any] = connection.settings_dict
    before = {name: settings[name] for name in ("NAME", "USER", "HOST", "PORT")}
    connection.close()
    settings.update(NAME=places.NAME, USER=places.NAME, HOST=str(address), PORT="")
    try:
        yield
    finally:
        connection.close()
        settings.update(before)

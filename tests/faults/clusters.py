"""A PostgreSQL of the harness's own, with the tables of this one; it can be crashed, and started again."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import embedded
from config.embedded import places, server
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


def copied(target: Cluster, *, rows: bool = False) -> None:
    """This process's database there: its tables and what migrations have put into them, or all its rows."""
    from tests.emptying import KEPT

    dump(["--schema-only"] if not rows else [], target)
    if not rows:
        dump(["--data-only", *(f"--table={name}" for name in KEPT)], target)


def dump(options: list[str], target: Cluster) -> None:
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

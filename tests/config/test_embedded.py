"""The embedded PostgreSQL: real servers, real kills."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded import locks, places, server

CHECKOUT = Path(__file__).resolve().parents[2]
SOON = 60.0  # seconds


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that every test of this module starts its server on, so that only the first makes a cluster."""
    folder = server.throw_away_home()
    yield folder
    assert until(lambda: not running(folder))
    shutil.rmtree(folder)


def query(home: Path, statement: str) -> list[tuple[object, ...]]:
    address = f"host={places.socket_folder(home)} user=tandem dbname=tandem"
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def running(home: Path) -> bool:
    try:
        query(home, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def until(true, patience: float = SOON) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def run(home: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-m", "config.embedded", "run", "--", *command],
        cwd=CHECKOUT,
        env={**clean, "TANDEM_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_runs_while_it_is_used_and_keeps_its_data(home: Path) -> None:
    with embedded.in_use(home):
        query(home, "CREATE TABLE IF NOT EXISTS kept AS SELECT 'grün 東京' AS words")
    assert not running(home)
    began = time.monotonic()
    with embedded.in_use(home):
        assert query(home, "SELECT words, upper(words) FROM kept") == [("grün 東京", "GRÜN 東京")]
        assert time.monotonic() - began < SOON
    assert not running(home)


def test_it_is_durable_and_unreachable_from_the_network(home: Path) -> None:
    with embedded.in_use(home):
        names = ["fsync", "full_page_writes", "listen_addresses", "server_encoding", "TimeZone"]
        shown = [query(home, f"SHOW {name}")[0][0] for name in names]
        assert shown == ["on", "on", "", "UTF8", "UTC"]
        assert places.socket_folder(home).stat().st_mode & 0o077 == 0


def test_it_is_shared_by_everybody_on_the_same_home(home: Path) -> None:
    with embedded.in_use(home):
        first = postmaster(home)
        second = run(home, "sh", "-c", 'cat "$0"', str(home / "postgres" / "data" / "postmaster.pid"))
        output, error = second.communicate(timeout=SOON)
        assert (second.returncode, error) == (0, "")
        assert int(output.split()[0]) == first
        assert running(home)


def test_it_stays_for_the_last_user(home: Path) -> None:
    with contextlib.ExitStack() as second:
        with embedded.in_use(home):
            second.enter_context(embedded.in_use(home))
        assert running(home)
    assert not running(home)


def test_it_stops_when_its_user_is_killed(home: Path) -> None:
    user = run(home, "sleep", "60")
    assert until(lambda: running(home))
    user.kill()
    user.wait()
    assert until(lambda: not running(home))


def test_it_starts_again_after_its_supervisor_was_killed(home: Path) -> None:
    with embedded.in_use(home):
        old = postmaster(home)
        os.kill(int((home / "postgres" / "supervisor.lock").read_text()), signal.SIGKILL)
    with embedded.in_use(home):
        assert postmaster(home) != old
        assert running(home)


def test_it_starts_its_own_when_a_supervisor_without_a_server_lets_go(home: Path) -> None:
    letting_go = locks.locked(places.make_room(home) / "supervisor.lock", fcntl.LOCK_EX)
    threading.Timer(0.3, letting_go.close).start()
    with embedded.in_use(home):
        assert letting_go.closed
        assert running(home)


def test_it_starts_again_after_the_server_was_killed(home: Path) -> None:
    with embedded.in_use(home):
        query(home, "CREATE TABLE IF NOT EXISTS survived AS SELECT 1 AS one")
        os.kill(postmaster(home), signal.SIGKILL)
        assert until(lambda: not running(home))
    with embedded.in_use(home):
        assert query(home, "SELECT one FROM survived") == [(1,)]


def test_it_is_not_misled_by_a_process_that_took_the_old_servers_number(home: Path) -> None:
    with embedded.in_use(home):
        note = (home / "postgres" / "data" / "postmaster.pid").read_text()
    lines = [str(os.getpid()), *note.splitlines()[1:]]
    (home / "postgres" / "data" / "postmaster.pid").write_text("\n".join(lines))
    with embedded.in_use(home):
        assert running(home)


def test_it_gives_the_commands_exit_code_and_address(home: Path) -> None:
    command = run(home, "sh", "-c", 'echo "$DATABASE_URL $PGHOST"; exit 7')
    output, _ = command.communicate(timeout=SOON)
    assert command.returncode == 7
    assert output.split() == [embedded.database_url(home), str(places.socket_folder(home))]


def test_it_leaves_a_database_that_was_named_alone(tmp_path: Path) -> None:
    command = run(tmp_path, "sh", "-c", 'echo "$DATABASE_URL"', DATABASE_URL="postgres://elsewhere/x")
    output, _ = command.communicate(timeout=SOON)
    assert output.strip() == "postgres://elsewhere/x"
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_a_command_that_is_not_there_is(home: Path) -> None:
    command = run(home, "no-such-command")
    _, error = command.communicate(timeout=SOON)
    assert command.returncode == 127
    assert error.startswith("no-such-command: ")


def test_it_throws_away_what_was_only_borrowed() -> None:
    with embedded.in_use(None) as url:
        socket = Path(url.partition("?host=")[2])
        assert socket.exists()
        before = set(Path("/tmp").glob("tandem-*"))
    assert not socket.exists()
    assert len(set(Path("/tmp").glob("tandem-*")) & before) < len(before)


def test_what_is_thrown_away_can_be_as_durable_as_what_is_kept() -> None:
    shown = []
    for careless in (None, False):
        with embedded.in_use(None, careless=careless) as url:
            home = Path(url.partition("?host=")[2])
            with psycopg.connect(f"host={home} user=tandem dbname=tandem") as connection:
                names = ("fsync", "full_page_writes", "synchronous_commit")
                shown.append([connection.execute(f"SHOW {name}".encode()).fetchone()[0] for name in names])
        assert not home.exists()
    assert shown == [["off"] * 3, ["on"] * 3]


def test_it_refuses_data_of_another_major_version() -> None:
    home = server.throw_away_home()
    data = places.make_room(home) / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    refusal = pytest.raises(embedded.ServerUnavailable, match=r"PostgreSQL 17\. This is PostgreSQL 18")
    with refusal, embedded.in_use(home):
        pass
    assert (data / "PG_VERSION").read_text() == "17\n"
    shutil.rmtree(home)


def test_it_refuses_a_folder_that_holds_something_else() -> None:
    home = server.throw_away_home()
    (places.make_room(home) / "data").mkdir()
    refusal = pytest.raises(embedded.ServerUnavailable, match="not a PostgreSQL data folder")
    with refusal, embedded.in_use(home):
        pass
    shutil.rmtree(home)


@pytest.mark.parametrize("user", [0, 1000])
def test_it_keeps_the_sockets_path_short(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    deep, other = Path("/home/somebody", "deep" * 30), Path("/home/somebody", "deep" * 31)
    assert len(str(places.socket_folder(deep) / ".s.PGSQL.5432")) < 100
    assert places.socket_folder(deep) != places.socket_folder(other)


def test_it_keeps_the_socket_in_a_home_that_is_not_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert places.socket_folder(Path("/home/somebody/.tandem")) == Path("/home/somebody/.tandem/run")


def test_it_quotes_the_sockets_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert embedded.database_url(Path("/home/a b&c")) == "postgres://tandem@/tandem?host=/home/a%20b%26c/run"


@pytest.mark.skipif(os.geteuid() != 0, reason="root only: others own what they start")
def test_it_serves_root_from_a_home_that_only_root_can_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    with embedded.in_use(home):
        assert running(home)
        assert (home / "postgres").is_symlink()
    shutil.rmtree((home / "postgres").resolve())


def test_it_says_so_when_it_takes_long_to_stop(monkeypatch, capsys) -> None:
    monkeypatch.setattr(server, "STOPPED_WITHIN", 0)
    slow = subprocess.Popen(["sleep", "60"])
    try:
        server.wait_for_end(slow)
    finally:
        slow.kill()
        slow.wait()
    assert capsys.readouterr().err.startswith(f"PostgreSQL (process {slow.pid}) is still stopping")

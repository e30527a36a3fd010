"""The embedded PostgreSQL from the command line.

    python -m config.embedded run -- COMMAND ...               use the data of TANDEM_HOME
    python -m config.embedded run --throw-away -- COMMAND ...  use an empty server that leaves nothing behind
    python -m config.embedded run --throw-away --durable -- …  one that waits for the disk, as for data that are kept

The command finds the database in DATABASE_URL; PostgreSQL's own tools find it in PGHOST, PGUSER, PGDATABASE.
A DATABASE_URL that is already set (in the environment or in .env) is used as it is, and no server is started.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import environ

from config import children

from . import places, server

CHECKOUT = server.CHECKOUT


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if options.action == "supervise":
        return server.supervise(
            options.home, options.room, careless=not options.durable, throw_away=options.throw_away
        )
    environ.Env.read_env(CHECKOUT / ".env")
    if os.environ.get("DATABASE_URL"):
        return run(options.command)
    try:
        careless = options.throw_away and not options.durable
        with server.in_use(None if options.throw_away else home(), careless=careless) as url:
            os.environ |= {"DATABASE_URL": url, **postgres_variables(url)}
            return run(options.command)
    except places.ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m config.embedded", description="PostgreSQL that comes with Tandem."
    )
    actions = top.add_subparsers(dest="action", required=True)
    runner = actions.add_parser("run", help="run a command beside the server")
    runner.add_argument("--throw-away", action="store_true", help="an empty server, gone afterwards")
    runner.add_argument("--durable", action="store_true", help="it waits for the disk, as every other does")
    runner.add_argument("command", nargs="+")
    supervisor = actions.add_parser("supervise")
    supervisor.add_argument("home", type=Path)
    supervisor.add_argument("room", type=Path)
    supervisor.add_argument("--throw-away", action="store_true")
    supervisor.add_argument("--durable", action="store_true")
    return top


def home() -> Path:
    return Path(os.environ.get("TANDEM_HOME") or CHECKOUT / ".tandem").expanduser().resolve()


def postgres_variables(url: str) -> dict[str, str]:
    database = environ.Env.db_url_config(url)
    tools = str(places.programs())
    return {
        "PGHOST": database["OPTIONS"]["host"],
        "PGUSER": places.NAME,
        "PGDATABASE": places.NAME,
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]),
    }


def run(command: list[str]) -> int:
    """Run `command` to its end, passing on a request to stop; gives its exit code as a shell would."""
    try:
        child = subprocess.Popen(command, preexec_fn=children.dying_with_parent(signal.SIGTERM))  # noqa: S603
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well
    code = child.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

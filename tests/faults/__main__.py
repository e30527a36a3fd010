"""The long form: `python -m tests.faults --kills 1000 --seed 7`. Prints a table; exit status 1 for any finding."""

import argparse
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--points", type=int, default=3, help="how often each named point")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--planted", action="store_true", help="the planted bugs instead: each must be found")
    given = parser.parse_args()
    with database():
        return planted(given.seed) if given.planted else long(given.kills, given.points, given.seed)


@contextmanager
def database() -> Iterator[None]:
    """A test database of its own, made anew and taken away."""
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["TEST"]["NAME"] = "test_tandem_faults"
    old = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)


def clear() -> None:
    """An empty database for the next round."""
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)


def long(number: int, times: int, seed: int) -> int:
    from tests.faults import kills

    rounds = [
        lambda: kills.kills(number, seed=seed),
        lambda: kills.points(seed=seed, times=times),
        lambda: kills.run_late(seed=seed),
    ]
    bad = 0
    for one in rounds:
        report = one()
        print("\n".join(report.lines()), flush=True)
        bad += not report.clean
        clear()
    return int(bool(bad))


def planted(seed: int) -> int:
    from tests.faults import bugs, kills

    missed = []
    for name, bug in bugs.BUGS.items():
        report = kills.kills(120, seed=seed, bug=bug)
        print("\n".join(report.lines()), flush=True)
        if report.clean:
            missed.append(name)
        clear()
    print(
        f"{len(bugs.BUGS) - len(missed)} of {len(bugs.BUGS)} planted bugs found. Missed: {missed or 'none'}"
    )
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())

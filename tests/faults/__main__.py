"""The long form: `python -m tests.faults --kills 1000 --seed 7`. Prints a table; exit status 1 for any finding."""

import argparse
import json
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.kills import Report

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault(
    "LOG_LEVEL", "CRITICAL"
)  # what is wrong is told by the books, not by a killed session's log

# Kills in one world: it is then finished and judged, and the next begins with a seed of its own.
IN_A_WORLD, FREEZES_IN_A_WORLD, STOPS_IN_A_WORLD = 250, 25, 10
WHAT = (
    "kills",
    "points",
    "freezes",
    "clocks",
    "late",
    "stops",
    "races",
    "requests",
    "outages",
    "disk",
    "upgrade",
    "restore",
    "failover",
    "crowd",
    "anything",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", nargs="*", choices=(*WHAT, []), help=f"of {', '.join(WHAT)}; all by default")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3, help="how often each named point")
    parser.add_argument("--freezes", type=int, default=100, help="how many workers are stopped and go on")
    parser.add_argument("--stops", type=int, default=50, help="how many job workers are asked to stop")
    parser.add_argument("--crashes", type=int, default=40, help="of the database, under `outages`")
    parser.add_argument("--gone", type=float, default=60, help="seconds that it is away then")
    parser.add_argument("--since", default="", help="the commit that `upgrade` comes from")
    parser.add_argument("--lives", type=int, default=20, help="how many in which anything happens")
    parser.add_argument("--steps", type=int, default=200, help="of each of these lives")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--journal", type=Path, help="file of the rounds that are done: go on after them")
    parser.add_argument("--planted", action="store_true", help="the planted bugs instead: each must be found")
    given = parser.parse_args()
    logging.disable(
        logging.CRITICAL
    )  # what is wrong is told by the books, not by the log of a session that was killed
    with database():
        return planted(given.seed) if given.planted else long(given)


@contextmanager
def database() -> Iterator[None]:
    """A test database of its own, made anew and taken away."""
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["TEST"]["NAME"] = f"test_tandem_faults_{os.getpid()}"
    old = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)


def rounds(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], "Report"]]]:
    """Every round that was asked for, by a name that says what it does and with which seed."""
    from tests.faults import (
        anything,
        clocks,
        crowd,
        disk,
        failover,
        freezes,
        kills,
        outages,
        races,
        restoring,
        retries,
        stops,
        upgrade,
    )

    wanted, seed = given.what or WHAT, given.seed
    for n, first in enumerate(range(0, given.kills if "kills" in wanted else 0, IN_A_WORLD)):
        size = min(IN_A_WORLD, given.kills - first)
        yield f"kills {size} seed {seed + n}", lambda n=n, size=size: kills.kills(size, seed=seed + n)
    names = cache(lambda: kills.passages(seed))
    for n in range(given.times if "points" in wanted else 0):
        yield f"points seed {seed + n}", lambda n=n: kills.points(seed=seed + n, names=names())
    for n, first in enumerate(range(0, given.freezes if "freezes" in wanted else 0, FREEZES_IN_A_WORLD)):
        size = min(FREEZES_IN_A_WORLD, given.freezes - first)
        name = f"freezes {size} seed {seed + n}"
        yield name, lambda n=n, size=size: freezes.run(seed=seed + n, rounds=size, names=names())
    for n, first in enumerate(range(0, given.stops if "stops" in wanted else 0, STOPS_IN_A_WORLD)):
        size = min(STOPS_IN_A_WORLD, given.stops - first)
        yield f"stops {size} seed {seed + n}", lambda n=n, size=size: stops.run(seed=seed + n, rounds=size)
    rest = {
        "clocks": lambda: clocks.run(seed=seed), "late": lambda: kills.run_late(seed=seed),
        "races": lambda: races.run(seed=seed), "requests": lambda: retries.run(seed=seed),
        "outages": lambda: outages.run(seed=seed, crashes=given.crashes, gone=given.gone),
        "disk": lambda: disk.run(seed=seed),
        "upgrade": lambda: upgrade.run(seed=seed, since=given.since), "restore": lambda: restoring.run(seed=seed),
    }  # fmt: skip
    if "restore" in wanted:
        yield f"restore to a moment, seed {seed}", lambda: restoring.to_a_moment(seed=seed)
    if "crowd" in wanted:
        yield f"crowd seed {seed}", lambda: crowd.run(seed=seed)
        yield f"crowd, a pooler, seed {seed}", lambda: crowd.run(seed=seed, pooled=True)
    if "failover" in wanted:
        yield f"failover seed {seed}", lambda: failover.run(seed=seed)
        yield f"failover, asynchronous, seed {seed}", lambda: failover.run(seed=seed, synchronous=False)
    yield from ((f"{name} seed {seed}", one) for name, one in rest.items() if name in wanted)
    for n in range(given.lives if "anything" in wanted else 0):
        name = f"anything {given.steps} seed {seed + n}"
        yield name, lambda n=n: anything.run(seed=seed + n, steps=given.steps)


def long(given: argparse.Namespace) -> int:
    from tests.faults import kills

    done = {row["name"]: row for row in map(json.loads, lines_of(given.journal))}
    asked = [name for name, _ in rounds(given)]
    for name, one in rounds(given):
        if name in done:
            continue
        report = one()
        print("\n".join(report.lines()), flush=True)
        done[name] = {"name": name, **vars(report)}
        if given.journal:
            with given.journal.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
        kills.clear()
    return summed([done[name] for name in asked])


def lines_of(journal: Path | None) -> list[str]:
    return journal.read_text().splitlines() if journal and journal.exists() else []


def summed(rows: list[dict]) -> int:
    """What was done in all, also by runs before this one, and what was found; 1 for anything."""
    found: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row["counts"])
        found.update({kind: len(findings) for kind, findings in row["found"].items()})
    print(
        f"\n{len(rows)} rounds, {sum(row['kills'] for row in rows)} kills in {sum(r['seconds'] for r in rows):.0f} s"
    )
    print("  " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    print("  found: " + ", ".join(f"{kind} {count}" for kind, count in found.items()))
    print("  seeds: " + ", ".join(f"{row['what']} {row['seed']}" for row in rows))
    return int(any(found.values()))


# A mistake that shows itself seldom gets so many worlds.
MOST_WORLDS = 5


def planted(seed: int) -> int:
    from tests.faults import bugs

    missed = [name for name, bug in bugs.BUGS.items() if not found_out(name, bug, seed)]
    print(
        f"{len(bugs.BUGS) - len(missed)} of {len(bugs.BUGS)} planted bugs found. Missed: {missed or 'none'}"
    )
    return int(bool(missed))


def found_out(name: str, bug: Callable[[], None], seed: int) -> bool:
    from tests.faults import bugs, kills

    made = 0
    for n in range(MOST_WORLDS):
        report = kills.kills(120, seed=seed + n, bug=bug)
        made += report.kills
        kills.clear()
        if misplaced := bugs.misplaced(report.found["errors"]):
            print(f"{name} does not fit the code: {misplaced}", flush=True)
            return False
        if not report.clean:
            print("\n".join(report.lines()), f"\n  {name}: found after {made} kills", flush=True)
            return True
    print(f"{name}: not found in {made} kills", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())

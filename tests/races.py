"""Several deeds at the same moment: threads with connections of their own, let go together.

`ROUNDS` is how often a race is run: a few times in every run, as often as the environment says by `make races`.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connections

ROUNDS = int(os.environ.get("ROUNDS", "4"))


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """What each deed answered or raised."""
    barrier = Barrier(len(deeds))

    def run(deed: Callable[[], Any]) -> Any:
        try:
            barrier.wait(timeout=60)
            return deed()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(run, deeds))

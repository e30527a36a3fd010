"""Deep calls in loops do not ask the system for memory each time around, wherever the edges of CPython's pieces lie."""

import resource

import pytest

from config.middleware import with_room

pytestmark = pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="Linux counts them")

CALLS, DEEPEST = 200, 120
# More than a few pages, and far less than one for each call.
MOST = CALLS // 4


def called():
    a = b = c = d = e = f = g = h = None
    return a, b, c, d, e, f, g, h


def deep(depth):
    """How many pages of memory the system was asked for by calls from so deep a place."""
    if depth:
        return deep(depth - 1)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(CALLS):
        called()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@with_room
def faults_from(depth):
    return deep(depth)


def test_calls_from_any_depth_are_made_in_one_piece():
    assert [depth for depth in range(DEEPEST) if faults_from(depth) > MOST] == []

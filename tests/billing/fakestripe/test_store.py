"""Where the stand-in keeps things, with several threads."""

import threading
from pathlib import Path

import pytest

from billing.fakestripe import MemoryStore, SqliteStore
from billing.fakestripe.store import Store, transaction

ROW = {"id": "cus_1", "object": "customer", "created": 1}


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "stripe.sqlite3")


def test_nobody_reads_what_another_thread_has_not_committed(store: Store) -> None:
    """Nor what it rolls back."""
    seen, asked = [], threading.Event()

    def read() -> None:
        asked.set()
        seen.append(store.get("cus_1"))

    def write_in_vain() -> None:
        with transaction(store):
            store.put(ROW)
            reader.start()
            asked.wait(10)
            reader.join(0.2)  # it waits, or has read what stood there before
            raise ZeroDivisionError

    reader = threading.Thread(target=read)
    with pytest.raises(ZeroDivisionError):
        write_in_vain()
    reader.join(10)
    assert seen == [None]


def test_threads_that_read_and_write_at_once_are_not_in_each_others_way(store: Store) -> None:
    wrong = []

    def work(number: int) -> None:
        try:
            for n in range(50):
                with transaction(store):
                    store.put({**ROW, "id": f"cus_{number}_{n}"})
                assert len(store.rows("customer", limit=500)) > n
                assert store.get(f"cus_{number}_{n}") is not None
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert wrong == []
    assert len(store.rows("customer", limit=500)) == 200

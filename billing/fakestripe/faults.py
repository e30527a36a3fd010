"""Switches that make calls go wrong on purpose.

They live in the store, so that a parent can set them for its workers.
"""

from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from billing.fakestripe.store import Store, transaction

# Nothing happens, and the client is told so (or not).
BEFORE = {
    "refused": "connection refused: nothing happened",
    "black_hole": "the call never arrives and the client waits until its time-out: nothing happened",
    "rate_limited": "429: nothing happened, nothing is kept under the key",
    "unavailable": "503: nothing happened, nothing is kept under the key",
    "conflict": "409: another call with this key is said to be running",
    "error_500": "500: nothing happened, and Stripe keeps the 500 under the key",
    "slow": "`seconds` pass first, then all is well",
}
# It happens, and the client does not learn how it ended.
AFTER = {
    "lose_answer": "the connection is reset before the answer",
    "time_out": "the client gives up waiting for the answer",
    "half_answer": "the body breaks off in the middle",
    "error_500_after": "500 although it happened; kept under the key",
}
# It takes another way.
WITHIN = {"processing": "the payment stays `processing` until `FakeStripe.settle`"}
MODES = BEFORE | AFTER | WITHIN


@dataclass
class Fault:
    """One switch. `times` is how often it still strikes (None: always); `share` how likely each time."""

    mode: str
    method: str = "POST"
    path: str = "/v1/"
    times: int | None = None
    share: float = 1.0
    seconds: float = 0.0

    def fits(self, method: str, path: str) -> bool:
        return self.times != 0 and self.method in ("", method) and path.startswith(self.path)


class Faults:
    """The switches of one store."""

    def __init__(self, store: Store, random: Random | None = None) -> None:
        self._store = store
        self._random = random or Random()  # noqa: S311 - chance, not secrecy

    def seed(self, seed: int) -> None:
        """Make what `share` decides repeatable in this process."""
        self._random.seed(seed)

    def add(self, mode: str, **more: Any) -> None:
        """Set a switch: `add("lose_answer", path="/v1/payment_intents", times=1)`. See `Fault`, `MODES`."""
        if mode not in MODES:
            raise ValueError(f"No fault called {mode!r}; there are: {', '.join(MODES)}.")
        with transaction(self._store):
            self._save([*self.all(), Fault(mode, **more)])

    def clear(self) -> None:
        with transaction(self._store):
            self._save([])

    def all(self) -> list[Fault]:
        return [Fault(**row) for row in self._store.switch("faults") or []]

    def draw(self, method: str, path: str) -> Fault | None:
        """The switch that strikes this call, if one does; the first that fits wins."""
        if not self._store.switch("faults"):
            return None
        with transaction(self._store):
            faults = self.all()
            for fault in faults:
                if fault.fits(method, path) and self._random.random() < fault.share:
                    fault.times = None if fault.times is None else fault.times - 1
                    self._save(faults)
                    return fault
        return None

    def _save(self, faults: list[Fault]) -> None:
        self._store.set_switch("faults", [asdict(fault) for fault in faults if fault.times != 0])

"""Named places at which a process dies: before and after each commit and each call to the outside.

They are put around functions from here, in a process that is going to die anyway. The product has no such switch.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

OURS = tuple(f"{Path(__file__).resolve().parents[2]}/{name}/" for name in ("billing", "sales", "checkout"))


class Points:
    """Counts passages by name; at passage `number` of `name` the process is gone."""

    def __init__(self, name: str = "", number: int = 1) -> None:
        self.name, self.number = name, number
        self.passed: Counter[str] = Counter()

    def at(self, name: str) -> None:
        self.passed[name] += 1
        if name == self.name and self.passed[name] == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, attribute: str, name: Callable[[], str]) -> None:
        """Two points at a function of a module or class."""
        inner = getattr(owner, attribute)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            here = name()
            self.at(f"{here} before")
            try:
                return inner(*args, **kwargs)
            finally:
                self.at(f"{here} after")

        setattr(owner, attribute, wrapped)

    def install(self) -> None:
        from django.core.mail import EmailMultiAlternatives
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django_q.brokers.orm import ORM

        from billing import bulk, collecting, events, invoicing, mail, numbering, outside, printing, timelines
        from billing.gateway import Gateway

        self.around(BaseDatabaseWrapper, "commit", lambda: f"commit in {where()}")
        for verb in ("charge", "look_up", "find_out", "create_customer", "attach"):
            self.around(Gateway, verb, lambda verb=verb: f"provider {verb}")  # type: ignore[misc]
        self.around(EmailMultiAlternatives, "send", lambda: "mail")
        self.around(printing, "print_invoice", lambda: "paper")
        self.around(outside, "post", lambda: "webhook")
        self.around(ORM, "acknowledge", lambda: "job done")
        inside = {
            bulk: ["copy"], collecting: ["settle", "_open_attempt"], events: ["record_many"], mail: ["_insert"],
            invoicing: ["bill_many", "issue"], numbering: ["take"], timelines: ["write"],
        }  # fmt: skip
        for module, names in inside.items():
            for name in names:
                self.around(module, name, lambda name=name: name)  # type: ignore[misc]


def where() -> str:
    """The innermost function of ours that is at work."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(OURS):
            return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"

"""Named places at which a process dies: the borders of the code with what lasts.

A border is a commit, a statement that writes, a call of the provider, a mail, a webhook, a job that is done. Its name
says which function of ours stood there, so new code brings its points with it and no list of them is kept. They are
put around functions from here, in a process that is going to die anyway: the product has no such switch.
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

OURS = tuple(f"{Path(__file__).resolve().parents[2]}/{name}/" for name in ("billing", "sales", "checkout"))
WRITES = re.compile(r"\s*(insert|update|delete|copy|with\b.*\b(insert|update|delete)\b)", re.I | re.S)


class Points:
    """Counts passages by name; at passage `number` of `name` the process is gone, or gets another signal."""

    def __init__(self, name: str = "", number: int = 1, signal: int = signal.SIGKILL) -> None:
        self.name, self.number, self.signal = name, number, signal
        self.passed: Counter[str] = Counter()

    @property
    def reached(self) -> bool:
        return self.passed[self.name] >= self.number

    def at(self, name: str) -> None:
        self.passed[name] += 1
        if name == self.name and self.passed[name] == self.number:
            os.kill(os.getpid(), self.signal)

    def around(
        self, owner: Any, attribute: str, border: str, counts: Callable[..., Any] | None = None
    ) -> None:
        """Two points at a border: a method of a class, or a function of a module; only where `counts(*args)`."""
        inner = getattr(owner, attribute)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if counts and not counts(*args):
                return inner(*args, **kwargs)
            here = f"{border} in {where()}"
            self.at(f"{here}, before")
            try:
                return inner(*args, **kwargs)
            finally:
                self.at(f"{here}, after")

        setattr(owner, attribute, wrapped)

    def install(self) -> None:
        import psycopg
        import stripe
        from django.core.mail import EmailMultiAlternatives
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.utils import CursorWrapper
        from django_q.brokers.orm import ORM

        from billing import outside

        self.around(BaseDatabaseWrapper, "commit", "commit")
        for verb in ("execute", "executemany"):
            self.around(CursorWrapper, verb, "write", lambda cursor, sql, *rest: WRITES.match(str(sql)))
        self.around(psycopg.Cursor, "copy", "write")
        self.around(stripe.RequestsClient, "request", "provider's answer")
        self.around(EmailMultiAlternatives, "send", "mail")
        self.around(outside, "post", "webhook")
        self.around(ORM, "acknowledge", "job done")


def where() -> str:
    """The innermost function of ours that is at work, or whose transaction ends."""
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if (
            code.co_name == "inner"
        ):  # of a decorator, as of `transaction.atomic`: the function itself has returned
            code = getattr(frame.f_locals.get("func"), "__code__", code)
        if code.co_filename.startswith(OURS) and not code.co_name.startswith("<"):
            return f"{Path(code.co_filename).stem}.{code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the queue"

"""Commands that move money, or take something away for good, past every screen that would ask who may.

Whoever can type `manage.py` is asked why instead, and it is written down before anything is done.
"""

import getpass
import os
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from billing.events import record

SHORTEST = 10


class Deed(BaseCommand):
    """A command with `--reason`. `handle` calls `note` before its first change; a rehearsal needs no reason."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reason", default="", help="why; written down with your name before anything is done"
        )

    def note(self, options: dict[str, Any], *, now: datetime, **said: Any) -> str:
        """Write down who does this and why; answers the actor for facts. `said` are the arguments worth keeping, none
        that names a person. Raises CommandError without a reason."""
        reason = str(options["reason"]).strip()
        if len(reason) < SHORTEST:
            raise CommandError(f"--reason: say why, in at least {SHORTEST} characters. Nothing was done.")
        actor, name = f"command:{who()}", type(self).__module__.rpartition(".")[2]
        data = {"command": name, "arguments": said, "reason": reason[:300]}
        with transaction.atomic():
            record("command.run", subject=Subject(name), actor=actor, now=now, data=data, livemode=True)
        return actor


class Subject:
    """A command is an object of its own in the facts: `cmd_bill` 1, 2, 3 …"""

    def __init__(self, name: str) -> None:
        self.pk = f"cmd_{name}"


def who() -> str:
    """Who typed the command, also behind sudo; the account that it runs under where nobody did (cron, a container)."""
    for known in (os.getlogin, getpass.getuser):
        try:
            return known()[:100]
        except (OSError, KeyError):
            continue
    return str(os.getuid())

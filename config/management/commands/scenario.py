"""`manage.py scenario run FILE …`: replay stories through the HTTP API and compare the answers."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing import keys
from config import scenarios


@contextlib.contextmanager
def only_errors_logged() -> Iterator[None]:
    """A line for each scenario is what somebody reads, not one for each request that this process answers itself."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class Command(BaseCommand):
    help = "Replays scenarios through the HTTP API on test clocks and names every difference."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        runs = verbs.add_parser("run", help="replay files of scenarios")
        runs.add_argument("files", nargs="+", metavar="FILE")
        runs.add_argument("--server", help="a running server; without it this process answers itself")
        runs.add_argument("--key", help="a sandbox key; without it one is made and revoked afterwards")

    def handle(self, *args: Any, **options: Any) -> None:
        with only_errors_logged():
            told = [self._run(name, options["server"], options["key"]) for name in options["files"]]
        differences = [one for report in told for one in report.differences]
        steps, stories = sum(r.steps for r in told), sum(r.scenarios for r in told)
        for difference in differences:
            self.stderr.write(self.style.ERROR(str(difference)))
        if differences:
            raise CommandError(f"{len(differences)} differences in {stories} scenarios")
        self.stdout.write(f"{stories} scenarios, {steps} steps: every answer as expected")

    def _run(self, name: str, server: str | None, secret: str | None) -> scenarios.Report:
        try:
            wanted = scenarios.load(Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, scenarios.Malformed) as error:
            raise CommandError(f"{name}: {error}") from None
        if server and not secret:
            raise CommandError("--server needs --key")
        if secret:
            send = scenarios.over_http(server, secret) if server else scenarios.in_process(secret)
            return scenarios.run(wanted, send, self.stdout.write)
        return self._with_own_key(wanted)

    def _with_own_key(self, wanted: list[dict[str, Any]]) -> scenarios.Report:
        key, own = keys.issue(name="scenario run", livemode=False, now=timezone.now())
        try:
            return scenarios.run(wanted, scenarios.in_process(own), self.stdout.write)
        finally:
            keys.revoke(key=key, now=timezone.now())

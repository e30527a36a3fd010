"""`manage.py compare_charges --since 2026-01-31T03:00Z`: the provider's list of charges against ours. Exit status 1 for
a difference."""

import sys
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from billing import tallying
from billing.gateway import ProviderUnreachable


class Command(BaseCommand):
    help = "Compare the provider's list of charges with what is recorded here; changes nothing"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", required=True, help="a time with an offset: of the dump, after a restore"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        since = _instant(options["since"])
        try:
            found = tallying.differences(since=since, until=timezone.now())
        except ProviderUnreachable as error:
            raise CommandError("The provider does not answer; nothing was compared.") from error
        for one in found:
            self.stderr.write(str(one))
        if found:
            self.stderr.write(self.style.ERROR(f"{len(found)} differences"))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"No differences since {since:%Y-%m-%d %H:%M %Z}"))


def _instant(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CommandError(f"--since is a time with an offset, such as 2026-01-31T03:00Z, not {text!r}.")
    return found

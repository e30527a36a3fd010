"""`manage.py retain`: what is older than it is to be kept. Without `--yes` it only says how much that is."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from billing import retaining
from billing.management.deeds import Deed
from billing.refusals import Refused


class Command(Deed):
    help = "Remove what is past the time that it is kept; without --yes only say how much"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        now = timezone.now()
        try:
            found = (
                retaining.apply(now=now, actor=self.note(options, now=now)) if yes else retaining.due(now=now)
            )
        except Refused as refused:
            raise CommandError(refused.message) from refused
        for each in found:
            self.stdout.write(f"{each.rows:>8}  {each.kind} from before {each.before:%Y-%m-%d %H:%M} UTC")
        done = "removed" if yes else "would go; nothing was removed"
        self.stdout.write(self.style.SUCCESS(f"{sum(each.rows for each in found)} rows {done}"))

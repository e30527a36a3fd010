"""`manage.py export_person ada@example.com --to ada.zip --reason "…"`: all that is held about a person, for them."""

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from billing import disclosing
from billing.management.deeds import Deed
from billing.refusals import Refused


class Command(Deed):
    help = "Write everything that is held about a person into a ZIP archive"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("address", help="the person's e-mail address")
        parser.add_argument("--to", required=True, metavar="FILE", help="a file that is not there yet")

    def handle(self, *args: Any, address: str, to: str, **options: Any) -> None:
        path, now = Path(to), timezone.now()
        if path.exists():
            raise CommandError(f"--to: {path} is there already.")
        actor = self.note(options, now=now)
        try:
            request = disclosing.ask(address=address, reason=options["reason"], now=now, actor=actor)
            with disclosing.export(request=request, now=now, actor=actor) as archive:
                path.touch(mode=0o600)
                with path.open("wb") as file:
                    shutil.copyfileobj(archive, file)
        except Refused as refused:
            raise CommandError(refused.message) from refused
        for name, count in request.held.items():
            self.stdout.write(f"{count:>6}  {name}")
        self.stdout.write(self.style.SUCCESS(f"{path} ({request.pk})"))

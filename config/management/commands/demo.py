import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo, embedded


class Command(BaseCommand):
    help = "Run everything on this machine with sample data: database, web server, job worker."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("The demo is not for TANDEM_ENV=production.")
        settings.DEMO = True
        began = time.monotonic()

        def say(text: str) -> None:
            self.stdout.write(text if "\n" in text else f"{time.monotonic() - began:6.1f} s  {text}")
            self.stdout.flush()

        try:
            demo.run(say)
        except (demo.UnableToStart, embedded.ServerUnavailable) as error:
            raise CommandError(str(error)) from error

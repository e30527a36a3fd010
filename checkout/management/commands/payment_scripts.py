from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checkout import inventory


class Command(BaseCommand):
    help = "Compare the scripts of the payment pages with their list. Exit code 1 when one has changed."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--write", action="store_true", help="list them as they are now, after reading the change"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["write"]:
            inventory.write()
        if found := list(inventory.differences()):
            raise CommandError("\n".join(found))
        self.stdout.write(f"{len(inventory.listed())} scripts, all as listed")

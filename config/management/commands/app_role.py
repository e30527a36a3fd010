from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from config import roles


class Command(BaseCommand):
    help = "Let a database role do what web and jobs do, without deleting papers and facts. Run it as the tables' owner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="an existing role, other than the one that DATABASE_URL names now")
        parser.add_argument("--dry-run", action="store_true", help="say the statements, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                done = roles.restrict(options["name"])
                transaction.set_rollback(options["dry_run"])
        except roles.NoRole:
            raise CommandError(
                f"{options['name']!r} is no role beside the one that asks: CREATE ROLE … LOGIN PASSWORD '…' makes one."
            ) from None
        for statement in done:
            self.stdout.write(f"{statement};")
        if not options["dry_run"]:
            self.stdout.write(self.style.SUCCESS(f"{options['name']} may do what web and jobs do."))

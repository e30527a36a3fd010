"""`manage.py check_books`: every invariant of the books, asked of the data. Exit status 1 when one is broken."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing import books


class Command(BaseCommand):
    help = "Check every invariant of the books"

    def handle(self, *args: Any, **options: Any) -> None:
        breaches = books.check()
        for breach in breaches:
            self.stderr.write(f"{breach.id}  {breach.words}: {breach.found}")
        if breaches:
            self.stderr.write(self.style.ERROR(f"{len(breaches)} breaches"))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"{len(books.invariants()) + 2} invariants hold"))

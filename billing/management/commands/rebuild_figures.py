"""`manage.py rebuild_figures`: make the sums that the metrics are read from anew, and say which were wrong."""

from typing import Any

from django.core.management.base import BaseCommand

from billing import figures


class Command(BaseCommand):
    help = "Make the sums that the metrics are read from anew"

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = figures.check()
        if not wrong:
            figures.rebuild()
        for words in wrong:
            self.stdout.write(f"wrong: {words}")
        self.stdout.write(self.style.SUCCESS("The figures were made anew."))

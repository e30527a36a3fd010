"""`manage.py verify_facts`: whether facts say what they said when they were chained. Exit status 1 when one does not."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from billing import chaining
from billing.models import EventAmendment


class Command(BaseCommand):
    help = "Compare facts with the chain of their hashes; prints the chain's head, which belongs on another machine"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--kept",
            metavar="NUMBER:DIGEST",
            action="append",
            default=[],
            help="a head that was kept elsewhere",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lost = [f"{kept} is not in the chain" for kept in options["kept"] if not chaining.holds(kept)]
        found = [*lost, *chaining.differences()]
        if found:
            self.stderr.write("\n".join(found))
            sys.exit(1)
        head = chaining.head()
        self.stderr.write(
            self.style.SUCCESS(
                f"{head.number} links hold; erasures changed {EventAmendment.objects.count()} times what a fact says"
            )
        )
        self.stdout.write(str(head))

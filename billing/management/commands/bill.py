"""`manage.py bill`: bill everything that is due. With `--dry-run`, say what that would be, and write nothing."""

from datetime import date, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from billing import rehearsing, running
from billing.management.deeds import Deed
from billing.maths.money import to_major
from billing.rehearsing import Paper, Rehearsal


class Command(Deed):
    help = "Bill everything that is due; with --dry-run only say what that would be"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be billed; write nothing")
        parser.add_argument("--until", metavar="DATE", help="with --dry-run: up to the end of this day (UTC)")
        parser.add_argument(
            "--threads",
            type=int,
            default=running.THREADS,
            help="at once, in this process (default %(default)s)",
        )
        parser.add_argument("--most", type=int, default=10, help="outliers to show (default 10)")

    def handle(
        self, *args: Any, dry_run: bool, until: str | None, threads: int, most: int, **options: Any
    ) -> None:
        if until and not dry_run:
            raise CommandError("--until: only with --dry-run; what is not due yet is not billed.")
        now = timezone.now()
        if dry_run:
            self.rehearse(_end_of(until) if until else now, most)
        else:
            self.note(options, now=now, threads=threads)
            self.bill(now, threads)

    def bill(self, now: datetime, threads: int) -> None:
        done = running.run(now=now, threads=max(threads, 1), progress=self.said_so_far)
        self.stdout.write(f"{done.subscriptions} subscriptions, {done.invoices} invoices")
        if done.failures:
            self.stderr.write(self.style.ERROR(f"{done.failures} set aside; see Not billed in the admin"))

    def said_so_far(self, done: running.RunResult) -> None:
        self.stdout.write(f"{done.subscriptions} …")

    def rehearse(self, until: datetime, most: int) -> None:
        found = rehearsing.rehearse(until=until, most=most)
        self.stdout.write(f"Due until {until:%Y-%m-%d %H:%M} UTC: {found.subscriptions} subscriptions")
        self.stdout.write(f"{found.invoices} invoices, {found.credit_notes} credit notes")
        for currency in sorted(found.invoiced.keys() | found.credited.keys()):
            invoiced, credited = found.invoiced[currency], found.credited[currency]
            self.stdout.write(
                f"  {currency}: {to_major(invoiced, currency)} invoiced, {to_major(credited, currency)} credited"
            )
        self.papers("Largest", found.largest)
        self.papers("Furthest from the last invoice", found.most_changed)
        self.aside(found)

    def papers(self, title: str, papers: list[Paper]) -> None:
        if papers:
            self.stdout.write(f"{title}:")
        for paper in papers:
            before = "first" if paper.before is None else f"before {to_major(paper.before, paper.currency)}"
            self.stdout.write(
                f"  {paper.on}  {to_major(paper.total, paper.currency):>14} {paper.currency}  "
                f"{paper.subscription}  ({before})"
            )

    def aside(self, found: Rehearsal) -> None:
        if found.refused:
            self.stdout.write(self.style.WARNING(f"{found.refused} would not be billed:"))
        for one in found.aside:
            self.stdout.write(f"  {one.subscription}  {one.reason}")


def _end_of(day: str) -> datetime:
    try:
        return rehearsing.end_of(date.fromisoformat(day))
    except ValueError:
        raise CommandError(f"--until: {day!r} is not a day such as 2026-12-31.") from None

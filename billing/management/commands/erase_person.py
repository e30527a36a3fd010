"""`manage.py erase_person ada@example.com --reason "…"`: forget a person. Without `--yes`, say what that would be."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from billing import disclosing, erasing, people
from billing.management.deeds import Deed
from billing.refusals import Refused


class Command(Deed):
    help = "Erase a person from everything but issued papers; without --yes only say what that would be"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("address", help="the person's e-mail address")
        parser.add_argument(
            "--with-accounts", action="store_true", help="also empty the customers whose address it is"
        )
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")

    def handle(self, *args: Any, address: str, with_accounts: bool, yes: bool, **options: Any) -> None:
        person = people.find(address)
        against = erasing.objections(person, with_accounts=with_accounts)
        if yes and not against:
            self.erase(address, with_accounts, options)
            return
        for kind, count in erasing.papers_kept(person).items():
            self.stdout.write(f"{count:>6}  {kind.replace('_', ' ')} would stay")
        for refusal in against:
            self.stderr.write(self.style.ERROR(refusal.message))
        if against:
            raise CommandError("Nothing was changed.")
        self.stdout.write(
            f"Names: {', '.join(sorted(person.names)) or 'none'}. With --yes they would be erased."
        )

    def erase(self, address: str, with_accounts: bool, options: dict[str, Any]) -> None:
        now = timezone.now()
        actor = self.note(options, now=now, with_accounts=with_accounts)
        try:
            request = disclosing.ask(address=address, reason=options["reason"], now=now, actor=actor)
            erasing.want(request=request, with_accounts=with_accounts, now=now, actor=actor)
            request = erasing.erase(request=request, now=timezone.now())
        except Refused as refused:
            raise CommandError(refused.message) from refused
        for label, count in request.erased.items():
            self.stdout.write(f"{count:>6}  {label}")
        for kind, count in request.kept.items():
            self.stdout.write(f"{count:>6}  {kind.replace('_', ' ')} stay")
        self.stdout.write(self.style.SUCCESS(f"Erased ({request.pk})"))

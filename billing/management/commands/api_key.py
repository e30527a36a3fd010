"""Make, list and revoke keys of the HTTP API."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing import keys
from billing.models import ApiKey
from billing.refusals import Refused


class Command(BaseCommand):
    help = "Make, list and revoke keys of the HTTP API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        create = does.add_parser("create", help="make a key; its secret is shown once")
        create.add_argument("--name", required=True, help="what it is for")
        create.add_argument("--live", action="store_true", help="for live customers instead of the sandbox's")
        create.add_argument(
            "--scope",
            action="append",
            choices=keys.SCOPES,
            help="may be given more than once; without it, everything",
        )
        does.add_parser("list", help="every key, without its secret")
        revoke = does.add_parser("revoke", help="take a key away at once")
        revoke.add_argument("prefix", help="the beginning of the key, as listed")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, options["does"])(options)

    def create(self, options: dict[str, Any]) -> None:
        scopes = options["scope"] or keys.SCOPES
        try:
            key, secret = keys.issue(
                name=options["name"], livemode=options["live"], scopes=scopes, now=timezone.now()
            )
        except Refused as refused:
            raise CommandError(refused.message) from refused
        self.stderr.write(f"{key.name}: {', '.join(key.scopes)}. This is shown once:")
        self.stdout.write(secret)

    def list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.order_by("pk"):
            used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
            state = "revoked" if key.revoked_at else f"last used {used}"
            self.stdout.write(f"{key.prefix}…  {key.name}  {','.join(key.scopes)}  {state}")

    def revoke(self, options: dict[str, Any]) -> None:
        found = list(ApiKey.objects.filter(prefix=options["prefix"].rstrip("…"), revoked_at__isnull=True))
        if len(found) != 1:
            raise CommandError(f"{len(found)} keys in use begin with {options['prefix']}.")
        keys.revoke(key=found[0], now=timezone.now())
        self.stdout.write(f"{found[0].name} is revoked.")

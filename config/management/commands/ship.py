"""`manage.py ship`: add what Tandem ships with and is missing: segments, plans, taxes, rules, groups, routing."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing import catalogue as billing_catalogue
from checkout import catalogue as checkout_catalogue
from sales import catalogue as sales_catalogue


class Command(BaseCommand):
    help = "Add the shipped segments, plans, rules and groups that are missing; changes nothing that staff edited"

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for catalogue in (billing_catalogue, sales_catalogue, checkout_catalogue):
            catalogue.ship(now=now)
        self.stdout.write("Everything that ships is there.")

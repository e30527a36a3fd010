import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config import doctor


class Command(BaseCommand):
    help = "Say what is missing on this machine or in the settings. Exit code 1 when something fails."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--online", action="store_true", help="ask Stripe, too")
        parser.add_argument("--json", action="store_true", help="a list of {name, mark, text}")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = doctor.examine(online=options["online"])
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            for finding in findings:
                self.stdout.write(self.line(finding))
        if any(finding.mark == "fail" for finding in findings):
            raise SystemExit(1)

    def line(self, finding: doctor.Finding) -> str:
        colour = {"ok": self.style.SUCCESS, "warn": self.style.WARNING, "fail": self.style.ERROR}[
            finding.mark
        ]
        mark = finding.mark.upper() if finding.mark == "fail" else finding.mark
        return f"{colour(f'{mark:<5}')} {finding.name:<16} {finding.text}"

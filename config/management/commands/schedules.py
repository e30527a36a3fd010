from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config import schedules


class Command(BaseCommand):
    help = "Write the recurring jobs of config/schedules.py for the job workers. Run it after every upgrade."

    def handle(self, *args: Any, **options: Any) -> None:
        schedules.write(jobs=schedules.JOBS, now=timezone.now())
        for job in schedules.JOBS:
            often = f"daily at {job.at:%H:%M} UTC" if job.at else f"every {job.minutes} min"
            self.stdout.write(f"{job.name:<40} {often}")

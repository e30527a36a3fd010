"""Test clocks: movable time for sandbox customers."""

from django.db import models
from django.utils import timezone

from billing.models.ids import IdField
from billing.models.reading import ReadPlainly


class TestClock(ReadPlainly):
    """Everything that happens to its customers happens at its time."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    id = IdField("clk")
    name = models.CharField(max_length=100, blank=True)
    now = models.DateTimeField()
    target = models.DateTimeField(null=True, blank=True, help_text="where an advance is heading")
    status = models.CharField(
        max_length=10, choices=[("ready", "Ready"), ("advancing", "Advancing")], default="ready"
    )
    series_code = models.CharField(
        max_length=40, help_text="its customers' papers are numbered in this series"
    )
    created_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name or self.pk

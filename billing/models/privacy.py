"""What people ask about themselves, and how long things are kept."""

from django.db import models
from django.db.models import Q

from billing.models.ids import IdField


class PrivacyRequest(models.Model):
    """Somebody asks what is held about them, or to be forgotten: who asked for it, why, and what was done.

    The address is sealed while it is needed, and gone once the person is erased; `digest` still tells whether the
    same person asks again.
    """

    id = IdField("prv")
    address = models.TextField(blank=True, help_text="sealed; empty once the person is erased")
    digest = models.CharField(max_length=64, db_index=True)
    reason = models.CharField(max_length=300)
    asked_by = models.CharField(max_length=120, help_text="user:<id> or command:<name>")
    asked_at = models.DateTimeField()
    held = models.JSONField(default=dict, help_text="{table: rows} that tell of the person, as of the asking")
    exported_by = models.CharField(max_length=120, blank=True)
    exported_at = models.DateTimeField(null=True, blank=True)
    with_accounts = models.BooleanField(default=False)
    erase_asked_by = models.CharField(max_length=120, blank=True)
    erase_asked_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    erased = models.JSONField(default=dict, help_text="{table: rows} that were changed")
    kept = models.JSONField(default=dict, help_text="{kind of paper: how many} that stay, by law")
    message = models.CharField(max_length=300, blank=True, help_text="why the person could not be erased")

    class Meta:
        ordering = ["-asked_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) | Q(address=""), name="who_is_erased_is_not_named"
            )
        ]
        indexes = [
            models.Index(
                fields=["erase_asked_at"],
                condition=Q(erase_asked_at__isnull=False, erased_at__isnull=True),
                name="erasure_waiting",
            )
        ]
        permissions = [
            ("export_person", "Can export what is held about a person"),
            ("erase_person", "Can erase a person"),
        ]

    def __str__(self) -> str:
        return f"Request of {self.asked_at:%-d %B %Y}"

    @property
    def state(self) -> str:
        if self.erased_at:
            return "erased"
        if self.erase_asked_at:
            return "erasing"
        return "exported" if self.exported_at else "open"


class RetentionRule(models.Model):
    """How long one kind of rows is kept; nothing is removed while `days` is empty. The kinds: `billing.retaining`."""

    kind = models.SlugField(primary_key=True)
    days = models.PositiveIntegerField(null=True, blank=True, help_text="empty: for ever")
    removed_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="everything older was removed"
    )

    class Meta:
        ordering = ["kind"]

    def __str__(self) -> str:
        return self.kind.replace("_", " ")

"""What a billing run would do, as staff asked for it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import billing.models.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0032_figures"),
    ]

    operations = [
        migrations.CreateModel(
            name="BillingRehearsal",
            fields=[
                ("id", billing.models.ids.IdField("dry", serialize=False)),
                ("until", models.DateTimeField(verbose_name="due until")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                (
                    "due",
                    models.PositiveIntegerField(
                        help_text="subscriptions that were due when it was asked for"
                    ),
                ),
                ("last", models.CharField(blank=True, max_length=60)),
                ("found", models.JSONField(default=dict)),
                ("problem", models.TextField(blank=True)),
                ("asked_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "dry run",
                "ordering": ["-asked_at"],
            },
        ),
    ]

"""The rule that Tandem ships with; staff change it, or add others before and after it."""

from django.db import migrations


def ship(apps, schema_editor):
    apps.get_model("checkout", "RoutingRule").objects.get_or_create(
        position=100,
        defaults={
            "name": "More than 100 people",
            "conditions": {"employees": {"over": 100}},
            "outcome": "contact_sales",
        },
    )


class Migration(migrations.Migration):
    dependencies = [("checkout", "0001_initial")]
    operations = [migrations.RunPython(ship, migrations.RunPython.noop)]

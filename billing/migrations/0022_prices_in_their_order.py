"""Prices and items of one moment stand in the order in which they were given: nothing changes in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0021_ended_subscriptions_settle")]

    operations = [
        migrations.AlterModelOptions(name="phaseitem", options={"ordering": ["id"]}),
        migrations.AlterModelOptions(
            name="price", options={"ordering": ["plan", "kind", "created_at", "id"]}
        ),
    ]

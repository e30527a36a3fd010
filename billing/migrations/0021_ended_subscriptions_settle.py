"""The billing run looks at whatever has something due, also at a subscription that has ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0020_several_discounts")]

    operations = [
        migrations.RemoveIndex(model_name="subscription", name="subscription_to_bill"),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(next_due_at__isnull=False),
                fields=["next_due_at", "id"],
                name="subscription_to_bill",
            ),
        ),
    ]

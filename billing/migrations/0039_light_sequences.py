"""Each event takes its object's next number from here, and nobody looks for objects by the beginning of their id: the
index that Django makes for that was written twice for each invoice, and never read."""

from django.db import migrations

INDEX = "billing_objectsequence_object_id_483afa2e_like"


class Migration(migrations.Migration):
    dependencies = [("billing", "0038_lists_of_the_sandbox")]
    operations = [
        migrations.RunSQL(
            f"drop index if exists {INDEX}",
            f"create index if not exists {INDEX} on billing_objectsequence (object_id varchar_pattern_ops)",
        )
    ]

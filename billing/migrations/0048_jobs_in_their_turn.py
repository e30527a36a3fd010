"""The queue's own table has no index but of its ids: taking one of a hundred thousand jobs read and sorted all of them.

Another application's table, so Django's own operation for an index cannot name it.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0047_logo_facts"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [
        migrations.RunSQL(
            "create index jobs_in_their_turn on django_q_ormq (key, lock, id)",
            "drop index jobs_in_their_turn",
        ),
    ]

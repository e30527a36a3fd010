"""Which endpoints ask for a fact, in one place; those that name no types do not hear what staff do at the doors."""

import django.contrib.postgres.fields
from django.db import migrations, models

ASKS = """
create function tandem_asks_for(types text[], type text) returns boolean language sql immutable as $$
    select type = any(types) or (types = '{}' and type not like 'user.%')
$$;
"""

FAN_OUT = """
create or replace function tandem_fan_out() returns trigger language plpgsql as $$
begin
    insert into billing_webhookdelivery
        (id, endpoint_id, event_id, object_id, sequence, status, attempts, next_at, created_at)
    select tandem_uuid7(), w.id, f.number, f.object_id, f.sequence, 'pending', 0, f.recorded_at, f.recorded_at
    from fresh f join billing_webhookendpoint w on w.livemode = f.livemode and w.disabled_at is null
        and (%s)
    order by f.number;
    return null;
end $$;
"""

NOW = FAN_OUT % "tandem_asks_for(w.event_types, f.type)"
BEFORE = FAN_OUT % "w.event_types = '{}' or f.type = any(w.event_types)"


class Migration(migrations.Migration):
    dependencies = [("billing", "0056_lists_of_staff")]
    operations = [
        migrations.RunSQL(ASKS, "drop function tandem_asks_for"),
        migrations.RunSQL(NOW, BEFORE),
        migrations.AlterField(
            model_name="webhookendpoint",
            name="event_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=60),
                blank=True,
                default=list,
                help_text="none: every type but user.*",
                size=None,
            ),
        ),
    ]

"""Each fact is owed to every endpoint that asks for it, in the transaction of the fact, however it is written."""

from django.db import migrations

FUNCTIONS = """
create function tandem_uuid7() returns uuid language sql volatile as $$
    -- RFC 9562: 48 bits of milliseconds, then what gen_random_uuid gives, with the version's bits set to 7.
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

create function tandem_fan_out() returns trigger language plpgsql as $$
begin
    insert into billing_webhookdelivery
        (id, endpoint_id, event_id, object_id, sequence, status, attempts, next_at, created_at)
    select tandem_uuid7(), w.id, f.number, f.object_id, f.sequence, 'pending', 0, f.recorded_at, f.recorded_at
    from fresh f join billing_webhookendpoint w on w.livemode = f.livemode and w.disabled_at is null
        and (w.event_types = '{}' or f.type = any(w.event_types))
    order by f.number;
    return null;
end $$;
"""

TRIGGER = """
create trigger event_fans_out after insert on billing_event
    referencing new table as fresh for each statement execute function tandem_fan_out();
"""

UNDO = """
drop trigger event_fans_out on billing_event;
drop function tandem_fan_out;
drop function tandem_uuid7;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_webhooks")]
    operations = [migrations.RunSQL(FUNCTIONS + TRIGGER, UNDO)]

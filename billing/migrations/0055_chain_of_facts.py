"""The hash of a fact, the chain of these (`billing.chaining`), and what an erasure changed, said by the database itself."""

from django.db import migrations, models
from django.db.models.functions import Now

# Text that does not depend on a session's settings: instants in microseconds, JSON as the database keeps it.
FUNCTIONS = """
create function tandem_fact_hash(e billing_event) returns bytea language sql stable as $$
    select sha256(convert_to(jsonb_build_array(
        e.number, e.id, e.type, e.object_id, e.sequence, e.customer_id, e.livemode, e.actor,
        (extract(epoch from e.at) * 1000000)::bigint, (extract(epoch from e.recorded_at) * 1000000)::bigint,
        e.data)::text, 'UTF8'))
$$;

create function tandem_say_amended() returns trigger language plpgsql as $$
begin
    insert into billing_eventamendment (event, before, after)
        values (new.number, tandem_fact_hash(old), tandem_fact_hash(new));
    return null;
end $$;

create trigger event_amended after update on billing_event
    for each row when (old.* is distinct from new.*) execute function tandem_say_amended();
create trigger event_digest_kept before update or delete on billing_eventdigest
    for each row execute function tandem_refuse();
create trigger event_amendment_kept before update or delete on billing_eventamendment
    for each row execute function tandem_refuse();
"""
UNDO = """
drop trigger event_amended on billing_event;
drop trigger event_digest_kept on billing_eventdigest;
drop trigger event_amendment_kept on billing_eventamendment;
drop function tandem_say_amended(), tandem_fact_hash(billing_event);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0054_mails_sent_again")]
    operations = [
        migrations.CreateModel(
            name="EventAmendment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "event",
                    models.BigIntegerField(
                        help_text="the number of the fact, which may be past its retention"
                    ),
                ),
                ("before", models.BinaryField(help_text="SHA-256 of what it said")),
                ("after", models.BinaryField(help_text="SHA-256 of what it says")),
                ("at", models.DateTimeField(db_default=Now())),
            ],
        ),
        migrations.CreateModel(
            name="EventDigest",
            fields=[
                (
                    "number",
                    models.PositiveBigIntegerField(help_text="1, 2, 3 …", primary_key=True, serialize=False),
                ),
                (
                    "up_to",
                    models.BigIntegerField(help_text="facts after the previous link's, up to this number"),
                ),
                ("amended_up_to", models.BigIntegerField(help_text="the same for amendments, by their id")),
                (
                    "since",
                    models.DateTimeField(help_text="when the first of its facts was recorded", null=True),
                ),
                (
                    "entries",
                    models.BinaryField(
                        help_text="40 bytes a fact: its number and the SHA-256 of what it says"
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the previous digest and all of this, in hex", max_length=64
                    ),
                ),
                ("made_at", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(FUNCTIONS, UNDO),
    ]

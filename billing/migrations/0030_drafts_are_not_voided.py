"""A draft has no number that a void paper would have to keep: the model has no such move, so the database has none."""

from django.db import migrations

MOVE = "'draft>void',"
AFTER = "'draft>open','draft>paid',"


def redefine(old: str, new: str) -> str:
    """The guard as it is, with one text in place of another."""
    quoted = [text.replace("'", "''") for text in (old, new)]
    return f"""do $$ begin
        execute replace(pg_get_functiondef('tandem_freeze_invoice'::regproc), '{quoted[0]}', '{quoted[1]}');
    end $$"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0029_exchange_rates")]
    operations = [
        migrations.RunSQL(redefine(AFTER + MOVE, AFTER), reverse_sql=redefine(AFTER, AFTER + MOVE)),
    ]

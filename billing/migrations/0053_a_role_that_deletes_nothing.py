"""What a role that may not delete papers and facts has to have deleted: drafts, and facts that are old enough.

Both run as the owner of the tables, and under the guards like everybody: what is issued, or not old enough, is refused.
"""

from django.db import migrations

FUNCTIONS = """
create function tandem_drop_draft(draft uuid) returns void language sql
    security definer set search_path = public, pg_temp as $$
    delete from billing_invoiceline l using billing_invoice i
        where i.id = draft and i.status = 'draft' and l.invoice_id = i.id;
    delete from billing_invoice where id = draft and status = 'draft';
$$;

create function tandem_forget_facts(numbers bigint[]) returns bigint language sql
    security definer set search_path = public, pg_temp as $$
    with gone as (delete from billing_event where number = any(numbers) returning 1) select count(*) from gone;
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0052_room_for_totals")]
    operations = [
        migrations.RunSQL(FUNCTIONS, "drop function tandem_drop_draft(uuid), tandem_forget_facts(bigint[])")
    ]

"""A quote that was signed is a contract: its papers stay ten years, as those of invoices do."""

from django.db import migrations

DO = """
create function tandem_keep_signed_quote() returns trigger language plpgsql as $$
begin
    if new.content is distinct from old.content and old.created_at >= now() - interval '10 years' and exists (
        select from sales_quote where state in ('accepted', 'converted') and old.id in (document_id, signed_document_id)) then
        raise exception 'the papers of a signed quote are kept' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger signed_quote_kept before update on billing_document
    for each row execute function tandem_keep_signed_quote();
"""
UNDO = """
drop trigger signed_quote_kept on billing_document;
drop function tandem_keep_signed_quote;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0043_what_may_be_taken_away"), ("sales", "0010_committed_usage")]
    operations = [migrations.RunSQL(DO, UNDO)]

"""What may be taken away from facts and papers, and by whom: `billing.erasing` and `billing.retaining`, in a transaction
that says so (`billing.removing`). The years that the law keeps papers for are here, where no setting shortens them."""

from django.db import migrations

FUNCTIONS = """
create function tandem_removing(what text) returns boolean language sql stable as
    $$ select coalesce(current_setting('tandem.removing', true), '') = what $$;

-- A fact: an erasure changes the words in it; it may go a year after it was recorded.
create function tandem_keep_event() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tandem_removing('erasure')
       and to_jsonb(old) - 'data' = to_jsonb(new) - 'data' then
        return new;
    end if;
    if tg_op = 'DELETE' and tandem_removing('retention') and old.recorded_at < now() - interval '1 year' then
        return old;
    end if;
    raise exception '% rows are never changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

-- The words beside an amount, never the amount.
create function tandem_keep_amounts() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tandem_removing('erasure')
       and to_jsonb(old) - array['memo', 'reason'] = to_jsonb(new) - array['memo', 'reason'] then
        return new;
    end if;
    raise exception '% rows are never changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

-- A paper's bytes may go, its row and its hash stay. What an invoice or a credit note was printed on stays ten years.
create function tandem_keep_document() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.content = ''
       and (old.id, old.name, old.media_type, old.sha256, old.created_at)
           = (new.id, new.name, new.media_type, new.sha256, new.created_at) then
        if not exists (select from billing_invoice where document_id = old.id)
           and not exists (select from billing_creditnote where document_id = old.id) then
            if tandem_removing('erasure') or tandem_removing('retention') then return new; end if;
        elsif tandem_removing('retention') and old.created_at < now() - interval '10 years' then
            return new;
        end if;
    end if;
    raise exception '% rows are never changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

-- After ten years an invoice or credit note may forget to whom it was; its number and amounts stay. (What is due is
-- computed of them, after this has looked.)
create function tandem_may_forget_buyer(old jsonb, new jsonb) returns boolean language sql stable as $$
    select tandem_removing('retention')
       and old - array['bill_to', 'amount_due'] = new - array['bill_to', 'amount_due']
       and (old ->> 'issued_at')::timestamptz < now() - interval '10 years'
$$;
"""

TRIGGERS = """
drop trigger event_kept on billing_event;
drop trigger document_kept on billing_document;
drop trigger posting_kept on billing_posting;
drop trigger balance_entry_kept on billing_balanceentry;
create trigger event_kept before update or delete on billing_event
    for each row execute function tandem_keep_event();
create trigger document_kept before update or delete on billing_document
    for each row execute function tandem_keep_document();
create trigger posting_kept before update or delete on billing_posting
    for each row execute function tandem_keep_amounts();
create trigger balance_entry_kept before update or delete on billing_balanceentry
    for each row execute function tandem_keep_amounts();
"""

UNDO_TRIGGERS = """
drop trigger event_kept on billing_event;
drop trigger document_kept on billing_document;
drop trigger posting_kept on billing_posting;
drop trigger balance_entry_kept on billing_balanceentry;
create trigger event_kept before update or delete on billing_event
    for each row execute function tandem_refuse();
create trigger document_kept before update or delete on billing_document
    for each row execute function tandem_refuse();
create trigger posting_kept before update or delete on billing_posting
    for each row execute function tandem_refuse();
create trigger balance_entry_kept before update or delete on billing_balanceentry
    for each row execute function tandem_refuse();
"""
UNDO = (
    UNDO_TRIGGERS
    + """
drop function tandem_keep_event, tandem_keep_amounts, tandem_keep_document, tandem_may_forget_buyer, tandem_removing;
"""
)

ALSO = """
    if tg_op = 'UPDATE' and tandem_may_forget_buyer(to_jsonb(old), to_jsonb(new)) then return new; end if;"""
GUARDS = ("tandem_freeze_invoice", "tandem_freeze_credit_note")


def redefine(name: str, old: str, new: str) -> str:
    """The guard as it is, with its first `old` replaced."""
    quoted = [text.replace("'", "''") for text in (old, new)]
    return f"""do $$ begin
        execute regexp_replace(pg_get_functiondef('{name}'::regproc), '{quoted[0]}', '{quoted[1]}');
    end $$;"""


def add(name: str) -> str:
    return redefine(name, r"\mbegin\M", "begin" + ALSO)


def take(name: str) -> str:
    quoted = ALSO.replace("'", "''")
    return f"""do $$ begin
        execute replace(pg_get_functiondef('{name}'::regproc), '{quoted}', '');
    end $$;"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0042_privacy_requests")]
    operations = [
        migrations.RunSQL(FUNCTIONS + TRIGGERS, UNDO),
        migrations.RunSQL("".join(map(add, GUARDS)), "".join(map(take, GUARDS))),
    ]

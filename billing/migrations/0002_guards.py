"""What the database itself refuses, whoever asks: changes to papers, facts and used prices; journals that do not
balance; invoices whose lines do not add up; status changes that are not in the table of moves."""

from django.db import migrations

FUNCTIONS = """
create function tandem_refuse() returns trigger language plpgsql as $$
begin
    raise exception '% rows are never changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

-- An issued invoice: only what happens to it afterwards may change, never what it says.
create function tandem_freeze_invoice() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.status = 'draft' then return old; end if;
        raise exception 'invoice % is issued: it is never deleted', old.number using errcode = 'integrity_constraint_violation';
    end if;
    if old.status <> 'draft' and
       (to_jsonb(old) - array['status','amount_paid','amount_credited','amount_due','document_id','sent_at','paid_at',
                              'voided_at','attempts','next_attempt_at'])
       is distinct from
       (to_jsonb(new) - array['status','amount_paid','amount_credited','amount_due','document_id','sent_at','paid_at',
                              'voided_at','attempts','next_attempt_at']) then
        raise exception 'invoice % is issued: what it says is frozen', old.number using errcode = 'integrity_constraint_violation';
    end if;
    if old.document_id is not null and new.document_id is distinct from old.document_id then
        raise exception 'invoice % is printed: its paper is kept', old.number using errcode = 'integrity_constraint_violation';
    end if;
    if old.status <> new.status and not (old.status || '>' || new.status) = any (array[
        'draft>open','draft>paid','draft>void','open>paid','open>void','open>uncollectible',
        'uncollectible>paid','uncollectible>void']) then
        raise exception 'invoice % cannot go from % to %', old.number, old.status, new.status using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function tandem_freeze_credit_note() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and old.document_id is null and to_jsonb(old) - 'document_id' = to_jsonb(new) - 'document_id' then
        return new;
    end if;
    raise exception 'credit note % is issued: it is frozen', old.number using errcode = 'integrity_constraint_violation';
end $$;

-- The lines of an issued invoice are there in full, and no line comes, goes or changes afterwards.
create function tandem_freeze_invoice_line() returns trigger language plpgsql as $$
declare state text;
begin
    select status into state from billing_invoice where id = old.invoice_id;
    if state is null or state = 'draft' then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    raise exception 'the lines of an issued invoice are frozen' using errcode = 'integrity_constraint_violation';
end $$;

create function tandem_lines_add_up() returns trigger language plpgsql as $$
declare bad text;
begin
    select i.number into bad
    from billing_invoice i
    join (select l.invoice_id, count(*) as n, sum(l.gross) as gross, sum(l.discount) as discount, sum(l.tax_amount) as tax
          from billing_invoiceline l where l.invoice_id in (select invoice_id from fresh) group by 1) t on t.invoice_id = i.id
    where i.status <> 'draft'
      and (t.n, t.gross, t.discount, t.tax) is distinct from (i.line_count, i.subtotal, i.discount_total, i.tax_total)
    limit 1;
    if bad is not null then
        raise exception 'the lines of invoice % do not add up to it', bad using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create function tandem_credit_lines_add_up() returns trigger language plpgsql as $$
declare bad text;
begin
    select c.number into bad
    from billing_creditnote c
    join (select l.credit_note_id, sum(l.net) as net, sum(l.tax_amount) as tax
          from billing_creditnoteline l where l.credit_note_id in (select credit_note_id from fresh) group by 1) t
      on t.credit_note_id = c.id
    where (t.net, t.tax) is distinct from (c.subtotal, c.tax_total)
    limit 1;
    if bad is not null then
        raise exception 'the lines of credit note % do not add up to it', bad using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create function tandem_journal_balances() returns trigger language plpgsql as $$
begin
    if exists (select 1 from fresh group by transaction, currency having sum(amount) <> 0) then
        raise exception 'a journal transaction does not balance' using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

-- A price that a phase or a paper refers to says for ever what it says; it can only be switched off.
create function tandem_freeze_price() returns trigger language plpgsql as $$
begin
    if to_jsonb(old) - 'active' - 'label' is distinct from to_jsonb(new) - 'active' - 'label' and (
        exists (select 1 from billing_phaseitem where price_id = old.id)
        or exists (select 1 from billing_invoiceline where price_id = old.id)) then
        raise exception 'price % was used: add a new one instead', old.code using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function tandem_subscription_moves() returns trigger language plpgsql as $$
begin
    if old.status <> new.status and not (old.status || '>' || new.status) = any (array[
        'incomplete>trialing','incomplete>active','incomplete>canceled',
        'trialing>active','trialing>past_due','trialing>paused','trialing>canceled',
        'active>past_due','active>paused','active>canceled',
        'past_due>active','past_due>paused','past_due>canceled','paused>active','paused>canceled']) then
        raise exception 'a subscription cannot go from % to %', old.status, new.status using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function tandem_payment_moves() returns trigger language plpgsql as $$
begin
    if old.status = 'succeeded' and (new.status <> 'succeeded' or new.amount <> old.amount) then
        raise exception 'a payment that succeeded stays as it is' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
"""

TRIGGERS = """
create trigger invoice_frozen before update or delete on billing_invoice
    for each row execute function tandem_freeze_invoice();
create trigger invoice_line_frozen before update or delete on billing_invoiceline
    for each row execute function tandem_freeze_invoice_line();
create trigger invoice_lines_add_up after insert on billing_invoiceline
    referencing new table as fresh for each statement execute function tandem_lines_add_up();
create trigger credit_note_frozen before update or delete on billing_creditnote
    for each row execute function tandem_freeze_credit_note();
create trigger credit_note_line_frozen before update or delete on billing_creditnoteline
    for each row execute function tandem_refuse();
create trigger credit_note_lines_add_up after insert on billing_creditnoteline
    referencing new table as fresh for each statement execute function tandem_credit_lines_add_up();
create trigger document_kept before update or delete on billing_document
    for each row execute function tandem_refuse();
create trigger event_kept before update or delete on billing_event
    for each row execute function tandem_refuse();
create trigger posting_kept before update or delete on billing_posting
    for each row execute function tandem_refuse();
create trigger journal_balances after insert on billing_posting
    referencing new table as fresh for each statement execute function tandem_journal_balances();
create trigger balance_entry_kept before update or delete on billing_balanceentry
    for each row execute function tandem_refuse();
create trigger price_frozen before update on billing_price
    for each row execute function tandem_freeze_price();
create trigger subscription_moves before update of status on billing_subscription
    for each row execute function tandem_subscription_moves();
create trigger payment_moves before update on billing_payment
    for each row execute function tandem_payment_moves();
alter table billing_usageevent add constraint usage_value_is_a_number check (value <> 'NaN');
alter table billing_phaseitem add constraint quantity_is_a_number check (quantity <> 'NaN');
alter table billing_price add constraint price_is_a_number check (unit_amount <> 'NaN');
"""

UNDO = """
drop trigger invoice_frozen on billing_invoice;
drop trigger invoice_line_frozen on billing_invoiceline;
drop trigger invoice_lines_add_up on billing_invoiceline;
drop trigger credit_note_frozen on billing_creditnote;
drop trigger credit_note_line_frozen on billing_creditnoteline;
drop trigger credit_note_lines_add_up on billing_creditnoteline;
drop trigger document_kept on billing_document;
drop trigger event_kept on billing_event;
drop trigger posting_kept on billing_posting;
drop trigger journal_balances on billing_posting;
drop trigger balance_entry_kept on billing_balanceentry;
drop trigger price_frozen on billing_price;
drop trigger subscription_moves on billing_subscription;
drop trigger payment_moves on billing_payment;
alter table billing_usageevent drop constraint usage_value_is_a_number;
alter table billing_phaseitem drop constraint quantity_is_a_number;
alter table billing_price drop constraint price_is_a_number;
drop function tandem_refuse, tandem_freeze_invoice, tandem_freeze_credit_note, tandem_freeze_invoice_line,
    tandem_lines_add_up, tandem_credit_lines_add_up, tandem_journal_balances, tandem_freeze_price,
    tandem_subscription_moves, tandem_payment_moves;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunSQL(FUNCTIONS + TRIGGERS, UNDO)]

"""What may become of a payment and a refund, by the database: the tables of moves of their models."""

from django.db import migrations

MOVES = """
create or replace function tandem_payment_moves() returns trigger language plpgsql as $$
begin
    if old.status = 'succeeded' and new.amount <> old.amount then
        raise exception 'a payment that succeeded stays as it is' using errcode = 'integrity_constraint_violation';
    end if;
    if old.status <> new.status and not (old.status || '>' || new.status) = any (array[
        'new>sent','new>unknown','new>requires_action','new>succeeded','new>failed','new>canceled',
        'sent>unknown','sent>requires_action','sent>succeeded','sent>failed','sent>canceled',
        'unknown>requires_action','unknown>succeeded','unknown>failed','unknown>canceled',
        'requires_action>unknown','requires_action>succeeded','requires_action>failed','requires_action>canceled',
        'failed>succeeded','canceled>succeeded']) then
        raise exception 'a payment cannot go from % to %', old.status, new.status using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function tandem_refund_moves() returns trigger language plpgsql as $$
begin
    if new.amount <> old.amount or (old.status <> new.status and not (old.status || '>' || new.status) = any (array[
        'new>unknown','new>succeeded','new>failed','unknown>succeeded','unknown>failed','succeeded>failed'])) then
        raise exception 'a refund cannot go from % to %', old.status, new.status using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger refund_moves before update on billing_refund for each row execute function tandem_refund_moves();
"""

AS_IT_WAS = """
drop trigger refund_moves on billing_refund;
drop function tandem_refund_moves;
create or replace function tandem_payment_moves() returns trigger language plpgsql as $$
begin
    if old.status = 'succeeded' and (new.status <> 'succeeded' or new.amount <> old.amount) then
        raise exception 'a payment that succeeded stays as it is' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_downgrades_at_once")]
    operations = [migrations.RunSQL(MOVES, AS_IT_WAS)]

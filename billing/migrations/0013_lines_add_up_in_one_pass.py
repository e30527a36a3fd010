"""The check that lines add up to their paper, without a join.

A session keeps the plan of a trigger's query. One that was planned while the tables were empty joined them by
nested loops ever after, and a large chunk of the billing run took minutes. Here there is no join to plan badly:
both tables are read once for the papers at hand, and what they say is added up against each other.
"""

from django.db import migrations

AT_ONCE = """
create or replace function tandem_lines_add_up() returns trigger language plpgsql as $$
declare
    ids uuid[] := array(select distinct invoice_id from fresh);
    bad uuid;
begin
    select id into bad from (
        select l.invoice_id as id, false as draft, 1 as n, l.gross, l.discount, l.tax_amount as tax
        from billing_invoiceline l where l.invoice_id = any(ids)
        union all
        select i.id, i.status = 'draft', -i.line_count, -i.subtotal, -i.discount_total, -i.tax_total
        from billing_invoice i where i.id = any(ids)
    ) said
    group by id
    having not bool_or(draft) and (sum(n), sum(gross), sum(discount), sum(tax)) is distinct from (0, 0, 0, 0)
    limit 1;
    if bad is not null then
        raise exception 'the lines of invoice % do not add up to it', (select number from billing_invoice where id = bad)
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create or replace function tandem_credit_lines_add_up() returns trigger language plpgsql as $$
declare
    ids uuid[] := array(select distinct credit_note_id from fresh);
    bad uuid;
begin
    select id into bad from (
        select l.credit_note_id as id, l.net, l.tax_amount as tax
        from billing_creditnoteline l where l.credit_note_id = any(ids)
        union all
        select c.id, -c.subtotal, -c.tax_total from billing_creditnote c where c.id = any(ids)
    ) said
    group by id
    having (sum(net), sum(tax)) is distinct from (0, 0)
    limit 1;
    if bad is not null then
        raise exception 'the lines of credit note % do not add up to it',
            (select number from billing_creditnote where id = bad) using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
"""

JOINED = """
create or replace function tandem_lines_add_up() returns trigger language plpgsql as $$
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

create or replace function tandem_credit_lines_add_up() returns trigger language plpgsql as $$
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
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_customers_may_pause")]
    operations = [migrations.RunSQL(AT_ONCE, JOINED)]

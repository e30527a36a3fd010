"""A refund of what was paid too much has no credit note. Credit notes never come to more than their invoice: the
invoice's row is held while a note is added, so that two at once are both counted. A subscription's prices are all in
its own currency. A customer's MRR is added up with the customer held: each statement of such a function sees what was
committed before it began, which the statements of one query do not."""

import django.db.models.deletion
from django.db import migrations, models

WITHIN = """
create function tandem_credit_within_invoice() returns trigger language plpgsql as $$
declare
    most bigint;
    given bigint;
begin
    select total into most from billing_invoice where id = new.invoice_id for no key update;
    select sum(total) into given from billing_creditnote where invoice_id = new.invoice_id;
    if given > most then
        raise exception 'credit notes come to more than invoice %',
            (select number from billing_invoice where id = new.invoice_id) using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger credit_within_invoice after insert on billing_creditnote
    for each row execute function tandem_credit_within_invoice();

create function tandem_one_currency() returns trigger language plpgsql as $$
begin
    if exists (select 1 from fresh i join billing_price p on p.id = i.price_id join billing_phase h on h.id = i.phase_id
               join billing_subscription s on s.id = h.subscription_id where p.currency <> s.currency) then
        raise exception 'prices of a subscription are in its currency' using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger one_currency after insert on billing_phaseitem
    referencing new table as fresh for each statement execute function tandem_one_currency();

create function tandem_refresh_customer(customer uuid, out all_mrr bigint, out all_arr bigint) language plpgsql as $$
begin
    perform from billing_customer where id = customer for no key update;
    select coalesce(sum(s.mrr), 0), coalesce(sum(s.arr), 0) into all_mrr, all_arr from billing_subscription s
    where s.customer_id = customer and s.status in ('trialing', 'active', 'past_due');
    update billing_customer set mrr = all_mrr, arr = all_arr where id = customer;
end $$;
"""
UNDO = """
drop trigger credit_within_invoice on billing_creditnote;
drop trigger one_currency on billing_phaseitem;
drop function tandem_credit_within_invoice, tandem_one_currency, tandem_refresh_customer;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_minimum_spend_lines")]
    operations = [
        migrations.AlterField(
            model_name="refund",
            name="credit_note",
            field=models.ForeignKey(
                blank=True,
                help_text="none where it gives back what was paid too much",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refunds",
                to="billing.creditnote",
            ),
        ),
        migrations.RunSQL(WITHIN, UNDO),
    ]

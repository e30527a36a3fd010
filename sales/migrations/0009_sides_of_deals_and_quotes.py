"""Deals and quotes say themselves on which side they are, as subscriptions do: the database takes it from the customer,
or from the lead that is none yet."""

from django.db import migrations, models

KINDS = ("deal", "quote")
SIDE = """
update sales_{kind} t set livemode = true
where coalesce((select livemode from billing_customer where id = t.customer_id),
               (select livemode from sales_lead where id = t.lead_id));
"""
TRIGGER = """
create trigger {kind}_side before insert or update of customer_id, lead_id, livemode on sales_{kind}
    for each row execute function tandem_side_of_buyer();
"""
FUNCTION = """
set constraints all immediate;
create function tandem_side_of_buyer() returns trigger language plpgsql as $$
begin
    new.livemode := coalesce(
        (select livemode from billing_customer where id = new.customer_id),
        (select livemode from sales_lead where id = new.lead_id), false);
    return new;
end $$;
"""
DO = "".join(SIDE.format(kind=kind) for kind in KINDS) + FUNCTION
DO += "".join(TRIGGER.format(kind=kind) for kind in KINDS)
UNDO = """
drop trigger deal_side on sales_deal;
drop trigger quote_side on sales_quote;
drop function tandem_side_of_buyer;
"""


def column(kind: str) -> migrations.AddField:
    field = models.BooleanField(db_default=False, editable=False, help_text="theirs; kept by a trigger")
    return migrations.AddField(model_name=kind, name="livemode", field=field)


def index(kind: str) -> migrations.AddIndex:
    sandbox = models.Index(condition=models.Q(("livemode", False)), fields=["id"], name=f"{kind}_in_sandbox")
    return migrations.AddIndex(model_name=kind, index=sandbox)


class Migration(migrations.Migration):
    dependencies = [("billing", "0041_sides_of_subscriptions"), ("sales", "0008_payment_exceptions")]
    operations = [*map(column, KINDS), migrations.RunSQL(DO, UNDO), *map(index, KINDS)]

"""Signals and tasks say themselves on which side they are, as deals do, so that a list of the sandbox's need not read
through what is newer and live."""

from django.db import migrations, models

DO = """
update sales_signal s set livemode = true from billing_customer c where c.id = s.customer_id and c.livemode;
update sales_handofftask t set livemode = true
where coalesce((select livemode from billing_customer where id = t.customer_id),
               (select livemode from sales_lead where id = t.lead_id));
set constraints all immediate;
create trigger signal_side before insert or update of customer_id, livemode on sales_signal
    for each row execute function tandem_side_of_customer();
create trigger task_side before insert or update of customer_id, lead_id, livemode on sales_handofftask
    for each row execute function tandem_side_of_buyer();
"""
UNDO = """
drop trigger signal_side on sales_signal;
drop trigger task_side on sales_handofftask;
"""
SIDES = {"signal": "the customer's; kept by a trigger", "handofftask": "theirs; kept by a trigger"}
INDEXES = {"signal": "signal_in_sandbox", "handofftask": "task_in_sandbox"}


def column(kind: str) -> migrations.AddField:
    field = models.BooleanField(db_default=False, editable=False, help_text=SIDES[kind])
    return migrations.AddField(model_name=kind, name="livemode", field=field)


def index(kind: str) -> migrations.AddIndex:
    sandbox = models.Index(condition=models.Q(("livemode", False)), fields=["id"], name=INDEXES[kind])
    return migrations.AddIndex(model_name=kind, index=sandbox)


class Migration(migrations.Migration):
    dependencies = [("billing", "0041_sides_of_subscriptions"), ("sales", "0011_signed_quotes_are_kept")]
    operations = [*map(column, SIDES), migrations.RunSQL(DO, UNDO), *map(index, SIDES)]

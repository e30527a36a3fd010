"""A subscription says itself on which side it is, so that a list of the sandbox's need not read through what is newer and
live. Whoever writes one, the database takes it from the customer; a checkout, which writes the customer after it in the same
transaction, says it. Links into the portal get ids that may be shown."""

from django.db import migrations, models

import billing.models.ids

DO = """
update billing_subscription s set livemode = true from billing_customer c where c.id = s.customer_id and c.livemode;
set constraints all immediate;
create function tandem_side_of_customer() returns trigger language plpgsql as $$
begin
    new.livemode := coalesce((select livemode from billing_customer where id = new.customer_id), new.livemode);
    return new;
end $$;
create trigger subscription_side before insert or update of customer_id, livemode on billing_subscription
    for each row execute function tandem_side_of_customer();
"""
UNDO = """
drop trigger subscription_side on billing_subscription;
drop function tandem_side_of_customer;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0040_usage_of_parts")]
    operations = [
        migrations.AddField(
            model_name="subscription",
            name="livemode",
            field=models.BooleanField(
                db_default=False, editable=False, help_text="the customer's; kept by a trigger"
            ),
        ),
        migrations.RunSQL(DO, UNDO),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("livemode", False)), fields=["id"], name="subscription_in_sandbox"
            ),
        ),
        migrations.AddField(
            model_name="portallink",
            name="uuid",
            field=models.UUIDField(default=billing.models.ids.uuid7, editable=False, null=True),
        ),
    ]

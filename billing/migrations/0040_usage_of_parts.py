"""For whom usage of an account counts that became a part of another, and in which zone its days are. Functions that the
planner leaves alone: taking an event costs no more where nobody is a part of anybody."""

from django.db import migrations

DO = """
create function tandem_counts_for(part uuid, account uuid) returns uuid language plpgsql stable as $$
begin
    if exists (select from billing_subscription s where s.customer_id = part and s.status <> 'canceled') then
        return part;
    end if;
    return account;
end $$;
create function tandem_zone_of(customer uuid) returns text language plpgsql stable as $$
begin
    return (select timezone from billing_customer where id = customer);
end $$;
"""
UNDO = "drop function tandem_counts_for, tandem_zone_of"


class Migration(migrations.Migration):
    dependencies = [("billing", "0039_light_sequences")]
    operations = [migrations.RunSQL(DO, UNDO)]

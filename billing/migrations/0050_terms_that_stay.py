"""What a discount takes off and how a meter adds up stays once somebody has the one or something was measured by the
other: invoices that were issued came of it, and what is owed is worked out from it again."""

from django.db import migrations

GUARDS = """
create function tandem_freeze_discount() returns trigger language plpgsql as $$
begin
    if (old.percent_off, old.amount_off, old.currency, old.duration, old.periods, old.prices, old.meters, old.parts)
        is distinct from
        (new.percent_off, new.amount_off, new.currency, new.duration, new.periods, new.prices, new.meters, new.parts)
        and (old.redemptions > 0 or exists (select from billing_phase where discount_id = old.id)) then
        raise exception 'discount % was given: make another one instead', coalesce(old.code, old.label)
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function tandem_freeze_meter() returns trigger language plpgsql as $$
begin
    if (old.aggregation, old.property) is distinct from (new.aggregation, new.property)
        and exists (select from billing_usageday where meter_id = old.id) then
        raise exception 'meter % has measured: make another one instead', old.code
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create trigger discount_frozen before update on billing_discount
    for each row execute function tandem_freeze_discount();
create trigger meter_frozen before update on billing_meter
    for each row execute function tandem_freeze_meter();
"""

UNDO = """
drop trigger discount_frozen on billing_discount;
drop trigger meter_frozen on billing_meter;
drop function tandem_freeze_discount();
drop function tandem_freeze_meter();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0049_single_use_cards")]
    operations = [migrations.RunSQL(GUARDS, UNDO)]

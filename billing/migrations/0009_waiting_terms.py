"""Terms that wait, pauses, notices and reminders."""

from django.db import migrations, models
from django.db.models import Q

# What happens to an invoice afterwards now includes being reminded of it.
FREEZE = """
create or replace function tandem_freeze_invoice() returns trigger language plpgsql as $$
declare
    later constant text[] := array['status','amount_paid','amount_credited','amount_due','document_id','sent_at',
                                   'paid_at','voided_at','attempts','next_attempt_at'{more}];
begin
    if tg_op = 'DELETE' then
        if old.status = 'draft' then return old; end if;
        raise exception 'invoice % is issued: it is never deleted', old.number using errcode = 'integrity_constraint_violation';
    end if;
    if old.status <> 'draft' and (to_jsonb(old) - later) is distinct from (to_jsonb(new) - later) then
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
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_webhook_fan_out")]

    operations = [
        migrations.AddField(
            model_name="phase", name="paused", field=models.BooleanField(db_default=False, default=False)
        ),
        migrations.AddField(
            model_name="phase",
            name="prorate",
            field=models.BooleanField(
                db_default=True, default=True, help_text="no: its prices begin when the period paid for ends"
            ),
        ),
        migrations.AddField(
            model_name="phase",
            name="wishes",
            field=models.JSONField(
                blank=True,
                help_text="what differs from the phase before, for a phase that follows it",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="noticed_at",
            field=models.DateTimeField(
                blank=True, help_text="notices that were due up to here have been given", null=True
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="next_notice_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RemoveIndex(model_name="subscription", name="subscription_due"),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=Q(status__in=["incomplete", "trialing", "active", "past_due", "paused"]),
                fields=["next_due_at", "id"],
                name="subscription_to_bill",
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=Q(next_notice_at__isnull=False),
                fields=["next_notice_at"],
                name="subscription_to_notify",
            ),
        ),
        migrations.AddField(
            model_name="invoice",
            name="reminders",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="invoice", name="next_reminder_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(
                condition=Q(next_reminder_at__isnull=False),
                fields=["next_reminder_at"],
                name="invoice_to_remind",
            ),
        ),
        migrations.AddField(
            model_name="seller",
            name="unpaid_end",
            field=models.CharField(
                choices=[
                    ("nothing", "Nothing: somebody decides"),
                    ("uncollectible", "Mark the invoice uncollectible"),
                    ("pause", "Pause the subscription"),
                    ("cancel", "Cancel the subscription"),
                ],
                db_default="uncollectible",
                default="uncollectible",
                help_text="what happens when the last reminder or retry has brought no money",
                max_length=13,
            ),
        ),
        migrations.RunSQL(
            FREEZE.replace("{more}", ",'reminders','next_reminder_at'"), FREEZE.replace("{more}", "")
        ),
    ]

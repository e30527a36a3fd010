"""The figures of the hybrid motion, kept by triggers in the transaction of whatever changes them.

The views say what the figures are; the triggers add what a statement brings, and put right what a customer's history
brings. Functions plan their queries anew for the customers at hand: a session that planned them while the tables were
empty would read all of a full one ever after.
"""

# ruff: noqa: S608 - our own names

import django.db.models.deletion
from django.db import migrations, models

MOTIONS = [
    ("self_serve", "Self-serve"),
    ("sales_assisted", "Sales-assisted"),
    ("sales_led", "Sales-led"),
]
NAMES = [
    ("revenue", "Revenue"),
    ("mrr", "MRR"),
    ("began", "Began"),
    ("converted", "Converted"),
    ("expansion", "Expansion"),
    ("landed", "Landed"),
]
KEYS = "livemode, currency, name, month, day, motion, detail"
VALUES = "number, amount, later"
COLUMNS = f"customer_id, {KEYS}, {VALUES}"
DAY = "(({} at time zone 'UTC')::date)"
MONTH = "(date_trunc('month', {} at time zone 'UTC')::date)"


def fields():
    return [
        ("id", models.BigAutoField(primary_key=True, serialize=False)),
        ("livemode", models.BooleanField()),
        ("currency", models.CharField(max_length=3)),
        ("name", models.CharField(choices=NAMES, max_length=9)),
        ("month", models.DateField()),
        ("day", models.DateField()),
        ("motion", models.CharField(blank=True, choices=MOTIONS, max_length=20)),
        ("detail", models.CharField(blank=True, max_length=12)),
        ("number", models.BigIntegerField()),
        ("amount", models.BigIntegerField()),
        ("later", models.BigIntegerField()),
    ]


# -- What the figures are ----------------------------------------------------------------------------------

COUNTED = "{0}status in ('open', 'paid', 'uncollectible')"
REVENUE = f"""
select livemode, currency, 'revenue' as name, {MONTH.format("issued_at")} as month, {DAY.format("issued_at")} as day,
    motion, '' as detail, {{sign}}count(*) as number, {{sign}}sum(subtotal - discount_total)::bigint as amount,
    0::bigint as later
from {{invoices}} where {COUNTED.format("")} group by 1, 2, 4, 5, 6
"""
CREDITED = f"""
select c.livemode, c.currency, 'revenue', {MONTH.format("c.issued_at")}, {DAY.format("c.issued_at")}, i.motion, '',
    0::bigint, -sum(c.subtotal)::bigint, 0::bigint
from {{notes}} c join billing_invoice i on i.id = c.invoice_id group by 1, 2, 4, 5, 6
"""
MOVED = f"""
select livemode, currency, 'mrr', {MONTH.format("at")}, {DAY.format("at")}, '', kind,
    {{sign}}count(*), {{sign}}sum(mrr)::bigint, {{sign}}sum(arr)::bigint
from {{movements}} group by 1, 2, 4, 5, 7
"""
PLAIN = f"""
create view billing_plain_figures as
{REVENUE.format(sign="", invoices="billing_invoice")} union all
{CREDITED.format(notes="billing_creditnote")} union all
{MOVED.format(sign="", movements="billing_mrrmovement")}
"""

# Whether a customer had MRR when a month began is said by the months before in which its MRR began (1) or ended (-1).
GROWTH = f"""
create view billing_growth_figures as
select m.customer_id, m.livemode, m.currency, 'expansion' as name, t.month, m.month as day, m.motion, m.cause as detail,
    0::bigint as number, (t.turn * m.gained)::bigint as amount, 0::bigint as later
from (
    select *, array_agg(month) filter (where turn <> 0) over before as months,
        array_agg(turn) filter (where turn <> 0) over before as turns
    from (
        select *, has - coalesce(lag(has) over (
            partition by customer_id, livemode, currency order by month, motion, cause), 0) as turn
        from (
            select *, (sum(net) over (partition by customer_id, livemode, currency order by month) > 0)::int as has
            from (
                select customer_id, livemode, currency, {MONTH.format("at")} as month, motion, cause, sum(mrr) as net,
                    sum(mrr) filter (where mrr > 0) as gained
                from billing_mrrmovement group by 1, 2, 3, 4, 5, 6
            ) months
        ) levels
    ) turns
    window before as (partition by customer_id, livemode, currency order by month
                      range between unbounded preceding and interval '1 day' preceding)
) m cross join lateral unnest(m.months, m.turns) as t (month, turn)
where m.gained > 0
union all
select customer_id, livemode, currency, 'landed', date_trunc('month', day)::date, day, '',
    case when at_12 > 0 then 'stayed' else 'left' end, 1, at_close, at_12
from (
    select customer_id, livemode, currency,
        (closed_at + interval '12 months' + interval '1 day' - interval '1 microsecond')::date as day,
        sum(arr) filter (where moved_at <= closed_at)::bigint as at_close,
        sum(arr) filter (where moved_at <= closed_at + interval '12 months')::bigint as at_12
    from (
        select *, at at time zone 'UTC' as moved_at,
            min(at at time zone 'UTC') over (partition by customer_id, livemode, currency) as closed_at
        from billing_mrrmovement
    ) moved group by 1, 2, 3, 4
) landed
"""
# The first subscription that was ever paid for decides how a customer began.
BEGINNINGS = """
create view billing_beginning_figures as
select b.customer_id, b.livemode, b.currency, f.name, date_trunc('month', b.day)::date as month, f.day, f.motion,
    '' as detail, 1::bigint as number, 0::bigint as amount, 0::bigint as later
from (
    select p.customer_id, p.livemode, p.currency, p.motion, p.day, min(taken.start_on) as taken_on
    from (
        select distinct on (i.customer_id, i.livemode, s.currency) i.customer_id, i.livemode, s.currency, s.motion,
            (i.paid_at at time zone 'UTC')::date as day
        from billing_invoice i
        cross join lateral (
            select i.subscription_id where i.subscription_id is not null
            union all
            select l.subscription_id from billing_invoiceline l
            where l.invoice_id = i.id and i.subscription_id is null and l.subscription_id is not null
        ) o
        join billing_subscription s on s.id = o.subscription_id
        where i.status = 'paid' and i.total > 0
        order by i.customer_id, i.livemode, s.currency, i.paid_at, s.id
    ) p
    left join (
        select s.customer_id, ph.start_on from billing_subscription s join billing_phase ph on ph.subscription_id = s.id
        where ph.motion in ('sales_assisted', 'sales_led') and (ph.end_on is null or ph.end_on > ph.start_on)
    ) taken on taken.customer_id = p.customer_id and taken.start_on >= p.day and p.motion = 'self_serve'
    group by 1, 2, 3, 4, 5
) b
cross join lateral (values ('began', b.day, b.motion), ('converted', b.taken_on, '')) f (name, day, motion)
where f.day is not null
"""

# -- Who keeps them ------------------------------------------------------------------------------------------


def refigure(view: str, names: str) -> str:
    """Make what is kept of customers what the view says: by what differs, which a trigger adds to the sums."""
    mine, theirs = (", ".join(f"{t}.{c}" for c in COLUMNS.split(", ")) for t in ("h", "w"))
    return f"""
create function tandem_refigure_{view}(ids uuid[]) returns void language plpgsql
set plan_cache_mode = force_custom_plan as $$
begin
    lock table billing_customerfigure in row exclusive mode;  -- before what is read, for who makes all of it anew
    with wanted as materialized (select {COLUMNS} from billing_{view}_figures where customer_id = any(ids)),
    had as materialized (select id, {COLUMNS} from billing_customerfigure where customer_id = any(ids) and name in ({names})),
    gone as (
        delete from billing_customerfigure
        where id in (select h.id from had h where ({mine}) not in (select {COLUMNS} from wanted))
    )
    insert into billing_customerfigure ({COLUMNS})
    select {COLUMNS} from wanted w where ({theirs}) not in (select {COLUMNS} from had);
end $$;
"""


ADD = f"insert into billing_figure ({KEYS}, {VALUES})"
SUMMED = f"""
create function tandem_sum_figures() returns trigger language plpgsql as $$
begin
    if TG_OP = 'INSERT' then
        {ADD} select {KEYS}, sum(number), sum(amount), sum(later) from fresh group by {KEYS};
    else
        {ADD} select {KEYS}, -sum(number), -sum(amount), -sum(later) from gone group by {KEYS};
    end if;
    return null;
end $$;
create trigger figures_added after insert on billing_customerfigure referencing new table as fresh
    for each statement execute function tandem_sum_figures();
create trigger figures_taken_back after delete on billing_customerfigure referencing old table as gone
    for each statement execute function tandem_sum_figures();
"""
MOVEMENTS = f"""
create function tandem_figure_movements() returns trigger language plpgsql as $$
begin
    if TG_OP <> 'INSERT' then
        {ADD} {MOVED.format(sign="-", movements="gone")};
        perform tandem_refigure_growth(array(select distinct customer_id from gone));
    end if;
    if TG_OP <> 'DELETE' then
        {ADD} {MOVED.format(sign="", movements="fresh")};
        perform tandem_refigure_growth(array(select distinct customer_id from fresh));
    end if;
    return null;
end $$;
create trigger figures_of_new after insert on billing_mrrmovement referencing new table as fresh
    for each statement execute function tandem_figure_movements();
create trigger figures_of_changed after update on billing_mrrmovement referencing old table as gone new table as fresh
    for each statement execute function tandem_figure_movements();
create trigger figures_of_gone after delete on billing_mrrmovement referencing old table as gone
    for each statement execute function tandem_figure_movements();
"""
# Who began before the day of a payment began no other way by it.
NEWLY_PAID = f"""
    {{i}}.status = 'paid' and {{i}}.total > 0 and not exists (
        select from billing_customerfigure f where f.customer_id = {{i}}.customer_id and f.name = 'began'
            and f.livemode = {{i}}.livemode and f.currency = {{i}}.currency and f.day < {DAY.format("{i}.paid_at")})
"""
PAPERS = f"""
create function tandem_figure_invoices() returns trigger language plpgsql as $$
declare paid uuid[];
begin
    {ADD} {REVENUE.format(sign="", invoices="fresh")};
    paid := array(select distinct i.customer_id from fresh i where {NEWLY_PAID.format(i="i")});
    if cardinality(paid) > 0 then
        perform tandem_refigure_beginning(paid);
    end if;
    return null;
end $$;
create trigger figures_of_new after insert on billing_invoice referencing new table as fresh
    for each statement execute function tandem_figure_invoices();

create function tandem_figure_invoice() returns trigger language plpgsql as $$
begin
    if ({COUNTED.format("old.")}) <> ({COUNTED.format("new.")}) then
        {ADD} {REVENUE.format(sign="-", invoices="(select (old).*) was")};
        {ADD} {REVENUE.format(sign="", invoices="(select (new).*) now")};
    end if;
    if {NEWLY_PAID.format(i="new")} then
        perform tandem_refigure_beginning(array[new.customer_id]);
    end if;
    return null;
end $$;
create trigger figures_of_moved after update on billing_invoice
    for each row when (old.status is distinct from new.status) execute function tandem_figure_invoice();

create function tandem_figure_lines() returns trigger language plpgsql as $$
declare
    ids uuid[] := array(select distinct invoice_id from fresh where subscription_id is not null);
    paid uuid[] := array(
        select distinct i.customer_id from billing_invoice i
        where i.id = any(ids) and i.subscription_id is null and {NEWLY_PAID.format(i="i")});
begin
    if cardinality(paid) > 0 then
        perform tandem_refigure_beginning(paid);
    end if;
    return null;
end $$;
create trigger figures_of_new after insert on billing_invoiceline referencing new table as fresh
    for each statement execute function tandem_figure_lines();

create function tandem_figure_credit_notes() returns trigger language plpgsql as $$
begin
    {ADD} {CREDITED.format(notes="fresh")};
    return null;
end $$;
create trigger figures_of_new after insert on billing_creditnote referencing new table as fresh
    for each statement execute function tandem_figure_credit_notes();
"""
PHASES = """
create function tandem_figure_phase() returns trigger language plpgsql as $$
declare
    whose uuid := case TG_OP when 'DELETE' then old.subscription_id else new.subscription_id end;
    began uuid;
begin
    select f.customer_id into began from billing_subscription s join billing_customerfigure f using (customer_id)
    where s.id = whose and f.name = 'began' and f.motion = 'self_serve' limit 1;
    if began is not null then
        perform tandem_refigure_beginning(array[began]);
    end if;
    return null;
end $$;
create trigger figures_of_new after insert on billing_phase
    for each row when (new.motion <> 'self_serve') execute function tandem_figure_phase();
create trigger figures_of_changed after update on billing_phase
    for each row when (old.motion <> 'self_serve' or new.motion <> 'self_serve') execute function tandem_figure_phase();
create trigger figures_of_gone after delete on billing_phase
    for each row when (old.motion <> 'self_serve') execute function tandem_figure_phase();
"""
FILL = f"""
{ADD} select {KEYS}, {VALUES} from billing_plain_figures;
insert into billing_customerfigure ({COLUMNS})
select {COLUMNS} from billing_growth_figures union all select {COLUMNS} from billing_beginning_figures;
"""
FUNCTIONS = (
    "figure_phase", "figure_credit_notes", "figure_lines", "figure_invoice", "figure_invoices", "figure_movements",
    "sum_figures", "refigure_beginning", "refigure_growth",
)  # fmt: skip
UNDO = "".join(f"drop function tandem_{name} cascade; " for name in FUNCTIONS) + "".join(
    f"drop view billing_{name}_figures; " for name in ("beginning", "growth", "plain")
)
DO = (
    PLAIN, GROWTH, BEGINNINGS, refigure("growth", "'expansion', 'landed'"), refigure("beginning", "'began', 'converted'"),
    SUMMED, MOVEMENTS, PAPERS, PHASES, FILL,
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("billing", "0031_sign_offs")]
    operations = [
        migrations.CreateModel(
            name="Figure",
            fields=fields(),
            options={
                "abstract": False,
                "indexes": [
                    models.Index(fields=["livemode", "currency", "name", "day"], name="figure_by_day")
                ],
            },
        ),
        migrations.CreateModel(
            name="CustomerFigure",
            fields=[
                *fields(),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="figures",
                        to="billing.customer",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "indexes": [models.Index(fields=["customer", "name"], name="figure_by_customer")],
            },
        ),
        migrations.RunSQL(";\n".join(DO), UNDO),
    ]

"""The figures of one customer by a plan that each session makes once.

Whoever buys, pays or changes a plan has one customer's figures put right, and planning that took four times as long as
doing it. The plan goes by indexes whatever the tables hold: one that was made while they were empty is as good when
they are full. Those of many customers (a billing run) are planned for the customers at hand, as before.
"""

# ruff: noqa: S608 - our own names

from django.db import migrations

VALUES = "livemode, currency, name, month, day, motion, detail, number, amount, later"
COLUMNS = f"customer_id, {VALUES}"
NAMES = {"growth": "'expansion', 'landed'", "beginning": "'began', 'converted'"}


def refigure(view: str, customers: str) -> str:
    """Make what is kept of customers what the view says: by what differs, which a trigger adds to the sums."""
    mine, theirs = (", ".join(f"{t}.{c}" for c in COLUMNS.split(", ")) for t in ("h", "w"))
    return f"""
    lock table billing_customerfigure in row exclusive mode;  -- before what is read, for who makes all of it anew
    with wanted as materialized (select {COLUMNS} from billing_{view}_figures where {customers}),
    had as materialized (
        select id, {COLUMNS} from billing_customerfigure where {customers} and name in ({NAMES[view]})
    ),
    gone as (
        delete from billing_customerfigure
        where id in (select h.id from had h where ({mine}) not in (select {COLUMNS} from wanted))
    )
    insert into billing_customerfigure ({COLUMNS})
    select {COLUMNS} from wanted w where ({theirs}) not in (select {COLUMNS} from had);
"""


def of_one(view: str) -> str:
    return f"""
create function tandem_refigure_{view}_of(whose uuid) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
begin {refigure(view, "customer_id = whose")} end $$;
"""


def of_many(view: str, first: str = "") -> str:
    return f"""
create or replace function tandem_refigure_{view}(ids uuid[]) returns void language plpgsql
set plan_cache_mode = force_custom_plan as $$
begin {first} {refigure(view, "customer_id = any(ids)")} end $$;
"""


def alone(view: str) -> str:
    return f"""
    if cardinality(ids) = 1 then
        perform tandem_refigure_{view}_of(ids[1]);
        return;
    end if;
"""


DO = "".join(of_one(view) + of_many(view, alone(view)) for view in NAMES)
UNDO = "".join(of_many(view) + f"drop function tandem_refigure_{view}_of(uuid);" for view in NAMES)


class Migration(migrations.Migration):
    dependencies = [("billing", "0050_terms_that_stay")]
    operations = [migrations.RunSQL(DO, UNDO)]

"""An upgrade migrates first and replaces the programs afterwards: what ran before must still run on the new tables.

So a migration only adds: no table, column or name goes that the code before knows, and no column comes that it cannot
leave out. What takes away comes one release later, once nothing asks for it (`docs/operating.md`, Upgrading).
"""

from collections.abc import Iterator

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

# The schema of the last code that may still run while this one migrates; what is older is not looked at.
BEFORE = {"billing": "0041", "sales": "0010", "checkout": "0003"}
# What SQL does, and whether another rule for a column refuses what the code before writes, cannot be read off an
# operation: who adds some writes here what that code sees of it.
LOOKED_AT = {
    "billing.0043_what_may_be_taken_away": "guards that let through more than before; the old ones' names are kept",
    "billing.0045_several_taxes": "uniqueness by one column more; a help text; the names of rates that ship",
    "billing.0048_jobs_in_their_turn": "an index; calling a job waits while it is made",
    "billing.0049_single_use_cards": "a rule that every row of code before keeps",
    "billing.0050_terms_that_stay": "guards against what only the admin's forms did",
    "billing.0051_figures_of_one_customer": "functions of triggers that do the same, by another plan",
    "billing.0052_room_for_totals": "how full pages are written",
    "billing.0053_a_role_that_deletes_nothing": "functions that no code before calls",
    "billing.0055_chain_of_facts": "new tables, and a trigger that writes into one when an erasure changes a fact",
    "billing.0057_asking_for_types": "a trigger that owes less: the I-32c of the code before misses user.*",
    "sales.0011_signed_quotes_are_kept": "a guard of bytes that no code before changes",
    "sales.0012_sides_of_signals_and_tasks": "a column that the database fills, whoever writes the row",
}
ADDS = (migrations.CreateModel, migrations.AddIndex, migrations.RemoveIndex, migrations.AlterModelOptions)
TO_LOOK_AT = (migrations.RunSQL, migrations.RunPython, migrations.AlterField, migrations.AddConstraint)


def objection(operation: Operation) -> str:
    """Why code that does not know of this operation would stumble over it; "" where it would not."""
    kind = type(operation).__name__
    if isinstance(operation, migrations.AddField):
        field = operation.field
        plain = field.null or field.has_db_default() or field.many_to_many
        return (
            ""
            if plain
            else f"{kind} {operation.name}: what does not know it cannot insert; give it a db_default"
        )
    if isinstance(operation, (*ADDS, *TO_LOOK_AT, migrations.RemoveConstraint)):
        return ""
    return f"{kind}: takes away what the code before asks for"


def newer() -> Iterator[tuple[str, migrations.Migration]]:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in BEFORE and name[:4] > BEFORE[app]:
            yield f"{app}.{name}", migration


def test_migrations_only_add():
    found = [
        f"{name}: {words}" for name, each in newer() for step in each.operations if (words := objection(step))
    ]
    assert found == []


def test_what_cannot_be_read_was_looked_at():
    found = {name for name, each in newer() if any(isinstance(step, TO_LOOK_AT) for step in each.operations)}
    assert found == set(LOOKED_AT)


BAD = [
    migrations.RemoveField("customer", "domain"),
    migrations.RenameField("customer", "domain", "host"),
    migrations.DeleteModel("Segment"),
    migrations.RenameModel("Segment", "Band"),
    migrations.AlterModelTable("segment", "bands"),
    # Django fills the rows that are there and then takes the default away again: an insert without it fails.
    migrations.AddField("customer", "rank", models.IntegerField(default=0)),
]


@pytest.mark.parametrize("operation", BAD, ids=lambda each: type(each).__name__)
def test_it_finds_what_old_code_would_stumble_over(operation):
    assert objection(operation)


GOOD = [
    migrations.AddField("customer", "rank", models.IntegerField(null=True)),
    migrations.AddField("customer", "rank", models.IntegerField(db_default=0)),
    migrations.CreateModel("Rank", [("id", models.BigAutoField(primary_key=True))]),
]


@pytest.mark.parametrize("operation", GOOD, ids=lambda each: type(each).__name__)
def test_it_lets_through_what_only_adds(operation):
    assert objection(operation) == ""

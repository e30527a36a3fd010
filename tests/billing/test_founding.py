"""First migrations are applied in one piece, and hold nothing for which the order would matter."""

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from billing.founding import PART_OF_A_MODEL, FoundingMigration

FIRST = [("billing", "0001_initial"), ("sales", "0001_initial"), ("djstripe", "0001_initial")]


@pytest.mark.parametrize("key", FIRST, ids=lambda key: key[0])
def test_it_founds_the_large_applications(key) -> None:
    migration = MigrationLoader(None, ignore_no_migrations=True).disk_migrations[key]
    assert isinstance(migration, FoundingMigration)


@pytest.mark.django_db
@pytest.mark.parametrize("key", FIRST, ids=lambda key: key[0])
def test_it_made_what_every_operation_says(key) -> None:
    """The finished state's columns and constraints are in the database."""
    loader = MigrationLoader(connection)
    apps = loader.project_state(key).apps
    with connection.cursor() as cursor:
        for operation in loader.disk_migrations[key].operations:
            if isinstance(operation, PART_OF_A_MODEL):
                model = apps.get_model(key[0], getattr(operation, "model_name", None) or operation.name)
                made = connection.introspection.get_constraints(cursor, model._meta.db_table)
                columns = connection.introspection.get_table_description(cursor, model._meta.db_table)
                wanted = {rule.name for rule in [*model._meta.constraints, *model._meta.indexes]}
                assert wanted - made.keys() <= gone_later(loader, key)
                assert {field.column for field in model._meta.local_fields} <= {
                    column.name for column in columns
                }


def gone_later(loader: MigrationLoader, key: tuple[str, str]) -> set[str]:
    """Names of constraints and indexes that a later migration of the application removes or renames."""
    later = [m for (app, name), m in loader.disk_migrations.items() if app == key[0] and name > key[1]]
    return {getattr(operation, "name", "") or "" for migration in later for operation in migration.operations}


def test_it_refuses_what_does_more_than_make_a_table() -> None:
    migration = FoundingMigration("0001_initial", "billing")
    with pytest.raises(TypeError, match="later migration"):
        migration.make(migrations.RunSQL("SELECT 1"), ProjectState(), connection.schema_editor())

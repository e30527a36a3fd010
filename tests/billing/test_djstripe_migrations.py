"""dj-stripe's tables are made by our own migration: it has to stay in step with dj-stripe's models."""

from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState


def changes_of(app_label):
    loader = MigrationLoader(None, ignore_no_migrations=True)
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    return detector.changes(graph=loader.graph, trim_to_apps={app_label}).get(app_label, [])


def test_it_leaves_nothing_for_makemigrations_to_do():
    assert [operation for migration in changes_of("djstripe") for operation in migration.operations] == []


def test_it_would_notice_a_model_that_no_migration_made():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    before = loader.project_state()
    before.remove_model("djstripe", "webhookeventtrigger")
    detector = MigrationAutodetector(before, ProjectState.from_apps(apps))
    assert detector.changes(graph=loader.graph, trim_to_apps={"djstripe"})["djstripe"]


def test_it_has_no_code_to_run_so_that_the_schema_is_all_there_is():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    ours = [migration for (app, _), migration in loader.disk_migrations.items() if app == "djstripe"]
    kinds = {type(operation).__name__ for migration in ours for operation in migration.operations}
    assert kinds <= {"CreateModel", "AddField", "AddIndex", "AddConstraint", "AlterUniqueTogether"}

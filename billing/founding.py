"""The first migration of an application, applied in one piece.

Django applies a migration operation by operation, and after each one builds anew the classes of every model
that the operation may have touched. With a hundred models that hang together this takes most of half a minute,
at every first start and in every test process. Here all the models are built once, and the tables are made
from them; the result in the database is the same.
"""

from django.contrib.postgres.operations import CreateExtension
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

# What these say is in the finished model already, from which its table is made.
PART_OF_A_MODEL = (
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterUniqueTogether,
)


class FoundingMigration(migrations.Migration):
    """A migration that makes tables. Raises TypeError for an operation that does anything else."""

    def apply(
        self, project_state: ProjectState, schema_editor: BaseDatabaseSchemaEditor, collect_sql: bool = False
    ) -> ProjectState:
        project_state.__dict__.pop(
            "apps", None
        )  # the built classes, which state_forwards would keep up to date
        for operation in self.operations:
            operation.state_forwards(self.app_label, project_state)
        for operation in self.operations:
            self.make(operation, project_state, schema_editor)
        return project_state

    def make(self, operation: object, state: ProjectState, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if isinstance(operation, migrations.CreateModel):
            schema_editor.create_model(state.apps.get_model(self.app_label, operation.name))
        elif isinstance(operation, CreateExtension):
            operation.database_forwards(self.app_label, schema_editor, state, state)
        elif not isinstance(operation, PART_OF_A_MODEL):
            raise TypeError(f"{operation} does more than make a table; put it into a later migration")

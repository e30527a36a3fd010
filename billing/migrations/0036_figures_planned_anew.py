"""The triggers of whole statements plan for the rows at hand too: planned while the tables were empty, they would read all
of a table that has grown since, for each of a chunk's papers, until its statistics are made."""

from django.db import migrations

FUNCTIONS = ("tandem_figure_invoices", "tandem_figure_lines", "tandem_figure_credit_notes")


class Migration(migrations.Migration):
    dependencies = [("billing", "0035_minimum_spend_of_a_plan")]
    operations = [
        migrations.RunSQL(
            f"alter function {name}() set plan_cache_mode = force_custom_plan",
            f"alter function {name}() reset plan_cache_mode",
        )
        for name in FUNCTIONS
    ]

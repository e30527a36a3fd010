"""Totals of usage are changed with every batch. Pages with room take the new row beside the old one and leave the indexes
alone (a HOT update); full ones write three index entries for each change, and every look-up walks past the old ones.

Pages that are full already get their room when a table is next written anew (`vacuum full`).
"""

from django.db import migrations

TABLES = ("billing_usageday", "billing_usagecounter")


class Migration(migrations.Migration):
    dependencies = [("billing", "0051_figures_of_one_customer")]

    operations = [
        migrations.RunSQL(
            f"alter table {table} set (fillfactor = 50)", f"alter table {table} reset (fillfactor)"
        )
        for table in TABLES
    ]

"""dj-stripe's tables in one migration.

dj-stripe's own chain (three migrations, most of it creating columns that a later one drops) takes two minutes of
one core on an empty database; this one takes a few seconds and leaves the same tables, columns, constraints
and indexes, with the same names.

How it was made, and is made again after an upgrade of dj-stripe:

1. `MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}` in the settings, then
   `manage.py makemigrations djstripe` (the first time `-n initial`; later it writes only what changed, and that
   is kept as a migration of its own: never edit one that landed).
2. Migrate one empty database with this chain and another with `MIGRATION_MODULES = {}`, and compare
   `information_schema.columns`, `pg_constraint` and `pg_indexes` of the `djstripe_…` tables: no difference.

`tests/billing/test_djstripe_migrations.py` fails when dj-stripe's models and this folder disagree.
"""

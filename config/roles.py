"""The database role that web and jobs connect as: it may do what they do, and takes away nothing that was written.

The tables belong to another one, which migrates. Guards hold for both; this one cannot take them off.
"""

from collections.abc import Iterator

from django.db import connection
from psycopg.sql import SQL, Composed, Identifier

# Papers, the journal, money that moved, facts, who signed: written, and never deleted. (Drafts and facts that are old
# enough go by functions of the database: billing/migrations/0053.)
KEPT = (
    "billing_invoice", "billing_invoiceline", "billing_creditnote", "billing_creditnoteline", "billing_document",
    "billing_numberseries", "billing_posting", "billing_balanceentry", "billing_payment", "billing_refund",
    "billing_dispute", "billing_event", "billing_objectsequence", "billing_signoff", "billing_privacyrequest",
    "billing_eventdigest", "billing_eventamendment",
)  # fmt: skip
# Whose rows say what has been migrated: the owner's alone.
OWNERS = ("django_migrations",)


class NoRole(LookupError):
    """There is no such role, or it is the one that is asked."""


def restrict(name: str) -> list[str]:
    """Give the role what web and jobs need, and take the rest. To be called by the tables' owner, and again after each
    migration. Answers the statements. Raises NoRole."""
    with connection.cursor() as cursor:
        cursor.execute("select rolname = current_user from pg_roles where rolname = %s", [name])
        found = cursor.fetchone()
        if found is None or found[0]:
            raise NoRole(name)
        done = [statement.as_string(connection.connection) for statement in _statements(name)]
        for statement in done:
            cursor.execute(statement)
    return done


def _statements(name: str) -> Iterator[Composed]:
    role = Identifier(name)
    yield SQL("grant usage on schema public to {}").format(role)
    # A file of usage is copied into a table of the session first. Everybody may have one, where nobody took that away.
    yield SQL("grant temporary on database {} to {}").format(
        Identifier(connection.settings_dict["NAME"]), role
    )
    yield SQL("revoke all on all tables in schema public from {}").format(role)
    yield SQL("grant select, insert, update, delete on all tables in schema public to {}").format(role)
    yield SQL("grant usage, select on all sequences in schema public to {}").format(role)
    kept = SQL(", ").join(map(Identifier, KEPT))
    yield SQL("revoke delete on {} from {}").format(kept, role)
    yield SQL("revoke insert, update, delete on {} from {}").format(
        SQL(", ").join(map(Identifier, OWNERS)), role
    )


def too_much() -> list[str]:
    """What this process's role may that web and jobs need not: in words, for `manage.py doctor`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = current_user"
        )
        said = zip(("is a superuser", "makes roles", "passes row security"), cursor.fetchone(), strict=True)
        found = [words for words, so in said if so]
        cursor.execute(
            """select c.relname, pg_has_role(c.relowner, 'member'),
                      has_table_privilege(c.oid, 'delete') or has_table_privilege(c.oid, 'truncate')
               from pg_class c join unnest(%s::text[]) name on c.oid = to_regclass(name) order by 1""",
            [list(KEPT)],
        )
        for table, owns, deletes in cursor.fetchall():
            if owns or deletes:
                found.append(f"{'owns' if owns else 'deletes from'} {table}")
    return found

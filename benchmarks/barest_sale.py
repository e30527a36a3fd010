"""What a confirmed checkout wrote, written again by six statements in two commits, with other keys and numbers."""

from collections.abc import Callable
from itertools import chain
from uuid import UUID

from barest import Marks, Row, Writer, referring
from django.db import connection

from billing.models.ids import uuid7
from checkout import completing, sessions
from checkout.models import CheckoutSession

SESSION, PAYMENT, SERIES, INVOICE, USER = (
    "checkout_checkoutsession", "billing_payment", "billing_numberseries", "billing_invoice", "billing_user",
)  # fmt: skip
# What triggers write, whoever writes the rest.
BY_TRIGGERS = ("billing_customerfigure", "billing_figure")
# Of the payment, how it begins; the second commit sets these.
NEW = {
    "status": "new", "provider_id": None, "customer_id": None, "invoice_id": None, "payment_method_id": None,
    "card_label": "", "settled_at": None,
}  # fmt: skip
# Of the session, what the second commit sets.
COMPLETED = (
    "status",
    "completed_at",
    "attempted_at",
    "message",
    "customer_id",
    "subscription_id",
    "invoice_id",
)
SEQUENCE = "@sequence"

_READ = f"select id from {SESSION} where token = $1 for no key update"
_HOLD = (
    f"select p.id from {PAYMENT} p, {SESSION} s where p.id = $1::uuid and s.id = $2::uuid for no key update"
)
_NUMBER = f"""
update {SERIES} set next = next + 1, last_issued_on = greatest(last_issued_on, current_date) where code = $1
returning next - 1, prefix || lpad((next - 1)::text, 6, '0')
"""


class BarestSale:
    """`found`: what a confirmation wrote (`barest.written`); `pattern`: what is numbered in it, as `name` does."""

    def __init__(self, found: dict[str, list[Row]], pattern: str, name: Callable[[], str]) -> None:
        [session], [payment], [series], [invoice] = (found[t] for t in (SESSION, PAYMENT, SERIES, INVOICE))
        new = {t: rows for t, rows in found.items() if t not in (SESSION, PAYMENT, SERIES, *BY_TRIGGERS)}
        self.number, self.series, self.name = str(invoice["number"]), str(series["code"]), name
        invoice["sequence"] = SEQUENCE
        marks = Marks([self.number, SEQUENCE], pattern)
        for row in chain([session, payment], *new.values()):
            if "-" in (row.get("id") or ""):
                marks.key(str(row["id"]))
        self.key, self.payment = UUID(session["id"]), str(payment["id"])
        self._prepare(Writer(marks), session, payment, new)
        self.marks = list(marks.at)

    def _prepare(self, writer: Writer, session: Row, payment: Row, new: dict[str, list[Row]]) -> None:
        self.read = writer.prepared("barest_read", _READ)
        self.hold = writer.prepared("barest_hold", _HOLD)
        self.take = writer.prepared("barest_take", _NUMBER)
        typed = [_column(name) for name in (*sessions.TYPED, *completing.ATTEMPT)]
        tried = {**session, "attempted_at": session["quoted_at"], "message": ""}
        change = writer.update(SESSION, tried, typed, "id", str(session["id"]))
        attempt = writer.insert(PAYMENT, [{**payment, **NEW}], {})
        self.claim = writer.prepared("barest_claim", f"with s as ({change}) {attempt}")
        self.write = writer.prepared("barest_write", _inserts(writer, new))
        done = writer.update(SESSION, session, COMPLETED, "id", str(session["id"]))
        paid = writer.update(PAYMENT, payment, NEW, "id", str(payment["id"]))
        self.done = writer.prepared("barest_done", f"with s as ({done}) {paid}")

    def sell(self, token: str) -> None:
        raw = connection.connection.pgconn
        raw.exec_(b"begin")
        session = UUID(self.read.answer([token])[0])
        others = self._others(session)
        self.claim.run(others)
        raw.exec_(b"commit")
        raw.exec_(b"begin")
        self.hold.answer([others[self.marks.index(self.payment)], str(session)])
        sequence, number = self.take.answer([self.series])
        now = {SEQUENCE: sequence, self.number: number}
        others = [now.get(mark, other) for mark, other in zip(self.marks, others, strict=True)]
        self.write.run(others)
        self.done.run(others)
        raw.exec_(b"commit")

    def _others(self, session: UUID) -> list[str]:
        """What stands for each mark this time: keys stay the same in both of their forms."""
        keys = {self.key: session}
        return [self._other(mark, keys) for mark in self.marks]

    def _other(self, mark: str, keys: dict[UUID, UUID]) -> str:
        if mark in (SEQUENCE, self.number):
            return mark
        if len(mark) not in (32, 36):
            return self.name()
        key = UUID(mark)
        if key not in keys:
            keys[key] = uuid7()
        return str(keys[key]) if "-" in mark else keys[key].hex


def _inserts(writer: Writer, new: dict[str, list[Row]]) -> str:
    """All of them as one statement. The person's key is numbered by the database: the rest has it from there."""
    person = dict.fromkeys(referring(new, USER), "(select id from person)")
    first = writer.insert(USER, new[USER], {})
    parts = [f"person as ({first} returning id)"]
    rest = [(table, rows) for table, rows in new.items() if table != USER]
    parts += [f"t{n} as ({writer.insert(table, rows, person)})" for n, (table, rows) in enumerate(rest)]
    return f"with {', '.join(parts)} select"


def _column(name: str) -> str:
    return str(CheckoutSession._meta.get_field(name).column)

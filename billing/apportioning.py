"""Which invoices a credit is written about, and what of it lowers what is due on them.

Credit for time that nobody has paid for is not money: it first lowers the very invoice that asked for that time. What is
over goes to the customer's balance, with a note for each invoice that it takes to carry the amount.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from billing import settling
from billing.models import CollectionMethod, Customer, Dispute, Invoice, InvoiceLine, Payment
from billing.refusals import Refused

if TYPE_CHECKING:
    from billing.issuing import DraftLine

type Rooms = Sequence[tuple[Invoice, int]]


class NothingToCredit(Refused):
    """A correction gives back more than the invoices of the subscription can carry."""

    code = "nothing_to_credit"


@dataclass(frozen=True, slots=True)
class Share:
    """What an invoice carries of a credit, in minor units; `off` of it lowers what is due on it. `invoice` says whether a
    bank has `taken` back what paid it."""

    invoice: Any
    amount: int
    off: int = 0


def shares(
    customer: Customer, lines: Sequence["DraftLine"], amount: int, *, held: bool = False
) -> list[Share]:
    """Who carries how much of a credit (minor units, above zero): the unpaid invoices for the same time, newest first;
    then the newest that can carry the rest, else as many as it takes. `held` keeps the unpaid ones until the
    transaction ends. Raises NothingToCredit.

    On a shared paper credit of one subscription has paid for another: then the other's invoices carry it, after the
    own ones.
    """
    unpaid, found = _unpaid_of(customer, lines, held=held), _rooms(customer, lines)
    first, left = _off_unpaid(found, unpaid, amount)
    if not left:
        return first
    others = [(invoice, room) for invoice, room in found if invoice.pk not in unpaid]
    whole = next((invoice for invoice, room in others if room >= left), None)
    return [*first, *([Share(whole, left)] if whole else _as_many(others, left))]


def off_invoices(customer: Customer, lines: Sequence["DraftLine"], amount: int) -> int:
    """What of a credit would lower unpaid invoices, were it written now. Minor units."""
    unpaid = _unpaid_of(customer, lines)
    taken, _ = _off_unpaid(_rooms(customer, lines), unpaid, amount) if unpaid else ([], 0)
    return sum(share.off for share in taken)


def held_back(customer: Customer, lines: Sequence["DraftLine"], amount: int) -> int:
    """What of a credit would not stand on the balance, were it written now, because a bank has taken back what paid for
    that time. Minor units. Raises NothingToCredit."""
    if not Dispute.objects.filter(customer=customer, withdrawn__gt=0).exists():
        return 0
    found = shares(customer, lines, amount)
    return settling.would_hold_back(
        customer, [(each.invoice, each.amount - each.off) for each in found if each.invoice.taken]
    )


def _rooms(customer: Customer, lines: Sequence["DraftLine"]) -> Rooms:
    """The invoices that a credit may be written about, each with what is left of it."""
    taken = Dispute.objects.filter(payment__invoice=OuterRef("pk"), withdrawn__gt=0)
    rows = _creditable(customer, lines).annotate(
        given=Sum("credit_notes__total", default=0), taken=Exists(taken)
    )
    return [(row, row.total - row.given) for row in rows.order_by("-own", "-issued_at", "-id")]


def _creditable(customer: Customer, drafted: Sequence["DraftLine"]) -> QuerySet[Any]:
    lines = InvoiceLine.objects.filter(invoice=OuterRef("pk"), subscription__isnull=False)
    own = {line.subscription_id for line in drafted}
    issued = Invoice.objects.filter(customer=customer, voided_at__isnull=True)
    marked = issued.annotate(own=Exists(lines.filter(subscription__in=own)))
    share = marked.filter(own=True, subscription__isnull=True)
    return marked.filter(Q(own=True) | Q(Exists(lines), Exists(share)))


def _unpaid_of(customer: Customer, drafted: Sequence["DraftLine"], *, held: bool = False) -> Collection[str]:
    """The invoices that ask in vain for the very time that is given back: sent and not paid, or a card was refused.

    What a card will be charged for counts as paid, so that the moment of the charge is no matter; and one whose payment
    is on its way is left to that.
    """
    asks = InvoiceLine.objects.filter(_same_time(drafted), invoice=OuterRef("pk"), net__gt=0)
    payments = Payment.objects.filter(invoice=OuterRef("pk"))
    sent = Q(collection_method=CollectionMethod.SEND_INVOICE)
    refused = Exists(payments.filter(method="card", status="failed"))
    due = Invoice.objects.filter(customer=customer, status__in=("open", "uncollectible"), amount_due__gt=0)
    rows = due.filter(sent | refused, Exists(asks), ~Exists(payments.filter(status__in=Payment.OPEN)))
    if held:
        rows = rows.select_for_update(of=("self",), no_key=True).order_by("pk")
    return set(rows.values_list("pk", flat=True))


def _same_time(drafted: Sequence["DraftLine"]) -> Q:
    """Lines of the periods of which something is given back."""
    same = Q(pk__in=[])
    for line in drafted:
        if line.net < 0:
            same |= Q(subscription=line.subscription_id, price=line.price_id, cycle_start=line.cycle_start)
    return same


def _off_unpaid(found: Rooms, unpaid: Collection[str], amount: int) -> tuple[list[Share], int]:
    """What the unpaid ones carry, and what is left of the amount."""
    taken = []
    for invoice, room in found:
        part = min(room, amount)
        if invoice.pk in unpaid and part > 0:
            taken.append(Share(invoice, part, min(part, invoice.amount_due)))
            amount -= part
    return taken, amount


def _as_many(rooms: Iterable[tuple[Invoice, int]], amount: int) -> list[Share]:
    taken = []
    for invoice, room in rooms:
        if amount and room > 0:
            taken.append(Share(invoice, min(room, amount)))
            amount -= taken[-1].amount
    if amount:
        raise NothingToCredit("The invoices of this subscription together are too small for the credit.")
    return taken

"""Double entry. Each paper and payment posts one transaction whose postings sum to zero (the database insists).

issue     receivable | revenue or deferred revenue, tax
payment   cash | receivable (over-payment: customer balance)
balance   customer balance | receivable
credit    revenue or deferred revenue, tax | receivable (given up: bad debt), then customer balance
carrying  customer balance of one | customer balance of the account that it is a part of
refund    customer balance (made at Stripe and not explained yet: refunds to be explained) | cash
dispute   disputed payments (lost: bad debt), payment fees | cash
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from billing.models import CreditNote, Customer, Dispute, Invoice, Payment, Posting, Refund
from billing.models.ids import uuid7

if TYPE_CHECKING:
    from billing.issuing import DraftLine

Account = Posting.Account


class Party(NamedTuple):
    """Whose books they are."""

    customer_id: str
    currency: str
    livemode: bool


def of_invoice(invoice: Mapping[str, Any], lines: Iterable["DraftLine"]) -> Iterator[dict[str, Any]]:
    """The receivable, and what it is made of. `invoice` is the row that is about to be written."""
    on = invoice["issued_on"]
    amounts: Counter[str] = Counter(
        {Account.RECEIVABLE: invoice["total"], Account.TAX: -invoice["tax_total"]}
    )
    for line in lines:
        amounts[earned_account(line, on)] -= line.net
    words = f"Invoice {invoice['number']}"
    yield from _postings(_party(invoice), amounts, on, words, invoice_id=invoice["id"])


def of_credit_note(
    note: CreditNote, lines: Iterable["DraftLine"], *, off: int, given_up: bool = False, sign: int = 1
) -> Iterator[dict[str, Any]]:
    """The same in reverse. `off` of it is taken off what the invoice asks for (off the loss, where it was given up),
    the rest is the customer's balance. The lines have positive amounts; with sign -1 those of a statement."""
    amounts: Counter[str] = Counter(
        {
            Account.BAD_DEBT if given_up else Account.RECEIVABLE: -off,
            Account.CUSTOMER_BALANCE: off - note.total,
            Account.TAX: note.tax_total,
        }
    )
    for line in lines:
        amounts[earned_account(line, note.issued_on)] += sign * line.net
    words = f"Credit note {note.number}"
    yield from _postings(_of(note), amounts, note.issued_on, words, credit_note_id=note.pk)


def of_payment(
    payment: Payment,
    invoice: Invoice,
    to_invoice: int,
    to_balance: int,
    on: date,
    *,
    written_off: bool = False,
) -> Iterator[dict[str, Any]]:
    """Money came in: it settles the receivable, or the debt that had been given up; what is over belongs to the
    customer."""
    amounts: Counter[str] = Counter(
        {
            Account.CASH: to_invoice + to_balance,
            Account.BAD_DEBT if written_off else Account.RECEIVABLE: -to_invoice,
            Account.CUSTOMER_BALANCE: -to_balance,
        }
    )
    words = f"Payment of {invoice.number}"
    party = Party(invoice.customer_id, invoice.currency, invoice.livemode)
    yield from _postings(party, amounts, on, words, invoice_id=invoice.pk, payment_id=payment.pk)


def of_balance_use(invoice: Mapping[str, Any], payment_id: str, amount: int) -> Iterator[dict[str, Any]]:
    """Credit settles the receivable."""
    amounts: Counter[str] = Counter({Account.CUSTOMER_BALANCE: amount, Account.RECEIVABLE: -amount})
    words = f"Credit used for {invoice['number']}"
    yield from _postings(
        _party(invoice), amounts, invoice["issued_on"], words, invoice_id=invoice["id"], payment_id=payment_id
    )


def of_write_off(invoice: Invoice, amount: int, on: date) -> Iterator[dict[str, Any]]:
    """Nobody will pay what is due: the receivable becomes a loss."""
    amounts: Counter[str] = Counter({Account.BAD_DEBT: amount, Account.RECEIVABLE: -amount})
    yield from _postings(_of(invoice), amounts, on, f"Uncollectible: {invoice.number}", invoice_id=invoice.pk)


def of_void(invoice: Invoice, on: date) -> Iterator[dict[str, Any]]:
    """Everything that was posted for the invoice, in reverse."""
    amounts: Counter[str] = Counter()
    for account, amount in Posting.objects.filter(invoice=invoice).values_list("account", "amount"):
        amounts[account] -= amount
    yield from _postings(_of(invoice), amounts, on, f"Void: {invoice.number}", invoice_id=invoice.pk)


def of_refund(
    refund: Refund, amount: int, on: date, words: str, **refs: str | None
) -> Iterator[dict[str, Any]]:
    """Credit leaves as money; a negative amount comes back. What left elsewhere waits for somebody to say why."""
    owed = Account.ELSEWHERE if refund.unexplained else Account.CUSTOMER_BALANCE
    amounts: Counter[str] = Counter({owed: amount, Account.CASH: -amount})
    yield from _postings(_of(refund), amounts, on, words, **refs)


def of_held_back(invoice: Invoice, amount: int, on: date, words: str) -> Iterator[dict[str, Any]]:
    """Credit that lowers what was lost to the bank; a negative amount is credit again."""
    amounts: Counter[str] = Counter({Account.CUSTOMER_BALANCE: amount, Account.BAD_DEBT: -amount})
    yield from _postings(_of(invoice), amounts, on, words, invoice_id=invoice.pk)


def of_explanation(refund: Refund, on: date, **refs: str | None) -> Iterator[dict[str, Any]]:
    """What left elsewhere was credit of the customer's."""
    amounts: Counter[str] = Counter(
        {Account.CUSTOMER_BALANCE: refund.amount, Account.ELSEWHERE: -refund.amount}
    )
    words = f"Refund {refund.provider_id}"[:100]
    yield from _postings(_of(refund), amounts, on, words, **refs)


def of_carrying(
    other: Customer, into: Customer, amount: int, on: date, words: str
) -> Iterator[dict[str, Any]]:
    """Credit of one customer becomes another's: one transaction of both."""
    entry = uuid7()
    for customer, sign in ((other, 1), (into, -1)):
        party = Party(customer.pk, customer.currency, customer.livemode)
        for posting in _postings(party, Counter({Account.CUSTOMER_BALANCE: sign * amount}), on, words):
            yield {**posting, "transaction": entry}


def standing(dispute: Dispute) -> Counter[str]:
    """What a dispute's amount has done to the books so far: cash that is away, and what it is meanwhile."""
    gone = Account.BAD_DEBT if dispute.status == Dispute.Status.LOST else Account.DISPUTED
    return Counter({Account.CASH: -dispute.withdrawn, gone: dispute.withdrawn})


def of_dispute(
    dispute: Dispute, amounts: Counter[str], fee: int, on: date, *, invoice_id: str | None
) -> Iterator[dict[str, Any]]:
    """A dispute went on: how `standing` differs from before, and the fee in the currency in which it was taken."""
    words = f"Dispute {dispute.provider_id}"[:100]
    refs = {"payment_id": dispute.payment_id, "invoice_id": invoice_id}
    party = Party(dispute.customer_id, dispute.currency, dispute.livemode)
    yield from _postings(party, amounts, on, words, **refs)
    fees: Counter[str] = Counter({Account.FEES: fee, Account.CASH: -fee})
    yield from _postings(party._replace(currency=dispute.fee_currency), fees, on, words, **refs)


def earned_account(line: "DraftLine", on: date) -> str:
    """Revenue when the time it is for has passed by the paper's date; deferred while any of it lies ahead."""
    ahead = line.billed != "arrears" and line.period_end is not None and line.period_end > on
    return Account.DEFERRED if ahead else Account.REVENUE


def _of(paper: Invoice | CreditNote | Refund) -> Party:
    return Party(paper.customer_id, paper.currency, paper.livemode)


def _party(paper: Mapping[str, Any]) -> Party:
    return Party(paper["customer_id"], paper["currency"], paper["livemode"])


def _postings(
    party: Party, amounts: Counter[str], on: date, memo: str, **refs: str | None
) -> Iterator[dict[str, Any]]:
    common = {
        "transaction": uuid7(), "posted_on": on, "memo": memo, "invoice_id": None, "payment_id": None,
        "credit_note_id": None, **party._asdict(), **refs,
    }  # fmt: skip
    for account, amount in amounts.items():
        if amount:
            yield {**common, "account": account, "amount": amount}

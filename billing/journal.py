"""Double entry. Each paper and payment posts one transaction whose postings sum to zero (the database insists).

issue     receivable | revenue or deferred revenue, tax
payment   cash | receivable (over-payment: customer balance)
balance   customer balance | receivable
credit    revenue or deferred revenue, tax | customer balance
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from billing.models import CreditNote, Invoice, Payment, Posting
from billing.models.ids import uuid7

if TYPE_CHECKING:
    from billing.invoicing import DraftLine

Account = Posting.Account


def of_invoice(invoice: Invoice, lines: Iterable["DraftLine"]) -> Iterator[dict[str, Any]]:
    """The receivable, and what it is made of."""
    assert invoice.issued_on is not None
    amounts: Counter[str] = Counter({Account.RECEIVABLE: invoice.total, Account.TAX: -invoice.tax_total})
    for line in lines:
        amounts[earned_account(line, invoice.issued_on)] -= line.net
    yield from _postings(
        invoice, amounts, invoice.issued_on, f"Invoice {invoice.number}", invoice_id=invoice.pk
    )


def of_credit_note(note: CreditNote, lines: Iterable["DraftLine"]) -> Iterator[dict[str, Any]]:
    """The same in reverse, owed to the customer's balance. `lines` have the statement's (negative) signs."""
    amounts: Counter[str] = Counter({Account.CUSTOMER_BALANCE: -note.total, Account.TAX: note.tax_total})
    for line in lines:
        amounts[earned_account(line, note.issued_on)] -= line.net
    yield from _postings(note, amounts, note.issued_on, f"Credit note {note.number}", credit_note_id=note.pk)


def of_payment(
    payment: Payment, invoice: Invoice, to_invoice: int, to_balance: int, on: date
) -> Iterator[dict[str, Any]]:
    """Money came in: it settles the receivable; what is over belongs to the customer."""
    amounts: Counter[str] = Counter(
        {
            Account.CASH: to_invoice + to_balance,
            Account.RECEIVABLE: -to_invoice,
            Account.CUSTOMER_BALANCE: -to_balance,
        }
    )
    words = f"Payment of {invoice.number}"
    yield from _postings(invoice, amounts, on, words, invoice_id=invoice.pk, payment_id=payment.pk)


def of_balance_use(invoice: Invoice, payment_id: str, amount: int) -> Iterator[dict[str, Any]]:
    """Credit settles the receivable."""
    assert invoice.issued_on is not None
    amounts: Counter[str] = Counter({Account.CUSTOMER_BALANCE: amount, Account.RECEIVABLE: -amount})
    words = f"Credit used for {invoice.number}"
    yield from _postings(
        invoice, amounts, invoice.issued_on, words, invoice_id=invoice.pk, payment_id=payment_id
    )


def earned_account(line: "DraftLine", on: date) -> str:
    """Revenue when the time it is for has passed by the paper's date; deferred while any of it lies ahead."""
    ahead = line.billed != "arrears" and line.period_end is not None and line.period_end > on
    return Account.DEFERRED if ahead else Account.REVENUE


def _postings(
    paper: Invoice | CreditNote, amounts: Counter[str], on: date, memo: str, **refs: str
) -> Iterator[dict[str, Any]]:
    transaction = uuid7()
    common = {
        "transaction": transaction, "posted_on": on, "currency": paper.currency, "livemode": paper.livemode,
        "customer_id": paper.customer_id, "memo": memo, "invoice_id": None, "payment_id": None, "credit_note_id": None,
    }  # fmt: skip
    for account, amount in amounts.items():
        if amount:
            yield {**common, **refs, "account": account, "amount": amount}

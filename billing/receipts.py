"""What a customer is told when a card paid an invoice: a renewal, more seats, an invoice paid in the portal.

Planned in the transaction that settles the payment, written when it goes out, once for each payment. A purchase on
checkout has a receipt of its own, which names what was bought.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing import mail, reasons
from billing.maths.periods import local_date
from billing.models import Invoice, Mail, Payment, Seller
from billing.templatetags.tandem import ending, money


def plan(payment: Payment, invoice: Invoice, *, now: datetime) -> None:
    """In the transaction of the payment. A second call changes nothing."""
    letter = mail.planned(
        template="receipt", to=invoice.customer.email, event=payment.pk, now=now, customer=invoice.customer,
        invoice=invoice, context={"amount": str(money(payment.amount, payment.currency))},
    )  # fmt: skip
    mail.post([letter])


def words(letter: Mail) -> Mapping[str, Any]:
    """What such a mail says (`mail.words_of`)."""
    payment = Payment.objects.select_related("payment_method").get(pk=letter.event)
    seller = Seller.objects.get()
    return {
        **of_invoice(letter, seller),
        "amount": str(money(payment.amount, payment.currency)),
        **_beside(letter, payment),
        "method": ending(payment.payment_method) if payment.payment_method else payment.card_label,
    }


def of_invoice(letter: Mail, seller: Seller) -> dict[str, Any]:
    """What every receipt says of the invoice that was paid."""
    assert letter.invoice is not None
    lines = list(letter.invoice.lines.all())
    return {
        "seller": seller,
        "lines": lines,
        "taxes": reasons.taxes(lines),
        "paid_on": local_date(letter.created_at, seller.timezone),
        "url": mail.portal_url(f"invoices/{letter.invoice_id}/"),
    }


def _beside(letter: Mail, payment: Payment) -> dict[str, str]:
    """What was paid otherwise, or with it: without it the lines would not add up to what the card paid."""
    assert letter.invoice is not None
    rest = letter.invoice.total - payment.amount
    return {
        "before": str(money(-rest, payment.currency)) if rest > 0 else "",
        "more": str(money(-rest, payment.currency)) if rest < 0 else "",
    }

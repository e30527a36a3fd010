"""What a buyer is told after a checkout: planned in the transaction that sells, written when it goes out."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from billing import customers, mail, receipts
from billing.models import Mail, Payment, Seller
from billing.templatetags.tandem import ending
from checkout.models import CheckoutSession
from sales.addresses import money


def planned(session: CheckoutSession, now: datetime) -> Mail:
    """The receipt of a completed session, or where nothing is due yet what follows; not stored yet."""
    assert session.customer is not None
    paid = session.invoice is not None
    return mail.planned(
        template="receipt" if paid else "trial_started", to=session.customer.email, event=session.pk, now=now,
        customer=session.customer, invoice=session.invoice,
        context={"amount": _amount(session)} if paid else {"plan": session.plan.name},
    )  # fmt: skip


def words(letter: Mail) -> Mapping[str, Any]:
    """What such a mail says, from what was sold (`mail.words_of`)."""
    session = CheckoutSession.objects.select_related("plan", "customer").get(pk=letter.event)
    return _of_receipt(session, letter) if letter.invoice_id else _of_trial(session)


def _of_receipt(session: CheckoutSession, letter: Mail) -> Mapping[str, Any]:
    """With the invoice as PDF, which is printed when the mail goes out: paid by then."""
    return {
        **receipts.of_invoice(letter, Seller.objects.get()),
        "amount": _amount(session),
        "method": _method(session),
        "next_on": day(session.quote["next_on"]),
        "next_amount": money(session.quote["next_total"], session.currency),
    }


def _of_trial(session: CheckoutSession) -> Mapping[str, Any]:
    """Nothing is due today: when it will be, and the way in."""
    assert session.customer is not None
    return {
        "plan": session.plan.name,
        "ends_on": day(session.quote["next_on"]),
        "amount": money(session.quote["next_total"], session.currency),
        "has_card": customers.default_card(session.customer) is not None,
        "url": mail.portal_url(),
    }


def _amount(session: CheckoutSession) -> str:
    return str(money(session.quote["total"], session.currency))


def _method(session: CheckoutSession) -> str:
    """The card that was charged; "" where nothing was."""
    charged = Payment.objects.select_related("payment_method").filter(source=session.pk, status="succeeded")
    card = next((payment.payment_method for payment in charged if payment.payment_method), None)
    return ending(card) if card else ""


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None

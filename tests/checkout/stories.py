"""What every story of a checkout must end with."""

from billing.models import Customer, Invoice, Payment, Subscription
from checkout.models import CheckoutSession


def one_of_everything(session, total, fake_stripe):
    """What every story must end with."""
    row = CheckoutSession.objects.get(pk=session.pk)
    customer, subscription, invoice = (
        Customer.objects.get(),
        Subscription.objects.get(),
        Invoice.objects.get(),
    )
    assert (row.status, row.customer, row.subscription, row.invoice) == (
        "completed",
        customer,
        subscription,
        invoice,
    )
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", total, total)
    paid = Payment.objects.get(status="succeeded")
    assert (paid.invoice, paid.customer, paid.amount) == (invoice, customer, total)
    charges = [row for row in fake_stripe.rows("charge") if row["paid"]]
    assert [charge["amount"] for charge in charges] == [total]
    assert customer.balance == 0
    return row


def to_the_receipt(answer, session):
    assert answer.status_code == 302
    assert answer["Location"] == f"/checkout/{session.token}/receipt/"

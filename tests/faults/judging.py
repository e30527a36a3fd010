"""Afterwards: what is broken. Empty lists, all of them, or the harness has found something."""

from collections import Counter
from pathlib import Path

from tests.faults.provider import Provider, Receiver

# What the database may say to a process whose session or transaction was taken away.
TOLERATED = ("deadlock detected",)


def judge(provider: Provider, receiver: Receiver | None, log: Path) -> dict[str, list[str]]:
    """Findings by kind."""
    found = {
        "books": broken_books(),
        **against_provider(provider),
        "set aside": set_aside(),
        "errors": errors(log),
    }
    if receiver is not None:
        found |= against_receiver(receiver)
    return found


def broken_books() -> list[str]:
    from billing import books

    return [f"{b.id} {b.words}: {b.found}" for b in books.check()]


def set_aside() -> list[str]:
    from billing.models import BillingFailure

    return [str(row) for row in BillingFailure.objects.all()]


def against_provider(provider: Provider) -> dict[str, list[str]]:
    """The provider's own list and our attempts, by key: what moved there moved here, as much and no more."""
    from billing.models import Payment

    theirs, returned = Counter[tuple[str, int, str]](), Counter[str]()
    for charge in provider.charges():
        if charge["status"] == "succeeded":
            key = charge["metadata"].get("tandem_key", "?")
            theirs[key, charge["amount"], charge["currency"].upper()] += 1
            returned[key] += charge["amount_refunded"]
    ours = Counter[tuple[str, int, str]](
        Payment.objects.filter(method="card", status="succeeded").values_list("key", "amount", "currency")
    )
    unknown = Payment.objects.filter(method="card", status__in=("new", "sent", "unknown"))
    return {
        "charged, not recorded": [str(row) for row in theirs - ours],
        "recorded, not charged": [str(row) for row in ours - theirs],
        "still unknown": list(unknown.values_list("key", flat=True)),
        "charged twice for one invoice": twice(theirs),
        "refunds that differ": refunds(returned),
    }


def refunds(returned: Counter[str]) -> list[str]:
    """By key: what went back to the card there, and what is a refund here."""
    from billing.models import Refund

    ours: Counter[str] = Counter()
    for key, amount in Refund.objects.filter(status="succeeded").values_list("payment__key", "amount"):
        ours[key] += amount
    open_ones = Refund.objects.exclude(status__in=("succeeded", "failed")).values_list("pk", "status")
    differ = [
        f"{key}: {returned[key]} there, {ours[key]} here"
        for key in returned | ours
        if returned[key] != ours[key]
    ]
    return differ + [f"{pk} is {status}" for pk, status in open_ones]


def twice(theirs: Counter[tuple[str, int, str]]) -> list[str]:
    """More money than an invoice asked for, taken by card."""
    from billing.models import Invoice, Payment

    invoices = dict(Payment.objects.filter(method="card").values_list("key", "invoice"))
    taken: Counter[str] = Counter()
    for (key, amount, _), times in theirs.items():
        taken[invoices.get(key) or key] += amount * times
    totals = dict(Invoice.objects.values_list("pk", "total"))
    return [f"{invoice}: {amount}" for invoice, amount in taken.items() if amount > totals.get(invoice, 0)]


def against_receiver(receiver: Receiver) -> dict[str, list[str]]:
    """Every fact was heard, and those of one object first heard in their order."""
    from billing.models import WebhookDelivery

    heard = receiver.heard()
    names = {name for name, _, _ in heard}
    owed = WebhookDelivery.objects.filter(event__isnull=False).select_related("event")
    last: dict[str, int] = {}
    wrong, seen = [], set()
    for name, about, sequence in heard:
        if name in seen:
            continue
        seen.add(name)
        if sequence < last.get(about, 0):
            wrong.append(f"{about}: {sequence} after {last[about]}")
        last[about] = sequence
    return {
        "never heard": [row.webhook_id for row in owed if row.webhook_id not in names],
        "heard out of order": wrong,
    }


def errors(log: Path) -> list[str]:
    """What a worker raised that is neither a refusal nor the loss of its session, with how often."""
    lines = log.read_text().splitlines() if log.exists() else []
    counted = Counter(line for line in lines if not any(words in line for words in TOLERATED))
    return [f"{count} × {line}" for line, count in counted.most_common(20)]

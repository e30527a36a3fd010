"""Two accounts of one company become one account: the other is from then on a part of the one that stays.

What the other bought stays its own: its subscriptions, cards, papers and usage, each billed to whom it was sold. Its
people go over, its credit follows once nothing of its own can use it, and its ids still answer. See
`docs/decisions/0032-joined-accounts.md`.
"""

from datetime import datetime

from django.db import transaction

from billing import bulk, customers, issuing, journal
from billing.events import record
from billing.maths.periods import local_date
from billing.models import Customer, Invoice, Posting, Seller, Subscription
from billing.refusals import Refused
from billing.typed import FREE_MAIL


class NotOneAccount(Refused):
    """The two are not one company, or do not live in the same books; the message says why."""

    code = "not_one_account"


def objection(other: Customer, into: Customer) -> str:
    """Why the one cannot become a part of the other, in words; "" when it can. Reads nothing."""
    if other.pk == into.pk:
        return "An account is not joined with itself."
    if other.merged_into_id or into.merged_into_id:
        return f"{(other if other.merged_into_id else into).name} is a part of another account already."
    if other.livemode != into.livemode or other.test_clock_id != into.test_clock_id:
        return "They live in different worlds: sandbox, live or another test clock."
    if other.currency != into.currency:
        return f"{other.name} pays in {other.currency}, {into.name} in {into.currency}."
    if other.country != into.country:
        return (
            f"They are taxed in different countries: {other.country or 'none'} and {into.country or 'none'}."
        )
    if not into.domain or into.domain in FREE_MAIL or other.domain.lower() != into.domain.lower():
        return "They are not on one business domain."
    return ""


@transaction.atomic
def join(*, customer: Customer, into: Customer, now: datetime, actor: str) -> tuple[Customer, Customer]:
    """Make `customer` a part of `into`, for good; answers both as they are now, held. Raises NotOneAccount."""
    other, stays = _held(customer, into)
    if words := objection(other, stays):
        raise NotOneAccount(words, field="into")
    people = customers.move_members(customer=other, into=stays, now=now, actor=actor)
    Customer.objects.filter(merged_into=other).update(merged_into=stays)
    Customer.objects.filter(pk=other.pk).update(merged_into=stays, merged_at=now)
    other.merged_into, other.merged_at = stays, now
    changed = {"before": {"merged_into": None}, "after": {"merged_into": stays.pk}}
    record("customer.updated", subject=other, customer=other, actor=actor, now=now, data=changed)
    joined = {"joined": other.pk, "name": other.name, "members": people}
    record("customer.consolidated", subject=stays, customer=stays, actor=actor, now=now, data=joined)
    _carry(other, stays, now)
    return other, stays


def _held(*rows: Customer) -> tuple[Customer, ...]:
    """The rows as they are, held in one order; nobody else waits for a second customer while holding one."""
    wanted = Customer.objects.select_for_update(of=("self",), no_key=True)
    found = {row.pk: row for row in wanted.filter(pk__in=[row.pk for row in rows]).order_by("pk")}
    if missing := [row for row in rows if row.pk not in found]:
        raise NotOneAccount(f"{missing[0].name} is no longer there.", field="into")
    return tuple(found[row.pk] for row in rows)


# -- Credit -----------------------------------------------------------------------------------------------


def carry_credit(*, now: datetime) -> int:
    """Nightly: credit of accounts that are parts of others, where nothing of their own can use it any more. Answers of
    how many. Repeatable."""
    rows = Customer.objects.filter(merged_into__isnull=False, balance__gt=0)
    return sum(_carried(row, now) for row in rows.select_related("merged_into__test_clock").order_by("pk"))


@transaction.atomic
def _carried(row: Customer, now: datetime) -> bool:
    other, stays = _held(row, row.account)
    return _carry(other, stays, row.account.on_clock(now))


def _carry(other: Customer, stays: Customer, now: datetime) -> bool:
    """The credit of the other becomes that of the account; both are held."""
    amount = other.balance
    if amount <= 0 or _may_use_it(other):
        return False
    words = f"{other.name} became a part of {stays.name}"[:100]
    issuing.add_balance(other, -amount, other.currency, reason=words, now=now)
    issuing.add_balance(stays, amount, stays.currency, reason=words, now=now)
    on = local_date(now, Seller.objects.get().timezone)
    bulk.copy(Posting, list(journal.of_carrying(other, stays, amount, on, words)))
    return True


def _may_use_it(customer: Customer) -> bool:
    running = Subscription.objects.filter(customer=customer).exclude(status=Subscription.Status.CANCELED)
    unpaid = Invoice.objects.filter(customer=customer, status__in=("draft", "open"))
    return running.exists() or unpaid.exists()

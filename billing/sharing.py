"""Subscriptions of one customer that share a paper, where the customer wishes so.

What the billing run finds due for them on one local day, on equal terms, becomes one invoice; each of its lines names
its subscription. What is owed is not touched: a line says the same on a shared paper as on one of its own.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.models import Subscription
from billing.models.ids import new_id

if TYPE_CHECKING:
    from billing.issuing import Draft


def together(drafts: Sequence["Draft"]) -> dict[str, "Draft"]:
    """The paper that each draft is put on, by the draft's id: its own, or one for several."""
    groups: dict[Hashable, list[Draft]] = defaultdict(list)
    for draft in drafts:
        groups[_terms(draft)].append(draft)
    papers: dict[str, Draft] = {}
    for group in groups.values():
        paper = group[0] if len(group) == 1 else _shared(group)
        papers.update((draft.id, paper) for draft in group)
    return papers


def _terms(draft: "Draft") -> Hashable:
    """What must be equal to share a paper. Only what a run finds due has a day; a change made now stands alone."""
    subscription, customer = draft.subscription, draft.customer
    if not customer.consolidate_invoices or subscription is None or draft.cycle_on is None or draft.source:
        return draft.id
    return (
        customer.pk, draft.cycle_on, draft.now, subscription.currency, draft.collection_method, draft.net_days,
        draft.po_number, draft.motion,
    )  # fmt: skip


def _shared(group: Sequence["Draft"]) -> "Draft":
    lines = [line for draft in group for line in draft.lines]
    return replace(group[0], subscription=None, lines=lines, id=new_id("inv"))


# -- Claiming --------------------------------------------------------------------------------------------------


def leading(due: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Of what is due, what may be claimed by itself: of a customer whose subscriptions share papers only the first.

    So two workers never take parts of one customer's day: who holds the first takes the others (`siblings`).
    """
    before = Q(next_due_at__lt=OuterRef("next_due_at")) | Q(
        next_due_at=OuterRef("next_due_at"), pk__lt=OuterRef("pk")
    )
    earlier = due.filter(before, customer=OuterRef("customer"))
    return due.filter(Q(customer__consolidate_invoices=False) | ~Exists(earlier))


def siblings(due: QuerySet[Subscription], leaders: Sequence[Subscription]) -> list[Subscription]:
    """What else is due for the customers of these that share papers, held. Who changes one of them just now keeps
    it, and it gets a paper of its own afterwards: nobody waits, so nobody can wait for each other."""
    customers = {row.customer_id: row.customer for row in leaders if row.customer.consolidate_invoices}
    if not customers:
        return []
    rest = due.filter(customer__in=list(customers)).exclude(pk__in=[row.pk for row in leaders])
    rows = list(
        rest.select_for_update(skip_locked=True, of=("self",), no_key=True).order_by("next_due_at", "id")
    )
    for row in rows:
        row.customer = customers[row.customer_id]
    return rows

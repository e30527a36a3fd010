"""Whose a customer is: who has it, who has its company, whom a rule names, who has least to do, in this order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Count, Max, Q

from billing.models import Customer, User
from sales.models import HandoffTask, TargetDomain

REPS = "Sales reps"
NEVER = datetime.min.replace(tzinfo=UTC)

type Choice = tuple[User | None, str]
"""An owner, and what chose it."""

routing: list[Callable[[Sequence[Customer]], Mapping[str, Choice]]] = []
"""Whom rules name for customers, by id, in one statement: of whoever keeps such rules."""


@dataclass(slots=True)
class Turn:
    """A rep's place in the round: open tasks, and when the last one came."""

    rep: User
    load: int
    last: datetime

    @property
    def place(self) -> tuple[int, datetime, int]:
        return self.load, self.last, self.rep.pk


@dataclass(slots=True)
class Known:
    """What decides: owners of listed domains, owners of companies by (domain, livemode), whom rules name for a customer,
    and the round."""

    listed: dict[str, User] = field(default_factory=dict)
    companies: dict[tuple[str, bool], User] = field(default_factory=dict)
    routed: dict[str, Choice] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    def of_company(self, domain: str, livemode: bool | None) -> User | None:
        """Without a livemode, any account's owner will do."""
        if domain in self.listed or not domain:
            return self.listed.get(domain)
        modes = (False, True) if livemode is None else (livemode,)
        return next(
            (self.companies[domain, mode] for mode in modes if (domain, mode) in self.companies), None
        )

    def next_in_turn(self, now: datetime) -> User | None:
        turn = min(self.turns, key=lambda turn: turn.place, default=None)
        if turn is None:
            return None
        turn.load, turn.last = turn.load + 1, max(turn.last, now)
        return turn.rep


def choose(customer: Customer | None = None, *, domain: str = "") -> Choice:
    """Who gets one customer, or one who comes from a domain."""
    if customer is not None and customer.owner is not None and customer.owner.is_active:
        return customer.owner, "owner of the customer"
    domain = domain or (customer.domain if customer else "")
    return _choice(_known([domain], [customer] if customer else []), domain, customer, NEVER)


def choose_all(moments: Mapping[Customer, datetime]) -> dict[str, Choice]:
    """By customer id, in four statements for any number: one after the other, each seeing who got the one before."""
    settled = {row.pk: row.owner for row in moments if row.owner is not None and row.owner.is_active}
    open_ones = [row for row in moments if row.pk not in settled]
    known = _known({row.domain for row in open_ones}, open_ones) if open_ones else Known()
    made: dict[str, Choice] = {pk: (owner, "owner of the customer") for pk, owner in settled.items()}
    for customer in open_ones:
        owner, why = _choice(known, customer.domain, customer, moments[customer])
        made[customer.pk] = owner, why
        if owner is not None and customer.domain:
            known.companies.setdefault((customer.domain, customer.livemode), owner)
    return made


def _choice(known: Known, domain: str, customer: Customer | None, now: datetime) -> Choice:
    owner = known.of_company(domain, customer.livemode if customer else None)
    if owner is not None:
        return owner, f"owner of {domain}"
    if customer is not None and customer.pk in known.routed:
        return known.routed[customer.pk]
    return known.next_in_turn(now), "round robin by load"


def _known(domains: Iterable[str], customers: Sequence[Customer]) -> Known:
    named = sorted({domain for domain in domains if domain})
    listed = TargetDomain.objects.filter(domain__in=named, owner__is_active=True).select_related("owner")
    others = Customer.objects.filter(domain__in=named, owner__is_active=True)
    first = others.order_by("domain", "livemode", "pk").distinct("domain", "livemode")
    return Known(
        {row.domain: row.owner for row in listed if row.owner},
        {(row.domain, row.livemode): row.owner for row in first.select_related("owner") if row.owner},
        {pk: choice for named_by in routing if customers for pk, choice in named_by(customers).items()},
        turns(),
    )  # fmt: skip


def turns() -> list[Turn]:
    """The reps with their open tasks; the next is who has the fewest, among equals who waited longest."""
    open_ones = Count("handoff_tasks", filter=Q(handoff_tasks__status__in=HandoffTask.OPEN))
    reps = User.objects.filter(groups__name=REPS, is_active=True, is_staff=True)
    ranked = reps.annotate(load=open_ones, last=Max("handoff_tasks__raised_at"))
    return [Turn(rep, rep.load, rep.last or NEVER) for rep in ranked]

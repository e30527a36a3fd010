"""Sales' small world: its shipped tables, reps, and customers whose events are weighed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from billing import customers
from billing.events import record
from billing.models import Customer, Event, Member, Plan, User
from sales import catalogue as shipped
from sales import quoting
from sales.models import Quote, Signal
from tests.fixtures_billing import NOON


@pytest.fixture
def make_customer(make_customer: Callable[..., Customer], clock: Any) -> Callable[..., Customer]:
    """make_customer(**fields) lives at noon on the test clock, make_customer(None) in the present."""

    def make(on: Any = clock, **fields: Any) -> Customer:
        return make_customer(on, **fields)

    return make


@pytest.fixture
def staff(sales_catalogue: None) -> Callable[..., User]:
    """staff("rita", "Sales reps") -> User in that group."""

    def make(name: str, group: str = shipped.REPS) -> User:
        user = User.objects.create_user(f"{name}@seller.example", name=name.title(), is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        return user

    return make


@pytest.fixture
def rita(staff: Callable[..., User]) -> User:
    return staff("rita")


@pytest.fixture
def happen(run_jobs: Callable[[], int]) -> Callable[..., Event]:
    """happen(customer, "feature.viewed", {...}, at=…) records a fact and lets the jobs run."""

    def record_fact(
        customer: Customer,
        type: str,
        data: dict[str, Any] | None = None,
        *,
        at: Any = None,
        actor: str = "key:test",
        jobs: bool = True,
    ) -> Event:
        with transaction.atomic():
            event = record(
                type, subject=customer, customer=customer, actor=actor, now=at or customer.now, data=data
            )
        if jobs:
            run_jobs()
        return event

    return record_fact


@pytest.fixture
def add_members() -> Callable[..., list[Member]]:
    """add_members(customer, 5) adds so many people."""

    def add(customer: Customer, number: int, actor: str = "key:test") -> list[Member]:
        have = Member.objects.filter(customer=customer).count()
        return [
            customers.add_member(
                customer=customer,
                email=f"m{n}@{customer.pk[-12:]}.example",
                name=f"M {n}",
                now=customer.now,
                actor=actor,
            )
            for n in range(have, have + number)
        ]

    return add


@pytest.fixture
def found() -> Callable[..., list[str]]:
    """found(customer) -> the codes of the customer's signals in order of time."""

    def codes(customer: Customer) -> list[str]:
        rows = Signal.objects.filter(customer=customer).order_by("occurred_at", "id")
        return list(rows.values_list("rule__code", flat=True))

    return codes


@pytest.fixture
def on_pro(
    make_customer: Callable[..., Customer], subscribe: Callable[..., Any], clock: Any
) -> Callable[..., Any]:
    """on_pro(seats=6) -> a customer's monthly Pro subscription, billed, paid by card, on the clock."""

    def make(seats: int = 6, **fields: Any) -> Any:
        return subscribe(make_customer(**fields), "pro", "month", seats)

    return make


@pytest.fixture
def enterprise() -> Callable[[], Plan]:
    return lambda: Plan.objects.get(code="enterprise")


@pytest.fixture
def draft(rita: User) -> Callable[..., Quote]:
    """draft(customer=… | lead=… | subscription=…, quantity=…) -> an Enterprise quote of Rita's."""

    def make(**terms: Any) -> Quote:
        about = terms.get("customer") or getattr(terms.get("subscription"), "customer", None)
        now = terms.pop("now", None) or (about.now if about else NOON)
        given = {
            "plan": Plan.objects.get(code="enterprise"),
            "quantity": Decimal(48),
            "actor": f"user:{rita.pk}",
            "by": rita,
        }
        return quoting.draft(now=now, **{**given, **terms})

    return make


@pytest.fixture
def fake_print(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """No typesetting: the papers that would have been printed, in order."""
    printed: list[Any] = []

    def keep(paper: Any) -> bytes:
        paper.check()
        printed.append(paper)
        return f"%PDF {paper.number} {paper.version} {bool(paper.signature)}".encode()

    monkeypatch.setattr("sales.quote_papers.print_paper", keep)
    return printed


@pytest.fixture
def sign() -> Callable[..., Quote]:
    """sign(quote, **other) accepts it as Ada."""

    def accept(quote: Quote, **other: Any) -> Quote:
        ada = {"name": "Ada Byron", "title": "CFO", "email": "ada@buyer.example", "signature": "Ada Byron"}
        given = {
            "quote": quoting.find(quote.token),
            "now": quote.now,
            "ip": "192.0.2.7",
            "user_agent": "test",
            **ada,
        }
        return quoting.accept(**{**given, **other})

    return accept

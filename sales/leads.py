"""Who asks for sales: taken in, given an owner and a task, answered by mail, and one day a customer."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing import bulk, customers, mail, moves, regions, typed
from billing.events import record, staff_of
from billing.models import Customer, Plan, User
from billing.moves import move
from billing.refusals import Refused
from sales import addresses, deals, handing_over, owning, watching
from sales.models import Deal, HandoffTask, Lead, Quote

DOUBLE_CLICK = timedelta(minutes=10)
MAX_EMPLOYEES = 10_000_000
MAX_NEED = 4000
LOOKALIKES = 5


class InvalidNumber(Refused):
    """Not a whole number in the range that the message names."""

    code = "invalid_number"


class UnknownPlan(Refused):
    """No plan on sale has this code."""

    code = "unknown_plan"


class LooksKnown(Refused):
    """Customers are there that this lead may be; `lookalikes` names them."""

    code = "lead_looks_known"


class UnknownState(Refused):
    """The country has no such state or province."""

    code = "unknown_state"


class UnknownWish(Refused):
    """Customers ask for a demo, a quote, annual billing, invoices or help."""

    code = "unknown_wish"


@transaction.atomic
def contact(
    *,
    name: str,
    email: str,
    company: str,
    now: datetime,
    actor: str,
    employees: int | None = None,
    country: str = "",
    state: str = "",
    industry: str = "",
    need: str = "",
    demo_wanted: bool = False,
    plan: str = "",
    seats: int | None = None,
    source: str = "contact_form",
    livemode: bool | None = None,
    owner: User | None = None,
    why: str = "",
    customer: Customer | None = None,
) -> Lead:
    """Somebody asks for sales: a lead with an owner, a task for the owner, and a mail to both.

    `owner` is chosen by rule unless given with the reason `why`; `plan` is a plan's code; `livemode` is the
    site's unless given. The same person asking the same again within ten minutes gets the lead that is there.
    Raises Refused naming the field.
    """
    given = _cleaned(
        name=name, email=email, company=company, employees=employees, country=country, state=state,
        industry=industry, need=need, plan_code=plan, seats=seats,
    )  # fmt: skip
    mode = settings.STRIPE_LIVE_MODE if livemode is None else livemode
    if (again := _same(given, mode, demo_wanted, now)) is not None:
        return again
    customer = customer or _known_customer(given["email"], mode)
    if owner is None:
        owner, why = owning.choose(customer, domain=typed.business_domain(given["email"]))
    lead = Lead.objects.create(
        **given,
        demo_wanted=demo_wanted,
        source=source,
        livemode=mode,
        owner=owner,
        customer=customer,
        created_at=now,
    )
    _tell(lead, why or "assigned", now=now, actor=actor)
    return lead


def _cleaned(**given: Any) -> dict[str, Any]:
    return {
        "name": typed.text(given["name"], "name", limit=200, required=True),
        "email": typed.email(given["email"]),
        "company": typed.text(given["company"], "company", limit=200, required=True),
        "employees": _count(given["employees"], "employees"),
        **_place(given["country"], given["state"]),
        "industry": typed.text(given["industry"] or "", "industry", limit=80),
        "need": _paragraphs(given["need"] or "", "need"),
        "plan_code": _plan(given["plan_code"]),
        "seats": _count(given["seats"], "seats"),
    }


def _place(country: Any, state: Any) -> dict[str, str]:
    """Raises UnknownState where the country has states of its own and this is none of them."""
    code = typed.country(country or "")
    named = typed.text(state or "", "state", limit=100)
    if named and code in regions.CODES and not regions.code_of(code, named):
        raise UnknownState(f"{typed.countries()[code]} has no state or province of this name.", field="state")
    return {"country": code, "state": named}


def _count(value: Any, field: str) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_EMPLOYEES:
        raise InvalidNumber(f"A whole number from 0 to {MAX_EMPLOYEES:,}.", field=field)
    return value


def _paragraphs(value: Any, field: str) -> str:
    """Text with its line breaks, each line made fit to store."""
    if not isinstance(value, str):
        raise typed.InvalidText("This must be text.", field=field)
    if len(value) > MAX_NEED:
        raise typed.TooLong(f"This can have at most {MAX_NEED:,} characters.", field=field)
    return "\n".join(typed.text(line, field, limit=MAX_NEED) for line in value.splitlines()).strip()


def _plan(code: str) -> str:
    if code and not Plan.objects.filter(code=code, archived_at__isnull=True).exists():
        raise UnknownPlan("There is no such plan.", field="plan")
    return code or ""


def _same(given: Mapping[str, Any], livemode: bool, demo_wanted: bool, now: datetime) -> Lead | None:
    rows = Lead.objects.filter(
        email=given["email"], need=given["need"], plan_code=given["plan_code"], demo_wanted=demo_wanted,
        livemode=livemode, status=Lead.Status.OPEN, created_at__gt=now - DOUBLE_CLICK, created_at__lte=now,
    )  # fmt: skip
    return rows.order_by("-created_at").first()


def _known_customer(email: str, livemode: bool) -> Customer | None:
    """The customer that this address belongs to, as its own or as a member's."""
    rows = Customer.objects.filter(livemode=livemode, test_clock__isnull=True).select_related("owner")
    found = rows.filter(email__iexact=email).order_by("pk").first()
    member = {"members__user__email__iexact": email, "members__removed_at__isnull": True}
    return found or rows.filter(**member).order_by("pk").first()


def _tell(lead: Lead, why: str, *, now: datetime, actor: str) -> None:
    """The lead as a fact, the owner's task, and a mail to both."""
    data = {
        "company": lead.company, "source": lead.source, "plan": lead.plan_code,
        "owner": lead.owner_id and staff_of(lead.owner_id),
    }  # fmt: skip
    event = record("lead.created", subject=lead, actor=actor, now=now, data={**data, "why": why})
    if lead.demo_wanted:
        wanted = {"need": lead.need[:300], "source": lead.source, "plan": lead.plan_code}
        record("demo.requested", subject=lead, actor=actor, now=now, data=wanted)
    handing_over.raise_for_lead(lead=lead, reason=_reason(lead), now=now, actor=actor)
    mail.compose(
        template="lead_received",
        to=lead.email,
        context={"lead": lead, "name": mail.greeted(lead.name), "owner": lead.owner},
        event=event,
        now=now,
    )
    if lead.owner is not None:
        context = {"lead": lead, "reason": why, "url": addresses.staff_url(lead)}
        mail.compose(template="lead_owner", to=lead.owner.email, context=context, event=event, now=now)


def _reason(lead: Lead) -> str:
    asked = "Demo requested" if lead.demo_wanted else "Asked for sales"
    return f"{asked}: {lead.plan_code.title()}" if lead.plan_code else asked


# -- A customer asks ---------------------------------------------------------------------------------------

WISHES = {
    "demo": "Asked for a demo",
    "quote": "Asked for a quote",
    "annual": "Asked for annual billing",
    "invoice": "Asked to pay by invoice",
    "help": "Asked for help",
}


@transaction.atomic
def ask(*, customer: Customer, about: str, now: datetime, actor: str, text: str = "") -> HandoffTask | None:
    """A customer asks for `demo`, `quote`, `annual`, `invoice` or `help`: the task that sales has about it.

    A demo and annual billing are signals, and a task if they qualify; the rest is a task at once.
    """
    if about not in WISHES:
        raise UnknownWish("Ask for a demo, a quote, annual billing, invoices or help.", field="about")
    words, customer = _paragraphs(text, "text"), customer.account
    customers.hold(customer.pk)  # before anything of it is numbered: see “Locks”
    if about == "demo":
        data = {"need": words[:300], "source": "customer"}
        event = record("demo.requested", subject=customer, customer=customer, actor=actor, now=now, data=data)
        watching.weigh(numbers=[event.number], now=now)
        return _task_of(customer)
    if about == "annual":
        _wants_annual(customer, words, now=now, actor=actor)
        return _task_of(customer)
    return handing_over.raise_by_hand(
        customer=customer, reason=WISHES[about], note=words, now=now, actor=actor
    )


def _wants_annual(customer: Customer, words: str, *, now: datetime, actor: str) -> None:
    sentence = f"Asked for annual billing: “{words[:200]}”" if words else "Asked for annual billing."
    with suppress(watching.UnknownRule):
        watching.report(
            customer=customer, rule="wants_annual", occurred_at=now, now=now, actor=actor, sentence=sentence
        )


def _task_of(customer: Customer) -> HandoffTask | None:
    return HandoffTask.objects.filter(customer=customer, status__in=HandoffTask.OPEN).first()


# -- What becomes of a lead ----------------------------------------------------------------------------------


@transaction.atomic
def qualify(*, lead: Lead, now: datetime, actor: str) -> None:
    """Worth pursuing. Raises IllegalMove."""
    move(lead, "qualified", event=None, actor=actor, now=now)


@transaction.atomic
def close(*, lead: Lead, now: datetime, actor: str) -> None:
    """Nothing will come of it. Raises IllegalMove."""
    move(lead, "closed", event=None, actor=actor, now=now)


@transaction.atomic
def set_place(*, lead: Lead, country: str, state: str) -> None:
    """Where it is, which decides the taxes of its quotes. Raises Refused naming the field."""
    moves.change(lead, **_place(country, state))


@transaction.atomic
def mark_demo_done(*, lead: Lead, now: datetime) -> None:
    """The demo took place: plans that ask for one may be bought by this lead."""
    Lead.objects.filter(pk=lead.pk, demo_done_at__isnull=True).update(demo_done_at=now)
    lead.refresh_from_db(fields=["demo_done_at"])


@transaction.atomic
def convert(*, lead: Lead, customer: Customer, now: datetime, actor: str) -> None:
    """The lead has become this customer: owner, task, deals and quotes go with it. Repeatable. One that has just been
    `begun` is stored by the caller."""
    if lead.status == Lead.Status.CONVERTED:
        return
    move(lead, "converted", event=None, actor=actor, now=now, customer_id=customer.pk)
    lead.customer = customer
    its = {"lead": lead, "customer__isnull": True}
    also: list[bulk.Change] = [
        (Deal.objects.filter(**its), {"customer": customer}),
        (Quote.objects.filter(**its), {"customer": customer}),
    ]
    handing_over.follow_lead(lead=lead, customer=customer, now=now, actor=actor, beside=also)


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A customer that the lead may be already, and what says so."""

    customer: Customer
    why: str


def lookalikes(lead: Lead) -> list[Lookalike]:
    """The customers with the lead's address or company domain, the surest first; at most five."""
    rows = Customer.objects.filter(livemode=lead.livemode, test_clock__isnull=True).order_by("pk")
    domain = typed.business_domain(lead.email)
    ways: list[tuple[str, Q]] = [
        ("the lead came from its account", Q(pk=lead.customer_id)),
        ("the same e-mail address", Q(email__iexact=lead.email)),
        ("has a member with this e-mail address",
         Q(members__user__email__iexact=lead.email, members__removed_at__isnull=True)),
        (f"the same domain, {domain}", Q(domain=domain) if domain else Q(pk__in=[])),
    ]  # fmt: skip
    found: dict[str, Lookalike] = {}
    alike = bulk.read(*(rows.filter(about)[:LOOKALIKES] for _, about in ways))
    for (why, _), some in zip(ways, alike, strict=True):
        for customer in some:
            found.setdefault(customer.pk, Lookalike(customer, why))
    return list(found.values())[:LOOKALIKES]


@transaction.atomic
def take_on(
    *, lead: Lead, now: datetime, actor: str, customer: Customer | None = None, new: bool = False
) -> tuple[Customer, Deal]:
    """Make the lead a customer with a deal, without anything typed twice; or let it join `customer`.

    Where it looks like one that is there, somebody has to say which, or that it is `new`. Repeatable.
    Raises LooksKnown, IllegalMove for a closed lead.
    """
    row = _held(lead)
    if row.status != Lead.Status.CONVERTED:
        if customer is None and not new and lookalikes(row):
            raise LooksKnown("Choose the customer that this is, or make a new one.", field="customer")
        _become(row, customer or _customer_of(row, now, actor), now, actor)
    lead.refresh_from_db()
    assert row.customer is not None
    return row.customer, deals.open_deal_of(row.customer, None) or _deal_of(row, now, actor)


def _held(lead: Lead) -> Lead:
    """The lead, then its quotes, as whoever signs one of them."""
    # Not joined to its customer: whoever waited here would see the customer as it was before, none.
    row = Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
    quotes = Quote.objects.select_for_update(no_key=True).filter(lead=row).order_by(*Quote.IN_ORDER)
    list(quotes.values_list("pk"))
    return row


def _customer_of(lead: Lead, now: datetime, actor: str) -> Customer:
    return customers.create(
        name=lead.company, email=lead.email, livemode=lead.livemode, now=now, actor=actor, country=lead.country,
        billing_address=lead.address, employees=lead.employees, industry=lead.industry,
    )  # fmt: skip


def _become(lead: Lead, customer: Customer, now: datetime, actor: str) -> None:
    """The person who asked is the first member of a customer that has nobody yet."""
    if not customer.members.filter(removed_at__isnull=True).exists():
        customers.add_member(
            customer=customer, email=lead.email, name=lead.name, role="owner", now=now, actor=actor
        )
    convert(lead=lead, customer=customer, now=now, actor=actor)


def _deal_of(lead: Lead, now: datetime, actor: str) -> Deal:
    assert lead.customer is not None
    plan = Plan.objects.filter(code=lead.plan_code).first() if lead.plan_code else None
    task = HandoffTask.objects.filter(customer=lead.customer, status__in=HandoffTask.OPEN).first()
    return deals.open_deal(
        name=f"{lead.company}: {plan.name if plan else 'new business'}", customer=lead.customer, lead=lead,
        owner=lead.owner or lead.customer.owner, currency=lead.customer.currency,
        motion=plan.motion if plan else "sales_led", task=task, now=now,
        actor=actor,
    )  # fmt: skip

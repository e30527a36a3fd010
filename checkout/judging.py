"""Routing a session: what is known of its buyer, the rules in the database, and what follows from them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from billing import offering, regions, typed
from billing.models import Customer, User
from billing.refusals import Refused
from billing.subscribing import CollectionNotAllowed, PlanNeedsQuote
from checkout import quoting, sessions
from checkout.models import CheckoutSession, Outcome, RoutingRule
from checkout.routing import Decision, Inputs, Rule, decide
from sales import leads
from sales.models import Lead

BY_INVOICE = "Paid by invoice at this size"
BY_QUOTE = "Sold by quote by now"
AFTER_DEMO = "Shown in a demo first by now"


def rules(rows: Iterable[RoutingRule]) -> list[Rule]:
    return [Rule(row.name, row.outcome, row.conditions, row.owner_id) for row in rows]


def owners_of(customers: Sequence[Customer]) -> dict[str, tuple[User | None, str]]:
    """Whom the first rule names that holds for a customer and has an owner: by customer id, with the rule's name.

    What only a checkout asks (plan, seats, need) is not known of a customer.
    """
    rows = list(RoutingRule.objects.filter(active=True, owner__is_active=True).select_related("owner"))
    table, people = rules(rows), {row.owner_id: row.owner for row in rows}
    decided = {row.pk: decide(table, _known_of(row)) for row in customers} if rows else {}
    return {
        pk: (people[each.owner], f"rule “{each.rule}”"[:120]) for pk, each in decided.items() if each.owner
    }


def _known_of(customer: Customer) -> Inputs:
    domain = "" if customer.domain in typed.FREE_MAIL else customer.domain
    return Inputs(
        employees=customer.employees, country=customer.country, industry=customer.industry, domain=domain
    )


def inputs_of(session: CheckoutSession, buyer: Customer) -> Inputs:
    """What the answers (or the customer there is) tell; what is wrong or missing is not known."""
    answers = session.answers
    employees = str(answers.get("employees", "")) or str(buyer.employees or "")
    return Inputs(
        employees=int(employees)
        if employees.isascii() and employees.isdigit() and len(employees) < 10
        else None,
        seats=session.quantity,
        country=buyer.country,
        industry=buyer.industry,
        plan=session.plan.code,
        need=str(answers.get("need", "")),
        domain=_domain(session.email),
    )


def _domain(email: str) -> str:
    try:
        return typed.business_domain(typed.email(email))
    except Refused:
        return ""


def judge(session: CheckoutSession, table: quoting.Table) -> Decision:
    """Where this buyer goes: by the rules, by how the plan is sold now (when the session began it may have been sold
    otherwise), and by how the segment that the purchase leads to may pay. Raises UnknownPrice, InvalidQuantity."""
    buyer = quoting.buyer(session)
    terms = quoting.phases(session, buyer, quoting.items_of(session), session.now)
    decision = decide(rules(table.rules), inputs_of(session, buyer))
    if not decision.self_serve:
        return decision
    try:
        sessions.refuse_unready(session.plan, session.email)
    except PlanNeedsQuote as refusal:
        return _to_a_person(decision, Outcome.CONTACT_SALES, BY_QUOTE, refusal)
    except sessions.PlanNeedsDemo as refusal:
        return _to_a_person(decision, Outcome.DEMO, AFTER_DEMO, refusal)
    try:
        offering.check(buyer, terms, table.segments)
    except CollectionNotAllowed as refusal:
        return _to_a_person(decision, Outcome.CONTACT_SALES, BY_INVOICE, refusal)
    return decision


def _to_a_person(decision: Decision, outcome: Outcome, rule: str, refusal: Refused) -> Decision:
    return replace(decision, outcome=str(outcome), rule=rule, because=(refusal.message,))


def needs_a_person(session: CheckoutSession, decision: Decision) -> bool:
    return not decision.self_serve and session.unlocked_at is None


@transaction.atomic
def hand_over(session: CheckoutSession, decision: Decision, *, now: datetime) -> Lead:
    """Make the lead that a person takes care of, once; the session keeps everything and its way back.

    Raises what refuses the name, e-mail or company.
    """
    row = CheckoutSession.objects.select_for_update().get(pk=session.pk)
    if row.lead_id:
        return Lead.objects.get(pk=row.lead_id)
    answers, known = session.answers, session.customer
    lead = leads.contact(
        name=answers.get("name", "") or (known.name if known else ""),
        email=session.email,
        company=answers.get("company", "") or (known.name if known else ""),
        employees=decision.inputs.employees,
        country=decision.inputs.country,
        state=_state(session, decision.inputs.country),
        industry=decision.inputs.industry,
        need=_need(session, decision),
        demo_wanted=decision.outcome == Outcome.DEMO,
        plan=session.plan.code,
        seats=session.quantity,
        source="checkout",
        livemode=session.livemode,
        customer=known,
        now=now,
        actor="buyer",
        owner=User.objects.filter(pk=decision.owner, is_active=True).first() if decision.owner else None,
        why=decision.rule,
    )
    fields = {"lead_id": lead.pk, "routing": decision.to_json()}
    CheckoutSession.objects.filter(pk=row.pk).update(**fields)
    session.lead_id, session.routing = lead.pk, fields["routing"]
    return lead


def _state(session: CheckoutSession, country: str) -> str:
    """What was typed as one, unless a country with states of its own has none such: that turns nobody away here."""
    typed = session.answers.get("state", "")
    return typed if country not in regions.CODES or regions.code_of(country, typed) else ""


def _need(session: CheckoutSession, decision: Decision) -> str:
    """What the rep reads: what was about to be bought, and why it came here."""
    seats = f", {session.quantity} seats" if session.quantity > 1 else ""
    return f"Checkout of {session.plan.name}, by the {session.interval}{seats}. Rule: {decision.rule}."

"""What the contract names is really there: the fields of every object, and every type of event.

CONTRACT is the text of the contract, object by object; a name in it that the schema does not have fails.
"""

import ast
import re
from pathlib import Path

import pytest

from billing.api import docs
from billing.events import TYPES

CHECKOUT = Path(__file__).resolve().parents[2]

# Schema, and the fields that the contract gives it: what is answered, then what is sent.
CONTRACT = """
Customer         id name email external_id currency country timezone domain employees industry tax_id tax_exempt
                 billing_address net_days collection_method metadata test_clock segment motion owner arr mrr balance
                 created_at
Meter            code name event_name aggregation property
Plan             code name motion published requires_demo rank trial_days entitlements prices
PlanEntitlement  feature limit
Price            code kind model interval currency amount tiers package_size included billed meter minimum maximum
                 prorate
Tier             up_to unit_amount flat_amount
Discount         code percent_off amount_off currency duration periods plans max_redemptions expires_at
TaxRate          name percentage country inclusive category
Subscription     id customer status motion origin current_period phases pending_changes cancel_at canceled_at ended_at
                 mrr arr latest_invoice metadata
Phase            id start end plan quantities collection_method net_days discount
Period           start end
Change           lines total due_now credit_to_balance next_invoice effective_at invoice
Line             description amount period kind
NextInvoice      date total
Recorded         accepted duplicates rejected
Rejection        index id code detail
Invoice          id number status currency customer subscription motion collection_method issued_at due_at period
                 lines subtotal discount_total tax_total total amount_paid amount_credited amount_due seller bill_to
                 pdf xml
InvoiceLine      description kind quantity unit_amount amount tax_rate tax_amount period price subscription
                 explanation
Session          url status expires_at customer subscription
PortalSession    id url expires_at
Quote            state version lines mrr arr acv tcv schedule url
Scheduled        date amount
Clock            id time name status
Completion       outcome note
Acceptance       note
GivingBack       note
Problem          type title status code detail errors request_id
Error            field code message
CustomerNew      name email external_id currency country timezone domain employees industry tax_id tax_exempt
                 billing_address net_days collection_method metadata test_clock
Address          line1 line2 city state postal_code country
MeterNew         code name event_name aggregation property
PlanNew          code name motion published requires_demo rank trial_days entitlements prices
EntitlementNew   feature limit
PriceNew         code kind model interval currency amount tiers package_size included billed meter minimum maximum
                 prorate
TierNew          up_to unit_amount flat_amount
DiscountNew      code percent_off amount_off currency duration periods plans max_redemptions expires_at
TaxRateNew       name percentage country inclusive category
SubscriptionNew  customer plan interval quantity quantities collection_method net_days start_at anchor trial_days
                 trial_end discount contract payment_method payment_rule_override metadata
ContractTerms    months auto_renew renewal_months
ChangeNew        plan interval quantity quantities discount anchor collection_method net_days effective proration
CancelNew        effective reason comment credit_unused
PauseNew         resume_at
UsageEventNew    id customer event_name timestamp properties
CreditNoteNew    invoice lines amount to reason
CreditLineNew    line amount quantity
TransferNew      amount paid_at reference
PayNew           payment_method
SessionNew       plan interval quantity customer email success_url cancel_url allow_promotion_codes trial_days
                 metadata
PortalSessionNew customer return_url sections
SignalNew        customer rule occurred_at evidence
QuoteNew         customer lead plan interval quantity quantities lines ramp discount term_months net_days starts
                 expires_at
QuoteRampNew     year quantity quantities discount
QuoteDiscount    percent_off amount_off
ClockNew         time name
ClockAdvance     to
"""
EVENTS = """
customer.created|updated|segment_changed|collection_method_changed|owner_assigned member.added|removed plan.published
checkout.completed|expired subscription.created|activated|trial_ending|trial_ended|phase_started|changed|paused|resumed
subscription.renewed|renewal_approaching|past_due|cancel_scheduled|canceled|converted_to_invoice usage.threshold_reached
invoice.created|finalized|sent|paid|payment_failed|overdue|voided|uncollectible credit_note.issued
payment.succeeded|failed|refunded|disputed payment_method.attached|expiring|detached lead.created demo.requested
feature.viewed signal.created|dismissed handoff.raised|accepted|won|lost|returned
quote.created|submitted|approved|rejected|sent|viewed|accepted|declined|expired|withdrawn|converted deal.stage_changed
"""


def objects():
    """(schema, its fields)."""
    for row in re.sub(r"\n +", " ", CONTRACT.strip()).splitlines():
        name, *fields = row.split()
        yield name, fields


def fields_of(name):
    written = docs.openapi()["components"]["schemas"][name]
    parts = [written, *written.get("allOf", [])]
    return {field for part in parts for field in docs._resolved(part).get("properties", {})}


@pytest.mark.parametrize(
    ("name", "fields"), list(objects()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_object_has_every_field_of_the_contract(name, fields):
    assert set(fields) - fields_of(name) == set()


def event_types():
    for word in EVENTS.split():
        subject, _, rest = word.partition(".")
        yield from (f"{subject}.{name}" for name in rest.split("|"))


# Who writes facts down imports one of these, or something out of them.
WRITERS = {"billing.events", "billing.moves"}


def written_down():
    """Every text in a module that writes facts, which is not only asked for."""
    for package in ("billing", "sales", "checkout", "portal"):
        for path in (CHECKOUT / package).rglob("*.py"):
            inside = set(path.relative_to(CHECKOUT).parts)
            if {"migrations", "api", "admin"} & inside or path.name == "events.py":
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            imported = {
                name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
            }
            if imported & WRITERS:
                yield from _said(tree)


def _said(tree):
    asked = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in asked:
            yield node.value


def test_every_event_type_of_the_contract_is_recorded_somewhere():
    types = set(event_types())
    assert types <= TYPES
    assert TYPES - set(written_down()) == set()

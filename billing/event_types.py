"""What each type of event says of itself: the fields of its `data`, and how they are told outside.

A fact keeps money in whole minor units, as its row does. Whoever is told of it (the API, webhooks, conditions and texts
of automations) gets a decimal string in major units with its currency beside it, as everywhere in the contract.
"""

from dataclasses import dataclass
from typing import Any

from billing.maths.money import to_major
from billing.models.customers import Seller
from billing.models.events import Event

# A line each: the type, then its fields as `name:kind`. Without a kind it is text; with `?` it may be null or missing;
# what is `inside` is for the seller's own staff and told to nobody.
_WRITTEN = """
customer.created
    name email external_id? currency? country? timezone? domain? employees:whole? industry? tax_id? tax_exempt:truth?
    billing_address:object? net_days:whole? consolidate_invoices:truth? collection_method? metadata:object?
    test_clock:id? provider_id?
customer.updated                    before:object after:object
customer.segment_changed            before? after arr:money currency why
customer.collection_method_changed  from to
customer.owner_assigned             before? after? owner? why
customer.consolidated               joined:id name members:whole
customer.balance_paid_out           amount:money currency method refunds:list reference
member.added                        email name role members:whole
member.removed                      email name role
mail.sent_again                     template mail:id?
meter.created                       code name
plan.created                        code name
plan.updated                        code name
plan.published                      code name
plan.archived                       code name
discount.created                    code?
tax_rate.created                    name country
checkout.completed
    from to plan interval quantity:whole? origin subscription:id invoice:id? total:money currency discount:id?
checkout.expired                    from to status plan email
subscription.created
    plan quantity:decimal? collection_method motion start:day origin mrr_before:money mrr_after:money currency
    payment_rule_override?
subscription.activated
    from? to? plan quantity:decimal? collection_method motion start:day? source? phase:id?
subscription.trial_ending           days:whole trial_end:time plan
subscription.trial_ended            from to
subscription.phase_started          phase:id? plan source motion collection_method
subscription.changed
    effective_on:day? from:object? to:object? removed:object? undo? upgrade:truth source? status_before? status_after?
    mrr_before:money? mrr_after:money? currency? trial_end:time? trial_end_before:time? payment_rule_override?
    pause:object?
subscription.paused                 from to resume_on:day? reason?
subscription.resumed                from to phase:id? plan? source? motion? collection_method?
subscription.renewed
    period_start:day? period_end:day? plan? contract_start_on:day? contract_end_on:day? auto_renew:truth?
subscription.renewal_approaching
    days:whole contract_end_on:day auto_renew:truth mrr:money arr:money currency
subscription.past_due               from to
subscription.cancel_scheduled       end_on:day reason
subscription.canceled               from to reason
subscription.converted_to_invoice   plan source collection_method motion? phase:id?
usage.threshold_reached
    subscription:id meter name percent:whole limit:decimal used:decimal period:object
usage.voided                        id event_name day:day
invoice.created                     total:money currency
invoice.deleted                     total:money currency
invoice.finalized
    number total:money currency motion collection_method amount_due:money due_on:day subscription:id?
invoice.sent                        number
invoice.paid                        from? to? number total:money currency motion
invoice.payment_failed              attempt:whole reason next_attempt_at:time?
invoice.overdue                     number
invoice.voided                      from to number total:money currency reason
invoice.uncollectible               from to number amount_due:money currency reason
credit_note.issued                  number total:money currency invoice:id to reason?
payment.succeeded                   from to amount:money currency method invoice:id?
payment.failed                      from to amount:money currency reason invoice:id?
payment.refunded                    amount:money currency refund:id credit_note:id? elsewhere:truth
payment.refund_explained            amount:money currency refund:id by
payment.disputed
    dispute:id from? to reason amount:money currency invoice:id? evidence_due_at:time?
payment.unanswered                  amount:money currency invoice:id? since:time reference
payment_method.attached             brand last4 default:truth
payment_method.expiring             brand last4 exp_month:whole exp_year:whole
payment_method.detached             brand last4
sign_off.requested                  kind amount:money currency reason invoice:id? payment:id? asked_by
sign_off.given                      from to kind amount:money currency reason invoice:id? payment:id? asked_by
sign_off.refused                    from to kind amount:money currency reason invoice:id? payment:id? asked_by
lead.created                        company source plan owner? why
demo.requested                      need source plan?
feature.viewed                      feature
signal.created                      rule weight sentence
signal.dismissed                    from to reason
handoff.raised                      reason score:decimal due_on:day owner?
handoff.accepted                    from to owner
handoff.snoozed                     snoozed_until:day?
handoff.won                         from to note why
handoff.lost                        from to note why
handoff.returned                    from to note why again_on:day?
quote.created                       number version:whole option plan arr:money tcv:money currency
quote.updated                       number version:whole option plan arr:money tcv:money currency
quote.deleted                       number version:whole option
quote.submitted                     number version:whole option approvals:list
quote.approved                      from? to? number version:whole option approvals:list? why? note?
quote.rejected                      from to number version:whole option note
quote.sent                          number version:whole tcv:money currency options:whole sha256
quote.viewed                        from to number version:whole
quote.accepted
    number version:whole option name sha256 arr:money tcv:money currency starts_on:day subscription:id? plan
quote.declined                      from to number version:whole reason
quote.expired                       from to number version:whole
quote.withdrawn                     from to number version:whole why
quote.converted                     from to number version:whole subscription:id
quote.schedule_differs              date:day promised:money invoiced:money currency invoices:list reason
deal.created                        name amount:money currency
deal.stage_changed                  from to amount:money? currency? reason?
portal_session.created              sections:list
webhook_endpoint.created            host event_types:list description enabled:truth
webhook_endpoint.updated            before:object after:object
webhook_endpoint.secret_rotated     old_until:time?
webhook_endpoint.disabled           reason
webhook_endpoint.replayed           events:whole delivery:id? since:time? until:time?
webhook_endpoint.deleted            host event_types:list description enabled:truth
test_clock.created                  name
test_clock.advanced                 from:time to:time
test_clock.deleted                  name
person.exported                     customers:list papers:whole
person.erased                       customers:list kept:object
retention.applied                   kind before:time rows:whole
command.run                         command arguments:object reason
user.signed_in                      note address:inside
user.sign_in_failed                 note address:inside
user.refused                        note address:inside
user.exported                       note address:inside
user.security_changed               note address:inside
"""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    optional: bool


def _read(written: str) -> dict[str, tuple[Field, ...]]:
    found: dict[str, list[str]] = {}
    for line in written.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            names = found[words.pop(0)] = []
        names += words
    return {type: tuple(map(_field, names)) for type, names in found.items()}


def _field(written: str) -> Field:
    name, _, kind = written.rstrip("?").partition(":")
    return Field(name, kind or "text", written.endswith("?"))


FIELDS = _read(_WRITTEN)


def _of_kind(kind: str) -> dict[str, tuple[str, ...]]:
    names = {type: tuple(f.name for f in fields if f.kind == kind) for type, fields in FIELDS.items()}
    return {type: found for type, found in names.items() if found}


MONEY, INSIDE = _of_kind("money"), _of_kind("inside")
KINDS = {(field.name, field.kind) for fields in FIELDS.values() for field in fields}
# What is a number in whatever event has it.
NUMBERS = {name for name, kind in KINDS if kind in ("money", "whole")} - {
    name for name, kind in KINDS if kind not in ("money", "whole")
}


def outside() -> dict[str, tuple[Field, ...]]:
    """The fields of each type that whoever is told of it gets."""
    return {type: tuple(f for f in fields if f.kind != "inside") for type, fields in FIELDS.items()}


def told(event: Event) -> dict[str, Any]:
    """An event's data as it is told outside."""
    hidden = INSIDE.get(event.type, ())
    data = {name: value for name, value in event.data.items() if name not in hidden} if hidden else event.data
    kept = [name for name in MONEY.get(event.type, ()) if isinstance(data.get(name), int)]
    if not kept:
        return data
    currency = data.get("currency") or _currency_of(event)
    return {**data, "currency": currency, **{name: to_major(data[name], currency) for name in kept}}


def _currency_of(event: Event) -> str:
    """Of a fact that was kept before its currency stood beside its money."""
    if event.customer is None:
        return Seller.objects.values_list("currency", flat=True).get()
    return event.customer.currency

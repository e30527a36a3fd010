"""/v1/charges, /v1/refunds, /v1/disputes and the balance that they move."""

from collections import Counter

from billing.fakestripe import shapes
from billing.fakestripe.call import Call
from billing.fakestripe.cards import SampleCard
from billing.fakestripe.errors import invalid, missing_param
from billing.fakestripe.methods import sample_of
from billing.fakestripe.params import choice, flag, integer, mapping, merged_metadata, text
from billing.fakestripe.store import Row

DISPUTE_FEE = 1500


# -- charges ----------------------------------------
def paid(call: Call, intent: Row, method: Row) -> Row:
    row = shapes.charge(_charge_id(call), call.now, intent, method)
    sample = sample_of(method)
    row.update(status="succeeded", paid=True, captured=True, amount_captured=row["amount"])
    row["outcome"] = shapes.outcome(sample, None)
    row["balance_transaction"] = call.balance_transaction("charge", row["amount"], row["currency"], row["id"])
    row["receipt_url"] = f"{call.fake.base_url}/receipts/{row['id']}"
    row["_afterwards"] = sample.afterwards
    return call.save(row)


def failed(call: Call, intent: Row, method: Row, declined: tuple[str, str | None, str]) -> Row:
    row = shapes.charge(_charge_id(call), call.now, intent, method)
    row.update(status="failed", failure_code=declined[0], failure_message=declined[2])
    row["outcome"] = shapes.outcome(sample_of(method), declined)
    return call.save(row)


def follow_up(call: Call, charge: Row, sample: SampleCard) -> None:
    """What Stripe's special test cards bring on after a paid charge."""
    kind, _, reason = sample.afterwards.partition(":")
    if kind == "dispute":
        open_dispute(call, charge, reason)


def _charge_id(call: Call) -> str:
    return "ch_3" + call.new_id("x")[2:25]


def retrieve(call: Call, id: str) -> Row:
    return call.find("charge", id)


def listed(call: Call) -> Row:
    return call.listed("charge", "customer", "payment_intent")


# -- refunds ----------------------------------------
def create_refund(call: Call) -> Row:
    asked = integer(call.params, "amount") if call.params.get("amount") else None
    return refund(call, _charge_to_refund(call), asked)


def refund(call: Call, charge: Row, asked: int | None) -> Row:
    """All that is left where no amount is asked for."""
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if asked is None else asked
    _check_refund(charge, amount, left)
    reason = choice(call.params, "reason", ("duplicate", "fraudulent", "requested_by_customer"))
    row = shapes.refund("re_3" + call.new_id("x")[2:25], call.now, charge, amount, reason)
    row["metadata"] = merged_metadata({}, call.params)
    if charge["_afterwards"] == "refund_pending":
        row["status"] = "pending"
    row["balance_transaction"] = call.balance_transaction("refund", -amount, row["currency"], row["id"])
    call.save(row)
    _add_refunded(call, charge, amount)
    call.emit("refund.created", row)
    call.emit("charge.refunded", charge)
    return row


def _charge_to_refund(call: Call) -> Row:
    if intent := text(call.params, "payment_intent"):
        row = call.find("payment_intent", intent, "payment_intent")
        if not row["latest_charge"] or row["status"] != "succeeded":
            message = f"This PaymentIntent ({intent}) does not have a successful charge to refund."
            raise invalid(message, param="payment_intent")
        return call.find("charge", row["latest_charge"])
    if charge := text(call.params, "charge"):
        return call.find("charge", charge, "charge")
    raise missing_param("charge")


def _check_refund(charge: Row, amount: int, left: int) -> None:
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} has not been paid.", param="charge")
    if charge["disputed"]:
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(message, param="amount")


def _add_refunded(call: Call, charge: Row, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    call.save(charge)


def settle_refund(call: Call, row: Row, ok: bool) -> Row:
    """The late end of a refund: it arrives, or the bank sends it back."""
    if ok:
        row["status"] = "succeeded"
    else:
        back = call.balance_transaction("refund_failure", row["amount"], row["currency"], row["id"])
        row.update(
            status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=back
        )
        _add_refunded(call, call.find("charge", row["charge"]), -row["amount"])
    call.save(row)
    call.emit("refund.updated" if ok else "refund.failed", row)
    call.emit("charge.refund.updated", row)
    return row


def retrieve_refund(call: Call, id: str) -> Row:
    return call.find("refund", id)


def list_refunds(call: Call) -> Row:
    return call.listed("refund", "charge", "payment_intent")


# -- disputes ----------------------------------------
def open_dispute(call: Call, charge: Row, reason: str) -> Row:
    row = shapes.dispute("du_1" + call.new_id("x")[2:25], call.now, charge, reason)
    _move(call, row, -charge["amount"])
    call.save(row)
    charge.update(disputed=True, dispute=row["id"])
    call.save(charge)
    call.emit("charge.dispute.created", row)
    call.emit("charge.dispute.funds_withdrawn", row)
    return row


def retrieve_dispute(call: Call, id: str) -> Row:
    return call.find("dispute", id)


def list_disputes(call: Call) -> Row:
    return call.listed("dispute", "charge", "payment_intent")


def update_dispute(call: Call, id: str) -> Row:
    """Evidence: Stripe's test texts `winning_evidence` and `losing_evidence` decide at once."""
    row = call.find("dispute", id)
    if row["status"] not in ("needs_response", "under_review"):
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    evidence = mapping(call.params, "evidence")
    row["evidence"].update(evidence)
    row["evidence_details"]["has_evidence"] = bool(evidence)
    row["metadata"] = merged_metadata(row["metadata"], call.params)
    if flag({"submit": call.params.get("submit", "true")}, "submit") and evidence:
        row.update(status="under_review")
        row["evidence_details"]["submission_count"] += 1
    call.save(row)
    call.emit("charge.dispute.updated", row)
    decisions = {"winning_evidence": True, "losing_evidence": False}
    won = decisions.get(str(evidence.get("uncategorized_text")))
    return row if won is None else close(call, row, won)


def close_dispute(call: Call, id: str) -> Row:
    return close(call, call.find("dispute", id), won=False)


def close(call: Call, row: Row, won: bool) -> Row:
    row["status"] = "won" if won else "lost"
    if won:
        _move(call, row, row["amount"])
    call.save(row)
    call.emit("charge.dispute.closed", row)
    if won:
        call.emit("charge.dispute.funds_reinstated", row)
    return row


def _move(call: Call, dispute: Row, amount: int) -> None:
    id = call.balance_transaction("adjustment", amount, dispute["currency"], dispute["id"])
    movement = call.find("balance_transaction", id)
    if amount < 0:
        movement.update(fee=DISPUTE_FEE, net=amount - DISPUTE_FEE)
    dispute["balance_transactions"].append(call.save(movement))


# -- the account's balance ----------------------------------------
def balance(call: Call) -> Row:
    totals: Counter[str] = Counter()
    for row in call.fake.store.rows("balance_transaction"):
        totals[row["currency"]] += row["net"]
    return shapes.balance(dict(totals))


def retrieve_movement(call: Call, id: str) -> Row:
    return call.find("balance_transaction", id)


def list_movements(call: Call) -> Row:
    return call.listed("balance_transaction", source="source", type="type")

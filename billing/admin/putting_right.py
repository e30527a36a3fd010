"""An invoice put right by finance: credited, with the money to the balance or back to the card; voided; given up."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest

from billing import carrying_out, correcting
from billing.admin.amounts import typed_amount
from billing.admin.base import filled_in, now_of, staff
from billing.maths.money import to_major
from billing.models import Invoice, SignOff
from billing.refusals import Refused
from billing.templatetags.tandem import money

WAITS = "waits for a second person: it is above the limit, and who may sign it was told by mail."
TO = {
    "balance": "To the credit balance, for invoices to come",
    "refund": "Back to the card that paid",
}


class CreditedMeanwhile(Refused):
    """Somebody, or a second press, has credited the invoice since the page was opened."""

    code = "invoice_credited_meanwhile"


class CreditForm(forms.Form):
    """`left`: what could be credited when the page was opened, in minor units."""

    left = forms.IntegerField(widget=forms.HiddenInput)
    amount = forms.CharField(label="Amount, tax included", max_length=30)
    to = forms.ChoiceField(label="Where it goes", choices=[*TO.items()], widget=forms.RadioSelect)
    reason = forms.CharField(label="Why", max_length=300, help_text="Printed on the credit note.")

    def __init__(self, *args: Any, invoice: Invoice, left: int, by_card: bool, **options: Any) -> None:
        initial = {"left": left, "amount": to_major(left, invoice.currency), "to": "balance"}
        super().__init__(*args, **{"label_suffix": "", "initial": initial, **options})
        self.invoice = invoice
        if invoice.amount_due > 0 or not by_card:
            self.fields["to"].widget = forms.HiddenInput()

    def clean_amount(self) -> int:
        return typed_amount(self.cleaned_data["amount"], self.invoice.currency)


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=300, help_text="Kept with your name.")


def credit(request: HttpRequest, invoice: Invoice) -> str:
    given = filled_in(CreditForm(request.POST, invoice=invoice, left=0, by_card=True)).cleaned_data
    terms: dict[str, Any] = {
        "invoice": invoice, "amount": given["amount"], "reason": given["reason"], "now": now_of(invoice),
        "actor": staff(request),
    }  # fmt: skip
    said = money(given["amount"], invoice.currency)
    if given["to"] == "refund":
        _refuse_stale(invoice, given["left"])
        made = carrying_out.credit_and_refund(**terms, once=f"desk-{invoice.pk}-{given['left']}")
        if isinstance(made, SignOff):
            return f"{said} {WAITS}"
        failed = sum(row.amount for row in made.refunds.all() if row.status == "failed")
        if failed:
            rest = money(failed, invoice.currency)
            return (
                f"{made.number} is written; {rest} was not taken back by the card and stands on the balance."
            )
        return f"{made.number} is written; {said} is on its way back to the card."
    with transaction.atomic():
        _refuse_stale(correcting.locked(invoice), given["left"])
        note = correcting.credit(**terms)
    return f"{note.number} is written: {said}."


def void(request: HttpRequest, invoice: Invoice) -> str:
    given = filled_in(ReasonForm(request.POST)).cleaned_data
    correcting.void(invoice=invoice, now=now_of(invoice), actor=staff(request), reason=given["reason"])
    return f"{invoice.number} is void."


def write_off(request: HttpRequest, invoice: Invoice) -> str:
    due = money(invoice.amount_due, invoice.currency)
    given = filled_in(ReasonForm(request.POST)).cleaned_data
    made = carrying_out.write_off(
        invoice=invoice, now=now_of(invoice), actor=staff(request), reason=given["reason"]
    )
    return f"{due} {WAITS}" if isinstance(made, SignOff) else f"{due} of {invoice.number} is given up."


def forms_of(request: HttpRequest, invoice: Invoice, *, left: int, by_card: bool) -> dict[str, forms.Form]:
    """A form for each way that this invoice can be put right, by the name of its act; with what was just typed."""
    asked = request.POST.get("action", "")
    made: dict[str, forms.Form] = {}
    if invoice.issued and invoice.status != Invoice.Status.VOID and left > 0:
        sent = request.POST if asked == "credit" else None
        made["credit"] = CreditForm(sent, invoice=invoice, left=left, by_card=by_card)
    if invoice.status == Invoice.Status.OPEN:
        for name in ("void", "write_off"):
            made[name] = ReasonForm(
                request.POST if asked == name else None, auto_id=f"id_{name}_%s", label_suffix=""
            )
    return made


def _refuse_stale(invoice: Invoice, left: int) -> None:
    if correcting.room(invoice) != left:
        raise CreditedMeanwhile(
            f"{invoice.number} was credited after you opened it. Nothing was done; look at what is left."
        )

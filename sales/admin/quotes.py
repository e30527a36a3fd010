"""The quote page: build it, see what it comes to, have it agreed to, send it, follow it."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString

from billing.admin.base import Screen, amount, badge, filled_in, now_of, staff, tone
from billing.admin.lists import StaffFilter
from billing.models import Event
from billing.refusals import Refused
from sales import accepting, approving, comparing, offering, promises, proposing, quoting
from sales.admin import quote_reading
from sales.admin.quote_form import INTERVALS, QuoteForm
from sales.admin.quote_reading import Read
from sales.models import Quote, QuoteLine

# Acts of the builder: their buttons send the whole form, so what was typed is saved first.
SAVING = ("edit", "submit", "send", "option")
DECIDING = ("approve", "reject")


def _save(request: HttpRequest, quote: Quote) -> bool:
    """Store what was typed; False if nothing differs. A quote that is out has no form."""
    if not quote.editable or "plan" not in request.POST:
        return False
    form = filled_in(QuoteForm(request.POST, quote=quote, read=quote_reading.read([quote])))
    terms, seen = form.terms(), request.POST.get("seen", "")
    try:
        comparing.refuse_stale(quote.options(), seen)
        if terms:
            quoting.edit(quote=quote, now=now_of(quote), actor=staff(request), seen=seen, **terms)
    except comparing.ChangedMeanwhile as refusal:
        raise comparing.ChangedMeanwhile(f"{refusal.message} {_other(form)}".strip()) from None
    return bool(terms)


def _other(form: QuoteForm) -> str:
    """What is stored where the form says something else, so that whoever presses again knows what they replace."""
    stored = "; ".join(f"{label}: {value}" for label, value in form.stored())
    return f"What you typed is below; stored is {stored}. Press again to replace it." if stored else ""


def _edit(request: HttpRequest, quote: Quote) -> str:
    return "The figures are up to date." if _save(request, quote) else "Nothing was changed."


def _submit(request: HttpRequest, quote: Quote) -> str:
    _save(request, quote)
    quoting.submit(quote=quote, now=now_of(quote), actor=staff(request), by=request.user)  # type: ignore[arg-type]
    quote.refresh_from_db()
    if quote.state == Quote.State.APPROVED:
        return "No rule asks for an approval: the quote can go out."
    return "Handed in; whoever may decide has been told by mail."


def _send(request: HttpRequest, quote: Quote) -> str:
    _save(request, quote)
    quoting.send(
        quote=quote, now=now_of(quote), actor=staff(request), message=request.POST.get("message", "")[:4000]
    )
    return f"Sent to {quote.contact_email}."


def _decision(request: HttpRequest) -> dict[str, str]:
    """The words of a decision, and which terms it is about."""
    return {name: request.POST.get(name, "") for name in ("note", "seen")}


def _approve(request: HttpRequest, quote: Quote) -> str:
    quoting.approve(quote=quote, by=request.user, now=now_of(quote), **_decision(request))  # type: ignore[arg-type]
    quote.refresh_from_db()
    return (
        "Approved." if quote.state == Quote.State.APPROVED else "Noted; somebody else has to agree as well."
    )


def _reject(request: HttpRequest, quote: Quote) -> str:
    quoting.reject(quote=quote, by=request.user, now=now_of(quote), **_decision(request))  # type: ignore[arg-type]
    return "Sent back to its author as a draft."


def _revise(request: HttpRequest, quote: Quote) -> str:
    new = quoting.revise(quote=quote, now=now_of(quote), actor=staff(request), by=request.user)  # type: ignore[arg-type]
    return reverse("admin:sales_quote_change", args=[new.pk])


def _copy(request: HttpRequest, quote: Quote) -> str:
    new = quoting.copy(quote=quote, now=now_of(quote), actor=staff(request), by=request.user)  # type: ignore[arg-type]
    return reverse("admin:sales_quote_change", args=[new.pk])


def _option(request: HttpRequest, quote: Quote) -> str:
    """Another option, beside what was typed in this one."""
    _save(request, quote)
    name = request.POST.get("new_option", "")
    new = offering.add_option(
        quote=quote, now=now_of(quote), actor=staff(request), by=request.user, name=name  # type: ignore[arg-type]
    )  # fmt: skip
    return reverse("admin:sales_quote_change", args=[new.pk])


def _drop(request: HttpRequest, quote: Quote) -> str:
    left = offering.remove_option(quote=quote, now=now_of(quote), actor=staff(request))
    return reverse("admin:sales_quote_change", args=[left.pk])


def _withdraw(request: HttpRequest, quote: Quote) -> str:
    quoting.withdraw(
        quote=quote, now=now_of(quote), actor=staff(request), reason=request.POST.get("reason", "")
    )
    return "Withdrawn; its link says so."


def _comment(request: HttpRequest, quote: Quote) -> str:
    name = request.user.get_full_name() or request.user.get_username()  # type: ignore[union-attr]
    text = request.POST.get("text", "")
    accepting.comment(quote=quote, author=name, text=text, by_buyer=False, now=now_of(quote))
    return "Your answer stands on the quote's page."


class StandingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return Quote.State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Quote]) -> QuerySet[Quote]:
        state = self.value()
        return queryset.filter(Quote.standing_as(state, timezone.now())) if state else queryset


@admin.register(Quote)
class QuoteAdmin(Screen):
    teaches = (
        "file-text",
        "No quote yet",
        "Open a customer, a lead or a task and make one: it begins with what they have and use.",
    )
    list_display = (
        "__str__", "buyer", "plan", amount("arr", "ARR"), amount("tcv", "TCV"), "standing", "owner", "open_until"
    )  # fmt: skip
    list_filter = (StandingFilter, ("owner", StaffFilter), "plan")
    search_fields = ("number", "title", "customer__name", "lead__company", "contact_email")
    list_select_related = ("customer", "lead", "plan", "owner")
    date_hierarchy = "created_at"
    template = "admin/tandem/quote.html"
    acts = {
        "edit": ("sales.change_quote", _edit),
        "submit": ("sales.change_quote", _submit),
        "send": ("sales.send_quote", _send),
        "revise": ("sales.send_quote", _revise),
        "withdraw": ("sales.send_quote", _withdraw),
        "copy": ("sales.add_quote", _copy),
        "option": ("sales.change_quote", _option),
        "drop": ("sales.change_quote", _drop),
        "approve": ("sales.approve_quote", _approve),
        "reject": ("sales.approve_quote", _reject),
        "comment": ("sales.add_quotecomment", _comment),
    }

    @admin.display(description="for", ordering="customer__name")
    def buyer(self, quote: Quote) -> str:
        return quote.buyer_name

    @admin.display(description="state", ordering="state")
    def standing(self, quote: Quote) -> SafeString:
        return badge(quote.standing.label, tone(quote.standing))

    @admin.display(description="open until", ordering="expires_at")
    def open_until(self, quote: Quote) -> datetime | None:
        return quote.last_moment

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related(
            "customer__test_clock", "lead", "plan", "owner", "deal", "task", "subscription"
        )

    def may(self, request: HttpRequest, row: Quote, name: str) -> bool:
        """Who stands in for a colleague decides in their place, with no such permission of their own."""
        return super().may(request, row, name) or (name in DECIDING and bool(self.roles(request, row)))

    def roles(self, request: HttpRequest, row: Quote) -> set[str]:
        """What the reader may decide about it as. Each of its buttons asks."""
        known: dict[str, set[str]] = request.__dict__.setdefault("roles", {})
        if row.pk not in known:
            waits = row.state == Quote.State.IN_APPROVAL
            known[row.pk] = set(approving.roles_of(request.user, now_of(row)) if waits else ())  # type: ignore[arg-type]
        return known[row.pk]

    def get_urls(self) -> list[Any]:
        own = path("<path:object_id>/pdf/", self.admin_site.admin_view(self.pdf), name="sales_quote_pdf")
        return [own, *super().get_urls()]

    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The paper that went out, signed once it is; before that, what would go out today."""
        quote = self.find(request, object_id)
        self.refuse_looking(request, quote)
        document = quote.signed_document or quote.document
        try:
            content = document.read() if document else quoting.preview(quote=quote, now=now_of(quote))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return redirect("admin:sales_quote_change", quote.pk)
        response = HttpResponse(content, content_type="application/pdf")
        response["Content-Disposition"] = (
            content_disposition_header(False, f"{str(quote).replace(' ', '-')}.pdf") or "inline"
        )
        return response

    def context(self, request: HttpRequest, row: Quote) -> dict[str, Any]:
        sent = request.POST if request.POST.get("action") in SAVING and "plan" in request.POST else None
        beside = _beside(row)
        read = quote_reading.read(beside, HAPPENED)
        before = read.before.get(row.revision_of_id or "")
        quote_reading.remember([*beside, *read.before.values()], read.known)
        figures, problem = _figures(row, read)
        mine = self.roles(request, row)
        own = approving.is_own(beside, request.user)  # type: ignore[arg-type]
        changeable = row.editable and request.user.has_perm("sales.change_quote")
        return {
            "title": f"Quote {row}",
            "quote": row,
            "form": QuoteForm(sent, quote=row, read=read) if changeable else None,
            "seen": comparing.fingerprint(beside),
            "note": request.POST.get("note", "") if request.POST.get("action") in DECIDING else "",
            "figures": figures,
            "problem": problem,
            "lines": list(figures.lines) if figures and row.editable else _stored_lines(row),
            "schedule": _schedule(row, figures),
            "rules": _rules(row, figures, beside, read),
            "approvals": read.approvals,
            "asked": any(each.state == Quote.State.IN_APPROVAL for each in beside),
            "decides": not own and any(a.needed_role in mine for a in approving.due_of(read.approvals)),
            "own": own,
            "growth": row.arr - row.history["arr_now"] if "arr_now" in row.history else None,
            "usage": [_chart(meter) for meter in row.history.get("usage", [])],
            "comments": read.comments,
            "promises": _promises(row),
            "changes": comparing.differences(before, row) if before else [],
            "before": before,
            "beside": beside if len(beside) > 1 else [],
            "compared": comparing.side_by_side(beside) if len(beside) > 1 else [],
            "room": row.editable and len(beside) < len(Quote.OPTIONS),
            "others": read.others,
            "newer": next((each for each in read.newer if each.revision_of_id == row.pk), None),
            "withdrawable": "withdrawn" in Quote.MOVES[row.standing],
            "revisable": not row.editable and row.state not in ("accepted", "converted"),
            "discount": row.discount_percent,
            "billed": dict(INTERVALS).get(row.interval, row.interval),
            "ramp": row.ramp.all(),
            "happened": _happened(read.events),
        }


def _beside(quote: Quote) -> list[Quote]:
    """The options of its version by letter, itself among them."""
    if not quote.option:
        return [quote]
    others = [each for each in quote.options() if each.pk != quote.pk]
    return sorted([quote, *others], key=lambda each: each.option)


def _figures(quote: Quote, read: Read) -> tuple[proposing.Figures | None, str]:
    """What the terms come to today, or why that cannot be said. Once sent, the paper's figures count."""
    if not quote.editable:
        return None, ""
    try:
        return proposing.price(quote, now=now_of(quote), known=read.known.of(quote)), ""
    except Refused as refusal:
        return None, refusal.message


def _rules(quote: Quote, figures: proposing.Figures | None, beside: Sequence[Quote], read: Read) -> list[str]:
    """The approvals that a draft and its options would need as they stand."""
    found: list[str] = []
    for each in beside:
        known = figures if each.pk == quote.pk else _figures(each, read)[0]
        if known is not None and each.state == Quote.State.DRAFT:
            start = f"Option {each.option}, " if each.option else ""
            found += [f"{start}{words}" for _, words in approving.needed(each, known, read.rules, read.bands)]
    return found


def _stored_lines(quote: Quote) -> list[dict[str, Any]]:
    return [_stored(line, quote.discount_percent) for line in quote.lines.all()]


def _stored(line: QuoteLine, percent: Decimal | None) -> dict[str, Any]:
    return {
        "description": line.description, "kind": line.kind, "quantity": line.quantity, "list_unit": line.unit_amount,
        "percent": percent if line.kind == "recurring" else None, "price": line.price,
    }  # fmt: skip


def _promises(quote: Quote) -> list[dict[str, Any]]:
    """The signed schedule against the invoices."""
    rows = promises.of(quote, now=now_of(quote))
    return [
        {"row": each, "label": promises.STATES[each.state][0], "tone": promises.STATES[each.state][1]}
        for each in rows
    ]


def _schedule(quote: Quote, figures: proposing.Figures | None) -> list[dict[str, Any]]:
    rows = [each.stored() for each in figures.schedule] if figures else quote.schedule
    return [{**row, "date": date.fromisoformat(row["date"])} for row in rows]


def _chart(meter: dict[str, Any]) -> dict[str, Any]:
    months = [
        (f"{date.fromisoformat(m['month'] + '-01'):%b %y}", [Decimal(m["quantity"])]) for m in meter["months"]
    ]
    return {"name": meter["name"], "series": [meter["name"]], "rows": months}


HAPPENED = {
    "quote.created": ("Drafted", "file-plus", ""),
    "quote.submitted": ("Handed in", "hand-helping", ""),
    "quote.approved": ("Approved", "badge-check", "good"),
    "quote.rejected": ("Sent back", "undo-2", "bad"),
    "quote.sent": ("Sent", "send", "accent"),
    "quote.viewed": ("Read by the buyer", "eye", "accent"),
    "quote.accepted": ("Accepted", "signature", "good"),
    "quote.declined": ("Declined", "circle-x", "bad"),
    "quote.expired": ("Expired", "clock", ""),
    "quote.withdrawn": ("Withdrawn", "undo-2", ""),
    "quote.converted": ("Became the subscription's terms", "repeat", "good"),
    "quote.schedule_differs": ("Invoices differ from what was signed", "triangle-alert", "bad"),
}


def _happened(events: Sequence[Event]) -> list[dict[str, Any]]:
    made = []
    for event in events:
        title, icon, tone = HAPPENED[event.type]
        text = event.data.get("note") or event.data.get("why") or event.data.get("reason") or ""
        made.append({"title": title, "at": event.at, "text": text, "icon": icon, "tone": tone})
    return made

"""A customer on one page: plan, revenue, usage, people, cards, papers, signals, quotes, and one timeline of it all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, QuerySet
from django.http import Http404, HttpRequest
from django.urls import reverse

from billing import (
    carrying_out,
    customers,
    exchanging,
    invoicing,
    joining,
    metering,
    owing,
    sending_again,
    timelines,
)
from billing.admin import telling
from billing.admin.amounts import typed_amount
from billing.admin.base import Screen, amount, filled_in, staff
from billing.admin.catalogue import NET_TERMS
from billing.admin.lists import StaffFilter
from billing.maths.money import to_major
from billing.maths.timeline import Usage
from billing.models import Customer, Event, Mail, Member, Meter, Segment, SignOff, Subscription
from billing.models.customers import CollectionMethod, Motion
from billing.templatetags.tandem import money
from sales import consolidating, drafting, excepting, handing_over, leads
from sales.admin import reading
from sales.models import EngagementScore

# What billing tells, and what sales does.
WORDS = {
    **telling.WORDS,
    "signal.created": ("Signal", "zap", "accent"),
    "signal.dismissed": ("Signal dismissed", "zap", ""),
    "handoff.raised": ("Task for sales", "inbox", "accent"),
    "handoff.accepted": ("Task accepted", "inbox", ""),
    "handoff.snoozed": ("Task snoozed", "clock", ""),
    "handoff.won": ("Task won", "circle-check", "good"),
    "handoff.lost": ("Task lost", "circle-alert", ""),
    "handoff.returned": ("Returned to self-serve", "undo-2", ""),
    "quote.created": ("Quote drafted", "file-text", ""),
    "quote.updated": ("Draft quote changed", "pencil", ""),
    "quote.deleted": ("Draft quote thrown away", "ban", ""),
    "quote.submitted": ("Quote handed in", "hand-helping", ""),
    "quote.approved": ("Quote approved", "badge-check", "good"),
    "quote.rejected": ("Quote sent back", "undo-2", ""),
    "quote.sent": ("Quote sent", "file-text", "accent"),
    "quote.viewed": ("Quote read", "file-text", ""),
    "quote.accepted": ("Quote accepted", "file-text", "good"),
    "quote.declined": ("Quote declined", "file-text", "bad"),
    "quote.expired": ("Quote expired", "clock", ""),
    "quote.withdrawn": ("Quote withdrawn", "undo-2", ""),
    "quote.converted": ("Quote converted", "file-text", "good"),
    "quote.schedule_differs": ("Invoices differ from the signed quote", "triangle-alert", "bad"),
    "deal.created": ("Deal opened", "kanban", "accent"),
    "deal.stage_changed": ("Deal moved", "kanban", ""),
    "demo.requested": ("Asked for a demo", "zap", "accent"),
    "lead.created": ("Asked for sales", "user-plus", "accent"),
}
# What the timeline can be narrowed to: (as the address has it, label, beginnings of event types).
KINDS = (
    ("", "All", ("",)),
    ("invoice", "Invoices", ("invoice.", "payment.", "credit_note.", "sign_off.")),
    ("subscription", "Changes", ("subscription.", "checkout.")),
    ("usage", "Usage", ("usage.",)),
    ("signal", "Signals", ("signal.", "handoff.", "demo.", "lead.")),
    ("quote", "Quotes", ("quote.", "deal.")),
    ("member", "People", ("member.", "customer.owner")),
    ("mail", "Mails", ()),
)
SHOWN = 40
SHOWN_DAYS = 30


@dataclass(frozen=True, slots=True)
class Moment:
    """One item of the timeline, as components/timeline.html takes it."""

    title: str
    at: datetime
    text: str
    who: str
    icon: str
    tone: str
    href: str = ""
    again: bool = False


def events_of(customer: Customer, kind: str = "") -> QuerySet[Event]:
    """The newest facts that have words, of the account and its parts; `kind` narrows to one of the tabs."""
    begins = next((prefixes for name, _, prefixes in KINDS if name == kind), ())
    types = [type_ for type_ in WORDS if type_.startswith(begins)]
    return Event.objects.filter(reading.of_account(customer), type__in=types).order_by("-at", "-number")[
        :SHOWN
    ]


def mails_of(customer: Customer, kind: str = "") -> QuerySet[Mail]:
    """The newest mails to the customer's people and about them, where `kind` asks for mails or for everything."""
    if kind not in ("", "mail"):
        return Mail.objects.none()
    rows = Mail.objects.filter(reading.of_account(customer)).defer("text", "html")
    return rows.order_by("-created_at", "-pk")[:SHOWN]


def moments(shown: reading.Shown, *, sends: bool = False) -> list[Moment]:
    """The facts in words, with who did them, and the mails; the newest first. `sends`: for a reader who may send a mail
    again."""
    names = {event.actor: _name(event.actor, shown) for event in shown.events}
    told = [
        *(_moment(event, names) for event in shown.events),
        *(_letter(mail, sends) for mail in shown.mails),
    ]
    return sorted(told, key=attrgetter("at"), reverse=True)[:SHOWN]


def _letter(mail: Mail, sends: bool) -> Moment:
    title, tone = ("Mail", "") if mail.sent_at else ("Mail, waiting to be sent", "warn")
    where = reverse("admin:billing_mail_change", args=[mail.pk])
    return Moment(
        title,
        mail.created_at,
        f"{mail.subject} · {mail.recipient}",
        "",
        "mail",
        tone,
        where,
        sends and sending_again.may_go(mail),
    )


PROGRAMS = {"system": "", "buyer": "the buyer", "provider": "Stripe"}


def _name(actor: str, shown: reading.Shown) -> str:
    """Whom an actor is for a reader; colleagues and members by name."""
    if actor in PROGRAMS:
        return PROGRAMS[actor]
    kind, _, key = actor.partition(":")
    if kind == "user" and key.isdigit():
        user = shown.users.get(int(key))
    else:
        member = shown.members.get(key)
        user = member.user if member else None
    return (user.name or user.email) if user else "API" if kind == "key" else kind


def _moment(event: Event, names: dict[str, str]) -> Moment:
    words, icon, tone = WORDS[event.type]
    return Moment(words, event.at, telling.detail(event), names[event.actor], icon, tone)


def _new_quote(request: HttpRequest, customer: Customer) -> str:
    rows = Subscription.objects.filter(customer=customer, status__in=Subscription.LIVE)
    row = rows.select_related("customer__test_clock").order_by("-mrr").first()
    if row is None:
        raise drafting.InvalidQuote("There is no running subscription to start from.")
    quote = drafting.draft_from_subscription(
        subscription=row,
        now=customer.now,
        actor=staff(request),
        by=request.user,  # type: ignore[arg-type]
    )
    return reverse("admin:sales_quote_change", args=[quote.pk])


class CompanyForm(forms.Form):
    """What the company is like, which rules about companies look at, and how it wants its invoices."""

    domain = forms.CharField(max_length=253, required=False)
    employees = forms.IntegerField(min_value=0, max_value=10_000_000, required=False)
    industry = forms.CharField(max_length=80, required=False)
    consolidate_invoices = forms.BooleanField(
        label="One invoice for subscriptions that are due on the same day", required=False
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        known = {name: getattr(customer, name) for name in self.base_fields}
        super().__init__(*args, initial=known, **options)  # type: ignore[misc]
        for field in self.fields.values():
            # What was shown is sent along, so that a form left open puts nothing back that a colleague changed.
            field.show_hidden_initial = True


class PinForm(forms.Form):
    """A segment that holds whatever the revenue; without one the customer goes where its ARR belongs."""

    segment = forms.ModelChoiceField(Segment.objects.all(), empty_label="By its ARR", required=False)
    reason = forms.CharField(label="Reason", max_length=300, required=False)

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        pinned = bool(customer.segment_pinned_reason)
        known = {"segment": customer.segment if pinned else None, "reason": customer.segment_pinned_reason}
        super().__init__(*args, initial=known, **options)  # type: ignore[misc]


class PayOutForm(forms.Form):
    """Credit paid out as money: back to the cards that paid, or by a bank transfer that was made."""

    amount = forms.CharField(label="Amount", max_length=30)
    reference = forms.CharField(
        label="Bank reference",
        max_length=200,
        required=False,
        help_text="of the transfer you made; without one it goes back to the cards that paid",
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        self.currency = customer.currency
        known = {"amount": to_major(customer.balance, customer.currency)}
        super().__init__(*args, initial=known, **options)  # type: ignore[misc]

    def clean_amount(self) -> int:
        return typed_amount(self.cleaned_data["amount"], self.currency)


class SwitchForm(forms.Form):
    """Card or invoice, from the next invoice on. What the segment does not allow needs a reason, and the right to it."""

    method = forms.ChoiceField(label="Pays by", choices=CollectionMethod.choices)
    net_days = forms.TypedChoiceField(
        label="Payment terms", coerce=int, empty_value=None, required=False,
        choices=[("", "As for the customer"), *NET_TERMS],
    )  # fmt: skip
    reason = forms.CharField(
        label="Reason",
        max_length=300,
        required=False,
        help_text="where the segment does not allow it; somebody else than you and the owner decides",
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, initial={"method": customer.collection_method}, **options)  # type: ignore[misc]

    def field_of(self, name: str) -> str:
        """A refusal names what the API calls it."""
        return "method" if name == "collection_method" else name


def _company(request: HttpRequest, customer: Customer) -> str:
    form = CompanyForm(request.POST, customer=customer)
    given = {name: value for name, value in filled_in(form).cleaned_data.items() if name in form.changed_data}
    customers.update(customer=customer, now=customer.now, actor=staff(request), **given)
    return "Saved; the rules about companies look at it in a moment."


def _pin(request: HttpRequest, customer: Customer) -> str:
    given = filled_in(PinForm(request.POST, customer=customer)).cleaned_data
    act: dict[str, Any] = {"customer": customer, "now": customer.now, "actor": staff(request)}
    if given["segment"] is None:
        customers.unpin_segment(**act)
        return "The segment follows the ARR again."
    customers.pin_segment(**act, segment=given["segment"], reason=given["reason"])
    return f"Held in {given['segment']}."


def _switch(request: HttpRequest, customer: Customer) -> str:
    given = filled_in(SwitchForm(request.POST, customer=customer)).cleaned_data
    wish = excepting.switch(**given, customer=customer, by=request.user, now=customer.now)  # type: ignore[arg-type]
    if wish is not None:
        return "Asked for: somebody who may allow it has been told by mail."
    return f"From the next invoice on: {CollectionMethod(given['method']).label.lower()}."


def _pay_out(request: HttpRequest, customer: Customer) -> str:
    given = filled_in(PayOutForm(request.POST, customer=customer)).cleaned_data
    act: dict[str, Any] = {
        "customer": customer,
        "now": customer.now,
        "actor": staff(request),
        "amount": given["amount"],
    }
    paid, by_card = money(given["amount"], customer.currency), not given["reference"]
    method = "card" if by_card else "bank_transfer"
    rows = carrying_out.pay_out(**act, method=method, reference=given["reference"])
    if isinstance(rows, SignOff):
        return (
            f"{paid} waits for a second person: it is above the limit, and who may sign it was told by mail."
        )
    if not by_card:
        return f"{paid} booked as paid out."
    failed = sum(row.amount for row in rows if row.status == "failed")
    if failed:
        return f"{money(failed, customer.currency)} of {paid} was not taken back and stands on the balance again."
    return f"{paid} is on its way back to the card."


def _allow(request: HttpRequest, customer: Customer) -> str:
    excepting.allow(customer=customer, by=request.user, now=customer.now)  # type: ignore[arg-type]
    return "Allowed, from the next invoice on."


def _refuse(request: HttpRequest, customer: Customer) -> str:
    excepting.refuse(customer=customer, by=request.user, now=customer.now)  # type: ignore[arg-type]
    return "Refused; the customer pays as before."


def _demo(request: HttpRequest, customer: Customer) -> str:
    leads.ask(customer=customer, about="demo", now=customer.now, actor=staff(request))
    return "Demo noted; it stands in the task."


def _account(pk: str) -> Customer:
    try:
        return Customer.objects.get(pk=pk)
    except (Customer.DoesNotExist, ValidationError):
        raise joining.NotOneAccount("That account is no longer there.") from None


def _consolidate(request: HttpRequest, customer: Customer) -> str:
    other = _account(request.POST.get("account", ""))
    consolidating.consolidate(customer=other, into=customer, now=customer.now, actor=staff(request))
    return f"{other.name} is now a part of {customer.name}."


def _invite(request: HttpRequest, customer: Customer) -> str:
    """The way in, once more: no code of theirs passes through staff."""
    team = Member.objects.filter(customer=customer.account).select_related("user", "customer")
    member = next((each for each in team if each.pk == request.POST.get("member")), None)
    if member is None:
        raise Http404
    letter = sending_again.invite_again(member=member, now=customer.now, actor=staff(request))
    return f"The way into the portal goes out to {letter.recipient}."


@admin.register(Customer)
class CustomerAdmin(Screen):
    teaches = (
        "building-2",
        "No customer yet",
        "A checkout, a lead that is taken on, an import or the API makes one.",
    )
    list_display = (
        "name",
        "email",
        "segment",
        amount("mrr", "MRR"),
        amount("arr", "ARR"),
        "owner",
        "country",
    )
    list_filter = ("segment", ("owner", StaffFilter), "collection_method", "country")
    search_fields = ("name", "email", "domain", "external_id")
    list_select_related = ("segment", "owner")
    ordering = ("-arr",)
    template = "admin/tandem/customer.html"
    acts = {
        "quote": ("sales.add_quote", _new_quote),
        "invite": ("billing.send_mail", _invite),
        "demo": ("sales.work_handofftask", _demo),
        "consolidate": ("billing.consolidate_customer", _consolidate),
        "company": ("billing.change_customer", _company),
        "pin": ("billing.pin_segment", _pin),
        "switch": ("billing.change_customer", _switch),
        "pay_out": ("billing.record_payment", _pay_out),
        "allow": (excepting.PERMISSION, _allow),
        "refuse": (excepting.PERMISSION, _refuse),
    }

    guarded = frozenset({"pay_out"})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        """Each with the ids of the accounts that became parts of it."""
        parts = Customer.objects.filter(merged_into=OuterRef("pk")).order_by("pk").values("pk")
        rows = super().get_queryset(request).select_related("segment", "owner", "test_clock", "merged_into")
        return rows.annotate(parts=ArraySubquery(parts))

    def context(self, request: HttpRequest, row: Customer) -> dict[str, Any]:
        now = row.now
        kind = request.GET.get("show", "")
        shown = reading.read(row, events_of(row, kind), mails_of(row, kind), now)
        running = shown.subscriptions[0] if shown.subscriptions else None
        specs = timelines.specs_of(running) if running else []
        usage, days, upcoming = _used_and_owed(row, running, specs, shown, now)
        wish = shown.wish
        return {
            "running": running,
            "subscriptions": shown.subscriptions,
            "phase": timelines.spec_on(specs, timelines.local_day(running, now)) if running else None,
            "motion": _motion(specs, running, now),
            "waiting": [s for s in specs if s.start_on > timelines.local_day(running, now) and not s.empty]
            if running
            else [],
            "upcoming": upcoming,
            "usage": usage,
            "days": days,
            "day_series": [usage[0].meter.name] if usage else [],
            "people": shown.people,
            "cards": shown.cards,
            "invoices": shown.invoices,
            "signals": shown.signals,
            "score": handing_over.score(shown.signals, now, shown.settings),
            "trouble": shown.trouble,
            "without_rate": _worth(row, shown, now) is None,
            "wish": wish,
            "wish_is_own": wish is not None and excepting.is_own(row, request.user, wish),  # type: ignore[arg-type]
            "joined": None if shown.alone and not reading.parts(row) else consolidating.joined(row),
            **_engagement(shown.engagement),
            **_forms(request, row),
            "segment_changes": shown.segment_changes,
            "task": shown.task,
            "quotes": shown.quotes,
            "timeline": moments(shown, sends=self.may(request, row, "invite")),
            "kinds": [(name, label) for name, label, _ in KINDS],
            "kind": kind,
        }


type Days = list[tuple[str, list[Decimal]]]


def _used_and_owed(
    row: Customer,
    running: Subscription | None,
    specs: list[timelines.PhaseSpec],
    shown: reading.Shown,
    now: datetime,
) -> tuple[list[metering.MeterUsage], Days, invoicing.Upcoming | None]:
    """What is used now, thirty days of the first meter, and the next paper. One statement where something runs, and one
    more where the meter counts different values, whose days do not say them."""
    if running is None:
        usage = metering.current(row, now, shown.meters)
        return usage, _days(row, usage, now), None
    first = now.date() - timedelta(days=SHOWN_DAYS - 1)
    facts, [rows] = owing.gather_beside(
        running, metering.wanted({row: now}), seller=shown.seller, rates=shown.rates, used_since=first
    )
    usage = metering.told_of(rows, shown.meters)
    upcoming = invoicing.upcoming(subscription=running, now=now, specs=specs, facts=facts)
    return usage, _days(row, usage, now, facts.usage(row)), upcoming


def _worth(row: Customer, shown: reading.Shown, now: datetime) -> int | None:
    return exchanging.worth(row.arr, row.currency, now.date(), shown.seller.currency)


def _forms(request: HttpRequest, row: Customer) -> dict[str, Any]:
    """The page's forms; `form` is the one that was sent, where a refusal is shown."""
    act = request.POST.get("action")
    company = CompanyForm(request.POST if act == "company" else None, customer=row)
    pin = PinForm(request.POST if act == "pin" else None, customer=row)
    switch = SwitchForm(request.POST if act == "switch" else None, customer=row)
    pay_out = PayOutForm(request.POST if act == "pay_out" else None, customer=row)
    forms_ = {"company": company, "pin": pin, "switch": switch, "pay_out": pay_out}
    return {**forms_, "form": forms_.get(act or "")}


def _engagement(found: list[EngagementScore]) -> dict[str, Any]:
    """Today's score with its parts, and sixty days of it."""
    days = [(f"{each.day:%d %b}", [each.score]) for each in reversed(found)]
    return {
        "engagement": found[0] if found else None,
        "engagement_days": days if len(days) > 1 else [],
        "engagement_series": ["Score"],
    }


def _motion(specs: list[Any], running: Subscription | None, now: datetime) -> str:
    """How what runs today was sold."""
    spec = timelines.spec_on(specs, timelines.local_day(running, now)) if running else None
    return str(Motion(spec.motion).label) if spec else ""


def _days(
    customer: Customer, usage: list[metering.MeterUsage], now: datetime, known: Usage | None = None
) -> Days:
    """Thirty days of the first meter, for the chart. `known`: the use that was read, where its days add up."""
    if not usage:
        return []
    meter, end = usage[0].meter, now.date() + timedelta(days=1)
    days = [end - timedelta(days=n) for n in range(SHOWN_DAYS, 0, -1)]
    if known is None or meter.aggregation == Meter.Aggregation.UNIQUE:
        used = metering.daily(customer, meter, days[0], end)
    else:
        used = [(day, known(meter.pk, day, day + timedelta(days=1))) for day in days]
    return [(f"{day:%d %b}", [quantity]) for day, quantity in used]

"""Subscriptions: started, read, changed, ended."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, JSONObject
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import (
    cards,
    discounting,
    dunning,
    ending,
    invoicing,
    issuing,
    pausing,
    starting,
    subscribing,
    trialing,
)
from billing.api.discounts import discount_at
from billing.api.fields import (
    A_DAY,
    DATE,
    Day,
    Effective,
    Instant,
    ListQuery,
    Moment,
    Money,
    PeriodOut,
    Quantity,
    Strict,
    Text,
    whole,
)
from billing.api.finding import is_id, row
from billing.api.plans import plan_at
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.maths.money import to_major
from billing.maths.periods import Interval, local_date
from billing.models import (
    CollectionMethod,
    Customer,
    Invoice,
    Motion,
    PaymentMethod,
    Phase,
    PhaseItem,
    Subscription,
)
from billing.remembering import Slot

TAG = "Subscriptions"
INTERVALS = [str(interval) for interval in Interval]
DAY = re.compile(r"[1-9][0-9]?", re.ASCII)


class Terms(Strict):
    quantity = Quantity(required=False, help_text="of the plan's per-unit price (seats)")
    quantities = serializers.DictField(
        required=False,
        child=Quantity(),
        help_text="by price code, instead of quantity; 0 of what is not taken",
    )
    collection_method = serializers.ChoiceField(required=False, choices=CollectionMethod.choices)
    net_days = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=60)
    payment_rule_override = Text(
        required=False,
        max_length=300,
        help_text="why the customer may pay in a way its segment does not allow",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for one, several in (("quantity", "quantities"), ("discount", "discounts")):
            if one in attrs and several in attrs:
                words = f"Give {one} or {several}, not both."
                raise serializers.ValidationError(
                    {several: [serializers.ErrorDetail(words, code="ambiguous")]}
                )
        return attrs


SEVERAL = (
    "ids or codes, instead of `discount`: taken off in this order, each off what those before it left; at most 5. "
    "Each has its own duration and limits"
)


def discounts_named(given: dict[str, Any]) -> None:
    """`discount` or `discounts` as the one discount that they make. Raises Problem, DiscountRefused."""
    if given.get("discount"):
        given["discount"] = discount_at(given["discount"], "discount")
    if "discounts" in given:
        refs = given.pop("discounts")
        found = [discount_at(ref, f"discounts.{n}") for n, ref in enumerate(refs)]
        given["discount"] = discounting.together(found)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "enum": ["start", "calendar"]},
            {"type": "integer", "minimum": 1, "maximum": 31},
            {"type": "string", "pattern": "^([1-9]|[12][0-9]|3[01])$"},
            A_DAY,
        ]
    }
)
class Anchor(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> str | int:
        if data in ("start", "calendar"):
            return str(data)
        if isinstance(data, str) and DATE.fullmatch(data):
            return Day().run_validation(data).isoformat()
        day = int(data) if isinstance(data, str) and DAY.fullmatch(data) else whole(data)
        if day is not None and 1 <= day <= 31:
            return day
        raise serializers.ValidationError(
            "start, calendar, a day from 1 to 31, or a day such as 2026-04-01 on which a period starts.",
            code="invalid_anchor",
        )

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {"oneOf": [{"type": "string", "enum": ["now"]}, A_DAY, {"type": "string", "format": "date-time"}]}
)
class TrialEnd(Moment):
    """As `Moment`, or now."""

    def to_internal_value(self, data: Any) -> Any:
        return data if data == "now" else super().to_internal_value(data)


class ContractTerms(Strict):
    months = serializers.IntegerField(min_value=1, max_value=120)
    auto_renew = serializers.BooleanField(default=True)
    renewal_months = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=120,
        help_text="as many as the first term where nothing is said",
    )


class SubscriptionNew(Terms):
    customer = Text(max_length=200, help_text="id or external id")
    plan = Text(max_length=100, help_text="id or code")
    interval = serializers.ChoiceField(
        required=False,
        choices=INTERVALS,
        help_text="month, or the only one of the plan, where nothing is said",
    )
    start_at = Moment(required=False, help_text="now, where nothing is said; at most a year back")
    anchor = Anchor(
        required=False,
        help_text="where periods are counted from; the start where nothing is said. A day of the month (of weeks 1 is "
        "Monday), or a day on which a period starts, ahead or back: years from 1 April are 2026-04-01",
    )
    trial_days = serializers.IntegerField(
        required=False, min_value=0, max_value=730, help_text="what the plan grants where nothing is said"
    )
    trial_end = Moment(required=False, help_text="instead of trial_days")
    discount = Text(required=False, max_length=100, help_text="id or code")
    discounts = serializers.ListField(
        required=False, child=Text(max_length=100), max_length=20, help_text=SEVERAL
    )
    contract = ContractTerms(required=False)
    payment_method = Text(
        required=False, max_length=100,
        help_text="a saved card, or a Stripe id to save; the customer is charged to it from now on",
    )  # fmt: skip
    po_number = Text(required=False, allow_blank=True, max_length=60)
    metadata = serializers.DictField(required=False, child=Text(allow_blank=True, max_length=500))


class ChangeNew(Terms):
    plan = Text(required=False, max_length=100, help_text="id or code")
    interval = serializers.ChoiceField(
        required=False,
        choices=INTERVALS,
        help_text="as it is, or the only one of the new plan, where nothing is said",
    )
    discount = Text(required=False, allow_null=True, max_length=100, help_text="id or code; null for none")
    discounts = serializers.ListField(
        required=False, child=Text(max_length=100), max_length=20,
        help_text=f"{SEVERAL}. All of them: who is named again keeps its end, empty for none",
    )  # fmt: skip
    anchor = Anchor(required=False, help_text="another billing day, from the change on")
    proration = serializers.ChoiceField(
        required=False,
        choices=["prorate", "none"],
        help_text="none: the new prices begin with the next period",
    )
    effective = Effective(
        required=False,
        help_text="less waits for the period's end, everything else begins now, where nothing is said",
    )
    trial_end = TrialEnd(
        required=False,
        help_text="of a running trial, and nothing beside it: now, which bills the first period, or a day after today. "
        "The first paid day moves there, with what counts from it",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "trial_end" in attrs and len(attrs) > 1:
            words = f"A trial's end is changed alone, not with {min(attrs.keys() - {'trial_end'})}."
            raise serializers.ValidationError(
                {"trial_end": [serializers.ErrorDetail(words, code="ambiguous")]}
            )
        return super().validate(attrs)


class PauseNew(Strict):
    effective = Effective(
        required=False, help_text="its first day, today or later; now where nothing is said"
    )
    resume_at = Moment(required=False, allow_null=True, help_text="open, where nothing is said")
    reason = Text(required=False, allow_blank=True, max_length=200)


class CancelNew(Strict):
    effective = Effective(required=False, help_text="the period's end where nothing is said")
    reason = Text(required=False, allow_blank=True, max_length=100)
    comment = Text(required=False, allow_blank=True, max_length=190)
    credit_unused = serializers.BooleanField(required=False)


# -- What is answered
# -----------------------------------------------------------------------------------------


class PhaseOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    start = Day()
    end = Day(allow_null=True)
    plan = serializers.CharField(help_text="a plan's code")
    quantities = serializers.DictField(child=serializers.CharField(), help_text="by price code")
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    net_days = serializers.IntegerField(allow_null=True)
    discount = serializers.CharField(allow_null=True, help_text="the first of `discounts`")
    discounts = serializers.ListField(
        child=serializers.CharField(), help_text="in the order in which they are taken off"
    )
    trial = serializers.BooleanField(help_text="costs nothing")
    paused = serializers.BooleanField(help_text="costs nothing")


class ContractOut(serializers.Serializer[Any]):
    start = Day()
    end = Day()
    auto_renew = serializers.BooleanField()
    renewal_months = serializers.IntegerField(allow_null=True)


class SubscriptionOut(serializers.Serializer[Any]):
    """Of a row of `subscriptions()`."""

    id = serializers.CharField(source="pk")
    customer = serializers.CharField(source="customer_id")
    status = serializers.ChoiceField(choices=Subscription.Status.choices)
    motion = serializers.ChoiceField(choices=Motion.choices)
    origin = serializers.CharField()
    currency = serializers.CharField()
    started_at = Instant()
    trial_end = Instant(source="trial_end_at", allow_null=True)
    current_period = serializers.SerializerMethodField()
    phases = serializers.SerializerMethodField()
    pending_changes = serializers.SerializerMethodField(
        help_text="the phases of changes that wait; each can be removed by its id"
    )
    contract = serializers.SerializerMethodField()
    cancel_at = Day(source="end_on", allow_null=True, help_text="the first day without service")
    canceled_at = Instant(allow_null=True)
    ended_at = Instant(allow_null=True)
    mrr = Money()
    arr = Money()
    latest_invoice = serializers.SerializerMethodField()
    metadata = serializers.DictField(child=serializers.CharField())
    created_at = Instant()

    @extend_schema_field(ContractOut(allow_null=True))
    def get_contract(self, row: Subscription) -> Any:
        if row.contract_start_on is None or row.contract_end_on is None:
            return None
        term = {"start": row.contract_start_on.isoformat(), "end": row.contract_end_on.isoformat()}
        return {**term, "auto_renew": row.auto_renew, "renewal_months": row.renewal_months}

    @extend_schema_field(PeriodOut(allow_null=True))
    def get_current_period(self, row: Subscription) -> Any:
        """A trial is a period of its own, and none begins before the subscription or its cycle does."""
        start, end = row.current_period_start, row.current_period_end
        if start is None or end is None:
            return None
        if row.status == Subscription.Status.TRIALING and row.trial_end_at is not None:
            return span(row.start_on, local_date(row.trial_end_at, row.timezone))
        return span(max(start, _cycle_began(row, local_date(_now(row), row.timezone))), end)

    @extend_schema_field(PhaseOut(many=True))
    def get_phases(self, row: Any) -> Any:
        return [_phase(phase) for phase in row.phase_rows]

    @extend_schema_field(PhaseOut(many=True))
    def get_pending_changes(self, row: Any) -> Any:
        now = _now(row)
        today = local_date(now, row.timezone).isoformat()
        return [
            _phase(phase)
            for phase in row.phase_rows
            if _lies_ahead(phase, today, now) and phase["wishes"] and phase["wishes"].keys() != {"ends"}
        ]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_latest_invoice(self, row: Any) -> str | None:
        return row.last_invoice and f"inv_{row.last_invoice.replace('-', '')}"


class NeedsCardOut(serializers.Serializer[Any]):
    """What only the customer can do; null while nothing waits for it."""

    reason = serializers.ChoiceField(choices=["no_card", "card_declined", "authentication_required"])
    message = serializers.CharField(help_text="may be shown to the customer")
    invoice = serializers.CharField(
        allow_null=True, help_text="that waits; null: a trial that ends without a card"
    )
    action_url = serializers.CharField(help_text="where the bank asks; empty where there is no such page")
    pay_url = serializers.CharField(help_text="in the portal, where all of it can be done")


class SubscriptionFullOut(SubscriptionOut):
    needs_card = serializers.SerializerMethodField()

    @extend_schema_field(NeedsCardOut(allow_null=True))
    def get_needs_card(self, row: Subscription) -> Any:
        found = dunning.subscription_needs_card(row)
        return found and NeedsCardOut(found).data


def _now(row: Any) -> datetime:
    return row.clock_now or timezone.now()  # type: ignore[no-any-return]


def _cycle_began(row: Any, today: date) -> date:
    """The first day on which the periods of today are counted as they are: that of a moved billing day, of another
    interval, or after a trial. Terms that do not prorate leave the period that is paid for as it is."""
    lasting = [phase for phase in row.phase_rows if phase["start"] != phase["end"]]
    begun = [phase for phase in lasting if phase["start"] <= today.isoformat()]
    first = row.start_on.isoformat()
    for phase, before in zip(reversed(begun), reversed(begun[:-1]), strict=False):
        if _rhythm(phase) != _rhythm(before):
            first = phase["start"] if phase["prorate"] else first
            break
    return date.fromisoformat(first)


def _rhythm(phase: dict[str, Any]) -> tuple[Any, ...]:
    """What the periods of a phase are counted by; a trial is one of its own."""
    intervals = {item["interval"] for item in phase["items"] if item["interval"]}
    return phase["anchor"], sorted(intervals), phase["free"] and not phase["paused"]


def _lies_ahead(phase: dict[str, Any], today: str, now: datetime) -> bool:
    """By its day; on its day by its hour, as after a trial."""
    at = phase["starts_at"]
    return phase["start"] > today or (phase["start"] == today and at and datetime.fromisoformat(at) > now)


def _phase(phase: dict[str, Any]) -> dict[str, Any]:
    discounts = _discounts(phase)
    return {
        **{name: phase[name] for name in ("start", "end", "plan", "collection_method", "net_days", "paused")},
        "trial": phase["free"] and not phase["paused"],
        "id": f"phase_{phase['id'].replace('-', '')}",
        "discount": discounts[0] if discounts else None,
        "discounts": discounts,
        "quantities": {item["code"]: _plain(item["quantity"]) for item in phase["items"]},
    }


def _discounts(phase: dict[str, Any]) -> list[str]:
    several = [part["id"] for part in phase["parts"] or ()]
    return several or ([f"disc_{phase['discount'].replace('-', '')}"] if phase["discount"] else [])


def _plain(quantity: str) -> str:
    return quantity.rstrip("0").rstrip(".") if "." in quantity else quantity


def subscriptions(*, livemode: bool) -> QuerySet[Subscription]:
    """With their phases and items as JSON, and the newest invoice: one query, however many."""
    items = (
        PhaseItem.objects.filter(phase=OuterRef("pk")).exclude(price__kind="usage").order_by("price__code")
    )
    item = JSONObject(code="price__code", interval="price__interval", quantity=Cast("quantity", CharField()))
    phases = Phase.objects.filter(subscription=OuterRef("pk")).order_by("start_on", "end_on")
    phase = JSONObject(
        id="pk", start="start_on", end="end_on", plan="plan__code", collection_method="collection_method",
        net_days="net_days", discount="discount_id", parts="discount__parts", free="free", paused="paused",
        anchor="anchor_on", prorate="prorate", starts_at="starts_at", wishes="wishes",
        items=ArraySubquery(items.values(json=item)),
    )  # fmt: skip
    latest = (
        Invoice.objects.filter(subscription=OuterRef("pk"))
        .order_by("-pk")
        .values(text=Cast("pk", CharField()))
    )
    return Subscription.objects.filter(livemode=livemode).annotate(
        phase_rows=ArraySubquery(phases.values(json=phase)),
        last_invoice=Subquery(latest[:1]),
        clock_now=F("test_clock__now"),
    )


class LineOut(serializers.Serializer[Any]):
    description = serializers.CharField()
    amount = serializers.CharField()
    period = PeriodOut(allow_null=True)
    kind = serializers.ChoiceField(choices=["charge", "credit", "tax"])


class NextInvoiceOut(serializers.Serializer[Any]):
    date = Day()
    total = serializers.CharField()


class ChangeOut(serializers.Serializer[Any]):
    currency = serializers.CharField()
    lines = LineOut(many=True)
    total = serializers.CharField(help_text="of this change; below zero where it gives money back")
    due_now = serializers.CharField()
    credit_to_balance = serializers.CharField()
    credit_to_invoices = serializers.CharField(
        help_text="taken off invoices for the same time that are not paid yet"
    )
    credit_held_back = serializers.CharField(
        help_text="neither: a bank has taken back what was paid for this time, and decides who keeps it"
    )
    effective_at = Day()
    next_invoice = NextInvoiceOut(allow_null=True)
    invoice = serializers.CharField(allow_null=True, help_text="that was made; null for a preview")
    change = serializers.CharField(allow_null=True, help_text="by which a change that waits can be removed")


def change_shown(change: subscribing.Change, currency: str) -> dict[str, Any]:
    lines = [line_shown(line, currency) for line in change.lines]
    if change.tax_total:
        tax = to_major(change.tax_total, currency)
        lines.append({"description": "Tax", "amount": tax, "period": None, "kind": "tax"})
    return {
        "currency": currency, "lines": lines, "total": to_major(change.total, currency),
        "due_now": to_major(change.due_now, currency),
        "credit_to_balance": to_major(change.credit_to_balance, currency),
        "credit_to_invoices": to_major(change.credit_to_invoices, currency),
        "credit_held_back": to_major(change.credit_held_back, currency),
        "effective_at": change.effective_on.isoformat(), "invoice": change.invoice and change.invoice.pk,
        "next_invoice": _next_shown(change.next, currency), "change": change.phase,
    }  # fmt: skip


def _next_shown(upcoming: invoicing.Upcoming | None, currency: str) -> dict[str, str] | None:
    if upcoming is None or upcoming.on is None:
        return None
    return {"date": upcoming.on.isoformat(), "total": to_major(upcoming.result.total, currency)}


def line_shown(line: issuing.DraftLine, currency: str) -> dict[str, Any]:
    return {
        "description": line.description, "amount": to_major(line.net, currency),
        "period": span(line.period_start, line.period_end), "kind": "charge" if line.net >= 0 else "credit",
    }  # fmt: skip


def span(start: date | None, end: date | None) -> dict[str, str] | None:
    return {"start": start.isoformat(), "end": end.isoformat()} if start and end else None


# -- Views
# ------------------------------------------------------------------------------------------------------


class SubscriptionQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    status = serializers.ChoiceField(required=False, choices=Subscription.Status.choices)
    plan = Text(required=False, help_text="id or code, in any phase")


class Subscriptions(ApiView):
    def ahead(self) -> None:
        """What is named is found, and a card that is not saved yet is saved, before anything is held."""
        given = self.given(SubscriptionNew)
        self.buyer, given["plan"] = (
            self.customer(given.pop("customer"), "customer"), plan_at(given["plan"], "plan"),
        )  # fmt: skip
        discounts_named(given)
        contract = given.pop("contract", None)
        if contract is not None:
            given |= {"contract_months": contract.pop("months"), **contract}
        if "payment_method" in given:
            given["payment_method"] = card_named(self, self.buyer, given["payment_method"])
        self.wanted = given

    @operation(
        "Start a subscription", tag=TAG, name="create_subscription", body=SubscriptionNew,
        answer=SubscriptionFullOut, status=201, posts=True,
        description="Its first invoice is issued at once, and charged or sent by a job.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.wanted
        card = given.pop("payment_method", None)
        made = starting.start(
            customer=self.buyer, card=card, now=self.now(self.buyer), actor=self.actor, origin="api", **given
        )
        return self._shown(made, 201)

    @operation(
        "List subscriptions",
        tag=TAG,
        name="list_subscriptions",
        query=SubscriptionQuery,
        page=SubscriptionOut,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(SubscriptionQuery)
        if "customer" in asked:
            asked["customer"] = self.customer(asked["customer"], "customer")
        if is_id(asked.get("plan", ""), "plan"):
            asked["plan"] = plan_at(asked["plan"], "plan").code
        return self.listed(SubscriptionOut, _listed, asked)

    def _shown(self, made: Subscription, status: int) -> Response:
        return self.answer(SubscriptionFullOut, subscriptions(livemode=self.livemode).get(pk=made.pk), status)


def _listed(*, livemode: bool, slots: Mapping[str, Slot]) -> QuerySet[Subscription]:
    rows = subscriptions(livemode=livemode)
    if "customer" in slots:
        rows = rows.filter(customer=slots["customer"])
    if "status" in slots:
        rows = rows.filter(status=slots["status"])
    if "plan" in slots:
        rows = rows.filter(pk__in=Phase.objects.filter(plan__code=slots["plan"]).values("subscription"))
    return rows


class OneSubscription(ApiView):
    def found(self, ref: str) -> Subscription:
        rows = Subscription.objects.filter(livemode=self.livemode)
        return row(rows.select_related("customer__test_clock", "customer__segment"), ref, what="subscription")

    def shown(self, ref: str) -> Response:
        return self.answer(
            SubscriptionFullOut, row(subscriptions(livemode=self.livemode), ref, what="subscription")
        )

    def wishes(self) -> dict[str, Any]:
        given = self.given(ChangeNew)
        if "plan" in given:
            given["plan"] = plan_at(given["plan"], "plan")
        discounts_named(given)
        if "payment_rule_override" in given:
            given["override"] = given.pop("payment_rule_override")
        return given


def card_named(view: ApiView, customer: Customer, ref: str, *, default: bool = True) -> PaymentMethod:
    """A saved card by its id, or one that is saved now by the provider's. Not in a transaction. Raises Problem."""
    if not is_id(ref, "pm"):
        now = view.now(customer)
        return cards.save(customer=customer, payment_method=ref, now=now, actor=view.actor, default=default)
    saved = PaymentMethod.objects.filter(customer=customer, detached_at__isnull=True)
    return row(saved.select_related("customer"), ref, what="payment method", field="payment_method")


class SubscriptionDetail(OneSubscription):
    @operation("Read a subscription", tag=TAG, name="read_subscription", answer=SubscriptionFullOut)
    def get(self, request: Request, subscription: str) -> Response:
        return self.shown(subscription)


class ChangePreview(OneSubscription):
    scopes = {"POST": "read"}
    may_be_empty = True

    @operation(
        "Preview a change", tag=TAG, name="preview_change", body=ChangeNew, answer=ChangeOut, posts=True,
        description="The same figures as the change itself; nothing is written.",
    )  # fmt: skip
    def post(self, request: Request, subscription: str) -> Response:
        found = self.found(subscription)
        now = self.now(found.customer)
        given = self.wishes()
        if "trial_end" in given:
            change = trialing.preview_end(subscription=found, now=now, with_next=True, **given)
        else:
            change = starting.preview(subscription=found, now=now, **given)
        return Response(change_shown(change, found.currency))


class Changes(OneSubscription):
    @operation(
        "Change a subscription",
        tag=TAG,
        name="change_subscription",
        body=ChangeNew,
        answer=ChangeOut,
        posts=True,
    )
    def post(self, request: Request, subscription: str) -> Response:
        found = self.found(subscription)
        now = self.now(found.customer)
        given = self.wishes()
        act = starting.change_trial if "trial_end" in given else starting.change
        change = act(subscription=found, now=now, actor=self.actor, **given)
        return Response(change_shown(change, found.currency))


class ChangeDetail(OneSubscription):
    @operation(
        "Remove a change that waits", tag=TAG, name="remove_change", status=204,
        description="Those that wait after it are worked out again without it.",
    )  # fmt: skip
    def delete(self, request: Request, subscription: str, change: str) -> Response:
        found = self.found(subscription)
        subscribing.remove_change(
            subscription=found, phase=change, now=self.now(found.customer), actor=self.actor
        )
        return Response(status=204)


class Pause(OneSubscription):
    may_be_empty = True

    @operation(
        "Pause a subscription", tag=TAG, name="pause_subscription", body=PauseNew, answer=ChangeOut, posts=True,
        description="From its first day on nothing is charged; what was paid for the days goes to the balance. One "
        "that waits for a later day is among `pending_changes`, and takes the place of another that waits.",
    )  # fmt: skip
    def post(self, request: Request, subscription: str) -> Response:
        found, now = self.found(subscription), self.now(self.found(subscription).customer)
        change = pausing.pause(subscription=found, now=now, actor=self.actor, **self.given(PauseNew))
        return Response(change_shown(change, found.currency))


class Resume(OneSubscription):
    may_be_empty = True

    @operation(
        "Resume a subscription", tag=TAG, name="resume_subscription", answer=ChangeOut, posts=True,
        description="Today is charged again, to the end of its period.",
    )  # fmt: skip
    def post(self, request: Request, subscription: str) -> Response:
        found = self.found(subscription)
        change = starting.resume(subscription=found, now=self.now(found.customer), actor=self.actor)
        return Response(change_shown(change, found.currency))


class Cancel(OneSubscription):
    may_be_empty = True

    @operation(
        "End a subscription",
        tag=TAG,
        name="cancel_subscription",
        body=CancelNew,
        answer=SubscriptionFullOut,
        posts=True,
    )
    def post(self, request: Request, subscription: str) -> Response:
        found, given = self.found(subscription), self.given(CancelNew)
        words = [given.pop(name) for name in ("reason", "comment") if name in given]
        ending.cancel(
            subscription=found,
            now=self.now(found.customer),
            actor=self.actor,
            reason=": ".join(filter(None, words)),
            **given,
        )
        return self.shown(subscription)


class UndoCancel(OneSubscription):
    may_be_empty = True

    @operation(
        "Take a pending cancellation back",
        tag=TAG,
        name="undo_cancel",
        answer=SubscriptionFullOut,
        posts=True,
    )
    def post(self, request: Request, subscription: str) -> Response:
        found = self.found(subscription)
        ending.undo_cancel(subscription=found, now=self.now(found.customer), actor=self.actor)
        return self.shown(subscription)

"""Quotes: drafted, approved, sent, revised. What the buyer does with one happens at its own address."""

from datetime import date
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Prefetch, QuerySet
from django.http import HttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import typed
from billing.api.fields import (
    Amount,
    Day,
    Effective,
    Instant,
    ListQuery,
    Money,
    Number,
    Percent,
    Quantity,
    Strict,
    Text,
    UnitAmount,
    UnitMoney,
    minor,
)
from billing.api.finding import is_id, row
from billing.api.plans import INTERVALS, plan_at
from billing.api.problems import FieldProblem, Problem
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.maths.money import to_major
from billing.models import CollectionMethod, Customer, Seller, Subscription
from billing.refusals import Refused
from sales import comparing, quoting
from sales.api.deals import buyer
from sales.api.people import PersonOut, person
from sales.models import Quote, QuoteLine

TAG = "Quotes"


# -- What is sent -------------------------------------------------------------------------------------------


class QuoteDiscount(Strict):
    percent_off = Percent(required=False)
    amount_off = Amount(required=False, help_text="off each recurring invoice")


class QuoteLineNew(Strict):
    price = Text(
        required=False,
        help_text="the code of one of the plan's prices, with its quantity: of usage, what is committed each period",
    )
    description = Text(required=False, help_text="of a one-time fee that stands in no catalogue")
    amount = UnitAmount(required=False, help_text="of one unit of the fee")
    quantity = Quantity(required=False)


class QuoteRampNew(Strict):
    year = serializers.IntegerField(min_value=1)
    quantity = Quantity(required=False, help_text="seats")
    quantities = serializers.DictField(
        required=False, child=Quantity(), help_text="instead of quantity: by the code of the price for seats"
    )
    discount = QuoteDiscount(required=False, help_text="percent_off")


class QuoteTerms(Strict):
    option_name = Text(required=False, allow_blank=True, max_length=60, help_text="of one of several options")
    recommended = serializers.BooleanField(required=False, help_text="one of several options")
    plan = Text(required=False, help_text="id or code")
    interval = serializers.ChoiceField(required=False, choices=INTERVALS)
    quantity = Quantity(required=False)
    quantities = serializers.DictField(
        required=False,
        child=Quantity(),
        help_text="by price code; of usage: what is committed, and paid for, in each of its periods, 0 for nothing",
    )
    lines = QuoteLineNew(many=True, required=False)
    ramp = QuoteRampNew(many=True, required=False)
    discount = QuoteDiscount(required=False, allow_null=True)
    escalator_percent = Percent(
        required=False, allow_null=True, help_text="list prices rise by this each year"
    )
    term_months = serializers.IntegerField(required=False)
    net_days = serializers.IntegerField(required=False)
    collection_method = serializers.ChoiceField(required=False, choices=CollectionMethod.choices)
    auto_renew = serializers.BooleanField(required=False)
    starts = Effective(required=False)
    expires_at = Instant(required=False)
    title = Text(required=False, allow_blank=True)
    contact_name = Text(required=False, allow_blank=True)
    contact_email = Text(required=False, allow_blank=True)
    notes = Text(required=False, allow_blank=True, help_text="printed on it")
    internal_notes = Text(required=False, allow_blank=True)
    owner = Text(required=False, help_text="a salesperson's e-mail address")


class OptionNew(QuoteTerms):
    """What differs from the quote that is copied."""


def _seen() -> Text:
    words = "the `fingerprint` of what was looked at: 409 where the quote was changed since"
    return Text(required=False, max_length=40, help_text=words)


class QuoteChange(QuoteTerms):
    seen = _seen()


class QuoteNew(QuoteTerms):
    customer = Text(required=False, max_length=200, help_text="id or external id; or a lead")
    lead = Text(required=False)
    subscription = Text(
        required=False, allow_null=True,
        help_text="that the terms follow; the customer's live one where nothing is said, null for none",
    )  # fmt: skip
    currency = Text(required=False, help_text="the customer's; for a lead the seller's")


class QuoteSend(Strict):
    message = Text(required=False, allow_blank=True, max_length=2000)


class QuoteDecision(Strict):
    by = Text(help_text="the e-mail address of who decides; never who made the quote")
    note = Text(required=False, allow_blank=True, max_length=1000)
    seen = _seen()


class QuoteWithdrawal(Strict):
    reason = Text(required=False, allow_blank=True, max_length=300)


# -- What is answered ---------------------------------------------------------------------------------------


class QuoteLineOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["recurring", "usage", "one_time"])
    price = serializers.CharField(source="price.code", allow_null=True, default=None)
    description = serializers.CharField()
    quantity = Number()
    unit_amount = UnitMoney(
        currency="quote.currency", allow_null=True, help_text="list price; null for tiers"
    )


class QuoteRampOut(serializers.Serializer[Any]):
    year = serializers.IntegerField()
    quantity = Number(allow_null=True)
    discount_percent = Number(allow_null=True)


class ScheduledOut(serializers.Serializer[Any]):
    date = Day()
    amount = serializers.CharField(help_text="without tax")
    tax = serializers.CharField()
    total = serializers.CharField()
    description = serializers.CharField()


class QuoteOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    number = serializers.CharField()
    version = serializers.IntegerField()
    revision_of = serializers.CharField(source="revision_of_id", allow_null=True)
    option = serializers.CharField(help_text="A, B or C where the buyer has a choice, else empty")
    option_name = serializers.CharField()
    recommended = serializers.BooleanField()
    options = serializers.ListField(
        child=serializers.CharField(),
        source="option_ids",
        help_text="the quotes of this version to choose from",
    )
    state = serializers.ChoiceField(choices=Quote.State.choices, source="standing")
    customer = serializers.CharField(source="customer_id", allow_null=True)
    lead = serializers.CharField(source="lead_id", allow_null=True)
    deal = serializers.CharField(source="deal_id", allow_null=True)
    subscription = serializers.CharField(source="subscription_id", allow_null=True)
    owner = PersonOut(allow_null=True)
    title = serializers.CharField()
    contact_name = serializers.CharField()
    contact_email = serializers.CharField()
    currency = serializers.CharField()
    plan = serializers.CharField(source="plan.code")
    interval = serializers.ChoiceField(choices=INTERVALS)
    lines = QuoteLineOut(many=True)
    ramp = QuoteRampOut(many=True)
    discount_percent = Number(allow_null=True)
    discount_amount = Money(allow_null=True)
    escalator_percent = Number(allow_null=True)
    term_months = serializers.IntegerField()
    auto_renew = serializers.BooleanField()
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    net_days = serializers.IntegerField()
    starts = serializers.ChoiceField(choices=Quote.Starts.choices)
    starts_on = Day(allow_null=True)
    notes = serializers.CharField()
    list_total = Money(help_text="of the term, before discounts")
    discount_total = Money()
    tax_total = Money()
    mrr = Money()
    arr = Money()
    acv = Money(help_text="the recurring part of twelve months")
    tcv = Money(help_text="all that the term is invoiced for, without tax and usage")
    schedule = serializers.SerializerMethodField(
        help_text="every invoice of the term; of usage what is committed"
    )
    url = serializers.SerializerMethodField(help_text="the buyer's page; null before it is sent")
    pdf = serializers.SerializerMethodField()
    expires_at = Instant(allow_null=True)
    sent_at = Instant(allow_null=True)
    accepted_at = Instant(allow_null=True)
    accepted_terms_url = serializers.CharField(
        help_text="where the terms of service were that were accepted; or empty"
    )
    created_at = Instant()

    @extend_schema_field(ScheduledOut(many=True))
    def get_schedule(self, quote: Quote) -> Any:
        return [
            {
                "date": one["date"], "description": one["words"],
                **{name: to_major(one[name], quote.currency) for name in ("amount", "tax", "total")},
            }
            for one in quote.schedule
        ]  # fmt: skip

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_url(self, quote: Quote) -> str | None:
        return quote.url if quote.sent_at else None

    def get_pdf(self, quote: Quote) -> str:
        return f"/api/v1/quotes/{quote.pk}/pdf"


class QuoteFullOut(QuoteOut):
    fingerprint = serializers.SerializerMethodField(
        help_text="another one once a term, the state or the options of this version change"
    )

    def get_fingerprint(self, quote: Quote) -> str:
        return comparing.fingerprint(quote.options() if quote.option else [quote])


class QuoteQuery(ListQuery):
    customer = Text(required=False, help_text="id or external id")
    lead = Text(required=False)
    deal = Text(required=False)
    state = serializers.ChoiceField(required=False, choices=Quote.State.choices)


def quotes(livemode: bool) -> QuerySet[Quote]:
    rows = Quote.objects.filter(livemode=livemode).prefetch_related(
        Prefetch("lines", QuoteLine.objects.select_related("price")), "ramp"
    )
    beside = Quote.objects.filter(number=OuterRef("number"), version=OuterRef("version")).exclude(option="")
    rows = rows.annotate(option_ids=ArraySubquery(beside.order_by("option").values("pk")))
    return rows.select_related("customer__test_clock", "lead", "plan", "owner", "deal", "subscription")


# -- From the body to the terms of `quoting.draft` ----------------------------------------------------------


def terms(given: dict[str, Any], currency: str) -> dict[str, Any]:
    """The terms in the domain's words. Raises Problem."""
    if "plan" in given:
        given["plan"] = plan_at(given["plan"], "plan")
    if "owner" in given:
        given["owner"] = person(given["owner"], "owner")
    if "starts" in given:
        given |= _starts(given["starts"])
    if "discount" in given:
        given |= _discount(given.pop("discount") or {}, currency)
    if "lines" in given:
        _lines(given)
    if "ramp" in given:
        given["ramp"] = [_year(year, n) for n, year in enumerate(given["ramp"])]
    return given


def _starts(starts: str | date) -> dict[str, Any]:
    return {"starts": "date", "starts_on": starts} if isinstance(starts, date) else {"starts": starts}


def _discount(discount: dict[str, Any], currency: str) -> dict[str, Any]:
    amount = discount.get("amount_off")
    return {
        "discount_percent": discount.get("percent_off"),
        "discount_amount": None if amount is None else minor(amount, currency, "discount.amount_off"),
    }


def _lines(given: dict[str, Any]) -> None:
    """Lines of prices are quantities; the others are fees."""
    lines = given.pop("lines")
    for n, line in enumerate(lines):
        if ("price" in line) == ("amount" in line):
            raise _refused(f"lines.{n}", "ambiguous", "A line has a price, or an amount of its own.")
    counted = {line["price"]: line.get("quantity") for line in lines if "price" in line}
    if counted:
        given["quantities"] = {**given.get("quantities", {}), **counted}
    given["fees"] = [
        {
            "description": line.get("description", ""), "unit_amount": line["amount"],
            "quantity": line.get("quantity", 1), "field": f"lines.{n}",
        }
        for n, line in enumerate(lines)
        if "amount" in line
    ]  # fmt: skip


def _year(year: dict[str, Any], n: int) -> dict[str, Any]:
    discount = year.pop("discount", None) or {}
    if "amount_off" in discount:
        raise _refused(f"ramp.{n}.discount", "invalid_quote", "A year's discount is percent_off.")
    return {**year, "discount_percent": discount.get("percent_off")}


def _refused(field: str, code: str, words: str) -> Problem:
    return Problem(422, code, f"{field}: {words}", [FieldProblem(field, code, words)])


def _followed(view: ApiView, customer: Customer, given: dict[str, Any]) -> Subscription | None:
    """The subscription that the new terms follow."""
    live = customer.subscriptions.filter(status__in=Subscription.LIVE).select_related("customer__test_clock")
    if "subscription" not in given:
        return live.order_by("-pk").first()
    ref = given.pop("subscription")
    return None if ref is None else row(live, ref, what="subscription", field="subscription")


# -- Views --------------------------------------------------------------------------------------------------


# What terms are called here, where their columns have names of their own.
CALLED = {
    "discount_percent": "discount.percent_off",
    "discount_amount": "discount.amount_off",
    "starts_on": "starts",
}


class QuoteView(ApiView):
    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Refused) and exc.field:
            *above, name = exc.field.split(".")
            exc.field = ".".join([*above, CALLED.get(name, name)])
        return super().handle_exception(exc)


class Quotes(QuoteView):
    @operation(
        "Draft a quote", tag=TAG, name="create_quote", body=QuoteNew, answer=QuoteFullOut, status=201, posts=True,
        description="For a customer or a lead; from the live subscription where there is one to follow.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.given(QuoteNew)
        customer, lead = buyer(self, given)
        follows = _followed(self, customer, given) if customer else given.pop("subscription", None)
        wished = given.pop("currency", None)
        currency = typed.currency(wished) if wished else self._currency(customer)
        wanted = terms(given, currency)
        about = {"now": self.now(customer), "actor": self.actor, "currency": wished, **wanted}
        if isinstance(follows, Subscription):
            made = quoting.draft_from_subscription(subscription=follows, **about)
        elif "plan" in wanted:
            made = quoting.draft(customer=customer, lead=lead, **about)
        else:
            raise _refused("plan", "required", "Name a plan.")
        return self._shown(made, 201)

    def _currency(self, customer: Customer | None) -> str:
        return customer.currency if customer else Seller.objects.values_list("currency", flat=True).get()

    def _shown(self, quote: Quote, status: int) -> Response:
        return self.answer(QuoteFullOut, quotes(self.livemode).get(pk=quote.pk), status)

    @operation("List quotes", tag=TAG, name="list_quotes", query=QuoteQuery, page=QuoteOut)
    def get(self, request: Request) -> Response:
        asked, rows = self.asked(QuoteQuery), quotes(self.livemode)
        if "customer" in asked:
            rows = rows.filter(customer=self.customer(asked["customer"], "customer"))
        if "state" in asked:
            rows = rows.filter(Quote.standing_as(asked["state"], self.now()))
        for name, prefix in (("lead", "lead"), ("deal", "deal")):
            if name in asked:
                rows = rows.filter(**{name: asked[name]}) if is_id(asked[name], prefix) else rows.none()
        return self.page(QuoteOut, rows, asked)


class OneQuote(QuoteView):
    may_be_empty = True

    def found(self, ref: str) -> Quote:
        return row(quotes(self.livemode), ref, what="quote")

    def shown(self, quote: Quote) -> Response:
        return self.answer(QuoteFullOut, self.found(quote.pk))


class QuoteDetail(OneQuote):
    may_be_empty = False

    @operation("Read a quote", tag=TAG, name="read_quote", answer=QuoteFullOut)
    def get(self, request: Request, quote: str) -> Response:
        return self.answer(QuoteFullOut, self.found(quote))

    @operation(
        "Change a quote", tag=TAG, name="change_quote", body=QuoteChange, answer=QuoteFullOut,
        description="What was approved is a draft again. One that is out is revised instead.",
    )  # fmt: skip
    def patch(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        wanted = terms(self.given(QuoteChange), found.currency)
        return self.shown(quoting.edit(quote=found, now=found.now, actor=self.actor, **wanted))


class QuoteSubmit(OneQuote):
    @operation(
        "Ask for approval", tag=TAG, name="submit_quote", answer=QuoteFullOut, posts=True,
        description="A quote that no rule meets is approved at once.",
    )  # fmt: skip
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        quoting.submit(quote=found, now=found.now, actor=self.actor)
        return self.shown(found)


class QuoteOptions(OneQuote):
    @operation(
        "Add an option", tag=TAG, name="add_quote_option", body=OptionNew, answer=QuoteFullOut, status=201, posts=True,
        description="A copy with other terms, beside the quote, of which the buyer accepts one. Three at most.",
    )  # fmt: skip
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        wanted = terms(self.given(OptionNew), found.currency)
        name = wanted.pop("option_name", "")
        made = quoting.add_option(quote=found, now=found.now, actor=self.actor, name=name, **wanted)
        return self.answer(QuoteFullOut, self.found(made.pk), 201)


class QuoteRemoveOption(OneQuote):
    @operation(
        "Remove an option", tag=TAG, name="remove_quote_option", answer=QuoteFullOut, posts=True,
        description="Answers the option that leads now; one that is left alone is a plain quote again.",
    )  # fmt: skip
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        return self.shown(quoting.remove_option(quote=found, now=found.now, actor=self.actor))


class QuoteApprove(OneQuote):
    may_be_empty = False

    @operation("Approve", tag=TAG, name="approve_quote", body=QuoteDecision, answer=QuoteFullOut, posts=True)
    def post(self, request: Request, quote: str) -> Response:
        found, given = self.found(quote), self.given(QuoteDecision)
        by = person(given.pop("by"), "by")
        quoting.approve(quote=found, by=by, now=found.now, **given)
        return self.shown(found)


class QuoteReject(OneQuote):
    may_be_empty = False

    @operation("Reject", tag=TAG, name="reject_quote", body=QuoteDecision, answer=QuoteFullOut, posts=True)
    def post(self, request: Request, quote: str) -> Response:
        found, given = self.found(quote), self.given(QuoteDecision)
        by = person(given.pop("by"), "by")
        quoting.reject(quote=found, by=by, now=found.now, **given)
        return self.shown(found)


class QuoteSendOut(OneQuote):
    # The paper is typeset before anything is held.
    in_one_transaction = False

    @operation(
        "Send a quote", tag=TAG, name="send_quote", body=QuoteSend, answer=QuoteFullOut, posts=True,
        description="Its paper is frozen and the link mailed. One that no rule meets is approved on the way.",
    )  # fmt: skip
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        quoting.send(quote=found, now=found.now, actor=self.actor, **self.given(QuoteSend))
        return self.shown(found)


class QuoteRevise(OneQuote):
    @operation(
        "Make a new version", tag=TAG, name="revise_quote", body=QuoteTerms, answer=QuoteFullOut, status=201,
        posts=True, description="With the same number; the old version's link is closed.",
    )  # fmt: skip
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        wanted = terms(self.given(QuoteTerms), found.currency)
        made = quoting.revise(quote=found, now=found.now, actor=self.actor, **wanted)
        return self.answer(QuoteFullOut, self.found(made.pk), 201)


class QuoteWithdraw(OneQuote):
    @operation(
        "Withdraw a quote",
        tag=TAG,
        name="withdraw_quote",
        body=QuoteWithdrawal,
        answer=QuoteFullOut,
        posts=True,
    )
    def post(self, request: Request, quote: str) -> Response:
        found = self.found(quote)
        quoting.withdraw(quote=found, now=found.now, actor=self.actor, **self.given(QuoteWithdrawal))
        return self.shown(found)


class QuotePdf(OneQuote):
    @operation(
        "A quote's PDF", tag=TAG, name="read_quote_pdf", answer=OpenApiTypes.BINARY, media="application/pdf",
        description="The signed paper, else the one that was sent, else a draft of it.",
    )  # fmt: skip
    def get(self, request: Request, quote: str) -> HttpResponse:
        found = self.found(quote)
        content = quoting.paper(quote=found, now=found.now)
        response = HttpResponse(content, content_type="application/pdf")
        response["Content-Disposition"] = content_disposition_header(True, f"{found}.pdf") or "attachment"
        return response

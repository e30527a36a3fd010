"""Customers, their members, cards, history, usage and entitlements."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import cards, customers, entitlements, forgetting, metering, switching
from billing.api.events import EventOut
from billing.api.fields import Instant, ListQuery, Money, Number, PeriodOut, Strict, Text
from billing.api.finding import row
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.models import CollectionMethod, Customer, Event, Member, Motion, PaymentMethod, TestClock
from billing.remembering import Slot

TAG = "Customers"


class Address(Strict):
    line1 = Text(required=False, allow_blank=True)
    line2 = Text(required=False, allow_blank=True)
    city = Text(required=False, allow_blank=True)
    state = Text(required=False, allow_blank=True)
    postal_code = Text(required=False, allow_blank=True)
    country = Text(required=False, allow_blank=True, help_text="ISO 3166-1, two letters")


class CustomerChange(Strict):
    name = Text(required=False)
    email = Text(required=False)
    external_id = Text(required=False, allow_null=True)
    currency = Text(required=False, help_text="ISO 4217; USD where nothing is said")
    country = Text(required=False, allow_blank=True)
    timezone = Text(required=False, help_text="IANA; UTC where nothing is said")
    domain = Text(
        required=False, allow_blank=True, help_text="from the e-mail address unless that is a free one"
    )
    employees = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    industry = Text(required=False, allow_blank=True)
    tax_id = Text(required=False, allow_blank=True)
    tax_exempt = serializers.BooleanField(required=False)
    billing_address = Address(required=False)
    net_days = serializers.IntegerField(required=False, allow_null=True)
    collection_method = serializers.ChoiceField(
        required=False,
        choices=CollectionMethod.choices,
        help_text="of everything the customer has, and buys later",
    )
    consolidate_invoices = serializers.BooleanField(
        required=False, help_text="one invoice for subscriptions that fall due on a day with the same terms"
    )
    metadata = serializers.DictField(required=False, child=Text(allow_blank=True))


class CustomerNew(CustomerChange):
    name = Text()
    email = Text()
    test_clock = Text(required=False, allow_null=True)


class OwnerOut(serializers.Serializer[Any]):
    name = serializers.CharField(source="get_full_name")
    email = serializers.EmailField()


class CustomerOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    email = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    livemode = serializers.BooleanField()
    currency = serializers.CharField()
    country = serializers.CharField()
    timezone = serializers.CharField()
    domain = serializers.CharField()
    employees = serializers.IntegerField(allow_null=True)
    industry = serializers.CharField()
    tax_id = serializers.CharField()
    tax_exempt = serializers.BooleanField()
    billing_address = serializers.DictField(child=serializers.CharField())
    net_days = serializers.IntegerField(allow_null=True)
    consolidate_invoices = serializers.BooleanField()
    collection_method = serializers.ChoiceField(choices=CollectionMethod.choices)
    metadata = serializers.DictField(child=serializers.CharField())
    test_clock = serializers.CharField(source="test_clock_id", allow_null=True)
    segment = serializers.CharField(source="segment.code", allow_null=True, default=None)
    motion = serializers.ChoiceField(
        source="segment.motion", choices=Motion.choices, allow_null=True, default=None
    )
    owner = OwnerOut(allow_null=True)
    merged_into = serializers.CharField(
        source="merged_into_id", allow_null=True, help_text="the account that it became a part of"
    )
    arr = Money(help_text="committed, a year")
    mrr = Money(help_text="committed, a month")
    balance = Money(help_text="credit that the next invoices use up")
    created_at = Instant()


class CustomerQuery(ListQuery):
    email = Text(required=False)
    external_id = Text(required=False)
    segment = Text(required=False, help_text="a segment's code")
    motion = serializers.ChoiceField(required=False, choices=Motion.choices)
    owner = Text(required=False, help_text="the e-mail address of the owner in sales")
    q = Text(required=False, help_text="part of the name, e-mail address or domain")


class Customers(ApiView):
    @operation(
        "Create a customer",
        tag=TAG,
        name="create_customer",
        body=CustomerNew,
        answer=CustomerOut,
        status=201,
        posts=True,
    )
    def post(self, request: Request) -> Response:
        given = self.given(CustomerNew)
        if clock := given.get("test_clock"):
            given["test_clock"] = row(
                TestClock.objects.filter(deleted_at__isnull=True),
                clock,
                what="test clock",
                field="test_clock",
            )
        now = given["test_clock"].now if clock else self.now()
        made = customers.create(**given, livemode=self.livemode, now=now, actor=self.actor)
        return self.answer(CustomerOut, made, 201)

    @operation("List customers", tag=TAG, name="list_customers", query=CustomerQuery, page=CustomerOut)
    def get(self, request: Request) -> Response:
        return self.listed(CustomerOut, _listed, self.asked(CustomerQuery))


def _listed(*, livemode: bool, slots: Mapping[str, Slot]) -> QuerySet[Customer]:
    """The filters by name; what a caller sends is only ever a value."""
    names = {
        "email": "email__iexact", "external_id": "external_id", "segment": "segment__code",
        "motion": "segment__motion", "owner": "owner__email__iexact",
    }  # fmt: skip
    wanted = Q(**{lookup: slots[name] for name, lookup in names.items() if name in slots})
    if "q" in slots:
        part = slots["q"]
        wanted &= Q(name__icontains=part) | Q(email__icontains=part) | Q(domain__icontains=part)
    return Customer.objects.filter(wanted, livemode=livemode).select_related("segment", "owner")


class CustomerDetail(ApiView):
    @operation("Read a customer", tag=TAG, name="read_customer", answer=CustomerOut)
    def get(self, request: Request, customer: str) -> Response:
        return self.answer(CustomerOut, self.customer(customer))

    @operation(
        "Change a customer", tag=TAG, name="change_customer", body=CustomerChange, answer=CustomerOut,
        description="Another collection method is for the next invoices: what is issued keeps its terms.",
    )  # fmt: skip
    def patch(self, request: Request, customer: str) -> Response:
        found, given = self.customer(customer), self.given(CustomerChange)
        switching.change_customer(customer=found, now=self.now(found), actor=self.actor, **given)
        return self.answer(CustomerOut, self.customer(found.pk))

    @operation(
        "Delete a customer", tag=TAG, name="delete_customer", status=204,
        description="Refused while subscriptions run, and for ever once invoices or payments exist.",
    )  # fmt: skip
    def delete(self, request: Request, customer: str) -> Response:
        found = self.customer(customer)
        forgetting.delete_customer(customer=found, now=self.now(found), actor=self.actor)
        return Response(status=204)


class CustomerTimeline(ApiView):
    @operation(
        "Everything that happened to a customer",
        tag=TAG,
        name="read_timeline",
        query=ListQuery,
        page=EventOut,
    )
    def get(self, request: Request, customer: str) -> Response:
        asked = self.asked(ListQuery)
        rows = Event.objects.filter(customer=self.customer(customer))
        return self.page(EventOut, rows, asked, key="number")


# -- What they use and may use
# --------------------------------------------------------------------------------


class MeterUsageOut(serializers.Serializer[Any]):
    meter = serializers.CharField(source="meter.code")
    name = serializers.CharField(source="meter.name")
    unit = serializers.CharField(source="meter.unit")
    used = Number()
    limit = Number(allow_null=True, help_text="what thresholds are measured against")
    included = Number(allow_null=True, help_text="what costs nothing")
    percent = serializers.IntegerField(allow_null=True, help_text="used of limit, rounded down")
    period = PeriodOut()


class CustomerUsage(ApiView):
    scopes = {"GET": "read"}

    @operation("Usage in the period that runs", tag=TAG, name="read_customer_usage", page=MeterUsageOut)
    def get(self, request: Request, customer: str) -> Response:
        found = self.customer(customer)
        return self.list_of(MeterUsageOut, metering.current(found, self.now(found)))


class EntitlementOut(serializers.Serializer[Any]):
    feature = serializers.CharField()
    name = serializers.CharField()
    limit = Number(allow_null=True, help_text="null: the feature is on without a limit")
    used = Number(allow_null=True)


class CustomerEntitlements(ApiView):
    @operation("What a customer may use", tag=TAG, name="list_entitlements", page=EntitlementOut)
    def get(self, request: Request, customer: str) -> Response:
        found = self.customer(customer)
        return self.list_of(EntitlementOut, entitlements.granted(found, self.now(found)))


# -- Members ------------------------------------------------------------------------------------------------


class MemberNew(Strict):
    email = Text()
    name = Text(default="", allow_blank=True)
    role = serializers.ChoiceField(choices=Member.Role.choices, default=Member.Role.VIEWER)


class MemberOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(choices=Member.Role.choices)
    added_at = Instant()


class Members(ApiView):
    @operation("List members", tag=TAG, name="list_members", query=ListQuery, page=MemberOut)
    def get(self, request: Request, customer: str) -> Response:
        asked = self.asked(ListQuery)
        rows = Member.objects.filter(customer=self.customer(customer), removed_at__isnull=True)
        return self.page(MemberOut, rows.select_related("user"), asked)

    @operation(
        "Add a member", tag=TAG, name="add_member", body=MemberNew, answer=MemberOut, status=201, posts=True
    )
    def post(self, request: Request, customer: str) -> Response:
        found, given = self.customer(customer), self.given(MemberNew)
        member = customers.add_member(customer=found, now=self.now(found), actor=self.actor, **given)
        return self.answer(MemberOut, member, 201)


class MemberDetail(ApiView):
    @operation("Remove a member", tag=TAG, name="remove_member", status=204)
    def delete(self, request: Request, customer: str, member: str) -> Response:
        found = self.customer(customer)
        rows = Member.objects.filter(customer=found, removed_at__isnull=True).select_related(
            "customer", "user"
        )
        gone = row(rows, member, what="member")
        customers.remove_member(member=gone, now=self.now(found), actor=self.actor)
        return Response(status=204)


# -- Cards --------------------------------------------------------------------------------------------------


class PaymentMethodNew(Strict):
    payment_method = Text(max_length=100, help_text="a Stripe id; in the sandbox also Stripe's test names")
    default = serializers.BooleanField(default=True)


class PaymentMethodOut(serializers.Serializer[Any]):
    id = serializers.CharField(source="pk")
    brand = serializers.CharField()
    last4 = serializers.CharField()
    exp_month = serializers.IntegerField()
    exp_year = serializers.IntegerField()
    default = serializers.BooleanField(source="is_default")
    created_at = Instant()


class PaymentMethods(ApiView):
    in_one_transaction = False

    @operation(
        "List saved cards", tag=TAG, name="list_payment_methods", query=ListQuery, page=PaymentMethodOut
    )
    def get(self, request: Request, customer: str) -> Response:
        asked = self.asked(ListQuery)
        rows = PaymentMethod.objects.filter(customer=self.customer(customer), detached_at__isnull=True)
        return self.page(PaymentMethodOut, rows, asked)

    @operation(
        "Save a card",
        tag=TAG,
        name="save_payment_method",
        body=PaymentMethodNew,
        answer=PaymentMethodOut,
        status=201,
        posts=True,
    )
    def post(self, request: Request, customer: str) -> Response:
        found, given = self.customer(customer), self.given(PaymentMethodNew)
        saved = cards.save(customer=found, now=self.now(found), actor=self.actor, **given)
        return self.answer(PaymentMethodOut, saved, 201)


class PaymentMethodDetail(ApiView):
    @operation("Forget a card", tag=TAG, name="remove_payment_method", status=204)
    def delete(self, request: Request, customer: str, payment_method: str) -> Response:
        found = self.customer(customer)
        rows = PaymentMethod.objects.filter(customer=found, detached_at__isnull=True).select_related(
            "customer"
        )
        cards.remove(
            payment_method=row(rows, payment_method, what="payment method"),
            now=self.now(found),
            actor=self.actor,
        )
        return Response(status=204)

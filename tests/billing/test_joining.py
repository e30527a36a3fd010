"""Two accounts of one company become one, and what each bought stays its own."""

import pytest
from django.db.models import Sum

from billing import collecting, customers, ending, forgetting, joining, metering
from billing.api import customers as api_customers
from billing.models import Customer, Event, Member, UsageDay
from tests.races import ROUNDS, at_once

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:1"}
BY_INVOICE = {"collection_method": "send_invoice", "payment_rule_override": "agreed"}


@pytest.fixture
def pair(make_customer, clock):
    """The account that stays, and the other on its domain."""
    return [make_customer(clock, name=name, email=f"{name.lower()}@nova.example") for name in ("Nova", "Lab")]


def join(other, into):
    joining.join(customer=other, into=into, now=into.now, **WHO)
    for row in (other, into):
        row.refresh_from_db()


def test_it_says_on_both_what_became_of_them(pair, books):
    nova, lab = pair
    join(lab, nova)
    assert (lab.merged_into, lab.merged_at, lab.account) == (nova, nova.now, nova)
    assert (nova.merged_into, nova.account) == (None, nova)
    told = Event.objects.get(type="customer.consolidated")
    assert (told.customer, told.actor, told.data) == (
        nova, "user:1", {"joined": lab.pk, "name": "Lab", "members": 0},
    )  # fmt: skip
    assert Event.objects.filter(customer=lab, type="customer.updated").last().data["after"] == {
        "merged_into": nova.pk
    }
    assert api_customers.CustomerOut(lab).data["merged_into"] == nova.pk


def test_its_people_go_over_with_no_less_than_they_had(pair):
    nova, lab = pair
    for customer, email, role in (
        (nova, "ada@nova.example", "viewer"), (nova, "bob@nova.example", "owner"),
        (lab, "ada@nova.example", "owner"), (lab, "bob@nova.example", "viewer"), (lab, "cem@nova.example", "billing"),
    ):  # fmt: skip
        customers.add_member(customer=customer, email=email, role=role, now=nova.now, actor="system")
    join(lab, nova)
    there = Member.objects.filter(customer=nova, removed_at__isnull=True).values_list("user__email", "role")
    assert dict(there) == {
        "ada@nova.example": "owner", "bob@nova.example": "owner", "cem@nova.example": "billing",
    }  # fmt: skip
    assert not Member.objects.filter(customer=lab, removed_at__isnull=True).exists()
    late = customers.add_member(customer=lab, email="dee@nova.example", now=nova.now, actor="key:app")
    assert late.customer == nova


OTHERS = [
    ({"currency": "EUR"}, "pays in EUR"), ({"country": "DE"}, "taxed in different countries: DE and IE"),
    ({"domain": "other.example"}, "one business domain"), ({"on": None}, "different worlds"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), OTHERS)
def test_it_refuses_by_name_what_is_not_one_account(pair, make_customer, clock, fields, words):
    nova, _ = pair
    fields = {"email": "x@nova.example", "on": clock, **fields}
    other = make_customer(fields.pop("on"), **fields)
    with pytest.raises(joining.NotOneAccount, match=words):
        join(other, nova)
    other.refresh_from_db()
    assert other.merged_into is None
    assert not Event.objects.filter(type="customer.consolidated").exists()


def test_it_joins_once_and_never_in_a_circle(pair, make_customer, clock, books):
    nova, lab = pair
    shop = make_customer(clock, name="Shop", email="shop@nova.example")
    join(lab, nova)
    for other, into in ((lab, nova), (nova, lab), (lab, shop), (shop, lab), (nova, nova)):
        with pytest.raises(joining.NotOneAccount):
            join(other, into)
    join(nova, shop)
    lab.refresh_from_db()
    assert (lab.merged_into, nova.merged_into) == (shop, shop)
    assert shop.joined.count() == 2
    with pytest.raises(forgetting.HasPapers, match="parts of this one"):
        forgetting.delete_customer(customer=shop, now=shop.now, **WHO)
    with pytest.raises(customers.CurrencyInUse):
        customers.update(customer=lab, currency="EUR", now=shop.now, **WHO)


def test_what_it_bought_is_billed_to_it_as_before(pair, subscribe, advance, clock, books):
    nova, lab = pair
    for customer in pair:
        subscribe(customer, quantity=2, **BY_INVOICE)
    join(lab, nova)
    advance(clock, days=31)
    lab.refresh_from_db(), nova.refresh_from_db()
    assert [each.total for each in lab.invoices.all()] == [each.total for each in nova.invoices.all()]
    assert {each.bill_to["name"] for each in lab.invoices.all()} == {"Lab"}
    assert (lab.mrr, nova.mrr) == (58_00, 58_00)


@pytest.fixture
def overpay():
    """overpay(invoice, minor units): money on the customer's balance, as it comes about."""

    def pay(invoice, more):
        collecting.record_transfer(
            invoice=invoice, amount=invoice.total + more, reference=f"T-{invoice.number}",
            paid_at=invoice.customer.now, now=invoice.customer.now, **WHO,
        )  # fmt: skip

    return pay


def test_its_credit_follows_once_nothing_of_its_own_can_use_it(
    pair, subscribe, clock, advance, overpay, books
):
    nova, lab = pair
    row = subscribe(lab, quantity=2, **BY_INVOICE)
    overpay(lab.invoices.get(), 70_00)
    join(lab, nova)
    assert (lab.balance, nova.balance) == (70_00, 0)
    ending.cancel(subscription=row, now=clock.now, actor="user:1", effective="period_end")
    assert joining.carry_credit(now=clock.now) == 0
    advance(clock, days=32)
    assert joining.carry_credit(now=clock.now) == 1
    assert joining.carry_credit(now=clock.now) == 0
    lab.refresh_from_db(), nova.refresh_from_db()
    assert (lab.balance, nova.balance) == (0, 70_00)


def test_its_credit_follows_at_once_where_nothing_runs(pair, subscribe, clock, overpay, books):
    nova, lab = pair
    row = subscribe(lab, quantity=2, **BY_INVOICE)
    overpay(lab.invoices.get(), 70_00)
    ending.cancel(subscription=row, now=clock.now, actor="user:1", effective="now", credit_unused=False)
    join(lab, nova)
    assert (lab.balance, nova.balance) == (0, 70_00)
    invoice = subscribe(nova, quantity=2, **BY_INVOICE).invoices.get()
    assert (invoice.total, invoice.amount_due) == (71_34, 1_34)  # 2 x 29.00 and 23 % tax, less the 70.00


def test_usage_sent_for_it_counts_there_while_something_of_its_own_runs_and_then_for_the_account(
    pair, subscribe, clock, books
):
    nova, lab = pair
    Customer.objects.filter(pk=lab.pk).update(external_id="lab-7")
    row = subscribe(lab, quantity=2, **BY_INVOICE)
    join(lab, nova)
    lab.refresh_from_db()

    def send(name, whom):
        event = {"id": name, "customer": whom, "event_name": "api_call", "properties": {"value": 1}}
        assert metering.record(events=[event], livemode=False, now=clock.now).accepted == 1

    def counted():
        return dict(UsageDay.objects.values_list("customer").annotate(n=Sum("count")).order_by())

    send("one", "lab-7")
    assert counted() == {lab.pk: 1}
    ending.cancel(subscription=row, now=clock.now, actor="user:1", effective="now")
    send("two", "lab-7"), send("three", lab.pk), send("four", nova.pk)
    assert counted() == {lab.pk: 1, nova.pk: 3}


@pytest.mark.django_db(transaction=True)
def test_two_people_joining_them_both_ways_make_one_account(make_customer):
    for n in range(ROUNDS):
        one, two = (make_customer(email=f"{name}@race{n}.example") for name in ("a", "b"))

        def deed(other, into):
            return lambda: joining.join(customer=other, into=into, now=into.now, **WHO)

        answers = at_once(deed(one, two), deed(two, one), deed(one, two))
        assert sum(isinstance(each, joining.NotOneAccount) for each in answers) == 2, answers
        assert Customer.objects.filter(pk__in=[one.pk, two.pk], merged_into__isnull=False).count() == 1
        assert Event.objects.filter(type="customer.consolidated", customer__in=[one, two]).count() == 1

"""Queries that are written once find what the same query finds when it is written anew."""

import threading

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing import bulk
from billing.api.subscriptions import subscriptions
from billing.models import CreditNoteLine, Customer, Invoice, InvoiceLine, Phase, PhaseItem, Subscription
from billing.models.ids import array_of
from billing.remembering import Remembered, RememberedSQL, RememberedTables, RememberedValues, Slot
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def firms():
    names = ["Acme", "100 % Ltd", "O'Neill \\ Sons", "Bühler"]
    return [Customer.objects.create(name=name, email="a@firm.example", country="IE") for name in names]


@pytest.fixture
def subscription(make_customer, subscribe):
    return subscribe(make_customer())


def test_it_takes_other_values_each_time(firms):
    by_name = Remembered(Customer.objects.filter(name=Slot("name"), country="IE"))
    assert [by_name.fetch({"name": firm.name}) for firm in firms] == [[firm] for firm in firms]
    assert by_name.fetch({"name": "'; drop table billing_customer; --"}) == []


@pytest.mark.parametrize("name", ["100 % Ltd", "O'Neill \\ Sons", "Bühler", "%s"])
def test_what_is_written_into_it_may_have_any_character(firms, name):
    rows = Customer.objects.filter(name=name, country=Slot("country"))
    assert Remembered(rows).fetch({"country": "IE"}) == list(rows.model.objects.filter(name=name))
    like = Customer.objects.filter(name__contains="%", country=Slot("country"))
    assert [row.name for row in Remembered(like).fetch({"country": "IE"})] == ["100 % Ltd"]


def test_it_answers_what_was_written_since(firms):
    known = Remembered(Customer.objects.filter(country=Slot("country")))
    assert len(known.fetch({"country": "IE"})) == 4
    firms[0].delete()
    assert len(known.fetch({"country": "IE"})) == 3


def test_a_statement_of_our_own_answers_rows_as_a_query_does(firms):
    made = RememberedSQL(
        Customer, "update billing_customer c set industry = %s where name = %s returning {columns}"
    )
    [row] = made.fetch(["Robots", "Bühler"])
    assert row.__dict__.keys() == Customer.objects.get(name="Bühler").__dict__.keys()
    assert (row, row.pk, row.industry, row.metadata) == (firms[3], firms[3].pk, "Robots", {})
    row.save()
    assert made.fetch(["Robots", "Nobody"]) == []


def test_several_tables_are_read_by_one_statement_as_they_are_without_it(firms):
    def wanted(country, name):
        named = Customer.objects.filter(name__iexact=name)
        return Customer.objects.filter(country=country).order_by("-name"), named.only("pk")[:1], named

    known = RememberedTables(*wanted(Slot("country"), Slot("name")))
    for name in ("100 % ltd", "Nobody"):
        with CaptureQueriesContext(connection) as asked:
            found = known.fetch({"country": "IE", "name": name})
        assert (len(asked), len(found[0])) == (1, 4)
        same = bulk.read(*wanted("IE", name))
        assert [[vars(row) | {"_state": 0} for row in rows] for rows in found] == [
            [vars(row) | {"_state": 0} for row in rows] for rows in same
        ]
    assert known.fetch({"country": None, "name": None}) == [[], [], []]


def test_values_are_those_of_the_query(subscription):
    def wanted(phases, day):
        items = PhaseItem.objects.filter(phase__id__any=phases).order_by("pk")
        invoiced = InvoiceLine.objects.filter(cycle_end__gt=day).order_by()
        sums = invoiced.values_list("subscription_id", "cycle_end").annotate(gross=Sum("gross"))
        credited = CreditNoteLine.objects.order_by().values_list("subscription_id", "cycle_end", "gross")
        said = sums.union(credited, all=True).order_by()
        return items.values_list("phase", "price__plan__name", "quantity"), said

    ids = [phase.pk for phase in subscription.phases.all()]
    for known, rows in zip(wanted(Slot("phases"), Slot("day")), wanted(ids, NOON.date()), strict=True):
        remembered = RememberedValues(known)
        assert remembered.fetch({"phases": array_of(ids), "day": NOON.date()}) == list(rows) != []
    assert RememberedValues(wanted(Slot("phases"), Slot("day"))[0]).fetch({"phases": array_of([])}) == []


def test_it_brings_related_rows_along_in_the_same_number_of_statements(subscription):
    rows = Subscription.objects.filter(customer=Slot("customer")).select_related("customer")
    known, customer = Remembered(rows.prefetch_related("phases")), subscription.customer
    with CaptureQueriesContext(connection) as asked:
        (found,) = known.fetch({"customer": customer})
        assert (found.customer, len(found.phases.all())) == (customer, 1)
    assert len(asked) == 2


def test_what_it_brings_along_stands_in_its_order_with_the_row_that_it_names(subscription):
    invoices = [*subscription.invoices.all()]
    lines = Invoice.objects.filter(customer=Slot("customer")).prefetch_related("lines")
    (found,) = Remembered(lines).fetch({"customer": subscription.customer})
    with CaptureQueriesContext(connection) as asked:
        shown = list(found.lines.all())
        assert all(line.invoice is found for line in shown)
    assert (len(asked), shown) == (0, list(invoices[0].lines.all()))
    assert shown
    assert (
        Remembered(lines).fetch({"customer": Customer.objects.create(name="None", email="a@b.example")}) == []
    )


def test_it_brings_only_rows_that_name_its_own():
    with pytest.raises(TypeError, match="plan"):
        Remembered(Phase.objects.prefetch_related("plan"))


def test_it_reads_json_as_the_field_does(firms):
    metadata = {"a": [1.5, None, True, "é"], "b": {"c": -(2**53)}}
    Customer.objects.filter(pk=firms[0].pk).update(metadata=metadata)
    known = Remembered(Customer.objects.filter(name=Slot("name")))
    assert known.fetch({"name": firms[0].name})[0].metadata == metadata


def test_it_annotates_as_the_query_does(subscription):
    wanted = subscriptions(livemode=False)
    (found,), slow = Remembered(wanted).fetch({}), wanted.get()
    assert (found.phase_rows, found.last_invoice) == (slow.phase_rows, slow.last_invoice)
    assert found.phase_rows


@pytest.mark.django_db(transaction=True)
def test_threads_share_it():
    firms = [Customer.objects.create(name=f"Firm {n}", email="a@firm.example") for n in range(4)]
    known, wrong = Remembered(Customer.objects.filter(name=Slot("name"))), []

    def ask(firm):
        wrong.extend(firm.name for _ in range(20) if known.fetch({"name": firm.name}) != [firm])
        connection.close()

    threads = [threading.Thread(target=ask, args=(firm,)) for firm in firms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_lists_find_by_whatever_is_asked_for(api, make_customer, subscribe):
    """Every filter of the lists whose queries are remembered, asked twice with other values."""
    firms = [make_customer(name=name, external_id=name) for name in ("50 % Off_Ltd", "Bühler")]
    subs = [subscribe(firm) for firm in firms]
    papers = [sub.invoices.get() for sub in subs]
    ids = lambda path, **query: [row["id"] for row in api.get(path, **query).json()["results"]]  # noqa: E731
    for firm, sub, paper in zip(firms, subs, papers, strict=True):
        assert ids("customers", q=firm.name.replace("%", "%25").upper()) == [firm.pk]
        assert ids("customers", email=firm.email.upper(), segment="smb", motion="self_serve") == [firm.pk]
        assert ids("customers", external_id=firm.name.replace("%", "%25")) == [firm.pk]
        assert ids("invoices", customer=firm.pk, status="open") == [paper.pk]
        assert ids("invoices", subscription=sub.pk) == [paper.pk]
        assert ids("invoices", subscription=sub.pk, status="void") == []
        assert len(ids("events", customer=firm.pk, type="invoice.finalized")) == 1
    assert ids("customers", q="%25") == [firms[0].pk]
    assert ids("customers", q="_l") == [firms[0].pk]
    assert ids("customers", owner="nobody@firm.example") == []
    everything = ids("events", limit=100)
    assert ids("events", limit=100, after=0) == everything[::-1]
    assert ids("events", after=everything[3]) == everything[2::-1]
    first = api.get("events", after=0, limit=1, type="invoice.finalized").json()
    assert api.get(first["next"].partition("/api/v1/")[2]).json()["results"][0]["object"] == papers[1].pk

"""Many rows in one statement: what goes in comes out, whatever it is."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Count, Sum
from django.test.utils import CaptureQueriesContext

from billing import bulk
from billing.models import Customer, Discount, Document, PaymentMethod, TaxRate, UsageDay, User
from billing.models.ids import new_id

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 15, 12, 30, 1, 250, tzinfo=UTC)
AWKWARD = [
    "", " ", "\\", "\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "\\t", "'quoted' \"twice\"", "{a,b}", "NULL",
    "Ærøskøbing", "日本", "שלום", "\u2028line\u2028", "😀", "\x01", "a" * 200,
]  # fmt: skip


def customers(**fields):
    return [{"id": new_id("cus"), "name": "A", "email": "a@a.example", "created_at": NOW, **fields}]


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_it_copies_any_text_as_it_is(text):
    [row] = customers(name=text, billing_address={"line1": text, text or "-": [text]})
    bulk.copy(Customer, [row])
    stored = Customer.objects.get()
    assert (stored.pk, stored.name) == (row["id"], text)
    assert stored.billing_address == row["billing_address"]


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_it_writes_a_few_rows_of_several_tables_as_they_are(text):
    [row] = customers(name=text, billing_address={"line1": text, text or "-": [text]})
    other = Customer(name="B", email="b@b.example", metadata={"k": text})
    with CaptureQueriesContext(connection) as asked:
        bulk.store(
            [other],
            (TaxRate, [{"id": new_id("tax"), "country": "IE", "name": "VAT", "percentage": Decimal("23.5")}]),
        )
        bulk.write((Customer, [row]), (TaxRate, []))
    assert len(asked) == 2
    stored, second = Customer.objects.get(pk=row["id"]), Customer.objects.get(pk=other.pk)
    assert (stored.name, stored.billing_address) == (text, row["billing_address"])
    assert (second.name, second.metadata, second.created_at) == ("B", {"k": text}, other.created_at)
    assert TaxRate.objects.get().percentage == Decimal("23.5")
    other.name = "C"
    other.save()
    assert Customer.objects.filter(name="C").count() == 1


def test_it_writes_many_rows_by_a_copy_for_each_table():
    rows = [row for _ in range(bulk.FEW) for row in customers()]
    rates = [{"id": new_id("tax"), "country": "IE", "name": "VAT", "percentage": Decimal(23)}]
    with CaptureQueriesContext(connection) as asked:
        bulk.write((Customer, rows), (TaxRate, rates))
    assert [each["sql"][:4] for each in asked] == ["COPY", "COPY"]
    assert (Customer.objects.count(), TaxRate.objects.count()) == (bulk.FEW, 1)


def test_it_writes_nothing_where_one_value_is_too_long():
    with pytest.raises(DataError), transaction.atomic():
        bulk.write(
            (TaxRate, [{"id": new_id("tax"), "country": "IRL", "name": "VAT", "percentage": Decimal(23)}]),
            (Customer, customers()),
        )
    assert not Customer.objects.exists()


def test_it_claims_a_row_once_and_stores_what_comes_with_it_only_then():
    [row] = customers()
    bulk.copy(Customer, [row])
    wanted = Customer.objects.filter(pk=row["id"], name="A")
    for claimed in (True, False):
        rate = TaxRate(country="IE", name="VAT", percentage=Decimal(23))
        assert bulk.claim(wanted, {"name": "B", "metadata": {"n": 1}}, rate) is claimed
        assert rate._state.adding is not claimed
    assert Customer.objects.get().name == "B"
    assert TaxRate.objects.count() == 1


@pytest.mark.parametrize("there", [True, False])
def test_it_claims_several_rows_at_once_and_stores_what_comes_with_them_only_where_all_are_there(there):
    rows = [*customers(), *customers()]
    bulk.copy(Customer, rows)
    names = ["A", "A" if there else "Z"]
    wanted = [Customer.objects.filter(pk=row["id"], name=n) for row, n in zip(rows, names, strict=True)]
    rate = TaxRate(country="IE", name="VAT", percentage=Decimal(23))
    with CaptureQueriesContext(connection) as asked:
        found = bulk.claim_all([(each, {"name": f"B{n}"}) for n, each in enumerate(wanted)], [rate])
    assert (found, len(asked)) == ([True, there], 1)
    assert TaxRate.objects.exists() is there
    assert Customer.objects.filter(name__startswith="B").count() == 1 + there


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_it_claims_a_row_that_is_still_so_whatever_the_text(text):
    row = Customer.objects.create(name=text, email="a@a.example")
    wanted = bulk.Still(row, {"name": row.name, "external_id": None, "segment": row.segment})
    other = Customer.objects.create(name=text, email="a@a.example")
    owner = User.objects.create(email="a@a.example")
    changes = {"external_id": text or None, "metadata": {"k": text}, "owner": owner, "balance": 5}
    assert bulk.claim(wanted, changes)
    stored = Customer.objects.get(pk=row.pk)
    assert (stored.external_id, stored.metadata) == (text or None, {"k": text})
    assert (stored.owner_id, stored.balance) == (owner.pk, 5)
    assert Customer.objects.get(pk=other.pk).balance == 0


@pytest.mark.parametrize(
    "so", [{"name": "Z"}, {"name": "A", "net_days": 30}, {"name": "A", "external_id": None}]
)
def test_it_leaves_a_row_that_is_no_longer_so(so):
    row = Customer.objects.create(name="A", email="a@a.example", external_id="x")
    rate = TaxRate(country="IE", name="VAT", percentage=Decimal(23))
    assert not bulk.claim(bulk.Still(row, so), {"name": "B"}, rate)
    assert Customer.objects.get(pk=row.pk).name == "A"
    assert not TaxRate.objects.exists()


def test_a_statement_is_the_same_for_any_number_of_rows():
    """So that a connection plans it once."""
    with CaptureQueriesContext(connection) as asked:
        bulk.write((Customer, customers()))
        bulk.write((Customer, customers() + customers()))
    one, two = (each["sql"].partition(" from jsonb_to_recordset")[0] for each in asked)
    assert (one, Customer.objects.count()) == (two, 3)


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_it_updates_any_text_as_it_is(text):
    [row] = customers()
    bulk.copy(Customer, [row])
    bulk.update(Customer, [{**row, "name": text, "metadata": {"k": text}}], ["name", "metadata"])
    stored = Customer.objects.get()
    assert (stored.name, stored.metadata) == (text, {"k": text})


def test_it_copies_every_kind_of_value(catalogue):
    from billing.models import Meter

    rows = customers(net_days=None, livemode=True, metadata={"big": 2**70, "none": None})
    bulk.copy(Customer, rows)
    stored = Customer.objects.get()
    assert (stored.net_days, stored.livemode, stored.created_at) == (None, True, NOW)
    assert stored.metadata == {"big": 2**70, "none": None}
    day = {"customer_id": stored.pk, "meter_id": Meter.objects.first().pk, "day": date(2026, 2, 28)}
    bulk.copy(
        UsageDay, [{**day, "total": Decimal("1E+3"), "peak": Decimal("-0.000000000001"), "last_at": NOW}]
    )
    kept = UsageDay.objects.get()
    assert (kept.day, kept.total, kept.peak, kept.last) == (date(2026, 2, 28), 1000, Decimal("-1E-12"), None)
    assert kept.last_at == NOW


@pytest.mark.parametrize("beside", [0, bulk.FEW])
def test_it_writes_bytes_and_lists_as_they_are(beside):
    """By one statement, and by COPY."""
    content, codes = b"%PDF \\ \x00\xff\n", ['a,"b"\\', "", "{}", "NULL", "日本"]
    paper = Document(name="a.pdf", content=content, sha256="0" * 64, created_at=NOW)
    discount = Discount(percent_off=Decimal(5), prices=codes)
    bulk.store([paper, discount], (Customer, [row for _ in range(beside) for row in customers()]))
    assert bytes(Document.objects.get().content) == content
    stored = Discount.objects.get()
    assert (stored.prices, stored.meters, stored.parts) == (codes, [], [])


def test_it_fills_what_rows_leave_out():
    bulk.copy(Customer, customers())
    stored = Customer.objects.get()
    assert (stored.timezone, stored.balance, stored.metadata, stored.external_id) == ("UTC", 0, {}, None)


def test_it_stores_instances_of_which_one_leaves_to_the_database_what_another_gives():
    for country, both in (
        ("DE", [{}, {"product_category": "books"}]),
        ("FR", [{"product_category": "food"}, {}]),
    ):
        bulk.store([TaxRate(name="VAT", percentage=19, country=country, **each) for each in both])
    stored = TaxRate.objects.filter(name="VAT").values_list("product_category", flat=True)
    assert sorted(stored) == ["", "", "books", "food"]


def test_it_lets_the_database_judge_every_value():
    for bad, error in (({"id": "cus_nonsense"}, DataError), ({"balance": -1}, IntegrityError)):
        with pytest.raises(error), transaction.atomic():
            bulk.copy(Customer, customers(**bad))


def test_it_refuses_text_that_is_too_long():
    [row] = customers()
    with pytest.raises(DataError), transaction.atomic():
        bulk.copy(Customer, customers(name="a" * 201))
    bulk.copy(Customer, [row])
    with pytest.raises(DataError), transaction.atomic():
        bulk.update(Customer, [{**row, "name": "a" * 201}], ["name"])


def test_it_updates_many_rows_in_one_statement():
    rows = [row for n in range(50) for row in customers(name=f"Customer {n}")]
    bulk.copy(Customer, rows)
    other = customers(name="Other")
    bulk.copy(Customer, other)
    changed = [{**row, "arr": n, "net_days": n or None} for n, row in enumerate(rows)]
    with CaptureQueriesContext(connection) as queries:
        bulk.update(Customer, changed, ["arr", "net_days"])
    assert len(queries) == 1
    found = {row.pk: (row.name, row.arr, row.net_days) for row in Customer.objects.all()}
    assert found == {
        **{row["id"]: (row["name"], n, n or None) for n, row in enumerate(rows)},
        other[0]["id"]: ("Other", 0, None),
    }


def test_it_does_nothing_for_no_rows():
    with CaptureQueriesContext(connection) as queries:
        bulk.copy(Customer, [])
        bulk.update(Customer, [], ["arr"])
    assert len(queries) == 0


def test_it_reads_several_small_tables_at_once_as_each_alone_would():
    bulk.copy(Customer, customers(name="ß\t\\N", arr=10**15, billing_address={"n": [1, {"line1": "a"}]}))
    TaxRate.objects.create(name="Half", percentage=Decimal("19.125"), country="DE")
    TaxRate.objects.create(name="None", percentage=Decimal("0.1"), country="FR")
    PaymentMethod.objects.create(
        customer=Customer.objects.get(), provider_id="pm_1", exp_month=12, exp_year=2040
    )
    wanted = [
        Customer.objects.defer("metadata"), TaxRate.objects.filter(name="Half"), TaxRate.objects.order_by("-name"),
        Customer.objects.filter(name="nobody"), PaymentMethod.objects.all(),
    ]  # fmt: skip
    with CaptureQueriesContext(connection) as asked:
        found = bulk.read(*wanted)
    assert len(asked) == 1
    for rows, same in zip(found, wanted, strict=True):
        assert [vars_of(row) for row in rows] == [vars_of(row) for row in same]
    assert found[0][0].get_deferred_fields() == {"metadata"}


def vars_of(row):
    return {name: (type(value), value) for name, value in vars(row).items() if name != "_state"}


def test_it_reads_sums_and_joins_and_plain_sql_at_once_as_each_alone_would():
    [one] = rows = customers(name="ß\t100 %", arr=7)
    bulk.copy(Customer, rows)
    wanted = [
        Customer.objects.values_list("pk", "name", "created_at", "arr"),
        Customer.objects.order_by().values_list("segment__name").annotate(n=Count("pk"), sum=Sum("arr")),
        Customer.objects.filter(name="ß\t100 %")
        .values_list("pk")
        .union(Customer.objects.none().values_list("pk")),
        Customer.objects.filter(name="nobody").values_list("pk"),
        Customer.objects.values("country").annotate(at=ArrayAgg("created_at")).values_list("country", "at"),
    ]
    with CaptureQueriesContext(connection) as asked:
        *found, plain = bulk.tables(*wanted, ("select %(n)s::numeric + 0.10 as n, 'a' as a", {"n": 1}))
    assert len(asked) == 1
    assert found == [list(rows) for rows in wanted]
    assert found[0][0][0] == one["id"]
    assert plain == [(Decimal("1.10"), "a")]

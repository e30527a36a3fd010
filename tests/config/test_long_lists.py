"""Lists of tables with very many rows: what they count, how far one leafs, what they are sorted by, how they are
looked through, and that none of it reads a table whole."""

import json

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.admin import lists
from billing.models import Customer, Event, Invoice, Payment, Subscription, UsageDay
from sales.models import Lead
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
EVENTS, CUSTOMERS, LEADS = "/admin/billing/event/", "/admin/billing/customer/", "/admin/sales/lead/"
GROWING = [model for model, table in admin.site._registry.items() if getattr(table, "grows", False)]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    monkeypatch.setattr(lists, "MOST", 4)


@pytest.fixture
def customers(make_customer):
    return [make_customer(name=f"Nova {n}", email=f"n{n}@x.example", external_id=f"n{n}") for n in range(6)]


def shown(browser, where, **asked):
    answer = browser.get(where, asked)
    assert answer.status_code == 200, answer.status_code
    return answer.context["cl"]


def test_it_counts_so_many_and_says_that_there_are_more(admin_client, customers):
    page = admin_client.get(CUSTOMERS)
    assert str(page.context["cl"].result_count) == "4+"
    assert "4+ customers" in " ".join(page.text.split())
    assert "4+" in admin_client.get(CUSTOMERS, {"q": "Nova"}).text
    assert shown(admin_client, CUSTOMERS, q="Nova 3").result_count == 1


def test_its_pages_end_with_what_it_counts(admin_client, customers, monkeypatch):
    monkeypatch.setattr(admin.site._registry[Customer], "list_per_page", 2)
    assert [row.name for row in shown(admin_client, CUSTOMERS, o="1", p=2).result_list] == [
        "Nova 2",
        "Nova 3",
    ]
    assert shown(admin_client, CUSTOMERS, o="1").paginator.num_pages == 2
    assert admin_client.get(CUSTOMERS, {"o": "1", "p": 3}).status_code == 302


def test_a_page_has_the_same_rows_in_the_same_order_as_without_keys_first(
    admin_client, customers, monkeypatch
):
    monkeypatch.setattr(lists, "MOST", 100)
    monkeypatch.setattr(admin.site._registry[Customer], "list_per_page", 2)
    asked = {"o": "-1", "collection_method__exact": "charge_automatically"}
    pages = [
        [row.name for row in shown(admin_client, CUSTOMERS, **asked, p=n).result_list] for n in (1, 2, 3)
    ]
    assert pages == [["Nova 5", "Nova 4"], ["Nova 3", "Nova 2"], ["Nova 1", "Nova 0"]]


def test_more_than_it_counts_stand_in_an_order_that_an_index_has(admin_client, customers):
    by_day = shown(admin_client, EVENTS, o="0")
    assert by_day.paginator.unsorted
    page = admin_client.get(EVENTS, {"o": "0"})
    assert "More than 4: narrow them down to sort them by this column." in page.text
    numbers = [row.number for row in by_day.result_list]
    assert len(numbers) >= 4
    assert numbers == sorted(numbers, reverse=True)
    by_type = shown(admin_client, EVENTS, o="4")
    assert not by_type.paginator.unsorted


def test_fewer_are_sorted_by_any_column(admin_client, customers):
    asked = {"o": "0", "type": "customer.created", "q": "Nova 1"}
    assert not shown(admin_client, EVENTS, **asked).paginator.unsorted
    assert "narrow them down" not in admin_client.get(EVENTS, asked).text


def test_what_is_worked_out_sorts_few_alone(admin_client, customers, subscribe):
    for each in customers:
        subscribe(each, "starter", "month", quantity=None)
    assert shown(admin_client, "/admin/billing/subscription/", o="1").paginator.unsorted
    assert not shown(admin_client, "/admin/billing/subscription/", o="3").paginator.unsorted


def test_the_calendar_of_very_many_spans_all_of_them(admin_client, sales_catalogue):
    for year in (2021, 2023, 2024, 2024, 2025, 2026):
        row = Lead.objects.create(name="A", email="a@more.example", company="A")
        Lead.objects.filter(pk=row.pk).update(created_at=NOON.replace(year=year, month=5, day=3))
    offered = [each["title"] for each in shown(admin_client, LEADS, o="1").calendar()["choices"]]
    assert (offered[0], offered[-1]) == ("2021", "2026")
    narrowed = shown(admin_client, LEADS, o="1", created_at__year="2024").calendar()
    assert [each["title"] for each in narrowed["choices"]] == ["May 2024"]


def test_very_many_of_one_year_offer_its_months(admin_client, sales_catalogue):
    for month in (2, 2, 3, 4, 5, 6):
        row = Lead.objects.create(name="A", email="a@more.example", company="A")
        Lead.objects.filter(pk=row.pk).update(created_at=NOON.replace(year=2025, month=month, day=3))
    row = Lead.objects.create(name="A", email="a@more.example", company="A")
    Lead.objects.filter(pk=row.pk).update(created_at=NOON.replace(year=2026, month=1, day=3))
    narrowed = shown(admin_client, LEADS, o="1", created_at__year="2025").calendar()
    assert next(each["title"] for each in narrowed["choices"]) == "February 2025"
    assert {each["title"].split()[1] for each in narrowed["choices"]} == {"2025"}


def test_a_growing_list_is_looked_through_by_customers_and_by_whole_texts(admin_client, customers):
    found = shown(admin_client, EVENTS, q="nova 2")
    assert {row.customer for row in found.result_list} == {customers[2]}
    assert found.result_count
    by_id = shown(admin_client, EVENTS, q=f" {customers[1].pk} ").result_list
    assert {row.object_id for row in by_id} == {customers[1].pk}
    assert shown(admin_client, EVENTS, q=customers[1].pk[:-1]).result_count == 0


def test_one_that_has_not_grown_yet_is_looked_through_for_parts_of_texts(admin_client, things, monkeypatch):
    monkeypatch.setattr(lists, "MOST", 10_000)
    number = Invoice.objects.exclude(number="").first().number
    found = shown(admin_client, "/admin/billing/invoice/", q=number[-6:].lower()).result_list
    assert number in {row.number for row in found}
    monkeypatch.setattr(lists, "MOST", 0)
    assert not shown(admin_client, "/admin/billing/invoice/", q=number[-6:].lower()).result_list


@pytest.mark.parametrize(
    ("where", "part"),
    [("billing/mail", "your mess"), ("billing/webhookdelivery", "created"), ("sales/signal", "engag")],
)
def test_words_of_no_index_are_looked_through_until_it_has_grown(
    admin_client, things, monkeypatch, where, part
):
    monkeypatch.setattr(lists, "MOST", 10_000)
    assert shown(admin_client, f"/admin/{where}/", q=part).result_list
    monkeypatch.setattr(lists, "MOST", 0)
    assert not shown(admin_client, f"/admin/{where}/", q=part).result_list


def test_a_number_is_found_as_it_is_written_or_in_small_letters(admin_client, things):
    number = Invoice.objects.exclude(number="").first().number
    for typed in (number, number.lower(), f" {number} "):
        assert [
            row.number for row in shown(admin_client, "/admin/billing/invoice/", q=typed).result_list
        ] == [number]


def test_nothing_is_counted_for_each_choice_of_a_filter(admin_client, customers):
    assert not shown(admin_client, CUSTOMERS, _facets="True").add_facets
    assert "_facets" not in admin_client.get(CUSTOMERS).text


# -- No table is read whole ---------------------------------------------------------------------------------


def nodes(plan):
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def plans(browser, model, *, without="enable_seqscan enable_sort", **asked):
    """How the statements of a page that name the table are run where an index is taken if there is one."""
    where = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    with CaptureQueriesContext(connection) as seen:
        shown(browser, where, **asked)
    table = f'FROM "{model._meta.db_table}"'
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(f"set local {name} = off" for name in without.split()))
        for each in seen:
            if table in each["sql"] and each["sql"].lstrip("(").upper().startswith("SELECT"):
                cursor.execute(f"explain (format json) {each['sql']}")
                (told,) = cursor.fetchone()
                told = told if isinstance(told, list) else json.loads(told)
                yield list(nodes(told[0]["Plan"]))


def of(table, found):
    return [node for node in found if node.get("Relation Name") == table]


@pytest.mark.parametrize("model", GROWING, ids=lambda model: model._meta.model_name)
def test_the_first_page_of_a_growing_list_is_led_by_an_index(admin_client, things, model):
    [opens, *_] = admin.site._registry[model].ordering or model._meta.ordering
    # So few rows stand on one page, without a limit that an index would have to lead to.
    assert opens.lstrip("-") in lists.indexed(model)
    found = list(plans(admin_client, model, all=""))
    assert found
    for each in found:
        assert not [node for node in of(model._meta.db_table, each) if node["Node Type"] == "Seq Scan"]
        for node in each:
            if node["Node Type"] == "Limit":
                assert "Sort" not in node["Plans"][0]["Node Type"], node


@pytest.mark.parametrize("model", GROWING, ids=lambda model: model._meta.model_name)
def test_what_a_growing_list_is_looked_through_for_is_in_its_indexes(
    admin_client, things, model, monkeypatch
):
    monkeypatch.setattr(lists, "long", lambda model: True)
    # So few rows would be read by any index from its beginning to its end.
    without = "enable_seqscan enable_indexscan enable_indexonlyscan"
    (count, *_) = plans(admin_client, model, without=without, q="Nova")
    scans = of(model._meta.db_table, count)
    assert scans
    assert all("Scan" in node["Node Type"] and node["Node Type"] != "Seq Scan" for node in scans)
    assert all("Index Cond" in node or "Recheck Cond" in node for node in scans), scans


def test_the_tables_that_grow_with_time_are_known_to(sales_catalogue):
    assert {Event, Invoice, Payment, UsageDay} < set(GROWING)
    assert not {Customer, Subscription} & set(GROWING)

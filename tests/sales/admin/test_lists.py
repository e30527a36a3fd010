"""The lists that sales works in: as they were left, in few statements, and with words where nothing is yet."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import bulk
from billing.models import Customer, Event
from billing.models.ids import new_id, uuid7
from sales import catalogue as shipped
from sales import leads, watching
from sales.admin.customers import events_of
from sales.models import Deal, HandoffTask, Lead, Rule, Signal
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
MOST = 3
LISTS = ["handofftask", "lead", "deal", "quote"]


def at(name):
    return f"/admin/sales/{name}/"


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_says_what_will_be_there(browser, sales_catalogue, name):
    page = browser.get(at(name), follow=True)
    assert 'class="empty"' in page.text
    assert 'id="keys"' in page.text
    assert "tandem/keys.js" in page.text
    assert "Nothing found" in browser.get(at(name), {"q": "nobody"}).text


def test_a_list_opens_as_it_was_left(browser, sales_catalogue):
    browser.get(at("lead"), {"status__exact": "open", "q": "nova", "p": "1"})
    again = browser.get(at("lead"))
    assert (again.status_code, again.headers["Location"]) == (
        302,
        "/admin/sales/lead/?status__exact=open&q=nova",
    )
    assert browser.get(at("quote")).status_code == 200


def test_all_means_all(browser, sales_catalogue):
    browser.get(at("lead"), {"status__exact": "open"})
    cleared = browser.get(
        at("lead"), headers={"referer": "http://testserver/admin/sales/lead/?status__exact=open"}
    )
    assert cleared.status_code == 200
    assert browser.get(at("lead")).status_code == 200


def test_a_wrong_filter_is_not_a_trap(browser, sales_catalogue):
    browser.get(at("lead"), {"nonsense": "1"})
    page = browser.get(at("lead"), follow=True)
    assert page.status_code == 200
    assert len(page.redirect_chain) < 4


def test_another_person_has_their_own(browser, client, sales_catalogue, staff):
    browser.get(at("lead"), {"status__exact": "open"})
    client.force_login(staff("sam"))
    assert client.get(at("lead")).status_code == 200


# -- As many statements for many rows as for few


def grow(size):
    for n in range(size):
        leads.contact(
            name=f"Kim {n}", email=f"kim{n}@c{size}x{n}.example", company=f"C{size}-{n}", plan="enterprise",
            now=NOON, actor="buyer",
        )  # fmt: skip
    for lead in Lead.objects.filter(company__startswith=f"C{size}-"):
        leads.take_on(lead=lead, now=NOON, actor="user:1")


def statements(browser, address):
    """Apart from the session, the reader and what they may do, which every page of the admin asks for."""
    browser.get(address)
    with CaptureQueriesContext(connection) as seen:
        assert browser.get(address).status_code == 200
    own = ("django_session", "billing_user", "auth_permission", "SAVEPOINT")
    return [q["sql"] for q in seen if not any(word in q["sql"].partition("WHERE")[0] for word in own)]


ADDRESSES = [*(f"{at(name)}?o=1" for name in LISTS), "/admin/sales/signal/?o=1", "/admin/sales/deal/board/"]


def test_lists_take_the_same_statements_whatever_their_length(browser, sales_catalogue, rita):
    grow(3)
    few = {address: statements(browser, address) for address in ADDRESSES}
    grow(30)
    for address in ADDRESSES:
        many = statements(browser, address)
        assert len(many) == len(few[address]), (address, many)
        assert len(many) <= MOST, (address, many)


def test_the_list_of_deals_says_their_signals_without_asking_for_each(
    browser, make_customer, sales_catalogue
):
    rule, few = Rule.objects.get(code="demo_requested"), None
    for n in range(3):
        customer = make_customer(None, name=f"C {n}")
        signal = Signal.objects.create(
            customer=customer, rule=rule, weight="high", sentence="Look", occurred_at=NOON, dedupe_key=str(n)
        )
        Deal.objects.create(name=f"D {n}", customer=customer, source_signal=signal)
        asked = len(statements(browser, "/admin/sales/deal/?stage__exact=discovery"))
        few = few or asked
    assert asked == few <= MOST


@pytest.mark.parametrize(
    ("group", "opens"),
    [(shipped.REPS, "mine"), (shipped.MANAGERS, "now"), (shipped.DIRECTORS, "now"), (shipped.ADMINS, "now"),
     (shipped.SUPPORT, "now"), (shipped.READ_ONLY, "now")],
)  # fmt: skip
def test_the_queue_opens_with_what_its_reader_has_to_do(client, staff, group, opens):
    client.force_login(staff("una", group))
    assert client.get(at("handofftask")).headers["Location"] == f"/admin/sales/handofftask/?queue={opens}"


def test_a_queue_opens_as_it_was_left_and_all_is_one_press_away(browser, sales_catalogue):
    page = browser.get(at("handofftask"), {"queue": "now"})
    assert "<bdi>Everybody&#x27;s to do</bdi>" in page.text
    assert browser.get(at("handofftask")).headers["Location"] == "/admin/sales/handofftask/?queue=now"
    left = {"referer": "http://testserver/admin/sales/handofftask/?queue=now"}
    assert browser.get(at("handofftask"), headers=left).status_code == 200


def test_a_rep_with_nothing_to_do_is_shown_the_way_to_everybodys(browser, sales_catalogue):
    page = browser.get(at("handofftask"), {"queue": "mine"}).text
    assert "Nothing waits for you" in page
    assert 'href="?queue=now"' in page.partition("Nothing waits for you")[2]


def test_a_rule_takes_no_threshold_that_it_would_not_look_at(boss, sales_catalogue):
    page = boss.get(at("rule"))
    forms = page.context["cl"].formset.forms
    sent = {f"{form.add_prefix(name)}": form[name].value() or "" for form in forms for name in form.fields}
    sent |= {"form-TOTAL_FORMS": len(forms), "form-INITIAL_FORMS": len(forms), "_save": "Save"}
    demo = next(form for form in forms if form.instance.code == "demo_requested")
    large = next(form for form in forms if form.instance.code == "large_upgrade")
    assert f'aria-label="Threshold: {large.instance}"' in page.text
    assert (
        boss.post(
            at("rule"), {**sent, demo.add_prefix("threshold"): "7", large.add_prefix("threshold"): "20000"}
        ).status_code
        == 302
    )
    assert Rule.objects.get(code="demo_requested").threshold is None
    assert Rule.objects.get(code="large_upgrade").threshold == 20_000


def test_rules_say_what_came_of_their_signals_and_read_them_once(boss, make_customer, sales_catalogue):
    one, other = make_customer(None, name="One"), make_customer(None, name="Other")
    demo, near = Rule.objects.get(code="demo_requested"), Rule.objects.get(code="usage_near_limit")

    def task(customer, status):
        return HandoffTask.objects.create(customer=customer, status=status, reason="Call", due_on=NOON.date())

    won, lost, waits = task(one, "won"), task(other, "lost"), task(one, "open")
    told = [(demo, won), (demo, won), (demo, lost), (demo, waits), (demo, None), (near, waits)]
    Signal.objects.bulk_create(
        Signal(customer=one, rule=rule, weight="high", sentence="Look", occurred_at=NOON, task=task, dedupe_key=str(n))
        for n, (rule, task) in enumerate(told)
    )  # fmt: skip
    page = boss.get(at("rule"), {"o": "-6"})
    rows = page.context["cl"].result_list
    assert [(rule.code, rule.raised_signals) for rule in rows[:3]] == [
        ("demo_requested", 5), ("usage_near_limit", 1), (rows[2].code, 0),
    ]  # fmt: skip
    assert "1 of 2 (50\N{NO-BREAK SPACE}%)" in page.text
    plan = watching.with_precision(Rule.objects.all()).explain(format="json")
    assert plan.count('"InitPlan"') == 2
    assert '"SubPlan"' not in plan


def test_a_page_of_rules_left_open_puts_no_row_back(boss, sales_catalogue):
    formset = boss.get(at("rule")).context["cl"].formset
    sent = {"form-TOTAL_FORMS": len(formset.forms), "form-INITIAL_FORMS": len(formset.forms), "_save": "Save"}
    for form in formset.forms:
        for name in form.fields:
            shown = form[name].value()
            sent[form.add_initial_prefix(name)] = "" if shown is None else str(shown)
            sent |= {form.add_prefix(name): str(shown)} if shown not in (None, False) else {}
    engagement = next(form for form in formset.forms if form.instance.code == "engagement")
    Rule.objects.filter(code="large_upgrade").update(threshold=15_000)
    boss.post(at("rule"), {**sent, engagement.add_prefix("threshold"): "60"})
    assert Rule.objects.get(code="large_upgrade").threshold == 15_000
    assert Rule.objects.get(code="engagement").threshold == 60


# -- By index, however many customers


def fill(owners, number=10_000):
    """So many customers with an open task and four facts each."""
    customers, tasks, events = [], [], []
    for n in range(number):
        pk = new_id("cus")
        customers.append({"id": pk, "name": f"C {n}", "email": f"c{n}@c{n}.example", "created_at": NOON})
        tasks.append(
            {"id": new_id("task"), "customer_id": pk, "owner_id": owners[n % len(owners)].pk, "reason": "Call",
             "due_on": NOON.date() + timedelta(days=n % 50), "score": n % 9, "raised_at": NOON}
        )  # fmt: skip
        events += [
            {"id": uuid7(), "type": kind, "object_id": pk, "sequence": k, "customer_id": pk, "actor": "system",
             "at": NOON + timedelta(hours=k), "recorded_at": NOON}
            for k, kind in enumerate(["customer.created", "invoice.paid", "signal.created", "invoice.sent"], 1)
        ]  # fmt: skip
    for model, rows in ((Customer, customers), (HandoffTask, tasks), (Event, events)):
        bulk.copy(model, rows)
    with connection.cursor() as cursor:
        cursor.execute("analyze billing_customer, sales_handofftask, billing_event")
    return Customer.objects.get(pk=customers[number // 2]["id"])


def test_queue_and_timeline_are_found_by_index_among_ten_thousand(sales_catalogue, staff):
    owners = [staff(f"rep{n}") for n in range(20)]
    customer = fill(owners)
    mine = HandoffTask.objects.filter(owner=owners[3], status__in=HandoffTask.OPEN)
    for rows, index in ((mine[:100], "task_queue"), (events_of(customer), "billing_event")):
        plan = rows.explain()
        assert "Seq Scan" not in plan
        assert re.search(rf"Index Scan (using|on) ({index}|event_by_customer)", plan), plan


def test_a_phone_is_told_what_each_figure_is(browser, make_customer):
    make_customer(name="<b>Nova</b>", country="IE")
    page = browser.get("/admin/billing/customer/")
    assert 'data-label="Country" class="field-country">IE</td>' in page.text
    assert re.search(r'data-label="Owner" data-empty class="field-owner[^"]*">–</td>', page.text)
    assert "&lt;b&gt;Nova" in page.text
    assert "<b>Nova" not in page.text


def test_figures_have_the_digits_that_they_need_and_states_their_colour(
    admin_client, make_customer, subscribe, clock
):
    subscribe(customer=make_customer(test_clock=clock), plan="pro", quantity=3)
    prices = " ".join(admin_client.get("/admin/billing/price/").text.split())
    assert "$29.00</td>" in prices
    assert "0000000" not in prices
    subscriptions = admin_client.get("/admin/billing/subscription/").text
    assert re.search(r'class="badge badge--(good|info)">(Active|Trialing)</span>', subscriptions)

"""Sales' own screens in a real browser: the board by hand and by mouse, rules that are tried, automations from nothing,
a decision in a colleague's place, and the lists.
"""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import expect

from billing import correcting, mail, metering
from billing.models import BillingFailure, BillingRun, Plan, User
from sales import approving, automating, catalogue, deals, leads, quoting
from sales.models import ApprovalDelegate, Deal, HandoffTask, Quote, Rule
from tests.browser.looking import open_to_everybody, sound
from tests.fixtures_billing import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def in_column(page, stage):
    return page.locator(f"[data-stage={stage}] .board__card")


def test_cards_are_dragged_refused_and_put_back(open_page, people, make_customer):
    rita: User = people[0]
    customer = make_customer(name="Nova")
    rows = [
        deals.open_deal(name=name, customer=customer, now=NOON, amount=1000_00)
        for name in ("First", "Second")
    ]
    page = open_page("/admin/sales/deal/board/", 1280, rita)
    sound(page)
    in_column(page, "discovery").filter(has_text="First").drag_to(page.locator("[data-stage=negotiation]"))
    expect(page.get_by_text("First: negotiation.")).to_be_visible()
    expect(in_column(page, "negotiation")).to_have_count(1)
    assert Deal.objects.get(pk=rows[0].pk).stage == "negotiation"

    deals.set_stage(deal=rows[1], stage="won", now=NOON, actor="user:1")  # a colleague was faster
    in_column(page, "discovery").drag_to(page.locator("[data-stage=proposal]"))
    expect(page.get_by_text("this deal is “won” by now")).to_be_visible()
    expect(in_column(page, "proposal")).to_have_count(0)

    page.context.set_offline(True)
    in_column(page, "negotiation").drag_to(page.locator("[data-stage=proposal]"))
    expect(page.get_by_text("It was not moved")).to_be_visible()
    expect(in_column(page, "negotiation")).to_have_count(1)
    page.context.set_offline(False)

    page.get_by_label("Move to").select_option("lost")
    page.get_by_role("button", name="Move", exact=True).press("Enter")
    expect(page.get_by_text("First: lost.")).to_be_visible()
    in_column(page, "lost").drag_to(page.locator("[data-stage=won]"))
    expect(page.get_by_text("It may go to: Discovery, Proposal, Negotiation.")).to_be_visible()
    page.complaints[:] = [words for words in page.complaints if "DISCONNECTED" not in words]
    sound(page)


def walk(page, target, most=150):
    """By Tab alone, and what has the focus is seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            expect(target).to_be_in_viewport()
            return
    raise AssertionError(f"Tab does not come to {target}.")


def test_a_day_is_worked_by_keyboard_alone(open_page, people, make_customer, subscribe, run_jobs):
    rita, customer = people[0], make_customer(name="Nova")
    subscribe(customer, "pro", "month", 3, bill=False)
    leads.ask(customer=customer, about="demo", now=customer.now, actor="member:1", text="Show us roles")
    run_jobs()
    page = open_page("/admin/sales/handofftask/?queue=now", 1280, rita)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    walk(page, page.get_by_role("button", name="Accept the task"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("The task is yours.")).to_be_visible()
    walk(page, page.get_by_role("button", name="Make a quote"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/sales/quote/**")
    for field, value in (("quantity", "60"), ("discount_percent", "10")):
        walk(page, page.locator(f"#id_{field}"))
        page.keyboard.type(value)
    page.keyboard.press("Enter")
    expect(page.get_by_text("$42,660").first).to_be_visible()  # 60 Business seats at 790.00, less a tenth
    quote = Quote.objects.get()
    assert (quote.state, quote.lines.first().quantity, quote.discount_percent) == ("draft", 60, 10)
    walk(page, page.get_by_role("button", name=re.compile("Ask for approval|Send quote")))

    page.goto(f"{page.site}/admin/sales/deal/board/")
    for stage in ("proposal", "negotiation"):  # after the first it goes on from the card that was moved
        walk(page, page.get_by_label("Move to"), most=150 if stage == "proposal" else 3)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(in_column(page, stage)).to_have_count(1)
    assert Deal.objects.get().stage == "negotiation"
    assert page.complaints == []


def test_a_rule_is_tried_by_keyboard_on_a_phone(open_page, people, make_customer):
    make_customer(name="Nova", email="ada@nova.example", employees=60)
    rule = Rule.objects.get(code="company_size")
    page = open_page(f"/admin/sales/rule/{rule.pk}/try/", 390, people[0])
    page.get_by_label("Customer").fill("Nova")
    page.get_by_label("Threshold").fill("50")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="It would fire now")).to_be_visible()
    sound(page)
    assert Rule.objects.get(pk=rule.pk).threshold == 100


def build(page, name, kind, text=""):
    """A new automation on usage, up to its condition."""
    page.goto(f"{page.site}/admin/sales/automation/add/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("When").select_option("usage.threshold_reached")
    page.get_by_label("Action 1").select_option(label=kind)
    page.locator("#id_text_0").fill(text)
    page.get_by_label("Switched on").check()


def use(customer, calls, run_jobs):
    """Calls of the customer's product, and what automations made of them."""
    now = timezone.now()
    event = {
        "id": str(calls),
        "customer": customer.pk,
        "event_name": "api_call",
        "timestamp": now.isoformat(),
    }
    metering.record(events=[{**event, "properties": {"value": str(calls)}}], livemode=False, now=now)
    automating.look(now=timezone.now() + timedelta(minutes=1))
    run_jobs()


def test_automations_are_built_tried_and_followed(open_page, people, make_customer, subscribe, run_jobs):
    customer = make_customer(name="Nova")
    subscribe(customer, "pro", "month", 3, bill=False)
    page = open_page(width=1280, user=people[1])
    build(page, "Call who runs short", "Raise a task", "Call {customer.name}")
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    build(page, "Quote who has used it all", "Draft a quote")
    page.locator("#id_what_0").select_option("event.data.percent")
    page.locator("#id_how_0").select_option(">=")
    page.locator("#id_value_0").fill("all")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Write a number.")).to_be_visible()
    page.locator("#id_value_0").fill("100")
    page.get_by_role("button", name="Try it on the past").click()
    expect(page.get_by_text("Nothing of this kind has happened yet")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()

    use(customer, 41_000, run_jobs)
    assert HandoffTask.objects.filter(reason__contains="Call Nova").exists()
    assert not Quote.objects.exists()
    use(customer, 9_500, run_jobs)
    assert Quote.objects.get().customer == customer
    page.reload()
    expect(page.locator("#runs").get_by_role("row")).to_have_count(2)
    page.complaints[:] = [words for words in page.complaints if "422" not in words]  # the refused form itself
    sound(page, "automation")


def test_a_director_away_has_somebody_decide_in_her_place(open_page, people, make_customer):
    rita, manager = people
    director = User.objects.create_user("dora@seller.example", name="Dora", is_staff=True)
    director.groups.add(Group.objects.get(name=catalogue.DIRECTORS), Group.objects.get(name=catalogue.ADMINS))
    now = timezone.now()
    page = open_page("/admin/sales/approvaldelegate/add/", 1280, director)
    page.get_by_label("Person").select_option(label="Dora")
    page.get_by_label("Delegate").select_option(label="Max")
    for name in ("Since", "Until"):
        page.get_by_label(name).fill(timezone.localdate().isoformat())
    page.get_by_label("Until").press("Enter")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    sound(page, "delegates")
    assert str(ApprovalDelegate.objects.get()) == "Max for Dora"

    quote = quoting.draft(
        customer=make_customer(name="Nova"), plan=Plan.objects.get(code="enterprise"), quantity=60, by=rita,
        now=now, actor=f"user:{rita.pk}", discount_percent="40",
    )  # fmt: skip
    quoting.submit(quote=quote, now=now - timedelta(days=2), actor=f"user:{rita.pk}", by=rita)
    assert approving.escalate(now=now) == 1
    address = f"/admin/sales/quote/{quote.pk}/change/"
    page = open_page(address, 1280, rita)
    expect(page.get_by_text("Somebody else decides about your own quote.")).to_be_visible()
    expect(page.get_by_text("the directors were told")).to_be_visible()
    page = open_page(address, 390, manager)
    note = page.locator("#id_decision_note")
    while note.count():  # as a manager, then in the director's place
        sound(page, "approval-late")
        note.fill("A year in advance.")
        page.keyboard.press("Tab")
        with page.expect_navigation():
            page.keyboard.press("Enter")
    expect(page.get_by_text("Approved.", exact=True)).to_be_visible()
    quote.refresh_from_db()
    assert quote.state == "approved"
    assert {each.decided_by for each in quote.approvals.all()} == {manager}


LISTS = ("billing/invoice", "billing/price", "sales/signal", "sales/approvalrule")


def test_lists_are_open_to_everybody_and_walked_by_keys(open_page, people, make_customer, subscribe):
    names = (
        "\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 3,
        "\u30ce\u30f4\u30a1\u682a\u5f0f\u4f1a\u793e",
    )
    for name in names:
        subscribe(make_customer(name=name), "pro", "month", 3)
    boss = User.objects.create_superuser("boss@seller.example", name="Boss")
    page = open_page(width=390, user=boss)
    for address in LISTS:
        page.goto(f"{page.site}/admin/{address}/")
        open_to_everybody(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(f"{page.site}/admin/billing/customer/")
    open_to_everybody(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.matches('#result_list tbody tr:nth-child(2) th a')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    assert page.complaints == []


def test_papers_mails_runs_and_the_pipeline_are_open_to_everybody(
    open_page, people, make_customer, subscribe
):
    customer = make_customer(name="\u0634\u0631\u0643\u0629 " + "Donaudampfschifffahrtsgesellschaft" * 3)
    invoice = subscribe(customer, "pro", "month", 3).invoices.get()
    note = correcting.credit(invoice=invoice, amount=10_00, reason="A day without", now=NOON, actor="user:1")
    letter = mail.compose(
        template="invoice", to="ada@nova.example", context={}, event="x", now=NOON, customer=customer, invoice=invoice
    )  # fmt: skip
    run = BillingRun.objects.create(due_at=invoice.issued_at, invoices=1, subscriptions=2, failures=1)
    BillingFailure.objects.create(
        subscription=invoice.subscription, reason="RuntimeError: " + "x" * 90, at=run.due_at
    )
    page = open_page(width=390, user=User.objects.create_superuser("boss@seller.example", name="Boss"))
    for row in (invoice, note, letter, run):
        page.goto(f"{page.site}/admin/billing/{row._meta.model_name}/{row.pk}/change/")
        sound(page, row._meta.model_name)
    for name, address in (
        ("overview", ""),
        ("not-billed", "billing/billingfailure/"),
        ("pipeline", "metrics/?figure=closing"),
    ):
        page.goto(f"{page.site}/admin/{address}")
        sound(page, name)

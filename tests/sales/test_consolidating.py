"""What accounts of one company would be as one, and that they are."""

import pytest

from billing import customers
from sales import consolidating, handing_over, leads, watching
from sales.models import Deal, HandoffTask, SalesSettings, Signal

pytestmark = pytest.mark.django_db


def test_it_shows_the_joined_account_and_changes_nothing(on_pro, make_customer):
    first, second = on_pro(3, email="a@nova.example").customer, on_pro(5, email="b@nova.example").customer
    make_customer(email="c@nova.example", currency="EUR")
    for each in (first, second):
        customers.add_member(customer=each, email="ada@nova.example", now=each.now, actor="system")
    second.refresh_from_db()
    joined = consolidating.preview(second)
    assert (joined.domain, len(joined.accounts), joined.other_currencies) == ("nova.example", 3, ("EUR",))
    assert (joined.seats, joined.mrr, joined.arr) == (8, 8 * 29_00, 12 * 8 * 29_00)
    assert (joined.members, joined.shared_members) == (1, 1)
    assert joined.owed == sum(each.amount_due for each in [*first.invoices.all(), *second.invoices.all()])


@pytest.mark.parametrize("domain", ["", "gmail.com", "alone.example"])
def test_it_knows_who_is_alone(make_customer, domain):
    make_customer(domain="gmail.com")
    assert consolidating.preview(make_customer(domain=domain)) is None


# -- Made one -----------------------------------------------------------------------------------------------


@pytest.fixture
def pair(on_pro, rita):
    """The account that stays, and the other on its domain, each with its plan."""
    return [on_pro(3, email=f"{name}@nova.example", name=name.title()).customer for name in ("nova", "lab")]


def make_one(lab, nova):
    consolidating.consolidate(customer=lab, into=nova, now=nova.now, actor="user:1")


def open_tasks(customer):
    return list(HandoffTask.objects.filter(customer=customer, status__in=HandoffTask.OPEN))


def test_signals_and_the_task_go_over(pair, happen, rita):
    nova, lab = pair
    customers.assign_owner(customer=lab, owner=rita, now=lab.now, actor="user:1", why="hers")
    happen(lab, "demo.requested", {"need": "SSO"})
    (task,) = open_tasks(lab)
    deal = Deal.objects.create(name="More seats", customer=lab)
    make_one(lab, nova)
    assert open_tasks(nova) == [task]
    assert not open_tasks(lab)
    assert {signal.customer for signal in task.signals.all()} == {nova}
    nova.refresh_from_db(), deal.refresh_from_db()
    assert (nova.owner, deal.customer) == (rita, nova)


def test_of_two_open_tasks_one_is_left_with_the_signals_of_both_and_nothing_cools_down(pair, happen):
    nova, lab = pair
    for customer in pair:
        happen(customer, "demo.requested", {"need": customer.name})
    (mine,), (theirs,) = open_tasks(nova), open_tasks(lab)
    make_one(lab, nova)
    assert open_tasks(nova) == [mine]
    theirs.refresh_from_db()
    assert (theirs.status, theirs.customer) == ("returned", lab)
    needs = Signal.objects.filter(task=mine, rule__code="demo_requested").values_list(
        "evidence__need", flat=True
    )
    assert set(needs) == {"Nova", "Lab"}
    handing_over.complete(task=mine, outcome="won", now=nova.now, actor="user:1")
    happen(nova, "usage.threshold_reached", NEAR)
    assert len(open_tasks(nova)) == 1


def test_signals_of_both_together_may_be_enough(pair, happen):
    nova, lab = pair
    for customer in pair:
        watching.report(
            customer=customer, rule="team_growing", occurred_at=nova.now, now=nova.now, actor="user:1"
        )
    settings = SalesSettings.current()
    settings.qualifies_at = 4
    settings.save()
    assert not open_tasks(nova)
    make_one(lab, nova)
    assert len(open_tasks(nova)) == 1


NEAR = {
    "meter": "api_calls", "name": "API calls", "used": "41000", "limit": "50000", "percent": 80,
    "period": {"start": "2026-01-15", "end": "2026-02-15"},
}  # fmt: skip


def test_what_happens_to_the_part_later_is_news_about_the_account(pair, happen):
    nova, lab = pair
    make_one(lab, nova)
    lab.refresh_from_db()
    happen(lab, "usage.threshold_reached", NEAR)
    happen(lab, "demo.requested", {"need": "SSO"})
    watching.tell(
        customer=lab, rule="company_size", occurred_at=lab.now, now=lab.now, actor="key:app", evidence={}
    )
    leads.ask(customer=lab, about="help", now=lab.now, actor="buyer", text="Where is the invoice?")
    rules = set(Signal.objects.filter(customer=nova).values_list("rule__code", flat=True))
    assert {"usage_near_limit", "demo_requested", "company_size"} <= rules
    assert not Signal.objects.filter(customer=lab).exists()
    assert not open_tasks(lab)
    assert len(open_tasks(nova)) == 1


def test_nobody_is_told_again_of_accounts_that_are_one(pair, make_customer, found):
    nova, lab = pair
    make_one(lab, nova)
    nova.refresh_from_db()
    assert [each.customer for each in consolidating.preview(nova).accounts] == [nova, lab]
    lab.refresh_from_db()
    shop = make_customer(email="shop@nova.example")
    shown = consolidating.preview(shop)
    assert [each.customer for each in shown.accounts] == [nova, shop]


def test_the_preview_says_what_stands_against_it(pair, make_customer):
    nova, lab = pair
    dollars = make_customer(email="eu@nova.example", currency="EUR", name="Europe")
    said = {each.customer: each.objection for each in consolidating.preview(nova).accounts}
    assert said == {nova: "", lab: "", dollars: "Europe pays in EUR, Nova in USD."}

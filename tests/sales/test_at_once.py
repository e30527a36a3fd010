"""Several people and workers at the same moment: real connections, real commits."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from billing import customers, subscribing
from billing.models import Customer, Event, Invoice, Phase, Plan, Subscription
from billing.moves import StaleMove
from billing.refusals import Refused
from sales import automating, handing_over, leads, quoting, watching
from sales.models import Automation, AutomationRun, Deal, HandoffTask, Lead, Quote, Signal
from tests.fixtures_billing import NOON
from tests.races import ROUNDS, at_once, beside

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("sales_catalogue", "fake_print"),
]


def test_it_accepts_once_however_many_click(make_customer, draft, sign):
    quote = draft(customer=make_customer(), quantity=60)
    quoting.send(quote=quote, now=quote.now, actor="user:1")
    answers = at_once(*[lambda: sign(quote)] * 6)
    refused = [a for a in answers if isinstance(a, quoting.AlreadyAccepted)]
    assert (len(refused), len(answers) - len(refused)) == (5, 1), answers
    assert Subscription.objects.count() == 1
    assert Invoice.objects.count() == 1
    assert Event.objects.filter(type="quote.accepted").count() == 1


def test_it_accepts_or_revises_never_both(make_customer, draft, sign):
    for _ in range(ROUNDS):
        quote = draft(customer=make_customer(), quantity=60)
        quoting.send(quote=quote, now=quote.now, actor="user:1")
        mine = Quote.objects.get(pk=quote.pk)
        revise = partial(quoting.revise, quote=mine, now=NOON, actor="user:1")
        accepted, revised = at_once(partial(sign, quote), revise)
        won = [a for a in (accepted, revised) if isinstance(a, Quote)]
        assert len(won) == 1, (accepted, revised)
        assert quote.customer.subscriptions.count() == (won == [accepted])


def test_it_accepts_or_expires_never_both(make_customer, draft, sign):
    """The buyer signs in the last second, while the job that closes old quotes is at work."""
    for _ in range(ROUNDS):
        quote = draft(customer=make_customer(), quantity=60)
        quoting.send(quote=quote, now=quote.now, actor="user:1")
        quote.refresh_from_db()
        last_second = quote.expires_at - timedelta(seconds=1)
        accepted, _ = at_once(
            partial(sign, quote, now=last_second), partial(quoting.expire, now=quote.expires_at)
        )
        state = Quote.objects.get(pk=quote.pk).state
        assert state in ({"accepted", "converted"} if isinstance(accepted, Quote) else {"expired"}), accepted
        assert quote.customer.subscriptions.count() == isinstance(accepted, Quote)


def test_it_lets_one_of_two_quotes_wait_for_a_subscription(make_customer, draft, sign, subscribe):
    subscription = subscribe(make_customer(), "pro", "month", 6)
    quotes = [draft(subscription=subscription, starts="period_end", quantity=60) for _ in range(2)]
    for quote in quotes:
        quoting.send(quote=quote, now=quote.now, actor="user:1")
    answers = at_once(*[lambda q=quote: sign(q) for quote in quotes])
    assert sorted(type(a).__name__ for a in answers) == ["AnotherAccepted", "Quote"], answers
    assert subscription.phases.exclude(source="").values("source").distinct().count() == 1


def test_it_raises_one_task_however_many_workers_find_signals(make_customer, rita):
    customer = make_customer()

    def tell(n):
        return watching.report(
            customer=Customer.objects.get(pk=customer.pk), rule="demo_requested", occurred_at=NOON, now=NOON,
            actor="key:app", key=str(n),
        )  # fmt: skip

    answers = at_once(*[lambda n=n: tell(n) for n in range(6)])
    assert all(isinstance(a, Signal) for a in answers), answers
    task = HandoffTask.objects.get()
    assert task.signals.count() == 6
    assert Event.objects.filter(type="handoff.raised").count() == 1


def test_it_weighs_an_event_once_on_many_workers(make_customer, rita):
    customer = make_customer(employees=500)
    number = Event.objects.get(type="customer.created", customer=customer).number
    answers = at_once(*[lambda: watching.weigh(numbers=[number], now=NOON)] * 6)
    assert not [a for a in answers if isinstance(a, Exception)], answers
    assert Signal.objects.count() == 1
    assert Event.objects.filter(type="signal.created").count() == 1


def test_it_weighs_the_others_first_when_somebody_holds_a_customer(make_customer, rita):
    held, free = make_customer(employees=500), make_customer(employees=500)
    numbers = list(Event.objects.filter(type="customer.created").values_list("number", flat=True))
    with beside(
        lambda: customers.hold(held.pk), lambda: watching.weigh(numbers=numbers, now=NOON)
    ) as answers:
        assert Signal.objects.get().customer == free
    [found] = answers
    assert [signal.customer for signal in found] == [free, held]


def test_it_raises_one_task_of_what_is_found_and_what_is_asked(make_customer, rita):
    customer = make_customer()
    answers = at_once(
        lambda: handing_over.raise_by_hand(customer=customer, reason="Call", now=NOON, actor="user:1"),
        lambda: watching.report(
            customer=customer, rule="demo_requested", occurred_at=NOON, now=NOON, actor="key:app"
        ),
        lambda: watching.tell(
            customer=customer, rule="wants_annual", occurred_at=NOON, now=NOON, actor="key:app"
        ),
    )
    assert not [a for a in answers if isinstance(a, Exception)], answers
    assert HandoffTask.objects.get().signals.count() == 1


def test_a_task_is_taken_while_its_customer_is_weighed(make_customer, rita, staff):
    """Who takes it waits for the customer before it holds the task, which whoever weighs is about to change."""
    customer, sam = make_customer(), staff("sam")
    task = handing_over.raise_by_hand(customer=customer, reason="Call", owner=rita, now=NOON, actor="user:1")
    with beside(
        lambda: customers.hold(customer.pk), lambda: handing_over.accept(task=task, by=sam, now=NOON)
    ) as answers:
        HandoffTask.objects.filter(pk=task.pk).update(score=7)
    assert answers == [None]
    task.refresh_from_db()
    assert (task.owner, task.score, task.status) == (sam, 7, "accepted")


def test_it_sees_together_what_only_together_qualifies(make_customer, rita):
    customer = make_customer(employees=500)
    number = Event.objects.get(type="customer.created", customer=customer).number

    def tell(rule):
        return watching.report(
            customer=Customer.objects.get(pk=customer.pk),
            rule=rule,
            occurred_at=NOON,
            now=NOON,
            actor="key:app",
        )

    at_once(
        lambda: watching.weigh(numbers=[number], now=NOON),
        lambda: tell("engagement"),
        lambda: tell("team_growing"),
    )
    assert Signal.objects.count() == 3
    assert HandoffTask.objects.count() == 1


def test_it_approves_once(make_customer, draft, staff):
    quote = draft(customer=make_customer(), quantity=60, discount_percent=Decimal(25))
    quoting.submit(quote=quote, now=NOON, actor="user:1")
    mia, max_ = staff("mia", "Sales managers"), staff("max", "Sales managers")
    answers = at_once(
        *[
            lambda by=by: quoting.approve(quote=Quote.objects.get(pk=quote.pk), by=by, now=NOON)
            for by in (mia, max_)
        ]
    )
    assert len([a for a in answers if isinstance(a, Refused)]) == 1, answers
    assert Event.objects.filter(type="quote.approved").count() == 1


def test_it_numbers_quotes_without_gap_or_twice(make_customer, rita):
    plan = Plan.objects.get(code="enterprise")
    buyers = [make_customer() for _ in range(6)]
    drafted = at_once(
        *[
            lambda c=c: quoting.draft(customer=c, plan=plan, quantity=3, now=NOON, actor="user:1")
            for c in buyers
        ]
    )
    assert sorted(q.number for q in drafted) == [f"Q-{n:06d}" for n in range(1, 7)]


def test_it_accepts_beside_a_purchase_and_a_revision_and_never_twice(make_customer, draft, sign, books):
    """The buyer signs in two tabs, buys by card in a third, and the rep makes a new version, all at once."""
    for _ in range(ROUNDS):
        customer = make_customer()
        quote = draft(customer=customer, quantity=60)
        quoting.send(quote=quote, now=quote.now, actor="user:1")
        mine, pro = Quote.objects.get(pk=quote.pk), Plan.objects.get(code="pro")
        revise = partial(quoting.revise, quote=mine, now=NOON, actor="user:1")
        buy = partial(
            subscribing.subscribe, customer=customer, plan=pro, interval="month", quantity=Decimal(2), now=NOON,
            actor="buyer", origin="checkout",
        )  # fmt: skip
        answers = at_once(partial(sign, quote), partial(sign, quote), buy, revise)
        known = [a for a in answers if isinstance(a, Exception) and not isinstance(a, (Refused, StaleMove))]
        assert known == []
        accepted = Quote.objects.filter(number=quote.number, state__in=["accepted", "converted"]).count()
        sourced = Phase.objects.filter(source=quote.pk).values("subscription").distinct().count()
        assert (accepted, sourced) in ((1, 1), (0, 0)), answers
        assert accepted + isinstance(answers[3], Quote) == 1


def test_an_automation_runs_once_on_many_workers(make_customer, rita):
    automating.save(
        automation=Automation(), name="Mine", trigger="signal.created", condition="", now=NOON, enabled=True,
        actions=[{"kind": "task", "text": "Call"}],
    )  # fmt: skip
    customer = make_customer()
    watching.report(customer=customer, rule="engagement", occurred_at=NOON, now=NOON, actor="key:app")
    now = timezone.now()
    answers = at_once(*[lambda: automating.look(now=now)] * 4)
    assert [a for a in answers if isinstance(a, Exception)] == []
    assert sum(answers) == 1
    assert (HandoffTask.objects.count(), AutomationRun.objects.get().status) == (1, "done")


@pytest.fixture
def lead(rita):
    ada = {"name": "Ada Byron", "email": "ada@nova.example", "company": "Nova", "livemode": False}
    return leads.contact(**ada, now=NOON, actor="buyer")


def test_two_quotes_of_a_lead_make_one_customer(lead, draft, sign):
    """Both are signed at once; the second waits for what the first moves, and is asked to look again."""
    first, second = (
        draft(lead=lead, quantity=60, expires_at=timezone.now() + timedelta(days=9)) for _ in "ab"
    )
    for quote in (first, second):
        quoting.send(quote=quote, now=timezone.now(), actor="user:1")
    typed = {"name": "Ada Byron", "title": "CFO", "email": "ada@nova.example", "signature": "Ada Byron",
             "agreed": "on", "version": 1, "po_number": "PO-77"}  # fmt: skip
    press = partial(Client().post, f"/quotes/{second.token}/accept/", typed)
    with beside(partial(sign, first, now=timezone.now()), press) as answers:
        assert not answers
    assert answers[0].status_code == 409
    page = answers[0].content.decode()
    assert "Something changed while you signed." in page
    assert "PO-77" in page
    assert Customer.objects.count() == Subscription.objects.count() == 1


def test_it_takes_a_lead_on_once_however_many_click(lead):
    """The second waits until the first has made the customer, and finds it."""
    first = []

    def take_on():
        first.append(leads.take_on(lead=lead, now=NOON, actor="user:1"))

    second = partial(leads.take_on, lead=Lead.objects.get(), now=NOON, actor="user:2")
    with beside(take_on, second) as answers:
        assert Customer.objects.count() == 1
    assert answers == first
    assert Customer.objects.count() == 1


@pytest.fixture
def asked_for(lead, draft):
    """Two quotes of one lead, both out."""
    quotes = [draft(lead=lead, quantity=60, expires_at=timezone.now() + timedelta(days=9)) for _ in "ab"]
    for quote in quotes:
        quoting.send(quote=quote, now=timezone.now(), actor="user:1")
    return quotes


def test_it_signs_after_the_lead_was_taken_on(lead, asked_for, sign):
    """Who takes a lead on holds it before its quotes; so does who signs one of them."""
    first, _ = asked_for
    with beside(partial(Lead.objects.select_for_update().get, pk=lead.pk), partial(sign, first)) as answers:
        assert Quote.objects.select_for_update(nowait=True).filter(pk=first.pk).exists()
        customer, _ = leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert not isinstance(answers[0], OperationalError), answers
    assert set(Quote.objects.values_list("customer", flat=True)) == {customer.pk}
    assert Customer.objects.count() == 1


def test_it_signs_two_quotes_of_a_lead_one_after_the_other(lead, asked_for, sign):
    first, second = asked_for
    with beside(partial(Lead.objects.select_for_update().get, pk=lead.pk), partial(sign, second)) as answers:
        sign(first, now=timezone.now())
    assert not isinstance(answers[0], OperationalError), answers
    assert Customer.objects.count() == Subscription.objects.count() == 1


def test_it_gives_a_task_away_while_its_lead_is_taken_on(lead, staff):
    task, sam = HandoffTask.objects.get(), staff("sam")
    away = partial(handing_over.assign, task=task, owner=sam, now=NOON, actor="user:1")
    with beside(partial(Lead.objects.select_for_update().get, pk=lead.pk), away) as answers:
        leads.take_on(lead=lead, now=NOON, actor="user:1")
    assert answers == [None]
    task.refresh_from_db()
    assert (task.owner, task.customer) == (sam, Customer.objects.get())


def test_it_signs_while_another_quote_of_the_lead_is_sent(asked_for, sign):
    """Who sends a quote holds it before its deal; so does who makes the lead a customer."""
    first, second = asked_for
    hold = partial(Quote.objects.select_for_update().get, pk=second.pk)
    with beside(hold, partial(sign, first, now=timezone.now())) as answers:
        assert first.deal == second.deal
        Deal.objects.filter(pk=first.deal_id).update(name="Held by who sends")
    assert not isinstance(answers[0], OperationalError), answers

"""Card to invoice and back: for everything at once, from the next invoice on, as the segment or a reason allows."""

from datetime import timedelta

import pytest

from billing import cards, collecting, pausing, subscribing, switching
from billing.models import Event, PaymentMethod, Subscription
from billing.subscribing import CollectionNotAllowed

pytestmark = pytest.mark.usefixtures("fake_stripe")


@pytest.fixture
def customer(make_customer, clock):
    customer = make_customer(clock)
    cards.save(customer=customer, payment_method="pm_card_visa", now=customer.now, actor="system")
    return customer


def switch(customer, method="send_invoice", **more):
    customer.refresh_from_db()
    return switching.switch(customer=customer, method=method, now=customer.now, actor="user:1", **more)


def changes():
    rows = Event.objects.filter(type="customer.collection_method_changed").order_by("number")
    return [(row.data["from"], row.data["to"], row.actor) for row in rows]


def test_everything_that_runs_is_switched_and_said_once(customer, subscribe, clock, advance, books):
    rows = [subscribe(customer, quantity=40), subscribe(customer, "starter", quantity=None)]
    assert switch(customer, net_days=45) == 2
    assert changes() == [("charge_automatically", "send_invoice", "user:1")]
    before = {invoice.pk for invoice in customer.invoices.all()}
    advance(clock, days=31)
    fresh = customer.invoices.exclude(pk__in=before)
    assert {(row.collection_method, row.net_days) for row in fresh} == {("send_invoice", 45)}
    assert fresh.count() == len(rows)


def test_what_is_issued_keeps_its_terms_and_a_charge_in_progress_goes_on(
    customer, subscribe, clock, advance, fake_stripe, books
):
    subscription = subscribe(customer, quantity=40)
    invoice = subscription.invoices.get()
    fake_stripe.faults.add("lose_answer", path="/v1/payment_intents", times=1)
    assert collecting.attempt(invoice=invoice, now=customer.now, actor="system").status == "unknown"
    switch(customer)
    collecting.reconcile(now=invoice.created_at + timedelta(days=3650), older_than=timedelta(0))
    invoice.refresh_from_db()
    assert (invoice.status, invoice.collection_method, invoice.net_days) == (
        "paid",
        "charge_automatically",
        0,
    )
    advance(clock, days=31)
    later = subscription.invoices.exclude(pk=invoice.pk).get()
    assert (later.collection_method, later.net_days) == ("send_invoice", 30)
    assert len(fake_stripe.rows("charge")) == 1
    switch(customer, "charge_automatically")
    later.refresh_from_db()
    assert (later.status, later.collection_method, later.net_days) == ("open", "send_invoice", 30)


def test_the_segment_decides_and_a_reason_overrules_it(customer, subscribe):
    subscription = subscribe(customer)
    with pytest.raises(CollectionNotAllowed, match="do not pay by invoice"):
        switch(customer)
    assert (changes(), subscription.phases.count()) == ([], 1)
    switch(customer, override="Agreed by Mara")
    assert changes() == [("charge_automatically", "send_invoice", "user:1")]


def test_back_to_card_needs_one_that_is_valid(customer, subscribe):
    subscribe(customer, quantity=40)
    switch(customer)
    PaymentMethod.objects.update(exp_year=2025, exp_month=12)
    with pytest.raises(switching.CardMissing, match="expired"):
        switch(customer, "charge_automatically")
    PaymentMethod.objects.update(exp_year=2026, exp_month=1)
    assert switch(customer, "charge_automatically") == 1
    PaymentMethod.objects.update(is_default=False)
    switch(customer)
    with pytest.raises(switching.CardMissing, match="Save a card"):
        switch(customer, "charge_automatically")


def test_who_has_nothing_yet_is_switched_too(make_customer, clock):
    customer = make_customer(clock)
    assert switch(customer, override="Agreed") == 0
    customer.refresh_from_db()
    assert customer.collection_method == "send_invoice"


@pytest.mark.parametrize("days", [None, 20], ids=["until somebody resumes it", "until a day"])
def test_what_is_paused_goes_on_as_was_switched(customer, subscribe, clock, advance, books, days):
    paused, runs = subscribe(customer, quantity=40), subscribe(customer, "starter", quantity=None)
    advance(clock, days=5)
    customer.refresh_from_db()
    until = customer.now + timedelta(days=days) if days else None
    pausing.pause(subscription=paused, now=customer.now, actor="user:1", resume_at=until)
    papers = set(customer.invoices.values_list("pk", flat=True))
    advance(clock, days=2)
    assert switch(customer, net_days=45, override="agreed") == 2
    assert changes() == [("charge_automatically", "send_invoice", "user:1")]
    assert set(customer.invoices.values_list("pk", flat=True)) == papers, (
        "a pause costs nothing, switched or not"
    )
    assert Subscription.objects.get(pk=paused.pk).status == "paused"
    if days is None:
        customer.refresh_from_db()
        pausing.resume(subscription=paused, now=customer.now, actor="user:1")
    advance(clock, days=60)
    assert Subscription.objects.get(pk=paused.pk).status == "active"
    for subscription in (paused, runs):
        later = subscription.invoices.exclude(pk__in=papers)
        assert {(row.collection_method, row.net_days) for row in later} == {("send_invoice", 45)}


def test_what_is_paused_goes_back_to_the_card(customer, subscribe, clock, advance, books):
    paused = subscribe(customer, quantity=40)
    switch(customer)
    customer.refresh_from_db()
    pausing.pause(subscription=paused, now=customer.now, actor="user:1")
    assert switch(customer, "charge_automatically") == 1
    customer.refresh_from_db()
    resumed = pausing.resume(subscription=paused, now=customer.now, actor="user:1")
    assert resumed.invoice is None or resumed.invoice.collection_method == "charge_automatically"
    advance(clock, days=31)
    assert paused.invoices.order_by("issued_at").last().collection_method == "charge_automatically"


def test_a_pause_keeps_every_other_term(customer, subscribe, advance, clock):
    paused = subscribe(customer, quantity=40)
    pausing.pause(subscription=paused, now=customer.now, actor="user:1")
    for wished in ({"quantity": 41}, {"quantity": 41, "collection_method": "send_invoice"}, {}):
        with pytest.raises(subscribing.NotLive):
            subscribing.change(subscription=paused, now=customer.now, actor="user:1", **wished)

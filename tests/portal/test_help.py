"""Asking for a person, and seeing what became of it."""

import pytest

from billing.models import Seller
from sales import handing_over

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("about", "words"),
    [("help", "Asked for help"), ("quote", "Asked for a quote"), ("demo", "Asked for a demo")],
)
def test_it_asks_and_shows_the_status(alice, nova, about, words):
    alice.post("/portal/help/", {"about": about, "text": "Please call"})
    task = nova.handoff_tasks.get()
    page = alice.get("/portal/help/").text
    assert words in page
    assert "Received" in page
    handing_over.complete(task=task, outcome="won", now=nova.now, actor="user:1", note="secret words")
    page = alice.get("/portal/help/").text
    assert "Done" in page
    assert "secret words" not in page


def test_asking_for_yearly_billing_is_a_signal(alice, nova):
    alice.post("/portal/help/", {"about": "annual"})
    assert nova.signals.get().rule.code == "wants_annual"
    assert "Asked for annual billing" in alice.get("/portal/help/").text


def test_why_sales_looks_is_not_shown(alice, nova):
    handing_over.raise_by_hand(customer=nova, reason="Usage near limit", now=nova.now, actor="system")
    assert "Usage near limit" not in alice.get("/portal/help/").text


def test_what_is_typed_is_kept(alice, nova):
    answer = alice.post("/portal/help/", {"about": "", "text": "We <need> more"})
    assert answer.status_code == 422
    assert "We &lt;need&gt; more" in answer.text
    assert not nova.handoff_tasks.exists()


def test_it_says_what_becomes_of_the_data_and_where_the_terms_are(alice):
    Seller.objects.update(terms_url="https://s.example/terms", privacy_url="https://s.example/privacy")
    opens = 'target="_blank" rel="noopener noreferrer"'
    page = alice.get("/portal/help/").text
    assert f'How we use your data: our <a href="https://s.example/privacy" {opens}>' in page
    foot = page.partition('class="portal__foot"')[2]
    assert f'<a href="https://s.example/terms" {opens}>Terms<' in foot
    assert f'<a href="https://s.example/privacy" {opens}>Privacy<' in foot
    assert 'class="portal__foot"' in alice.get("/portal/").text
    Seller.objects.update(terms_url="", privacy_url="")
    page = alice.get("/portal/help/").text
    assert "How we use your data" not in page
    assert "portal__foot" not in page

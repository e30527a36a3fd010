"""What a visitor sees while the demo makes its sample data."""

import pytest
from django.http import HttpResponse

from config.middleware import SampleGate

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(rf, settings, tmp_path):
    settings.SAMPLE_UNFINISHED = tmp_path / "unfinished"
    gate = SampleGate(lambda request: HttpResponse("the page"))
    return lambda address: gate(rf.get(address))


def test_it_says_how_far_the_data_are_and_looks_again(ask, settings):
    settings.SAMPLE_UNFINISHED.write_text("July 2026: 44 subscriptions, 284 invoices")
    answer = ask("/portal/")
    assert (answer.status_code, answer["Refresh"], answer["Cache-Control"]) == (503, "2", "no-store")
    assert "July 2026: 44 subscriptions" in answer.content.decode()


@pytest.mark.parametrize("address", ["/pricing/", "/healthz", "/static/tandem/base.css"])
def test_it_opens_the_first_page_at_once(ask, settings, address):
    settings.SAMPLE_UNFINISHED.touch()
    assert ask(address).content == b"the page"


def test_it_is_gone_when_the_data_are_there(ask):
    assert ask("/portal/").content == b"the page"


def test_it_stands_in_the_demo_only(settings):
    assert "config.middleware.SampleGate" not in settings.MIDDLEWARE

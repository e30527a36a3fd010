"""Pages of what went wrong: each says what is true where it happened, and leads back there."""

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from billing.papers.isolated import PaperFailed
from config import failing
from portal.accounts import MailAway

TOKEN = "a1B2-" * 6
LINK = f"{'0f' * 16}.{TOKEN}"
PLACES = [
    ("/admin/billing/invoice/", "/admin/", "Look whether it was done"),
    (f"/checkout/{TOKEN}/", f"/checkout/{TOKEN}/", "the checkout says whether"),
    (f"/checkout/{TOKEN}/check/", f"/checkout/{TOKEN}/", "the checkout says whether"),
    ("/checkout/start/", "/pricing/", "Nothing was charged"),
    (f"/invoices/{LINK}/pay/", f"/invoices/{LINK}/", "the invoice says whether"),
    (f"/quotes/{LINK}/accept/", f"/quotes/{LINK}/", "the quote says whether"),
    ("/accounts/login/code/confirm/", "/accounts/login/", "ask for a new one"),
    ("/portal/invoices/inv_1/pay/", "/portal/", "look into your invoices"),
    ("*", "/portal/", "look into your invoices"),
]


@pytest.fixture
def breaks(monkeypatch):
    """breaks(address, error, method) -> what is answered where the address raises it; no database is asked."""

    def answer(address, error, method="post"):
        def broken(self, request):
            raise error

        monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", broken)
        return getattr(Client(raise_request_exception=False), method)(address)

    return answer


@pytest.mark.parametrize(("address", "link", "advice"), PLACES)
def test_each_page_leads_to_where_it_happened(address, link, advice):
    request = RequestFactory().post("/")
    request.path = address
    told = failing.way_on(request)
    assert (told["link"], told["again"]) == (link, False)
    assert advice in told["place"].advice


@pytest.mark.parametrize(("address", "link", "advice"), PLACES[:-1])
def test_a_fault_of_ours_says_what_to_look_at(breaks, address, link, advice):
    answer = breaks(address, RuntimeError("secret"))
    assert answer.status_code == 500
    assert advice in answer.text
    assert f'href="{link}"' in answer.text
    assert answer["X-Request-Id"] in answer.text  # whoever asks us about it can say which it was
    assert "secret" not in answer.text


@pytest.mark.parametrize(("address", "link", "advice"), PLACES[:-1])
def test_what_was_sent_while_the_database_was_away_is_looked_at_first(breaks, address, link, advice):
    answer = breaks(address, OperationalError("gone"))
    assert answer.status_code == 503
    assert advice in answer.text
    assert f'href="{link}"' in answer.text
    assert "Try again</a>" not in answer.text


def test_what_only_reads_is_tried_again_at_once(breaks):
    answer = breaks("/portal/invoices/?year=2025", OperationalError("gone"), "get")
    assert '<a class="btn" href="">Try again</a>' in answer.text
    assert "If you were paying" not in answer.text


def test_a_paper_that_could_not_be_made_is_called_so(breaks):
    answer = breaks(f"/invoices/{LINK}/invoice.pdf", PaperFailed("no memory"), "get")
    assert answer.status_code == 503
    assert "This paper could not be made" in answer.text
    assert f'href="/invoices/{LINK}/"' in answer.text


def test_a_mail_server_that_is_away_is_called_so(breaks):
    answer = breaks("/accounts/login/", MailAway("refused"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "could not send you a mail" in answer.text
    assert 'href="/accounts/login/"' in answer.text


@pytest.mark.django_db
def test_who_signs_in_too_often_is_told_when_to_come_back(client):
    for _ in range(31):
        answer = client.post("/accounts/login/", {"login": "nobody@buyer.example", "password": "wrong"})
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert 'href="/accounts/login/"' in answer.text


@pytest.mark.django_db
def test_a_form_that_was_open_too_long_leads_back_to_it():
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(f"/checkout/{TOKEN}/", {"email": "ada@buyer.example"})
    assert answer.status_code == 403
    assert "send the form again" in answer.text
    assert f'href="/checkout/{TOKEN}/"' in answer.text


@pytest.mark.django_db
def test_staff_who_open_a_buttons_address_are_led_to_their_own_pages(rf, admin_user):
    from django.template.loader import render_to_string

    request = rf.get("/portal/plan/sub_1/pause/")
    request.user = admin_user
    page = render_to_string("405.html", request=request)
    assert 'href="/admin/"' in page
    assert 'href="/portal/"' not in page

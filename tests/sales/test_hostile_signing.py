"""A quote's page against raw requests: changed hidden fields, other links, names that are attacks."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from billing import mail
from billing.models import Invoice, Mail, Subscription
from sales import accepting, quoting
from sales.models import Quote, QuoteComment

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")
RIGHT = {"name": "Ada Byron", "title": "CFO", "email": "ada@nova.example", "signature": "Ada Byron", "agreed": "on",
         "version": 1, "po_number": ""}  # fmt: skip


@pytest.fixture
def sent(make_customer, draft):
    """sent() -> a quote that is out."""

    def make(quantity=30, **fields):
        quote = draft(customer=make_customer(**fields), quantity=quantity)
        return quoting.send(quote=quote, now=quote.now, actor="user:1")

    return make


@pytest.fixture
def quote(sent):
    return sent()


def sign(quote, path="accept", token=None, **changed):
    browser = Client(raise_request_exception=False)
    return browser.post(f"/quotes/{token or quote.token}/{path}/", {**RIGHT, **changed})


def untouched(quote):
    quote.refresh_from_db()
    made = (Subscription.objects.count(), Invoice.objects.count())
    return quote.state in Quote.OUT and made == (0, 0)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"version": 2}, 409),
        ({"version": 0}, 409),
        ({"version": -1}, 409),
        ({"version": "1e0"}, 422),
        ({"version": ""}, 422),
        ({"version": "9" * 30}, 409),
        ({"agreed": ""}, 422),
        ({"name": "\x00"}, 422),
        ({"name": "\u202e\u200b"}, 422),
        ({"signature": "x" * 201}, 422),
        ({"email": "ada@nova.example\r\nBcc: x@evil.example"}, 422),
        ({"po_number": "x" * 61}, 422),
    ],
)
def test_what_is_wrong_is_refused_and_starts_nothing(quote, changed, status):
    answer = sign(quote, **changed)
    assert answer.status_code == status
    assert untouched(quote)


def test_no_other_link_signs_it(quote, sent):
    other = sent(email="b@other.example")
    head, _, seal = quote.token.partition(".")
    for token in (head, f"{head}.", f"{head}.{other.token.partition('.')[2]}", f"{head}.{seal[:-1]}", f"{head}.{seal}x",
                  f"{other.token.partition('.')[0]}.{seal}", seal, "%00", quote.pk):  # fmt: skip
        assert sign(quote, token=token).status_code == 404, token
    assert untouched(quote)
    assert untouched(other)


def test_what_no_form_has_changes_nothing(quote):
    """Fields of the row, of the money, of another option."""
    more = {"total": "1", "tcv": "1", "amount": "0.01", "discount_percent": "100", "quantity": "1", "state": "accepted",
            "customer": "cus_1", "net_days": "60", "collection_method": "charge_automatically", "option": "B",
            "accepted_ip": "1.1.1.1", "now": "2020-01-01", "document": "x", "sha256": "0" * 64}  # fmt: skip
    before = (quote.tcv, quote.net_days, quote.collection_method)
    assert sign(quote, **more).status_code == 302
    quote.refresh_from_db()
    assert (quote.tcv, quote.net_days, quote.collection_method) == before
    assert (quote.state, quote.accepted_ip) == ("converted", "127.0.0.1")
    assert quote.accepted_sha256 == quote.document.sha256


@pytest.mark.parametrize("how", ["withdraw", "decline", "expire", "revise"])
def test_one_that_is_over_says_so_and_stays(quote, how):
    if how == "withdraw":
        quoting.withdraw(quote=quote, now=quote.now, actor="user:1")
    elif how == "decline":
        accepting.decline(quote=quote, reason="No", now=quote.now)
    elif how == "revise":
        quoting.revise(quote=quote, now=quote.now, actor="user:1")
    else:
        Quote.objects.update(expires_at=quote.now - timedelta(seconds=1))
    before = Quote.objects.get(pk=quote.pk).state
    for path, given in (("accept", {}), ("decline", {"no-reason": "x", "no-version": 1}),
                        ("comment", {"say-author": "A", "say-text": "B"})):  # fmt: skip
        assert sign(quote, path, **given).status_code == 409, path
    assert Quote.objects.get(pk=quote.pk).state == before
    assert (Subscription.objects.count(), QuoteComment.objects.count()) == (0, 0)


def test_odd_names_stay_text_on_page_paper_and_in_mails(quote, rita):
    evil = "<img src=x onerror=alert(1)> {{7*7}} \U0001f600 شركة"
    assert sign(quote, name=evil, signature=evil, title=evil, po_number="=1+1").status_code == 302
    page = Client().get(f"/quotes/{quote.token}/").text
    assert "<img src=x" not in page
    assert " 49 " not in page
    quote.refresh_from_db()
    assert quote.accepted_name == evil
    for sent in Mail.objects.filter(template="quote_accepted"):
        assert "<img src=x" not in sent.html
        message = mail.message(sent).message()
        assert not re.search(r"[\r\n]", message["Subject"])


def test_comments_are_no_flood_of_mails(quote, rita):
    for _ in range(accepting.MOST_COMMENTS):
        assert sign(quote, "comment", **{"say-author": "A", "say-text": "B"}).status_code == 302
    last = sign(quote, "comment", **{"say-author": "A", "say-text": "Kept words"})
    assert (last.status_code, "Kept words" in last.text) == (422, True)
    assert QuoteComment.objects.count() == accepting.MOST_COMMENTS

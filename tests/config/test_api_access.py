"""Who may call what: every address and method of the API against no key, every scope, the other side and a browser
session of another customer. A new one without a row here fails."""

import json
import re

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern

from billing import customers, keys
from billing.api import docs
from billing.api.views import ApiView
from tests.fixtures_billing import NOON

ROOT = "/api/v1"
NOWHERE = "0" * 32

# Each address with the scope that each method needs beside `write`. `read` stands for every GET.
TABLE = """
customers                                    GET read      POST write
customers/{customer}                         GET read      PATCH write     DELETE write
customers/{customer}/timeline                GET read
customers/{customer}/usage                   GET read
customers/{customer}/entitlements            GET read
customers/{customer}/members                 GET read      POST write
customers/{customer}/members/{member}        DELETE write
customers/{customer}/payment_methods         GET read      POST write
customers/{customer}/payment_methods/{payment_method}  DELETE write
plans                                        GET read      POST write
plans/{plan}                                 GET read      PATCH write
plans/{plan}/archive                         POST write
plans/{plan}/prices                          POST write
meters                                       GET read      POST write
meters/{meter}                               GET read
discounts                                    GET read      POST write
discounts/{discount}                         GET read
tax_rates                                    GET read      POST write
subscriptions                                GET read      POST write
subscriptions/{subscription}                 GET read
subscriptions/{subscription}/changes/preview POST read
subscriptions/{subscription}/changes         POST write
subscriptions/{subscription}/changes/{change} DELETE write
subscriptions/{subscription}/pause           POST write
subscriptions/{subscription}/resume          POST write
subscriptions/{subscription}/cancel          POST write
subscriptions/{subscription}/undo_cancel     POST write
usage_events                                 POST usage
usage_events/{key}/void                      POST usage
usage_imports                                GET usage     POST usage
usage_imports/{usage_import}                 GET usage
usage                                        GET usage
invoices                                     GET read      POST write
invoices/upcoming                            GET read
invoices/{invoice}                           GET read      DELETE write
invoices/{invoice}/xml                       GET read
invoices/{invoice}/finalize                  POST write
invoices/{invoice}/send                      POST write
invoices/{invoice}/void                      POST write
invoices/{invoice}/mark_uncollectible        POST write
invoices/{invoice}/pdf                       GET read
invoices/{invoice}/mark_paid                 POST write
invoices/{invoice}/pay                       POST write
payments                                     GET read
payments/{payment}                           GET read
payments/{payment}/refund                    POST write
refunds/{refund}/explain                     POST write
customers/{customer}/pay_out                 POST write
credit_notes                                 GET read      POST write
credit_notes/{credit_note}                   GET read
credit_notes/{credit_note}/pdf               GET read
sign_offs                                    GET read
sign_offs/{sign_off}                         GET read
events                                       GET read
events/{event}                               GET read
test_clocks                                  GET read      POST write
test_clocks/{clock}                          GET read      DELETE write
test_clocks/{clock}/advance                  POST write
portal_sessions                              POST portal
checkout_sessions                            GET read      POST checkout
checkout_sessions/{session}                  GET read
checkout_sessions/{session}/expire           POST checkout
leads                                        GET read      POST write
leads/{lead}                                 GET read
signals                                      GET read      POST write
signals/{signal}                             GET read
signals/{signal}/dismiss                     POST write
handoff_tasks                                GET read
handoff_tasks/{task}                         GET read
handoff_tasks/{task}/accept                  POST write
handoff_tasks/{task}/complete                POST write
handoff_tasks/{task}/return                  POST write
deals                                        GET read      POST write
deals/{deal}                                 GET read
quotes                                       GET read      POST write
quotes/{quote}                               GET read      PATCH write
quotes/{quote}/submit                        POST write
quotes/{quote}/approve                       POST write
quotes/{quote}/reject                        POST write
quotes/{quote}/send                          POST write
quotes/{quote}/options                       POST write
quotes/{quote}/remove                        POST write
quotes/{quote}/revise                        POST write
quotes/{quote}/withdraw                      POST write
quotes/{quote}/pdf                           GET read
metrics/hybrid                               GET read
metrics/mrr                                  GET read
metrics/pipeline                             GET read
metrics/signals                              GET read
metrics/reps                                 GET read
metrics/{figure}/customers                   GET read
webhook_endpoints                            GET read      POST write
webhook_endpoints/{endpoint}                 GET read      PATCH write     DELETE write
webhook_endpoints/{endpoint}/rotate_secret   POST write
webhook_endpoints/{endpoint}/test            POST write
webhook_endpoints/{endpoint}/replay          POST write
webhook_endpoints/{endpoint}/deliveries      GET read
webhook_endpoints/{endpoint}/deliveries/{delivery}  GET read
webhook_endpoints/{endpoint}/deliveries/{delivery}/redeliver  POST write
"""

# The catalogue is one for both sides; a figure is a name, and test clocks say that they are for the sandbox.
SHARED = {"plan", "meter", "discount", "figure", "clock"}


def rows():
    for line in TABLE.strip().splitlines():
        path, *pairs = line.split()
        for method, scope in zip(pairs[::2], pairs[1::2], strict=True):
            yield method, path, scope


ROWS = list(rows())


def served(patterns=None, prefix=""):
    for one in get_resolver().url_patterns if patterns is None else patterns:
        address = prefix + str(one.pattern)
        if not isinstance(one, URLPattern):
            yield from served(one.url_patterns, address)
        elif issubclass(view := getattr(one.callback, "view_class", object), ApiView):
            path = re.sub(r"<str:(\w+)>", r"{\1}", address.removeprefix("api/v1/"))
            yield from ((method.upper(), path) for method in docs.METHODS if hasattr(view, method))


def test_every_address_and_method_has_a_row():
    assert {(method, path) for method, path, _ in ROWS} == set(served())


def call(client, method, path, secret=None, ids=None):
    address = f"{ROOT}/" + re.sub(r"{(\w+)}", lambda m: (ids or {}).get(m[1], f"x_{NOWHERE}"), path)
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    body = b"" if method == "GET" else b"{}"
    return client.generic(method, address, body, content_type="application/json", headers=headers)


def code(answer):
    return json.loads(answer.content)["code"]


@pytest.fixture
def client():
    return Client(raise_request_exception=True)


@pytest.mark.django_db
def test_nobody_gets_in_without_a_key(client):
    for method, path, _ in ROWS:
        answer = call(client, method, path)
        assert (answer.status_code, code(answer)) == (401, "missing_key"), f"{method} {path}"


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_a_key_does_what_its_scope_allows(catalogue, no_request_limits, client, scope):
    _, secret = keys.issue(name="test", livemode=False, now=NOON, scopes=[scope])
    for method, path, needed in ROWS:
        answer = call(client, method, path, secret)
        refused = answer.status_code == 403 and code(answer) == "scope_missing"
        assert refused == (scope not in (needed, "write")), f"{method} {path}: {answer.status_code}"
        assert answer.status_code != 401


def test_a_browser_session_opens_nothing(catalogue, client, make_customer):
    member = customers.add_member(
        customer=make_customer(), email="a@other.example", role="owner", now=NOON, actor="system"
    )
    client.force_login(member.user)
    for method, path, _ in ROWS:
        assert call(client, method, path).status_code == 401, f"{method} {path}"


def test_the_other_side_is_not_there(things, no_request_limits, client):
    """With a live key every row of the sandbox is unknown, whatever is asked of it."""
    _, secret = keys.issue(name="live", livemode=True, now=NOON)
    for method, path, _ in ROWS:
        named = set(re.findall(r"{(\w+)}", path)) - SHARED
        if not named:
            continue
        answer = call(client, method, path, secret, things)
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code}"


def test_one_side_reads_all_of_its_own(things, no_request_limits, client):
    """The same ids with a sandbox key: what was refused above is really there."""
    _, secret = keys.issue(name="test", livemode=False, now=NOON)
    for method, path, _ in ROWS:
        if method == "GET" and "{" in path and not path.endswith(("pdf", "xml")):
            answer = call(client, method, path, secret, things)
            assert answer.status_code == 200, f"{method} {path}: {answer.content[:200]}"

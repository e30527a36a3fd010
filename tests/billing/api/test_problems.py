"""Bad requests: never a 5xx, no trace of the inside, always a document that names what is wrong."""

import json
from io import BytesIO

import pytest
from django.db import DataError, IntegrityError, OperationalError

from billing import customers
from billing.models import Customer, Event

ACME = {"name": "Acme", "email": "it@acme.example"}
BODY = {"name": "a"}

# (case of the corpus, method, address, body as sent, headers, allowed status, code)
CASES = [
    ("empty body", "POST", "customers", b"", {}, 400, "invalid_json"),
    ("array for an object", "POST", "customers", b"[]", {}, 400, "invalid"),
    ("text for an object", "POST", "customers", b'"a"', {}, 400, "invalid"),
    ("null for an object", "POST", "customers", b"null", {}, 400, "null"),
    ("duplicate key", "POST", "customers", b'{"name":"a","name":"b"}', {}, 400, "duplicate_key"),
    ("half a character twice", "POST", "customers", rb'{"\ud800":1,"\ud800":2}', {}, 400, "invalid_characters"),
    ("NUL twice", "POST", "customers", rb'{"metadata":{"\u0000":1,"\u0000":2}}', {}, 400, "invalid_characters"),
    ("5,000 digits", "POST", "customers", b'{"employees":' + b"9" * 5000 + b"}", {}, 400, "invalid_number"),
    ("2^63", "POST", "customers", b'{"name":"a","email":"a@b.example","employees":9223372036854775808}',
     {}, 400, "invalid"),
    ("NaN", "POST", "customers", b'{"employees":NaN}', {}, 400, "invalid_json"),
    ("Infinity", "POST", "customers", b'{"employees":-Infinity}', {}, 400, "invalid_json"),
    ("10 MiB", "POST", "customers", b'{"name":"' + b"a" * 10485760 + b'"}', {}, 413, "body_too_large"),
    ("gzip", "POST", "customers", b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}, 415, "unsupported_encoding"),
    ("invalid UTF-8", "POST", "customers", bytes.fromhex("7b226e616d65223a22fffe227d"), {}, 400,
     "invalid_json"),
    ("NUL in text", "POST", "customers", rb'{"name":"a\u0000b"}', {}, 400, "invalid_characters"),
    ("half a character", "POST", "customers", rb'{"name":"\ud800"}', {}, 400, "invalid_characters"),
    ("deep nesting", "POST", "customers", b'{"metadata":' + b"[" * 9000 + b"]" * 9000 + b"}", {}, 400,
     "invalid_json"),
    ("unclosed", "POST", "customers", b'{"name":"a"', {}, 400, "invalid_json"),
    ("two values", "POST", "customers", b"{} {}", {}, 400, "invalid_json"),
    ("unknown field", "POST", "customers", b'{"name":"a","email":"a@b.example","is_staff":true}', {}, 400,
     "unknown_field"),
    ("filter operators", "GET", "invoices?_connector=OR%201%3D1&customer__user__password__startswith=p",
     b"", {}, 400, None),
    ("SQL in a filter", "GET", "invoices?status=%27%20OR%201%3D1--", b"", {}, 400, "invalid_choice"),
    ("parameter pollution", "GET", "invoices?customer=a&customer=b", b"", {}, 400, "repeated_parameter"),
    ("NUL in a filter", "GET", "customers?email=a%00b", b"", {}, 400, "null_characters_not_allowed"),
    ("unknown address", "GET", "nothing/here", b"", {}, 404, "not_found"),
    ("unknown method", "PUT", "customers", b"{}", {}, 405, "method_not_allowed"),
    ("a form", "POST", "customers", b"name=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415,
     None),
    ("XML", "POST", "customers", b"<a/>", {"Content-Type": "application/xml"}, 415, "unsupported_media_type"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_it_refuses_and_writes_nothing(api, method, path, body, headers, status, code):
    type_ = headers.pop("Content-Type", "application/json")
    if status == 404:
        answer = api.client.get(f"/api/v1/{path}", headers=api.headers)
    elif status == 405:
        answer = api.client.put(f"/api/v1/{path}", body, content_type=type_, headers=api.headers)
    else:
        answer = api.send(method, path, body, headers, type_)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer["Content-Type"] == "application/problem+json"
    assert code in (None, problem["code"])
    assert {"type", "title", "detail", "errors", "request_id"} <= problem.keys()
    inside = json.dumps(problem)
    assert not [
        word for word in ("Traceback", "select ", "SELECT", "/work", "psycopg", "django") if word in inside
    ]
    assert not Customer.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name":"a","name":"b"}', "name"),
        (b'{"billing_address":{"city":"Bonn","city":"Ulm"}}', "billing_address.city"),
        (b'{"lines":[{"amount":"1"},{"amount":"2","amount":"3"}]}', "lines.1.amount"),
        (b'{"metadata":{"a":{"":1,"":2}}}', "metadata.a."),
        (b'{"name":"a","name":"b","metadata":{"k":1,"k":2}}', "name"),
        (b'{"metadata":{"' + b"k" * 200 + b'":1,"' + b"k" * 200 + b'":2}}', "metadata." + "k" * 100),
    ],
)  # fmt: skip
@pytest.mark.parametrize("address", ["customers", "usage_events"])
def test_a_name_given_twice_is_named_with_its_place(api, address, body, field):
    [error] = api.send("POST", address, body).json()["errors"]
    assert (error["field"], error["code"]) == (field, "duplicate_key")
    assert error["message"].endswith("is given twice.")


# -- Bodies that no length was given for, or that break off ---------------------------------------------------


def sent_as(api, environ, body):
    """As a web server hands it on."""
    environ = {"wsgi.input": BytesIO(body), "CONTENT_TYPE": "application/json", **environ}
    return api.client.post("/api/v1/customers", headers=api.headers, **environ)


CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def test_it_takes_a_body_in_chunks(api):
    assert sent_as(api, CHUNKED, json.dumps(ACME).encode()).status_code == 201


@pytest.mark.parametrize(
    ("environ", "body", "status", "code"),
    [
        ({**CHUNKED, "wsgi.input_terminated": False}, b"", 411, "length_required"),
        ({**CHUNKED, "HTTP_TRANSFER_ENCODING": "gzip, chunked"}, b"", 411, "length_required"),
        (CHUNKED, b'{"name":"' + b"a" * 2**20 + b'"}', 413, "body_too_large"),
        ({"CONTENT_LENGTH": "5000"}, json.dumps(ACME).encode(), 400, "incomplete_body"),
    ],
)
def test_it_takes_no_body_whose_end_it_does_not_know(api, environ, body, status, code):
    answer = sent_as(api, {**environ, "HTTP_IDEMPOTENCY_KEY": "k"}, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Customer.objects.exists()
    # What broke off is no other request: the whole one goes through with the same key.
    assert api.post("customers", ACME, key="k").status_code == 201


def test_chunks_that_are_none_are_refused(api):
    class Broken(BytesIO):
        def read(self, size=-1):
            raise ValueError("no chunk")

    answer = api.client.post(
        "/api/v1/customers",
        headers=api.headers,
        **{**CHUNKED, "wsgi.input": Broken()},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "incomplete_body")


def test_it_names_the_place_of_a_number_without_end(api):
    answer = api.send("POST", "customers", b'{"name":"A","metadata":{"a":[1,1e9999999999999999999]}}')
    assert [error["field"] for error in answer.json()["errors"]] == ["metadata.a.1"]


def test_it_names_the_field_that_holds_nul(api):
    answer = api.send("POST", "customers", rb'{"name":"a","billing_address":{"city":"\u0000"}}')
    assert answer.json()["errors"][0]["field"] == "billing_address.city"


def test_it_lists_every_wrong_field(api):
    problem = api.post("customers", employees="many").json()
    assert problem["code"] == "invalid_request"
    assert {error["field"]: error["code"] for error in problem["errors"]} == {
        "name": "required", "email": "required", "employees": "invalid",
    }  # fmt: skip


def test_text_is_shown_literally(api):
    for name in ("<script>alert(1)</script>", "{{7*7}}", "${7*7}", "{% include 'x' %}", "Иван 株式会社 שלום"):
        made = api.post("customers", name=name, email="a@b.example")
        assert made.json()["name"] == name


def test_a_wrong_host_is_answered_in_the_same_form(api):
    for headers in ({"Host": "evil.example"},):
        answer = api.client.get("/api/v1/plans", headers={**api.headers, **headers})
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        assert "evil" not in answer.content.decode()


def test_links_never_carry_a_forwarded_host(api, make_customer):
    customer = make_customer()
    answer = api.send(
        "POST", "portal_sessions", json.dumps({"customer": customer.pk}), {"X-Forwarded-Host": "evil.example"}
    )
    assert "evil" not in answer.content.decode()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("connection to /var/run failed"), 503, "try_again"),
        (IntegrityError('duplicate key value violates "x"'), 409, "conflict"),
        (DataError("numeric field overflow"), 422, "invalid_value"),
    ],
)
def test_the_database_speaks_to_the_log_only(api, monkeypatch, error, status, code):
    monkeypatch.setattr(customers, "create", _raising(error))
    answer = api.client.post("/api/v1/customers", ACME, content_type="application/json", headers=api.headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert str(error) not in answer.content.decode()


def test_a_defect_is_a_500_without_a_trace(api, monkeypatch):
    monkeypatch.setattr(customers, "create", _raising(RuntimeError("secret inside")))
    api.client.raise_request_exception = False
    answer = api.client.post("/api/v1/customers", ACME, content_type="application/json", headers=api.headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "secret" not in answer.content.decode()
    assert problem["request_id"] == answer["X-Request-Id"]


def _raising(error):
    def create(**fields):
        raise error

    return create


def test_a_request_keeps_the_name_that_a_proxy_gave_it(api):
    for given, kept in (("edge-12345678", True), ("x", False), ("a b c d e f g", False), ("é" * 10, False)):
        answer = api.send("GET", "plans", headers={"X-Request-Id": given})
        assert (answer["X-Request-Id"] == given) is kept


def test_every_named_refusal_has_a_status():
    """One that no table names is a rule that refuses: 422."""
    from billing.api import problems
    from billing.refusals import Refused

    def all_of(kind):
        for sub in kind.__subclasses__():
            yield sub
            yield from all_of(sub)

    for kind in all_of(Refused):
        assert problems.status_of(kind) in (404, 409, 422, 429)
        assert kind.code != "refused", kind


@pytest.mark.parametrize("body", [{"x": 1}, {"reason": "typed wrong"}])
def test_it_refuses_names_where_the_address_says_everything(api, make_customer, make_clock, body):
    sub = api.post("subscriptions", customer=make_customer(make_clock()).pk, plan="pro", quantity=3).json()
    answer = api.post(f"subscriptions/{sub['id']}/undo_cancel", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, next(iter(body)))
    assert api.send("POST", f"subscriptions/{sub['id']}/undo_cancel", "[]").status_code == 400
    assert api.post(f"subscriptions/{sub['id']}/undo_cancel", {}).json()["code"] == "nothing_to_undo"


@pytest.mark.parametrize("method", ["TRACE", "PUT"])
def test_it_names_the_methods_that_an_address_takes(api, method):
    answer = api.client.generic(method, "/api/v1/customers", headers=api.headers)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))

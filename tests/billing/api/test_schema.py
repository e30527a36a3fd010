"""The published schema: whole, true, and readable without a key."""

import json
import re

import jsonschema
import pytest
from django.urls import get_resolver
from django.urls.resolvers import URLPattern

from billing.api import docs
from billing.api.views import ApiView


def api_routes(patterns=None, prefix=""):
    """(address, view class) of every view of the API that the server answers."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        address = prefix + str(one.pattern)
        if isinstance(one, URLPattern):
            if issubclass(getattr(one.callback, "view_class", object), ApiView):
                yield "/" + address.replace("<str:", "{").replace(">", "}"), one.callback.view_class
        else:
            yield from api_routes(one.url_patterns, address)


def test_every_address_and_method_is_written_down():
    served = {(address, m) for address, view in api_routes() for m in docs.METHODS if hasattr(view, m)}
    written = {
        (address, m)
        for address, methods in docs.openapi()["paths"].items()
        for m in docs.METHODS
        if m in methods
    }
    assert len(served) >= 40
    assert served == written


def test_every_operation_says_what_it_does():
    for address, methods in docs.openapi()["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {address}"
            assert operation["summary"], where
            assert operation["tags"], where
            assert operation["security"] == [{"key": []}], where
            assert "4XX" in operation["responses"], where
            names = {p["name"] for p in operation["parameters"]} if "parameters" in operation else set()
            assert ("Idempotency-Key" in names) == (method == "post"), where


def test_the_file_is_an_openapi_3_1_file(client):
    answer = client.get("/api/v1/schema/")
    assert answer.status_code == 200
    whole = json.loads(answer.content)
    assert whole["openapi"] == "3.1.0"
    refs = {part for part in answer.content.decode().split('"') if part.startswith("#/components/schemas/")}
    assert refs
    assert {ref.rpartition("/")[2] for ref in refs} <= whole["components"]["schemas"].keys()


def test_making_it_warns_of_nothing(capsys):
    from drf_spectacular.generators import SchemaGenerator

    SchemaGenerator().get_schema(request=None, public=True)
    assert "arning" not in capsys.readouterr().err


@pytest.mark.django_db
def test_the_pages_show_every_operation_and_load_nothing_from_elsewhere(client):
    answer = client.get("/api/v1/docs/")
    text = answer.content.decode()
    assert answer.status_code == 200
    for group in docs.groups():
        for operation in group.operations:
            assert f'id="{operation.id}"' in text
    assert "<style" not in text
    assert " style=" not in text
    assert "onclick" not in text
    assert "https://" not in text.replace("https://app.example", "")
    assert "'unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.django_db
def test_every_refusal_and_every_event_type_is_written_down(client):
    """What `type` in a problem document leads to, and what `type` of an event may be."""
    from billing.events import TYPES

    text = client.get("/api/v1/docs/").content.decode()
    assert [code for code, _ in docs.refusals() if f'id="{code}"' not in text] == []
    assert len(docs.refusals()) >= 90
    [listed] = [
        parameter["schema"]["enum"]
        for parameter in docs.openapi()["paths"]["/api/v1/events"]["get"]["parameters"]
        if parameter["name"] == "type"
    ]
    assert set(listed) == TYPES


@pytest.mark.parametrize("path", ["/api/v1/schema/", "/api/v1/docs/"])
def test_they_are_only_read(client, path):
    assert client.post(path).status_code in (403, 405)


def test_the_schema_says_that_a_line_needs_one_of_two_amounts():
    line = docs.openapi()["components"]["schemas"]["InvoiceLineNew"]
    assert docs.kind({"type": "array", "items": line}) == "list of object"
    assert line["anyOf"] == [{"required": ["amount"]}, {"required": ["unit_amount"]}]


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"amount": "5"}, True),
        ({}, True),
        ({"amount": None, "tiers": [{"unit_amount": "1"}]}, True),
        ({"amount": None, "tiers": []}, False),
        ({"amount": None}, False),
    ],
)
def test_the_schema_says_that_only_tiers_go_without_an_amount(price, said):
    schema = {"$ref": "#/components/schemas/PriceNew", "components": docs.openapi()["components"]}
    assert jsonschema.Draft202012Validator(schema).is_valid(price) == said


# -- Links ----------------------------------------------------------------------------------------------------


def links_of(name, status):
    [written] = [
        one
        for methods in docs.openapi()["paths"].values()
        for one in methods.values()
        if one["operationId"] == name
    ]
    return written["responses"][status]["links"]


def operations():
    return {
        one["operationId"]: (method, address, one)
        for address, methods in docs.openapi()["paths"].items()
        for method, one in methods.items()
    }


def test_each_link_leads_to_what_takes_it():
    """What it fills in are parameters or fields of its target, all of its address, from names that its source has."""
    known, seen = operations(), 0
    for method, address, source in known.values():
        for response in source["responses"].values():
            for link in response.get("links", {}).values():
                _, target_address, target = known[link["operationId"]]
                given = link.get("parameters", {})
                asked = {
                    one["name"] for one in target.get("parameters", []) if one["in"] in ("path", "query")
                }
                assert given.keys() <= asked, (method, address, link)
                assert set(re.findall(r"{(\w+)}", target_address)) <= given.keys(), (method, address, link)
                for value in (*given.values(), *link.get("requestBody", {}).values()):
                    of_source = re.fullmatch(r"\$request\.path\.(\w+)", value)
                    assert value.startswith("$response.body#/") or f"{{{of_source[1]}}}" in address
                seen += 1
    assert seen > 200


class Follower:
    """A client that knows the file: it goes from one answer to the next by the links alone."""

    def __init__(self, api):
        self.api, self.known = api, operations()

    def follow(self, name, path, answer, link, **body):
        """(path, answer) of the operation that `link` leads to from the answer of operation `name`."""
        written = links_of(name, str(answer.status_code))[link]
        method, address, _ = self.known[link]
        given = {one: self.value(v, name, path, answer) for one, v in written.get("parameters", {}).items()}
        body |= {one: self.value(v, name, path, answer) for one, v in written.get("requestBody", {}).items()}
        path = address.removeprefix("/api/v1/").format(**given)
        return path, getattr(self.api, method)(path, **body)

    def value(self, expression, name, path, answer):
        if expression.startswith("$response.body#/"):
            return answer.json()[expression.removeprefix("$response.body#/")]
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.known[name][1].removeprefix("/api/v1/"))
        return re.fullmatch(pattern, path)[expression.removeprefix("$request.path.")]


def test_a_subscription_is_made_read_changed_and_ended_by_the_links_alone(api, catalogue):
    follow = Follower(api).follow
    made = api.post("customers", name="Acme", email="it@acme.example")
    path, started = follow(
        "create_customer", "customers", made, "create_subscription", plan="pro", quantity=5
    )
    _, read = follow("create_subscription", path, started, "read_subscription")
    assert read.json()["id"] == started.json()["id"]
    _, more = follow("create_subscription", path, started, "change_subscription", quantity=6)
    assert (more.status_code, more.json()["change"]) == (200, None)
    waits, less = follow("create_subscription", path, started, "change_subscription", quantity=2)
    _, taken_back = follow("change_subscription", waits, less, "remove_change")
    assert taken_back.status_code == 204
    _, ended = follow("create_subscription", path, started, "cancel_subscription", effective="now")
    assert ended.json()["status"] == "canceled"


def test_what_an_id_leads_to_stands_on_the_pages(client, db):
    text = client.get("/api/v1/docs/").content.decode()
    assert "What takes its id" in text
    [article] = re.findall(r'<article class="card" id="create_subscription">.*?</article>', text, re.S)
    for name in ("read_subscription", "change_subscription", "cancel_subscription"):
        assert f'<a href="#{name}">{docs.titles()[name]}</a>' in article

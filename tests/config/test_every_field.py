"""Every field of every body that the API takes, with what is wrong of every kind in its place: no server error, a problem
document that names the field, nothing changed, one line in the log and nothing of the inside in either.

Each field gets two of the values in every run, others than its neighbour's; `VALUES_PER_FIELD=50` sends more to each.
"""

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from billing import cards, collecting, forgetting, issuing, keys, noticing
from billing.api import docs, problems
from billing.models import InvoiceLine, Payment, Refund, User
from sales import catalogue as shipped
from tests.config import answers
from tests.config.answers import Writes, fingerprint
from tests.config.right_bodies import AREAS, Body, Call
from tests.config.wrong_values import KINDS, Raw
from tests.fixtures_billing import NOON
from tests.fixtures_stripe import undone

# By hand: the requests whose name has this in it.
ONLY = os.environ.get("BODIES", "")
VALUES = [value for kind in KINDS.values() for value in kind]
PER_FIELD = int(os.environ.get("VALUES_PER_FIELD", "2"))
# What stands in nobody's body.
STRANGE = ("is_staff", "__proto__", "id", "livemode", "", "a\x00b", "x" * 5000, "\u202e", "$where")
# What is said where the database was the first to look.
UNSEEN = {detail for kind, (_, _, detail) in problems.OTHERS.items() if kind in (IntegrityError, DataError)}
# What is no JSON has no fields.
WHOLE_BODY = {"invalid_json"}
# The customer's account at the card network is made before its card is refused.
KEPT = {"POST customers/{customer}/payment_methods": {"billing_customer"}}


@pytest.fixture
def noon(time_machine):
    """Dates of the bodies are near it."""
    time_machine.move_to(NOON)


@pytest.fixture
def world(noon, things, make_customer, subscribe, fake_stripe, no_request_limits):
    """Besides one of everything: a customer who has paid by card, somebody else's things, a live one's,
    a deleted one."""
    buyer = make_customer(external_id="buyer", tax_exempt=True)
    card = cards.save(customer=buyer, payment_method="pm_card_visa", now=buyer.now, actor="system")
    paid = subscribe(buyer, quantity=1).invoices.get()
    collecting.attempt(invoice=paid, now=paid.issued_at, actor="system")
    fake_stripe.refund(fake_stripe.rows("charge")[-1]["id"], 10_00)
    noticing.reconcile(now=timezone.now())
    unpaid = subscribe(buyer, quantity=1).invoices.get()
    issuing.add_balance(buyer, 40_00, "USD", reason="kind", now=buyer.now)
    live = make_customer(external_id="live-acme", livemode=True)
    gone = make_customer(external_id="gone")
    gone_id = gone.pk
    forgetting.delete_customer(customer=gone, now=gone.now, actor="system")
    for name, group in (("rita", shipped.REPS), ("max", shipped.MANAGERS)):
        user = User.objects.create_user(f"{name}@seller.example", name=name.title(), is_staff=True)
        user.groups.add(Group.objects.get(name=group))
    return {
        **things, "buyer": buyer.pk, "bare": make_customer(external_id="bare").pk, "card": card.pk,
        "other_subscription": paid.subscription_id, "other_invoice": paid.pk, "unpaid": unpaid.pk,
        "paid": Payment.objects.get(invoice=paid).pk,
        "refund": Refund.objects.get().pk, "live": live.pk, "live_subscription": subscribe(live).pk, "gone": gone_id,
        "line": InvoiceLine.objects.filter(invoice=things["invoice"]).first().pk,
        "other_line": InvoiceLine.objects.filter(invoice=paid).first().pk,
    }  # fmt: skip


# -- Bodies ---------------------------------------------------------------------------------------------------

type Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where something stands in a body, the body itself first."""
    yield at
    inside = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, part in inside:
        yield from places(part, (*at, name))


def put(body: Any, at: Place, value: Any) -> Any:
    """The body with this value there."""
    if not at:
        return value
    whole = copy.deepcopy(body)
    here = whole
    for name in at[:-1]:
        here = here[name]
    here[at[-1]] = value
    return whole


def filled(value: Any, world: Mapping[str, str]) -> Any:
    """With the ids that names in braces stand for."""
    if isinstance(value, str):
        named = re.fullmatch(r"{(\w+)}", value)
        return world[named[1]] if named else value
    if isinstance(value, Mapping):
        return {name: filled(part, world) for name, part in value.items()}
    return [filled(part, world) for part in value] if isinstance(value, list) else value


def written(value: Any) -> bytes:
    """As JSON, or as what is not quite JSON."""
    if isinstance(value, Raw):
        return value.text.encode()
    if isinstance(value, Mapping):
        pairs = b",".join(json.dumps(name).encode() + b":" + written(part) for name, part in value.items())
        return b"{" + pairs + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(written, value)) + b"]"
    return json.dumps(value).encode()


# -- Requests ---------------------------------------------------------------------------------------------------


class Caller:
    """Sends to the API, each request in a transaction that is undone, and says what is wrong with the answer."""

    def __init__(self, world: Mapping[str, str], lines: list[tuple[str, str]], fake: Any) -> None:
        self.world, self.lines, self.fake = dict(world), lines, fake
        self.secret = keys.issue(name="hostile", livemode=False, now=NOON)[1]
        self.client = Client(raise_request_exception=False)
        self.whole = fingerprint()
        self.kept: set[str] = set()

    def address(self, path: str) -> str:
        return "/api/v1/" + re.sub(r"{(\w+)}", lambda found: self.world[found[1]], path)

    def send(self, method: str, address: str, content: bytes, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.secret}", **options.pop("headers", {})}
        kind = options.pop("content_type", "application/json")
        return self.client.generic(method, address, content, content_type=kind, headers=headers, **options)

    def prepare(self, call: Call) -> None:
        """Sends what comes before it."""
        for earlier in call.before:
            content = written(filled(earlier.body, self.world))
            made = self.send(earlier.method, self.address(earlier.path), content)
            assert made.status_code < 300, (call.name, earlier.name, made.content)
            if earlier.makes:
                self.world[earlier.makes] = made.json()["id"]

    def wrong(self, method: str, address: str, content: bytes, **options: Any) -> Iterator[str]:
        """Every rule that the answer to this breaks."""
        self.lines.clear()
        self.client.cookies.clear()
        writes, began = Writes(), answers.started()
        with transaction.atomic(), undone(self.fake), connection.execute_wrapper(writes):
            self.answer = self.send(method, address, content, **options)
            seconds = answers.taken(*began)
            refused = self.answer.status_code >= 400
            after = fingerprint() if writes.seen and refused else self.whole
            transaction.set_rollback(True)
        changed = {one[0] for one, other in zip(after, self.whole, strict=True) if one != other} - self.kept
        yield from answers.wrong(self.answer, seconds, changed, self.lines, [self.secret, "4242424242424242"])
        yield from answers.wrong_document(self.answer)
        if refused and self.answer.content and self.answer.json()["detail"] in UNSEEN:
            yield f"the database was the first to look: {self.answer.content[:300]}"


@pytest.fixture
def caller(world, lines, fake_stripe, monkeypatch):
    """Papers are tried elsewhere: here one would be made for every value that is right after all."""
    monkeypatch.setattr("sales.quote_papers.print_paper", lambda paper: b"%PDF-1")
    return Caller(world, lines, fake_stripe)


@pytest.fixture(params=AREAS)
def calls(request, caller):
    """The requests of an area, each with what must have happened before it, and what did is undone after it."""
    return prepared(caller, [call for call in AREAS[request.param] if ONLY in call.name])


def prepared(caller: Caller, calls: list[Call]) -> Iterator[Call]:
    for call in calls:
        kept = dict(caller.world)
        with transaction.atomic():
            caller.prepare(call)
            caller.whole, caller.kept = fingerprint(), KEPT.get(call.operation, set())
            yield call
            transaction.set_rollback(True)
        caller.world = kept


# -- Tests --------------------------------------------------------------------------------------------------------


# Where two fields do not go together, the other one may be named.
TOGETHER = {"country": "tax_id", "start_at": "trial_end", "duration": "periods", "currency": "amount"}


def names(problem: Mapping[str, Any], at: Place) -> bool:
    """Whether it names the place, what holds it, something in it, or what it has to go with."""
    if problem["code"] in WHOLE_BODY:
        return True
    place = [str(part) for part in at]
    for error in problem["errors"]:
        named = error["field"].split(".")
        if TOGETHER.get(place[-1]) == named[-1]:
            return True
        if named == place[: len(named)] or place == named[: len(place)]:
            return True
    return False


def test_each_is_right_as_it_stands(caller, calls):
    for call in calls:
        content = written(filled(call.body, caller.world))
        found = list(caller.wrong(call.method, caller.address(call.path), content))
        assert (found, caller.answer.status_code // 100) == ([], 2), (call.name, caller.answer.content)


def test_no_field_takes_what_it_is_not_for(caller, calls):
    told, few = [], cycle(VALUES)
    for call in calls:
        body = filled(call.body, caller.world)
        for at in places(body):
            for value in islice(few, PER_FIELD):
                content = written(put(body, at, filled(value, caller.world)))
                about = f"{call.name} {'.'.join(map(str, at))} = {content_of(value)}"
                found = list(caller.wrong(call.method, caller.address(call.path), content))
                if at and caller.answer.status_code in (400, 422) and not names(caller.answer.json(), at):
                    found.append(f"it does not name the field: {caller.answer.content[:400]}")
                told += [f"{about}: {words}" for words in found]
    assert told == [], "\n".join(told)


def test_no_object_takes_a_name_that_it_does_not_have(caller, calls):
    """Unknown ones and ones given twice, at every depth."""
    told, few = [], cycle(STRANGE)
    for call in calls:
        body = filled(call.body, caller.world)
        for at in places(body):
            inside = part_of(body, at)
            if not isinstance(inside, Mapping) or at[-1:] in FREE:
                continue
            unknown = [put(body, at, {**inside, name: 1}) for name in islice(few, PER_FIELD)]
            twice = written(inside).replace(
                b"{", b'{"name":1,"name":2,' if inside else b'{"name":1,"name":2', 1
            )
            for content in (*map(written, unknown), written(put(body, at, Raw(twice.decode())))):
                found = list(caller.wrong(call.method, caller.address(call.path), content))
                if caller.answer.status_code != 400 and not is_rejected(caller.answer):
                    found.append(f"it was taken: {caller.answer.status_code} {caller.answer.content[:200]}")
                told += [f"{call.name} {at} {content[-90:]}: {words}" for words in found]
    assert told == [], "\n".join(told)


# What in them names mean is the caller's; prices by their codes.
FREE = {("metadata",), ("properties",), ("evidence",), ("quantities",)}


def part_of(body: Any, at: Place) -> Any:
    for name in at:
        body = body[name]
    return body


def is_rejected(answer: Any) -> bool:
    """Of a batch of usage, where the good ones are kept."""
    return answer.status_code == 202 and answer.json()["accepted"] == 0


ODD = (
    "%00", "a%00b", "%ff%fe", "..%2f..", "%2e%2e", "a%2Fb", "%5c", "x" * 3000, "%F0%9F%98%80", "%E2%80%AE", "-1",
    "'", "*",
    "%25", "{{7*7}}", "a%0d%0ab", "%20", "%09", "null", "cus_" + "0" * 32, "CUS_" + "F" * 32, "cus_zz", "1e400",
    "%C0%AF", ";a=b",
)  # fmt: skip


def operations() -> Iterator[tuple[str, str]]:
    """(method, path) of whatever has a name in its address."""
    for path, methods in docs.openapi()["paths"].items():
        for method in methods.keys() & {"get", "post", "patch", "delete"}:
            if "{" in path:
                yield method.upper(), path.removeprefix("/api/v1/")


@pytest.mark.parametrize("methods", [("GET",), ("POST", "PATCH", "DELETE")], ids=["read", "changed"])
def test_nothing_is_found_under_the_name_of_another(caller, methods):
    """Names of other kinds, of the other mode, of who is gone, and what names nothing."""
    told, few = [], cycle([*caller.world.values(), *ODD])
    for method, path in sorted(operations()):
        for name in re.findall(r"{(\w+)}", path) if method in methods else ():
            for strange in islice(few, 4 * PER_FIELD):
                if fits(strange, caller.world.get(name, ""), caller.world):
                    continue
                address = caller.address(path.replace(f"{{{name}}}", strange))
                content = written(filled(body_of(method, path), caller.world))
                found = list(caller.wrong(method, address, content))
                if caller.answer.status_code not in (404, 405):
                    found.append(f"{caller.answer.status_code} {caller.answer.content[:200]}")
                told += [f"{method} {path} {strange[:60]}: {words}" for words in found]
    assert told == [], "\n".join(told)


def fits(strange: str, right: str, world: Mapping[str, str]) -> bool:
    """Whether something of that kind has this name."""
    kind = strange.partition("_")[0]
    elsewhere = {world["live"], world["live_subscription"], world["gone"]}
    return strange == right or (strange not in (*elsewhere, *ODD) and kind == right.partition("_")[0])


def body_of(method: str, path: str) -> Body:
    """What this operation takes."""
    for call in sum(AREAS.values(), ()):
        if shape(call.operation) == shape(f"{method} {path}"):
            return call.body
    return {}


def shape(operation: str) -> str:
    return re.sub(r"{\w+}", "{}", operation)


QUERIES = (
    "", "%00", "%ff", "%20", "a%0d%0ab", "x" * 5000, "%D9%A1%D9%A2", "-1", "0", "1e3", "1.5", "99999999999999999999",
    "NaN",
    "true", "null", "[]", "{}", "%5B%5D=1", "none", "cus_" + "0" * 32, "{live}", "{gone}", "2026-02-30", "0001-01-01",
    "9999-12-31", "2026-01-15T12:00:00%2B99:99", "XXX", "jpy", "'%20OR%201=1--", "%F0%9F%98%80", "%E2%80%AE", "a,b",
    "*",
    "eyJhIjoxfQ==", "bz0xJnA9MQ==", "cD0yMDI2", "p%3D", "__class__", "../..", "%25",
)  # fmt: skip


def test_no_question_is_taken_for_another(caller):
    """Every parameter of every list and figure with what is none, given twice, and beside one that there is not."""
    told, few, unknown = (
        [],
        cycle(QUERIES),
        cycle(("expand", "order_by", "customer__email__startswith", "_connector")),
    )
    for path, methods in docs.openapi()["paths"].items():
        parameters = methods.get("get", {}).get("parameters", ())
        asked = [one["name"] for one in parameters if one["in"] == "query"]
        address = caller.address(path.removeprefix("/api/v1/"))
        for name in asked:
            for value in islice(few, PER_FIELD):
                told += wrong_question(
                    caller, f"{address}?{name}={caller.address(value).removeprefix('/api/v1/')}", name
                )
        for name in (*asked[:1], *islice(unknown, 1)) if "get" in methods else ():
            told += wrong_question(caller, f"{address}?{name}=a&{name}=a", name, refused=True)
    assert told == [], "\n".join(told)


def wrong_question(caller: Caller, address: str, name: str, refused: bool = False) -> Iterator[str]:
    found = list(caller.wrong("GET", address, b""))
    status = caller.answer.status_code
    if refused and status not in (400, 404):
        found.append(f"it was taken: {status}")
    named = status in (400, 422) and caller.answer.json()["code"] != "required"
    if named and not names(caller.answer.json(), (name,)):
        found.append(f"it does not name the parameter: {caller.answer.content[:300]}")
    return (f"{address[:150]}: {words}" for words in found)


def content_of(value: Any) -> str:
    return (value.text if isinstance(value, Raw) else json.dumps(value))[:60]


def test_an_amount_in_the_query_is_not_left_aside(caller):
    """A body that is not sent means everything: all that is due, all that was paid."""
    for call in sum(AREAS.values(), ()):
        if call.before or "customers/{buyer}" in call.path:
            continue
        address = caller.address(call.path)
        assert (
            list(
                caller.wrong(call.method, f"{address}?amount=5.00", written(filled(call.body, caller.world)))
            )
            == []
        )
        assert (caller.answer.status_code, names(caller.answer.json(), ("amount",))) == (400, True), call.name


def test_every_body_of_the_schema_is_tried():
    sent = {shape(call.operation) for call in sum(AREAS.values(), ())}
    for path, operations in docs.openapi()["paths"].items():
        for method in {"post", "patch", "put"} & operations.keys():
            operation = f"{method.upper()} {path.removeprefix('/api/v1/')}"
            assert shape(operation) in sent or operation in OTHER_BODIES, operation


# A file, not an object.
OTHER_BODIES = {"POST usage_imports"}

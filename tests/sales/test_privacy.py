"""What is held about a person is told in full, and nothing of others; who is erased is nowhere but in issued papers."""

import json
import zipfile

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.utils import IntegrityError
from django_q.models import Task

from billing import correcting, customers, disclosing, ending, erasing, people
from billing.models import (
    Customer,
    Document,
    Event,
    IdempotentRequest,
    Invoice,
    KeptMail,
    Mail,
    Member,
    PaperRemoved,
    PrivacyRequest,
    ProviderEvent,
    User,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing.removing import removing
from checkout.models import CheckoutSession
from sales import accepting, leads, quoting
from sales.models import Lead, Quote, QuoteComment
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")

JANE, NAME = "jane.canary@nova.example", "Jane Ó'Canary"
BOB, BOBS_NAME = "bob.sparrow@nova.example", "Bob Sparrow"
JOANN = "xjane.canary@nova.example"
WHO = {"now": NOON, "actor": "user:1"}


def everything() -> str:
    """Every row of every table as text, as a dump has it; bytes readably."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        texts = []
        for table in tables:
            cursor.execute(f'select t::text from "{table}" t')
            texts += [f"{table}: {text}" for (text,) in cursor.fetchall()]
        cursor.execute("select encode(content, 'escape') from billing_document")
        texts += [f"billing_document.content: {text}" for (text,) in cursor.fetchall()]
    return "\n".join(texts)


def found(*needles: str) -> set[str]:
    """The tables in which one of these is written, in any of its forms."""
    pattern = people.pattern(needles)
    return {line.split(":")[0] for line in everything().splitlines() if pattern.search(line)}


@pytest.fixture
def company(make_customer):
    """A company of which Jane and Bob are members."""
    company = make_customer(name="Nova Works", email="accounts@nova.example")
    customers.add_member(customer=company, email=JANE, role="owner", name=NAME, **WHO)
    customers.add_member(customer=company, email=BOB, role="owner", name=BOBS_NAME, **WHO)
    return company


@pytest.fixture
def lead(db):
    return leads.contact(name=NAME, email=JANE.upper(), company="Nova Works", need=f"Call {NAME}", **WHO)


@pytest.fixture
def traces(company, lead, draft):
    """Everywhere that Jane leaves a trace."""
    quote = draft(lead=lead, contact_name=NAME, contact_email=JANE, quantity=60)
    quote = quoting.send(quote=quote, now=NOON, actor="user:1")
    words = f"Regards, {NAME} <{JANE}>\nCopy to {BOBS_NAME} <{BOB}> and sam@seller.example"
    accepting.comment(quote=quote, author=NAME, text=words, by_buyer=True, now=NOON)
    accepting.comment(quote=quote, author=BOBS_NAME, text="Fine", by_buyer=True, now=NOON)
    accepting.decline(quote=quote, reason=f"{NAME} says no", now=NOON)
    staff = User.objects.create_user("sam@seller.example", name="Sam Seller", is_staff=True)
    kind = ContentType.objects.get_for_model(Lead)
    LogEntry.objects.create(
        user=staff, content_type=kind, object_id=lead.pk, object_repr=str(lead), action_flag=CHANGE,
        change_message=f"{NAME} called",
    )  # fmt: skip
    ProviderEvent.objects.create(
        provider_id="evt_1", type="customer.updated",
        payload={"data": {"object": {"email": JANE, "name": NAME, "phone": "+353 1 555 0134"}}},
    )  # fmt: skip
    event = Event.objects.filter(type="lead.created").latest("number")
    listens = {"created_at": NOON, "listening_since": NOON, "event_types": [event.type]}
    endpoint = WebhookEndpoint.objects.create(url="https://hooks.example/", **listens)
    delivery = WebhookDelivery.objects.create(endpoint=endpoint, event=event, next_at=NOON, created_at=NOON)
    WebhookAttempt.objects.create(delivery=delivery, at=NOON, milliseconds=3, response=f"took {JANE}")
    KeptMail.objects.create(recipient=JANE, sender="x@seller.example", subject="Hi", text=f"Hello {NAME}")
    CheckoutSession.objects.create(
        plan=quote.plan, interval="month", email=JANE, answers={"name": NAME, "company": "Nova Works"},
        quote={"person": NAME}, expires_at=NOON, success_url=f"https://app.example/?who={JANE.replace('@', '%40')}",
    )  # fmt: skip
    IdempotentRequest.objects.create(
        api_key=_key(), key="k1", fingerprint="f", status=201, content_type="application/json",
        body=json.dumps({"email": JANE, "name": NAME}, ensure_ascii=False).encode(), created_at=NOON, locked_at=NOON,
    )  # fmt: skip
    Task.objects.create(
        id="a" * 32, name="t", func="billing.tasks.send_mail", started=NOON, stopped=NOON, success=False,
        result=f"SMTPRecipientsRefused: {JANE}",
    )  # fmt: skip
    session = SessionStore()
    session["account_login"] = {"email": JANE}
    session.save()
    Mail.objects.filter(recipient=JANE).update(sent_at=NOON)
    return quote


def _key():
    from billing import keys

    return keys.issue(name="program", livemode=False, scopes=keys.SCOPES, now=NOON)[0]


def asked(address=JANE, **more):
    return disclosing.ask(address=address, reason="By letter of 3 March", **WHO, **more)


def erased(address=JANE, **terms):
    request = asked(address)
    PrivacyRequest.objects.filter(pk=request.pk).update(erase_asked_by="user:1", erase_asked_at=NOON, **terms)
    request.refresh_from_db()
    return erasing.erase(request=request, now=NOON)


# -- Erasing


def test_nothing_tells_of_an_erased_person(traces):
    customers.add_member(customer=Customer.objects.get(), email=JOANN, role="viewer", name="Jo Ann", **WHO)
    assert found(JANE, NAME)
    erased()
    assert found(JANE, NAME, "+353 1 555 0134") == set()
    assert people.pattern([JANE]).search(JOANN) is None
    assert {"billing_user"} <= found(JOANN)
    assert {"billing_user", "sales_quotecomment"} <= found(BOBS_NAME)
    assert Customer.objects.get().name == "Nova Works"
    assert not Session.objects.filter().exists()


def test_the_rows_stay_with_words_in_their_place(traces, company, books):
    erased()
    lead = Lead.objects.get()
    assert (lead.name, lead.need) == (erasing.NAME, "")
    assert lead.email.endswith("@erased.invalid")
    assert QuoteComment.objects.filter(author=erasing.NAME).count() == 1
    mail = Mail.objects.filter(recipient__endswith="@erased.invalid").first()
    assert (mail.subject, mail.text, mail.html) == ("", "", "")
    member = Member.objects.get(user__name=erasing.NAME)
    assert member.removed_at is not None
    assert not member.user.is_active


def test_the_paper_of_an_unsigned_quote_is_emptied(traces):
    paper = Document.objects.get(pk=Quote.objects.get().document_id)
    assert paper.read()
    erased()
    paper.refresh_from_db()
    with pytest.raises(PaperRemoved):
        paper.read()


def test_it_can_be_done_again_and_changes_nothing(traces):
    request = erased()
    before = everything()
    erasing.erase(request=request, now=NOON)
    assert everything() == before
    with pytest.raises(disclosing.NoSuchPerson, match="erased on 15 January 2026"):
        asked()


@pytest.mark.parametrize("dies_at", ["sales.Lead", "billing.User", "sales.QuoteComment"])
def test_one_that_died_on_the_way_is_finished_by_the_next(traces, monkeypatch, dies_at):
    """Each table is a transaction of its own; what names the person is noted before the first is changed."""
    sweep = erasing._sweep

    def dying(model, *rest):
        if model._meta.label == dies_at:
            raise RuntimeError("killed")
        return sweep(model, *rest)

    monkeypatch.setattr(erasing, "_sweep", dying)
    with pytest.raises(RuntimeError):
        erased()
    monkeypatch.setattr(erasing, "_sweep", sweep)
    request = PrivacyRequest.objects.get()
    assert request.erased_at is None
    assert erasing.erase(request=request, now=NOON).erased_at == NOON
    assert found(JANE, NAME) == set()


def test_a_signed_quote_keeps_who_signed_it(company, draft):
    quote = quoting.send(
        quote=draft(customer=company, contact_name=NAME, contact_email=JANE), now=NOON, actor="user:1"
    )
    signed = accepting.accept(
        quote=quote, name=NAME, title="CEO", email=JANE, signature=NAME, now=NOON, ip="192.0.2.7"
    )
    request = erased()
    signed.refresh_from_db()
    assert request.kept == {"signed_quotes": 2}
    assert (signed.accepted_name, signed.accepted_ip, signed.accepted_email) == (erasing.NAME, None, "")
    assert signed.signed_document.read()
    with pytest.raises(IntegrityError, match="signed quote"), removing("erasure"):
        Document.objects.filter(pk=signed.signed_document_id).update(content=b"")


@pytest.fixture
def sole_trader(make_customer, subscribe):
    """One person who is a customer: a paid invoice, and nothing that goes on."""
    lives = {"line1": "7 Canary Wharf Lane", "city": "Cork"}
    account = make_customer(name=NAME, email=JANE, tax_id="", billing_address=lives)
    customers.add_member(customer=account, email=JANE, role="owner", name=NAME, **WHO)
    return account


def test_an_account_is_erased_with_its_person_and_its_invoices_stay(sole_trader, subscribe, books):
    subscription = subscribe(sole_trader, trial_days=None)
    with pytest.raises(erasing.StillNeeded, match="address of the account"):
        erased()
    with pytest.raises(erasing.StillNeeded, match="subscription"):
        erased(with_accounts=True)
    ending.cancel(subscription=subscription, effective="now", credit_unused=False, **WHO)
    with pytest.raises(erasing.StillNeeded, match="not settled"):
        erased(with_accounts=True)
    correcting.credit(invoice=Invoice.objects.get(), reason="Goodwill", **WHO)
    request = erased(with_accounts=True)
    assert found(JANE, NAME, "7 Canary Wharf Lane") == {"billing_invoice", "billing_creditnote"}
    assert request.kept == {"invoices": 1, "credit_notes": 1}
    assert Invoice.objects.get().bill_to["name"] == NAME


def test_a_colleague_is_not_erased(db):
    User.objects.create_user(JANE, name=NAME, is_staff=True)
    with pytest.raises(erasing.Colleague):
        erased()


def test_the_last_owner_of_what_runs_is_not_erased(company, subscribe):
    subscribe(company)
    request = disclosing.ask(address=JANE, reason="A letter", **WHO)
    bob = company.members.get(user__email=BOB)
    erasing.want(request=request, with_accounts=False, **WHO)
    customers.change_role(member=bob, role="billing", **WHO)
    with pytest.raises(erasing.StillNeeded, match="Nova Works has no other owner"):
        erasing.erase(request=request, now=NOON)
    assert company.members.filter(user__email=JANE, removed_at=None).exists()
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("erase_person", JANE, reason="A letter", yes=True)
    customers.change_role(member=bob, role="owner", **WHO)
    assert erasing.erase(request=request, now=NOON).erased_at


def test_the_last_owner_of_what_is_closed_is_erased(company):
    customers.remove_member(member=company.members.get(user__email=BOB), **WHO)
    request = disclosing.ask(address=JANE, reason="A letter", **WHO)
    assert erasing.erase(request=request, now=NOON).erased_at


def test_a_quote_that_is_out_is_withdrawn_first(company, draft):
    quoting.send(
        quote=draft(customer=company, contact_name=NAME, contact_email=JANE), now=NOON, actor="user:1"
    )
    with pytest.raises(erasing.StillNeeded, match="quote to this person is out"):
        erased()


def test_every_column_for_addresses_says_whose_they_are():
    """Somebody who adds one says beside it what else the row tells of that person."""
    ours = {"billing", "sales", "checkout", "portal"}
    for model in apps.get_models():
        if model._meta.app_label in ours:
            columns = {
                each.name for each in model._meta.concrete_fields if isinstance(each, models.EmailField)
            }
            told = people.people_of(model)
            company = model._meta.label in {"billing.Seller", "billing.Customer"}
            assert columns - set(told) <= ({"email"} if company else set()), model
            for each in told.values():
                assert {*each.names, *each.rest} <= {field.name for field in model._meta.concrete_fields}


def test_facts_and_papers_change_for_nobody_else(traces):
    for model, change in ((Event, {"data": {}}), (Document, {"content": b""})):
        with pytest.raises(IntegrityError), removing("anything"):
            model.objects.update(**change)
    with pytest.raises(IntegrityError), removing("erasure"):
        Event.objects.update(type="lead.other")
    with pytest.raises(IntegrityError), removing("erasure"):
        Event.objects.all().delete()
    with removing("erasure"):
        Event.objects.update(data={})
    with pytest.raises(IntegrityError):
        Event.objects.update(data={"a": 1})


# -- Telling


def opened(request):
    with zipfile.ZipFile(disclosing.export(request=request, **WHO)) as pack:
        return json.loads(pack.read("person.json")), {name: pack.read(name) for name in pack.namelist()}


def test_everything_that_is_held_is_told(traces):
    told, files = opened(asked())
    assert told["address"] == JANE
    assert NAME in told["names"]
    tables = told["tables"]
    assert tables["billing.User"][0]["name"] == NAME
    assert tables["sales.Lead"][0]["need"] == f"Call {NAME}"
    assert tables["sales.Quote"][0]["decline_reason"] == f"{NAME} says no"
    assert any(f"Regards, {NAME}" in each["text"] for each in tables["sales.QuoteComment"])
    assert tables["checkout.CheckoutSession"][0]["answers"]["name"] == NAME
    assert {"billing.Event", "billing.Mail", "billing.Member", "billing.ProviderEvent"} <= tables.keys()
    assert [name for name in files if name.startswith("papers/") and name.endswith(".pdf")]


def test_nobody_else_and_no_secret_is_told(traces):
    _, files = opened(asked())
    text = files["person.json"].decode()
    assert people.pattern([BOB, BOBS_NAME, "sam@seller.example", "Sam Seller"]).search(text) is None
    assert f"Copy to {disclosing.OTHER} <{disclosing.OTHER}> and {disclosing.OTHER}" in text
    session, user = CheckoutSession.objects.get(), User.objects.get(email=JANE)
    assert session.token not in text
    assert user.password not in text


def test_an_account_is_told_with_its_papers(sole_trader, subscribe):
    subscribe(sole_trader)
    told, files = opened(asked())
    assert {"billing.Invoice", "billing.InvoiceLine", "billing.Subscription", "billing.Phase"} <= told[
        "tables"
    ].keys()
    assert told["tables"]["billing.Customer"][0]["billing_address"]["line1"] == "7 Canary Wharf Lane"
    assert len([name for name in files if name.startswith("papers/")]) == 1


def test_it_is_noted_who_had_it(traces):
    request = asked()
    opened(request)
    request.refresh_from_db()
    assert (request.exported_by, request.exported_at, request.reason) == (
        "user:1",
        NOON,
        "By letter of 3 March",
    )
    event = Event.objects.get(type="person.exported")
    assert (event.actor, event.object_id) == ("user:1", request.pk)
    assert JANE not in json.dumps(event.data)


def test_the_address_is_kept_sealed(traces):
    request = asked()
    assert JANE not in request.address
    assert disclosing.address_of(request) == JANE


@pytest.mark.parametrize(
    ("address", "reason", "field"),
    [("jane", "x", "address"), (JANE, " ", "reason"), ("no@body.example", "x", "address")],
)
def test_what_cannot_be_asked_is_named_by_its_field(db, address, reason, field):
    with pytest.raises(disclosing.Refused) as refusal:
        disclosing.ask(address=address, reason=reason, **WHO)
    assert refusal.value.field == field

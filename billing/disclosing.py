"""What is held about a person: asked for, counted, and given out as one archive of JSON and papers.

The archive tells of nobody else: rows that are another person's are left out, and in what is told of an account or a
quote the names and addresses of others are replaced.
"""

import hashlib
import hmac
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import validate_email
from django.db import models, transaction
from django.db.models import Q

from billing import people, printing
from billing.erasing import opened, replacing
from billing.events import record
from billing.models import CreditNote, Customer, Document, Invoice, Mail, Member, PrivacyRequest, User
from billing.people import Person, Rows
from billing.refusals import Refused
from billing.sealing import seal

OTHER = "another person"
# Tables of these packages are told; what the framework keeps for signing in and for its queue is no knowledge about
# somebody, and nobody's to take away.
TOLD = frozenset({"billing", "sales", "checkout", "djstripe", "account"})
# How the machine works, and what is told by other rows already.
MACHINERY = frozenset(
    """
    billing.ApiKey billing.CustomerFigure billing.EventAmendment billing.EventDigest billing.IdempotentRequest
    billing.ObjectSequence billing.PortalLink
    billing.PrivacyRequest billing.UsageImport billing.WebhookAttempt billing.WebhookDelivery billing.WebhookEndpoint
    sales.AutomationRun sales.WeighedEvent account.EmailConfirmation djstripe.APIKey djstripe.WebhookEventTrigger
    """.split()
)
SECRETS = frozenset("password token link_nonce card_token client_secret action_url setup_url secret".split())
# Papers are of accounts; their lines are told although no search finds a person in them.
LINES = ("billing.InvoiceLine", "billing.CreditNote", "billing.CreditNoteLine")


class NoSuchPerson(Refused):
    """Nothing tells of this address."""

    code = "no_such_person"


def digest(address: str) -> str:
    """The same for the same address, of use to nobody without the key."""
    return hmac.new(
        settings.SECRET_KEY.encode(), address.strip().lower().encode(), hashlib.sha256
    ).hexdigest()


def ask(*, address: str, reason: str, now: datetime, actor: str) -> PrivacyRequest:
    """Note that somebody asks about this address, and count what is held. Raises NoSuchPerson, or Refused for what is
    no address or has no reason."""
    address = address.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Refused("Not an e-mail address.", field="address") from None
    if not reason.strip():
        raise Refused("Say why: who asked, and how you know that it was them.", field="reason")
    person = people.find(address)
    if not person.known:
        again = PrivacyRequest.objects.filter(digest=digest(address), erased_at__isnull=False).first()
        done = f" They were erased on {again.erased_at:%-d %B %Y}." if again and again.erased_at else ""
        raise NoSuchPerson(f"Nothing tells of this address.{done}", field="address")
    return PrivacyRequest.objects.create(
        address=seal(json.dumps({"address": address})), digest=digest(address), reason=reason.strip()[:300],
        asked_by=actor, asked_at=now, held=_counts(person),
    )  # fmt: skip


def address_of(request: PrivacyRequest) -> str:
    """Raises AlreadyErased."""
    return str(opened(request)["address"])


def _counts(person: Person) -> dict[str, int]:
    """{what the rows are called: how many} that an export holds."""
    found: Counter[str] = Counter()
    for model, rows in _tables(person):
        found[str(model._meta.verbose_name_plural)] += rows.count()
    return {name: count for name, count in sorted(found.items()) if count}


# -- The archive --------------------------------------------------------------------------------------------


def export(*, request: PrivacyRequest, now: datetime, actor: str) -> IO[bytes]:
    """An open ZIP archive, at its beginning: `person.json` and `papers/`. Raises AlreadyErased."""
    person = people.find(address_of(request))
    archive = tempfile.SpooledTemporaryFile(max_size=8 << 20)  # noqa: SIM115 - the caller reads and closes it
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        papers = {_name(paper): paper for paper in _papers(person)}
        pack.writestr("person.json", _words(person, sorted(papers), now))
        for name, paper in papers.items():
            pack.writestr(f"papers/{name}", bytes(paper.content))
    with transaction.atomic():
        PrivacyRequest.objects.filter(pk=request.pk).update(exported_at=now, exported_by=actor)
        data = {"customers": sorted(person.customers), "papers": len(papers)}
        record("person.exported", subject=request, actor=actor, now=now, data=data, livemode=True)
    archive.seek(0)
    return archive


def _name(paper: Document) -> str:
    """Numbers repeat between live and sandbox; ids do not."""
    return f"{paper.pk[-12:]}-{paper.name}"


def _words(person: Person, papers: list[str], now: datetime) -> str:
    hide = _hiding_others(person)
    tables = {
        model._meta.label: [_told(row) for row in rows.iterator(chunk_size=1000)]
        for model, rows in _tables(person)
    }
    told = {
        "address": person.address, "names": sorted(person.names), "told_at": now, "papers": papers,
        "tables": {label: rows for label, rows in tables.items() if rows},
    }  # fmt: skip
    return hide(json.dumps(told, cls=DjangoJSONEncoder, indent=1, ensure_ascii=False))


def _told(row: models.Model) -> dict[str, Any]:
    """A row as plain values; no secrets, no bytes."""
    columns = (each for each in row._meta.concrete_fields if not isinstance(each, models.BinaryField))
    return {each.attname: getattr(row, each.attname) for each in columns if each.name not in SECRETS}


def _tables(person: Person) -> Iterator[tuple[type[models.Model], models.QuerySet[Any]]]:
    """The rows that tell of the person, table by table, in a fixed order."""
    accounts: Rows = {Customer: {account.pk for account in person.accounts}}
    models_told: set[type[models.Model]] = {*people.holders(), *people.models_named(*LINES), Member}
    for model in sorted(models_told, key=lambda each: each._meta.label):
        if model._meta.app_label not in TOLD or model._meta.label in MACHINERY:
            continue
        wanted = Q(pk__in=person.rows.get(model, ()))
        if not people.people_of(model):
            wanted |= _about(model, person) | people.reach(model, accounts)
        if model is Member:
            wanted = people.reach(model, {User: person.rows.get(User, set())})
        if wanted:
            yield model, model._base_manager.filter(wanted).order_by("pk")


def _about(model: type[models.Model], person: Person) -> Q:
    """Rows that hold the address, or lead to the person and name them."""
    keys = set(person.about.get(model, set()))
    led = people.reach(model, person.roots)
    if person.names and led:
        keys.update(people.told_in(model, person.names).filter(led).values_list("pk", flat=True))
    return Q(pk__in=keys)


def _papers(person: Person) -> list[Document]:
    """Everything printed for the person: papers of their accounts, quotes to them, what mails brought them."""
    keys: set[Any] = set()
    for invoice in Invoice.objects.filter(customer__in=person.accounts, issued_at__isnull=False).order_by(
        "pk"
    ):
        keys.add(printing.print_invoice(invoice.pk).pk)
    for note in CreditNote.objects.filter(customer__in=person.accounts).order_by("pk"):
        keys.add(printing.print_credit_note(note.pk).pk)
    for model, rows in person.rows.items():
        for column in model._meta.concrete_fields:
            if column.related_model is Document:
                keys.update(model._base_manager.filter(pk__in=rows).values_list(column.attname, flat=True))
    mails = Mail.more_documents.through.objects.filter(mail__in=person.rows.get(Mail, ()))
    keys.update(mails.values_list("document", flat=True))
    return list(Document.objects.filter(pk__in=keys - {None}).exclude(content=b"").order_by("pk"))


# -- Others -------------------------------------------------------------------------------------------------


def _hiding_others(person: Person) -> Any:
    """Replaces the names and addresses of colleagues, and of everybody else at the person's customers and quotes."""
    found = set(
        _of_users(User.objects.filter(Q(is_staff=True) | Q(memberships__customer__in=person.customers)))
    )
    for model in people.holders():
        for column, told in people.people_of(model).items():
            rows = model._base_manager.filter(people.reach(model, person.roots) or Q(pk__in=()))
            for address, *names in rows.values_list(column, *told.names):
                found |= {address.lower(), *(name.strip() for name in names if name)} if address else set()
    mine = {
        person.address,
        *(name.lower() for name in person.names),
        *(each.name.lower() for each in person.accounts),
    }
    others = {text for text in found if len(text) > 2 and text.lower() not in mine}
    return replacing(dict.fromkeys(others, OTHER)) if others else str


def _of_users(users: Iterable[User]) -> Iterator[str]:
    for user in users:
        yield from (user.email.lower(), user.name)

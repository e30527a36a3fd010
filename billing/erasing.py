"""Forgetting a person: every row that tells of them is changed so that it no longer does.

What was issued stays: invoices, credit notes and signed quotes are papers that the law keeps, until
`billing.retaining` removes them. Everything else that has the address, or a name of the person where their rows lead,
has a word in its place. It can be done again at any time, and after a death at any line: what is done is not found again.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Cast
from django_q.models import Task

from billing import forgetting, people
from billing.events import record
from billing.models import (
    CreditNote,
    Customer,
    Document,
    Invoice,
    Mail,
    Member,
    PrivacyRequest,
    Subscription,
    User,
)
from billing.people import Person
from billing.refusals import Refused
from billing.removing import removing
from billing.sealing import seal, unseal

NAME = "Erased person"
# Payments that the provider has not decided.
UNDECIDED = ("new", "sent", "unknown", "requires_action")


class StillNeeded(Refused):
    """Something is going on with the person that needs to know them; the message says what to do first."""

    code = "person_still_needed"


class Colleague(Refused):
    """The person works for the seller: who did what is kept."""

    code = "person_is_staff"


class AlreadyErased(Refused):
    """The request was carried out: the address is known no more."""

    code = "person_erased"


class AlreadyWanted(Refused):
    """The erasure was asked for before."""

    code = "erasure_asked_for"


def objections(person: Person, *, with_accounts: bool) -> list[Refused]:
    """Why the person cannot be erased yet; empty when nothing stands against it."""
    found: list[Refused] = []
    if User.objects.filter(email__iexact=person.address, is_staff=True).exists():
        found.append(
            Colleague("This is a colleague’s address. Take their sign-in away instead: who did what is kept.")
        )
    for account in person.accounts:
        found += _against(account) if with_accounts else [_named(account)]
    found += _left_alone(person)
    for model, keys in person.rows.items():
        for told in people.people_of(model).values():
            if told.needed and model._base_manager.filter(told.needed[0], pk__in=keys).exists():
                found.append(StillNeeded(told.needed[1]))
    return found


def _named(account: Customer) -> Refused:
    return StillNeeded(
        f"It is the address of the account {account.name}. Give the account another address first, or erase the "
        "account too.",
        field="with_accounts",
    )


def _left_alone(person: Person) -> Iterator[Refused]:
    """Of the accounts whose address is another: those that nobody could let people into any more."""
    owners = Member.objects.filter(role=Member.Role.OWNER, removed_at__isnull=True)
    theirs = Q(user__in=person.rows.get(User, ()))
    others = owners.filter(customer=OuterRef("customer")).exclude(theirs)
    for member in (
        owners.filter(theirs, ~Exists(others))
        .exclude(customer__in=person.accounts)
        .select_related("customer")
        .order_by("customer")
    ):
        if any(_against(member.customer)):
            yield StillNeeded(
                f"{member.customer.name} has no other owner. Make another member its owner first, or close it: cancel "
                "what runs, settle its invoices and pay out its credit."
            )


def _against(account: Customer) -> Iterator[Refused]:
    if account.subscriptions.exclude(status=Subscription.Status.CANCELED).exists():
        yield StillNeeded(f"{account.name} has a subscription. Cancel it first.")
    if account.invoices.filter(status__in=(Invoice.Status.DRAFT, Invoice.Status.OPEN)).exists():
        yield StillNeeded(
            f"{account.name} has an invoice that is not settled. Collect it, credit it or give it up first."
        )
    if account.balance:
        yield StillNeeded(f"{account.name} has credit left. Pay it out first.")
    if account.joined.exists():
        yield StillNeeded(f"Other accounts are parts of {account.name}. Erase them first.")
    if account.payments.filter(status__in=UNDECIDED).exists():
        yield StillNeeded(f"A payment of {account.name} has no answer yet. Wait until it is decided.")


def want(*, request: PrivacyRequest, with_accounts: bool, now: datetime, actor: str) -> PrivacyRequest:
    """Note that the person is to be erased. Raises Colleague, StillNeeded, AlreadyWanted."""
    person = _known(request)
    if against := objections(person, with_accounts=with_accounts):
        raise against[0]
    waiting = PrivacyRequest.objects.filter(pk=request.pk, erase_asked_at__isnull=True)
    terms = {"with_accounts": with_accounts, "erase_asked_by": actor, "erase_asked_at": now}
    if not waiting.update(**terms):
        raise AlreadyWanted("Somebody asked for this already.")
    request.refresh_from_db()
    return request


def finish(*, now: datetime) -> int:
    """Do what was asked for and not done, where a dead worker left it; answers how many. What has become impossible
    meanwhile says why on its page, and is tried again."""
    done = 0
    for request in PrivacyRequest.objects.filter(erase_asked_at__isnull=False, erased_at__isnull=True):
        try:
            erase(request=request, now=now)
            done += 1
        except Refused as refused:
            PrivacyRequest.objects.filter(pk=request.pk).update(message=refused.message[:300])
    return done


def erase(*, request: PrivacyRequest, now: datetime) -> PrivacyRequest:
    """Do what `request` asks for. Raises Colleague, StillNeeded, with nothing changed. Repeatable, also after a death:
    what is known of the person is noted, sealed, before the first row that told it is changed."""
    if request.erased_at is not None:
        return request
    person = _known(request)
    if against := objections(person, with_accounts=request.with_accounts):
        raise against[0]
    changed: Counter[str] = Counter()
    with removing("erasure"):
        person.names |= _begun(request, person, now)
        _note(request, person)
    word, ids = f"erased-{secrets.token_hex(6)}@erased.invalid", _ids(person)
    for model in people.holders():
        with removing("erasure"):
            changed[model._meta.label_lower] += _empty(model, person, word) + _sweep(model, person, word, ids)
    with removing("erasure"):
        _sessions(person)
        _jobs(person)
        return _done(request, person, changed, now)


def _begun(request: PrivacyRequest, person: Person, now: datetime) -> set[str]:
    """Take away what lets the person in, and empty their accounts. Answers what else those were known by."""
    names: set[str] = set()
    # All of them first, in the order in which everybody who holds several does.
    theirs = Customer._base_manager.select_for_update(of=("self",), no_key=True)
    list(theirs.filter(pk__in=person.customers).order_by("pk").values_list("pk"))
    for refusal in _left_alone(person):
        raise refusal
    _close_doors(person, now, request.erase_asked_by)
    _empty_papers_of_quotes(person)
    for account in person.accounts if request.with_accounts else []:
        for refusal in _against(account):
            raise refusal
        names |= _identities(account)
        forgetting.empty(customer=account, now=account.on_clock(now), actor=request.erase_asked_by)
    request.kept = request.kept or papers_kept(person)
    return names


def _done(request: PrivacyRequest, person: Person, changed: Counter[str], now: datetime) -> PrivacyRequest:
    request.erased_at, request.address, request.message = now, "", ""
    request.erased = {label: count for label, count in sorted(changed.items()) if count}
    request.reason = replacing(dict.fromkeys([person.address, *person.names], NAME))(request.reason)[:300]
    request.save()
    data = {"customers": sorted(person.customers), "kept": request.kept}
    record("person.erased", subject=request, actor=request.erase_asked_by, now=now, data=data, livemode=True)
    return request


# -- What is known, and noted -------------------------------------------------------------------------------


def opened(request: PrivacyRequest) -> dict[str, Any]:
    """What the request keeps sealed: the address, and what an erasure that died had found. Raises AlreadyErased."""
    if not request.address:
        raise AlreadyErased("The person was erased: nothing tells of them any more.")
    noted: dict[str, Any] = json.loads(unseal(request.address))
    return noted


def _known(request: PrivacyRequest) -> Person:
    """The person as found now, and as noted by a try that died."""
    noted = opened(request)
    person = people.find(noted["address"])
    person.names.update(noted.get("names", ()))
    person.customers.update(noted.get("customers", ()))
    for label, keys in noted.get("rows", {}).items():
        person.rows.setdefault(apps.get_model(label), set()).update(keys)
    return person


def _note(request: PrivacyRequest, person: Person) -> None:
    rows = {model._meta.label: sorted(keys) for model, keys in person.rows.items()}
    noted = {
        "address": person.address,
        "names": sorted(person.names),
        "customers": sorted(person.customers),
        "rows": rows,
    }
    request.address = seal(json.dumps(noted))
    request.save(update_fields=["address", "kept"])


# -- What stays ---------------------------------------------------------------------------------------------


def papers_kept(person: Person) -> dict[str, int]:
    """Issued papers that name the person, and will until their period is over."""
    own = [account.pk for account in person.accounts]
    named = Q(customer__in=own) | Q(bill_to__icontains=person.address)
    found = {
        "invoices": Invoice.objects.filter(named, issued_at__isnull=False).count(),
        "credit_notes": CreditNote.objects.filter(named).count(),
        "signed_quotes": len(_documents(person, signed=True)),
    }
    return {kind: count for kind, count in found.items() if count}


def _documents(person: Person, *, signed: bool) -> set[Any]:
    """Papers of the person's quotes: of those that were signed, or of the others."""
    found: set[Any] = set()
    for model, keys in person.rows.items():
        if any(each.name == "signed_document" for each in model._meta.concrete_fields):
            rows = model._base_manager.filter(pk__in=keys, signed_document__isnull=not signed)
            found.update(*rows.values_list("document", "signed_document"))
    return found - {None}


def _empty_papers_of_quotes(person: Person) -> None:
    """A proposal that nobody signed is no paper that the law keeps."""
    Document.objects.filter(pk__in=_documents(person, signed=False)).exclude(content=b"").update(content=b"")


# -- Signing in ---------------------------------------------------------------------------------------------


def _close_doors(person: Person, now: datetime, actor: str) -> None:
    users = User.objects.filter(pk__in=person.rows.get(User, ()))
    for member in Member.objects.filter(user__in=users, removed_at__isnull=True).order_by("pk"):
        member.removed_at = now
        member.save(update_fields=["removed_at"])
        data = {"email": "", "name": NAME, "role": member.role}
        record("member.removed", subject=member, actor=actor, now=now, data=data)
    EmailAddress.objects.filter(Q(user__in=users) | Q(email__iexact=person.address)).delete()
    Authenticator.objects.filter(user__in=users).delete()
    for user in users:
        user.set_unusable_password()
        user.is_active = False
        user.save(update_fields=["password", "is_active"])
    Mail.objects.filter(recipient__iexact=person.address, sent_at__isnull=True).delete()


def _sessions(person: Person) -> None:
    """Visits of the person, and those in which the address was typed."""
    users = {str(key) for key in person.rows.get(User, ())}
    for session in Session.objects.iterator(chunk_size=500):
        held = session.get_decoded()
        if str(held.get("_auth_user_id", "")) in users or person.address in str(held).lower():
            session.delete()


def _jobs(person: Person) -> None:
    """What finished or failed jobs kept of their arguments and errors: it is stored pickled, so no search finds it."""
    for task in Task.objects.iterator(chunk_size=500):
        if person.address in f"{task.args} {task.kwargs} {task.result}".lower():
            task.delete()


# -- Rows ---------------------------------------------------------------------------------------------------


def _empty(model: type[models.Model], person: Person, word: str) -> int:
    """What a row says of its person alone goes; the row stays with a word for its address and name."""
    changed = 0
    for column, told in people.people_of(model).items():
        fresh: dict[str, Any] = dict.fromkeys(told.names, NAME) | {
            name: _nothing(model, name) for name in told.rest
        }
        rows = model._base_manager.filter(**{f"{column}__iexact": person.address})
        field: Any = model._meta.get_field(column)
        changed += rows.update(**{column: "" if field.blank else word}, **fresh)
    return changed


def _nothing(model: type[models.Model], name: str) -> Any:
    column: Any = model._meta.get_field(name)
    if column.null:
        return None
    return column.get_default() if column.has_default() else ""


def _sweep(model: type[models.Model], person: Person, word: str, ids: set[str]) -> int:
    """Put a word in place of the address anywhere, and of the names in rows that had the address or lead to it."""
    wanted = people.told_in(model, [person.address])
    changed = _rewrite(model, wanted, {person.address: word, **dict.fromkeys(person.names, NAME)})
    if person.names:
        theirs = Q(pk__in=person.about.get(model, set()) | person.rows.get(model, set())) | people.reach(
            model, person.roots
        )
        if any(each.name == "object_id" for each in model._meta.concrete_fields):
            theirs |= Q(object_id__in=ids)
        named = people.told_in(model, person.names).filter(theirs)
        changed += _rewrite(model, named, dict.fromkeys(person.names, NAME))
    return changed


def _ids(person: Person) -> set[str]:
    """Facts and log entries name by its id what they are about: the person's rows, and what belongs to those. So does a
    fact about a lead's deal, which is no customer's."""
    rows = {model: keys for model, keys in person.rows.items() if model is not User}
    found = {str(key) for keys in rows.values() for key in keys}
    for model in people.holders():
        if any(target in rows for _, target in people.ways(model, 1)):
            theirs = model._base_manager.filter(people.reach(model, rows))
            found.update(map(str, theirs.values_list("pk", flat=True)))
    return found


def _rewrite(model: type[models.Model], rows: models.QuerySet[Any], words: Mapping[str, str]) -> int:
    """Replace each key of `words` by its value in every text column of these rows."""
    substitute = replacing(words)
    names = people.columns(model)
    changed = 0
    for pk, *values in list(rows.order_by("pk").values_list("pk", *(_read(model, name) for name in names))):
        fresh = {
            name: _fresh(model, name, value, substitute)
            for name, value in zip(names, values, strict=True)
            if value
        }
        fresh = {name: value for name, value in fresh.items() if value is not None}
        if fresh:
            changed += model._base_manager.filter(pk=pk).update(**fresh)
    return changed


def replacing(words: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces texts by words, however they are written."""
    by_form = {form.lower(): word for text, word in words.items() for form in people.forms(text)}
    pattern = people.pattern(words)
    return lambda text: pattern.sub(lambda found: by_form.get(found[0].lower(), NAME), text)


def _read(model: type[models.Model], name: str) -> Any:
    """A column as it is rewritten: JSON as its text, so that numbers stay digit by digit what they are."""
    return people.as_text(model, name) if name in people.json_columns(model) else models.F(name)


def _fresh(model: type[models.Model], name: str, value: Any, substitute: Callable[[str], str]) -> Any:
    """The value as it is written back; None where it does not change."""
    column: Any = model._meta.get_field(name)
    if isinstance(column, ArrayField):
        fresh = [substitute(each) for each in value]
        return fresh if fresh != value else None
    if isinstance(column, models.BinaryField):
        text = bytes(value).decode("latin-1")
        fresh_text = substitute(text)
        return fresh_text.encode("latin-1") if fresh_text != text else None
    text = str(value)
    fresh_text = substitute(text)
    if fresh_text == text:
        return None
    if isinstance(column, models.JSONField):
        return Cast(Value(fresh_text), models.JSONField())
    return fresh_text[: column.max_length] if column.max_length else fresh_text


def _identities(account: Customer) -> set[str]:
    """What tells an account that is one person's: as it is called now, and as facts say that it was called."""
    texts: Iterable[Any] = [
        account.name,
        account.tax_id,
        account.external_id,
        *account.billing_address.values(),
    ]
    found = {text.strip() for text in texts if isinstance(text, str) and len(text.strip()) > 3}
    places = {
        account.country,
        *(account.billing_address.get(key, "") for key in ("country", "city", "state")),
    }
    for data in account.events.filter(type__in=("customer.created", "customer.updated")).values_list(
        "data", flat=True
    ):
        for part in (data, data.get("before"), data.get("after")):
            if isinstance(part, Mapping):
                found |= {
                    text.strip()
                    for key in ("name", "tax_id", "external_id", "email")
                    if isinstance(text := part.get(key), str) and len(text.strip()) > 3
                }
    return found - places

"""Who buys: made, changed, given members and an owner, and put in the segment that its revenue earns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, cast

from django.db import transaction
from django.db.models import Q

from billing import bulk, entitlements, exchanging, mail, moves, typed
from billing.events import Fact, record, record_many, staff_of
from billing.models import (
    CollectionMethod,
    Customer,
    Event,
    Mail,
    Member,
    PaymentMethod,
    Segment,
    SegmentChange,
    TestClock,
    User,
)
from billing.models.ids import is_id
from billing.refusals import Refused
from billing.remembering import RememberedSQL
from billing.typed import FREE_MAIL, business_domain

__all__ = [
    "FREE_MAIL",
    "NET_DAYS",
    "AlreadyMember",
    "Bands",
    "CurrencyInUse",
    "ExternalIdTaken",
    "Given",
    "InvalidValue",
    "LastOwner",
    "NotChangedHere",
    "TeamFull",
    "UnknownField",
    "UnknownRole",
    "add_member",
    "allowed",
    "assign_owner",
    "assign_owners",
    "begun",
    "business_domain",
    "change_role",
    "checked_net_days",
    "create",
    "default_card",
    "first_member",
    "held",
    "hold",
    "move_members",
    "pin_segment",
    "remove_member",
    "resegment",
    "segment_for",
    "segment_with",
    "unpin_segment",
    "update",
]  # fmt: skip

NET_DAYS = (0, 15, 30, 45, 60)
ADDRESS = {"line1": 200, "line2": 200, "city": 100, "state": 100, "postal_code": 20, "country": 60}
MAX_EMPLOYEES = 10_000_000

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bands:
    """The table of segments as a caller has read it, with the seller's currency."""

    into: str
    segments: Sequence[Segment]


class UnknownField(Refused):
    """A name that is not a field of a customer."""

    code = "unknown_field"


class InvalidValue(Refused):
    """A value of the wrong kind; the message says what is wanted."""

    code = "invalid_value"


class NotChangedHere(Refused):
    """A field that has a verb of its own, or that stays as it was made."""

    code = "not_changed_here"


class ExternalIdTaken(Refused):
    """Another customer of the same mode has it."""

    code = "external_id_taken"


class CurrencyInUse(Refused):
    """Papers or subscriptions exist in the present currency."""

    code = "currency_in_use"


class UnknownRole(Refused):
    """Not one of owner, billing, viewer."""

    code = "unknown_role"


class TeamFull(Refused):
    """The plan allows no more people."""

    code = "team_full"


class AlreadyMember(Refused):
    """The person already has access to this customer."""

    code = "already_member"


class LastOwner(Refused):
    """The customer would be left without an owner."""

    code = "last_owner"


# -- Made and changed ---------------------------------------------------------------------------------------


@transaction.atomic
def create(
    *,
    name: str,
    email: str,
    livemode: bool,
    now: datetime,
    actor: str,
    segments: Bands | None = None,
    **fields: Any,
) -> Customer:
    """A customer in the segment of no revenue yet. `fields` as in the API; raises `Refused` naming the field.

    The domain comes from the mail address unless that is a free one; the country from the address, and the
    other way round.
    """
    made = begun(name=name, email=email, livemode=livemode, now=now, actor=actor, segments=segments, **fields)
    made.save(force_insert=True)
    return made


def begun(
    *,
    name: str,
    email: str,
    livemode: bool,
    now: datetime,
    actor: str,
    segments: Bands | None = None,
    **fields: Any,
) -> Customer:
    """A customer as `create` makes it, recorded but not stored: the caller does that, with what belongs to it."""
    given = cleaned({"name": name, "email": email, **fields})
    given.setdefault("domain", business_domain(given["email"]))
    customer = Customer(livemode=livemode, segment=_band(0, segments), created_at=now, **given)
    _refuse_taken_external_id(customer)
    record("customer.created", subject=customer, customer=customer, actor=actor, now=now, data=_shown(given))
    return customer


def hold(customer_id: str) -> None:
    """Keep everybody else from this customer's money until the transaction ends: who writes more than one row of a
    customer's does this first (see “Locks” in docs/architecture.md)."""
    Customer.objects.select_for_update(no_key=True).values("pk").get(pk=customer_id)


def held(ids: Sequence[str]) -> dict[str, Customer]:
    """Hold customers and read them, with their clocks and owners. One is waited for; of several, those whom somebody
    else holds are left out, so that nobody waits for one while holding others."""
    rows = Customer.objects.select_for_update(of=("self",), no_key=True, skip_locked=len(ids) > 1)
    wanted = rows.filter(pk__any=list(ids)).select_related("test_clock", "owner").order_by("pk")
    return {row.pk: row for row in wanted}


@transaction.atomic
def update(*, customer: Customer, now: datetime, actor: str, held: bool = False, **fields: Any) -> Customer:
    """Change what is given; the event says before and after. The collection method is switched elsewhere. `held`: the
    caller holds the row, and has read it since."""
    row = customer if held else Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    given = cleaned(fields, known=row)
    if "email" in given and "domain" not in given and row.domain == business_domain(row.email):
        given["domain"] = business_domain(given["email"])
    before = {name: getattr(row, name) for name in given if getattr(row, name) != given[name]}
    if not before:
        return customer
    after = {name: given[name] for name in before}
    _refuse_forbidden(row, after)
    moves.change(row, **after)
    for name, value in after.items():
        setattr(customer, name, value)
    changed = {"before": _shown(before), "after": _shown(after)}
    record("customer.updated", subject=row, customer=row, actor=actor, now=now, data=changed)
    return customer


def _refuse_forbidden(customer: Customer, after: Fields) -> None:
    if "collection_method" in after:
        raise NotChangedHere("The collection method is changed by switching it.", field="collection_method")
    if "test_clock" in after:
        raise NotChangedHere("A customer keeps the clock it was made with.", field="test_clock")
    if "currency" in after and (customer.subscriptions.exists() or customer.invoices.exists()):
        raise CurrencyInUse(f"Subscriptions or invoices exist in {customer.currency}.", field="currency")
    if "currency" in after and (customer.merged_into_id or customer.joined.exists()):
        raise CurrencyInUse(f"Accounts of {customer.currency} are joined in it.", field="currency")
    if "external_id" in after:
        _refuse_taken_external_id(
            Customer(pk=customer.pk, livemode=customer.livemode, external_id=after["external_id"])
        )


def _refuse_taken_external_id(customer: Customer) -> None:
    if customer.external_id is None:
        return
    others = Customer.objects.filter(livemode=customer.livemode, external_id=customer.external_id)
    if others.exclude(pk=customer.pk).exists():
        raise ExternalIdTaken("Another customer has this external id.", field="external_id")


# -- What may be stored -------------------------------------------------------------------------------------


def cleaned(fields: Fields, *, known: Customer | None = None) -> dict[str, Any]:
    """The fields as they are stored. `known` gives the country that a new tax id is judged by."""
    for name in fields:
        if name not in _CLEANERS:
            raise UnknownField(f"A customer has no field “{name}”.", field=name)
    given = {name: _CLEANERS[name](value) for name, value in fields.items()}
    _settle_country(given, known)
    if "tax_id" in given:
        given["tax_id"] = typed.tax_id(given["tax_id"], _country_of(given, known))
    return given


def _settle_country(given: dict[str, Any], known: Customer | None) -> None:
    address = given.get("billing_address")
    if address and address.get("country") and not given.get("country"):
        given["country"] = address["country"]
    elif address and not address.get("country") and (code := _country_of(given, known)):
        address["country"] = code


def _country_of(given: Fields, known: Customer | None) -> str:
    return given.get("country") or (known.country if known else "")


def _address(value: Any) -> dict[str, str]:
    field = "billing_address"
    if not isinstance(value, Mapping):
        raise InvalidValue("An address has line1, line2, city, state, postal_code and country.", field=field)
    for name in value:
        if name not in ADDRESS:
            raise UnknownField(f"An address has no field “{name}”.", field=f"{field}.{name}")
    parts = {
        name: typed.text(value.get(name) or "", f"{field}.{name}", limit=limit)
        for name, limit in ADDRESS.items()
    }
    parts["country"] = typed.country(parts["country"], f"{field}.country")
    return {name: part for name, part in parts.items() if part}


def _external_id(value: Any) -> str | None:
    """Not in the form of an id of ours: whoever wrote it in a customer's place would mean, and bill, another one."""
    written = "" if value is None else typed.text(value, "external_id", limit=200)
    if is_id(written, "cus"):
        raise InvalidValue(
            "An external id is not written as one of Tandem's own ids is.", field="external_id"
        )
    return written or None


def _employees(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_EMPLOYEES:
        raise InvalidValue(f"A whole number from 0 to {MAX_EMPLOYEES:,}.", field="employees")
    return value


def checked_net_days(value: Any) -> int | None:
    """One of the listed terms, or None for whatever the customer or seller has. Raises InvalidValue."""
    if value is not None and value not in NET_DAYS:
        raise InvalidValue("Net terms are 0, 15, 30, 45 or 60 days.", field="net_days")
    return value


def _collection_method(value: Any) -> str:
    if value not in CollectionMethod.values:
        raise InvalidValue("charge_automatically or send_invoice.", field="collection_method")
    return value


def _flag(field: str) -> Callable[[Any], bool]:
    def flag(value: Any) -> bool:
        if not isinstance(value, bool):
            raise InvalidValue("true or false.", field=field)
        return value

    return flag


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > 50:
        raise InvalidValue("An object of at most 50 texts.", field="metadata")
    return {
        typed.text(k, "metadata", limit=40): typed.text(v, f"metadata.{k}", limit=500)
        for k, v in value.items()
    }


def _test_clock(value: Any) -> TestClock | None:
    if value is not None and not isinstance(value, TestClock):
        raise InvalidValue("There is no such test clock.", field="test_clock")
    return value


def _text(field: str, limit: int, *, required: bool = False) -> Callable[[Any], str]:
    return lambda value: typed.text(value, field, limit=limit, required=required)


_CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": _text("name", 200, required=True), "email": typed.email, "external_id": _external_id,
    "currency": typed.currency, "country": typed.country, "timezone": typed.timezone,
    "domain": typed.domain, "employees": _employees, "industry": _text("industry", 80),
    "tax_id": _text("tax_id", 40), "tax_exempt": _flag("tax_exempt"),
    "consolidate_invoices": _flag("consolidate_invoices"), "billing_address": _address, "net_days": checked_net_days,
    "collection_method": _collection_method, "metadata": _metadata, "test_clock": _test_clock,
    "provider_id": _text("provider_id", 100),
}  # fmt: skip


def _shown(fields: Fields) -> dict[str, Any]:
    """The fields as plain JSON values."""
    return {name: value.pk if isinstance(value, TestClock) else value for name, value in fields.items()}


# -- Members ------------------------------------------------------------------------------------------------


@transaction.atomic
def add_member(
    *,
    customer: Customer,
    email: str,
    name: str = "",
    role: str = Member.Role.VIEWER,
    now: datetime,
    actor: str,
) -> Member:
    """Give a person access; of a part of another account, to that. All but the very first member (the buyer) get a mail.
    Raises AlreadyMember, TeamFull."""
    address, role, customer = typed.email(email), _role(role), customer.account
    user = _user(address, typed.text(name, "name", limit=200))
    present = Member.objects.filter(customer=customer, removed_at__isnull=True)
    others = set(present.values_list("user_id", flat=True))
    if user.pk in others:
        raise AlreadyMember(f"{address} already has access.", field="email")
    if others:
        _refuse_full(customer, now)
    member, event = _join(customer, user, role, len(others) + 1, now=now, actor=actor)
    member.save(force_insert=True)
    if others or role != Member.Role.OWNER:
        invite(member, event=event, now=now, actor=actor)
    return member


def invite(member: Member, *, event: Event, now: datetime, actor: str) -> Mail | None:
    """The mail that shows a member the way in. `event` is about the member."""
    return mail.compose(
        template="team_invitation", to=member.user.email, event=event, now=now, customer=member.customer,
        context={"member": member, "inviter": name_of(actor)},
    )  # fmt: skip


def first_member(*, customer: Customer, name: str, now: datetime, actor: str, email: str = "") -> Member:
    """Whoever bought, as the owner of a customer that has just been `begun`; stored with it by the caller. `email`: the
    person's own, where it is another than the customer's."""
    user = _user(email or customer.email, typed.text(name, "name", limit=200))
    return _join(customer, user, Member.Role.OWNER, 1, now=now, actor=actor)[0]


def _join(
    customer: Customer, user: User, role: str, members: int, *, now: datetime, actor: str
) -> tuple[Member, Event]:
    """Not stored yet."""
    member = Member(customer=customer, user=user, role=role, added_by=actor, added_at=now)
    data = {**_member(member), "members": members}
    return member, record("member.added", subject=member, actor=actor, now=now, data=data)


def move_members(*, customer: Customer, into: Customer, now: datetime, actor: str) -> int:
    """Everybody of one customer gets access to another instead, with no less than they had; both are held. They have it
    already, so no plan's limit and no mail stands in between. Answers how many."""
    there = {row.user_id: row for row in _present(into)}
    leaving = _present(customer)
    for member in leaving:
        _bring(member, there, into, now=now, actor=actor)
        member.removed_at = now
        member.save(update_fields=["removed_at"])
        record("member.removed", subject=member, actor=actor, now=now, data=_member(member))
    return len(leaving)


def _present(customer: Customer) -> list[Member]:
    rows = Member.objects.filter(customer=customer, removed_at__isnull=True)
    return list(rows.select_related("user", "customer").order_by("added_at", "pk"))


def _bring(member: Member, there: dict[int, Member], into: Customer, *, now: datetime, actor: str) -> None:
    known = there.get(member.user_id)
    if known is None:
        known, _ = _join(into, member.user, member.role, len(there) + 1, now=now, actor=actor)
        known.save(force_insert=True)
        there[member.user_id] = known
    elif _ROLES.index(member.role) < _ROLES.index(known.role):
        change_role(member=known, role=member.role, now=now, actor=actor)


# From the one who may most.
_ROLES: list[str] = [Member.Role.OWNER, Member.Role.BILLING, Member.Role.VIEWER]


def _refuse_full(customer: Customer, now: datetime) -> None:
    """The plan's limit on people, counted with the customer's row held, so that the last place goes to one person."""
    Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    limit = entitlements.limit_of(customer, "seats", now)
    have = Member.objects.filter(customer=customer, removed_at__isnull=True).count()
    if limit is not None and have >= limit:
        raise TeamFull(f"The plan has room for {limit:,.0f} people. A larger plan has more.", field="email")


def name_of(actor: str) -> str:
    """The person behind an actor such as `member:mem_…` or `user:7`; "" for programs and for who is gone."""
    return names_of([actor])[actor]


def names_of(actors: Iterable[str]) -> dict[str, str]:
    """The same of many, by actor; a statement for those of the staff, and one for members."""
    parted = {actor: actor.partition(":") for actor in actors}
    staff = {key for kind, _, key in parted.values() if kind == "user" and key.isdigit()}
    members = [key for kind, _, key in parted.values() if kind == "member"]
    people = {f"user:{each.pk}": str(each) for each in User.objects.filter(pk__in=staff)} if staff else {}
    if members:
        rows = Member.objects.select_related("user").filter(pk__in=members)
        people |= {f"member:{each.pk}": str(each.user) for each in rows}
    return {actor: people.get(actor, "") for actor in parted}


def _role(role: str) -> str:
    if role not in Member.Role.values:
        raise UnknownRole("owner, billing or viewer.", field="role")
    return role


def _user(address: str, name: str) -> User:
    """The person with this address; made without a password, whoever else makes it at the same moment."""
    fresh = User(email=address.lower(), name=name)
    fresh.set_unusable_password()
    given = [fresh.password, fresh.email, fresh.name, fresh.date_joined]
    [user] = _found_or_made().fetch(given)
    return cast(User, user)


@cache
def _found_or_made() -> RememberedSQL:
    return RememberedSQL(User, _FIND_OR_MAKE)


_FIND_OR_MAKE = """
insert into billing_user as u (password, is_superuser, is_staff, is_active, email, name, date_joined)
values (%s, false, false, true, %s, %s, %s)
on conflict (lower(email)) do update set email = u.email
returning {columns}
"""


def _member(member: Member) -> dict[str, Any]:
    return {"email": member.user.email, "name": member.user.name, "role": member.role}


@transaction.atomic
def remove_member(*, member: Member, now: datetime, actor: str) -> None:
    """Take access away at once. Raises `LastOwner`; removing twice changes nothing."""
    row = _locked(member)
    if row.removed_at is not None:
        return
    _keep_an_owner(row)
    row.removed_at = member.removed_at = now
    row.save(update_fields=["removed_at"])
    record("member.removed", subject=row, actor=actor, now=now, data=_member(row))


@transaction.atomic
def change_role(*, member: Member, role: str, now: datetime, actor: str) -> None:
    """Raises `LastOwner` when nobody else could let people in afterwards."""
    row = _locked(member)
    if _role(role) == row.role:
        return
    _keep_an_owner(row)
    before, row.role, member.role = row.role, role, role
    row.save(update_fields=["role"])
    changed = {"before": {"member": row.pk, "role": before}, "after": {"member": row.pk, "role": role}}
    record(
        "customer.updated", subject=row.customer, customer=row.customer, actor=actor, now=now, data=changed
    )


def _locked(member: Member) -> Member:
    """The row, with its customer's members held still."""
    Customer.objects.select_for_update(no_key=True).get(pk=member.customer_id)
    return Member.objects.select_related("user", "customer").get(pk=member.pk)


def _keep_an_owner(member: Member) -> None:
    if member.role != Member.Role.OWNER:
        return
    owners = Member.objects.filter(
        customer=member.customer_id, role=Member.Role.OWNER, removed_at__isnull=True
    )
    if not owners.exclude(pk=member.pk).exists():
        raise LastOwner("A customer needs at least one owner.", field="role")


# -- Sales owner and segment --------------------------------------------------------------------------------


@transaction.atomic
def assign_owner(*, customer: Customer, owner: User | None, now: datetime, actor: str, why: str) -> None:
    """Whose customer this is in sales. The same owner again changes nothing. One that has just been `begun` is stored
    with its owner by the caller."""
    row = (
        customer
        if customer._state.adding
        else Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    )
    if row.owner_id != (owner.pk if owner else None):
        assign_owners(given=[Given(row, owner, why, now)], actor=actor)
    customer.owner = owner


@dataclass(frozen=True, slots=True)
class Given:
    """A customer that gets another owner, and what chose it."""

    customer: Customer
    owner: User | None
    why: str
    now: datetime


@transaction.atomic
def assign_owners(*, given: Sequence[Given], actor: str) -> None:
    """The same for customers that are held and have another owner, or none; two statements for any number."""
    facts = [_owner_fact(each, actor) for each in given]
    for each in given:
        each.customer.owner = each.owner
    stored = [each.customer for each in given if not each.customer._state.adding]
    bulk.update(Customer, [{"id": row.pk, "owner_id": row.owner_id} for row in stored], ["owner_id"])
    record_many(facts)


def _owner_fact(given: Given, actor: str) -> Fact:
    row, owner = given.customer, given.owner
    data = {
        "before": row.owner_id and staff_of(row.owner_id), "after": owner and staff_of(owner.pk),
        "owner": str(owner) if owner else None, "why": given.why,
    }  # fmt: skip
    return Fact("customer.owner_assigned", row.pk, row.pk, row.livemode, actor, given.now, data)


def _band(arr: int, bands: Bands | None = None) -> Segment | None:
    """The segment whose band holds this yearly revenue (minor units of the seller's currency)."""
    if bands is not None:
        return next((segment for segment in bands.segments if segment.holds(arr)), None)
    above = Q(max_arr__isnull=True) | Q(max_arr__gt=arr)
    return Segment.objects.filter(above, min_arr__lte=arr).order_by("-min_arr").first()


def segment_for(arr: int, currency: str, day: date, bands: Bands | None = None) -> Segment | None:
    """Where this yearly revenue (minor units of `currency`) belongs; None while there is no exchange rate."""
    if bands is not None and currency == bands.into:
        return _band(arr, bands)
    for segment in Segment.objects.annotate(**exchanging.rate_beside(currency, day)):
        value = exchanging.worth_beside(segment, arr, currency)
        if value is not None and segment.holds(value):
            return segment
    return None


def segment_with(customer: Customer, arr: int, day: date, bands: Bands | None = None) -> Segment | None:
    """Where the customer would be with this much a year, or with what it has if that is more. Who is pinned stays,
    and so does who pays in a currency without an exchange rate."""
    if customer.segment_pinned_reason:
        return customer.segment
    return segment_for(max(arr, customer.arr), customer.currency, day, bands) or customer.segment


def resegment(
    customer: Customer,
    now: datetime,
    why: str,
    actor: str = "system",
    into: str = "",
    among: Bands | None = None,
) -> Segment | None:
    """Put the customer where its committed ARR belongs, unless staff pinned it or nobody knows what it is worth.
    `into` is the seller's currency, and `among` the table, where they are known. Answers where it is."""
    if customer.segment_pinned_reason:
        return customer.segment
    value = exchanging.worth(customer.arr, customer.currency, now.date(), into)
    if value is None or (customer.segment is not None and customer.segment.holds(value)):
        return customer.segment
    segment = _band(value, among)
    if segment is not None and segment.pk != customer.segment_id:
        _enter(customer, segment, now=now, why=why, actor=actor)
    return customer.segment


@transaction.atomic
def pin_segment(*, customer: Customer, segment: Segment, reason: str, now: datetime, actor: str) -> None:
    """Hold the customer in a segment whatever its revenue, with the reason for it."""
    why = typed.text(reason, "reason", limit=300, required=True)
    Customer.objects.filter(pk=customer.pk).update(segment_pinned_reason=why)
    customer.segment_pinned_reason = why
    if segment.pk != customer.segment_id:
        _enter(customer, segment, now=now, why=f"pinned: {why}", actor=actor)


@transaction.atomic
def unpin_segment(*, customer: Customer, now: datetime, actor: str) -> None:
    Customer.objects.filter(pk=customer.pk).update(segment_pinned_reason="")
    customer.segment_pinned_reason = ""
    resegment(customer, now, "no longer pinned", actor)


@transaction.atomic
def _enter(customer: Customer, segment: Segment, *, now: datetime, why: str, actor: str) -> None:
    """Compare-and-set: who was quicker wins, and the change is kept once."""
    before = customer.segment
    still = bulk.Still(customer, {"segment": before})
    kept = SegmentChange(customer=customer, before=before, after=segment, at=now, why=why[:300])
    if not bulk.claim(still, {"segment": segment}, kept):
        customer.refresh_from_db(fields=["segment"])
        return
    customer.segment = segment
    data = {
        "before": before and before.code, "after": segment.code, "arr": customer.arr, "currency": customer.currency,
        "why": why,
    }  # fmt: skip
    record("customer.segment_changed", subject=customer, customer=customer, actor=actor, now=now, data=data)


def allowed(customer: Customer, method: str) -> bool:
    """Does the customer's segment allow this collection method?"""
    return customer.segment is None or customer.segment.allows(method)


def default_card(customer: Customer) -> PaymentMethod | None:
    """The saved card that charges go to."""
    return customer.payment_methods.filter(is_default=True, detached_at__isnull=True).first()

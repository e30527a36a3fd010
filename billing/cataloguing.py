"""Setting up what is sold: meters, plans with their prices and entitlements, discounts, tax rates.

A price that was used is never edited: another one with its code takes its place for new phases, and live
subscriptions keep what they agreed to.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing import regions, typed
from billing.choosing import UnknownPrice
from billing.events import record
from billing.maths.money import LIMIT
from billing.maths.periods import Interval
from billing.maths.pricing import InvalidPrice, PriceModel
from billing.maths.tax import CATEGORIES, Tax, whole
from billing.models import Discount, Entitlement, Meter, Motion, Plan, Price, TaxRate
from billing.refusals import Refused

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
MOST_PRICES = 100
MOST_TIERS = 100
MOST_TAXES = 10
MOST_ENTITLEMENTS = 100
MOST_TRIAL_DAYS = 730
HIGHEST_RANK = 32_767
KINDS = ("recurring", "usage", "one_time", "minimum")
DURATIONS = ("once", "repeating", "forever")


class InvalidCatalogue(Refused):
    """A field is out of range or contradicts another; `field` names it."""

    code = "invalid_value"


class InvalidPriceTerms(Refused):
    """The parts of a price contradict each other; `field` names the one to correct."""

    code = "invalid_price"


class CodeTaken(Refused):
    """Something of the same kind has this code."""

    code = "code_taken"


class UnknownMeter(Refused):
    code = "unknown_meter"


class UnknownPlan(Refused):
    code = "unknown_plan"


class PlanArchived(Refused):
    """It is no longer sold, and its terms are no longer changed."""

    code = "plan_archived"


# -- Meters -------------------------------------------------------------------------------------------------


@transaction.atomic
def create_meter(
    *,
    code: str,
    event_name: str,
    aggregation: str,
    name: str | None = None,
    property: str | None = None,
    unit: str = "",
    now: datetime,
    actor: str = "system",
    livemode: bool = False,
) -> Meter:
    """What turns the usage events of a name into a quantity. All but `count` read a property of the event. It is
    called by its code where no name is said.

    Raises CodeTaken, InvalidCatalogue, and what `typed` says of texts.
    """
    code = _code(code, "code", limit=50)
    if aggregation not in Meter.Aggregation.values:
        raise InvalidCatalogue("count, sum, max, last or unique.", field="aggregation")
    read = "" if aggregation == "count" else "value"
    _refuse_taken(Meter, code)
    made = Meter.objects.create(
        code=code, name=code if name is None else typed.text(name, "name", limit=100, required=True),
        aggregation=aggregation,
        event_name=typed.text(event_name, "event_name", limit=100, required=True),
        property=typed.text(property or read, "property", limit=100),
        unit=typed.text(unit, "unit", limit=40),
    )  # fmt: skip
    _say("meter.created", made, now=now, actor=actor, livemode=livemode)
    return made


# -- Plans --------------------------------------------------------------------------------------------------


@transaction.atomic
def create_plan(
    *,
    code: str,
    name: str,
    motion: str,
    now: datetime,
    actor: str,
    livemode: bool,
    prices: Sequence[Mapping[str, Any]] = (),
    entitlements: Sequence[Mapping[str, Any]] = (),
    **fields: Any,
) -> Plan:
    """A plan with its prices (terms as `add_price`) and entitlements [{feature, name?, limit, meter?}].

    Raises CodeTaken, InvalidCatalogue, InvalidPriceTerms, UnknownMeter.
    """
    code = _code(code, "code", limit=50)
    _refuse_taken(Plan, code)
    given = _cleaned({"name": name, "motion": motion, **fields})
    plan = Plan.objects.create(code=code, created_at=now, **given)
    _write_prices(plan, prices, now)
    _write_entitlements(plan, entitlements)
    _say("plan.created", plan, now=now, actor=actor, livemode=livemode)
    if plan.published:
        _say("plan.published", plan, now=now, actor=actor, livemode=livemode)
    return plan


@transaction.atomic
def update_plan(
    *,
    plan: Plan,
    now: datetime,
    actor: str,
    livemode: bool,
    prices: Sequence[Mapping[str, Any]] = (),
    entitlements: Sequence[Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Plan:
    """Change what is given. Prices are added or take the place of those with their codes; entitlements are
    replaced as a whole. Live subscriptions pay what they paid. Errors as `create_plan`, and PlanArchived."""
    row = _held(plan)
    before = row.published
    for field, value in _cleaned(fields).items():
        setattr(row, field, value)
    row.save()
    _write_prices(row, prices, now)
    if entitlements is not None:
        row.entitlements.all().delete()
        _write_entitlements(row, entitlements)
    _say("plan.updated", row, now=now, actor=actor, livemode=livemode)
    if row.published and not before:
        _say("plan.published", row, now=now, actor=actor, livemode=livemode)
    return row


@transaction.atomic
def archive_plan(*, plan: Plan, now: datetime, actor: str = "system", livemode: bool = False) -> Plan:
    """It is sold no longer; who has it keeps it. Archiving twice changes nothing."""
    if Plan.objects.filter(pk=plan.pk, archived_at__isnull=True).update(archived_at=now, published=False):
        _say("plan.archived", plan, now=now, actor=actor, livemode=livemode)
    plan.refresh_from_db(fields=["archived_at", "published"])
    return plan


@transaction.atomic
def add_price(
    *, plan: Plan, terms: Mapping[str, Any], now: datetime, actor: str = "system", livemode: bool = False
) -> Price:
    """One more price, or another in place of the active one with its code.

    Terms, all optional: code, label, kind, model, interval, currency, amount, tiers [{up_to, unit_amount,
    flat_amount}], package_size, per_transaction {fixed_amount, minimum, maximum, free_events, free_amount}, included,
    included_in_trial, billed, meter (code or id), minimum, maximum, prorate, tax_category (the plan's where nothing is
    said). Amounts are Decimal in major units. Raises InvalidPriceTerms, InvalidCatalogue, UnknownMeter, PlanArchived.
    """
    [price] = _write_prices(_held(plan), [terms], now, path="")
    _say("plan.updated", plan, now=now, actor=actor, livemode=livemode)
    return price


def _held(plan: Plan) -> Plan:
    row = Plan.objects.select_for_update().get(pk=plan.pk)
    if row.archived_at is not None:
        raise PlanArchived(f"{row.name} is archived.")
    return row


def _say(
    event: str, row: Meter | Plan | Discount | TaxRate, *, now: datetime, actor: str, livemode: bool
) -> None:
    """What is sold is on both sides; who did it is on one."""
    data = {name: getattr(row, name) for name in ("code", "name", "country") if hasattr(row, name)}
    record(event, subject=row, actor=actor, now=now, livemode=livemode, data=data)


def _refuse_taken(model: type[Meter] | type[Plan], code: str) -> None:
    if model._default_manager.filter(code=code).exists():
        raise CodeTaken(f"There is a {model._meta.verbose_name} “{code}” already.", field="code")


# -- Prices -------------------------------------------------------------------------------------------------


def _write_prices(
    plan: Plan, given: Sequence[Mapping[str, Any]], now: datetime, path: str = "prices"
) -> list[Price]:
    if len(given) > MOST_PRICES:
        raise InvalidCatalogue(f"At most {MOST_PRICES} prices at once.", field="prices")
    meters = _meters() if any(terms.get("meter") for terms in given) else {}
    sold = list(plan.prices.filter(active=True))
    taken = {price.code for price in sold}
    made: list[Price] = []
    for n, terms in enumerate(given):
        field = f"{path}.{n}." if path else ""
        price = _price(plan, terms, meters, taken, field)
        if any(price.code == other.code for other in made):
            raise CodeTaken(f"Two prices have the code “{price.code}”.", field=f"{field}code")
        made.append(price)
    for price in made:
        price.label = price.label or _usual_label(price, sold, made)
        price.created_at = now
        _retire(plan, price.code)
        price.save(force_insert=True)
    return made


def _meters() -> dict[str, Meter]:
    """Every meter under its code and its id."""
    found = list(Meter.objects.all())
    return {meter.pk: meter for meter in found} | {meter.code: meter for meter in found}


def _retire(plan: Plan, code: str) -> None:
    """The active price of this code makes room: switched off if it was ever used, else gone."""
    for price in plan.prices.filter(code=code, active=True):
        if price.phaseitem_set.exists() or price.invoiceline_set.exists():
            Price.objects.filter(pk=price.pk).update(active=False)
        else:
            price.delete()


def _price(
    plan: Plan, terms: Mapping[str, Any], meters: Mapping[str, Meter], taken: Collection[str], path: str
) -> Price:
    kind = terms.get("kind") or ("usage" if terms.get("meter") else "recurring")
    interval = terms.get("interval") or (None if kind == "one_time" else Interval.MONTH)
    usage = kind == "usage"
    price = Price(
        plan=plan, kind=kind, interval=interval, model=terms.get("model") or _usual_model(terms, usage),
        label=typed.text(terms.get("label") or "", f"{path}label", limit=100),
        currency=typed.currency(terms.get("currency") or "USD", f"{path}currency"),
        unit_amount=terms.get("amount") or Decimal(0), tiers=_tiers(terms.get("tiers") or (), path),
        package_size=terms.get("package_size"), included=terms.get("included") or Decimal(0),
        included_in_trial=terms.get("included_in_trial"),
        per_transaction=_transactions(terms.get("per_transaction")),
        billed=terms.get("billed") or ("arrears" if usage or kind == "minimum" else "advance"),
        meter=_meter(terms.get("meter"), meters, path), minimum=terms.get("minimum"),
        maximum=terms.get("maximum"), prorate=terms.get("prorate", True),
        tax_category=tax_category(terms.get("tax_category"), f"{path}tax_category"),
    )  # fmt: skip
    price.code = _price_code(price, terms.get("code"), taken, path)
    _check(price, path)
    return price


def _usual_model(terms: Mapping[str, Any], usage: bool) -> str:
    if terms.get("tiers"):
        return PriceModel.GRADUATED
    return PriceModel.PER_UNIT if usage else PriceModel.FLAT


def _meter(ref: str | None, meters: Mapping[str, Meter], path: str) -> Meter | None:
    if ref and ref not in meters:
        raise UnknownMeter("There is no such meter.", field=f"{path}meter")
    return meters[ref] if ref else None


def _tiers(given: Sequence[Mapping[str, Any]], path: str) -> list[dict[str, str | None]]:
    if len(given) > MOST_TIERS:
        raise InvalidPriceTerms(f"At most {MOST_TIERS} tiers.", field=f"{path}tiers")
    return [
        {
            "up_to": None if tier.get("up_to") is None else _plain(tier["up_to"]),
            "unit_amount": _plain(tier.get("unit_amount") or Decimal(0)),
            "flat_amount": _plain(tier.get("flat_amount") or Decimal(0)),
        }
        for tier in given
    ]


def _transactions(given: Mapping[str, Any] | None) -> dict[str, str] | None:
    if given is None:
        return None
    return {name: _plain(Decimal(number)) for name, number in given.items() if number is not None}


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _price_code(price: Price, given: str | None, taken: Collection[str], path: str) -> str:
    """The one given; else what it is for, how often and in what currency: `api-calls-month-eur`."""
    if given:
        return _code(given, f"{path}code", limit=60)
    parts = [price.meter.code if price.meter else price.kind, price.interval or "", price.currency.lower()]
    stem = "-".join(part for part in parts if part)[:50].replace("_", "-")
    names = [stem, *(f"{stem}-{n}" for n in range(2, len(taken) + MOST_PRICES + 2))]
    free = next(name for name in names if name not in taken)
    if isinstance(taken, set):
        taken.add(free)
    return free


def _usual_label(price: Price, sold: Sequence[Price], made: Sequence[Price]) -> str:
    """What lines call it where nobody said: as before, what is metered, or the plan; with its code where the plan
    charges for something else beside it."""
    before = next((other.label for other in sold if other.code == price.code and other.label), "")
    if before or price.meter:
        return before or str(price.meter)
    beside = [p for p in (*sold, *made) if p.code != price.code and _charged_with(price, p)]
    words = price.code.replace("-", " ").replace("_", " ")
    return f"{price.plan.name}: {words}"[:100] if beside else price.plan.name


def _charged_with(price: Price, other: Price) -> bool:
    return (other.kind, other.interval, other.currency) == (price.kind, price.interval, price.currency)


def _check(price: Price, path: str) -> None:
    """What the arithmetic will say of it, said now."""
    _one_of(price.kind, KINDS, f"{path}kind")
    _one_of(price.model, PriceModel, f"{path}model")
    _one_of(price.billed, ("advance", "arrears"), f"{path}billed")
    if price.interval is not None:
        _one_of(price.interval, Interval, f"{path}interval")
    if price.per_transaction and price.meter and price.meter.aggregation != "sum":
        raise InvalidPriceTerms("The meter adds up an amount (sum).", field=f"{path}per_transaction")
    if price.kind == "one_time" and price.interval is not None:
        raise InvalidPriceTerms("A one-time price has no interval.", field=f"{path}interval")
    if price.included and price.model == PriceModel.FLAT and price.kind != "usage":
        raise InvalidPriceTerms(
            "A flat price costs the same for any quantity: choose per_unit, or say what is included as an entitlement.",
            field=f"{path}included",
        )
    try:
        _ = price.value
    except InvalidPrice as error:
        field, _, words = str(error).partition(": ")
        names = {"unit_amount": "amount", "key": "code"}
        said = (words or field)[:1].upper() + (words or field)[1:]
        raise InvalidPriceTerms(said, field=f"{path}{names.get(field, field)}") from None


def _one_of(value: Any, allowed: Iterable[str], field: str) -> None:
    names = [str(one) for one in allowed]
    if value not in names:
        raise InvalidCatalogue(f"{', '.join(names[:-1])} or {names[-1]}.", field=field)


# -- Fields of a plan ---------------------------------------------------------------------------------------


def _cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    unknown = fields.keys() - _CLEANERS.keys()
    if unknown:
        raise InvalidCatalogue(f"A plan has no field “{min(unknown)}”.", field=min(unknown))
    return {name: _CLEANERS[name](value, name) for name, value in fields.items()}


def _flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidCatalogue("true or false.", field=field)
    return value


def _whole(most: int) -> Callable[[Any, str], int]:
    def check(value: Any, field: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise InvalidCatalogue(f"A whole number from 0 to {most:,}.", field=field)
        return value

    return check


def _motion(value: Any, field: str) -> str:
    _one_of(value, Motion.values, field)
    return str(value)


def _line(limit: int, *, required: bool = False) -> Callable[[Any, str], str]:
    return lambda value, field: typed.text(value, field, limit=limit, required=required)


_CLEANERS: dict[str, Callable[[Any, str], Any]] = {
    "name": _line(100, required=True), "tagline": _line(200), "motion": _motion, "published": _flag,
    "quote_only": _flag, "requires_demo": _flag, "rank": _whole(HIGHEST_RANK),
    "trial_days": _whole(MOST_TRIAL_DAYS), "tax_category": lambda value, field: tax_category(value, field),
}  # fmt: skip


def _code(value: Any, field: str, *, limit: int) -> str:
    text = typed.text(value, field, limit=limit, required=True)
    if not CODE.fullmatch(text):
        raise InvalidCatalogue("A code has letters, digits, - and _.", field=field)
    return text


def _write_entitlements(plan: Plan, given: Sequence[Mapping[str, Any]]) -> None:
    if len(given) > MOST_ENTITLEMENTS:
        raise InvalidCatalogue(f"At most {MOST_ENTITLEMENTS} entitlements.", field="entitlements")
    meters = _meters() if given else {}
    rows: dict[str, Entitlement] = {}
    for n, one in enumerate(given):
        path = f"entitlements.{n}."
        feature = _code(one.get("feature"), f"{path}feature", limit=60)
        if feature in rows:
            raise InvalidCatalogue("Each feature stands once.", field=f"{path}feature")
        rows[feature] = _entitlement(plan, feature, one, meters, path)
    Entitlement.objects.bulk_create(rows.values())


def _entitlement(
    plan: Plan, feature: str, one: Mapping[str, Any], meters: Mapping[str, Meter], path: str
) -> Entitlement:
    """A limit is counted by the meter that is named, or has the feature's name."""
    limit = one.get("limit")
    if limit is not None and not (limit.is_finite() and 0 <= limit < LIMIT):
        raise InvalidCatalogue("A limit is 0 or more.", field=f"{path}limit")
    meter = _meter(one.get("meter"), meters, path) if one.get("meter") else meters.get(feature)
    name = (
        typed.text(one.get("name") or "", f"{path}name", limit=100) or feature.replace("_", " ").capitalize()
    )
    return Entitlement(plan=plan, feature=feature, name=name, limit=limit, meter=meter)


# -- Discounts ----------------------------------------------------------------------------------------------


@transaction.atomic
def create_discount(
    *,
    now: datetime,
    code: str | None = None,
    label: str = "",
    percent_off: Decimal | None = None,
    amount_off: int | None = None,
    currency: str = "",
    duration: str = "once",
    periods: int | None = None,
    plans: Sequence[str] = (),
    prices: Sequence[str] = (),
    meters: Sequence[str] = (),
    max_redemptions: int | None = None,
    expires_at: datetime | None = None,
    actor: str = "system",
    livemode: bool = False,
) -> Discount:
    """A percentage, or minor units of a currency, off the recurring price: once, for n periods, or for ever.

    `plans`, `prices` and `meters` by id or code: without any it is for all of them. Raises CodeTaken, InvalidCatalogue,
    UnknownPlan, UnknownPrice, UnknownMeter.
    """
    check_reduction(percent_off, amount_off, currency)
    check_duration(duration, periods)
    limit = None if max_redemptions is None else _whole(10**9)(max_redemptions, "max_redemptions")
    chosen = [_plan_named(ref, n) for n, ref in enumerate(plans)]
    code = promotion_code(code)
    made = Discount.objects.create(
        code=code, label=typed.text(label, "label", limit=100) or code or "", percent_off=percent_off,
        amount_off=amount_off, currency=typed.currency(currency) if amount_off is not None else "",
        duration=duration, periods=periods, max_redemptions=limit, expires_at=expires_at, created_at=now,
        prices=_price_codes(prices), meters=_meter_ids(meters),
    )  # fmt: skip
    made.plans.set(chosen)
    _say("discount.created", made, now=now, actor=actor, livemode=livemode)
    return made


def check_reduction(percent_off: Decimal | None, amount_off: int | None, currency: str) -> None:
    """`amount_off` in minor units. Raises InvalidCatalogue."""
    if (percent_off is None) == (amount_off is None):
        raise InvalidCatalogue(
            "A discount takes off a percentage or an amount: one of the two.", field="percent_off"
        )
    if percent_off is not None and not 0 < percent_off <= 100:
        raise InvalidCatalogue("A percentage above 0, at most 100.", field="percent_off")
    if percent_off is not None and percent_off != round(percent_off, 4):
        raise InvalidCatalogue("A percentage has at most four decimals.", field="percent_off")
    if amount_off is not None and not currency:
        raise InvalidCatalogue("An amount needs its currency.", field="currency")
    if amount_off is not None and not 0 < amount_off < LIMIT:
        raise InvalidCatalogue("An amount above 0.", field="amount_off")


def check_duration(duration: str, periods: int | None) -> None:
    """Raises InvalidCatalogue."""
    _one_of(duration, DURATIONS, "duration")
    if (duration == "repeating") != (periods is not None):
        raise InvalidCatalogue("A repeating discount, and no other, names its periods.", field="periods")
    if periods is not None and not 1 <= periods <= 1200:
        raise InvalidCatalogue("From 1 to 1,200 periods.", field="periods")


def promotion_code(given: str | None, of: Discount | None = None) -> str | None:
    """As it is kept; case makes no other code of it. Raises CodeTaken where another discount than `of` has it."""
    if not given:
        return None
    code = typed.text(given, "code", limit=60)
    if Discount.objects.filter(code__iexact=code).exclude(pk=of.pk if of else None).exists():
        raise CodeTaken(f"There is a discount “{code}” already.", field="code")
    return code


def _plan_named(ref: str, n: int) -> Plan:
    ours = re.fullmatch(r"plan_[0-9a-f]{32}", ref)
    found = Plan.objects.filter(**({"pk": ref} if ours else {"code": ref})).first()
    if found is None:
        raise UnknownPlan("There is no such plan.", field=f"plans.{n}")
    return found


def _price_codes(refs: Sequence[str]) -> list[str]:
    """The codes of prices: who takes the place of one has its code."""
    ids = [ref for ref in refs if re.fullmatch(r"price_[0-9a-f]{32}", ref)]
    codes = dict(Price.objects.filter(pk__in=ids).values_list("pk", "code"))
    codes |= {code: code for code in Price.objects.filter(code__in=refs).values_list("code", flat=True)}
    missing = next((n for n, ref in enumerate(refs) if ref not in codes), None)
    if missing is not None:
        raise UnknownPrice("There is no such price.", field=f"prices.{missing}")
    return sorted({codes[ref] for ref in refs})


def _meter_ids(refs: Sequence[str]) -> list[str]:
    known = _meters() if refs else {}
    missing = next((n for n, ref in enumerate(refs) if ref not in known), None)
    if missing is not None:
        raise UnknownMeter("There is no such meter.", field=f"meters.{missing}")
    return sorted({known[ref].pk for ref in refs})


# -- Taxes --------------------------------------------------------------------------------------------------


@transaction.atomic
def create_tax_rate(
    *,
    name: str,
    percentage: Decimal | None = None,
    taxes: Sequence[Mapping[str, Any]] | None = None,
    country: str = "",
    state: str = "",
    category: str | None = None,
    inclusive: bool = False,
    now: datetime,
    actor: str = "system",
    livemode: bool = False,
) -> TaxRate:
    """The rate for a place and a kind of product from now on; the one before is kept, no longer active. Issued
    papers stay.

    `taxes`: name, percentage and compound of each of several that it is made of, in their order; `percentage` is then
    what they come to, and may be left out. Without a country it is for every country that has none of its own; a `state`
    is one of the country. `category` is the tax category of prices, in
    the seller's words; a code of EN 16931 instead says how the tax of everything is called in electronic invoices.
    Raises InvalidCatalogue.
    """
    parts = _taxes(taxes or ())
    percentage = _come_to(percentage, parts)
    if category in CATEGORIES:
        kind, word = str(category), ""
    else:
        kind, word = ("S" if percentage else "Z"), tax_category(category or "", "category")
    if percentage and kind != "S":
        raise InvalidCatalogue(f"Category {kind} takes no tax.", field="category")
    place = {**place_of(country, state), "product_category": word}
    TaxRate.objects.filter(**place, active=True).update(active=False)
    made = TaxRate.objects.create(
        **place, name=typed.text(name, "name", limit=100, required=True), percentage=percentage, category=kind,
        inclusive=_flag(inclusive, "inclusive"), taxes=[each.to_json() for each in parts],
    )  # fmt: skip
    _say("tax_rate.created", made, now=now, actor=actor, livemode=livemode)
    return made


def _taxes(given: Sequence[Mapping[str, Any]]) -> tuple[Tax, ...]:
    if len(given) > MOST_TAXES:
        raise InvalidCatalogue(f"At most {MOST_TAXES} taxes.", field="taxes")
    made = tuple(
        Tax(
            typed.text(each.get("name"), f"taxes.{n}.name", limit=100, required=True),
            _percentage(each.get("percentage"), f"taxes.{n}.percentage"),
            _flag(each.get("compound", False), f"taxes.{n}.compound"),
        )
        for n, each in enumerate(given)
    )
    if made and made[0].compound:
        raise InvalidCatalogue(
            "The first is taken from the net amount: only one after it may be compound.",
            field="taxes.0.compound",
        )
    for n, each in enumerate(made):
        if not each.percentage:
            raise InvalidCatalogue("A tax of nothing is left out.", field=f"taxes.{n}.percentage")
    return made


def _come_to(given: Decimal | None, taxes: Sequence[Tax]) -> Decimal:
    """The percentage of all taxes; the one that is given, where it is one alone."""
    if not taxes:
        return _percentage(given, "percentage")
    come_to = whole(taxes)
    if come_to > 100:
        raise InvalidCatalogue("The taxes come to more than 100 percent.", field="taxes")
    if given is not None and given != come_to:
        raise InvalidCatalogue(f"The taxes come to {come_to.normalize():f}.", field="percentage")
    return come_to


def _percentage(value: Decimal | None, field: str) -> Decimal:
    if value is None or not (value.is_finite() and 0 <= value <= 100 and value == round(value, 4)):
        raise InvalidCatalogue("A percentage from 0 to 100 with at most four decimals.", field=field)
    return value


def place_of(country: str, state: str) -> dict[str, str]:
    """The country and state of a rate as they are kept, "" for every one. Raises InvalidCatalogue, and what `typed` says
    of countries."""
    country, name = typed.country(country), typed.text(state, "state", limit=60)
    if name and not country:
        raise InvalidCatalogue("A state is one of a country: name it.", field="country")
    code = regions.code_of(country, name)
    if name and not code:
        raise InvalidCatalogue(f"{typed.countries()[country]} has no such state.", field="state")
    return {"country": country, "state": code}


def tax_category(value: Any, field: str) -> str:
    """The seller's word for a kind of product; the codes of EN 16931 are none. Raises InvalidCatalogue."""
    word = _code(value, field, limit=40).lower() if value else ""
    if word.upper() in CATEGORIES:
        raise InvalidCatalogue(f"{word.upper()} is a code of EN 16931: choose another word.", field=field)
    return word

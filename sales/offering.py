"""Options of a quote: up to three ways of saying yes, beside each other, of which the buyer accepts one.

Each option is a quote row of its own with its own terms, figures, paper and hash; rows of one version share number,
contact and last day, and are handed in, sent, revised, withdrawn and declined together.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import typed
from billing.events import record
from billing.models import User
from billing.refusals import Refused
from sales import approving, drafting
from sales.models import Quote, SalesSettings


class TooManyOptions(Refused):
    """A buyer compares three things, not ten."""

    code = "too_many_options"


class NoOption(Refused):
    """The quote has no options, or not this one."""

    code = "unknown_option"


# -- Reading -----------------------------------------------------------------------------------------------


def chosen(quote: Quote, letter: str) -> Quote:
    """The option that a buyer names; without options the quote itself. Raises Missing, NoOption."""
    if not quote.option:
        return quote
    if not letter:
        raise typed.Missing("Choose one of the options.", field="option")
    found = next((each for each in quote.options() if each.option == letter), None)
    if found is None:
        raise NoOption("There is no such option.", field="option")
    return found


# -- Making ------------------------------------------------------------------------------------------------


@transaction.atomic
def add_option(
    *, quote: Quote, now: datetime, actor: str, by: User | None = None, name: str = "", **terms: Any
) -> Quote:
    """Another option, a copy of this one with other `terms`. What was approved is a draft again.

    Raises NotEditable, TooManyOptions, InvalidQuote naming the field.
    """
    rows = _editable(quote)
    if len(rows) == len(Quote.OPTIONS):
        raise TooManyOptions(f"A quote has at most {len(rows)} options.", field="option")
    label = typed.text(name, "option_name", limit=60)
    for row in rows:
        approving.reopen(row, now=now, actor=actor)
    if not quote.option:
        Quote.objects.filter(pk=quote.pk).update(option=Quote.OPTIONS[0])
    over = {
        "version": quote.version,
        "revision_of": None,
        "expires_at": quote.expires_at,
        "recommended": False,
    }
    new = copied(quote, by, now, **over, option=Quote.OPTIONS[len(rows)], option_name=label)
    if terms:
        new = drafting.edit(quote=new, now=now, actor=actor, **terms)
    drafting.settle(new, now)
    drafting.created(new, now, actor)
    quote.refresh_from_db()
    return new


@transaction.atomic
def remove_option(*, quote: Quote, now: datetime, actor: str) -> Quote:
    """Take a draft option away; the others move up, and one that is left alone is a plain quote again.

    Answers the option that leads now. Raises NotEditable, NoOption for a quote without options.
    """
    rows = _editable(quote)
    if not quote.option:
        raise NoOption("This quote has no options.", field="option")
    left = [row for row in rows if row.pk != quote.pk]
    for row in rows:
        approving.reopen(row, now=now, actor=actor)
    _keep_revision(quote, left)
    data = {"number": quote.number, "version": quote.version, "option": quote.option}
    record("quote.deleted", subject=quote, actor=actor, now=now, data=data)
    quote.delete()
    for row, letter in zip(left, Quote.OPTIONS, strict=False):
        _rename(row, letter if len(left) > 1 else "")
    drafting.value_deal(left[0])
    return Quote.leading(left)


def _keep_revision(gone: Quote, left: list[Quote]) -> None:
    """An older version is replaced by this one as long as any of its options is there."""
    before, gone.revision_of = gone.revision_of, None
    if before is not None and all(row.revision_of_id is None for row in left):
        Quote.objects.filter(pk=gone.pk).update(revision_of=None)
        Quote.objects.filter(pk=left[0].pk).update(revision_of=before)


def _rename(row: Quote, letter: str) -> None:
    fields: dict[str, Any] = {"option": letter}
    if not letter:
        fields |= {"option_name": "", "recommended": False}
    Quote.objects.filter(pk=row.pk).update(**fields)
    for name, value in fields.items():
        setattr(row, name, value)


def _editable(quote: Quote) -> list[Quote]:
    rows = quote.options(held=("self",))
    if not all(row.editable for row in rows):
        raise drafting.NotEditable(
            f"Quote {quote} is {quote.get_state_display().lower()}; make a new version."
        )
    return rows


COPIED = (
    "number", "customer", "lead", "deal", "task", "owner", "title", "contact_name", "contact_email", "option",
    "option_name", "recommended", "currency", "plan", "interval", "discount_percent", "discount_amount",
    "escalator_percent", "term_months", "auto_renew", "collection_method", "net_days", "starts", "starts_on", "notes",
    "internal_notes", "history", "subscription",
)  # fmt: skip


def copied(old: Quote, by: User | None, now: datetime, **over: Any) -> Quote:
    """A row with the terms, lines and ramp of another: its next version unless `over` says otherwise. Not settled."""
    valid = timedelta(days=SalesSettings.current().quote_valid_days)
    fields = {name: getattr(old, name) for name in COPIED}
    fields |= {"version": old.version + 1, "revision_of": old, "expires_at": now + valid, **over}
    new = Quote.objects.create(**fields, created_at=now, created_by=by or old.created_by)
    for line in old.lines.all():
        line.pk, line.quote = None, new
        line.save(force_insert=True)
    for year in old.ramp.all():
        year.pk, year.quote = None, new
        year.save(force_insert=True)
    return new

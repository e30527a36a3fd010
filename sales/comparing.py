"""Quotes beside each other: two versions with what changed, a deal's quotes in columns, what a buyer may choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any

from billing.papers.data import QuotePaper
from billing.refusals import Refused
from billing.templatetags.tandem import unit_price
from sales import addresses
from sales.models import Quote


class ChangedMeanwhile(Refused):
    """Somebody changed the quote after this reader had looked at it."""

    code = "quote_changed_meanwhile"


def fingerprint(options: Sequence[Quote]) -> str:
    """A short text that differs once a term, the state or the number of a version's options does."""
    rows = [[getattr(row, name) for name in UNSAID] + list(terms_of(row).items()) for row in options]
    return sha256(repr(rows).encode()).hexdigest()[:20]


def refuse_stale(options: Sequence[Quote], seen: str) -> None:
    """Does the reader's fingerprint still hold? Whoever gives none has not looked. Raises ChangedMeanwhile."""
    if seen and seen != fingerprint(options):
        raise ChangedMeanwhile(f"Quote {options[0]} was changed after you opened it. Nothing was done.")


@dataclass(frozen=True, slots=True)
class Change:
    """A term that differs; "" where one side does not have it."""

    label: str
    before: str
    after: str


# What `terms_of` leaves out and an editor may change, with the state.
UNSAID = (
    "pk", "state", "title", "contact_name", "contact_email", "expires_at", "internal_notes", "option_name", "recommended",
    "net_days",
)  # fmt: skip


def terms_of(quote: Quote) -> dict[str, str]:
    """What a quote says, in words: {label: text}, in the order in which people read it."""
    found = {
        "Plan": str(quote.plan), "Billed": quote.get_interval_display(), "Term": f"{quote.term_months} months",
        "Starts": _starts(quote), "Paid by": _paid_by(quote), "Discount": _discount(quote),
        "Price rise each year": _percent(quote.escalator_percent),
        "Renews by itself": "yes" if quote.auto_renew else "no",
    }  # fmt: skip
    for line in quote.lines.all():
        found[line.description] = _line(quote, line.quantity, line.unit_amount, line.kind)
    for year in quote.ramp.all():
        seats = f"{_plain(year.quantity)} seats" if year.quantity is not None else ""
        found[f"Year {year.year}"] = ", ".join(
            part for part in (seats, _percent(year.discount_percent)) if part
        )
    for name in ("mrr", "arr", "acv", "tcv"):
        found[name.upper()] = addresses.money(getattr(quote, name), quote.currency)
    found["Notes"] = quote.notes
    return {label: text for label, text in found.items() if text}


def _starts(quote: Quote) -> str:
    if quote.starts == Quote.Starts.DATE and quote.starts_on:
        return f"{quote.starts_on:%-d %B %Y}"
    return str(quote.get_starts_display())


def _paid_by(quote: Quote) -> str:
    if quote.collection_method != "send_invoice":
        return "Card"
    return f"Invoice, Net {quote.net_days}" if quote.net_days else "Invoice, due on receipt"


def _discount(quote: Quote) -> str:
    if quote.discount_amount:
        return f"{addresses.money(quote.discount_amount, quote.currency)} each period"
    return _percent(quote.discount_percent)


def _percent(value: Decimal | None) -> str:
    return f"{_plain(value)} %" if value else ""


def _line(quote: Quote, quantity: Decimal, unit: Decimal | None, kind: str) -> str:
    if kind == "usage":
        return "as used"
    return _plain(quantity) if unit is None else f"{_plain(quantity)} × {unit_price(unit, quote.currency)}"


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():,f}"


def differences(before: Quote, after: Quote) -> list[Change]:
    """What the later version says differently."""
    old, new = terms_of(before), terms_of(after)
    labels = list(dict.fromkeys([*new, *old]))
    return [Change(x, old.get(x, ""), new.get(x, "")) for x in labels if old.get(x, "") != new.get(x, "")]


def side_by_side(quotes: Sequence[Quote]) -> list[tuple[str, list[str], bool]]:
    """Rows of a table with a column for each quote: (label, texts, whether they differ)."""
    columns = [terms_of(quote) for quote in quotes]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    rows = [(label, [column.get(label, "–") for column in columns]) for label in labels]
    return [(label, texts, len(set(texts)) > 1) for label, texts in rows]


# -- For the buyer -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """An option as it was printed. `more` is what it costs more a year than `than`, the one that leads; minor units.

    None where that would mean nothing: for the leading one itself.
    """

    quote: Quote
    paper: QuotePaper
    schedule: Sequence[Mapping[str, Any]]
    than: Quote
    more: int | None

    @property
    def less(self) -> int:
        """What it costs less a year."""
        return -(self.more or 0)


def offers(options: Sequence[Quote]) -> list[Offer]:
    """The options that were sent, with what each costs against the one that is recommended (or the first)."""
    lead = Quote.leading(options)
    return [
        Offer(
            quote=each, paper=QuotePaper.from_json(each.paper), schedule=dated(each.schedule), than=lead,
            more=None if each is lead else each.acv - lead.acv,
        )
        for each in options
    ]  # fmt: skip


def dated(schedule: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Stored rows with their day as a date."""
    return [{**row, "date": date.fromisoformat(row["date"])} for row in schedule]

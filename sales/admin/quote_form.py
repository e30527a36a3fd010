"""The form of the quote builder: what the seller types, as the terms that `sales.drafting.edit` takes."""

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from billing.admin.base import offer
from billing.customers import NET_DAYS
from billing.models import Plan
from sales.admin.quote_reading import Read
from sales.models import Quote, QuoteLine, QuoteRamp

INTERVALS = [("month", "Monthly"), ("quarter", "Quarterly"), ("half_year", "Half-yearly"), ("year", "Yearly")]
RAMP_YEARS = range(2, 6)
SPARE_FEES = 1
# What a term is called in a refusal -> the field that it was typed in.
NAMES = {"expires_at": "expires_on", "quantities": "quantity", "lines": "quantity"}
PLAIN = (
    "plan", "interval", "quantity", "discount_percent", "escalator_percent", "term_months", "starts", "starts_on",
    "collection_method",    "title", "contact_name", "contact_email", "notes", "internal_notes", "auto_renew",
    "option_name", "recommended",
)  # fmt: skip


def plain(value: Decimal | None) -> Decimal | None:
    """As a person would type it: no trailing zeros and no exponent."""
    return None if value is None else Decimal(f"{value.normalize():f}")


class QuoteForm(forms.Form):
    """Bounds that need the catalogue or each other are checked by the verb, which names the field."""

    plan = forms.ModelChoiceField(Plan.objects.none(), empty_label=None)
    interval = forms.ChoiceField(label="Billed", choices=INTERVALS)
    quantity = forms.DecimalField(label="Seats", min_value=1, max_digits=10, decimal_places=0, required=False)
    discount_percent = forms.DecimalField(
        label="Discount", min_value=0, max_value=100, max_digits=7, decimal_places=4, required=False
    )
    escalator_percent = forms.DecimalField(
        label="Price rise each year",
        min_value=0,
        max_value=100,
        max_digits=7,
        decimal_places=4,
        required=False,
    )
    term_months = forms.IntegerField(label="Term", min_value=1, max_value=120)
    starts = forms.ChoiceField(choices=Quote.Starts.choices)
    starts_on = forms.DateField(label="Start date", widget=forms.DateInput({"type": "date"}), required=False)
    collection_method = forms.ChoiceField(
        label="Paid by", choices=[("send_invoice", "Invoice"), ("charge_automatically", "Card")]
    )
    net_days = forms.ChoiceField(
        label="Payment terms", choices=[(str(n), f"Net {n}" if n else "Due on receipt") for n in NET_DAYS]
    )
    auto_renew = forms.BooleanField(label="Renews by itself at the end of the term", required=False)
    option_name = forms.CharField(label="Name of this option", max_length=60, required=False)
    recommended = forms.BooleanField(label="Recommend this option to the buyer", required=False)
    title = forms.CharField(max_length=200, required=False)
    contact_name = forms.CharField(label="For", max_length=200, required=False)
    contact_email = forms.EmailField(label="E-mail", required=False)
    expires_on = forms.DateField(label="Last day to accept", widget=forms.DateInput({"type": "date"}))
    notes = forms.CharField(
        label="Notes on the quote", max_length=4000, widget=forms.Textarea({"rows": 3}), required=False
    )
    internal_notes = forms.CharField(
        label="Notes for colleagues", max_length=4000, widget=forms.Textarea({"rows": 2}), required=False
    )

    def __init__(self, *args: Any, quote: Quote, read: Read, **options: Any) -> None:
        self.quote = quote
        self.zone = read.zone_of(quote)
        known = read.known.of(quote)
        lines = known.lines
        fees = [line for line in lines if line.price is None]
        self.metered: list[Any] = [line for line in lines if line.price and line.price.kind == "usage"]
        self.fee_rows = len(fees) + SPARE_FEES
        committed = {f"committed_{n}": plain(line.quantity) or None for n, line in enumerate(self.metered)}
        super().__init__(  # type: ignore[misc]
            *args,
            initial={**_terms(quote, lines, self.zone), **_ramp(known.ramp), **_fees(fees), **committed},
            **options,
        )
        offered = [each for each in read.plans if each.archived_at is None or each.pk == quote.plan_id]
        offer(self.fields["plan"], offered)
        if not quote.option:
            del self.fields["option_name"], self.fields["recommended"]
        if quote.subscription_id is None:
            waits = (Quote.Starts.PERIOD_END, Quote.Starts.CONTRACT_END)
            starts: Any = self.fields["starts"]
            starts.choices = [each for each in Quote.Starts.choices if each[0] not in waits]
        self._add_rows()

    def _add_rows(self) -> None:
        for n, line in enumerate(self.metered):
            self.fields[f"committed_{n}"] = forms.DecimalField(
                label=f"Committed: {line.price.label or line.price.code}",
                min_value=0,
                max_digits=12,
                required=False,
            )
        for year in RAMP_YEARS:
            self.fields[f"seats_{year}"] = forms.DecimalField(
                label=f"Seats in year {year}", min_value=1, max_digits=10, decimal_places=0, required=False
            )
            self.fields[f"discount_{year}"] = forms.DecimalField(
                label=f"Discount in year {year}",
                min_value=0,
                max_value=100,
                max_digits=7,
                decimal_places=4,
                required=False,
            )
        for n in range(self.fee_rows):
            self.fields[f"fee_{n}_description"] = forms.CharField(
                label=f"Fee {n + 1}", max_length=200, required=False
            )
            self.fields[f"fee_{n}_quantity"] = forms.DecimalField(
                label="Quantity", min_value=0, max_digits=12, required=False
            )
            self.fields[f"fee_{n}_unit_amount"] = forms.DecimalField(
                label="Price each", min_value=0, max_digits=15, required=False
            )

    # -- For the template

    def stored(self) -> Iterator[tuple[str, str]]:
        """(label, what is stored) of each field that says something else."""
        for name in self.changed_data:
            field, value = self[name], self.get_initial_for_field(self.fields[name], name)
            words = {str(key): str(label) for key, label in getattr(field.field, "choices", ())}
            yield str(field.label), words.get(str(value), "–" if value in (None, "") else str(value))

    @property
    def years(self) -> list[tuple[int, forms.BoundField, forms.BoundField]]:
        return [(year, self[f"seats_{year}"], self[f"discount_{year}"]) for year in RAMP_YEARS]

    @property
    def committed(self) -> list[tuple[forms.BoundField, str]]:
        """Each with the period that it is for."""
        intervals = [str(line.price.interval or "period").replace("_", "-") for line in self.metered]
        return [(self[f"committed_{n}"], each) for n, each in enumerate(intervals)]

    @property
    def ramp_open(self) -> bool:
        """Shown unfolded when anything stands in it."""
        return any(field.value() or field.errors for _, *pair in self.years for field in pair)

    @property
    def fees(self) -> list[tuple[forms.BoundField, ...]]:
        names = ("description", "quantity", "unit_amount")
        return [tuple(self[f"fee_{n}_{name}"] for name in names) for n in range(self.fee_rows)]

    # -- For the verb

    def field_of(self, name: str) -> str:
        """The field that a refusal is about: `ramp.0.quantity` is the seats of the first year that was typed."""
        first, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        if first == "ramp" and number.isdigit():
            years = [row["year"] for row in self._ramp_rows()]
            year = years[int(number)] if int(number) < len(years) else RAMP_YEARS[0]
            return f"discount_{year}" if part == "discount_percent" else f"seats_{year}"
        if first == "fees" and number.isdigit():
            rows = [n for n, _ in self._fee_rows()]
            return f"fee_{rows[int(number)] if int(number) < len(rows) else 0}_{part or 'description'}"
        codes = [line.price.code for line in self.metered]
        if first == "quantities" and rest in codes:
            return f"committed_{codes.index(rest)}"
        return NAMES.get(first, first)

    def terms(self) -> dict[str, Any]:
        """The terms that differ from what is stored. Call it on a valid form."""
        changed, data = set(self.changed_data), self.cleaned_data
        terms = {name: data[name] for name in PLAIN if name in changed}
        if "quantity" in terms and terms["quantity"] is None:
            del terms["quantity"]
        if "net_days" in changed:
            terms["net_days"] = int(data["net_days"])
        if "expires_on" in changed:
            terms["expires_at"] = datetime.combine(data["expires_on"] + timedelta(days=1), time(), self.zone)
        if any(name.startswith(("seats_", "discount_")) and name[-1].isdigit() for name in changed):
            terms["ramp"] = [*self._ramp_rows(), *_first_year(self.quote)]
        committed = {line.price.code: data[f"committed_{n}"] or 0 for n, line in enumerate(self.metered)}
        if "plan" not in changed and any(name.startswith("committed_") for name in changed):
            terms["quantities"] = committed
        if any(name.startswith("fee_") for name in changed):
            terms["fees"] = [row for _, row in self._fee_rows()]
        return terms

    def _ramp_rows(self) -> list[dict[str, Any]]:
        data = self.cleaned_data
        rows = [
            {"year": y, "quantity": data.get(f"seats_{y}"), "discount_percent": data.get(f"discount_{y}")}
            for y in RAMP_YEARS
        ]
        return [row for row in rows if row["quantity"] is not None or row["discount_percent"] is not None]

    def _fee_rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        data = self.cleaned_data
        for n in range(self.fee_rows):
            words, each = data.get(f"fee_{n}_description"), data.get(f"fee_{n}_unit_amount")
            if words or each is not None:
                quantity = data.get(f"fee_{n}_quantity")
                amount = "" if each is None else each
                yield (
                    n,
                    {
                        "description": words,
                        "unit_amount": amount,
                        "quantity": 1 if quantity is None else quantity,
                    },
                )


def _terms(quote: Quote, lines: Sequence[QuoteLine], zone: ZoneInfo) -> dict[str, Any]:
    seats = next((line for line in lines if line.kind == "recurring" and not _flat(line)), None)
    last = quote.last_moment
    names = [name for name in PLAIN if name not in ("quantity", "plan", "discount_percent")]
    return {
        **{name: getattr(quote, name) for name in names},
        "plan": quote.plan_id,
        "quantity": plain(seats.quantity) if seats else None,
        "discount_percent": plain(quote.discount_percent),
        "net_days": str(quote.net_days),
        "expires_on": last.astimezone(zone).date() if last else None,
    }


def _flat(line: QuoteLine) -> bool:
    return line.price is not None and line.price.model == "flat"


def _ramp(rows: Sequence[QuoteRamp]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        found[f"seats_{row.year}"] = plain(row.quantity)
        found[f"discount_{row.year}"] = plain(row.discount_percent)
    return found


def _first_year(quote: Quote) -> list[dict[str, Any]]:
    """A row for year 1 or beyond the form's years stays as it is."""
    others = quote.ramp.exclude(year__in=list(RAMP_YEARS))
    return list(others.values("year", "quantity", "discount_percent"))  # type: ignore[arg-type]


def _fees(rows: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for n, row in enumerate(rows):
        found[f"fee_{n}_description"] = row.description
        found[f"fee_{n}_quantity"] = plain(row.quantity)
        found[f"fee_{n}_unit_amount"] = plain(row.unit_amount)
    return found

"""What an amount is worth in the seller's currency, at rates that staff type. Only segments ask; no paper does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Case, F, Subquery, Value, When
from django.db.models.fields import BigIntegerField, DecimalField
from django.db.models.functions import Round

from billing.maths.money import converted, exponent
from billing.models import ExchangeRate, Seller


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of a day into the seller's currency."""

    into: str
    rates: Mapping[str, Decimal]

    def worth(self, minor: int, currency: str) -> int | None:
        """Minor units of the seller's currency; None while nobody has typed a rate."""
        if minor == 0 or currency == self.into:
            return minor
        rate = self.rates.get(currency)
        return None if rate is None else converted(minor, currency, self.into, rate)

    def expression(self, field: str) -> Case:
        """The same of a column beside one named `currency`, rounded by the database, which rounds as we do."""
        factors = {
            each: rate.scaleb(exponent(self.into) - exponent(each)) for each, rate in self.rates.items()
        }
        exact = DecimalField(max_digits=60, decimal_places=20)
        known = [
            When(currency=each, then=Round(F(field) * Value(factor, exact), output_field=exact))
            for each, factor in factors.items()
        ]
        same = [When(**{field: 0}, then=Value(0)), When(currency=self.into, then=F(field))]
        return Case(*same, *known, default=None, output_field=BigIntegerField())


def rates_on(day: date) -> Rates:
    """The rates that count on this day. Two statements."""
    into = Seller.objects.values_list("currency", flat=True).first() or "USD"
    rows = ExchangeRate.objects.filter(into=into, since__lte=day).order_by("currency", "-since")
    return Rates(into, dict(rows.distinct("currency").values_list("currency", "rate")))


def worth(minor: int, currency: str, day: date, into: str = "") -> int | None:
    """One amount in minor units of the seller's currency; None without a rate. One statement; none for nothing, or
    where `into`, the seller's currency if it is known, is the same."""
    if minor == 0 or currency == into:
        return minor
    seller = Seller.objects.annotate(**rate_beside(currency, day)).first()
    return minor if seller is None else worth_beside(seller, minor, currency)


def worth_beside(row: Any, minor: int, currency: str) -> int | None:
    """The same, of a row that was read with `rate_beside`."""
    return Rates(row.into, {} if row.rate is None else {currency: row.rate}).worth(minor, currency)


def rate_beside(currency: str, day: date) -> dict[str, Subquery]:
    """`into` and `rate` as columns of any row that is read anyway."""
    seller = Subquery(Seller.objects.values("currency")[:1])
    latest = ExchangeRate.objects.filter(currency=currency, into=seller, since__lte=day).order_by("-since")
    return {"into": seller, "rate": Subquery(latest.values("rate")[:1])}

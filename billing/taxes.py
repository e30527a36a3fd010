"""Which tax a customer pays. One function decides; each line then takes it from its own net amount."""

from collections.abc import Mapping
from decimal import Decimal

from billing.maths.tax import TaxRate as TaxValue
from billing.models import Customer, Seller, TaxRate

# Member states of the EU's VAT area. Greece's VAT ids begin with EL.
EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())

REVERSE_CHARGE = (
    "Reverse charge: VAT to be accounted for by the recipient (Article 196, Directive 2006/112/EC)"
)
OUTSIDE = "Not subject to VAT: the recipient is established outside the EU"
EXEMPT = "Exempt from tax"

OUT_OF_SCOPE = TaxValue(key="outside", percentage=Decimal(0), category="O", reason=OUTSIDE)


def rates() -> dict[str, TaxRate]:
    """The active rate of each country."""
    return {rate.country: rate for rate in TaxRate.objects.filter(active=True)}


def tax_for(customer: Customer, seller: Seller, table: Mapping[str, TaxRate]) -> TaxValue:
    """The rate for everything sold to this customer today.

    EU seller: home buyers pay the home rate; businesses elsewhere in the EU with a VAT id account for it
    themselves; consumers there pay their own country's rate, or the home rate where none is set; exports are
    outside the scope unless a rate is set for the country (the seller is registered there). Other sellers: the rate
    set for the buyer's country, if any. A rate without a country is for every country that has none of its own.
    """
    if customer.tax_exempt:
        return TaxValue(key="exempt", percentage=Decimal(0), category="E", reason=EXEMPT)
    home, country = seller.address.get("country", ""), customer.country
    own = _rate(table.get(country)) or _rate(table.get(""))
    if home not in EU or country not in EU:
        return own or OUT_OF_SCOPE
    if country != home and customer.tax_id:
        return TaxValue(key="reverse", percentage=Decimal(0), category="AE", reason=REVERSE_CHARGE)
    return own or _rate(table.get(home)) or OUT_OF_SCOPE


def _rate(rate: TaxRate | None) -> TaxValue | None:
    if rate is None:
        return None
    return TaxValue(key=rate.pk, percentage=rate.percentage, category=rate.category)

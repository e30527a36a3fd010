"""Which tax a customer pays for what. One function decides; each line then takes it from its own amount."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

from billing import regions
from billing.maths.money import plain
from billing.maths.tax import Taxed, each_of, part_of_each
from billing.maths.tax import TaxRate as TaxValue
from billing.models import Customer, Plan, Price, Seller, TaxRate

# Member states of the EU's VAT area. Greece's VAT ids begin with EL.
EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())

REVERSE_CHARGE = (
    "Reverse charge: VAT to be accounted for by the recipient (Article 196, Directive 2006/112/EC)"
)
OUTSIDE = "Not subject to VAT: the recipient is established outside the EU"
EXEMPT = "Exempt from tax"

type RateOf = Callable[[str], TaxValue]


class Table(dict[tuple[str, str, str], TaxRate]):
    """The active rates by country, by its state and by what they are for; "" stands for every other country and state,
    and for everything else.

    `told`: what it answered before, by all that an answer depends on. A billing run asks for thousands of customers.
    """

    def __init__(self, rows: Iterable[TaxRate]) -> None:
        super().__init__({(rate.country, rate.state, rate.product_category): rate for rate in rows})
        self.told: dict[Hashable, TaxValue] = {}


def rates() -> Table:
    """The active rate of each country and tax category."""
    return Table(TaxRate.objects.filter(active=True))


def category_of(price: Price, plan: Plan | None = None) -> str:
    """What the price is for in terms of tax: its own word, else its plan's; empty: nothing in particular."""
    return price.tax_category or (price.plan if plan is None else plan).tax_category


def rate_of(customer: Customer, seller: Seller, table: Table) -> RateOf:
    """A function from a tax category to the rate that this customer pays for it today."""
    whose = (
        customer.country, _state(customer), customer.tax_exempt, bool(customer.tax_id), seller.address.get("country"),
    )  # fmt: skip

    def rate(category: str) -> TaxValue:
        asked = (*whose, category)
        if asked not in table.told:
            table.told[asked] = tax_for(customer, seller, table, category)
        return table.told[asked]

    return rate


def tax_for(customer: Customer, seller: Seller, table: Table, category: str = "") -> TaxValue:
    """The rate for what is sold to this customer today, of a tax category.

    Of the rates that are set, the most specific wins: for the state and the category, for the state, for the country and
    the category, for the country, for the category anywhere, for everything anywhere.

    EU seller: home buyers pay the home rate; businesses elsewhere in the EU with a VAT id account for it
    themselves; consumers there pay their own country's rate, or the home rate where none is set; exports are
    outside the scope unless a rate is set for the country (the seller is registered there). Other sellers: the rate
    set for the buyer's country, if any.

    Who pays no tax pays prices that contain it without it: without what a consumer there would pay, or, where that
    is nothing, without the tax of the seller's country.
    """
    home, country = seller.address.get("country", ""), customer.country
    own = _found(table, country, _state(customer), category)
    at_home = _found(table, home, _state_at_home(seller), category)
    listed = own or at_home
    if customer.tax_exempt:
        return _untaxed("exempt", "E", EXEMPT, listed)
    if home not in EU or country not in EU:
        return _value(own) if own else _untaxed("outside", "O", OUTSIDE, listed)
    if country != home and customer.tax_id:
        return _untaxed("reverse", "AE", REVERSE_CHARGE, listed)
    return _value(listed) if listed else _untaxed("outside", "O", OUTSIDE, None)


def written_with_tax(seller: Seller, table: Table, category: str = "") -> bool:
    """Whether prices of this tax category contain tax where the seller is at home: what a price list says."""
    rate = _found(table, seller.address.get("country", ""), _state_at_home(seller), category)
    return rate is not None and rate.inclusive


def _state(customer: Customer) -> str:
    return regions.code_of(customer.country, customer.billing_address.get("state") or "")


def _state_at_home(seller: Seller) -> str:
    return regions.code_of(seller.address.get("country") or "", seller.address.get("state") or "")


def _found(table: Table, country: str, state: str, category: str) -> TaxRate | None:
    places = ((country, state), (country, ""), ("", "")) if state else ((country, ""), ("", ""))
    keys = ((*place, kind) for place in places for kind in (category, ""))
    return next((table[key] for key in keys if key in table), None)


def _value(rate: TaxRate) -> TaxValue:
    kind = rate.category if rate.percentage or rate.category != "S" else "Z"  # EN 16931, BR-S-05
    return _checked(rate.pk, rate.percentage, rate.inclusive, kind, taxes=rate.parts)


def _untaxed(key: str, category: str, reason: str, listed: TaxRate | None) -> TaxValue:
    contained = listed.percentage if listed and listed.inclusive else Decimal(0)
    return _checked(key, Decimal(0), False, category, reason, contained)


# Few values, asked for with every customer.
_checked = lru_cache(maxsize=1024)(TaxValue)


# -- What lines say of each tax -------------------------------------------------------------------------------

type Said = dict[str, Any]
"""One tax of a line as papers keep it: name, percentage (text), amount (minor units), and compound where it is so."""


def said_of(line: Taxed, rate: TaxValue) -> list[Said]:
    """What each tax takes of a line; nothing where none is charged."""
    return [{**row, "amount": amount} for row, amount in zip(rate.rows, each_of(line, rate), strict=True)]


def part_of(taxes: Sequence[Said], tax: int, left: Sequence[int] | None = None) -> list[Said]:
    """A part of a line's tax as a line of its own says it. `left`: what is left of each, where some was taken before."""
    amounts = [each["amount"] for each in taxes] if left is None else left
    return [
        {**each, "amount": amount} for each, amount in zip(taxes, part_of_each(tax, amounts), strict=True)
    ] if taxes else []  # fmt: skip


class TaxedLine(Protocol):
    """A line of a paper, as far as its taxes go."""

    net: int
    tax_amount: int
    tax_percentage: Decimal
    taxes: list[Said]


class Charged(NamedTuple):
    """One tax over all lines of a paper, in minor units; `taxable` is what it was taken from."""

    name: str
    percentage: str
    taxable: int
    amount: int


def of_line(line: TaxedLine) -> Iterator[tuple[Said, int]]:
    """Every tax of a line, and what it was taken from."""
    before = 0
    for each in stated(line):
        yield each, line.net + before if each.get("compound") else line.net
        before += each["amount"]


def stated(line: TaxedLine) -> list[Said]:
    """Every tax of a line. What was written before taxes had names has one without."""
    if line.taxes or not line.tax_amount:
        return line.taxes
    return [{"name": "", "percentage": plain(line.tax_percentage), "amount": line.tax_amount}]


def by_name(lines: Iterable[TaxedLine]) -> list[Charged]:
    """Every tax of a paper, in the order in which its lines name them."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each, base in chain.from_iterable(map(of_line, lines)):
        key = each["name"], each["percentage"]
        taxable, amount = sums.get(key, (0, 0))
        sums[key] = taxable + base, amount + each["amount"]
    return [Charged(*key, *found) for key, found in sums.items()]

"""Money, dates and addresses as a reader of one language writes them."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_symbol

from billing.papers.data import Party, Span
from billing.papers.text import one_line
from billing.papers.words import LANGUAGES, Words, words_for

MINUS = "\N{MINUS SIGN}"
CITY_FIRST = frozenset({"US", "CA", "AU", "GB", "IE", "IN", "NZ", "SG", "ZA"})


@lru_cache
def locale_of(language: str) -> Locale:
    """The locale of a language that the papers speak, with its region when known; English otherwise."""
    try:
        locale = Locale.parse(language.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return Locale("en")
    return locale if locale.language in LANGUAGES else Locale("en")


@lru_cache(maxsize=8192)
def _currency(minor: int, currency: str, exponent: int, locale: Locale) -> str:
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0" + _fraction(exponent))
    if get_currency_symbol(currency, locale)[-1].isalpha():  # KWD 1, not KWD1
        pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")
    amount = Decimal(minor).scaleb(-exponent)
    text = format_currency(amount, currency, pattern, locale=locale, currency_digits=False)
    return text.replace("-", MINUS)


@lru_cache(maxsize=8192)
def _decimal(value: Decimal, pattern: str, locale: Locale) -> str:
    with_places = format_decimal(value, pattern, locale=locale, decimal_quantization=False)
    return with_places.replace("-", MINUS)


def _fraction(exponent: int) -> str:
    return "." + "0" * exponent if exponent else ""


@dataclass(frozen=True)
class Figures:
    """Formats everything of one paper: its language, its currency."""

    language: str
    currency: str
    exponent: int

    @cached_property
    def locale(self) -> Locale:
        """Where numbers and dates get their shape."""
        return locale_of(self.language)

    @cached_property
    def words(self) -> Words:
        """The fixed words in the same language."""
        return words_for(self.language)

    def money(self, minor: int) -> str:
        """An amount with its currency: `€1,234.50`."""
        return _currency(minor, self.currency, self.exponent, self.locale)

    def amount(self, minor: int) -> str:
        """An amount without its currency, for columns whose head names it: `1,234.50`."""
        pattern = "#,##0" + _fraction(self.exponent)
        return _decimal(Decimal(minor).scaleb(-self.exponent), pattern, self.locale)

    def price(self, unit_amount: Decimal) -> str:
        """A unit price: at least the currency's decimals, all of its own up to twelve."""
        fraction = "0" * self.exponent + "#" * (12 - self.exponent)
        return _decimal(unit_amount, f"#,##0.{fraction}", self.locale)

    def number(self, value: Decimal) -> str:
        """A quantity, without idle zeros."""
        return _decimal(value, "#,##0.############", self.locale)

    def percent(self, rate: Decimal) -> str:
        """A rate given in percent: `19%`, `8.875 %` as the language puts it."""
        pattern = self.locale.percent_formats[None].pattern.replace("0", "0.####")
        return format_percent(rate / 100, pattern, locale=self.locale).replace("-", MINUS)

    def day(self, value: date) -> str:
        """A date with the month in words, which no country misreads."""
        return format_date(value, self._date_pattern("long", "d MMMM y"), locale=self.locale)

    def short_day(self, value: date) -> str:
        """A date for narrow places, the month still in letters."""
        return format_date(value, self._date_pattern("medium", "d MMM y"), locale=self.locale)

    def _date_pattern(self, usual: str, english: str) -> str:
        american = str(self.locale) == "en_US"
        return english if self.locale.language == "en" and not american else usual

    def span(self, value: Span) -> str:
        """First and last day."""
        if value.first == value.last:
            return self.short_day(value.first)
        return f"{self.short_day(value.first)} – {self.short_day(value.last)}"

    def moment(self, value: datetime) -> str:
        """An instant to the second, with its zone."""
        return format_datetime(value, "d MMM y, HH:mm:ss ZZZZ", locale=self.locale)

    def country(self, code: str) -> str:
        """The country's name, or the code when it is none."""
        return str(self.locale.territories.get(code.upper(), code))

    def address(self, party: Party, home: str) -> list[str]:
        """The lines of a postal address; the country only when it is not `home`."""
        place = self._place(party)
        country = self.country(party.country) if party.country != home else ""
        lines = (party.line1, party.line2, place, country)
        return [text for each in lines if (text := one_line(each))]

    def _place(self, party: Party) -> str:
        if party.country not in CITY_FIRST:
            return " ".join(filter(None, (party.postal_code, party.city, party.state)))
        region = " ".join(filter(None, (party.state, party.postal_code)))
        return ", ".join(filter(None, (party.city, region)))

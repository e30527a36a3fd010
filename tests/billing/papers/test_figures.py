"""Money, dates and addresses in the reader's way."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.papers.data import Span
from billing.papers.figures import Figures
from billing.papers.words import ENGLISH, LANGUAGES
from tests.billing.papers import samples

NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("language", "currency", "exponent", "minor", "said"),
    [
        ("en", "EUR", 2, 123456, "€1,234.56"),
        ("en", "EUR", 2, -5, f"{MINUS}€0.05"),
        ("en", "JPY", 0, 1234567, "¥1,234,567"),
        ("en", "KWD", 3, 1234567, f"KWD{NBSP}1,234.567"),
        ("en", "CAD", 2, 100, "CA$1.00"),
        ("de", "EUR", 2, 123456, f"1.234,56{NBSP}€"),
        ("de", "CHF", 2, 123456, f"1.234,56{NBSP}CHF"),
        ("tlh", "USD", 2, 100, "$1.00"),
    ],
)
def test_it_writes_money(language: str, currency: str, exponent: int, minor: int, said: str) -> None:
    assert Figures(language, currency, exponent).money(minor) == said


def test_it_writes_prices_with_all_their_decimals() -> None:
    figures = Figures("en", "EUR", 2)
    assert figures.price(Decimal("0.000125")) == "0.000125"
    assert figures.price(Decimal("29")) == "29.00"
    assert Figures("en", "JPY", 0).price(Decimal("29")) == "29"


def test_it_writes_rates_and_quantities_without_idle_zeros() -> None:
    figures = Figures("en", "EUR", 2)
    assert (figures.percent(Decimal("19.00")), figures.percent(Decimal("8.875"))) == ("19%", "8.875%")
    assert figures.number(Decimal("1200.50")) == "1,200.5"


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "1 July 2026"), ("en-US", "July 1, 2026"), ("de", "1. Juli 2026"), ("fr", "1 juillet 2026")],
)
def test_it_writes_days_that_nobody_misreads(language: str, said: str) -> None:
    assert Figures(language, "EUR", 2).day(date(2026, 7, 1)) == said


def test_it_writes_spans_and_moments() -> None:
    figures = Figures("en", "EUR", 2)
    assert figures.span(samples.JUNE) == "1 Jun 2026 – 30 Jun 2026"
    assert figures.span(Span(first=date(2026, 6, 1), last=date(2026, 6, 1))) == "1 Jun 2026"
    assert figures.moment(datetime(2026, 6, 18, 14, 2, 33, tzinfo=UTC)).startswith(
        "18 Jun 2026, 14:02:33 GMT"
    )


def test_it_writes_addresses_as_their_country_does() -> None:
    figures = Figures("en", "EUR", 2)
    assert figures.address(samples.FRENCH_BUYER, home="DE") == [
        "18 rue de la République",
        "69002 Lyon",
        "France",
    ]
    assert figures.address(samples.AMERICAN_BUYER, home="US") == ["77 Water Street", "New York, NY 10005"]
    assert figures.address(replace(samples.AMERICAN_BUYER, country="XQ"), home="US")[-1] == "XQ"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words_and_blanks(language: str) -> None:
    words = LANGUAGES[language]
    assert words.keys() == ENGLISH.keys()
    for key, said in words.items():
        assert _blanks(said) == _blanks(ENGLISH[key]), f"{language} {key}"


def _blanks(said: str) -> list[str]:
    return sorted(each.split("}")[0] for each in said.split("{")[1:])

"""Money, figures and marks as templates write them."""

from decimal import Decimal

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils.translation import override

from billing.templatetags import tandem


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (2900, "USD", "$29.00"),
        (-45000, "USD", "−$450.00"),
        (1200, "JPY", "¥1,200"),
        (0, "EUR", "€0.00"),
        (None, "USD", "–"),
        (10**14 + 1, "EUR", "€1,000,000,000,000.01"),
    ],
)
def test_it_writes_an_amount(minor, currency, shown):
    assert tandem.money(minor, currency) == shown


def test_it_writes_three_decimals_where_the_currency_has_them():
    assert tandem.money(1234567, "KWD").endswith("1,234.567")


def test_it_writes_in_the_readers_language():
    with override("de"):
        assert tandem.money(123456, "EUR") == "1.234,56\xa0€"


@pytest.mark.parametrize(
    ("minor", "shown"), [(290000, "$2,900"), (290050, "$2,900.50"), (0, "$0"), (-9900, "−$99")]
)
def test_it_drops_empty_cents_on_price_tags(minor, shown):
    assert tandem.short_money(minor, "USD") == shown


@pytest.mark.parametrize(("price", "shown"), [("0.0125", "$0.0125"), ("29", "$29.00"), ("29.50", "$29.50")])
def test_it_keeps_every_digit_of_a_unit_price(price, shown):
    assert tandem.unit_price(Decimal(price), "USD") == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(Decimal("15.50"), "15.5 %"), (62, "62 %"), (0, "0 %"), (None, "–"), (Decimal(-10), "−10 %")],
)
def test_it_writes_percents(value, shown):
    assert tandem.percent(value) == shown


@pytest.mark.parametrize(("ratio", "shown"), [(Decimal("1.420"), "1.42×"), (0, "0×"), (None, "–")])
def test_it_writes_how_many_times(ratio, shown):
    assert tandem.times(ratio) == shown


@pytest.mark.parametrize(("value", "shown"), [(1234567, "1,234,567"), (Decimal("1.50"), "1.5"), (None, "–")])
def test_it_writes_numbers(value, shown):
    assert tandem.number(value) == shown


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [
        ("41353.333333", "41,353"), ("999.9", "999"), ("100", "100"), ("12.346", "12.34"), ("1.5", "1.5"), ("0", "0"),
        ("0.0004125", "0.000412"), ("-41353.9", "−41,353"), (f"{10**26 - 1}.5", f"{10**26 - 1:,}"), (None, "–"),
    ],
)  # fmt: skip
def test_it_cuts_what_was_used_to_what_a_reader_takes_in(quantity, shown):
    assert tandem.rounded(quantity and Decimal(quantity)) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Nova Robotics", "NR"),
        ("ada", "a"),
        ("", ""),
        ("…", ""),
        ("Ada King Byron", "AB"),
        ("شركة الأفق", "شا"),
    ],
)
def test_it_takes_initials(name, shown):
    assert tandem.initials(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [("payment.succeeded", "Payment succeeded"), ("per_unit", "Per unit"), ("flat", "Flat"), ("", "")],
)
def test_it_spells_stored_names_out(name, shown):
    assert tandem.spelled(name) == shown


def test_every_tone_has_a_badge():
    assert set(tandem.TONES.values()) == {"good", "warn", "bad", "info"}
    assert tandem.tone("paid") == "good"
    assert tandem.tone("unheard-of") == ""


def test_an_icon_is_hidden_unless_it_says_something():
    assert 'aria-hidden="true"' in tandem.icon("check")
    assert 'role="img" aria-label="Done &lt;b&gt;"' in tandem.icon("check", label="Done <b>")


def test_every_icon_that_a_template_names_is_in_the_sprite():
    import re
    from pathlib import Path

    root = Path(tandem.__file__).resolve().parents[2]
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (root / "static/tandem/icons.svg").read_text()))
    pages = "".join(path.read_text() for path in (root / "templates").rglob("*.html"))
    named = set(re.findall(r'{% icon "([\w-]+)"', pages)) | set(re.findall(r'\bicon="([\w-]+)"', pages))
    assert named <= sprite


def test_it_names_a_country_and_leaves_what_is_none():
    assert [tandem.country_name(code) for code in ("IE", "", "??")] == ["Ireland", "", "??"]


def test_a_page_keeps_the_rest_of_its_query():
    request = RequestFactory().get("/invoices/", {"status": "open", "page": "1"})
    template = Template('{% load tandem %}{% page_query "page" 2 %}')
    assert template.render(Context({"request": request})) == "?status=open&amp;page=2"


def render(source, **context):
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("percent", "mark"),
    [(79, ""), (80, "meter--warn"), (99, "meter--warn"), (100, "meter--bad"), (140, "meter--bad")],
)
def test_a_meter_warns_from_eighty_percent(percent, mark):
    page = render(
        '{% include "components/usage_meter.html" %}', name="Calls", used=1, limit=2, percent=percent
    )
    assert ("meter--warn" in page, "meter--bad" in page) == (mark == "meter--warn", mark == "meter--bad")
    assert f'value="{min(percent, 100)}"' in page


def test_a_meter_without_a_limit_has_no_bar():
    page = render('{% include "components/usage_meter.html" %}', name="Projects", used=3)
    assert "<progress" not in page
    assert "meter--" not in page


def test_components_escape_what_people_typed():
    evil = "<img src=x onerror=alert(1)>"
    page = render(
        '{% include "components/alert.html" with text=evil title=evil %}'
        '{% include "components/badge.html" with label=evil %}'
        '{% include "components/empty.html" with title=evil text=evil %}'
        '{% include "components/stat.html" with label=evil value=evil %}',
        evil=evil,
    )
    assert "<img" not in page

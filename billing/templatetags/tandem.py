"""Words, money and marks for templates: `{% load tandem %}`."""

import re
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from typing import Any

from babel.numbers import format_currency, format_decimal
from django import template
from django.http import QueryDict
from django.templatetags.static import static
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

from billing import typed
from billing.maths.money import EXPONENTS, to_major
from billing.papers.text import in_fours

register = template.Library()


@register.filter
def chosen(cl: Any) -> list[tuple[str, str]]:
    """(filter, choice) of every filter of an admin list that is in use."""
    return [
        (str(spec.title), str(choice["display"]))
        for spec in cl.filter_specs
        for n, choice in enumerate(spec.choices(cl))
        if n and choice.get("selected")
    ]


# What the admin writes where there is nothing.
NOTHING = "–"


@register.filter
def labelled(cells: Any, headers: list[dict[str, Any]]) -> list[SafeString]:
    """The cells of an admin list's row, each with its column's name, by which a narrow screen tells what it is."""
    names = [capfirst(str(header["text"])) for header in headers]
    return [named_cell(str(cell), name) for cell, name in zip(cells, names, strict=False)]


def named_cell(cell: str, name: str) -> SafeString:
    """`<td class=…>` with its column's name; the admin escaped what is in it."""
    if cell.startswith('<td class="field-'):
        empty = " data-empty" if cell.endswith(f">{NOTHING}</td>") else ""
        cell = f'<td data-label="{escape(name)}"{empty}{cell[3:]}'
    return mark_safe(cell)  # noqa: S308  (Django made it)


# What a state means to the person who reads it, whatever the model: one table for every badge.
TONES: dict[str, str] = {
    **dict.fromkeys(
        (
            "active",
            "paid",
            "succeeded",
            "accepted",
            "converted",
            "approved",
            "completed",
            "done",
            "won",
            "enabled",
            "delivered",
        ),
        "good",
    ),
    **dict.fromkeys(
        (
            "past_due",
            "in_approval",
            "requires_action",
            "unknown",
            "expiring",
            "medium",
            "paused",
            "failing",
            "advancing",
            "needs_response",
            "under_review",
            "warning_needs_response",
            "warning_under_review",
        ),
        "warn",
    ),
    **dict.fromkeys(
        ("failed", "declined", "overdue", "unpaid", "lost", "high", "disabled", "revoked"),
        "bad",
    ),
    **dict.fromkeys(
        ("open", "trialing", "sent", "viewed", "scheduled", "issued", "given", "new", "qualified", "pending"),
        "info",
    ),
}


@register.filter
def tone(state: object) -> str:
    """`good`, `warn`, `bad`, `info` or `` for a state's stored value, for the badge's class."""
    return TONES.get(str(state), "")


@register.filter
def late(invoice: Any, now: datetime) -> bool:
    """`{% if row|late:visit.now %}`: it is past due for whoever reads it at that moment."""
    return bool(invoice.late(now))


@register.filter
def money(minor: int | None, currency: str) -> str:
    """2900 in "USD" -> "$29.00" in the reader's language; an en dash for nothing."""
    if minor is None or minor == "":
        return "–"
    return _money(int(minor), currency, locale())


@lru_cache(maxsize=4096)
def _money(minor: int, currency: str, where: str) -> str:
    """The same few prices are on page after page."""
    return signed(format_currency(Decimal(to_major(minor, currency)), currency, locale=where))


@register.filter
def negative(minor: int) -> int:
    """An amount taken away: 500 -> -500."""
    return -minor


@register.filter
def short_money(minor: int | None, currency: str) -> str:
    """As `money`, without the minor units where they are all zero: 290000 in "USD" -> "$2,900"."""
    if minor is None or minor == "" or int(minor) % 10 ** EXPONENTS[currency]:
        return money(minor, currency)
    whole = Decimal(int(minor)) / 10 ** EXPONENTS[currency]
    return signed(format_currency(whole, currency, "¤#,##0", locale=locale(), currency_digits=False))


@register.filter
def unit_price(value: Decimal, currency: str) -> str:
    """A decimal price in major units with every digit that it has: 0.0125 in "EUR" -> "€0.0125"."""
    return _unit_price(value, currency, locale())


@lru_cache(maxsize=4096)
def _unit_price(value: Decimal, currency: str, where: str) -> str:
    digits = max(EXPONENTS[currency], -int(value.normalize().as_tuple().exponent))
    pattern = "¤#,##0" + ("." + "0" * digits if digits else "")
    return signed(format_currency(value, currency, pattern, locale=where, currency_digits=False))


@register.filter
def number(value: int | Decimal | None) -> str:
    """1234567.50 -> "1,234,567.5"; an en dash for nothing."""
    return "–" if value is None or value == "" else signed(format_decimal(value, locale=locale()))


@register.filter
def rounded(quantity: Decimal | None) -> str:
    """How much was used, as somebody takes it in: 41353.333 -> "41,353", 12.346 -> "12.34", 0.0004125 -> "0.000412".

    Three figures that count, never fewer than the whole ones. Cut off, so that a limit which is not reached does not
    read as if it were. What is billed stands exact: see `number`.
    """
    if quantity is None or quantity == "":
        return "–"
    exact = Decimal(quantity)
    places = 0 if abs(exact) >= 100 else 2 if abs(exact) >= 1 or not exact else 2 - exact.adjusted()
    cut = exact.quantize(Decimal(1).scaleb(-places), ROUND_DOWN)
    return signed(format_decimal(cut, f"#,##0.{'#' * places}", locale=locale()))


@register.filter
def percent(value: int | Decimal | None) -> str:
    """A percentage as it is stored and said: Decimal("15.50") -> "15.5 %"; an en dash for nothing."""
    return number(value) if value is None or value == "" else f"{number(value)} %"


@register.filter
def ending(card: Any) -> str:
    """A card as somebody knows it: "Visa ending 4242". Of whatever has `brand` and `last4`."""
    return f"{card.brand.title()} {_('ending')} {card.last4}"


@register.filter
def times(ratio: Decimal | None) -> str:
    """How many times as much: Decimal("1.42") -> "1.42×"; an en dash for nothing."""
    return number(ratio) if ratio is None or ratio == "" else f"{number(ratio)}×"


@register.filter
def spelled(name: object) -> str:
    """A stored name as a reader takes it: "payment.succeeded" -> "Payment succeeded", "per_unit" -> "Per unit"."""
    return re.sub(r"[._]", " ", str(name)).capitalize()


@register.filter
def iban(number: str) -> str:
    """In groups of four, as it stands on cards and papers."""
    return in_fours(number)


@register.filter
def country_name(code: str) -> str:
    """Germany for DE; a code that names no country as it is."""
    return typed.countries().get(code, code)


@register.filter
def split_list(text: str) -> list[str]:
    """ "a,b" -> ["a", "b"]; for a chart's series names written in a template."""
    return [part.strip() for part in text.split(",") if part.strip()]


@register.filter
def initials(name: object) -> str:
    """One or two letters for an avatar: "Nova Robotics" -> "NR"."""
    words = [word for word in str(name).split() if word[:1].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:]))


@register.simple_tag
def icon(name: str, extra: str = "", label: str = "") -> SafeString:
    """An icon of `static/tandem/icons.svg`. Hidden from screen readers unless it has a label."""
    href = f"{static('tandem/icons.svg')}#{name}"
    classes = f"icon {extra}".strip()
    if label:
        return format_html(
            '<svg class="{}" role="img" aria-label="{}"><use href="{}"></use></svg>', classes, label, href
        )
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"></use></svg>', classes, href)


@register.simple_tag
def new_tab(address: str, words: str) -> SafeString:
    """A link to a page of somebody else's, which opens beside ours and is told nothing about it."""
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer">{}<span class="visually-hidden"> {}</span></a>',
        address, words, _("(opens in a new tab)"),
    )  # fmt: skip


@register.filter
def unlocalized(value: object) -> str:
    """A number as scripts and attributes read it: a point, no grouping."""
    return "" if value is None else f"{value}"


@register.simple_tag(takes_context=True)
def page_query(context: template.Context, key: str, value: object) -> str:
    """The current query string with one part replaced: `?status=open&page=2`."""
    request = context.get("request")
    query = request.GET.copy() if request else QueryDict(mutable=True)
    query[key] = str(value)
    return f"?{query.urlencode()}"


def signed(text: str) -> str:
    """A true minus sign, which lines up with the digits."""
    return text.replace("-", "\N{MINUS SIGN}", 1)


def locale() -> str:
    return to_locale(get_language() or "en-us")

"""The portal's own menu: `{% load portal_nav %}{% portal_menu as items %}`."""

from dataclasses import dataclass

from django import template
from django.urls import NoReverseMatch, reverse

register = template.Library()

# key (also the name of the address, `portal:<key>`), label, icon, shown in the phone's bar
MENU = [
    ("overview", "Overview", "house", True),
    ("usage", "Usage", "activity", True),
    ("invoices", "Invoices", "receipt-text", True),
    ("team", "Team", "users", False),
    ("plan", "Plan", "layers", True),
    ("payment", "Payment", "credit-card", False),
    ("quotes", "Quotes", "file-text", False),
    ("help", "Help", "life-buoy", False),
]


@dataclass(frozen=True)
class Item:
    key: str
    label: str
    icon: str
    primary: bool
    href: str
    current: bool
    count: int


@register.simple_tag(takes_context=True)
def portal_menu(context: template.Context) -> list[Item]:
    """The menu's items; the current one from `section` in the context, or else from the page's address."""
    addresses = {key: address(key) for key, *_ in MENU}
    current = context.get("section") or current_key(addresses, getattr(context.get("request"), "path", ""))
    counts = {"quotes": context.get("quotes_waiting") or 0}
    visit = context.get("visit")
    return [
        Item(key, label, icon, primary, addresses[key], key == current, counts.get(key, 0))
        for key, label, icon, primary in MENU
        if visit is None or visit.sees(key)
    ]


def address(key: str) -> str:
    try:
        return reverse(f"portal:{key}")
    except NoReverseMatch:
        return "/portal/" if key == "overview" else f"/portal/{key}/"


def current_key(addresses: dict[str, str], path: str) -> str:
    """The item whose address is the longest beginning of the path."""
    fitting = [key for key, href in addresses.items() if path.startswith(href)]
    return max(fitting, key=lambda key: len(addresses[key]), default="")


@register.filter
def one_name(name: str) -> list[str]:
    """A chart's only series, whatever the name holds."""
    return [name]

"""What every template must keep to, read from the files: the strict content policy and readable colours."""

import re
from pathlib import Path

import pytest
from django.template import engines

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
# Mails and papers are not pages: mail clients and the PDF engine want their styles inline.
NOT_PAGES = ("mail/", "papers/", "account/email/", "mfa/email/")
PAGES = sorted(
    path for path in TEMPLATES.rglob("*.html") if not str(path.relative_to(TEMPLATES)).startswith(NOT_PAGES)
)
FORBIDDEN = {
    "a style attribute": r"<[^>]*\sstyle\s*=",
    "a style element": r"<style\b",
    "a script without a source": r"<script\b(?![^>]*\bsrc=)(?![^>]*type=[\"']application/json)",
    "an event attribute": r"<[^>]*\son[a-z]+\s*=\s*[\"']",
    "a javascript: address": r"javascript:",
    "another host": r"<(?:script|img|iframe|link|source)\b[^>]*(?:src|href)=[\"'](?:https?:)?//",
    "htmx that needs eval": r"hx-(?:on|vals=[\"']js|vars)",
}
# The card element is the one script that may come from elsewhere, and only where the card is asked for.
CARD_SCRIPT = re.compile(r"<script\b[^>]*src=[\"']https://js\.stripe\.com/[^>]*>")


def named(path):
    return str(path.relative_to(TEMPLATES))


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_it_has_nothing_that_the_content_policy_refuses(path):
    text = CARD_SCRIPT.sub("", path.read_text())
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text, re.I)]
    assert found == []


@pytest.mark.parametrize("pattern", ['<p style="color:red">', "<style>p{}</style>", "<script>go()</script>"])
def test_the_scan_sees_what_it_looks_for(pattern):
    assert any(re.search(forbidden, pattern, re.I) for forbidden in FORBIDDEN.values())


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.*")), ids=named)
def test_it_parses(path):
    engines["django"].get_template(named(path))


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_its_comments_are_not_shown(path):
    """A one-line comment that runs over two lines would be printed on the page."""
    for line in path.read_text().splitlines():
        assert line.count("{#") == line.count("#}"), line


def test_style_sheets_name_no_other_host():
    for sheet in (ROOT / "static" / "tandem").glob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()), sheet.name


# -- Colours ------------------------------------------------------------------------------------------------

TOKENS = (ROOT / "static" / "tandem" / "tokens.css").read_text()
COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", TOKENS)
}
GROUNDS = ["canvas", "surface", "surface-2"]
TONES = ["accent", "good", "warn", "bad", "info"]
INKS = ["ink", "ink-2", "ink-3", *(f"{tone}-ink" for tone in TONES)]
TEXT = [
    *[(ink, ground) for ink in INKS for ground in GROUNDS],
    *[(f"{tone}-ink", f"{tone}-soft") for tone in TONES],
    *[("ink", f"{tone}-soft") for tone in TONES],
    ("on-accent", "accent"),
    ("on-accent", "accent-hover"),
    ("on-bad", "bad"),
    ("ink", "surface-3"),
    ("ink-2", "surface-3"),
]
SHAPES = [("line-input", "surface"), ("accent", "surface"), ("accent", "canvas"), ("bad", "surface")]


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read_on_its_ground(ink, ground, theme):
    assert contrast(COLOURS[ink][theme], COLOURS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_edges_of_controls_can_be_seen(shape, ground, theme):
    assert contrast(COLOURS[shape][theme], COLOURS[ground][theme]) >= 3


def test_the_foot_of_a_card_is_seen() -> None:
    """A foot without an element is taken for empty and hidden, words or not."""
    bare = re.compile(r'class="card__foot[^"]*"[^>]*>\s*(?:\{\{|\{% (?:translate|blocktranslate)|\w)')
    assert [path.name for path in PAGES if bare.search(path.read_text())] == []


# -- Read as code -------------------------------------------------------------------------------------------

LONGEST = 300


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=named)
def test_its_lines_can_be_read(path):
    """Attributes and blocks stand on lines of their own. A tag of the template language cannot run over lines."""
    long = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > LONGEST]
    assert long == [], f"more than {LONGEST} characters: break them between attributes and blocks"

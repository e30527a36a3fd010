"""The typesetting machine: WeasyPrint with our typefaces and style sheet, loaded on first use and kept.

WeasyPrint needs system libraries that a fresh machine may lack, so it is imported late and its absence is
answered with the line that installs them. Nothing is ever fetched: a document gets the bytes handed to it.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STYLE = HERE / "style"
FONTS = HERE / "fonts"

COLOUR = re.compile("#[0-9a-fA-F]{6}")
INSTALL = """\
Papers are typeset with WeasyPrint, which needs the Pango library. Install it once:
  Debian, Ubuntu   apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
  Fedora           dnf install pango
  macOS            brew install pango
Everything else works without it; papers are made as soon as it is there."""


class PaperToolsMissing(RuntimeError):
    """The system libraries that typeset papers are not installed; the text says how to get them."""


class NotHandedOver(ValueError):
    """A document asked for something that was not handed over with it; it gets nothing."""


@dataclass(frozen=True)
class Press:
    """WeasyPrint's parts that every document shares. Hold `lock` to set one: Pango is not thread safe."""

    weasyprint: Any
    fonts: Any
    style: Any
    lock: threading.Lock

    def document(self, html: str, things: Mapping[str, bytes]) -> Any:
        """A `weasyprint.HTML` that can reach `things` by their `paper:` addresses, and nothing else."""
        return self.weasyprint.HTML(string=html, url_fetcher=Closed(things))

    def styles(self, accent: str) -> list[Any]:
        """The style sheets, with the seller's colour (`#rrggbb`) on the rule under the letterhead."""
        return [self.style, _accent(accent)] if COLOUR.fullmatch(accent) else [self.style]


class Closed:
    """A URL fetcher without a network or a disk."""

    _fail_on_errors = False  # WeasyPrint asks for it

    def __init__(self, things: Mapping[str, bytes]) -> None:
        self.things = things

    def __call__(self, url: str) -> Any:
        """The bytes handed over as `url`, or `NotHandedOver`."""
        from weasyprint.urls import URLFetcherResponse

        if url not in self.things:
            raise NotHandedOver(url)
        return URLFetcherResponse(url, self.things[url])

    fetch = __call__


@lru_cache(maxsize=1)
def press() -> Press:
    """The one press of this process. Raises `PaperToolsMissing`."""
    weasyprint = _weasyprint()
    from weasyprint.text.fonts import FontConfiguration

    fonts = FontConfiguration()
    faces = Closed({f"paper:font/{path.name}": path.read_bytes() for path in FONTS.glob("*.[to]tf")})
    css = (STYLE / "fonts.css").read_text() + (STYLE / "paper.css").read_text()
    style = weasyprint.CSS(string=css, font_config=fonts, url_fetcher=faces)
    return Press(weasyprint, fonts, style, threading.Lock())


@lru_cache(maxsize=64)
def _accent(colour: str) -> Any:
    return _weasyprint().CSS(string=f".hero {{ border-top-color: {colour} }}", url_fetcher=Closed({}))


def _weasyprint() -> Any:
    try:
        weasyprint = import_module("weasyprint")
    except (ImportError, OSError) as error:
        raise PaperToolsMissing(f"{INSTALL}\n({error})") from error
    return weasyprint

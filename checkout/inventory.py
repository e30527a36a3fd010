"""Every script of the pages with a card field: what it is for, and the hash of our own (PCI DSS 4.0.1, 6.4.3).

The list is `checkout/scripts.json`. Stripe's own file changes without notice and has no hash; it comes from Stripe
alone, and the content policy of these pages names that host and no other.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from django.contrib.staticfiles import finders

FILE = Path(__file__).with_name("scripts.json")
# With which headers the checkout page is released; `config.payment_page` compares what buyers get.
HEADERS = Path(__file__).with_name("headers.json")
STATIC = "/static/"


@dataclass(frozen=True, slots=True)
class Script:
    """`sha384` is "" for what we do not serve."""

    src: str
    why: str
    pages: tuple[str, ...]
    sha384: str


def listed() -> list[Script]:
    rows = json.loads(FILE.read_text())
    return [Script(row["src"], row["why"], tuple(row["pages"]), row["sha384"]) for row in rows]


def differences() -> Iterator[str]:
    """What is served and not as listed, in words."""
    for script in listed():
        if not script.why.strip():
            yield f"{script.src} has no reason to be there"
        if script.src.startswith(STATIC) and (now := fingerprint(script.src)) != script.sha384:
            yield f"{script.src} is {now or 'gone'}, listed as {script.sha384}"


def fingerprint(src: str) -> str:
    """The hash of one of our files as a browser's integrity attribute has it; "" when there is none."""
    found = finders.find(src.removeprefix(STATIC))
    if not found:
        return ""
    return hashed(Path(str(found)).read_bytes())


def hashed(content: bytes) -> str:
    return f"sha384-{b64encode(hashlib.sha384(content).digest()).decode()}"


def write() -> None:
    """List our files as they are now. Somebody has read what changed before calling this."""
    rows = [asdict(script) for script in listed()]
    for row in rows:
        row["sha384"] = fingerprint(row["src"]) if row["src"].startswith(STATIC) else ""
    FILE.write_text(json.dumps(rows, indent=2) + "\n")

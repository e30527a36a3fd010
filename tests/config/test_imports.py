"""The map of docs/architecture.md: arrows point down only."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# Each package with those that it may import besides itself.
MAY_IMPORT = {
    "config": {"portal", "checkout", "sales", "billing", "billing.maths"},
    "portal": {"sales", "billing", "billing.maths"},
    "checkout": {"sales", "billing", "billing.maths"},
    "sales": {"billing", "billing.maths"},
    "billing": {"billing.maths"},
    "billing.maths": set(),
}
# Who may open an address: the guarded door, and what calls this very site (the stand-in's webhooks, the demo).
MAY_CALL = ("billing/outside.py", "billing/fakestripe/", "config/")
CLIENTS = {"http.client", "urllib.request", "requests", "httpx", "urllib3", "aiohttp"}
MAY_IMPORT_STRIPE = ("billing/gateway.py", "billing/webhooks_in.py", "billing/fakestripe/")


def modules() -> list[Path]:
    roots = [CHECKOUT / name for name in ("config", "portal", "checkout", "sales", "billing")]
    return sorted(path.relative_to(CHECKOUT) for root in roots for path in root.rglob("*.py"))


def package(name: str) -> str | None:
    """The package of the map that a dotted name belongs to, or None for other people's."""
    if name == "billing.maths" or name.startswith("billing.maths."):
        return "billing.maths"
    first = name.split(".")[0]
    return first if first in MAY_IMPORT else None


@cache
def imported(path: Path, source: str) -> set[str]:
    """Every dotted name that the module at `path` imports, wherever in the file, relative ones resolved."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = path.parts[: len(path.parts) - node.level] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            # `from billing import maths` names a package as much as `import billing.maths` does.
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return names


def wrong_arrows(path: Path, source: str) -> set[str]:
    home = package(".".join(path.with_suffix("").parts))
    assert home is not None
    return {
        name
        for name in imported(path, source)
        if (target := package(name)) and target != home and target not in MAY_IMPORT[home]
    }


def foreign(path: Path, source: str) -> set[str]:
    """What a module of billing.maths imports from outside itself and the standard library."""
    first_names = {name.split(".")[0] for name in imported(path, source) if package(name) != "billing.maths"}
    return first_names - sys.stdlib_module_names - {"billing"}


@pytest.mark.parametrize("path", modules(), ids=str)
def test_it_imports_downwards_only(path: Path) -> None:
    assert wrong_arrows(path, (CHECKOUT / path).read_text()) == set()


@pytest.mark.parametrize(
    "path", [path for path in modules() if path.parts[:2] == ("billing", "maths")], ids=str
)
def test_it_keeps_the_arithmetic_to_the_standard_library(path: Path) -> None:
    assert foreign(path, (CHECKOUT / path).read_text()) == set()


def test_it_speaks_to_stripe_in_one_place() -> None:
    importers = {
        str(path)
        for path in modules()
        if any(name.split(".")[0] == "stripe" for name in imported(path, (CHECKOUT / path).read_text()))
    }
    assert {path for path in importers if not path.startswith(MAY_IMPORT_STRIPE)} == set()


def test_it_opens_typed_addresses_in_one_place() -> None:
    callers = {str(path) for path in modules() if imported(path, (CHECKOUT / path).read_text()) & CLIENTS}
    assert "billing/outside.py" in callers
    assert {path for path in callers if not path.startswith(MAY_CALL)} == set()


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("billing/moves.py", "from sales.models import Lead"),
        ("billing/moves.py", "def f():\n    import portal.access"),
        ("portal/views.py", "from checkout import routing"),
        ("checkout/views.py", "import portal"),
        ("sales/rules.py", "from config.settings import BASE_DIR"),
        ("billing/maths/money.py", "from ..models import Invoice"),
        ("billing/maths/money.py", "from billing import events"),
    ],
)
def test_it_finds_a_wrong_arrow(path: str, source: str) -> None:
    assert wrong_arrows(Path(path), source)


def test_it_finds_a_foreign_library_in_the_arithmetic() -> None:
    assert foreign(Path("billing/maths/money.py"), "import math, django.db\nfrom .tax import split") == {
        "django"
    }

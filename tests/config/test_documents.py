"""Documents that can fail: a setting or a command that nobody wrote down."""

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("billing", "checkout", "config", "portal", "sales")
NOT_OURS = {"PATH", "CI"}
OPERATING = (CHECKOUT / "docs" / "operating.md").read_text()


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))


def settings_read(source: str) -> set[str]:
    """The names that a module reads from the environment: env.str("X"), required("X"), os.environ["X"] …"""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            names.add(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called in ("required", "os.environ.get", "os.getenv") or called.startswith("env."):
                names.add(node.args[0])
    return {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}


SETTINGS = sorted({name for path in sources() for name in settings_read(path.read_text())} - NOT_OURS)
COMMANDS = sorted(
    path.stem
    for package in PACKAGES
    for path in (CHECKOUT / package).glob("management/commands/*.py")
    if not path.stem.startswith("_")
)


def test_it_finds_the_settings() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "TANDEM_HOME", "WEB_WORKERS"} <= set(SETTINGS)
    assert settings_read("os.environ['A'] + os.environ.get('B') + env.int('C', 1) + f('D')") == {
        "A",
        "B",
        "C",
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_it_explains_every_setting(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", OPERATING, re.M), f"{name} has no row in docs/operating.md"


@pytest.mark.parametrize("name", SETTINGS)
def test_it_shows_every_setting_in_the_example(name: str) -> None:
    example = (CHECKOUT / ".env.example").read_text()
    assert re.search(rf"^# ?{name}=|^{name}=", example, re.M), f"{name} is not in .env.example"


def test_it_explains_no_setting_that_is_gone() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \|", OPERATING, re.M)
    assert sorted(set(table) - set(SETTINGS)) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_it_explains_every_command(name: str) -> None:
    assert re.search(rf"`manage\.py {name}\b", OPERATING), f"{name} is not in docs/operating.md"


@pytest.mark.parametrize(("page", "least"), [("security.md", 50), ("faults.md", 20), ("invariants.md", 20)])
def test_every_test_that_a_page_names_exists(page: str, least: int) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (CHECKOUT / "docs" / page).read_text())
    assert len(named) > least
    gone = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (CHECKOUT / path).read_text()]
    assert gone == []

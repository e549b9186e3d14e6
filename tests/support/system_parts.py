"""What the tests need beyond Python: RabbitMQ, Redis 7, HAProxy, promtool, Node with the official Socket.IO client, Chromium.

`python -m tests.support.system_parts` looks for each. What is missing it installs with apt-get when it may
(as root, on Debian and its kin), else it names it with the command that installs it. In continuous
integration (CI=true) a part that is still missing is a failure; on somebody's machine the tests that need it
are skipped and say so. Tests ask through `require`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NODE_AT_LEAST = 18
REDIS_AT_LEAST = 7
JS = Path(__file__).resolve().parents[1] / "journeys" / "js"
"""Folder of the JavaScript journeys; its package-lock.json names the client."""

_POLICY = Path("/usr/sbin/policy-rc.d")
_RUN_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to be found. `find` gives its program or folder, or None; `packages` are Debian's names for
    it.
    """

    name: str
    needed_for: str
    find: Callable[[], Path | None]
    packages: tuple[str, ...]
    cure: str


def rabbitmq() -> Path | None:
    """The program rabbitmq-server."""
    return _program("rabbitmq-server", "/usr/sbin/rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")


def redis() -> Path | None:
    """The program redis-server, of a version that knows sharded pub/sub. The wheel's own Redis is older, and the first to be found
    where the environment is activated."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("redis-server", path=folder)
        if found is not None and _redis_version(found) >= REDIS_AT_LEAST:
            return Path(found)
    return None


def _redis_version(program: str) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    version = re.search(r"v=(\d+)\.", told)
    return int(version[1]) if version else 0


def haproxy() -> Path | None:
    """The program haproxy."""
    return _program("haproxy", "/usr/sbin/haproxy")


def promtool() -> Path | None:
    """The program promtool."""
    return _program("promtool")


def node() -> Path | None:
    """A Node.js new enough for the client."""
    found = _program("node", "/usr/bin/nodejs")
    if found is None or _program("npm") is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    version = re.match(r"v(\d+)\.", told)
    return found if version and int(version[1]) >= NODE_AT_LEAST else None


def chromium() -> Path | None:
    """A browser that can be driven without a screen."""
    return _program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def socketio_client() -> Path | None:
    """The folder of the installed npm package socket.io-client, of the version in the lock."""
    if not (JS / "node_modules" / "socket.io-client" / "package.json").is_file():
        return None
    installed, lock = JS / "node_modules" / "installed-lock.json", JS / "package-lock.json"
    same = installed.is_file() and installed.read_bytes() == lock.read_bytes()
    return JS / "node_modules" / "socket.io-client" if same else None


PARTS = {
    part.name: part
    for part in (
        Part(
            "rabbitmq",
            "durable tasks over AMQP",
            rabbitmq,
            ("rabbitmq-server",),
            "sudo apt-get install rabbitmq-server",
        ),
        Part(
            "redis",
            "clusters of Redis and sharded pub/sub",
            redis,
            ("redis-server",),
            f"sudo apt-get install redis-server (Redis {REDIS_AT_LEAST} or newer)",
        ),
        Part("haproxy", "nodes behind a proxy", haproxy, ("haproxy",), "sudo apt-get install haproxy"),
        Part("promtool", "alert rules", promtool, ("prometheus",), "sudo apt-get install prometheus"),
        Part(
            "node",
            "journeys with the official client",
            node,
            ("nodejs", "npm"),
            f"sudo apt-get install nodejs npm (Node {NODE_AT_LEAST} or newer)",
        ),
        Part("chromium", "the pages", chromium, ("chromium",), "sudo apt-get install chromium"),
        Part(
            "socket.io-client",
            "journeys with the official client",
            socketio_client,
            (),
            "npm ci, in tests/journeys/js",
        ),
    )
}


def in_ci() -> bool:
    """Whether this is continuous integration, where a missing part is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def require(name: str) -> Path:
    """The part's program or folder; without it the test is skipped, or fails in continuous integration."""
    part = PARTS[name]
    found = part.find()
    if found is not None:
        return found
    reason = f"{part.name} is missing ({part.needed_for}): {part.cure}"
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


def main() -> int:
    """Provide what can be provided; 1 when something is missing that may not be."""
    missing = [part for part in PARTS.values() if part.packages and part.find() is None]
    packages = [package for part in missing for package in part.packages]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(packages)
    if node() is not None and socketio_client() is None:
        _install_client()
    missing = [part for part in PARTS.values() if part.find() is None]
    for part in missing:
        print(f"missing: {part.name}, for {part.needed_for}. To install it: {part.cure}", file=sys.stderr)
    if missing and in_ci():
        print("CI is set: a missing part is a failure.", file=sys.stderr)
        return 1
    if missing:
        print("The tests that need them will be skipped.", file=sys.stderr)
    return 0


def _program(*names: str) -> Path | None:
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    return None


def _install(packages: list[str]) -> None:
    print(f"installing with apt-get: {' '.join(packages)}", file=sys.stderr)
    with _no_service_starts():
        if _run(["apt-get", "update", "-qq"]):
            _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def _install_client() -> None:
    print("installing the official Socket.IO client with npm", file=sys.stderr)
    # A cache of its own: the home folder may be read-only.
    with tempfile.TemporaryDirectory(prefix="paceline-npm-") as cache:
        words = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--cache", cache]
        if _run(words, cwd=JS):
            shutil.copy(JS / "package-lock.json", JS / "node_modules" / "installed-lock.json")


def _run(words: list[str], cwd: Path | None = None) -> bool:
    """Run a command quietly; show what it said only when it failed."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=_RUN_SECONDS
        )
    except subprocess.TimeoutExpired:
        print(f"{words[0]} took longer than {_RUN_SECONDS} s and was stopped", file=sys.stderr)
        return False
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-10:]
        print("\n".join([f"{' '.join(words[:2])} failed:", *(f"    {line}" for line in said)]), file=sys.stderr)
    return done.returncode == 0


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keep the packages from starting servers: the tests start their own, on ports of their own.

    Debian asks this file before it starts a service; one that is there already is left alone.
    """
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


if __name__ == "__main__":
    sys.exit(main())

"""What is compiled is found by its sources, is taken as a whole or not at all, and passes their tests."""

import ast
import os
import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

import pytest

from paceline import compiled, compiling
from tests.support.server import ROOT

LONG_S: Final = 1_200
ON_THE_WAY: Final = (
    "tests/gateway/sockets",
    "tests/realtime",
    "tests/conformance",
    "tests/torture",
    "tests/services/access",
    "tests/rooms/test_rooms.py",
    "tests/contracts/test_broker.py",
    "tests/contracts/test_room_log.py",
    "tests/contracts/test_socket_engine.py",
    "tests/laws/test_feeds.py",
)
TOO_LONG: Final = "tests/torture/test_leftovers.py"
"""Takes as long as all of them: `PACELINE_COMPILED=must python -m pytest -p paceline tests/torture` runs it."""
pytestmark = pytest.mark.timeout(LONG_S)

_WHERE: Final = "import paceline, realtime.turn, gateway.sockets.server as s; print(realtime.turn.__file__, s.__file__)"


def python(*words: str, setting: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """A program in the root of the repository."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        # Not what the tests around this one were told.
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {compiled.SETTING: setting},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.mark.usefixtures("made")
def test_what_holds_of_the_sources_holds_of_what_is_compiled() -> None:
    words = ("-m", "pytest", "-p", "paceline", "--numprocesses", "1", "--tb", "short", "--ignore", TOO_LONG)

    done = python(*words, *ON_THE_WAY, setting="must", timeout_s=LONG_S)

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None
    assert int(found[1]) > 2_000


@pytest.mark.usefixtures("made")
def test_a_program_takes_what_is_compiled_unless_it_is_told_not_to() -> None:
    for setting, suffix in (("auto", ".so"), ("must", ".so"), ("off", ".py")):
        done = python("-c", _WHERE, setting=setting)
        assert [Path(file).suffix for file in done.stdout.split()] == [suffix] * 2, done.stderr


@pytest.mark.usefixtures("made")
def test_all_of_them_or_none() -> None:
    late = "import realtime.turn, paceline, gateway.sockets.server as s; print(s.__file__)"

    assert python("-c", late, setting="auto").stdout.strip().endswith("server.py")
    refused = python("-c", late, setting="must")
    assert refused.returncode == 1
    assert "PACELINE_COMPILED=must, but some of the modules have been imported already" in refused.stderr


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("module", ["tests.benchmarks.__main__", "tests.benchmarks.sockets.paceline_peer"])
def test_the_benchmarks_measure_what_is_compiled_and_say_so(module: str) -> None:
    says = f"import {module}, realtime.hub as h; from tests.benchmarks.machine import stamp; print(stamp().compiled, h.__file__)"
    done = python("-c", says, setting="must")

    assert done.stdout.startswith("True "), done.stderr
    assert done.stdout.strip().endswith(".so"), done.stderr


def test_what_was_made_from_other_sources_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = compiled.folder.__wrapped__
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    for name in compiled.MODULES:
        compiled.source(name).parent.mkdir(parents=True, exist_ok=True)
        compiled.source(name).write_text(f"# {name}\n")
    imported, package = tmp_path / "realtime/wire.py", tmp_path / "gateway/parts"
    compiled.source("realtime.hub").write_text(
        "from realtime.wire import (\nMOST)\nif MOST:\n    from gateway.parts import one\n"
    )
    imported.write_text("MOST = 1\n")
    package.mkdir()
    first = there()
    assert first.parent == tmp_path / "build" / "compiled"
    assert there() == first
    found = {first}
    for changed in (compiled.source(compiled.MODULES[-1]), imported, package / "one.py"):
        changed.write_text("# changed\n")
        found.add(there())
    assert len(found) == 4
    (tmp_path / "realtime/other.py").write_text("# nobody on the way imports it\n")
    assert there() in found


def test_all_of_ours_that_they_import_is_among_what_they_are_made_from() -> None:
    imports = [
        node.module
        for name in compiled.MODULES
        for node in ast.walk(ast.parse(compiled.source(name).read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    ]
    ours = {name for name in imports if compiled.source(name).is_file()}
    assert len(ours) > 30
    assert {compiled.source(name) for name in ours} <= set(compiled.sources())


def test_where_nothing_was_made_the_sources_run_and_must_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "folder", lambda: tmp_path / "none")
    monkeypatch.setattr(sys, "modules", {})
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.setenv(compiled.SETTING, "auto")
    compiled.use()
    assert sys.meta_path == []
    monkeypatch.setenv(compiled.SETTING, "must")
    with pytest.raises(
        RuntimeError, match=r"PACELINE_COMPILED=must, but they are not in .*none; `make compiled` makes them"
    ):
        compiled.use()


def test_the_finder_finds_what_is_in_its_folder_and_leaves_the_rest_to_others(tmp_path: Path) -> None:
    file = tmp_path / f"realtime/turn{EXTENSION_SUFFIXES[0]}"
    file.parent.mkdir()
    file.touch()

    finder = compiled.Finder(tmp_path)
    found = finder.find_spec("realtime.turn", None)
    assert found is not None
    assert found.origin == str(file)
    assert finder.find_spec("realtime.hub", None) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class Frame(Struct, frozen=True): ...", "Frame: mypyc forgets what a class is given by keyword"),
        ("class Box:\n    def __len__(self): return 0", "Box: mypyc takes what has a __len__ for true"),
        (
            "async def run():\n    ring = make()\n    try:\n        await watch()\n    finally:\n        ring.close()",
            "run: mypyc loses local variables that a `finally` uses behind an await",
        ),
        (
            "async def run():\n    try:\n        work()\n    except OSError:\n        await rest()",
            "run: mypyc shows whoever runs meanwhile the exception that is being handled here",
        ),
    ],
)
def test_what_would_not_be_the_same_is_refused(text: str, why: str) -> None:
    with pytest.raises(compiling.NotMade, match=why):
        compiling.look("some.module", text)


def test_what_would_be_the_same_is_taken() -> None:
    compiling.look("some.module", "class Box:\n    def __len__(self): return 0\n    def __bool__(self): return False")
    compiling.look(
        "some.module", "async def run(self):\n    try:\n        await watch()\n    finally:\n        self.end()"
    )
    for name in compiled.MODULES:
        compiling.look(name, compiled.source(name).read_text())


def test_without_the_tools_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mypyc.build", None)
    with pytest.raises(compiling.NotMade, match=r"this needs the tools, and mypyc\.build is not there"):
        compiling.make(tmp_path / "made")

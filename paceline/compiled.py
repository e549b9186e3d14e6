"""The modules on the way of every frame, compiled ahead of time where somebody has done so (docs/decisions/0019).

They are ordinary typed Python, and run as such everywhere. `make compiled` (paceline/compiling.py) has mypyc make extension
modules of them, in `build/compiled/`; a program that finds those there takes them instead. They are found by what they were made
from: the text of every one of these modules and of what they import of ours (mypyc takes over constants from there), the version of
Python, the kind of machine. After any change of these nothing is found until they are made again, so what runs is always what
stands in the sources.

This must come before anything else of ours is imported, which is why it is called from this package's `__init__`.
"""

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MODULES: Final = (
    "realtime.turn",
    "realtime.connection",
    "realtime.hub",
    "realtime.mailbox",
    "realtime.limits",
    "realtime.disconnect",
    "realtime.codec",
    "gateway.sockets.engine.websocket",
    "gateway.sockets.engine.link",
    "gateway.sockets.engine.frames",
    "gateway.sockets.engine.heartbeat",
    "gateway.sockets.engine.wheel",
    "gateway.sockets.engine.server",
    "gateway.sockets.dispatch",
    "gateway.sockets.server",
    "services.access.policy",
    "realtime.node",
    "realtime.feeds",
    "realtime.redis_room_log",
    "realtime.redis_commands",
    "realtime.redis_caller",
    "realtime.redis_line",
    "realtime.redis_listener",
    "realtime.redis_speaker",
    "realtime.parcel",
    "realtime.position",
    "realtime.watchdog",
)
"""All of them or none: compiled, they know each other's insides."""
SETTING: Final = "PACELINE_COMPILED"
_OURS: Final = re.compile(rb"^ *from ((?:gateway|realtime|rooms|services)\b[\w.]*) import ", re.MULTILINE).findall


class Finder(MetaPathFinder):
    """Finds extension modules in a folder that is not on the path of their packages."""

    def __init__(self, folder: Path) -> None:
        suffix = EXTENSION_SUFFIXES[0]
        files = (file.relative_to(folder).as_posix() for file in folder.rglob(f"*{suffix}"))
        self._files: Final = {file.removesuffix(suffix).replace("/", "."): folder / file for file in files}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, str(file)))


def source(name: str) -> Path:
    """The file of a module."""
    return ROOT / (name.replace(".", "/") + ".py")


def sources() -> list[Path]:
    """What they are made from: their files, and those of ours that they import."""
    own = [source(name) for name in MODULES]
    names = {found.decode() for file in own for found in _OURS(file.read_bytes())} - set(MODULES)
    imported: set[Path] = set()
    for name in names:
        package = ROOT / name.replace(".", "/")
        imported.update(package.glob("*.py") if package.is_dir() else (source(name),))
    return own + sorted(imported - set(own))


@cache
def folder() -> Path:
    """Where they are, once somebody has made them from the sources as they are."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.platform} {EXTENSION_SUFFIXES[0]}\n".encode())
    for file in sources():
        digest.update(file.read_bytes())
    return ROOT / "build" / "compiled" / digest.hexdigest()[:16]


def use() -> None:
    """Have them imported from where they are compiled, if they are, and `PACELINE_COMPILED` is not `off`. Raises `RuntimeError`
    where that is `must` and they are not."""
    setting = os.environ.get(SETTING, "auto")
    if setting == "off" or in_use():
        return
    # Half of them imported as they are, the others would not fit.
    if any(name in sys.modules for name in MODULES):
        why = "some of the modules have been imported already"
    elif not folder().is_dir():
        why = f"they are not in {folder()}; `make compiled` makes them"
    else:
        sys.meta_path.insert(0, Finder(folder()))
        return
    if setting == "must":
        raise RuntimeError(f"{SETTING}=must, but {why}")


def in_use() -> bool:
    """Whether this program runs them compiled."""
    return any(isinstance(finder, Finder) for finder in sys.meta_path)

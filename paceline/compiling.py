"""Compile the modules on the way of every frame: `make compiled`, or `python -m paceline.compiling`. See compiled.py.

Needs the tools (mypyc comes with mypy) and a C compiler; takes about a minute.

A compiler's warning is an error here, as mypyc wants it: it is how a fault of the generated code shows before it runs. What
mypyc would take and then do in another way, as far as it was met, is refused by name (`look`).
"""

import ast
import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from paceline.compiled import MODULES, ROOT, folder, source

GROUP: Final = "paceline_compiled"
KEPT: Final = 4
"""How many are kept of those that were made last: a program may run what another state of the sources was made into."""


class NotMade(Exception):  # noqa: N818 - a state of this machine, or of a source
    """It could not be compiled; the message says why."""


def look(name: str, text: str) -> None:
    """Refuse a module that would do something else once it is compiled. Raises `NotMade`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            found = _in_class(node)
        elif isinstance(node, ast.AsyncFunctionDef):
            found = _in_coroutine(node)
        else:
            continue
        if found is not None:
            raise NotMade(f"{name}, {node.name}: mypyc {found}, or move it to a module that is not compiled")


def _in_class(node: ast.ClassDef) -> str | None:
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    if node.keywords:
        return "forgets what a class is given by keyword (frozen=True and the like): do without"
    if "__len__" in methods and "__bool__" not in methods:
        return "takes what has a __len__ for true, also when it is empty: give it a __bool__"
    return None


def _in_coroutine(node: ast.AsyncFunctionDef) -> str | None:
    own = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    ends = [end for part in ast.walk(node) if isinstance(part, ast.Try) for end in part.finalbody]
    if any(isinstance(each, ast.Name) and each.id in own for end in ends for each in ast.walk(end)):
        return "loses local variables that a `finally` uses behind an await: keep them in attributes"
    held = [part for each in ast.walk(node) if isinstance(each, ast.Try) for part in (*each.handlers, *each.finalbody)]
    if any(isinstance(each, ast.Await | ast.AsyncWith | ast.AsyncFor) for part in held for each in ast.walk(part)):
        return "shows whoever runs meanwhile the exception that is being handled here: wait behind the `try`"
    return None


def make(into: Path) -> None:
    """Put extension modules of all of them into a folder, which is there only once it is whole. Raises `NotMade`."""
    for name in MODULES:
        look(name, source(name).read_text())
    try:
        from mypyc.build import mypycify
        from setuptools import Distribution  # type: ignore[import-untyped]
        from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]
        from setuptools.errors import CompileError, PlatformError  # type: ignore[import-untyped]
    except ImportError as missing:
        raise NotMade(
            f"this needs the tools, and {missing.name} is not there; `.ci/environment dev` installs them"
        ) from missing
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir=into.parent) as work:
        files = [str(source(name).relative_to(ROOT)) for name in MODULES]
        extensions = mypycify(files, opt_level="3", debug_level="0", group_name=GROUP, target_dir=f"{work}/c")
        command = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
        command.build_lib, command.build_temp = f"{work}/made", f"{work}/objects"
        command.ensure_finalized()
        try:
            command.run()
        except (CompileError, PlatformError) as fault:
            raise NotMade(f"the C compiler did not do it: {fault}") from fault
        Path(work, "made").rename(into)


def main() -> int:
    """Compile, unless that is done, and forget what was made long ago."""
    into = folder()
    into.parent.mkdir(parents=True, exist_ok=True)
    with (into.parent / "lock").open("w") as lock:
        # Whoever comes second finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not into.is_dir():
            print(f"Compiling {len(MODULES)} modules (only now, and when one changes; about a minute)", file=sys.stderr)
            try:
                make(into)
            except NotMade as why:
                print(why, file=sys.stderr)
                return 1
        made = sorted((each for each in into.parent.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
        for old in made[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    print(f"{len(MODULES)} modules are compiled, in {into.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

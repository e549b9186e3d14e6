"""The environment, read once, into one frozen value.

Every option is declared once, in options.py, with its unit, its default and what zero means. From
that come the reading below, the table that `paceline check` prints (secrets masked) and
`deploy/paceline.env.example` (`python -m paceline.settings`).

Reading goes on after a fault, so a person mends everything in one go. A variable that starts with PACELINE_
and is no option is a fault too: a misspelt option that is silently ignored costs an afternoon. Secrets may
come from a mounted file: the same name with _FILE behind it.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paceline.option import Option
from paceline.options import Fault, Settings, options, relations

__all__ = ["Fault", "Reading", "Row", "Settings", "SettingsError", "env_example", "load_settings", "read_settings"]

PREFIX = "PACELINE_"


class SettingsError(Exception):
    """The environment does not make settings; `faults` says all that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        lines = [f"{one.variable}: {one.problem}. {one.cure}" for one in faults]
        super().__init__("\n".join(lines))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what an option is set to, fit to be printed, and by whom ("default",
    "environment", "file …").
    """

    variable: str
    field: str
    shown: str
    source: str
    option: Option


@dataclass(frozen=True, slots=True)
class Reading:
    """All that can be said about an environment; `settings` is None when there are faults."""

    settings: Settings | None
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings this environment makes. Raises SettingsError with every fault in it."""
    reading = read_settings(environ)
    if reading.settings is None:
        raise SettingsError(reading.faults)
    return reading.settings


def read_settings(environ: Mapping[str, str]) -> Reading:
    """Read everything, faults and all, for `paceline check`. A variable set to the empty text counts as not
    set.
    """
    faults: list[Fault] = []
    values: dict[str, object] = {}
    rows: list[Row] = []
    wrong: set[str] = set()
    for name, one in options().items():
        given, source, fault = _given(one, environ)
        if given is not None and fault is None:
            try:
                values[name] = one.kind.parse(given)
            except ValueError as error:
                variable = f"{one.name}_FILE" if source.startswith("file") else one.name
                fault = Fault(variable, str(error), f"Give {one.kind.expects}")
        if fault is not None:
            faults.append(fault)
            wrong.add(name)
        shown = "(fault)" if fault else one.kind.show(given) if given is not None else one.default
        rows.append(Row(one.name, name, shown, source, one))
    faults += _unknown(environ)
    settings = dataclasses.replace(Settings(), **values)  # type: ignore[arg-type]  # parsed by the field's own kind
    faults += [fault for involved, fault in relations(settings) if not wrong & set(involved)]
    return Reading(None if faults else settings, tuple(rows), tuple(faults))


def env_example() -> str:
    """The text of deploy/paceline.env.example."""
    lines = [
        "# Paceline: every option with its default. Made by `python -m paceline.settings`; a test holds it to the code.",
        "# A line that is taken out of its comment sets the option. Secrets can come from a file: NAME_FILE=/path",
    ]
    for one in options().values():
        notes = [f"In {one.unit}." if one.unit else "", f"Zero: {one.zero}." if one.zero else ""]
        notes += [f"Empty: {one.empty}." if one.empty else "", f"Give {one.kind.expects}."]
        lines += ["", f"# {one.doc}", f"# {' '.join(note for note in notes if note)}", f"#{one.name}={one.default}"]
    return "\n".join(lines) + "\n"


def _given(one: Option, environ: Mapping[str, str]) -> tuple[str | None, str, Fault | None]:
    """The text for an option, where it comes from, and what is wrong with that."""
    value = environ.get(one.name, "").strip()
    file_name = f"{one.name}_FILE"
    path = environ.get(file_name, "").strip() if one.kind.secret else ""
    if not path:
        return (value, "environment", None) if value else (None, "default", None)
    source = f"file {path}"
    if value:
        return None, source, Fault(file_name, f"{one.name} is set as well", "Keep one of the two")
    try:
        content = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return None, source, Fault(file_name, f"{path} cannot be read: {why}", "Name a file this user may read")
    if not content:
        return None, source, Fault(file_name, f"{path} is empty", f"Put into it {one.kind.expects}")
    return content, source, None


def _unknown(environ: Mapping[str, str]) -> list[Fault]:
    known = [one.name for one in options().values()]
    known += [f"{one.name}_FILE" for one in options().values() if one.kind.secret]
    faults = []
    for name in sorted(set(environ) - set(known)):
        if not name.startswith(PREFIX):
            continue
        # What all names begin with would make any two of them look alike.
        names = {one.removeprefix(PREFIX): one for one in known}
        near = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
        cure = (
            f"Did you mean {names[near[0]]}?" if near else "Take it away; `paceline check` lists the options there are"
        )
        if name.removesuffix("_FILE") in known:
            cure = f"Only secrets are read from files: set {name.removesuffix('_FILE')} itself"
        faults.append(Fault(name, "there is no such option", cure))
    return faults


if __name__ == "__main__":
    sys.stdout.write(env_example())

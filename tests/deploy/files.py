"""The files of deploy/, read as their tools read them, and what the program knows that they must agree with."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from paceline.option import Option
from paceline.options import options
from paceline.serving import WITHOUT_DRAIN_S
from paceline.settings import Settings, load_settings
from tests.support.server import ROOT

DEPLOY: Final = ROOT / "deploy"
Yaml = dict[str, Any]
_FLAG: Final = re.compile(r"--([a-z-]+)=(\S+)\s+")

VARIABLES: Final[Mapping[str, Option]] = {one.name: one for one in options().values()}


def documents(path: Path) -> list[Yaml]:
    """Every YAML document of a file."""
    return [one for one in YAML(typ="safe", pure=True).load_all(path.read_text()) if one is not None]


def settings_of(environ: Mapping[str, str], secrets: Mapping[str, Path]) -> Settings:
    """The settings a container would run with. `secrets`: the files it would see, and where they are here. Raises SettingsError."""
    return load_settings({name: str(secrets.get(value, value)) for name, value in environ.items()})


def told_in_the_open(environ: Mapping[str, str]) -> set[str]:
    """Secrets whose value stands in the environment instead of in a file."""
    return {name for name in environ if name in VARIABLES and VARIABLES[name].kind.secret}


def longest_stop_s(settings: Settings) -> float:
    """How long a gateway may take from SIGTERM to its end, by its own limits."""
    return settings.drain_delay_s + settings.drain_s + WITHOUT_DRAIN_S


def seconds(text: str) -> float:
    """What "90s", "2m" or "1m30s" says."""
    total, number = 0.0, ""
    for letter in text:
        if letter.isdigit() or letter == ".":
            number += letter
        else:
            total += float(number) * {"s": 1, "m": 60, "h": 3600}[letter]
            number = ""
    return total


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: `COPY`, the words behind it (also those of a list in JSON), and its own flags
    (`--from=wheels`) apart."""

    name: str
    words: tuple[str, ...]
    flags: Mapping[str, str]


def dockerfile() -> list[list[Instruction]]:
    """The stages of deploy/Dockerfile, without what stands before the first."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    stages: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            stages.append([])
        if name and stages:
            stages[-1].append(_instruction(name, rest))
    return stages


def _instruction(name: str, rest: str) -> Instruction:
    flags = {}
    while flag := _FLAG.match(rest):
        flags[flag[1]] = flag[2]
        rest = rest[flag.end() :]
    rest = rest.removeprefix("CMD ") if name == "HEALTHCHECK" else rest
    words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    return Instruction(name, tuple(words), flags)

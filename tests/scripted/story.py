"""What happens in the class: drawn once, from a seed, before anything runs. Pure.

Seconds count from the creation of the class.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

NODES: Final = 3
"""Two from the beginning; the third comes when the second has died."""
MAX_HR: Final = (172, 181, 190, 198)


@dataclass(frozen=True)
class Rider:
    """One athlete: on the node number `home`, from `comes_s` on; without a network in the stretches `away`, without contact of the
    strap in `bare`, switched off in `off`; hidden from the room from `hides_s` on. The phone says `overlap` samples again when it
    is back."""

    name: str
    max_hr: int
    home: int
    comes_s: int
    leaves_s: int
    away: tuple[tuple[int, int], ...]
    bare: tuple[tuple[int, int], ...]
    off: tuple[tuple[int, int], ...]
    overlap: int
    level: float
    phase: float
    hides_s: int | None

    def bpm(self, second: int) -> int | None:
        """What the strap says at a second."""
        if _within(second, self.bare):
            return None
        warm = min((second - self.comes_s) / 300, 1.0)
        swing = 0.12 * math.sin(second / 47 + self.phase) + 0.03 * math.sin(second / 3 + self.phase)
        return round(self.max_hr * (0.45 + warm * (self.level - 0.45) + swing * warm))

    def measures(self, second: int) -> bool:
        """Whether there is a sample at a second."""
        return self.comes_s <= second < self.leaves_s and not _within(second, self.off)

    def reaches(self, second: int) -> bool:
        """Whether a node can be reached at a second."""
        return not _within(second, self.away) and not _within(second, self.off)


@dataclass(frozen=True)
class Story:
    """A class of `seconds`. The clock of the class starts at `starts_s` and stands still in the `pauses`; the second node dies at
    `dies_s`, the third is there from `third_s` on."""

    seconds: int
    riders: tuple[Rider, ...]
    starts_s: int
    pauses: tuple[tuple[int, int], ...]
    cues: tuple[int, ...]
    dies_s: int
    third_s: int
    seed: int


def story(riders: int, minutes: int, seed: int) -> Story:
    """Draw one."""
    chance = random.Random(seed)
    seconds = minutes * 60
    dies_s = round(seconds * 0.55)
    return Story(
        seconds=seconds,
        riders=tuple(_rider(chance, number, seconds) for number in range(riders)),
        starts_s=max(seconds // 40, 5),
        pauses=tuple((round(seconds * part), round(seconds * (part + 0.03))) for part in (0.3, 0.7)),
        cues=tuple(sorted(chance.sample(range(10, seconds - 10), minutes))),
        dies_s=dies_s,
        third_s=round(seconds * 0.65),
        seed=seed,
    )


def _rider(chance: random.Random, number: int, seconds: int) -> Rider:
    late = chance.random() < 0.15
    early = chance.random() < 0.05
    return Rider(
        name=f"Rider {number + 1}",
        max_hr=chance.choice(MAX_HR),
        home=number % 2,
        comes_s=chance.randint(seconds // 20, seconds // 3) if late else chance.randint(1, 5),
        leaves_s=chance.randint(seconds * 2 // 3, seconds - 10) if early else seconds,
        away=_stretches(chance, seconds, often=0.45, longest_s=min(120, seconds // 6)),
        bare=_stretches(chance, seconds, often=0.35, longest_s=min(40, seconds // 8)),
        off=_stretches(chance, seconds, often=0.3, longest_s=min(60, seconds // 10)),
        overlap=chance.randint(0, 5),
        level=chance.uniform(0.6, 0.9),
        phase=chance.uniform(0, 6),
        hides_s=seconds // 2 + number if number % 10 == 1 else None,
    )


def _within(second: int, stretches: tuple[tuple[int, int], ...]) -> bool:
    return any(begin <= second < end for begin, end in stretches)


def _stretches(chance: random.Random, seconds: int, *, often: float, longest_s: int) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    while chance.random() < often and len(found) < 3:
        begin = chance.randint(10, seconds - 20)
        found.append((begin, begin + chance.randint(3, longest_s)))
    return tuple(sorted(found))

"""Fair play, one stream at a time: could a heart have done this?

A score is worth what its samples are worth. `Scrutiny` goes over them as they come, in memory that does not grow, and ends in a
verdict: accepted, flagged (a person should look; the score stands meanwhile) or rejected (the score does not count; there is an
appeal). Each finding names its rule and the figure that it was measured by, so that whoever is flagged can be told why.

The rules stand in `RULES`, each with where its figure comes from. They are made so that bad sensors are flagged at most and only
what no heart and no sensor does is rejected. "Recordings" are the 25 real ones that the tests read: none of them may be
rejected, and none is even flagged.

Rejecting is not the same as proving a fraud, and accepting is not the opposite: who plays back somebody else's ride is honest by
every rule on this page. For that, see `plausibility_pairs.py`, which looks at two streams at once.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from services.training.physiology import Physiology
from services.training.sample import Sample, held_ms
from services.training.speed import Speed

Verdict = Literal["accepted", "flagged", "rejected"]
VERDICTS: Final[tuple[Verdict, ...]] = ("accepted", "flagged", "rejected")
"""From the mildest on."""

RuleName = Literal[
    "faster_than_hearts",
    "far_above_own_maximum",
    "jumps",
    "flat",
    "metronome",
    "beats_disagree",
    "faster_than_riders",
    "cadence_lock",
    "copied",
    "two_hearts",
    "two_places",
]


class Rule(msgspec.Struct, frozen=True):
    """One rule: what the figure counts (`unit`), from which figure on a stream is flagged and rejected (None: never by this rule
    alone), and where the figures come from."""

    unit: str
    flagged: float | None
    rejected: float | None
    source: str

    def verdict(self, figure: float) -> Verdict:
        """What a figure means."""
        if self.rejected is not None and figure >= self.rejected:
            return "rejected"
        return "flagged" if self.flagged is not None and figure >= self.flagged else "accepted"


RULES_VERSION: Final = 2
"""Goes up with any change of what is found or what it means: a verdict says by which rules it was found."""

RULES: Final[Mapping[RuleName, Rule]] = MappingProxyType(
    {
        "faster_than_hearts": Rule(
            "s held above 230 bpm",
            10,
            60,
            "the highest maximum that the formulas give is 208 (Tanaka 2001, age 0); 230 is two standard errors of 10.8 bpm "
            "(Nes 2013) above it. The times by feeling",
        ),
        "far_above_own_maximum": Rule(
            "s held more than 30 bpm above the own maximum",
            60,
            None,
            "three standard errors of 10 bpm of a maximum estimated by age (Tanaka 2001): it is wrong, or this is not their heart",
        ),
        "jumps": Rule(
            "% of steps of up to 2 s with more than 20 bpm between two readings, from 5 such steps on",
            3,
            15,
            "a heart follows a hard start with a time constant of 20 s and more, 6 bpm a second at most; recordings: no device's "
            "own rate steps more than 15, rates from single beats do so in up to 1.6 % of steps",
        ),
        "flat": Rule(
            "s at exactly the same rate",
            180,
            900,
            "recordings: 61 s at the longest, by sensors that smooth. By feeling three times and fifteen times as long",
        ),
        "metronome": Rule(
            "equal beat-to-beat intervals in a row",
            30,
            60,
            "recordings: 8 at the longest, in a hard effort at a resolution of 1/1024 s. A heart has variability at every rate",
        ),
        "beats_disagree": Rule(
            "% of readings whose intervals mean a rate more than 20 bpm away from the one beside them, from 60 such readings on",
            50,
            None,
            "a sensor computes its rate from these very intervals, smoothed; recordings: 8.7 % at the most",
        ),
        "faster_than_riders": Rule(
            "km/h on the mean of ten minutes, by the counter of metres",
            80,
            None,
            "one bound for all sports: 56.8 km in the hour is the record on an upright bicycle (Ganna 2022); recordings: 43 at the "
            "most, on a bicycle. By feeling, with room for a descent: beyond it is an engine",
        ),
        "cadence_lock": Rule(
            "s in which rate and steps per minute differ by 3 at most and move together (r of 0.9 and more)",
            60,
            None,
            "an optical sensor that counts steps; more than 60 s with high correlation",
        ),
        "copied": Rule(
            "% of seconds within 2 bpm of another account's stream, moved in time by up to a minute",
            80,
            None,
            "recordings: the same heart by two devices 94 % and 98 %; of the 229 other pairs none reaches 50 %",
        ),
        "two_hearts": Rule(
            "bpm between two streams of one account at the same time, in the median",
            20,
            None,
            "recordings: one heart by two devices 1 bpm. By feeling",
        ),
        "two_places": Rule(
            "km/h needed to be at both places",
            1_000,
            None,
            "an airliner",
        ),
    }
)

TOO_FAST_BPM: Final = 230
ABOVE_MAXIMUM_BPM: Final = 30
JUMP_BPM: Final = 20
JUMP_WITHIN_MS: Final = 2_000
JUMPS_AT_LEAST: Final = 5
DISAGREE_BPM: Final = 20
DISAGREEING_AT_LEAST: Final = 60
DOUBT_MS: Final = 10_000
"""How long a live stream is in doubt after something that no heart does."""


class Finding(msgspec.Struct, frozen=True):
    """What a rule found: its figure, in the unit of the rule, and what that means."""

    rule: RuleName
    verdict: Verdict
    figure: float


class Judgement(msgspec.Struct, frozen=True):
    """The verdict on a stream, and every finding that is not "accepted", the gravest first."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()


ACCEPTED: Final = Judgement("accepted")


def judgement(figures: Iterable[tuple[RuleName, float]]) -> Judgement:
    """The verdict that figures add up to: the gravest of them."""
    found = (Finding(name, RULES[name].verdict(figure), figure) for name, figure in figures)
    findings = sorted(
        (finding for finding in found if finding.verdict != "accepted"),
        key=lambda finding: (-VERDICTS.index(finding.verdict), finding.rule),
    )
    return Judgement(findings[0].verdict, tuple(findings)) if findings else ACCEPTED


def together(judgements: Iterable[Judgement]) -> Judgement:
    """Several judgements of one stream as one."""
    findings = sorted(
        (finding for one in judgements for finding in one.findings),
        key=lambda finding: (-VERDICTS.index(finding.verdict), finding.rule),
    )
    return Judgement(findings[0].verdict, tuple(findings)) if findings else ACCEPTED


class Scrutiny:
    """Goes over one stream, sample by sample in the order of their sequence numbers."""

    def __init__(self, physiology: Physiology) -> None:
        self._max_hr = physiology.max_hr
        self._last: Sample | None = None
        self._too_fast_ms = 0
        self._above_ms = 0
        self._steps = 0
        self._jumps = 0
        self._flat_ms = 0
        self._longest_flat_ms = 0
        self._interval = 0
        self._equal = 0
        self._most_equal = 0
        self._compared = 0
        self._disagreeing = 0
        self._doubt_until: int | None = None
        self._speed = Speed()

    def add(self, sample: Sample) -> None:
        """The next sample."""
        self._beats(sample)
        self._speed.add(sample)
        last, self._last = self._last, sample
        if last is None or last.bpm is None:
            return
        held = held_ms(last.t, sample.t)
        if last.bpm > TOO_FAST_BPM:
            self._too_fast_ms += held
        if last.bpm > self._max_hr + ABOVE_MAXIMUM_BPM:
            self._above_ms += held
        self._flat_ms = self._flat_ms + held if sample.bpm == last.bpm else 0
        self._longest_flat_ms = max(self._longest_flat_ms, self._flat_ms)
        if sample.bpm is not None and 0 < sample.t - last.t <= JUMP_WITHIN_MS:
            self._steps += 1
            if abs(sample.bpm - last.bpm) > JUMP_BPM:
                self._jumps += 1
                self._doubt_until = sample.t + DOUBT_MS

    def _beats(self, sample: Sample) -> None:
        for interval in sample.rr:
            self._equal = self._equal + 1 if interval == self._interval else 1
            self._interval = interval
            self._most_equal = max(self._most_equal, self._equal)
        if sample.rr and sample.bpm is not None:
            self._compared += 1
            self._disagreeing += abs(60_000 * len(sample.rr) / sum(sample.rr) - sample.bpm) > DISAGREE_BPM

    def plausible(self) -> bool:
        """Whether the readings of this moment can be believed: for the choice between sensors that are live at once."""
        last = self._last
        if last is None:
            return True
        flat = RULES["flat"].verdict(self._flat_ms / 1_000) != "accepted"
        in_doubt = self._doubt_until is not None and last.t < self._doubt_until
        too_fast = last.bpm is not None and last.bpm > TOO_FAST_BPM
        return not (flat or in_doubt or too_fast)

    def judgement(self) -> Judgement:
        """The verdict as far as the samples go; more may be added afterwards."""
        return judgement(
            (
                ("faster_than_hearts", self._too_fast_ms / 1_000),
                ("far_above_own_maximum", self._above_ms / 1_000),
                ("jumps", _percent(self._jumps, self._steps) if self._jumps >= JUMPS_AT_LEAST else 0),
                ("flat", self._longest_flat_ms / 1_000),
                ("metronome", self._most_equal),
                ("faster_than_riders", self._speed.most_kmh),
                (
                    "beats_disagree",
                    _percent(self._disagreeing, self._compared) if self._disagreeing >= DISAGREEING_AT_LEAST else 0,
                ),
            )
        )


def judge(samples: Iterable[Sample], physiology: Physiology) -> Judgement:
    """The verdict on a whole stream, from its samples in order."""
    scrutiny = Scrutiny(physiology)
    for sample in samples:
        scrutiny.add(sample)
    return scrutiny.judgement()


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0

"""What a workout asks of a body over time: a row of steps, each a demand from 0 (rest) to 1 (all one has).

Demand is a share of the heart-rate reserve, so one plan fits everybody in a class and asks the same of each.
After the last step the body rests, or the plan begins again.
"""

from typing import Final

import msgspec


class Step(msgspec.Struct, frozen=True):
    """`seconds` of demand going evenly from `begin` to `end`, shares of heart-rate reserve, 0 to 1."""

    seconds: float
    begin: float
    end: float


def steady(seconds: float, demand: float) -> Step:
    """The same demand throughout."""
    return Step(seconds, demand, demand)


class Plan:
    """Steps one after the other; `again` starts over at the end instead of resting."""

    def __init__(self, name: str, steps: tuple[Step, ...], *, again: bool = False) -> None:
        for number, step in enumerate(steps, 1):
            if not step.seconds > 0 or not 0 <= step.begin <= 1 or not 0 <= step.end <= 1:
                raise ValueError(
                    f"step {number} of {name}: needs a positive length and demands from 0 to 1, got {step}"
                )
        if not steps:
            raise ValueError(f"the plan {name} has no steps")
        self.name = name
        self.steps = steps
        self.again = again
        self.seconds: Final = sum(step.seconds for step in steps)

    def demand_at(self, t_s: float) -> float:
        """The demand `t_s` seconds after the start, 0 to 1."""
        if self.again:
            t_s %= self.seconds
        for step in self.steps:
            if t_s < step.seconds:
                return step.begin + (step.end - step.begin) * max(t_s, 0.0) / step.seconds
            t_s -= step.seconds
        return 0.0


def easy_ride(minutes: float = 30) -> Plan:
    """Warm up, roll along, cool down."""
    return Plan("easy ride", (Step(180, 0.2, 0.5), steady(minutes * 60, 0.5), Step(180, 0.5, 0.15)))


def intervals(repeats: int = 6, hard_s: float = 60, easy_s: float = 60) -> Plan:
    """Warm up, then hard and easy in turn, then cool down."""
    body = (steady(hard_s, 0.92), steady(easy_s, 0.4)) * repeats
    return Plan("intervals", (Step(300, 0.25, 0.6), steady(60, 0.35), *body, Step(240, 0.4, 0.1)))


def ramp_test(stages: int = 12, stage_s: float = 60) -> Plan:
    """Ever harder in even stages until nothing is left, then standing still for three minutes."""
    climb = tuple(steady(stage_s, 0.25 + 0.75 * stage / stages) for stage in range(1, stages + 1))
    return Plan("ramp test", (steady(120, 0.2), *climb, steady(180, 0.0)))


def class_script(*, again: bool = False) -> Plan:
    """A class of 36 minutes that everybody does together: warm-up, climbs, sprints, cool-down."""
    climb = (Step(180, 0.5, 0.85), steady(60, 0.45))
    sprint = (steady(30, 0.97), steady(45, 0.4))
    return Plan(
        "class",
        (
            steady(60, 0.05),
            Step(300, 0.2, 0.55),
            *climb * 3,
            steady(120, 0.5),
            *sprint * 6,
            Step(300, 0.6, 0.8),
            Step(210, 0.8, 0.15),
        ),
        again=again,
    )

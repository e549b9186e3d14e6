"""A simulated athlete with a strap: the one heart-rate model of the demo class, the load tests and the tests.

A heart follows what is asked of it with a delay, faster up than down. That is first-order kinetics toward a
target,

    d(hr)/dt = (target - hr) / tau,   tau_on about 30 s, tau_off about 60 s
    target   = rest + (max - rest) * (demand * response + drift)

(faster on than off is what is reported for heart rate at the onset and the end of exercise; the constants of a
person are drawn, not fitted). Drift is the slow rise of heart rate at the same work, up to 6 % of the reserve
after an hour of it, and goes away at rest. Beats come from the rate with the swing of breathing on top, wide at
rest and almost gone near the maximum. The strap rounds, and now and then loses contact: then there is no number
at all, as a strap reports it. A strap that freezes on its last number is not simulated.

Everything follows from the seed: the same athlete tells the same story in every run, and may be asked for any
instant, forward at little cost, backward by beginning again.
"""

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from loadtest.plan import Plan
from services.training.sample import Sample

STEP_MS: Final = 1_000
"""The model moves in seconds; a strap reports once a second."""
DRIFT_LIMIT: Final = 0.06
DRIFT_TAU_S: Final = 1_800.0
REST_TAU_S: Final = 600.0


class Strap(msgspec.Struct, frozen=True):
    """How the sensor behaves.

    Contact is lost `losses_per_hour` times (on average) for 3 s up to `longest_loss_s`; `rr`: beats are reported too.
    """

    losses_per_hour: float = 2.0
    longest_loss_s: int = 20
    rr: bool = True


class Body(NamedTuple):
    """The constants of one person, drawn from the seed: seconds, shares."""

    tau_on_s: float
    tau_off_s: float
    response: float
    breaths_hz: float


class _State:
    """Where the model stands at the end of second `second`."""

    __slots__ = ("beat_age_ms", "drift", "hr", "lost_s", "rng", "second")

    def __init__(self, rng: random.Random, hr: float) -> None:
        self.rng = rng
        self.second = 0
        self.hr = hr
        self.drift = 0.0
        self.lost_s = 0  # seconds without contact still to come
        self.beat_age_ms = 0.0  # how long ago the last beat was


class Athlete:
    """One person with one strap. `max_hr` and `rest_hr` in bpm."""

    def __init__(
        self, seed: int, name: str, max_hr: int, rest_hr: int, plan: Plan, *, strap: Strap | None = None
    ) -> None:
        if not 25 <= rest_hr < max_hr <= 250:
            raise ValueError(
                f"{name}: rest {rest_hr} and maximum {max_hr} bpm must satisfy 25 <= rest < maximum <= 250"
            )
        self.seed = seed
        self.name = name
        self.max_hr = max_hr
        self.rest_hr = rest_hr
        self.plan = plan
        self.strap = strap or Strap()
        rng = random.Random(seed)  # noqa: S311 - a model, no secret
        self.body = Body(rng.uniform(22, 42), rng.uniform(45, 85), rng.uniform(0.9, 1.06), rng.uniform(0.2, 0.3))
        self._state, self._sample = self._beginning()

    def _beginning(self) -> tuple[_State, Sample]:
        rng = random.Random(self.seed * 2 + 1)  # noqa: S311
        state = _State(rng, self.rest_hr + rng.uniform(2, 10))
        return state, Sample(t=0, bpm=self._shown(state.hr))

    def sample_at(self, t_ms: int) -> Sample:
        """What the strap reports at `t_ms`: the reading of the last full second, with the beats since the one before.

        Ask once a second at most: within the same second the same beats are told again. Raises ValueError before 0.
        """
        if t_ms < 0:
            raise ValueError(f"t_ms {t_ms} is before the start")
        second = t_ms // STEP_MS
        if second < self._state.second:
            self._state, self._sample = self._beginning()
        while self._state.second < second:
            self._sample = self._next(self._state)
        return Sample(t=t_ms, bpm=self._sample.bpm, rr=self._sample.rr)

    def samples(self, seconds: int | None = None) -> Iterator[Sample]:
        """One sample a second from 0; for `seconds`, else until the plan is over (for ever when it begins again)."""
        state, sample = self._beginning()
        last = seconds if seconds is not None else None if self.plan.again else math.ceil(self.plan.seconds)
        yield sample
        while last is None or state.second < last:
            yield self._next(state)

    def _next(self, state: _State) -> Sample:
        """One second on."""
        state.second += 1
        self._move_heart(state)
        rr = self._beats(state)
        lost = self._without_contact(state)
        return Sample(
            t=state.second * STEP_MS,
            bpm=None if lost else self._shown(state.hr + state.rng.gauss(0, 0.4)),
            rr=rr if self.strap.rr and not lost else (),
        )

    def _move_heart(self, state: _State) -> None:
        demand = self.plan.demand_at(state.second)
        drift_to, drift_tau = (DRIFT_LIMIT * demand, DRIFT_TAU_S) if demand > 0.3 else (0.0, REST_TAU_S)
        state.drift += (drift_to - state.drift) * -math.expm1(-1 / drift_tau)
        effort = min(demand * self.body.response + state.drift, 1.0)
        target = self.rest_hr + (self.max_hr - self.rest_hr) * effort
        tau = self.body.tau_on_s if target > state.hr else self.body.tau_off_s
        state.hr += (target - state.hr) * -math.expm1(-1 / tau)

    def _beats(self, state: _State) -> tuple[int, ...]:
        """The intervals in ms that ended in this second."""
        reserve = (state.hr - self.rest_hr) / (self.max_hr - self.rest_hr)
        swing = 0.06 * max(1 - reserve, 0.05)
        ended: list[int] = []
        state.beat_age_ms += STEP_MS
        while True:
            phase = 2 * math.pi * self.body.breaths_hz * (state.second - state.beat_age_ms / 1000)
            interval = 60_000 / state.hr * (1 + swing * math.sin(phase) + state.rng.gauss(0, swing / 6))
            if state.beat_age_ms < interval:
                return tuple(ended)
            state.beat_age_ms -= interval
            ended.append(round(interval))

    def _without_contact(self, state: _State) -> bool:
        chance = state.rng.random()
        if state.lost_s > 0:
            state.lost_s -= 1
        elif chance < self.strap.losses_per_hour / 3600:
            state.lost_s = state.rng.randint(3, max(self.strap.longest_loss_s, 3))
        return state.lost_s > 0

    def _shown(self, hr: float) -> int:
        return max(25, min(round(hr), self.max_hr))


# fmt: off - a list of names reads better in rows
FIRST_NAMES: Final = (
    "Ada",
    "Ben",
    "Chloé",
    "Dario",
    "Emre",
    "Fatou",
    "Greta",
    "Hugo",
    "Inés",
    "Jonas",
    "Kaya",
    "Lea",
    "Mats",
    "Nadia",
    "Oskar",
    "Priya",
    "Quinn",
    "Rosa",
    "Sami",
    "Tove",
    "Uma",
    "Viktor",
    "Wanda",
    "Xavi",
    "Yuki",
    "Zoë",
)
# fmt: on


def crowd(count: int, plan: Plan, *, seed: int = 1, strap: Strap | None = None) -> list[Athlete]:
    """`count` different people doing the same plan, the same ones for the same seed."""
    people = []
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311 - a model, no secret
        first = FIRST_NAMES[number % len(FIRST_NAMES)]
        name = first if number < len(FIRST_NAMES) else f"{first} {number // len(FIRST_NAMES) + 1}"
        people.append(
            Athlete(
                rng.getrandbits(48),
                name,
                max_hr=rng.randint(172, 202),
                rest_hr=rng.randint(46, 70),
                plan=plan,
                strap=strap,
            )
        )
    return people

"""What a decision of policy costs: `python -m tests.benchmarks.policy`. A second, in this process alone.

Each case is decided again and again; what is told is the best of some rounds, in µs, because whatever else runs only makes it
slower. Promised is less than 2 µs.
"""

import timeit
import uuid
from typing import Final

from services.access import permission as may
from services.access.decision import Thing
from services.access.permission import Permission
from services.access.policy import NOTHING, decide
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, ClassId, LoginId

ROUNDS: Final = 7
DECISIONS: Final = 50_000

_ME: Final = AccountId(uuid.UUID(int=1))
_HILLS: Final = ClassId(uuid.UUID(int=2))
_COACH: Final = Caller(_ME, LoginId(uuid.UUID(int=3)), "Mira", frozenset({"member", "coach"}), 2**53)
CASES: Final[dict[str, tuple[Permission, Thing, bool]]] = {
    "an account does what every account may": (may.TALK, NOTHING, True),
    "somebody reads what is theirs": (may.READ_WORKOUTS, Thing(owner_id=_ME), True),
    "a coach controls a class": (may.CONTROL_CLASS, Thing(class_id=_HILLS, place="coach"), True),
    "a coach sees a heart rate": (
        may.SEE_HEART_RATE,
        Thing(class_id=_HILLS, place="coach", consent=True, plan=True),
        True,
    ),
    "a coach does not, without consent": (may.SEE_HEART_RATE, Thing(class_id=_HILLS, place="coach", plan=True), False),
    "a stranger controls no class": (may.CONTROL_CLASS, Thing(class_id=_HILLS), False),
}
"""What is decided, and whether it is allowed."""


def measure(decisions: int = DECISIONS, rounds: int = ROUNDS) -> dict[str, float]:
    """µs of one decision, by case. Raises `AssertionError` when one is decided otherwise."""
    found = {}
    for name, (permission, thing, allowed) in CASES.items():
        assert decide(_COACH, permission, thing).allowed is allowed, name
        timer = timeit.Timer(
            "decide(caller, permission, thing)",
            globals={"decide": decide, "caller": _COACH, "permission": permission, "thing": thing},
        )
        found[name] = min(timer.repeat(rounds, decisions)) / decisions * 1e6
    return found


def main() -> None:
    """Measure and say it."""
    for name, micros in measure().items():
        print(f"{name:<42} {micros:6.3f} µs  {1e6 / micros:>12,.0f} a second")


if __name__ == "__main__":
    main()

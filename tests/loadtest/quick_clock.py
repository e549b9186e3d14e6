"""A clock on which waiting takes no time: it jumps by what was slept, and remembers it."""

import asyncio


class QuickClock:
    """Both hands move only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def wall_ms(self) -> int:
        return 1_790_000_000_000 + round(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

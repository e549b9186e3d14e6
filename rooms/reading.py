"""How old a heart rate is, and what a board may therefore say.

A sample carries the device's own time, a device's clock is never right, and samples come late in bulk after a lost
connection. `DeviceClock` keeps the smallest difference ever seen between arrival and device time; that is the moment the
network was quickest, so a sample's true instant is its device time plus that difference. A sample that comes with the
backlog of a dead zone is then as old as it is, and the board says `stale` or `lost` instead of showing it as now.
"""

from typing import Final

from realtime.wire import Freshness

STALE_AFTER_MS: Final = 3_000
LOST_AFTER_MS: Final = 10_000


def freshness_of(age_ms: int | None) -> Freshness:
    """Live below 3 s, stale below 10 s, then lost; `none` when there never was a heart rate (age None)."""
    if age_ms is None:
        return "none"
    if age_ms < STALE_AFTER_MS:
        return "live"
    return "stale" if age_ms < LOST_AFTER_MS else "lost"


class DeviceClock:
    """Maps a stream's device time to the server's wall clock. `offset_ms` is None before the first sample."""

    __slots__ = ("_last_t", "offset_ms")

    def __init__(self, offset_ms: int | None = None) -> None:
        self.offset_ms = offset_ms
        self._last_t: int | None = None

    def read(self, t: int, received_ms: int) -> int:
        """The wall instant (ms since 1970) at which the sample of device time `t` was made, never after `received_ms`."""
        difference = received_ms - t
        stepped_back = self._last_t is not None and t < self._last_t
        if self.offset_ms is None or difference < self.offset_ms or stepped_back:
            self.offset_ms = difference
        self._last_t = t
        return min(t + self.offset_ms, received_ms)

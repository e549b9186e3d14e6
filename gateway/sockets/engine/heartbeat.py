"""The clockwork of a session: pings, and every other deadline.

All deadlines of a session together are one entry in the engine's timer wheel. When it comes due, `check` looks at
each of them once and says when to look again. So an open session costs two visits per ping interval, and nothing in
between; a pong that comes in does not touch the wheel. All times are monotonic: a corrected wall clock drops nobody.

The server pings, the client answers (Engine.IO 4). Only the answer counts: a client that talks on without ever
answering a ping does not read what it is sent.
"""

import math
from typing import TYPE_CHECKING, Final

from gateway.sockets.engine.frames import TEXT, server_frame
from realtime.disconnect import NOT_AUTHENTICATED, SILENT, SLOW_READER

if TYPE_CHECKING:
    from gateway.sockets.engine.session import Session

GRACE_S: Final = 2.0
"""How long a line may take to close once it was asked to; then it is cut. A poller's last requests, already under way
when it is told goodbye, are still answered so long: a refused one would make it forget the goodbye."""
POLL_GRACE_S: Final = 5.0
"""How long a poller may take to come for its goodbye. Between two polls it is only a slow round trip away."""
STALL_S: Final = 10.0
"""A line on which something has waited this long without moving a byte is cut."""
UPGRADE_S: Final = 10.0
"""How long a WebSocket may probe before it takes over or is closed."""
LOOK_S: Final = 1.0
"""How often a line that is blocked, or a poll that is pending, is looked at."""

_ROUNDING_S: Final = 0.001
"""Sums of floats are not exact, and clients count in milliseconds."""
_PING: Final = server_frame(TEXT, b"2")


def check(session: "Session", now: float) -> None:
    """Look at every deadline once; ask to be called again."""
    due = _check_open(session, now) if session.ended_at is None else _check_ended(session, now, session.ended_at)
    if due is not None:
        session.look_at(due)


def check_answer(session: "Session", now: float) -> None:
    """Only the answer to the last ping: asked when a poller comes, who should not be let in a moment too late."""
    if session.ended_at is None and now + _ROUNDING_S >= session.answer_due:
        session.end(SILENT)


def answered(session: "Session") -> None:
    """The last ping was answered."""
    now = session.engine.clock.monotonic()
    if session.pinged_at is not None:
        session.rtt_s = now - session.pinged_at
        session.engine.note_rtt(session.rtt_s)
    session.pinged_at = None
    session.answer_due = math.inf
    session.ping_due = now + session.engine.ping_interval_s
    session.look_at(session.ping_due)


def _check_ended(session: "Session", now: float, ended_at: float) -> float | None:
    if session.line is not None:
        if now < ended_at + GRACE_S:
            return ended_at + GRACE_S
        session.engine.cut["grace"] += 1
        session.abort()
    elif not session.closed:
        until = ended_at + (GRACE_S if session.goodbye_taken else POLL_GRACE_S)
        if now < until:
            return until
        session.close("transport")
    return None


def _check_open(session: "Session", now: float) -> float | None:
    """When to look again; None when the session has ended."""
    due = math.inf
    if session.blocked_since is not None:
        if _stalled(session, now, session.blocked_since):
            session.end(SLOW_READER)
            session.engine.cut["stalled"] += 1
            session.abort()
            return None
        due = now + LOOK_S
    if session.waiting_since is not None:
        late_at = session.waiting_since + session.engine.auth_deadline_s
        if now >= late_at:
            session.end(NOT_AUTHENTICATED)
            return None
        due = min(due, late_at)
    if session.probe is not None:
        if now >= session.probing_since + UPGRADE_S:
            session.probe.abort()
        due = min(due, session.probing_since + UPGRADE_S)
    if session.poll is not None:
        if session.poll.given_up:
            session.close("transport")
            return None
        due = min(due, now + LOOK_S)
    if (ping := _beat(session, now)) is None:
        return None
    return min(due, ping)


def _stalled(session: "Session", now: float, blocked_since: float) -> bool:
    unwritten = session.unwritten
    if unwritten != session.mark:
        session.mark, session.blocked_since = unwritten, now
        return False
    return now - blocked_since >= STALL_S


def _beat(session: "Session", now: float) -> float | None:
    """Ping when it is time; give the peer up when it has not answered."""
    engine = session.engine
    if session.pinged_at is not None:
        if now < session.answer_due:
            return session.answer_due
        if session.line is None or not session.line.reading_paused:
            session.end(SILENT)
            return None
        # It is we who do not read: the answer may stand in the kernel.
        session.answer_due = now + engine.ping_timeout_s
        return session.answer_due
    if now < session.ping_due:
        return session.ping_due
    # The wheel is a tick late at most, which the peer is not given on top. More than that is our fault, and it is.
    session.answer_due = max(session.ping_due, now - 2 * engine.tick_s) + engine.ping_timeout_s
    session.pinged_at = now
    engine.pings += 1
    if session.line is not None and not session.line.blocked and not session.line.closing:
        session.line.write(_PING)
    else:
        session.put(TEXT, b"2", first=True)
    return session.answer_due

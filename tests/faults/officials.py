"""A few members with the official JavaScript client: what they see goes into the same history, and the same checkers judge it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from services.classes.live_class import LiveClass
from tests.faults.balancer import NotOnThisMachine
from tests.faults.history import Framed, Heard, Joined, Lost
from tests.faults.people import Person
from tests.faults.swarm import Swarm
from tests.support.keeper import keep
from tests.support.system_parts import JS, node, socketio_client

PROGRAM: Final = JS / "fault_members.mjs"
FRESH_S: Final = 2.0
"""Devices send twice a second, so a board changes more often than this."""


class Officials:
    """The running members. Made by `open_officials`."""

    def __init__(self, swarm: Swarm, room: LiveClass, count: int) -> None:
        self.count: Final = count
        self._swarm: Final = swarm
        self._room: Final = room
        self._inside: set[str] = set()
        self._known: set[str] = set()
        self._framed: dict[str, float] = {}

    def settled(self) -> bool:
        """Whether all are in the room and get its board."""
        now = time.monotonic()
        fresh = [who for who, at in self._framed.items() if who in self._inside and now - at < FRESH_S]
        return len(fresh) == self.count

    async def read(self, lines: asyncio.StreamReader) -> None:
        """Note what they tell, until they are gone."""
        while line := await lines.readline():
            self._note(json.loads(line))

    def _note(self, told: dict[str, Any]) -> None:
        history, who = self._swarm.history, told["who"]
        match told["what"]:
            case "joined":
                how: Any = told["how"] if who in self._known else "first"
                self._known.add(who)
                self._inside.add(who)
                room, position = self._room.code, told["position"]
                history.note(Joined(t=history.now(), who=who, room=room, how=how, position=position))
            case "lost":
                self._inside.discard(who)
                history.note(Lost(t=history.now(), who=who))
            case "frame":
                self._framed[who] = time.monotonic()
                room, epoch, v = self._swarm.code_of(told["class_id"]), told["epoch"], told["v"]
                history.note(Framed(t=history.now(), who=who, room=room, epoch=epoch, v=v, snapshot=told["snapshot"]))
            case "cue":
                room, value = self._swarm.code_of(told["class_id"]), told["value"]
                history.note(Heard(t=history.now(), who=who, room=room, value=value, position=told["position"]))
            case _:
                self._swarm.refusals.append(told["code"])


@asynccontextmanager
async def open_officials(swarm: Swarm, room: LiveClass, people: Sequence[Person], url: str) -> AsyncIterator[Officials]:
    """So many official clients in a room, reached at `url`. Before they leave everybody falls silent: what is said to somebody who
    has just left is a message that never came. Raises NotOnThisMachine."""
    program = node()
    if program is None or socketio_client() is None:
        raise NotOnThisMachine("Node.js or the official client is missing: python -m tests.support.system_parts")
    process = await asyncio.create_subprocess_exec(
        str(program), str(PROGRAM), cwd=JS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    keep(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    officials = Officials(swarm, room, len(people))
    reading = asyncio.create_task(officials.read(process.stdout), name="what official clients tell")
    try:
        members = [{"who": f"official-{n}", "token": person.token} for n, person in enumerate(people)]
        process.stdin.write(json.dumps({"url": url, "code": room.code, "members": members}).encode() + b"\n")
        await process.stdin.drain()
        yield officials
        await swarm.hush()
    finally:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading

"""The scenarios: how much load of which kind, and what is counted."""

from dataclasses import dataclass, replace
from typing import Final, Literal

Load = Literal["spaced", "busy", "ingest", "board", "connect", "idle"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`load` is the word of the load generator, and says what kind of work the peer does; `rounds` how often all peers take
    their turn; `servers` how many processes of a peer there are: two nodes behind one load, or one load each; `half_s` how long
    spaced events then come at half of the rate that was kept, to time the way to the other node."""

    name: str
    title: str
    load: Load
    rooms: int
    size: int
    seconds: float
    rounds: int
    what: str
    window: int = 2
    ping_s: float = 25.0
    warm_s: float = 0.5
    half_s: float = 0.0
    servers: int = 1
    redis: bool = False

    @property
    def connections(self) -> int:
        """Of one load."""
        return self.rooms * self.size

    def quick(self) -> "Scenario":
        """The same, small: it shows that the measuring works."""
        short = replace(self, seconds=min(self.seconds, 1.0), rounds=1, warm_s=0.3, half_s=min(self.half_s, 1.0))
        if self.load == "idle":
            return replace(short, size=500, seconds=2.0, ping_s=1.0)
        if self.load == "connect":
            return replace(short, size=550)
        if self.load == "board":
            return replace(short, seconds=3.0)
        return short


def _spaced(size: int) -> Scenario:
    rooms = max(1, 500 // size)
    return Scenario(
        name=f"spaced-{size}",
        title=f"fan-out, spaced events, rooms of {size:,}",
        load="spaced",
        rooms=rooms,
        size=size,
        seconds=2.0,
        # The load's core is full at the top of the first two ladders: a round alone says little there.
        rounds=5 if size <= 100 else 3,
        what=f"{rooms} room{'s' if rooms > 1 else ''} of {size:,}; events come evenly spaced, so that nothing can be merged, at "
        "the highest rate of a ladder that the peer keeps",
    )


SCENARIOS: Final = (
    *(_spaced(size) for size in (50, 100, 500, 1000)),
    Scenario(
        name="busy",
        title="fan-out, busy rooms",
        load="busy",
        rooms=5,
        size=100,
        seconds=2.5,
        rounds=5,
        what="5 rooms of 100, two events under way in each at any time: what one turn of a loop produces can be merged",
    ),
    Scenario(
        name="ingest",
        title="inbound sample event with validation and acknowledgement",
        load="ingest",
        rooms=1,
        size=100,
        seconds=2.5,
        rounds=5,
        what="100 connections, each with two events under way; every event is checked and acknowledged",
    ),
    Scenario(
        name="board",
        title="class board, 250 ms beat",
        load="board",
        rooms=20,
        size=30,
        seconds=5.0,
        rounds=3,
        what="20 rooms of 30, everybody sends once a second and everybody sees all: 18,000 samples a second to deliver, the same "
        "load for all. Paceline, the merging floor and the tuned peers send boards on a beat of 250 ms, the others each sample",
    ),
    Scenario(
        name="connect",
        title="connecting, with token check",
        load="connect",
        rooms=1,
        size=2_050,
        seconds=0.0,
        rounds=5,
        what="2,000 connections, 64 at a time: WebSocket, Engine.IO, Socket.IO CONNECT, each with a signed token of its own "
        "(the C floor and the bare WebSocket peers check none)",
    ),
    Scenario(
        name="idle",
        title="idle, 10,000 connections",
        load="idle",
        rooms=1,
        size=10_050,
        seconds=10.0,
        rounds=2,
        ping_s=5.0,
        what="10,000 authenticated connections that only answer pings, one every 5 s each",
    ),
    Scenario(
        name="idle-50k",
        title="idle, 50,000 connections",
        load="idle",
        rooms=1,
        size=16_717,
        seconds=10.0,
        rounds=1,
        ping_s=10.0,
        servers=3,
        what="50,000 authenticated connections, pinged every 10 s, on three processes of each peer that share one core: a process "
        "may have 20,000 descriptors on this machine",
    ),
    Scenario(
        name="redis",
        title="two nodes and Redis, spaced events",
        load="spaced",
        rooms=2,
        size=100,
        seconds=2.0,
        rounds=3,
        half_s=5.0,
        servers=2,
        redis=True,
        what="2 rooms of 100, half of each on either node, publishers on the first; both nodes and Redis share the server's core",
    ),
    Scenario(
        name="redis-busy",
        title="two nodes and Redis, busy rooms",
        load="busy",
        rooms=2,
        size=100,
        seconds=2.5,
        rounds=3,
        servers=2,
        redis=True,
        what="the same with two events under way in each room",
    ),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}

"""The phone of one athlete: makes a sample a second, keeps what was not acknowledged, comes back wherever a node answers."""

from dataclasses import dataclass, field
from typing import Final

from realtime.connection import Connection
from realtime.wire import RoomJoin, SampleBatch, SamplesStored, StreamFinish, StreamOpen
from services.kernel.caller import Caller
from services.kernel.ids import StreamId
from services.kernel.problems import Problem
from services.training.sample import Sample
from tests.scripted.site import SiteNode, read
from tests.scripted.story import Rider

MOST: Final = 500
"""Samples of one batch."""


@dataclass
class Phone:
    """`made` are all samples so far, `sent` how many of them this connection has said, `acked` how many are acknowledged. `refused`
    are codes of problems it met, `comings` how often it has come in; `team` what it names when it does."""

    rider: Rider
    caller: Caller
    stream: StreamId
    code: str
    team: str | None = None
    n: int = 0
    made: list[Sample] = field(default_factory=list)
    sent: int = 0
    acked: int = 0
    comings: int = 0
    refused: list[str] = field(default_factory=list)
    cues: set[str] = field(default_factory=set)
    finished: bool = False
    node: SiteNode | None = None
    connection: Connection | None = None

    # -- the answer of a node to samples: what `rooms.streams.Reply` wants

    def ok(self, shape: SamplesStored) -> None:
        self.acked = max(self.acked, shape.next_seq)

    def problem(self, problem: Problem) -> None:
        self.refused.append(problem.code)

    # -- what a phone does

    def measure(self, second: int) -> None:
        """The strap says something: some ms early, because no strap knows the second."""
        t = max((second - self.rider.comes_s) * 1_000 + 500 - (second * 37 + self.rider.home) % 120, 0)
        self.made.append(Sample(t, self.rider.bpm(second)))

    async def come_in(self, node: SiteNode) -> None:
        """Join on a node and take up the stream there; what was acknowledged a moment ago is said once more, as phones do."""
        connection = node.connect(self.caller)
        joined = await node.rooms.join(connection, RoomJoin(code=self.code, team=self.team))
        self.n = 0 if joined.you is None else joined.you.n
        opened = await node.streams.open(connection, StreamOpen(self.stream, 0, self.code))
        self.node, self.connection = node, connection
        self.acked = max(self.acked, opened.next_seq)
        self.sent = max(opened.next_seq - self.rider.overlap, 0)
        self.comings += 1

    def speak(self) -> None:
        """Say what has not been said on this connection."""
        if self.connection is None or self.node is None:
            return
        while self.sent < len(self.made):
            samples = tuple(self.made[self.sent : self.sent + MOST])
            self.node.streams.accept(self.connection, SampleBatch(self.stream, self.sent, samples), self)
            self.sent += len(samples)

    def listen(self) -> None:
        """Read what came."""
        if self.connection is not None:
            self.cues.update(payload["text"] for name, payload in read(self.connection) if name == "cue")

    def lose(self) -> None:
        """The network is gone."""
        if self.connection is not None and self.node is not None:
            self.node.cut(self.connection)
        self.forget()

    def forget(self) -> None:
        """The node is gone."""
        self.node = self.connection = None

    async def finish(self) -> None:
        """End the stream."""
        if self.connection is not None and self.node is not None:
            await self.node.streams.finish(self.connection, StreamFinish(self.stream, len(self.made)))
            self.finished = True

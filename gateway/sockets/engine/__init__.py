"""The socket engine: an Engine.IO v4 server that costs about what the kernel costs.

Thousands of watches and phones hold a connection open for an hour. Most of that time most of them do nothing; once a
second each sends a sample; some times a second a room says the same to everybody in it. So three things decide what a
gateway can hold: what a connection costs that does nothing, what it costs to take in one small message, and what it
costs to hand the same bytes to one more member. A server that is put together from general parts pays for each with
tasks, queues, timers and copies. This one is built around the three.

*A connection that does nothing is a few small objects.* aiohttp reads the request of the handshake; then its transport
is taken over (takeover.py) and everything aiohttp made for the request is let go. What stays is a line (websocket.py),
a link (link.py) and, once there is a token, a `realtime.connection.Connection`; no task, no queue, no timer, no
buffer. All deadlines of a link are one entry in the timer wheel of the engine (wheel.py, heartbeat.py), and what is
rarely needed is made when it is.

*A message that comes in is handled in the call that read it.* The transport hands bytes to the line, and the line
unmasks the one frame that nearly always is exactly what was read. It hands it to the live namespace
(gateway/sockets/server.py), which knows an event of its own by one match and gives what is left to a decoder that knows
the shapes of the wire catalogue; everything else goes by the link, which looks at one digit. The handler runs there and
then. Nothing is awaited, so the order in which things happen can be read off the code; and a handler that really has to
wait becomes a task for so long, with what comes in meanwhile held back behind it (order.py), bounded, so that a client
that sends faster than it is answered is slowed down by TCP and nobody else is. The time is taken once per read and
handed on, the limits of connection and account are one call, and an acknowledgement is put together from pieces that
are ready, around the number in the very digits in which it came: nine calls and 4 µs of Python from the read to the
acknowledgement in the transport, or half of that where these modules are compiled (docs/decisions/0019), on the machine of
docs/performance/sockets.md (`python -m tests.benchmarks.sockets.path`).

*What goes out is made once and written once.* A frame is the finished bytes of a WebSocket frame, header included, the
same object for everybody (realtime/frame.py). While a line is clear, the hub adds them to what this turn of the loop
says to the connection, and the end of the turn writes each connection's bytes with one call (realtime/hub.py,
realtime/turn.py): a `send` is the dearest thing a gateway does, four microseconds of kernel, and merging is the only
way below it. What is left to be written to twenty-four connections or more is written by one system call for all of
them, where the kernel has that (ring.py); and a room of so many, while nothing else is said to any of it, is told as one,
without a step for each (`realtime.turn.Group`). Acknowledgements and events wait for the end of the turn, a few hundred
microseconds at most; boards may wait four milliseconds for company.

*A peer that does not read costs a bounded number of bytes and nobody else anything.* The kernel is told to hold little
that is unsent. What it refuses stays in the transport, which says so; from then on the line is not clear, and the
connection's mailbox decides what is kept (realtime/mailbox.py): of boards the newest, of what must arrive everything up
to a bound, of the rest nothing. A line that moves no byte for ten seconds is cut, not closed: a close frame would wait
behind what the peer does not read.

*What is not the protocol ends the line at once.* Frames are read to the letter of RFC 6455 (frames.py), packets to that
of Engine.IO (packets.py) and Socket.IO (gateway/sockets/semantics.py); a fault is found at the first byte that shows it
and answered with a code that tells the client whether to come back (realtime/disconnect.py). Nothing is negotiated that
nobody asked for: no compression unless it is switched on, and then without a window that would have to be remembered.

*Who is one too many is told so before anything is made for him.* One decision (admission.py) stands behind every way
in, and the door says no by itself. A node that stops says goodbye to a few at a time and gives each an instant to come
back at (drain.py).

*A link can be found by its id.* The id begins with a tag of its process and a dot; behind it is what cannot be guessed.
Every request of a poller after the first carries the id in its query, so a balancer that knows the tags needs no cookie to
bring a poller to its process. Two processes on one port cannot be told apart in that way: there, WebSockets only.

Where to find what:

    the table of links, bounds, the loop          server.py        handshakes, polls, posts over HTTP  entrance.py
    plain WebSocket handshakes                    door.py          the answer to one                   opening.py
    taking the transport from aiohttp             takeover.py      long-polling                        polling.py
    bytes of a WebSocket                          websocket.py     framing rules                       frames.py
    who is there, what stands in line, endings    link.py          packets and payloads                packets.py
    pings and every other deadline                heartbeat.py     the wheel they hang on              wheel.py
    order of what comes in                        order.py         mailbox, fan-out                    realtime/mailbox.py, hub.py
    who may come in                               admission.py     emptying a node                     drain.py
    many lines in one system call                 ring.py

Which promise rests on which test: tests/conformance/ (the protocols), tests/torture/ (bad peers),
tests/gateway/sockets/ (lines and events), tests/contracts/test_socket_engine.py and test_socketio_hooks.py (what leans
on other libraries' insides).
"""

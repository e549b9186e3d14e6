"""RFC 6455 as the reader keeps it, in the groups of the Autobahn suite, each case in every kind of cut.

`client_frame` is an encoder of its own, written from the RFC byte by byte, so that reader and builders are not held against
themselves.
"""

import itertools
import random
import tracemalloc
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sockets.engine.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    Message,
    close_frame,
    parse_close,
    server_frame,
)
from realtime.codec import websocket_text

MASK = b"\x37\xfa\x21\x3d"
LIMIT = 100_000

# Builders ------------------------------------------------------------------------------------------------------------------


def deflated(payload: bytes) -> bytes:
    """The body of a compressed frame (RFC 7692, 7.2.1), nothing of earlier messages used."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(b"\x00\x00\xff\xff")]


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    form: int | None = None,
) -> bytes:
    """A frame as RFC 6455, 5.2 draws it. `rsv`: the three bits, RSV1 is 4. `form`: 7, 16 or 64 bits of length."""
    size = len(payload)
    bits = form or (7 if size < 126 else 16 if size < 65_536 else 64)
    out = [(0x80 if fin else 0) + rsv * 16 + opcode]
    flag = 0 if mask is None else 128
    if bits == 7:
        out.append(flag + size)
    else:
        out.append(flag + (126 if bits == 16 else 127))
        out += [(size >> shift) & 255 for shift in range(bits - 8, -1, -8)]
    if mask is None:
        return bytes(out) + payload
    return bytes(out) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def header(first: int, second: int, rest: bytes = b"") -> bytes:
    return bytes((first, second)) + rest


def text(payload: bytes, *, fin: bool = True) -> bytes:
    return client_frame(TEXT, payload, fin=fin)


def more(payload: bytes = b"", *, fin: bool = False) -> bytes:
    return client_frame(CONTINUATION, payload, fin=fin)


@dataclass
class Outcome:
    """What a reader made of some bytes."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    fault: tuple[int, str] | None = None


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def outcome(reader: FrameReader, parts: Sequence[bytes]) -> Outcome:
    seen = Outcome()

    def note(messages: Iterable[Message]) -> None:
        seen.messages += [(message.opcode, bytes(message.data)) for message in messages]

    for part in parts:
        try:
            note(reader.feed(part))
        except FrameError as fault:
            note(fault.messages)
            seen.fault = (fault.code, fault.reason)
            break
    return seen


def read(stream: bytes, **options: object) -> Outcome:
    """The outcome, the same in one read, byte by byte and in twenty random cuts."""
    limits = {"max_message": LIMIT} | options
    whole = outcome(FrameReader(**limits), [stream])  # type: ignore[arg-type]
    at_random = random.Random(stream)
    kinds = [[at_random.randrange(len(stream) + 1) for _ in range(at_random.randrange(1, 9))] for _ in range(20)]
    if len(stream) < 3000:
        kinds.append(list(range(len(stream))))
    for cuts in kinds:
        assert outcome(FrameReader(**limits), pieces(stream, cuts)) == whole, f"cut at {cuts}"  # type: ignore[arg-type]
    return whole


def messages(stream: bytes, **options: object) -> list[tuple[int, bytes]]:
    seen = read(stream, **options)
    assert seen.fault is None
    return seen.messages


def code(stream: bytes, **options: object) -> int | None:
    fault = read(stream, **options).fault
    return fault and fault[0]


# 1 Framing -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, LIMIT])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_any_length_comes_out_as_it_went_in(opcode: int, size: int) -> None:
    payload = bytes(32 + at % 90 for at in range(size))
    assert messages(client_frame(opcode, payload)) == [(opcode, payload)]


def test_several_messages_in_one_read_come_in_order() -> None:
    assert messages(text(b"a") + client_frame(BINARY, b"\xff") + text(b"") + text(b"c" * 300)) == [
        (TEXT, b"a"),
        (BINARY, b"\xff"),
        (TEXT, b""),
        (TEXT, b"c" * 300),
    ]


def test_a_mask_of_zeros_is_a_mask() -> None:
    assert messages(client_frame(TEXT, b"plain", mask=bytes(4))) == [(TEXT, b"plain")]


@pytest.mark.parametrize(("size", "form"), [(0, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65_535, 64)])
def test_a_length_that_could_be_written_shorter_is_refused(size: int, form: int) -> None:
    assert code(client_frame(BINARY, bytes(size), form=form)) == 1002


def test_a_length_with_the_top_bit_is_refused() -> None:
    assert code(header(0x82, 0xFF, b"\x80" + bytes(7))) == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_client_that_does_not_mask_is_refused(opcode: int) -> None:
    assert code(client_frame(opcode, b"", mask=None)) == 1002


# 2 Pings and pongs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("payload", [b"", b"still there?", b"\x00\xff\xfe\xfd", b"x" * 125])
def test_a_ping_or_pong_comes_with_its_payload(opcode: int, payload: bytes) -> None:
    assert messages(client_frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_over_125_bytes_is_refused(opcode: int) -> None:
    assert code(client_frame(opcode, b"x" * 126)) == 1002


def test_ten_pings_in_a_row_are_ten() -> None:
    stream = b"".join(client_frame(PING, b"%d" % number) for number in range(10))
    assert messages(stream) == [(PING, b"%d" % number) for number in range(10)]


# 3 Reserved bits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_reserved_bit_is_refused(opcode: int, rsv: int) -> None:
    assert code(client_frame(opcode, b"", rsv=rsv)) == 1002


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_compression_agrees_on_the_first_reserved_bit_only(rsv: int) -> None:
    assert code(client_frame(TEXT, deflated(b"x"), rsv=rsv), deflate=True) == 1002


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_is_never_compressed(opcode: int) -> None:
    assert code(client_frame(opcode, b"", rsv=4), deflate=True) == 1002


def test_only_the_first_fragment_says_that_a_message_is_compressed() -> None:
    body = deflated(b"in two")
    stream = client_frame(TEXT, body[:3], fin=False, rsv=4) + client_frame(CONTINUATION, body[3:], rsv=4)
    assert code(stream, deflate=True) == 1002


def test_what_came_before_the_fault_is_not_lost() -> None:
    seen = read(text(b"one") + client_frame(PING, b"two") + client_frame(TEXT, b"three", rsv=1))
    assert seen.messages == [(TEXT, b"one"), (PING, b"two")]
    assert seen.fault is not None


# 4 Opcodes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_a_reserved_opcode_is_refused(opcode: int) -> None:
    assert code(client_frame(opcode)) == 1002
    assert code(text(b"a", fin=False) + client_frame(opcode, b"b")) == 1002


# 5 Fragmentation -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_make_one_message(opcode: int) -> None:
    stream = client_frame(opcode, b"frag", fin=False) + more(b"") + more(b"men") + more(b"t", fin=True)
    assert messages(stream) == [(opcode, b"fragment")]


def test_a_message_of_empty_fragments_is_empty() -> None:
    assert messages(text(b"", fin=False) + more() + more(fin=True)) == [(TEXT, b"")]


def test_control_frames_between_fragments_come_at_once() -> None:
    stream = (
        text(b"a", fin=False) + client_frame(PING, b"1") + more(b"b") + client_frame(PONG, b"2") + more(b"c", fin=True)
    )
    assert messages(stream) == [(PING, b"1"), (PONG, b"2"), (TEXT, b"abc")]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_is_never_fragmented(opcode: int) -> None:
    assert code(client_frame(opcode, b"", fin=False)) == 1002


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_is_refused(fin: bool) -> None:
    assert code(more(b"x", fin=fin)) == 1002
    assert code(text(b"whole") + more(b"x", fin=fin)) == 1002
    assert code(text(b"a", fin=False) + more(b"b", fin=True) + more(b"c", fin=fin)) == 1002


@pytest.mark.parametrize("fin", [True, False])
def test_a_message_inside_a_fragmented_one_is_refused(fin: bool) -> None:
    assert code(text(b"a", fin=False) + text(b"b", fin=fin)) == 1002
    assert code(text(b"a", fin=False) + client_frame(BINARY, b"b", fin=fin)) == 1002


def test_the_fragments_of_a_message_are_counted() -> None:
    assert messages(text(b"", fin=False) + more() * 2 + more(b"x", fin=True), max_fragments=4) == [(TEXT, b"x")]
    fault = read(text(b"", fin=False) + more() * 3 + more(b"x", fin=True), max_fragments=4).fault
    assert fault == (1008, "too many fragments")


def test_each_message_may_have_its_fragments() -> None:
    one = text(b"a", fin=False) + more(b"b", fin=True)
    assert messages(one * 10, max_fragments=2) == [(TEXT, b"ab")] * 10


# 6 UTF-8 -------------------------------------------------------------------------------------------------------------------

VALID = {
    "Greek": "κόσμε".encode(),
    "smallest of each length": b"\x00\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80",
    "largest of each length": b"\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf",
    "around the surrogates": b"\xed\x9f\xbf\xee\x80\x80",
    "the replacement character": b"\xef\xbf\xbd",
    "noncharacters": b"\xef\xb7\x90\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbe",
    "a byte order mark": b"\xef\xbb\xbf",
}
INVALID = {
    "a lone continuation": b"\x80",
    "a lone first byte": b"\xc3 ",
    "a character without its end": b"\xce\xba\xe1\xbd",
    "too many continuations": b"\xc3\xa9\xa9",
    "overlong slash, two bytes": b"\xc0\xaf",
    "overlong slash, three bytes": b"\xe0\x80\xaf",
    "overlong slash, four bytes": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "largest overlong": b"\xf0\x8f\xbf\xbf",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "above the last character": b"\xf4\x90\x80\x80",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
}


@pytest.mark.parametrize("payload", VALID.values(), ids=VALID.keys())
def test_valid_text_passes_whole_and_cut_in_every_place(payload: bytes) -> None:
    assert messages(text(payload)) == [(TEXT, payload)]
    for at in range(len(payload) + 1):
        assert messages(text(payload[:at], fin=False) + more(payload[at:], fin=True)) == [(TEXT, payload)]
    single = [payload[at : at + 1] for at in range(len(payload))]
    assert messages(text(b"", fin=False) + b"".join(map(more, single)) + more(fin=True)) == [(TEXT, payload)]


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID.keys())
def test_invalid_text_is_refused_whole_and_cut_in_every_place(payload: bytes) -> None:
    assert code(text(payload)) == 1007
    assert code(text(b"before " + payload)) == 1007
    for at in range(len(payload) + 1):
        assert code(text(payload[:at], fin=False) + more(payload[at:], fin=True)) == 1007


@pytest.mark.parametrize("name", sorted(INVALID.keys() - {"a character without its end"}))
def test_invalid_text_is_refused_without_waiting_for_the_last_fragment(name: str) -> None:
    assert code(text(b"fine", fin=False) + more(INVALID[name])) == 1007


def test_a_character_that_can_no_longer_become_one_is_refused_before_it_is_whole() -> None:
    assert code(text(b"\xf4", fin=False)) is None
    assert code(text(b"\xf4", fin=False) + more(b"\x90")) == 1007


def test_binary_is_not_asked_to_be_text() -> None:
    assert messages(client_frame(BINARY, b"\xff\xc0\x80")) == [(BINARY, b"\xff\xc0\x80")]


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_text_is_taken_exactly_when_python_can_decode_it(payload: bytes, cuts: list[int]) -> None:
    parts = pieces(payload, [min(cut, len(payload)) for cut in cuts])
    stream = text(parts[0], fin=False) + b"".join(map(more, parts[1:])) + more(fin=True)
    try:
        payload.decode()
    except UnicodeDecodeError:
        assert code(stream) == 1007
    else:
        assert messages(stream) == [(TEXT, payload)]


# 7 Closing -----------------------------------------------------------------------------------------------------------------

SENDABLE = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
FORBIDDEN = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("number", SENDABLE)
def test_a_close_with_a_good_code_is_a_message(number: int) -> None:
    payload = number.to_bytes(2, "big") + "tschüß".encode()
    assert messages(client_frame(CLOSE, payload)) == [(CLOSE, payload)]
    assert parse_close(payload) == (number, "tschüß")


def test_a_close_may_be_empty() -> None:
    assert messages(client_frame(CLOSE)) == [(CLOSE, b"")]
    assert parse_close(b"") == (NO_CODE, "")


@pytest.mark.parametrize("number", FORBIDDEN)
def test_a_close_with_a_code_that_may_not_be_sent_is_refused(number: int) -> None:
    assert code(client_frame(CLOSE, number.to_bytes(2, "big"))) == 1002
    with pytest.raises(FrameError):
        parse_close(number.to_bytes(2, "big"))
    with pytest.raises(ValueError, match=r"take one of"):
        close_frame(number)


def test_a_close_with_half_a_code_is_refused() -> None:
    assert code(client_frame(CLOSE, b"\x03")) == 1002


@pytest.mark.parametrize("reason", INVALID.values(), ids=INVALID.keys())
def test_a_close_reason_must_be_text(reason: bytes) -> None:
    assert code(client_frame(CLOSE, b"\x03\xe8" + reason)) == 1007


def test_what_follows_a_close_is_neither_read_nor_held() -> None:
    close = client_frame(CLOSE, b"\x03\xe8")
    for rest in (text(b"late"), client_frame(PING), client_frame(3), b"\xff" * 1000):
        assert messages(text(b"a") + close + rest) == [(TEXT, b"a"), (CLOSE, b"\x03\xe8")]
    reader = FrameReader(LIMIT)
    reader.feed(text(b"never finished", fin=False) + close + text(b"late")[:3])
    assert (reader.closed, reader.idle, reader.held) == (True, False, 0)
    assert reader.feed(text(b"later still")) == []


def test_a_reader_that_found_a_fault_stays_with_it_and_holds_nothing() -> None:
    reader = FrameReader(LIMIT)
    with pytest.raises(FrameError) as first:
        reader.feed(text(b"a") + text(b"b" * 500, fin=False) + client_frame(3))
    assert len(first.value.messages) == 1
    assert (reader.held, reader.idle) == (0, False)
    with pytest.raises(FrameError) as again:
        reader.feed(text(b"fine"))
    assert (again.value.code, again.value.messages) == (1002, ())


@given(st.text(max_size=200), st.sampled_from(SENDABLE))
def test_a_close_frame_says_the_code_and_as_much_of_the_reason_as_fits(reason: str, number: int) -> None:
    frame = close_frame(number, reason)
    assert len(frame) <= 127
    assert frame[:2] == bytes((0x88, len(frame) - 2))
    said_code, said = parse_close(frame[2:])
    assert said_code == number
    assert reason.startswith(said)
    left = reason[len(said) :]
    assert not left or len((said + left[0]).encode()) > 123


@pytest.mark.parametrize(("reason", "fits"), [("x" * 200, 123), ("é" * 100, 61), ("🏃" * 40, 30), ("x" * 123, 123)])
def test_a_long_reason_is_cut_between_two_characters(reason: str, fits: int) -> None:
    assert parse_close(close_frame(4000, reason)[2:]) == (4000, reason[:fits])
    assert len(close_frame(4000, reason)) <= 127


def test_a_reason_that_is_no_text_does_not_keep_a_connection_from_closing() -> None:
    assert parse_close(close_frame(1008, "half a pair: \ud83d")[2:]) == (1008, "half a pair: ?")


# 9 Limits ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_over_the_limit_is_refused_by_its_header(opcode: int) -> None:
    assert code(client_frame(opcode, bytes(1000)), max_message=1000) is None
    size = (1001).to_bytes(2, "big")
    assert code(header(0x80 | opcode, 0xFE, size), max_message=1000) == 1009
    assert code(header(0x80 | opcode, 0x80 | 101), max_message=100) == 1009


@pytest.mark.parametrize("size", [1_001_000, 1 << 30, (1 << 63) - 1])
def test_an_announced_gigabyte_is_refused_before_a_byte_of_it_came(size: int) -> None:
    assert code(header(0x82, 0xFF, size.to_bytes(8, "big")), max_message=1_000_000) == 1009


def test_the_fragments_of_a_message_are_added_up() -> None:
    assert code(text(b"x" * 60, fin=False) + more(b"y" * 40, fin=True), max_message=100) is None
    assert code(text(b"x" * 60, fin=False) + more(b"y" * 41, fin=True)[:2], max_message=100) == 1009


def test_control_frames_do_not_count_for_the_message() -> None:
    stream = text(b"x" * 60, fin=False) + client_frame(PING, b"p" * 125) + more(b"y" * 40, fin=True)
    assert messages(stream, max_message=100) == [(PING, b"p" * 125), (TEXT, b"x" * 60 + b"y" * 40)]


def test_a_frame_may_be_limited_below_the_message() -> None:
    assert code(text(b"x" * 50, fin=False) + more(b"y" * 50, fin=True), max_message=100, max_frame=50) is None
    assert code(text(b"x" * 51), max_message=100, max_frame=50) == 1009


@pytest.mark.parametrize("limits", [{"max_message": 0}, {"max_fragments": 0}, {"max_frame": 0}])
def test_a_limit_of_nothing_is_a_mistake(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FrameReader(**({"max_message": 10} | limits))  # type: ignore[arg-type]


def test_what_is_held_is_what_came_of_an_unfinished_message() -> None:
    reader = FrameReader(LIMIT)
    assert (reader.idle, reader.held) == (True, 0)
    for stream, held in (
        (b"\x01", 1),
        (text(b"12345", fin=False)[1:8], 2),  # six bytes of header are done with
        (text(b"12345", fin=False)[8:], 5),
        (more(b"")[:5], 10),
        (more(b"")[5:], 5),
        (more(b"6", fin=True), 0),
    ):
        assert reader.idle is (reader.held == 0)
        reader.feed(stream)
        assert reader.held == held
    assert reader.idle


def test_an_empty_first_fragment_is_not_idleness() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(text(b"", fin=False))
    assert (reader.idle, reader.held) == (False, 0)


def test_a_message_that_dribbles_in_is_not_copied_with_every_byte() -> None:
    """Were each byte a copy of what came before, half a megabyte would move 137 GB and meet the test's time limit."""
    size = 1 << 19
    stream = client_frame(BINARY, bytes(size), mask=bytes(4))
    reader = FrameReader(size)
    got = [message for at in range(len(stream)) for message in reader.feed(stream[at : at + 1])]
    assert [(message.opcode, len(message.data)) for message in got] == [(BINARY, size)]


# 12 Compression ------------------------------------------------------------------------------------------------------------


def squeezed(opcode: int, body: bytes, *, fin: bool = True) -> bytes:
    return client_frame(opcode, body, rsv=4, fin=fin)


def test_the_example_of_the_rfc_is_understood() -> None:
    """RFC 7692, 7.2.3: "Hello" in one frame, in two, in a stored block, in a last block, and in two blocks."""
    bodies = (
        "f248cdc9c90700",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f248050000 00ffffcac9c90700".replace(" ", ""),
    )
    for body in map(bytes.fromhex, bodies):
        assert messages(squeezed(TEXT, body), deflate=True) == [(TEXT, b"Hello")]
        halves = squeezed(TEXT, body[:3], fin=False) + more(body[3:], fin=True)
        assert messages(halves, deflate=True) == [(TEXT, b"Hello")]


@pytest.mark.parametrize("payload", [b"", b"x", b"board " * 5000, random.Random(1).randbytes(LIMIT)])
def test_what_is_deflated_here_is_inflated_by_anybody(payload: bytes) -> None:
    anybody = zlib.decompressobj(-15)
    assert anybody.decompress(deflated(payload) + b"\x00\x00\xff\xff") == payload
    assert not anybody.unused_data


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("size", [0, 1, 1000, LIMIT])
def test_a_compressed_message_may_be_as_long_as_a_plain_one(size: int, level: int) -> None:
    for payload in (random.Random(size).randbytes(size), b"a" * size):
        deflater = zlib.compressobj(level, wbits=-15, memLevel=1)
        body = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert messages(squeezed(BINARY, body), deflate=True) == [(BINARY, payload)]


def test_each_message_says_for_itself_whether_it_is_compressed() -> None:
    stream = squeezed(TEXT, deflated(b"one")) + text(b"two") + squeezed(TEXT, deflated(b"three"))
    assert messages(stream, deflate=True) == [(TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three")]


def test_control_frames_come_between_compressed_fragments() -> None:
    body = deflated("Füße ".encode() * 100)
    stream = squeezed(TEXT, body[:5], fin=False) + client_frame(PING, b"!") + more(body[5:], fin=True)
    assert messages(stream, deflate=True) == [(PING, b"!"), (TEXT, "Füße ".encode() * 100)]


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID.keys())
def test_compressed_text_must_be_text_too(payload: bytes) -> None:
    assert code(squeezed(TEXT, deflated(payload)), deflate=True) == 1007


def _last_block(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(payload) + deflater.flush(zlib.Z_FINISH)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff\xff",
        b"\x06",
        deflated(b"cut in the middle of a block" * 9)[:-20],
        bytes.fromhex("0064009bff") + b"a hundred bytes are announced",
        _last_block(b"over") + b"\x00and more",
        _last_block(b"over"),
        _last_block(b"over") + deflated(b"and over"),
    ],
    ids=[
        "noise",
        "reserved block type",
        "cut off",
        "stored and cut off",
        "bytes after the last block",
        "last block alone",
        "after the last block",
    ],
)
def test_a_body_that_is_no_deflate_stream_is_refused(body: bytes) -> None:
    assert code(squeezed(BINARY, body), deflate=True) == 1007


def test_a_fragment_after_the_last_block_is_refused_without_waiting_for_the_end() -> None:
    assert code(squeezed(BINARY, _last_block(b"over"), fin=False) + more(b"and over"), deflate=True) == 1007


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_called_compressed_end_in_a_message_or_a_fault(body: bytes) -> None:
    seen = read(squeezed(BINARY, body), deflate=True, max_message=500)
    assert (seen.fault is None) == (len(seen.messages) == 1)
    assert seen.fault is None or seen.fault[0] in (1007, 1009)


def test_one_byte_inflated_over_the_limit_is_too_much() -> None:
    assert code(squeezed(TEXT, deflated(b"x" * 1000)), deflate=True, max_message=1000) is None
    assert code(squeezed(TEXT, deflated(b"x" * 1001)), deflate=True, max_message=1000) == 1009
    body = deflated(b"x" * 1001)
    fragments = squeezed(TEXT, body[:4], fin=False) + more(body[4:], fin=True)
    assert code(fragments, deflate=True, max_message=1000) == 1009


def test_a_compressed_body_is_limited_on_the_wire_too() -> None:
    assert code(header(0xC2, 0xFE, (2000).to_bytes(2, "big")), deflate=True, max_message=1000) == 1009
    empty_blocks = squeezed(BINARY, bytes.fromhex("000000ffff") * 200, fin=False) + more(
        bytes.fromhex("000000ffff") * 200
    )
    assert code(empty_blocks, deflate=True, max_message=1000) == 1009


@pytest.mark.parametrize("fragments", [1, 30])
def test_a_bomb_costs_no_more_than_a_message(fragments: int) -> None:
    """A megabyte that inflates to a gigabyte: what came of it, and the limit's worth of content, are held at once at most."""
    limit = 1_000_000
    deflater = zlib.compressobj(9, wbits=-15)
    zeros = bytes(1 << 20)
    body = b"".join(deflater.compress(zeros) for _ in range(1000)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    size = len(body) // fragments + 1
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    frames = [
        client_frame(0 if at else BINARY, part, fin=at == len(parts) - 1, rsv=0 if at else 4, mask=bytes(4))
        for at, part in enumerate(parts)
    ]
    stream = b"".join(frames)
    reads = [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]
    del zeros, body, parts, frames, stream
    reader = FrameReader(limit, deflate=True)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        seen = outcome(reader, reads)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen.messages == []
    assert seen.fault is not None
    assert seen.fault[0] == 1009
    assert peak - before < 3 * limit, f"{peak - before:,} bytes"
    assert reader.held == 0


# Laws ----------------------------------------------------------------------------------------------------------------------

CONTROL = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
DATA = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300).map(str.encode)),
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[int, bytes]], bytes]:
    """What a client says, and the bytes it says it in: fragmented, masked, compressed and interrupted as it likes."""
    said: list[tuple[int, bytes]] = []
    stream = b""
    for opcode, payload in draw(st.lists(DATA, max_size=6)):
        squeeze = draw(st.booleans())
        body = deflated(payload) if squeeze else payload
        parts = pieces(body, draw(st.lists(st.integers(0, len(body)), max_size=4)))
        for at, part in enumerate(parts):
            for control, note in draw(st.lists(CONTROL, max_size=1)):
                said.append((control, note))
                stream += client_frame(control, note, mask=draw(st.binary(min_size=4, max_size=4)))
            stream += client_frame(
                CONTINUATION if at else opcode,
                part,
                fin=at == len(parts) - 1,
                rsv=4 if squeeze and not at else 0,
                mask=draw(st.binary(min_size=4, max_size=4)),
            )
        said.append((opcode, payload))
    return said, stream


@given(conversations(), st.lists(st.floats(0, 1), max_size=12))
def test_whatever_is_said_is_understood_in_any_cut(
    talk: tuple[list[tuple[int, bytes]], bytes], cuts: list[float]
) -> None:
    said, stream = talk
    reader = FrameReader(1000, deflate=True)
    assert outcome(reader, pieces(stream, [int(cut * len(stream)) for cut in cuts])) == Outcome(said)
    assert (reader.idle, reader.held) == (True, 0)


@given(conversations(), st.binary(max_size=30), st.lists(st.floats(0, 1), max_size=12), st.booleans())
def test_cutting_changes_no_outcome_of_damaged_bytes(
    talk: tuple[list[tuple[int, bytes]], bytes], noise: bytes, cuts: list[float], deflate: bool
) -> None:
    _, stream = talk
    at = int((cuts or [0.5])[0] * len(stream))
    stream = stream[:at] + noise + stream[at + len(noise) :]

    def reader() -> FrameReader:
        return FrameReader(200, max_fragments=3, max_frame=150, deflate=deflate)

    whole = outcome(reader(), [stream])
    assert outcome(reader(), pieces(stream, range(len(stream)))) == whole
    assert outcome(reader(), pieces(stream, [int(cut * len(stream)) for cut in cuts])) == whole


@given(st.binary(max_size=300), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_the_reader_never_holds_more_than_a_message_and_a_header(noise: bytes, sizes: list[int]) -> None:
    reader = FrameReader(100)
    at = 0
    while at < len(noise):
        size = sizes[at % len(sizes)]
        try:
            reader.feed(noise[at : at + size])
        except FrameError:
            assert reader.held == 0
            return
        assert reader.held <= 100 + 125 + 14  # a message, a ping in its middle, a header
        at += size


# What a server sends -------------------------------------------------------------------------------------------------------


def parsed(frame: bytes) -> tuple[int, bytes]:
    """First byte and payload of a server's frame, after RFC 6455, 5.2."""
    assert frame[1] < 128, "a server does not mask"
    if frame[1] < 126:
        start, size = 2, frame[1]
    elif frame[1] == 126:
        start, size = 4, int.from_bytes(frame[2:4], "big")
        assert size > 125
    else:
        start, size = 10, int.from_bytes(frame[2:10], "big")
        assert size > 65_535
    assert len(frame) == start + size
    return frame[0], frame[start:]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_a_server_frame_has_the_shortest_length_and_no_mask(size: int) -> None:
    payload = b"x" * size
    assert parsed(server_frame(BINARY, payload)) == (0x82, payload)
    assert parsed(server_frame(TEXT, payload, fin=False)) == (0x01, payload)
    assert parsed(server_frame(TEXT, payload, rsv1=True)) == (0xC1, payload)
    assert parsed(websocket_text(payload)) == (0x81, payload)

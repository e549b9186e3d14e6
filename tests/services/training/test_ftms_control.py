"""The control point of a trainer: bytes made by hand, and requests read as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.frame import BadFrame
from services.training.ftms_control import (
    RESULTS,
    Answer,
    MachineStatus,
    Pause,
    Request,
    RequestControl,
    Reset,
    Simulation,
    Start,
    Stop,
    TargetPower,
    TargetResistance,
    decode_answer,
    decode_request,
    decode_status,
    encode_answer,
    encode_request,
)

WORD = st.integers(-0x8000, 0x7FFF)
BYTE = st.integers(0, 0xFF)
requests: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from([RequestControl(), Reset(), Start(), Stop(), Pause()]),
    st.builds(TargetPower, watts=WORD),
    st.builds(TargetResistance, level=WORD.map(lambda raw: raw / 10)),
    st.builds(
        Simulation,
        wind_m_s=WORD.map(lambda raw: raw / 1_000),
        grade_percent=WORD.map(lambda raw: raw / 100),
        rolling=BYTE.map(lambda raw: raw / 10_000),
        drag_kg_m=BYTE.map(lambda raw: raw / 100),
    ),
)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (RequestControl(), "00"),
        (Reset(), "01"),
        (TargetResistance(4.0), "04 28 00"),
        (TargetResistance(-1.0), "04 f6 ff"),
        (TargetPower(250), "05 fa 00"),
        (TargetPower(-1), "05 ff ff"),
        (Start(), "07"),
        (Stop(), "08 01"),
        (Pause(), "08 02"),
        (Simulation(), "11 00 00 00 00 28 33"),
        (Simulation(wind_m_s=-1.5, grade_percent=6.25), "11 24 fa 71 02 28 33"),
    ],
)
def test_a_request_is_written_as_the_specification_has_it(request_: Request, frame: str) -> None:
    assert encode_request(request_) == bytes.fromhex(frame)


@given(requests)
def test_a_request_is_read_as_it_was_written(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


def test_a_resistance_of_one_byte_is_from_before_the_erratum() -> None:
    assert decode_request(bytes.fromhex("04 fe")) == TargetResistance(25.4)


@pytest.mark.parametrize(
    ("frame", "at"), [("", 0), ("05 fa", 1), ("05 fa 00 00", 3), ("08", 1), ("08 03", 1), ("0b 00", 0), ("00 00", 1)]
)
def test_a_bad_request_is_refused_at_the_byte_that_does_not_fit(frame: str, at: int) -> None:
    with pytest.raises(BadFrame, match="0x2AD9") as refused:
        decode_request(bytes.fromhex(frame))
    assert refused.value.at == at


@pytest.mark.parametrize("request_", [TargetPower(40_000), TargetResistance(4_000.0), Simulation(rolling=-0.1)])
def test_a_target_that_has_no_bytes_is_refused(request_: Request) -> None:
    with pytest.raises(OverflowError):
        encode_request(request_)


@given(st.builds(Answer, request=st.integers(0, 0x7F), result=st.sampled_from(RESULTS)))
def test_an_answer_is_read_as_it_was_written(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


def test_answers_by_hand() -> None:
    assert decode_answer(bytes.fromhex("80 05 01")) == Answer(0x05, "success")
    assert decode_answer(bytes.fromhex("80 00 05")) == Answer(0x00, "not_permitted")
    assert decode_answer(bytes.fromhex("80 13 01 10 27 20 4e")) == Answer(0x13, "success")
    for frame, at in (("81 05 01", 0), ("80 05", 2), ("80 05 00", 2), ("80 05 06", 2)):
        with pytest.raises(BadFrame) as refused:
            decode_answer(bytes.fromhex(frame))
        assert refused.value.at == at


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("01", MachineStatus("reset")),
        ("02 01", MachineStatus("stopped")),
        ("02 02", MachineStatus("paused")),
        ("04", MachineStatus("started")),
        ("05 e8 03", MachineStatus("speed", 10.0)),
        ("06 0f 00", MachineStatus("incline", 1.5)),
        ("07 28", MachineStatus("resistance", 4.0)),
        ("07 f6 ff", MachineStatus("resistance", -1.0)),
        ("08 fa 00", MachineStatus("power", 250)),
        ("09 8c", MachineStatus("heart_rate", 140)),
        ("12 00 00 71 02 28 33", MachineStatus("simulation", 6.25)),
        ("0e 10 0e", MachineStatus("other")),
        ("ff", MachineStatus("control_lost")),
    ],
)
def test_the_machine_says_what_happened(frame: str, expected: MachineStatus) -> None:
    assert decode_status(bytes.fromhex(frame)) == expected


@given(st.binary(max_size=12))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (decode_request, decode_answer, decode_status):
        at = 0
        try:
            decode(data)
        except BadFrame as refused:
            at = refused.at
        assert 0 <= at <= len(data)

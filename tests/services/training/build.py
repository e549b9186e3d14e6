"""Builders: a body, and samples in the few shapes these tests need."""

from collections.abc import Iterable

from hypothesis import strategies as st

from services.training.physiology import Physiology, Sex
from services.training.sample import MAX_BPM, MIN_BPM, Sample


def body(
    *,
    max_hr: int = 190,
    rest_hr: int = 60,
    sex: Sex | None = "male",
    mass_kg: float | None = 80.0,
    age_years: int | None = 30,
) -> Physiology:
    """A measured man of 30 unless told otherwise."""
    return Physiology(
        max_hr=max_hr,
        rest_hr=rest_hr,
        sex=sex,
        mass_kg=mass_kg,
        age_years=age_years,
        max_hr_source="measured",
        rest_hr_source="measured",
    )


def at(seconds: float, bpm: int | None) -> Sample:
    """One sample, its time in seconds."""
    return Sample(int(seconds * 1000), bpm)


def each_second(bpms: Iterable[int | None], start: int = 0) -> list[Sample]:
    """One sample a second."""
    return [at(start + i, bpm) for i, bpm in enumerate(bpms)]


bpms = st.none() | st.integers(MIN_BPM, MAX_BPM)

_steps = st.one_of(
    st.just(1_000),
    st.integers(0, 12_000),
    st.integers(-20_000, 0),  # a clock that stands still or steps back
    st.integers(0, 7_200_000),  # a pause
)


@st.composite
def recordings(draw: st.DrawFn, min_size: int = 0, max_size: int = 120) -> list[Sample]:
    """Any samples a device may send, in sequence order: dropouts, pauses, repeated and reversed times."""
    t = draw(st.integers(0, 60_000))
    samples = []
    for step, bpm, rr in draw(
        st.lists(
            st.tuples(_steps, bpms, st.lists(st.integers(1, 65_535), max_size=2)),
            min_size=min_size,
            max_size=max_size,
        )
    ):
        t = max(t + step, 0)
        samples.append(Sample(t, bpm, tuple(rr)))
    return samples


@st.composite
def bodies(draw: st.DrawFn) -> Physiology:
    """Anybody the checks let through."""
    max_hr = draw(st.integers(100, 250))
    return Physiology(
        max_hr=max_hr,
        rest_hr=draw(st.integers(25, min(120, max_hr - 1))),
        sex=draw(st.sampled_from(["male", "female", None])),
        mass_kg=draw(st.none() | st.floats(20, 400)),
        age_years=draw(st.none() | st.integers(0, 120)),
        max_hr_source=draw(st.sampled_from(["measured", "tanaka", "assumed"])),
        rest_hr_source=draw(st.sampled_from(["measured", "assumed"])),
    )

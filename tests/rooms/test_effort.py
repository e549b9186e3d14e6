"""Live effort equals the effort of the finished workout."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.effort import NOTHING, Effort, advance
from services.classes.metric import NKCAL_PER_KCAL
from services.classes.ranking import weight
from services.training.energy import burn_rates_of
from services.training.physiology import Physiology
from services.training.sample import Sample
from services.training.summary import summarise

BODY = Physiology(
    max_hr=190, rest_hr=60, sex=None, mass_kg=None, age_years=None, max_hr_source="measured", rest_hr_source="measured"
)
streams = st.lists(
    st.builds(Sample, t=st.integers(0, 4_000_000), bpm=st.one_of(st.none(), st.integers(20, 250))), max_size=60
)


def test_a_minute_in_zone_three_is_three_points() -> None:
    effort = advance(Effort(), [Sample(t=1_000 * n, bpm=140) for n in range(61)], 190)
    assert effort.zone_ms == (0, 0, 0, 60_000, 0, 0)
    assert weight(effort.zone_ms) == 3 * 60_000


def test_a_gap_earns_only_as_long_as_a_reading_holds() -> None:
    effort = advance(Effort(), [Sample(t=0, bpm=140), Sample(t=600_000, bpm=140)], 190)
    assert sum(effort.zone_ms) == 5_000


def test_time_without_contact_earns_nothing() -> None:
    effort = advance(Effort(), [Sample(t=0, bpm=None), Sample(t=1_000, bpm=140), Sample(t=2_000)], 190)
    assert sum(effort.zone_ms) == 1_000


def test_a_stream_that_does_not_feed_passes_time_and_earns_nothing() -> None:
    held = advance(Effort(), [Sample(t=0, bpm=140), Sample(t=1_000, bpm=140)], 190, counts=False)
    assert held.zone_ms == NOTHING
    assert advance(held, [Sample(t=2_000, bpm=140)], 190).zone_ms[3] == 1_000


@given(samples=streams, cut=st.integers(0, 60))
def test_energy_is_the_same_in_any_split_and_that_of_the_summary(samples: list[Sample], cut: int) -> None:
    person = msgspec.structs.replace(BODY, sex="female", mass_kg=63.5, age_years=31)
    burn = burn_rates_of(person)
    whole = advance(Effort(), samples, BODY.max_hr, burn=burn)
    first = advance(Effort(), samples[:cut], BODY.max_hr, burn=burn)
    assert advance(first, samples[cut:], BODY.max_hr, burn=burn) == whole
    told = summarise(samples, person).energy.kcal or 0.0
    assert whole.burned / NKCAL_PER_KCAL == pytest.approx(told, rel=1e-4, abs=1e-9)


def test_nothing_is_burned_by_a_body_that_is_not_known() -> None:
    assert burn_rates_of(BODY) is None
    assert advance(Effort(), [Sample(t=0, bpm=140), Sample(t=1_000, bpm=140)], 190).burned == 0


@given(samples=streams, cut=st.integers(0, 60))
def test_any_split_into_batches_gives_the_same_effort(samples: list[Sample], cut: int) -> None:
    whole = advance(Effort(), samples, BODY.max_hr)
    assert advance(advance(Effort(), samples[:cut], BODY.max_hr), samples[cut:], BODY.max_hr) == whole


@given(samples=streams)
def test_live_effort_equals_the_summary_to_the_millisecond(samples: list[Sample]) -> None:
    live = advance(Effort(), samples, BODY.max_hr)
    summary = summarise(samples, BODY)
    assert tuple(summary.ms_in_zone) == live.zone_ms
    assert summary.edwards == weight(live.zone_ms) / 60_000

"""What a device keeps and sends next: nothing lost, nothing beyond the limits, repeats only where asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.window import LARGEST_BATCH_RR, PromiseBroken, Window
from services.training.sample import Sample


def window(samples: int, *, max_batch: int = 10, max_unacked: int = 30) -> Window:
    made = Window()
    for t in range(samples):
        made.append(Sample(t=t))
    made.opened(0, max_batch, max_unacked)
    return made


def take_all(device: Window) -> list[tuple[int, int]]:
    taken = []
    while (batch := device.take()) is not None:
        taken.append((batch.seq, len(batch.samples)))
    return taken


def test_everything_goes_out_in_order_in_batches() -> None:
    assert take_all(window(25)) == [(0, 10), (10, 10), (20, 5)]


def test_no_more_is_under_way_than_the_server_allows() -> None:
    device = window(100)
    assert take_all(device) == [(0, 10), (10, 10), (20, 10)]
    device.acknowledge(15)
    assert take_all(device) == [(30, 10), (40, 5)]


def test_acknowledged_samples_are_forgotten_and_late_acknowledgements_change_nothing() -> None:
    device = window(25)
    take_all(device)
    device.acknowledge(20)
    device.acknowledge(10)
    assert (device.stored, device.kept, device.end) == (20, 5, 25)


def test_a_new_connection_goes_on_from_the_mark_of_the_server() -> None:
    device = window(25)
    take_all(device)
    device.opened(12, 10, 30)
    assert take_all(device) == [(12, 10), (22, 3)]


def test_a_gap_sends_again_from_where_the_server_expects_it() -> None:
    device = window(25)
    batch = device.take()
    assert batch is not None
    take_all(device)
    assert device.refused(batch, expected=5)
    assert take_all(device) == [(5, 10), (15, 10)]


def test_a_refusal_from_before_the_last_fall_back_is_ignored() -> None:
    device = window(25)
    first, second = device.take(), device.take()
    assert first is not None
    assert second is not None
    assert device.refused(first)
    assert not device.refused(second)
    assert take_all(device) == [(0, 10), (10, 10), (20, 5)]


def test_refusals_that_come_in_the_wrong_order_leave_no_sample_behind() -> None:
    device = window(20)
    first, second = device.take(), device.take()
    assert first is not None
    assert second is not None
    device.refused(second)
    device.refused(first)
    assert take_all(device) == [(0, 10), (10, 10)]


def test_a_refused_batch_that_was_half_stored_goes_out_from_the_half() -> None:
    device = window(10)
    batch = device.take()
    assert batch is not None
    device.acknowledge(4)
    device.refused(batch)
    assert take_all(device) == [(4, 6)]


def test_a_server_that_forgot_what_it_acknowledged_is_found_out() -> None:
    device = window(25)
    device.acknowledge(10)
    with pytest.raises(PromiseBroken, match="between are lost"):
        device.opened(9, 10, 30)


def test_a_server_that_claims_samples_never_made_is_found_out() -> None:
    with pytest.raises(PromiseBroken, match="another device"):
        window(25).opened(26, 10, 30)


def test_a_batch_full_of_beats_stays_within_the_payload_limit() -> None:
    device = Window()
    for t in range(1000):
        device.append(Sample(t=t, bpm=60, rr=(1000,) * 64))
    device.opened(0, 1000, 20_000)
    sizes = []
    while (batch := device.take()) is not None:
        sizes.append(sum(len(sample.rr) for sample in batch.samples))
    assert max(sizes) <= LARGEST_BATCH_RR
    assert sum(sizes) == 64_000


@given(st.data())
def test_whatever_happens_the_kept_samples_are_exactly_those_not_acknowledged(data: st.DataObject) -> None:
    device = Window()
    device.opened(0, 4, 12)
    made = 0
    batches = []
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["append", "take", "acknowledge", "refuse", "open"])):
            case "append":
                device.append(Sample(t=made))
                made += 1
            case "take":
                batch = device.take()
                if batch is not None:
                    batches.append(batch)
                    assert [sample.t for sample in batch.samples] == list(
                        range(batch.seq, batch.seq + len(batch.samples))
                    )
            case "acknowledge":
                device.acknowledge(data.draw(st.integers(0, device.next)))
            case "refuse" if batches:
                device.refused(data.draw(st.sampled_from(batches)))
            case "open":
                device.opened(data.draw(st.integers(device.stored, device.next)), 4, 12)
        assert device.stored <= device.next <= device.end == made
        assert device.next - device.stored <= 12

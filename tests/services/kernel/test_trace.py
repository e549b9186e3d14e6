"""Trace context: what a `traceparent` says, and that it stays with the work."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import trace
from services.kernel.trace import TraceContext

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"00-{ID}-{SPAN}-01", TraceContext(ID, SPAN, True)),
        (f"00-{ID}-{SPAN}-00", TraceContext(ID, SPAN, False)),
        (f"00-{ID}-{SPAN}-09", TraceContext(ID, SPAN, True)),
        (f"cc-{ID}-{SPAN}-01-what-the-future-will-bring", TraceContext(ID, SPAN, True)),
        (f"cc-{ID}-{SPAN}-01", TraceContext(ID, SPAN, True)),
        (f"cc-{ID}-{SPAN}-01.what", None),
        (f"ff-{ID}-{SPAN}-01", None),
        (f"00-{ID}-{SPAN}-01-more", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{ID}-{'0' * 16}-01", None),
        (f"00-{ID.upper()}-{SPAN}-01", None),
        (f"00-{ID}-{SPAN}-1", None),
        (f"00-{ID}-{SPAN}-01\n", None),
        (f" 00-{ID}-{SPAN}-01", None),
        (f"cc-{ID}-{SPAN}-01-" + "x" * 300, None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(text: str | None, found: TraceContext | None) -> None:
    assert trace.parse(text) == found


@given(st.text(max_size=80))
def test_any_text_is_read_or_ignored(text: str) -> None:
    found = trace.parse(text)
    assert found is None or trace.parse(found.traceparent) == found


def test_what_is_begun_within_something_belongs_to_its_trace() -> None:
    assert trace.current() is None
    assert trace.traceparent() == ""
    there = TraceContext(ID, SPAN, True)
    with trace.span("outer", parent=there) as outer:
        assert trace.current() == outer.context
        assert (outer.context.trace_id, outer.context.sampled) == (ID, True)
        assert outer.context.span_id != SPAN
        with trace.span("inner") as inner:
            assert inner.context.trace_id == ID
            assert inner.context.span_id != outer.context.span_id
            assert trace.traceparent() == inner.context.traceparent
        assert trace.current() == outer.context
    assert trace.current() is None


def test_what_has_no_parent_begins_a_trace_of_its_own() -> None:
    with trace.span("one") as one:
        pass
    with trace.span("other") as other:
        pass
    assert one.context.trace_id != other.context.trace_id
    assert trace.parse(one.context.traceparent) == one.context


async def test_tasks_at_once_do_not_see_each_others_place() -> None:
    async def work(name: str) -> tuple[TraceContext | None, TraceContext]:
        with trace.span(name) as span:
            await asyncio.sleep(0)
            return trace.current(), span.context

    for seen, own in await asyncio.gather(*(work(str(number)) for number in range(5))):
        assert seen == own


def test_a_failure_ends_the_span_and_goes_on() -> None:
    class Ended:
        context = TraceContext(ID, SPAN)
        fault: BaseException | None = None

        def note(self, **_: trace.Attribute) -> None: ...

        def end(self, fault: BaseException | None) -> None:
            Ended.fault = fault

    class Recording:
        def begin(
            self, name: str, kind: trace.Kind, parent: TraceContext | None, attributes: dict[str, trace.Attribute]
        ) -> Ended:
            return Ended()

    trace.use(Recording())
    try:
        with pytest.raises(KeyError), trace.span("fails"):
            raise KeyError("why")
    finally:
        trace.use(trace.Passing())
    assert isinstance(Ended.fault, KeyError)
    assert trace.current() is None

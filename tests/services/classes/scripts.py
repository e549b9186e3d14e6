"""Scripts in a few words."""

from services.classes.script import Block, Interval, Script, ScriptCue, Target


def interval(seconds: int, *targets: Target) -> Interval:
    """An interval of so many seconds."""
    return Interval(duration_ms=seconds * 1_000, targets=targets)


def script(*seconds: int, cues: tuple[int, ...] = ()) -> Script:
    """A script of one block of intervals that long, with cues at these seconds."""
    return Script(
        blocks=(Block(intervals=tuple(interval(each) for each in seconds)),),
        cues=tuple(ScriptCue(at * 1_000, f"at {at}") for at in cues),
    )

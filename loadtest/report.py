"""A workout's summary, as a table for people. The words for codes are here; the numbers come from the server
alone."""

from typing import Final

from rich.console import Console
from rich.table import Table

from realtime.wire import ClassSummary
from services.training.summary import WorkoutSummary

ASSUMPTIONS: Final = {
    "max_hr_tanaka": "maximum heart rate computed from age (Tanaka)",
    "max_hr_assumed": "maximum heart rate assumed: neither it nor the birth date is known",
    "max_hr_exceeded": "the heart rate went above the maximum on file: that maximum is too low",
    "rest_hr_assumed": "resting heart rate assumed",
    "energy_extrapolated": "part of the energy lies outside the range its formula was fitted for",
    "clock_stepped_back": "the device's clock stepped back; that time counts for nothing",
}

VARIANTS: Final = {"men": "for men", "women_086": "for women"}

MISSING: Final = {
    "sex_unknown": "needs the athlete's sex",
    "mass_unknown": "needs the athlete's weight",
    "age_unknown": "needs the athlete's birth date",
    "no_heart_rate": "there was no heart rate",
    "no_effort": "there was no effort to recover from",
    "not_covered": "the recording does not cover the minute after the peak",
}


def clock_time(ms: int) -> str:
    """1:02:03, or 2:03 under an hour."""
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def workout_rows(summary: WorkoutSummary) -> list[tuple[str, str]]:
    """The lines of the table: what, and how much in words or numbers."""
    gaps = summary.gaps
    rows = [
        ("duration", clock_time(summary.duration_ms)),
        ("with heart rate", clock_time(summary.measured_ms)),
        ("gaps", _gaps(gaps.count, gaps.total_ms, gaps.longest_ms)),
        ("samples", f"{summary.samples}, {summary.samples_without_contact} without contact"),
        ("heart rate min / mean / max", _heart_rate(summary)),
    ]
    rows += [
        (f"zone {zone}", f"{clock_time(ms)}  {_share(ms, summary.measured_ms)}")
        for zone, ms in enumerate(summary.ms_in_zone)
    ]
    banister = summary.banister
    energy = summary.energy
    recovery = summary.recovery
    rows += [
        ("Edwards TRIMP", f"{summary.edwards:.1f}"),
        (
            "Banister TRIMP",
            _or_missing(
                banister.points,
                f"{banister.points or 0:.1f} ({VARIANTS.get(banister.variant or '', banister.variant)})",
                banister.reason,
            ),
        ),
        ("energy", _or_missing(energy.kcal, f"{energy.kcal or 0:.0f} kcal", energy.reason)),
        (
            "recovery in 60 s",
            _or_missing(
                recovery.hrr60, f"{recovery.hrr60} bpm ({recovery.peak_bpm} to {recovery.later_bpm})", recovery.reason
            ),
        ),
    ]
    if summary.distance_m is not None:
        rows.append(("distance", f"{summary.distance_m / 1_000:.2f} km"))
    if summary.mean_power_w is not None:
        rows.append(("power, mean", f"{summary.mean_power_w:.0f} W"))
    if summary.mean_cadence is not None:
        rows.append(("cadence, mean", f"{summary.mean_cadence:.0f} / min"))
    if summary.rr_intervals:
        rows.append(("beat-to-beat intervals", str(summary.rr_intervals)))
    rows += [("note", ASSUMPTIONS.get(code, code)) for code in summary.assumptions]
    return rows


def show_workout(console: Console, title: str, summary: WorkoutSummary) -> None:
    """Print the table of one workout."""
    console.print(f"\n{title}", style="bold", markup=False)
    table = Table(show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for what, how_much in workout_rows(summary):
        table.add_row(what, how_much)
    console.print(table)


def show_class(console: Console, summary: ClassSummary) -> None:
    """Print the final table of a class."""
    console.print(f"\nFinal table of “{summary.title}”", style="bold", markup=False)
    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("athlete")
    table.add_column("effort", justify="right")
    for standing in summary.standings:
        table.add_row(str(standing.rank or "–"), standing.name, f"{standing.effort:.1f}")
    console.print(table)


def _gaps(count: int, total_ms: int, longest_ms: int) -> str:
    if not count:
        return "none"
    return f"{count}, {clock_time(total_ms)} in all, longest {clock_time(longest_ms)}"


def _heart_rate(summary: WorkoutSummary) -> str:
    if summary.min_bpm is None:
        return "none"
    mean = "–" if summary.mean_bpm is None else f"{summary.mean_bpm:.1f}"
    return f"{summary.min_bpm} / {mean} / {summary.max_bpm} bpm"


def _share(ms: int, of_ms: int) -> str:
    return f"{100 * ms / of_ms:3.0f} %" if of_ms else ""


def _or_missing(value: float | None, shown: str, reason: str | None) -> str:
    if value is not None:
        return shown
    return f"– {MISSING.get(reason or '', reason or 'not known')}"

"""The table says what was found, and the page is the one that belongs to the rows kept."""

import pytest

from tests.benchmarks.machine import Stamp
from tests.faults.bench import Row
from tests.faults.cases import CASES
from tests.faults.checkers import Counts
from tests.faults.page import BEGIN, END, FILE, PAGE, Kept, Results, joined, load, part, part_of, table, with_part

STAMP = Stamp(at="2026-11-28 02:00 UTC", commit="0123456789")


def row(number: str = "F-10", *, findings: tuple[str, ...] = (), missing: tuple[str, ...] = (), **counts: int) -> Row:
    return Row(
        id=number,
        title="Redis dies",
        injected="kill -9",
        form="full",
        seed=1,
        counts=Counts(**counts),  # type: ignore[arg-type]
        findings=findings,
        missing=missing,
        said={"noticed after, s": 9.5},
        seconds=12.0,
    )


def test_a_verdict_is_broken_missing_or_holds() -> None:
    assert row().verdict == "holds"
    assert row(missing=("cue.send",)).verdict == "missing: cue.send"
    assert row(findings=("lost: 1",), missing=("cue.send",)).verdict == "**broken**"
    assert [row().holds, row(missing=("x",)).holds, row(findings=("x",)).holds] == [True, False, False]


def test_a_loss_that_was_told_is_counted_apart_from_a_silent_gap() -> None:
    cells = table([row(missed=5, silent_gaps=2, heard=1_234)]).splitlines()[-1].split(" | ")
    assert (cells[3], cells[5], cells[9]) == ("1,234", "3", "2")


def test_what_was_to_be_done_later_has_a_table_of_its_own() -> None:
    assert "effects owed" not in part(Results("make faults", {"F-10": Kept(STAMP, row())}))
    told = row("F-20", facts=1_500, effects=3_000, undone=1, redone=2, handed=3_010, parked=3)
    text = part(Results("make faults", {"F-20": Kept(STAMP, told)}))
    assert "| F-20 | Redis dies | 1,500 | 3,000 | 1 | 2 | 3,010 | 3 | holds |" in text


def test_a_new_row_replaces_the_old_one_of_the_same_fault_and_no_other() -> None:
    kept = joined(Results("make faults", {}), [Kept(STAMP, row("F-11")), Kept(STAMP, row("F-10", lost=1))])
    anew = joined(kept, [Kept(STAMP, row("F-10"))])
    assert list(anew.rows) == ["F-10", "F-11"]
    assert anew.rows["F-10"].row.counts.lost == 0


def test_the_page_names_findings_figures_and_stamps() -> None:
    text = part(joined(Results("make faults", {}), [Kept(STAMP, row(findings=("lost: 1",)))]))
    assert "- F-10: lost: 1" in text
    assert "noticed after, s 9.5" in text
    assert "full, seed 1 | 2026-11-28 02:00 UTC at 0123456789" in text


def test_only_the_part_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    again = with_part(page, "new")
    assert (part_of(again), again.startswith("before\n"), again.endswith("\nafter\n")) == ("new", True, True)
    with pytest.raises(ValueError, match="needs the lines"):
        with_part("no markers", "new")


def test_the_page_is_that_of_the_rows_kept() -> None:
    assert part_of(PAGE.read_text("utf-8")) == part(load(FILE)), "run: python -m tests.faults --page"


def test_every_fault_of_the_bench_is_on_the_page() -> None:
    assert set(load(FILE).rows) == set(CASES), "run: make faults"

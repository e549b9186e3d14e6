"""`paceline replay` as people call it, before any server is needed: the command line, files, exit codes."""

import argparse
import math
import re
from pathlib import Path

import pytest

from paceline.commands import replay
from tests.support import recordings

HOUR = recordings.workout(60)


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and what was said on standard error."""
    parser = argparse.ArgumentParser()
    replay.add_parser(parser.add_subparsers())
    code = replay.run(parser.parse_args(["replay", *arguments, "--url", "http://127.0.0.1:9", "--patience", "0"]))
    return code, capsys.readouterr().err


def written(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def test_a_speed_is_a_factor_or_max() -> None:
    assert [replay.speed_of(text) for text in ("1", "10", "0.5", "max")] == [1, 10, 0.5, math.inf]
    for text in ("0", "-1", "nan", "inf", "fast"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no speed"):
            replay.speed_of(text)


def test_a_profile_is_known_keys_with_values() -> None:
    assert replay.profile_of("mass_kg=62.5") == ("mass_kg", 62.5)
    assert replay.profile_of("max_hr=190") == ("max_hr", 190)
    assert replay.profile_of("sex=female") == ("sex", "female")
    for text in ("shoe=42", "sex", "max_hr=high", "sex="):
        with pytest.raises(argparse.ArgumentTypeError):
            replay.profile_of(text)


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, said = called(capsys, str(tmp_path / "none.fit"))
    assert code == 2
    assert "none.fit: No such file" in said


def test_a_damaged_file_is_refused_with_the_place_and_the_way_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(tmp_path, "cut.fit", recordings.cut_off(recordings.fit(HOUR)))
    code, said = called(capsys, path)
    assert code == 2
    assert "cut.fit at byte " in said
    assert "--keep-going" in said


def test_heart_rates_without_times_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bare = re.sub(rb"<time>[^<]*</time>", b"", recordings.gpx(HOUR))
    code, said = called(capsys, written(tmp_path, "bare.gpx", bare))
    assert code == 2
    assert "bare.gpx: holds no times" in said
    assert "with the time of every point" in said


def test_keep_going_leaves_out_what_is_of_no_use_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(tmp_path, "notes.txt", b"not a recording at all")
    code, said = called(capsys, path, "--keep-going")
    assert code == 2
    assert said.startswith("skipped: notes.txt")
    assert "none of the files" in said


def test_accounts_are_one_per_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, two = (written(tmp_path, name, recordings.tcx(HOUR)) for name in ("a.tcx", "b.tcx"))
    assert called(capsys, one, two, "--account", "a@b.c")[0] == 2
    code, said = called(capsys, one, two, "--account", "a@b.c", "--account", "a@b.c")
    assert code == 2
    assert "cannot be two athletes" in said
    code, said = called(capsys, one, "--account", "a@b.c", "--profile", "sex=male")
    assert code == 2
    assert "its own profile" in said


def test_an_address_that_is_none_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    replay.add_parser(parser.add_subparsers())
    assert replay.run(parser.parse_args(["replay", "x.fit", "--url", "localhost:8080"])) == 2
    assert "begins with http:// or https://" in capsys.readouterr().err


def test_a_server_that_does_not_answer_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = called(capsys, written(tmp_path, "a.gpx", recordings.gpx(HOUR)))
    assert code == 3
    assert "Is the server running" in said


def test_the_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    replay.add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["replay", "--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "exit codes:" in shown

"""The generated recordings that people without files of their own try the program with."""

from pathlib import Path

import pytest

from services.training.recordings import RecordingError, read_recording, to_samples
from tests.support import recordings as made


@pytest.mark.parametrize("name", made.EXAMPLES)
def test_every_example_is_what_its_name_says(name: str) -> None:
    data = made.EXAMPLES[name]()
    if name.startswith("damaged"):
        with pytest.raises(RecordingError):
            read_recording(data, name)
    recording = read_recording(data, name, keep_going=name.startswith("damaged"))
    assert any(sample.bpm is not None for sample in to_samples(recording).samples)


def test_the_command_writes_the_same_files_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("one", "two"):
        assert made.main([str(tmp_path / folder)]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert set(written) == set(made.EXAMPLES)
    assert str(tmp_path / "one" / "run.tcx") in capsys.readouterr().out


def test_the_command_without_a_folder_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert made.main([]) == 2
    assert "OUT_DIR" in capsys.readouterr().err

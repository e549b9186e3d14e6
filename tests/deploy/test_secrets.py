"""deploy/make-secrets: every secret of an installation, each in a file, none of them twice the same."""

import stat
import subprocess
from pathlib import Path

from tests.deploy.files import DEPLOY


def test_the_secrets_are_new_each_time_and_kept_once_made(tmp_path: Path) -> None:
    script, one, two = DEPLOY / "make-secrets", tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        subprocess.run([script, folder], check=True, capture_output=True, timeout=60)
    made = {path.name: path.read_bytes() for path in one.iterdir()}

    assert all(made[path.name] != path.read_bytes() for path in two.iterdir())
    again = subprocess.run([script, one], check=False, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert {path.name: path.read_bytes() for path in one.iterdir()} == made


def test_only_their_owner_gets_to_the_secrets(secret_files: Path) -> None:
    assert stat.S_IMODE(secret_files.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret_files.iterdir()} == {0o444}


def test_no_secret_is_ever_committed() -> None:
    ignored = (DEPLOY.parent / ".gitignore").read_text().splitlines()

    assert "deploy/secrets/" in ignored

"""What an installation makes for itself at its first start."""

import errno
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from paceline.keys import (
    ADMIN_TOKEN_FILE,
    KEY_FILE,
    SEALING_KEY_FILE,
    VAPID_KEY_FILE,
    KeyMissing,
    admin_token,
    known_admin_token,
    known_sealing_keys,
    known_signing_key,
    known_vapid_key,
    sealing_keys,
    signing_key,
    vapid_key,
)
from paceline.settings import Settings
from services.accounts.keyring import load_key
from services.notifications.vapid import load_vapid_key


def settings(folder: Path) -> Settings:
    return replace(Settings(), data_dir=folder)


def test_the_admin_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    here = settings(tmp_path / "new" / "data")
    made = admin_token(here)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", made), "32 random bytes"
    assert admin_token(here) == made
    path = here.data_dir / ADMIN_TOKEN_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in here.data_dir.iterdir()) == [ADMIN_TOKEN_FILE], "nothing half made is left"
    assert admin_token(settings(tmp_path / "other")) != made


def test_the_environment_comes_first_and_then_nothing_is_made(tmp_path: Path) -> None:
    here = replace(settings(tmp_path), admin_token="kettle-moss-anchor-violet-2031")
    assert admin_token(here) == known_admin_token(here) == "kettle-moss-anchor-violet-2031"
    assert list(tmp_path.iterdir()) == []


def test_a_command_finds_the_token_and_makes_none(tmp_path: Path) -> None:
    here = settings(tmp_path)
    assert known_admin_token(here) is None
    assert known_admin_token(settings(tmp_path / "not" / "there")) is None
    assert list(tmp_path.iterdir()) == []
    made = admin_token(here)
    assert known_admin_token(here) == made


def test_a_token_that_was_put_there_by_hand_may_end_in_a_line_break(tmp_path: Path) -> None:
    (tmp_path / ADMIN_TOKEN_FILE).write_text("kettle-moss-anchor-violet-2031\n\n")
    assert admin_token(settings(tmp_path)) == known_admin_token(settings(tmp_path)) == "kettle-moss-anchor-violet-2031"


def test_the_signing_key_is_made_once_as_well(tmp_path: Path) -> None:
    here = settings(tmp_path)
    made = signing_key(here)
    load_key(made)
    assert signing_key(here) == made
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_the_key_for_browsers_is_made_once_and_the_environment_comes_first(tmp_path: Path) -> None:
    here = settings(tmp_path)
    made = vapid_key(here)
    load_vapid_key(made)
    assert vapid_key(here) == made
    assert stat.S_IMODE((tmp_path / VAPID_KEY_FILE).stat().st_mode) == 0o600
    assert vapid_key(replace(here, vapid_key="another")) == "another"


def test_the_sealing_key_is_made_once_as_well_unless_keys_are_given(tmp_path: Path) -> None:
    here = settings(tmp_path)
    (made,) = sealing_keys(here)
    assert len(made) == 32
    assert sealing_keys(here) == (made,)
    assert stat.S_IMODE((tmp_path / SEALING_KEY_FILE).stat().st_mode) == 0o600
    given = (bytes(32), made)
    assert sealing_keys(replace(settings(tmp_path / "other"), sealing_keys=given)) == given
    assert not (tmp_path / "other").exists()


def test_a_command_finds_the_keys_that_there_are_and_makes_none(tmp_path: Path) -> None:
    here = settings(tmp_path / "data")
    for known, variable in ((known_signing_key, "PACELINE_TOKEN_KEY"), (known_sealing_keys, "PACELINE_SEALING_KEYS")):
        with pytest.raises(KeyMissing, match=f"{variable} is not set, and .* does not exist"):
            known(here)
    assert known_vapid_key(here) is None
    assert list(tmp_path.iterdir()) == []
    made = signing_key(here), sealing_keys(here), vapid_key(here)
    assert (known_signing_key(here), known_sealing_keys(here), known_vapid_key(here)) == made
    given = replace(settings(tmp_path / "other"), token_key="given", sealing_keys=(bytes(32),), vapid_key="given")
    assert (known_signing_key(given), known_sealing_keys(given), known_vapid_key(given)) == (
        "given",
        (bytes(32),),
        "given",
    )


def test_what_a_start_leaves_behind_that_was_cut_off_is_in_nobodys_way(tmp_path: Path) -> None:
    for half in (f"token.key.{os.getpid()}", f"{KEY_FILE}.1"):
        (tmp_path / half).write_bytes(b"")
    load_key(signing_key(settings(tmp_path)))


def test_a_full_disk_leaves_nothing_half_made_and_room_is_all_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            signing_key(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []
    load_key(signing_key(settings(tmp_path)))


def test_a_key_that_another_process_makes_meanwhile_is_the_one_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(_: int) -> None:
        (tmp_path / KEY_FILE).write_text("the other one's")

    monkeypatch.setattr(os, "fsync", late)
    assert signing_key(settings(tmp_path)) == "the other one's"
    assert list(tmp_path.iterdir()) == [tmp_path / KEY_FILE]


def test_a_volume_without_hard_links_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(OSError, match=r"its volume has no hard links .*PACELINE_DATA_DIR"):
        signing_key(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []

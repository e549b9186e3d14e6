"""Mail as files in a folder."""

import email
import email.policy
import stat
from pathlib import Path

import pytest

from services.kernel.clock import ManualClock
from services.notifications.outgoing import Receipt, Refused
from tests.support.providers.build import SENDER, mail, sms
from workers.outbound.mail_folder import MailFolder
from workers.outbound.outcomes import Away


def mailer(folder: Path) -> MailFolder:
    return MailFolder(folder, SENDER, ManualClock())


async def test_each_mail_is_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    message = mail()
    receipt = await mailer(tmp_path / "data" / "mail").send(message)
    assert receipt == Receipt("folder", f"{message.message_id}.eml")
    path = tmp_path / "data" / "mail" / receipt.provider_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["To"] == message.to


async def test_a_mail_that_is_sent_again_takes_its_own_place_and_listings_are_in_order(tmp_path: Path) -> None:
    messages = [mail(), mail(), mail()]
    for message in (messages[2], messages[0], messages[1], messages[0]):
        await mailer(tmp_path).send(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{one.message_id}.eml" for one in messages]


async def test_a_folder_that_cannot_be_written_is_to_be_tried_later(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file, not a folder")
    with pytest.raises(Away, match="mail folder"):
        await mailer(tmp_path / "mail").send(mail())


async def test_it_keeps_mail_only(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        await mailer(tmp_path).send(sms())

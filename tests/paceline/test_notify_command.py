"""`paceline notify test`, from the command line to a provider, and what the settings make of it."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from paceline.keys import vapid_key
from paceline.settings import Settings, load_settings
from paceline.third_parties import means_of
from services.notifications.vapid import load_vapid_key, make_vapid_key
from tests.support.providers import (
    Fault,
    apns_server,
    authority,
    open_apns,
    open_fcm,
    open_push_service,
    open_sms,
    open_smtp,
    sms_server,
    smtp_server,
)
from tests.support.providers.build import NUMBER, PERSON, apns_token

WAIT_S = 60


@dataclass(frozen=True)
class Said:
    """What the command printed, and its exit code."""

    code: int
    out: str
    err: str


async def notify(folder: Path, *words: str, **environ: str) -> Said:
    """Run the command as an operator does, in a process of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "paceline", "notify", "test", *words),
        env={**own, "PACELINE_DATA_DIR": str(folder), "SSL_CERT_FILE": str(authority().file), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


async def test_a_mail_goes_to_the_server_of_the_url(tmp_path: Path) -> None:
    async with open_smtp(starttls=True, login=True) as server:
        url = f"smtp://{smtp_server.USER}:kelp%20lantern%2F7%23@localhost:{server.port}"
        said = await notify(
            tmp_path, "--email", PERSON, PACELINE_MAIL_URL=url, PACELINE_MAIL_FROM="Paceline <coach@paceline.example>"
        )
        assert (said.code, said.out) == (0, "taken by smtp as Q000001\n")
        assert server.mails[0]["To"] == PERSON
        assert (server.logins, server.secure) == (1, 1)


async def test_without_a_server_the_mail_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    said = await notify(tmp_path, "--email", PERSON)
    assert said.code == 0
    (path,) = (tmp_path / "mail").iterdir()
    assert said.out == f"taken by folder as {path.name}\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "mail"], "it makes no key for browsers"


async def test_a_refusal_is_told_with_its_reason_and_without_the_address(tmp_path: Path) -> None:
    async with open_smtp() as server:
        server.faults.next(Fault("dead"))
        url = f"smtp://localhost:{server.port}"
        said = await notify(tmp_path, "--email", PERSON, PACELINE_MAIL_URL=url, PACELINE_MAIL_FROM="a@paceline.example")
    assert (said.code, said.out) == (1, "")
    assert said.err == "not taken (DeadAddress): the mail server said 550 5.1.1 <…>: user unknown\n"


async def test_a_text_and_pushes_of_every_kind_arrive(tmp_path: Path) -> None:
    async with open_sms() as texts, open_apns() as apple, open_fcm() as google, open_push_service() as service:
        environ = {
            "PACELINE_PUBLIC_URL": "https://paceline.example",
            "PACELINE_SMS_ACCOUNT": sms_server.SID,
            "PACELINE_SMS_TOKEN": sms_server.TOKEN,
            "PACELINE_SMS_FROM": sms_server.SENDER,
            "PACELINE_SMS_URL": texts.url,
            "PACELINE_APNS_KEY": apns_server.key_pem(),
            "PACELINE_APNS_KEY_ID": apns_server.KEY_ID,
            "PACELINE_APNS_TEAM_ID": apns_server.TEAM,
            "PACELINE_APNS_TOPIC": apns_server.TOPIC,
            "PACELINE_APNS_URL": apple.url,
            "PACELINE_FCM_SERVICE_ACCOUNT": google.service_account(),
            "PACELINE_FCM_URL": google.url,
            "PACELINE_OUTBOUND_ALLOW": "127.0.0.0/8,::1/128",
        }
        key = load_vapid_key(vapid_key(replace(Settings(), data_dir=tmp_path)))
        browser = service.subscribe(key.public)
        device, subscription = browser.device, tmp_path / "subscription.json"
        subscription.write_text(
            json.dumps({"endpoint": device.address, "keys": {"p256dh": device.p256dh, "auth": device.auth}})
        )
        for words in (
            ("--sms", NUMBER),
            ("--apns", apns_token()),
            ("--fcm", "x" * 40),
            ("--webpush", str(subscription)),
        ):
            said = await notify(tmp_path, *words, **environ)
            assert said.code == 0, said.err
        (text,) = texts.messages.values()
        assert text["StatusCallback"].startswith("https://paceline.example/v1/callbacks/sms?message=")
        assert (len(apple.pushed), len(google.pushed), len(browser.got)) == (1, 1, 1)


async def test_browsers_are_not_pushed_to_with_a_key_that_they_do_not_know(tmp_path: Path) -> None:
    async with open_push_service() as service:
        browser = service.subscribe(load_vapid_key(make_vapid_key().decode()).public)
        keys = {"p256dh": browser.device.p256dh, "auth": browser.device.auth}
        given = tmp_path / "subscription.json"
        given.write_text(json.dumps({"endpoint": browser.device.address, "keys": keys}))
        said = await notify(tmp_path / "data", "--webpush", str(given), PACELINE_OUTBOUND_ALLOW="127.0.0.0/8,::1/128")
    assert said.code == 1
    assert "no provider for webpush" in said.err
    assert browser.got == []


async def test_settings_that_are_wrong_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    said = await notify(tmp_path, "--email", PERSON, PACELINE_MAIL_URL="smtps://mail.example.org")
    assert said.code == 2
    assert "PACELINE_MAIL_FROM" in said.err


def test_mail_has_a_folder_only_where_everything_is_local(tmp_path: Path) -> None:
    local = replace(load_settings({}), data_dir=tmp_path)
    assert means_of(local).mail is not None
    assert means_of(replace(local, database_url="postgresql://db/x")).mail is None


def test_the_subject_for_push_services_is_the_senders_address_unless_another_is_given(tmp_path: Path) -> None:
    local = replace(load_settings({"PACELINE_MAIL_FROM": "Paceline <no-reply@example.org>"}), data_dir=tmp_path)
    subjects = [means_of(one).web_push for one in (local, replace(local, vapid_subject="https://example.org/contact"))]
    assert [one.subject for one in subjects if one] == ["mailto:no-reply@example.org", "https://example.org/contact"]

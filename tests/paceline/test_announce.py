"""`paceline announce` and `paceline deliveries`, on a real database."""

import asyncio
import json
from datetime import timedelta

import pytest

from paceline.__main__ import main
from paceline.commands.announce import Said, announced
from paceline.commands.deliveries import of_account, resend
from persistence.database import Database
from services.kernel.clock import utc
from services.kernel.facts import AnnouncementMade
from services.kernel.ids import DeliveryId
from services.kernel.problems import ClassNotFound, NotFound
from services.notifications.content import AnnouncementContent
from services.notifications.outgoing import InDoubt
from tests.support import notified
from tests.support.notified import Notified
from tests.support.postbox import Postbox, a_sender, send_due
from tests.support.world import SEALING_KEYS

CONTENT = AnnouncementContent(title="New classes", body="From Monday on.", sender="Paceline")


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


async def say(world: Notified, *, really: bool, code: str | None = None) -> str:
    """What the command prints."""
    async with world.transactions() as stores:
        return await announced(stores, world.clock, world.ids, Said(CONTENT, code, "", really))


async def test_without_yes_it_is_shown_in_every_language_and_nothing_is_said(world: Notified) -> None:
    await world.account()
    shown = await say(world, really=False)
    assert "[en] mail:" in shown
    assert "[de] mail:" in shown
    assert "From Monday on." in shown
    assert "1 people with an account" in shown
    assert await world.told() == []


async def test_with_yes_one_fact_is_told_however_many_it_is_for(world: Notified) -> None:
    for name in ("Ada", "Bob"):
        await world.account(name)
    assert "Said to 2 people" in await say(world, really=True)
    (fact,) = await world.told()
    assert isinstance(fact, AnnouncementMade)


async def test_for_a_class_its_members_are_counted_and_an_unknown_code_is_refused(world: Notified) -> None:
    coach = await world.account("Cleo", "coach")
    live = await world.live_class(coach)
    await world.enter(live, coach, "coach")
    await world.account("Stranger")
    assert "the 1 members of 'Hills'" in await say(world, really=False, code=live.code.lower())
    with pytest.raises(ClassNotFound):
        await say(world, really=False, code="NOSUCH")


async def test_the_whole_command_on_a_database_given_by_url(
    world: Notified, fresh_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.account()
    monkeypatch.setenv("DATABASE_URL", fresh_dsn)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    call = ["announce", "--title", " New\nclasses ", "--body", "From Monday on.", "--yes"]
    assert await asyncio.to_thread(main, call) == 0
    assert "Said to 1 people" in capsys.readouterr().out
    assert await asyncio.to_thread(main, [*call, "--link", "javascript:alert(1)"]) == 2
    assert "https://" in capsys.readouterr().err
    assert await asyncio.to_thread(main, [*call, "--class", "NOSUCH"]) == 1
    assert await asyncio.to_thread(main, ["deliveries", "doubtful", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert len(await world.told()) == 1


async def test_what_became_of_somebodys_mail_is_shown_and_one_in_doubt_is_sent_again(world: Notified) -> None:
    ada = await world.account()
    await world.tell(notified.announced(), ada)
    postbox = Postbox()
    postbox.refuse(InDoubt("the line broke"))
    sender = a_sender(world, postbox)
    await send_due(sender)
    async with world.transactions() as stores:
        (seen,) = await of_account(stores, "SOMEBODY1@example.org", 10)
        assert (seen.state, seen.reason) == ("in_doubt", "the line broke")
        await resend(stores, world.clock, seen.id)
    await send_due(sender)
    assert len(postbox.mails()) == 2
    async with world.transactions() as stores:
        with pytest.raises(NotFound):
            await resend(stores, world.clock, seen.id)
        with pytest.raises(NotFound):
            await resend(stores, world.clock, DeliveryId(world.ids.next()))
        with pytest.raises(NotFound):
            await of_account(stores, "nobody@example.org", 10)
        assert utc(world.clock.wall_ms()) - seen.changed_at < timedelta(minutes=1)

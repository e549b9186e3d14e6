"""Telling people things over the heads of the API: what tests of the inbox arrange with."""

import uuid
from typing import Any

from services.kernel.ids import AccountId, Uuid7Ids
from services.notifications.content import AnnouncementContent, Content, topic_of
from services.notifications.rendering import Words
from services.notifications.telling import News, Telling
from tests.gateway.http.conftest import Api


def account_of(person: dict[str, Any]) -> AccountId:
    """The account in the reply of a registration."""
    return AccountId(uuid.UUID(person["account"]["id"]))


async def told(api: Api, person: dict[str, Any], *titles: str, content: Content | None = None) -> None:
    """Tell somebody these things, a second apart."""
    telling = Telling(Words(), frozenset({"email", "push", "sms"}), api.clock, Uuid7Ids(api.clock))
    for title in titles:
        await api.clock.advance(1)
        said = content or AnnouncementContent(title=title, body=f"{title}, in more words.", sender="Mira")
        async with api.transactions() as stores:
            await telling.tell(stores, topic_of(said), [News(account_of(person), said, title)])

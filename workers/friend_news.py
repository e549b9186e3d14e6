"""What is told of friends: to who is asked that somebody asks, to who has asked that they are friends (workers/notifying.py tells
it).

Both are looked at as they are now: a request that was taken back, declined or blocked since is no news, nor is a friendship that
has ended. Who has more requests than they are shown is not told of further ones.
"""

from persistence.stores import Stores
from services.kernel.clock import utc
from services.kernel.facts import FriendAsked, FriendsMade
from services.notifications.content import FriendAskedContent, FriendMadeContent
from services.notifications.telling import News
from services.social.friend import LIFE_MS, MAX_SHOWN


async def request(stores: Stores, fact: FriendAsked, now_ms: int) -> list[News]:
    """For who is asked."""
    asking = await stores.friends.asking(fact.asked_id, utc(now_ms - LIFE_MS), MAX_SHOWN)
    return [
        News(
            fact.asked_id, FriendAskedContent(one.account_id, one.name, one.asked_at_ms + LIFE_MS), str(one.account_id)
        )
        for one in asking
        if one.account_id == fact.asker_id
    ]


async def acceptance(stores: Stores, fact: FriendsMade) -> list[News]:
    """For who had asked; the other has just said yes."""
    friend = await stores.accounts.by_id(fact.asked_id)
    since_ms = await stores.friends.since(fact.asker_id, fact.asked_id)
    if friend is None or since_ms is None:
        return []
    return [News(fact.asker_id, FriendMadeContent(friend.id, friend.name, since_ms), str(friend.id))]

"""People who are told things, in a real database: what tests of notifications arrange with, in a few words each."""

from collections.abc import Sequence
from typing import Final

from persistence.database import Database
from persistence.deliveries import Seen
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock, utc
from services.kernel.ids import DeviceId, LoginId
from services.notifications.account_letter import AccountLetter
from services.notifications.addresses import NewDevice, PushDevice
from services.notifications.contact_letter import ContactLetter
from services.notifications.content import AnnouncementContent, Content, topic_of
from services.notifications.deciding import Kind
from services.notifications.notification import Notification
from services.notifications.notifications import Notifications
from services.notifications.outgoing import Channel
from services.notifications.ports import Links, MailWords, Reader, Short
from services.notifications.preferences import Preferences, checked
from services.notifications.telling import News, Telling
from services.notifications.topics import Way
from services.notifications.unsubscribe import Unsubscribe
from tests.support.world import World
from workers.notifying import Notifying

ALL: Final[frozenset[Channel]] = frozenset({"email", "push", "sms"})
SECRET: Final = b"the secret of all nodes"


class PlainWords:
    """Words that a test can foresee: what a notification is about, and for whom."""

    def version(self, template: str) -> int:
        return 1

    def inbox(self, notification: Notification, reader: Reader) -> Short:
        return Short(notification.topic, f"{reader.name}: {_said(notification)}")

    def push(self, notification: Notification, reader: Reader) -> Short:
        return Short(notification.topic, f"{reader.name}: {_said(notification)}")

    def sms(self, notification: Notification, reader: Reader) -> str:
        return f"{reader.name}: {_said(notification)}"

    def code(self, code: str, reader: Reader) -> str:
        return f"{reader.name}: {code}"

    def contact_sms(self, letter: ContactLetter, reader: Reader, link: str) -> str:
        return f"contact {letter.says} {letter.athlete} {link}"

    def contact(self, letter: ContactLetter, reader: Reader, links: Links) -> MailWords:
        return MailWords(f"contact {letter.says}", f"{reader.name}: {letter.athlete} {links.open}", "<p>html</p>")

    def account(self, letter: AccountLetter, reader: Reader, links: Links) -> MailWords:
        return MailWords(f"account {letter.says}", f"{reader.name}: {links.open}", "<p>html</p>")

    def mail(self, notification: Notification, reader: Reader, links: Links) -> MailWords:
        return MailWords(notification.topic, f"{reader.name}: {_said(notification)}", "<p>html</p>")

    def digest(self, notifications: Sequence[Notification], reader: Reader, links: Links) -> MailWords:
        lines = [_said(each) for each in notifications]
        return MailWords("digest", f"{reader.name}: {', '.join(lines)}", "<p>html</p>")


class Notified(World):
    """A world in which people can be told things."""

    def __init__(self, database: Database, clock: ManualClock | None = None) -> None:
        super().__init__(database, clock)
        self.unsubscribe: Final = Unsubscribe(SECRET)
        self.use: Final = Notifications(self.transactions, self.clock, self.ids, self.unsubscribe)
        self.telling: Final = Telling(PlainWords(), ALL, self.clock, self.ids)

    async def device(self, caller: Caller, name: str = "a", kind: Kind = "apns") -> PushDevice:
        """A device that takes the caller's pushes."""
        address = {
            "apns": name.encode().hex().rjust(64, "0"),
            "fcm": name.rjust(40, "f"),
            "webpush": f"https://push.example.org/{name}",
        }[kind]
        keys = {"p256dh": "p" * 87, "auth": "a" * 22} if kind == "webpush" else {}
        return await self.use.add_device(caller, NewDevice(kind=kind, address=address, name=name, **keys))

    async def prefers(self, caller: Caller, preferences: Preferences) -> None:
        """The caller chooses this, whatever there was before."""
        before = await self.use.preferences(caller)
        wanted = Preferences(
            locale=preferences.locale,
            time_zone=preferences.time_zone,
            quiet_hours=preferences.quiet_hours,
            digest=preferences.digest,
            chosen=preferences.chosen,
            revision=before.revision,
        )
        await self.use.save_preferences(caller, checked(wanted))

    async def wants(self, caller: Caller, topic: str, channel: Channel, way: Way) -> None:
        """The caller chooses one way, and leaves the rest."""
        before = await self.use.preferences(caller)
        chosen = {name: dict(ways) for name, ways in before.chosen.items()}
        chosen.setdefault(topic, {})[channel] = way
        await self.prefers(caller, Preferences(
            locale=before.locale, time_zone=before.time_zone, quiet_hours=before.quiet_hours, digest=before.digest,
            chosen=chosen,
        ))  # fmt: skip

    async def phone(self, caller: Caller, number: str = "+4915112345678") -> None:
        """The caller's verified number."""
        async with self.transactions() as stores:
            await stores.notification_settings.set_phone(caller.account_id, number, utc(self.clock.wall_ms()))

    async def tell(self, content: Content, *callers: Caller, subject: str = "subject") -> int:
        """Tell these people this now."""
        news = [News(caller.account_id, content, subject) for caller in callers]
        async with self.transactions() as stores:
            return await self.telling.tell(stores, topic_of(content), news)

    async def inbox(self, caller: Caller) -> tuple[Notification, ...]:
        """The caller's inbox, newest first."""
        return (await self.use.page(caller)).notifications

    async def deliveries(self, caller: Caller) -> list[Seen]:
        """What was or is on its way to the caller, newest first."""
        async with self.transactions() as stores:
            return await stores.deliveries.of_account(caller.account_id, 100)

    async def states(self, caller: Caller) -> list[tuple[str, str]]:
        """Lane and state of each, in the order of the lanes."""
        return sorted((each.lane, each.state) for each in await self.deliveries(caller))


def notifying(world: World) -> Notifying:
    """The handler of what people are told about, in plain words."""
    return Notifying(Telling(PlainWords(), ALL, world.clock, world.ids), world.clock)


def announced(body: str = "We close at eight.") -> AnnouncementContent:
    """Something that is said to many."""
    return AnnouncementContent(title="News", body=body, sender="Paceline")


def a_device_id(world: World) -> DeviceId:
    """Nobody's device."""
    return DeviceId(world.ids.next())


def a_login_id(world: World) -> LoginId:
    """Nobody's login."""
    return LoginId(world.ids.next())


def _said(notification: Notification) -> str:
    content = notification.content
    return content.body if isinstance(content, AnnouncementContent) else topic_of(content)

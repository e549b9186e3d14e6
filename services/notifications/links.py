"""The addresses that mail and pushes lead to. Pure. The pages behind them are the gateway's (gateway/http/pages.py)."""

from collections.abc import Callable
from typing import Final

from services.accounts.account_mail import AccountMail, MailTokens
from services.kernel.ids import AccountId, ContactId, ContactPhoneId, NotificationId
from services.notifications.account_letter import HAVE_LINKS, Letter
from services.notifications.contact_link import ContactLinks
from services.notifications.ports import Links
from services.notifications.topics import Topic
from services.notifications.unsubscribe import Stopping, Unsubscribe

_PAGES: Final[dict[Letter, str]] = {"reset": "reset", "invite": "organisation"}
"""Where the links in mails about accounts lead that have a page of their own."""


class Linking:
    """Makes links. `base_url` says where people reach this installation, without a slash at the end; it is asked late, since
    a port that the system chooses is known late."""

    def __init__(
        self, base_url: Callable[[], str], unsubscribe: Unsubscribe, contacts: ContactLinks, mails: MailTokens
    ) -> None:
        self._base_url: Final = base_url
        self._unsubscribe: Final = unsubscribe
        self._contacts: Final = contacts
        self._mails: Final = mails

    def of_notification(self, account_id: AccountId, topic: Topic, notification_id: NotificationId) -> Links:
        """For a mail about one thing; no way to stop what is essential."""
        stop = None if topic.essential else self._stop(Stopping(account_id, topic.name))
        return Links(self.open(notification_id), self._preferences(), stop)

    def of_digest(self, account_id: AccountId) -> Links:
        """For a mail about several things."""
        return Links(f"{self._base_url()}/inbox", self._preferences(), self._stop(Stopping(account_id, digest=True)))

    def of_contact(self, contact_id: ContactId) -> Links:
        """For a letter to an emergency contact: the page on which they answer, and what says no in one click."""
        answer = f"{self._base_url()}/emergency-contact?token={self._contacts.token(contact_id)}"
        return Links(answer, answer, f"{answer}&answer=no")

    def of_contact_phone(self, phone_id: ContactPhoneId) -> str:
        """For a text message to an emergency contact: the page on which they answer."""
        return f"{self._base_url()}/emergency-contact/phone?token={self._contacts.phone_token(phone_id)}"

    def of_account_mail(self, mail: AccountMail, says: Letter) -> Links:
        """For a mail about an account: the page that does what its link is for, or the account.

        The token stands behind the #, which browsers keep to themselves: it is in no log of a server, and no other site is told it.
        """
        account = f"{self._base_url()}/account"
        if says not in HAVE_LINKS:
            return Links(account, f"{self._base_url()}/reset", None)
        page = _PAGES.get(says, "verify")
        return Links(f"{self._base_url()}/{page}#{says}={self._mails.token(mail.id, mail.says)}", account, None)

    def open(self, notification_id: NotificationId) -> str:
        """To one notification in the inbox."""
        return f"{self._base_url()}/inbox#{notification_id}"

    def _preferences(self) -> str:
        return f"{self._base_url()}/inbox#settings"

    def _stop(self, stopping: Stopping) -> str:
        return f"{self._base_url()}/unsubscribe?token={self._unsubscribe.token(stopping)}"

"""What an emergency contact learns of an incident."""

from typing import Final, get_args

from services.kernel.clock import utc
from services.notifications.contact_letter import ALARM_MS, Way, letter_id
from services.safety.incident import Incident
from services.safety.ports import SafetyStores

WAYS: Final[tuple[Way, ...]] = get_args(Way)


async def write_to_contact(stores: SafetyStores, before: Incident, moved: Incident) -> None:
    """What the contact learns of a change: that there is no answer, and after that, that there is one. In the transaction of the
    change, so neither is without the other; by all ways that the contact has agreed to. The letters have ids of their own
    (`letter_id`), so neither is there twice."""
    if before.contact_told_ms is None and moved.contact_told_ms is not None:
        contact = await stores.contacts.agreed(moved.account_id)
        at, until = utc(moved.contact_told_ms), utc(moved.contact_told_ms + ALARM_MS)
        if contact is not None and contact.by_mail:
            await stores.letters.alarm(letter_id(moved.id, "alarm"), contact.id, None, moved.id, at, until)
        if contact is not None and contact.phone_id is not None:
            letter = letter_id(moved.id, "alarm", "sms")
            await stores.letters.alarm(letter, contact.id, contact.phone_id, moved.id, at, until)
    elif moved.ended_by == "athlete" and moved.ended_ms is not None and moved.contact_told_ms is not None:
        at, until = utc(moved.ended_ms), utc(moved.ended_ms + ALARM_MS)
        for way in WAYS:
            await stores.letters.reassure(
                letter_id(moved.id, "well", way), letter_id(moved.id, "alarm", way), at, until
            )

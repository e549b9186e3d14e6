"""What an emergency contact learns of an incident."""

from services.kernel.clock import utc
from services.notifications.contact_letter import ALARM_MS, letter_id
from services.safety.incident import Incident
from services.safety.ports import SafetyStores


async def write_to_contact(stores: SafetyStores, before: Incident, moved: Incident) -> None:
    """What the contact learns of a change: that there is no answer, and after that, that there is one. In the transaction of the
    change, so neither is without the other; the letters have ids of their own (`letter_id`), so neither is there twice."""
    if before.contact_told_ms is None and moved.contact_told_ms is not None:
        contact = await stores.contacts.agreed(moved.account_id)
        at_ms = moved.contact_told_ms
        if contact is not None:
            letter = letter_id(moved.id, "alarm")
            await stores.deliveries.alarm_contact(letter, contact, moved.id, utc(at_ms), utc(at_ms + ALARM_MS))
    elif moved.ended_by == "athlete" and moved.ended_ms is not None and moved.contact_told_ms is not None:
        at_ms, alarm = moved.ended_ms, letter_id(moved.id, "alarm")
        await stores.deliveries.reassure_contact(letter_id(moved.id, "well"), alarm, utc(at_ms), utc(at_ms + ALARM_MS))

"""The telephone number of an emergency contact, and whether its owner has agreed to be sent text messages there. Pure.

A number is somebody else's, as an address is, and is asked by itself: with a text message and a link in it, so who agrees is
who reads what comes to that number. Each text message costs money and rings on somebody's table, so the bounds on asking are those
for mail (contact.py), counted for numbers."""

from services.kernel.ids import ContactId, ContactPhoneId
from services.safety.question import Question


class ContactPhone(Question, frozen=True, kw_only=True):
    """One time that a number was asked. `contact_id` is whose it is said to be, `contact` their name."""

    id: ContactPhoneId
    contact_id: ContactId
    contact: str
    number: str

"""Where people can be reached: what is taken for an address, and what is not."""

import pytest

from services.kernel.problems import BadShape
from services.notifications.addresses import NewDevice, checked, normal_phone

KEYS = {"p256dh": "B" * 87, "auth": "a" * 22}


def test_a_token_of_apple_is_kept_in_small_letters_and_has_no_keys() -> None:
    assert checked(NewDevice(kind="apns", address="AB" * 32, **KEYS)) == NewDevice(kind="apns", address="ab" * 32)


@pytest.mark.parametrize(
    "wrong",
    [
        NewDevice(kind="apns", address="xyz"),
        NewDevice(kind="apns", address="ab" * 31),
        NewDevice(kind="fcm", address="has blanks " * 5),
        NewDevice(kind="webpush", address="http://push.example.org/1", **KEYS),
        NewDevice(kind="webpush", address="https:///nowhere", **KEYS),
        NewDevice(kind="webpush", address="https://[half", **KEYS),
        NewDevice(kind="webpush", address="https://push.example.org/ä", **KEYS),
        NewDevice(kind="webpush", address="https://push.example.org/1"),
        NewDevice(kind="webpush", address="https://push.example.org/" + "a" * 1_024, **KEYS),
    ],
)
def test_what_is_no_address_is_refused(wrong: NewDevice) -> None:
    with pytest.raises(BadShape):
        checked(wrong)


def test_a_number_is_kept_in_one_form() -> None:
    assert normal_phone("+49 (151) 123-45678") == "+4915112345678"


@pytest.mark.parametrize("wrong", ["0151 1234567", "+0", "49151", "+49 151 12345678901234", "+49abc12345"])
def test_a_number_without_its_country_is_refused(wrong: str) -> None:
    with pytest.raises(BadShape):
        normal_phone(wrong)

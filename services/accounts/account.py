"""An account: what may be in it, and who may be called what.

Rules only: no clock, no database, no randomness. Three of them deserve a word.

E-mail addresses are kept in lower case and in ASCII. Upper and lower case in front of the @ can in theory be two
people; in practice they are one who types differently on the phone. Addresses outside ASCII (SMTPUTF8) are refused with
a sentence, because half the world's mail servers would not deliver to them; with them go all look-alikes of other scripts.
Nothing else is undone: dots and what stands behind a plus are another mailbox with some providers, and making two addresses
one is how an account is taken over. What a name may be made of is `look_alike.py`.

A password is judged by what is left of it once everything guessable has been taken out: runs of the keyboard, the
person's own name and address, the product, the words that lead every leaked list. Each guessable stretch counts as one
character. So "Anna2024!" does not become strong by being long, and a sentence of ordinary words is welcome.

A resting heart rate has to lie below the maximum that would be used, also when that maximum comes from the age; the
rule is the one of `services.training.physiology`, so a profile that is accepted here can always be trained with.
"""

import re
import unicodedata
from datetime import date
from typing import Annotated, Final, Literal

import msgspec

from services.accounts import look_alike
from services.kernel.caller import AccountRole
from services.kernel.ids import AccountId
from services.kernel.problems import BadShape, Forbidden, WeakPassword
from services.training.physiology import (
    MASS_KG_RANGE,
    MAX_HR_RANGE,
    REST_HR_RANGE,
    ImplausiblePhysiologyError,
    Physiology,
    physiology_of,
)

SignupRole = Literal["member", "coach"]

MAX_EMAIL: Final = 254
"""Longest address that can be mailed to (RFC 5321, with the angle brackets taken off)."""
MAX_NAME: Final = 80
MAX_DEVICE: Final = 80
MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 128
MAX_TYPED_PASSWORD: Final = 512
"""Characters looked at before Unicode composition; beyond it nothing is normalised, hashed or compared."""
MIN_UNGUESSABLE: Final = 8
"""Characters a password needs once each guessable stretch counts as one. Chosen by feeling."""

Sex = Literal["male", "female"]
Units = Literal["metric", "imperial"]
MassKg = Annotated[float, msgspec.Meta(ge=MASS_KG_RANGE[0], le=MASS_KG_RANGE[1], description="body mass in kg")]
MaxHr = Annotated[int, msgspec.Meta(ge=MAX_HR_RANGE[0], le=MAX_HR_RANGE[1], description="measured maximum, bpm")]
RestHr = Annotated[int, msgspec.Meta(ge=REST_HR_RANGE[0], le=REST_HR_RANGE[1], description="resting rate, bpm")]


class Profile(msgspec.Struct, frozen=True):
    """What somebody told us about their body; None is "did not say". Heart rates in bpm, mass in kg."""

    birth_date: date | None = None
    sex: Sex | None = None
    mass_kg: float | None = None
    max_hr: int | None = None
    rest_hr: int | None = None

    def physiology(self, on: date) -> Physiology:
        """The body to judge a workout of the day `on` by. Raises ImplausiblePhysiologyError when it cannot be."""
        return physiology_of(
            on=on,
            max_hr=self.max_hr,
            rest_hr=self.rest_hr,
            sex=self.sex,
            mass_kg=self.mass_kg,
            born=self.birth_date,
        )


class Account(msgspec.Struct, frozen=True):
    """One person with an address. The password's hash is not part of it and travels apart, in `Credentials`. `units`: how pages and
    apps show what is kept metric.

    `verified_at_ms`: when they have shown that they read the mail of this address; None while they have not.
    """

    id: AccountId
    email: str
    name: str
    roles: frozenset[AccountRole]
    created_at_ms: int
    profile: Profile = Profile()
    verified_at_ms: int | None = None
    units: Units = "metric"


class Credentials(msgspec.Struct, frozen=True):
    """What a log-in is checked against."""

    account: Account
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials({self.account.id})"


class ProfileChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change about oneself: a field left out stays as it is, null forgets it.

    Heart rates in bpm, mass in kg, the birth date as "1990-05-17". `units` is how you want to see distances and weights; what
    travels is metric.
    """

    name: str | msgspec.UnsetType = msgspec.UNSET
    birth_date: date | msgspec.UnsetType | None = msgspec.UNSET
    sex: Sex | msgspec.UnsetType | None = msgspec.UNSET
    mass_kg: MassKg | msgspec.UnsetType | None = msgspec.UNSET
    max_hr: MaxHr | msgspec.UnsetType | None = msgspec.UNSET
    rest_hr: RestHr | msgspec.UnsetType | None = msgspec.UNSET
    units: Units | msgspec.UnsetType = msgspec.UNSET


class AccountView(msgspec.Struct, frozen=True):
    """An account as its owner sees it. Times in ms since 1970; profile fields are null until told. `verified`: a link in a mail to
    this address was followed."""

    id: AccountId
    email: str
    name: str
    roles: tuple[AccountRole, ...]
    created_at_ms: int
    birth_date: date | None
    sex: Sex | None
    mass_kg: float | None
    max_hr: int | None
    rest_hr: int | None
    verified: bool = False
    units: Units = "metric"


def view_of(account: Account) -> AccountView:
    """What the owner gets to see."""
    profile = account.profile
    return AccountView(
        id=account.id,
        email=account.email,
        name=account.name,
        roles=tuple(sorted(account.roles)),
        created_at_ms=account.created_at_ms,
        birth_date=profile.birth_date,
        sex=profile.sex,
        mass_kg=profile.mass_kg,
        max_hr=profile.max_hr,
        rest_hr=profile.rest_hr,
        verified=account.verified_at_ms is not None,
        units=account.units,
    )


# -- e-mail and name --------------------------------------------------------------------------------------------

# Deliberately narrower than RFC 5322: no quoted local part, no address literal, no comment. Linear by construction.
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+"
)


def normal_email(text: str) -> str:
    """The address as it is stored and compared. Raises BadShape at `$.email`."""
    if len(text) > MAX_EMAIL + 2:
        raise BadShape(f"an e-mail address has at most {MAX_EMAIL} characters", path="$.email")
    email = text.strip(" ")
    if not email.isascii():
        raise BadShape("the e-mail address may only have plain letters, digits and signs (ASCII)", path="$.email")
    email = email.lower()
    local = email.rpartition("@")[0]
    if len(email) > MAX_EMAIL or len(local) > 64 or not _EMAIL.fullmatch(email):
        raise BadShape("this is not an e-mail address; write it like anna@example.org", path="$.email")
    return email


def normal_name(text: str) -> str:
    """The name as everybody will see it: composed, trimmed, single blanks. Raises BadShape at `$.name`."""
    if len(text) > 4 * MAX_NAME:
        raise BadShape(f"a name has at most {MAX_NAME} characters", path="$.name")
    name = " ".join(look_alike.undressed(unicodedata.normalize("NFC", text)).split())
    # Control and formatting characters could turn the rest of a board around or hide inside another's name. The
    # joiners are spared: Persian and several Indian scripts, and half of all emoji, are written with them.
    if any(
        unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co", "Cn"} and sign not in "\u200c\u200d" for sign in name
    ):
        raise BadShape("a name may not have control characters in it", path="$.name")
    if not 1 <= len(name) <= MAX_NAME:
        raise BadShape(f"a name has 1 to {MAX_NAME} characters", path="$.name")
    if not any(unicodedata.category(sign)[0] in "LNS" for sign in name):
        raise BadShape("a name needs a letter in it", path="$.name")
    if (fault := look_alike.fault_of(name)) is not None:
        raise BadShape(fault, path="$.name")
    return name


def role_given(role: SignupRole, coach_signup: Literal["open", "closed"]) -> None:
    """Return when somebody may give themselves this role here. Raises Forbidden."""
    if role == "coach" and coach_signup == "closed":
        raise Forbidden(
            "coaches cannot sign up by themselves here; register as a member and ask the operator for the role"
        )


def normal_device(text: str) -> str:
    """What a device calls itself, made fit for a list: composed, single blanks, no control characters, cut to length."""
    seen = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in unicodedata.normalize("NFC", text))
    return " ".join(seen.split())[:MAX_DEVICE]


# -- passwords --------------------------------------------------------------------------------------------------

_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "qsdfghjklm",
    "zxcvbnm",
    "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
)
_SHORTEST_RUN: Final = 4
_PLAIN: Final = str.maketrans("@401!3$5", "aaoliess")
"""Letters in disguise, undone before words are looked for."""
_WORDS: Final = (
    "paceline", "password", "passwort", "passw", "motdepasse", "contrasena", "senha", "parola", "kennwort",
    "welcome", "willkommen", "letmein", "changeme", "default", "secret", "geheim", "admin", "administrator", "login",
    "iloveyou", "monkey", "dragon", "football", "baseball", "superman", "batman", "princess", "sunshine", "shadow",
    "master", "starwars", "whatever", "michael", "jennifer", "jordan", "charlie", "trustno", "qwerty", "summer",
    "winter", "spring", "autumn", "sommer", "fitness", "running", "cycling", "training", "coach", "athlete",
    "heartrate", "workout", "marathon", "test", "hello", "hallo",
)  # fmt: skip
_YEAR = re.compile(r"(?:19|20)\d\d")


def normal_password(text: str, path: str = "$.password") -> str:
    """The password as it is hashed: composed (NFC), otherwise to the letter. Raises WeakPassword when absurdly long, with
    `path`, its place in the request.

    Composition makes the é of a phone and the é of a laptop the same é.
    """
    if len(text) > MAX_TYPED_PASSWORD:
        raise WeakPassword(f"a password has at most {MAX_PASSWORD} characters", path=path)
    return unicodedata.normalize("NFC", text)


def check_password(password: str, *, email: str, name: str, path: str = "$.password") -> None:
    """Return when `password` (normal) may protect the account of `email` (normal). Raises WeakPassword with `path`."""
    if len(password) < MIN_PASSWORD:
        raise WeakPassword(f"a password has at least {MIN_PASSWORD} characters", path=path)
    if len(password) > MAX_PASSWORD:
        raise WeakPassword(f"a password has at most {MAX_PASSWORD} characters", path=path)
    if unguessable_characters(password, email=email, name=name) < MIN_UNGUESSABLE:
        raise WeakPassword(
            "this password is easy to guess: a common word, your name or address, a row of the keyboard or a"
            " repetition makes up most of it; three or four unrelated words make a good one",
            path=path,
        )


def unguessable_characters(password: str, *, email: str, name: str) -> int:
    """Characters of `password` when every guessable stretch counts as one."""
    typed = password.casefold()
    unit = _repeated_unit(typed)
    guessable = [False] * len(typed)
    own = [part for part in re.split(r"[\W_]+", f"{email} {name}".casefold()) if len(part) >= 3]
    read = typed.translate(_PLAIN)  # one character for one, so that positions stay
    for word in (*_WORDS, *own):
        _mark(guessable, read, word.translate(_PLAIN))
        _mark(guessable, typed, word)
    for year in _YEAR.finditer(typed):
        guessable[year.start() : year.end()] = [True] * 4
    for start, end in _runs(typed):
        guessable[start:end] = [True] * (end - start)
    count = sum(not guess or place == 0 or not guessable[place - 1] for place, guess in enumerate(guessable))
    return min(count, unit)


def _mark(guessable: list[bool], text: str, word: str) -> None:
    at = text.find(word)
    while at >= 0:
        guessable[at : at + len(word)] = [True] * len(word)
        at = text.find(word, at + 1)


def _runs(text: str) -> list[tuple[int, int]]:
    """Stretches of at least four signs that are all the same or follow a row of the keyboard either way."""
    runs = []
    for row in (*_ROWS, *(row[::-1] for row in _ROWS)):
        for at in range(len(row) - _SHORTEST_RUN + 1):
            piece = row[at : at + _SHORTEST_RUN]
            found = text.find(piece)
            while found >= 0:
                runs.append((found, found + _SHORTEST_RUN))
                found = text.find(piece, found + 1)
    runs.extend((match.start(), match.end()) for match in re.finditer(r"(.)\1{3,}", text, re.DOTALL))
    return runs


def _repeated_unit(text: str) -> int:
    """Length of the shortest piece that, said again and again, makes up all of `text` ("abcabcab" has 3)."""
    for length in range(1, len(text)):
        if text[length:] == text[: len(text) - length]:
            return length
    return len(text)


# -- the profile ------------------------------------------------------------------------------------------------


def changed(account: Account, change: ProfileChange, today: date) -> Account:
    """The account after `change`. Raises BadShape with the path of the value that cannot be."""
    old = account.profile
    profile = Profile(
        birth_date=old.birth_date if change.birth_date is msgspec.UNSET else change.birth_date,
        sex=old.sex if change.sex is msgspec.UNSET else change.sex,
        mass_kg=old.mass_kg if change.mass_kg is msgspec.UNSET else change.mass_kg,
        max_hr=old.max_hr if change.max_hr is msgspec.UNSET else change.max_hr,
        rest_hr=old.rest_hr if change.rest_hr is msgspec.UNSET else change.rest_hr,
    )
    try:
        profile.physiology(today)
    except ImplausiblePhysiologyError as fault:
        field = "birth_date" if fault.field in {"born", "age_years"} else fault.field
        raise BadShape(str(fault), path=f"$.{field}") from fault
    name = account.name if change.name is msgspec.UNSET else normal_name(change.name)
    units = account.units if change.units is msgspec.UNSET else change.units
    return msgspec.structs.replace(account, name=name, profile=profile, units=units)

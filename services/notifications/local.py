"""Numbers, lengths of time, days and times of day as a person writes them. Pure.

The conventions are those of Unicode CLDR for the two languages that Paceline speaks and the regions where they differ: a
Swiss groups digits with an apostrophe, an Austrian says Jänner, a Briton reads a 24-hour clock. A region that is not in the
table writes as its language does. The same table says in which order a locale's words are looked for: de-AT, de, en.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.notifications.preferences import zone_of

LANGUAGES: Final = ("en", "de")
"""What everything is written in. The first is what somebody gets whose language is not among them."""


@dataclass(frozen=True)
class Conventions:
    """How one locale writes. `date`: weekday, day, month, year; `moment`: date and time; both for `str.format`."""

    decimal: str
    group: str
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    date: str
    moment: str
    twelve_hours: bool


_ENGLISH: Final = Conventions(
    decimal=".",
    group=",",
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    date="{weekday}, {month} {day}, {year}",
    moment="{date} at {time}",
    twelve_hours=True,
)  # fmt: skip
_GERMAN: Final = Conventions(
    decimal=",",
    group=".",
    weekdays=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni",
        "Juli", "August", "September", "Oktober", "November", "Dezember",
    ),
    date="{weekday}, {day}. {month} {year}",
    moment="{date} um {time}",
    twelve_hours=False,
)  # fmt: skip
CONVENTIONS: Final = {
    "en": _ENGLISH,
    "en-GB": replace(_ENGLISH, date="{weekday} {day} {month} {year}", twelve_hours=False),
    "de": _GERMAN,
    "de-AT": replace(_GERMAN, group="\N{NO-BREAK SPACE}", months=("Jänner", *_GERMAN.months[1:])),
    "de-CH": replace(_GERMAN, decimal=".", group="’"),
}


def fallbacks(locale: str) -> Iterator[str]:
    """Where words for `locale` (a BCP 47 tag, in any case) are looked for, best first: de-AT, de, en."""
    parts = locale.replace("_", "-").split("-")
    tag = [parts[0].lower(), *(part.upper() if len(part) == 2 else part for part in parts[1:])]
    seen = dict.fromkeys("-".join(tag[:end]) for end in range(len(tag), 0, -1))
    yield from seen
    if LANGUAGES[0] not in seen:
        yield LANGUAGES[0]


def language_of(locale: str) -> str:
    """Which of `LANGUAGES` somebody with this locale reads."""
    return next(tag for tag in fallbacks(locale) if tag in LANGUAGES)


class Local:
    """Writes for somebody with this locale in this time zone (IANA name). Instants are ms since 1970."""

    def __init__(self, locale: str, zone: str) -> None:
        self.language: Final = language_of(locale)
        self._writes: Final = next(CONVENTIONS[tag] for tag in fallbacks(locale) if tag in CONVENTIONS)
        self._zone: Final = zone_of(zone)

    def number(self, value: float, digits: int = 0) -> str:
        """12,345.6: rounded to `digits` places."""
        whole, _, rest = f"{abs(value):,.{digits}f}".partition(".")
        minus = "−" if value < 0 and (whole.strip("0,") or rest.strip("0")) else ""
        return minus + whole.replace(",", self._writes.group) + (self._writes.decimal + rest if rest else "")

    def span(self, ms: int) -> str:
        """45 s, 12 min 30 s, 1 h 5 min: the units are the same in both languages."""
        seconds = round(ms / 1000)
        if seconds < 60:
            return f"{seconds} s"
        minutes, seconds = divmod(seconds, 60)
        if minutes < 60:
            return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"

    def time(self, at_ms: int) -> str:
        """6:30 PM, 18:30, 18:30 Uhr."""
        at = self._at(at_ms)
        if self._writes.twelve_hours:
            return f"{at.hour % 12 or 12}:{at.minute:02} {'AM' if at.hour < 12 else 'PM'}"
        return f"{at.hour:02}:{at.minute:02}" + (" Uhr" if self.language == "de" else "")

    def date(self, at_ms: int) -> str:
        """Saturday, November 28, 2026; Samstag, 28. November 2026."""
        at = self._at(at_ms)
        return self._writes.date.format(
            weekday=self._writes.weekdays[at.weekday()],
            day=at.day,
            month=self._writes.months[at.month - 1],
            year=at.year,
        )

    def moment(self, at_ms: int) -> str:
        """Date and time."""
        return self._writes.moment.format(date=self.date(at_ms), time=self.time(at_ms))

    def count(self, number: int, one: str, many: str) -> str:
        """1 athlete, 12 athletes: both languages have these two forms."""
        return f"{self.number(number)} {one if number == 1 else many}"

    def _at(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._zone)

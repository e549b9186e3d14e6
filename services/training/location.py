"""Where somebody is as their stream begins, if their device says so: for fair play, and for nothing else.

A device asks its person before it tells. What it tells is made coarse before anybody keeps it, forgotten after `LOCATION_DAYS`, and
shown to nobody: of two locations is asked only whether one person can have been at both (services/fairplay/comparing.py).
"""

from typing import Annotated, Final

import msgspec

PER_DEGREE: Final = 10
"""How finely a location is kept. A tenth of a degree is 11 km: as much as it takes to tell towns apart, and no address."""
LOCATION_DAYS: Final = 30
"""How long a location is kept. Nobody is farther than a day from anywhere; late samples and second looks come within days."""


class Location(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A point on the earth (WGS 84), on the wire an array `[latitude, longitude]` in degrees, north and east positive."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]

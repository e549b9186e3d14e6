"""Typed, time-ordered ids.

Ids are UUIDv7 (RFC 9562): they sort by creation, so primary keys grow at one end. They are made by an injected
maker, never by the database, so a device can name its stream before it has a connection and a test can know the
id in advance.
"""

import secrets
import uuid
from typing import NewType, Protocol

from services.kernel.clock import Clock

AccountId = NewType("AccountId", uuid.UUID)
LoginId = NewType("LoginId", uuid.UUID)
TicketId = NewType("TicketId", uuid.UUID)
PasskeyId = NewType("PasskeyId", uuid.UUID)
SignInId = NewType("SignInId", uuid.UUID)
IdentityId = NewType("IdentityId", uuid.UUID)
ClassId = NewType("ClassId", uuid.UUID)
BookingId = NewType("BookingId", uuid.UUID)
OnDemandId = NewType("OnDemandId", uuid.UUID)
ScriptId = NewType("ScriptId", uuid.UUID)
SeriesId = NewType("SeriesId", uuid.UUID)
SuspensionId = NewType("SuspensionId", uuid.UUID)
EntitlementId = NewType("EntitlementId", uuid.UUID)
StreamId = NewType("StreamId", uuid.UUID)
WorkoutId = NewType("WorkoutId", uuid.UUID)
ChallengeId = NewType("ChallengeId", uuid.UUID)
FactId = NewType("FactId", uuid.UUID)
TaskId = NewType("TaskId", uuid.UUID)
NotificationId = NewType("NotificationId", uuid.UUID)
DeliveryId = NewType("DeliveryId", uuid.UUID)
DeviceId = NewType("DeviceId", uuid.UUID)
PhoneCheckId = NewType("PhoneCheckId", uuid.UUID)
AnnouncementId = NewType("AnnouncementId", uuid.UUID)
IncidentId = NewType("IncidentId", uuid.UUID)
ContactId = NewType("ContactId", uuid.UUID)
ContactPhoneId = NewType("ContactPhoneId", uuid.UUID)
ReportId = NewType("ReportId", uuid.UUID)
DecisionId = NewType("DecisionId", uuid.UUID)
AccountMailId = NewType("AccountMailId", uuid.UUID)
VitalId = NewType("VitalId", uuid.UUID)
WebhookEndpointId = NewType("WebhookEndpointId", uuid.UUID)
WebhookDeliveryId = NewType("WebhookDeliveryId", uuid.UUID)
AppId = NewType("AppId", uuid.UUID)
ApiKeyId = NewType("ApiKeyId", uuid.UUID)
OrganisationId = NewType("OrganisationId", uuid.UUID)


class Ids(Protocol):
    """Makes the next id."""

    def next(self) -> uuid.UUID: ...


class Uuid7Ids:
    """UUIDv7 from a clock and 74 random bits; ids made in the same ms stay in order (RFC 9562 method 1)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0
        self._counter = 0

    def next(self) -> uuid.UUID:
        ms = self._clock.wall_ms()
        if ms <= self._last_ms:
            # Same ms, or the wall clock stepped back: stay on the last ms and count up.
            ms, self._counter = self._last_ms, self._counter + 1
            if self._counter > 0xFFF:
                ms, self._counter = ms + 1, 0
        else:
            self._counter = secrets.randbelow(0x400)
        self._last_ms = ms
        value = (ms & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | self._counter << 64 | 0b10 << 62 | secrets.randbits(62)
        return uuid.UUID(int=value)


class CountingIds:
    """Ids a test can foresee: the n-th id ends in n."""

    def __init__(self) -> None:
        self._n = 0

    def next(self) -> uuid.UUID:
        self._n += 1
        return uuid.UUID(int=0x7 << 76 | 0b10 << 62 | self._n)

"""Refusals: the one table of everything that can be answered with "no".

A problem ends a request or an event, never the connection. HTTP renders it as `application/problem+json`
(RFC 9457), a socket as `{"problem": …}` in the acknowledgement; both come from here, so a client is written
against one table (docs/reference/problems.md is generated from it). `retry` tells a client whether sending the
same thing again, later, can succeed.
"""

from typing import ClassVar, Final

import msgspec


class ProblemView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem as clients see it.

    `code` stable name; `message` for people; `path` where in the payload ("$.samples[3][1]"); `retry` whether the
    same request may succeed later; `retry_after_ms` when; `data` what a program needs to go on.
    """

    code: str
    message: str
    retry: bool = False
    path: str | None = None
    retry_after_ms: int | None = None
    data: dict[str, str | int | None] | None = None


class Problem(Exception):  # noqa: N818 - "problem" is the word of the house for a refusal
    """A refusal with a code. Each situation is a subclass; its docstring is its default message."""

    code: ClassVar[str]
    status: ClassVar[int]
    retry: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        path: str | None = None,
        retry_after_ms: int | None = None,
        **data: str | int | None,
    ) -> None:
        self.message: Final = message or (self.__doc__ or self.code).strip()
        self.path = path
        self.retry_after_ms = retry_after_ms
        self.data = data
        super().__init__(f"{self.code}: {self.message}")

    def view(self) -> ProblemView:
        """What the client gets to see."""
        return ProblemView(
            code=self.code,
            message=self.message,
            retry=self.retry,
            path=self.path,
            retry_after_ms=self.retry_after_ms,
            data=self.data or None,
        )


# -- the shape of what was sent --------------------------------------------------------------------------------


class BadShape(Problem):
    """The payload does not have the documented shape; `path` says where."""

    code = "bad_shape"
    status = 422


class BadJson(Problem):
    """The body is not JSON."""

    code = "bad_json"
    status = 400


class TooLarge(Problem):
    """The payload is larger than the documented limit; send it in parts."""

    code = "too_large"
    status = 413


class UnsupportedMediaType(Problem):
    """Send the body as application/json."""

    code = "unsupported_media_type"
    status = 415


class UnknownEvent(Problem):
    """There is no event of this name; /asyncapi.json lists them all."""

    code = "unknown_event"
    status = 404


class NotFound(Problem):
    """There is nothing at this address, or it is not yours to see."""

    code = "not_found"
    status = 404


class MethodNotAllowed(Problem):
    """This address does not answer to that method; see the Allow header."""

    code = "method_not_allowed"
    status = 405


# -- who is asking ----------------------------------------------------------------------------------------------


class NotAuthenticated(Problem):
    """A valid access token is needed: log in, or refresh the one you have."""

    code = "not_authenticated"
    status = 401


class TokenExpired(Problem):
    """The access token has expired; use the refresh token to get a new one."""

    code = "token_expired"
    status = 401


class WrongCredentials(Problem):
    """E-mail and password do not match an account."""

    code = "wrong_credentials"
    status = 401


class WrongPassword(Problem):
    """This is not your password: what you want to do asks for it once more."""

    code = "wrong_password"
    status = 403


class SecondFactorNeeded(Problem):
    """The password is right, and this account has a second factor: show one of `factors`, with `token`, at `finish`."""

    code = "second_factor_needed"
    status = 401


class LoginNotWaiting(Problem):
    """No log-in waits with this token: it was finished, is too old, was guessed at too often, or the password has changed.
    Log in again."""

    code = "login_not_waiting"
    status = 401


class FactorRefused(Problem):
    """This code is wrong, or was used before."""

    code = "factor_refused"
    status = 403


class PasskeyRefused(Problem):
    """This passkey is not one that this account has here, or it was not shown for this."""

    code = "passkey_refused"
    status = 403


class AlreadySetUp(Problem):
    """You have an authenticator app already; remove it first."""

    code = "already_set_up"
    status = 409


class TooManyPasskeys(Problem):
    """You have as many passkeys as one account may; remove one first."""

    code = "too_many_passkeys"
    status = 409


class StepUpNeeded(Problem):
    """This needs a proof that it is still you: POST /v1/me/step-up, and use the access token it gives you."""

    code = "step_up_needed"
    status = 403


class TicketRefused(Problem):
    """The ticket is unknown, too old, or was used before; get another one."""

    code = "ticket_refused"
    status = 401


class AuthorizationPending(Problem):
    """Nobody has answered this screen yet; ask again after `retry_after_ms`."""

    code = "authorization_pending"
    status = 400
    retry = True


class SlowDown(Problem):
    """That was too early; from now on wait `retry_after_ms` between two questions."""

    code = "slow_down"
    status = 400
    retry = True


class PairingRefused(Problem):
    """Somebody has refused to let this screen in; ask for a new code to try again."""

    code = "pairing_refused"
    status = 400


class PairingExpired(Problem):
    """This pairing has run out, was used, or never was; ask for a new code."""

    code = "pairing_expired"
    status = 400


class PairingUnknown(Problem):
    """No screen is waiting with this code: it was mistyped, has run out, or was answered; look at the screen again."""

    code = "pairing_unknown"
    status = 404


class AccountSuspended(Problem):
    """This account is suspended; `reason` says why, and `until_ms` until when, if it ends by itself."""

    code = "account_suspended"
    status = 403


class RefreshRefused(Problem):
    """The refresh token is unknown, expired, or was used before; log in again."""

    code = "refresh_refused"
    status = 401


class PageRefused(Problem):
    """Only a page of this installation may have a login kept in a cookie, and this request does not come from one."""

    code = "page_refused"
    status = 403


class Forbidden(Problem):
    """Your role does not allow this."""

    code = "forbidden"
    status = 403


class SignInUnknown(Problem):
    """This sign-in is over, or was begun in another browser. Begin again here."""

    code = "sign_in_unknown"
    status = 404


class SignInRefused(Problem):
    """The provider did not confirm who you are, so nobody was logged in; `reason` says what was the matter. Begin again."""

    code = "sign_in_refused"
    status = 403


class LinkNeeded(Problem):
    """There is an account with this e-mail address already. Log in to it, and link this provider on your account page."""

    code = "link_needed"
    status = 409


class EmailNotVouched(Problem):
    """The provider does not confirm an e-mail address of yours, which a new account needs. Register with a password, and link the
    provider on your account page."""

    code = "email_not_vouched"
    status = 409


class IdentityTaken(Problem):
    """Another account signs in with this already. Log in to that one and remove it there first."""

    code = "identity_taken"
    status = 409


class TooManyIdentities(Problem):
    """As many ways to sign in are linked to this account as may be; remove one first."""

    code = "too_many_identities"
    status = 409


class LastWayIn(Problem):
    """This is the only way into your account that is left. Set a password, link a provider, or add a passkey, first."""

    code = "last_way_in"
    status = 409


class EmailTaken(Problem):
    """There is an account with this e-mail address already; log in instead."""

    code = "email_taken"
    status = 409


class VerifyFirst(Problem):
    """Here an address is proved before it gets an account: POST the same to /v1/registrations, and follow the link in the mail."""

    code = "verify_first"
    status = 403


class RegisteringPaused(Problem):
    """Nobody new can register here right now. Come back later; who has an account gets in as ever."""

    code = "registering_paused"
    status = 403


class LinkOver(Problem):
    """This link is good no more: it was used, its time is over, or another took its place. Ask for a new one."""

    code = "link_over"
    status = 410


class WeakPassword(Problem):
    """The password is too short, too common, or contains your name or address."""

    code = "weak_password"
    status = 422


class TooManyAttempts(Problem):
    """Too many attempts; wait before the next one."""

    code = "too_many_attempts"
    status = 429
    retry = True


class TooManyConnections(Problem):
    """This account has as many open connections here as it may; close one, or try again later."""

    code = "too_many_connections"
    status = 429
    retry = True


# -- a telephone number ----------------------------------------------------------------------------------------


class WrongCode(Problem):
    """This is not the code that was sent; `guesses_left` says how often you may try again."""

    code = "wrong_code"
    status = 422


class CodeExpired(Problem):
    """No code is waited for: it has expired, was guessed wrong too often, or another one took its place. Ask for a new one."""

    code = "code_expired"
    status = 410


class TooManyCodes(Problem):
    """A code was sent just now, or too many were sent today; wait before you ask for another one."""

    code = "too_many_codes"
    status = 429
    retry = True


# -- what several devices change ----------------------------------------------------------------------------------


class ChangedMeanwhile(Problem):
    """Another device has changed this since you read it; read it again and make your change on that."""

    code = "changed_meanwhile"
    status = 409


# -- classes and rooms ------------------------------------------------------------------------------------------


class ClassNotFound(Problem):
    """No class has this code or id; check it with the coach."""

    code = "class_not_found"
    status = 404


class ClassOver(Problem):
    """This class is over; its summary is at /v1/classes/{id}/summary."""

    code = "class_over"
    status = 409


class ClassFull(Problem):
    """The class has reached its largest number of members."""

    code = "class_full"
    status = 409


class ClassStarted(Problem):
    """The clock of this class has begun, so its script stays as it is; skip or extend with `class.control`."""

    code = "class_started"
    status = 409


class ClockRefused(Problem):
    """The class clock is not in a state for this; `state` says in which it is."""

    code = "clock_refused"
    status = 409


class TooManyGroups(Problem):
    """You have started as many classes on demand as one may at once: end one of them, or wait until it is over."""

    code = "too_many_groups"
    status = 409


class TooManyScripts(Problem):
    """Your library has as many scripts as one account may keep; delete some."""

    code = "too_many_scripts"
    status = 409


class ScriptAwaited(Problem):
    """A class that you offer, or a series, is to get this script when its doors open; change or end that first."""

    code = "script_awaited"
    status = 409


class NotInRoom(Problem):
    """Join the room first."""

    code = "not_in_room"
    status = 409


class NobodyThere(Problem):
    """Nobody of those it is meant for is there right now."""

    code = "nobody_there"
    status = 409
    retry = True


class RemovedFromClass(Problem):
    """You were sent out of this class by who leads it. You come back into it when they let you in again."""

    code = "removed_from_class"
    status = 403


class NotACoach(Problem):
    """This account is not a coach's, so it cannot lead a class."""

    code = "not_a_coach"
    status = 409


class TooManyCoCoaches(Problem):
    """The class has as many co-coaches as it can have; `limit` says how many."""

    code = "too_many_co_coaches"
    status = 409


class CueUnknown(Problem):
    """This is none of the last cues that you were told in this room."""

    code = "cue_unknown"
    status = 404


class TooManyRooms(Problem):
    """This connection is in as many rooms as it may be; leave one first."""

    code = "too_many_rooms"
    status = 409


# -- booking ----------------------------------------------------------------------------------------------------


class BookingShut(Problem):
    """Places in this class can be taken and given back between `opens_at_ms` and `closes_at_ms` (ms since 1970)."""

    code = "booking_shut"
    status = 409


class AlreadyBooked(Problem):
    """You have a booking for this class: see `booking`."""

    code = "already_booked"
    status = 409


class ClassBookedUp(Problem):
    """All places of this class are taken, and so are those on its waitlist."""

    code = "class_booked_up"
    status = 409


class ClassCalledOff(Problem):
    """This class does not take place: its coach has called it off."""

    code = "class_called_off"
    status = 409


class OfferFixed(Problem):
    """The doors of this class are open, so what was offered cannot be changed any more."""

    code = "offer_fixed"
    status = 409


class DoorsShut(Problem):
    """Newcomers are let into this class between `opens_at_ms` and `closes_at_ms` (ms since 1970)."""

    code = "doors_shut"
    status = 409


class NotBooked(Problem):
    """This class is for those who have a place in it: book one, or wait until one of the waitlist is yours."""

    code = "not_booked"
    status = 409


class EntitlementNeeded(Problem):
    """This needs an entitlement (`needs`) that your account does not have right now; `reason` says why."""

    code = "entitlement_needed"
    status = 403


# -- talking ----------------------------------------------------------------------------------------------------


class Muted(Problem):
    """You are muted in this class."""

    code = "muted"
    status = 403


class ChatPaused(Problem):
    """The chat is switched off everywhere right now. What was said can still be read."""

    code = "chat_paused"
    status = 403


class MessageGone(Problem):
    """There is no such message in what is kept of this room's chat."""

    code = "message_gone"
    status = 404


class TooManyVitals(Problem):
    """The history of your body has as many values as it can keep; delete some."""

    code = "too_many_vitals"
    status = 409


class TooManyBlocks(Problem):
    """You have blocked as many people as one account may; unblock somebody first."""

    code = "too_many_blocks"
    status = 409


class YouBlocked(Problem):
    """You have blocked them: unblock them first, if you want to be friends."""

    code = "you_blocked"
    status = 409


class TooManyFriends(Problem):
    """You have as many friends and people whom you have asked as one account may; part from somebody first."""

    code = "too_many_friends"
    status = 409


class TooManyFriendRequests(Problem):
    """You have asked as many people within 30 days as one account may; wait until the first of these requests are over."""

    code = "too_many_friend_requests"
    status = 409


# -- streams ----------------------------------------------------------------------------------------------------


class StreamNotOpen(Problem):
    """This connection has not opened that stream: send stream.open first; it says where to go on."""

    code = "stream_not_open"
    status = 409


class StreamTakenOver(Problem):
    """Another connection or device has opened this stream since; open it again to take it back."""

    code = "stream_taken_over"
    status = 409


class StreamFinished(Problem):
    """The stream is finished; open it again to add late samples."""

    code = "stream_finished"
    status = 409


class SequenceGap(Problem):
    """Samples before these are missing; go on from `expected`."""

    code = "sequence_gap"
    status = 409
    retry = True


class WindowFull(Problem):
    """Too many samples are waiting to be stored; wait for an acknowledgement, then send again."""

    code = "window_full"
    status = 429
    retry = True


# -- long tasks -------------------------------------------------------------------------------------------------


class KeyReused(Problem):
    """You have used this key for something else; make a new one for each thing you ask for."""

    code = "key_reused"
    status = 409


class GhostNotReady(Problem):
    """This workout cannot be raced yet: it is still going on, or its summary is being made."""

    code = "ghost_not_ready"
    status = 409
    retry = True


class TooManyTasks(Problem):
    """As many of your tasks as there may be are waiting or running; wait for one, or cancel one."""

    code = "too_many_tasks"
    status = 429
    retry = True


# -- challenges -------------------------------------------------------------------------------------------------


class ChallengeNotFound(Problem):
    """There is no such challenge, or you are not in it."""

    code = "challenge_not_found"
    status = 404


class ChallengeOver(Problem):
    """This challenge is closed; its table stays as it is."""

    code = "challenge_over"
    status = 409


class ChallengesPaused(Problem):
    """No new challenges or heats can be made right now. Those there are go on."""

    code = "challenges_paused"
    status = 403


class HeatBegun(Problem):
    """This heat has begun; nobody who was not in it comes in any more, and nothing of its start can be changed."""

    code = "heat_begun"
    status = 409


class ContradictoryChallenge(Problem):
    """No challenge can be like this; `path` says what is wrong."""

    code = "contradictory_challenge"
    status = 422


class ChallengeFull(Problem):
    """As many people are in this challenge as there is room for."""

    code = "challenge_full"
    status = 409


class TooManyChallenges(Problem):
    """You are in as many challenges, or have made as many, as may be open at a time; leave one, or wait for one to end."""

    code = "too_many_challenges"
    status = 409


class TooManyWatches(Problem):
    """This connection looks at as many tables as it may; look away from one first."""

    code = "too_many_watches"
    status = 409


class TooManyReplays(Problem):
    """As many classes play again for you as may at once; close one first."""

    code = "too_many_replays"
    status = 409


class ReplayNotOpen(Problem):
    """This class does not play on this connection, or no longer; open it first."""

    code = "replay_not_open"
    status = 409


# -- fair play ---------------------------------------------------------------------------------------------------


class NotJudgedYet(Problem):
    """The rules of fair play have not gone over this workout yet; they do so soon after it is finished."""

    code = "not_judged_yet"
    status = 409
    retry = True


class NothingToAppeal(Problem):
    """This workout counts and is not marked, so there is nothing to appeal against."""

    code = "nothing_to_appeal"
    status = 409


class AppealedAlready(Problem):
    """You have appealed against the verdict on this workout; there is one appeal."""

    code = "appealed_already"
    status = 409


class AppealTooLate(Problem):
    """The time for an appeal against this verdict is over, since `until_ms` (ms since 1970)."""

    code = "appeal_too_late"
    status = 409


class NothingToRule(Problem):
    """Nothing waits here to be ruled on: it was done, or what was found has cleared up."""

    code = "nothing_to_rule"
    status = 409


# -- webhooks ---------------------------------------------------------------------------------------------------


class UrlRefused(Problem):
    """This address cannot be called; the message says why."""

    code = "url_refused"
    status = 422


class TooManyApps(Problem):
    """This account has registered as many apps as it may; delete one first."""

    code = "too_many_apps"
    status = 409


class TooManyApiKeys(Problem):
    """This account has as many keys as it may; revoke one first."""

    code = "too_many_api_keys"
    status = 409


class ConsentingPaused(Problem):
    """No app can be let into an account right now. Those that are in yours go on; try again later."""

    code = "consenting_paused"
    status = 403


class AppUnknown(Problem):
    """No app has this client_id. Whoever sent you here has made a mistake, or means no good; so you were not sent back."""

    code = "app_unknown"
    status = 404


class RedirectMismatch(Problem):
    """The app has not registered this redirect_uri. It has made a mistake, or somebody means no good; you were not sent back."""

    code = "redirect_mismatch"
    status = 422


class InvalidRequest(Problem):
    """The request to /oauth lacks a parameter, has one twice, or proves the client in two ways (RFC 6749, 5.2)."""

    code = "invalid_request"
    status = 400


class InvalidClient(Problem):
    """The client is unknown, or its secret is wrong (RFC 6749, 5.2)."""

    code = "invalid_client"
    status = 401


class InvalidGrant(Problem):
    """The code or refresh token is unknown, used, expired, taken back or another client's; ask the person again (RFC 6749, 5.2)."""

    code = "invalid_grant"
    status = 400


class UnauthorizedClient(Problem):
    """This client may not do this (RFC 6749, 5.2)."""

    code = "unauthorized_client"
    status = 400


class UnsupportedGrantType(Problem):
    """grant_type is authorization_code, refresh_token or client_credentials (RFC 6749, 5.2)."""

    code = "unsupported_grant_type"
    status = 400


class InvalidScope(Problem):
    """A scope is missing, does not exist, or was not granted (RFC 6749, 5.2)."""

    code = "invalid_scope"
    status = 400


class TooManyEndpoints(Problem):
    """This account has as many webhook endpoints as it may; delete one first."""

    code = "too_many_endpoints"
    status = 409


class EndpointPaused(Problem):
    """This webhook endpoint is paused, so nothing is sent to it; resume it first."""

    code = "endpoint_paused"
    status = 409


# -- organisations ----------------------------------------------------------------------------------------------


class OrganisationFull(Problem):
    """All seats of this organisation are taken or kept for somebody who was invited; free one, or ask the operator for more."""

    code = "organisation_full"
    status = 409


class LastOwner(Problem):
    """Nobody else owns this organisation: make another member an owner first, or dissolve it."""

    code = "last_owner"
    status = 409


class TooManyOrganisations(Problem):
    """The account owns, or is in, as many organisations as it may; it has to leave one first."""

    code = "too_many_organisations"
    status = 409


class TooManyInvitations(Problem):
    """This address has just been invited, or you have invited a hundred times today; another mail can be sent later."""

    code = "too_many_invitations"
    status = 429
    retry = True


# -- safety -----------------------------------------------------------------------------------------------------


class IncidentOver(Problem):
    """This incident is over: there is nothing left to cancel or to acknowledge."""

    code = "incident_over"
    status = 409


class ContactRefused(Problem):
    """They have said that they do not want to be your emergency contact, and are not asked again. Name somebody else."""

    code = "contact_refused"
    status = 409


class TooManyAsked(Problem):
    """You, or others, have just asked for an emergency contact; wait before you ask again."""

    code = "too_many_asked"
    status = 429
    retry = True


# -- the house itself -------------------------------------------------------------------------------------------


class RateLimited(Problem):
    """Too many events in too short a time; slow down."""

    code = "rate_limited"
    status = 429
    retry = True


class Busy(Problem):
    """The server has too much to do right now; try again."""

    code = "busy"
    status = 503
    retry = True


class Unavailable(Problem):
    """A part of the system that this needs is away; try again."""

    code = "unavailable"
    status = 503
    retry = True


class Draining(Problem):
    """This node is stopping; reconnect, and another one will answer."""

    code = "draining"
    status = 503
    retry = True


class InternalFault(Problem):
    """Something is wrong on our side; it has been logged."""

    code = "internal_fault"
    status = 500
    retry = True


def all_problems() -> list[type[Problem]]:
    """Every problem there is, in the order of this file. Refuses to run with two of the same code."""
    kinds = Problem.__subclasses__()
    codes = [kind.code for kind in kinds]
    duplicates = {code for code in codes if codes.count(code) > 1}
    if duplicates:
        raise RuntimeError(f"problem codes used twice: {sorted(duplicates)}")
    return kinds

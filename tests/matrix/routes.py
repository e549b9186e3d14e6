"""Valid input for each address of HTTP.

Each function gets the evening and who asks, arranges what the request is about (nearly always something of the owner's, by the
owner's own requests) and gives the request.
"""

import base64
import hashlib
import itertools
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import argon2
import msgspec

from gateway.http.examples import example_of
from paceline.keys import sealing_keys
from persistence.tapes import Piece
from realtime.wire import ClassStanding, ClassSummary
from rooms.board import Changes
from rooms.tape import Tape
from services.accounts.account_mail import AccountMail, Link, MailTokens, Pending
from services.accounts.identity import Identity
from services.accounts.ports import Login
from services.accounts.vital import Vital
from services.classes.timelines import ScriptDraft
from services.fairplay.judging import judge
from services.integrations.links import link_to
from services.kernel.clock import utc
from services.kernel.ids import (
    AccountId,
    AccountMailId,
    ClassId,
    ContactId,
    ContactPhoneId,
    IdentityId,
    LoginId,
    ReportId,
    TaskId,
    VitalId,
    WebhookEndpointId,
    WorkoutId,
)
from services.kernel.sealing import Seals
from services.notifications.addresses import NewDevice
from services.notifications.contact_link import ContactLinks
from services.notifications.content import AnnouncementContent, topic_of
from services.notifications.phone import PhoneCodes
from services.notifications.preferences import Preferences
from services.notifications.rendering import Words
from services.notifications.sms_callback import SIGNATURE_HEADER, signature
from services.notifications.telling import News, Telling
from services.notifications.unsubscribe import Stopping, Unsubscribe
from services.privacy.erasure import GRACE_MS
from services.safety.contact import Contact
from services.safety.contact_phone import ContactPhone
from services.social.friend import Request
from services.tasks.task import TaskFile, TaskResult
from services.training.summary import summarise
from tests.matrix.roles import OK, Who
from tests.matrix.scene import PUBLIC_URL, SMS_TOKEN, Asked, Evening
from tests.support.judged import cheats
from tests.support.world import BODY, steady

RouteInput = Callable[[Evening, Who], Awaitable[Asked]]

PASSWORD: Final = "violet anchor moss kettle"
HOUR_MS: Final = 3_600_000
TERMS: Final = {"title": "Thursday hills", "duration_min": 45, "capacity": 10}
SCRIPT: Final = {"blocks": [{"intervals": [{"duration_ms": 60_000}]}]}
ON_DEMAND: Final = {"key": "o", "terms": {"title": "Hill climb"}, "script": SCRIPT}
KEPT: Final = {"key": "kept", "label": {"name": "Two hills"}, "script": SCRIPT}
KEPT_CHANGE: Final = {"label": {"name": "Three hills"}, "script": SCRIPT, "revision": 1}
RULE: Final = {"days": ["thu"], "at": "18:30", "zone": "Europe/Vienna", "from_day": "2026-09-01"}
HOOK: Final = {"url": "https://hooks.example.org/in", "events": ["workout.summarised"], "scopes": ["samples"]}
_WITH_ACCOUNT: Final = frozenset(Who) - {Who.SUSPENDED, Who.DISPLAY, Who.OPERATOR, Who.NOBODY}
CALLBACK: Final = "https://pulse.example/callback"
VERIFIER: Final = "v" * 64
APP: Final = {"name": "Pulse Diary", "kind": "confidential", "redirect_uris": [CALLBACK]}
KEY: Final = {"name": "Weekly report", "scopes": ["profile:read"]}
_numbers: Final = itertools.count(1)


async def plain(_: Evening, __: Who) -> Asked:
    """Nothing has to be said."""
    return Asked()


def body(said: object) -> RouteInput:
    """The same body for everybody."""

    async def ask(_: Evening, __: Who) -> Asked:
        return Asked(body=said)

    return ask


# -- accounts ---------------------------------------------------------------------------------------------------


def _credentials() -> dict[str, str]:
    return {"email": f"newcomer{next(_numbers)}@example.org", "password": PASSWORD}


async def newcomer(_: Evening, __: Who) -> Asked:
    return Asked(body={**_credentials(), "name": "Newcomer"})


async def known(evening: Evening, _: Who) -> Asked:
    credentials = _credentials()
    await evening.make(Who.NOBODY, "POST", "/v1/accounts", {**credentials, "name": "Somebody"})
    return Asked(body=credentials)


async def refreshing(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.NOBODY, "POST", "/v1/accounts", {**_credentials(), "name": "Somebody"})
    return Asked(body={"refresh_token": made["refresh_token"]})


async def owners_login(evening: Evening, _: Who) -> Asked:
    caller = await evening.caller(Who.OWNER)
    login = Login(LoginId(uuid.uuid4()), caller.account_id, "watch", utc(evening.now_ms()))
    async with evening.world.transactions() as stores:
        await stores.logins.add(login)
    return Asked({"id": login.id})


async def owners_vital(evening: Evening, _: Who) -> Asked:
    caller = await evening.caller(Who.OWNER)
    day = utc(evening.now_ms()).date()
    vital = Vital(VitalId(uuid.uuid4()), "ftp_w", 250, day, "test", evening.now_ms())
    async with evening.world.transactions() as stores:
        await stores.vitals.add(caller.account_id, vital)
    return Asked({"id": vital.id})


async def new_password(evening: Evening, who: Who) -> Asked:
    await _with_password(evening, who)
    return Asked(body={"old": PASSWORD, "new": "copper lantern orbit thistle"})


async def stepping_up(evening: Evening, who: Who) -> Asked:
    """The login of whoever has an account is a row, too: it remembers the moment."""
    await _with_password(evening, who)
    if who in _WITH_ACCOUNT:
        await _with_login(evening, who)
    return Asked(body={"password": PASSWORD})


def logged_in(ask: RouteInput) -> RouteInput:
    """The same, and the login of whoever has an account is a row, too: one that has ended lends nothing."""

    async def asks(evening: Evening, who: Who) -> Asked:
        if who in _WITH_ACCOUNT:
            await _with_login(evening, who)
        return await ask(evening, who)

    return asks


async def wanted_gone(evening: Evening, who: Who) -> Asked:
    if who in _WITH_ACCOUNT:
        caller = await evening.caller(who)
        async with evening.world.transactions() as stores:
            await stores.erasures.ask(caller.account_id, evening.now_ms(), evening.now_ms() + GRACE_MS)
    return Asked()


async def _with_login(evening: Evening, who: Who) -> None:
    caller = await evening.caller(who)
    async with evening.world.transactions() as stores:
        await stores.logins.add(Login(caller.login_id, caller.account_id, "phone", utc(evening.now_ms())))


async def _with_password(evening: Evening, who: Who) -> None:
    """Whoever has an account has this password; it is hashed at the lowest cost, since it is only looked at once."""
    if who in _WITH_ACCOUNT:
        caller = await evening.caller(who)
        hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        async with evening.world.transactions() as stores:
            await stores.accounts.save_password_hash(caller.account_id, hashed)


async def waiting_registration(evening: Evening, _: Who) -> Asked:
    return Asked({"id": (await _mail(evening, "register")).id})


async def registration_link(evening: Evening, _: Who) -> Asked:
    return Asked(body={"token": _token(evening, await _mail(evening, "register")), "password": PASSWORD})


async def confirmation_link(evening: Evening, _: Who) -> Asked:
    return Asked(body={"token": _token(evening, await _mail(evening, "confirm"))})


async def new_email(evening: Evening, who: Who) -> Asked:
    """Whoever is logged out moves no account."""
    if who in _WITH_ACCOUNT:
        await _with_login(evening, who)
    return Asked(body={"email": f"elsewhere{next(_numbers)}@example.org"})


async def change_link(evening: Evening, _: Who) -> Asked:
    return Asked(body={"token": _token(evening, await _mail(evening, "change"))})


async def undo_link(evening: Evening, _: Who) -> Asked:
    return Asked(body={"token": _token(evening, await _mail(evening, "undo"))})


async def lost_password(_: Evening, __: Who) -> Asked:
    return Asked(body={"email": f"newcomer{next(_numbers)}@example.org"})


async def reset_link(evening: Evening, _: Who) -> Asked:
    token = _token(evening, await _mail(evening, "reset"))
    return Asked(body={"token": token, "password": "copper lantern orbit thistle"})


async def _mail(evening: Evening, says: Link) -> AccountMail:
    """A mail about the account of somebody new, or for somebody who has none yet."""
    email, account_id, pending = f"newcomer{next(_numbers)}@example.org", None, None
    if says == "register":
        hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        pending = Pending("Newcomer", "member", hashed)
    else:
        account = (await evening.world.account("Newcomer")).account_id
        async with evening.world.transactions() as stores:
            found = await stores.accounts.by_id(account)
        assert found is not None
        email = email if says in {"change", "undo"} else found.email
        account_id = None if says == "reset" else account
    mail = AccountMail(AccountMailId(evening.world.ids.next()), says, email, evening.now_ms(), account_id, pending)
    async with evening.world.transactions() as stores:
        await stores.account_mails.add(mail, utc(mail.asked_at_ms), utc(mail.until_ms))
    return mail


def _token(evening: Evening, mail: AccountMail) -> str:
    return MailTokens(evening.stage.secret).token(mail.id, mail.says)


# -- signing in with others ---------------------------------------------------------------------------------------


async def sent_back(evening: Evening, _: Who) -> Asked:
    begun, answer = await _sent_to_provider(evening)
    return Asked({"id": begun["id"]}, body=answer)


async def answered(evening: Evening, _: Who) -> Asked:
    begun, answer = await _sent_to_provider(evening)
    await evening.make(Who.NOBODY, "POST", f"/v1/sign-ins/{begun['id']}/return", answer)
    return Asked({"id": begun["id"]}, body={"secret": begun["secret"]})


async def _sent_to_provider(evening: Evening) -> tuple[dict[str, Any], dict[str, str]]:
    """A sign-in that has begun, and what the browser brings back from the provider."""
    begun = await evening.make(Who.NOBODY, "POST", "/v1/sign-ins", {"provider": "github"})
    state = dict(parse_qsl(urlsplit(begun["url"]).query))["state"]
    return begun, {"secret": begun["secret"], "provider": "github", "state": state, "code": "a code"}


async def by_provider(_: Evening, __: Who) -> Asked:
    return Asked({"provider": "github"}, query={"state": "s", "code": "c"})


async def by_provider_with_a_form(_: Evening, __: Who) -> Asked:
    return Asked({"provider": "github"}, form={"state": "s", "code": "c"})


async def linking(evening: Evening, who: Who) -> Asked:
    """The login of whoever has an account is a row, too: who is logged out meanwhile links nothing."""
    if who in _WITH_ACCOUNT:
        await _with_login(evening, who)
    return Asked(body={"provider": "github"})


async def owners_identity(evening: Evening, _: Who) -> Asked:
    caller = await evening.caller(Who.OWNER)
    identities = [
        Identity(
            id=IdentityId(uuid.uuid4()),
            issuer="https://github.com",
            subject=str(next(_numbers)),
            account_id=caller.account_id,
            provider="github",
            email=None,
            linked_ms=evening.now_ms(),
            used_ms=evening.now_ms(),
        )
        for _ in range(2)
    ]
    async with evening.world.transactions() as stores:
        for identity in identities:
            await stores.identities.add(identity)
    return Asked({"id": identities[0].id})


# -- classes ----------------------------------------------------------------------------------------------------


async def their_account(evening: Evening, _: Who) -> Asked:
    return Asked(path={"id": (await evening.caller(Who.ATHLETE)).account_id})


async def their_address(evening: Evening, _: Who) -> Asked:
    async with evening.world.transactions() as stores:
        account = await stores.accounts.by_id((await evening.caller(Who.ATHLETE)).account_id)
    assert account is not None
    return Asked(query={"email": account.email})


async def their_account_because(evening: Evening, who: Who) -> Asked:
    return replace(await their_account(evening, who), body={"reason": "they asked us to"})


async def their_suspension(evening: Evening, who: Who) -> Asked:
    return replace(await their_account(evening, who), query={"reason": "they asked us to"})


async def their_room(evening: Evening, _: Who) -> Asked:
    return Asked(path={"id": (await evening.live()).id})


async def their_room_because(evening: Evening, who: Who) -> Asked:
    return replace(await their_room(evening, who), body={"reason": "they asked us to"})


async def somebody_in_their_room(evening: Evening, who: Who) -> Asked:
    asked = await their_room(evening, who)
    return replace(asked, body={"n": 2, "reason": "they asked us to"})


async def a_flag(_: Evening, __: Who) -> Asked:
    return Asked(path={"name": "chat"})


async def a_flag_set(evening: Evening, who: Who) -> Asked:
    return replace(await a_flag(evening, who), body={"on": True, "reason": "it was asked for"})


async def a_flag_because(evening: Evening, who: Who) -> Asked:
    return replace(await a_flag(evening, who), query={"reason": "it was asked for"})


async def their_role(evening: Evening, who: Who) -> Asked:
    asked = await their_account(evening, who)
    return replace(asked, path={**asked.path, "role": "author"})


async def join_code(evening: Evening, _: Who) -> Asked:
    return Asked(body={"code": (await evening.live()).code})


async def a_screen_that_asks(evening: Evening, _: Who) -> Asked:
    return Asked(body={"user_code": (await _screen(evening))["user_code"]})


async def a_screen_refused(evening: Evening, _: Who) -> Asked:
    return Asked(body={"user_code": (await _screen(evening))["user_code"], "class_id": None})


async def a_screen_for_the_class(evening: Evening, _: Who) -> Asked:
    return Asked(body={"user_code": (await _screen(evening))["user_code"], "class_id": (await evening.live()).id})


async def a_screen_let_in(evening: Evening, _: Who) -> Asked:
    """A screen that the owner has given the class."""
    screen = await _screen(evening)
    given = {"user_code": screen["user_code"], "class_id": (await evening.live()).id}
    answer = await evening.ask(Who.OWNER, "POST", "/v1/pairings/decisions", Asked(body=given))
    assert answer.said == OK, answer.body
    return Asked(body={"device_code": screen["device_code"]})


async def _screen(evening: Evening) -> dict[str, Any]:
    asking: dict[str, Any] = await evening.make(Who.NOBODY, "POST", "/v1/pairings")
    return asking


async def demo_class(evening: Evening, _: Who) -> Asked:
    evening.stage.parts.demo.code = (await evening.live()).code
    return Asked()


async def a_class(evening: Evening, _: Who) -> Asked:
    return Asked({"id": (await evening.live()).id})


def in_class(said: object = None) -> RouteInput:
    """The class, of which those are members who are."""

    async def ask(evening: Evening, who: Who) -> Asked:
        await evening.in_room(who)
        return Asked({"id": (await evening.live()).id}, body=said)

    return ask


async def a_summary(evening: Evening, _: Who) -> Asked:
    live = await evening.live()
    standing = ClassStanding(n=1, rank=1, name="athlete", effort=1.5, zone_ms=(0, 0, 0, 0, 0, 1_000))
    summary = ClassSummary(class_id=live.id, title=live.title, duration_ms=1_000, athletes=1, standings=(standing,))
    async with evening.world.transactions() as stores:
        await stores.classes.store_summary(live.id, summary, utc(evening.now_ms()))
    return Asked({"id": live.id})


async def a_raced_class(evening: Evening, who: Who) -> Asked:
    asked = await a_summary(evening, who)
    async with evening.world.transactions() as stores:
        await stores.classes.end(ClassId(uuid.UUID(str(asked.path["id"]))), utc(evening.now_ms()))
    return Asked({**asked.path, "who": "median"})


async def a_recorded_class(evening: Evening, _: Who) -> Asked:
    live = await evening.live()
    at_ms = evening.now_ms()
    pieces: list[Piece] = []
    tape = Tape(live.id, "3f9ac1d2", "node-1", pieces.append)
    tape.beat(at_ms - 60_000, 1, Changes((), ()), ("node-2",), tuple)
    tape.said(at_ms, "class.ended", b"{}")
    tape.cut()
    async with evening.world.transactions() as stores:
        await stores.tapes.add(pieces)
        await stores.classes.end(live.id, utc(at_ms))
    return Asked({"id": live.id})


async def a_script(evening: Evening) -> None:
    """The class of the evening gets a script."""
    live = await evening.live()
    await evening.make(Who.OWNER, "PUT", "/v1/classes/{id}/script", example_of(ScriptDraft), id=live.id)


async def class_with_script(evening: Evening, who: Who) -> Asked:
    await a_script(evening)
    return await a_class(evening, who)


async def new_script(evening: Evening, _: Who) -> Asked:
    return Asked({"id": (await evening.live()).id}, body=example_of(ScriptDraft))


# -- challenges -------------------------------------------------------------------------------------------------


def _challenge(evening: Evening) -> dict[str, Any]:
    today = utc(evening.now_ms()).date()
    return {
        "title": "A week of climbing",
        "kind": "effort",
        "first_day": str(today + timedelta(days=1)),
        "last_day": str(today + timedelta(days=7)),
    }


async def new_challenge(evening: Evening, _: Who) -> Asked:
    return Asked(body=_challenge(evening))


async def invited(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/challenges", _challenge(evening))
    return Asked(body={"code": made["code"], "time_zone": "Europe/Vienna"})


async def invitation(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/challenges", _challenge(evening))
    return Asked({"code": made["code"]})


async def a_challenge(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/challenges", _challenge(evening))
    for who in (Who.OWNER, Who.ATHLETE):
        joined = {"code": made["code"], "time_zone": "Europe/Vienna"}
        await evening.make(who, "POST", "/v1/challenges/join", joined)
    return Asked({"id": made["id"]})


def _heat() -> dict[str, Any]:
    return {"title": "Sprint", "kind": "effort", "length_min": 5, "time_zone": "Europe/Vienna"}


async def new_heat(_: Evening, __: Who) -> Asked:
    return Asked(body=_heat())


async def a_heat(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/heats", _heat())
    await evening.make(Who.ATHLETE, "POST", "/v1/challenges/join", {"code": made["code"], "time_zone": "Europe/Vienna"})
    return Asked({"id": made["id"]})


async def a_heat_to_be_ready_for(evening: Evening, who: Who) -> Asked:
    asked = await a_heat(evening, who)
    return Asked(asked.path, body={"ready": True})


# -- booking ----------------------------------------------------------------------------------------------------


def _offer(evening: Evening) -> dict[str, Any]:
    return {"starts_at_ms": evening.now_ms() + 2 * HOUR_MS, "terms": TERMS}


async def _offered(evening: Evening) -> str:
    made = await evening.make(Who.OWNER, "POST", "/v1/offers", {"key": "k", **_offer(evening)})
    return str(made["id"])


async def new_offer(evening: Evening, _: Who) -> Asked:
    return Asked(body={"key": "k", **_offer(evening)})


def kept_script(said: object = None, *, shared: str = "private") -> RouteInput:
    """A script in the owner's library."""

    async def ask(evening: Evening, _: Who) -> Asked:
        label = {"name": "Two hills", "shared": shared}
        made = await evening.make(Who.OWNER, "POST", "/v1/scripts", {**KEPT, "label": label})
        return Asked({"id": made["id"]}, body=said)

    return ask


def on_demand(said: object = None) -> RouteInput:
    """The owner's script on demand."""

    async def ask(evening: Evening, _: Who) -> Asked:
        made = await evening.make(Who.OWNER, "POST", "/v1/on-demand", ON_DEMAND)
        return Asked({"id": made["id"]}, body=said)

    return ask


async def an_offer(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _offered(evening)})


def an_organisations_offer(members: str, said: object = None) -> RouteInput:
    """What the owner offers in the name of their organisation, for these."""

    async def ask(evening: Evening, _: Who) -> Asked:
        said_of_it = _offer(evening)
        said_of_it["terms"] = TERMS | {"organisation": str(await evening.organisation()), "members": members}
        made = await evening.make(Who.OWNER, "POST", "/v1/offers", {"key": "k", **said_of_it})
        return Asked({"id": made["id"]}, body=said)

    return ask


async def new_organisations_offer(evening: Evening, _: Who) -> Asked:
    terms = TERMS | {"organisation": str(await evening.organisation())}
    return Asked(body={"key": "k", **_offer(evening), "terms": terms})


async def offer_change(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _offered(evening)}, body=_offer(evening))


async def new_booking(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _offered(evening)}, body={"key": "b"})


async def athletes_booking(evening: Evening, _: Who) -> Asked:
    offer = await _offered(evening)
    made = await evening.make(Who.ATHLETE, "POST", "/v1/offers/{id}/bookings", {"key": "b"}, id=offer)
    return Asked({"id": made["id"]})


async def a_series(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/series", {"key": "s", "rule": RULE, "terms": TERMS})
    return Asked({"id": made["id"]})


# -- training and tasks -----------------------------------------------------------------------------------------


async def _workout(evening: Evening) -> WorkoutId:
    workout_id, _ = await evening.world.workout(await evening.caller(Who.OWNER), steady(3))
    return workout_id


async def a_workout(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _workout(evening)})


async def a_past_workout(evening: Evening, _: Who) -> Asked:
    workout_id = await _workout(evening)
    async with evening.world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(evening.now_ms()))
        await stores.workouts.store_summary(workout_id, summarise(steady(3), BODY))
    return Asked({"id": workout_id})


async def _judged(evening: Evening, whose: Who, rule: str) -> WorkoutId:
    """A finished workout in the class, in which a rule of fair play has found something."""
    live = await evening.live()
    workout_id, _ = await evening.world.workout(await evening.caller(whose), cheats(1)[rule], live=live)
    async with evening.world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(evening.now_ms()))
        await judge(stores, workout_id, evening.now_ms())
    return workout_id


async def a_verdict(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _judged(evening, Who.OWNER, "flat")})


async def appealed(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await _judged(evening, Who.OWNER, "flat")}, body={"text": "My strap hung."})


async def ruled(evening: Evening, _: Who) -> Asked:
    ruling = {"decision": "overturn", "reason": "It did."}
    return Asked({"id": await _judged(evening, Who.ATHLETE, "beats_disagree")}, body=ruling)


async def a_task(evening: Evening, who: Who) -> str:
    """A long task of somebody's that waits."""
    made = await evening.make(who, "POST", "/v1/tasks", {"key": "t", "work": {"kind": "export_account"}})
    return str(made["task"])


async def owners_task(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await a_task(evening, Who.OWNER)})


async def a_file(evening: Evening, _: Who) -> Asked:
    task_id = TaskId(uuid.UUID(await a_task(evening, Who.OWNER)))
    now_ms, name = evening.now_ms(), f"{task_id}.1.zip"
    async with evening.world.transactions() as stores:
        # What earlier evenings have left waiting comes first.
        while taken := await stores.long_tasks.claim("export_account", utc(now_ms), timedelta(minutes=1)):
            result = TaskResult(file=TaskFile(name, 4, "ab", now_ms + 24 * HOUR_MS))
            assert await stores.long_tasks.end(taken.id, taken.epoch, "done", utc(now_ms), result=result)
    evening.stage.exports.mkdir(exist_ok=True)
    (evening.stage.exports / name).write_bytes(b"PK..")
    return Asked({"id": task_id})


# -- notifications ----------------------------------------------------------------------------------------------


async def a_notification(evening: Evening) -> str:
    """Something in the owner's inbox."""
    caller = await evening.caller(Who.OWNER)
    telling = Telling(Words(), frozenset(), evening.world.clock, evening.world.ids)
    said = AnnouncementContent(title="News", body="We close at eight.", sender="Mira")
    async with evening.world.transactions() as stores:
        await telling.tell(stores, topic_of(said), [News(caller.account_id, said, "news")])
    inbox = await evening.make(Who.OWNER, "GET", "/v1/notifications")
    return str(inbox["notifications"][0]["id"])


async def owners_notification(evening: Evening, _: Who) -> Asked:
    return Asked({"id": await a_notification(evening)})


async def read_owners(evening: Evening, _: Who) -> Asked:
    return Asked(body={"up_to": await a_notification(evening)})


async def preferences(_: Evening, __: Who) -> Asked:
    return Asked(body=msgspec.to_builtins(Preferences()))


async def new_device(_: Evening, __: Who) -> Asked:
    return Asked(body=example_of(NewDevice))


async def the_reports(evening: Evening, _: Who) -> Asked:
    return Asked({"id": str((await evening.live()).id)})


async def a_report(evening: Evening, _: Who) -> Asked:
    live, athlete = await evening.live(), await evening.caller(Who.ATHLETE)
    report_id = ReportId(uuid.uuid4())
    async with evening.world.transactions() as stores:
        await stores.reports.add(
            report_id,
            live.id,
            position="0f3a9c41-000000000012",
            n=1,
            about=athlete.account_id,
            text="Hello",
            reason="spam",
            by=athlete.account_id,
            at=utc(evening.now_ms()),
        )
    return Asked({"id": str(live.id), "report": str(report_id)}, body={"verdict": "keep"})


async def a_newcomer(evening: Evening, _: Who) -> Asked:
    return Asked({"account": str((await evening.world.account("Newcomer")).account_id)})


async def a_newcomer_called(evening: Evening, _: Who) -> Asked:
    return Asked({"account": str((await evening.world.account("Newcomer")).account_id)}, body={"called": "Newcomer"})


async def who_asks(evening: Evening, who: Who) -> Asked:
    """Somebody who has asked whoever has an account."""
    newcomer = await evening.world.account("Newcomer")
    if who in _WITH_ACCOUNT:
        asked = Request(newcomer.account_id, (await evening.caller(who)).account_id, "You", evening.now_ms())
        async with evening.world.transactions() as stores:
            await stores.friends.put(asked)
    return Asked({"account": str(newcomer.account_id)})


async def a_device(evening: Evening, _: Who) -> Asked:
    made = await evening.make(Who.OWNER, "POST", "/v1/devices", example_of(NewDevice))
    return Asked({"id": made["id"]})


def _number() -> str:
    return f"+49151{next(_numbers):08}"


async def new_number(_: Evening, __: Who) -> Asked:
    return Asked(body={"phone": _number()})


async def given_number(evening: Evening, who: Who) -> Asked:
    await evening.ask(who, "PUT", "/v1/phone", await new_number(evening, who))
    return Asked()


async def code_from_text(evening: Evening, who: Who) -> Asked:
    number = _number()
    await evening.ask(who, "PUT", "/v1/phone", Asked(body={"phone": number}))
    async with evening.world.transactions() as stores:
        open_ = await stores.tx.fetch("SELECT account_id FROM phone_checks WHERE ended_at IS NULL")
        checks = [await stores.phones.check(AccountId(row["account_id"])) for row in open_]
    codes = [
        PhoneCodes(evening.stage.secret).code(check.id, number)
        for check in checks
        if check is not None and check.number == number
    ]
    return Asked(body={"code": codes[0] if codes else "000000"})


async def mail_link(evening: Evening, _: Who) -> Asked:
    caller = await evening.caller(Who.OWNER)
    token = Unsubscribe(evening.stage.secret).token(Stopping(caller.account_id, "announcement"))
    return Asked(query={"token": token})


async def new_contact(_: Evening, __: Who) -> Asked:
    return Asked(body={"name": "Ben", "email": f"ben{next(_numbers)}@example.org"})


async def named_contact(evening: Evening, who: Who) -> Asked:
    await evening.ask(who, "PUT", "/v1/emergency-contact", await new_contact(evening, who))
    return Asked()


async def contact_link(evening: Evening, who: Who) -> Asked:
    caller = await evening.caller(Who.OWNER)
    contact = Contact(
        id=ContactId(evening.world.ids.next()),
        account_id=caller.account_id,
        athlete=caller.name,
        name="Ben",
        email="ben@example.org",
        asked_at_ms=evening.now_ms(),
    )
    async with evening.world.transactions() as stores:
        await stores.contacts.replace(caller.account_id, utc(evening.now_ms()))
        await stores.contacts.add(contact)
    return Asked(query={"token": ContactLinks(evening.stage.secret).token(contact.id)})


async def contact_answer(evening: Evening, who: Who) -> Asked:
    asked = await contact_link(evening, who)
    return Asked(query={**asked.query, "answer": "yes"})


async def new_contact_phone(evening: Evening, who: Who) -> Asked:
    if who is not Who.NOBODY:
        await named_contact(evening, who)
    return Asked(body={"phone": f"+49151{next(_numbers):08d}"})


async def given_contact_phone(evening: Evening, who: Who) -> Asked:
    await evening.ask(who, "PUT", "/v1/emergency-contact/phone", await new_contact_phone(evening, who))
    return Asked()


async def contact_phone_link(evening: Evening, who: Who) -> Asked:
    await contact_link(evening, who)
    caller, now_ms = await evening.caller(Who.OWNER), evening.now_ms()
    async with evening.world.transactions() as stores:
        contact = await stores.contacts.current(caller.account_id)
        assert contact is not None
        phone = ContactPhone(
            id=ContactPhoneId(evening.world.ids.next()),
            account_id=caller.account_id,
            athlete=caller.name,
            contact_id=contact.id,
            contact=contact.name,
            number="+4915112345678",
            asked_at_ms=now_ms,
        )
        await stores.contact_phones.replace(caller.account_id, utc(now_ms))
        await stores.contact_phones.add(phone)
    return Asked(query={"token": ContactLinks(evening.stage.secret).phone_token(phone.id)})


async def contact_phone_answer(evening: Evening, who: Who) -> Asked:
    asked = await contact_phone_link(evening, who)
    return Asked(query={**asked.query, "answer": "yes"})


async def signed_report(_: Evening, __: Who) -> Asked:
    path = "/v1/callbacks/sms?message=01a0c38d-ab80-7000-8000-000000000005"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4915112345678"}
    seal = signature(SMS_TOKEN, PUBLIC_URL + path, form)
    return Asked(form=form, headers={SIGNATURE_HEADER: seal}, url=path)


# -- apps and keys ----------------------------------------------------------------------------------------------


def an_app(said: object = None) -> RouteInput:
    """An app of the owner's."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": (await _app(evening))["app"]["id"]}, body=said)

    return ask


async def an_app_at_home(evening: Evening, _: Who) -> Asked:
    """An app that the owner has lent something."""
    made = await _app(evening)
    await _with_login(evening, Who.OWNER)
    wants = {**_wants(made), "allow": True}
    decided = await evening.make(Who.OWNER, "POST", "/v1/oauth/decisions", wants)
    (code,) = parse_qs(urlsplit(decided["redirect"]).query)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    answer = await evening.ask(Who.NOBODY, "POST", "/oauth/token", Asked(form={**form, **_app_credentials(made)}))
    assert answer.said == OK, answer.body
    return Asked({"id": made["app"]["id"]})


def what_an_app_wants(**more: object) -> RouteInput:
    """The parameters of /oauth/authorize."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked(body={**_wants(await _app(evening)), **more})

    return ask


def as_an_app(form: dict[str, str]) -> RouteInput:
    """What an app says for itself, with its secret."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked(form={**form, **_app_credentials(await _app(evening))})

    return ask


def an_api_key(said: object = None) -> RouteInput:
    """A key of the owner's."""

    async def ask(evening: Evening, _: Who) -> Asked:
        await _with_login(evening, Who.OWNER)
        made = await evening.make(Who.OWNER, "POST", "/v1/api-keys", KEY)
        return Asked({"id": made["key"]["id"]}, body=said)

    return ask


async def _app(evening: Evening) -> Any:
    return await evening.make(Who.OWNER, "POST", "/v1/apps", APP)


def _app_credentials(made: Any) -> dict[str, str]:
    return {"client_id": made["app"]["id"], "client_secret": made["client_secret"]}


def _wants(made: Any) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    return {
        "client_id": made["app"]["id"],
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "profile:read",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


# -- webhooks ---------------------------------------------------------------------------------------------------


async def _endpoint(evening: Evening) -> str:
    made = await evening.make(Who.OWNER, "POST", "/v1/webhook-endpoints", HOOK)
    return str(made["endpoint"]["id"])


def endpoint(said: object = None) -> RouteInput:
    """A webhook endpoint of the owner's."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": await _endpoint(evening)}, body=said)

    return ask


async def a_delivery(evening: Evening, _: Who) -> Asked:
    endpoint_id = await _endpoint(evening)
    made = await evening.make(Who.OWNER, "POST", "/v1/webhook-endpoints/{id}/test", id=endpoint_id)
    return Asked({"id": endpoint_id, "delivery": made["id"]})


async def samples_link(evening: Evening, _: Who) -> Asked:
    endpoint_id, workout_id = WebhookEndpointId(uuid.UUID(await _endpoint(evening))), await _workout(evening)
    seals = Seals(sealing_keys(evening.stage.parts.settings))
    return Asked(url=link_to(seals, endpoint_id, workout_id, evening.now_ms()))


# -- operation --------------------------------------------------------------------------------------------------


def an_account(said: object = None) -> RouteInput:
    """The athlete's account, and the entitlement premium of it."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": (await evening.caller(Who.ATHLETE)).account_id, "name": "premium"}, body=said)

    return ask


async def a_job(evening: Evening, _: Who) -> Asked:
    now = utc(evening.now_ms())
    async with evening.world.transactions() as stores:
        await stores.ticks.announce(1, [("prune-inbox", "every 3600 s", "once", now)])
    return Asked({"job": "prune-inbox"})

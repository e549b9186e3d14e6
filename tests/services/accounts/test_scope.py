"""The table of scopes, and what they keep shut."""

import uuid
from typing import get_args

import pytest

from gateway.http.routes import ROUTES
from realtime.wire import CLIENT_EVENTS, EVENTS, EVERY_APP, SERVER_EVENTS, heard_with
from services.accounts.scope import FOR_PEOPLE, FOR_SERVICES, SENTENCES, require_scope, scopes_of, written
from services.kernel.caller import Caller, Scope
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import Forbidden


def caller_with(*scopes: Scope) -> Caller:
    number = uuid.UUID(int=1)
    return Caller(AccountId(number), LoginId(number), "Ada", frozenset({"member"}), 0, scopes=frozenset(scopes))


def test_every_scope_has_a_sentence_and_is_for_people_or_for_services() -> None:
    assert set(get_args(Scope)) == set(SENTENCES) == FOR_PEOPLE | FOR_SERVICES
    assert not FOR_PEOPLE & FOR_SERVICES


def test_every_scope_for_people_opens_something_and_a_services_opens_no_event() -> None:
    opened = {route.scope for route in ROUTES} | {scope for event in EVENTS for scope in event.scopes}
    assert opened >= FOR_PEOPLE
    assert not FOR_SERVICES & {scope for event in EVENTS for scope in event.scopes}


def test_whoever_may_send_or_hear_an_event_may_connect() -> None:
    assert {scope for event in EVENTS for scope in event.scopes} == set(EVERY_APP)


def test_scopes_are_written_as_oauth_writes_them_and_always_alike() -> None:
    assert scopes_of("live:stream profile:read") == frozenset({"profile:read", "live:stream"})
    assert written({"live:stream", "profile:read"}) == "profile:read live:stream"
    assert scopes_of("") == frozenset()
    for text in ("profile:read  live:stream", "profile:read,live:stream", "PROFILE:READ", "everything", " "):
        assert scopes_of(text) is None, text


def test_a_scope_opens_what_names_it_and_nothing_else() -> None:
    """ASVS 10.3.2, OWASP API5: deny by default."""
    require_scope(caller_with("live:stream"), ("live:stream", "classes:join"))
    with pytest.raises(Forbidden) as other:
        require_scope(caller_with("live:stream"), ("classes:chat",))
    assert other.value.data == {"scope": "classes:chat"}
    with pytest.raises(Forbidden, match="it takes the person") as nothing:
        require_scope(caller_with(*SENTENCES), ())
    assert nothing.value.data == {}


def test_a_person_needs_no_scope() -> None:
    number = uuid.UUID(int=1)
    require_scope(Caller(AccountId(number), LoginId(number), "Ada", frozenset({"member"}), 0), ())


@pytest.mark.parametrize(
    "name",
    ["log_out", "end_login", "change_password", "choose_own_display", "choose_class_display", "start_task", "task_file",
     "choose_safety", "safety_alerts", "name_contact", "give_phone", "class_people", "rule", "decide_report", "block"],
)  # fmt: skip
def test_no_scope_opens_what_takes_a_person(name: str) -> None:
    """ASVS 10.2.3: logins, password, how one is shown, export, contacts and judging others are nobody else's."""
    (route,) = [route for route in ROUTES if route.name == name]
    assert route.scope is None


def test_leading_a_class_opens_to_no_scope() -> None:
    """ASVS 10.2.3."""
    led = {"class.control", "coach.appoint", "member.remove", "member.let_in", "cue.send", "trainer.set", "chat.mute"}
    assert {event.name for event in CLIENT_EVENTS if not event.scopes} >= led


def test_who_streams_hears_of_streams_and_of_nothing_private() -> None:
    """ASVS 10.3.2: an app with live:stream hears no chat, no notification and no board."""
    heard = heard_with(frozenset({"live:stream"}))
    assert heard == {
        "stream.taken",
        "workout.summary",
        "trainer.target",
        "service.state",
        "token.expiring",
        "problem",
        "bye",
    }


def test_what_a_coach_sees_is_heard_by_no_app() -> None:
    """OWASP API3: raw heart rates of others."""
    everything = heard_with(frozenset(SENTENCES))
    unheard = {event.name for event in SERVER_EVENTS} - everything
    assert unheard >= {"board.private", "cockpit.snapshot", "cockpit.changes", "steps.progress", "cue.receipts"}
    assert unheard >= {"safety.alert", "safety.prompt", "task.progress"}

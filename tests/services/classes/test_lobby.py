"""People who wait to begin together."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.classes.lobby import Lobby, begins, marked, shuts_ms
from services.kernel.ids import AccountId

ANA, BEN, CIA = (AccountId(uuid.UUID(int=n)) for n in (1, 2, 3))


def test_it_begins_when_the_last_of_those_who_are_here_is_ready() -> None:
    lobby = marked(Lobby(), ANA, ready=True)
    assert not begins(lobby, {ANA, BEN})
    assert begins(marked(lobby, BEN, ready=True), {ANA, BEN})


def test_one_alone_waits_for_others() -> None:
    assert not begins(marked(Lobby(), ANA, ready=True), {ANA})


def test_nobody_here_begins_nothing() -> None:
    assert not begins(Lobby(), set())


def test_who_has_gone_holds_nobody_up() -> None:
    lobby = marked(marked(Lobby(), ANA, ready=True), BEN, ready=True)
    assert begins(lobby, {ANA, BEN})
    assert not begins(lobby, {ANA, BEN, CIA})


def test_ready_may_be_taken_back() -> None:
    lobby = marked(marked(marked(Lobby(), ANA, ready=True), BEN, ready=True), ANA, ready=False)
    assert (lobby.ready, lobby.n) == ((BEN,), 3)
    assert not begins(lobby, {ANA, BEN})


@given(st.lists(st.tuples(st.sampled_from([ANA, BEN, CIA]), st.booleans())))
def test_the_last_word_of_each_counts_and_saying_it_again_changes_nothing(words: list[tuple[AccountId, bool]]) -> None:
    lobby = Lobby()
    for account_id, ready in words:
        lobby = marked(lobby, account_id, ready=ready)
        assert marked(lobby, account_id, ready=ready) is lobby
    last = dict(words)
    assert set(lobby.ready) == {account_id for account_id, ready in last.items() if ready}
    assert len(set(lobby.ready)) == len(lobby.ready)


def test_newcomers_are_let_in_for_some_minutes_after_the_beginning() -> None:
    assert shuts_ms(None, 5) is None
    assert shuts_ms(1_000_000, 5) == 1_300_000

"""Whenever keys are rotated: one signs, and what it signs is believed as long as it is good, unless a key was stolen."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.accounts.keyring import (
    LEAD_MS,
    READ_EVERY_MS,
    STOLEN_LEAD_MS,
    KeyProblem,
    Keyring,
    RingKey,
    SigningKey,
    load_key,
    make_key,
    rotated,
)

TOKEN_MS: Final = 12 * 3_600_000
KEYS: Final = tuple(load_key(make_key()) for _ in range(6))
BEGIN: Final = 1_790_000_000_000

steps = st.lists(st.tuples(st.integers(0, 2 * TOKEN_MS), st.booleans()), max_size=len(KEYS) - 1)


def story(moves: list[tuple[int, bool]]) -> tuple[list[RingKey], list[tuple[int, bool, RingKey]]]:
    """The places after these rotations, and those that were carried out: when, whether for a theft, the new place."""
    places, done, now = [RingKey(KEYS[0].kid, 0)], [], BEGIN
    spare = iter(KEYS[1:])
    for wait, stolen in moves:
        now += wait
        try:
            key = next(spare)
            places = list(rotated(places, key.kid, now, token_ms=TOKEN_MS, stolen=stolen))
        except KeyProblem:
            continue
        done.append((now, stolen, places[-1]))
    return places, done


def ring_of(places: list[RingKey]) -> Keyring:
    ring = Keyring(KEYS[0])
    ring.learn(places, [key.public for key in KEYS], KEYS)
    return ring


def signer(ring: Keyring, at_ms: int) -> SigningKey:
    return ring.signing(at_ms)


@given(moves=steps, at=st.integers(0, 12 * TOKEN_MS), age=st.integers(0, TOKEN_MS - 1))
@settings(max_examples=300)
def test_what_was_signed_is_believed_for_a_tokens_life_unless_a_key_was_stolen(
    moves: list[tuple[int, bool]], at: int, age: int
) -> None:
    places, done = story(moves)
    ring = ring_of(places)
    at_ms = BEGIN + at
    key = signer(ring, at_ms)
    assert ring.public(key.kid, at_ms) is not None, "who signs is believed"
    thefts = [place.signs_from_ms for _, stolen, place in done if stolen]
    if not any(at_ms < theft <= at_ms + age for theft in thefts):
        assert ring.public(key.kid, at_ms + age) is not None


@given(moves=steps)
def test_after_a_theft_nothing_older_is_believed(moves: list[tuple[int, bool]]) -> None:
    places, done = story(moves)
    ring = ring_of(places)
    for _, stolen, place in done:
        if stolen:
            older = places[: places.index(next(one for one in places if one.kid == place.kid))]
            assert all(ring.public(one.kid, place.signs_from_ms) is None for one in older)


@given(moves=steps)
def test_every_node_has_read_a_key_before_it_signs(moves: list[tuple[int, bool]]) -> None:
    _, done = story(moves)
    for now, stolen, place in done:
        assert place.signs_from_ms - now == (STOLEN_LEAD_MS if stolen else LEAD_MS) > READ_EVERY_MS


@given(moves=steps, at=st.integers(0, 12 * TOKEN_MS))
def test_whoever_reads_our_keys_finds_the_one_that_signs(moves: list[tuple[int, bool]], at: int) -> None:
    places, _ = story(moves)
    ring = ring_of(places)
    assert signer(ring, BEGIN + at).kid in {key.kid for key in ring.published(BEGIN + at)}


@given(moves=steps, at=st.integers(0, 12 * TOKEN_MS))
def test_a_node_that_cannot_open_a_key_still_believes_it_and_signs_with_one_it_has_or_says_so(
    moves: list[tuple[int, bool]], at: int
) -> None:
    places, _ = story(moves)
    whole, half = ring_of(places), Keyring(KEYS[0])
    half.learn(places, [key.public for key in KEYS], [])
    if half.public(KEYS[0].kid, BEGIN + at) is not None:
        assert half.signing(BEGIN + at).kid == KEYS[0].kid
    else:
        with pytest.raises(KeyProblem, match="PACELINE_SEALING_KEYS"):
            half.signing(BEGIN + at)
    kid = whole.signing(BEGIN + at).kid
    assert half.public(kid, BEGIN + at) is not None

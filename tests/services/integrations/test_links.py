"""Links to samples that need no token: only those made here are good, and not for ever."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.integrations.links import GOOD_FOR_S, PATH, SamplesLink, link_to, read_link
from services.kernel.ids import WebhookEndpointId, WorkoutId
from services.kernel.sealing import Seals

SEALS = Seals((bytes(32),))
ENDPOINT, WORKOUT = WebhookEndpointId(uuid.UUID(int=7)), WorkoutId(uuid.UUID(int=8))
NOW = 1_790_000_000_000
LINK = link_to(SEALS, ENDPOINT, WORKOUT, NOW).removeprefix(PATH)


def test_a_link_says_what_it_was_made_for_until_its_end() -> None:
    said = SamplesLink(ENDPOINT, WORKOUT)
    assert read_link(SEALS, LINK, NOW) == said
    assert read_link(SEALS, LINK, NOW + GOOD_FOR_S * 1_000 - 1) == said
    assert read_link(SEALS, LINK, NOW + GOOD_FOR_S * 1_000) is None


@given(st.integers(0, len(LINK) - 1), st.sampled_from("0123456789abcdefXYZ-_."))
def test_no_letter_of_a_link_can_be_another(place: int, letter: str) -> None:
    changed = LINK[:place] + letter + LINK[place + 1 :]
    # The last letter of the tag has two bits that decode to nothing, but only one spelling is good.
    assert (read_link(SEALS, changed, NOW) is not None) == (changed == LINK)


@given(st.text(max_size=200))
def test_other_texts_are_no_links(text: str) -> None:
    assert read_link(SEALS, text, NOW) is None


def test_a_link_of_another_installation_is_none_of_ours() -> None:
    assert read_link(Seals((bytes([1]) * 32,)), LINK, NOW) is None

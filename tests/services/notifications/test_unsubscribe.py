"""Links that stop mail: good for what they name, and for nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import AccountId
from services.kernel.problems import NotFound
from services.notifications.topics import TOPICS
from services.notifications.unsubscribe import Stopping, Unsubscribe

ADA = AccountId(UUID(int=1))
LINKS = Unsubscribe(b"a secret")
STOPPABLE = [topic.name for topic in TOPICS.values() if not topic.essential]


@pytest.mark.parametrize(
    "stopping", [Stopping(ADA), Stopping(ADA, digest=True), *(Stopping(ADA, name) for name in STOPPABLE)]
)
def test_a_token_says_what_it_was_made_for(stopping: Stopping) -> None:
    assert LINKS.stopping(LINKS.token(stopping)) == stopping


def test_nothing_offers_to_stop_what_is_essential() -> None:
    with pytest.raises(ValueError, match="cannot be stopped"):
        LINKS.token(Stopping(ADA, "security.login_ended"))
    assert "security.login_ended" not in {topic.name for topic in Stopping(ADA).topics(())}


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(NotFound):
        Unsubscribe(b"another").stopping(LINKS.token(Stopping(ADA)))


@given(st.sampled_from(STOPPABLE), st.integers(0, 400))
def test_a_token_with_one_bit_changed_is_refused(topic: str, bit: int) -> None:
    token = LINKS.token(Stopping(ADA, topic))
    data = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    bit %= len(data) * 8
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotFound):
        LINKS.stopping(urlsafe_b64encode(bytes(data)).rstrip(b"=").decode())


@given(st.text(max_size=300))
def test_anything_else_is_refused_and_nothing_breaks(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.stopping(token)

"""Asking providers of identities: their documents, a code's tokens, and who somebody is.

Through the egress rule, without redirects, with bounded answers; what is asked and what answers mean is `services/accounts/`.
"""

from typing import Final

from services.accounts.exchanging import Question
from services.accounts.issuer_keys import TokenRefused
from services.accounts.sign_in import Failure
from workers.outbound.calls import Calls
from workers.outbound.client import Answered, Limits

LIMITS: Final = Limits(connect_s=5.0, total_s=10.0, max_body=256 * 1_024)
"""Microsoft's keys are about 20 KiB."""


class NoAnswer(Exception):  # noqa: N818 - it says what is missing
    """A provider did not give what it was asked for. `failure` is what that means for a sign-in; the text is for the log."""

    def __init__(self, failure: Failure, why: str) -> None:
        super().__init__(why)
        self.failure: Final = failure


class IdentityCalls:
    """The questions."""

    def __init__(self, calls: Calls) -> None:
        self._calls: Final = calls

    async def document(self, url: str) -> bytes:
        """What an issuer publishes there. Raises NoAnswer."""
        return await self._asked(Question(url, {"Accept": "application/json"}))

    async def ask(self, question: Question) -> bytes:
        """The answer to a question about somebody. Raises NoAnswer."""
        return await self._asked(question)

    async def _asked(self, question: Question) -> bytes:
        outcome = await self._calls.call(
            "GET" if question.form is None else "POST",
            question.url,
            body=question.form,
            headers=question.headers,
            limits=LIMITS,
        )
        if not isinstance(outcome, Answered):
            raise NoAnswer("unreachable", outcome.why)
        if outcome.cut is not None:
            raise NoAnswer("unreachable", f"its answer broke off or was too long ({outcome.cut})")
        if outcome.status >= 500 or outcome.status == 429:
            raise NoAnswer("unreachable", f"it answered {outcome.status}")
        if outcome.status != 200:
            raise NoAnswer("refused", f"it answered {outcome.status}")
        return outcome.body


def failure_of(problem: NoAnswer | TokenRefused) -> Failure:
    """What this means for a sign-in."""
    return problem.failure if isinstance(problem, NoAnswer) else "unproven"

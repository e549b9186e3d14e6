"""What is said to a question, by who was asked: the same whether it came by mail or as a text message. The one who answers has no
account: the signed link is their right, and it is good for nothing else."""

from services.kernel.clock import utc
from services.kernel.problems import NotFound
from services.safety.ports import AnyQuestion, AnyQuestionId, QuestionStore
from services.safety.question import may_agree, state_of


async def asked(questions: QuestionStore[AnyQuestionId, AnyQuestion], question_id: AnyQuestionId) -> AnyQuestion:
    """What is asked, and how it stands. Raises `NotFound` for a question of long ago."""
    found = await questions.by_id(question_id)
    if found is None:
        raise NotFound("this is asked no more")
    return found


async def answer(
    questions: QuestionStore[AnyQuestionId, AnyQuestion], question_id: AnyQuestionId, now_ms: int, *, agrees: bool
) -> AnyQuestion:
    """They say yes, or say no, or take it back. Said again, it is as it was. Raises `NotFound` for a yes to what is asked no
    more."""
    await questions.lock((await asked(questions, question_id)).account_id)
    found = await asked(questions, question_id)
    if not agrees:
        await questions.refuse(found, utc(now_ms))
    elif may_agree(found, now_ms):
        await questions.agree(question_id, utc(now_ms))
    elif found.replaced_at_ms is not None or state_of(found, now_ms) != "agreed":
        raise NotFound("this is asked no more")
    return await asked(questions, question_id)

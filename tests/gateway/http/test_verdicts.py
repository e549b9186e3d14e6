"""Fair play over HTTP: what is answered to the owner, to those who review, and to everybody else."""

from typing import Any
from uuid import UUID

import pytest

from services.fairplay.judging import judge
from services.kernel.clock import utc
from services.kernel.facts import WorkoutSummarised
from services.kernel.ids import WorkoutId
from services.training.sample import Sample
from services.training.workouts import summarise
from tests.gateway.http.conftest import Api
from tests.gateway.http.test_challenges import asked, joined, made
from tests.gateway.http.test_workouts import a_workout
from tests.support.audited import entries
from tests.support.judged import cheats, outing
from workers.challenging import ChallengeFacts


async def ridden(api: Api, person: dict[str, Any], n: int, samples: list[Sample]) -> str:
    """A workout that is finished, summarised, judged and scored."""
    workout = await a_workout(api, person["account"]["id"], n, samples)
    workout_id, now_ms = WorkoutId(UUID(workout)), api.clock.wall_ms()
    async with api.transactions() as stores:
        await stores.tx.execute("UPDATE workouts SET created_at = $2 WHERE id = $1", workout_id, utc(now_ms))
        await stores.workouts.finish(workout_id, utc(now_ms + 1_200_000))
        await summarise(stores, workout_id)
        await judge(stores, workout_id, now_ms)
        fact = WorkoutSummarised(workout_id=workout_id, account_id=person["account"]["id"])
        await ChallengeFacts(api.clock, None, lambda _: None).keep_score(stores, fact)
    return f"/v1/workouts/{workout}/verdict"


async def test_a_verdict_is_seen_appealed_against_reviewed_and_overturned(api: Api) -> None:
    maker, ada = await api.register(), await api.register()
    challenge = await made(api, maker["access_token"])
    await joined(api, ada["access_token"], challenge["code"])
    url = await ridden(api, ada, 1, cheats(1)["flat"])
    seen = await asked(api, "GET", url, ada["access_token"])
    assert (seen["verdict"], seen["grade"], [one["rule"] for one in seen["findings"]]) == (
        "rejected",
        "optical",
        ["flat"],
    )
    assert seen["findings"][0]["figure"] >= seen["findings"][0]["rejected_from"]
    reviews = f"/v1/challenges/{challenge['id']}/reviews"
    assert (await asked(api, "GET", reviews, maker["access_token"]))["cases"] == []
    told = await asked(api, "POST", f"{url}/appeal", ada["access_token"], {"text": "My strap hung."}, 201)
    assert told["appeal_until_ms"] is None
    (case,) = (await asked(api, "GET", reviews, maker["access_token"]))["cases"]
    assert (case["waits_for"], case["appeal"], case["verdict"]) == ("appeal", "My strap hung.", "rejected")
    ruling = {"decision": "overturn", "reason": "It did."}
    ruled = await asked(api, "POST", f"{url}/ruling", maker["access_token"], ruling)
    assert (ruled["verdict"], [step["by"] for step in ruled["steps"]]) == ("accepted", ["rules", "owner", "reviewer"])
    assert (await asked(api, "GET", url.removesuffix("/verdict"), ada["access_token"]))["verdict"] == "accepted"
    acts = [(line.act, line.actor, line.account) for line in await entries(api.transactions)]
    by, whose = UUID(maker["account"]["id"]), UUID(ada["account"]["id"])
    looks = [act for act in acts if act[0] in {"evidence.viewed", "case.decided"}]
    assert looks == [("evidence.viewed", by, whose), ("case.decided", by, whose)], "her own looks are nobody's business"


async def test_each_refusal_has_its_code(api: Api) -> None:
    maker, ada = await api.register(), await api.register()
    token, reviewer = ada["access_token"], maker["access_token"]
    challenge = await made(api, reviewer)
    await joined(api, token, challenge["code"])
    await joined(api, reviewer, challenge["code"])

    async def refused(method: str, url: str, by: str, body: object, status: int) -> str:
        return str((await asked(api, method, url, by, body, status))["code"])

    text, ruling = {"text": "Why?"}, {"decision": "uphold", "reason": "So."}
    honest = await ridden(api, ada, 1, outing(1))
    assert await refused("POST", f"{honest}/appeal", token, text, 409) == "nothing_to_appeal"
    assert await refused("POST", f"{honest}/ruling", reviewer, ruling, 409) == "nothing_to_rule"
    flat = await ridden(api, ada, 2, cheats(2)["flat"])
    for wrong in ({"text": ""}, {"text": "  "}, {"text": "x" * 1_001}, {}, {"text": "a", "more": 1}):
        assert await refused("POST", f"{flat}/appeal", token, wrong, 422) == "bad_shape"
    assert await refused("POST", f"{flat}/ruling", reviewer, {"decision": "maybe", "reason": "x"}, 422) == "bad_shape"
    await asked(api, "POST", f"{flat}/appeal", token, text, 201)
    assert await refused("POST", f"{flat}/appeal", token, text, 409) == "appealed_already"
    assert await refused("POST", f"{flat}/ruling", token, ruling, 403) == "forbidden"
    own = await ridden(api, maker, 3, cheats(3)["beats_disagree"])
    assert await refused("POST", f"{own}/ruling", reviewer, ruling, 403) == "forbidden"


@pytest.mark.parametrize("what", ["", "/appeal", "/ruling"])
async def test_for_a_stranger_a_workout_that_is_there_is_none(api: Api, what: str) -> None:
    ada, stranger = await api.register(), await api.token()
    url = await ridden(api, ada, 1, cheats(1)["flat"])
    method = "POST" if what else "GET"
    body = {"text": "?"} if what == "/appeal" else {"decision": "overturn", "reason": "?"} if what else None
    known = await asked(api, method, url + what, stranger, body, 404)
    unknown = await asked(api, method, f"/v1/workouts/{UUID(int=7)}/verdict{what}", stranger, body, 404)
    assert (known["code"], known["detail"]) == (unknown["code"], unknown["detail"])


async def test_reviews_are_for_coaches_and_makers(api: Api) -> None:
    coach, stranger = await api.token("coach"), await api.token()
    live = await asked(api, "POST", "/v1/classes", coach, {"title": "Hills"}, 201)
    challenge = await made(api, coach)
    shut = {f"/v1/classes/{live['id']}": "class_not_found", f"/v1/challenges/{challenge['id']}": "challenge_not_found"}
    for url, code in shut.items():
        assert (await asked(api, "GET", f"{url}/reviews", coach))["cases"] == []
        assert (await asked(api, "GET", f"{url}/reviews", stranger, status=404))["code"] == code


async def test_what_was_not_judged_yet_says_so_and_may_be_asked_again(api: Api) -> None:
    ada = await api.register()
    workout = await a_workout(api, ada["account"]["id"], 1, [])
    refusal = await asked(api, "GET", f"/v1/workouts/{workout}/verdict", ada["access_token"], status=409)
    assert (refusal["code"], refusal["retry"]) == ("not_judged_yet", True)

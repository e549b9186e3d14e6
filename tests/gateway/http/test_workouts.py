"""Workouts over HTTP: one's own, page by page."""

import uuid

from persistence.samples import encode_batch
from services.kernel.clock import utc
from services.kernel.ids import WorkoutId
from services.training.physiology import Physiology
from services.training.sample import Motion, Sample
from tests.gateway.http.conftest import Api

BODY = Physiology(190, 60, None, None, None, "assumed", "assumed")


async def a_workout(api: Api, account_id: str, n: int, samples: list[Sample]) -> str:
    """A workout of somebody with these samples."""
    workout_id = WorkoutId(uuid.UUID(int=(1_790_000_000_000 + n) << 80 | 0x7 << 76 | 0b10 << 62 | n))
    at = utc(1_790_000_000_000 + n)
    async with api.transactions() as stores:
        await stores.workouts.create(
            workout_id,
            account_id=uuid.UUID(account_id),  # type: ignore[arg-type]
            class_id=None,
            sport="cycling",
            physiology=BODY,
            created_at=at,
        )
        if samples:
            stream_id = uuid.uuid4()
            columns = encode_batch(samples)
            await stores.tx.execute(
                """
                INSERT INTO streams (id, workout_id, account_id, device_started_at, opened_at, next_seq)
                VALUES ($1, $2, $3, $4, $4, $5)
                """,
                stream_id,
                workout_id,
                uuid.UUID(account_id),
                at,
                len(samples),
            )
            await stores.tx.execute(
                """
                INSERT INTO sample_batches
                    (stream_id, first_seq, received_at, t, bpm, rr, rr_n, distance_m, power_w, cadence)
                VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                stream_id,
                at,
                *columns,
            )
    return str(workout_id)


async def test_the_list_goes_from_new_to_old_page_by_page(api: Api) -> None:
    jonas = await api.register()
    made = [await a_workout(api, jonas["account"]["id"], n, []) for n in range(1, 6)]
    token = jonas["access_token"]
    seen, before, pages = [], "", 0
    while True:
        page = await (await api.call("GET", f"/v1/workouts?limit=2{before}", token=token)).json()
        seen += [workout["id"] for workout in page["workouts"]]
        pages += 1
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == made[::-1]
    assert pages == 3


async def test_samples_come_back_as_they_were_sent_page_by_page(api: Api) -> None:
    jonas = await api.register()
    samples = [Sample(t=n * 1_000, bpm=None if n == 3 else 100 + n, rr=(600, 601) if n == 4 else ()) for n in range(7)]
    samples += [Sample(t=7_000, bpm=110, motion=Motion(42, None, 88))]
    workout = await a_workout(api, jonas["account"]["id"], 1, samples)
    seen, seq = [], 0
    while True:
        url = f"/v1/workouts/{workout}/samples?from_seq={seq}&limit=3"
        page = await (await api.call("GET", url, token=jonas["access_token"])).json()
        assert page["next_seq"] == seq + len(page["samples"])
        if not page["samples"]:
            break
        seen += page["samples"]
        seq = page["next_seq"]
    assert seen == [[s.t, s.bpm, list(s.rr), [42, None, 88] if s.motion else None] for s in samples]


async def test_one_workout_says_that_its_summary_is_not_made_yet(api: Api) -> None:
    jonas = await api.register()
    workout = await a_workout(api, jonas["account"]["id"], 1, [])
    reply = await (await api.call("GET", f"/v1/workouts/{workout}", token=jonas["access_token"])).json()
    assert (reply["sport"], reply["summary"], reply["revision"], reply["finished_at_ms"]) == ("cycling", None, 0, None)


async def test_somebody_else_s_workout_does_not_exist(api: Api) -> None:
    jonas, eve = await api.register(), await api.register()
    workout = await a_workout(api, jonas["account"]["id"], 1, [Sample(t=0, bpm=100)])
    missing = uuid.uuid4()
    for url in ("/v1/workouts/{}", "/v1/workouts/{}/samples"):
        answers = []
        for target in (workout, missing):
            response = await api.call("GET", url.format(target), token=eve["access_token"])
            problem = await response.json()
            answers.append((response.status, problem["code"], problem["detail"]))
        assert answers[0] == answers[1]
        assert answers[0][:2] == (404, "not_found")
    listed = await (await api.call("GET", "/v1/workouts", token=eve["access_token"])).json()
    assert listed == {"workouts": [], "next_before": None}


async def test_a_query_that_is_wrong_is_refused_with_its_name(api: Api) -> None:
    token = await api.token()
    for query, path in (
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=many", "query.limit"),
        ("before=yesterday", "query.before"),
        ("page=2", "query"),
        ("limit=1&limit=2", "query.limit"),
    ):
        response = await api.call("GET", f"/v1/workouts?{query}", token=token)
        assert (response.status, (await response.json())["path"]) == (422, path), query
    url = f"/v1/workouts/{uuid.uuid4()}/samples"
    for query in ("from_seq=-1", f"from_seq={2**53}", "limit=10001"):
        assert (await api.call("GET", f"{url}?{query}", token=token)).status == 422

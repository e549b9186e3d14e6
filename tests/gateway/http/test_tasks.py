"""Long tasks over HTTP: what a client may ask and what it is answered. Doing them is tests/workers/test_long_tasks.py."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from services.accounts.step_up import FRESH_MS
from services.kernel.clock import utc
from services.kernel.ids import TaskId
from services.tasks.task import MOST_OPEN, TaskFile, TaskResult
from tests.gateway.http.conftest import PASSWORD, Api

EXPORT = {"key": "one", "work": {"kind": "export_account"}}


async def started(api: Api, token: str, body: object = EXPORT, status: int = 202) -> dict[str, Any]:
    answer = await api.call("POST", "/v1/tasks", body, token=token)
    assert answer.status == status, await answer.text()
    view: dict[str, Any] = await answer.json()
    return view


async def test_a_task_is_started_once_per_key_and_listed(api: Api) -> None:
    token = await api.token()
    first = await started(api, token)
    assert (first["kind"], first["state"], "total" in first) == ("export_account", "waiting", False)
    assert await started(api, token) == first
    second = await started(api, token, {"key": "two", "work": {"kind": "recompute_workouts", "since": "2026-01-01"}})
    listed = await (await api.call("GET", "/v1/tasks?limit=1", token=token)).json()
    assert [task["task"] for task in listed["tasks"]] == [second["task"]]
    older = await (await api.call("GET", f"/v1/tasks?before={listed['next_before']}", token=token)).json()
    assert (older["tasks"], older["next_before"]) == ([first], None)
    assert await (await api.call("GET", f"/v1/tasks/{first['task']}", token=token)).json() == first


async def test_what_cannot_be_started_is_refused_with_the_reason(api: Api) -> None:
    token = await api.token()
    await started(api, token)
    reused = {"key": "one", "work": {"kind": "recompute_workouts"}}
    assert (await started(api, token, reused, 409))["code"] == "key_reused"
    for body, path in (
        ({"key": "one", "work": {"kind": "mine_bitcoin"}}, "$.work.kind"),
        ({"key": "", "work": {"kind": "export_account"}}, "$.key"),
        ({"key": "one", "work": {"kind": "export_account", "of": "somebody"}}, "$.work"),
        ({"work": {"kind": "export_account"}}, "$"),
    ):
        refusal = await started(api, token, body, 422)
        assert refusal["path"].startswith(path), refusal
    for n in range(MOST_OPEN - 1):
        await started(api, token, {**EXPORT, "key": f"key-{n}"})
    full = await started(api, token, {**EXPORT, "key": "too-much"}, 429)
    assert (full["code"], full["retry"], full["data"]) == ("too_many_tasks", True, {"limit": MOST_OPEN})


async def test_a_task_is_cancelled_and_stays_cancelled(api: Api) -> None:
    token = await api.token()
    task = (await started(api, token))["task"]
    for _ in range(2):
        answer = await api.call("DELETE", f"/v1/tasks/{task}", token=token)
        assert (answer.status, (await answer.json())["state"]) == (200, "cancelled")


async def done(api: Api, task: str, name: str) -> None:
    """Somebody has made the file."""
    task_id = TaskId(UUID(task))
    async with api.transactions() as stores:
        taken = await stores.long_tasks.claim("export_account", utc(api.clock.wall_ms()), timedelta(minutes=1))
        assert taken is not None
        assert taken.id == task_id
        until_ms = api.clock.wall_ms() + 86_400_000
        result = TaskResult(file=TaskFile(name, 4, "ab", until_ms))
        assert await stores.long_tasks.end(task_id, taken.epoch, "done", utc(api.clock.wall_ms()), result=result)


async def test_a_login_that_lies_open_does_not_find_the_copy_that_its_owner_has_asked_for(
    api: Api, web_root: Path
) -> None:
    """ASVS 7.5.3: fetching it is as sensitive as having it made; a stranger is not told that there is one."""
    token, stranger = await api.token(), await api.token()
    task = (await started(api, token))["task"]
    folder = web_root.parent / "exports"
    folder.mkdir()
    (folder / "made.zip").write_bytes(b"PK..")
    await done(api, task, "made.zip")
    url = f"/v1/tasks/{task}/result"
    await api.clock.advance(FRESH_MS / 1_000)
    refused = await api.call("GET", url, token=token)
    assert (refused.status, (await refused.json())["code"]) == (403, "step_up_needed")
    assert (await api.call("GET", url, token=stranger)).status == 404
    proven = await api.call("POST", "/v1/me/step-up", {"password": PASSWORD}, token=token)
    again = await api.call("GET", url, token=(await proven.json())["access_token"])
    assert (again.status, await again.read()) == (200, b"PK..")


async def test_the_file_is_its_owner_s_for_a_day(api: Api, web_root: Path) -> None:
    token, stranger = await api.token(), await api.token()
    task = (await started(api, token))["task"]
    url = f"/v1/tasks/{task}/result"
    early = await api.call("GET", url, token=token)
    assert early.status == 404
    await done(api, task, "made.zip")
    away = await api.call("GET", url, token=token)
    assert (away.status, (await away.json())["code"]) == (503, "unavailable")
    folder = web_root.parent / "exports"
    folder.mkdir()
    (folder / "made.zip").write_bytes(b"PK..")
    answer = await api.call("GET", url, token=token)
    assert (answer.status, await answer.read()) == (200, b"PK..")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="paceline-2026-')
    assert answer.headers["Cache-Control"] == "no-store"
    part = await api.call("GET", url, token=token, headers={"Range": "bytes=2-"})
    assert (part.status, await part.read()) == (206, b"..")
    for method, path in (("GET", url), ("GET", f"/v1/tasks/{task}"), ("DELETE", f"/v1/tasks/{task}")):
        assert (await api.call(method, path, token=stranger)).status == 404
    assert (await api.call("GET", url)).status == 401
    await api.clock.advance(600)
    assert json.loads(await (await api.call("GET", f"/v1/tasks/{task}", token=token)).read())["state"] == "done"

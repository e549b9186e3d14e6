"""Blocks over HTTP."""

import uuid

from services.social.blocks import MAX_BLOCKS
from tests.gateway.http.conftest import Api


async def test_one_blocks_lists_and_unblocks_as_often_as_one_likes(api: Api) -> None:
    ada, bob = await api.register(), await api.register()
    token, other = ada["access_token"], bob["account"]["id"]
    for _ in range(2):
        assert (await api.call("PUT", f"/v1/blocks/{other}", token=token)).status == 204
    listed = await (await api.call("GET", "/v1/blocks", token=token)).json()
    assert [(one["account_id"], one["name"]) for one in listed["blocks"]] == [(other, bob["account"]["name"])]
    # It is nobody else's business.
    assert (await (await api.call("GET", "/v1/blocks", token=bob["access_token"])).json())["blocks"] == []
    for _ in range(2):
        assert (await api.call("DELETE", f"/v1/blocks/{other}", token=token)).status == 204
    assert (await (await api.call("GET", "/v1/blocks", token=token)).json())["blocks"] == []


async def test_oneself_and_nobody_cannot_be_blocked(api: Api) -> None:
    ada = await api.register()
    refused = await api.call("PUT", f"/v1/blocks/{ada['account']['id']}", token=ada["access_token"])
    assert (refused.status, (await refused.json())["code"]) == (422, "bad_shape")
    refused = await api.call("PUT", f"/v1/blocks/{uuid.uuid4()}", token=ada["access_token"])
    assert (refused.status, (await refused.json())["code"]) == (404, "not_found")


async def test_there_is_an_end_to_whom_one_may_block(api: Api) -> None:
    ada, bob, eve = await api.register(), await api.register(), await api.register()
    async with api.transactions() as stores:
        await stores.tx.execute(
            """
            WITH crowd AS (
                INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
                SELECT gen_random_uuid(), n || '@crowd.example.org', 'N', '', '{member}', now()
                FROM generate_series(1, $2) AS n
                RETURNING id
            )
            INSERT INTO blocks SELECT $1, id, now() FROM crowd
            """,
            uuid.UUID(ada["account"]["id"]),
            MAX_BLOCKS - 1,
        )
    token = ada["access_token"]
    assert (await api.call("PUT", f"/v1/blocks/{bob['account']['id']}", token=token)).status == 204
    refused = await api.call("PUT", f"/v1/blocks/{eve['account']['id']}", token=token)
    assert (refused.status, (await refused.json())["code"]) == (409, "too_many_blocks")
    # Who is blocked already stays so.
    assert (await api.call("PUT", f"/v1/blocks/{bob['account']['id']}", token=token)).status == 204

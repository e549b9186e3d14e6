"""Where channels live: one server, several, a cluster."""

import asyncio
import socket
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import RedisError

from realtime.redis_address import TROUBLE
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import CONNECTIONS, RedisServers, ping
from realtime.room_log import Entry, LogAway
from tests.realtime import build
from tests.support.proxy import open_proxy
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import open_redis
from tests.support.server import free_port
from tests.support.system_parts import require

CHANNELS = [f"room:{n}" for n in range(1_000)]
HOSTS = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=6, unique=True)


def servers_at(hosts: list[str]) -> RedisServers:
    return RedisServers(",".join(f"redis://{host}:6379/0" for host in hosts))


def homes(servers: RedisServers) -> dict[str, str]:
    return {channel: servers.home(channel).host for channel in CHANNELS}


# -- shards: laws ---------------------------------------------------------------------------------------------------


@given(HOSTS, st.data())
def test_a_server_that_is_taken_away_moves_its_own_channels_and_no_others(
    hosts: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(hosts))
    before, after = homes(servers_at(hosts)), homes(servers_at([host for host in hosts if host != gone]))
    assert all(after[channel] == home for channel, home in before.items() if home != gone)


@given(HOSTS, st.randoms())
def test_the_order_of_the_list_does_not_matter(hosts: list[str], random: "st.randoms") -> None:  # type: ignore[valid-type]
    mixed = sorted(hosts, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert homes(servers_at(hosts)) == homes(servers_at(mixed))


@given(HOSTS)
def test_every_server_is_home_of_about_the_same_number(hosts: list[str]) -> None:
    count = Counter(homes(servers_at(hosts)).values())
    fair = len(CHANNELS) / len(hosts)
    assert all(0.6 * fair < count[host] < 1.4 * fair for host in hosts)


def test_a_new_password_moves_nothing() -> None:
    one = RedisServers("redis://:old@a:6379/0,redis://:old@b:6379/0")
    two = RedisServers("redis://a,redis://user:new@b")
    assert homes(one) == homes(two)


@given(st.text(min_size=1).filter(lambda channel: channel[0] != "}"), st.text())
def test_what_is_kept_under_a_channel_lies_in_the_channels_slot(channel: str, what: str) -> None:
    servers = RedisServers("redis://a")
    assert key_slot(servers.key(channel, what).encode()) == key_slot(servers.name(channel).encode())


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "redis://a,redis://a:6379",
        "redis+cluster://a:1,redis://b",
        "redis+cluster://a:1/1",
        "redis+cluster://",
    ],
)
def test_urls_that_name_no_servers_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis URL|twice|cluster"):
        RedisServers(url)


# -- real servers ---------------------------------------------------------------------------------------------------


async def test_a_burst_of_commands_waits_and_none_is_refused() -> None:
    async with open_redis() as server:
        await waits_in_a_burst(server.url)


async def test_a_burst_of_commands_to_a_cluster_waits_and_none_is_refused() -> None:
    async with open_cluster() as cluster:
        await waits_in_a_burst(cluster.url)


async def waits_in_a_burst(url: str) -> None:
    servers = RedisServers(url)
    try:
        channels = CHANNELS[: 8 * CONNECTIONS]
        await asyncio.gather(*(servers.client(one).set(servers.key(one, "x"), one) for one in channels))
        assert await servers.client("room:5").get(servers.key("room:5", "x")) == b"room:5"
        pipelines = [servers.client(channels[0]).pipeline(transaction=False) for _ in range(4 * CONNECTIONS)]
        for pipeline in pipelines:
            pipeline.get(servers.key(channels[0], "x"))
        answers = await asyncio.gather(*(pipeline.execute() for pipeline in pipelines))
        assert answers == [[channels[0].encode()]] * len(pipelines)
    finally:
        await servers.close()


async def test_one_script_may_store_and_publish_wherever_the_channel_lives() -> None:
    async with open_redis() as one, open_redis() as two, open_cluster() as cluster:
        for url in (one.url, f"{one.url},{two.url}", cluster.url):
            servers = RedisServers(url)
            try:
                for channel in CHANNELS[:20]:
                    script = servers.client(channel).register_script(
                        "redis.call('SET', KEYS[1], ARGV[1]) return redis.call(ARGV[2], KEYS[2], ARGV[1])"
                    )
                    keys = [servers.key(channel, "x"), servers.name(channel)]
                    assert await script(keys=keys, args=[b"said", servers.publish_word]) == 0
                    assert await servers.client(channel).get(servers.key(channel, "x")) == b"said"
            finally:
                await servers.close()


async def test_commands_to_a_master_that_is_away_fail_as_redis_errors_and_the_others_answer() -> None:
    async with open_cluster() as cluster:
        servers = RedisServers(cluster.url)
        try:
            gone = cluster.masters[0]
            homes = {one: await cluster.home(servers.name(one).encode()) for one in CHANNELS[:20]}
            there = next(one for one, home in homes.items() if home is gone)
            here = next(one for one, home in homes.items() if home is not gone)
            await servers.client(here).set(servers.key(here, "x"), "1")
            await gone.kill()
            for _ in range(3):
                with pytest.raises(RedisError):
                    await servers.client(there).get(servers.key(there, "x"))
                pipeline = servers.client(there).pipeline(transaction=False)
                pipeline.get(servers.key(there, "x"))
                with pytest.raises(RedisError):
                    await pipeline.execute()
            assert await servers.client(here).get(servers.key(here, "x")) == b"1"
            await gone.start()
            await cluster.until_whole()
            await servers.client(there).set(servers.key(there, "x"), "1")
        finally:
            await servers.close()


async def test_a_slot_that_nobody_serves_is_the_trouble_of_its_rooms_only_and_is_found_again() -> None:
    async with open_cluster() as cluster:
        servers = RedisServers(cluster.url)
        log = RedisRoomLog(RedisCommands(servers))
        gone, there = CHANNELS[:2]
        slot, home = key_slot(servers.name(gone).encode()), await cluster.home(servers.name(gone).encode())
        try:
            await build.appended(log, gone, [Entry(b"", "before")])
            for master in cluster.masters:
                await master.command("CLUSTER", "DELSLOTS", slot)
            for attempt in range(4):
                with pytest.raises(LogAway):
                    await build.appended(log, gone, [Entry(b"", "a key")])
                pipeline = servers.client(gone).pipeline(transaction=False)
                pipeline.get(servers.key(gone, "x"))
                with pytest.raises(RedisError):
                    await pipeline.execute()
                tops = await log.tops((gone, there))
                assert isinstance(tops[gone], LogAway)
                assert tops[there] == (await build.appended(log, there, [Entry(b"", f"{attempt}")]))[0].position.moved(
                    -1
                )
            await home.command("CLUSTER", "ADDSLOTS", slot)
            async with asyncio.timeout(10):
                while isinstance((await log.tops((gone,)))[gone], LogAway):
                    await asyncio.sleep(0.05)
        finally:
            await servers.close()


async def test_a_cluster_of_which_only_an_empty_server_answers_is_trouble() -> None:
    words = ("--cluster-enabled", "yes", "--port", str(free_port()), "--cluster-port", str(free_port()))
    async with open_redis(*words, program=require("redis")):
        servers = RedisServers(f"redis+cluster://127.0.0.1:{words[3]}")
        try:
            for _ in range(2):
                with pytest.raises(RedisError, match="not whole"):
                    await servers.script("room:a", "return 1", ["k"], [])
        finally:
            await servers.close()


async def test_a_cluster_that_has_come_to_other_addresses_is_found_by_the_names_in_the_url() -> None:
    async with open_cluster() as before, open_cluster() as after, open_proxy(before.masters[0].port) as name:
        servers = RedisServers(f"redis+cluster://127.0.0.1:{name.port}")
        try:
            assert await servers.script("room:a", "return 1", [servers.key("room:a", "x")], []) == 1
            for master in before.masters:
                await master.kill()
            name.upstream = after.masters[1].port
            name.cut()
            async with asyncio.timeout(20):
                while not await _answers(servers, "room:a"):
                    await asyncio.sleep(0.05)
            # And when the names lead nowhere, by the servers that were found.
            name.refuse()
            await after.masters[1].kill()
            assert not all([await _answers(servers, channel) for channel in CHANNELS[:20]])
            async with asyncio.timeout(20):
                while not any([await _answers(servers, channel) for channel in CHANNELS[:20]]):
                    await asyncio.sleep(0.05)
        finally:
            await servers.close()


async def _answers(servers: RedisServers, channel: str) -> bool:
    try:
        return bool(await servers.script(channel, "return 1", [servers.key(channel, "x")], []) == 1)
    except TROUBLE:
        return False


async def test_asking_whether_they_answer_names_those_that_do_not() -> None:
    async with open_redis() as one, open_redis() as two:
        both = f"{one.url},{two.url}"
        assert await ping(both) is None
        await two.kill()
        answer = await ping(both)
        assert answer is not None
        assert str(two.socket) in answer
        assert str(one.socket) not in answer


async def test_asking_a_cluster_asks_every_master() -> None:
    async with open_cluster() as cluster:
        seed = f"redis+cluster://127.0.0.1:{cluster.masters[0].port}"
        assert await ping(seed) is None
        await cluster.masters[2].kill()
        assert str(cluster.masters[2].port) in (await ping(seed) or "")
    assert (await ping(seed) or "").startswith("does not answer as a cluster")
    assert (await ping("nonsense") or "").startswith("names no server")


async def test_what_is_under_way_in_a_cluster_has_failed_once_the_servers_are_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = RedisServers(f"redis+cluster://127.0.0.1:{silent.getsockname()[1]}")
        came: list[object] = []
        servers.begin("room:a", "return 1", ["k"], [], came.append)
        await asyncio.sleep(0.01)
        await servers.close()
        async with asyncio.timeout(5):
            while not came:
                await asyncio.sleep(0)
    assert [type(each) for each in came] == [ConnectionAbortedError]

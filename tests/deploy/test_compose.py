"""deploy/compose.yaml: valid by the schema that Compose itself is held to, and in agreement with the program and with itself."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from ruamel.yaml import YAML

from paceline.options import ROLES
from paceline.settings import Settings
from paceline.wiring import link_tag
from realtime.redis_servers import ping
from tests.deploy.files import DEPLOY, Yaml, documents, longest_stop_s, seconds, settings_of, told_in_the_open
from tests.support.server import free_port
from tests.support.system_parts import require

COMPOSE: Final = DEPLOY / "compose.yaml"
SERVICES: Final[dict[str, Yaml]] = documents(COMPOSE)[0]["services"]
OURS: Final = {name: one for name, one in SERVICES.items() if one["image"].startswith("${PACELINE_IMAGE")}
SERVERS: Final = {"postgres", "redis", "rabbitmq"}
START_S: Final = 20.0


def judged(path: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def secret_paths(service: Yaml, folder: Path) -> dict[str, Path]:
    """Where a container finds its secrets, and where they are here."""
    declared = documents(COMPOSE)[0]["secrets"]
    found = {}
    for one in service.get("secrets", []):
        name = one if isinstance(one, str) else one["source"]
        target = f"/run/secrets/{name}" if isinstance(one, str) else one["target"]
        found[target] = folder / Path(declared[name]["file"]).name
    return found


def settings(name: str, folder: Path) -> Settings:
    return settings_of(OURS[name]["environment"], secret_paths(OURS[name], folder))


def test_compose_is_what_its_schema_says() -> None:
    said = judged(COMPOSE)

    assert said.returncode == 0, said.stdout


def test_the_schema_would_tell(tmp_path: Path) -> None:
    broken = documents(COMPOSE)[0]
    broken["services"]["proxy"]["restarts"] = "always"
    path = tmp_path / "compose.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(broken, file)

    assert judged(path).returncode == 1


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_process_finds_its_settings_in_order(name: str, secret_files: Path) -> None:
    made = settings(name, secret_files)

    assert {made.embedded_postgres, made.embedded_redis} == {False}, "servers are given, not started"
    assert made.amqp_url
    assert made.token_key
    assert made.vapid_key
    assert made.admin_token
    assert made.sealing_keys
    assert not told_in_the_open(OURS[name]["environment"])


def test_all_roles_are_played_and_no_name_is_taken_twice(secret_files: Path) -> None:
    running = [settings(name, secret_files) for name in OURS if name != "migrate"]

    assert {role for one in running for role in one.roles} == set(ROLES)
    names = [one.node_id for one in running]
    assert all(names)
    assert len(set(names)) == len(names)


def test_who_signs_the_audit_can_write_it_down_outside_the_database(secret_files: Path) -> None:
    signing = [name for name in OURS if name != "migrate" and "scheduler" in settings(name, secret_files).roles]
    kept = documents(COMPOSE)[0]["volumes"]

    assert signing
    for name in signing:
        mounts = {one.partition(":")[2]: one.partition(":")[0] for one in OURS[name]["volumes"]}
        assert mounts[str(settings(name, secret_files).checkpoints.parent)] in kept, name
        assert mounts.keys() >= {one.split(":")[1] for one in OURS["gateway-1"]["volumes"]}, "exports are for all"


def test_the_proxy_knows_both_gateways_by_the_tags_of_their_links() -> None:
    told = SERVICES["proxy"]["environment"]

    for number, gateway in ((1, "gateway-1"), (2, "gateway-2")):
        assert told[f"EDGE_NODE_{number}"] == f"{gateway}:{container_port()}"
        assert told[f"EDGE_TAG_{number}"] == link_tag(OURS[gateway]["environment"]["PACELINE_NODE_ID"])


def container_port() -> str:
    return str(re.findall(r"PACELINE_PORT=(\d+)", (DEPLOY / "Dockerfile").read_text())[0])


def test_a_gateway_has_the_time_to_send_its_sockets_away(secret_files: Path) -> None:
    for name in ("gateway-1", "gateway-2"):
        assert seconds(OURS[name]["stop_grace_period"]) > longest_stop_s(settings(name, secret_files)) + 5


def test_a_gateway_stays_open_until_the_proxy_has_seen_that_it_stops(secret_files: Path) -> None:
    ((inter, fall),) = re.findall(r"check inter (\d+)s .*fall (\d+)", (DEPLOY / "edge" / "haproxy.cfg").read_text())

    for name in ("gateway-1", "gateway-2"):
        assert settings(name, secret_files).drain_delay_s > int(inter) * int(fall)


def test_gateways_believe_the_proxy_and_nobody_else(secret_files: Path) -> None:
    (subnet,) = documents(COMPOSE)[0]["networks"]["edge"]["ipam"]["config"]

    for name in ("gateway-1", "gateway-2"):
        assert [str(one) for one in settings(name, secret_files).trusted_proxies] == [subnet["subnet"]]


def test_the_proxy_has_the_time_to_let_its_clients_finish() -> None:
    hard_stop = re.findall(r"hard-stop-after (\d+)s", (DEPLOY / "edge" / "haproxy.cfg").read_text())[0]

    assert seconds(SERVICES["proxy"]["stop_grace_period"]) > int(hard_stop)


def test_nothing_waits_for_a_check_that_is_not_there() -> None:
    image_checks = {"gateway-1", "gateway-2"}  # deploy/Dockerfile
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert other in image_checks or "test" in SERVICES[other]["healthcheck"], (name, other)
            else:
                assert SERVICES[other]["command"] == ["migrate"], (name, other)


def test_only_the_proxy_is_outside_and_it_reaches_no_server() -> None:
    networks = documents(COMPOSE)[0]["networks"]

    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert SERVICES["proxy"]["networks"] == ["edge"]
    assert networks["inner"]["internal"]
    for name in SERVERS | {"migrate"}:
        assert SERVICES[name]["networks"] == ["inner"], name
    outside = [name for name, service in SERVICES.items() if "outside" in service["networks"]]
    assert outside == ["worker"], "third parties are called by workers"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_and_named_by_version(name: str) -> None:
    service = SERVICES[name]

    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["restart"]
    assert re.search(r":[a-z-]*\d+[\w.-]*\}?$", service["image"]), "a version, never the latest"


@pytest.mark.parametrize("name", [*sorted(OURS), "proxy"])
def test_what_faces_the_world_may_do_nothing_but_its_work(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_every_secret_that_is_named_is_made(secret_files: Path) -> None:
    declared = documents(COMPOSE)[0]["secrets"]
    used = {
        one if isinstance(one, str) else one["source"]
        for service in SERVICES.values()
        for one in service.get("secrets", [])
    }

    assert used == declared.keys()
    for one in declared.values():
        assert (secret_files / Path(one["file"]).name).is_file()


async def test_redis_starts_as_it_is_told_and_opens_to_the_url_alone(secret_files: Path, tmp_path: Path) -> None:
    port = free_port()
    program, *words = SERVICES["redis"]["command"]
    assert program == "redis-server"
    files = secret_paths(SERVICES["redis"], secret_files)
    url = (secret_files / "redis-url").read_text().strip().replace("@redis:6379", f"@127.0.0.1:{port}")
    server = await asyncio.create_subprocess_exec(
        str(require("redis")),
        *(str(files.get(word, word)) for word in words),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_S):
            while (fault := await ping(url)) is not None:
                assert server.returncode is None, fault
                await asyncio.sleep(0.05)  # another program is starting: there is no event to wait for
        assert await ping(f"redis://:wrong@127.0.0.1:{port}/0") is not None
    finally:
        server.kill()
        await server.wait()

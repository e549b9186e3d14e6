"""The clients against the whole program: replay in every format, interrupted and resumed, and each scenario once, small."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from loadtest.api import Api
from loadtest.client import account_tokens, open_client
from loadtest.scenarios import class_load, durable, idle
from loadtest.stream import StreamLost
from services.training.sample import Sample
from tests.support import recordings
from tests.support.server import ROOT, Server, open_server

FOLDER = Path(os.environ.get("PACELINE_RECORDINGS") or ROOT.parent / "shared" / "recordings")
REAL = [str(path) for path in sorted(FOLDER.rglob("*.*")) if not path.stem.isupper()]
"""Real recordings, whole and broken, where the folder is present; README and MANIFEST are none."""

PASSWORD = "a sentence nobody guesses"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with open_server(PACELINE_COMMIT_INTERVAL_MS="50") as running:
        yield running


async def start(server: Server, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env=os.environ | {"PACELINE_URL": server.base_url} | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def replayed(server: Server, *arguments: str, **environ: str) -> tuple[int | None, dict[str, Any], str]:
    """Exit code, result, and what was said on standard error."""
    process = await start(server, "-m", "paceline", "replay", *arguments, "--json", "--verify", **environ)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, msgspec.json.decode(out) if out else {}, err.decode()


async def test_every_format_goes_through_and_what_is_stored_is_what_was_sent(server: Server, tmp_path: Path) -> None:
    workout = recordings.workout(180, lost=range(60, 70))
    files = {
        "watch.fit": recordings.fit(workout),
        "watch.tcx": recordings.tcx(workout),
        "phone.gpx": recordings.gpx(workout),
        "belt.hrm": recordings.hrm(workout[::5], interval_s=5),
        "belt-rr.hrm": recordings.hrm_rr(recordings.beats(180)),
        "beats.txt": recordings.rr_list(recordings.beats(180)),
        "phone.csv": recordings.event_log(workout),
        "day.json": recordings.day_curve(workout),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code, result, said = await replayed(server, *(str(tmp_path / name) for name in files), "--speed", "max")
    assert code == 0, said
    assert {outcome["ending"] for outcome in result["outcomes"]} == {"finished"}
    assert all(outcome["same"] and outcome["stored"] == outcome["samples"] > 0 for outcome in result["outcomes"])
    assert all(outcome["summary"]["samples"] == outcome["stored"] for outcome in result["outcomes"])
    assert {standing["name"] for standing in result["final"]["standings"]} >= {"watch", "phone", "beats"}
    assert "/board?code=" in said
    assert "100 %" in said


@pytest.mark.skipif(
    not REAL, reason=f"no recordings at {FOLDER}: set PACELINE_RECORDINGS to a folder with a MANIFEST.json"
)
async def test_all_real_recordings_go_through_sample_by_sample(server: Server) -> None:
    code, result, said = await replayed(server, *REAL, "--keep-going", "--speed", "max")
    assert code == 0, said
    assert all(outcome["same"] and outcome["summary"] for outcome in result["outcomes"])
    skipped = re.findall(r"^skipped: (.*?): holds no heart rate", said, re.MULTILINE)
    assert len(result["outcomes"]) + len(skipped) == len(REAL)
    assert len(skipped) == sum(path.endswith((".json",)) and "day-heart-rate" not in path for path in REAL)


async def test_what_was_whole_of_a_damaged_file_is_streamed_when_asked(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "cut.tcx"
    path.write_bytes(recordings.cut_off(recordings.tcx(recordings.workout(120))))
    code, result, said = await replayed(server, str(path), "--keep-going", "--speed", "max")
    assert code == 0
    assert "damaged at line" in said
    assert 0 < result["outcomes"][0]["stored"] < 120
    assert result["outcomes"][0]["same"]


async def test_a_replay_rides_into_a_class_that_exists_as_an_account_that_exists(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "mine.gpx"
    path.write_bytes(recordings.gpx(recordings.workout(60)))
    async with aiohttp.ClientSession() as http:
        api = Api(http, server.base_url, patience_s=20)
        coach = await account_tokens(api, "coach@example.org", PASSWORD, "Mia", "coach")
        await account_tokens(api, "rider@example.org", PASSWORD, "Rider")
        room = await api.create_class(await coach.current(), "Evening ride")
        code, result, said = await replayed(
            server,
            str(path),
            *("--class", room.code, "--account", "rider@example.org", "--speed", "max"),
            PACELINE_PASSWORD=PASSWORD,
        )
        assert code == 0, said
        assert result["room"] is None
        assert result["outcomes"][0]["same"]
        async with open_client(api, coach) as client:
            joined = await client.join(room.code, "coach")
        assert "Rider" in {member.name for member in joined.board.members}
        ended = await api.end_class(await coach.current(), room.id)
        assert ended.state == "over"


async def test_a_class_that_does_not_exist_is_said_with_the_code_and_the_exit(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.gpx"
    path.write_bytes(recordings.gpx(recordings.workout(60)))
    code, _, said = await replayed(server, str(path), "--class", "ZZZZZZ")
    assert code == 1
    assert "class_not_found" in said


async def until_said(stream: asyncio.StreamReader | None, pattern: str) -> None:
    assert stream is not None
    said = ""
    while not re.search(pattern, said):
        line = await stream.readline()
        assert line, f"ended before it said {pattern!r}:\n{said}"
        said += line.decode()


async def test_an_interrupted_replay_finishes_what_it_has_sent(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "long.tcx"
    path.write_bytes(recordings.tcx(recordings.workout(1_000)))
    process = await start(server, "-m", "paceline", "replay", str(path), "--speed", "100", "--json", "--verify")
    async with asyncio.timeout(60):
        await until_said(process.stderr, r"1\d %")
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 130, err
    outcome = msgspec.json.decode(out)["outcomes"][0]
    assert outcome["ending"] == "interrupted"
    assert outcome["same"]
    assert 100 <= outcome["stored"] == outcome["summary"]["samples"] < 1_000
    assert b"finishing what was sent" in err


async def test_a_replay_goes_on_where_it_was_when_the_server_is_killed(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "long.fit"
    path.write_bytes(recordings.fit(recordings.workout(600)))
    process = await start(server, "-m", "paceline", "replay", str(path), "--speed", "100", "--json", "--verify")
    async with asyncio.timeout(120):
        await until_said(process.stderr, r"2\d %")
        await asyncio.to_thread(server.restart)
        out, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"waiting for the server" in err
    outcome = msgspec.json.decode(out)["outcomes"][0]
    assert outcome["same"]
    assert outcome["stored"] == outcome["samples"] == 600


async def test_a_stream_that_a_second_device_opens_leaves_the_first_and_loses_nothing(server: Server) -> None:
    async with aiohttp.ClientSession() as http:
        api = Api(http, server.base_url, patience_s=20)
        tokens = await account_tokens(api, "two-devices@example.org", PASSWORD, "Two")
        async with open_client(api, tokens) as watch, open_client(api, tokens) as phone, watch.open_stream() as first:
            opened = await first.wait_opened()
            for n in range(10):
                await first.append(Sample(t=1000 * n, bpm=120))
            async with phone.open_stream(stream_id=first.id) as second:
                assert (await second.wait_opened()).epoch > opened.epoch
                with pytest.raises(StreamLost, match=r"another device|since; open it again"):
                    await first.finish()


async def test_a_class_is_measured_and_nothing_is_lost(server: Server) -> None:
    result = await class_load.measure(server.base_url, athletes=4, seconds=4, own_rows=2, check=4, settle_s=0)
    assert (result.sent, result.stored, result.lost, result.wrong_samples) == (16, 16, 0, 0)
    assert result.checked_samples == 16
    assert result.board_ms.n + result.passed_over == 16
    assert result.far_ms.n == 0, "everybody is on the watcher's gateway"
    assert result.own_row_ms.n > 0
    assert result.ack_ms.n == 16
    assert result.reconnects == 0


async def test_a_class_that_is_led_is_measured_and_every_cue_reaches_every_screen(server: Server) -> None:
    result = await class_load.measure(server.base_url, athletes=2, seconds=3, own_rows=0, check=0, settle_s=0, led=True)
    assert result.lost == 0
    assert result.led is not None
    assert (result.led.unheard, result.led.shown) == (0, 0)
    assert result.led.cue_ms.n > 0
    assert result.led.hidden_ms.n > 0
    assert result.led.cockpit_frames > 0


async def test_a_flood_is_measured_and_every_sample_is_there(server: Server) -> None:
    result = await durable.measure(server.base_url, streams=2, samples=5_000, check=2)
    assert (result.samples, result.wrong_samples) == (10_000, 0)
    assert result.samples_per_second > 0
    assert result.ack_ms.n == 10


async def test_idle_connections_are_held_and_none_is_lost(server: Server) -> None:
    result = await idle.measure(server.base_url, connections=20, seconds=0.2, room=True)
    assert (result.connections, result.lost) == (20, 0)


async def test_locust_rides_along_and_its_table_has_no_failures(server: Server) -> None:
    process = await start(
        server,
        *("-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "-u", "3", "-r", "10", "-t", "90s"),
        *("--host", server.base_url),
    )
    async with asyncio.timeout(90):
        # It tells its table every two seconds; enough has been seen when every kind of row is there.
        await until_said(process.stderr, r"(?s)board age.*samples to ack")
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    table = (out + err).decode()
    assert process.returncode == 0, table
    for row in ("POST /v1/accounts", "room.join", "samples to ack", "board age", "stream.finish"):
        assert row in table

"""deploy/Dockerfile, as far as it can be proved without a container engine: a linter reads it, and what it would copy runs.

The image's own tree is laid out in a folder, from the instructions that stand in the file and the context that .dockerignore
leaves, and started there as the entry point says, with the files' own settings and nothing else of this repository.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from paceline.compiled import SETTING
from paceline.settings import read_settings
from tests.deploy.files import DEPLOY, Instruction, dockerfile, documents
from tests.deploy.lint import lint
from tests.support.compiling import CANNOT
from tests.support.redis_server import open_redis
from tests.support.server import ROOT, free_port

WHEELS, COMPILED, FINAL = dockerfile()
START_S: Final = 60.0
pytestmark = pytest.mark.timeout(900)  # it is compiled before, where that has not been done
READ_ONLY: Final = "/proc/paceline"
"""A folder that nobody can make, not even root: who tries to keep something there is found out."""


def one(name: str) -> Instruction:
    """The last instruction of this name in the final stage: the one that holds."""
    return [each for each in FINAL if each.name == name][-1]


def environment() -> dict[str, str]:
    """What ENV sets."""
    return dict(word.split("=", 1) for each in FINAL if each.name == "ENV" for word in each.words)


def copied(stage: list[Instruction] = WHEELS) -> list[tuple[str, PurePosixPath]]:
    """What comes from this repository into a stage, and where it goes, relative to the working folder."""
    pairs = []
    for each in stage:
        if each.name == "COPY" and "from" not in each.flags:
            *sources, target = each.words
            into = target.endswith("/")
            pairs += [(one, PurePosixPath(target, PurePosixPath(one).name if into else "")) for one in sources]
    return pairs


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the image."""
    root = tmp_path_factory.mktemp("image")
    lay_out(WHEELS, root)
    if not CANNOT:
        stage = tmp_path_factory.mktemp("compiled")
        lay_out(WHEELS, stage)
        lay_out(COMPILED, stage)
        _, *words = COMPILED[-1].words
        done = subprocess.run([sys.executable, *words], cwd=stage, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
        (there,) = [each.words[0] for each in FINAL if each.name == "COPY" and each.flags["from"] == "compiled"]
        folder = PurePosixPath(there).relative_to(one("WORKDIR").words[0])
        shutil.copytree(stage / folder, root / folder)
    return root


def lay_out(stage: list[Instruction], root: Path) -> None:
    """What a stage copies from this repository."""
    for source, target in copied(stage):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, root / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, root / target)


def program(name: str) -> tuple[str, ...]:
    """What an instruction starts, without the interpreter, which is ours here."""
    python, *words = one(name).words
    assert python == "python"
    return tuple(words)


def run_there(tree: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A program of the image, run in its folder with its environment."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env=within(**environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )


def within(**environ: str) -> dict[str, str]:
    compiled = {SETTING: "auto"} if CANNOT else {}
    return {**environment(), **compiled, "PATH": os.environ["PATH"], "PACELINE_DATA_DIR": READ_ONLY, **environ}


def test_the_linter_finds_nothing() -> None:
    assert lint(DEPLOY / "Dockerfile") == ""


def test_the_linter_would_tell(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text((DEPLOY / "Dockerfile").read_text().replace("--interval=", "--intervall="))

    assert "intervall" in lint(broken)


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        source for stage in (WHEELS, COMPILED) for source, _ in copied(stage)
    }


def test_only_what_the_lock_names_by_hash_is_installed() -> None:
    (install,) = [each.words for each in WHEELS if each.name == "RUN" and "install" in each.words]

    assert {"--require-hashes", "--only-binary", ":all:", "requirements.txt"} <= set(install)
    (tools,) = [each.words for each in COMPILED if each.name == "RUN" and "install" in each.words]
    assert {"--require-hashes", "--only-binary", ":all:", "requirements-dev.txt"} <= set(tools)


@pytest.mark.skipif(bool(CANNOT), reason=CANNOT)
def test_what_it_runs_is_compiled_by_its_own_interpreter_and_it_does_not_start_without(
    tree: Path, tmp_path: Path
) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    slim, whole = re.findall(r"^ARG \w+_IMAGE=python:([\d.]+)(?:-slim)?-(\w+)$", text, re.M)
    assert slim == whole
    assert COMPILED[0].words[0] == "${COMPILER_IMAGE}"
    assert [each.words for each in COMPILED][-1][1:] == ("-m", "paceline.compiling")
    where = ("-c", "import paceline, realtime.turn; print(realtime.turn.__file__)")
    assert run_there(tree, *where).stdout.strip().endswith(".so")
    shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("build"))
    assert "PACELINE_COMPILED=must, but" in run_there(tmp_path / "tree", *where).stderr


def test_it_runs_as_nobody_in_particular_and_can_be_asked_to_stop() -> None:
    user, group = one("USER").words[0].split(":")

    assert int(user) >= 1000
    assert int(group) >= 1000
    assert one("STOPSIGNAL").words == ("SIGTERM",)
    assert not any("secret" in word.lower() or "password" in word.lower() for word in environment())


def test_the_base_is_named_by_a_version_that_the_program_runs_on() -> None:
    base = re.findall(
        r"^ARG PYTHON_IMAGE=python:(\d+)\.(\d+)\.(\d+)-slim-\w+$", (DEPLOY / "Dockerfile").read_text(), re.M
    )

    assert [tuple(map(int, each)) >= (3, 11, 0) for each in base] == [True]
    assert WHEELS[0].words[0] == FINAL[0].words[0] == "${PYTHON_IMAGE}", (
        "what is installed is for the interpreter that runs it"
    )


def test_its_settings_are_options_of_the_program() -> None:
    assert read_settings(environment()).faults == ()
    assert environment()["PACELINE_PORT"] in one("EXPOSE").words


def test_every_module_of_the_image_can_be_imported_there(tree: Path) -> None:
    modules = sorted(
        ".".join(path.relative_to(tree).with_suffix("").parts)
        for path in tree.rglob("*.py")
        # Locust changes the interpreter it is loaded into, and belongs to the tools, not to the image.
        if path.name != "__main__.py" and "locust" not in path.name and path.parent.name != "deploy"
    )

    script = "import importlib, sys, paceline\nfor name in sys.argv[1:]: importlib.import_module(name.removesuffix('.__init__'))"
    said = run_there(tree, "-c", script, *modules)

    assert said.returncode == 0, said.stderr
    assert len(modules) > 100


@pytest.mark.parametrize("command", ["run", "migrate", "check", "account", "replay", "sockets"])
def test_every_command_is_in_the_image(command: str, tree: Path) -> None:
    said = run_there(tree, "-m", "paceline", command, "--help")

    assert said.returncode == 0, said.stderr


async def test_a_gateway_starts_answers_and_stops_as_the_image_says_and_writes_nothing(
    tree: Path, fresh_dsn: str, secret_files: Path
) -> None:
    port = free_port()
    health = program("HEALTHCHECK")
    async with open_redis() as redis:
        environ = within(
            DATABASE_URL=fresh_dsn,
            REDIS_URL=redis.url,
            PACELINE_HOST="127.0.0.1",
            PACELINE_PORT=str(port),
            PACELINE_ROLES="gateway",
            PACELINE_TOKEN_KEY_FILE=str(secret_files / "token-key.pem"),
            PACELINE_VAPID_KEY_FILE=str(secret_files / "vapid-key.pem"),
            PACELINE_ADMIN_TOKEN_FILE=str(secret_files / "admin-token"),
            PACELINE_SEALING_KEYS_FILE=str(secret_files / "sealing-keys"),
        )
        gateway = await asyncio.create_subprocess_exec(
            sys.executable,
            *program("ENTRYPOINT"),
            *one("CMD").words,
            cwd=tree,
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            assert gateway.stdout is not None
            async with asyncio.timeout(START_S):
                while b"Stop with" not in (line := await gateway.stdout.readline()):
                    assert line, "it ended before it was ready"
            assert (await asyncio.to_thread(run_there, tree, *health, PACELINE_PORT=str(port))).returncode == 0
            gateway.send_signal(signal.Signals[one("STOPSIGNAL").words[0]])
            async with asyncio.timeout(START_S):
                said, _ = await gateway.communicate()
        finally:
            if gateway.returncode is None:
                gateway.kill()
                await gateway.wait()
    assert gateway.returncode == 0, said.decode()
    after = await asyncio.to_thread(run_there, tree, *health, PACELINE_PORT=str(port))
    assert (after.returncode, "does not answer" in after.stderr) == (1, True)
    left = [path for path in tree.rglob("*") if path.suffix in {".pyc", ".pem", ".log"}]
    assert left == []


def test_a_process_that_listens_on_nothing_is_not_called_ill(tree: Path) -> None:
    health, worker = program("HEALTHCHECK"), {"PACELINE_ROLES": "worker,relay", "PACELINE_PORT": str(free_port())}

    assert run_there(tree, *health, **worker).returncode == 0
    assert run_there(tree, *health, **worker, PACELINE_METRICS_PORT=str(free_port())).returncode == 1


def test_health_is_asked_without_the_proxy_that_the_environment_names() -> None:
    class Alive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        try:
            nowhere = f"http://127.0.0.1:{free_port()}"
            own = {"PACELINE_PORT": str(server.server_port), "HTTP_PROXY": nowhere, "http_proxy": nowhere}
            said = run_there(DEPLOY, "healthcheck.py", **own)
        finally:
            server.shutdown()
            answering.join()
    assert said.returncode == 0, said.stderr


def test_every_folder_that_is_a_volume_belongs_to_who_writes_in_it() -> None:
    (made,) = [each.words for each in FINAL if each.name == "RUN"]
    user, _ = one("USER").words[0].split(":")
    mounted = {each.split(":")[1] for each in documents(DEPLOY / "compose.yaml")[0]["services"]["worker"]["volumes"]}

    assert made[made.index("--owner") + 1] == user
    assert mounted <= set(made), "a new volume takes over the owner of the folder that it covers"


def test_gunicorn_finds_its_configuration_in_the_image(tree: Path) -> None:
    (config,) = [str(target) for source, target in copied() if source.endswith("gunicorn.conf.py")]
    words = ["-m", "gunicorn", "--check-config", "-c", config, "paceline.gunicorn_app:application"]

    said = run_there(tree, *words, DATABASE_URL="postgresql://u@h/d", REDIS_URL="redis://h/0")

    assert said.returncode == 0, said.stderr

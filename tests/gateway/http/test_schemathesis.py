"""Schemathesis reads the OpenAPI document and asks the whole program whatever follows from it, well-formed and not.

Its own checks (no server error, no undocumented status, type, header or body, nothing refused that should be taken and the other
way round, tokens looked at, methods that are none) and one of ours: every refusal is application/problem+json. OWASP API3, API8,
API9.

More of it, by hand: `PACELINE_TEST_EXAMPLES=500 python -m pytest tests/gateway/http/test_schemathesis.py`.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import ROOT, open_server

EXAMPLES: Final = os.environ.get("PACELINE_TEST_EXAMPLES", "8")
"""Requests for each operation, beside those that cover its boundaries."""
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(1_200)
def test_schemathesis_finds_nothing_wrong_with_the_whole_document() -> None:
    admin_token = secrets.token_urlsafe(32)
    with open_server(PACELINE_ADMIN_TOKEN=admin_token) as server:
        environ = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.gateway.http.schemathesis_hooks",
            "PACELINE_TESTED_URL": server.base_url,
            "PACELINE_TESTED_ADMIN_TOKEN": admin_token,
            "PYTHONPATH": str(ROOT),
        }
        options = [
            "--seed",
            "20261128",
            "--max-examples",
            EXAMPLES,
            "--workers",
            "1",
            "--continue-on-failure",
            "--no-color",
        ]
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", *options]
        ran = subprocess.run(
            [*command, f"{server.base_url}/openapi.json"],
            env=environ,
            cwd=server.data_dir.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        told = ran.stdout + ran.stderr
        assert ran.returncode == 0, told[-20_000:]
        assert "Tested:" in told, told[-20_000:]
        assert server.runs

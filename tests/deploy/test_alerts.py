"""The alert rules: promtool takes them, each fires for its failure and not on a calm day, and has a page that says what to do."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from gateway.probes import FAMILIES
from tests.support.system_parts import require

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "observe" / "alerts.yaml"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in YAML(typ="safe").load(RULES)["groups"] for rule in group["rules"]
}
_SUFFIXES: Final = {
    "counter": ("_total",),
    "gauge": ("",),
    "spread": ("_sum", "_count", ""),
    "histogram": ("_bucket", "_sum", "_count"),
}


@dataclass(frozen=True)
class Story:
    """Series by name, one value a minute as promtool writes them: a `failure`, and the `calm` before and after it. `minute`: when
    the alert has to be on, in the failure."""

    failure: dict[str, str]
    calm: dict[str, str]
    minute: int = 20


NODE: Final = '{instance="gw1",job="paceline"}'
MOVED: Final = '{instance="gw1",job="paceline",what="moved"}'
NEAR: Final = '{instance="gw1",job="paceline",le="0.1",what="moved"}'
QUEUE: Final = '{instance="w1",queue="pushes"}'
FOLLOWER: Final = '{instance="w1",follower="stream of training"}'
STORIES: Final = {
    "PacelineNodeDown": Story({f"up{NODE}": "1 0x30"}, {f"up{NODE}": "1x30"}),
    "PacelineNodeStale": Story({f"paceline_stale{NODE}": "0 1x30"}, {f"paceline_stale{NODE}": "0x30"}),
    "PacelineSamplesNotStored": Story(
        {f"paceline_commit_failures_total{NODE}": "0+2x30", f"paceline_samples_waiting{NODE}": "0+100x30"},
        {f"paceline_commit_failures_total{NODE}": "2x30", f"paceline_samples_waiting{NODE}": "50x30"},
    ),
    "PacelineRoomLogRefuses": Story(
        {f"paceline_room_log_refused_total{NODE}": "0+1x30"}, {f"paceline_room_log_refused_total{NODE}": "7x30"}
    ),
    "PacelineSocketsNearLimit": Story(
        {f"paceline_sockets{NODE}": "950x30", f"paceline_sockets_limit{NODE}": "1000x30"},
        {f"paceline_sockets{NODE}": "800x30", f"paceline_sockets_limit{NODE}": "1000x30"},
    ),
    "PacelineScreensDisagree": Story(
        {f"paceline_clock_sync_seconds_bucket{NEAR}": "0+7x30", f"paceline_clock_sync_seconds_count{MOVED}": "0+10x30"},
        {
            f"paceline_clock_sync_seconds_bucket{NEAR}": "0+19x30",
            f"paceline_clock_sync_seconds_count{MOVED}": "0+20x30",
        },
        minute=25,
    ),
    "PacelineLoopLate": Story(
        {f"paceline_loop_lag_max_seconds{NODE}": "0.4x30"},
        {f"paceline_loop_lag_max_seconds{NODE}": "0.01 0.01 0.01 0.6 0.01 0.01 0.01 0.6 0.01x20"},
    ),
    "PacelineOutboxStands": Story(
        {f"paceline_outbox_age_seconds{NODE}": "0+60x30"}, {f"paceline_outbox_age_seconds{NODE}": "2x30"}
    ),
    "PacelineTasksLate": Story(
        {f"paceline_tasks_oldest_age_seconds{QUEUE}": "0+60x60", f"paceline_tasks_waiting{QUEUE}": "5x60"},
        # RabbitMQ tells the age of the last one that was handed out, however long ago that was.
        {f"paceline_tasks_oldest_age_seconds{QUEUE}": "0+60x60", f"paceline_tasks_waiting{QUEUE}": "0x60"},
        minute=40,
    ),
    "PacelineQueueWithoutWorker": Story(
        {f"paceline_tasks_waiting{QUEUE}": "3x30", f"paceline_tasks_consumers{QUEUE}": "0x30"},
        {f"paceline_tasks_waiting{QUEUE}": "3x30", f"paceline_tasks_consumers{QUEUE}": "1x30"},
    ),
    "PacelineTasksParked": Story(
        {f"paceline_tasks_given_up{QUEUE}": "0 1x30"}, {f"paceline_tasks_given_up{QUEUE}": "0x30"}
    ),
    "PacelineFactsHeldBack": Story(
        {f"paceline_relay_held_back{NODE}": "1x30"}, {f"paceline_relay_held_back{NODE}": "1 1 1 0x30"}
    ),
    "PacelineFollowerFails": Story(
        {f"paceline_follower_failures_total{FOLLOWER}": "0+2x60"},
        {f"paceline_follower_failures_total{FOLLOWER}": "0 0 0 8x60"},
        minute=40,
    ),
    "PacelineOutboxStrays": Story(
        {f"paceline_outbox_stray_days_total{NODE}": "0x10 1x30"}, {f"paceline_outbox_stray_days_total{NODE}": "1x30"}
    ),
    "PacelineNobodyLeads": Story(
        {'paceline_schedule_leads{instance="w1"}': "0x30", 'paceline_schedule_leads{instance="w2"}': "0x30"},
        {'paceline_schedule_leads{instance="w1"}': "0x30", 'paceline_schedule_leads{instance="w2"}': "1x30"},
    ),
    "PacelineJobFails": Story(
        {'paceline_schedule_failures_total{name="prune-inbox"}': "0+1x30"},
        {'paceline_schedule_failures_total{name="prune-inbox"}': "0x10 1x20"},
    ),
    "PacelineProviderAway": Story(
        {'paceline_provider_circuits_open{provider="smtp"}': "1x30"},
        {'paceline_provider_circuits_open{provider="smtp"}': "1 0 1 0 1 0x30"},
    ),
    "PacelineDeliveriesLate": Story(
        {'paceline_deliveries_oldest_seconds{lane="email"}': "0+120x30"},
        {'paceline_deliveries_oldest_seconds{lane="email"}': "30x30"},
    ),
    "PacelineDeliveriesInDoubt": Story(
        {'paceline_deliveries_in_doubt{instance="w1"}': "2x30"}, {'paceline_deliveries_in_doubt{instance="w1"}': "0x30"}
    ),
    "PacelineWebhooksLate": Story(
        {'paceline_webhook_age_seconds{instance="w1"}': "0+60x30"},
        {'paceline_webhook_age_seconds{instance="w1"}': "20x30"},
    ),
}


def promtool(*words: str) -> str:
    """What promtool says. Raises AssertionError when it is not content."""
    done = subprocess.run([str(require("promtool")), *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def case(alert: str, series: dict[str, str], minute: int, on: bool) -> dict[str, Any]:
    """A test of promtool's: whether this alert is on, no matter which others are. It compares labels too, so they are counted away:
    ALERTS is the series that Prometheus itself keeps of what is on."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": int(on)}],
            }
        ],
    }


def test_promtool_takes_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


def test_every_alert_has_a_story_and_every_story_an_alert() -> None:
    assert set(ALERTS) == set(STORIES)


def test_each_fires_for_its_failure_and_is_silent_on_a_calm_day(tmp_path: Path) -> None:
    cases = []
    for alert, story in STORIES.items():
        cases.append(case(alert, story.failure, story.minute, on=True))
        cases.append(case(alert, story.calm, story.minute, on=False))
    file = tmp_path / "stories.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": cases}))
    promtool("test", "rules", str(file))


def test_a_node_that_says_nothing_at_all_is_nobody_who_leads(tmp_path: Path) -> None:
    file = tmp_path / "silence.json"
    cases = [case("PacelineNobodyLeads", {"up": "1x30"}, 10, on=True)]
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": cases}))
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_the_rules_ask_for_metrics_that_exist(alert: str) -> None:
    known = {f"paceline_{family.name}{suffix}" for family in FAMILIES for suffix in _SUFFIXES[family.kind]}
    asked = set(re.findall(r"paceline_\w+", ALERTS[alert]["expr"]))
    assert asked <= known, f"unknown: {asked - known}"


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_each_has_a_page_that_says_what_to_do(alert: str) -> None:
    file, _, anchor = ALERTS[alert]["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert anchor == alert.lower()
    assert alert in headings
    assert ALERTS[alert]["labels"]["severity"] in {"page", "ticket"}

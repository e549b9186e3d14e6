"""What deploy/rabbitmq says, held to what the program counts on."""

from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from workers.bus import HELD_S

CLUSTER: Final = Path(__file__).parents[2] / "deploy" / "rabbitmq" / "cluster.yaml"


def test_a_cluster_survives_the_loss_of_a_node_and_no_two_nodes_share_a_machine() -> None:
    spec = YAML(typ="safe").load(CLUSTER)["spec"]
    assert spec["replicas"] >= 3
    assert spec["replicas"] % 2 == 1
    (rule,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"


def test_the_broker_waits_longer_for_an_answer_than_any_handler_may_take() -> None:
    text = YAML(typ="safe").load(CLUSTER)["spec"]["rabbitmq"]["additionalConfig"]
    config = dict(
        line.replace(" ", "").split("=") for line in text.splitlines() if line.strip() and not line.startswith("#")
    )
    assert int(config["consumer_timeout"]) >= HELD_S * 1_000 * 1.25
    assert config["cluster_partition_handling"] == "pause_minority"

"""deploy/k8s: every manifest by the schemas of Kubernetes itself, and the relations between manifests, image and program that no
schema knows of: times, paths, ports, names.
"""

import functools
import inspect
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML

from gateway.http.pages import PAGES
from gateway.http.routes import ROUTES, WINDOWS
from gateway.probes import FAMILIES
from gateway.sockets.engine.server import Engine
from gateway.sockets.server import PATH
from paceline.options import ROLES
from paceline.settings import Settings
from tests.deploy.files import (
    DEPLOY,
    Yaml,
    dockerfile,
    documents,
    longest_stop_s,
    seconds,
    settings_of,
    told_in_the_open,
)

K8S: Final = DEPLOY / "k8s"
BASE: Final = K8S / "base"
PRODUCTION: Final = K8S / "overlays" / "production"
MANIFESTS: Final = sorted(path for path in K8S.rglob("*.yaml") if path.name != "kustomization.yaml")
VERSIONS: Final = ("1.30", kubernetes_validate.latest_version())
"""The oldest that the files are written for, and the newest there is."""
UNSEEN: Final = {"/livez", "/readyz", "/metrics", "/operations", "/operations/words"}
KUSTOMIZE_AT_LEAST: Final = 4


def base() -> list[Yaml]:
    return [one for path in MANIFESTS if path.parent == BASE for one in documents(path)]


def of_kind(kind: str, name: str | None = None) -> list[Yaml]:
    return [one for one in base() if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def pods() -> dict[str, Yaml]:
    """The pod templates, by the name of what makes them."""
    makers = of_kind("Deployment") + of_kind("Job")
    return {one["metadata"]["name"]: one["spec"]["template"] for one in makers}


def container(name: str) -> Yaml:
    (only,) = pods()[name]["spec"]["containers"]
    found: Yaml = only
    return found


def environ_of(name: str) -> dict[str, str]:
    """What the container of this pod finds in its environment, the image's own included."""
    found = {
        word.split("=", 1)[0]: word.split("=", 1)[1]
        for each in dockerfile()[-1]
        if each.name == "ENV"
        for word in each.words
    }
    for source in container(name)["envFrom"]:
        (settings,) = of_kind("ConfigMap", source["configMapRef"]["name"])
        found |= settings["data"]
    for one in container(name).get("env", []):
        found[one["name"]] = one["value"] if "value" in one else pod_name(name)
    return found


def pod_name(name: str) -> str:
    """As long as a name made by a Deployment gets."""
    return f"{name}-{'f' * 10}-{'x' * 5}"


def settings(name: str, secret_files: Path) -> Settings:
    return settings_of(environ_of(name), {f"/run/secrets/paceline/{one.name}": one for one in secret_files.iterdir()})


@functools.cache
def rendered(folder: Path) -> list[Yaml]:
    """What kustomize makes of a folder. Skips without a kubectl that is new enough; Debian's is not."""
    kubectl = shutil.which("kubectl")
    told = (
        subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=False).stdout
        if kubectl
        else ""
    )
    version = re.search(r"Kustomize Version: v(\d+)", told)
    if version is None or int(version[1]) < KUSTOMIZE_AT_LEAST:
        pytest.skip(
            f"kubectl with kustomize {KUSTOMIZE_AT_LEAST} or newer is missing; the manifests are checked one by one"
        )
    done = subprocess.run([str(kubectl), "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns of nothing"
    return [one for one in YAML(typ="safe", pure=True).load_all(done.stdout) if one is not None]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [path for path in MANIFESTS if path.parent == BASE], ids=lambda path: path.name)
def test_every_manifest_is_what_kubernetes_says(path: Path, version: str) -> None:
    for one in documents(path):
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_would_tell() -> None:
    (broken,) = of_kind("Deployment", "worker")
    broken["spec"]["replicas"] = "two"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_kustomize_makes_is_valid_whole(folder: Path, version: str) -> None:
    for one in rendered(folder):
        kubernetes_validate.validate(one, version, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "paceline"


def test_the_overlay_changes_what_it_says() -> None:
    made = {(one["kind"], one["metadata"]["name"]): one for one in rendered(PRODUCTION)}

    assert made["HorizontalPodAutoscaler", "gateway"]["spec"]["minReplicas"] == 3
    assert (
        made["HorizontalPodAutoscaler", "gateway"]["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 900
    )
    assert made["Deployment", "worker"]["spec"]["replicas"] == 3
    assert made["ConfigMap", "paceline"]["data"].keys() > {"PACELINE_TRUSTED_PROXIES", "DATABASE_URL_FILE"}
    ingress = made["Ingress", "gateway"]["spec"]
    assert ingress["tls"][0]["hosts"] == [ingress["rules"][0]["host"]]


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_no_file_is_forgotten(folder: Path) -> None:
    (kustomization,) = documents(folder / "kustomization.yaml")
    named = {one for one in kustomization["resources"] if one.endswith(".yaml")}
    named |= {one["path"] for one in kustomization.get("patches", [])}

    assert named == {path.name for path in MANIFESTS if path.parent == folder}


@pytest.mark.parametrize("name", sorted(pods()))
def test_every_process_finds_its_settings_in_order(name: str, secret_files: Path) -> None:
    made = settings(name, secret_files)

    assert {made.embedded_postgres, made.embedded_redis} == {False}, "servers are given, not started"
    assert made.token_key
    assert made.vapid_key
    assert made.admin_token
    assert made.sealing_keys
    assert not told_in_the_open(environ_of(name))


def test_all_roles_are_played(secret_files: Path) -> None:
    roles = [role for name in ("gateway", "worker") for role in settings(name, secret_files).roles]

    assert sorted(roles) == sorted(ROLES)


def test_who_signs_the_audit_can_write_it_down_outside_the_database(secret_files: Path) -> None:
    signing = [name for name in ("gateway", "worker") if "scheduler" in settings(name, secret_files).roles]

    assert signing
    for name in signing:
        mounts = {one["mountPath"]: one for one in container(name)["volumeMounts"]}
        mount = mounts[str(settings(name, secret_files).checkpoints.parent)]
        assert not mount.get("readOnly")
        (volume,) = [one for one in pods()[name]["spec"]["volumes"] if one["name"] == mount["name"]]
        (claim,) = of_kind("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "any worker may lead the schedule"


def test_pods_without_a_balancer_that_reads_ids_offer_websockets_alone(secret_files: Path) -> None:
    assert settings("gateway", secret_files).transports == ("websocket",)


def test_all_pods_run_one_image() -> None:
    assert len({container(name)["image"] for name in pods()}) == 1
    assert not container("gateway")["image"].endswith(":latest")
    (image,) = documents(PRODUCTION / "kustomization.yaml")[0]["images"]
    assert container("gateway")["image"].split(":")[0] == image["name"]


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_may_do_nothing_but_their_work(name: str) -> None:
    pod, only = pods()[name]["spec"], container(name)
    (user,) = [each.words[0] for each in dockerfile()[-1] if each.name == "USER"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user, "as in the image"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert only["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in only["resources"]["limits"]


def test_a_gateway_has_the_time_to_send_its_sockets_away(secret_files: Path) -> None:
    pod = pods()["gateway"]["spec"]
    before = container("gateway")["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod["terminationGracePeriodSeconds"] > before + longest_stop_s(settings("gateway", secret_files)) + 5


@pytest.mark.parametrize(("name", "port"), [("gateway", "http"), ("worker", "windows")])
def test_the_probes_ask_what_there_is_and_liveness_asks_nobody_else(name: str, port: str) -> None:
    only = container(name)
    windows = {one.url for one in WINDOWS}
    probes = {name: only[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}

    assert {one["path"] for one in probes.values()} <= windows
    assert probes["livenessProbe"]["path"] == probes["startupProbe"]["path"] == "/livez"
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert {one["port"] for one in probes.values()} == {port}


@pytest.mark.parametrize(("name", "variable"), [("gateway", "PACELINE_PORT"), ("worker", "PACELINE_METRICS_PORT")])
def test_the_port_of_a_process_is_the_same_everywhere(name: str, variable: str) -> None:
    (port,) = container(name)["ports"]
    annotations = pods()[name]["metadata"]["annotations"]
    (policy,) = of_kind("NetworkPolicy", f"to-{name}s")

    assert str(port["containerPort"]) == environ_of(name)[variable] == annotations["prometheus.io/port"]
    assert annotations["prometheus.io/path"] in {one.url for one in WINDOWS}
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": port["name"], "protocol": "TCP"}]


def test_the_service_leads_to_the_port_of_the_gateways() -> None:
    (service,) = of_kind("Service", "gateway")

    assert [one["targetPort"] for one in service["spec"]["ports"]] == [container("gateway")["ports"][0]["name"]]


def test_a_pod_never_goes_before_another_has_come() -> None:
    for one in of_kind("Deployment"):
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service"])
def test_what_selects_pods_finds_some(kind: str) -> None:
    for one in of_kind(kind):
        wanted = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"]).items()
        assert any(wanted <= pod["metadata"]["labels"].items() for pod in pods().values()), one["metadata"]["name"]


def test_pods_are_spread_by_their_own_labels() -> None:
    for name, pod in pods().items():
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items(), name


def test_every_deployment_survives_the_emptying_of_a_machine() -> None:
    kept = {one["metadata"]["name"] for one in of_kind("PodDisruptionBudget")}

    assert kept == {one["metadata"]["name"] for one in of_kind("Deployment")}


def test_gateways_grow_with_their_connections_and_shrink_slowly() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    spec = scaler["spec"]
    (metric,) = [one["pods"]["metric"]["name"] for one in spec["metrics"] if one["type"] == "Pods"]

    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gateway"}
    assert "replicas" not in of_kind("Deployment", "gateway")[0]["spec"], "two hands on one wheel"
    assert metric in {f"paceline_{family.name}" for family in FAMILIES if family.kind == "gauge"}
    assert spec["minReplicas"] >= 2
    down = spec["behavior"]["scaleDown"]
    grace = pods()["gateway"]["spec"]["terminationGracePeriodSeconds"]
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]
    assert min(down["stabilizationWindowSeconds"], down["policies"][0]["periodSeconds"]) > grace


def through() -> list[Yaml]:
    (ingress,) = of_kind("Ingress")
    paths: list[Yaml] = ingress["spec"]["rules"][0]["http"]["paths"]
    return paths


def passes(path: str) -> bool:
    """Whether the ingress lets a path through, by Kubernetes' rules: a prefix matches whole elements."""
    for one in through():
        wanted = one["path"].rstrip("/")
        if path == one["path"] or (one["pathType"] == "Prefix" and f"{path}/".startswith(f"{wanted}/")):
            return True
    return False


def test_clients_reach_all_that_is_theirs() -> None:
    theirs = {
        f"/{PATH.strip('/')}/",
        "/assets/js/board.js",
        "/docs.css",
        "/favicon.ico",
        *PAGES,
        *(one.url for one in WINDOWS),
    }
    theirs |= {route.url.replace("{id}", "4711") for route in ROUTES if route.auth != "admin"}

    assert {path for path in theirs - UNSEEN if not passes(path)} == set()


def test_nobody_outside_reaches_what_is_for_operators() -> None:
    theirs = UNSEEN | {route.url for route in ROUTES if route.auth == "admin"}

    assert {path for path in theirs if passes(path)} == set()
    assert {path for path in theirs if passes(f"{path}/")} == set()


def test_the_ingress_waits_longer_than_the_pings() -> None:
    (ingress,) = of_kind("Ingress")
    pings: dict[str, Any] = {name: one.default for name, one in inspect.signature(Engine.__init__).parameters.items()}
    tunnel = seconds(ingress["metadata"]["annotations"]["haproxy.org/timeout-tunnel"])

    assert tunnel > pings["ping_interval"] + pings["ping_timeout"]


def test_a_client_cannot_say_where_it_comes_from() -> None:
    (ingress,) = of_kind("Ingress")
    annotations = ingress["metadata"]["annotations"]

    assert annotations["haproxy.org/forwarded-for"] == "false", "not added to what it said"
    assert "X-Forwarded-For %[src]" in annotations["haproxy.org/request-set-header"]


def test_nobody_speaks_to_anybody_by_default() -> None:
    (default,) = of_kind("NetworkPolicy", "nobody")

    assert default["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_servers_of_the_settings_can_be_reached(secret_files: Path) -> None:
    (policy,) = of_kind("NetworkPolicy", "to-servers")
    open_ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    urls = [(secret_files / name).read_text() for name in ("database-url", "redis-url", "amqp-url")]

    assert {int(re.findall(r"@[a-z]+:(\d+)/", url)[0]) for url in urls} <= open_ports
    labels = policy["spec"]["podSelector"]["matchLabels"].items()
    assert all(labels <= pod["metadata"]["labels"].items() for pod in pods().values())


def test_only_workers_call_third_parties_and_nothing_inside() -> None:
    (policy,) = of_kind("NetworkPolicy", "to-third-parties")
    (rule,) = policy["spec"]["egress"]
    spared = {ip_network(one) for one in rule["to"][0]["ipBlock"]["except"]}

    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    assert {ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")} <= spared
    # Providers have the first three, a receiver of webhooks may have any free one.
    assert [(port["port"], port.get("endPort")) for port in rule["ports"]] == [
        (443, None),
        (465, None),
        (587, None),
        (1024, 65535),
    ]

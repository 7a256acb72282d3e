"""docker/kubernetes: the files are valid by Kubernetes' schemas and consistent with each other."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from service.http.auth import OPEN_PATHS
from service.settings import Settings
from tests.support.docker_files import KUBERNETES, load

SETTINGS = {f"TIEDLM_{name.upper()}": name for name in Settings.model_fields}
KUSTOMIZATION = load(KUBERNETES / "kustomization.yaml")
FILES = [KUBERNETES / name for name in KUSTOMIZATION["resources"]]
LABEL = {"app.kubernetes.io/name": "tiedlm"}


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [document for document in map(load, FILES) if document["kind"] == kind]
    return found


POD: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
VARIABLES = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.32", "1.37"])
def test_manifest_is_valid(path: Path, version: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        validate = pytest.importorskip(
            "kubernetes_validate",
            reason="NOT VALIDATED: kubernetes-validate is not installed",
        )
        validate.validate(load(path), version, strict=True)


def test_every_file_is_used() -> None:
    found = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert found == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


def test_selectors_match_the_pods() -> None:
    assert manifest("Deployment")["spec"]["template"]["metadata"]["labels"] == LABEL
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == LABEL
    assert manifest("Service")["spec"]["selector"] == LABEL
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABEL
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == LABEL
    assert manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "tiedlm"


def test_variables_are_valid_settings() -> None:
    assert set(VARIABLES) <= set(SETTINGS)
    Settings.model_validate({SETTINGS[name]: value for name, value in VARIABLES.items()})


def test_secrets_are_mounted_at_the_configured_paths() -> None:
    (secret,) = KUSTOMIZATION["secretGenerator"]
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert volumes["keys"]["secret"]["secretName"] == secret["name"]
    files = {f"{mounts['keys']}/{Path(name).name}" for name in secret["files"]}
    assert {value for name, value in VARIABLES.items() if name.endswith("_FILE")} == files


def test_secrets_are_not_in_the_repository() -> None:
    ignored = (KUBERNETES.parents[1] / ".gitignore").read_text().splitlines()
    assert "docker/kubernetes/secrets/" in ignored


def test_kustomize_sets_the_image() -> None:
    assert [image["name"] for image in KUSTOMIZATION["images"]] == [CONTAINER["image"]]


def test_pod_is_locked_down() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == 10001
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_grace_period_covers_drain_and_requests() -> None:
    """Order: SIGTERM, drain, queued and running requests, SIGKILL."""
    drain = float(VARIABLES["TIEDLM_DRAIN_SECONDS"])
    request_timeout = Settings.model_fields["request_timeout"].default
    assert POD["terminationGracePeriodSeconds"] > drain + request_timeout
    readiness = CONTAINER["readinessProbe"]
    detection = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert drain > detection + readiness["timeoutSeconds"]


def test_probes_use_open_paths_and_ports() -> None:
    names = [port["name"] for port in CONTAINER["ports"]]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = CONTAINER[probe]["httpGet"]
        assert get["path"] in OPEN_PATHS
        assert get["port"] in names
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] in names
    (number,) = [port["containerPort"] for port in CONTAINER["ports"]]
    assert number == Settings.model_fields["port"].default


def test_liveness_and_readiness_use_their_own_routes() -> None:
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_disruption_budget_leaves_a_replica() -> None:
    smallest = manifest("HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert smallest > manifest("PodDisruptionBudget")["spec"]["maxUnavailable"]
    strategy = manifest("Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0

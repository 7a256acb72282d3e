"""Paths of the files in docker/, and a YAML loader."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = (ROOT / "Dockerfile", DOCKER / "train.Dockerfile")
COMPOSE = DOCKER / "compose.yaml"
KUBERNETES = DOCKER / "kubernetes"
ALERTS = DOCKER / "prometheus" / "alerts.yml"
PROMETHEUS = DOCKER / "prometheus" / "prometheus.yml"
DASHBOARD = DOCKER / "grafana" / "dashboards" / "tiedlm.json"


def load(path: Path) -> dict[str, Any]:
    """Return the only YAML document of a file."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document

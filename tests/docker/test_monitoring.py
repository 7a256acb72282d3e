"""Queries of the dashboard, alerts and autoscaler use metrics that the service exports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from service import errors
from service.arrays import PRIORITIES
from service.bundle import Bundle
from service.http.app import create_app
from service.inference.engine_runner import STAGES
from service.language_model import LanguageModel
from service.runtime.metrics import Metrics
from service.settings import STARTER_BUNDLE, Settings
from tests.support.docker_files import ALERTS, DASHBOARD, KUBERNETES, PROMETHEUS, ROOT, load

NAME = re.compile(r"\btiedlm_[a-z_]+")
# The Grafana variable that queries contain.
INTERVAL = "$__rate_interval"


@pytest.fixture(scope="session")
def model() -> Iterator[LanguageModel]:
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))
    yield model
    model.close()


def alerts() -> list[dict[str, Any]]:
    return [rule for group in load(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Yield the place of each query and the query."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"].replace(INTERVAL, "1m")


QUERIES = [pytest.param(query, id=place) for place, query in queries()]


def exported_metrics() -> dict[str, set[str]]:
    """Return the exported metric names with their labels."""
    names: dict[str, set[str]] = {}
    for family in Metrics().registry._names_to_collectors.values():
        labels = set(family._labelnames)  # type: ignore[attr-defined]  # of every kind of metric
        name = family._name  # type: ignore[attr-defined]
        match family._type:  # type: ignore[attr-defined]
            case "counter":
                names[f"{name}_total"] = labels
            case "histogram":
                names[f"{name}_bucket"] = labels | {"le"}
                names[f"{name}_sum"] = names[f"{name}_count"] = labels
            case _:
                names[name] = labels
    return names


def test_exported_names_are_on_the_metrics_page() -> None:
    metrics = Metrics()
    metrics.requests.labels("/score", "200").inc()
    metrics.queue_seconds.labels("bulk").observe(0.1)
    metrics.queue_tokens.labels("bulk").set(1)
    page = metrics.page().decode()
    for name in ("requests_total", "queue_seconds_bucket", "queue_seconds_sum", "queue_tokens"):
        assert f"tiedlm_{name}" in exported_metrics()
        assert f"\ntiedlm_{name}{{" in page


@pytest.mark.parametrize("query", QUERIES)
def test_query_uses_exported_metrics(query: str) -> None:
    names = exported_metrics()
    used = set(NAME.findall(query))
    assert used or "up{" in query
    assert used <= set(names)


@pytest.mark.parametrize("query", QUERIES)
def test_query_uses_existing_labels(query: str) -> None:
    names = exported_metrics()
    target_labels = {"job", "instance"}
    for name, selector in re.findall(r"(tiedlm_[a-z_]+)(?:\{([^}]*)\})?", query):
        assert set(re.findall(r"(\w+)\s*[=!]~?\"", selector)) <= names[name] | target_labels
    all_labels = target_labels.union(*(names[name] for name in NAME.findall(query)))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in group.split(",")} <= all_labels


@pytest.mark.parametrize("query", QUERIES)
def test_query_is_valid_promql(query: str) -> None:
    parser = pytest.importorskip(
        "promql_parser", reason="NOT PARSED: promql-parser is not installed"
    )
    assert parser.parse(query)


def test_query_selects_existing_label_values(model: LanguageModel) -> None:
    """A value that the service never exports would leave a panel empty."""
    label_values: dict[str, set[Any]] = {
        "lane": set(PRIORITIES),
        "stage": set(STAGES),
        "code": {getattr(kind, "code", None) for kind in vars(errors).values()},
        "route": {*create_app(model).openapi()["paths"], "/health/.*"},
    }
    for _, query in queries():
        for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', query):
            if label in label_values:
                assert set(values.split("|")) <= label_values[label], query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set().union(*(NAME.findall(query) for _, query in queries()))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported_metrics()}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


def test_autoscaler_uses_an_exported_metric() -> None:
    metrics = load(KUBERNETES / "autoscaler.yaml")["spec"]["metrics"]
    (name,) = [entry["pods"]["metric"]["name"] for entry in metrics if entry["type"] == "Pods"]
    assert name in exported_metrics()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_panels_use_the_provisioned_source() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = load(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    used = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert used == {source["uid"]}


def test_alerts_have_severity_summary_and_advice() -> None:
    advice = (ROOT / "docs" / "operations.md").read_text()
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in advice


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT CHECKED: promtool is not installed (it comes with prometheus)")
    # promtool also checks the rule files that the configuration lists.
    done = subprocess.run(
        [promtool, "check", "config", str(PROMETHEUS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""Every query of the dashboard, the alerts and the autoscaler asks for what the service has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from service import errors
from service.arrays import PRIORITIES
from service.http.app import create_app
from service.inference.engine_runner import STAGES
from service.language_model import LanguageModel
from service.runtime.metrics import Metrics
from tests.support.docker_files import ALERTS, DASHBOARD, KUBERNETES, PROMETHEUS, ROOT, load

NAME = re.compile(r"\btiedlm_[a-z_]+")
# What Grafana puts in for its variables.
INTERVAL = "$__rate_interval"


def alerts() -> list[dict[str, Any]]:
    return [rule for group in load(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Where a query stands, and the query."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"].replace(INTERVAL, "1m")


QUERIES = [pytest.param(query, id=where) for where, query in queries()]


def exported() -> dict[str, set[str]]:
    """Every name that Prometheus scrapes, and the labels that it can have."""
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


def test_names_are_those_on_the_page() -> None:
    metrics = Metrics()
    metrics.requests.labels("/score", "200").inc()
    metrics.queue_seconds.labels("bulk").observe(0.1)
    metrics.queue_tokens.labels("bulk").set(1)
    page = metrics.page().decode()
    for name in ("requests_total", "queue_seconds_bucket", "queue_seconds_sum", "queue_tokens"):
        assert f"tiedlm_{name}" in exported()
        assert f"\ntiedlm_{name}{{" in page


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_that_the_service_exports(query: str) -> None:
    names = exported()
    used = set(NAME.findall(query))
    assert used or "up{" in query
    assert used <= set(names)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_selects_and_groups_by_labels_that_are_there(query: str) -> None:
    names = exported()
    of_prometheus = {"job", "instance"}
    for name, selector in re.findall(r"(tiedlm_[a-z_]+)(?:\{([^}]*)\})?", query):
        assert set(re.findall(r"(\w+)\s*[=!]~?\"", selector)) <= names[name] | of_prometheus
    everything = of_prometheus.union(*(names[name] for name in NAME.findall(query)))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in group.split(",")} <= everything


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_promql(query: str) -> None:
    parser = pytest.importorskip(
        "promql_parser", reason="NOT PARSED: promql-parser is not installed"
    )
    assert parser.parse(query)


def test_values_that_queries_select_are_those_of_the_service(model: LanguageModel) -> None:
    """One that nobody counts would leave a panel empty for ever."""
    known: dict[str, set[Any]] = {
        "lane": set(PRIORITIES),
        "stage": set(STAGES),
        "code": {getattr(kind, "code", None) for kind in vars(errors).values()},
        "route": {*create_app(model).openapi()["paths"], "/health/.*"},
    }
    for _, query in queries():
        for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', query):
            if label in known:
                assert set(values.split("|")) <= known[label], query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set().union(*(NAME.findall(query) for _, query in queries()))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


def test_the_autoscaler_goes_by_a_metric_of_the_service() -> None:
    metrics = load(KUBERNETES / "autoscaler.yaml")["spec"]["metrics"]
    (name,) = [entry["pods"]["metric"]["name"] for entry in metrics if entry["type"] == "Pods"]
    assert name in exported()


def test_panels_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_panel_asks_the_source_that_is_provisioned() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = load(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == {source["uid"]}


def test_every_alert_says_how_urgent_it_is_and_has_its_advice() -> None:
    advice = (ROOT / "docs" / "operations.md").read_text()
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in advice


def test_prometheus_itself_takes_the_configuration_and_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT CHECKED: promtool is not installed (it comes with prometheus)")
    # The configuration names the rules, which are checked with it.
    done = subprocess.run(
        [promtool, "check", "config", str(PROMETHEUS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

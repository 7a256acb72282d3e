"""docker/compose.yaml: what it says holds together, and compose itself reads it."""

import os
import re
import shutil
import subprocess
from typing import Any

import pytest

from service.settings import Settings
from tests.support.docker_files import COMPOSE, DOCKER, PROMETHEUS, ROOT, load

SETTINGS = {f"TIEDLM_{name.upper()}" for name in Settings.model_fields}
SERVICES: dict[str, dict[str, Any]] = load(COMPOSE)["services"]


def compose() -> list[str] | None:
    """The command of a compose that is installed."""
    plugin = subprocess.run("docker compose version", shell=True, capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


@pytest.mark.parametrize("options", [[], ["--profile", "train"]], ids=["service", "train"])
def test_compose_reads_it(options: list[str]) -> None:
    command = compose()
    if command is None:
        pytest.skip("NOT VALIDATED: no docker compose here (apt-get install docker-compose)")
    done = subprocess.run(
        [*command, "-f", str(COMPOSE), *options, "config", "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, "BUNDLE": "./bundle", "DATA": "./text"},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_its_parts_are_the_service_its_monitoring_and_the_trainer_on_request() -> None:
    assert set(SERVICES) == {"service", "prometheus", "grafana", "train"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"train"}


def test_ports_are_open_to_this_machine_alone() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_nothing_has_more_rights_than_it_needs() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in ("service", "train"):
        assert SERVICES[name]["read_only"] is True


def test_variables_are_settings() -> None:
    named = {line.partition("=")[0] for line in SERVICES["service"]["environment"]}
    assert named <= SETTINGS


def test_it_may_finish_what_it_began() -> None:
    variables = dict(line.partition("=")[::2] for line in SERVICES["service"]["environment"])
    drain = float(variables["TIEDLM_DRAIN_SECONDS"])
    grace = float(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace > drain + Settings.model_fields["request_timeout"].default


def test_files_that_are_mounted_or_built_are_there() -> None:
    for service in SERVICES.values():
        sources = [re.split(r":(?=/)", volume)[0] for volume in service.get("volumes", [])]
        paths = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", source) for source in sources]
        for path in paths:
            if path.startswith((".", "/")) and path != "./text":
                assert (DOCKER / path).exists(), path
        build = service.get("build")
        if build:
            assert (DOCKER / build["context"]).resolve() == ROOT
            assert (ROOT / build.get("dockerfile", "Dockerfile")).is_file()


def test_named_volumes_are_declared_and_used() -> None:
    sources = {
        re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume).partition(":")[0]  # a variable's default
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert {source for source in sources if source[0] not in "./"} == set(load(COMPOSE)["volumes"])


def test_prometheus_asks_the_service_where_it_listens() -> None:
    (scrape,) = load(PROMETHEUS)["scrape_configs"]
    (target,) = scrape["dns_sd_configs"]
    assert target["names"] == ["service"]
    assert target["port"] == Settings.model_fields["port"].default

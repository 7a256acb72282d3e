"""docker/compose.yaml is consistent with the code, and compose accepts it."""

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
    """Return the installed compose command, or None."""
    plugin = subprocess.run("docker compose version", shell=True, capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


@pytest.mark.parametrize("options", [[], ["--profile", "train"]], ids=["service", "train"])
def test_compose_accepts_the_file(options: list[str]) -> None:
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


def test_trainer_is_the_only_optional_service() -> None:
    assert set(SERVICES) == {"service", "prometheus", "grafana", "train"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"train"}


def test_ports_are_local() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_containers_have_minimal_privileges() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in ("service", "train"):
        assert SERVICES[name]["read_only"] is True


def test_variables_are_valid_settings() -> None:
    names = {line.partition("=")[0] for line in SERVICES["service"]["environment"]}
    assert names <= SETTINGS


def test_grace_period_covers_drain_and_requests() -> None:
    variables = dict(line.partition("=")[::2] for line in SERVICES["service"]["environment"])
    drain = float(variables["TIEDLM_DRAIN_SECONDS"])
    grace = float(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace > drain + Settings.model_fields["request_timeout"].default


def test_mounted_and_built_files_exist() -> None:
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


def test_declared_volumes_match_the_used_ones() -> None:
    sources = {
        re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume).partition(":")[0]  # a variable's default
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert {source for source in sources if source[0] not in "./"} == set(load(COMPOSE)["volumes"])


def test_prometheus_scrapes_the_service_port() -> None:
    (scrape,) = load(PROMETHEUS)["scrape_configs"]
    (target,) = scrape["dns_sd_configs"]
    assert target["names"] == ["service"]
    assert target["port"] == Settings.model_fields["port"].default

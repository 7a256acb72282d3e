"""Checks of the service's image: the guarantees of docs/operations.md."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from tests.programs.smoke.checks import check, run_command
from tests.programs.smoke.container import Container, running
from tests.programs.smoke.load import Load
from tests.programs.smoke.wire import READY_SECONDS

USER = 10001
DRAIN_SECONDS = 3
MIB = 1 << 20

# Prints facts about the container from inside it.
INSPECTION = """
import importlib.util, json, os, pathlib, shutil
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status") if ":\\t" in line)
def writable(folder):
    try:
        pathlib.Path(folder, "x").write_text("")
    except OSError:
        return False
    return True
print(json.dumps({
    "user": [int(status["Uid"].split()[0]), int(status["Gid"].split()[0])],
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "writable": [f for f in ("/", "/app", "/bundle", "/opt/venv", "/var/tmp", "/tmp")
                 if writable(f)],
    "modules": [m for m in ("torch", "onnx", "pip", "setuptools", "train", "model_export",
                            "huggingface_hub") if importlib.util.find_spec(m)],
    "programs": [p for p in ("gcc", "cc", "pip", "curl") if shutil.which(p)],
    "resident": int(status["VmRSS"].split()[0]) * 1024,
}))
"""


def check_service(engine: str, image: str, base: str, bundle: Path) -> None:
    inspect = (engine, "image", "inspect", "--format", "{{.Size}}")
    image_bytes, base_bytes = (int(run_command(*inspect, name)) for name in (image, base))
    print(f"the image has {image_bytes / 1e6:.0f} MB, its base {base_bytes / 1e6:.0f} MB")
    print(f"tiedlm adds {(image_bytes - base_bytes) / 1e6:.0f} MB")

    print("a read-only container, 1 GiB, 2 CPUs, 256 processes, no capabilities")
    # A slow machine must not reject requests because of their wait.
    variables = [f"TIEDLM_DRAIN_SECONDS={DRAIN_SECONDS}", "TIEDLM_MAX_QUEUE_SECONDS=60"]
    flags = [part for variable in variables for part in ("-e", variable)]
    with running(engine, image, *flags) as container:
        container.wait()
        check_responses(container)
        check_inside(container)
        check_health(container)
        check_drain(container)

    print("another port")
    with running(engine, image, "-e", "TIEDLM_PORT=9000", port=9000) as container:
        container.wait()
        check(container.healthy(), "the health check uses the configured port")

    print("another bundle, by volume")
    with tempfile.TemporaryDirectory() as folder:
        other = copy_renamed(bundle, Path(folder) / "bundle", "by-volume")
        with running(engine, image, "-v", f"{other}:/bundle:ro") as container:
            container.wait()
            check(
                container.request("/info")["model"] == "by-volume",
                "the service serves the mounted bundle",
            )
            check_responses(container)

    print("SIGTERM before it is ready")
    with running(engine, image) as container:
        start = time.perf_counter()
        seconds = 0.0
        # The process ignores signals until the interpreter has started.
        while container.inspect("{{.State.Running}}") == "true" and seconds < READY_SECONDS:
            container.terminate()
            time.sleep(0.2)
            seconds = time.perf_counter() - start
        exit_status = container.exit_status() if seconds < READY_SECONDS else -1
        check(seconds < READY_SECONDS, f"it exits with status {exit_status} after {seconds:.1f} s")


def check_responses(container: Container) -> None:
    (result,) = container.request("/score", text="He was born in London.")["results"]
    check(result["perplexity"] > 1, f"/score works: perplexity {result['perplexity']:.1f}")
    word = container.request("/next-token", context="The capital of", exclude_special=True)[
        "tokens"
    ][0]
    check(0 < word["probability"] < 1, f"/next-token works: {word['text']}")


def check_inside(container: Container) -> None:
    inside = json.loads(container.python(INSPECTION))
    check(inside["user"] == [USER, USER], f"it runs as user and group {USER}")
    check(inside["capabilities"] == 0, "it has no capabilities and cannot get any")
    check(inside["no_new_privileges"] == "1", "it cannot gain privileges")
    check(inside["writable"] == ["/tmp"], f"it can write only to /tmp: {inside['writable']}")
    check(
        inside["modules"] == [],
        "it has no torch, trainer, pip, setuptools or model downloader",
    )
    check(inside["programs"] == [], "it has no compiler, pip or curl")
    print(f"  resident memory {inside['resident'] / MIB:.0f} MiB")
    lines = [line for line in container.logs().splitlines() if line.startswith("{")]
    levels = {json.loads(line)["level"] for line in lines}
    check(levels <= {"INFO"}, "the log has no warnings")
    check("arning" not in container.logs(), "libraries print no warnings")


def check_health(container: Container) -> None:
    start = time.perf_counter()
    check(container.healthy(), "the health check passes")
    print(f"  the health check took {time.perf_counter() - start:.2f} s")
    image = container.inspect("{{.Config.Image}}")
    config = run_command(
        container.engine, "image", "inspect", "--format", "{{json .Config}}", image
    )
    # podman writes Healthcheck next to Config.
    config += run_command(container.engine, "image", "inspect", "--format", "{{json .}}", image)
    check("service.healthcheck" in config, "the image has the health check")
    check("SIGTERM" in config, "the image's stop signal is SIGTERM")


def check_drain(container: Container) -> None:
    with Load(container.port) as load:
        end = time.perf_counter() + READY_SECONDS
        while sum(load.results.values()) < 20 and time.perf_counter() < end:
            time.sleep(0.05)
        before = sum(load.results.values())
        start = time.perf_counter()
        container.terminate()
        load.join()
        exit_status = container.exit_status()
    seconds = time.perf_counter() - start
    after = sum(load.results.values()) - before
    check(before and after, f"{before} requests before SIGTERM, {after} after it")
    check(set(load.results) == {"200"}, f"no request failed: {dict(load.results)}")
    check(exit_status == 0, f"it exited with status 0, {seconds:.1f} s after SIGTERM")


def copy_renamed(bundle: Path, target: Path, name: str) -> Path:
    """Copy a bundle with another name, readable by all users, and return its path."""
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, "name": name}))
    target.parent.chmod(0o755)
    target.chmod(0o755)
    for file in target.iterdir():
        file.chmod(0o644)
    return target

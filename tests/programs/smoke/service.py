"""The service's image: what docs/operations.md promises of it."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from tests.programs.smoke.checks import check
from tests.programs.smoke.container import Container, call, running
from tests.programs.smoke.load import Load
from tests.programs.smoke.wire import READY_SECONDS

USER = 10001
DRAIN_SECONDS = 3
MIB = 1 << 20

# What the container says of itself, from the inside.
INSIDE = """
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
    whole, below = (int(call(*inspect, name)) for name in (image, base))
    print(f"the image has {whole / 1e6:.0f} MB unpacked, its base {below / 1e6:.0f} MB")
    print(f"tiedlm adds {(whole - below) / 1e6:.0f} MB")

    print("a read-only container, 1 GiB, 2 CPUs, 256 processes, no capabilities")
    # Nothing is refused for having to wait, however slow the machine is.
    more = [f"TIEDLM_DRAIN_SECONDS={DRAIN_SECONDS}", "TIEDLM_MAX_QUEUE_SECONDS=60"]
    flags = [part for variable in more for part in ("-e", variable)]
    with running(engine, image, *flags) as container:
        container.wait()
        check_answers(container)
        check_inside(container)
        check_health(container)
        check_drain(container)

    print("another port")
    with running(engine, image, "-e", "TIEDLM_PORT=9000", port=9000) as container:
        container.wait()
        check(container.healthy(), "the health check asks the port that is configured")

    print("another bundle, by volume")
    with tempfile.TemporaryDirectory() as folder:
        other = renamed(bundle, Path(folder) / "bundle", "by-volume")
        with running(engine, image, "-v", f"{other}:/bundle:ro") as container:
            container.wait()
            check(container.ask("/info")["model"] == "by-volume", "it is the one served")
            check_answers(container)

    print("SIGTERM before it is ready")
    with running(engine, image) as container:
        begun = time.perf_counter()
        seconds = 0.0
        # Until the interpreter is there, nothing hears a signal.
        while container.inspect("{{.State.Running}}") == "true" and seconds < READY_SECONDS:
            container.terminate()
            time.sleep(0.2)
            seconds = time.perf_counter() - begun
        ended = container.exit_status() if seconds < READY_SECONDS else -1
        check(seconds < READY_SECONDS, f"it ends, with status {ended}, after {seconds:.1f} s")


def check_answers(container: Container) -> None:
    (result,) = container.ask("/score", text="He was born in London.")["results"]
    check(result["perplexity"] > 1, f"/score answers: perplexity {result['perplexity']:.1f}")
    word = container.ask("/next-token", context="The capital of", exclude_special=True)["tokens"][0]
    check(0 < word["probability"] < 1, f"/next-token answers: {word['text']}")


def check_inside(container: Container) -> None:
    inside = json.loads(container.python(INSIDE))
    check(inside["user"] == [USER, USER], f"it runs as user and group {USER}")
    check(inside["capabilities"] == 0, "it has no capability and can get none")
    check(inside["no_new_privileges"] == "1", "it can gain no privilege")
    check(inside["writable"] == ["/tmp"], f"it can write to /tmp alone: {inside['writable']}")
    check(
        inside["modules"] == [],
        "no torch, no trainer, no pip, no setuptools, nothing that downloads models",
    )
    check(inside["programs"] == [], "no compiler, no pip, no curl")
    print(f"  resident memory {inside['resident'] / MIB:.0f} MiB")
    lines = [line for line in container.logs().splitlines() if line.startswith("{")]
    levels = {json.loads(line)["level"] for line in lines}
    check(levels <= {"INFO"}, "the log has no warning")
    check("arning" not in container.logs(), "no library warns either")


def check_health(container: Container) -> None:
    begun = time.perf_counter()
    check(container.healthy(), "the health check passes")
    print(f"  the health check took {time.perf_counter() - begun:.2f} s")
    image = container.inspect("{{.Config.Image}}")
    known = call(container.engine, "image", "inspect", "--format", "{{json .Config}}", image)
    # podman writes Healthcheck beside Config.
    known += call(container.engine, "image", "inspect", "--format", "{{json .}}", image)
    check("service.healthcheck" in known, "the image names it")
    check("SIGTERM" in known, "the image's stop signal is SIGTERM")


def check_drain(container: Container) -> None:
    with Load(container.port) as load:
        end = time.perf_counter() + READY_SECONDS
        while sum(load.results.values()) < 20 and time.perf_counter() < end:
            time.sleep(0.05)
        before = sum(load.results.values())
        begun = time.perf_counter()
        container.terminate()
        load.join()
        ended = container.exit_status()
    seconds = time.perf_counter() - begun
    after = sum(load.results.values()) - before
    check(before and after, f"{before} requests before SIGTERM, {after} after it")
    check(set(load.results) == {"200"}, f"none was lost: {dict(load.results)}")
    check(ended == 0, f"it ended with status 0, {seconds:.1f} s after SIGTERM")


def renamed(bundle: Path, target: Path, name: str) -> Path:
    """A copy under another name, which every user may read."""
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, "name": name}))
    target.parent.chmod(0o755)
    target.chmod(0o755)
    for file in target.iterdir():
        file.chmod(0o644)
    return target

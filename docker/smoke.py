"""Runs an image as production would, and checks what docs/operations.md promises.

`python docker/smoke.py ENGINE IMAGE --base BASE --bundle DIR`, or `--train DIR` for the trainer's.
The standard library alone: it runs on the machine that builds.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
LOCKED += ["--security-opt", "no-new-privileges"]
# Of itself podman makes /run and /var/tmp writable in a read-only container.
ENGINES = {"podman": ["--read-only-tmpfs=false"]}
LIMITED = ["--memory", "1g", "--cpus", "2", "--pids-limit", "256"]
USER = 10001
READY_SECONDS = 180.0  # the machine that builds may be busy
DRAIN_SECONDS = 3
CLIENTS = 8
TEXTS = [f"The city number {n} was built on the river." for n in range(4)]
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


PROCESSOR_SECONDS = """
import os
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
print((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
"""


class Failure(Exception):
    """What was promised does not hold."""


def check(holds: object, what: str) -> None:
    if not holds:
        raise Failure(what)
    print(f"  ok: {what}", flush=True)


class Container:
    """One container of the service, removed at the end."""

    def __init__(self, engine: str, image: str, *options: str, port: int = 8000) -> None:
        self.engine = engine
        self.name = f"tiedlm-smoke-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        publish = ["-p", f"127.0.0.1:{self.port}:{port}"]
        self.begun = time.perf_counter()
        locked = [*LOCKED, *ENGINES.get(engine, [])]
        command = ["run", "-d", "--name", self.name, *publish, *locked, *LIMITED]
        call(engine, *command, *options, image)

    def wait(self) -> None:
        """Until it is ready. Says how long that took, the engine's own work included, and how much
        of a processor the service needed for it, which a busy machine does not change.
        """
        while time.perf_counter() - self.begun < READY_SECONDS:
            if status(self.port, "/health/ready") == 200:
                seconds = time.perf_counter() - self.begun
                worked = float(self.python(PROCESSOR_SECONDS))
                print(f"  ready {seconds:.1f} s after the command; {worked:.2f} s of CPU")
                return
            if self.inspect("{{.State.Running}}") != "true":
                break
            time.sleep(0.05)
        raise Failure(f"it is not ready:\n{self.logs()}")

    def ask(self, route: str, **fields: Any) -> Any:
        return ask(self.port, route, fields)

    def python(self, code: str) -> str:
        return call(self.engine, "exec", self.name, "python", "-c", code)

    def healthy(self) -> bool:
        """The image's own health check, in the container."""
        command = [self.engine, "exec", self.name, "python", "-m", "service.healthcheck"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def inspect(self, template: str) -> str:
        return call(self.engine, "inspect", "--format", template, self.name)

    def logs(self) -> str:
        done = subprocess.run(
            [self.engine, "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def terminate(self) -> None:
        call(self.engine, "kill", "--signal", "TERM", self.name)

    def exit_status(self) -> int:
        return int(call(self.engine, "wait", self.name).split()[-1])

    def remove(self) -> None:
        command = [self.engine, "rm", "-f", self.name]
        subprocess.run(command, capture_output=True, check=False)


@contextmanager
def running(engine: str, image: str, *options: str, port: int = 8000) -> Iterator[Container]:
    container = Container(engine, image, *options, port=port)
    try:
        yield container
    except Exception:
        print(container.logs()[-4000:], file=sys.stderr)
        raise
    finally:
        container.remove()


def call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command[:3])} …: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def status(port: int, route: str) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", route)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def ask(port: int, route: str, fields: dict[str, Any] | None) -> Any:
    """The JSON that a route answers; with fields it is a POST."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        if fields:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", route, json.dumps(fields), headers)
        else:
            connection.request("GET", route)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Failure(f"{route}: {answer.status} {content[:300]!r}")
    return json.loads(content)


class Load:
    """Clients that ask without a pause, each over a connection of its own, until one of them sees
    that the service is not ready any more: then, as behind a load balancer, no new request comes.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.results: Counter[str] = Counter()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._watch))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        while not self._ending.is_set():
            if status(self.port, "/health/ready") != 200:
                time.sleep(1.0)  # a load balancer takes a while to see it
                self._ending.set()
            time.sleep(0.05)

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        headers = {"Content-Type": "application/json"}
        while not self._ending.is_set():
            try:
                connection.request("POST", "/score", json.dumps({"texts": TEXTS}), headers)
                answer = connection.getresponse()
                answer.read()
                self.results[str(answer.status)] += 1
            except (OSError, HTTPException) as error:
                self.results[f"lost: {error!r}"] += 1
                connection.close()
        connection.close()


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
        time.sleep(0.3)  # the interpreter itself must be there to hear it
        container.terminate()
        begun = time.perf_counter()
        ended = container.exit_status()
        seconds = time.perf_counter() - begun
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
        time.sleep(2.0)
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


WORDS = ("the", "river", "runs", "past", "old", "stones", "and", "every", "city", "has", "water")


def check_training(engine: str, image: str, runs: Path) -> None:
    """The tiny preset on a small text, and its bundle in `runs/bundle`."""
    data = runs / "text"
    data.mkdir(parents=True)
    lines = [f"{a} {b} {c} ." for a in WORDS for b in WORDS for c in WORDS]
    (data / "all.txt").write_text("\n".join(lines * 3))
    for folder in (runs, data):
        folder.chmod(0o777)
    volumes = ["-v", f"{data}:/data:ro", "-v", f"{runs}:/runs"]
    locked = [*LOCKED, *ENGINES.get(engine, [])]
    command = [engine, "run", "--rm", *locked, *volumes, image, "-m"]
    call(*command, "train", "train/configs/tiny.toml", "--data", "/data", "--out", "/runs/mine")
    check((runs / "mine").is_dir(), "the trainer's image trains, as the same user")
    call(*command, "model_export", "/runs/mine", "/runs/bundle")
    check((runs / "bundle" / "manifest.json").is_file(), "and exports")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("image")
    parser.add_argument("--base")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--train", type=Path)
    options = parser.parse_args()
    try:
        if options.train:
            check_training(options.engine, options.image, options.train)
        else:
            check_service(options.engine, options.image, options.base, options.bundle)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

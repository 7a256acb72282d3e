"""Tests of the packages that each extra installs, read from the metadata that pip uses."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, PathDistribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BUILD = (
    "import setuptools.build_meta as b, sys; print(b.prepare_metadata_for_build_wheel(sys.argv[1]))"
)
TRAIN = "matplotlib, torch, tqdm"  # packages that `.[train]` adds and the trainer imports
HINTS = re.compile(r"""pip install (?:-e )?(?:["']|\\")(\S*?)\[([\w,]+)\]""")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> PathDistribution:
    """Return the metadata of a wheel; a copy, because setuptools writes next to the code."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        (tree / name).write_bytes((ROOT / name).read_bytes())
    (tree / "service").mkdir()
    target = tree / "metadata"
    target.mkdir()
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(target)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return PathDistribution(target / built.stdout.splitlines()[-1])


def direct(metadata: PathDistribution, *extras: str) -> set[str]:
    """Return the packages that `pip install ".[extras]"` requires, extras resolved."""
    names: set[str] = set()
    waiting, seen = list(extras or [""]), set[str]()
    while waiting:
        extra = waiting.pop()
        seen.add(extra)
        for requirement in map(Requirement, metadata.requires or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            if requirement.name == "tiedlm":
                waiting += requirement.extras - seen
            else:
                names.add(canonicalize_name(requirement.name))
    return names


def closure(names: set[str]) -> set[str]:
    """Return the packages and their installed requirements, recursively."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needed = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # required by another Python or system only
            continue
        waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def test_a_client_installs_httpx_alone(metadata: PathDistribution) -> None:
    assert direct(metadata) == set()
    assert direct(metadata, "client") == {"httpx"}
    assert "uvicorn" in direct(metadata, "service")


def test_every_other_extra_includes_the_service(metadata: PathDistribution) -> None:
    service = direct(metadata, "service")
    for extra in ("bulk", "plot", "notebook", "ray", "train", "test", "clients", "dev"):
        assert service <= direct(metadata, extra), extra


def test_the_client_works_with_its_packages_alone(metadata: PathDistribution) -> None:
    """Hide every other installed package, as if only `.[client]` were installed."""
    allowed = closure(direct(metadata, "client"))
    assert {"httpx", "httpcore", "certifi", "anyio"} <= allowed
    assert not allowed & {"fastapi", "numpy", "onnxruntime", "pydantic", "uvicorn"}
    script = f"""
import sys
from importlib.metadata import packages_distributions
allowed = set({sorted(allowed)!r})
canonical = lambda name: name.lower().replace("_", "-").replace(".", "-")
names = packages_distributions()
allowed |= {{"setuptools", "tiedlm"}}
hidden = {{m for m, owners in names.items() if not allowed & set(map(canonical, owners))}}
hidden -= {{"service", "train", "model_export", "tests"}}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
import service.client
client = service.client.Client("http://127.0.0.1:9")
client.close()
print(sorted(hidden & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


CHECKS = {"service": "service.runtime.startup", "train": "train.runtime.packages"}


@pytest.mark.parametrize(
    ("room", "hidden", "command"),
    [
        ("service", "onnxruntime, orjson", "service"),
        ("service", "onnxruntime, orjson", "service.bulk"),
        ("service", "onnxruntime, orjson", "service.plot"),
        ("train", TRAIN, "train toy.toml --data text --out run"),
        ("train", TRAIN, "train report run --out page.md"),
        ("train", TRAIN, "train.natural_text in out"),
        ("train", "matplotlib, onnx, torch, tqdm", "model_export run bundle"),
    ],
)
def test_a_missing_extra_is_named(room: str, hidden: str, command: str) -> None:
    program, *arguments = command.split()
    script = f"""
import runpy, sys
sys.argv[1:] = {arguments!r}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden.split(", ")!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
import importlib.util
real = importlib.util.find_spec
import {CHECKS[room]} as installed
def find_spec(name):
    try:
        return real(name)
    except ModuleNotFoundError:
        return None
installed.find_spec = find_spec
runpy.run_module({program!r}, run_name="__main__", alter_sys=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: packages are not installed: {hidden}; "
        f"in the clone of tiedlm: pip install '.[{room}]'\n"
    )


def test_every_install_hint_works_in_a_clone(metadata: PathDistribution) -> None:
    """Require a path, because no index has this project and a name would install another one."""
    extras = set(metadata.metadata.get_all("Provides-Extra") or [])
    found = 0
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docker").glob("*")]
    for room in ("service", "train", "model_export", "tests"):
        files += (ROOT / room).rglob("*.py")
    for path in (path for path in files if path.is_file() and path != Path(__file__)):
        for where, names in HINTS.findall(path.read_text(encoding="utf-8")):
            found += 1
            assert where == ".", f"{path}: pip install {where}[{names}]"
            assert set(names.split(",")) <= extras, f"{path}: {names}"
    assert found > 8


def test_the_locks_hold_the_requirements_of_the_service(metadata: PathDistribution) -> None:
    for lock, extras in (
        ("requirements.lock", ["service"]),
        ("requirements-tracing.lock", ["service", "tracing"]),
    ):
        pinned = re.findall(
            r"^([\w.-]+)==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert direct(metadata, *extras) <= {canonicalize_name(name) for name in pinned}, lock
        assert "httpx" not in pinned

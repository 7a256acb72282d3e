"""Tests of the arrows between rooms: which module may import which, read from the source."""

import ast
import sys
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("service", "train", "model_export")
Rule = Callable[[str, str], bool]

# The rooms of the service and the rooms that each may import; CONTRIBUTING.md draws the same.
BASE = {"bundle", "runtime", "files", "limits", "errors", "arrays", "scoring"}
ARROWS: dict[str, set[str]] = {
    "__main__": {"http", "language_model", "settings", *BASE},
    "ray_app": {"http", "language_model", "settings", *BASE},
    "healthcheck": {"runtime"},
    "http": {"language_model", "results", "text", "settings", *BASE},
    "bulk": {"language_model", "results", "settings", *BASE},
    "plot": {"language_model", "results", "settings", *BASE},
    "language_model": {"results", "inference", "text", "settings", *BASE},
    "results": {"inference", "text", *BASE},
    "inference": BASE,
    "text": BASE,
    "settings": {"runtime", "limits", "errors"},
    "bundle": {"files", "limits", "errors"},
    "runtime": {"limits", "errors", "arrays"},
    "files": {"limits", "errors"},
    "limits": {"errors", "arrays"},
    "errors": set(),
    "arrays": set(),
    "scoring": {"arrays"},
    "client": set(),
}
# Parts of the service that an export may use: the formats, and the engine that checks a bundle.
FOR_EXPORT = ("arrays", "bundle", "errors", "files", "inference", "runtime", "scoring", "text")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path) -> Iterator[str]:
    """Yield every module that a file imports; `from a import b` yields a and a.b."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imports(room: str) -> set[tuple[str, str]]:
    """Return pairs of the importing and the imported module, for all files of a room."""
    files = (ROOT / room).rglob("*.py")
    return {(module_name(path), name) for path in files for name in imported_by(path)}


def inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def violations(room: str, forbidden: Rule) -> list[tuple[str, str]]:
    return sorted((who, what) for who, what in imports(room) if forbidden(who, what))


def only(package: str, *users: str) -> Rule:
    """Return a rule that forbids `package` to everything outside `users` and itself."""
    return lambda who, what: inside(what, package) and not inside(who, package, *users)


def modules(room: str) -> set[str]:
    return {module_name(path) for path in (ROOT / room).rglob("*.py")}


def service_room(module: str) -> str:
    """Return the room of a module of the service: `service.http.app` is in `http`."""
    return module.split(".")[1] if "." in module else ""


def test_imports_are_found() -> None:
    found = imports("service")
    assert ("service.__main__", "service.http.app") in found
    assert ("service.inference.scheduler", "service.inference.queue.Queue") in found
    assert ("train.model.lstm", "torch") in imports("train")
    assert any(inside(what, "service") for _, what in imports("model_export"))


def test_the_service_imports_no_torch_and_no_other_room() -> None:
    others = ("torch", "onnx", "train", "model_export", "tests")
    assert violations("service", lambda _, what: inside(what, *others)) == []


def test_training_imports_no_other_room() -> None:
    others = ("service", "model_export", "tests", "fastapi", "onnx", "onnxruntime")
    assert violations("train", lambda _, what: inside(what, *others)) == []


def test_the_export_imports_no_http() -> None:
    web = ("fastapi", "starlette", "uvicorn", "httpx", "tests")
    allowed = [f"service.{name}" for name in FOR_EXPORT]
    assert violations("model_export", lambda _, what: inside(what, *web)) == []
    forbidden = violations(
        "model_export", lambda _, what: inside(what, "service") and not inside(what, *allowed)
    )
    assert forbidden == []


def test_every_room_of_the_service_has_its_arrows() -> None:
    assert {service_room(module) for module in modules("service")} - {""} == set(ARROWS)


def test_arrows_of_the_service_go_down() -> None:
    known = modules("service")
    found = {
        (service_room(who), service_room(what))
        for who, what in imports("service")
        if what in known and service_room(who) and service_room(what)
    }
    assert sorted((a, b) for a, b in found if a != b and b not in ARROWS[a]) == []
    assert list(TopologicalSorter(ARROWS).static_order())  # raises CycleError on a circle


@pytest.mark.parametrize("room", ROOMS)
def test_no_modules_import_each_other_in_a_circle(room: str) -> None:
    known = modules(room)
    graph: dict[str, set[str]] = {module: set() for module in known}
    for who, what in imports(room):
        if what in known and what != who and not who.startswith(f"{what}."):
            graph[who].add(what)
    assert list(TopologicalSorter(graph).static_order())


def test_http_does_not_import_inference() -> None:
    forbidden = only("service.inference", "service.language_model", "service.results")
    assert violations("service", forbidden) == []


def test_text_and_inference_do_not_import_each_other() -> None:
    text, inference = "service.text", "service.inference"
    crossing = [
        (who, what)
        for who, what in imports("service")
        if (inside(who, text) and inside(what, inference))
        or (inside(who, inference) and inside(what, text))
    ]
    assert crossing == []


def test_web_frameworks_stay_in_http() -> None:
    for package in ("fastapi", "starlette", "uvicorn", "fastapi_offline"):
        assert violations("service", only(package, "service.http")) == []


def test_onnxruntime_stays_in_the_engine() -> None:
    assert violations("service", only("onnxruntime", "service.inference.engine")) == []


def test_ray_stays_in_two_files() -> None:
    assert violations("service", only("ray", "service.ray_app", "service.bulk.ray_executor")) == []


def test_arithmetic_imports_arrays_only() -> None:
    arithmetic = ("service.scoring", "service.results.distribution")
    assert (
        violations(
            "service",
            lambda who, what: (
                who in arithmetic and inside(what, *ROOMS) and not inside(what, "service.arrays")
            ),
        )
        == []
    )


def test_the_batcher_imports_no_model() -> None:
    names = ("batcher", "scheduler", "queue", "tuning", "admission", "wait_estimator")
    own = [f"service.inference.{name}" for name in names]
    below = [f"service.{name}" for name in ("arrays", "errors", "limits", "inference.wait_line")]
    assert (
        violations(
            "service",
            lambda who, what: (
                who in own
                and inside(what, *ROOMS, "numpy", "asyncio")
                and not inside(what, *below, *own)
            ),
        )
        == []
    )


@pytest.mark.parametrize("room", ["bulk", "plot", "client"])
def test_no_other_room_imports(room: str) -> None:
    assert violations("service", only(f"service.{room}")) == []


def test_the_client_imports_httpx_only() -> None:
    allowed = ("service.client", "httpx", "pandas", *sys.stdlib_module_names)
    assert (
        violations(
            "service",
            lambda who, what: inside(who, "service.client") and not inside(what, *allowed),
        )
        == []
    )


def test_packages_are_empty_except_the_client() -> None:
    """Users import the client from its package; all other packages have no own names."""
    found = set((ROOT / "service").rglob("__init__.py"))
    assert {path for path in found if path.read_text()} == {ROOT / "service/client/__init__.py"}


# Parts of a LanguageModel that only its own methods use.
PARTS = {"tokenizer", "bundle", "engine", "contexts", "states", "background_thread"}
MODELS = {"model", "_model", "old", "new"}


def test_callers_of_the_model_use_its_methods() -> None:
    """The layers above pass values to the model's methods and never use its parts."""
    found = []
    for room in ("http", "bulk", "plot"):
        for path in (ROOT / "service" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr.removeprefix("_") in PARTS:
                    owner = node.value
                    name = owner.attr if isinstance(owner, ast.Attribute) else None
                    name = owner.id if isinstance(owner, ast.Name) else name
                    if name in MODELS:
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}")
    assert found == []

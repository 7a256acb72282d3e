"""Who may import whom: the rooms, and the layers inside the service, read from the source."""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("service", "train", "model_export")
ENTRY_POINTS = ("service.__main__", "service.ray_app")
Rule = Callable[[str, str], bool]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it; `from a import b` is both a and a.b."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imports(room: str) -> set[tuple[str, str]]:
    """Pairs of who imports and what is imported, of all of a room's files."""
    files = (ROOT / room).rglob("*.py")
    return {(module_name(path), name) for path in files for name in imported_by(path)}


def inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def violations(room: str, forbidden: Rule) -> list[tuple[str, str]]:
    return sorted((who, what) for who, what in imports(room) if forbidden(who, what))


def test_what_is_imported_is_found() -> None:
    found = imports("service")
    assert ("service.__main__", "service.http.app") in found
    assert ("service.inference.batcher", "service.inference.queue.Queue") in found
    assert ("train.model.lstm", "torch") in imports("train")
    assert any(inside(what, "service") for _, what in imports("model_export"))


def test_the_service_knows_no_torch_and_no_other_room() -> None:
    assert (
        violations(
            "service",
            lambda _, what: inside(what, "torch", "onnx", "train", "model_export", "tests"),
        )
        == []
    )


def test_training_knows_no_other_room_and_no_service() -> None:
    others = ("service", "model_export", "tests", "fastapi", "onnx", "onnxruntime")
    assert violations("train", lambda _, what: inside(what, *others)) == []


def test_the_export_knows_no_http() -> None:
    http = ("service.http", *ENTRY_POINTS, "fastapi", "starlette", "uvicorn", "httpx")
    assert violations("model_export", lambda _, what: inside(what, *http)) == []


def test_only_entry_points_import_http() -> None:
    assert (
        violations(
            "service",
            lambda who, what: (
                inside(what, "service.http") and not inside(who, "service.http", *ENTRY_POINTS)
            ),
        )
        == []
    )


def test_http_never_imports_inference() -> None:
    assert (
        violations(
            "service",
            lambda who, what: inside(who, "service.http") and inside(what, "service.inference"),
        )
        == []
    )


def test_only_http_imports_web_frameworks() -> None:
    web = ("fastapi", "starlette", "uvicorn", "fastapi_offline")
    assert (
        violations(
            "service",
            lambda who, what: inside(what, *web) and not inside(who, "service.http"),
        )
        == []
    )


def test_onnxruntime_is_known_to_the_engine_alone() -> None:
    assert (
        violations(
            "service",
            lambda who, what: inside(what, "onnxruntime") and who != "service.inference.engine",
        )
        == []
    )


def test_inference_knows_nothing_above_it() -> None:
    below = [f"service.{name}" for name in ("arrays", "bundle", "errors", "limits", "runtime")]
    assert (
        violations(
            "service",
            lambda who, what: (
                inside(who, "service.inference")
                and inside(what, "service")
                and not inside(what, "service.inference", *below)
            ),
        )
        == []
    )


def test_text_and_inference_never_import_each_other() -> None:
    rooms = ("service.text", "service.inference")
    assert (
        violations(
            "service",
            lambda who, what: any(
                inside(who, one) and inside(what, *rooms) and not inside(what, one) for one in rooms
            ),
        )
        == []
    )


def test_leaves_know_no_layer_above_them() -> None:
    leaves = [f"service.{name}" for name in ("bundle", "scoring", "distribution", "tokenizer")]
    leaves += [f"service.{name}" for name in ("vocabulary", "errors", "settings", "metrics")]
    leaves += [f"service.{name}" for name in ("outputs", "compression", "console")]
    leaves += ["service.client"]
    above = ("service.http", "service.language_model", "service.inference", *ENTRY_POINTS)
    assert (
        violations("service", lambda who, what: inside(who, *leaves) and inside(what, *above)) == []
    )


def test_arithmetic_knows_nothing_of_ours() -> None:
    assert (
        violations(
            "service",
            lambda who, what: (
                who in ("service.scoring", "service.results.distribution", "service.errors")
                and inside(what, *ROOMS)
                and not inside(what, "service.arrays")
            ),
        )
        == []
    )


def test_the_batcher_and_its_queue_know_no_model() -> None:
    names = ("batcher", "scheduler", "queue", "tuning", "admission", "wait_estimator")
    own = tuple(f"service.inference.{name}" for name in names)
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


def test_nothing_of_the_service_knows_bulk_jobs() -> None:
    assert (
        violations(
            "service",
            lambda who, what: inside(what, "service.bulk") and not inside(who, "service.bulk"),
        )
        == []
    )


def test_ray_is_known_to_its_two_files_alone() -> None:
    allowed = ("service.ray_app", "service.bulk.ray_executor")
    assert violations("service", lambda who, what: inside(what, "ray") and who not in allowed) == []


def test_the_client_knows_httpx_alone() -> None:
    allowed = ("service.client", "httpx", "pandas", *sys.stdlib_module_names)
    assert (
        violations(
            "service",
            lambda who, what: inside(who, "service.client") and not inside(what, *allowed),
        )
        == []
    )


def test_nothing_of_the_service_knows_the_client() -> None:
    assert (
        violations(
            "service",
            lambda who, what: inside(what, "service.client") and not inside(who, "service.client"),
        )
        == []
    )


def test_packages_of_the_service_are_empty_but_the_client_that_users_import() -> None:
    found = set((ROOT / "service").rglob("__init__.py"))
    assert found
    assert {path for path in found if path.read_text()} == {ROOT / "service/client/__init__.py"}

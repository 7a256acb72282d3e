"""Tests that a skipped test fails in CI unless tests/support/skips.py lists it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skips import ALLOWED, is_allowed

ROOT = Path(__file__).parent.parent
SKIPPED = {
    "a call": "def test_it(): pytest.skip('no tool')",
    "a mark": "@pytest.mark.skipif(True, reason='no tool')\ndef test_it(): pass",
    "a fixture": "@pytest.fixture\ndef x(): pytest.skip('no tool')\ndef test_it(x): pass",
    "a module": "pytest.importorskip('no_such_module', reason='no tool')\ndef test_it(): pass",
}
OTHERS = {
    "a pass": "def test_it(): pass",
    "a known failure": "@pytest.mark.xfail\ndef test_it(): assert False",
}


def run(folder: Path, code: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(f"import pytest\n{code}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.skips",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, "--rootdir", str(folder), str(folder / "test_it.py")],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", SKIPPED)
def test_an_unexpected_skip_fails_in_ci(tmp_path: Path, kind: str) -> None:
    here, in_ci = (run(tmp_path, SKIPPED[kind], ci) for ci in ("", "true"))
    assert here.returncode in (0, 5), here.stdout  # 5: no test was collected
    assert in_ci.returncode in (1, 2), in_ci.stdout  # 2: while collecting
    assert "was skipped in CI: no tool" in in_ci.stdout


@pytest.mark.parametrize("kind", OTHERS)
def test_other_outcomes_are_unchanged_in_ci(tmp_path: Path, kind: str) -> None:
    assert run(tmp_path, OTHERS[kind], "true").returncode == 0


def test_every_allowed_skip_belongs_to_a_test() -> None:
    for allowed in ALLOWED:
        file = allowed.test.partition("::")[0].replace("\\", "")
        assert allowed.message.split("\\d")[0] in (ROOT / file).read_text(encoding="utf-8")
        assert allowed.why
    assert not is_allowed("tests/test_tracing.py", "needs the extra `tracing`")
    assert not is_allowed("tests/service/runtime/test_huge_pages.py::test_x", "something else")


def test_this_suite_uses_the_rule(request: pytest.FixtureRequest) -> None:
    names = {
        hook.plugin_name for hook in request.config.hook.pytest_runtest_makereport.get_hookimpls()
    }
    assert any(name.endswith("conftest.py") for name in names)

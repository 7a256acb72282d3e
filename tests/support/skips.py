"""A plugin that fails skipped tests in CI, except those listed here.

A test that is skipped everywhere protects nothing. `.ci/run` installs what tests need; this list
has what a machine may lack, with the reason.
"""

import os
import re
from collections.abc import Generator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Allowed:
    """An allowed skip: patterns for the start of its test and message, and the reason."""

    test: str
    message: str
    why: str


ALLOWED = (
    Allowed(
        r"tests/service/runtime/test_huge_pages\.py::",
        "this machine's kernel had no huge pages",
        "other processes can hold all of the kernel's free huge pages",
    ),
    Allowed(
        r"tests/faults/test_clients\.py::",
        r"this machine allows \d+ open files",
        "the hard limit of open files is the machine's, and root of a container cannot raise it",
    ),
    Allowed(
        r"tests/service/runtime/test_address\.py::",
        "this machine has no IPv6",
        "the network of a container may have IPv4 alone",
    ),
    Allowed(
        r"tests/service/bulk/test_tsv\.py::",
        "needs R",
        "R is large; a model of its reader checks the same rows everywhere",
    ),
)


def is_allowed(test: str, message: str) -> bool:
    return any(re.match(a.test, test) and re.match(a.message, message) for a in ALLOWED)


def _fail_if_unexpected(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    message = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    message = message.removeprefix("Skipped: ")
    if not is_allowed(report.nodeid, message):
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} was skipped in CI: {message}\n"
            "Install what it needs in .ci/run, or list it with its reason in "
            "tests/support/skips.py."
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_unexpected(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_unexpected(report)
    return report

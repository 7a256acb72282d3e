"""`make fuzz`: schemathesis sends requests that the OpenAPI document allows or forbids.

    python -m tests.programs.fuzz [--cases 10000] [--seed SEED]

Sends at least `--cases` requests over all operations. No response may be a 5xx, each must have a
status, headers and a body of the document, and no forbidden request may succeed. Exit code 1
otherwise.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import service

# A request that fits the document may still be rejected, because a schema cannot express that one
# of three fields is required or that ids end at the vocabulary.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "allow_header_conformance",
)
EXAMPLES_A_ROUND = 500


def fuzz(url: str, examples: int, seed: int) -> tuple[int, str]:
    """Send up to `examples` random requests an operation.

    Return the number of requests, and the report of a failure or an empty string.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(Path(sys.executable).parent / "schemathesis"), "--no-color", "run"]
        command += [f"{url}/openapi.json", "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
        command += ["--checks", ",".join(CHECKS), "--suppress-health-check", "all"]
        command += ["--report", "json", "--report-json-path", str(report)]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        if not report.exists():
            return 0, done.stdout + done.stderr
        cases = json.loads(report.read_text(encoding="utf-8"))["test_cases"]["generated"]
        return int(cases), done.stdout if done.returncode else ""


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.programs.fuzz")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sent = 0
    with service(STARTER_BUNDLE) as server:
        for seed in count(given.seed):
            cases, failure = fuzz(f"http://127.0.0.1:{server.port}", EXAMPLES_A_ROUND, seed)
            sent += cases
            print(
                f"seed {seed}: {cases} requests, {'FAILED' if failure else 'as documented'}",
                flush=True,
            )
            if failure:
                print(failure)
                return 1
            if sent >= given.cases:
                break
    print(f"{sent} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())

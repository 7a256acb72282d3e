"""`make lm-eval DATA=...`: compare the figures of lm-evaluation-harness and `/score`.

    python -m tests.clients.lm_eval_compare DATA [--lines N] [--batch-size 16]

Every non-empty line of DATA/test.txt is a document. lm-eval scores them through the
OpenAI-compatible routes with `--model local-completions` and `tokenizer_backend=remote`.
It does not score the end of a document, so that `/score` gets `eos: false`. For the tokens a b,

    lm-eval sends ids  <eos> a b      and uses the figures of a b, not of the token generated
    /score encodes     <eos> a b      and scores a b

Exit code 1 if a figure differs by more than 1e-6 of itself.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE
from tests.clients.task.documents import lines
from tests.programs.benchmarks.servers import service

TOLERANCE = 1e-6
TASK = "tiedlm_lines"
TEXTS_A_REQUEST = 256
# lm-eval reserves a token for the prefix and one for the generated token.
EXTRA_TOKENS = 2

Figures = dict[str, float]


def by_score(url: str, documents: list[str]) -> tuple[Figures, int]:
    """Return the three figures of the task, and the number of tokens of the longest document."""
    nats, longest = [], 0
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        for begin in range(0, len(documents), TEXTS_A_REQUEST):
            texts = documents[begin : begin + TEXTS_A_REQUEST]
            body = {"texts": texts, "eos": False, "tokens": False}
            results = http.post("/score", json=body).raise_for_status().json()["results"]
            nats += [result["total_cross_entropy"] for result in results]
            longest = max(longest, *(result["token_count"] for result in results))
    total = math.fsum(nats)
    words = sum(len(document.split()) for document in documents)
    size = sum(len(document.encode()) for document in documents)
    return {
        "word_perplexity": math.exp(total / words),
        "byte_perplexity": math.exp(total / size),
        "bits_per_byte": total / size / math.log(2),
    }, longest


def by_lm_eval(url: str, file: Path, longest: int, batch_size: int, concurrent: int) -> Figures:
    """Return the three figures that the command line of lm-eval computes."""
    arguments = {
        "model": "tiedlm",
        "base_url": f"{url}/v1/completions",
        "tokenizer_backend": "remote",
        "num_concurrent": concurrent,
        "max_length": longest + EXTRA_TOKENS,
        "max_retries": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lm_eval", "run", "--model", "local-completions"]
        command += ["--model_args", ",".join(f"{k}={v}" for k, v in arguments.items())]
        command += ["--tasks", TASK, "--include_path", str(Path(__file__).parent / "task")]
        command += ["--metadata", json.dumps({"file": str(file)})]
        command += ["--batch_size", str(batch_size), "--output_path", folder]
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": folder}
        environment = os.environ | offline
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"lm-eval failed:\n{done.stderr[-3000:]}")
        (written,) = Path(folder).rglob("results_*.json")
        results = json.loads(written.read_text(encoding="utf-8"))["results"][TASK]
    return {name.partition(",")[0]: x for name, x in results.items() if name.endswith(",none")}


def differences(found: Figures, expected: Figures) -> Figures:
    """Return the relative difference of each figure."""
    return {name: abs(found[name] - value) / value for name, value in expected.items()}


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.clients.lm_eval_compare")
    parser.add_argument("data", type=Path, help="folder with a test.txt")
    parser.add_argument(
        "--lines", type=int, help="number of non-empty lines to compare (default: all)"
    )
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--concurrent", type=int, default=8)
    given = parser.parse_args()
    documents = lines(given.data / "test.txt")[: given.lines]
    with tempfile.TemporaryDirectory() as folder, service(given.bundle) as server:
        file = Path(folder) / "documents.txt"
        file.write_text("\n".join(documents), encoding="utf-8")
        url = f"http://127.0.0.1:{server.port}"
        expected, longest = by_score(url, documents)
        found = by_lm_eval(url, file, longest, given.batch_size, given.concurrent)
    apart = differences(found, expected)
    print(f"{len(documents)} documents, the longest of {longest} tokens\n")
    print(f"{'':16}{'lm-eval':>18}{'/score':>18}{'difference':>12}")
    for name, value in expected.items():
        print(f"{name:16}{found[name]:18.9f}{value:18.9f}{apart[name]:12.1e}")
    return int(max(apart.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())

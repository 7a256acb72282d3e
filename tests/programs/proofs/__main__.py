"""`make proof CHECKPOINT=... DATA=...`: served figures against the trainer's, on real text.

    python -m tests.programs.proofs CHECKPOINT --data TEXT [--sentences 300]

TEXT is the training text of the checkpoint, with or without splits. Exports the checkpoint in both
precisions, serves them, and prints

- the test split scored over HTTP as one document with `eos: false`, next to the trainer's carried
  test perplexity: the same to 4 significant digits in float32, within 0.2 % in int8;
- its first sentences scored one by one, next to an independent LSTM in numpy and double precision:
  the largest difference a token, at most 1e-4 nats in float32.

Exit code 1 if one of these fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from model_export.errors import ExportError
from model_export.export import PRECISIONS, Precision, export
from service.runtime.startup import print_any_text
from tests.programs.benchmarks.servers import Server, service
from tests.support.numpy_lstm import NumpyLSTM
from train.checkpoint import Checkpoint, load_model
from train.data.splits import find_splits
from train.data.tokenizer import end_id
from train.errors import CheckpointError, TrainError

NO_LIMITS = ("--max-request-tokens", "1000000000", "--max-body-bytes", "1000000000")


def document_perplexity(server: Server, text: str) -> tuple[float, int]:
    """Return the perplexity and token count of a whole text, from `<eos>` to its last token."""
    summary = _score(server, {"text": text, "eos": False, "tokens": False})["summary"]
    return summary["perplexity"], summary["token_count"]


def largest_difference(server: Server, checkpoint: Path, lines: list[str]) -> tuple[float, int]:
    """Return the largest |Δ logprob| of a token between the service and numpy, by sentence."""
    model, _, tokenizer = load_model(checkpoint)
    reference, end = NumpyLSTM(model), end_id(tokenizer)
    zero = np.zeros(2 * sum(layer[1].shape[1] for layer in reference.layers))
    results = _score(server, {"texts": lines})["results"]
    largest, tokens = 0.0, 0
    for line, result in zip(lines, results, strict=True):
        ids = np.array([end, *tokenizer.encode(line).ids, end])
        hidden, _ = reference.run(ids[:-1], zero)
        expected = reference.log_distribution(hidden)[np.arange(len(ids) - 1), ids[1:]]
        found = np.array([token["logprob"] for token in result["tokens"]])
        largest = max(largest, float(np.abs(found - expected).max()))
        tokens += len(found)
    return largest, tokens


def _score(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(f"http://127.0.0.1:{server.port}/score", json=body, timeout=600)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def test_lines(checkpoint: Path, data: Path) -> tuple[list[str], float]:
    """Return the lines of the test split that the run was evaluated on, and its perplexity.

    Raise TrainError if the run is not finished or used another text.
    """
    run = Checkpoint(checkpoint)
    report = run.report
    if report is None:
        raise CheckpointError(f"{checkpoint} is not finished; the command of its run resumes it")
    sources, _ = find_splits(data, run.config().data)
    run.check_corpus({"test": sources["test"].content.digest})
    return list(sources["test"].lines()), report.perplexity["test"]


def prove(checkpoint: Path, data: Path, sentences: int, precision: Precision) -> bool:
    lines, trained = test_lines(checkpoint, data)
    text = "".join(f"{line}\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        export(checkpoint, Path(folder) / "bundle", precision)
        with service(Path(folder) / "bundle", *NO_LIMITS) as server:
            served, tokens = document_perplexity(server, text)
            difference, compared = largest_difference(server, checkpoint, lines[:sentences])
    print(
        f"{precision}: test perplexity over {tokens:,} tokens: served {served:.6g}, trainer "
        f"{trained:.6g}, {served / trained - 1:+.4%}; sentence by sentence against numpy: largest "
        f"difference {difference:.2e} nats over {compared:,} tokens"
    )
    if precision == "float32":
        return f"{served:.4g}" == f"{trained:.4g}" and difference <= 1e-4
    return bool(abs(served / trained - 1) <= 0.002)


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.programs.proofs", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, metavar="TEXT", help="of the run")
    parser.add_argument("--sentences", type=int, default=300)
    options = parser.parse_args()
    try:
        proven = [
            prove(options.checkpoint, options.data, options.sentences, precision)
            for precision in PRECISIONS
        ]
    except (TrainError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return int(not all(proven))


if __name__ == "__main__":
    sys.exit(main())

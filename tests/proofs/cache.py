"""`make cache-gain CHECKPOINT=… DATA=…`: what the continuous cache gives on a text with documents.

    python -m tests.proofs.cache CHECKPOINT --data DIR

Scores the validation split as one document with several settings of the cache, takes the best of
them, and scores the test split with it and without. Exit code 1 where it gives less than 3 %.
"""

import argparse
import asyncio
import sys
import tempfile
from itertools import product
from pathlib import Path

from tqdm import tqdm

from model_export.export import export
from service.bundle import Bundle
from service.inference.continuous_cache import CacheSettings
from service.language_model import LanguageModel
from service.settings import Settings
from train.source import find_splits

WINDOWS = (500, 2000)
THETAS = (0.3, 0.6)
SHARES = (0.1, 0.2)
LEAST_GAIN = 0.03


def perplexity(model: LanguageModel, text: str, cache: CacheSettings | None) -> float:
    async def score() -> float:
        (score,) = await model.score(await model.read.texts([text]), cache=cache, eos=False)
        found = score.totals.figures("nats")["perplexity"]
        assert found is not None
        return found

    return asyncio.run(score())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.cache", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    splits, _ = find_splits(options.data)
    valid, test = ("".join(f"{x}\n" for x in splits[name].lines()) for name in ("valid", "test"))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export(options.checkpoint, bundle, "int8")
        settings = Settings(bundle=bundle, max_request_tokens=10**9, max_queue_tokens=10**9)
        model = LanguageModel(Bundle.load(bundle), settings)
        found = {
            setting: perplexity(model, valid, CacheSettings(*setting))
            for setting in tqdm(list(product(WINDOWS, THETAS, SHARES)), desc="tuning")
        }
        best = min(found, key=lambda setting: found[setting])
        rows = {
            "valid": (perplexity(model, valid, None), found[best]),
            "test": (perplexity(model, test, None), perplexity(model, test, CacheSettings(*best))),
        }
        model.close()
    window, theta, share = best
    print(f"best on the validation split: window {window}, theta {theta}, lambda {share}")
    print("| split | without | with the cache | gain |\n|---|---|---|---|")
    for name, (without, cached) in rows.items():
        print(f"| {name} | {without:.2f} | {cached:.2f} | {1 - cached / without:.1%} |")
    without, cached = rows["test"]
    return int(1 - cached / without < LEAST_GAIN)


if __name__ == "__main__":
    sys.exit(main())

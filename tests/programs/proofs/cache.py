"""`make cache-gain CHECKPOINT=... DATA=...`: the gain of the continuous cache on documents.

    python -m tests.programs.proofs.cache CHECKPOINT --data DIR

Scores the validation split as one document and moves one setting of the cache at a time as long as
that helps. Then scores the test split with the best settings and without the cache. Exit code 1 if
the gain is below 3 %.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from tqdm import tqdm

from model_export.export import export
from service.arrays import CacheSettings
from service.bundle import Bundle
from service.language_model import LanguageModel
from service.results.options import ScoreOptions
from service.runtime.startup import print_any_text
from service.settings import Settings
from train.checkpoint import Checkpoint
from train.data.splits import find_splits

WINDOWS = (50, 100, 200, 500, 1000, 2000, 4000)
THETAS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.1, 1.5, 2.0)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
START = (3, 4, 2)  # near the settings of the papers
LEAST_GAIN = 0.03


def perplexity(model: LanguageModel, text: str, cache: CacheSettings | None) -> float:
    async def score() -> float:
        texts = await model.encoder.encode_texts([text])
        (score,) = await model.score(texts, ScoreOptions(cache=cache, eos=False))
        found = score.totals.figures("nats")["perplexity"]
        assert found is not None
        return found

    return asyncio.run(score())


def tune(measure: Callable[[CacheSettings], float]) -> CacheSettings:
    """Return a setting on the grid that no single step in one value improves."""
    grid = (WINDOWS, THETAS, SHARES)
    place: tuple[int, ...] = START
    found: dict[tuple[int, ...], float] = {}

    def setting(place: tuple[int, ...]) -> CacheSettings:
        window, theta, share = (values[at] for values, at in zip(grid, place, strict=True))
        return CacheSettings(int(window), theta, share)

    with tqdm(desc="tuning", unit=" settings", disable=None) as bar:
        while True:
            near: list[tuple[int, ...]] = [place]
            for axis, step in product(range(len(grid)), (-1, 1)):
                at = place[axis] + step
                if 0 <= at < len(grid[axis]):
                    near.append((*place[:axis], at, *place[axis + 1 :]))
            for candidate in near:
                if candidate not in found:
                    found[candidate] = measure(setting(candidate))
                    bar.update()
            best = min(near, key=lambda candidate: found[candidate])
            if best == place:
                return setting(best)
            place = best


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.proofs.cache", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    splits, _ = find_splits(options.data, Checkpoint(options.checkpoint).config().data)
    valid, test = ("".join(f"{x}\n" for x in splits[name].lines()) for name in ("valid", "test"))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export(options.checkpoint, bundle, "int8")
        settings = Settings(bundle=bundle, max_request_tokens=10**9, max_queue_tokens=10**9)
        model = LanguageModel(Bundle.load(bundle), settings)
        best = tune(lambda setting: perplexity(model, valid, setting))
        rows = {
            split: (perplexity(model, text, None), perplexity(model, text, best))
            for split, text in (("valid", valid), ("test", test))
        }
        model.close()
    print(f"best on the validation split: {best}")
    print("| split | without | with the cache | gain |\n|---|---|---|---|")
    for name, (without, cached) in rows.items():
        print(f"| {name} | {without:.2f} | {cached:.2f} | {1 - cached / without:.1%} |")
    without, cached = rows["test"]
    return int(1 - cached / without < LEAST_GAIN)


if __name__ == "__main__":
    sys.exit(main())

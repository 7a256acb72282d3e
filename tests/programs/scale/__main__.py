"""`make scale`: tokenization and training on a text that is too large for memory.

    python -m tests.programs.scale [--megabytes 1000] [--small 10]
        [--config train/configs/starter.toml]

Tokenizes a small and a large text and trains on both side by side for some steps, with the same
model and vocabulary size. Prints memory and speed of each. Exit code 1 if the large text took over
1 GB more resident memory than the small one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from service.runtime.startup import print_any_text
from tests.programs.scale.text import write_corpus
from tests.programs.scale.watch import Watched, train_side_by_side

LARGEST_GROWTH_BYTES = 1_000_000_000


def report(small: Watched, large: Watched, megabytes: tuple[float, float]) -> str:
    """Return a table with a column for each text, and large ÷ small."""
    rows = [
        f"| | {megabytes[0]:,.0f} MB | {megabytes[1]:,.0f} MB | large ÷ small |",
        "|---|---|---|---|",
    ]

    def row(name: str, of_small: float, of_large: float, form: str = ",.0f") -> None:
        ratio = of_large / of_small if of_small else float("nan")
        rows.append(f"| {name} | {of_small:{form}} | {of_large:{form}} | {ratio:.2f} |")

    row("tokens", small.tokens, large.tokens)
    for phase, kind in (
        ("preparing", "anonymous"),
        ("preparing", "resident"),
        ("training", "anonymous"),
        ("training", "resident"),
    ):
        figures = [getattr(getattr(x, phase), kind) / 1e6 for x in (small, large)]
        row(f"{phase}: peak of {kind} memory, MB", *figures)
    row("training, tokens/s", small.training_rate, large.training_rate)
    rows.append(f"| tokenizing, tokens/s | | {large.tokenizing_rate:,.0f} | |")
    return "\n".join(rows)


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.programs.scale", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--small", type=float, default=10)
    parser.add_argument("--config", type=Path, default=Path("train/configs/starter.toml"))
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    sizes = (options.small, options.megabytes)
    with tempfile.TemporaryDirectory(prefix="tiedlm-scale-") as name:
        small, large = (
            Watched(
                options.config.resolve(),
                write_corpus(Path(name) / label / "data", megabytes),
                Path(name) / label,
                progress=sys.stderr,
            )
            for label, megabytes in zip(("small", "large"), sizes, strict=True)
        )
        small.prepare()
        large.prepare()
        train_side_by_side([small, large], options.steps)
        print(report(small, large, sizes))
    allowed = small.training.resident + LARGEST_GROWTH_BYTES
    return int(max(large.preparing.resident, large.training.resident) > allowed)


if __name__ == "__main__":
    sys.exit(main())

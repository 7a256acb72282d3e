"""The argument parsers of `python -m train` and `python -m train report`. Imports no torch."""

import argparse
import math
from pathlib import Path


def train_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Train a language model on text, and write a checkpoint directory.",
        epilog="python -m train report CHECKPOINT... compares runs; see report --help.",
    )
    parser.add_argument(
        "config",
        type=Path,
        help="a TOML file, such as train/configs/ptb-small.toml, or a checkpoint's config.json",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="TEXT",
        help="a folder with a train, valid and test split, a folder of text, or one file of text",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="checkpoint directory, outside of TEXT; an unfinished run in it is resumed",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of tokenized text, shared by all runs (~/.cache/tiedlm); may be deleted",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the configuration, such as train.epochs=3; repeatable",
    )
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="also log for TensorBoard, in the folder of DIR that has the checkpoint's name",
    )
    return parser


def report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train report",
        description="Compare runs on a Markdown page: figures, curves, keys that differ, "
        "the time of each part of a step, and samples of text.",
    )
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="checkpoint of a finished or unfinished run",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PAGE.md",
        help="the page to write; its pictures go to the folder PAGE_files next to it",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace PAGE.md even if it is not a training report",
    )
    parser.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="sentence beginning that the models continue; repeatable; by default an empty one "
        "and three of the first run's validation text",
    )
    parser.add_argument(
        "--temperature", type=_temperature, default=1.0, help="of sampling (default 1.0)"
    )
    parser.add_argument("--seed", type=_seed, default=1, help="of sampling (default 1)")
    return parser


def _temperature(text: str) -> float:
    value = float(text)
    if not (0 < value < math.inf):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not an integer from 0 to 2**63 - 1")
    return value

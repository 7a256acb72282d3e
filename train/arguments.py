"""The flags of `python -m train` and of `python -m train report`."""

import argparse
import math
from pathlib import Path


def train_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Text in, a checkpoint directory out.",
        epilog="python -m train report CHECKPOINT... compares runs; see report --help.",
    )
    parser.add_argument(
        "config",
        type=Path,
        help="a TOML file, such as train/configs/ptb-small.toml, or a checkpoint's config.json",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train, valid, test, or text"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="checkpoint directory; an unfinished run goes on"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of tokenized text, which runs share (~/.cache/tiedlm); may be deleted",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key"
    )
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="also log for TensorBoard, in a folder of DIR with the checkpoint's name",
    )
    return parser


def report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train report",
        description="Runs side by side on a Markdown page: figures, curves, differing keys, where "
        "the time goes, samples of text.",
    )
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="finished or not"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PAGE.md",
        help="the page; its pictures go to PAGE_files beside it",
    )
    parser.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="beginning of a sentence to go on from; by default nothing, and three of the first "
        "run's validation text",
    )
    parser.add_argument("--temperature", type=_temperature, default=1.0, help="of sampling (1.0)")
    parser.add_argument("--seed", type=_seed, default=1, help="of sampling (1)")
    return parser


def _temperature(text: str) -> float:
    value = float(text)
    if not (0 < value < math.inf):
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and finite")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 2**63 - 1")
    return value

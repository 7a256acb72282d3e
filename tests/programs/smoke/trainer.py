"""Checks of the trainer's image: it trains on a text and exports a bundle."""

from pathlib import Path

from tests.programs.smoke.checks import check, run_command
from tests.programs.smoke.container import (
    ENGINE_OPTIONS,
    LABEL_OPTIONS,
    LOCKDOWN_OPTIONS,
)

WORDS = ("the", "river", "runs", "past", "old", "stones", "and", "every", "city", "has", "water")


def check_training(engine: str, image: str, runs: Path) -> None:
    """Train the tiny preset on a small text and export its bundle to `runs/bundle`."""
    data = runs / "text"
    data.mkdir(parents=True)
    lines = [f"{a} {b} {c} ." for a in WORDS for b in WORDS for c in WORDS]
    (data / "all.txt").write_text("\n".join(lines * 3))
    for folder in (runs, data):
        folder.chmod(0o777)
    volumes = ["-v", f"{data}:/data:ro", "-v", f"{runs}:/runs"]
    lockdown = [*LOCKDOWN_OPTIONS, *ENGINE_OPTIONS.get(engine, [])]
    command = [engine, "run", "--rm", *LABEL_OPTIONS, *lockdown, *volumes, image, "-m"]
    run_command(
        *command, "train", "train/configs/tiny.toml", "--data", "/data", "--out", "/runs/mine"
    )
    check((runs / "mine").is_dir(), "the trainer's image trains as the same user")
    run_command(*command, "model_export", "/runs/mine", "/runs/bundle")
    check((runs / "bundle" / "manifest.json").is_file(), "it exports a bundle")

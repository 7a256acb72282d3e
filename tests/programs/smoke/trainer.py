"""The trainer's image: a text in, a bundle out."""

from pathlib import Path

from tests.programs.smoke.checks import check
from tests.programs.smoke.container import ENGINES, LABELLED, LOCKED, call

WORDS = ("the", "river", "runs", "past", "old", "stones", "and", "every", "city", "has", "water")


def check_training(engine: str, image: str, runs: Path) -> None:
    """The tiny preset on a small text, and its bundle in `runs/bundle`."""
    data = runs / "text"
    data.mkdir(parents=True)
    lines = [f"{a} {b} {c} ." for a in WORDS for b in WORDS for c in WORDS]
    (data / "all.txt").write_text("\n".join(lines * 3))
    for folder in (runs, data):
        folder.chmod(0o777)
    volumes = ["-v", f"{data}:/data:ro", "-v", f"{runs}:/runs"]
    locked = [*LOCKED, *ENGINES.get(engine, [])]
    command = [engine, "run", "--rm", *LABELLED, *locked, *volumes, image, "-m"]
    call(*command, "train", "train/configs/tiny.toml", "--data", "/data", "--out", "/runs/mine")
    check((runs / "mine").is_dir(), "the trainer's image trains, as the same user")
    call(*command, "model_export", "/runs/mine", "/runs/bundle")
    check((runs / "bundle" / "manifest.json").is_file(), "and exports")

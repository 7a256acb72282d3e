"""`python -m train report CHECKPOINT… --out PAGE.md`: runs side by side on one Markdown page.

The page is a function of the checkpoints and the sampling options: made again, it is the same.
Everything is read and drawn before anything is written.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from train.checkpoint import Checkpoint
from train.config import Config
from train.data.source import SPLITS
from train.report.curves import minutes, perplexity_plot, tokens
from train.report.markdown import escape, table
from train.report.metrics import STEP_PARTS, step_milliseconds
from train.report.run_summary import RunSummary, labels, read_run_summary
from train.report.sampling import beginnings, continue_text
from train.runtime.atomic import write_file
from train.runtime.lock import locked_file
from train.runtime.paths import TITLE, check_page

UNKNOWN_YET = "–"
PROMPTS = 3
PROSE = {"name", "description", "data_license", "limitations"}
Runs = dict[str, RunSummary]


@dataclass(frozen=True)
class Sampling:
    """No `prompts` given: an empty one, and beginnings of the first run's validation text."""

    prompts: tuple[str, ...] = ()
    temperature: float = 1.0
    seed: int = 1


def write_report(
    folders: list[Path], page: Path, sampling: Sampling, overwrite: bool = False
) -> str | None:
    """Write the page, and its pictures in a folder next to it. Return a warning where the runs are
    of different texts. Raises TrainError, OSError; BusyError while another process writes the page.
    """
    pictures = page.with_name(f"{page.stem}_files")
    check_page(page, pictures, folders, overwrite)
    with locked_file(page):
        return _write(
            list({folder.resolve(): folder for folder in folders}.values()),
            page,
            pictures,
            sampling,
        )


def _write(folders: list[Path], page: Path, pictures: Path, sampling: Sampling) -> str | None:
    records = [read_run_summary(folder) for folder in folders]
    runs = dict(zip(labels(records), records, strict=True))
    metrics = {label: record.metrics for label, record in runs.items()}
    plots = {over.__name__: perplexity_plot(metrics, over) for over in (minutes, tokens)}
    folder = quote(os.fsencode(pictures.name))
    links = {name: f"{folder}/perplexity_over_{name}.png" for name in plots}
    text = _page(runs, links, sampling)

    pictures.mkdir(parents=True, exist_ok=True)
    for name, png in plots.items():
        write_file(pictures / f"perplexity_over_{name}.png", png)
    write_file(page, text.encode())
    return different_texts(runs)


def _page(runs: Runs, links: dict[str, str], sampling: Sampling) -> str:
    pictures = "\n\n".join(f"![perplexity over {name}]({link})" for name, link in links.items())
    sections = [
        f"{TITLE}\n\n{_figures(runs)}",
        _texts_of(runs),
        """*Carried* reads a split as one text and keeps the state from its first token to its last;
*by sentence* starts every line from a zero state. Perplexities over different vocabularies do not
compare; bits per byte do, where no word is unknown. Of an unfinished run it is the best validation
so far.""",
        f"""## Perplexity while training

{pictures}

Training perplexity is measured with dropout on, which raises it; the beginning is cut off.""",
        _differences(runs),
        _step_split(runs),
        _samples(runs, sampling),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _figures(runs: Runs) -> str:
    head = ["run", "finished", "parameters", "vocabulary", "epochs", "minutes", "tokens/s"]
    measures = [
        ("perplexity", "carried", 2),
        ("perplexity_by_sentence", "by sentence", 2),
        ("bits_per_byte", "bits per byte", 4),
    ]
    rows = []
    for label, run in runs.items():
        report = run.report
        row = [
            escape(label),
            report["finished"] or f"not yet, {report['epochs']} of {run.config.train.epochs}",
            f"{report['parameters']:,}",
            f"{report['vocabulary_size']:,}",
            str(report["epochs"]),
            f"{report['minutes']:.1f}",
            f"{report['tokens_per_second']:,}" if report["tokens_per_second"] else UNKNOWN_YET,
        ]
        for split in ("valid", "test"):
            for key, _, digits in measures:
                value = report.get(key, {}).get(split)  # bits were not measured at first
                row.append(UNKNOWN_YET if value is None else f"{value:.{digits}f}")
        rows.append(row)
    columns = [f"{split}, {name}" for split in ("valid", "test") for _, name, _ in measures]
    return table([*head, *columns], rows, numbers=True)


def different_texts(runs: Runs) -> str | None:
    """Return a sentence that names the splits whose text is not the same in all runs, or None.

    A run whose text is not known differs from none.
    """
    found = {
        split: {run.digests[split] for run in runs.values() if split in run.digests}
        for split in SPLITS
    }
    differing = [split for split in SPLITS if len(found[split]) > 1]
    if not differing:
        return None
    what = "their perplexities do not compare"
    if differing == ["train"]:
        what = "they are evaluated on the same text"
    return f"the runs are of different texts ({', '.join(differing)}): {what}"


def _texts_of(runs: Runs) -> str:
    """Which text each run is of; nothing when all are of the same."""
    sentence = different_texts(runs)
    if sentence is None:
        return ""
    rows = [
        [escape(label), *(run.digests.get(split, UNKNOWN_YET)[:8] for split in SPLITS)]
        for label, run in runs.items()
    ]
    hashes = table(["run", *SPLITS], rows)
    return (
        f"**{sentence[0].upper()}{sentence[1:]}.** The beginnings of the texts' hashes:\n\n{hashes}"
    )


def _differences(runs: Runs) -> str:
    """The keys of the configuration that do not have the same value in all runs."""
    if len(runs) == 1:
        return ""
    flat = {label: _flat(record.config) for label, record in runs.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = []
    for key in keys:
        values = [values.get(key) for values in flat.values()]
        if any(value != values[0] for value in values):
            shown = [
                UNKNOWN_YET if v is None else json.dumps(v, ensure_ascii=False) for v in values
            ]
            rows.append([f"`{key}`", *map(escape, shown)])
    if not rows:
        return "## Configuration\n\nThe same in all runs."
    return f"## Configuration, where it differs\n\n{table(['key', *map(escape, flat)], rows)}"


def _flat(config: Config) -> dict[str, Any]:
    """Dotted keys, as `--set` takes them, without the name and the prose about the model."""
    flat: dict[str, Any] = {}

    def add(prefix: str, section: dict[str, Any]) -> None:
        for key, value in section.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            else:
                flat[prefix + key] = value

    add("", config.model_dump(exclude=PROSE))
    return flat


def _step_split(runs: Runs) -> str:
    """Where the time of a step goes; nothing when no run has measured it."""
    rows = []
    for label, record in runs.items():
        parts = step_milliseconds(record.metrics)
        total = sum(parts.values())
        if total:
            cells = [f"{parts[part]:.2f} ({parts[part] / total:.0%})" for part in STEP_PARTS]
            rows.append([escape(label), *cells, f"{total:.2f}"])
    if not rows:
        return ""
    split = table(["run", *STEP_PARTS, "together"], rows, numbers=True)
    return f"## Where the time of a step goes\n\nMilliseconds, the mean of all steps.\n\n{split}"


def _samples(runs: Runs, sampling: Sampling) -> str:
    prompts = sampling.prompts
    if not prompts:
        first = next(iter(runs.values()))
        ids = Checkpoint(first.folder).validation_ids()
        prompts = ("", *beginnings(first.tokenizer, ids, PROMPTS))
    parts = [
        f"## Samples\n\nDrawn at temperature {sampling.temperature:g} with seed {sampling.seed}, "
        "each from a zero state after `<eos>` and the prompt, without `<unk>`."
    ]
    texts = {label: _texts(run, prompts, sampling) for label, run in runs.items()}
    for index, prompt in enumerate(prompts):
        rows = ([escape(label), texts[label][index]] for label in runs)
        parts.append(table(["run", f"“{escape(prompt)} …”" if prompt else "“…”"], rows))
    return "\n\n".join(parts)


def _texts(run: RunSummary, prompts: tuple[str, ...], sampling: Sampling) -> list[str]:
    """One for each prompt, as Markdown."""
    if run.model is None:
        return ["*no weights yet*"] * len(prompts)
    generator = torch.Generator().manual_seed(sampling.seed)
    drawn = (
        continue_text(run.model, run.tokenizer, prompt, sampling.temperature, generator)
        for prompt in prompts
    )
    return [escape(text) or "*nothing: the sentence ended at once*" for text in drawn]

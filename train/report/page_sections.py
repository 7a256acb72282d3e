"""The sections of a report's page as Markdown: one function per section.

A section that does not apply is an empty string. Every text of a model or a configuration is
escaped.
"""

import json
from typing import Any

import torch

from train.checkpoint import Checkpoint
from train.config import Config
from train.data.source import SPLITS
from train.report.markdown import escape, table
from train.report.metrics import step_milliseconds
from train.report.run_summary import RunSummary
from train.report.sampling import SamplingOptions, beginnings, continue_text
from train.runtime.stopwatch import STEP_PARTS

NOT_KNOWN = "–"
PROMPTS = 3
PROSE_KEYS = {"name", "description", "data_license", "limitations"}
Runs = dict[str, RunSummary]  # by label


def figures_section(runs: Runs) -> str:
    """Return the table of all runs: sizes, times and perplexities."""
    head = ["run", "finished", "parameters", "vocabulary", "epochs", "minutes", "tokens/s"]
    rows = []
    for label, run in runs.items():
        report = run.report
        measures = [  # name, values by split, digits
            ("carried", report.perplexity, 2),
            ("by sentence", report.perplexity_by_sentence, 2),
            ("bits per byte", report.bits_per_byte, 4),
        ]
        row = [
            escape(label),
            report.finished or f"not yet, {report.epochs} of {run.config.train.epochs}",
            f"{report.parameters:,}",
            f"{report.vocabulary_size:,}",
            str(report.epochs),
            f"{report.minutes:.1f}",
            f"{report.tokens_per_second:,}" if report.tokens_per_second else NOT_KNOWN,
        ]
        for split in ("valid", "test"):
            for _, values, digits in measures:
                row.append(f"{values[split]:.{digits}f}" if split in values else NOT_KNOWN)
        rows.append(row)
    names = ("carried", "by sentence", "bits per byte")
    columns = [f"{split}, {name}" for split in ("valid", "test") for name in names]
    return table([*head, *columns], rows, numbers=True)


def different_texts(runs: Runs) -> str | None:
    """Return a sentence that names the splits whose text is not the same in all runs, or None.

    Runs whose text is unknown are not compared.
    """
    found = {
        split: {run.digests[split] for run in runs.values() if split in run.digests}
        for split in SPLITS
    }
    differing = [split for split in SPLITS if len(found[split]) > 1]
    if not differing:
        return None
    consequence = "their perplexities do not compare"
    if differing == ["train"]:
        consequence = "they are evaluated on the same text"
    return f"the runs are of different texts ({', '.join(differing)}): {consequence}"


def texts_section(runs: Runs) -> str:
    """Return the hashes of each run's text; empty if all runs have the same text."""
    sentence = different_texts(runs)
    if sentence is None:
        return ""
    rows = [
        [escape(label), *(run.digests.get(split, NOT_KNOWN)[:8] for split in SPLITS)]
        for label, run in runs.items()
    ]
    hashes = table(["run", *SPLITS], rows)
    return (
        f"**{sentence[0].upper()}{sentence[1:]}.** The beginnings of the texts' hashes:\n\n{hashes}"
    )


def differences_section(runs: Runs) -> str:
    """Return the configuration keys whose value differs between runs; empty for a single run."""
    if len(runs) == 1:
        return ""
    flat = {label: _flat(run.config) for label, run in runs.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = []
    for key in keys:
        values = [values.get(key) for values in flat.values()]
        if any(value != values[0] for value in values):
            shown = [NOT_KNOWN if v is None else json.dumps(v, ensure_ascii=False) for v in values]
            rows.append([f"`{key}`", *map(escape, shown)])
    if not rows:
        return "## Configuration\n\nThe same in all runs."
    return f"## Configuration, where it differs\n\n{table(['key', *map(escape, flat)], rows)}"


def _flat(config: Config) -> dict[str, Any]:
    """Return the values by dotted key, as `--set` takes them, without name and prose."""
    flat: dict[str, Any] = {}

    def add(prefix: str, section: dict[str, Any]) -> None:
        for key, value in section.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            else:
                flat[prefix + key] = value

    add("", config.model_dump(exclude=PROSE_KEYS))
    return flat


def step_times_section(runs: Runs) -> str:
    """Return the mean time of each part of a step; empty if no run has measured it."""
    rows = []
    for label, run in runs.items():
        parts = step_milliseconds(run.metrics)
        total = sum(parts.values())
        if total:
            cells = [f"{parts[part]:.2f} ({parts[part] / total:.0%})" for part in STEP_PARTS]
            rows.append([escape(label), *cells, f"{total:.2f}"])
    if not rows:
        return ""
    times = table(["run", *STEP_PARTS, "together"], rows, numbers=True)
    return f"## Where the time of a step goes\n\nMilliseconds, the mean of all steps.\n\n{times}"


def samples_section(runs: Runs, sampling: SamplingOptions) -> str:
    """Return texts of all models, a table per prompt."""
    prompts = sampling.prompts
    if not prompts:
        first = next(iter(runs.values()))
        ids = Checkpoint(first.folder).validation_ids()
        prompts = ("", *beginnings(first.tokenizer, ids, PROMPTS))
    parts = [
        f"## Samples\n\nDrawn at temperature {sampling.temperature:g} with seed {sampling.seed}, "
        "each from a zero state after `<eos>` and the prompt, without `<unk>`."
    ]
    texts = {label: _sample_texts(run, prompts, sampling) for label, run in runs.items()}
    for index, prompt in enumerate(prompts):
        rows = ([escape(label), texts[label][index]] for label in runs)
        parts.append(table(["run", f"“{escape(prompt)} …”" if prompt else "“…”"], rows))
    return "\n\n".join(parts)


def _sample_texts(
    run: RunSummary, prompts: tuple[str, ...], sampling: SamplingOptions
) -> list[str]:
    """Return one text for each prompt, as Markdown."""
    if run.model is None:
        return ["*no weights yet*"] * len(prompts)
    generator = torch.Generator().manual_seed(sampling.seed)
    drawn = (
        continue_text(run.model, run.tokenizer, prompt, sampling.temperature, generator)
        for prompt in prompts
    )
    return [escape(text) or "*nothing: the sentence ended at once*" for text in drawn]

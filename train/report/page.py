"""The page of `python -m train report CHECKPOINT… --out PAGE.md`: a comparison of runs in Markdown.

The page depends on the checkpoints and the sampling options alone: the same input gives the same
page. Everything is read and drawn before anything is written.
"""

import os
from pathlib import Path
from urllib.parse import quote

from train.report.curves import minutes, perplexity_plot, tokens
from train.report.page_sections import (
    Runs,
    differences_section,
    different_texts,
    figures_section,
    samples_section,
    step_times_section,
    texts_section,
)
from train.report.run_summary import labels, read_run_summary
from train.report.sampling import SamplingOptions
from train.runtime.atomic import write_file
from train.runtime.lock import locked_file
from train.runtime.paths import TITLE, check_page


def write_report(
    folders: list[Path], page: Path, sampling: SamplingOptions, overwrite: bool = False
) -> str | None:
    """Write the page, and its pictures to a folder next to it. Return a warning if the runs are of
    different texts.

    Raises TrainError, OSError; BusyError while another process writes the page.
    """
    pictures = page.with_name(f"{page.stem}_files")
    check_page(page, pictures, folders, overwrite)
    unique = list({folder.resolve(): folder for folder in folders}.values())
    with locked_file(page):
        return _write(unique, page, pictures, sampling)


def _write(
    folders: list[Path], page: Path, pictures: Path, sampling: SamplingOptions
) -> str | None:
    summaries = [read_run_summary(folder) for folder in folders]
    runs = dict(zip(labels(summaries), summaries, strict=True))
    metrics = {label: run.metrics for label, run in runs.items()}
    plots = {over.__name__: perplexity_plot(metrics, over) for over in (minutes, tokens)}
    folder = quote(os.fsencode(pictures.name))
    links = {name: f"{folder}/perplexity_over_{name}.png" for name in plots}
    text = _page(runs, links, sampling)

    pictures.mkdir(parents=True, exist_ok=True)
    for name, png in plots.items():
        write_file(pictures / f"perplexity_over_{name}.png", png)
    write_file(page, text.encode())
    return different_texts(runs)


def _page(runs: Runs, links: dict[str, str], sampling: SamplingOptions) -> str:
    pictures = "\n\n".join(f"![perplexity over {name}]({link})" for name, link in links.items())
    sections = [
        f"{TITLE}\n\n{figures_section(runs)}",
        texts_section(runs),
        """*Carried* reads a split as one text and keeps the state from its first token to its last;
*by sentence* starts every line from a zero state. Perplexities over different vocabularies do not
compare; bits per byte do, where no word is unknown. Of an unfinished run it is the best validation
so far.""",
        f"""## Perplexity while training

{pictures}

Training perplexity is measured with dropout on, which raises it; the beginning is cut off.""",
        differences_section(runs),
        step_times_section(runs),
        samples_section(runs, sampling),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"

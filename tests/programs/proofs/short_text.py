"""The first lines of a corpus, so that a proof takes minutes."""

from itertools import islice
from pathlib import Path

from train.data.splits import find_splits
from train.runtime.paths import check_sources


def shorten(data: Path, folder: Path, tokens: int, of_others: int | None = None) -> Path:
    """Write the first lines of every split of `data` into `folder`.

    The training split gets `words` words, the others `of_others` words or all of them.
    """
    sources, _ = find_splits(data)
    check_sources((file for source in sources.values() for file in source.files), folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        left = tokens if name == "train" else of_others
        lines = []
        for line in islice(source.lines(), left):  # a line has at least one token, its end
            lines.append(f"{line}\n")
            if left is not None:
                left -= len(line.split()) + 1
                if left < 0:
                    break
        (folder / f"{name}.txt").write_text("".join(lines), "utf-8")
    return folder

"""The scoring of one split by a worker of `--engine ray`.

Each attempt at a split writes its part in a folder of its own, and renames it when it is complete.
A worker may therefore die at any moment, and a worker that was only thought dead writes the same
bytes to the same place.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.bulk.document import Document, blocks
from service.bulk.input.readers import Reader
from service.bulk.input.splits import Split
from service.bulk.options import ScoringOptions
from service.bulk.output import formats
from service.bulk.output.parquet_writer import ParquetFile
from service.bulk.output.rows import encode_problem
from service.bulk.output.writers import FileWriter, Writer
from service.bulk.resume.identity import DocumentDigest
from service.bulk.resume.job_files import PARTIAL, with_suffix
from service.bulk.resume.ownership import ATTEMPT
from service.bulk.resume.parts import Part, PartRecord
from service.bulk.scorer import load_model, score_blocks
from service.bulk.statistics import Statistics
from service.errors import JobError
from service.language_model import LanguageModel


class SplitScorer:
    """A Ray actor, which loads its model once and scores one split per call."""

    def __init__(self, options: ScoringOptions) -> None:
        self._options = options
        self._model = load_model(options.bundle, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score a batch of one split; return its index and its number of tokens."""
        split = batch["split"][0]
        statistics = asyncio.run(score_split(self._model, self._options, split))
        return {"split": [split.index], "tokens": [statistics.totals.tokens]}


async def score_split(model: LanguageModel, options: ScoringOptions, split: Split) -> Statistics:
    """Write the part of a split with its record. Raises JobError for a problem if `strict`."""
    part = part_of(options, split)
    with TemporaryDirectory(prefix=ATTEMPT, dir=part.path.parent) as folder:
        path = Path(folder) / part.path.name
        with closing(_open(path, model, options)) as writer:
            record = await _write(model, options, split, writer)
            writer.commit(last=True)
        part.finish(path, record)
    return record.statistics


def part_of(options: ScoringOptions, split: Split) -> Part:
    suffix = "".join(options.out.suffixes[-2:]) or f".{options.format}"
    return Part(with_suffix(options.out, PARTIAL), split.index, suffix)


def read_split(options: ScoringOptions, split: Split) -> Iterator[Document]:
    reader = Reader(list(options.inputs), options.source)
    return reader.documents(split.begin, split.end, one_input=True)


def _open(path: Path, model: LanguageModel, options: ScoringOptions) -> Writer:
    if options.format == "parquet":
        return ParquetFile.open(path, options.columns, model.info.subword)
    return formats.encoding_writer(FileWriter.open(path, 0, path), options, is_new=True)


async def _write(
    model: LanguageModel, options: ScoringOptions, split: Split, writer: Writer
) -> PartRecord:
    statistics, digest, errors = Statistics(), DocumentDigest(), list[str]()
    render = formats.make_renderer(model, options)
    async with aclosing(score_blocks(model, blocks(read_split(options, split)), render)) as scored:
        async for scored_block in scored:
            problems = scored_block.block.problems
            if problems and options.strict:
                raise JobError(problems[0].problem_message)
            writer.write(scored_block.payload)
            statistics.merge(scored_block.statistics)
            digest.add(scored_block.block.documents)
            errors += [encode_problem(document).decode() for document in problems]
    return PartRecord(statistics, errors, digest.value)

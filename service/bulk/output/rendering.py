"""The choice of a format: the function that makes a payload of a block's scores."""

from collections.abc import Callable
from functools import partial
from typing import Any

from service.bulk.buckets import Buckets
from service.bulk.options import Options
from service.bulk.output import formats
from service.bulk.output.formats import Columns, Row, Scored
from service.language_model import LanguageModel
from service.results.calibration import Calibration


def renderer(model: LanguageModel, options: Options) -> Callable[[Scored], Any]:
    """Return a function of a block's records and scores, where a record without a score is left
    out, or keeps its row. Raises StartError for a calibration that is not this model's.
    """
    render = _renderer(model, options)
    if options.keep_rows:
        return render
    return lambda scored: render([pair for pair in scored if pair[1] is not None])


def _renderer(model: LanguageModel, options: Options) -> Callable[[Scored], Any]:
    columns = options.columns
    if options.format is None:
        return lambda _: None
    if options.format == "kenlm-query":
        return partial(formats.kenlm_query, model)
    if options.format == "surprisal-tsv":
        return partial(formats.surprisal_tsv, model, columns.unit)
    if options.calibration is None:
        return partial(formats.rows, model, columns, None)
    name, file = model.bundle.manifest.name, options.calibration
    table = Calibration.load(file, name, model.bundle.hash)
    buckets = options.buckets and Buckets(table, options.buckets, columns.unit)
    return partial(_calibrated, model, columns, table, buckets)


def _calibrated(
    model: LanguageModel,
    columns: Columns,
    table: Calibration,
    buckets: Buckets | None,
    scored: Scored,
) -> list[Row]:
    rows = formats.rows(model, columns, table, scored)
    return rows if buckets is None else [buckets.add(row) for row in rows]

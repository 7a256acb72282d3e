"""The bundle's model card, README.md: what it is, what it scores, and its limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from model_export.fidelity import Fidelity
from model_export.parity import Parity
from model_export.served import Example, TextFigures
from service.bundle import Manifest
from train.config import Config
from train.report.card import (
    NO_UNKNOWN_WORDS,
    PERPLEXITY_COLUMNS,
    limits,
    model_rows,
    perplexity_rows,
)
from train.report.markdown import compact_table, escape_cell
from train.run_report import RunReport

CARD = """# {name}

{description}

{facts}

## Perplexity

{perplexities}

*Carried* reads a split as one text and keeps the state from its first token to its last; *by
sentence* starts every line from a zero state, as single texts are served. Perplexities over
different vocabularies do not compare; bits per byte do, where no word is unknown.

{as_served}{fidelity}{examples}
## Limits

{limits}

{unknown_words} The model repeats what its training
text says, errors and prejudice included; it knows no facts and must not be asked for any.

## Making it again

```sh
python -m train config.json --data <folder of the training text> --out <checkpoint>
python -m model_export <checkpoint> <bundle> --precision {precision}
```

with this as `config.json`:

```json
{config}
```

{differences}.
"""


@dataclass(frozen=True)
class Measured:
    """The measurements of an export. `test` and `examples` are scores of the texts that it got."""

    parity: Parity
    fidelity: Fidelity | None  # None for float32
    test: TextFigures | None = None
    examples: Sequence[Example] = ()


def model_card(
    config: Config, manifest: Manifest, report: RunReport | None, measured: Measured
) -> str:
    """Return the card as Markdown. `report` is None before the end of the run."""
    trained = "the run was not finished"
    if report:
        trained = f"{report.finished}, {report.epochs} epochs, {report.minutes} minutes"
    rows = [
        *model_rows(config, manifest.parameters, manifest.vocabulary_size),
        ["precision", manifest.precision],
        ["trained", trained],
        ["licence of the training text", config.data_license],
    ]
    return CARD.format(
        name=manifest.name,
        description=config.description or "A weight-tied LSTM language model.",
        facts=compact_table(["", ""], rows),
        perplexities=_perplexities(report),
        as_served=_as_served(manifest.precision, measured.test),
        fidelity=_fidelity(measured.fidelity),
        examples=_examples(measured.examples),
        limits=limits(config),
        unknown_words=_unknown_words(manifest),
        precision=manifest.precision,
        config=config.model_dump_json(indent=2, exclude={"description", "limitations"}),
        differences=largest_differences(measured.parity, measured.fidelity),
    )


def largest_differences(parity: Parity, fidelity: Fidelity | None) -> str:
    """Return the errors of the export as a sentence, without its full stop."""
    of_float32 = (
        "The float32 graphs differ from the checkpoint by at most "
        f"{parity.max_abs_logprob_difference:.1e} nats a token, "
        f"in the mean by {parity.mean_abs_logprob_difference:.1e}"
    )
    if fidelity is None:
        return of_float32
    return f"{of_float32}, int8 from them by {fidelity.max_abs_logprob_difference:.2g}"


def _perplexities(report: RunReport | None) -> str:
    if report is None or not report.bits_per_byte:
        return "The training run was not finished, so nothing was measured."
    return compact_table(PERPLEXITY_COLUMNS, perplexity_rows(report))


def _unknown_words(manifest: Manifest) -> str:
    if manifest.unknown_token_id is None:
        return NO_UNKNOWN_WORDS
    unit = "Characters" if manifest.subword else "Words"
    return f"{unit} outside the vocabulary are read and scored as `<unk>`."


def _as_served(precision: str, test: TextFigures | None) -> str:
    if test is None:
        return ""
    return f"""As served, in {precision}, over {test.tokens:,} tokens of a test text:
{test.carried:.2f} carried, {test.by_sentence:.2f} by sentence,
{test.bits_per_byte:.4f} bits per byte.
"""


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    rows = []
    for example in examples:
        surprises = ", ".join(f"{escape_cell(text)} {bits:.1f}" for text, bits in example.surprises)
        rows.append([escape_cell(example.text), f"{example.perplexity:,.1f}", surprises])
    head = ["text", "perplexity", "its greatest surprises, bits"]
    return f"\n## Examples\n\n{compact_table(head, rows)}\n"


def _fidelity(figures: Fidelity | None) -> str:
    """Return the cost of int8; empty for float32."""
    if figures is None:
        return ""
    rows = [
        ["perplexity, float32", f"{figures.perplexity_float32:.3f}"],
        ["perplexity, int8", f"{figures.perplexity_int8:.3f} ({figures.rise:+.3%})"],
        [
            "mean difference of a log-probability, nats",
            f"{figures.mean_abs_logprob_difference:.4f}",
        ],
        [
            "largest difference of a log-probability, nats",
            f"{figures.max_abs_logprob_difference:.4f}",
        ],
        ["mean KL divergence from float32, nats", f"{figures.mean_kl_divergence:.6f}"],
        ["the same most probable word", f"{figures.top_1_agreement:.2%}"],
    ]
    return f"""
## int8 against float32

Over {figures.tokens:,.0f} tokens of the validation text:

{compact_table(["", ""], rows)}

The scores are the same bit for bit alone, in any batch and in pieces.
"""

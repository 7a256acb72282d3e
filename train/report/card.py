"""The checkpoint's model card, README.md, and the parts that the bundle's card shares with it."""

from train.config import Config
from train.report.markdown import compact_table, table
from train.run_report import RunReport, SplitCounts

Row = list[str]

CARD = """# {name}

{description}

{facts}

## Perplexity

{perplexities}

*Carried* reads a split as one text, *by sentence* starts every line from a zero state. Perplexities
over different vocabularies do not compare; bits per byte do, where no word is unknown.

![perplexity while training](learning_curve.png)

## Limits

{limits}

{unknown_words} The model repeats what its training
text says, errors and prejudice included.

## To make it again

```sh
python -m train config.json --data <folder of the training text> --out <new folder>
```
"""
PERPLEXITY_COLUMNS = ("split", "carried", "by sentence", "bits per byte, carried")
NO_UNKNOWN_WORDS = "Every text is made of the vocabulary's pieces: there is no unknown word."


def checkpoint_card(config: Config, report: RunReport) -> str:
    """Return the card of a finished run as Markdown."""
    trained = f"{report.finished}, {epochs_in_words(report)}, {report.minutes:.1f} minutes"
    rows = [
        *model_rows(config, report.parameters, report.vocabulary_size),
        ["trained", trained],
        ["licence of the training text", config.data_license],
    ]
    return CARD.format(
        name=config.name,
        description=config.description or "An LSTM language model.",
        facts=compact_table(["", ""], rows),
        perplexities=table(PERPLEXITY_COLUMNS, perplexity_rows(report), numbers=True),
        limits=limits(config),
        unknown_words=_unknown_words(config, report.splits["test"]),
    )


def model_rows(config: Config, parameters: int, vocabulary_size: int) -> list[Row]:
    """Return the rows of a card's first table that describe the model."""
    model = config.model
    tied = "the same matrix is" if model.tied else "another matrix of that size is"
    return [
        [
            "LSTM layers",
            f"{model.layers}, {model.hidden_size} wide, the last {model.embedding_size}",
        ],
        ["embedding", f"{model.embedding_size} wide; {tied} the softmax layer"],
        ["parameters", f"{parameters:,}"],
        ["vocabulary", f"{vocabulary_size:,} entries, tokenizer `{config.tokenizer.kind}`"],
    ]


def perplexity_rows(report: RunReport) -> list[Row]:
    """Return the rows of the table with PERPLEXITY_COLUMNS."""
    return [
        [
            split,
            f"{report.perplexity[split]:.2f}",
            f"{report.perplexity_by_sentence[split]:.2f}",
            f"{report.bits_per_byte[split]:.4f}",
        ]
        for split in ("valid", "test")
    ]


def epochs_in_words(report: RunReport) -> str:
    """Return the number of epochs, with a remark if `train.max_steps` cut the last one short."""
    if not report.cut_short:
        return f"{report.epochs} epochs"
    return f"{report.epochs} epochs (the last one ended at step {report.steps:,})"


def limits(config: Config) -> str:
    """Return the limitations of the model in the words of its author."""
    return config.limitations or "Untested beyond its own kind of text."


def _unknown_words(config: Config, test: SplitCounts) -> str:
    kind = config.tokenizer.kind
    if kind in ("bpe", "unigram"):
        return NO_UNKNOWN_WORDS
    unit = "Characters" if kind == "char" else "Words"
    return (
        f"{unit} outside the vocabulary are `<unk>`: {test.unknown:,} of the test split's\n"
        f"{test.tokens:,} tokens."
    )

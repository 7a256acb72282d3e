"""The checkpoint's README.md: what a person who finds the folder should know."""

from typing import Any

from train.config import Config
from train.report.markdown import table


def checkpoint_card(config: Config, report: dict[str, Any]) -> str:
    """Markdown of a finished run; `report` is what `report.json` holds."""
    model, test = config.model, report["splits"]["test"]
    tied = "the same matrix is" if model.tied else "another matrix of that size is"
    epochs = f"{report['epochs']} epochs{cut_short(report)}"
    perplexities = table(
        ["split", "carried", "by sentence", "bits per byte, carried"],
        (
            [
                split,
                f"{report['perplexity'][split]:.2f}",
                f"{report['perplexity_by_sentence'][split]:.2f}",
                f"{report['bits_per_byte'][split]:.4f}",
            ]
            for split in ("valid", "test")
        ),
        numbers=True,
    )
    return f"""# {config.name}

{config.description or "An LSTM language model."}

| | |
|---|---|
| LSTM layers | {model.layers}, {model.hidden_size} wide, the last {model.embedding_size} |
| embedding | {model.embedding_size} wide; {tied} the softmax layer |
| parameters | {report["parameters"]:,} |
| vocabulary | {report["vocabulary_size"]:,} entries, tokenizer `{config.tokenizer.kind}` |
| trained | {report["finished"]}, {epochs}, {report["minutes"]:.1f} minutes |
| licence of the training text | {config.data_license} |

## Perplexity

{perplexities}

*Carried* reads a split as one text, *by sentence* starts every line from a zero state. Perplexities
over different vocabularies do not compare; bits per byte do, where no word is unknown.

![perplexity while training](learning_curve.png)

## Limits

{config.limitations or "Untested beyond its own kind of text."}

{_outside(config, test)} The model repeats what its training
text says, errors and prejudice included.

## To make it again

```sh
python -m train config.json --data <folder of the training text> --out <new folder>
```
"""


def cut_short(report: dict[str, Any]) -> str:
    """Return a remark where `train.max_steps` ended the last epoch before its end."""
    if not report.get("cut_short"):
        return ""
    return f" (the last one ended at step {report['steps']:,})"


def _outside(config: Config, test: dict[str, int]) -> str:
    kind = config.tokenizer.kind
    if kind in ("bpe", "unigram"):
        return "Every text is made of the vocabulary's pieces: there is no unknown word."
    what = "Characters" if kind == "char" else "Words"
    return (
        f"{what} outside the vocabulary are `<unk>`: {test['unknown']:,} of the test split's\n"
        f"{test['tokens']:,} tokens."
    )

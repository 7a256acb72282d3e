"""Sampling of text: `<eos>`, a prompt, and then one random token after another.

Generators with the same seed draw the same text on the same machine with the same version of torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from train.data.corpus import Ids
from train.data.tokenizer import UNKNOWN, end_id
from train.model.lstm import TiedLSTM

MAX_TOKENS = 100
PROMPT_WORDS = 3


@dataclass(frozen=True)
class SamplingOptions:
    """The options with which a report draws its samples.

    Without `prompts`, it uses an empty one and beginnings of the first run's validation text.
    """

    prompts: tuple[str, ...] = ()
    temperature: float = 1.0
    seed: int = 1


@torch.no_grad()
def sample(
    model: TiedLSTM,
    prompt: Sequence[int],
    end: int,
    forbidden: Sequence[int],
    temperature: float,
    generator: torch.Generator,
    max_tokens: int = MAX_TOKENS,
) -> list[int]:
    """Return ids that continue `<eos>` (id `end`) and the prompt, up to the next `<eos>`, without
    it.

    Each is drawn from softmax(logits / temperature) over all ids except the forbidden ones. A
    temperature near 0 chooses the most probable id; 1 is the distribution of the model.
    """
    model.eval()
    state = model.zero_state(1)
    inputs = torch.tensor([end, *prompt])
    drawn: list[int] = []
    while len(drawn) < max_tokens:
        hidden, state = model(inputs[:, None], state)  # (T, 1, D)
        logits = model.logits(hidden[-1, 0]).double()  # (V,)
        logits[list(forbidden)] = -torch.inf
        probabilities = torch.softmax((logits - logits.max()) / temperature, -1)
        inputs = torch.multinomial(probabilities, 1, generator=generator)
        if inputs.item() == end:
            break
        drawn.append(int(inputs.item()))
    return drawn


def continue_text(
    model: TiedLSTM,
    tokenizer: Tokenizer,
    prompt: str,
    temperature: float,
    generator: torch.Generator,
) -> str:
    """Return the prompt, as the beginning of a sentence, and its continuation without `<unk>`.

    A continuation of MAX_TOKENS tokens ends with an ellipsis.
    """
    unknown = tokenizer.token_to_id(UNKNOWN)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    drawn = sample(
        model,
        ids,
        end_id(tokenizer),
        [] if unknown is None else [unknown],
        temperature,
        generator,
    )
    text: str = tokenizer.decode([*ids, *drawn], skip_special_tokens=False)
    return f"{text} …" if len(drawn) == MAX_TOKENS else text


def beginnings(tokenizer: Tokenizer, ids: Ids, count: int) -> list[str]:
    """Return the first words of up to `count` sentences, spread over ids (N,), without `<unk>`."""
    sentences = np.split(ids, np.flatnonzero(ids == end_id(tokenizer)) + 1)
    found: list[str] = []
    for part in np.array_split(np.arange(len(sentences)), count):
        for index in part:
            text = tokenizer.decode(sentences[index].tolist(), skip_special_tokens=False)
            prompt = " ".join(text.split()[:PROMPT_WORDS])
            if len(text.split()) > PROMPT_WORDS and UNKNOWN not in prompt and prompt not in found:
                found.append(prompt)
                break
    return found

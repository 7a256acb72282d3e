"""Text from a model: `<eos>`, a prompt, and then one drawn token after the other.

A generator of the same seed draws the same text on the same machine and version of torch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from train.data.corpus import Ids
from train.data.tokenizer import UNKNOWN, end_id
from train.model.lstm import TiedLSTM

MAX_TOKENS = 100
PROMPT_WORDS = 3


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
    """The ids that follow `<eos>` (id `end`) and the prompt, up to the next `<eos>`, without it.

    Each is drawn from softmax(logits / temperature) over all ids but the forbidden ones. Near 0
    that is the most probable id, 1 is the model's own distribution.
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
    """The prompt, read as a sentence's beginning, and what follows it; never a drawn `<unk>`.

    A text that does not end within `MAX_TOKENS` closes with an ellipsis.
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
    """The first words of up to `count` sentences, spread over ids (N,); none with `<unk>`."""
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

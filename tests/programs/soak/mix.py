"""A mixture of all kinds of requests, with the expected responses."""

import random
from dataclasses import dataclass
from typing import Any

import httpx

TEXT = (
    "the of and in to was a he his on as with it that by for is at from were she which had an are "
    "or been its has this who one new first season game film album song city war team time year "
    "London north government music station episode storm river church century"
)
WORDS = TEXT.split()
# Words per sentence of the Penn Treebank: deciles 0, 10 … 100.
PTB_LENGTHS = (1, 9, 13, 16, 18, 21, 23, 26, 29, 35, 60)


@dataclass(frozen=True)
class Probe:
    """A request with a known response."""

    path: str
    body: dict[str, Any]
    expected: Any


class Mix:
    """Random requests; one in five is a probe with a response recorded at the start."""

    def __init__(self, client: httpx.Client, seed: int = 0) -> None:
        chance = random.Random(seed)
        bodies = [
            ("/score", {"text": text(chance, chance.randint(0, 80)), "top": chance.choice((0, 3))})
            for _ in range(40)
        ] + [
            ("/next-token", {"context": text(chance, chance.randint(0, 30)), "top_k": 5})
            for _ in range(20)
        ]
        self.probes = [Probe(path, body, answer(client, path, body)) for path, body in bodies]

    def step(self, client: httpx.Client, chance: random.Random) -> bool:
        """Send one request; return False if a probe's figures or the status are wrong."""
        kind = chance.random()
        if kind < 0.2:
            probe = chance.choice(self.probes)
            return bool(answer(client, probe.path, probe.body) == probe.expected)
        if kind < 0.45:
            body: dict[str, Any] = {"text": text(chance, chance.randint(0, 60))}
            return _status(client, "/score", body) == 200
        if kind < 0.7:
            body = {"context": text(chance, chance.randint(1, 60)), "return_state": True}
            return _status(client, "/next-token", body) == 200
        if kind < 0.85:
            texts = [text(chance, chance.randint(0, 30)) for _ in range(chance.randint(1, 40))]
            body = {"texts": texts, "context": text(chance, 12), "tokens": False}
            return _status(client, "/score", body) == 200
        if kind < 0.87:
            return _status(client, "/score", {"text": text(chance, 20_000)}) == 200
        return _status(client, "/score", {"text": 1, "state": "nonsense"}) == 422


def text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def answer(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    response = client.post(path, json=body)
    response.raise_for_status()
    return response.json()


def _status(client: httpx.Client, path: str, body: dict[str, Any]) -> int:
    return client.post(path, json=body).status_code

"""Keep the lines of a text whose perplexity is at most a limit; print them, best first.

python examples/filter_corpus.py [URL] [FILE] [LIMIT]
"""

import sys
from pathlib import Path

from service.client import Client

LINES = ["The river was in flood.", "river flood the in was", "He was born in London in 1901."]


def main(url: str = "http://127.0.0.1:8000", file: str = "", limit: str = "200") -> None:
    lines = Path(file).read_text(encoding="utf-8").splitlines() if file else LINES
    texts = [line for line in lines if line.strip()]
    with Client(url) as client:
        scores = client.score(texts=texts, tokens=False).results
    perplexities = [score.perplexity or float("inf") for score in scores]  # None: too large
    for perplexity, text in sorted(zip(perplexities, texts, strict=True)):
        if perplexity <= float(limit):
            print(f"{perplexity:8.1f}  {text}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Print the surprisal of every token of a text, and its perplexity.

python examples/score.py [URL] [TEXT]
"""

import sys

from service.client import Client


def main(url: str = "http://127.0.0.1:8000", text: str = "He was born in London.") -> None:
    with Client(url) as client:
        result = client.score(text, unit="bits").results[0]
    for token in result.tokens:
        print(f"{token.surface or '(end)':10} {token.cross_entropy:6.2f} bits")
    print(f"perplexity {result.perplexity:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

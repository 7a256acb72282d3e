"""Suggest the next word after each typed word; the state makes each request read one word only.

python examples/keyboard.py [URL] [WORD ...]
"""

import sys

from service.client import Client


def main(url: str = "http://127.0.0.1:8000", *words: str) -> None:
    state = None
    with Client(url) as client:
        for word in words or ("The", "capital", "of"):
            result = client.next_token(
                word, state=state, top_k=3, exclude_special=True, return_state=True
            )
            state = result.state
            print(f"{word:10} → {', '.join(token.surface for token in result.tokens)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

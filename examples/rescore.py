"""Rank the hypotheses of a speech recognizer by its own score plus the language model's.

python examples/rescore.py [URL]
"""

import sys

from service.client import Client, Hypothesis

HYPOTHESES = [
    Hypothesis("the liver", score=-1.0),
    Hypothesis("the river", score=-1.2),
    Hypothesis("a river", score=-2.5),
]


def main(url: str = "http://127.0.0.1:8000") -> None:
    with Client(url) as client:
        ranking = client.rescore(HYPOTHESES, context="The bridge crosses", lm_weight=0.7)
    for place, hypothesis in enumerate(ranking.results, 1):
        print(f"{place}. {hypothesis.text:10} total {hypothesis.total:7.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Mark the tokens of log lines that are not among the most probable ones (DeepLog, Du et al. 2017).

python examples/log_anomalies.py [URL] [FILE] [RANK]
"""

import sys
from pathlib import Path

from service.client import Client

LINES = ["The station was opened in 1901.", "The station was river in 1901."]


def main(url: str = "http://127.0.0.1:8000", file: str = "", rank: str = "1000") -> None:
    lines = Path(file).read_text(encoding="utf-8").splitlines() if file else LINES
    with Client(url) as client:
        scored = client.score(texts=lines, top_g=int(rank)).results
    for number, (line, result) in enumerate(zip(lines, scored, strict=True), 1):
        odd = [token.surface for token in result.tokens if token.anomalous]
        print(f"{number}: {line}", f"← unexpected: {', '.join(odd)}" if odd else "")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`make soak`: minutes of mixed load with flat memory and unchanged responses.

    python -m tests.programs.soak [--minutes 10] [--clients 8] [--bundle BUNDLE]

Resident memory at the end is compared with that after a fifth of the time (at least one sample),
when the prefix cache is full. Exit code 1 for a wrong response, or more than 1.02 times the memory.
"""

import argparse
import random
import sys
import threading
import time
from pathlib import Path

import httpx
from tqdm import tqdm

from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import Server, service
from tests.programs.soak.mix import Mix

LARGEST_GROWTH = 1.02
CACHE_BYTES = 8 << 20
# No request is rejected for its wait, because this program counts wrong responses, not 429s.
FLAGS = ("--prefix-cache-bytes", str(CACHE_BYTES), "--max-queue-seconds", "60")


def soak(server: Server, seconds: float, clients: int) -> tuple[list[int], int, int]:
    """Return resident bytes of every second, and the numbers of requests and wrong responses."""
    url = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=url, timeout=60) as client:
        mix = Mix(client)
    end = time.monotonic() + seconds
    counts, wrong = [0] * clients, [0] * clients

    def work(index: int) -> None:
        chance = random.Random(index)
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < end:
                wrong[index] += not mix.step(client, chance)
                counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    samples = []
    with tqdm(total=round(seconds), desc="soaking", unit=" s") as bar:
        while time.monotonic() < end:
            time.sleep(1)
            samples.append(server.memory_bytes["now"])
            bar.update()
            bar.set_postfix(MB=f"{samples[-1] / 1e6:.1f}", requests=sum(counts), wrong=sum(wrong))
    for thread in threads:
        thread.join()
    return samples, sum(counts), sum(wrong)


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.programs.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    options = parser.parse_args()
    with service(options.bundle, *FLAGS) as server:
        samples, requests, wrong = soak(server, options.minutes * 60, options.clients)
    settled = samples[len(samples) // 5]
    growth = samples[-1] / settled
    print(
        f"{requests:,} requests, {wrong} wrong; {settled / 1e6:.1f} MB after a fifth of the time, "
        f"{samples[-1] / 1e6:.1f} MB at the end: {growth:.3f} times"
    )
    return int(wrong > 0 or growth > LARGEST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())

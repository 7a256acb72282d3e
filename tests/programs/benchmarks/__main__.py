"""`make bench [DATA=corpus]`: one page of benchmarks, measured in one run.

    python -m tests.programs.benchmarks [--data DIR] [--seconds 8] [--out docs/benchmarks.md]

Ratios compare figures of the same run; absolute figures depend on the machine.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from service.errors import OutputError
from service.files.atomic import write_atomically
from service.files.outputs import Output, refuse_existing, refuse_inputs
from service.runtime.cpu_count import usable_cores
from service.runtime.startup import print_any_text
from tests.programs.benchmarks.peak import gemm_peak
from tests.programs.benchmarks.random_model import sentences, write_bundles
from tests.programs.benchmarks.servers import Server, service, serving
from tests.programs.benchmarks.table import TITLE, Http, Results, markdown

Body = dict[str, Any]
Payloads = list[tuple[int, Body]]

SATURATED = "/next-token, 20 words, 1 client, next to 8 clients with 100,000-token documents"


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks", description=__doc__
    )
    parser.add_argument("--data", type=Path, help="corpus folder; default: generated sentences")
    parser.add_argument("--seconds", type=float, default=8.0, help="of every HTTP measurement")
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    if options.out:
        check_page(options.out, options.data)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), options.data, options.seconds)
    page = markdown(results)
    print(page)
    if options.out:
        write_atomically(options.out, page.encode())
    return 0


def check_page(out: Path, data: Path | None) -> None:
    """Exit before measuring if the output would replace a file that is not a benchmark page."""
    try:
        refuse_inputs([Output(out, f"--out {out}")], data.rglob("*") if data else [])
        with suppress(FileNotFoundError):
            refuse_existing(out, out.read_bytes().startswith(TITLE.encode()))
    except (OutputError, OSError) as error:
        sys.exit(f"error: {error}; give another --out")


def measure(folder: Path, data: Path | None, seconds: float) -> Results:
    lines = sentences(data)
    (folder / "sentences.txt").write_text("\n".join(lines))
    bundles = write_bundles(folder, lines)
    results = Results(
        cores=usable_cores(), source="generated, PTB's lengths" if data is None else data.name
    )
    with tqdm(total=16, desc="measuring", unit=" rows") as bar:
        for precision, bundle in bundles.items():
            results.peak[precision] = gemm_peak(precision, results.cores)
            command = [sys.executable, "-m", "tests.programs.benchmarks.in_process"]
            results.in_process[precision] = json.loads(
                subprocess.check_output([*command, str(bundle), str(folder / "sentences.txt")])
            )
            bar.update()
        with service(bundles["int8"]) as server:
            for name, (path, payloads, concurrency) in _plan(server, lines).items():
                results.http[name] = _load(folder, server, path, payloads, concurrency, seconds)
                bar.update()
            results.http[SATURATED] = _saturated(folder, server, lines, seconds)
            bar.update()
            answers = _answers(server, lines)
        for name, arguments in {
            "bare FastAPI": (
                "tests.programs.benchmarks.bare_server",
                _write(folder / "answers", answers),
            ),
            "FastAPI + torch eager": (
                "tests.programs.benchmarks.torch_server",
                str(folder / "checkpoint"),
            ),
        }.items():
            with serving(*arguments) as server:
                payloads = _single(lines)
                results.http[f"{name}, /score, 64 clients"] = _load(
                    folder, server, "/score", payloads, 64, seconds
                )
                bar.update()
                if "bare" in name:
                    stateful = [(1, {"context": "the", "state": "A" * 14_000, "top_k": 10})]
                    results.http[f"{name}, /next-token with a state, 1 client"] = _load(
                        folder, server, "/next-token", stateful, 1, seconds
                    )
                    bar.update()
    return results


def _plan(server: Server, lines: list[str]) -> dict[str, tuple[str, Payloads, int]]:
    """Return name → path, payloads and concurrency, in the order of the table."""
    plan: dict[str, tuple[str, Payloads, int]] = {}
    for concurrency in (1, 8, 64, 256):
        plan[f"/score, 1 sentence, {_clients(concurrency)}"] = "/score", _single(lines), concurrency
    plan["/score, 64 sentences, tokens: false, 8 clients"] = "/score", _many(lines), 8
    contexts = [
        (20, {"context": " ".join((" ".join(lines[i : i + 20])).split()[:20])})
        for i in range(0, len(lines) - 20, 7)
    ]
    plan["/next-token, 20 words, 1 client"] = "/next-token", contexts, 1
    plan["/next-token, 20 words, 64 clients"] = "/next-token", contexts, 64
    answer = _post(server, "/next-token", {**contexts[0][1], "return_state": True})
    words = sorted({word for line in lines[:200] for word in line.split()})
    stateful = [(1, {"context": word, "state": answer["state"]}) for word in words]
    plan["/next-token, a state and 1 word, 1 client"] = "/next-token", stateful, 1
    return plan


def _saturated(folder: Path, server: Server, lines: list[str], seconds: float) -> Http:
    """Measure keystrokes while eight clients score documents of 100,000 tokens."""
    words = " ".join(lines).split()
    document = " ".join((words * (100_000 // len(words) + 1))[:99_999])
    file = folder / "documents.jsonl"
    file.write_text(json.dumps([100_000, {"text": document}]))
    command = [sys.executable, "-m", "tests.programs.benchmarks.load", "--port", str(server.port)]
    command += ["--path", "/score", "--payloads", str(file), "--concurrency", "8"]
    documents = subprocess.Popen(
        [*command, "--seconds", str(seconds + 3)], stdout=subprocess.PIPE, text=True
    )
    context = [(20, {"context": " ".join(words[:20])})]
    http = _load(folder, server, "/next-token", context, 1, seconds)
    output, _ = documents.communicate()
    http.errors += json.loads(output)["errors"]
    return http


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _single(lines: list[str]) -> Payloads:
    return [(len(line.split()) + 1, {"text": line}) for line in lines]


def _many(lines: list[str]) -> Payloads:
    groups = [lines[i : i + 64] for i in range(0, len(lines) - 63, 64)]
    return [
        (sum(len(line.split()) + 1 for line in group), {"texts": group, "tokens": False})
        for group in groups
    ]


def _answers(server: Server, lines: list[str]) -> dict[str, Any]:
    median = sorted(lines, key=lambda line: len(line.split()))[len(lines) // 2]
    return {
        "/score": _post(server, "/score", {"text": median}),
        "/next-token": _post(server, "/next-token", {"context": "the"}),
    }


def _post(server: Server, path: str, body: Body) -> dict[str, Any]:
    response = httpx.post(f"http://127.0.0.1:{server.port}{path}", json=body, timeout=60)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _load(
    folder: Path, server: Server, path: str, payloads: Payloads, concurrency: int, seconds: float
) -> Http:
    """Measure HTTP after a second of warm-up, with the CPU time of the server."""
    file = folder / "payloads.jsonl"
    file.write_text("\n".join(json.dumps(payload) for payload in payloads))
    command = [sys.executable, "-m", "tests.programs.benchmarks.load", "--port", str(server.port)]
    command += ["--path", path, "--payloads", str(file), "--concurrency", str(concurrency)]
    subprocess.run([*command, "--seconds", "1"], check=True, stdout=subprocess.DEVNULL)
    before, cpu, begun = _engine_seconds(server), server.cpu_seconds, time.perf_counter()
    output = subprocess.check_output([*command, "--seconds", str(seconds)])
    cpu, wall = server.cpu_seconds - cpu, time.perf_counter() - begun
    engine, runs = (x - y for x, y in zip(_engine_seconds(server), before, strict=True))
    return Http(
        cores=cpu / wall,
        cpu=cpu,
        memory=server.memory_bytes["peak"],
        step=engine / max(runs, 1) * 1e3,
        **json.loads(output),
    )


def _engine_seconds(server: Server) -> tuple[float, float]:
    """Return the seconds in the engine and the number of batches; zeros without metrics."""
    page = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    found = dict(re.findall(r"^(tiedlm_inference_seconds_\S+) (\S+)$", page, re.MULTILINE))
    stages = ('{stage="encode"}', '{stage="decode"}', '{stage="distribute"}')
    seconds = sum(float(found.get(f"tiedlm_inference_seconds_sum{s}", 0)) for s in stages)
    return seconds, float(found.get(f"tiedlm_inference_seconds_count{stages[0]}", 0))


def _write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


if __name__ == "__main__":
    sys.exit(main())

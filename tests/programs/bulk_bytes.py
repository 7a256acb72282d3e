"""Bulk outputs of another tree of this project and of this one, compared byte by byte.

    git worktree add OLD_TREE COMMIT
    python -m tests.programs.bulk_bytes OLD_TREE

Runs the same commands of `python -m service.bulk` with the code of both trees, on a small corpus,
and prints a table. The exit code is 1 if any output differs.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import zstandard

from service.runtime.startup import print_any_text

ROOT = Path(__file__).parents[2]
DOCUMENTS = 2500  # three blocks
WORDS = ["the", "of", "city", "river", "was", "in", "born", "<unk>", '"', "NA", "Zxqvyk", "naïve"]
ALL = "--tokens --text --id key"
# The name of a case, and its commands. In each command OUT is the case's folder for outputs.
CASES = {
    "jsonl": ["a.txt --out OUT/o.jsonl"],
    "jsonl, all members": [f"b.jsonl --out OUT/o.jsonl {ALL} --errors OUT/errors"],
    "jsonl, bits": ["a.txt --out OUT/o.jsonl --unit bits"],
    "jsonl.gz": [f"b.jsonl --out OUT/o.jsonl.gz {ALL} --errors OUT/errors.gz"],
    "jsonl.zst": ["a.txt --out OUT/o.jsonl.zst --text"],
    "jsonl, kept rows": [f"b.jsonl --out OUT/o.jsonl --keep-rows {ALL} --buckets 30,60"],
    "tsv": ["b.jsonl --out OUT/o.tsv --text --id key --errors OUT/errors.zst"],
    "tsv.gz, kept rows": ["b.jsonl --out OUT/o.tsv.gz --id key --keep-rows"],
    "parquet": [f"b.jsonl --out OUT/o.parquet {ALL}"],
    "parquet, kept rows": [f"b.jsonl --out OUT/o.parquet --keep-rows {ALL}"],
    "kenlm-query": ["a.txt --out OUT/o --format kenlm-query"],
    "kenlm-query, kept rows": ["b.jsonl --out OUT/o.zst --format kenlm-query --keep-rows"],
    "surprisal-tsv": ["a.txt --out OUT/o.tsv --format surprisal-tsv"],
    "surprisal-tsv, kept rows": [
        "b.jsonl --out OUT/o.gz --format surprisal-tsv --unit nats --keep-rows"
    ],
    "buckets, jsonl": ["a.txt b.jsonl --out OUT/o.jsonl --buckets 30,60 --id key"],
    "buckets, tsv.zst": ["b.jsonl --out OUT/o.tsv.zst --buckets 10,50 --keep-rows"],
    "buckets, parquet": [f"b.jsonl --out OUT/o.parquet --buckets 30,60 {ALL}"],
    "calibrate": ["calibrate a.txt b.jsonl --out OUT/c.json --errors OUT/errors"],
    "calibration": [
        "calibrate a.txt --out OUT/c.json",
        f"b.jsonl --out OUT/o.jsonl --calibration OUT/c.json --buckets 30,60 {ALL} --keep-rows",
    ],
    "input .gz": ["a.txt.gz b.jsonl.gz --out OUT/o.jsonl --errors OUT/errors"],
    "input .zst": ["a.txt.zst b.jsonl.zst --out OUT/o.tsv"],
    "input Parquet": ["c.parquet --out OUT/o.jsonl --id key --text --errors OUT/errors"],
    "input folder": ["corpus --out OUT/o.jsonl --text --errors OUT/errors"],
    "documents are files": ["corpus --document file --out OUT/o.jsonl --text"],
    "empty documents kept": ["b.jsonl --out OUT/o.jsonl --keep-empty"],
    "nothing to write": ["corpus/empty.txt --out OUT/o.jsonl.gz", "b.txt --out OUT/o.parquet"],
    "stream": ["a.txt --out - --text", "a.txt --out - --buckets 30,60"],
    # The first command stops at the last document, after a commit; the second goes on from there.
    "resumed, jsonl.gz": [f"{x}b.jsonl --out OUT/o.jsonl.gz {ALL}" for x in ("--strict ", "")],
    "resumed, tsv": [f"{x}d.txt.gz --out OUT/o.tsv --errors OUT/e" for x in ("--strict ", "")],
    "resumed, parquet": [f"{x}d.txt.gz --out OUT/o.parquet" for x in ("--strict ", "")],
    "resumed, kenlm-query": [
        f"{x}d.txt.gz --out OUT/o --format kenlm-query" for x in ("--strict ", "")
    ],
    "resumed, buckets": [
        f"{x}d.txt.gz --out OUT/o.jsonl --buckets 30,60" for x in ("--strict ", "")
    ],
}
# Runs each command in one process, because a start takes longer than most of them.
DRIVER = """
import json, os, sys
from service.bulk.__main__ import main
for folder, commands in json.loads(sys.argv[1]):
    os.mkdir(folder)
    for number, command in enumerate(commands):
        stdout = os.open(f"{folder}/stdout-{number}", os.O_WRONLY | os.O_CREAT)
        os.dup2(stdout, 1)
        words = [word.replace("OUT", folder) for word in command.split()]
        code = main([*words, "--threads", "1"])
        sys.stdout.flush()
        os.ftruncate(1, 0 if "-" not in words else os.fstat(1).st_size)
        open(f"{folder}/code-{number}", "w").write(str(code))
"""


def write_inputs(folder: Path) -> None:
    chance = random.Random(3)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(DOCUMENTS)]
    plain = "\n".join(texts).encode()
    lines = [json.dumps({"text": text, "key": [n, 1.0]}) for n, text in enumerate(texts)]
    lines[5:9] = ['{"text": ""}', '{"text": 5, "key": "b"}', "not JSON", '{"body": "a"}']
    as_json = "\n".join([*lines, '{"text": null}']).encode()
    for name, content in (("a.txt", plain), ("b.jsonl", as_json)):
        (folder / name).write_bytes(content)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        (folder / f"{name}.zst").write_bytes(zstandard.ZstdCompressor().compress(content))
    (folder / "b.txt").write_bytes(b"\n")
    (folder / "d.txt.gz").write_bytes(gzip.compress(plain + b"\n\xff", mtime=0))
    table = pyarrow.table({"text": [*texts[:700], None], "key": [n / 7 for n in range(701)]})
    pyarrow.parquet.write_table(table, folder / "c.parquet", row_group_size=300)
    for name in ("z.txt", "sub/a.txt", "sub/b.txt", ".hidden", "_SUCCESS"):
        path = folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"The river of {name}\n\nThe city\n")
    (folder / "corpus/empty.txt").write_bytes(b"")


def run_cases(
    tree: Path, folder: Path, names: list[str], outputs: str
) -> dict[str, dict[str, bytes]]:
    """Run the cases with the code of `tree`; return the files of each case."""
    out = folder / outputs
    cases = [(f"out/{number}", CASES[name]) for number, name in enumerate(names)]
    (folder / "out").mkdir()
    subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(cases)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tree.resolve())},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    (folder / "out").rename(out)
    return {
        name: {
            str(path.relative_to(out / str(number))): path.read_bytes()
            for path in sorted((out / str(number)).rglob("*"))
            if path.is_file()
        }
        for number, name in enumerate(names)
    }


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.bulk_bytes", description=__doc__
    )
    parser.add_argument("old_tree", type=Path, metavar="OLD_TREE")
    parser.add_argument("--case", choices=CASES, action="append", help="default: all of them")
    options = parser.parse_args()
    names = options.case or list(CASES)
    with tempfile.TemporaryDirectory(prefix="tiedlm-bytes-") as name:
        folder = Path(name)
        write_inputs(folder)
        old = run_cases(options.old_tree, folder, names, "old")
        new = run_cases(ROOT, folder, names, "new")
    print("| case | files | bytes | |")
    print("|---|---|---|---|")
    for name in names:
        size = sum(map(len, old[name].values()))
        print(f"| {name} | {len(old[name])} | {size:,} | {verdict(name, old[name], new[name])} |")
    return int(old != new or any(failed(name, old[name]) for name in names))


def failed(name: str, files: dict[str, bytes]) -> bool:
    """Return whether the last command of a case failed, so that the case proves nothing."""
    return files[f"code-{len(CASES[name]) - 1}"] != b"0"


def verdict(name: str, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    if failed(name, old):
        return "FAILED"
    different = sorted(file for file in old.keys() | new.keys() if old.get(file) != new.get(file))
    return f"DIFFERS: {', '.join(different)}" if different else "equal"


if __name__ == "__main__":
    sys.exit(main())

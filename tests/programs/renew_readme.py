"""`python -m tests.programs.renew_readme`: renew the responses in the README.

Sends the README's curl commands and its Python example to a service with the starter bundle. Use it
after a change of the starter.
"""

import argparse
import json
import shlex
import subprocess
import sys

from tests.test_readme import EXAMPLES, PYTHON, README, ROOT, running, there

WIDTH = 148


def pretty(value: object, indent: int = 0) -> str:
    """Return JSON with short values on one line and figures to six digits."""
    line = json.dumps(rounded(value), ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + 2
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key)}: {pretty(item, inner + len(key) + 4)}"
            if not isinstance(item, dict | list)
            else f"{json.dumps(key)}: {pretty(item, inner)}"
            for key, item in value.items()
        ]
        opening, closing = "{}"
    else:
        parts = [pretty(item, inner) for item in value]
        opening, closing = "[]"
    return (
        f"{opening}\n{' ' * inner}" + f",\n{' ' * inner}".join(parts) + f"\n{' ' * indent}{closing}"
    )


def rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> int:
    argparse.ArgumentParser(
        "python -m tests.programs.renew_readme", description=__doc__
    ).parse_args()
    text = README
    with running([sys.executable, "-m", "service"]) as address:
        for command, answer in EXAMPLES:
            words = shlex.split(there(command.replace("\\\n", " "), address))
            output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            text = text.replace(
                f"{command}```\n```json\n{answer}",
                f"{command}```\n```json\n{pretty(json.loads(output))}\n",
            )
        for code, answer in PYTHON:
            script = [sys.executable, "-c", there(code, address)]
            output = subprocess.run(script, check=True, capture_output=True, text=True).stdout
            text = text.replace(f"{code}```\n```\n{answer}", f"{code}```\n```\n{output}")
    (ROOT / "README.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

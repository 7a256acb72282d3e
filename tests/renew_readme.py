"""`python -m tests.renew_readme`: ask the starter bundle the README's questions again.

Puts the answers beside the curl lines and the Python example, after the starter was replaced.
"""

import json
import shlex
import subprocess
import sys

from tests.test_readme import EXAMPLES, PYTHON, README, ROOT, running, there

WIDTH = 99


def pretty(value: object, indent: int = 0) -> str:
    """JSON with every object on one line where it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + 1
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key)}: {pretty(item, inner + len(key) + 4)}"
            for key, item in value.items()
        ]
        return "{" + f",\n{' ' * inner}".join(parts) + "}"
    return "[" + f",\n{' ' * inner}".join(pretty(item, inner) for item in value) + "]"


def main() -> int:
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

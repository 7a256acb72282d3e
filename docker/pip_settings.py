"""How this machine's pip finds packages, for the RUN steps of a build on it.

`python docker/pip_settings.py FILE` writes a pip.conf and prints the local files and folders that
it names, one a line: they must be mounted where they are. It knows no index, mirror or path.
"""

import re
import subprocess
import sys
from pathlib import Path

# What says where packages come from; caches, prompts and targets are each pip's own affair.
KEPT = ("cert", "client-cert", "index-url", "extra-index-url", "find-links", "trusted-host")
KEPT += ("no-index", "proxy", "retries", "timeout", "default-timeout")
SETTING = re.compile(r"^(?::env:|global|install)\.([\w-]+)=(['\"])(.*)\2$")


def settings(listed: str) -> dict[str, str]:
    """The output of `pip config list` → the settings kept; the environment's win over a file's."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), reverse=True):  # ":env:" sorts first, so it comes last
        match = SETTING.match(line)
        if match and match[1] in KEPT:
            found[match[1]] = match[3].replace("\\n", " ").strip()
    return found


def local_paths(found: dict[str, str]) -> list[str]:
    """The files and folders that the settings name and that are there; of an index the folder
    above it, for its pages point to files beside it.
    """
    words = [word for value in found.values() for word in value.split()]
    named = {Path(word) for word in words if word.startswith("/")}
    indexes = {Path(word.removeprefix("file://")) for word in words if word.startswith("file://")}
    # /srv/pypi/simple needs /srv/pypi; but /srv/simple not all of /srv.
    named |= {index.parent if len(index.parts) > 3 else index for index in indexes}
    return sorted(str(path) for path in named if path.exists())


def main() -> None:
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = settings(done.stdout)
    lines = [f"{name} = {value}" for name, value in found.items()]
    Path(sys.argv[1]).write_text("\n".join(["[global]", *lines, ""]))
    print(*local_paths(found), sep="\n")


if __name__ == "__main__":
    main()

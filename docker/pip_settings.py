"""A copy of this machine's pip settings, for the RUN steps of a container build.

`python docker/pip_settings.py FILE` writes a pip.conf. It prints the local files and folders that
the settings contain, one per line: mount each at the same path.
"""

import re
import subprocess
import sys
from pathlib import Path

# Settings of where packages come from. Caches, prompts and targets are not copied.
COPIED = ("cert", "client-cert", "index-url", "extra-index-url", "find-links", "trusted-host")
COPIED += ("no-index", "proxy", "retries", "timeout", "default-timeout")
SETTING = re.compile(r"^(?::env:|global|install)\.([\w-]+)=(['\"])(.*)\2$")


def parse_settings(listing: str) -> dict[str, str]:
    """Return the copied settings from the output of `pip config list`.

    Environment variables override files.
    """
    settings: dict[str, str] = {}
    # ":env:" sorts first; in reverse order it comes last and overrides.
    for line in sorted(listing.splitlines(), reverse=True):
        match = SETTING.match(line)
        if match and match[1] in COPIED:
            settings[match[1]] = match[3].replace("\\n", " ").strip()
    return settings


def local_paths(settings: dict[str, str]) -> list[str]:
    """Return the existing files and folders in the settings.

    For an index this is its parent folder, because its pages link to files next to it.
    """
    words = [word for value in settings.values() for word in value.split()]
    paths = {Path(word) for word in words if word.startswith("/")}
    indexes = {Path(word.removeprefix("file://")) for word in words if word.startswith("file://")}
    # /srv/pypi/simple needs /srv/pypi, but /srv/simple does not need all of /srv.
    paths |= {index.parent if len(index.parts) > 3 else index for index in indexes}
    return sorted(str(path) for path in paths if path.exists())


def main() -> None:
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    settings = parse_settings(done.stdout)
    lines = [f"{name} = {value}" for name, value in settings.items()]
    Path(sys.argv[1]).write_text("\n".join(["[global]", *lines, ""]))
    print(*local_paths(settings), sep="\n")


if __name__ == "__main__":
    main()

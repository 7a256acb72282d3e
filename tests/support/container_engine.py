"""A fake docker or podman that builds nothing and stores image names in a file.

As a program it accepts the commands of docker/build_and_smoke.sh. Podman's store is the one in
CONTAINERS_STORAGE_CONF, or else the machine's; docker has only the machine's. Podman builds leave
untagged images behind, as with --layers.
"""

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path


def store(name: str) -> Path:
    configuration = os.environ.get("CONTAINERS_STORAGE_CONF")
    if name == "podman" and configuration:
        match = re.search(r'graphroot = "(.*)"', Path(configuration).read_text())
        assert match
        Path(match[1]).mkdir(exist_ok=True)
        return Path(match[1]) / "images.json"
    return Path(os.environ["ENGINE_FOLDER"]) / "machine.json"


def main(name: str, command: str, *rest: str) -> int:
    path = store(name)
    images: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if command == "--version":
        print(f"{name} version 0")
    elif command == "info":
        return 0 if os.environ.get("DOCKER_RUNS") else 1
    elif command == "import":
        images[rest[1]] = "a base"
    elif command == "build":
        options = dict(pairwise(rest))
        base = next(x for x in rest if x.startswith("BASE_IMAGE=")).partition("=")[2]
        limits = "CONTAINERS_CONF" in os.environ and "BUILDAH_ISOLATION" in os.environ
        if base not in images or (name == "podman" and not limits):
            return 125
        if name == "podman":
            images[f"untagged {len(images)}"] = "a layer"
        images[options["-t"]] = options["-f"]
    elif command == "tag":
        images[rest[1]] = images[rest[0]]
    elif command == "save":
        print(json.dumps({rest[-1]: images[rest[-1]]}))
    elif command == "load":
        images |= json.loads(sys.stdin.read())
    elif command == "rmi":
        everything = "-a" in rest or any(re.fullmatch(r"-\w*a\w*", word) for word in rest)
        images = {} if everything else {k: v for k, v in images.items() if k not in rest}
    elif command not in ("ps", "rm"):
        return 125
    path.write_text(json.dumps(images))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).name, *sys.argv[2:]))

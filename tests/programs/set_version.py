"""`make version VERSION=0.2.0`: write a new version into every file that states it.

pyproject.toml is the source; tests/test_version.py compares the others with it. The golden
tests/service/http/openapi.json holds an example of a version and is not changed.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each pattern finds the version of its file as group 2.
PLACES = {
    "pyproject.toml": r'(?m)^(version = ")([^"]+)',
    "Dockerfile": r"(?m)^(ARG VERSION=)(\S+)",
    "docker/train.Dockerfile": r"(?m)^(ARG VERSION=)(\S+)",
    "docker/kubernetes/kustomization.yaml": r"(?m)^( +newTag: )(\S+)",
    "CITATION.cff": r"(?m)^(version: )(\S+)",
}
RELEASE = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
# The newest version that CHANGELOG.md describes.
CHANGELOG = r"(?m)^## \[?(\d+\.\d+\.\d+\w*)"


def versions(root: Path) -> dict[str, str]:
    """Return the version that each file states. Raise ValueError if a file states none."""
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{name}: no version; expected a match of {pattern}")
        found[name] = match[2]
    return found


def set_version(root: Path, version: str) -> None:
    """Write `version` into every file. Raise ValueError if it is not a release such as 0.2.0."""
    if not RELEASE.fullmatch(version):
        raise ValueError(f"not a version: {version!r}; use three numbers, such as 0.2.0")
    versions(root)
    for name, pattern in PLACES.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(pattern, rf"\g<1>{version}", text, count=1), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.programs.set_version", description=__doc__)
    parser.add_argument("version")
    try:
        set_version(ROOT, parser.parse_args().version)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("now describe the version in CHANGELOG.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What of a machine's pip configuration a build on it needs."""

import runpy
from pathlib import Path

from tests.support.docker_files import DOCKER

# A program beside the Dockerfile, no module: `docker` is another package's name.
program = runpy.run_path(str(DOCKER / "pip_settings.py"))
settings, local_paths = program["settings"], program["local_paths"]


def test_what_says_where_packages_come_from_is_kept_and_the_rest_is_not() -> None:
    listed = "\n".join(
        [
            ":env:.cert='/env.pem'",
            ":env:.disable-pip-version-check='1'",
            "global.cert='/file.pem'",
            "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'",
            "global.target='/somewhere'",
            "install.no-index='true'",
        ]
    )
    assert settings(listed) == {
        "cert": "/env.pem",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
        "no-index": "true",
    }


def test_local_files_and_folders_are_named_once_and_only_if_they_are_there(tmp_path: Path) -> None:
    wheels, simple = tmp_path / "wheels", tmp_path / "pypi" / "simple"
    wheels.mkdir()
    simple.mkdir(parents=True)
    found = {
        "find-links": f"{wheels} {tmp_path}/missing https://a.example/wheels",
        "cert": str(wheels),
        "extra-index-url": f"file://{simple}",
    }
    assert local_paths(found) == [str(simple.parent), str(wheels)]

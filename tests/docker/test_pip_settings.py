"""The pip settings that docker/pip_settings.py copies for a container build."""

import runpy
from pathlib import Path

from tests.support.docker_files import DOCKER

# Not imported, because `docker` is the name of another package.
program = runpy.run_path(str(DOCKER / "pip_settings.py"))
parse_settings, local_paths = program["parse_settings"], program["local_paths"]


def test_only_package_sources_are_copied() -> None:
    listing = "\n".join(
        [
            ":env:.cert='/env.pem'",
            ":env:.disable-pip-version-check='1'",
            "global.cert='/file.pem'",
            "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'",
            "global.target='/somewhere'",
            "install.no-index='true'",
        ]
    )
    assert parse_settings(listing) == {
        "cert": "/env.pem",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
        "no-index": "true",
    }


def test_local_paths_are_unique_and_exist(tmp_path: Path) -> None:
    wheels, simple = tmp_path / "wheels", tmp_path / "pypi" / "simple"
    wheels.mkdir()
    simple.mkdir(parents=True)
    settings = {
        "find-links": f"{wheels} {tmp_path}/missing https://a.example/wheels",
        "cert": str(wheels),
        "extra-index-url": f"file://{simple}",
    }
    assert local_paths(settings) == [str(simple.parent), str(wheels)]

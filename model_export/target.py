"""The bundle's folder: written whole, and replaced only if an export wrote all that is in it."""

import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from model_export.errors import TargetError
from service.bundle import FORMAT_VERSION, Manifest
from service.errors import BundleError
from service.files.bundle_files import read_manifest
from train.runtime.atomic import move_folder, write_file


def check_target(bundle: Path, replace: bool) -> None:
    """Raise TargetError if the folder exists and `replace` is false, or if it holds anything that
    no export wrote.
    """
    if not bundle.exists():
        return
    if not replace:
        raise TargetError(f"{bundle} exists; give another directory, or --replace")
    try:
        manifest = Manifest.model_validate_json(read_manifest(bundle / "manifest.json"))
    except (BundleError, ValidationError):
        raise TargetError(
            f"{bundle} holds no bundle of format version {FORMAT_VERSION}; --replace replaces "
            "bundles alone, so give another directory"
        ) from None
    own = {"manifest.json", "README.md", *manifest.files}
    others = sorted(p.name for p in bundle.iterdir() if p.name not in own or p.is_dir())
    if others:
        raise TargetError(
            f"{bundle} has {others[0]} in it, which no export wrote; move it away, or give another "
            "directory"
        )


def write_bundle(bundle: Path, contents: dict[str, bytes]) -> None:
    """Write the files to a folder next to the target, then rename it; replace an existing bundle.

    Raises OSError; TargetError if the target holds other files by now. The target is then as it was
    before.
    """
    bundle.parent.mkdir(parents=True, exist_ok=True)
    partial = bundle.with_name(f".{bundle.name}.partial-{os.getpid()}")
    old = bundle.with_name(f".{bundle.name}.old-{os.getpid()}")
    try:
        partial.mkdir()
        for name, content in contents.items():
            write_file(partial / name, content)
        if bundle.exists():
            check_target(bundle, replace=True)  # again, because an export takes minutes
            bundle.rename(old)
        move_folder(partial, bundle)
    except BaseException:
        if old.exists() and not bundle.exists():
            old.rename(bundle)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

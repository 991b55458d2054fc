"""The folder of a user's training code, and its digest: what a measurement covers and a policy pins."""

from __future__ import annotations

from pathlib import Path

from lamslsa.artifact.manifest import Manifest
from lamslsa.artifact.package import package_manifest
from lamslsa.errors import FormatError
from lamslsa.measure.sources import unmeasured

__all__ = ["code_manifest"]


def code_manifest(code: Path) -> Manifest:
    """The canonical manifest of the folder's files: all that is there, so all that could be run.

    Raises:
        FormatError: no such folder, or something in it that the manifest would leave out (own-training-code).
    """
    try:
        found = unmeasured(code)
        manifest = package_manifest(code)
    except OSError as err:
        raise FormatError(f"expected the folder {code}, got: {err.strerror}", reason="own-training-code") from err
    if found is not None:
        raise FormatError(
            f"expected files of source and data in {code}, got a link, byte code or another kind at "
            f"{str(found.relative_to(code))!a:.120}",
            reason="own-training-code",
            hint="copy the files that are meant to a folder of their own; __pycache__ and .pyc are made anew",
        )
    return manifest

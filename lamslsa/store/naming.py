"""Names of attestations on disk, and the limits of all stores.

Rules:
- ``*.sigstore.json`` holds one bundle, ``*.intoto.jsonl`` one bundle a line; nothing else in the folder is read.
- A written file is named by what it is about and by its content, so that different bundles never meet under one name.
- No store takes, and no listing has, more than `MAX_FILES` bundles or `MAX_TOTAL_BYTES` beside one artifact. What a
  listing leaves out it says in an error of its own; what was read in vain counts too.
- A file being written starts with a dot and ends in ``.part``: no reader takes it for a bundle.

>>> file_name("evaluation/v1 of Census", b"{}")
'evaluation-v1-of-census-44136fa355b3678a.sigstore.json'
"""

from __future__ import annotations

import re
from typing import Final

from lamslsa import _codec
from lamslsa._bundle_names import BUNDLE_SUFFIX, LINES_SUFFIX, SIGNATURE_SUFFIX
from lamslsa.errors import FormatError

__all__ = [
    "BUNDLE_SUFFIX",
    "DEFAULT_FOLDER",
    "LINES_SUFFIX",
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_TOTAL_BYTES",
    "PART_SUFFIX",
    "REGISTRY",
    "SIGNATURE_SUFFIX",
    "Allowance",
    "file_name",
    "is_bundle_name",
    "refuse_large",
]

REGISTRY: Final = "oci://"
DEFAULT_FOLDER: Final = ".attestations"
PART_SUFFIX: Final = ".part"
MAX_FILES: Final = 16_384
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 256 * 1024 * 1024

_OTHER: Final = re.compile(r"[^a-z0-9]+")
_MAX_NAME: Final = 64
_DIGEST_CHARACTERS: Final = 16


def is_bundle_name(name: str) -> bool:
    """Whether a file of this name is read; a bare suffix is a hidden file and no name."""
    return any(name.endswith(suffix) and name != suffix for suffix in (BUNDLE_SUFFIX, LINES_SUFFIX))


def file_name(name: str, bundle: bytes) -> str:
    """The file name of a bundle: lower-case letters, digits and dashes of ``name``, then a part of its SHA-256."""
    stem = _OTHER.sub("-", name.lower())[:_MAX_NAME].strip("-") or "attestation"
    return f"{stem}-{_codec.sha256_hex(bundle)[:_DIGEST_CHARACTERS]}{BUNDLE_SUFFIX}"


class Allowance:
    """How many bundles and bytes are left of what one listing reads, or one artifact may have beside it."""

    def __init__(self, files: int | None = None) -> None:
        self._files = MAX_FILES if files is None else files
        self._bytes = MAX_TOTAL_BYTES

    def spend(self, size: int, *, files: int = 1) -> bool:
        """Count bundles of so many bytes; False, and nothing counted, when that is more than is left."""
        if files > self._files or size > self._bytes:
            return False
        self._files -= files
        self._bytes -= size
        return True

    @staticmethod
    def left_out(place: str) -> FormatError:
        """What a listing says at its end when it did not read everything."""
        return FormatError(
            f"expected at most {MAX_FILES} bundles and {MAX_TOTAL_BYTES} bytes of them in {place}, got more: "
            "some are left out",
            reason="store-left-out",
            hint="remove what is not needed",
        )

    @staticmethod
    def full(place: str) -> FormatError:
        """Why a store takes no further bundle."""
        return FormatError(
            f"expected at most {MAX_FILES} bundles and {MAX_TOTAL_BYTES} bytes of them in {place}, got one more",
            reason="store-full",
            hint="remove what is not needed: more than that no reader would see",
        )


def refuse_large(bundle: bytes) -> None:
    """Refuse a bundle that is larger than readers take.

    Raises:
        FormatError: it is.
    """
    if len(bundle) > MAX_FILE_BYTES:
        raise FormatError(
            f"expected a bundle of at most {MAX_FILE_BYTES} bytes, got {len(bundle)}", reason="store-size"
        )

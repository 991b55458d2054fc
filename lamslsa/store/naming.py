"""Names and limits of attestations on disk.

Rules:
- ``*.sigstore.json`` holds one bundle, ``*.intoto.jsonl`` one bundle a line; nothing else in the folder is read.
- A written file is named by what it is about and by its content, so that different bundles never meet under one name.
- A file being written starts with a dot and ends in ``.part``: no reader takes it for a bundle.

>>> file_name("evaluation/v1 of Census", b"{}")
'evaluation-v1-of-census-44136fa355b3678a.sigstore.json'
"""

from __future__ import annotations

import re
from typing import Final

from lamslsa import _codec

__all__ = [
    "BUNDLE_SUFFIX",
    "DEFAULT_FOLDER",
    "LINES_SUFFIX",
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_TOTAL_BYTES",
    "PART_SUFFIX",
    "SIGNATURE_SUFFIX",
    "file_name",
    "is_bundle_name",
]

DEFAULT_FOLDER: Final = ".attestations"
BUNDLE_SUFFIX: Final = ".sigstore.json"
LINES_SUFFIX: Final = ".intoto.jsonl"
PART_SUFFIX: Final = ".part"
SIGNATURE_SUFFIX: Final = ".sig"
"""Of a bundle that OpenSSF model signing wrote, read where the user names the very file."""
MAX_FILES: Final = 4096
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024

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

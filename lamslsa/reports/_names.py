"""URIs for what a report names: as the user named it where that tells nothing that it should not, else by its digest.

>>> named("oci://registry.example/census:v1", "00" * 32)
'oci://registry.example/census:v1'
>>> named("./model", "00" * 32)
'ni:///sha-256;AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
>>> location("my policies/a#b.yaml")
'my%20policies/a%23b.yaml'
"""

from __future__ import annotations

import base64
import re
from pathlib import PurePath
from typing import Final
from urllib.parse import quote, urlsplit

__all__ = ["location", "named", "ni"]

_PUBLIC: Final = re.compile(r"(?:https|oci)://[!-~]{1,1900}")


def ni(sha256: str) -> str:
    """The name of what has this digest (RFC 6920)."""
    return f"ni:///sha-256;{base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"


def _is_public(reference: str) -> bool:
    """Whether it is the URI of something in the network, with no credentials in it."""
    if not _PUBLIC.fullmatch(reference):
        return False
    try:
        parts = urlsplit(reference)
        return bool(parts.hostname) and "@" not in parts.netloc and not (parts.query or parts.fragment)
    except ValueError:
        return False


def named(reference: str, sha256: str) -> str:
    """A URI for what the user named so, or for its digest: paths of this machine are nobody else's business."""
    return reference if _is_public(reference) else ni(sha256)


def location(reference: str) -> str:
    """Where a file lies, as a URI or a relative reference (RFC 3986)."""
    if _is_public(reference):
        return reference
    path = PurePath(reference)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="surrogateescape")

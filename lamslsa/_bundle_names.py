"""How files of bundles are named: the signer's, the store's and the archive's word for the same thing."""

from __future__ import annotations

from typing import Final

__all__ = ["BUNDLE_SUFFIX", "LINES_SUFFIX", "SIGNATURE_SUFFIX"]

BUNDLE_SUFFIX: Final = ".sigstore.json"
"""Of one bundle."""
LINES_SUFFIX: Final = ".intoto.jsonl"
"""Of several, one a line."""
SIGNATURE_SUFFIX: Final = ".sig"
"""Of a bundle that OpenSSF model signing wrote, read where the user names the very file."""

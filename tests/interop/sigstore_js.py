"""sigstore-js as a verifier: `@sigstore/verify`, the library that npm and GitHub's actions verify bundles with."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lamslsa.sign.key import KeyVerifier
from tests.interop.peers import node

NOBODY: Mapping[str, Any] = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [],
    "certificateAuthorities": [],
    "ctlogs": [],
    "timestampAuthorities": [],
}
"""A trusted root without anybody in it: for keys whose signatures nobody dates or logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigstoreJs:
    """A verifier with its trust anchors.

    Attributes:
        keys: managed keys, PEM.
        logged, timestamps: how many log entries and signed times it wants.
    """

    home: Path
    trusted_root: Mapping[str, Any] = field(default_factory=lambda: NOBODY)
    keys: Sequence[bytes] = ()
    logged: int = 0
    timestamps: int = 0

    def verify(self, *bundles: bytes, identity: str = "", issuer: str = "") -> list[str]:
        """For every bundle the empty string, or why it is refused; one process for all.

        Args:
            identity: a regular expression for the subject alternative name.
        """
        case: dict[str, Any] = {"tlogThreshold": self.logged, "timestampThreshold": self.timestamps}
        if identity:
            case |= {"identity": identity, "issuer": issuer}
        request = {
            "trustedRoot": self.trusted_root,
            "keys": dict(_by_hint(pem) for pem in self.keys),
            "cases": [{**case, "bundle": json.loads(bundle)} for bundle in bundles],
        }
        outcomes = node("verify.mjs", request, home=self.home)
        assert len(outcomes) == len(bundles)
        return [str(outcome) for outcome in outcomes]


def _by_hint(pem: bytes) -> tuple[str, str]:
    """The key as sigstore-js finds it: by the hint that cosign gives it."""
    der = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyVerifier.load(pem).key_id, base64.b64encode(der).decode()

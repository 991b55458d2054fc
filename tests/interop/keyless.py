"""Keyless bundles of a Sigstore on loopback, made as `lamslsa publish` makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lamslsa.statement import Subject, make
from lamslsa.testing.sigstore import LocalSigstore, Rekor

EVALUATION = "https://lamslsa.dev/evaluation/v1"


def statement(sha256: str = "ab" * 32, predicate_type: str = EVALUATION) -> bytes:
    """A statement about one artifact, with a number in it that JavaScript only just holds."""
    return make([Subject(name="model", sha256=sha256)], predicate_type, {"count": 2**53 - 1})


def signed(sigstore: LocalSigstore, payload: bytes, *, token: str, rekor: Rekor = 1) -> bytes:
    """The bundle of a statement under a token's identity."""
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    config = ClientTrustConfig.from_json(sigstore.trust_config_json(rekor))
    with SigningContext.from_trust_config(config).signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(Statement(payload)).to_json().encode()


def altered(bundle: bytes, alter: Callable[[Any], object]) -> bytes:
    """The bundle after a change to its JSON."""
    value = json.loads(bundle)
    alter(value)
    return json.dumps(value).encode()

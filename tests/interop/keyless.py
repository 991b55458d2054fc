"""Bundles that a Sigstore on loopback took part in, made as `lamslsa publish` makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa.sign import KeySigner
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import parse_trust_config
from lamslsa.sign.keyless.services import open_services
from lamslsa.sign.keyless.session import open_session
from lamslsa.sign.keyless.tokens import parse_token
from lamslsa.sign.witnessed import WitnessedSigner
from lamslsa.statement import Subject, make
from lamslsa.testing.sigstore import LocalSigstore, Rekor

EVALUATION = "https://lamslsa.dev/evaluation/v1"


def statement(sha256: str = "ab" * 32, predicate_type: str = EVALUATION) -> bytes:
    """A statement about one artifact, with a number in it that JavaScript only just holds."""
    return make([Subject(name="model", sha256=sha256)], predicate_type, {"count": 2**53 - 1})


def signed(sigstore: LocalSigstore, payload: bytes, *, token: str, rekor: Rekor = 1) -> bytes:
    """The bundle of a statement under a token's identity."""
    config = parse_trust_config(sigstore.trust_config_json(rekor).encode())
    with open_session(
        config, parse_token(token), require_timestamp=True, consent=lambda: None, note=pytest.fail
    ) as signer:
        return signer.sign(payload)


def witnessed(sigstore: LocalSigstore, payload: bytes, *, signer: KeySigner, rekor: Rekor, log: bool = True) -> bytes:
    """The bundle of a managed key whose signature has a timestamp and, where asked for, an entry in the log."""
    config = parse_trust_config(sigstore.trust_config_json(rekor).encode())
    with open_services(config) as services:
        return WitnessedSigner(
            signer=signer,
            witnesses=services,
            root=SigstoreRoot.load(config.trusted_root),
            require_timestamp=True,
            require_log=log,
            consent=lambda: None,
        ).sign(payload)


def altered(bundle: bytes, alter: Callable[[Any], object]) -> bytes:
    """The bundle after a change to its JSON."""
    value = json.loads(bundle)
    alter(value)
    return json.dumps(value).encode()

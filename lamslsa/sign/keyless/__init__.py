"""Keyless signatures: identities in certificates of Sigstore, and the trusted roots that vouch for them.

The only package that imports Sigstore's client, and none of its modules does so before something has to be verified
or signed. To verify takes the terms and a root; the way to sign is read on first use:

    config = parse_trust_config(Path("trust-config.json").read_bytes())
    with open_session(config, token, require_timestamp=True, consent=ask, note=print) as signer:
        bundle = signer.sign(payload)
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any, Final

from lamslsa.sign.keyless.certificate import FulcioIdentity
from lamslsa.sign.keyless.root import Certified, SigstoreRoot
from lamslsa.sign.keyless.terms import KeylessTerms
from lamslsa.sign.keyless.verifier import KeylessVerifier

if TYPE_CHECKING:
    from lamslsa.sign.keyless.config import (
        TrustConfig,
        parse_trust_config,
        trust_config_from_tuf,
        trusted_root_from_tuf,
    )
    from lamslsa.sign.keyless.session import KeylessSigner, open_session
    from lamslsa.sign.keyless.tokens import Token, ambient_token, browser_token, parse_token

__all__ = [
    "Certified",
    "FulcioIdentity",
    "KeylessSigner",
    "KeylessTerms",
    "KeylessVerifier",
    "SigstoreRoot",
    "Token",
    "TrustConfig",
    "ambient_token",
    "browser_token",
    "open_session",
    "parse_token",
    "parse_trust_config",
    "trust_config_from_tuf",
    "trusted_root_from_tuf",
]

_LATER: Final = {
    **dict.fromkeys(("TrustConfig", "parse_trust_config", "trust_config_from_tuf", "trusted_root_from_tuf"), "config"),
    **dict.fromkeys(("KeylessSigner", "open_session"), "session"),
    **dict.fromkeys(("Token", "ambient_token", "browser_token", "parse_token"), "tokens"),
}

logging.getLogger("sigstore").addHandler(logging.NullHandler())  # what fails is raised or noted, not printed there


if not TYPE_CHECKING:  # where every name is imported, and another one is an error

    def __getattr__(name: str) -> Any:
        """A name for signing, from its module."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)

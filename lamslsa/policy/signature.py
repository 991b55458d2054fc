"""Signed policies: a statement about a policy with every file that it names, and who has to have signed it.

    subject        {name: the policy's, digest: {sha256: its closure}}
    predicateType  https://lamslsa.dev/policy/v1
    predicate      {policy: {digest: {sha256: the file's}}}

The signature lies beside the policy, as ``<policy>.sigstore.json``. It says whose policy this is; that a verifier goes
by it is decided on the verifier's command line, never by the policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lamslsa import statement
from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy.model import Policy
from lamslsa.sign import parse_bundle
from lamslsa.sign.dsse import BUNDLE_SUFFIX
from lamslsa.sign.interface import BundleVerifier, Signature

__all__ = ["MAX_SIGNATURE_BYTES", "PREDICATE_TYPE", "payload_of", "signature_path", "verify_signature"]

PREDICATE_TYPE: Final = "https://lamslsa.dev/policy/v1"
MAX_SIGNATURE_BYTES: Final = 1024 * 1024


def signature_path(policy: Path) -> Path:
    """Where the signature of a policy lies.

    >>> signature_path(Path("policies/census.yaml")).as_posix()
    'policies/census.yaml.sigstore.json'
    """
    return policy.with_name(f"{policy.name}{BUNDLE_SUFFIX}")


def payload_of(policy: Policy) -> bytes:
    """The statement that is to be signed; the same for the same policy."""
    return statement.make(
        [statement.Subject(name=policy.name, sha256=policy.closure)],
        PREDICATE_TYPE,
        {"policy": {"digest": {"sha256": policy.sha256}}},
    )


def verify_signature(policy: Policy, bundle: bytes, verifier: BundleVerifier) -> Signature:
    """Whose policy this is.

    1. The bundle has a signature that the verifier accepts.
    2. What was signed is a statement about a policy.
    3. It is about this policy with the files that it names now.

    Args:
        policy: as it was read.
        bundle: the bytes of its signature.
        verifier: of the identity that has to have signed.

    Raises:
        FormatError: no bundle, or no statement in it.
        VerificationError: signed by somebody else, or about something else.
    """
    envelope = parse_bundle(bundle)
    signature = verifier.verify(envelope)  # (1)
    try:
        signed = statement.parse(envelope.payload)
    except FormatError as err:
        raise FormatError(f"expected a statement about a policy: {err}", reason="policy-signature") from err
    if signed.predicate_type != PREDICATE_TYPE or len(signed.subjects) != 1:  # (2)
        raise VerificationError(
            f"expected a signature of a policy, got one of a statement of type {signed.predicate_type[:120]!r}",
            reason="policy-signature-other",
        )
    if signed.subjects[0].sha256 != policy.closure:  # (3)
        raise VerificationError(
            f"expected a signature of {policy.name} with its files (sha256:{policy.closure}), got one of "
            f"sha256:{signed.subjects[0].sha256}",
            reason="policy-signature-other",
            hint="get the policy and the files that it names again from whoever signed them",
        )
    return signature

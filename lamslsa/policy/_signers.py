"""Whether one signature is good enough for a rule that names its identity."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from lamslsa.evidence.appraise import Refusal
from lamslsa.policy.model import Policy
from lamslsa.verification import VerifiedSignature

__all__ = ["dated", "refusals_of_signature"]


def refusals_of_signature(
    policy: Policy, signed: VerifiedSignature, signatures: Iterable[VerifiedSignature]
) -> tuple[Refusal, ...]:
    """Why an authentic signature does not count: its credential, what dates it, or that it is another role's too.

    Args:
        policy: with the identity's terms.
        signed: the signature.
        signatures: all on the same statement. Keys are never shared, but terms on certificates may overlap, and then
            one certificate would be several roles.
    """
    name = signed.identity
    own = policy.refusals_of(signed.signature, name=name)
    others = {
        other.identity
        for other in signatures
        if (other.bundle, other.source) == (signed.bundle, signed.source) and other.identity != name
    }
    shared = sorted(others & policy.signers)
    if not shared:
        return own
    return (
        *own,
        Refusal(
            reason="signer-ambiguous",
            message=f"expected a signature of {name} alone, got one that is also of {', '.join(shared)}",
            mend="narrow the terms of the keyless identities in the policy: workflow, ref, identity",
        ),
    )


def dated(policy: Policy, signatures: Sequence[VerifiedSignature], name: str) -> dt.datetime | None:
    """The earliest trusted time of the signatures of one identity that count; None where nothing dates any of them."""
    times = [
        policy.dates(name, signed.signature)
        for signed in signatures
        if signed.identity == name and not refusals_of_signature(policy, signed, signatures)
    ]
    return min((at for at in times if at is not None), default=None)

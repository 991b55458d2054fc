"""From bundles to a verdict: verified under the policy and under each policy within it, then appraised.

The one way to a verdict, for the command line and for programs; what is read from disks, registries and clocks is read
by whoever calls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import PolicyError
from lamslsa.evidence.verify import Challenge
from lamslsa.policy import Appraisal, Policy, appraise
from lamslsa.store import StoredBundle
from lamslsa.verification import Verification, verify_bundles

__all__ = ["decide"]


def decide(
    policy: Policy,
    *,
    model: Manifest,
    model_name: str,
    bundles: Iterable[StoredBundle],
    at: dt.datetime,
    now: dt.datetime,
    held: Sequence[bytes] = (),
    carried: Sequence[bytes] = (),
    challenge: Challenge | None = None,
    explain: frozenset[str] = frozenset(),
) -> Appraisal:
    """Whether a policy accepts a model.

    1. Verify the bundles under the policy's own trust material.
    2. Verify them once more under that of each policy within it: those that it extends, and those of base models. One
       that is not in force vouches for nothing, which the appraisal says.
    3. Appraise.

    Args:
        policy: what decides.
        model: the manifest of the files at hand.
        model_name: what to call the model; a label.
        bundles: everything that was published about the model and what it is made of, in any order.
        at: expiry is judged as of this time where no trusted time dates the evidence.
        now: revocation, age and the policy itself are judged as of this time.
        held: endorsements that the verifier holds.
        carried: endorsements that came with the attestations.
        challenge: the nonce that evidence has to answer to be as young as the challenge.
        explain: names of rules whose candidates are kept, in `Appraisal.considered`.

    Raises:
        PolicyError: the policy is not in force.
        FormatError: the manifest is that of a dataset.
    """
    found = tuple(bundles)

    def verified(one: Policy) -> Verification:
        return verify_bundles(
            found, one.trust_material(at=at, now=now, held=held, carried=carried, challenge=challenge)
        )

    outer = verified(policy)  # (1)
    within: dict[str, Verification] = {}
    for one in policy.within:  # (2)
        try:
            within[one.closure] = verified(one)
        except PolicyError:
            continue
    return appraise(  # (3)
        policy,
        model=model,
        model_name=model_name,
        verification=outer,
        at=at,
        within=within,
        explain=explain,
    )

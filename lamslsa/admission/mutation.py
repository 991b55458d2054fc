"""What ``/mutate`` answers: a Pod with verifiers in it, as a JSON Patch (RFC 6902) of what it was.

Rules:
- Only a Pod that is made is changed. Containers cannot be added later; an update is judged at ``/admit``.
- Each list that changes is put in place as a whole, so that no name of the user stands in a pointer and no index can be
  off by one.
- What cannot be guarded is refused here already; ``/admit`` refuses it as well.

Spec: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamslsa import _codec
from lamslsa.admission.guard import guarded, unverified
from lamslsa.admission.reach import CONTAINERS
from lamslsa.admission.review import Review, answer
from lamslsa.admission.verifier import Held, Verifier

__all__ = ["answer_patch", "mutated", "patch"]


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The operations that make one spec of a Pod another; what is there already is replaced by ``add``."""
    return [
        {"op": "add", "path": f"/spec/{name}", "value": after[name]}
        for name in ("volumes", *CONTAINERS)
        if (after.get(name) or []) != (before.get(name) or [])
    ]


def mutated(review: Review, held: Held) -> Sequence[dict[str, Any]]:
    """The operations that an object needs; none where it needs none, or is none that is changed here.

    Raises:
        LamslsaError: it cannot be guarded, or nobody can verify.
    """
    if review.refused is not None or review.pod is None or review.operation != "CREATE" or held.verifier is None:
        return ()
    if isinstance(held.verifier, Verifier):
        return patch(review.pod, guarded(review.pod, held.verifier))
    if unverified(review.pod):
        raise held.verifier
    return ()


def answer_patch(review: Review, operations: Sequence[Mapping[str, Any]], *, policy: str) -> dict[str, Any]:
    """The AdmissionReview that goes back with operations, or without.

    Args:
        review: what was asked.
        operations: of the JSON Patch.
        policy: the digest of the policy, for the audit log.
    """
    document = answer(review, [], policy=policy)
    response = document["response"]
    response["auditAnnotations"] = {"policy": policy, "patched": "yes" if operations else "no"}
    if operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = _codec.encode_base64(_codec.dumps(list(operations)))
    return document

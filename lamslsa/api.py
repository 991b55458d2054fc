"""The library: what ``lamslsa verify`` decides, for programs.

    from lamslsa import verify, load_verified

    appraisal = verify("./model", "policy.yaml")
    if appraisal.accepted: …

    weights = load_verified("./model", "policy.yaml")

Nothing here asks the network but for a model, for attestations or for a policy whose reference names a place on it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from lamslsa._files import read_regular
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES, VerifiedArtifact, read_verified
from lamslsa.decision import decide
from lamslsa.errors import FormatError, PolicyError, VerificationError
from lamslsa.evidence.verify import Challenge
from lamslsa.policy import Appraisal, Policy
from lamslsa.policy.opening import open_policy
from lamslsa.store import open_artifact_store, open_store

if TYPE_CHECKING:
    from lamslsa.artifact.manifest import Manifest
    from lamslsa.policy.sources import Fetch
    from lamslsa.sign.keyless import SigstoreRoot
    from lamslsa.store import ArtifactStore, Store
    from lamslsa.store.oci import Options

__all__ = ["How", "load_verified", "verify"]

_MAX_COLLATERAL: Final = 16 * 1024 * 1024
_SUFFIX: Final = ".safetensors"


class How(TypedDict, total=False):
    """What a verdict may depend on beside model and policy; each can be left out.

    Attributes:
        attestations: stores of attestations; those beside the model where none is named.
        at: expiry is judged as of this time where no trusted time dates the evidence; ``now`` without it.
        now: revocation, age and the policy itself are judged as of this time; without it the clock's.
        collateral: files with what manufacturers say of platforms today.
        challenge: the nonce that evidence has to answer. Whether it was used before, the caller has to know.
        trusted_root: of Sigstore, where the policy names none; without it the embedded one.
        fetch: gets pinned policies from elsewhere; without it they have to be at hand.
        registry: how a registry is reached.
    """

    attestations: Sequence[str | Path]
    at: dt.datetime
    now: dt.datetime
    collateral: Sequence[Path]
    challenge: Challenge
    trusted_root: SigstoreRoot
    fetch: Fetch
    registry: Options


def verify(model: str | Path, policy: str | Path | Policy, **how: Unpack[How]) -> Appraisal:
    """Appraise a model and its attestations under a policy.

    Args:
        model: a folder or file, ``oci://HOST/REPO@sha256:…``, ``oci-layout:PATH`` or ``hub:PATH``.
        policy: its file, a pinned place, or what was read from one.
        how: see `How`.

    Returns:
        The appraisal, which says with `Appraisal.accepted` whether the model may be deployed. It has no truth value.

    Raises:
        FormatError: the policy or the model cannot be read.
        PolicyError: the policy is not in force.
        UnavailableError: a registry cannot be reached.
    """
    with ExitStack() as stack:
        store = open_artifact_store(str(model), options=how.get("registry"))
        _close_after(stack, store)
        return _decided(policy, store.manifest(), store, stack, how)


def load_verified(
    path: str | Path, policy: str | Path | Policy, *, max_bytes: int = DEFAULT_MAX_BYTES, **how: Unpack[How]
) -> dict[str, Any]:
    """The weights of a model, if a policy accepts it: read from the very bytes that were appraised.

    The files are copied into sealed memory once; the digest is that of the copy, and so are the weights. What lies on
    the disk afterwards makes no difference. It is every tensor of the model's files, also such as no evaluation has
    read: which ones a network uses is said by its architecture.

    Args:
        path: a folder or file on this machine, with weights in safetensors.
        policy: its file, a pinned place, or what was read from one.
        max_bytes: the most bytes that all files together may have.
        how: see `How`.

    Returns:
        Name to ``torch.Tensor``, of every ``*.safetensors`` of the model together.

    Raises:
        PolicyError: the policy refuses the model (model-refused), or is not in force.
        VerificationError: a rule has nothing authentic to go by (model-refused).
        FormatError: the policy or the model cannot be read, has no safetensors, or one name twice in them.
    """
    with read_verified(Path(path), "model", max_bytes=max_bytes) as artifact, ExitStack() as stack:
        store = open_artifact_store(str(path))
        _refuse(_decided(policy, artifact.manifest, store, stack, how))
        return _weights(artifact)


def _decided(
    policy: str | Path | Policy, manifest: Manifest, store: ArtifactStore, stack: ExitStack, how: How
) -> Appraisal:
    root = how.get("trusted_root")
    if not isinstance(policy, Policy):
        policy = open_policy(str(policy), fetch=how.get("fetch"), trusted_root=root).policy
    stores: list[Store] = [open_store(str(one), options=how.get("registry")) for one in how.get("attestations", ())]
    for one in stores:
        _close_after(stack, one)
    now = how.get("now") or dt.datetime.now(dt.UTC).replace(microsecond=0)
    return decide(
        policy,
        model=manifest,
        model_name=_name(store.reference),
        bundles=[bundle for one in (stores or [store]) for bundle in one.bundles()],
        at=how.get("at") or now,
        now=now,
        held=[read_regular(file, what="collateral", limit=_MAX_COLLATERAL) for file in how.get("collateral", ())],
        challenge=how.get("challenge"),
    )


def _close_after(stack: ExitStack, store: Store) -> None:
    """Close the connections of a store, if it has any, at the end."""
    close = getattr(store, "close", None)
    if close is not None:
        stack.callback(close)


def _name(reference: str) -> str:
    return reference.partition("@")[0].rstrip("/").rpartition("/")[2].partition(":")[0] or reference


def _refuse(appraisal: Appraisal) -> None:
    if appraisal.accepted:
        return
    refused = [rule for rule in appraisal.rules if rule.outcome != "satisfied"]
    said = "; ".join(f"{rule.name} [{rule.reason}]: {rule.message}" for rule in refused[:3])
    more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
    kind = VerificationError if appraisal.exit_code == VerificationError.exit_code else PolicyError
    raise kind(
        f"expected a model that {appraisal.policy_name} accepts, got {said}{more}",
        reason="model-refused",
        hint="lamslsa verify shows every rule",
    )


def _weights(artifact: VerifiedArtifact) -> dict[str, Any]:
    import safetensors.torch

    found: dict[str, Any] = {}
    files = [entry for entry in artifact.manifest.files if entry.path.endswith(_SUFFIX)]
    if not files:
        raise FormatError(f"expected a file *{_SUFFIX} in the model, got none", reason="weights-missing")
    for entry in files:
        with artifact.file(entry.path).open() as stream:
            tensors: Mapping[str, Any] = safetensors.torch.load(stream.read())
        if twice := found.keys() & tensors.keys():
            raise FormatError(
                f"expected each tensor in one file, got {min(twice)[:120]!r} in two", reason="weights-twice"
            )
        found.update(tensors)
    return found

"""One model judged: its manifest and what is attached to it, out of its registry, and the verdict of the policy.

Of the model no file is read: the digest is what was judged, and the runtime is held to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from lamslsa.admission.references import name_of
from lamslsa.admission.verdicts import Verdict
from lamslsa.decision import decide
from lamslsa.errors import LamslsaError, UnavailableError
from lamslsa.policy import Policy
from lamslsa.store.oci import OciStore, Options, Reference

__all__ = ["RegistryJudge"]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryJudge:
    """Judges a model by what is attached to it in its registry.

    Attributes:
        options: how registries are reached.
        held: the endorsements that the verifier holds, as of now.
        clock: the time as of which is judged.
    """

    options: Options
    held: Callable[[], tuple[bytes, ...]] = tuple
    clock: Callable[[], dt.datetime] = field(default=_now)

    def __call__(self, model: Reference, policy: Policy) -> Verdict:
        """The verdict; a refusal is not final where an attestation could not be read.

        Raises:
            FormatError: there is no model of this digest.
            PolicyError: the policy is not in force.
            UnavailableError: the registry cannot be reached.
        """
        now = self.clock()
        policy.refuse_out_of_force(now, now)
        with OciStore(str(model), self.options) as store:
            manifest = store.manifest()
            bundles = tuple(store.bundles())
        appraisal = decide(
            policy,
            model=manifest,
            model_name=name_of(model),
            bundles=bundles,
            at=now,
            now=now,
            held=self.held(),
        )
        verdict = Verdict.of(appraisal)
        lost = [bundle.data for bundle in bundles if isinstance(bundle.data, UnavailableError)]
        if lost and not verdict.accepted:
            return Verdict.refused(_unread(lost[0], len(lost)))
        return verdict


def _unread(error: LamslsaError, number: int) -> UnavailableError:
    return UnavailableError(
        f"expected to read every attestation of a model that is refused without, got {number} unread: {error}",
        reason="admission-unread",
        hint="try again",
    )

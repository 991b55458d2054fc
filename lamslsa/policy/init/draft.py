"""From verified attestations to the text of a policy that accepts what it was made from.

1. Read back the trust that the user asked for, and verify the bundles under it.
2. Find what says how the model came to be, what its data are, and what was measured.
3. Write the policy; load it, verify the bundles anew under it, and appraise the model.
4. Take out rules that refuse the very model, with a word on why, and do 3 again. A refusal of anything else ends it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import VerificationError
from lamslsa.policy._files import Read
from lamslsa.policy.appraisal import Appraisal
from lamslsa.policy.engine import appraise
from lamslsa.policy.init._found import Found
from lamslsa.policy.init._text import Text
from lamslsa.policy.init.trust import Trust, TrustWanted
from lamslsa.policy.load import load_policy
from lamslsa.policy.model import Policy
from lamslsa.store import StoredBundle
from lamslsa.verification import TrustMaterial, Verification, verify_bundles

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["Draft", "DraftedPolicy"]

_SOURCE: Final = "the policy that was drafted"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedPolicy:
    """A policy that accepts the model it was made from.

    Attributes:
        left_out: what was measured and is no rule, and why.
    """

    text: str
    policy: Policy
    appraisal: Appraisal
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a policy is to be made from.

    Attributes:
        name: of the policy, a label.
        model: the manifest of the files at hand.
        model_name: what to call the model; a label.
        margin: how far limits are from what was measured (`lamslsa.policy.init._limits`).
        read: reads what the policy is going to name, by path; ``directory`` is what those are relative to.
        root: of Sigstore, where the policy names none.
        at: as of when the expiry of what no trusted time dates is judged.
        now: as of when everything else is.
        held: endorsements that the user holds.
    """

    name: str
    model: Manifest
    model_name: str
    bundles: Sequence[StoredBundle]
    trust: TrustWanted
    expires: dt.datetime
    margin: float
    read: Read
    directory: Path
    root: SigstoreRoot
    at: dt.datetime
    now: dt.datetime
    held: tuple[bytes, ...] = ()

    def write(self) -> DraftedPolicy:
        """The policy.

        Raises:
            VerificationError: nothing verifies that a policy could be made from.
            PolicyError: the model cannot be accepted under any policy of this kind; the message says what refuses.
            FormatError: a name, file or term is not what it should be.
        """
        trust = Trust.of(self.trust, read=self.read, directory=self.directory, root=self.root)  # (1)
        verification = verify_bundles(
            self.bundles,
            TrustMaterial(identities=trust.identities, at=self.at, now=self.now, dates=_dates(trust), held=self.held),
        )
        found = Found.of(  # (2)
            verification, trust, model=self.model.sha256, now=self.now, without=self.trust.release_signers
        )
        text = Text(
            name=self.name,
            model=f"{self.model_name} (sha256:{self.model.sha256})",
            expires=self.expires,
            margin=self.margin,
            trust=self.trust,
            found=found,
            signed_by=_signed_by(verification, self.trust),
        )
        _refuse_nothing(text, verification)
        while True:
            policy, appraisal = self._appraised(text.write())  # (3)
            if appraisal.accepted:
                return DraftedPolicy(
                    text=text.write(), policy=policy, appraisal=appraisal, left_out=tuple(text.rules.left_out)
                )
            text.take_out(appraisal)  # (4)
            _refuse_nothing(text, verification)

    def _appraised(self, text: str) -> tuple[Policy, Appraisal]:
        policy = load_policy(
            text.encode(), source=_SOURCE, directory=self.directory, read=self.read, trusted_root=self.root
        )
        material = policy.trust_material(at=self.at, now=self.now, held=self.held)
        appraisal = appraise(
            policy,
            model=self.model,
            model_name=self.model_name,
            verification=verify_bundles(self.bundles, material),
            at=self.at,
        )
        return policy, appraisal


def _dates(trust: Trust) -> Any:
    return lambda name, signature: trust.identities[name].dates(signature, name=name)


def _signed_by(verification: Verification, wanted: TrustWanted) -> str | None:
    """Who signed a list of files that may be the model's; whether it is, the appraisal says."""
    names = {signed.identity for item in verification.model_signatures for signed in item.signatures}
    return min(names - wanted.release_signers, default=None)


def _refuse_nothing(text: Text, verification: Verification) -> None:
    """Return if there is something to write a policy from.

    Raises:
        VerificationError: there is not.
    """
    found = text.found
    bare = [item.name for item in found.readings if found.sheet(item.artifact.sha256, item.schema) is None]
    what = "a provenance of the model" if not found.steps else "an evaluation of it or an overlap of its data"
    if bare:
        what = f"a datasheet of {bare[0][:80]!r}, which it was made of, as it was read,"
    elif found.steps and text.rules.drafts:
        return
    why = [f"bundles that are not authentic: {verification.set_aside[0].message}"] if verification.set_aside else []
    why = [*(text.rules.left_out[:1] if found.steps and not bare else ()), *found.refused[:1], *why]
    count = len(verification.attestations)
    raise VerificationError(
        f"expected {what} that verifies under the identities and the platform given, got none"
        f" among {count} attestations that are authentic{''.join(f'; {item}' for item in why)}",
        reason="policy-init-nothing",
        hint="name every signer with --identity, and the platform with its roots and reference values",
    )

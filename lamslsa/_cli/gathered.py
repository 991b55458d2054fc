"""Everything that a verdict rests on, however it was gathered, and the verdict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import click

from lamslsa import archive
from lamslsa._cli import ui
from lamslsa._cli.challenge import ChallengeFile
from lamslsa.artifact.manifest import Manifest
from lamslsa.decision import decide
from lamslsa.policy import Appraisal, Policy
from lamslsa.reports.explanation import rule_names
from lamslsa.store import StoredBundle

__all__ = ["Gathered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that a verdict rests on, read and not yet verified.

    Attributes:
        policy_bytes: of the policy file, and ``policy_files`` of those that it names.
        trusted_root: of Sigstore; None where the embedded one is used.
        held: endorsements that the relying party names; ``carried`` are those of an archive.
        files_read: whether the model's files were read, or its manifest alone.
        origin: the archive that all of it came from; None where it did not.
        own_policy: whether the relying party named the policy; an archive's own is the choice of whoever made it.
        as_exported: whether the time is the one that the archive states.
    """

    policy: Policy
    policy_bytes: bytes
    policy_files: dict[str, bytes]
    manifest: Manifest
    model_name: str
    bundles: tuple[StoredBundle, ...]
    trusted_root: bytes | None
    held: tuple[bytes, ...]
    at: dt.datetime
    now: dt.datetime
    carried: tuple[bytes, ...] = ()
    files_read: bool = True
    challenge: ChallengeFile | None = None
    origin: archive.Archive | None = None
    own_policy: bool = True
    as_exported: bool = False

    def appraise(self, explain: Sequence[str] = ()) -> Appraisal:
        """Verify the bundles and appraise the model under the policy; an acceptance uses up the challenge.

        Args:
            explain: names of rules whose candidates are to be kept.

        Raises:
            PolicyError: the policy has expired.
            VerificationError: the challenge has been used.
            click.UsageError: there is no such rule.
        """
        appraisal = decide(
            self.policy,
            model=self.manifest,
            model_name=self.model_name,
            bundles=self.bundles,
            at=self.at,
            now=self.now,
            held=self.held,
            carried=self.carried,
            challenge=None if self.challenge is None else self.challenge.challenge,
            explain=frozenset(explain),
        )
        for name in explain:
            _refuse_unknown(name, appraisal)
        if self.challenge is not None and appraisal.accepted:
            self.challenge.use(now=self.now, model=appraisal.model)
        return replace(appraisal, warnings=(*self._warnings(), *appraisal.warnings))

    def _warnings(self) -> Iterator[str]:
        """What a reader of the verdict has to know about an archive."""
        if self.origin is None:
            return
        yield f"judged from an archive, sha256:{self.origin.sha256}: no byte of the model was seen"
        if not self.own_policy:
            yield "policy, keys and roots are those of the archive, chosen by whoever made it; --policy names your own"
        if self.as_exported:
            yield f"judged as of {self.now:%Y-%m-%dT%H:%M:%SZ}, which the archive states; nothing later is known"


def _refuse_unknown(name: str, appraisal: Appraisal) -> None:
    names = rule_names(appraisal, like=name)
    if name not in names:
        known = ", ".join(ui.plain(each) for each in names)
        raise click.UsageError(f"expected a rule to explain, got {ui.plain(name)[:200]!r}; the nearest first: {known}")

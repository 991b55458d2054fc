"""What a policy says, once read: who may sign, from which TEE, what a model may be made of, and what must hold.

Rules:
- Every rule names its witness, a signer and a platform; there are no defaults.
- Names are labels: artifacts are compared by digest, identities by key.
- A configuration that the file leaves out is the measurer's default, resolved to its digest when the file is read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from lamslsa.errors import FormatError, PolicyError
from lamslsa.evidence.appraise import PlatformTerms, Refusal
from lamslsa.evidence.verify import BeaconVerifier, Challenge
from lamslsa.policy.identities import Identity
from lamslsa.sign.interface import Signature
from lamslsa.verification import TrustMaterial

__all__ = [
    "CelRule",
    "CodeTerms",
    "Comparison",
    "DatasetTerms",
    "Deny",
    "Ingredients",
    "MetricRule",
    "ModelTerms",
    "OverlapRule",
    "PackageTerms",
    "ParameterTerms",
    "Policy",
    "PreparationTerms",
    "ReferenceTerms",
    "Rule",
    "SummaryTerms",
    "TrainingTerms",
    "TransformTerms",
    "Use",
    "Witness",
]

Use = Literal["lowerBound", "value", "upperBound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Whose word counts: an identity that must have signed, and a platform whose quote must cover the statement.

    Attributes:
        max_age: how old the quote may be; None where that is not asked.
    """

    signed_by: str
    platform: str
    max_age: dt.timedelta | None = None

    def __str__(self) -> str:
        return f"signed by {self.signed_by} on {self.platform}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationTerms:
    """Whose preprocessing counts, and which; what it read has to be among the listed datasets.

    Attributes:
        allow: ``<name>/<version>`` of each transform that may have made the dataset; never empty.
    """

    witness: Witness
    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetTerms:
    """A dataset, and whose datasheet says how its bytes become rows.

    Attributes:
        sha256: manifest digest, hexadecimal.
        schema: the only schema digest that a datasheet may have; None leaves the schema to whoever signs the datasheet.
        signed_by: who must have signed the dataset's files as a whole; None where that is not asked.
        license: the licence under which it counts, an SPDX expression; None for the one that its datasheet declares.
        preparation: how it must have been made out of other datasets; None where that is not asked.
    """

    name: str
    sha256: str
    datasheet: Witness
    schema: str | None = None
    signed_by: str | None = None
    license: str | None = None
    preparation: PreparationTerms | None = None

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.sha256[:12]})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryTerms:
    """A verification summary (SLSA VSA) that stands for the appraisal of a base model.

    Attributes:
        signed_by: the identity of the verifier that must have signed it.
        verifier: the ``verifier.id`` that it must state.
        policies: SHA-256 of the policies (`Policy.closure`) one of which it must have been made under; never empty.
        max_age: how long ago, by a trusted time of its signature, it may have been made.
    """

    signed_by: str
    verifier: str
    policies: tuple[str, ...]
    max_age: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTerms:
    """A base model, by digest, and what else is asked of it.

    Attributes:
        sha256: manifest digest, hexadecimal.
        license: the licence under which it counts, an SPDX expression; None where licences are not asked for.
        signed_by: who must have signed its files as a whole; None where that is not asked.
        policy: the policy that must accept it; None where the digest, or a summary, is enough.
        summary: the summary that will do; None where that is not asked.
    """

    name: str
    sha256: str
    license: str | None = None
    signed_by: str | None = None
    policy: Policy | None = None
    summary: SummaryTerms | None = None

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.sha256[:12]})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTerms:
    """Code that a training or transform may name among its dependencies, by digest."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTerms:
    """A package that a training or transform may name.

    Attributes:
        purl: package URL without version.
        versions: PEP 440 specifier, in its normal form; None for any version.
        sha256: of its RECORD, the only ones allowed; empty where the digest is not asked for.
    """

    purl: str
    versions: str | None = None
    sha256: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What a model may be made of. Each list is complete: what it does not name is a refusal.

    Attributes:
        code, packages: None where the policy leaves them to the measurement of the platform that vouches for the build.
        licenses: SPDX identifiers, with their exceptions (``GPL-2.0-only WITH Classpath-exception-2.0``), by which the
            licence of every dataset and base model must be satisfied; None where licences are not asked for.
    """

    datasets: tuple[DatasetTerms, ...]
    models: tuple[ModelTerms, ...] = ()
    code: tuple[CodeTerms, ...] | None = None
    packages: tuple[PackageTerms, ...] | None = None
    licenses: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTerms:
    """A further input of an evaluation: a baseline model, or a dataset of the ingredients.

    Attributes:
        sha256: manifest digest, hexadecimal.
        dataset: how a dataset may have been read; None of a model.
    """

    sha256: str
    dataset: DatasetTerms | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTerms:
    """Limits on one parameter of the training.

    Attributes:
        equals: RFC 8785 form of the only value allowed; excludes the limits.
    """

    name: str
    minimum: float | None
    maximum: float | None
    equals: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTerms:
    """Whose provenance counts, and with which parameters.

    Attributes:
        own_code: digest of the only training code of a user's own that counts, hexadecimal; then no declarative
            training does. None where only declarative training counts.
    """

    witness: Witness
    parameters: tuple[ParameterTerms, ...]
    own_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformTerms:
    """Whose transforms count, and which.

    Attributes:
        allow: ``<name>/<version>`` of each transform that may lie between training and model; never empty.
    """

    witness: Witness
    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The same metric of another model, against which a value is held.

    Attributes:
        sha256: manifest digest of the other model, hexadecimal.
        margin: by how much the value may be worse; never negative.
        higher_is_better: which way is worse.
    """

    sha256: str
    margin: float
    higher_is_better: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """A metric of the model on one dataset, by one measurer under one configuration.

    Attributes:
        configuration: SHA-256 over the RFC 8785 form of the measurer's configuration.
        use: which end of the confidence interval is compared, or the value itself.
        samples: the least number of rows behind the value.
        parameters: what tells metrics of one name apart, exactly as in the evaluation.
        references: role to the only artifact that the evaluation may have read in it; no other role may occur.
        no_worse_than: another model's value, instead of or beside ``minimum`` and ``maximum``.
        plan_signed_by: who must have signed, in trusted time and before the evaluation, the plan that it names.
        every: every evaluation that qualifies must satisfy the rule, and there must be one. Not monotonic.
        latest: only the evaluation whose signature has the latest trusted time counts. Not monotonic.
    """

    name: str
    metric: str
    groups: tuple[str, ...]
    slice: Mapping[str, str] | None
    dataset: DatasetTerms
    measurer: str
    configuration: str
    minimum: float | None
    maximum: float | None
    use: Use
    samples: int
    witness: Witness
    parameters: Mapping[str, str | int | float | bool] | None = None
    references: Mapping[str, ReferenceTerms] = field(default_factory=dict)
    no_worse_than: Comparison | None = None
    plan_signed_by: str | None = None
    every: bool = False
    latest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRule:
    """At most ``maximum`` rows of ``dataset`` may occur in ``training``.

    Attributes:
        columns: exactly the columns that are compared; None for those that training read.
    """

    name: str
    training: DatasetTerms
    dataset: DatasetTerms
    measurer: str
    maximum: int
    witness: Witness
    columns: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CelRule:
    """An expression over the model, its lineage and the attestations that have the rule's witness.

    Attributes:
        expression: compiled and type-checked when the policy was read.
        parameters: what it sees as ``params``.
    """

    name: str
    expression: str
    witness: Witness
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)


Rule = MetricRule | OverlapRule | CelRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """What is refused whatever else accepts it; all hexadecimal.

    Attributes:
        artifacts: manifest digests; a model that is one, or is made of one in any step, is refused.
        attestations: statement digests; as if they were not there.
        measurements: of enclaves; evidence of one counts for nothing.
        keys: SHA-256 of public keys (DER SubjectPublicKeyInfo); signatures by one count for nothing.
    """

    artifacts: frozenset[str] = frozenset()
    attestations: frozenset[str] = frozenset()
    measurements: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()

    def __or__(self, other: Deny) -> Deny:
        """What either denies: a policy that is appraised for another one denies what that one does as well."""
        return Deny(
            artifacts=self.artifacts | other.artifacts,
            attestations=self.attestations | other.attestations,
            measurements=self.measurements | other.measurements,
            keys=self.keys | other.keys,
        )


@dataclass(frozen=True, kw_only=True)
class Policy:
    """An ingredients list with its rules.

    Attributes:
        sha256: of the policy file's bytes.
        closure: SHA-256 over the RFC 8785 form of ``{"policy": sha256, "files": {path: sha256}}``, with every file that
            the policy names: keys and roots decide as much as the text does. Where it names policies, also
            ``"policies": {name: closure}``.
        expires: from then on nothing is accepted; None where the policy does not end.
        effective_from: before it nothing is accepted; None where the policy has no beginning.
        ingredients: complete; an ingredient of the model that is not listed here is a refusal.
        extends: policies that must accept the model too.
        deny: beats everything.
        refuse_conflicts: whether qualifying provenances that tell different stories are a refusal, and not a warning.
        verify_in_pod: whether this policy lets a cluster verify models that no digest holds in their Pods; what counts
            is `admits_elsewhere`.
        beacons: whose beacons bound the age of evidence.
        manifests: what the measurements of GPUs are compared with.
        transforms: what may lie between training and model, each step under one of them; empty where the model must be
            as it was trained.
        model_signed_by: who must have signed the model's files as a whole; None where that is not asked.
        reference_signatures: on the reference values, each with the policy's name of who signed.
    """

    name: str
    sha256: str
    closure: str
    expires: dt.datetime | None
    identities: Mapping[str, Identity]
    platforms: Mapping[str, PlatformTerms]
    ingredients: Ingredients
    training: TrainingTerms
    require: tuple[Rule, ...]
    effective_from: dt.datetime | None = None
    extends: tuple[Policy, ...] = ()
    deny: Deny = field(default_factory=Deny)
    refuse_conflicts: bool = False
    verify_in_pod: bool = False
    transforms: tuple[TransformTerms, ...] = ()
    beacons: tuple[BeaconVerifier, ...] = ()
    manifests: tuple[bytes, ...] = ()
    model_signed_by: str | None = None
    reference_signatures: tuple[tuple[str, Signature], ...] = ()

    def __post_init__(self) -> None:
        if not (self.ingredients.datasets and self.require):
            raise FormatError("expected ingredients and rules in the policy, got none", reason="policy-empty")

    @property
    def admits_elsewhere(self) -> bool:
        """Whether models that no digest holds are verified in their Pods: this policy and all it extends say so."""
        return self.verify_in_pod and all(policy.admits_elsewhere for policy in self.extends)

    def refuse_out_of_force(self, *times: dt.datetime) -> None:
        """Return if the policy is in force at every one of these times.

        Raises:
            PolicyError: it had not begun, or it has expired.
        """
        for at in sorted(times):
            if at.tzinfo is None:
                raise ValueError("expected a timezone-aware time, got a naive one")
            if self.effective_from is not None and at < self.effective_from:
                raise PolicyError(
                    f"expected a policy in force at {at.isoformat()}, "
                    f"got one that begins at {self.effective_from.isoformat()}",
                    reason="policy-not-yet",
                    hint="ask the policy's publisher for the current one",
                )
            if self.expires is not None and at >= self.expires:
                raise PolicyError(
                    f"expected a policy in force at {at.isoformat()}, "
                    f"got one that expired at {self.expires.isoformat()}",
                    reason="policy-expired",
                    hint="ask the policy's publisher for the current one",
                )

    def refusals_of(self, signature: Signature, *, name: str) -> tuple[Refusal, ...]:
        """Why an authentic signature of an identity counts for nothing: its key is denied, or its credential not good.

        Raises:
            TypeError: not a signature that the identity verified.
        """
        own = self.identities[name].refusals(signature, name=name)
        if not signature.made_by(self.deny.keys):
            return own
        key = f"key {signature.key_sha256}" if signature.key_sha256 else "a key that nothing tells"
        denied = Refusal(
            reason="signer-denied",
            message=f"expected a signature of {name} by no key that the policy denies, got one by {key}",
            mend=f"have {name} sign with another credential, or take the key off the list after review",
        )
        return (denied, *own)

    def refuse_reference_values(self) -> None:
        """Return if every signature on the policy's reference values counts: made in time, dated and logged as asked.

        Raises:
            PolicyError: one does not.
        """
        for name, signature in self.reference_signatures:
            for refusal in self.refusals_of(signature, name=name):
                raise PolicyError(f"{refusal.message}, on reference values", reason=refusal.reason, hint=refusal.mend)

    @cached_property
    def within(self) -> tuple[Policy, ...]:
        """Every policy within this one, to any depth, once by closure: those it extends, and those of base models.

        Each denies what those around it deny as well, in verification too: keys that sign its evidence and its
        reference values.
        """
        found: dict[str, Policy] = {}
        waiting = [(inner, self.deny) for inner in self.named]
        while waiting:
            policy, around = waiting.pop()
            known = found.get(policy.closure)
            deny = policy.deny | around if known is None else known.deny | around
            if known is None or deny != known.deny:
                found[policy.closure] = replace(policy, deny=deny)
                waiting += [(inner, deny) for inner in policy.named]
        return tuple(found.values())

    @property
    def named(self) -> tuple[Policy, ...]:
        """The policies that this one names, as they were read: those it extends, and those of base models."""
        return (*self.extends, *(terms.policy for terms in self.ingredients.models if terms.policy is not None))

    @cached_property
    def witnesses(self) -> frozenset[Witness]:
        """Every witness that some rule, the training or a datasheet names."""
        sheets = {terms.datasheet for terms in self.datasets}
        return frozenset({*self.makers, *sheets, *(rule.witness for rule in self.require)})

    @property
    def makers(self) -> frozenset[Witness]:
        """Every witness of a step: trainings, transforms, preparations."""
        prepared = {terms.preparation.witness for terms in self.datasets if terms.preparation is not None}
        return frozenset({self.training.witness, *(terms.witness for terms in self.transforms), *prepared})

    @cached_property
    def datasets(self) -> tuple[DatasetTerms, ...]:
        """Every dataset that is listed, or that a rule is about."""
        return (*self.ingredients.datasets, *(rule.dataset for rule in self.require if not isinstance(rule, CelRule)))

    @cached_property
    def signers(self) -> frozenset[str]:
        """Every identity whose signature some rule asks for."""
        whole = {terms.signed_by for terms in self.datasets} | {self.model_signed_by}
        whole |= {terms.signed_by for terms in self.ingredients.models}
        whole |= {terms.summary.signed_by for terms in self.ingredients.models if terms.summary is not None}
        whole |= {rule.plan_signed_by for rule in self.require if isinstance(rule, MetricRule)}
        return frozenset(name for name in (*whole, *(witness.signed_by for witness in self.witnesses)) if name)

    def trust_material(
        self,
        *,
        at: dt.datetime,
        now: dt.datetime,
        held: Sequence[bytes] = (),
        carried: Sequence[bytes] = (),
        challenge: Challenge | None = None,
    ) -> TrustMaterial:
        """What `lamslsa.verification.verify_bundles` needs of this policy.

        Args:
            at: expiry is judged as of this time where no trusted time dates the evidence.
            now: revocation, age and the policy itself are judged as of this time.
            held: endorsements that the verifier holds.
            carried: endorsements that came with the attestations.
            challenge: the nonce that evidence has to answer to be as young as the challenge.

        Raises:
            PolicyError: the policy is not in force at both times, or a signature on its reference values does not
                count.
        """
        self.refuse_out_of_force(at, now)
        self.refuse_reference_values()
        return TrustMaterial(
            identities=self.identities,
            at=at,
            now=now,
            dates=self.dates,
            denied_keys=self.deny.keys,
            held=tuple(held),
            carried=tuple(carried),
            manifests=self.manifests,
            beacons=self.beacons,
            challenge=challenge,
        )

    def dates(self, name: str, signature: Signature) -> dt.datetime | None:
        """The earliest time that a signature of an identity gives what it is over; None where it counts for nothing."""
        if signature.made_by(self.deny.keys):
            return None
        return self.identities[name].dates(signature, name=name)

    def gave(self, trust: TrustMaterial) -> bool:
        """Whether this is trust material that this very policy gave out."""
        return trust.identities is self.identities and (trust.beacons, trust.manifests, trust.denied_keys) == (
            self.beacons,
            self.manifests,
            self.deny.keys,
        )

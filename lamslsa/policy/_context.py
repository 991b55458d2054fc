"""What every rule of one appraisal looks at, with each question answered once."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.lineage import Artifact, Datasheet, Lineage
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Miss, Qualifier
from lamslsa.policy.model import DatasetTerms, Policy
from lamslsa.predicates import Evaluation, Model, configuration_digest
from lamslsa.predicates._common import File
from lamslsa.predicates.model import InspectedFile
from lamslsa.verification import Verification, VerifiedAttestation

__all__ = ["Context", "Sheets", "listed_files"]


def listed_files(attestations: Iterable[VerifiedAttestation], sha256: str) -> Manifest | None:
    """The files of a model by its digest, out of any attestation about it whose list makes up that digest.

    Whoever signed the list: files that make up the digest are the files.
    """
    for item in attestations:
        if item.statement.subjects[0].sha256 == sha256:
            found = _files_of(item)
            if found is not None and found.sha256 == sha256:
                return found
    return None


def _files_of(item: VerifiedAttestation) -> Manifest | None:
    match item.predicate:
        case Evaluation():
            files: Sequence[File | InspectedFile] = item.predicate.model.files
        case Model():
            files = item.predicate.files
        case _:
            return None
    try:
        return Manifest.of(
            "model", [FileEntry(path=file.path, sha256=file.digest.sha256, size=file.size) for file in files]
        )
    except FormatError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheets:
    """The datasheets of one dataset that qualify.

    Attributes:
        schemas: the schemas under which the dataset may be read, each with a datasheet that says so.
        miss: why there is none.
    """

    schemas: Mapping[str, VerifiedAttestation]
    miss: Miss | None


@dataclass(frozen=True, kw_only=True)
class Context:
    """One appraisal's policy, model and attestations.

    Attributes:
        sha256: manifest digest of the model, hexadecimal.
        manifest: its files; None of a base model whose files are neither at hand nor listed by any attestation.
        memo: what other modules find out once, by a key of their own.
    """

    policy: Policy
    sha256: str
    manifest: Manifest | None
    verification: Verification
    lineage: Lineage
    qualifier: Qualifier
    _sheets: dict[DatasetTerms, Sheets] = field(default_factory=dict)
    _digests: dict[str, str | None] = field(default_factory=dict)
    memo: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy, model: Manifest | str, verification: Verification) -> Context:
        """The context of an appraisal of a model: the files at hand, or the digest of a base model."""
        qualifier, makers = Qualifier(policy=policy, now=verification.trust.now), policy.makers
        sha256 = model if isinstance(model, str) else model.sha256
        return cls(
            policy=policy,
            sha256=sha256,
            manifest=listed_files(verification.attestations, sha256) if isinstance(model, str) else model,
            verification=verification,
            lineage=Lineage.of(
                verification.attestations,
                counts=lambda item: any(not qualifier.misses(item, witness) for witness in makers),
            ),
            qualifier=qualifier,
        )

    @cached_property
    def model(self) -> Artifact:
        """The model that is appraised."""
        return Artifact(kind="model", sha256=self.sha256)

    @cached_property
    def seen_in_training(self) -> frozenset[Artifact]:
        """Every dataset that some provenance of this model names, qualifying or not: for words, never for a verdict."""
        return frozenset(item.artifact for training in self.lineage.builds_of(self.model) for item in training.datasets)

    @cached_property
    def _nearest_model(self) -> tuple[VerifiedAttestation, str] | None:
        return None if self.manifest is None else _words.nearest_model(self.lineage, self.manifest)

    @property
    def instead_of_provenance(self) -> tuple[VerifiedAttestation, str] | None:
        """An attestation of the model that is here instead, and how that one differs, when no provenance is of ours."""
        ours = self.lineage.measurements_of(self.model)
        return self._nearest_model if self.lineage.builds or not ours else None

    @property
    def instead_of_evaluation(self) -> tuple[VerifiedAttestation, str] | None:
        """The same when no evaluation is of ours."""
        ours = self.lineage.builds_of(self.model)
        return self._nearest_model if self.lineage.measurements or not ours else None

    def configuration_digest(self, value: Mapping[str, Any]) -> str | None:
        """The digest of a configuration or schema, recomputed once for each; None where it has no canonical form."""
        key = json.dumps(value)
        if key not in self._digests:
            try:
                self._digests[key] = configuration_digest(value)
            except FormatError:
                self._digests[key] = None
        return self._digests[key]

    def sheet_misses(self, terms: DatasetTerms, sheet: Datasheet) -> tuple[Miss, ...]:
        """Everything that a datasheet lacks to say how a dataset is read, in training as in a rule."""
        own = (self.schema_miss(sheet), self._pin_miss(terms, sheet))
        return (
            *self.qualifier.misses(sheet.attestation, terms.datasheet),
            *(miss for miss in own if miss is not None),
        )

    def is_worth_hashing(self, item: VerifiedAttestation) -> bool:
        """Whether a statement can count at all: with a quote, or where the policy names a platform that needs none."""
        return bool(item.evidence) or self._some_need_no_evidence

    @cached_property
    def _some_need_no_evidence(self) -> bool:
        return any(self.qualifier.needs_no_evidence(witness) for witness in self.policy.witnesses)

    def schema_miss(self, sheet: Datasheet) -> Miss | None:
        """A datasheet whose digest is not that of the schema it shows says nothing about either."""
        if not self.is_worth_hashing(sheet.attestation):
            return None  # refused for that already; an unquoted schema of any size is not worth hashing
        if self.configuration_digest(sheet.sheet.schema) == sheet.sheet.schema_digest.sha256:
            return None
        return Miss(
            reason="schema-digest",
            message="expected schemaDigest to be the digest of the schema in the datasheet, got another",
            mend="attest the dataset again",
        )

    def _pin_miss(self, terms: DatasetTerms, sheet: Datasheet) -> Miss | None:
        """A datasheet under another schema than the policy's author has read."""
        if terms.schema in (None, sheet.sheet.schema_digest.sha256):
            return None
        return Miss(
            reason="schema-other",
            message=f"expected a datasheet under schema {_words.short(terms.schema)}, "
            f"got one under {_words.short(sheet.sheet.schema_digest.sha256)}",
            mend="attest the dataset under the schema that the policy names, or name this one after review",
        )

    def sheets(self, terms: DatasetTerms) -> Sheets:
        """The schemas under which the policy lets a dataset be read."""
        if terms not in self._sheets:
            self._sheets[terms] = self._find_sheets(terms)
        return self._sheets[terms]

    def _find_sheets(self, terms: DatasetTerms) -> Sheets:
        schemas: dict[str, VerifiedAttestation] = {}
        refused: list[Candidate] = []
        for sheet in self.lineage.datasheets_of(Artifact(kind="dataset", sha256=terms.sha256)):
            misses = self.sheet_misses(terms, sheet)
            if misses:
                refused.append(Candidate(attestation=sheet.attestation, misses=misses))
            else:
                schemas.setdefault(sheet.sheet.schema_digest.sha256, sheet.attestation)
        return Sheets(schemas=schemas, miss=None if schemas else self._no_sheet(terms, refused))

    def _no_sheet(self, terms: DatasetTerms, refused: list[Candidate]) -> Miss:
        nearest = min(refused, key=Candidate.distance) if refused else None
        got = "none" if nearest is None else f"one of which: {'; '.join(miss.message for miss in nearest.misses)}"
        authentic = nearest is not None and nearest.authentic
        return Miss(
            reason="datasheet-refused" if authentic else "datasheet-missing",
            message=f"expected a datasheet of {terms} {terms.datasheet}, got {got}",
            mend=f"have {terms.datasheet.signed_by} attest dataset {terms.name} on platform {terms.datasheet.platform}",
            authentic=authentic,
        )

    def set_aside_words(self) -> str:
        """A pointer to bundles that are not authentic, for refusals that found nothing."""
        count = len(self.verification.set_aside)
        return f"; {count} of the bundles here {'is' if count == 1 else 'are'} not authentic" if count else ""

"""What statements are about: the rows of the card's last table, and what a model used each dataset for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._ancestry import Ancestry
from lamslsa.cards._source import Origins
from lamslsa.cards._trainings import run_kind
from lamslsa.cards.parts import Reference, Standing
from lamslsa.cards.view import StatementRow
from lamslsa.lineage import Build
from lamslsa.policy.appraisal import Appraisal
from lamslsa.verification import VerifiedAttestation

__all__ = ["roles_of", "statement_row", "subject"]

_USES: Final = MappingProxyType(
    {
        "training": "training data",
        "parent": "training data of a parent",
        "transform": "data read by a transform",
        "test": "test data",
        "reference": "reference data",
        "inference": "inference data",
        "source": "source of other data",
    }
)


def subject(attestation: VerifiedAttestation) -> Reference:
    """What a statement is about."""
    one = attestation.statement.subjects[0]
    return Reference(name=one.name, digest=one.sha256)


def _used_by(build: Build, *, own: bool) -> str:
    return "transform" if build.is_transform else "training" if own else "parent"


def _uses(
    about_model: Sequence[VerifiedAttestation], ancestry: Ancestry
) -> Iterator[tuple[VerifiedAttestation, str, Iterable[str]]]:
    for generation, builds in enumerate(ancestry.generations):
        for build in builds:
            read = [item.artifact.sha256 for item in build.datasets]
            yield build.attestation, _used_by(build, own=generation == 0), read
    for attestation in about_model:
        match attestation.predicate:
            case predicates.Evaluation() as evaluation:
                yield attestation, "test", (evaluation.dataset.digest.sha256,)
                read = [each.digest.sha256 for each in evaluation.references if each.kind == "dataset"]
                yield attestation, "reference", read
            case predicates.Inference() as inference:
                yield attestation, "inference", (inference.dataset.digest.sha256,)
            case predicates.Dataset() | predicates.Model() | predicates.Provenance() | predicates.VerificationSummary():
                pass


_SEEN: Final = frozenset({"training", "parent", "transform"})


def _sentence(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def roles_of(
    about_model: Sequence[VerifiedAttestation], ancestry: Ancestry, origins: Origins, *, seen_only: bool = False
) -> dict[str, str]:
    """What this model used each dataset for, by digest; a use that only an unverified statement claims says so.

    Args:
        about_model: statements about the model.
        ancestry: how it was made.
        origins: how good each statement is.
        seen_only: leave out what it was only measured with.
    """
    uses: dict[str, dict[str, Standing]] = {}
    for attestation, use, digests in _uses(about_model, ancestry):
        standing = origins.standing(attestation)
        for digest in digests:
            claimed = uses.setdefault(digest, {})
            claimed[use] = "verified" if "verified" in {standing, claimed.get(use)} else standing
    for digest in list(uses):
        for build in ancestry.preparations.get(digest, ()):
            for item in build.datasets:
                uses.setdefault(item.artifact.sha256, {}).setdefault("source", origins.standing(build.attestation))
    found = {
        digest: _sentence(
            [
                words if claimed[use] == "verified" else f"{words} (not verified)"
                for use, words in _USES.items()
                if use in claimed and (use in _SEEN or not seen_only)
            ]
        )
        for digest, claimed in uses.items()
    }
    return {digest: words for digest, words in found.items() if words}


def statement_row(
    attestation: VerifiedAttestation,
    appraisal: Appraisal,
    ancestry: Ancestry,
    roles: Mapping[str, str],
    origins: Origins,
) -> StatementRow:
    """A statement, what kind it is, and what its subject is to the model of the card."""
    about = subject(attestation)
    words = _model_words(about, appraisal, ancestry)
    match attestation.predicate:
        case predicates.Dataset():
            kind, words = "datasheet", roles.get(about.digest, "not linked to this model")
        case predicates.Evaluation():
            kind = "evaluation"
        case predicates.Inference() as inference:
            count = inference.records.size
            kind = "inference" if count == 1 else f"{_text.count(count)} inferences"
        case predicates.Model():
            kind = "properties"
        case predicates.VerificationSummary() as summary:
            kind = f"verification summary, {summary.verification_result}"
        case predicates.Provenance() as provenance:
            kind = run_kind(provenance.build_definition).lower()
            if provenance.build_definition.external_parameters.produces == "dataset":
                words = roles.get(about.digest, "not linked to this model")
    return StatementRow(source=origins.source(attestation), kind=kind, subject=about, about=words)


def _model_words(about: Reference, appraisal: Appraisal, ancestry: Ancestry) -> str:
    if about.digest == appraisal.model:
        return "this model"
    return "parent of this model" if about.digest in ancestry.parents else "another model"

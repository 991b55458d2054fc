"""The rules about signatures of whole artifacts, as OpenSSF model signing makes them.

Rules:
- A signature is compared by its full list of files, never by its root (`lamslsa.model_signature`).
- The files of the model are those at hand; those of a dataset are listed in a qualifying datasheet, and count only if
  they make up the dataset's digest; those of a base model are listed in any attestation, and count only likewise.
- No TEE vouches for such a signature, and none is asked: it says who released these files and nothing about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.evidence.appraise import Refusal
from lamslsa.model_signature import covers
from lamslsa.policy._candidates import Finding
from lamslsa.policy._context import Context, listed_files
from lamslsa.policy._signers import refusals_of_signature
from lamslsa.policy.appraisal import RuleResult
from lamslsa.policy.model import DatasetTerms, ModelTerms
from lamslsa.predicates import Dataset
from lamslsa.verification import VerifiedModelSignature

__all__ = ["signature_rules"]

_SIGN: Final = "sign the files with lamslsa sign-model, or model_signing and lamslsa attach"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Artifact:
    """What is to be signed: its files, or why nobody knows them."""

    rule: str
    name: str
    files: Sequence[FileEntry] | None
    unknown: Refusal | None = None


def signature_rules(context: Context, bases: Iterable[ModelTerms] = ()) -> Iterator[Finding]:
    """One rule for the model, its base models and each listed dataset, whose signature the policy asks for."""
    policy = context.policy
    if policy.model_signed_by is not None:
        yield _rule(context, _model("model signature", "the model", context.manifest), policy.model_signed_by)
    for base in bases:
        if base.signed_by is not None:
            files = listed_files(context.verification.attestations, base.sha256)
            yield _rule(context, _model(f"signature: base model {base.name}", str(base), files), base.signed_by)
    datasets = {terms.sha256: terms for terms in policy.datasets}
    for terms in datasets.values():
        if terms.signed_by is not None:
            yield _rule(context, _dataset(context, terms), terms.signed_by)


def _model(rule: str, name: str, files: Manifest | None) -> _Artifact:
    """A model, by its files or by a list of them that makes up its digest."""
    if files is not None:
        return _Artifact(rule=rule, name=name, files=files.files)
    unknown = Refusal(
        reason="model-files-unknown",
        message=f"expected an attestation that lists the files of {name}, by whomever, got none",
        mend="publish an evaluation or an inspection of the base model beside the model: its list of files is needed",
    )
    return _Artifact(rule=rule, name=name, files=None, unknown=unknown)


def _dataset(context: Context, terms: DatasetTerms) -> _Artifact:
    """The files of a dataset, out of a qualifying datasheet whose list makes up the dataset's digest."""
    sheets = context.sheets(terms)
    for item in sheets.schemas.values():
        if isinstance(item.predicate, Dataset):
            files = [
                FileEntry(path=file.path, sha256=file.digest.sha256, size=file.size) for file in item.predicate.files
            ]
            try:
                known = Manifest.of("dataset", files).sha256 == terms.sha256
            except FormatError:
                known = False
            if known:
                return _Artifact(rule=f"signature: {terms.name}", name=str(terms), files=files)
    miss = sheets.miss
    unknown = Refusal(
        reason="datasheet-files" if miss is None else miss.reason,
        message=f"expected the files of {terms} in its datasheet, got others" if miss is None else miss.message,
        mend="attest the dataset again" if miss is None else miss.mend,
    )
    return _Artifact(rule=f"signature: {terms.name}", name=str(terms), files=None, unknown=unknown)


def _rule(context: Context, artifact: _Artifact, signer: str) -> Finding:
    refusals = _refusals(context, artifact, signer)
    absent = Refusal(
        reason="model-signature-missing",
        message=f"expected a signature of all files of {artifact.name} by {signer}, got none"
        + context.set_aside_words(),
        mend=f"have {signer} {_SIGN}",
    )
    nearest = (artifact.unknown,) if artifact.unknown else min(refusals, key=len, default=(absent,))
    return Finding(
        result=RuleResult(
            name=artifact.rule,
            kind="signature",
            subject=f"files of {artifact.name}",
            outcome="refused" if nearest else "satisfied",
            threshold=f"signature of {signer}",
            observed=None if artifact.files is None or nearest else _count(len(artifact.files)),
            signer=signer if refusals else None,
            reason=nearest[0].reason if nearest else None,
            message="; also ".join(item.message for item in nearest),
            mend="; ".join(dict.fromkeys(item.mend for item in nearest)),
            authentic=bool(refusals),
        )
    )


def _refusals(context: Context, artifact: _Artifact, signer: str) -> list[tuple[Refusal, ...]]:
    """What every signature of this identity lacks; empty where there is none of it."""
    return [
        (
            *refusals_of_signature(context.policy, signed, item.signatures),
            *_difference(artifact, item, signed.bundle),
        )
        for item in context.verification.model_signatures
        for signed in item.signatures
        if signed.identity == signer
    ]


def _difference(artifact: _Artifact, item: VerifiedModelSignature, bundle: str) -> Iterator[Refusal]:
    if artifact.files is None:
        return
    difference = covers(item.predicate, item.statement, artifact.files, signature_sha256=bundle)
    if difference is not None:
        yield Refusal(reason="model-signature-other", message=difference, mend=f"sign these very files again: {_SIGN}")


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"

"""What an expression sees of an appraisal: plain values, under the names that the policy gives.

Rules:
- Only attestations with the rule's witness, and of those only what is about this model, about the steps of the chosen
  descent, or a datasheet of a dataset that the policy lists. What was measured of another model is not there to be
  taken for this one.
- An evaluation is there only if a metric rule could count it: on a dataset of the policy that no step of the descent
  read, nor a base model as far as that is known, under the schema of a qualifying datasheet, with a configuration and a
  seed that are what they say. So are the datasets that it read beside that one: of the ingredients, and as ``train``
  only what training read.
- A predicate is as its statement has it: a field that was left out is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lamslsa.lineage import Artifact, Build, Ingredient
from lamslsa.policy import _overlaps
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy._measured import TRAIN
from lamslsa.policy.cel.types import KINDS, ArtifactView, AttestationView, LineageView, StepView
from lamslsa.policy.cel.worker import View
from lamslsa.policy.model import CelRule, DatasetTerms, OverlapRule
from lamslsa.predicates import Dataset, Evaluation, Inference, Model, Provenance
from lamslsa.predicates._common import Digest
from lamslsa.predicates.evaluation import Reference, derive_seed
from lamslsa.verification import VerifiedAttestation

__all__ = ["Seen", "look"]

_DATASHEETS: Final = ("tabular-dataset/1", "image-dataset/1", "text-dataset/1")
_ANY: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an expression sees.

    Attributes:
        attestations: those in ``view``, in its order.
        relied: further ones without which these would not be there, such as datasheets.
        near: what would be seen with the rule's witness.
    """

    view: View
    attestations: tuple[VerifiedAttestation, ...]
    relied: tuple[VerifiedAttestation, ...]
    near: tuple[VerifiedAttestation, ...]


def look(context: Context, rule: CelRule, chosen: Descent, *, model_name: str) -> Seen:
    """What a rule sees under one descent."""
    about = list(_about(context, chosen))
    own = [entry for entry in about if not context.qualifier.misses(entry[0], rule.witness)]
    names = {terms.sha256: terms.name for terms in context.policy.ingredients.models}
    names |= {terms.sha256: terms.name for terms in context.policy.datasets}
    names[context.model.sha256] = model_name
    uses_overlap = "overlap" in rule.expression
    return Seen(
        view=View(
            model=msgspec.to_builtins(_artifact(names, context.model)),
            lineage=msgspec.to_builtins(_lineage(names, chosen)),
            attestations=tuple(_attestation(names, rule, item) for item, _ in own),
            overlaps=tuple(_all_overlaps(context, rule, chosen)) if uses_overlap else (),
        ),
        attestations=tuple(item for item, _ in own),
        relied=tuple(sheet for _, sheets in own for sheet in sheets),
        near=tuple(item for item, _ in about),
    )


def _about(context: Context, chosen: Descent) -> Iterator[tuple[VerifiedAttestation, tuple[VerifiedAttestation, ...]]]:
    """What may be seen, whoever signed it, each with what it rests on; by the digests of the statements."""
    steps = {build.attestation.statement.sha256 for build in chosen.builds}
    listed = {terms.sha256: terms for terms in context.policy.datasets}
    for item in sorted(context.verification.attestations, key=lambda item: item.statement.sha256):
        subject = item.statement.subjects[0].sha256
        match item.predicate:
            case Provenance():
                if item.statement.sha256 in steps:
                    yield item, ()
            case Dataset() as sheet:
                claimed = sheet.schema_digest.sha256
                known = subject in listed and claimed in context.sheets(listed[subject]).schemas
                if known and context.is_worth_hashing(item) and context.configuration_digest(sheet.schema) == claimed:
                    yield item, ()
            case Evaluation() as evaluation:
                terms = listed.get(evaluation.dataset.digest.sha256)
                if subject == context.model.sha256 and terms is not None and terms.sha256 not in chosen.seen:
                    schema = context.sheets(terms).schemas.get(evaluation.dataset.schema_digest.sha256)
                    if schema is None or not context.is_worth_hashing(item):
                        continue
                    if _is_itself(context, evaluation) and _reads_what_may_be_named(context, chosen, evaluation):
                        yield item, (schema,)
            case Inference() | Model() as predicate:
                claimed = predicate.configuration_digest.sha256
                about_it = subject == context.model.sha256 and context.is_worth_hashing(item)
                if about_it and context.configuration_digest(predicate.configuration) == claimed:
                    yield item, ()
            case _:
                pass


def _is_itself(context: Context, evaluation: Evaluation) -> bool:
    """Whether the configuration has the digest that is stated, and the seed is the one that follows."""
    claimed = evaluation.configuration_digest.sha256
    if context.configuration_digest(evaluation.configuration) != claimed:
        return False
    seed = derive_seed(model=context.model.sha256, dataset=evaluation.dataset.digest.sha256, configuration=claimed)
    return evaluation.seed.value.sha256 == seed


def _reads_what_may_be_named(context: Context, chosen: Descent, evaluation: Evaluation) -> bool:
    """Whether the references are such as a metric rule could name: whoever measured would choose them otherwise."""
    roles = [item.role for item in evaluation.references]
    return len(set(roles)) == len(roles) and all(_may_be_named(context, chosen, item) for item in evaluation.references)


def _may_be_named(context: Context, chosen: Descent, item: Reference) -> bool:
    if item.kind == "model":
        return item.role != TRAIN
    listed = {terms.sha256: terms for terms in context.policy.ingredients.datasets}
    terms, schema = listed.get(item.digest.sha256), item.schema_digest and item.schema_digest.sha256
    if terms is None or schema not in context.sheets(terms).schemas:
        return False
    used = chosen.trained_on.get(terms.sha256, ())
    return item.role != TRAIN or schema in {reading.schema for reading in used}


def _attestation(names: Mapping[str, str], rule: CelRule, item: VerifiedAttestation) -> dict[str, Any]:
    predicate = item.predicate
    (subject,) = item.statement.subjects
    read = predicate.dataset if isinstance(predicate, Evaluation | Inference) else None
    view = AttestationView(
        statement=Digest(sha256=item.statement.sha256),
        predicate_type=item.statement.predicate_type,
        subject=ArtifactView(name=names.get(subject.sha256, subject.name), digest=Digest(sha256=subject.sha256)),
        signer=rule.witness.signed_by,
        read=None
        if read is None or read.digest.sha256 not in names
        else ArtifactView(name=names[read.digest.sha256], digest=read.digest, schema_digest=read.schema_digest),
        **{KINDS[type(predicate)]: predicate},  # type: ignore[arg-type]  # the field that is of this type
    )
    made: dict[str, Any] = msgspec.to_builtins(view)
    return made


def _artifact(names: Mapping[str, str], artifact: Artifact) -> ArtifactView:
    return ArtifactView(name=names[artifact.sha256], digest=Digest(sha256=artifact.sha256))


def _lineage(names: Mapping[str, str], chosen: Descent) -> LineageView:
    return LineageView(
        trained_on=tuple(_ingredient(names, item) for item in chosen.datasets),
        bases=tuple(_ingredient(names, item) for item in chosen.bases),
        trainings=tuple(map(_step, chosen.trainings)),
        transforms=tuple(map(_step, chosen.transforms)),
    )


def _ingredient(names: Mapping[str, str], item: Ingredient) -> ArtifactView:
    return ArtifactView(
        name=names.get(item.artifact.sha256, item.name),
        digest=Digest(sha256=item.artifact.sha256),
        schema_digest=None if item.schema is None else Digest(sha256=item.schema),
    )


def _step(build: Build) -> StepView:
    definition = build.provenance.build_definition
    return StepView(
        statement=Digest(sha256=build.attestation.statement.sha256),
        code=str(definition.external_parameters.code),
        build_type=definition.build_type,
        builder=build.provenance.run_details.builder.id,
        configuration=definition.external_parameters.configuration,
    )


def _all_overlaps(context: Context, rule: CelRule, chosen: Descent) -> Iterator[tuple[str, str, int | str]]:
    """The overlap of every two datasets of the policy of which a datasheet says something."""
    listed = {terms.sha256: terms for terms in context.policy.datasets}
    for terms in listed.values():
        sheets = context.lineage.datasheets_of(Artifact(kind="dataset", sha256=terms.sha256))
        others = {overlap.dataset.digest.sha256 for item in sheets for overlap in item.sheet.overlaps}
        for sha256 in sorted(others & listed.keys()):
            yield listed[sha256].name, terms.name, _overlap(context, rule, chosen, (listed[sha256], terms))


def _overlap(context: Context, rule: CelRule, chosen: Descent, pair: tuple[DatasetTerms, DatasetTerms]) -> int | str:
    """The rows that an overlap rule without a limit would look at; why there is no one such number otherwise."""
    training, dataset = pair
    found: set[int] = set()
    why: list[tuple[int, str]] = []
    for measurer in _DATASHEETS:
        asked = OverlapRule(
            name=rule.name, training=training, dataset=dataset, measurer=measurer, maximum=_ANY, witness=rule.witness
        )
        read_as, views = _overlaps.read_as(context, asked, chosen)
        for schema in sorted(context.sheets(dataset).schemas) or (None,):
            for item in _overlaps.overlap_candidates(context, asked, schema, read_as, views):
                if not item.misses and item.value is not None:
                    found.add(int(item.value))
                why.append((len(item.misses), "; also ".join(miss.message for miss in item.misses)))
    if len(found) == 1:
        return found.pop()
    if found:
        return f"datasheets that count say {' and '.join(map(str, sorted(found)))}"
    return min(why, default=(0, "no datasheet that counts compares them"))[1]

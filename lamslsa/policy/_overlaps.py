"""The overlap rules of ``require``: how many rows of one dataset occur in another.

Rules:
- An overlap counts only if both datasets were read as qualifying datasheets of these very datasets say.
- An absent or ambiguous number of rows is a refusal, never 0.
- Nothing here depends on which provenance is chosen, except what is handed in: the schema of the training dataset, and
  the columns that training read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lamslsa.lineage import Artifact, Datasheet
from lamslsa.policy import _columns, _words
from lamslsa.policy._candidates import Candidate, Head, Miss
from lamslsa.policy._columns import View
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy.model import OverlapRule
from lamslsa.predicates.dataset import Dataset, Overlap
from lamslsa.verification import VerifiedAttestation

__all__ = ["overlap_candidates", "overlap_head", "read_as"]


def overlap_head(rule: OverlapRule) -> Head:
    """What an overlap rule asks for."""
    return Head(
        name=rule.name,
        kind="overlap",
        subject=f"rows of {rule.dataset.name} that occur in {rule.training.name}",
        threshold=f"<= {rule.maximum}",
        witness=rule.witness,
    )


def read_as(context: Context, rule: OverlapRule, chosen: Descent | None) -> tuple[str | None, frozenset[View] | None]:
    """The schema under which the chosen descent read the training dataset, and what trainings saw of it.

    None where it did not read it; an empty schema, which nothing has, where it is no longer one set of rows.
    """
    readings = () if chosen is None else chosen.trained_on.get(rule.training.sha256, ())
    views = chosen.views(rule.training.sha256) if chosen is not None and readings else None
    if context.policy.training.own_code is not None:
        # the code that is pinned reads the bytes as it does: any reading by a datasheet may be compared
        readings = tuple(item for item in readings if item.schema is not None)
    # read under several schemas, it is no longer one set of rows: then no overlap is the right one
    one = None if not readings else (readings[0].schema or "") if len(readings) == 1 else ""
    return one, views


def overlap_candidates(
    context: Context, rule: OverlapRule, schema: str | None, training_schema: str | None, views: frozenset[View] | None
) -> tuple[Candidate, ...]:
    """Every overlap that a datasheet of the rule's dataset holds, with what it lacks.

    ``schema`` is the one under which the rule's dataset is read, None when no datasheet qualifies; ``training_schema``
    the one under which the chosen provenance read the training dataset, and ``views`` what trainings saw of it, None
    where none did.
    """
    known = context.sheets(rule.training)
    allowed = sorted(item for item in known.schemas if training_schema in (None, item))
    lacking = known.miss
    if lacking is None and not allowed:
        lacking = Miss(
            reason="schema-other",
            message=f"expected {rule.training} read in training as its datasheet says, got another schema",
            mend="train with the schema of the datasheet",
        )
    candidates: list[Candidate] = []
    for item in context.lineage.datasheets_of(Artifact(kind="dataset", sha256=rule.dataset.sha256)):
        misses = _carrier_misses(context, rule, schema, item)
        if lacking is not None:
            candidates.append(Candidate(attestation=item.attestation, misses=(*misses, lacking)))
        candidates += [
            _overlap_candidate(context, rule, item, misses=misses, schemas=(schema, other), views=views)
            for other in allowed
        ]
    return tuple(candidates)


def _carrier_misses(context: Context, rule: OverlapRule, schema: str | None, item: Datasheet) -> tuple[Miss, ...]:
    """What the datasheet that holds the overlap lacks, whatever the overlap is."""
    own = item.sheet.schema_digest.sha256
    misses = list(context.qualifier.misses(item.attestation, rule.witness))
    misses += [miss for miss in (context.schema_miss(item), context.sheets(rule.dataset).miss) if miss is not None]
    if schema is not None and own != schema:
        misses.append(
            Miss(
                reason="schema-other",
                message=f"expected {rule.dataset} read under schema {_words.short(schema)}, got {_words.short(own)}",
                mend="measure the overlap under the schema of the datasheet",
            )
        )
    if str(item.sheet.measurer) != rule.measurer:
        misses.append(
            Miss(
                reason="measurer-other",
                message=f"expected measurer {rule.measurer}, got {_words.quoted(str(item.sheet.measurer))}",
                mend=f"attest the dataset with {rule.measurer}",
            )
        )
    return tuple(misses)


def _overlap_candidate(
    context: Context,
    rule: OverlapRule,
    item: Datasheet,
    *,
    misses: tuple[Miss, ...],
    schemas: tuple[str | None, str],
    views: frozenset[View] | None,
) -> Candidate:
    schema, training_schema = schemas
    same = [overlap for overlap in item.sheet.overlaps if overlap.dataset.digest.sha256 == rule.training.sha256]
    entries = [overlap for overlap in same if overlap.schema_digest.sha256 == training_schema]
    if not entries or max(Counter(frozenset(entry.columns) for entry in entries).values()) > 1:
        return Candidate(attestation=item.attestation, misses=(*misses, _no_overlap(rule, len(same), len(entries))))
    sheet = context.sheets(rule.training).schemas[training_schema]
    overlap = _over(rule, entries, _seen(sheet, views))
    if isinstance(overlap, Miss):
        return Candidate(attestation=item.attestation, misses=(*misses, overlap))
    if overlap.rows > rule.maximum:
        misses = (
            *misses,
            Miss(
                reason="overlap-too-large",
                message=f"expected at most {rule.maximum} rows of {rule.dataset} in {rule.training.name}, "
                f"got {overlap.rows}",
                mend="remove the shared rows from the training data, or set another limit in the policy",
            ),
        )
    relied = [sheet]
    relied += [] if schema is None else [context.sheets(rule.dataset).schemas[schema]]
    return Candidate(
        attestation=item.attestation,
        misses=misses,
        observed=f"{overlap.rows} of {item.sheet.rows} rows",
        value=float(overlap.rows),
        gap=float(max(0, overlap.rows - rule.maximum)),
        relied=tuple(relied),
    )


def _seen(sheet: VerifiedAttestation, views: frozenset[View] | None) -> frozenset[str] | None:
    """The columns that every training read, of those in the datasheet's schema; None where no training did."""
    if views is None or not isinstance(sheet.predicate, Dataset):
        return None
    return _columns.seen(_columns.features(sheet.predicate.schema), views)


def _over(rule: OverlapRule, entries: Iterable[Overlap], seen: frozenset[str] | None) -> Overlap | Miss:
    """The overlap over the columns that the rule means; where no training read the dataset, the largest one will do."""
    if rule.columns is None and seen is None:
        return max(entries, key=lambda entry: entry.rows)
    wanted = seen if rule.columns is None else rule.columns
    unseen = frozenset[str]() if seen is None or wanted is None else wanted - seen
    if unseen:
        return Miss(
            reason="overlap-columns",
            message=f"expected columns that training read, got {_words.names(unseen)} beside them: rows that differ "
            "in these alone are the same to the model",
            mend=f"compare {rule.dataset.name} with {rule.training.name} without them, in the job file and the policy",
        )
    found = [entry for entry in entries if frozenset(entry.columns) == wanted]
    if found:
        return found[0]
    got = " and ".join(_words.names(entry.columns) for entry in entries)
    return Miss(
        reason="overlap-columns",
        message=f"expected an overlap over {_words.names(wanted or ())}, "
        f"as {'training read them' if rule.columns is None else 'the policy names them'}, got one over {got}",
        mend="in the job file: overlap: [{dataset: …, columns: […]}]",
    )


def _no_overlap(rule: OverlapRule, same: int, count: int) -> Miss:
    if count:
        return Miss(
            reason="overlap-ambiguous",
            message=f"expected one overlap with {rule.training}, got {count} in the same datasheet",
            mend="attest the dataset again: which value counts cannot be told",
        )
    return Miss(
        reason="overlap-missing",
        message=f"expected the overlap with {rule.training} in the datasheet of {rule.dataset.name}, "
        f"got {'one under another schema' if same else 'none'}",
        mend=f"attest {rule.dataset.name} again and have it compared with {rule.training.name}",
    )

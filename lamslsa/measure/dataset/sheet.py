"""What the datasheets of tables, texts and images have in common: inputs, seed, and how they become a statement."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure import rates
from lamslsa.measure.data.schema import Schema, TextSchema
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.data.texts import read_texts
from lamslsa.measure.dataset.disclosure import OPENINGS, withhold
from lamslsa.measure.dataset.properties import Properties
from lamslsa.measure.dataset.reading import COMPARED, Reading, a_dataset, the_table
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.interface import Given, Input, Outcome, Payload
from lamslsa.predicates._common import ArtifactReference, Digest, File, WireModel
from lamslsa.predicates.dataset import PREDICATE_TYPE, Dataset

__all__ = [
    "compared_with",
    "estimate",
    "files",
    "finish",
    "inputs",
    "measured",
    "opened",
    "packages",
    "property_seed",
    "reading",
]

_ALSO: Final = {"drift": "scipy", "shares": "scipy", "nearDuplicates": "datasketch"}
_FIELDS: Final = {"nearDuplicates": "near_duplicates", "ngramOverlap": "ngram_overlap"}


def compared_with(dataset: DatasetJob, properties: Properties, scope: Scope) -> tuple[DatasetJob, ...]:
    """Every other dataset that is read, each once: those of the overlap first."""
    overlapping = (item.dataset for item in dataset.overlap)
    return tuple(scope.datasets[name] for name in dict.fromkeys((*overlapping, *properties.references)))


def inputs(dataset: DatasetJob, others: Iterable[DatasetJob]) -> tuple[Input, ...]:
    """The dataset, and those that it is compared with; tables are read block by block."""
    roles = [("dataset", dataset), *((f"{COMPARED}{other.name}", other) for other in others)]
    return tuple(
        Input(role=role, kind="dataset", name=job.name, streamed=isinstance(job.schema, Schema)) for role, job in roles
    )


def estimate(
    dataset: DatasetJob, others: Iterable[DatasetJob], properties: Properties, sizes: Mapping[str, int]
) -> float:
    """Seconds to count all that; see `lamslsa.measure.foresight`."""
    read = {"dataset": dataset, **{f"{COMPARED}{other.name}": other for other in others}}
    seconds = rates.LOADING["duckdb"] + sum(rates.counting(job.schema, sizes[role]) for role, job in read.items())
    for family, item in properties:
        roles = ["dataset", *(f"{COMPARED}{name}" for name in item.references)]
        seconds += sum(rates.comparing(family, read[role].schema, sizes[role]) for role in roles)
    return seconds


def reading(
    job: DatasetJob,
    artifact: VerifiedArtifact,
    *,
    table: Table | None = None,
    texts: Callable[[], Iterable[str]] | None = None,
) -> Reading:
    """A dataset of the job that is open."""
    return Reading(name=job.name, sha256=artifact.manifest.sha256, schema=job.schema, source=table, texts=texts)


@contextmanager
def opened(jobs: Iterable[DatasetJob], inputs: Mapping[str, Given], *, own: str = "") -> Iterator[dict[str, Reading]]:
    """Tables and texts by name, open as long as the context; the dataset called ``own`` is the plan's subject.

    Raises:
        FormatError: a file is not what its schema declares.
    """
    wanted = {job.name: job for job in jobs}
    artifacts = {
        name: a_dataset(inputs["dataset" if name == own else f"{COMPARED}{name}"].artifact, name) for name in wanted
    }
    sources = {
        name: Source(file=the_table(artifacts[name], name), schema=job.schema)
        for name, job in wanted.items()
        if isinstance(job.schema, Schema)
    }
    with open_tables(sources) as tables:
        yield {
            name: reading(job, artifacts[name], table=tables.get(name), texts=_texts(job, artifacts[name]))
            for name, job in wanted.items()
        }


def _texts(job: DatasetJob, artifact: VerifiedArtifact) -> Callable[[], Iterable[str]] | None:
    schema = job.schema
    return (lambda: read_texts(artifact, schema)) if isinstance(schema, TextSchema) else None


def measured(
    properties: Properties, subject: Reading, others: Mapping[str, Reading], seed: bytes, tell: Callable[[], None]
) -> dict[str, Any]:
    """What was asked for, by attribute of the predicate; ``tell`` is called after each property."""
    found: dict[str, list[WireModel]] = {}
    for family, item in properties:
        found.setdefault(_FIELDS.get(family, family), []).append(item.measure(subject, others, seed))
        tell()
    return {name: tuple(items) for name, items in found.items()}


def packages(own: Sequence[str], properties: Properties) -> tuple[str, ...]:
    """The distributions that a datasheet needs."""
    return (*own, *sorted({_ALSO[family] for family in properties.items if family in _ALSO}))


def files(artifact: VerifiedArtifact) -> tuple[File, ...]:
    """The files of an artifact."""
    return tuple(
        File(path=entry.path, digest=Digest(sha256=entry.sha256), size=entry.size) for entry in artifact.manifest.files
    )


def property_seed(artifact: VerifiedArtifact, schema_sha256: str, configuration: dict[str, Any]) -> bytes:
    """SHA-256(dataset ‖ schema ‖ configuration), each a raw digest: nobody chooses it."""
    digests = (artifact.manifest.sha256, schema_sha256, predicates.configuration_digest(configuration))
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).digest()


def finish(predicate: Dataset, properties: Properties, *, name: str, artifact: VerifiedArtifact) -> Outcome:
    """The statement, without what is kept back, and the openings for whoever ordered the measurement."""
    digest = artifact.manifest.sha256
    reference = ArtifactReference(name=name, digest=Digest(sha256=digest))
    kept, openings = withhold(predicates.to_wire(predicate), properties.disclosure, reference)
    payload = statement.make([statement.Subject(name=name, sha256=digest)], PREDICATE_TYPE, kept)
    return Outcome(
        statements=[Payload(label="dataset", data=payload)],
        private={} if openings is None else {OPENINGS: openings},
    )

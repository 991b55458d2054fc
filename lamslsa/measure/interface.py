"""What every measurement has in common: it is declared, then planned, then run on verified bytes.

    job file ── Measurer.declare ──► Plan ── measure(inputs, context) ──► Outcome
                                     (what will be read and computed)      (statements, artifacts)

- A `Measurer` has a name, a version and a stage, and turns its part of a job file into a plan.
- A `Plan` says which artifacts it reads, by role and kind, and what it will do; it opens no path, runs no code that
  came with the data, and puts into its statements everything that could change a result.
- An `Outcome` is the payload bytes of one statement or several, the artifacts that were made, and what only whoever
  ordered the measurement may see.

Whatever measures language models, diffusion models or many GPUs later is another `Measurer`; nothing here knows of
tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

from lamslsa import _codec
from lamslsa._files import new_folder, write_file
from lamslsa._yaml import Mapping_
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.artifact.memory import SEALED, Memory
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES, VerifiedArtifact
from lamslsa.artifact.spool import Spool
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import Scope
from lamslsa.predicates._common import Measurer as MeasurerName

__all__ = [
    "BuiltIn",
    "Checkpoints",
    "Context",
    "Device",
    "Given",
    "Input",
    "Measurer",
    "MeasurerName",
    "Outcome",
    "Output",
    "Payload",
    "Plan",
    "Progress",
    "Stage",
    "named",
    "refuse_roles",
    "silent",
]

_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PRIVATE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
Stage = Literal["dataset", "training", "transform", "evaluation", "inference", "model"]
Device = Literal["cpu", "cuda"]


class Progress(Protocol):
    """Is told how far a stage has come; ``total`` does not change within a stage."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` steps of ``stage`` are done."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An artifact that a plan reads.

    Attributes:
        role: unique within the plan: ``dataset``, ``model``, ``compared:<name>`` …
        name: what the job calls it; None where the artifact's own base name is taken.
        required: whether the measurement needs it.
        streamed: whether the plan reads it block by block (`VerifiedFile.open`), so that it may be larger than memory.
    """

    role: str
    kind: Kind
    name: str | None = None
    required: bool = True
    streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A verified artifact in its role; the name is a label and decides nothing."""

    artifact: VerifiedArtifact
    name: str


class Checkpoints(Protocol):
    """Where a long measurement keeps how far it has come: sealed, so that nobody can alter or read it.

    The host can withhold a checkpoint or give an older one of the same work back; neither changes the result.
    """

    def latest(self, work: bytes) -> bytes | None:
        """What was kept last for this work, or None; ``work`` is a digest of everything that the result depends on."""
        ...

    def keep(self, work: bytes, state: bytes) -> None:
        """Keep ``state`` instead of what was kept before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What surrounds one run of a plan and is the same for every plan.

    Attributes:
        progress: is told how far the measurement has come.
        device: where tensors live; what is used stands in the statement's environment.
        memory: where further files in memory are made.
        memory_limit: the most bytes that an input may have in memory.
        spool: where an input that is larger is kept, if the plan reads it block by block; None where it is refused.
        checkpoints: None where nothing is kept.
        plan: SHA-256 of the statement of the plan that an evaluation carries out; None where there is none.
    """

    progress: Progress = silent
    device: Device = "cpu"
    memory: Memory = SEALED
    memory_limit: int = DEFAULT_MAX_BYTES
    spool: Spool | None = None
    checkpoints: Checkpoints | None = None
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The exact bytes of a statement, and a short label for its file, such as ``dataset`` or ``provenance``.

    Raises:
        FormatError: the label is none that a run folder could have (payload-label).
    """

    label: str
    data: bytes

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise FormatError(
                f"expected a label of lower-case letters, digits and dashes, at most 64, got {self.label!a:.80}",
                reason="payload-label",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An artifact in memory that a plan made; its identity was computed from these very bytes."""

    files: Mapping[str, bytes]
    manifest: Manifest

    @classmethod
    def of(cls, kind: Kind, files: Mapping[str, bytes]) -> Output:
        """An artifact of these files, path to bytes.

        Raises:
            FormatError: a path cannot stand in a manifest.
        """
        entries = [FileEntry(path=path, sha256=_codec.sha256_hex(data), size=len(data)) for path, data in files.items()]
        return cls(files=dict(files), manifest=Manifest.of(kind, entries))

    def write(self, folder: Path) -> None:
        """Write the folder, which must not exist; it is complete or absent whatever happens.

        Raises:
            FormatError: something of that name exists.
        """
        with new_folder(folder) as staging:
            for path, data in self.files.items():
                (staging / path).parent.mkdir(parents=True, exist_ok=True)
                write_file(staging / path, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a measurement.

    Attributes:
        statements: at least one; one quote covers them all.
        outputs: the artifacts that were made, by the names that the job gives them.
        private: files for whoever ordered the measurement and for nobody else, by name: openings of commitments,
            receipts of inferences. They are never published.

    Raises:
        FormatError: a private file has no name of its own, but a path (private-name).
    """

    statements: Sequence[Payload]
    outputs: Mapping[str, Output] = field(default_factory=dict)
    private: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.private:
            if not _PRIVATE_NAME.fullmatch(name):
                raise FormatError(
                    f"expected the name of a private file in letters, digits, dots, dashes, got {name!a:.80}",
                    reason="private-name",
                )


class Plan(Protocol):
    """A declared measurement, ready to be run."""

    @property
    def measurer(self) -> MeasurerName:
        """Whose code computes it."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads, the subject first."""
        ...

    def steps(self) -> tuple[str, ...]:
        """What would be measured, one line each, for whoever wants to know before it begins."""
        ...

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Measure; ``inputs`` has every required role and no unknown one.

        Raises:
            FormatError: an input is not what was declared.
            UnavailableError: a package or device is missing.
        """
        ...


class Measurer(Protocol):
    """Code that computes properties, by name and version."""

    @property
    def name(self) -> MeasurerName:
        """Its name and version; a job file and a policy say ``<name>/<version>``."""
        ...

    @property
    def stage(self) -> Stage:
        """Which part of a job file it reads."""
        ...

    def declare(self, fields: Mapping_, scope: Scope) -> Plan:
        """Read its part of a job file, every key of it; the key that named this measurer is taken already.

        Raises:
            FormatError: a key is missing, unknown or of another value than it may have; line and column are named.
        """
        ...


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A measurer of ours."""

    name: MeasurerName
    stage: Stage
    declare: Callable[[Mapping_, Scope], Plan]


def refuse_roles(plan: Plan, roles: Collection[str]) -> None:
    """Return if a plan has all that it needs and nothing that it does not know.

    Raises:
        FormatError: a required role is missing, or an unknown one is there.
    """
    wanted = {item.role: item for item in plan.inputs}
    for role, item in wanted.items():
        if item.required and role not in roles:
            raise FormatError(
                f"expected a {item.kind} as {role!a:.80} to measure with, got none",
                reason="measure-input",
                hint=f"--{item.kind} {role}=PATH",
            )
    for role in roles:
        if role not in wanted:
            raise FormatError(
                f"expected only inputs that the job names, got {role!a:.80}",
                reason="measure-input",
                hint=f"the job reads {', '.join(wanted)}",
            )


def named(text: str) -> MeasurerName:
    """``<name>/<version>`` as a measurer's name.

    >>> str(named("tabular-dataset/1"))
    'tabular-dataset/1'
    """
    name, _, version = text.partition("/")
    return MeasurerName(name=name, version=version)

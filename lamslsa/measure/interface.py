"""The plug point of measurement: verified artifacts and a job go in, the payload bytes of statements come out.

A measurer gets its inputs as verified bytes, addressed by role and identified by (kind, manifest digest). It opens no
path, runs no code that came with the data, and puts into the statement everything that could change the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure.job import Job

__all__ = ["Measured", "Measurer", "Progress", "silent"]


class Progress(Protocol):
    """Is told how far a stage has come; ``total`` does not change within a stage."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` steps of ``stage`` are done."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one measurement produced: the exact bytes of a statement, and the word that names its file."""

    payload: bytes
    predicate: Literal["dataset", "provenance", "evaluation"]


class Measurer(Protocol):
    """Computes one kind of property; a policy names it ``<name>/<version>``."""

    @property
    def name(self) -> str:
        """The name, without the version."""
        ...

    @property
    def version(self) -> str:
        """The version: another one means that the same inputs may give another value."""
        ...

    def measure(
        self, inputs: Mapping[str, VerifiedArtifact], *, name: str, job: Job, progress: Progress
    ) -> tuple[Measured, ...]:
        """Measure the artifact in role ``subject``.

        Args:
            inputs: the subject and whatever it is measured against, by role.
            name: the name of the subject in the statement.
            job: the declared configuration.
            progress: is told how far the measurement has come.

        Raises:
            FormatError: an input is not what the job declares.
        """
        ...

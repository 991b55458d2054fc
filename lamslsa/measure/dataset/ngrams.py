"""Property ``ngramOverlap``: runs of ``n`` words that also occur in another dataset: how much of a test was seen.

    ngramOverlap: [{column: review, with: corpus, otherColumn: text, n: 8, normalization: [nfkc, casefold],
                    words: letters}]

``column`` stands where the subject is a table, ``otherColumn`` where the other one is. A document of fewer than n words
has no run and shares none. Runs are compared by the first 16 bytes of SHA-256 over their words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.dataset import words
from lamslsa.measure.dataset.near import text_column
from lamslsa.measure.dataset.reading import Reading
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.predicates import dataset as wire

__all__ = ["MAX_NGRAMS", "NgramOverlap", "declare"]

MAX_NGRAMS: Final = 20_000_000
_MAX_N: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramOverlap:
    """One comparison."""

    column: str | None
    other: str
    other_column: str | None
    n: int
    normalization: tuple[str, ...]
    words: words.Words

    @property
    def references(self) -> tuple[str, ...]:
        """The dataset that it is compared with."""
        return (self.other,)

    def step(self) -> str:
        """What is compared."""
        return f"runs of {self.n} words shared with {self.other}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {
            **({} if self.column is None else {"column": self.column}),
            "with": self.other,
            **({} if self.other_column is None else {"otherColumn": self.other_column}),
            "n": self.n,
            "normalization": list(self.normalization),
            "words": self.words,
        }

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.NgramOverlap:
        """Compare.

        Raises:
            FormatError: there are too many different runs.
        """
        del seed
        other = others[self.other]
        seen: set[bytes] = set()
        for document in other.documents(self.other_column):
            seen.update(self._runs(document))
            _refuse_many(seen)
        mine: set[bytes] = set()
        documents = found = total = in_both = 0
        for document in subject.documents(self.column):
            runs = list(self._runs(document))
            both = sum(run in seen for run in runs)
            mine.update(runs)
            _refuse_many(mine)
            documents, found, total, in_both = documents + 1, found + bool(both), total + len(runs), in_both + both
        return wire.NgramOverlap(
            dataset=other.reference,
            schema_digest=other.schema_digest,
            n=self.n,
            samples=documents,
            documents=found,
            ngrams=len(mine),
            shared=len(mine & seen),
            occurrences=total,
            shared_occurrences=in_both,
            column=self.column,
            other_column=self.other_column,
        )

    def _runs(self, document: str) -> Iterator[bytes]:
        found = [word.encode() for word in words.split(words.normal(document, self.normalization), self.words)]
        for start in range(len(found) - self.n + 1):
            yield hashlib.sha256(b" ".join(found[start : start + self.n])).digest()[:16]


def _refuse_many(runs: set[bytes]) -> None:
    if len(runs) > MAX_NGRAMS:
        raise FormatError(f"expected at most {MAX_NGRAMS} different runs of words, got more", reason="dataset-ngrams")


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> NgramOverlap:
    """Read one entry of ``ngramOverlap``."""
    node = fields.take("with")
    node.choice([name for name in scope.datasets if name != dataset.name])
    other = scope.dataset(node)
    if isinstance(other.schema, ImageSchema):
        node.refuse(f"expected texts or a table, got {other.name!r}", reason="job-ngrams")
    return NgramOverlap(
        column=text_column(fields, dataset, "column"),
        other=other.name,
        other_column=text_column(fields, other, "otherColumn"),
        n=fields.take("n").integer(minimum=1, maximum=_MAX_N),
        normalization=words.declare_steps(fields.take("normalization")),
        words=words.declare_words(fields.take("words")),
    )

"""Property ``nearDuplicates``: documents that are almost the same, among texts or in a column of a table.

    nearDuplicates: [{column: review, normalization: [nfkc, casefold], unit: letters, size: 3,
                      threshold: 0.8, permutations: 128, bands: 32, rows: 4}]

``column`` is for tables only. A document is the set of its shingles (Broder 1997): runs of ``size`` units, which are
words between white space, runs of ``letters``, or ``characters``; one of fewer units is one shingle, and one without
any is no document here. Two documents are near duplicates if the Jaccard similarity of their sets is at least the
threshold.

Candidates come from MinHash signatures cut into ``bands`` of ``rows`` (datasketch), and each candidate is then compared
exactly: no pair is counted wrongly, and one of similarity s is found with probability 1 - (1 - s^rows)^bands, over the
choice of ideal hash functions. ``recall`` is that at the threshold. The seed of the hash functions follows from the
dataset and the configuration, so nobody chooses it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, Literal

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.dataset import words
from lamslsa.measure.dataset.reading import Reading
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.seeds import sub_seed
from lamslsa.predicates import dataset as wire

__all__ = ["MAX_CANDIDATES", "NearDuplicates", "declare", "text_column"]

MAX_CANDIDATES: Final = 5_000_000
_MAX_PERMUTATIONS: Final = 1024
_MAX_SIZE: Final = 100
_CACHED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """One search."""

    column: str | None
    normalization: tuple[str, ...]
    unit: Literal["whitespace", "letters", "characters"]
    size: int
    threshold: float
    permutations: int
    bands: int
    rows: int
    references: tuple[str, ...] = ()

    def step(self) -> str:
        """What is searched."""
        where = "" if self.column is None else f" in {self.column}"
        return f"near duplicates{where}, Jaccard similarity at least {self.threshold}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {
            **({} if self.column is None else {"column": self.column}),
            "normalization": list(self.normalization),
            "unit": self.unit,
            "size": self.size,
            "threshold": self.threshold,
            "permutations": self.permutations,
            "bands": self.bands,
            "rows": self.rows,
        }

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.NearDuplicates:
        """Search.

        Raises:
            FormatError: there are too many candidates.
        """
        del others
        texts: dict[bytes, str] = {}
        copies: Counter[bytes] = Counter()
        for document in subject.documents(self.column):
            text = words.normal(document, self.normalization)
            found = self.shingles(text)
            if found:
                key = hashlib.sha256(
                    b"".join(sorted(hashlib.sha256(each.encode()).digest() for each in found))
                ).digest()
                texts.setdefault(key, text)
                copies[key] += 1
        number = int.from_bytes(sub_seed(seed, "nearDuplicates", [self.column or ""])[:4], "big")
        distinct = list(texts.values())
        candidates = self._candidates(distinct, number)
        pairs = self._confirmed(distinct, candidates)
        similar = {index for pair in pairs for index in pair}
        return wire.NearDuplicates(
            column=self.column,
            samples=sum(copies.values()),
            distinct=len(distinct),
            candidates=len(candidates),
            pairs=len(pairs),
            documents=sum(n for index, n in enumerate(copies.values()) if n > 1 or index in similar),
            threshold=self.threshold,
            recall=1 - (1 - self.threshold**self.rows) ** self.bands,
            seed=number,
        )

    def shingles(self, text: str) -> frozenset[str]:
        """The shingles of a normalised text; words of one are parted by a space."""
        units = list(text) if self.unit == "characters" else words.split(text, self.unit)
        between = "" if self.unit == "characters" else " "
        if not units:
            return frozenset()
        last = max(len(units) - self.size, 0)
        return frozenset(between.join(units[start : start + self.size]) for start in range(last + 1))

    def _candidates(self, texts: list[str], seed: int) -> list[tuple[int, int]]:
        from datasketch import MinHash, MinHashLSH

        index = MinHashLSH(num_perm=self.permutations, params=(self.bands, self.rows))
        empty = MinHash(num_perm=self.permutations, seed=seed)
        found: list[tuple[int, int]] = []
        for number, text in enumerate(texts):
            signature = empty.copy()
            signature.update_batch([shingle.encode() for shingle in self.shingles(text)])
            found += [(other, number) for other in index.query(signature)]
            if len(found) > MAX_CANDIDATES:
                raise FormatError(
                    f"expected at most {MAX_CANDIDATES} candidates for near duplicates, got more",
                    reason="dataset-candidates",
                    hint="more rows per band or larger shingles give fewer candidates",
                )
            index.insert(number, signature)
        return found

    def _confirmed(self, texts: list[str], candidates: list[tuple[int, int]]) -> list[tuple[int, int]]:
        wanted = Fraction(repr(self.threshold))

        @lru_cache(maxsize=_CACHED)
        def shingles(number: int) -> frozenset[str]:
            return self.shingles(texts[number])

        found = []
        for one, other in candidates:
            shared = len(shingles(one) & shingles(other))
            if Fraction(shared, len(shingles(one)) + len(shingles(other)) - shared) >= wanted:
                found.append((one, other))
        return found


def text_column(fields: _yaml.Mapping_, dataset: DatasetJob, key: str) -> str | None:
    """The column of a table that holds documents; None for a dataset of texts, where the key may not stand."""
    schema = dataset.schema
    if not isinstance(schema, Schema):
        return None
    return fields.take(key).choice([column.name for column in schema.features if column.type == "string"])


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> NearDuplicates:
    """Read one entry of ``nearDuplicates``."""
    del scope
    unit = fields.take("unit").choice(["whitespace", "letters", "characters"])
    bands = fields.take("bands").integer(minimum=2, maximum=_MAX_PERMUTATIONS)
    node = fields.take("permutations")
    found = NearDuplicates(
        column=text_column(fields, dataset, "column"),
        normalization=words.declare_steps(fields.take("normalization")),
        unit="characters" if unit == "characters" else "letters" if unit == "letters" else "whitespace",
        size=fields.take("size").integer(minimum=1, maximum=_MAX_SIZE),
        threshold=fraction(fields.take("threshold")),
        permutations=node.integer(minimum=2, maximum=_MAX_PERMUTATIONS),
        bands=bands,
        rows=fields.take("rows").integer(minimum=1, maximum=_MAX_PERMUTATIONS),
    )
    if found.bands * found.rows != found.permutations:
        node.refuse(
            f"expected bands times rows, {found.bands * found.rows}, got {found.permutations}", reason="job-bands"
        )
    return found

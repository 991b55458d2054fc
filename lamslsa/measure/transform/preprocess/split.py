"""The step that makes parts: split by seed, so that no row is in two.

split: into {<part>: <share>, …}, seed, together […], stratify […]

- Shares are integers: of n rows in the order of `order`, those from ⌊n · W(k-1) / W⌋ on and before ⌊n · W(k) / W⌋ go to
  part k, with W(k) the sum of the first k shares and W that of all.
- ``together``: rows equal in these columns (missing equals missing) stay on one side. The groups are drawn by the index
  of their first row, and a group goes where its first place falls, counted in rows; so shares are met as closely as the
  groups allow.
- ``stratify``: the rule above within each set of rows equal in these columns; so sets of few rows lean to later parts.

Rows keep their order within a part. Whoever writes the job chooses the seed, and could try many: a policy that cares
compares the configuration.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import Column
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Workspace
from lamslsa.measure.transform.preprocess.interface import WHOLE, Applied, Frames, Known, columns_of
from lamslsa.measure.transform.preprocess.order import drawn
from lamslsa.measure.transform.preprocess.rows import MAX_SEED

__all__ = ["Split", "split"]

_MAX_PARTS: Final = 64
_MAX_SHARE: Final = 1_000_000
_PART: Final = Column(name="part", type="integer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Parts by share."""

    into: Mapping[str, int]
    seed: int
    together: tuple[str, ...]
    stratify: tuple[str, ...]

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {
            "step": "split",
            "into": dict(self.into),
            "seed": self.seed,
            "together": list(self.together),
            "stratify": list(self.stratify),
        }

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Number the part of every row, then take the parts apart."""
        frame = frames[WHOLE]
        numbered = self._by_group(frame, space) if self.together else self._by_row(frame, space)
        part_column = numbered.fields[-1].sql
        return Applied(
            frames={
                part: space.keep_rows(numbered.with_fields(numbered.fields[:-1]), f"{part_column} = {number}")
                for number, part in enumerate(self.into)
            }
        )

    def _by_row(self, frame: Frame, space: Workspace) -> Frame:
        within = f"partition by {frame.sql(self.stratify)}" if self.stratify else ""
        place = f"row_number() over ({within} order by {drawn(self.seed)}, rowid) - 1"
        inner = f"(select *, rowid as i, {place} as place, count(*) over ({within}) as size from {frame.table})"
        return self._numbered(frame, space, f"from {inner} order by i", place="place", size="size")

    def _by_group(self, frame: Frame, space: Workspace) -> Frame:
        keys = frame.sql(self.together)
        first = f"(select *, rowid as i, min(rowid) over (partition by {keys}) as g from {frame.table})"
        groups = f"(select g, count(*) as n from {first} group by g)"
        preceding = f"order by {drawn(self.seed, 'g')}, g rows between unbounded preceding and 1 preceding"
        place = f"coalesce(sum(n) over ({preceding}), 0)::BIGINT as place"
        places = f"(select g as of_group, {place} from {groups})"
        joined = f"from {first} a join {places} b on a.g = b.of_group order by i"
        return self._numbered(frame, space, joined, place="place", size=str(frame.rows))

    def _numbered(self, frame: Frame, space: Workspace, rest: str, *, place: str, size: str) -> Frame:
        sums = list(accumulate(self.into.values()))
        cases = " ".join(
            f"when {place} < ({size}::HUGEINT * {upto}) // {sums[-1]} then {number}" for number, upto in enumerate(sums)
        )
        return space.make([*frame.fields, Field.of(_PART, f"case {cases} end")], rest)


def split(node: _yaml.Mapping_, known: Known) -> Split:
    """``{step: split, into, seed, together, stratify}``; once in a transform."""
    into_node = node.take("into").mapping()
    if known.parts != (WHOLE,):
        node.refuse("expected one split, got a second", reason="preprocess-split")
    into = {part: share.integer(minimum=1, maximum=_MAX_SHARE) for part, share in into_node}
    for part, share in into_node:
        if not part.isascii() or not part.replace("-", "").isalnum() or len(part) > 64 or part == WHOLE:
            share.refuse(
                f"expected a part's name of letters, digits and hyphens, and not {WHOLE}, got {part!a:.80}",
                reason="preprocess-split",
            )
    if not 2 <= len(into) <= _MAX_PARTS:
        into_node.refuse(f"expected 2 to {_MAX_PARTS} parts, got {len(into)}", reason="preprocess-split")
    seed = node.take("seed").integer(minimum=0, maximum=MAX_SEED)
    lists = [node.take(key) for key in ("together", "stratify")]
    together, stratify = (columns_of(item, known) if _has_items(item) else () for item in lists)
    if together and stratify:
        node.refuse("expected columns in together or in stratify, got both", reason="preprocess-split")
    known.parts = tuple(into)
    return Split(into=into, seed=seed, together=together, stratify=stratify)


def _has_items(node: _yaml.Node) -> bool:
    return isinstance(node, _yaml.Scalar) or bool(node.sequence(empty=True))

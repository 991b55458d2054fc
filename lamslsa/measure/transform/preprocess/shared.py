"""How many rows the outputs of one transform share with each other, compared as a datasheet compares datasets."""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamslsa.measure.data.schema import Label
from lamslsa.measure.transform.preprocess.frame import Frame, Workspace

__all__ = ["shared_rows"]


def shared_rows(frames: Mapping[str, Frame], space: Workspace, *, label: Label | None) -> dict[str, dict[str, int]]:
    """For each part, by other part: its rows whose values, the label left out, occur in the other too.

    Missing equals missing. A split puts no row into two parts, but equal rows may stand on both sides, unless
    duplicates are dropped before or are kept together.
    """
    return {
        part: {other: _shared(frame, its, space, label) for other, its in frames.items() if other != part}
        for part, frame in frames.items()
    }


def _shared(frame: Frame, other: Frame, space: Workspace, label: Label | None) -> int:
    compared = [name for name in _names(frame) if label is None or name != label.column]
    if not compared:
        return 0
    mine, theirs = _by_name(frame), _by_name(other)
    same = " and ".join(f"a.{mine[name]} is not distinct from b.{theirs[name]}" for name in compared)
    query = f"select count(*) from {frame.table} a where exists (select 1 from {other.table} b where {same})"
    return int(space.one(query))


def _names(frame: Frame) -> list[str]:
    return [field.column.name for field in frame.fields]


def _by_name(frame: Frame) -> dict[str, Any]:
    return {field.column.name: field.sql for field in frame.fields}

"""The values of an evaluation as a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from lamslsa._cli import ui
from lamslsa.predicates.evaluation import Metric

__all__ = ["metric_table"]

_COLUMNS: Final = ("metric", "value", "interval", "samples", "slice")
_MAX_ROWS: Final = 40
_MAX_CELL: Final = 60
_SMALLEST: Final = 5e-4
_LARGEST: Final = 1e6


def metric_table(metrics: Sequence[Metric], *, rest: str) -> list[str]:
    """The lines of a table with one row a metric, in the order of the statement.

    Numbers are rounded to four decimals, or written in exponent form where these would say nothing.

    Args:
        metrics: what was measured.
        rest: where the metrics are that are too many for the table.
    """
    rows = [_row(metric) for metric in metrics[:_MAX_ROWS]]
    lines = ui.table(_COLUMNS, rows).split("\n")
    if len(metrics) > _MAX_ROWS:
        lines.append(f"… {len(metrics) - _MAX_ROWS:,} more metrics; {rest}")
    return lines


def _row(metric: Metric) -> tuple[str, ...]:
    value = f"undefined: {metric.undefined or 'no reason given'}" if metric.value is None else _number(metric.value)
    cells = (_name(metric), value, _interval(metric), f"{metric.samples:,}", _slice(metric.slice))
    return tuple(_cell(cell) for cell in cells)


def _cell(text: str) -> str:
    shown = ui.plain(text)
    return shown if len(shown) <= _MAX_CELL else f"{shown[: _MAX_CELL - 1]}…"


def _name(metric: Metric) -> str:
    """The name with what tells metrics of one name apart: the columns compared, the parameters."""
    of = [" × ".join(metric.groups)] if metric.groups else []
    of += [f"{name}={_part(value)}" for name, value in (metric.parameters or {}).items()]
    return f"{metric.name} ({', '.join(of)})" if of else metric.name


def _part(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _interval(metric: Metric) -> str:
    if metric.value is None or metric.interval is None:
        return "none"
    found = metric.interval
    return f"{_number(found.lower)} to {_number(found.upper)} ({100 * found.level:g} %)"


def _slice(rows: Mapping[str, str] | None) -> str:
    return ", ".join(f"{column}={group}" for column, group in rows.items()) if rows else "all rows"


def _number(value: float) -> str:
    if value and not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.3e}"
    return f"{value:.4f}"

"""``lamslsa measurers``: what can be measured, and what each measurer needs to be installed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

import click

from lamslsa._cli import ui
from lamslsa.measure.dataset.declare import NAMES as DATASETS
from lamslsa.measure.interface import Stage
from lamslsa.measure.registry import BUILT_IN

__all__ = ["EXTRAS", "command"]

EXTRAS: Final[Mapping[str, str]] = {
    "autoattack/1": "robustness",
    "convert-onnx/1": "onnx",
    "gradient-boosting/1": "onnx",
    "image-dataset/1": "images",
    "image-cnn/1": "images",
    "image-vgg/1": "images",
    "logistic-regression/1": "onnx",
    "pgd/1": "robustness",
    "preprocess/1": "dataset",
    "tabular-dataset/1": "dataset",
    "text-dataset/1": "text",
}
"""What a measurer needs beside what all of its stage need."""

_OF_STAGE: Final[Mapping[Stage, str]] = {
    "dataset": "dataset",
    "training": "tabular",
    "transform": "tabular",
    "evaluation": "tabular",
    "inference": "tabular",
    "model": "tabular",
}
_PACKAGE: Final = "lamslsa"
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    stage: Stage
    name: str
    extra: str
    missing: tuple[str, ...]


@click.command("measurers")
@ui.options
def command(output: ui.Output) -> int:
    """List what can be measured: by stage, the names that a job file may use, and what each needs.

    Measurers of others are never listed: they are taken with `lamslsa attest --measurers DISTRIBUTION`.

    \b
    Example:
      lamslsa measurers
      lamslsa measurers --format json
    """
    rows = list(_rows())
    cells = [
        (row.stage, row.name, f"lamslsa[{row.extra}]", "no: " + ", ".join(row.missing) if row.missing else "yes")
        for row in rows
    ]
    output.result(
        ui.table(("stage", "measurer", "needs", "installed"), cells),
        [
            {
                "stage": row.stage,
                "name": row.name,
                "extra": row.extra,
                "installed": not row.missing,
                "missing": list(row.missing),
            }
            for row in rows
        ],
    )
    return 0


def _rows() -> Iterator[_Row]:
    for stage in get_args(Stage):
        for name in DATASETS if stage == "dataset" else BUILT_IN.names(stage):
            extra = EXTRAS.get(name, _OF_STAGE[stage])
            yield _Row(stage=stage, name=name, extra=extra, missing=tuple(sorted(set(_missing(extra)))))


def _missing(extra: str) -> Iterator[str]:
    """Names of the distributions that an extra requires and that are not installed; the extra where it is unknown."""
    known = False
    for requirement in importlib.metadata.requires(_PACKAGE) or ():
        match, of = _REQUIREMENT.match(requirement), _EXTRA.search(requirement)
        if match is None or of is None or of[1] != extra:
            continue
        known = True
        if match[1] == _PACKAGE:
            for other in (match[2] or "").split(","):
                yield from _missing(other.strip())
            continue
        try:
            importlib.metadata.distribution(match[1])
        except importlib.metadata.PackageNotFoundError:
            yield match[1]
    if not known:
        yield f"{_PACKAGE}[{extra}]"

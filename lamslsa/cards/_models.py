"""The sections of a card that show a model by itself and what it answered: properties and inferences.

What could not be looked into is never shown as harmless: a file is only ever said to hold nothing of what was looked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._source import code_notices, code_words, facts, few, listing
from lamslsa.cards.parts import Fact, Listing, Reference, Source, Table
from lamslsa.cards.view import Alert, Inference, Properties
from lamslsa.predicates import inference as inferences
from lamslsa.predicates import model as models

__all__ = ["alerts", "inference_section", "properties_section"]

_SEVERITIES: Final = MappingProxyType[models.Severity, str](
    {"code": "can run code", "unknown": "could not be looked into", "notice": "is interpreted by a loader"}
)
_ORDER: Final = tuple(_SEVERITIES)
_NOTHING: Final = "nothing found"
_UNKNOWN_FORMAT: Final = "unknown"
_NONE: Final = "none"
_NOT_STATED: Final = "not stated"
_MAX_ROWS: Final = 40


def _worst(predicate: predicates.Model) -> dict[str, models.Severity]:
    """The worst that was found in each file, by path; what lies in an archive is the archive's."""
    paths = {file.path for file in predicate.files}
    worst: dict[str, models.Severity] = {
        file.path: "unknown" for file in predicate.files if file.format == _UNKNOWN_FORMAT
    }
    for finding in predicate.findings:
        outer = finding.path
        while outer not in paths and "!" in outer:
            outer = outer.rpartition("!")[0]
        known = worst.get(outer)
        if known is None or _ORDER.index(finding.severity) < _ORDER.index(known):
            worst[outer] = finding.severity
    return worst


def _count(predicate: predicates.Model, severity: models.Severity) -> str:
    """How many findings there are, or more where the list holds more than is claimed."""
    claimed = predicate.severities.get(severity)
    listed = sum(finding.severity == severity for finding in predicate.findings)
    if claimed is None and not listed:
        return _NOT_STATED
    return _text.count(max(claimed or 0, listed))


def alerts(predicate: predicates.Model, source: Source) -> Iterator[Alert]:
    """What nobody who loads the model must miss."""
    worst = list(_worst(predicate).values())
    sentences: tuple[tuple[models.Severity, str], ...] = (
        ("code", "Files of this model can run code when a usual loader reads them"),
        ("unknown", "Files of this model could not be looked into, and are not known to be harmless"),
    )
    for severity, sentence in sentences:
        count, files = _count(predicate, severity), worst.count(severity)
        if count != "0" or files:
            yield Alert(standing=source.standing, text=f"{sentence}: files {_text.count(files)}, findings {count}.")


def _findings(predicate: predicates.Model) -> Table:
    found = sorted(predicate.findings, key=lambda finding: _ORDER.index(finding.severity))
    return Table(
        title="Findings: why files are not plain data",
        headers=("File", "Severity", "Kind", "What was found"),
        rows=listing(
            ((each.path, _SEVERITIES[each.severity], each.kind, each.detail) for each in found), limit=_MAX_ROWS
        ),
        what="findings",
    )


def _files(predicate: predicates.Model) -> Table:
    worst = _worst(predicate)
    found = sorted(predicate.files, key=lambda file: _ORDER.index(worst[file.path]) if file.path in worst else 9)
    rows = (
        (file.path, file.format, _SEVERITIES[worst[file.path]] if file.path in worst else _NOTHING,
         _text.count(file.size), f"sha256:{file.digest.sha256}")
        for file in found
    )  # fmt: skip
    return Table(
        title="Files, by what their bytes are",
        headers=("File", "Format", "Result", "Bytes", "Digest"),
        rows=listing(rows, limit=_MAX_ROWS),
        what="files",
    )


def _number(value: float | None) -> str:
    return _NONE if value is None else _text.number(value)


def _statistics(statistics: models.Statistics) -> Iterator[Fact]:
    yield Fact(name="values", value=_text.count(statistics.elements))
    yield Fact(name="zeros", value=_text.count(statistics.zeros))
    yield Fact(name="not finite", value=_text.count(statistics.non_finite))
    if statistics.undefined is not None:
        yield Fact(name="distribution", value=f"undefined: {statistics.undefined}")
        return
    for name in ("minimum", "maximum", "mean", "deviation"):
        yield Fact(name=name, value=_number(getattr(statistics, name)))


def _tensors(predicate: predicates.Model) -> Table:
    rows = (
        (each.name, each.dtype, " × ".join(map(str, each.shape[:8])) or "scalar", _number(each.statistics.minimum),
         _number(each.statistics.maximum), _number(each.statistics.mean), _number(each.statistics.deviation))
        for each in predicate.tensors
    )  # fmt: skip
    return Table(
        title="Tensors",
        headers=("Tensor", "Type", "Shape", "Minimum", "Maximum", "Mean", "Deviation"),
        rows=listing(rows, limit=_MAX_ROWS),
        what="tensors",
    )


def _dtypes(dtypes: Mapping[str, int]) -> str:
    return few([f"{name}: {_text.count(elements)}" for name, elements in dtypes.items()], limit=12, separator="; ")


def properties_section(predicate: predicates.Model, source: Source) -> Properties:
    """Findings first, then the files, the number of parameters and their distribution."""
    weights, architecture = predicate.weights, predicate.architecture
    trainable = _NOT_STATED if weights.trainable is None else _text.count(weights.trainable)
    return Properties(
        source=source,
        notices=code_notices(predicate.measurer),
        facts=(
            *(Fact(name=f"findings: {_SEVERITIES[each]}", value=_count(predicate, each)) for each in _ORDER),
            Fact(name="parameters", value=_text.count(weights.elements)),
            Fact(name="of which training changes", value=trainable),
            Fact(name="tensors", value=_text.count(weights.tensors)),
            Fact(name="bytes of tensors", value=_text.count(weights.bytes)),
            Fact(name="types", value=_dtypes(weights.dtypes)),
            Fact(name="architecture", value=architecture.name or _NOT_STATED),
            Fact(name="described by", value=architecture.source or "no file"),
            Fact(name="architecture digest", value=architecture.digest.sha256),
            Fact(name="measurer", value=code_words(predicate.measurer)),
            Fact(name="configuration digest", value=predicate.configuration_digest.sha256),
        ),
        findings=_findings(predicate),
        files=_files(predicate),
        statistics=tuple(_statistics(weights.statistics)),
        tensors=_tensors(predicate),
    )


def _side(side: inferences.Side) -> Listing[Fact]:
    if side.commitment is not None:
        return listing((Fact(name="not disclosed, commitment", value=f"sha256:{side.commitment}"),))
    value = side.value
    return listing(facts(value) if isinstance(value, dict) and value else facts({"value": value}), limit=_MAX_ROWS)


def _disclosed(configuration: Mapping[str, Any]) -> Iterator[Fact]:
    asked = configuration.get("disclose")
    for side in ("inputs", "outputs"):
        said = asked.get(side) if isinstance(asked, dict) else None
        words = "values in the records" if said else "commitments in the records"
        yield Fact(name=side, value=words if isinstance(said, bool) else _NOT_STATED)


def inference_section(predicate: predicates.Inference, source: Source) -> Inference:
    """One record with its two sides, or how many the statement commits to."""
    size, record = predicate.records.size, predicate.record
    facts_: tuple[Fact, ...] = (
        Fact(name="inferences", value=_text.count(size)),
        Fact(name="root of the tree", value=predicate.records.root.sha256),
    )
    if record is not None:
        facts_ = (*facts_, Fact(name="row of the dataset, from 0", value=_text.count(record.index)))
    else:
        facts_ = (*facts_, *_disclosed(predicate.configuration))
    return Inference(
        source=source,
        title="One inference" if size == 1 else f"{_text.count(size)} inferences",
        dataset=Reference(name=predicate.dataset.name, digest=predicate.dataset.digest.sha256),
        notices=code_notices(predicate.measurer),
        facts=(
            *facts_,
            Fact(name="measurer", value=code_words(predicate.measurer)),
            Fact(name="architecture", value=predicate.model.architecture),
            Fact(name="configuration digest", value=predicate.configuration_digest.sha256),
        ),
        input=listing(()) if record is None else _side(record.input),
        output=listing(()) if record is None else _side(record.output),
        configuration=listing(facts(predicate.configuration), limit=_MAX_ROWS),
    )

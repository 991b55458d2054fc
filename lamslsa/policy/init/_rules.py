"""Rules out of what was measured: one for each metric and each overlap, with the number that it came from.

Rules:
- A limit is a margin away from the careful end of the attested interval (`lamslsa.policy.init._limits`); of an overlap
  it is the attested number of rows itself.
- What the format has no room for, what nobody could miss, and what nobody here knows the better way of is no rule: it
  is said so instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa.lineage import Measurement
from lamslsa.policy.init._found import Found
from lamslsa.policy.init._limits import Scale, limit, scale_of
from lamslsa.policy.init._scalars import MAX_TEXT, flow, is_text, scalar, value
from lamslsa.policy.init._terms import Datasets
from lamslsa.predicates import configuration_digest
from lamslsa.predicates._common import Measurer
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS, Metric

__all__ = ["RuleDraft", "Rules"]

_DEFAULTS: Final = {name: configuration_digest(dict(item)) for name, item in DEFAULT_CONFIGURATIONS.items()}
_MOST_SHOWN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """One rule as YAML.

    Attributes:
        why: where its number comes from.
        body: its lines but for the name, without indentation.
    """

    name: str
    why: str
    body: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Rules:
    """Gathers rules, and what could be none.

    Attributes:
        margin: see `lamslsa.policy.init._limits.limit`.
    """

    found: Found
    datasets: Datasets
    platform: str
    margin: float
    drafts: list[RuleDraft] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _seen: set[object] = field(default_factory=set)

    def gather(self) -> None:
        """Every rule that there can be."""
        evaluations = sorted(
            self.found.measurements(),
            key=lambda item: (item.dataset.sha256, str(item.evaluation.measurer), item.attestation.statement.sha256),
        )
        several = len({item.dataset for item in evaluations}) > 1
        for item in evaluations:
            self._evaluation(item, several=several)
        for dataset in dict.fromkeys(item.dataset.sha256 for item in evaluations):
            self._overlaps(dataset)

    def _evaluation(self, item: Measurement, *, several: bool) -> None:
        evaluation, digest = item.evaluation, item.attestation.statement.sha256
        here = f"evaluation by {evaluation.measurer} on {evaluation.dataset.name}, sha256:{digest[:12]}"
        if item.dataset in {reading.artifact for reading in self.found.readings}:
            self.left_out.append(f"{here}: on data that the model was trained on")
            return
        schema = evaluation.dataset.schema_digest.sha256
        dataset = self.datasets.inline(item.dataset.sha256, schema)
        references = self._references(item)
        measurer = _measurer(evaluation.measurer)
        lacking = {
            "no datasheet of its dataset that counts, under the schema under which it was read": dataset is None,
            "it read something that ingredients do not list": references is None,
            "a measurer whose name has no room in a policy": measurer is None,
        }
        for reason, holds in lacking.items():
            if holds:
                self.left_out.append(f"{here}: {reason}")
                return
        terms = {
            "dataset": dataset or "",
            "measurer": measurer or "",
            "configuration": self._configuration(item),
            "references": references or "",
        }
        suffix = f" on {self.datasets.label(item.dataset.sha256)}" if several else ""
        unknown: Counter[str] = Counter()
        for metric in evaluation.metrics:
            scale = scale_of(metric.name, measurer=str(evaluation.measurer), of=(metric.parameters or {}).get("of"))
            if scale is None:
                unknown[metric.name] += 1
            else:
                self._metric(item, metric, scale, terms, suffix)
        if unknown:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(unknown.items()))
            self.left_out.append(f"{here}: nobody here knows which way these are better: {names}")

    def _metric(self, item: Measurement, metric: Metric, scale: Scale, terms: Mapping[str, str], suffix: str) -> None:
        what = _words(metric) + suffix
        texts = (metric.name, *metric.groups, *(text for pair in (metric.slice or {}).items() for text in pair))
        parameters = metric.parameters or {}
        if not all(map(is_text, (*texts, *parameters))) or not all(map(_is_plain, parameters.values())):
            self.left_out.append(f"{what}: a name that has no room in a policy")
            return
        if metric.value is None:
            self.left_out.append(f"{what}: undefined, {metric.undefined or 'for no reason given'}")
            return
        key = (metric.name, metric.groups, str(metric.slice), str(parameters), *terms.items())
        if key in self._seen:
            self.left_out.append(f"{what}: measured more than once; the rule is about the first, by digest")
            return
        self._seen.add(key)
        interval = metric.interval
        end = metric.value if interval is None else interval.lower if scale.higher else interval.upper
        bound = limit(scale, end, margin=self.margin)
        if bound is None:
            self.left_out.append(f"{what}: {end:g} less the margin of {self.margin:g} is a limit that nothing misses")
            return
        measured = f"{metric.value:.6g} attested over {metric.samples} rows"
        if interval is not None:
            measured += f", {100 * interval.level:g} % interval {interval.lower:.6g} to {interval.upper:.6g}"
        body = {
            "metric": scalar(metric.name),
            "groups": f"[{', '.join(map(scalar, metric.groups))}]" if metric.groups else "",
            "slice": _mapping(metric.slice or {}),
            "parameters": _mapping(parameters),
            **terms,
            "min" if scale.higher else "max": str(bound),
            "use": "value" if interval is None else "lowerBound" if scale.higher else "upperBound",
            "samples": flow(min=str(metric.samples)) if metric.samples else "",
            **self._witness(self.found.signer(item.attestation)),
        }
        self._add(what, f"{measured}; statement sha256:{item.attestation.statement.sha256[:12]}", body)

    def _overlaps(self, dataset: str) -> None:
        """The overlaps of an evaluated dataset with ingredients."""
        listed = {item.artifact.sha256 for item in self.found.readings}
        sheet = self.datasets.sheet(dataset)
        if sheet is None:
            return
        for overlap in sheet.sheet.overlaps:
            other = overlap.dataset.digest.sha256
            if other not in listed or other == dataset or ("overlap", dataset, other) in self._seen:
                continue
            self._seen.add(("overlap", dataset, other))
            measurer = _measurer(sheet.sheet.measurer)
            if measurer is None:
                continue
            label, own = self.datasets.label(other), self.datasets.label(dataset)
            same = [item for item in sheet.sheet.overlaps if item.dataset.digest.sha256 == other]
            body = {
                "overlap": scalar(label),
                "dataset": self.datasets.inline(dataset, sheet.sheet.schema_digest.sha256) or "",
                "measurer": measurer,
                "max": str(max(item.rows for item in same)),
                **self._witness(self.found.signer(sheet.attestation)),
            }
            counted = " or ".join(dict.fromkeys(f"{item.rows} over {_few(item.columns)}" for item in same))
            why = f"attested of {sheet.sheet.rows} rows: {counted}; statement sha256:"
            self._add(f"rows of {own} in {label}", why + sheet.attestation.statement.sha256[:12], body)

    def _add(self, name: str, why: str, body: Mapping[str, str]) -> None:
        unique = name if is_text(name) else f"rule {len(self.drafts) + 1}"
        number = 2
        while unique in self._names:
            unique, number = f"{name[: MAX_TEXT - 8]} ({number})", number + 1
        self._names.add(unique)
        lines = tuple(f"{key}: {text}" for key, text in body.items() if text)
        self.drafts.append(RuleDraft(name=unique, why=why, body=lines))

    def _witness(self, signer: str) -> Mapping[str, str]:
        return {"signedBy": scalar(signer), "platform": self.platform}

    def _configuration(self, item: Measurement) -> str:
        digest = item.evaluation.configuration_digest.sha256
        return "" if _DEFAULTS.get(str(item.evaluation.measurer)) == digest else f"sha256:{digest}"

    def _references(self, item: Measurement) -> str | None:
        """What else was read, as YAML; None where it cannot be said."""
        listed = {reading.artifact.sha256 for reading in self.found.readings}
        found: dict[str, str] = {}
        for reference in item.evaluation.references:
            sha256 = reference.digest.sha256
            if not is_text(reference.role) or (reference.kind == "dataset" and sha256 not in listed):
                return None
            found[scalar(reference.role)] = (
                flow(model=f"sha256:{sha256}")
                if reference.kind == "model"
                else flow(dataset=scalar(self.datasets.label(sha256)))
            )
        return flow(**found)


def _measurer(measurer: Measurer) -> str | None:
    """A measurer as YAML; None where the policy has no room for its name."""
    name = f"{measurer.name}/{measurer.version}"
    if not is_text(name) or name.count("/") != 1 or " " in name:
        return None
    if measurer.distribution is None:
        return scalar(name)
    return flow(name=scalar(name), distribution=scalar(str(measurer).partition(" of ")[2]))


def _is_plain(item: object) -> bool:
    return is_text(item) if isinstance(item, str) else isinstance(item, bool | int | float)


def _mapping(items: Mapping[str, str | float]) -> str:
    return flow(**{scalar(key): value(item) for key, item in items.items()})


def _words(metric: Metric) -> str:
    """What a metric is of: the name of its rule."""
    parts = [metric.name]
    parts += [f"by {' and '.join(metric.groups)}"] if metric.groups else []
    parts += [f"where {_pairs(metric.slice)}"] if metric.slice else []
    parts += [f"at {_pairs(metric.parameters)}"] if metric.parameters else []
    return " ".join(parts)


def _pairs(items: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={item}" for key, item in items.items())


def _few(columns: tuple[str, ...]) -> str:
    shown = ", ".join(columns[:_MOST_SHOWN])
    return f"{len(columns)} columns" if len(columns) > _MOST_SHOWN else shown

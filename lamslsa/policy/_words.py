"""Rules, values and differences in words; nothing here decides."""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lamslsa.artifact.manifest import Manifest
from lamslsa.lineage import Lineage
from lamslsa.policy.model import MetricRule, ParameterTerms
from lamslsa.predicates.evaluation import Metric
from lamslsa.verification import VerifiedAttestation

__all__ = [
    "age",
    "limits",
    "metric_name",
    "names",
    "nearest_model",
    "number",
    "observed_metric",
    "parameter_limits",
    "quoted",
    "short",
]

_USES: Final = {"lowerBound": " (lower bound)", "value": "", "upperBound": " (upper bound)"}
_SHOWN: Final = 5


def quoted(text: str) -> str:
    """Text from an attestation: cut to size, and in quotes that show what cannot be printed."""
    return repr(text if len(text) <= 80 else text[:80] + "…")


def short(sha256: str) -> str:
    """A digest as people compare it."""
    return f"sha256:{sha256[:12]}"


def names(texts: Iterable[str]) -> str:
    """Some names from an attestation, sorted, and how many more there are; ``nothing`` for none."""
    found = sorted(texts)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{', '.join(map(quoted, found[:_SHOWN]))}{more}" or "nothing"


def age(value: dt.timedelta) -> str:
    """A span of time in its largest units: ``90 d``, ``1 d 3 h``."""
    hours, seconds = divmod(int(value.total_seconds()), 3600)
    parts = {"d": hours // 24, "h": hours % 24, "min": seconds // 60, "s": seconds % 60}
    return " ".join(f"{count} {unit}" for unit, count in parts.items() if count) or "0 s"


def number(value: float, *limits: float | None) -> str:
    """Four decimals, or all of them where rounding would hide on which side of a limit the value lies."""
    rounded = f"{value:.4f}"
    if any(limit is not None and value != limit and float(rounded) == limit for limit in limits):
        return repr(value)
    return rounded


def _bounds(minimum: float | None, maximum: float | None) -> str:
    parts = [f">= {minimum:g}"] if minimum is not None else []
    parts += [f"<= {maximum:g}"] if maximum is not None else []
    return " and ".join(parts)


def limits(rule: MetricRule) -> str:
    """What a metric rule asks for: ``>= 0.84 (lower bound), n >= 10000``."""
    bounds = [_bounds(rule.minimum, rule.maximum), _no_worse(rule)]
    parts = [f"{' and '.join(filter(None, bounds))}{_USES[rule.use]}"]
    parts += [f"n >= {rule.samples}"] if rule.samples else []
    parts += ["every evaluation"] if rule.every else []
    parts += ["latest evaluation"] if rule.latest else []
    parts += [f"planned by {rule.plan_signed_by}"] if rule.plan_signed_by is not None else []
    return ", ".join(parts)


def _no_worse(rule: MetricRule) -> str:
    other = rule.no_worse_than
    if other is None:
        return ""
    limit = "higher" if other.higher_is_better else "lower"
    by = f" by more than {other.margin:g}" if other.margin else ""
    return f"no worse than {short(other.sha256)}{by} ({limit} is better)"


def parameter_limits(terms: ParameterTerms) -> str:
    """What is asked of a training parameter: ``epochs <= 50``."""
    if terms.equals is not None:
        return f"{terms.name} = {terms.equals.decode('utf-8')}"
    return f"{terms.name} {_bounds(terms.minimum, terms.maximum)}"


def metric_name(
    name: str,
    groups: Sequence[str],
    rows: Mapping[str, str] | None,
    parameters: Mapping[str, str | int | float | bool] | None = None,
) -> str:
    """A metric with its parameters, groups or slice: ``robust_accuracy (epsilon=0.1)``, ``accuracy of sex=Female``."""
    at = (
        f" ({', '.join(f'{key}={json.dumps(value)}' for key, value in sorted(parameters.items()))})"
        if parameters
        else ""
    )
    by = f" by {' and '.join(groups)}" if groups else ""
    of = f" of {', '.join(f'{column}={value}' for column, value in sorted(rows.items()))}" if rows is not None else ""
    return f"{name}{at}{by}{of}"


def observed_metric(metric: Metric, *limits: float | None) -> str:
    """A measured value: ``0.8549 (0.8494..0.8602), n=16281``."""
    if metric.value is None:
        return f"undefined, n={metric.samples}"
    interval = metric.interval
    span = f" ({number(interval.lower, *limits)}..{number(interval.upper, *limits)})" if interval else ""
    return f"{number(metric.value, *limits)}{span}, n={metric.samples}"


def _listed_files(lineage: Lineage) -> dict[str, tuple[VerifiedAttestation, dict[str, str]]]:
    """By model: one attestation about it, and the paths and digests that attestations list for it."""
    result: dict[str, tuple[VerifiedAttestation, dict[str, str]]] = {}
    for build in lineage.builds:
        if build.product.kind != "model":
            continue
        _, files = result.setdefault(build.product.sha256, (build.attestation, {}))
        for item in build.provenance.run_details.byproducts:
            if item.digest is not None and (item.annotations or {}).get("kind") == "file":
                files.setdefault(item.name, item.digest.sha256)
    for measurement in lineage.measurements:
        _, files = result.setdefault(measurement.model.sha256, (measurement.attestation, {}))
        for file in measurement.evaluation.model.files:
            files.setdefault(file.path, file.digest.sha256)
    return result


def nearest_model(lineage: Lineage, model: Manifest) -> tuple[VerifiedAttestation, str] | None:
    """The model that the attestations here are about, when they are about another one, and how its files differ.

    The lists of files only explain: whether a model is the attested one was decided by the digest of its manifest.
    """
    have = {entry.path: entry.sha256 for entry in model.files}
    digests = set(have.values())
    others = {sha256: found for sha256, found in _listed_files(lineage).items() if sha256 != model.sha256}
    if not others:
        return None

    def likeness(sha256: str) -> tuple[int, int]:
        files = others[sha256][1]
        return sum(have.get(path) == digest for path, digest in files.items()), len(digests & set(files.values()))

    nearest = max(sorted(others), key=likeness)
    item, files = others[nearest]
    return item, (
        f"the attestations here are about {short(nearest)}; files that differ: {_difference(files, have)}"
        if files
        else f"the attestations here are about {short(nearest)}"
    )


def _difference(attested: Mapping[str, str], have: Mapping[str, str]) -> str:
    gone = {path: digest for path, digest in attested.items() if path not in have}
    new = {path: digest for path, digest in have.items() if path not in attested}
    words = [
        f"{quoted(path)} has other bytes"
        for path, digest in sorted(attested.items())
        if have.get(path, digest) != digest
    ]
    by_digest: dict[str, deque[str]] = {}
    for path, digest in sorted(new.items()):
        by_digest.setdefault(digest, deque()).append(path)
    for path, digest in sorted(gone.items()):
        renamed = by_digest.get(digest)
        if renamed:
            name = renamed.popleft()
            del new[name]
            words.append(f"{quoted(path)} is now {quoted(name)}")
        else:
            words.append(f"{quoted(path)} is missing")
    words += [f"{quoted(path)} was added" for path in sorted(new)]
    return _some(words) or "none by these lists"


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more

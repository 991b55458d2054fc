"""Predicates of every kind beyond the demo's, with ``text`` wherever a stranger can write."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import msgspec

from lamslsa._merkle import leaf_hash
from lamslsa.predicates import inference, provenance


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


SHA = {"sha256": digest("x")}
PARENT, RAW = digest("parent"), digest("raw")
ENVIRONMENT: dict[str, Any] = {"python": "CPython 3.11.7", "machine": {}, "variables": {}, "packages": []}


def reference(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def measurer(name: str, *, third: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "version": "1"}
    return found if third is None else {**found, "distribution": {"uri": third, "digest": SHA}}


def datasheet(text: str) -> dict[str, Any]:
    """A table with every property that there is."""
    other = {"dataset": reference(text[:200], RAW), "schemaDigest": SHA}
    return {
        "kind": "dataset",
        "measurer": measurer(text[:200], third=text),
        "schema": {"format": "csv", "label": {"column": text, "classes": {text: 0, f"{text}2": 1}}},
        "schemaDigest": SHA,
        "configuration": {},
        "files": [],
        "rows": 100,
        "columns": [{"name": "age", "type": "integer", "missing": 0, "distinct": 9}],
        "distributions": [],
        "labelBalance": {"columns": [text], "samples": 100, "cells": [{"values": [0], "count": 100}]},
        "conditional": [
            {
                "columns": [text],
                "given": [text],
                "samples": 100,
                "groups": [
                    {
                        "given": [text],
                        "rows": 40,
                        "cells": [{"values": [text], "count": 10}, {"values": [None], "count": 30}],
                    },
                    {"given": [None], "rows": 60, "cells": [{"values": [text], "count": 60}]},
                ],
            }
        ],
        "summaries": [
            {
                "column": text, "samples": 99, "missing": 1, "minimum": 17, "maximum": 90, "mean": 38.5816,
                "deviation": 13.64, "quantiles": [{"probability": 0.5, "value": 37}],
            },
            {"column": text, "samples": 0, "missing": 100, "undefined": text},
        ],
        "anonymity": [
            {
                "quasiIdentifiers": [text, "race"], "samples": 100, "classes": 20, "smallestClass": 2,
                "rowsBelow": [{"size": 3, "rows": 6}],
                "sensitive": [
                    {"column": text, "distinctDiversity": 1, "entropyDiversity": 1.5, "entropyCounts": [1, 1],
                     "distance": "equal", "closeness": 0.25},
                    {"column": text, "distinctDiversity": 1, "entropyDiversity": 1.5, "entropyCounts": [1, 1],
                     "distance": "ordered", "undefined": text},
                ],
            }
        ],
        "drift": [
            {
                "reference": reference(text[:200], RAW), "schemaDigest": SHA, "column": text, "samples": 100,
                "referenceSamples": 200, "bins": [], "psi": 0.0312,
                "kolmogorovSmirnov": {"statistic": 0.05, "pValue": 0.4, "samples": 100, "referenceSamples": 200,
                                      "method": "asymptotic"},
            },
            {
                "reference": reference(text[:200], RAW), "schemaDigest": SHA, "column": text, "samples": 100,
                "referenceSamples": 200, "bins": [], "undefined": text,
            },
        ],
        "shares": [
            {"where": {text: text}, "atLeast": 0.3, "by": "wilson", "confidenceLevel": 0.95, "samples": 100,
             "holds": False},
            {"where": {"sex": None}, "atLeast": 0.1, "by": "count", "samples": 100, "holds": True},
        ],
        "nearDuplicates": [
            {"samples": 90, "distinct": 80, "candidates": 12, "pairs": 7, "documents": 11, "threshold": 0.8,
             "recall": 0.9996, "seed": 1, "column": text},
        ],
        "ngramOverlap": [
            {**other, "n": 13, "samples": 90, "documents": 4, "ngrams": 1000, "shared": 40, "occurrences": 1100,
             "sharedOccurrences": 44, "column": text, "otherColumn": text},
        ],
        "withheld": [{"pointer": "/duplicates", "commitment": SHA}, {"pointer": "/distributions/0"}],
        "environment": ENVIRONMENT,
        "declared": {"responsible": {text: text}},
    }  # fmt: skip


def pictures() -> dict[str, Any]:
    channel = {"sum": 10, "sumOfSquares": 100, "mean": 33.5, "deviation": 70.1}
    return {
        "kind": "dataset", "measurer": measurer("image-dataset"), "schema": {}, "schemaDigest": SHA,
        "configuration": {"disclose": "requirements"}, "files": [], "rows": 70, "columns": [], "distributions": [],
        "images": {"height": 28, "width": 32, "pixels": 62_720, "channels": [channel, channel, channel]},
        "documents": {"documents": 70, "empty": 1, "characters": 12_345, "words": 2_345},
        "environment": ENVIRONMENT,
    }  # fmt: skip


def metric(name: str, value: float | None = 0.5, **more: Any) -> dict[str, Any]:
    if value is None:
        return {"name": name, "samples": 50, **more}
    interval = {"level": 0.95, "lower": value - 0.1, "upper": value + 0.1, "method": "wilson"}
    return {"name": name, "samples": 50, "value": value, "interval": interval, **more}


def robustness(text: str, dataset: str, train: str) -> dict[str, Any]:
    """An evaluation by a third party, of metrics with parameters."""
    ball = {"norm": text}
    return {
        "kind": "model",
        "measurer": measurer(text[:200], third=text),
        "model": {"architecture": text, "files": []},
        "dataset": {**reference(text[:200], dataset), "schemaDigest": SHA},
        "configuration": {"shadow": {text: [text]}},
        "configurationDigest": SHA,
        "groups": [],
        "seed": {"derivation": "sha256(model||dataset||configuration)", "value": SHA},
        "references": [
            {"role": text, "kind": "model", **reference(text[:200], PARENT)},
            {"role": "train", "kind": "dataset", **reference(text[:200], train), "schemaDigest": SHA},
        ],
        "metrics": [
            metric("accuracy", 0.8),
            {"name": "members", "samples": 50, "value": 32561.0},
            *(metric("robust_accuracy", 0.6, parameters={**ball, "epsilon": each}) for each in (0.03, 0.1)),
            *(metric("attack_success_rate", 0.2, parameters={**ball, "epsilon": each}) for each in (0.03, 0.1)),
            *(
                metric("corruption_accuracy", 0.7, parameters={"corruption": f"{text}{kind}", "severity": severity})
                for kind in "ab"
                for severity in (1, 3, 5)
            ),
            metric("membership_tpr", None, parameters={"falsePositiveRate": 0.001}, undefined=text),
            metric("decision_change", 0.1, groups=[text], parameters={"from": text, "to": f"{text}2"}),
            metric("recall", 0.3, slice={text: text}, parameters={"class": 1}),
        ],
        "environment": ENVIRONMENT,
    }


def document(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def _build(build_type: str, external: dict[str, Any], dependencies: list[Any], byproducts: list[Any]) -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": external,
            "internalParameters": {"environment": ENVIRONMENT},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {"builder": {"id": "https://lamslsa.dev/enclave/0.1.0"}, "byproducts": byproducts},
    }


def _ingredient(kind: str, name: str, sha256: str, **annotations: Any) -> dict[str, Any]:
    schema = {"schemaDigest": SHA} if kind == "dataset" else {}
    return {**reference(name, sha256), "annotations": {"kind": kind, **schema, **annotations}}


def transform(text: str, data: str, parent: str = PARENT) -> dict[str, Any]:
    changed = {"rows": 16, "samples": 32_561, "value": 0.05, "interval": {"lower": 0.01, "upper": 0.09}}
    found = {"of": text, "samples": 32_561, "maximum": 0.25, "mean": 0.0125, "changed": changed}
    return _build(
        provenance.TRANSFORM_BUILD_TYPE,
        {
            "transform": measurer("quantize-int8"),
            "configuration": {"granularity": "channel"},
            "datasets": {"difference": f"{text[:200]} data"},
            "models": {"parent": text[:200]},
        },
        [_ingredient("dataset", f"{text[:200]} data", data), _ingredient("model", text[:200], parent)],
        [
            {"name": "model.safetensors", "digest": SHA, "annotations": {"kind": "file"}},
            {"name": "difference", "content": document({"dataset": text, "from": {text: found}})},
            {"name": "measured", "content": document({text: text})},
            {"name": text, "content": "not base64!"},
        ],
    )


def private_training(text: str, data: str) -> dict[str, Any]:
    privacy = {"noiseMultiplier": 1.1, "delta": 1e-05, "accountant": "prv", "epsilon": 2.75, "notCovered": [text]}
    return _build(
        provenance.TRAINING_BUILD_TYPE,
        {
            "trainer": measurer("tabular-mlp"),
            "configuration": {"epochs": 3, "privacy": privacy},
            "datasets": {"train": text[:200]},
        },
        [_ingredient("dataset", text[:200], data)],
        [
            {"name": "checkpoint-chain", "content": document([{"epoch": 3, "link": text, "weights": "w"}])},
            {"name": "loss-per-epoch", "content": document([0.9, 0.5, 0.4])},
            {"name": "order-of-rows", "digest": SHA},
        ],
    )


def own_training(text: str, data: str) -> dict[str, Any]:
    return _build(
        provenance.OWN_TRAINING_BUILD_TYPE,
        {
            "trainer": measurer("own"),
            "configuration": {"privacy": {"epsilon": 0.001, "delta": 0}, "arguments": [text]},
            "datasets": {"train": text[:200]},
        },
        [
            _ingredient("dataset", text[:200], data),
            {"name": "training-code", "digest": SHA, "annotations": {"kind": "code", "ownCode": True}},
        ],
        [{"name": "modules", "content": document(["a", "b"])}],
    )


def preprocessing(text: str) -> dict[str, Any]:
    step = {"step": text, "rowsIn": {text: 1000}, "rowsOut": {text: 700, "test": 300}, "learned": {text: 1}}
    report = {
        "kind": "report",
        "steps": [step],
        "rows": 700,
        "learning": [{"step": 0, "from": [text], "to": [text, "test"]}],
        "shared": {text: 5},
    }
    return _build(
        provenance.TRANSFORM_BUILD_TYPE,
        {
            "transform": measurer("preprocess"),
            "configuration": {"part": text},
            "datasets": {"dataset": text[:200]},
            "produces": "dataset",
        },
        [_ingredient("dataset", text[:200], RAW)],
        [{"name": "report", "digest": SHA, "annotations": report}],
    )


def properties(text: str) -> dict[str, Any]:
    statistics = {"elements": 2_700, "zeros": 3, "nonFinite": 1, "minimum": -0.5, "maximum": 0.75, "mean": 0.001,
                  "deviation": 0.2}  # fmt: skip
    return {
        "kind": "model",
        "measurer": measurer("model-properties"),
        "configuration": {"perTensor": True},
        "configurationDigest": SHA,
        "files": [
            {"path": "model.safetensors", "digest": SHA, "size": 10, "format": "safetensors"},
            {"path": f"{text}.pkl", "digest": SHA, "size": 10, "format": text},
            {"path": "blob", "digest": SHA, "size": 10, "format": "unknown"},
        ],
        "findings": [
            {"path": text, "kind": text, "severity": "notice", "detail": text},
            {"path": f"{text}.pkl!member", "kind": "pickle", "severity": "code", "detail": text},
        ],
        "severities": {"code": 1, "unknown": 0, "notice": 1},
        "weights": {
            "tensors": 4, "elements": 2_709, "bytes": 10_800, "dtypes": {"F32": 2_700, text: 9},
            "statistics": statistics, "trainable": 2_700,
        },
        "architecture": {"digest": SHA, "name": text, "source": text},
        "tensors": [
            {"name": text, "file": "model.safetensors", "dtype": text, "shape": [64, 32], "bytes": 8_192,
             "statistics": {"elements": 2_048, "zeros": 0, "nonFinite": 0, "undefined": text}},
        ],
        "environment": ENVIRONMENT,
    }  # fmt: skip


def answers(text: str, size: int, *, disclosed: bool = True) -> dict[str, Any]:
    """One inference, or many of them."""
    wire: dict[str, Any] = {
        "kind": "model",
        "measurer": measurer("inference"),
        "model": {"architecture": text, "files": []},
        "dataset": {**reference(text[:200], digest("questions")), "schemaDigest": SHA},
        "configuration": {"disclose": {"inputs": False, "outputs": True}, text: text},
        "configurationDigest": SHA,
        "records": {"algorithm": "rfc9162-sha256", "size": size, "root": SHA},
        "environment": ENVIRONMENT,
    }
    if size == 1:
        side = {"value": {text: text}} if disclosed else {"commitment": digest("salted")}
        record = {"index": 0, "input": side, "output": {"value": {"probability": 0.75}}}
        leaf = inference.record_leaf(msgspec.convert(record, inference.Record))
        wire["record"] = record
        wire["records"]["root"] = {"sha256": leaf_hash(leaf).hex()}
    return wire

"""The examples in predicates/ are what the demo emits today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "dataset": "census-test/01-dataset.json",
    "training": "training/01-provenance.json",
    "evaluation": "evaluation/01-evaluation.json",
}
NUMBERS = {"value", "lower", "upper"}
MACHINE = {"environment", "byproducts", "configurationDigest"}


def _example(name: str) -> Any:
    return json.loads((ROOT / "predicates" / name / "v1" / "examples" / f"{name}.json").read_bytes())


def _shape(value: Any) -> Any:
    """The value with measured numbers, digests, and what depends on machine and packages taken out."""
    match value:
        case {"sha256": str()}:
            return "digest"
        case dict():
            return {
                key: "number" if key in NUMBERS and not isinstance(item, dict) else _shape(item)
                for key, item in value.items()
                if key not in MACHINE
            }
        case list():
            packages = [item for item in value if isinstance(item, dict) and "uri" in item]
            return [_shape(item) for item in value if item not in packages]
        case _:
            return value


def test_the_datasheet_is_the_example_to_the_last_count(chain: Any) -> None:
    fresh, example = json.loads((chain.runs / RUNS["dataset"]).read_bytes()), _example("dataset")
    for statement in (fresh, example):
        del statement["predicate"]["environment"]
    assert fresh == example


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_the_statement_has_the_shape_of_the_example(chain: Any, name: str) -> None:
    fresh, example = json.loads((chain.runs / RUNS[name]).read_bytes()), _example(name)
    if name == "training":  # the tests' model is smaller than the demo's
        for statement in (fresh, example):
            del statement["predicate"]["buildDefinition"]["externalParameters"]["configuration"]["hidden"]
    assert _shape(fresh) == _shape(example)


def test_the_evidence_has_the_shape_of_the_example(chain: Any) -> None:
    bundles = sorted(chain.store.glob("tee-evidence-*.sigstore.json"))
    fresh = [statement_of(bundle) for bundle in bundles]
    example = _example("tee-evidence")
    assert len(fresh) == 4
    for statement in fresh:
        assert set(statement["predicate"]) == set(example["predicate"])
        assert statement["predicateType"] == example["predicateType"]
        for part in ("quote", "collateral"):
            assert set(statement["predicate"][part]) == set(example["predicate"][part])
            assert statement["predicate"][part]["mediaType"] == example["predicate"][part]["mediaType"]


def statement_of(bundle: Path) -> Any:
    import base64

    return json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))

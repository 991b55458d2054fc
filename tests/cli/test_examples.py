"""The examples in predicates/ are what the demo emits today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.testing.chain import census

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "dataset": "census-test/01-dataset.json",
    "training": "training/01-provenance.json",
    "evaluation": "evaluation/01-evaluation.json",
}
MEASURED = {"value", "lower", "upper", "content", "quotedAt", "nonce", "size"}
MACHINE = {"python", "machine", "variables"}


def _example(name: str) -> Any:
    return json.loads((ROOT / "predicates" / name / "v1" / "examples" / f"{name}.json").read_bytes())


def _shape(value: Any) -> Any:
    """The value without digests, measured numbers, and what the machine and its packages are."""
    match value:
        case {"sha256": str()}:
            return "digest"
        case {"uri": str(uri)} if uri.startswith("pkg:pypi/"):
            return uri.partition("@")[0]
        case dict():
            return {
                key: "measured" if key in MEASURED and not isinstance(item, dict) else _shape(item)
                for key, item in value.items()
                if key not in MACHINE
            }
        case list() if value and all(isinstance(item, dict) and "uri" in item for item in value):
            return "packages"
        case list():
            return [_shape(item) for item in value if not (isinstance(item, dict) and "uri" in item)]
        case _:
            return value


def test_the_datasheet_is_the_example_to_the_last_count(chain: Any) -> None:
    fresh, example = json.loads((chain.runs / RUNS["dataset"]).read_bytes()), _example("dataset")
    for statement in (fresh, example):
        del statement["predicate"]["environment"]
    assert fresh == example


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_the_statement_is_the_example_but_for_numbers_and_machine(chain: Any, name: str) -> None:
    assert _shape(json.loads((chain.runs / RUNS[name]).read_bytes())) == _shape(_example(name))


def test_the_evidence_is_the_example_but_for_bytes(chain: Any) -> None:
    statements = [statement_of(bundle) for bundle in sorted(chain.store.glob("tee-evidence-*.sigstore.json"))]
    (fresh,) = (item for item in statements if item["subject"][0]["name"] == "01-evaluation")
    assert _shape(fresh) == _shape(_example("tee-evidence"))


@pytest.mark.parametrize(
    ("fake", "real"), [("test", "dataset"), ("training", "training"), ("evaluation", "evaluation")]
)
def test_the_fakes_have_the_fields_of_real_statements(fake: str, real: str) -> None:
    made, example = json.loads(census()[fake])["predicate"], _example(real)["predicate"]
    assert made.keys() <= example.keys()
    for part in made.keys() & {"schema", "configuration", "dataset", "seed", "buildDefinition", "runDetails"}:
        assert made[part].keys() == example[part].keys(), part


def statement_of(bundle: Path) -> Any:
    import base64

    return json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))

"""Statements are called by what they say, and code that is not lamslsa's is named."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa import statement
from lamslsa.describe import Description, Surroundings, describe
from lamslsa.predicates import dataset, evaluation, inference, model, provenance
from tests.unit.cards import wires

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
DATA = wires.digest("data")
OWN = "training of a model by code of the user's own"


def described(kind: str, wire: Any) -> Description:
    payload = statement.make([statement.Subject(name="one", sha256="a" * 64)], kind, wire)
    return describe(payload, Surroundings(at=NOW, now=NOW, held=(), keys={}))


@pytest.mark.parametrize(
    ("kind", "wire", "words"),
    [
        (dataset.PREDICATE_TYPE, wires.pictures(), "datasheet of a dataset"),
        (evaluation.PREDICATE_TYPE, wires.robustness("x", DATA, DATA), "evaluation of a model"),
        (inference.PREDICATE_TYPE, wires.answers("x", 1), "one inference of a model"),
        (inference.PREDICATE_TYPE, wires.answers("x", 5_000), "5,000 inferences of a model"),
        (model.PREDICATE_TYPE, wires.properties("x"), "properties of a model"),
        (provenance.PREDICATE_TYPE, wires.private_training("x", DATA), "training of a model"),
        (provenance.PREDICATE_TYPE, wires.own_training("x", DATA), OWN),
        (provenance.PREDICATE_TYPE, wires.transform("x", DATA), "transform that made a model"),
        (provenance.PREDICATE_TYPE, wires.preprocessing("x"), "transform that made a dataset"),
    ],
)
def test_a_statement_is_called_by_what_it_says(kind: str, wire: Any, words: str) -> None:
    found = described(kind, wire)
    assert (found.kind, found.verified) == (f"in-toto statement: {words}", ())


def test_code_that_is_not_ours_is_named_among_what_is_not_verified() -> None:
    third = wires.pictures() | {"measurer": wires.measurer("toxicity", third="pkg:pypi/acme@1.2")}
    assert described(dataset.PREDICATE_TYPE, third).unverified[1:] == (
        "the code that measured, which is a third party's: toxicity/1 of pkg:pypi/acme",
    )
    assert described(provenance.PREDICATE_TYPE, wires.own_training("x", DATA)).unverified[1:] == (
        f"the training code, which is the user's own: {wires.SHA['sha256']}",
    )
    assert len(described(dataset.PREDICATE_TYPE, wires.pictures()).unverified) == 1


def test_an_evaluation_names_its_plan_among_what_is_not_verified() -> None:
    wire = wires.robustness("x", DATA, DATA)
    without = described(evaluation.PREDICATE_TYPE, wire).unverified
    found = described(evaluation.PREDICATE_TYPE, wire | {"plan": {"digest": {"sha256": "e" * 64}}}).unverified
    assert tuple(words for words in found if words not in without) == (
        f"that it carries out plan sha256:{'e' * 64}: who signed that, when, and about what, is for a policy",
    )


def test_the_checkpoints_of_a_training_are_held_against_each_other() -> None:
    example = Path(__file__).parents[3] / "predicates" / "training" / "v1" / "examples" / "training.json"
    wire = json.loads(example.read_bytes())["predicate"]
    assert described(provenance.PREDICATE_TYPE, wire).verified == (
        "its 6 checkpoints and losses are a chain that ends at the weights of the model",
    )
    (chain,) = (item for item in wire["runDetails"]["byproducts"] if item["name"] == "checkpoint-chain")
    links = json.loads(base64.b64decode(chain["content"]))
    text = json.dumps(links).replace('"loss": 0.', '"loss": 1.', 1)
    chain["content"] = base64.b64encode(text.encode()).decode()
    found = described(provenance.PREDICATE_TYPE, wire)
    assert found.verified == ()
    assert any(words.startswith("its chain of checkpoints: ") for words in found.unverified)

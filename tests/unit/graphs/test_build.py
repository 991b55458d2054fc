"""From bundles and appraisals to graphs: what is reached, how good each word is, and in which order it stands."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from typing import Any

import pytest

from lamslsa import statement
from lamslsa.errors import UnavailableError
from lamslsa.graphs import Graph, Step, of_appraisal, of_bundles
from lamslsa.graphs import _bundles as reading
from lamslsa.lineage import Artifact
from lamslsa.store import StoredBundle
from lamslsa.testing import chain
from lamslsa.verification import SetAside

MODEL = chain.model().sha256
TRAIN, TEST = Artifact(kind="dataset", sha256=chain.TRAIN), Artifact(kind="dataset", sha256=chain.TEST)
_SUBJECT: list[str | int] = ["subject", 0, "digest", "sha256"]
_NAME: list[str | int] = ["subject", 0, "name"]


def _steps(graph: Graph) -> list[Step]:
    return [step for node in graph.nodes for step in node.steps]


def _of(made: Any, *payloads: bytes) -> Graph:
    return of_bundles([made.bundle(payload) for payload in payloads], model=MODEL, name="census-mlp")


def _derived(sha256: str, *bases: str) -> bytes:
    payload = chain.trained(chain.model(), bases=[(base[:8], base) for base in bases])
    return chain.edited(payload, _SUBJECT, sha256)


def test_the_whole_life_of_a_model(made: Any) -> None:
    parent = chain.edited(chain.trained(chain.model()), _SUBJECT, chain.PARENT)
    census = chain.census()
    del census["training"]
    payloads = [
        *census.values(),
        made.prepared(),
        parent,
        chain.transformed(chain.model()),
        made.answered(),
        made.summary(),
    ]
    graph = _of(made, *payloads)
    assert [(node.artifact.kind, node.names, node.distance) for node in graph.nodes] == [
        ("model", ("census-mlp", "census-mlp-int8"), 0),
        ("dataset", ("census-train", "other"), 1),
        ("model", ("census-mlp",), 1),
        ("dataset", ("census-test",), 1),
        ("dataset", ("questions",), 1),
        ("dataset", ("raw",), 2),
    ]
    assert [step.kind for step in graph.nodes[0].steps] == [
        "transform", "evaluation", "inference", "verification summary",
    ]  # fmt: skip
    assert [step.kind for step in graph.nodes[1].steps] == ["preprocessing", "datasheet"]
    assert [step.kind for step in graph.nodes[2].steps] == ["training"]
    relations = {(link.relation, link.target.sha256) for step in _steps(graph) for link in step.links}
    assert relations == {
        ("derived-from", chain.PARENT), ("trained-on", chain.TRAIN), ("evaluated-on", chain.TEST),
        ("inferred-on", "b" * 64), ("overlaps-with", chain.TRAIN), ("derived-from", made.RAW),
    }  # fmt: skip
    assert graph.nodes[0].steps[3].code == "PASSED says https://verifier.example/v1"


def test_what_an_evaluation_was_compared_with(made: Any) -> None:
    reference = {"role": "baseline", "kind": "model", "name": "old", "digest": {"sha256": chain.PARENT}}
    payload = chain.edited(chain.evaluated(chain.model()), ["predicate", "references"], [reference])
    (step,) = _steps(_of(made, payload))
    assert [(link.relation, link.target.kind, link.roles) for link in step.links] == [
        ("evaluated-on", "dataset", ()),
        ("compared-with", "model", ("baseline",)),
    ]


def test_without_a_policy_all_is_claimed(made: Any) -> None:
    payloads = chain.census()
    graph = _of(made, *payloads.values(), made.quote(payloads["training"]))
    assert graph.verdict is None
    assert {step.standing for step in _steps(graph)} == {"claimed"}
    assert {step.at for step in _steps(graph)} == {None}
    training = next(step for step in _steps(graph) if step.kind == "training")
    assert [signed.who for signed in training.signed] == [f"key {made.KEY.key_id}"]
    assert [quote.words for quote in training.quotes] == ["sgx, not verified"]
    assert not graph.simulated
    assert graph.beside == {"quotes": 1}


def test_an_unknown_quote_is_of_an_unknown_tee(made: Any) -> None:
    payload = chain.trained(chain.model())
    graph = _of(made, payload, made.quote(payload, media_type="application/x"))
    assert [quote.words for quote in _steps(graph)[0].quotes] == ["unknown TEE, not verified"]


def test_an_artifact_is_its_digest_and_kind(made: Any) -> None:
    """A model with the digest of a dataset is another artifact, and names connect nothing."""
    payload = chain.trained(chain.model(), bases=[("census-train", chain.TRAIN)])
    graph = _of(made, payload, chain.census()["train"], chain.datasheet("census-train", "f" * 64, rows=1))
    assert [(node.artifact.kind, len(node.steps)) for node in graph.nodes] == [
        ("model", 1), ("dataset", 1), ("model", 0),
    ]  # fmt: skip
    assert graph.beside == {"attestations about other artifacts": 1}


def test_what_is_left_out_is_counted(made: Any) -> None:
    other = chain.evaluated(chain.model({"model.json": "other"}))
    unknown = statement.make([statement.Subject(name="x", sha256="0" * 64)], "https://example.com/v1", {"a": 1})
    bundles = [
        *map(made.bundle, (*chain.census().values(), other, unknown, made.quote(other))),
        StoredBundle(source="a.sigstore.json", data=b"{}"),
        StoredBundle(source="b.txt", data=b"x"),
        StoredBundle(source="c.sigstore.json", data=UnavailableError("expected it, got none", reason="store-missing")),
    ]
    graph = of_bundles(bundles, model=MODEL, name="census-mlp")
    assert len(_steps(graph)) == 4
    assert graph.beside == {
        "attestations about other artifacts": 1,
        "bundles that cannot be read": 3,
        "quotes": 1,
        "statements that cannot be read": 1,
    }


def test_bundles_past_the_limit_are_counted(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BUNDLES", 2)
    graph = _of(made, *chain.census().values())
    assert graph.beside["bundles past the limit"] == 2


def test_two_bundles_over_one_statement_are_one_attestation(made: Any) -> None:
    payload = chain.trained(chain.model())
    graph = of_bundles([made.bundle(payload), made.bundle(payload, "b.sigstore.json")], model=MODEL, name="m")
    assert len(_steps(graph)) == 1


def test_a_model_that_nobody_speaks_of(made: Any) -> None:
    graph = _of(made)
    assert [(node.artifact.sha256, node.names, node.steps) for node in graph.nodes] == [(MODEL, ("census-mlp",), ())]


def test_the_order_of_the_bundles_is_no_input(made: Any) -> None:
    bundles = [made.bundle(payload) for payload in (*chain.census().values(), made.prepared(), made.answered())]
    shuffled = random.Random(7).sample(bundles, len(bundles))
    assert of_bundles(bundles, model=MODEL, name="m") == of_bundles(shuffled, model=MODEL, name="m")


A, B = "a" * 64, "b" * 64


def test_a_cycle_is_shown_with_its_fault(made: Any) -> None:
    graph = _of(made, _derived(MODEL, A), _derived(A, B), _derived(B, A))
    models = [node for node in graph.nodes if node.artifact.kind == "model"]
    assert [node.artifact.sha256 for node in models] == [MODEL, A, B]
    faults = [step.fault.reason for step in _steps(graph) if step.fault is not None]
    assert faults == ["lineage-cycle"] * 3


def test_a_provenance_that_contradicts_itself_is_shown_with_its_fault(made: Any) -> None:
    (step,) = _steps(_of(made, chain.trained(chain.model(), datasets=[])))
    assert step.fault is not None
    assert step.fault.reason == "lineage-no-dataset"


def test_the_three_standings(made: Any) -> None:
    payloads = chain.census()
    training = made.verified(payloads["training"], "trainer")
    evaluation = made.verified(payloads["evaluation"], "auditor", "trainer", simulated=False)
    aside = SetAside(source="forged.sigstore.json", reason="signature-key", message="expected a, got b")
    judged = made.appraisal([training, evaluation], [training], [aside])
    bundles = [
        made.bundle(payloads["training"]),
        made.bundle(payloads["evaluation"]),
        made.bundle(payloads["train"], "forged.sigstore.json"),
        made.bundle(made.quote(payloads["train"])),
    ]
    graph = of_appraisal(judged, bundles)
    found = {step.kind: step for step in _steps(graph)}
    assert {kind: (step.standing, step.reason) for kind, step in found.items()} == {
        "training": ("qualifying", None),
        "evaluation": ("authentic", None),
        "datasheet": ("not authentic", "signature-key"),
    }
    assert [signed.who for signed in found["evaluation"].signed] == ["auditor", "trainer"]
    assert [found[kind].quotes[0].words for kind in ("training", "evaluation", "datasheet")] == [
        "sgx, SIMULATED", "sgx", "sgx, not verified",
    ]  # fmt: skip
    assert graph.simulated
    assert graph.verdict is not None
    assert (graph.verdict.accepted, graph.verdict.exit_code) == (False, 4)


def test_what_counts_by_its_signature_alone_has_no_tee(made: Any) -> None:
    payload = chain.census()["training"]
    training = made.verified(payload, "trainer")
    judged = dataclasses.replace(
        made.appraisal([training], [training]), by_signature_alone=frozenset({training.statement.sha256})
    )
    (step,) = _steps(of_appraisal(judged, [made.bundle(payload)]))
    assert [quote.words for quote in step.quotes] == ["none"]


def test_what_is_not_authentic_makes_no_circle_out_of_what_is(made: Any) -> None:
    """The model comes of A; somebody who may not sign says that A comes of the model."""
    own, forged = _derived(MODEL, A), _derived(A, MODEL)
    judged = made.appraisal([made.verified(own)])
    found = {step.standing: step.fault for step in _steps(of_appraisal(judged, map(made.bundle, (own, forged))))}
    assert found["authentic"] is None
    fault = found["not authentic"]
    assert fault is not None
    assert fault.reason == "lineage-cycle"


def test_names_of_better_attestations_come_first(made: Any) -> None:
    named = [chain.edited(chain.trained(chain.model()), _NAME, f"forged {index}") for index in range(3)]
    hostile = [chain.edited(item, _SUBJECT, A) for item in named]
    base, own = chain.edited(_derived(A), _NAME, "base"), _derived(MODEL, A)
    judged = made.appraisal([made.verified(base), made.verified(own)])
    graph = of_appraisal(judged, map(made.bundle, (base, own, *hostile)))
    node = next(node for node in graph.nodes if node.artifact.sha256 == A)
    assert node.names[0] in {"base", A[:8]}
    assert set(node.names[2:]) == {"forged 0", "forged 1", "forged 2"}


def test_time_is_what_third_parties_have_signed(made: Any) -> None:
    """Three evaluations: the one dated first stands first, what nobody dated last, whatever their digests."""
    payloads = [
        chain.evaluated(chain.model(), metrics=[chain.metric("accuracy", 0.5 + index / 100)]) for index in range(6)
    ]
    days = [5, 1, 3, None, 2, None]
    items = [
        made.verified(payload, "auditor", at=[] if day is None else [made.AT + dt.timedelta(days=day)])
        for payload, day in zip(payloads, days, strict=True)
    ]
    steps = of_appraisal(made.appraisal(items), map(made.bundle, payloads)).nodes[0].steps
    assert [step.at and (step.at - made.AT).days for step in steps] == [1, 2, 3, 5, None, None]
    assert [step.sha256 for step in steps[4:]] == sorted(step.sha256 for step in steps[4:])


def test_a_time_that_a_statement_tells_is_none(made: Any) -> None:
    (step,) = _steps(_of(made, made.summary()))
    assert step.at is None


def test_base_models_and_extended_policies_have_identities_of_their_own(made: Any) -> None:
    own, base = _derived(MODEL, A), _derived(A)
    trained = made.verified(base, "trainer")
    inner = made.appraisal([trained], [trained], policy_name="base", model=A)
    outer = made.appraisal([made.verified(own, "trainer"), made.verified(base, "stranger")], bases=(inner,))
    graph = of_appraisal(outer, map(made.bundle, (own, base)))
    found = {step.subject.sha256: (step.standing, [signed.who for signed in step.signed]) for step in _steps(graph)}
    assert found == {MODEL: ("authentic", ["trainer"]), A: ("qualifying", ["trainer of base"])}

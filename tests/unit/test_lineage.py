"""The graph over attestations: what it connects, what it refuses to connect, and that it never recurses."""

from __future__ import annotations

import random

import pytest

from lamslsa import predicates, statement, verification
from lamslsa.errors import VerificationError
from lamslsa.lineage import Artifact, Build, Lineage
from lamslsa.predicates import Dataset, Evaluation, Provenance
from lamslsa.sign.interface import Signature
from lamslsa.testing import chain
from lamslsa.verification import VerifiedAttestation, VerifiedSignature

MODEL = Artifact(kind="model", sha256=chain.model().sha256)
TRAIN = Artifact(kind="dataset", sha256=chain.TRAIN)
TEST = Artifact(kind="dataset", sha256=chain.TEST)


def _sealed(*payloads: bytes) -> list[VerifiedAttestation]:
    result = []
    for payload in payloads:
        parsed = statement.parse(payload)
        predicate = predicates.parse(parsed)
        assert isinstance(predicate, Dataset | Evaluation | Provenance)
        result.append(
            VerifiedAttestation(
                statement=parsed,
                predicate=predicate,
                signatures=(VerifiedSignature(identity="somebody", signature=Signature(signer="key"), source="test"),),
                evidence=(),
                seal=verification._SEAL,
            )
        )
    return result


def _of(*payloads: bytes) -> Lineage:
    return Lineage.of(_sealed(*payloads))


def _derived(sha256: str, *bases: str) -> bytes:
    """A provenance of the model with this digest, made from others."""
    payload = chain.trained(chain.model(), bases=[(base[:8], base) for base in bases])
    return chain.edited(payload, ["subject", 0, "digest", "sha256"], sha256)


def _only(lineage: Lineage, model: str) -> Build:
    (training,) = lineage.builds_of(Artifact(kind="model", sha256=model))
    return training


def test_the_census_chain() -> None:
    lineage = _of(*chain.census().values())
    assert {(edge.relation, edge.source, edge.target) for edge in lineage.edges} == {
        ("trained-on", MODEL, TRAIN),
        ("evaluated-on", MODEL, TEST),
        ("overlaps-with", TEST, TRAIN),
    }
    training = _only(lineage, MODEL.sha256)
    assert training.fault is None
    (ingredient,) = training.datasets
    assert (ingredient.name, ingredient.artifact, ingredient.schema) == ("census-train", TRAIN, chain.schema_digest())
    assert ingredient.roles == ("train",)
    assert {item.artifact.sha256: item for item in training.datasets} == {chain.TRAIN: ingredient}
    assert [item.dataset for item in lineage.measurements_of(MODEL)] == [TEST]
    assert [item.sheet.rows for item in lineage.datasheets_of(TEST)] == [16281]
    assert [item.sheet.rows for item in lineage.datasheets_of(TRAIN)] == [32561]
    assert lineage.measurements_of(Artifact(kind="model", sha256="0" * 64)) == ()
    assert (lineage.label(TRAIN), lineage.label(MODEL)) == ("census-train", "census-mlp")
    assert lineage.label(Artifact(kind="model", sha256="0" * 64)) is None


def test_the_kind_is_part_of_an_artifact() -> None:
    """A base model with the digest of a dataset is another node."""
    lineage = _of(chain.trained(chain.model(), bases=[("base", chain.TRAIN)]))
    assert {edge.target for edge in lineage.edges} == {TRAIN, Artifact(kind="model", sha256=chain.TRAIN)}


def test_code_and_packages_are_no_nodes() -> None:
    assert len(_of(chain.trained(chain.model())).edges) == 1


def test_the_order_of_the_input_is_no_input() -> None:
    items = _sealed(*chain.census().values(), _derived("a" * 64, "b" * 64))
    shuffled = random.Random(7).sample(items, len(items))
    assert Lineage.of(items) == Lineage.of(shuffled)


def test_labels_by_frequency_then_by_name() -> None:
    lineage = _of(*chain.census().values(), chain.datasheet("b", chain.TRAIN, rows=1))
    assert lineage.labels[TRAIN] == ("census-train", "b")


FAULTS = {
    "lineage-no-dataset": chain.trained(chain.model(), datasets=[]),
    "lineage-dataset-twice": chain.trained(
        chain.model(), datasets=[("one", chain.TRAIN, ""), ("two", chain.TRAIN, "0" * 64)]
    ),
    "lineage-role": chain.edited(
        chain.trained(chain.model()),
        ["predicate", "buildDefinition", "externalParameters", "datasets", "validation"],
        "census-validation",
    ),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_provenance_that_contradicts_itself(reason: str) -> None:
    lineage = _of(FAULTS[reason])
    fault = _only(lineage, MODEL.sha256).fault
    assert fault is not None
    assert fault.reason == reason
    assert lineage.edges == ()
    error = fault.error()
    assert (type(error), error.reason, str(error)) == (VerificationError, reason, fault.message)


def test_one_name_for_two_datasets_is_a_contradiction() -> None:
    payload = chain.trained(chain.model(), datasets=[("one", chain.TRAIN, ""), ("one", chain.TEST, "")])
    fault = _only(_of(payload), MODEL.sha256).fault
    assert fault is not None
    assert fault.reason == "lineage-dataset-twice"


def test_several_roles_for_one_dataset_are_none() -> None:
    path = ["predicate", "buildDefinition", "externalParameters", "datasets", "validation"]
    training = _only(_of(chain.edited(chain.trained(chain.model()), path, "census-train")), MODEL.sha256)
    assert training.fault is None
    assert training.datasets[0].roles == ("train", "validation")


def test_a_dataset_without_role_counts_and_is_a_fault() -> None:
    payload = chain.trained(chain.model(), datasets=[("census-train", chain.TRAIN, ""), ("more", chain.TEST, "")])
    roles = ["predicate", "buildDefinition", "externalParameters", "datasets", "train-1"]
    training = _only(_of(chain.edited(payload, roles, chain.REMOVED)), MODEL.sha256)
    found = {sha256: item.roles for sha256, item in {item.artifact.sha256: item for item in training.datasets}.items()}
    assert found == {chain.TRAIN: ("train",), chain.TEST: ()}
    assert training.fault is not None
    assert training.fault.reason == "lineage-role"


@pytest.mark.parametrize("kind", ["code", "package", None])
def test_a_base_model_that_stands_there_as_something_else_is_a_fault(kind: str | None) -> None:
    """Whose role nothing has: without the role it is code of its own, which other rules are about."""
    definition = ["predicate", "buildDefinition"]
    payload = chain.trained(chain.model(), bases=[("hub/base", "b" * 64)])
    payload = chain.edited(payload, [*definition, "externalParameters", "models"], {"base": "hub/base"})
    assert _only(_of(payload), MODEL.sha256).fault is None
    path: list[str | int] = [*definition, "resolvedDependencies", 1]
    hidden = (
        chain.edited(payload, path, chain.REMOVED)
        if kind is None
        else chain.edited(payload, [*path, "annotations", "kind"], kind)
    )
    fault = _only(_of(hidden), MODEL.sha256).fault
    assert fault is not None
    assert (fault.reason, "'hub/base'" in fault.message) == ("lineage-role", True)


def test_a_fault_stops_nothing_else() -> None:
    lineage = _of(FAULTS["lineage-role"], *chain.census().values())
    assert sorted(item.fault is None for item in lineage.builds_of(MODEL)) == [False, True]


A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.mark.parametrize(
    "edges",
    [{A: [A]}, {A: [B], B: [A]}, {A: [B], B: [C], C: [A]}, {A: [B], B: [B]}, {A: [C, B], B: [A]}],
    ids=["itself", "two", "three", "behind", "one-of-two"],
)
def test_cycles_are_faults(edges: dict[str, list[str]]) -> None:
    lineage = _of(*(_derived(model, *bases) for model, bases in edges.items()))
    fault = _only(lineage, A).fault
    assert fault is not None
    assert fault.reason == "lineage-cycle"


def test_no_cycle_where_two_ways_meet() -> None:
    lineage = _of(_derived(A, B, C), _derived(B, "d" * 64), _derived(C, "d" * 64), _derived("d" * 64))
    assert all(training.fault is None for training in lineage.builds)


def test_another_provenance_leads_out_of_a_cycle() -> None:
    """One that does not go round is enough: leaving the other one out must not be what accepts the model."""
    lineage = _of(_derived(A, B), _derived(B, A), _derived(B))
    assert _only(lineage, A).fault is None


def test_a_base_model_with_two_provenances_counts_once() -> None:
    """A was made of B and C, and C of A: that B can be had in two ways does not stand in for C."""
    again = chain.edited(_derived(B), ["subject", 0, "name"], "again")
    fault = _only(_of(_derived(A, B, C), _derived(B), again, _derived(C, A)), A).fault
    assert fault is not None
    assert fault.reason == "lineage-cycle"


def test_every_kind_of_attestation_gives_labels() -> None:
    payloads = chain.census()
    assert _of(payloads["evaluation"]).labels == {MODEL: ("census-mlp",), TEST: ("census-test",)}
    assert _of(payloads["training"]).labels == {MODEL: ("census-mlp",), TRAIN: ("census-train",)}
    assert _of(payloads["train"]).labels == {TRAIN: ("census-train",)}


def test_depth_is_not_limited() -> None:
    """Deeper than Python's recursion limit."""
    depth = 1500
    lineage = _of(*(_derived(f"{index:064x}", f"{index + 1:064x}") for index in range(depth)))
    assert all(training.fault is None for training in lineage.builds)
    round_again = Lineage.of(
        [*(training.attestation for training in lineage.builds), *_sealed(_derived(f"{depth:064x}", f"{0:064x}"))]
    )
    assert all(training.fault is not None for training in round_again.builds)

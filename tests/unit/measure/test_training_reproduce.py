"""A training run again: the same model, or every difference by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa import statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Given, Job
from lamslsa.measure.training.reproduce import Difference, reproduce
from lamslsa.statement import Statement
from lamslsa.testing.measuring import measure_dataset, measure_training

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]


@pytest.fixture
def attested(job: Job, train_set: VerifiedArtifact) -> Statement:
    return statement.parse(measure_training(train_set, job=job).payload)


def given(artifact: VerifiedArtifact) -> dict[str, Given]:
    return {"train": Given(artifact=artifact, name="people-train")}


def refusal(attested: Statement, job: Job, inputs: dict[str, Given]) -> str:
    with pytest.raises(FormatError) as caught:
        reproduce(attested, job.require_training(), inputs, Context())
    return caught.value.reason


def changed(attested: Statement, change: Callable[[dict[str, Any]], Any]) -> Statement:
    document = json.loads(attested.payload)
    change(document)
    return statement.parse(json.dumps(document).encode())


def test_the_same_model(attested: Statement, job: Job, train_set: VerifiedArtifact) -> None:
    found = reproduce(attested, job.require_training(), given(train_set), Context())
    assert found.same
    assert found.expected == attested.subjects[0].sha256
    assert [item for item in found.differences if item.what != "code lamslsa"] == []


def test_another_model_and_what_could_explain_it(attested: Statement, job: Job, train_set: VerifiedArtifact) -> None:
    def elsewhere(document: dict[str, Any]) -> None:
        document["subject"][0]["digest"]["sha256"] = "00" * 32
        environment = document["predicate"]["buildDefinition"]["internalParameters"]["environment"]
        environment["machine"]["capability"] = "AVX2048"
        environment["machine"]["threads"] = 2
        environment["variables"]["MKL_CBWR"] = "AVX"
        next(item for item in environment["packages"] if item["name"] == "torch")["digest"]["sha256"] = "11" * 32
        environment["packages"] = [item for item in environment["packages"] if item["name"] != "numpy"]

    found = reproduce(changed(attested, elsewhere), job.require_training(), given(train_set), Context())
    assert not found.same
    assert found.found == attested.subjects[0].sha256
    by_name = {item.what: item for item in found.differences}
    assert {"machine capability", "variable MKL_CBWR", "package torch", "package numpy"} <= set(by_name)
    assert by_name["machine threads"] == Difference(what="machine threads", then="2", now="1")
    assert by_name["package numpy"].then == by_name["variable MKL_CBWR"].now == "absent"
    assert "11" * 32 in by_name["package torch"].then


@pytest.mark.parametrize(
    ("old", "new"),
    [("seed: 7", "seed: 8"), ("hidden: [8, 4]", "hidden: [8]"), ("optimizer: adam", "optimizer: adam, privacy: {P}")],
)
def test_another_configuration_is_refused_before_training(
    make_job: MakeJob, attested: Statement, train_set: VerifiedArtifact, old: str, new: str
) -> None:
    block = "noiseMultiplier: 1, maxGradNorm: 1, delta: 1e-5, accountant: rdp, sampling: poisson"
    assert refusal(attested, make_job((old, new.replace("P", block))), given(train_set)) == "reproduce-configuration"


def test_configuration_that_no_plan_tells_is_compared_after_training(
    job: Job, attested: Statement, train_set: VerifiedArtifact
) -> None:
    plan = job.require_training()

    class Silent:
        measurer, inputs = plan.measurer, plan.inputs

        def steps(self) -> tuple[str, ...]:
            return ()

        def measure(self, inputs: Any, context: Context) -> Any:
            return plan.measure(inputs, context)

    def other(document: dict[str, Any]) -> None:
        document["predicate"]["buildDefinition"]["externalParameters"]["configuration"]["seed"] = 8

    with pytest.raises(FormatError) as caught:
        reproduce(changed(attested, other), Silent(), given(train_set), Context())
    assert caught.value.reason == "reproduce-configuration"


def test_other_data_is_refused(
    make_job: MakeJob, job: Job, attested: Statement, read: Read, train_set: VerifiedArtifact
) -> None:
    one_more = b"30, Private, 1, true, Male, White, <=50K\n"
    other = read({"people.data": one_more + train_set.only().bytes()})
    assert refusal(attested, job, given(other)) == "reproduce-dataset"
    assert refusal(attested, job, {}) == "reproduce-dataset"
    assert refusal(attested, make_job(("people-train", "people")), given(train_set)) == "reproduce-dataset"
    assert refusal(attested, make_job(('nullToken: "?"', 'nullToken: "-"')), given(train_set)) == "reproduce-schema"


def test_another_trainer_is_refused(job: Job, attested: Statement, train_set: VerifiedArtifact) -> None:
    def other(document: dict[str, Any]) -> None:
        document["predicate"]["buildDefinition"]["externalParameters"]["trainer"]["version"] = "2"

    assert refusal(changed(attested, other), job, given(train_set)) == "reproduce-trainer"


def test_a_private_training_cannot_be_run_again(job: Job, attested: Statement, train_set: VerifiedArtifact) -> None:
    def private(document: dict[str, Any]) -> None:
        document["predicate"]["buildDefinition"]["externalParameters"]["configuration"]["privacy"] = {"epsilon": 1}

    assert refusal(changed(attested, private), job, given(train_set)) == "reproduce-private"


def test_other_statements_are_refused(job: Job, attested: Statement, train_set: VerifiedArtifact) -> None:
    def own(document: dict[str, Any]) -> None:
        document["predicate"]["buildDefinition"]["buildType"] = "https://lamslsa.dev/own-training/v1"

    assert refusal(changed(attested, own), job, given(train_set)) == "reproduce-statement"
    sheet = statement.parse(measure_dataset(train_set, name="people-train", job=job))
    assert refusal(sheet, job, given(train_set)) == "reproduce-statement"

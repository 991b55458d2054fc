"""Inferences: the model's answers, committed to as a whole and shown one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa import _codec, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Given, Job, Outcome
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import predict
from lamslsa.predicates import Inference
from lamslsa.predicates.inference import commitment
from lamslsa.receipts import parse_receipt, verify_receipt

Read = Callable[..., VerifiedArtifact]
MakeJob = Callable[..., Job]

SECTION = "inference: {measurer: inference/1, dataset: people-test, disclose: {inputs: %s, outputs: %s}, seed: null}\n"


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def infer(make_job: MakeJob, model: VerifiedArtifact, data: VerifiedArtifact, inputs: str, outputs: str) -> Outcome:
    plan = make_job(("training: {", SECTION % (inputs, outputs) + "training: {")).require_inference()
    assert plan.steps()
    given = {"model": Given(artifact=model, name="m"), "dataset": Given(artifact=data, name="people-test")}
    return plan.measure(given, Context())


def taken_apart(outcome: Outcome) -> tuple[statement.Statement, Inference, list[bytes]]:
    (payload,) = outcome.statements
    parsed = statement.parse(payload.data)
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, Inference)
    return parsed, predicate, outcome.private["receipts.jsonl"].splitlines()


@pytest.mark.parametrize(("inputs", "outputs"), [("true", "true"), ("false", "true"), ("false", "false")])
def test_every_receipt_proves_what_the_model_answered(
    make_job: MakeJob,
    model: VerifiedArtifact,
    test_set: VerifiedArtifact,
    test_rows: list[list[str]],
    inputs: str,
    outputs: str,
) -> None:
    outcome = infer(make_job, model, test_set, inputs, outputs)
    parsed, predicate, receipts = taken_apart(outcome)
    assert parsed.subjects[0].sha256 == model.manifest.sha256
    assert predicate.records.size == len(receipts) == len(test_rows)
    assert predicate.record is None
    assert predicate.configuration["seed"] is None
    loaded = load_model(model)
    rows = read_examples(loaded, test_set, make_job().dataset("people-test"))
    expected = predict(loaded, rows.inputs, Context()).tolist()
    for index in (0, 1, len(receipts) - 1):
        proved = verify_receipt(parse_receipt(receipts[index]), parsed)
        assert (proved.index, proved.size, proved.model) == (index, len(test_rows), model.manifest.sha256)
        assert proved.output == {"probability": expected[index]}
        age, work = test_rows[index][0], test_rows[index][1]
        assert proved.input["age"] == int(age)
        assert proved.input["work class"] == (None if work == "?" else work)
        assert "income" not in proved.input, "the label is nothing that the model was told"


def test_what_is_not_disclosed_stands_nowhere_but_in_the_receipt(
    make_job: MakeJob, model: VerifiedArtifact, read: Read
) -> None:
    rows = read({"t": b"skip\n30,Umlaut-\xc3\x84,1,true,Male,White,<=50K.\n"})
    outcome = infer(make_job, model, rows, "false", "false")
    parsed, predicate, (receipt,) = taken_apart(outcome)
    assert "Umlaut" not in parsed.payload.decode()
    assert "probability" not in parsed.payload.decode()
    assert predicate.record is not None
    proved = verify_receipt(parse_receipt(receipt), parsed)
    assert proved.input["work class"] == "Umlaut-Ä"
    other = infer(make_job, model, rows, "false", "false")
    assert other.statements[0].data != outcome.statements[0].data, "salts are drawn anew"


def test_one_disclosed_inference_is_a_card_by_itself(make_job: MakeJob, model: VerifiedArtifact, read: Read) -> None:
    rows = read({"t": b"skip\n30,Private,1,true,Male,White,<=50K.\n"})
    _, predicate, _ = taken_apart(infer(make_job, model, rows, "true", "true"))
    assert predicate.record is not None
    assert predicate.record.input.value["sex"] == "Male"
    assert 0 < predicate.record.output.value["probability"] < 1


REFUSED: list[tuple[list[Any], Any, str]] = [
    (["statement", "sha256"], "0" * 64, "receipt-other-statement"),
    (["treeSize"], 306, "receipt-not-included"),
    (["record", "index"], 3, "receipt-not-included"),
    (["record", "output", "value"], {"probability": 0.99}, "receipt-not-included"),
    (["record", "input", "commitment"], "0" * 64, "receipt-not-included"),
    (["path", 0], "0" * 64, "receipt-not-included"),
    (["path"], [], "merkle-path"),
    (["openings", "input", "value", "age"], 99, "receipt-opening"),
    (["openings", "input", "salt"], _codec.encode_base64(bytes(32)), "receipt-opening"),
    (["openings", "input", "salt"], _codec.encode_base64(bytes(31)), "receipt-opening"),
    (["openings", "output"], {"salt": _codec.encode_base64(bytes(32)), "value": {}}, "receipt-opening"),
    (["type"], "https://lamslsa.dev/inference-receipt/v2", "predicate-schema"),
    (["record", "output"], {}, "predicate-schema"),
    (["record", "output", "commitment"], "0" * 64, "predicate-schema"),
]


@pytest.mark.parametrize(("path", "value", "reason"), REFUSED)
def test_receipts_that_lie_are_refused(
    make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact, path: list[Any], value: Any, reason: str
) -> None:
    parsed, _, receipts = taken_apart(infer(make_job, model, test_set, "false", "true"))
    document = json.loads(receipts[2])
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(Exception) as caught:
        verify_receipt(parse_receipt(json.dumps(document).encode()), parsed)
    assert getattr(caught.value, "reason", None) == reason


def test_a_side_may_stay_closed(make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    parsed, _, receipts = taken_apart(infer(make_job, model, test_set, "false", "true"))
    document = json.loads(receipts[2])
    document["openings"] = {}
    assert verify_receipt(parse_receipt(json.dumps(document).encode()), parsed).input is None


def test_a_receipt_is_of_a_statement_about_inferences(
    make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact, train_set: VerifiedArtifact
) -> None:
    from lamslsa.testing.measuring import measure_dataset

    _, _, receipts = taken_apart(infer(make_job, model, test_set, "true", "true"))
    sheet = statement.parse(measure_dataset(train_set, name="people-train", job=make_job()))
    with pytest.raises(FormatError) as caught:
        verify_receipt(parse_receipt(receipts[0]), sheet)
    assert caught.value.reason == "receipt-statement"


def test_a_single_record_must_be_the_root(make_job: MakeJob, model: VerifiedArtifact, read: Read) -> None:
    rows = read({"t": b"skip\n30,Private,1,true,Male,White,<=50K.\n"})
    parsed, _, _ = taken_apart(infer(make_job, model, rows, "true", "true"))
    for change in ("drop", "other"):
        predicate = json.loads(parsed.payload)["predicate"]
        if change == "drop":
            del predicate["record"]
        else:
            predicate["record"]["output"]["value"] = {"probability": 1}
        with pytest.raises(FormatError) as caught:
            predicates.parse(statement.parse(statement.make(parsed.subjects, parsed.predicate_type, predicate)))
        assert caught.value.reason == "predicate-schema"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("seed: null", "seed: 1", "inference-seed"),
        (", seed: null", "", "yaml-missing-key"),
        ("inputs: true, ", "", "yaml-missing-key"),
        ("disclose", "more: 1, disclose", "yaml-unknown-key"),
        ("people-test", "nobody", "yaml-choice"),
    ],
)
def test_mistakes_in_the_job_are_refused(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    section = (SECTION % ("true", "true")).replace(old, new)
    with pytest.raises(FormatError) as caught:
        make_job(("training: {", section + "training: {"))
    assert caught.value.reason == reason


def test_commitments_depend_on_salt_and_value() -> None:
    assert commitment(bytes(32), {"a": 1}) == _codec.sha256_hex(bytes(32) + b'{"a":1}')
    assert len({commitment(salt, value) for salt in (bytes(32), b"\1" * 32) for value in ({"a": 1}, {"a": 2})}) == 4

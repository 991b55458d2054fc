from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from lamslsa.enclave.job import Job
from lamslsa.errors import FormatError

DATASET: dict[str, Any] = {
    "kind": "dataset",
    "tee": "sgx",
    "name": "test",
    "inputs": {"dataset": "adult.test", "train/1": "adult.data", "more": "adult.data"},
    "nonce": "AAAAAAAAAAAAAAAAAAAAAA==",
    "beacon": False,
    "gpu": False,
    "device": "cpu",
    "checkpoints": False,
    "memoryLimit": 2**33,
    "spool": False,
    "arguments": [],
    "plan": None,
}
TRAINING = DATASET | {"kind": "training", "name": None, "inputs": {"train": "adult.data"}}
EVALUATION = TRAINING | {"kind": "evaluation", "inputs": {"model": "m", "dataset": "d"}}


@pytest.mark.parametrize(
    "document",
    [
        DATASET,
        DATASET | {"memoryLimit": 1, "spool": True},
        TRAINING | {"checkpoints": True, "arguments": ["--epochs", "3", "ä"]},
        EVALUATION,
        EVALUATION | {"name": "fairness"},
        EVALUATION | {"plan": "0123456789abcdef" * 4},
        EVALUATION | {"kind": "inference"},
        EVALUATION | {"kind": "transform", "name": "int8", "tee": "tdx", "device": "cuda"},
        TRAINING | {"kind": "model", "inputs": {"model": "m"}},
        DATASET | {"tee": "snp", "gpu": True},
    ],
)
def test_what_is_written_is_read_back(document: dict[str, Any]) -> None:
    job = Job.parse(json.dumps(document).encode())
    assert Job.parse(job.dumps()) == job
    assert json.loads(job.dumps()) == document
    assert job.challenge == bytes(16)


def test_no_name_of_the_host_is_a_place() -> None:
    job = Job.parse(json.dumps(DATASET).encode())
    assert job.places() == {
        "dataset": PurePosixPath("data/inputs/0/adult.test"),
        "more": PurePosixPath("data/inputs/1/adult.data"),
        "train/1": PurePosixPath("data/inputs/2/adult.data"),
    }


@pytest.mark.parametrize(
    ("base", "change"),
    [
        pytest.param(DATASET, {"kind": "other"}, id="kind"),
        pytest.param(DATASET, {"kind": ["dataset"]}, id="kind-type"),
        pytest.param(DATASET, {"tee": "auto"}, id="tee"),
        pytest.param(DATASET, {"tee": None}, id="tee-none"),
        pytest.param(DATASET, {"name": None}, id="name-missing"),
        pytest.param(DATASET, {"name": 1}, id="name-type"),
        pytest.param(TRAINING, {"name": "test"}, id="name-superfluous"),
        pytest.param(DATASET, {"inputs": {}}, id="input-missing"),
        pytest.param(DATASET, {"inputs": {str(n): "a" for n in range(129)}}, id="inputs-many"),
        pytest.param(DATASET, {"inputs": {"": "a"}}, id="role-empty"),
        pytest.param(DATASET, {"inputs": {"a\nb": "a"}}, id="role-control"),
        pytest.param(DATASET, {"inputs": {"r" * 257: "a"}}, id="role-long"),
        pytest.param(DATASET, {"inputs": {"dataset": 1}}, id="input-type"),
        pytest.param(DATASET, {"inputs": ["dataset"]}, id="inputs-type"),
        pytest.param(DATASET, {"inputs": {"dataset": "../../packages/lamslsa"}}, id="input-leaves"),
        pytest.param(DATASET, {"inputs": {"dataset": ".."}}, id="input-parent"),
        pytest.param(DATASET, {"inputs": {"dataset": "."}}, id="input-here"),
        pytest.param(DATASET, {"inputs": {"dataset": ""}}, id="input-empty"),
        pytest.param(DATASET, {"inputs": {"dataset": "a\u0000b"}}, id="input-nul"),
        pytest.param(DATASET, {"inputs": {"dataset": "a\u0308"}}, id="input-not-nfc"),
        pytest.param(DATASET, {"inputs": {"dataset": "x" * 256}}, id="input-long"),
        pytest.param(DATASET, {"inputs": {"train": "a/b"}}, id="input-folder"),
        pytest.param(EVALUATION, {"kind": "transform"}, id="transform-without-a-name"),
        pytest.param(EVALUATION, {"kind": "model", "name": "m"}, id="model-with-a-name"),
        pytest.param(DATASET, {"device": "tpu"}, id="device"),
        pytest.param(DATASET, {"device": None}, id="device-type"),
        pytest.param(DATASET, {"device": "cuda"}, id="cuda-with-sgx"),
        pytest.param(DATASET, {"checkpoints": 1}, id="checkpoints-type"),
        pytest.param(DATASET, {"spool": "out"}, id="spool-type"),
        pytest.param(DATASET, {"memoryLimit": "8G"}, id="memory-type"),
        pytest.param(DATASET, {"memoryLimit": True}, id="memory-truth"),
        pytest.param(DATASET, {"memoryLimit": 0}, id="memory-none"),
        pytest.param(DATASET, {"memoryLimit": 2**51}, id="memory-more"),
        pytest.param(DATASET, {"arguments": ["-x"]}, id="arguments-superfluous"),
        pytest.param(TRAINING, {"arguments": "x"}, id="arguments-type"),
        pytest.param(TRAINING, {"arguments": [1]}, id="argument-type"),
        pytest.param(TRAINING, {"arguments": ["x"] * 257}, id="arguments-many"),
        pytest.param(TRAINING, {"arguments": ["x" * 4097]}, id="argument-long"),
        pytest.param(DATASET, {"plan": "f" * 64}, id="plan-superfluous"),
        pytest.param(EVALUATION, {"plan": 1}, id="plan-type"),
        pytest.param(EVALUATION, {"plan": ""}, id="plan-empty"),
        pytest.param(EVALUATION, {"plan": "F" * 64}, id="plan-spelling"),
        pytest.param(EVALUATION, {"plan": "f" * 64 + "\n"}, id="plan-line"),
        pytest.param(DATASET, {"nonce": 1}, id="nonce-type"),
        pytest.param(DATASET, {"beacon": 0}, id="beacon-type"),
        pytest.param(DATASET, {"beacon": True}, id="nonce-and-beacon"),
        pytest.param(DATASET, {"gpu": 1}, id="gpu-type"),
        pytest.param(DATASET, {"gpu": True}, id="gpu-with-sgx"),
        pytest.param(DATASET, {"gpu": True, "tee": "simulated"}, id="gpu-with-simulated"),
        pytest.param(DATASET, {"more": 1}, id="key-unknown"),
    ],
)
def test_anything_else_is_refused(base: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as error:
        Job.parse(json.dumps(base | change).encode())
    assert error.value.reason == "enclave-job"


@pytest.mark.parametrize(("nonce", "reason"), [("AAAA", "evidence-nonce"), ("!", "base64"), ("A" * 88, "base64-size")])
def test_a_challenge_has_its_size(nonce: str, reason: str) -> None:
    with pytest.raises(FormatError) as error:
        Job.parse(json.dumps(DATASET | {"nonce": nonce}).encode())
    assert error.value.reason == reason


@pytest.mark.parametrize("data", [b"[]", b'{"kind": "dataset"}', b"{" + b" " * 65536 + b"}"])
def test_no_job_at_all(data: bytes) -> None:
    with pytest.raises(FormatError) as error:
        Job.parse(data)
    assert error.value.reason in ("enclave-job", "json-size")


def test_the_nonce_is_the_one_asked_for() -> None:
    asked = Job.parse(json.dumps(DATASET).encode())
    assert asked.nonce(None).value == bytes(16)
    free = Job.parse(json.dumps(DATASET | {"nonce": None}).encode())
    assert free.nonce(None).value != free.nonce(None).value
    beacon = Job.parse(json.dumps(DATASET | {"nonce": None, "beacon": True}).encode())
    assert beacon.nonce(b"log\n1\n").beacon is not None
    for job, data in ((beacon, None), (free, b"log\n1\n")):
        with pytest.raises(FormatError) as error:
            job.nonce(data)
        assert error.value.reason == "enclave-job"

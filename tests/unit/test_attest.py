"""Attesting: what comes out is quoted as a whole, and nothing else can be quoted."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lamslsa import _codec, attest, statement
from lamslsa.artifact.spool import Spool
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.sgx.verify import MEDIA_TYPE, SgxVerifier
from lamslsa.measure import Context, Input, Plan, load_job
from lamslsa.testing import measuring
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.table import JOB, ROWS

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


class Attester:
    """A simulated attester that counts its quotes."""

    tee = "simulated"

    def __init__(self) -> None:
        self.vendor = SimulatedVendor(NOW)
        self.quotes: list[bytes] = []
        self.asked: list[bytes] = []
        self.devices: tuple[DeviceEvidence, ...] = ()

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        self.asked.append(nonce)
        return self.devices

    def quote(self, report_data: bytes) -> Evidence:
        self.quotes.append(report_data)
        return Evidence(media_type=MEDIA_TYPE, quote=self.vendor.quote(report_data), collateral=None)


class Unavailable:
    """A TEE that has gone away."""

    tee = "gone"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        del nonce
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        raise UnavailableError(f"expected a TEE for {len(report_data)} bytes, got none", reason="tee-missing")


def silent(stage: str, done: int, total: int) -> None:
    del stage, done, total


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(ROWS)
    return path


def test_one_quote_covers_the_statements_of_a_run_and_a_fresh_nonce(data: Path) -> None:
    attester = Attester()
    job = load_job(JOB.encode(), source="job.yaml")
    runs = [
        measuring.attest_dataset(
            data, name="train", job=job, others={}, attester=attester, progress=silent, nonce=Nonce.random()
        )
        for _ in range(2)
    ]
    assert len(attester.quotes) == 2
    assert runs[0].statements == runs[1].statements, "the same measurement gives the same bytes"
    assert runs[0].nonce != runs[1].nonce
    for run in runs:
        digests = [_codec.sha256_hex(item.payload) for item in run.statements]
        expected = binding.report_data(run.nonce.value, statements=digests)
        assert SgxVerifier().presented_report_data(run.evidence.quote) == expected


def test_devices_answer_before_the_quote_that_covers_their_answers(data: Path) -> None:
    attester, nonce = Attester(), Nonce.of_beacon(b"a checkpoint")
    attester.devices = tuple(DeviceEvidence(media_type="x/y", data=answer) for answer in (b"one", b"two"))
    job = load_job(JOB.encode(), source="job.yaml")
    run = measuring.attest_dataset(
        data, name="train", job=job, others={}, attester=attester, progress=silent, nonce=nonce
    )
    digests = [_codec.sha256_hex(item.payload) for item in run.statements]
    assert attester.asked == [binding.device_nonce(nonce.value, statements=digests)]
    answers = [_codec.sha256_hex(b"one"), _codec.sha256_hex(b"two")]
    assert attester.quotes == [binding.report_data(nonce.value, device_evidence=answers, statements=digests)]
    assert (run.devices, run.nonce) == (attester.devices, nonce)


def test_the_whole_path(data: Path, tmp_path: Path) -> None:
    attester, job = Attester(), load_job(JOB.encode(), source="job.yaml")
    model = tmp_path / "people-mlp"
    trained, made = measuring.attest_training(data, job=job, attester=attester, progress=silent, nonce=Nonce.random())
    made.write(model)
    evaluated = measuring.attest_evaluation(
        model, dataset=data, job=job, attester=attester, progress=silent, nonce=Nonce.random()
    )
    subjects = [statement.parse(run.statements[0].payload).subjects for run in (trained, evaluated)]
    assert subjects[0] == subjects[1], "the model that was trained is the model that was evaluated"
    assert [run.statements[0].name for run in (trained, evaluated)] == ["01-provenance", "01-evaluation"]


def test_nothing_comes_back_when_the_tee_does_not_answer(data: Path) -> None:
    with pytest.raises(UnavailableError):
        measuring.attest_training(
            data,
            job=load_job(JOB.encode(), source="job.yaml"),
            attester=Unavailable(),
            progress=silent,
            nonce=Nonce.random(),
        )


def test_there_is_no_way_to_have_given_bytes_quoted() -> None:
    others = {"Made", "Planned", "place", "read_inputs", "sealed_checkpoints", "streamed_only"}
    assert set(attest.__all__) == {"attest", *others}


def _named_plan(*inputs: Input) -> Plan:
    return cast("Plan", SimpleNamespace(inputs=inputs))


DATASET = Input(role="dataset", kind="dataset", name="train")
TRAIN = Input(role="train", kind="dataset", name="adult")
MODEL = Input(role="model", kind="model")
PARENT = Input(role="parent", kind="model")
A, B, C = Path("a"), Path("b"), Path("c")


@pytest.mark.parametrize(
    ("inputs", "given", "expected"),
    [
        ((DATASET, MODEL), {"dataset": A, "model": B}, {"dataset": A, "model": B}),
        ((DATASET, MODEL), {"train": A, "model": B}, {"dataset": A, "model": B}),
        ((DATASET, TRAIN), {"dataset": A, "train": B}, {"dataset": A, "train": B}),
        ((DATASET, TRAIN), {"dataset": A, "adult": B}, {"dataset": A, "train": B}),
        ((TRAIN, MODEL), {"dataset": A, "model": B}, {"train": A, "model": B}),
        ((TRAIN, PARENT), {"train": A, "model": B}, {"train": A, "parent": B}),
    ],
)
def test_inputs_are_found_by_role_or_else_by_name(
    inputs: tuple[Input, ...], given: dict[str, Path], expected: dict[str, Path]
) -> None:
    (planned,) = attest.place([_named_plan(*inputs)], given)
    assert planned.paths == expected


def test_each_plan_takes_what_it_reads() -> None:
    first, second = _named_plan(DATASET, MODEL), _named_plan(MODEL, TRAIN)
    placed = attest.place([first, second], {"model": A, "dataset": B, "adult": C})
    assert [item.paths for item in placed] == [{"dataset": B, "model": A}, {"model": A, "train": C}]


@pytest.mark.parametrize(
    "given",
    [
        {"train": A},  # a role of this plan, so not the name of another input of it
        {"dataset": A},
        {"dataset": A, "train": B, "adult": C},  # two words for one input
        {"dataset": A, "train": B, "more": C},
        {},
    ],
)
def test_inputs_that_are_missing_or_not_read_are_refused(given: dict[str, Path]) -> None:
    with pytest.raises(FormatError) as error:
        attest.place([_named_plan(DATASET, TRAIN)], given)
    assert error.value.reason == "measure-input"


TABLES = Input(role="dataset", kind="dataset", streamed=True)


def test_only_what_every_plan_reads_block_by_block_may_be_larger_than_memory() -> None:
    whole = Input(role="train", kind="dataset")
    planned = [
        attest.Planned(plan=_named_plan(TABLES, MODEL), paths={"dataset": A, "model": B}),
        attest.Planned(plan=_named_plan(TABLES), paths={"dataset": C}),
        attest.Planned(plan=_named_plan(TABLES, whole), paths={"dataset": A, "train": C}),
    ]
    assert attest.streamed_only(planned[:1]) == {A}
    assert attest.streamed_only(planned[:2]) == {A, C}
    assert attest.streamed_only(planned) == {A}
    assert attest.streamed_only([]) == frozenset()


def test_what_one_plan_needs_in_memory_is_refused_for_all(data: Path, tmp_path: Path) -> None:
    job = load_job(JOB.encode(), source="job.yaml")
    context = Context(memory_limit=len(ROWS) - 1, spool=Spool(tmp_path))
    sheet = attest.Planned(plan=job.sheet("train"), paths={"dataset": data})
    attest.attest([sheet], attester=Attester(), nonce=Nonce.random(), context=context)
    attester = Attester()
    training = attest.Planned(plan=job.require_training(), paths={"train": data})
    with pytest.raises(FormatError) as error:
        attest.attest([sheet, training], attester=attester, nonce=Nonce.random(), context=context)
    assert (error.value.reason, attester.quotes) == ("artifact-size", [])


def test_private_files_of_one_name_never_replace_each_other(data: Path) -> None:
    """Through a job they cannot meet: it is asked for one dataset at a time."""
    sheet = "{schema: people, skipLines: 0, groups: [], overlap: [], properties: {withhold: [duplicates]}}"
    text = re.sub(r"(?s)datasets:.*?training:", f"datasets:\n  train: {sheet}\n  test: {sheet}\ntraining:", JOB)
    job = load_job(text.encode(), source="job.yaml")
    planned = [attest.Planned(plan=job.sheet(name), paths={"dataset": data}) for name in ("train", "test")]
    _, made = attest.attest(planned[:1], attester=Attester(), nonce=Nonce.random())
    assert list(made.private) == ["openings.json"]
    attester = Attester()
    with pytest.raises(FormatError) as error:
        attest.attest(planned, attester=attester, nonce=Nonce.random())
    assert (error.value.reason, attester.quotes) == ("attest-output", [])
    with pytest.raises(FormatError) as error:
        job.plans("dataset", None)
    assert error.value.reason == "job-name"

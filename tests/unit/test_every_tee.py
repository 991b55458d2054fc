"""Every kind of TEE from measurement to accepted platform, GPUs included, and what the host may not exchange."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from lamslsa.errors import VerificationError
from lamslsa.evidence import attester_for, verifier_for
from lamslsa.evidence.appraise import GpuTerms, PlatformTerms, Vouched, appraise
from lamslsa.evidence.interface import DeviceEvidence, Tee
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run
from lamslsa.evidence.verify import VerifiedEvidence
from lamslsa.measure import load_job
from lamslsa.publish import publish_run
from lamslsa.sign import KeySigner, generate
from lamslsa.store import DirectoryStore
from lamslsa.testing import measuring
from lamslsa.testing.table import JOB, ROWS
from lamslsa.verification import TrustMaterial, Verification, verify_bundles

DATASHEET = Vouched(predicate_type="https://lamslsa.dev/dataset/v1", measurer="tabular-dataset/1")
FORMS = [
    ("simulated", "sgx", None),
    ("simulated-tdx", "tdx", None),
    ("simulated-tdx", "tdx", "simulated"),
    ("simulated-snp", "snp", None),
    ("simulated-snp", "snp", "simulated"),
    ("simulated-nitro", "nitro", None),
]


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(ROWS)
    return path


def silent(stage: str, done: int, total: int) -> None:
    del stage, done, total


def run_of(data: Path, form: str, gpu: str | None) -> Run:
    attester = attester_for(form, simulated_platform=data.parent / "platform", gpu=gpu)
    return measuring.attest_dataset(
        data,
        name="train",
        job=load_job(JOB.encode(), source="job.yaml"),
        others={},
        attester=attester,
        progress=silent,
        nonce=Nonce.random(),
    )


def verified(run: Run, signer: KeySigner, folder: Path) -> Verification:
    store = DirectoryStore(folder)
    publish_run(run, signer=signer, store=store)
    now = dt.datetime.now(dt.UTC)
    return verify_bundles(store.bundles(), TrustMaterial(identities={"owner": signer.verifier()}, at=now, now=now))


def terms(tee: Tee, root: str, gpu: GpuTerms | None) -> PlatformTerms:
    return PlatformTerms(
        name="rehearsal",
        tee=frozenset({tee}),
        simulated=True,
        roots=frozenset({root}),
        tcb=frozenset({"UpToDate"}),
        code=(),
        unsafe_any_measurement=True,
        gpu=gpu,
    )


def evidence_of(outcome: Verification) -> VerifiedEvidence:
    assert outcome.set_aside == ()
    (attestation,) = outcome.attestations
    (evidence,) = attestation.evidence
    return evidence


@pytest.mark.parametrize(("form", "tee", "gpu"), FORMS)
def test_measured_published_verified_and_accepted(
    data: Path, tmp_path: Path, signer: KeySigner, form: str, tee: Tee, gpu: str | None
) -> None:
    evidence = evidence_of(verified(run_of(data, form, gpu), signer, tmp_path / "store"))
    assert (evidence.claims.tee, evidence.claims.simulated, len(evidence.claims.devices)) == (tee, True, int(bool(gpu)))
    asked = None
    if gpu:
        roots = frozenset(device.root for device in evidence.claims.devices)
        asked = GpuTerms(architectures=frozenset({"hopper"}), unsafe_not_compared=True, roots=roots)
    accepted = terms(tee, evidence.claims.root, asked)
    now = dt.datetime.now(dt.UTC)
    assert appraise(evidence, accepted, now=now, statement=DATASHEET) == ()
    hardware = dataclasses.replace(accepted, simulated=False, roots=frozenset())
    assert "platform-simulated" in {item.reason for item in appraise(evidence, hardware, now=now, statement=DATASHEET)}
    wanting = dataclasses.replace(accepted, gpu=GpuTerms(architectures=frozenset({"hopper"}), minimum=2))
    assert appraise(evidence, wanting, now=now, statement=DATASHEET) != ()


@pytest.mark.parametrize("form", ["simulated-tdx", "simulated-snp"])
def test_the_answer_of_another_gpu_is_not_covered(data: Path, tmp_path: Path, signer: KeySigner, form: str) -> None:
    run, other = run_of(data, form, "simulated"), run_of(data, form, "simulated")
    for devices in (other.devices, (), (*run.devices, *other.devices)):
        with pytest.raises(VerificationError) as caught:
            publish_run(dataclasses.replace(run, devices=devices), signer=signer, store=DirectoryStore(tmp_path / "s"))
        assert caught.value.reason == "evidence-binding"


class Relaying:
    """An attester whose host hands it the answers that somebody else's devices gave."""

    tee = "simulated-tdx"

    def __init__(self, folder: Path, answers: tuple[DeviceEvidence, ...], form: str) -> None:
        self._attester = attester_for(form, simulated_platform=folder)
        self._answers = answers

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        del nonce
        return self._answers

    def quote(self, report_data: bytes) -> object:
        return self._attester.quote(report_data)


def relayed(data: Path, answers: tuple[DeviceEvidence, ...], form: str) -> Run:
    return measuring.attest_dataset(
        data,
        name="train",
        job=load_job(JOB.encode(), source="job.yaml"),
        others={},
        attester=Relaying(data.parent / "platform", answers, form),  # type: ignore[arg-type]  # the host's own
        progress=silent,
        nonce=Nonce.random(),
    )


def reasons(outcome: Verification) -> set[str]:
    assert all(not item.evidence for item in outcome.attestations)
    return {item.reason for item in outcome.set_aside}


@pytest.mark.parametrize("form", ["simulated-tdx", "simulated-snp"])
def test_an_answer_to_another_question_is_refused(data: Path, tmp_path: Path, signer: KeySigner, form: str) -> None:
    old = run_of(data, form, "simulated").devices
    assert reasons(verified(relayed(data, old, form), signer, tmp_path / "store")) == {"evidence-device-nonce"}


@pytest.mark.parametrize("form", ["simulated", "simulated-nitro"])
def test_an_enclave_cannot_bring_a_gpu(data: Path, tmp_path: Path, signer: KeySigner, form: str) -> None:
    answers = run_of(data, "simulated-tdx", "simulated").devices
    assert reasons(verified(relayed(data, answers, form), signer, tmp_path / "store")) == {"evidence-device"}


def test_a_gpu_counts_once(data: Path, tmp_path: Path, signer: KeySigner) -> None:
    platform = data.parent / "platform"
    gpu = attester_for("simulated-tdx", simulated_platform=platform, gpu="simulated")

    class Twice(Relaying):
        def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
            return gpu.device_evidence(nonce) * 2

    run = measuring.attest_dataset(
        data,
        name="train",
        job=load_job(JOB.encode(), source="job.yaml"),
        others={},
        attester=Twice(platform, (), "simulated-tdx"),  # type: ignore[arg-type]  # the host's own
        progress=silent,
        nonce=Nonce.random(),
    )
    assert reasons(verified(run, signer, tmp_path / "store")) == {"evidence-device-twice"}


def test_collateral_of_another_kind_of_tee_is_refused(data: Path, tmp_path: Path, signer: KeySigner) -> None:
    sgx, snp = run_of(data, "simulated", None), run_of(data, "simulated-snp", None)
    assert verifier_for(sgx.evidence.media_type).collateral_media_type is not None
    swapped = dataclasses.replace(sgx, evidence=dataclasses.replace(sgx.evidence, collateral=snp.evidence.collateral))
    outcome = verified(swapped, signer, tmp_path / "store")
    assert all(not item.evidence for item in outcome.attestations)

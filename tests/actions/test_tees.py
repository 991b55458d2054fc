"""The action attest where there is no TEE, and where a simulated one is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lamslsa.testing.sigstore import LocalSigstore, github_claims
from lamslsa.testing.table import JOB, ROWS
from tests.actions import composite
from tests.actions.census import REPOSITORY
from tests.actions.test_actions import recorded, recorder

__all__ = ["recorder"]

BANNER = "> **⚠ SIMULATED TEE: no hardware vouches for these values**"


@pytest.fixture
def asked(tmp_path: Path, local_sigstore: LocalSigstore) -> dict[str, str]:
    (tmp_path / "people.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")
    (tmp_path / "trust.json").write_text(local_sigstore.trust_config_json(rekor=2), encoding="utf-8")
    return {
        "stage": "dataset",
        "subject": str(tmp_path / "people.csv"),
        "name": "train",
        "job": str(tmp_path / "job.yaml"),
        "simulated-platform": str(tmp_path / "platform"),
        "to": str(tmp_path / "store"),
        "trust-config": str(tmp_path / "trust.json"),
    }


@pytest.mark.parametrize(
    ("tee", "why"),
    [
        ("auto", "expected one of sgx, nitro, tdx, snp"),
        ("sgx", "/dev/attestation"),
        ("tdx", "/dev/tdx_guest"),
        ("snp", "/dev/sev-guest"),
        ("nitro", "/dev/nsm"),
    ],
)
def test_a_runner_without_the_device_attests_nothing_and_says_why(
    tee: str, why: str, asked: dict[str, str], tmp_path: Path, local_sigstore: LocalSigstore
) -> None:
    """Not even where a simulated platform stands ready."""
    machine = local_sigstore.oidc.job(github_claims(REPOSITORY))
    machine["LAMSLSA_SIMULATED_PLATFORM"] = str(tmp_path / "platform")
    done = composite.run("attest", asked | {"tee": tee}, tmp_path / "attest", **machine)
    assert done.code == 6, done.log
    assert done.ran == ("measure",)
    assert done.summary.startswith("## ❌ Not attested: dataset, exit code 6\n\n    ")
    assert why in done.summary
    assert not any(done.outputs.values())
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "platform").exists()


@pytest.mark.parametrize("tee", ["gramine-sgx", "Simulated", "simulated ", "simulated\nsgx", "none", "--tee=simulated"])
def test_no_other_word_comes_near_a_tee(tee: str, asked: dict[str, str], tmp_path: Path) -> None:
    done = composite.run("attest", asked | {"tee": tee}, tmp_path / "attest")
    assert done.code == 2, done.log
    assert done.ran == ("measure",)
    assert not (tmp_path / "store").exists()


def test_a_simulated_one_is_asked_for_and_every_summary_says_so(
    asked: dict[str, str], tmp_path: Path, local_sigstore: LocalSigstore
) -> None:
    machine = local_sigstore.oidc.job(github_claims(REPOSITORY))
    done = composite.run("attest", asked | {"tee": "simulated"}, tmp_path / "attest", **machine)
    assert done.code == 0, done.log
    assert done.summary.startswith(f"## Attested: dataset\n\n{BANNER}\n\n    ")
    statements = json.loads(Path(done.outputs["published"]).read_bytes())["statements"]
    assert len(list((tmp_path / "store").iterdir())) == len(statements)


@pytest.mark.parametrize(
    ("tee", "gpu", "simulated"),
    [
        *((tee, gpu, False) for tee in ("auto", "sgx", "tdx", "snp", "nitro") for gpu in ("", "nvidia")),
        *((tee, "simulated", True) for tee in ("tdx", "snp")),
        *((tee, "", True) for tee in ("simulated", "simulated-tdx", "simulated-snp", "simulated-nitro")),
        *(("gramine-direct", "", True), ("simulated-tdx", "nvidia", True)),
    ],
)
def test_whatever_is_no_hardware_is_called_simulated(
    tee: str, gpu: str, simulated: bool, tmp_path: Path, recorder: dict[str, str]
) -> None:
    inputs = {"stage": "model", "job": "j", "to": "s", "subject": "m", "tee": tee, "gpu": gpu}
    done = composite.run("attest", inputs, tmp_path / "attest", **recorder)
    assert done.code == 0, done.log
    measured, signed = recorded(recorder)
    assert f"--tee={tee}" in measured
    assert [word for word in (*measured, *signed) if re.search("simulated", word)] == [
        f"--{name}={value}" for name, value in (("tee", tee), ("gpu", gpu)) if "simulated" in value
    ]
    assert (BANNER in done.summary) == simulated

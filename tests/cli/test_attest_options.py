"""What ``lamslsa attest`` refuses before it measures anything: each of these ends at once and leaves nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.testing.table import JOB, ROWS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def words(tmp_path: Path) -> list[str | Path]:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(JOB)
    (tmp_path / "noise").write_bytes(b"noise\n")
    config: list[str | Path] = ["--config", tmp_path / "job.yaml", "--out", tmp_path / "run"]
    return ["attest", "dataset", tmp_path / "people.csv", "--name", "train", *config]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--nonce", "zz"), 2, "expected --nonce in hexadecimal"),
        (("--nonce", "00" * 15), 3, "evidence-nonce"),
        (("--nonce", "00" * 16, "--beacon", "{at}/noise"), 2, "expected --nonce or --beacon, got both"),
        (("--beacon", "{at}/noise"), 3, "beacon"),
        (("--collateral", "{at}/noise"), 3, "json-syntax"),
        (("--gpu", "simulated"), 6, "gpu-needs-guest"),
        (("--enclave", "{at}"), 2, "expected --enclave with --tee sgx or gramine-direct"),
    ],
)
def test_refused_before_anything_is_measured(
    lamslsa: Run, tmp_path: Path, words: list[str | Path], options: tuple[str, ...], code: int, said: str
) -> None:
    done = lamslsa(*words, "--tee", "simulated", *(word.format(at=tmp_path) for word in options))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tee", ["simulated-snp", "simulated-nitro"])
def test_collateral_of_another_kind_of_tee(lamslsa: Run, tmp_path: Path, words: list[str | Path], tee: str) -> None:
    first = lamslsa(*words, "--tee", "simulated")
    assert first.returncode == 0, first.stderr
    collateral = tmp_path / "run" / "collateral.json"
    again = [*words[:-1], tmp_path / "again"]
    done = lamslsa(*again, "--tee", tee, "--collateral", collateral)
    assert done.returncode == 3
    assert not (tmp_path / "again").exists()


def test_an_enclave_needs_its_build(lamslsa: Run, words: list[str | Path]) -> None:
    done = lamslsa(*words, "--tee", "gramine-direct")
    assert done.returncode == 2
    assert "expected --enclave DIR" in done.stderr
    missing = lamslsa(*words, "--tee", "sgx")
    assert missing.returncode == 6
    assert "--enclave DIR" in missing.stderr


def test_a_challenge_is_the_nonce_of_the_run(lamslsa: Run, tmp_path: Path, words: list[str | Path]) -> None:
    made = lamslsa("challenge", tmp_path / "challenge.json", "--quiet").stdout.strip()
    done = lamslsa(*words, "--tee", "simulated-tdx", "--gpu", "simulated", "--nonce", made)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "device-01.bin").is_file()
    shown = lamslsa("inspect", tmp_path / "run")
    assert made in shown.stdout
    assert "report data is that of exactly these statements, devices and this nonce" in shown.stdout


@pytest.mark.parametrize("option", ["--out", "--private"])
def test_nothing_is_written_into_what_is_read(lamslsa: Run, tmp_path: Path, option: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "people.csv").write_text(ROWS)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "job.yaml").write_text(JOB)
    words = ["attest", "dataset", folder, "--name", "train", "--config", tmp_path / "job.yaml", "--tee", "simulated"]
    outputs = {"--out": tmp_path / "run", option: tmp_path / "link" / "deep" / "er"}
    done = lamslsa(*words, *(word for pair in outputs.items() for word in pair))
    assert (done.returncode, f"expected {option} outside of the input" in done.stderr) == (2, True), done.stderr
    assert [path.name for path in folder.iterdir()] == ["people.csv"]

"""Builds of this environment: a Python that sees only what the manifest trusts can do every job.

With doubles of Gramine's programs the interpreter is a real one, isolated, whose standard library and packages are the
trusted files and nothing else. With Gramine itself it is the enclave.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lamslsa.artifact import hash_artifact
from lamslsa.enclave.build import build, sign
from lamslsa.enclave.files import Interpreter
from lamslsa.enclave.run import Request, Runner, run_job
from lamslsa.evidence import verifier_for
from lamslsa.testing.table import JOB, ROWS

OWN = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: people}
models: {}
configuration: {times: 2}
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


@pytest.mark.slow
def test_every_job_runs_on_trusted_files_alone(measure_build: Path, people: Path, tmp_path: Path) -> None:
    platform = tmp_path / "platform"
    said: list[str] = []

    def go(request: Request) -> int:
        with run_job(
            request, build_dir=measure_build, runner="gramine-direct", simulated_platform=platform, say=said.append
        ) as done:
            assert verifier_for(done.run.evidence.media_type).tee == "sgx"
            for name in done.outputs:
                done.write_output(name, tmp_path / name)
            return len(done.outputs)

    config = JOB.encode()
    go(Request(kind="dataset", config=config, inputs={"dataset": people}, name="train"))
    assert go(Request(kind="training", config=config, inputs={"train": people})) == 1
    model = tmp_path / "people-mlp"
    go(Request(kind="evaluation", config=config, inputs={"dataset": people, "model": model}))
    assert hash_artifact(model, "model").files
    assert [line for line in said if line.startswith("reading people.csv (bytes): 100% of 746 in ")]


@pytest.mark.slow
def test_sgx_and_own_code(gramine: Path, light: Path, key: Path, people: Path, code: Path, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    build("train-own", folder, interpreter=Interpreter.ask(Path(sys.executable), packages=light), code=code)
    sign(folder, key)
    request = Request(
        kind="training", config=OWN.encode(), inputs={"train": people}, challenge=bytes(32), arguments=("--more",)
    )
    with run_job(request, build_dir=folder, runner="gramine-sgx", say=print) as done:
        assert done.run.nonce.value == bytes(32)
        done.write_output("mine", tmp_path / "mine")
    assert (tmp_path / "mine" / "weights.safetensors").stat().st_size == 32 * 2 * 3


@pytest.mark.gramine
@pytest.mark.parametrize("runner", ["gramine-direct", "gramine-sgx"])
def test_with_gramine(installed: Path, key: Path, people: Path, tmp_path: Path, runner: Runner) -> None:
    if runner == "gramine-sgx" and not Path("/dev/sgx_enclave").exists():
        pytest.skip("gramine: no SGX on this machine")
    folder = tmp_path / "build"
    build("measure", folder, interpreter=Interpreter.ask(Path(sys.executable), packages=installed))
    sign(folder, key)
    request = Request(kind="dataset", config=JOB.encode(), inputs={"dataset": people}, name="train")
    platform = tmp_path / "platform" if runner == "gramine-direct" else None
    with run_job(request, build_dir=folder, runner=runner, simulated_platform=platform) as done:
        assert [item.name for item in done.run.statements] == ["01-dataset"]

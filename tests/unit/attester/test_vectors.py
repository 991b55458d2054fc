"""Runs tests/vectors/attester: a host that lies to `lamslsa attest`, once per case."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from lamslsa.artifact import hash_artifact
from lamslsa.statement import parse
from lamslsa.testing.table import JOB, ROWS

VECTORS = Path(__file__).parents[2] / "vectors" / "attester"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())


class Bomb:
    """Unpickling this makes a file: proof that code ran."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.proof,)


@dataclass(slots=True, kw_only=True)
class Host:
    """A machine whose owner lies: a job, data, a trained model, and the words of the command."""

    folder: Path
    job: Path
    data: Path
    model: Path
    tee: list[str] = field(default_factory=lambda: ["--tee", "simulated"])

    @property
    def out(self) -> Path:
        return self.folder / "run"

    @property
    def proof(self) -> Path:
        return self.folder / "code-ran"

    def evaluate(self) -> list[str]:
        return ["attest", "evaluation", str(self.model), "--dataset", str(self.data)]

    def dataset(self) -> list[str]:
        return ["attest", "dataset", str(self.data), "--name", "train"]

    def attest(self, words: list[str]) -> int:
        platform = ["--simulated-platform", str(self.folder / "platform")]
        return main([*words, "--config", str(self.job), *self.tee, "--out", str(self.out), *platform])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Host:
    folder = tmp_path_factory.mktemp("host")
    host = Host(folder=folder, job=folder / "job.yaml", data=folder / "people.csv", model=folder / "people-mlp")
    host.job.write_text(JOB)
    host.data.write_text(ROWS)
    training = ["attest", "training", "--dataset", f"train={host.data}", "--model-out", str(host.model)]
    assert host.attest(training) == 0
    return host


@pytest.fixture
def host(trained: Host, tmp_path: Path) -> Host:
    """A host of the case's own, with the model that was trained once."""
    made = Host(folder=tmp_path, job=tmp_path / "job.yaml", data=tmp_path / "people.csv", model=tmp_path / "people-mlp")
    made.job.write_text(JOB)
    made.data.write_text(ROWS)
    made.model.mkdir()
    for file in trained.model.iterdir():
        (made.model / file.name).write_bytes(file.read_bytes())
    return made


Case = Callable[[Host, pytest.MonkeyPatch], list[str]]
LIES: dict[str, Case] = {}


def lie(case: Case) -> Case:
    name = case.__name__
    refused = "_fail" if name.endswith("_fail") else ""
    LIES[name.removesuffix("_fail").replace("_", "-") + refused] = case
    return case


@lie
def honest(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    return host.evaluate()


@lie
def swapped_after_reading(host: Host, patch: pytest.MonkeyPatch) -> list[str]:
    from lamslsa.measure.models import examples

    really = vars(examples)["open_tables"]

    def swap_first(*arguments: object, **keywords: object) -> object:
        host.data.write_text(ROWS.replace("low", "high"))
        (host.model / "model.json").write_text("{}")
        return really(*arguments, **keywords)

    patch.setattr(examples, "open_tables", swap_first)
    return host.evaluate()


@lie
def model_with_pickle_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    (host.model / "extra.pkl").write_bytes(pickle.dumps(Bomb(host.proof)))
    return host.evaluate()


@lie
def model_with_torch_pickle_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    with zipfile.ZipFile(host.model / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(host.proof)))
    return host.evaluate()


@lie
def model_with_bin_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    (host.model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(host.proof)))
    return host.evaluate()


@lie
def model_with_exported_program_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    with zipfile.ZipFile(host.model / "model.pt2", "w") as archive:
        archive.writestr("../../escape", b"zip-slip")
        archive.writestr("data/weights.pkl", pickle.dumps(Bomb(host.proof)))
    return host.evaluate()


@lie
def model_with_python_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    (host.model / "modeling.py").write_text(f"open({str(host.proof)!r}, 'w')")
    return host.evaluate()


@lie
def weights_are_pickle_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    (host.model / "model.safetensors").write_bytes(pickle.dumps(Bomb(host.proof)))
    return host.evaluate()


@lie
def description_names_code_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    path = host.model / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "modeling.Net"}}))
    return host.evaluate()


@lie
def job_with_tag_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.job.write_text(JOB + f"extra: !!python/object/apply:os.system ['touch {host.proof}']\n")
    return host.evaluate()


@lie
def job_with_alias_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.job.write_text(JOB + "a: &a [1, 2]\nb: *a\n")
    return host.evaluate()


@lie
def data_that_says_read_me_elsewhere_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.data.write_text(ROWS + "'); copy (select 1) to '/tmp/x'; --, M, low\n")
    return host.dataset()


@lie
def data_is_a_link_out_of_its_folder_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    folder = host.folder / "data"
    folder.mkdir()
    (folder / "people.csv").symlink_to(host.data)
    host.data = folder
    return host.dataset()


@lie
def no_tee_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.tee = []
    return host.evaluate()


@lie
def unknown_tee_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.tee = ["--tee", "sgx"]
    return host.evaluate()


@lie
def output_exists_fail(host: Host, _: pytest.MonkeyPatch) -> list[str]:
    host.out.mkdir()
    (host.out / "mine").touch()
    return host.evaluate()


@pytest.mark.parametrize("name", CASES)
def test_vector(host: Host, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    expected = json.loads((VECTORS / name / "case.json").read_bytes())
    before = hash_artifact(host.model, "model").sha256
    code = host.attest(LIES[name](host, monkeypatch))
    errors = capsys.readouterr().err
    assert code == expected["exitCode"], errors
    assert not host.proof.exists(), "nothing that came with the data may run"
    if name.endswith("_fail"):
        assert f"error[{expected['reason']}]" in errors
        assert sorted(path.name for path in host.folder.glob("run/*")) in ([], ["mine"])
    else:
        payload = (host.out / "01-evaluation.json").read_bytes()
        assert parse(payload).subjects[0].sha256 == before, "what was read is what is attested"


def test_every_case_is_a_folder_and_every_folder_a_case() -> None:
    assert set(LIES) == set(CASES)


def test_swapped_bytes_change_no_value(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.attest(host.evaluate()) == 0
    honest_payload = (host.out / "01-evaluation.json").read_bytes()
    host.out.rename(host.folder / "honest")
    assert host.attest(swapped_after_reading(host, monkeypatch)) == 0
    assert (host.out / "01-evaluation.json").read_bytes() == honest_payload

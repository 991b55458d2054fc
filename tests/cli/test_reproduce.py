"""``lamslsa reproduce`` and ``lamslsa measurers`` as a user meets them."""

from __future__ import annotations

import importlib.metadata
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli import measurers
from lamslsa._cli.main import main
from lamslsa.measure.registry import BUILT_IN
from lamslsa.sign import KeySigner, generate
from lamslsa.testing import chain
from lamslsa.testing.table import JOB, ROWS

Cli = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Path:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(JOB)
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    words = ("training", "--dataset", "train=people.csv", "--config", "job.yaml", "--model-out", "m", "--out", "run")
    code, _, said = cli("attest", *words, "--tee", "simulated")
    assert code == 0, said
    return tmp_path / "run" / "01-provenance.json"


WORDS = ("--config", "job.yaml", "--dataset", "train=people.csv", "--quiet")


def test_the_same_model(trained: Path, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    claimed = json.loads(trained.read_bytes())["subject"][0]["digest"]["sha256"]
    code, document, said = cli("reproduce", trained, *WORDS)
    assert code == 0, said
    assert document == {"same": True, "attested": claimed, "now": claimed, "differences": []}
    assert main(["reproduce", str(trained), *WORDS]) == 0
    assert "reproduced: the same model" in capsys.readouterr().out


def test_from_a_bundle(trained: Path, cli: Cli) -> None:
    bundle = trained.parent / "provenance.sigstore.json"
    bundle.write_bytes(KeySigner.load(generate(None), None).sign(trained.read_bytes()))
    assert cli("reproduce", bundle, *WORDS)[0] == 0
    bundle.write_bytes(b"{}")
    code, _, said = cli("reproduce", bundle, *WORDS)
    assert (code, "reproduce-statement" in said) == (3, True)


def test_from_a_run_folder(trained: Path, cli: Cli) -> None:
    code, document, said = cli("reproduce", trained.parent, *WORDS)
    assert (code, document["same"]) == (0, True), said
    trained.with_name("evidence.json").unlink()
    code, _, said = cli("reproduce", trained.parent, *WORDS)
    assert (code, "error[run-file]" in said) == (3, True)


def add(folder: Path, name: str, payload: bytes) -> None:
    """One more statement in a run; that its quote is over others then is of no importance here."""
    index = folder / "evidence.json"
    document = json.loads(index.read_bytes())
    document["statements"].append(name)
    index.write_text(json.dumps(document))
    (folder / f"{name}.json").write_bytes(payload)


def test_the_training_among_other_statements(trained: Path, cli: Cli, tmp_path: Path) -> None:
    signer = KeySigner.load(generate(None), None)
    evaluation, lines = chain.evaluated(chain.model()), tmp_path / "all.intoto.jsonl"
    add(trained.parent, "02-evaluation", evaluation)
    lines.write_bytes(b"\n".join(map(signer.sign, (evaluation, trained.read_bytes(), trained.read_bytes()))) + b"\n")
    for where in (trained.parent, lines):
        assert cli("reproduce", where, *WORDS)[0] == 0
    other = trained.read_bytes().replace(b"people-mlp", b"people-abc")
    assert other != trained.read_bytes()
    add(trained.parent, "03-provenance", other)
    lines.write_bytes(lines.read_bytes() + signer.sign(other) + b"\n")
    for where in (trained.parent, lines):
        code, document, _ = cli("reproduce", where, *WORDS)
        assert (code, document["error"]["reason"]) == (3, "reproduce-statement")
        assert "got 2" in document["error"]["message"]


def test_a_run_without_a_training(trained: Path, cli: Cli) -> None:
    folder, evaluation = trained.parent, chain.evaluated(chain.model())
    trained.write_bytes(evaluation)
    code, document, _ = cli("reproduce", folder, *WORDS)
    assert (code, document["error"]["reason"]) == (3, "reproduce-statement")
    add(folder, "02-evaluation", evaluation)
    code, document, _ = cli("reproduce", folder, *WORDS)
    assert (code, "got 0" in document["error"]["message"]) == (3, True)


def on(trained: Path, device: str | None) -> None:
    """Have the statement name another device, or none."""
    document = json.loads(trained.read_bytes())
    machine = document["predicate"]["buildDefinition"]["internalParameters"]["environment"]["machine"]
    machine.pop("device")
    machine |= {} if device is None else {"device": device}
    trained.write_text(json.dumps(document))


def test_the_device_is_that_of_the_statement(trained: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on(trained, "cuda")
    code, document, _ = cli("reproduce", trained, *WORDS)
    assert (code, document["error"]["reason"]) == (6, "device-missing")
    code, document, _ = cli("reproduce", trained, *WORDS, "--device", "cpu")
    assert (code, document["same"]) == (0, True)
    assert {"what": "machine device", "then": "cuda", "now": "cpu"} in document["differences"]
    on(trained, "abacus")
    code, document, _ = cli("reproduce", trained, *WORDS)
    assert (code, "--device" in document["error"]["message"]) == (2, True)
    on(trained, None)
    assert cli("reproduce", trained, *WORDS)[0] == 0


def test_a_limit_of_memory(trained: Path, cli: Cli) -> None:
    code, document, _ = cli("reproduce", trained, *WORDS, "--memory-limit", "700")
    assert (code, document["error"]["reason"]) == (3, "artifact-size")
    assert cli("reproduce", trained, *WORDS, "--memory-limit", "746")[0] == 0


def test_another_model_and_what_is_different(trained: Path, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    statement = json.loads(trained.read_bytes())
    statement["subject"][0]["digest"]["sha256"] = "ab" * 32
    statement["predicate"]["buildDefinition"]["internalParameters"]["environment"]["python"] = "CPython 2.7"
    trained.write_text(json.dumps(statement))
    code, document, _ = cli("reproduce", trained, *WORDS)
    assert (code, document["same"], document["attested"]) == (4, False, "ab" * 32)
    (difference,) = document["differences"]
    assert (difference["what"], difference["then"]) == ("python", "CPython 2.7")
    assert main(["reproduce", str(trained), *WORDS]) == 4
    said = capsys.readouterr().out
    assert "not reproduced: another model" in said
    assert "python: CPython 2.7, here" in said


def test_nothing_to_run_again(trained: Path, cli: Cli) -> None:
    Path("people.csv").write_text(ROWS + "30, F, high\n")
    code, _, said = cli("reproduce", trained, *WORDS)
    assert (code, "reproduce-dataset" in said) == (3, True)
    code, _, said = cli("reproduce", trained, "--config", "job.yaml", "--dataset", "people.csv")
    assert (code, "ROLE=PATH" in said) == (2, True)


PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = PROJECT["optional-dependencies"]


def test_measurers_are_listed_with_what_they_need(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{item}; extra == '{extra}'" for extra, items in REQUIRED.items() for item in items]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: lines)
    code, document, said = cli("measurers")
    assert code == 0, said
    listed = {(row["stage"], row["name"]) for row in document}
    assert {("dataset", "tabular-dataset/1"), ("evaluation", "tabular-evaluation/1")} <= listed
    assert {name for stage, name in listed if stage == "training"} == set(BUILT_IN.names("training"))
    assert {row["extra"] for row in document} <= set(REQUIRED)
    assert all(row["installed"] for row in document), "every measurer of ours is tested here"
    assert {name for _, name in listed} >= set(measurers.EXTRAS), "every name in the table is that of a measurer"

    def missing(name: str) -> importlib.metadata.Distribution:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.Distribution.from_name(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    rows = {row["name"]: row for row in cli("measurers")[1]}
    assert rows["tabular-dataset/1"]["installed"]
    assert (rows["tabular-mlp/1"]["installed"], rows["tabular-mlp/1"]["missing"]) == (False, ["torch"])
    assert rows["pgd/1"]["missing"] == ["torch"], "through the extras that an extra takes"
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: [])
    assert {tuple(row["missing"]) for row in cli("measurers")[1] if row["extra"] == "tabular"} == {
        ("lamslsa[tabular]",)
    }

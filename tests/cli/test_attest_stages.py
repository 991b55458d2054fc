"""``lamslsa attest`` for every stage: inputs by role and by name, outputs by name, dry runs, and what is never lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import InputPath
from lamslsa._cli.attest_results import Results, assign, write_all
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, read_run
from lamslsa.measure.interface import Output
from lamslsa.publish import evidence_statement
from lamslsa.testing.table import JOB, ROWS

Cli = Callable[..., tuple[int, Any, str]]
SILENT = ui.Output(as_json=False, quiet=True)
TWO = (
    JOB.replace("\nevaluation: {", "\nevaluations:\n  plain: {")
    + "  strict: {measurer: tabular-evaluation/1, dataset: train, rows: all, threshold: 0.9, confidenceLevel: 0.95,\n"
    + ("             resamples: 50, calibrationBins: 5, groups: [], slices: []}\n")
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(TWO)
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMON = ("--config", "job.yaml", "--tee", "simulated", "--quiet")


@pytest.fixture
def model(place: Path, cli: Cli) -> Path:
    code, document, said = cli(
        *("attest", "training", "--dataset", "train=people.csv", "--model-out", "model", "--out", "trained", *COMMON)
    )
    assert code == 0, said
    assert document["outputs"] == {"people-mlp": "model"}
    return place / "model"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("people.csv", (None, Path("people.csv"))),
        ("train=people.csv", ("train", Path("people.csv"))),
        ("train=a=b.csv", ("train", Path("a=b.csv"))),
        ("./a=b.csv", (None, Path("a=b.csv"))),
        ("../a=b.csv", (None, Path("../a=b.csv"))),
        ("/x/a=b.csv", (None, Path("/x/a=b.csv"))),
    ],
)
def test_a_path_with_or_without_its_role(text: str, expected: object) -> None:
    assert InputPath().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "=people.csv", "train="])
def test_no_path(text: str) -> None:
    with pytest.raises(click.BadParameter):
        InputPath().convert(text, None, None)


def test_all_evaluations_under_one_quote_or_the_one_that_is_named(model: Path, cli: Cli) -> None:
    words = ("attest", "evaluation", "model", "--dataset", "train=people.csv", *COMMON)
    code, document, said = cli(*words, "--out", "both")
    assert code == 0, said
    assert [item["name"] for item in document["statements"]] == ["01-evaluation", "02-evaluation"]
    evidence_statement(read_run(Path("both")))
    code, document, said = cli(*words, "--evaluation", "strict", "--out", "one")
    assert code == 0, said
    statements = read_run(Path("one")).statements
    assert [json.loads(item.payload)["predicate"]["configuration"]["threshold"] for item in statements] == [0.9]
    assert statements[0].payload == read_run(Path("both")).statements[1].payload


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--dataset", "people.csv", "--dataset", "train=people.csv"), 3, "measure-input"),
        (("--dataset", "people.csv", "--dataset", "dataset=people.csv"), 2, "twice"),
        (("--dataset", "people.csv", "--model", "baseline=model"), 3, "measure-input"),
        (("--model", "dataset=people.csv"), 2, "expected a dataset as 'dataset'"),
        (("--dataset", "other=people.csv"), 3, "measure-input"),
        ((), 3, "measure-input"),
        (("--model", "model"), 2, "--model ROLE=PATH"),
        (("--dataset", "people.csv", "--evaluation", "other"), 3, "job-evaluation"),
        (("--dataset", "people.csv", "--device", "cuda"), 6, "device-missing"),
        (("--dataset", "people.csv", "--private", "run/private"), 2, "one inside the other"),
    ],
)
def test_what_no_evaluation_reads_is_refused(
    place: Path, cli: Cli, more: tuple[str, ...], code: int, said: str
) -> None:
    import torch

    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("this machine has the device")
    Path("model").mkdir()
    done = cli("attest", "evaluation", "model", *more, *COMMON, "--out", "run")
    assert (done[0], said in done[2]) == (code, True), done[2]
    assert not Path("run").exists()


@pytest.mark.parametrize("stage", ["transform", "inference", "model"])
def test_a_stage_that_the_job_does_not_declare(place: Path, cli: Cli, stage: str) -> None:
    words = {
        "transform": ("--transform", "x", "--model", "parent=model", "--model-out", "child"),
        "inference": ("model", "--dataset", "people.csv"),
        "model": ("model",),
    }[stage]
    code, _, said = cli("attest", stage, *words, *COMMON, "--out", "run")
    assert (code, f"job-{stage}" in said) == (3, True), said


def test_an_output_needs_its_folder(place: Path, cli: Cli) -> None:
    words = ("attest", "training", "--dataset", "train=people.csv", *COMMON, "--out", "run")
    assert cli(*words)[0] == 2
    code, _, said = cli(*words, "--model-out", "run/model")
    assert (code, "one inside the other" in said) == (2, True)
    Path("there").mkdir()
    code, _, said = cli(*words, "--model-out", "there")
    assert (code, "output-exists" in said) == (3, True)


class TestDryRun:
    def test_it_says_what_would_be_done_and_does_nothing(self, place: Path, cli: Cli) -> None:
        before = set(place.rglob("*"))
        words = ("attest", "training", "--dataset", "train=people.csv", "--config", "job.yaml", "--dry-run")
        code, document, said = cli(*words)
        assert code == 0, said
        (read,) = document["inputs"]
        assert read["role"] == "train"
        assert (read["bytes"], read["files"], read["kind"]) == (len(ROWS), 1, "dataset")
        (measured,) = document["measurers"]
        assert measured["measurer"] == "tabular-mlp/1"
        assert measured["steps"]
        assert document["seconds"]["reading"] == len(ROWS) / 500_000_000
        assert set(place.rglob("*")) == before, "no run, no model, no platform"

    def test_in_words(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from lamslsa._cli.main import main

        words = ("attest", "dataset", "people.csv", "--name", "train", "--config", "job.yaml", "--dry-run")
        assert main([*words]) == 0
        said = capsys.readouterr().out
        assert "read dataset: people.csv, a dataset of 746 B in 1 file" in said
        assert "measure with tabular-dataset/1" in said
        assert "nothing was measured or written" in said

    def test_what_is_missing_is_told(self, place: Path, cli: Cli) -> None:
        words = ("attest", "training", "--config", "job.yaml", "--dry-run")
        code, _, said = cli(*words, "--dataset", "train=none.csv")
        assert (code, "artifact-missing" in said) == (3, True)
        code, _, said = cli(*words)
        assert (code, "measure-input" in said) == (3, True)

    def test_only_a_dry_run_does_without_a_folder(self, place: Path, cli: Cli) -> None:
        code, _, said = cli("attest", "dataset", "people.csv", "--name", "train", *COMMON)
        assert (code, "--out" in said) == (2, True)


def _run() -> Run:
    return Run(
        statements=(NamedPayload(name="01-x", payload=b"{}"),),
        nonce=Nonce.random(),
        evidence=Evidence(media_type="a/b", quote=b"q", collateral=None),
        quoted_at="2026-11-22T00:00:00Z",
    )


def _write(results: Results, outputs: dict[str | None, Path], out: Path, private: Path | None = None) -> None:
    write_all(results, outputs, out=out, private=private, facts={"tee": "x", "simulated": False}, output=SILENT)


class TestResults:
    def test_everything_is_written_and_private_files_are_private(self, tmp_path: Path) -> None:
        made = {name: Output.of("dataset", {"rows.csv": name.encode()}) for name in ("train", "test")}
        results = Results(
            run=_run(),
            outputs={name: item.write for name, item in made.items()},
            private={"openings.json": b"secret", "receipts.jsonl": b"r"},
        )
        outputs: dict[str | None, Path] = {"train": tmp_path / "a", "test": tmp_path / "b"}
        _write(results, outputs, tmp_path / "run", tmp_path / "private")
        assert (tmp_path / "a" / "rows.csv").read_bytes() == b"train"
        assert (tmp_path / "b" / "rows.csv").read_bytes() == b"test"
        modes = {
            path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
            for path in (tmp_path / "private", *(tmp_path / "private").rglob("*"))
        }
        assert modes == {
            "private": 0o700,
            "private/openings.json": 0o600,
            "private/receipts.jsonl": 0o600,
        }

    def test_private_files_are_never_lost(self, tmp_path: Path) -> None:
        _write(Results(run=_run(), outputs={}, private={"o": b"secret"}), {}, tmp_path / "run")
        assert (tmp_path / "run.private" / "o").read_bytes() == b"secret"
        assert not list((tmp_path / "run").rglob("o")), "not in what is published"

    def test_artifacts_of_other_names_are_never_lost(self, tmp_path: Path) -> None:
        made = {name: Output.of("model", {"w": name.encode()}).write for name in ("a", "b")}
        results = Results(run=_run(), outputs=made, private={})
        _write(results, {"typo": tmp_path / "typo", "a": tmp_path / "a"}, tmp_path / "run")
        found = {path.name: (path / "w").read_bytes() for path in tmp_path.glob("run.output-*")}
        assert found == {"run.output-0": b"a", "run.output-1": b"b"}

    @pytest.mark.parametrize("broken", ["output", "run"])
    def test_what_fails_half_way_leaves_nothing(
        self, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(folder: Path) -> None:
            raise OSError(28, "no space", str(folder))

        writes: dict[str, Any] = {"a": Output.of("model", {"w": b"a"}).write, "b": fail}
        if broken == "run":
            writes["b"] = lambda folder: (tmp_path / "run" / "x").mkdir(parents=True)
        outputs: dict[str | None, Path] = {"a": tmp_path / "a", "b": tmp_path / "b"}
        with pytest.raises((OSError, Exception)) as error:
            _write(Results(run=_run(), outputs=writes, private={"o": b"x"}), outputs, tmp_path / "run", tmp_path / "p")
        assert isinstance(error.value, OSError) or getattr(error.value, "reason", "") == "output-exists"
        assert {path.name for path in tmp_path.iterdir()} == ({"run"} if broken == "run" else set())

    def test_names_and_folders(self) -> None:
        only, named = Path("only"), Path("named")
        assert assign(["x"], {None: only}) == {"x": only}
        assert assign(["x", "y"], {None: only, "x": named}) == {"x": named, "y": only}
        assert assign([], {}) == {}
        wrong: list[tuple[list[str], dict[str | None, Path]]] = [
            (["x", "y"], {None: only}),
            (["x"], {"y": named}),
            (["x"], {"x": named, None: only}),
            ([], {None: only}),
            (["x"], {}),
        ]
        for made, outputs in wrong:
            with pytest.raises(click.UsageError):
                assign(made, outputs)


class TestForesight:
    """What would be found out after hours is refused at once, and nothing is measured."""

    @pytest.fixture(autouse=True)
    def measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_: object, **__: object) -> None:
            raise AssertionError("measured")

        monkeypatch.setattr("lamslsa._cli.attest_run.attest", never)

    @pytest.mark.parametrize(
        "more",
        [
            ("--output", "typo=model"),
            ("--model-out", "model", "--output", "people-mlp=other"),
            ("--output", "people-mlp=model", "--output", "more=other"),
        ],
    )
    def test_outputs_of_other_names(self, place: Path, cli: Cli, more: tuple[str, ...]) -> None:
        words = ("attest", "training", "--dataset", "train=people.csv", *COMMON, "--out", "run")
        code, _, said = cli(*words, *more)
        assert (code, "'people-mlp'" in said) == (2, True), said

    def test_private_files_without_a_folder(self, place: Path, cli: Cli) -> None:
        inference = (
            "inference: {measurer: inference/1, dataset: train, disclose: {inputs: true, outputs: true}, seed: null}"
        )
        withheld = TWO.replace("overlap: []}", "overlap: [], properties: {withhold: [duplicates]}}", 1)
        Path("job.yaml").write_text(f"{withheld}{inference}\n")
        Path("model").mkdir()
        for words in (("inference", "model", "--dataset", "people.csv"), ("dataset", "people.csv", "--name", "train")):
            code, _, said = cli("attest", *words, *COMMON, "--out", "run")
            assert (code, "expected --private DIR" in said) == (2, True), said

    def test_what_is_foreseen_is_measured(self, place: Path, cli: Cli) -> None:
        words = ("attest", "training", "--dataset", "train=people.csv", *COMMON, "--out", "run", "--model-out", "model")
        with pytest.raises(AssertionError, match="measured"):
            cli(*words)

    def test_a_dry_run_tells_it(self, place: Path, cli: Cli) -> None:
        words = ("attest", "training", "--dataset", "train=people.csv", "--config", "job.yaml", "--dry-run")
        (measured,) = cli(*words)[1]["measurers"]
        assert (measured["makes"], measured["private"]) == (["people-mlp"], False)
        assert 0 < measured["seconds"] < 10  # most of it to load PyTorch


SLOW = """
import sys, time
from pathlib import Path
import lamslsa.attest
def wait(payload):
    Path("started").write_text("")
    time.sleep(60)
lamslsa.attest.verify_descriptors = wait
from lamslsa._cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(place: Path, number: signal.Signals) -> None:
    words = (
        "attest",
        "training",
        "--dataset",
        "train=people.csv",
        "--model-out",
        "m",
        "--out",
        "run",
        "--private",
        "p",
    )
    before = {*place.iterdir(), place / "started", place / "platform"}
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words, *COMMON], env=os.environ, cwd=place)
    deadline = time.monotonic() + 60
    while not (place / "started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(20) == 130
    assert set(place.iterdir()) == before


def test_checkpoints_are_offered_where_a_key_seals_them(place: Path, cli: Cli) -> None:
    words = ("attest", "training", "--dataset", "train=people.csv", "--model-out", "m", *COMMON, "--out", "run")
    code, _, said = cli(*words, "--checkpoints", "kept")
    assert code == 0, said
    assert (place / "platform" / "sealing.key").stat().st_size == 32

"""The host's side: what comes back from an enclave is held against what was asked for, and nothing is left behind."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, statement
from lamslsa.artifact import hash_artifact
from lamslsa.enclave.build import build, sign
from lamslsa.enclave.files import Interpreter
from lamslsa.enclave.run import Finished, Request, Runner, run_job
from lamslsa.errors import FormatError, LamslsaError, PolicyError, UnavailableError, VerificationError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, write_run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.testing.simulated import SimulatedVendor

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
CHALLENGE = bytes(range(32))


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


@pytest.fixture
def built(gramine: Path, tiny: Interpreter, tmp_path: Path) -> Path:
    return build("measure", tmp_path / "build", interpreter=tiny).folder


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    data = tmp_path / "inputs" / "people.csv"
    data.parent.mkdir()
    data.write_text("1,2\n", encoding="utf-8")
    return Request(kind="dataset", config=b"config", inputs={"dataset": data}, name="people")


def make_run(
    vendor: SimulatedVendor,
    folder: Path,
    *,
    name: str = "01-dataset",
    subject: str = "00" * 32,
    second: str | None = None,
    nonce: Nonce | None = None,
) -> Path:
    payloads = [
        statement.make([statement.Subject(name="s", sha256=sha256)], "https://example.com/p/v1", {"a": 1})
        for sha256 in (subject, second)
        if sha256 is not None
    ]
    asked = nonce or Nonce.random()
    quote = vendor.quote(binding.report_data(asked.value, statements=list(map(_codec.sha256_hex, payloads))))
    names = [name, f"02-{name[3:]}"]
    run = Run(
        statements=tuple(NamedPayload(name=n, payload=p) for n, p in zip(names, payloads, strict=False)),
        nonce=asked,
        evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=None),
        quoted_at="2026-11-22T00:00:00Z",
    )
    write_run(run, folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


Go = Callable[..., Any]


@pytest.fixture
def go(built: Path, request_: Request, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Run a Python script, with its folder as working directory, in place of the enclave."""

    @contextmanager
    def going(script: str, *, runner: Runner = "gramine-direct", **kwargs: Any) -> Iterator[Finished]:
        monkeypatch.setenv("FAKE_GRAMINE_RUN", script)
        platform = None if runner == "gramine-sgx" else tmp_path / "platform"
        asked = kwargs.pop("asked", request_)
        with run_job(
            asked, build_dir=built, runner=runner, workspace=workspace, simulated_platform=platform, **kwargs
        ) as finished:
            yield finished
        assert not list(workspace.iterdir()), "nothing is left behind"

    return going


MODEL = {"outputs": [{"name": "mine", "kind": "model"}], "private": []}


def copy(*pairs: tuple[Path, str], index: Any = None) -> str:
    """A script that puts folders where an enclave would, with a list of what was made."""
    text = json.dumps(index or {"outputs": [], "private": []})
    lines = [f"shutil.copytree({str(a)!r}, {b!r}, symlinks=True)" for a, b in pairs]
    return "\n".join(["import shutil", f"open('out/made.json', 'w').write({text!r})", *lines])


def refused(go: Go, script: str, error: type[LamslsaError], reason: str, **kwargs: Any) -> LamslsaError:
    with pytest.raises(error) as caught, go(script, **kwargs):
        pass
    assert caught.value.reason == reason
    return caught.value


def test_a_run_comes_back(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    said: list[str] = []
    script = "print('hello \\x1b[31m' + 'x' * 1000)\n" + copy((make_run(vendor, tmp_path / "made"), "out/run"))
    with go(script, say=said.append) as finished:
        assert [item.name for item in finished.run.statements] == ["01-dataset"]
        assert (finished.outputs, finished.private) == ({}, {})
    assert said[0].startswith("hello ")
    assert len(said) == 3
    assert max(map(len, said)) <= 400


def test_what_the_enclave_gets(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    script = (
        "import json, os, stat\n"
        "assert stat.S_IMODE(os.stat('.').st_mode) == 0o700\n"
        "assert sorted(os.listdir('.')) == ['data', 'job', 'out'], os.listdir('.')\n"
        "assert os.listdir('out') == ['spool']\n"
        "job = json.load(open('job/job.json'))\n"
        "assert job == {'kind': 'dataset', 'tee': 'simulated', 'name': 'people', 'inputs': {'dataset': 'people.csv',\n"
        "  'x/y': 'people.csv'}, 'nonce': None, 'beacon': True, 'gpu': False, 'device': 'cpu', 'checkpoints': True,\n"
        "  'memoryLimit': 700, 'spool': True, 'arguments': [], 'plan': None}, job\n"
        "assert open('job/config.yaml').read() == 'config'\n"
        "assert open('job/beacon', 'rb').read() == b'log\\n1\\n'\n"
        "assert open('data/inputs/0/people.csv').read() == open('data/inputs/1/people.csv').read() == '1,2\\n'\n"
        "open('data/checkpoints/work', 'w').write('sealed')\n"
        "open('out/spool/x', 'w').write('in the folder that was named')\n"
        "assert {'root.key', 'sealing.key'} <= set(os.listdir('job/platform'))\n"
    )
    made = make_run(vendor, tmp_path / "made", nonce=Nonce.of_beacon(b"log\n1\n"))
    asked = Request(
        kind="dataset",
        config=b"config",
        inputs={**request_.inputs, "x/y": request_.inputs["dataset"]},
        name="people",
        beacon=b"log\n1\n",
        checkpoints=tmp_path / "kept" / "here",
        memory_limit=700,
        spool=tmp_path / "disk",
    )
    (tmp_path / "disk").mkdir()
    with go(script + copy((made, "out/run")), asked=asked) as finished:
        assert finished.run.nonce.beacon is not None
    assert (tmp_path / "kept" / "here" / "work").read_text() == "sealed"
    assert (tmp_path / "disk" / "x").read_text() == "in the folder that was named"


def test_a_spool_is_a_link_and_other_links_are_refused(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request
) -> None:
    (tmp_path / "disk").mkdir()
    asked = replace(request_, spool=tmp_path / "disk")
    script = "import os\nos.symlink('/etc', 'out/other')\n" + copy((make_run(vendor, tmp_path / "made"), "out/run"))
    refused(go, script, VerificationError, "enclave-output-link", asked=asked)


def test_sgx_gets_no_simulated_platform(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, built: Path, key: Path
) -> None:
    sign(built, key)
    script = (
        "import json, os\nassert json.load(open('job/job.json'))['tee'] == 'sgx'\n"
        "assert sorted(os.listdir('job')) == ['config.yaml', 'job.json']\n"
    )
    with go(script + copy((make_run(vendor, tmp_path / "made"), "out/run")), runner="gramine-sgx") as finished:
        assert finished.run.statements


def test_a_build_that_is_not_signed_or_not_ours_is_not_run(go: Go, built: Path, key: Path) -> None:
    refused(go, "", FormatError, "enclave-build", runner="gramine-sgx")
    sign(built, key)
    final = built / "measure.manifest.sgx"
    final.write_bytes(final.read_bytes().replace(b"debug = false", b"debug = true"))
    refused(go, "raise SystemExit('was run')", FormatError, "enclave-manifest-value", runner="gramine-sgx")


def test_the_platform_goes_with_the_runner(built: Path, request_: Request, tmp_path: Path) -> None:
    for runner, platform in (("gramine-sgx", tmp_path), ("gramine-direct", None)):
        with (
            pytest.raises(ValueError, match="simulated platform"),
            run_job(request_, build_dir=built, runner=runner, simulated_platform=platform),  # type: ignore[arg-type]
        ):
            pass


def test_without_gramine(go: Go, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(go, "", UnavailableError, "enclave-program")


@pytest.mark.parametrize("error", [FormatError, VerificationError, PolicyError, UnavailableError])
def test_the_error_of_the_enclave_is_ours(go: Go, error: type[LamslsaError]) -> None:
    document = {"class": error.__name__, "reason": "some-reason", "message": "expected x", "hint": "do y"}
    script = f"open('out/error.json', 'w').write({json.dumps(document)!r})\nraise SystemExit({error.exit_code})"
    told = refused(go, script, error, "some-reason")
    assert (str(told), told.hint) == ("expected x", "do y")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        '{"class": "KeyError", "reason": "a", "message": "m", "hint": null}',
        '{"class": "FormatError", "reason": "A b\\n", "message": "m", "hint": null}',
        '{"class": "FormatError", "reason": "a", "message": 1, "hint": null}',
        '{"class": "FormatError", "reason": "a", "message": "m", "hint": 1}',
        '{"class": "FormatError", "reason": "a"}',
        '{"class": "FormatError", "reason": "a", "hint": null, "message": "' + "m" * 70000 + '"}',
    ],
    ids=lambda text: text[:50],
)
def test_a_failure_that_is_not_explained_is_a_failure(go: Go, document: str) -> None:
    script = f"open('out/error.json', 'w').write({document!r})\nraise SystemExit(3)"
    told = refused(go, script, UnavailableError, "enclave-failed")
    assert "exit code 3" in str(told)


def test_a_failure_without_a_word(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    refused(go, "raise SystemExit(9)", UnavailableError, "enclave-failed")
    script = copy((make_run(vendor, tmp_path / "made"), "out/run")) + "\nraise SystemExit(1)"
    refused(go, script, UnavailableError, "enclave-failed")


def test_an_error_that_nobody_can_read_is_a_failure(go: Go) -> None:
    for leave in (
        "os.mkfifo('out/error.json')",
        "os.mkdir('out/error.json')",
        "os.symlink('/dev/zero', 'out/error.json')",
    ):
        refused(go, f"import os\n{leave}\nraise SystemExit(3)", UnavailableError, "enclave-failed", timeout_s=60)


@pytest.mark.parametrize("file", ["evidence.json", "quote.bin", "01-dataset.json"])
def test_a_pipe_in_a_run_is_refused(go: Go, vendor: SimulatedVendor, tmp_path: Path, file: str) -> None:
    made = make_run(vendor, tmp_path / "made")
    script = f"{copy((made, 'out/run'))}\nimport os\nos.remove('out/run/{file}')\nos.mkfifo('out/run/{file}')"
    refused(go, script, FormatError, "run-file", timeout_s=60)


def test_no_run(go: Go) -> None:
    refused(go, "pass", FormatError, "run-file")


@pytest.mark.parametrize(
    ("file", "data", "error", "reason"),
    [
        ("evidence.json", b"{}", FormatError, "run-index"),
        ("quote.bin", b"no quote", FormatError, None),
        ("quote.bin", b"\0" * 70000, FormatError, "run-file"),
        ("01-dataset.json", b"{}", VerificationError, "evidence-binding"),
    ],
)
def test_a_corrupt_run_is_refused(
    go: Go,
    vendor: SimulatedVendor,
    tmp_path: Path,
    file: str,
    data: bytes,
    error: type[LamslsaError],
    reason: str | None,
) -> None:
    made = make_run(vendor, tmp_path / "made")
    (made / file).write_bytes(data)
    with pytest.raises(error) as caught, go(copy((made, "out/run"))):
        pass
    assert reason is None or caught.value.reason == reason


def test_links_are_refused(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    made = make_run(vendor, tmp_path / "made")
    (tmp_path / "secret").write_bytes((made / "quote.bin").read_bytes())
    (made / "quote.bin").unlink()
    (made / "quote.bin").symlink_to(tmp_path / "secret")
    refused(go, copy((made, "out/run")), VerificationError, "enclave-output-link")
    refused(go, copy() + f"\nimport os\nos.symlink({str(made)!r}, 'out/run')", VerificationError, "enclave-output-link")
    elsewhere = str(tmp_path / "elsewhere")
    away = f"import shutil, os\nshutil.move('out', {elsewhere!r})\nos.symlink({elsewhere!r}, 'out')"
    honest = copy((make_run(vendor, tmp_path / "again"), "out/run"))
    refused(go, f"{honest}\n{away}", VerificationError, "enclave-output-link")


def test_the_plan_of_an_evaluation_reaches_the_enclave(go: Go, request_: Request) -> None:
    asked = replace(request_, kind="evaluation", name=None, plan="e" * 64)
    script = (
        "import json; error = {'class': 'FormatError', 'reason': 'echo', 'hint': None}\n"
        "error['message'] = json.load(open('job/job.json'))['plan']\n"
        "open('out/error.json', 'w').write(json.dumps(error)); raise SystemExit(3)"
    )
    assert str(refused(go, script, FormatError, "echo", asked=asked)) == "e" * 64
    refused(go, script, FormatError, "enclave-job", asked=replace(asked, plan="plan.json"))


def test_another_statement_is_refused(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    made = make_run(vendor, tmp_path / "made", name="01-evaluation")
    refused(go, copy((made, "out/run")), VerificationError, "enclave-output-statement")


@pytest.mark.parametrize("asked", [{"challenge": CHALLENGE}, {"beacon": b"log\n1\n"}])
def test_another_nonce_is_refused(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request, asked: dict[str, bytes]
) -> None:
    wanted = Request(kind="dataset", config=b"", inputs=request_.inputs, name="people", **asked)  # type: ignore[arg-type]
    made = make_run(vendor, tmp_path / "made")
    refused(go, copy((made, "out/run")), VerificationError, "enclave-output-nonce", asked=wanted)


def test_the_nonce_that_was_asked_for(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    wanted = Request(kind="dataset", config=b"", inputs=request_.inputs, name="people", challenge=CHALLENGE)
    made = make_run(vendor, tmp_path / "made", nonce=Nonce.of_challenge(CHALLENGE))
    with go(copy((made, "out/run")), asked=wanted) as finished:
        assert finished.run.nonce.value == CHALLENGE
    short = Request(kind="dataset", config=b"", inputs=request_.inputs, name="people", challenge=b"short")
    refused(go, "", FormatError, "evidence-nonce", asked=short)


def training(vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> tuple[Request, Path, Path]:
    model = tmp_path / "trained"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "w.safetensors").write_bytes(b"weights")
    digest = hash_artifact(model, "model").sha256
    asked = Request(kind="training", config=b"", inputs=request_.inputs)
    return asked, model, make_run(vendor, tmp_path / "made", name="01-provenance", subject=digest)


def test_a_model_comes_back(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    asked, model, made = training(vendor, tmp_path, request_)
    with go(copy((made, "out/run"), (model, "out/outputs/0"), index=MODEL), asked=asked) as finished:
        assert set(finished.outputs) == {"mine"}
        finished.write_output("mine", tmp_path / "results" / "model")
        with pytest.raises(FormatError) as error:
            finished.write_output("mine", tmp_path / "results" / "model")
        assert error.value.reason == "output-exists"
    assert (tmp_path / "results" / "model" / "deep" / "w.safetensors").read_bytes() == b"weights"


def test_a_model_on_another_file_system(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, model, made = training(vendor, tmp_path, request_)
    target = tmp_path / "model"
    rename = Path.rename

    def across(self: Path, to: Path) -> Path:
        if self.name == "0":
            raise OSError(18, "Invalid cross-device link")
        return rename(self, to)

    with go(copy((made, "out/run"), (model, "out/outputs/0"), index=MODEL), asked=asked) as finished:
        monkeypatch.setattr(Path, "rename", across)
        finished.write_output("mine", target)
    assert (target / "deep" / "w.safetensors").read_bytes() == b"weights"


def test_another_model_is_refused(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    asked, model, made = training(vendor, tmp_path, request_)

    run, output = (made, "out/run"), (model, "out/outputs/0")

    def refuse(*pairs: tuple[Path, str], index: Any = MODEL) -> None:
        refused(go, copy(*pairs, index=index), VerificationError, "enclave-output-made", asked=asked)

    refuse(run)
    refuse(run, index=None)
    refuse(run, output, index=None)
    refuse(run, output, (model, "out/outputs/1"))
    refuse(run, (model, "out/outputs/more"), output)
    refuse(run, output, index={"outputs": [{"name": "mine", "kind": "dataset"}], "private": []})
    (model / ".git").mkdir()
    refuse(run, output)
    (model / ".git").rmdir()
    (model / "more").write_bytes(b"")
    refuse(run, output)
    (model / "more").unlink()
    script = copy(run, output, index=MODEL) + "\nimport os\nos.mkfifo('out/outputs/0/pipe')"
    refused(go, script, FormatError, "artifact-special", asked=asked)
    plain = make_run(vendor, tmp_path / "plain")
    refused(go, copy((plain, "out/run"), output, index=MODEL), VerificationError, "enclave-output-made")


def test_several_artifacts_each_have_their_statement(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request
) -> None:
    folders = [tmp_path / "train", tmp_path / "test"]
    for folder in folders:
        folder.mkdir()
        (folder / "rows.csv").write_text(folder.name, encoding="ascii")
    digests = [hash_artifact(folder, "dataset").sha256 for folder in folders]
    index = {"outputs": [{"name": "a/b", "kind": "dataset"}, {"name": "test", "kind": "dataset"}], "private": []}
    asked = Request(kind="transform", config=b"", inputs=request_.inputs, name="split")
    pairs = [(folder, f"out/outputs/{place}") for place, folder in enumerate(folders)]
    both = make_run(vendor, tmp_path / "both", name="01-provenance", subject=digests[0], second=digests[1])
    with go(copy((both, "out/run"), *pairs, index=index), asked=asked) as finished:
        assert list(finished.outputs) == ["a/b", "test"]
        finished.write_output("test", tmp_path / "mine")
    assert (tmp_path / "mine" / "rows.csv").read_text() == "test"
    one = make_run(vendor, tmp_path / "one", name="01-provenance", subject=digests[0])
    script = copy((one, "out/run"), *pairs, index=index)
    refused(go, script, VerificationError, "enclave-output-made", asked=asked)


def test_private_files_come_back(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    index = {"outputs": [], "private": ["openings.json", "receipts.jsonl"]}
    leave = "\nimport os\nos.mkdir('out/private')\nopen('out/private/0', 'w').write('a')\nopen('out/private/1', 'w')"
    with go(copy((make_run(vendor, tmp_path / "made"), "out/run"), index=index) + leave) as finished:
        assert finished.private == {"openings.json": b"a", "receipts.jsonl": b""}


@pytest.mark.parametrize(
    "index",
    [
        [],
        {"outputs": []},
        {"outputs": [], "private": [], "more": 1},
        {"outputs": [{"name": "a", "kind": "file"}], "private": []},
        {"outputs": [{"name": "a"}], "private": []},
        {"outputs": [1], "private": []},
        {"outputs": [{"name": "a", "kind": "model"}] * 2, "private": []},
        {"outputs": [{"name": "\u001b", "kind": "model"}], "private": []},
        {"outputs": [], "private": ["../a"]},
        {"outputs": [], "private": ["a/b"]},
        {"outputs": [], "private": [".."]},
        {"outputs": [], "private": [1]},
        {"outputs": [], "private": ["a", "a"]},
        {"outputs": [], "private": ["missing"]},
        {"outputs": [], "private": [f"f{n}" for n in range(65)]},
    ],
    ids=lambda index: json.dumps(index)[:60],
)
def test_a_list_of_what_was_made_that_is_none(go: Go, vendor: SimulatedVendor, tmp_path: Path, index: Any) -> None:
    made = make_run(vendor, tmp_path / "made")
    script = copy((made, "out/run")) + f"\nopen('out/made.json', 'w').write({json.dumps(index)!r})"
    refused(go, script, FormatError, "enclave-made")


def test_no_list_of_what_was_made(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    made = make_run(vendor, tmp_path / "made")
    script = copy((made, "out/run")) + "\nimport os\nos.remove('out/made.json')"
    refused(go, script, FormatError, "enclave-made")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"inputs": {}}, "enclave-job"),
        ({"inputs": {"dataset": Path("/nonexistent/a.csv")}}, "artifact-missing"),
        ({"name": None}, "enclave-job"),
        ({"challenge": bytes(16), "beacon": b"x"}, "enclave-job"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_first(
    go: Go, request_: Request, change: dict[str, Any], reason: str
) -> None:
    fields = {"kind": "dataset", "config": b"", "inputs": request_.inputs, "name": "people"} | change
    refused(go, "raise SystemExit('was run')", FormatError, reason, asked=Request(**fields))


def test_names_are_those_that_an_input_has_everywhere(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request
) -> None:
    (tmp_path / "real-model").mkdir()
    (tmp_path / "link").symlink_to("real-model")
    (tmp_path / "alias.csv").symlink_to(request_.inputs["dataset"])
    asked = Request(
        kind="evaluation", config=b"", inputs={"model": tmp_path / "link", "dataset": tmp_path / "alias.csv"}
    )
    script = (
        "import json\nassert json.load(open('job/job.json'))['inputs'] =="
        " {'model': 'real-model', 'dataset': 'alias.csv'}\nassert open('data/inputs/0/alias.csv').read() == '1,2\\n'\n"
    )
    made = make_run(vendor, tmp_path / "made", name="01-evaluation")
    with go(script + copy((made, "out/run")), asked=asked):
        pass


SLEEP = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open({path!r} + '.partial', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
    "os.rename({path!r} + '.partial', {path!r})\n"
)


def _gone(pids: Path) -> None:
    deadline = time.monotonic() + 20
    for pid in map(int, pids.read_text(encoding="utf-8").split()):
        while _runs(pid):
            assert time.monotonic() < deadline, f"process {pid} was left behind"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_timeout_ends_all_of_it(go: Go, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = SLEEP.format(path=str(pids)) + "time.sleep(600)"
    refused(go, script, UnavailableError, "enclave-timeout", timeout_s=3)
    _gone(pids)


def test_what_it_leaves_running_is_ended(go: Go, vendor: SimulatedVendor, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with go(SLEEP.format(path=str(pids)) + copy((make_run(vendor, tmp_path / "made"), "out/run"))):
        _gone(pids)


def test_an_interruption_ends_all_of_it(go: Go, tmp_path: Path, workspace: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt() -> None:
        while not pids.exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), go(SLEEP.format(path=str(pids)) + "time.sleep(600)"):
        pass
    _gone(pids)
    assert not list(workspace.iterdir())

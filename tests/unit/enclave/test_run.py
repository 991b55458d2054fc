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
    nonce: Nonce | None = None,
) -> Path:
    payload = statement.make([statement.Subject(name="s", sha256=subject)], "https://example.com/p/v1", {"a": 1})
    asked = nonce or Nonce.random()
    quote = vendor.quote(binding.report_data(asked.value, statements=[_codec.sha256_hex(payload)]))
    run = Run(
        statements=(NamedPayload(name=name, payload=payload),),
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


def copy(*pairs: tuple[Path, str]) -> str:
    """A script that puts folders where an enclave would."""
    return "import shutil\n" + "\n".join(f"shutil.copytree({str(a)!r}, {b!r}, symlinks=True)" for a, b in pairs)


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
        assert finished.model is None
        with pytest.raises(ValueError, match="training"):
            finished.write_model(tmp_path / "model")
    assert said[0].startswith("hello ")
    assert len(said) == 3
    assert max(map(len, said)) <= 400


def test_what_the_enclave_gets(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    script = (
        "import json, os, stat\n"
        "assert stat.S_IMODE(os.stat('.').st_mode) == 0o700\n"
        "assert sorted(os.listdir('.')) == ['data', 'job', 'out'], os.listdir('.')\n"
        "assert not os.listdir('out')\n"
        "job = json.load(open('job/job.json'))\n"
        "assert job == {'kind': 'dataset', 'tee': 'simulated', 'name': 'people', 'inputs': {'dataset': 'people.csv'},\n"
        "  'others': {'x/y': 'people.csv'}, 'nonce': None, 'beacon': True, 'gpu': False}, job\n"
        "assert open('job/config.yaml').read() == 'config'\n"
        "assert open('job/beacon', 'rb').read() == b'log\\n1\\n'\n"
        "assert open('data/dataset/people.csv').read() == open('data/others/0/people.csv').read() == '1,2\\n'\n"
        "assert 'root.key' in os.listdir('job/platform')\n"
    )
    made = make_run(vendor, tmp_path / "made", nonce=Nonce.of_beacon(b"log\n1\n"))
    asked = Request(
        kind="dataset",
        config=b"config",
        inputs=request_.inputs,
        name="people",
        others={"x/y": request_.inputs["dataset"]},
        beacon=b"log\n1\n",
    )
    with go(script + copy((made, "out/run")), asked=asked) as finished:
        assert finished.run.nonce.beacon is not None


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
    refused(go, f"import os\nos.symlink({str(made)!r}, 'out/run')", VerificationError, "enclave-output-link")


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
    with go(copy((made, "out/run"), (model, "out/model")), asked=asked) as finished:
        finished.write_model(tmp_path / "results" / "model")
        with pytest.raises(FormatError) as error:
            finished.write_model(tmp_path / "results" / "model")
        assert error.value.reason == "output-exists"
    assert (tmp_path / "results" / "model" / "deep" / "w.safetensors").read_bytes() == b"weights"


def test_a_model_on_another_file_system(
    go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, model, made = training(vendor, tmp_path, request_)
    target = tmp_path / "model"
    rename = Path.rename

    def across(self: Path, to: Path) -> Path:
        if self.name == "model":
            raise OSError(18, "Invalid cross-device link")
        return rename(self, to)

    with go(copy((made, "out/run"), (model, "out/model")), asked=asked) as finished:
        monkeypatch.setattr(Path, "rename", across)
        finished.write_model(target)
    assert (target / "deep" / "w.safetensors").read_bytes() == b"weights"


def test_another_model_is_refused(go: Go, vendor: SimulatedVendor, tmp_path: Path, request_: Request) -> None:
    asked, model, made = training(vendor, tmp_path, request_)

    def refuse(*pairs: tuple[Path, str]) -> None:
        refused(go, copy(*pairs), VerificationError, "enclave-output-model", asked=asked)

    refuse((made, "out/run"))
    (model / ".git").mkdir()
    refuse((made, "out/run"), (model, "out/model"))
    (model / ".git").rmdir()
    (model / "more").write_bytes(b"")
    refuse((made, "out/run"), (model, "out/model"))
    (model / "more").unlink()
    script = copy((made, "out/run"), (model, "out/model")) + "\nimport os\nos.mkfifo('out/model/pipe')"
    refused(go, script, FormatError, "artifact-special", asked=asked)
    plain = make_run(vendor, tmp_path / "plain")
    refused(go, copy((plain, "out/run"), (model, "out/model")), VerificationError, "enclave-output-model")


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
        " {'model': 'real-model', 'dataset': 'alias.csv'}\nassert open('data/dataset/alias.csv').read() == '1,2\\n'\n"
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

"""A user's own loop: it gets verified bytes, its model is what it leaves, and the statement says what was executed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, own
from lamslsa.artifact import read_verified
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.artifact.package import package_manifest
from lamslsa.errors import FormatError
from lamslsa.measure import Context, environment
from lamslsa.measure.interface import Given, Outcome
from lamslsa.measure.training import own_run
from lamslsa.measure.training.own import load_own_training
from lamslsa.measure.training.own_run import read_model
from lamslsa.measure.training.own_watch import Watch, watching

JOB = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: theirs}
models: {}
configuration: {rate: 0.5, layers: [1, 2]}
"""
COPY = (
    "from pathlib import Path\nfrom lamslsa import own\n"
    "(own.model_dir() / 'w').write_bytes(Path(own.inputs()['train']).read_bytes() * 2)\n"
)


def train(tmp_path: Path, source: str, *arguments: str, more: dict[str, str] | None = None, job: str = JOB) -> Outcome:
    code = tmp_path / "code"
    code.mkdir(exist_ok=True)
    for name, text in {"train.py": source, **(more or {})}.items():
        (code / name).write_text(text, encoding="utf-8")
    data = tmp_path / "data.csv"
    data.write_bytes(b"1,2\n")
    plan = load_own_training(job.encode(), source="job.yaml", code=code, arguments=arguments)
    with read_verified(data, "dataset") as artifact:
        return plan.measure({"train": Given(artifact=artifact, name="theirs")}, Context())


def provenance(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(outcome.statements[0].data)["predicate"]
    return document


def byproduct(outcome: Outcome, name: str) -> Any:
    (found,) = [item for item in provenance(outcome)["runDetails"]["byproducts"] if item["name"] == name]
    return json.loads(_codec.decode_base64(found["content"], what=name))


def test_a_job() -> None:
    job = load_own_training(JOB.encode(), source="job.yaml")
    assert (job.model, job.datasets, job.models) == ("mine", {"train": "theirs"}, {})
    assert dict(job.configuration) == {"rate": 0.5, "layers": [1, 2]}
    assert [(item.role, item.kind, item.name) for item in job.inputs] == [("train", "dataset", "theirs")]
    assert job.makes == ("mine",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("v1", "v2", "yaml-choice"),
        ("OwnTraining", "Job", "yaml-choice"),
        ("model: mine\n", "", "yaml-missing-key"),
        ("models: {}", "models: {}\nmore: 1", "yaml-unknown-key"),
        ("models: {}", "models: {train: base}", "job-roles"),
        ("{train: theirs}", "{}", "job-roles"),
        ("{rate: 0.5, layers: [1, 2]}", "{arguments: 1}", "job-roles"),
        ("{rate: 0.5, layers: [1, 2]}", "[]", "yaml-type"),
        ("mine", '"' + "x" * 129 + '"', "job-name"),
        ("theirs", '"a\\tb"', "job-name"),
        ("{train: theirs}", "{" + "x" * 129 + ": theirs}", "job-name"),
    ],
)
def test_another_job_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as error:
        load_own_training(JOB.replace(old, new, 1).encode(), source="job.yaml")
    assert error.value.reason == reason


def test_the_statement_says_what_was_run(tmp_path: Path) -> None:
    source = COPY + "import sys\nimport parts\nassert sys.argv[1:] == ['--epochs', '3'], sys.argv\n"
    outcome = train(tmp_path, source, "--epochs", "3", more={"parts.py": "SIZE = 3\n"})
    (trained,) = outcome.outputs.values()
    assert trained.files == {"w": b"1,2\n1,2\n"}
    definition = provenance(outcome)["buildDefinition"]
    assert definition["buildType"] == "https://lamslsa.dev/own-training/v1"
    external = definition["externalParameters"]
    assert external["trainer"] == {"name": "own", "version": "2"}
    assert external["configuration"] == {"rate": 0.5, "layers": [1, 2], "arguments": ["--epochs", "3"]}
    (code,) = [item for item in definition["resolvedDependencies"] if item["annotations"].get("ownCode")]
    assert code["annotations"] == {"kind": "code", "ownCode": True}
    assert code["digest"]["sha256"] == package_manifest(tmp_path / "code").sha256
    (data,) = [item for item in definition["resolvedDependencies"] if item["annotations"]["kind"] == "dataset"]
    assert data["annotations"] == {"kind": "dataset", "role": "train"}
    modules = dict(byproduct(outcome, "modules"))
    assert modules["code/train.py"] == hashlib.sha256(source.encode()).hexdigest()
    assert modules["code/parts.py"] == hashlib.sha256(b"SIZE = 3\n").hexdigest()
    assert modules["python/json/__init__.py"] == hashlib.sha256(Path(json.__file__).read_bytes()).hexdigest()
    names = {item["name"] for item in definition["resolvedDependencies"] if item["annotations"]["kind"] == "package"}
    assert {"msgspec", "cryptography"} <= names


def test_other_code_is_another_statement_and_the_same_code_the_same(tmp_path: Path) -> None:
    first = train(tmp_path, COPY)
    again = train(tmp_path, COPY)
    other = train(tmp_path, COPY + "\n")
    assert first.statements[0].data == again.statements[0].data
    assert first.outputs["mine"].manifest == other.outputs["mine"].manifest
    assert first.statements[0].data != other.statements[0].data


def test_code_in_no_file_and_code_from_elsewhere_is_told(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text("X = 1\n")
    lines = f"exec('X = 2')\nimport runpy\nrunpy.run_path({str(elsewhere)!r})\n"
    modules = byproduct(train(tmp_path, COPY + lines), "modules")
    assert ["<dynamic>", hashlib.sha256(b"X = 2").hexdigest()] in modules
    assert [str(elsewhere), hashlib.sha256(b"X = 1\n").hexdigest()] in modules


def test_batches_are_a_chain(tmp_path: Path) -> None:
    label = b"https://lamslsa.dev/own-training/batch/v1\n"
    chain = bytes(32)
    for data in (b"one", b"two"):
        chain = hashlib.sha256(label + chain + hashlib.sha256(data).digest()).digest()
    found = byproduct(train(tmp_path, COPY + "own.batch(b'one')\nown.batch(memoryview(b'two'))\n"), "batches")
    assert found == {"count": 2, "chain": chain.hex()}
    assert byproduct(train(tmp_path, COPY), "batches") == {"count": 0, "chain": "00" * 32}


def test_nothing_of_the_host_reaches_it_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = sys.argv, list(sys.path), dict(os.environ)
    lines = (
        "import os, sys, parts\nassert 'SECRET_OF_THE_HOST' not in os.environ\n"
        "assert os.environ['OMP_NUM_THREADS'] == '1'\nassert __name__ == '__main__'\n"
        "os.environ['LEFT'] = 'x'\nsys.path.append('left')\n"
    )
    train(tmp_path, COPY + lines, more={"parts.py": "VALUE = 1\n"})
    assert (sys.argv, sys.path, dict(os.environ)) == before
    assert "parts" not in sys.modules, "the next code has a module of that name too"
    with pytest.raises(RuntimeError):
        own.inputs()


@pytest.mark.parametrize(
    "lines",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "import socket\nsocket.getaddrinfo('localhost', 80)",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])",
        "import os\nos.system('true')",
        "import os\nos.execv('/bin/true', ['true'])",
        "import os\nos.posix_spawn('/bin/true', ['true'], {})",
        "import os\nif os.fork() == 0:\n    os._exit(0)",
        "import pty, os\nif pty.fork()[0] == 0:\n    os._exit(0)",
        "import multiprocessing\nmultiprocessing.get_context('fork').Process(target=print).start()",
        "import socket\nwith socket.socket(2, 2) as s:\n    s.sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
    ],
)
def test_connections_and_other_processes_are_refused(tmp_path: Path, lines: str) -> None:
    with pytest.raises(FormatError) as error:
        train(tmp_path, COPY + lines)
    assert error.value.reason == "own-training-failed"
    assert "stay in its process" in str(error.value)
    subprocess.run([sys.executable, "-c", ""], check=True)  # the hook refuses nobody else


@pytest.mark.parametrize(
    "source",
    [
        "raise OSError('x')",
        "def train(",
        "import sys\nsys.exit(1)",
        "import sys\nsys.exit('no')",
        "from lamslsa import nothing",
    ],
)
def test_code_that_fails(tmp_path: Path, source: str) -> None:
    with pytest.raises(FormatError) as error:
        train(tmp_path, source)
    assert error.value.reason == "own-training-failed"


def test_what_it_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, COPY + "print('epoch 1')\n")
    said = capsys.readouterr()
    assert ("epoch 1" in said.out, "epoch 1" in said.err) == (False, True)


def test_ending_well_in_so_many_words_is_no_failure(tmp_path: Path) -> None:
    assert train(tmp_path, COPY + "import sys\nsys.exit(0)\n").outputs


@pytest.mark.parametrize(
    "source",
    [
        "",
        "from lamslsa import own\n(own.model_dir() / 'w').symlink_to('/etc/passwd')",
        "from lamslsa import own\n(own.model_dir() / 'w').symlink_to('.')",
        "import os\nfrom lamslsa import own\nos.mkfifo(own.model_dir() / 'w')",
    ],
)
def test_code_that_leaves_no_model(tmp_path: Path, source: str) -> None:
    with pytest.raises(FormatError) as error:
        train(tmp_path, source)
    assert error.value.reason == "own-training-result"


def test_a_model_of_several_files(tmp_path: Path) -> None:
    source = "from lamslsa import own\nd = own.model_dir()\n(d / 'a').mkdir()\n(d / 'a' / 'w').write_text('1')\n"
    assert train(tmp_path, source + "(d / 'b').write_text('2')").outputs["mine"].files == {"a/w": b"1", "b": b"2"}


def test_code_that_changes_itself_is_refused(tmp_path: Path) -> None:
    source = COPY + "Path(__file__).write_text('#')\n"
    with pytest.raises(FormatError) as error:
        train(tmp_path, source)
    assert error.value.reason == "own-training-code"


def test_without_code(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        load_own_training(JOB.encode(), source="job.yaml", code=tmp_path)
    assert error.value.reason == "own-training-code"
    with pytest.raises(FormatError) as error:
        load_own_training(JOB.encode(), source="job.yaml").measure({}, Context())
    assert error.value.reason == "own-training-code"


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w").write_bytes(b"12345")
    monkeypatch.setattr(own_run, "_MAX_MODEL_BYTES", 4)
    with pytest.raises(FormatError) as error:
        read_model(tmp_path)
    assert error.value.reason == "own-training-result"
    watch = Watch()
    watch.dynamic = {f"{n:064x}" for n in range(20_001)}
    with pytest.raises(FormatError) as error:
        watch.modules(tmp_path)
    assert error.value.reason == "own-training-modules"


def test_watching_ends(tmp_path: Path) -> None:
    with watching() as watch:
        exec("A = 1")
    seen = set(watch.dynamic)
    assert seen
    exec("B = 2")
    assert watch.dynamic == seen


def test_inputs_of_several_files(tmp_path: Path) -> None:
    data = own.Data(files={"a": "/x/a", "b": "/x/b"})
    with pytest.raises(ValueError, match="2"):
        _ = data.path
    assert os.fspath(own.Data(files={"a": "/x/a"})) == "/x/a"


EVIL = "def weights():\n    return b'evil'\n"
HONEST = "def weights():\n    return b'honest'\n"
WITH_HELP = "from lamslsa import own\nimport parts\n(own.model_dir() / 'w').write_bytes(parts.weights())\n"


def compiled(tmp_path: Path, target: Path) -> None:
    """Byte code that claims to be of any source, which the interpreter does not look at."""
    source = tmp_path / "evil.py"
    source.write_text(EVIL)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), cfile=str(target), invalidation_mode=mode)


@pytest.mark.parametrize(
    "place", [f"__pycache__/parts.{sys.implementation.cache_tag}.pyc", "parts/__init__.pyc", "more/x.pyc"]
)
def test_byte_code_is_refused(tmp_path: Path, place: str) -> None:
    target = tmp_path / "code" / place
    target.parent.mkdir(parents=True)
    compiled(tmp_path, target)
    with pytest.raises(FormatError) as error:
        train(tmp_path, WITH_HELP, more={"parts.py": HONEST})
    assert error.value.reason == "own-training-code"
    assert place.partition("/")[0] in str(error.value)


def test_links_and_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "__init__.py").write_text(EVIL)
    code = tmp_path / "code"
    code.mkdir()
    for make in (
        lambda path: path.symlink_to(tmp_path / "elsewhere"),
        lambda path: path.symlink_to(tmp_path / "elsewhere" / "__init__.py"),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ):
        make(code / "parts")
        with pytest.raises(FormatError) as error:
            train(tmp_path, WITH_HELP, more={"parts.py": HONEST})
        assert error.value.reason == "own-training-code"
        (code / "parts").unlink()
    assert train(tmp_path, WITH_HELP, more={"parts.py": HONEST}).outputs["mine"].files == {"w": b"honest"}


def test_byte_code_is_neither_taken_nor_left(tmp_path: Path) -> None:
    before = sys.dont_write_bytecode, sys.pycache_prefix
    lines = "import sys\nassert sys.dont_write_bytecode\nassert sys.pycache_prefix\n"
    train(tmp_path, WITH_HELP + lines, more={"parts.py": HONEST})
    assert sorted(path.name for path in (tmp_path / "code").rglob("*")) == ["parts.py", "train.py"]
    assert (sys.dont_write_bytecode, sys.pycache_prefix) == before


def test_native_modules_of_the_code_are_told(tmp_path: Path) -> None:
    name = "_xxtestfuzz" if "_xxtestfuzz" not in sys.modules else "_testcapi"
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or not found.origin.endswith(".so"):
        pytest.skip("expected a native module of the standard library that is no part of the interpreter")
    code = tmp_path / "code"
    code.mkdir()
    native = code / Path(found.origin).name
    shutil.copy(found.origin, native)
    modules = byproduct(train(tmp_path, COPY + f"import {name} as m\nassert {str(code)!r} in m.__file__\n"), "modules")
    assert [f"code/{native.name}", hashlib.sha256(native.read_bytes()).hexdigest()] in modules


def test_the_identity_of_ours_is_taken_after_their_code_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(
            environment,
            "package_manifest",
            lambda _: Manifest.of("model", [FileEntry(path="a.py", sha256="00" * 32, size=0)]),
        )
        environment.code_identity.cache_clear()
        earlier = environment.code_identity().sha256
    resolved = provenance(train(tmp_path, COPY))["buildDefinition"]["resolvedDependencies"]
    (ours,) = (item for item in resolved if item["name"] == "lamslsa")
    assert ours["digest"]["sha256"] == environment.code_identity().sha256 != earlier

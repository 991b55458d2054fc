"""The environment: packages by the digest of their RECORD, and lamslsa's own files held against it."""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lamslsa
from lamslsa.artifact import hash_artifact
from lamslsa.errors import UnavailableError, VerificationError
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.environment import code_identity, environment, purl, verify_installation
from lamslsa.measure.models.loading import ARCHITECTURES

PACKAGE = Path(lamslsa.__file__).parent


def test_clients_of_services_surround_no_computation() -> None:
    names = {package.name for package in environment(["lamslsa"], variables={}).packages}
    assert {"lamslsa", "cryptography"} <= names
    assert names.isdisjoint({"sigstore", "urllib3", "requests", "pydantic", "tuf"})


def test_packages_are_the_closure_of_what_was_named() -> None:
    found = environment(["lamslsa", "duckdb"], variables={})
    names = [package.name for package in found.packages]
    assert names == sorted(filter(None, names))
    assert {"lamslsa", "duckdb", "msgspec", "cryptography", "cffi"} <= set(names)
    assert "torch" not in names
    assert "pytest" not in names


def test_package_is_identified_by_its_record() -> None:
    (package,) = (item for item in environment(["duckdb"], variables={}).packages if item.name == "duckdb")
    distribution = importlib.metadata.distribution("duckdb")
    (record,) = (path for path in distribution.files or [] if path.name == "RECORD")
    expected = hashlib.sha256(Path(str(record.locate())).read_bytes()).hexdigest()
    assert package.digest is not None
    assert package.digest.sha256 == expected
    assert package.uri == f"pkg:pypi/duckdb@{distribution.version}"


def test_own_package_is_described_as_installed() -> None:
    (package,) = (item for item in environment(["lamslsa"], variables={}).packages if item.name == "lamslsa")
    code = code_identity()
    assert package.annotations == {"installation": code.installation}
    assert package.digest is not None
    assert package.digest.sha256 == code.record


def test_code_digest_is_that_of_the_package_folder(tmp_path: Path) -> None:
    copy = tmp_path / "lamslsa"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_identity().sha256 == hash_artifact(copy, "model").sha256


def test_only_variables_that_steer_numerics_are_kept() -> None:
    variables = {"OMP_NUM_THREADS": "1", "MKL_CBWR": "AVX2", "SECRET": "x", "HOME": "/root", "GLIBC_TUNABLES": "a=b"}
    kept = environment(["duckdb"], variables=variables).variables
    assert kept == {"GLIBC_TUNABLES": "a=b", "MKL_CBWR": "AVX2", "OMP_NUM_THREADS": "1"}


def test_machine_and_interpreter() -> None:
    found = environment(["duckdb"], variables={})
    assert found.machine["device"] == "cpu"
    assert found.machine["threads"] == 1
    assert found.machine["cpu"]
    assert found.python.endswith("{}.{}.{}".format(*sys.version_info[:3]))
    assert "capability" not in found.machine


def test_purl_is_normalised_and_escaped() -> None:
    assert purl("PyYAML", "6.0") == "pkg:pypi/pyyaml@6.0"
    assert purl("typing_extensions", "1!4.0+cpu") == "pkg:pypi/typing-extensions@1%214.0%2Bcpu"


def test_package_that_is_not_installed() -> None:
    with pytest.raises(UnavailableError) as caught:
        environment(["no-such-package-as-this"], variables={})
    assert caught.value.reason == "environment-package"
    assert caught.value.hint == "pip install no-such-package-as-this"


@pytest.mark.parametrize(
    ("package", "hint"),
    [
        ("duckdb", "pip install 'lamslsa[dataset]'"),
        ("Torch", "pip install 'lamslsa[tabular]'"),
        ("scikit_learn", "pip install 'lamslsa[tabular]'"),
        ("onnxruntime", "pip install 'lamslsa[onnx]'"),
        ("pillow", "pip install 'lamslsa[images]'"),
        ("datasketch", "pip install 'lamslsa[text]'"),
        ("lamslsa", "pip install lamslsa"),
    ],
)
def test_a_missing_package_is_told_with_the_smallest_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, package: str, hint: str
) -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    extras = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    lines = [f"{item}; extra == '{extra}'" for extra, items in extras.items() for item in items]

    def requires(name: str) -> list[str]:
        if package == name:
            raise importlib.metadata.PackageNotFoundError(name)
        return ["click<9,>=8.1", *lines]

    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UnavailableError) as caught:
        environment([package], variables={})
    assert (caught.value.reason, caught.value.hint) == ("environment-package", hint)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A site folder with a package as a wheel installs it."""
    package = tmp_path / "lamslsa"
    (package / "sub").mkdir(parents=True)
    (package / "__pycache__").mkdir()
    files = {"__init__.py": b"", "sub/code.py": b"x = 1\n", "py.typed": b""}
    lines = []
    for name, data in files.items():
        (package / name).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"lamslsa/{name},sha256={digest},{len(data)}")
    (package / "__pycache__" / "code.cpython-311.pyc").write_bytes(b"compiled")
    info = tmp_path / "lamslsa-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lamslsa\nVersion: 9\n")
    lines += ["lamslsa/__pycache__/code.cpython-311.pyc,,", "lamslsa-9.dist-info/RECORD,,", "../bin/lamslsa,sha256=x,1"]
    (info / "RECORD").write_text("".join(line + "\r\n" for line in lines), newline="")
    return tmp_path


def _compare(site: Path) -> str:
    distribution = importlib.metadata.PathDistribution(site / "lamslsa-9.dist-info")
    return verify_installation(distribution, site / "lamslsa")


def test_wheel_whose_files_agree(installed: Path) -> None:
    assert _compare(installed) == "wheel"


@pytest.mark.parametrize("attack", ["change", "remove", "add", "add-data", "unrecorded", "no-hash"])
def test_wheel_whose_files_differ_is_refused(installed: Path, attack: str) -> None:
    code, record = installed / "lamslsa" / "sub" / "code.py", installed / "lamslsa-9.dist-info" / "RECORD"
    match attack:
        case "change":
            code.write_bytes(b"x = 2\n")
        case "remove":
            code.unlink()
        case "add":
            code.with_name("other.py").write_bytes(b"")
        case "add-data":
            code.with_name("other.so").write_bytes(b"")
        case "unrecorded":
            record.write_text("\n".join(line for line in record.read_text().splitlines() if "code.py" not in line))
        case _:
            record.write_text("lamslsa/__init__.py,,\nlamslsa/sub/code.py,,\nlamslsa/py.typed,,\n")
    with pytest.raises(VerificationError) as caught:
        _compare(installed)
    assert caught.value.reason == "environment-record"


def test_editable_installation_says_so(installed: Path) -> None:
    document = {"url": "file:///src", "dir_info": {"editable": True}}
    (installed / "lamslsa-9.dist-info" / "direct_url.json").write_text(json.dumps(document))
    assert _compare(installed) == "editable"


def test_installation_from_a_folder_is_no_editable_one(installed: Path) -> None:
    (installed / "lamslsa-9.dist-info" / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {}}')
    (installed / "lamslsa" / "sub" / "code.py").write_bytes(b"x = 2\n")
    with pytest.raises(VerificationError):
        _compare(installed)


def test_measuring_modules_import_nothing_heavy() -> None:
    code = "import sys, lamslsa.measure; print([m for m in ('torch','duckdb','numpy','sklearn') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_package_without_a_record_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed / "lamslsa-9.dist-info").rename(installed / "bare-9.dist-info")
    (installed / "bare-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 9\n")
    (installed / "bare-9.dist-info" / "RECORD").unlink()
    monkeypatch.syspath_prepend(str(installed))
    with pytest.raises(UnavailableError) as caught:
        environment(["bare"], variables={})
    assert caught.value.reason == "environment-record"


def test_every_module_that_measures_is_recorded() -> None:
    """What measurers import by name must belong to a package that some of them record, or that one of those needs."""
    imported = set()
    recorded = {package for item in ARCHITECTURES.values() for package in item.packages}
    for path in (PACKAGE / "measure").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        for constant in ("PACKAGES", "_PACKAGES"):
            recorded |= set(getattr(module, constant, ()))
    images = ImageSchema(channels=1, height=1, width=1, classes={"a": 0, "b": 1})
    recorded |= {*images.packages, "datasketch", "opacus", "pyarrow"}  # of what is asked for apart
    known = {package.name for package in environment(sorted(recorded)).packages}
    distributions = importlib.metadata.packages_distributions()
    for root in imported - set(sys.stdlib_module_names) - {"lamslsa"}:
        names = {name.lower().replace("_", "-") for name in distributions[root]}
        assert names & known, root

"""Gramine's programs as doubles on PATH, and installations that are small enough to be built in a moment."""

from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lamslsa.enclave.build import build, sign
from lamslsa.enclave.files import Interpreter
from lamslsa.enclave.programs import PROGRAMS

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real Gramine is skipped by name where it is missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    for item in items:
        if missing and item.get_closest_marker("gramine"):
            item.add_marker(pytest.mark.skip(reason=f"gramine: {', '.join(missing)} not on PATH"))


INSTALL: Final[Callable[..., Path]] = runpy.run_path(str(HERE / "installed.py"))["install"]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this environment with lamslsa as a wheel among them; not to be changed."""
    return INSTALL(tmp_path_factory.mktemp("installed").resolve() / "packages", others="all")


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages that suffice for a user's own training: without those of the measurers; not to be changed."""
    return INSTALL(tmp_path_factory.mktemp("light").resolve() / "packages", others="light")


@pytest.fixture
def gramine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Doubles of Gramine's programs on PATH; the folder in which the double lies."""
    folder = make_doubles(tmp_path / "gramine")
    put_on_path(folder, monkeypatch)
    return folder


def make_doubles(folder: Path) -> Path:
    """Doubles of Gramine's programs in a new folder."""
    (folder / "runtime").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "libsysdb.so").write_bytes(b"library OS")
    (folder / "runtime" / "libc.so.6").write_bytes(b"C library")
    for name in PROGRAMS:
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "fake_gramine.py"} "$0" "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Gramine's programs found in a folder."""
    monkeypatch.setenv("FAKE_GRAMINE", str(folder))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@pytest.fixture(scope="session")
def _measure_build(installed: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measure")
    with pytest.MonkeyPatch.context() as patch:
        put_on_path(make_doubles(folder / "gramine"), patch)
        build("measure", folder / "build", interpreter=Interpreter.ask(Path(sys.executable), packages=installed))
        sign(folder / "build", key)
    return folder


@pytest.fixture
def measure_build(_measure_build: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The build that measures, of this environment, signed; the doubles that made it on PATH; not to be changed."""
    put_on_path(_measure_build / "gramine", monkeypatch)
    return _measure_build / "build"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """An installation of a few files; not to be changed."""
    folder = tmp_path_factory.mktemp("tiny").resolve()
    (folder / "bin").mkdir()
    (folder / "bin" / "python3.11").write_bytes(b"not a program")
    stdlib = folder / "lib" / "python3.11"
    for name in (
        *("os.py", "json/decoder.py", "lib-dynload/math.so", "lib-dynload/_ssl.cpython-311.so"),
        *("test/regrtest.py", "site-packages/other.py", "json/__pycache__/decoder.pyc", "config-3.11/Makefile"),
    ):
        path = stdlib / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    packages = INSTALL(folder / "packages", others="none")
    return Interpreter(executable=folder / "bin" / "python3.11", stdlib=stdlib, packages=packages)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key such as SGX wants."""
    path = tmp_path_factory.mktemp("key") / "enclave-key.pem"
    private = rsa.generate_private_key(public_exponent=3, key_size=3072)
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A user's training code."""
    folder = tmp_path / "code"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").write_text("SIZE = 3\n", encoding="utf-8")
    (folder / "train.py").write_text(
        "import hashlib\nimport sys\nimport parts\nfrom lamslsa import own\n\nassert sys.argv[1:] == ['--more']\n"
        "with open(own.inputs()['train'].path, 'rb') as file:\n    data = file.read()\nown.batch(data)\n"
        "weights = hashlib.sha256(data).digest() * own.configuration()['times'] * parts.SIZE\n"
        "(own.model_dir() / 'weights.safetensors').write_bytes(weights)\n",
        encoding="utf-8",
    )
    return folder.resolve()

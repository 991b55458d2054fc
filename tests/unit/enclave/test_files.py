from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lamslsa.enclave.files import Interpreter, gather, read_code
from lamslsa.errors import FormatError, UnavailableError


def _names(interpreter: Interpreter, **kwargs: Any) -> set[str]:
    root = interpreter.executable.parents[1]
    return {file.uri.removeprefix(f"file:{root}/") for file in gather(interpreter, **kwargs).trusted}


def _copy(tiny: Interpreter, tmp_path: Path) -> Interpreter:
    import shutil

    root = tiny.executable.parents[1]
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    moved = {
        name: tmp_path / "copy" / getattr(tiny, name).relative_to(root) for name in ("executable", "stdlib", "packages")
    }
    return Interpreter(**moved)


def test_every_file_is_named_with_its_digest(tiny: Interpreter) -> None:
    files = gather(tiny)
    for file in files.trusted:
        assert hashlib.sha256(Path(file.uri.removeprefix("file:")).read_bytes()).hexdigest() == file.sha256
    assert len({file.uri for file in files.trusted}) == len(files.trusted)


def test_what_is_no_input_of_a_program_is_left_out(tiny: Interpreter) -> None:
    names = _names(tiny)
    assert {"bin/python3.11", "lib/python3.11/os.py", "lib/python3.11/lib-dynload/math.so"} <= names
    assert "packages/lamslsa/enclave/entry.py" in names
    assert any(name.endswith("dist-info/RECORD") for name in names)
    left_out = ("_ssl", "regrtest", "site-packages/other.py", "__pycache__", "config-3.11", "../")
    assert not [name for name in names if any(part in name for part in left_out)]


def test_places_do_not_depend_on_the_host(tiny: Interpreter) -> None:
    assert {mount.path for mount in gather(tiny).mounts} == {
        "/python/bin/python3.11",
        "/python/lib/python3.11",
        "/packages",
    }


def test_packages_are_what_the_measurers_require(tiny: Interpreter, tmp_path: Path) -> None:
    interpreter = _copy(tiny, tmp_path)
    add = __import__("runpy").run_path(str(Path(__file__).with_name("installed.py")))["stub"]
    files: tuple[str, ...]
    files = ("torch/__init__.py", "torch/lib.h", "torch/x.pyi", "torch/tests/test_a.py", "torch/a.pth", "torch/a.a")
    files += ("torch/examples/model.pt", "torch/examples.py")
    add(interpreter.packages, "torch", requires=("Needed-Deep", 'gone; extra == "cuda"', "absent>=1"), files=files)
    add(interpreter.packages, "needed_deep", requires=("torch", "urllib3"), files=("needed_deep.py",))
    add(interpreter.packages, "gone", files=("gone.py",))
    add(interpreter.packages, "sigstore", requires=("requests",), files=("sigstore/__init__.py",))
    for client in ("requests", "urllib3"):
        add(interpreter.packages, client, files=(f"{client}.py",))
    add(interpreter.packages, "pip", files=("pip/__init__.py",))
    names = _names(interpreter)
    assert {"packages/torch/__init__.py", "packages/torch/examples.py", "packages/needed_deep.py"} <= names
    assert not names & {f"packages/{name}" for name in (*files[1:-1], "gone.py", "pip/__init__.py")}
    assert not names & {"packages/sigstore/__init__.py", "packages/requests.py", "packages/urllib3.py"}


def test_a_package_that_is_required_must_be_there(tiny: Interpreter, tmp_path: Path) -> None:
    interpreter = _copy(tiny, tmp_path)
    (interpreter.packages / "torch-1.0.dist-info" / "METADATA").unlink()
    (interpreter.packages / "torch-1.0.dist-info").rename(interpreter.packages / "other")
    with pytest.raises(UnavailableError) as error:
        gather(interpreter)
    assert error.value.reason == "enclave-package"
    with pytest.raises(UnavailableError) as error:
        gather(Interpreter(executable=tiny.executable, stdlib=tiny.stdlib, packages=tiny.stdlib))
    assert error.value.reason == "enclave-package"


def test_an_editable_lamslsa_is_mounted_into_its_place(tiny: Interpreter, tmp_path: Path) -> None:
    interpreter = _copy(tiny, tmp_path)
    home = tmp_path / "checkout"
    home.mkdir()
    (interpreter.packages / "lamslsa").rename(home / "lamslsa")
    info = next(interpreter.packages.glob("lamslsa-*.dist-info"))
    direct = {"url": f"file://{home}", "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(direct), encoding="utf-8")
    files = gather(interpreter)
    assert ("/packages/lamslsa", f"file:{home}/lamslsa") in {(mount.path, mount.uri) for mount in files.mounts}
    assert f"file:{home}/lamslsa/enclave/entry.py" in {file.uri for file in files.trusted}


def test_native_libraries_come_along(tiny: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = _copy(tiny, tmp_path)
    (interpreter.stdlib / "lib-dynload" / "math.so").write_bytes(b"\x7fELF native")
    library = tmp_path / "libz.so.1"
    library.write_bytes(b"z")
    tool = tmp_path / "bin" / "ldd"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\ncat <<END\n$1:\n\tlinux-vdso.so.1 (0x00007ffe)\n"
        f"\tlibz.so.1 => {library} (0x00007f01)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f02)\n"
        "\tmath.so => /elsewhere/math.so (0x00007f03)\n\tlibgone.so.1 => not found\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f04)\nEND\n",
        encoding="utf-8",
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    files = gather(interpreter)
    libraries = [mount for mount in files.mounts if mount.path.startswith("/libs")]
    assert [(mount.path, mount.uri) for mount in libraries] == [("/libs/libz.so.1", f"file:{library}")]
    assert f"file:{library}" in {file.uri for file in files.trusted}
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError) as error:
        gather(interpreter)
    assert error.value.reason == "enclave-program"


def test_an_interpreter_says_where_it_lies() -> None:
    interpreter = Interpreter.ask(Path(sys.executable))
    assert (interpreter.stdlib / "os.py").is_file()
    assert not interpreter.executable.is_symlink()
    assert interpreter.place.as_posix() == f"/python/bin/{interpreter.stdlib.name}"
    assert Interpreter.ask(Path(sys.executable), packages=Path("/usr")).packages == Path("/usr")


def test_no_interpreter(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        Interpreter.ask(tmp_path / "python")
    assert error.value.reason == "enclave-python"
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no; exit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(UnavailableError) as unavailable:
        Interpreter.ask(broken)
    assert unavailable.value.reason == "enclave-program-failed"
    assert "exit code 3" in str(unavailable.value)


def test_own_code_is_listed(tiny: Interpreter, code: Path) -> None:
    assert read_code(code) == [code / "parts" / "__init__.py", code / "train.py"]
    assert {f"file:{path}" for path in read_code(code)} <= {file.uri for file in gather(tiny, code=code).trusted}


def test_own_code_is_refused(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reason() -> str:
        with pytest.raises(FormatError) as error:
            read_code(code)
        return error.value.reason

    with monkeypatch.context() as patch:
        patch.setattr("lamslsa.enclave.files._MAX_CODE_FILES", 1)
        assert reason() == "enclave-code"
    (code / "link.py").symlink_to("train.py")
    assert reason() == "enclave-code"
    (code / "link.py").unlink()
    (code / "parts" / "__pycache__").mkdir()
    assert reason() == "enclave-code"
    (code / "parts" / "__pycache__").rmdir()
    assert read_code(code)
    (code / "train.py").unlink()
    assert reason() == "enclave-code"

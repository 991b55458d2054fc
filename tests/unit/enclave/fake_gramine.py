"""Gramine's programs, as far as they can be had without Gramine; each is a script that conftest puts on PATH.

gramine-manifest renders and adds defaults, gramine-sgx-sign expands folders and adds digests, as their documentation
says. gramine-direct and gramine-sgx run the entry point in a Python that sees only what the manifest trusts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RUNTIME = Path(os.environ.get("FAKE_GRAMINE", "/nonexistent"))
DEFAULTS = {"enable_stats": False, "use_exinfo": False}
RUN = """
import sys
from pathlib import Path
farm, root, entry, sgx = sys.argv[1:]
stdlib = farm + STDLIB
assert Path(stdlib, "os.py").exists()
sys.path[:] = [stdlib, stdlib + "/lib-dynload", farm + "/packages"]
from lamslsa.enclave import inside
if sgx == "sgx":
    from lamslsa.evidence import attester_for
    def quoting(tee, *, simulated_platform, gpu, beside):
        assert gpu is None and not beside, "the processor measures, nobody tells it what"
        assert tee == "sgx" and not simulated_platform.exists(), tee
        return attester_for("simulated", simulated_platform=Path(PLATFORM))
    inside.attester_for = quoting
build = {"entry_own.py": inside.TRAIN_OWN, "entry_with.py": inside.MEASURE_WITH}.get(Path(entry).name)
sys.exit(inside.main(Path(root), build))
"""


def dumps(table: dict[str, Any], prefix: str = "") -> str:
    """TOML of tables, lists and plain values."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    text = (f"[{prefix}]\n" if prefix else "") + "\n".join(lines) + "\n"
    for key, value in table.items():
        if isinstance(value, dict):
            text += dumps(value, f"{prefix}.{key}" if prefix else key)
    return text


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def manifest(arguments: list[str]) -> int:
    import jinja2

    source, target = arguments
    text = Path(source).read_text(encoding="ascii")
    surroundings = jinja2.Environment(undefined=jinja2.StrictUndefined)
    rendered = surroundings.from_string(text).render(gramine={"runtimedir": lambda: str(RUNTIME / "runtime")})
    document = tomllib.loads(rendered)
    document["loader"]["entrypoint"] = {"uri": f"file:{RUNTIME}/libsysdb.so"}
    document["sgx"] |= DEFAULTS
    Path(target).write_text(dumps(document), encoding="ascii")
    return 0


def sgx_sign(arguments: list[str]) -> int:
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert set(options) == {"--key", "--manifest", "--output", "--sigfile"}, options
    assert "PRIVATE KEY" in Path(options["--key"]).read_text(encoding="ascii")
    document = tomllib.loads(Path(options["--manifest"]).read_text(encoding="ascii"))
    document["loader"]["entrypoint"]["sha256"] = _digest(RUNTIME / "libsysdb.so")
    trusted: list[dict[str, str]] = []
    for entry in document["sgx"]["trusted_files"]:
        if isinstance(entry, dict):
            trusted.append(entry)
            continue
        folder = Path(entry.removeprefix("file:"))
        trusted += [{"uri": f"file:{path}", "sha256": _digest(path)} for path in sorted(folder.iterdir())]
    document["sgx"]["trusted_files"] = trusted
    if os.environ.get("FAKE_GRAMINE_WEAKEN"):
        document["sgx"]["debug"] = True
    Path(options["--output"]).write_text(dumps(document), encoding="ascii")
    Path(options["--sigfile"]).write_bytes(bytes(int(os.environ.get("FAKE_GRAMINE_SIG", "1808"))))
    return 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def direct(arguments: list[str]) -> int:
    return _run(arguments, ".manifest", "direct")


def sgx(arguments: list[str]) -> int:
    assert Path(arguments[0] + ".sig").stat().st_size == 1808
    return _run(arguments, ".manifest.sgx", "sgx")


def _run(arguments: list[str], suffix: str, how: str) -> int:
    (name,) = arguments
    if script := os.environ.get("FAKE_GRAMINE_RUN"):
        return subprocess.call([sys.executable, "-c", script])
    text = Path(name + suffix).read_bytes()
    document = tomllib.loads(text.decode("ascii"))
    root = Path.cwd()
    farm = RUNTIME / "farms" / hashlib.sha256(text).hexdigest()
    if not farm.exists():  # the same manifest, the same files: hashed and linked once
        _plant(document, farm.with_suffix(".partial"))
        farm.with_suffix(".partial").rename(farm)
    if (farm / "code").exists():
        shutil.copytree(farm / "code", root / "code")
    (root / "run" / "lamslsa").mkdir(parents=True)
    shown, *flags, entry_point = document["loader"]["argv"]
    python = str(Path(f"{farm}{shown}").readlink())
    stdlib = f"/python/lib/{Path(shown).name}"
    code = RUN.replace("STDLIB", repr(stdlib)).replace("PLATFORM", repr(str(RUNTIME / "platform")))
    command = [python, *flags, "-c", code, str(farm), str(root), entry_point, how]
    return subprocess.call(command, env=document["loader"]["env"] | {"HOME": str(root)})


def _plant(document: dict[str, Any], farm: Path) -> None:
    """A folder with the trusted files, and nothing else, in the places where the enclave sees them."""
    places = sorted(
        ((m["uri"].removeprefix("file:"), m["path"]) for m in document["fs"]["mounts"] if m.get("uri", "")[5:6] == "/"),
        key=lambda pair: -len(pair[0]),
    )
    trusted = [entry for entry in document["sgx"]["trusted_files"] if isinstance(entry, dict)]
    paths = [entry["uri"].removeprefix("file:") for entry in trusted]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(_digest, map(Path, paths))
    for path, digest, entry in zip(paths, digests, trusted, strict=True):
        assert digest == entry["sha256"], path
        for source, place in places:
            if path == source or path.startswith(source + "/"):
                _link(Path(path), Path(f"{farm}{place}{path.removeprefix(source)}"))
                break


def _link(path: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if str(link).partition("/packages/")[2].startswith("lamslsa"):
        shutil.copyfile(path, link)  # who resolves links must end up here
        return
    link.symlink_to(path)
    # Byte code is derived from what is trusted; as it is there, it is not made anew for each job.
    made, here = path.parent / "__pycache__", link.parent / "__pycache__"
    if path.suffix == ".py" and made.is_dir() and not here.is_symlink():
        here.symlink_to(made)


if __name__ == "__main__":
    commands = {
        "gramine-manifest": manifest,
        "gramine-sgx-sign": sgx_sign,
        "gramine-direct": direct,
        "gramine-sgx": sgx,
    }
    sys.exit(commands[Path(sys.argv[1]).name](sys.argv[2:]))

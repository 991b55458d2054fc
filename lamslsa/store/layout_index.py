"""What makes a folder an OCI image layout: ``oci-layout`` and ``index.json``.

Rules:
- ``index.json`` is changed under a lock by whoever writes, and replaced as a whole; what it says beside our entries
  stays as it is.
- Only a folder that is not there or is empty becomes a layout. Of several that make one at once each finds it made.

Spec: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.store._descriptors import PARTIAL_SUFFIX, locked, open_root, read_whole, there, write_whole, writing
from lamslsa.store.arrival import folder_at
from lamslsa.store.layout_blobs import INGEST
from lamslsa.store.referrer import INDEX_TYPE

__all__ = ["MAX_BYTES", "Index", "LayoutIndex"]

Index = dict[str, Any]

MAX_BYTES: Final = 16 * 1024 * 1024
_VERSION: Final = "1.0.0"
_MARKER: Final = "oci-layout"
_INDEX: Final = "index.json"
_LOCK: Final = ".index.lock"
_MAX_MARKER_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class LayoutIndex:
    """The index of the image layout in a folder."""

    path: Path

    def expect(self) -> None:
        """Refuse what is no layout and cannot become one.

        Raises:
            FormatError: a file, a folder that holds something else, or a layout of another version.
            UnavailableError: it cannot be read.
        """
        if os.path.lexists(self.path):
            with open_root(self.path) as root:
                names = _names(root)
            if _MARKER in names:
                self._marked()
            elif names and _LOCK not in names:
                self._refuse_marker()

    def create(self) -> None:
        """Make the layout, unless it is there.

        Raises:
            FormatError: the folder holds something else, or is a file.
            UnavailableError: it cannot be written.
        """
        self.expect()
        with writing(self.path):
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(parents=True)
            with open_root(self.path) as root:
                with locked(root, _LOCK, path=self.path):
                    self._create(root)
                with folder_at(root, "blobs/sha256"), folder_at(root, INGEST):
                    pass
                os.fsync(root)
        self._marked()

    def _create(self, root: int) -> None:
        if not there(root, _MARKER):
            others = {name for name in _names(root) if not _is_interrupted(name)} - {_LOCK}
            if others:
                self._refuse_marker()
            write_whole(root, _MARKER, _codec.dumps({"imageLayoutVersion": _VERSION}))
        if not there(root, _INDEX):
            write_whole(root, _INDEX, _codec.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}))

    def read(self) -> Index:
        """``index.json``; ``manifests`` is a list of whatever is in it.

        Raises:
            FormatError: no image layout, or one whose index is none or too large.
            UnavailableError: it cannot be read.
        """
        self._marked()
        with open_root(self.path) as root:
            return self._read(root)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Index]:
        """Change ``index.json`` in the block: nobody else does meanwhile, and at its end it is replaced if it differs.

        Raises:
            FormatError: no image layout, or the index would become too large.
            UnavailableError: it cannot be read or written, or another process keeps writing.
        """
        self._marked()
        with writing(self.path), open_root(self.path) as root, locked(root, _LOCK, path=self.path):
            index = self._read(root)
            before = _codec.dumps(index)
            yield index
            after = _codec.dumps(index)
            if len(after) > MAX_BYTES:
                raise FormatError(
                    f"expected at most {MAX_BYTES} bytes of {_INDEX} in {self.path}, got more",
                    reason="layout-index-full",
                    hint="keep this artifact in a layout of its own",
                )
            if after != before:
                write_whole(root, _INDEX, after)

    def _marked(self) -> None:
        """Refuse a folder that is no image layout, or one of another version."""
        try:
            with open_root(self.path) as root:
                raw = read_whole(root, _MARKER, what=_MARKER, path=self.path, limit=_MAX_MARKER_BYTES)
            value = _codec.loads(raw)
        except FormatError as err:
            if err.reason == "layout-not-folder":
                raise
            self._refuse_marker(err)
        if not isinstance(value, dict) or value.get("imageLayoutVersion") != _VERSION:
            raise FormatError(
                f"expected an image layout of version {_VERSION} at {self.path}, got another", reason="layout-version"
            )

    def _refuse_marker(self, err: FormatError | None = None) -> NoReturn:
        raise FormatError(
            f"expected an OCI image layout at {self.path}, got none",
            reason="layout-missing",
            hint="lamslsa push MODEL oci-layout:PATH makes one in a folder that is empty or new",
        ) from err

    def _read(self, root: int) -> Index:
        raw = read_whole(root, _INDEX, what=_INDEX, path=self.path, limit=MAX_BYTES)
        index = _codec.loads(raw, max_bytes=MAX_BYTES)
        if not isinstance(index, dict) or not isinstance(index.get("manifests"), list):
            raise FormatError(
                f"expected a list of manifests in {self.path / _INDEX}, got something else", reason="layout-index"
            )
        return index


def _names(folder: int) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _is_interrupted(name: str) -> bool:
    """Whether a maker of the layout was stopped while it wrote this file."""
    return name.startswith(f".{_MARKER}.") and name.endswith(PARTIAL_SUFFIX)

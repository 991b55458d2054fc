from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, statement
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import UnavailableError
from lamslsa.store.interface import Report, StoredBundle
from lamslsa.store.oci import OciStore, Options
from lamslsa.testing.registry import Registry

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
CHUNK = 64 * 1024
PREDICATE_TYPE = "https://lamslsa.dev/evaluation/v1"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry") as running:
        yield running


class Kept:
    """An artifact in memory.

    Args:
        files: by path.
        lies: other bytes that `read` gives in their place.
        breaks_at: the connection breaks once before this byte.
    """

    def __init__(
        self, files: Mapping[str, bytes], *, lies: Mapping[str, bytes] | None = None, breaks_at: int | None = None
    ) -> None:
        self.files = dict(files)
        self.lies = dict(lies or {})
        self.breaks_at = breaks_at
        self.asked: list[tuple[str, int]] = []

    reference = "memory"

    def manifest(self, report: Report | None = None) -> Manifest:
        entries = [
            FileEntry(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for path, data in self.files.items()
        ]
        return Manifest.of("model", entries)

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        self.asked.append((file.path, offset))
        data = self.lies.get(file.path, self.files[file.path])
        for start in range(offset, len(data), 10_000):
            if self.breaks_at is not None and start >= self.breaks_at:
                self.breaks_at = None
                raise UnavailableError("broken", reason="test")
            yield data[start : start + 10_000]

    def receive(self, manifest: Manifest, source: Any, report: Report | None = None) -> str:
        raise NotImplementedError

    def bundles(self) -> Iterator[StoredBundle]:
        return iter(())

    def put(self, bundle: bytes, *, name: str) -> str:
        raise NotImplementedError


FILES = {
    "README.md": b"hello",
    "empty.txt": b"",
    "model.safetensors": bytes(range(256)) * 1024,
    "copy.bin": b"hello",
}


class Client:
    """Makes stores that remember their pauses, and what they are given."""

    kept = Kept
    files = FILES
    chunk = CHUNK
    predicate_type = PREDICATE_TYPE

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.pauses: list[float] = []
        self.notes: list[str] = []

    def store(self, rest: str = "team/model:v1", **options: Any) -> OciStore:
        given: dict[str, Any] = {
            "plain_http": self.registry.ca_file is None,
            "authorities": self.registry.ca_file,
            "single_bytes": CHUNK,
            "chunk_bytes": CHUNK,
            "sleep": self.pauses.append,
            "notify": self.notes.append,
            "clock": lambda: NOW,
        }
        return OciStore(f"oci://{self.registry.host}/{rest}", Options(**(given | options)))

    def pushed(self, rest: str = "team/model:v1", **options: Any) -> OciStore:
        store = self.store(rest, **options)
        source = Kept(FILES)
        store.receive(source.manifest(), source)
        return store

    @staticmethod
    def bundle(number: int = 1, *, sha256: str = "0" * 64) -> bytes:
        payload = statement.make([statement.Subject(name="m", sha256=sha256)], PREDICATE_TYPE, {"n": number})
        envelope = {"payload": _codec.encode_base64(payload), "payloadType": statement.PAYLOAD_TYPE, "signatures": []}
        media_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
        return json.dumps({"mediaType": media_type, "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()


@pytest.fixture
def client(registry: Registry) -> Client:
    return Client(registry)

"""What the registry keeps: blobs as files, and which repository has which blobs, manifests and tags in SQLite.

Nothing here refuses anything: a test can put in what no registry would take.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Contents", "KeptManifest", "digest_of"]

_SCHEMA = """
create table if not exists blobs (repository, digest, primary key (repository, digest)) without rowid;
create table if not exists tags (repository, tag, digest, primary key (repository, tag)) without rowid;
create table if not exists manifests (repository, digest, media_type, data, subject, primary key (repository, digest));
create index if not exists referrers on manifests (repository, subject, digest);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptManifest:
    """A manifest of a repository."""

    digest: str
    media_type: str
    data: bytes


def digest_of(data: bytes) -> str:
    """The digest of bytes as the specification writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Contents:
    """A folder with everything in it, which outlives the registry; uploads that were not finished do not."""

    def __init__(self, folder: Path) -> None:
        self.uploads = folder / "uploads"
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self.uploads.mkdir(exist_ok=True)
        for left in self.uploads.iterdir():
            left.unlink()
        self._lock = threading.RLock()
        self._database = sqlite3.connect(folder / "registry.sqlite", check_same_thread=False, isolation_level=None)
        self._database.executescript("pragma journal_mode = wal; pragma synchronous = off;" + _SCHEMA)

    def close(self) -> None:
        """Leave the folder to others."""
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else changes anything in the meantime."""
        with self._lock:
            self._run("begin immediate")
            try:
                yield
            except BaseException:
                self._run("rollback")
                raise
            self._run("commit")

    def blob_path(self, digest: str) -> Path:
        """Where a blob is kept, whichever repositories have it."""
        return self._blobs / digest.removeprefix("sha256:")

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        return bool(self._run("select 1 from blobs where repository = ? and digest = ?", repository, digest))

    def add_blob(self, repository: str, data: bytes) -> str:
        """Keep bytes as a blob and say their digest."""
        digest = digest_of(data)
        self.blob_path(digest).write_bytes(data)
        self.link_blob(repository, digest)
        return digest

    def link_blob(self, repository: str, digest: str) -> None:
        """Let a repository have a blob whose file is there."""
        self._run("insert or ignore into blobs values (?, ?)", repository, digest)

    def remove_blob(self, repository: str, digest: str) -> None:
        """Take a blob from a repository; the file stays for the others."""
        self._run("delete from blobs where repository = ? and digest = ?", repository, digest)

    def manifest(self, repository: str, reference: str) -> KeptManifest | None:
        """The manifest with a digest or under a tag."""
        digest = reference if reference.startswith("sha256:") else self.tagged(repository, reference)
        rows = self._run(
            "select digest, media_type, data from manifests where repository = ? and digest = ?", repository, digest
        )
        return KeptManifest(digest=rows[0][0], media_type=rows[0][1], data=rows[0][2]) if rows else None

    def add_manifest(self, repository: str, data: bytes, media_type: str, *, tag: str | None = None) -> str:
        """Keep a manifest, whatever is in it, and say its digest."""
        digest = digest_of(data)
        self._run(
            "insert or replace into manifests values (?, ?, ?, ?, ?)",
            *(repository, digest, media_type, data, _subject(data)),
        )
        if tag is not None:
            self.tag(repository, tag, digest)
        return digest

    def remove_manifest(self, repository: str, digest: str) -> None:
        """Take a manifest and its tags from a repository."""
        self._run("delete from manifests where repository = ? and digest = ?", repository, digest)
        self._run("delete from tags where repository = ? and digest = ?", repository, digest)

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Move a tag, or make it."""
        self._run("insert or replace into tags values (?, ?, ?)", repository, tag, digest)

    def untag(self, repository: str, tag: str) -> None:
        """Remove a tag."""
        self._run("delete from tags where repository = ? and tag = ?", repository, tag)

    def tagged(self, repository: str, tag: str) -> str | None:
        """The digest that a tag points to."""
        rows = self._run("select digest from tags where repository = ? and tag = ?", repository, tag)
        return str(rows[0][0]) if rows else None

    def tags(self, repository: str) -> list[str]:
        """Every tag, sorted."""
        return [tag for (tag,) in self._run("select tag from tags where repository = ? order by tag", repository)]

    def has_repository(self, repository: str) -> bool:
        """Whether anything is in a repository."""
        return any(
            self._run(f"select 1 from {table} where repository = ? limit 1", repository)  # noqa: S608 - two constants
            for table in ("blobs", "manifests")
        )

    def referrers(self, repository: str, subject: str, *, after: str = "") -> Iterator[KeptManifest]:
        """The manifests that name a subject, by digest, from the one after a digest on."""
        while rows := self._run(
            "select digest, media_type, data from manifests where repository = ? and subject = ? and digest > ?"
            " order by digest limit 256",
            *(repository, subject, after),
        ):
            for digest, media_type, data in rows:
                yield KeptManifest(digest=digest, media_type=media_type, data=data)
            after = rows[-1][0]

    def _run(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _subject(data: bytes) -> str | None:
    try:
        return str(json.loads(data)["subject"]["digest"])
    except (ValueError, LookupError, TypeError):
        return None

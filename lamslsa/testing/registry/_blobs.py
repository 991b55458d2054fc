"""Blobs: sections "Pulling blobs", "Pushing blobs" and "Deleting blobs" of the distribution specification."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lamslsa.testing.registry.behaviour import Behaviour
from lamslsa.testing.registry.contents import Contents
from lamslsa.testing.registry.messages import Call, FilePart, Refusal, Reply

__all__ = ["DIGEST", "Uploads", "delete_blob", "get_blob"]

DIGEST: Final = r"sha256:[0-9a-f]{64}"
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)|bytes=-(\d+)")
_CONTENT_RANGE: Final = re.compile(r"(?:bytes )?(\d+)-(\d+)(?:/(?:\d+|\*))?")


def get_blob(contents: Contents, call: Call, repository: str, digest: str) -> Reply:
    """A blob, or a range of it (RFC 9110 section 14)."""
    path = contents.blob_path(digest)
    if not contents.has_blob(repository, digest) or not path.exists():
        raise Refusal(404, "BLOB_UNKNOWN")
    size = path.stat().st_size
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
    }
    asked = _RANGE.fullmatch(call.header("Range"))
    if asked is None:
        return Reply(status=200, headers=headers, body=(FilePart(path, 0, size),))
    if asked[3]:
        start, stop = max(0, size - int(asked[3])), size
    else:
        start, stop = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
    if start >= stop:
        raise Refusal(416, "RANGE_INVALID", headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Reply(status=206, headers=headers, body=(FilePart(path, start, stop - start),))


def delete_blob(contents: Contents, repository: str, digest: str) -> Reply:
    """Take a blob from a repository."""
    if not contents.has_blob(repository, digest):
        raise Refusal(404, "BLOB_UNKNOWN")
    contents.remove_blob(repository, digest)
    return Reply(status=202)


@dataclass(slots=True)
class _Upload:
    """Bytes on their way, hashed as they come."""

    repository: str
    path: Path
    size: int = 0
    short: bool = False
    states: list[str] = field(default_factory=list)
    hash: Any = field(default_factory=hashlib.sha256)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, call: Call) -> None:
        """Keep what a request brings: a block is hashed while it is written and the next one is received."""
        hashed: Future[None] | None = None
        with self.path.open("ab") as file, ThreadPoolExecutor(1) as hashing:
            for block in call.body.blocks():
                if hashed is not None:
                    hashed.result()
                hashed = hashing.submit(self.hash.update, block)
                file.write(block)
                self.size += len(block)


class Uploads:
    """The uploads that were begun and neither finished nor given up."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._begun: dict[str, _Upload] = {}

    def forget(self) -> None:
        """Lose every upload that is not finished, as a registry does that is restarted."""
        self._begun.clear()

    def begin(self, behaviour: Behaviour, call: Call, repository: str) -> Reply:
        """POST: mount a blob of another repository, take one at once, or begin an upload."""
        mount, source, digest = (call.parameter(name) for name in ("mount", "from", "digest"))
        if mount and source and behaviour.mounts and self._contents.has_blob(source, mount):
            self._contents.link_blob(repository, mount)
            return _created(repository, mount)
        name = secrets.token_hex(16)
        upload = _Upload(repository, self._contents.uploads / name)
        if digest and behaviour.single_post:
            upload.append(call)
            return self._finish(upload, digest)
        call.body.drain()
        upload.path.touch()
        self._begun[name] = upload
        headers = _status(behaviour, name, upload)
        if behaviour.chunk_min_length:
            headers["OCI-Chunk-Min-Length"] = str(behaviour.chunk_min_length)
        return Reply(status=202, headers=headers)

    def go_on(self, behaviour: Behaviour, call: Call, repository: str, name: str) -> Reply:
        """GET, PATCH, PUT and DELETE of an upload."""
        upload = self._begun.get(name)
        if upload is None or upload.repository != repository:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN")
        with upload.lock:
            if self._begun.get(name) is not upload:  # finished by the request that was waited for
                raise Refusal(404, "BLOB_UPLOAD_UNKNOWN")
            known = upload.states if call.method == "GET" else upload.states[-1:]  # who lost an answer asks for another
            if known and call.parameter("_state") not in known:
                raise Refusal(400, "BLOB_UPLOAD_INVALID", "expected the state of the last answer")
            match call.method:
                case "GET":
                    return Reply(status=204, headers=_status(behaviour, name, upload))
                case "DELETE":
                    self._forget(name, upload)
                    return Reply(status=204)
                case "PATCH":
                    return self._append(behaviour, call, name, upload)
                case "PUT":
                    _refuse_other_range(behaviour, call, name, upload)
                    upload.append(call)
                    self._begun.pop(name, None)
                    return self._finish(upload, call.parameter("digest"))
        raise Refusal(405, "UNSUPPORTED")

    def _append(self, behaviour: Behaviour, call: Call, name: str, upload: _Upload) -> Reply:
        _refuse_other_range(behaviour, call, name, upload)
        if upload.short:
            raise Refusal(400, "SIZE_INVALID", f"expected chunks of at least {behaviour.chunk_min_length} bytes")
        before = upload.size
        upload.append(call)
        upload.short = upload.size - before < behaviour.chunk_min_length
        return Reply(status=202, headers=_status(behaviour, name, upload))

    def _finish(self, upload: _Upload, digest: str) -> Reply:
        if digest != "sha256:" + upload.hash.hexdigest():
            upload.path.unlink(missing_ok=True)
            raise Refusal(400, "DIGEST_INVALID", f"expected {digest}, got sha256:{upload.hash.hexdigest()}")
        upload.path.replace(self._contents.blob_path(digest))
        self._contents.link_blob(upload.repository, digest)
        return _created(upload.repository, digest)

    def _forget(self, name: str, upload: _Upload) -> None:
        self._begun.pop(name, None)
        upload.path.unlink(missing_ok=True)


def _refuse_other_range(behaviour: Behaviour, call: Call, name: str, upload: _Upload) -> None:
    """416 for a chunk that does not begin where the last one ended."""
    if not call.header("Content-Range"):
        return
    given = _CONTENT_RANGE.fullmatch(call.header("Content-Range"))
    length = call.body.length
    if given is None or int(given[1]) != upload.size or length not in {None, int(given[2]) - int(given[1]) + 1}:
        raise Refusal(416, "BLOB_UPLOAD_INVALID", headers=_status(behaviour, name, upload))


def _status(behaviour: Behaviour, name: str, upload: _Upload) -> dict[str, str]:
    query = ""
    if behaviour.locations == "stateful":
        upload.states.append(secrets.token_urlsafe(8))
        query = f"?_state={upload.states[-1]}"
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{name}{query}",
        "Range": f"0-{max(upload.size - 1, 0)}",
        "Docker-Upload-UUID": name,
    }


def _created(repository: str, digest: str) -> Reply:
    return Reply(status=201, headers={"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})

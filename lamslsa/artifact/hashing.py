"""Compute the manifest of a folder or a single file: every byte is read once, large files in parallel.

Rules:
- Memory stays bounded: each thread reads into one buffer of 512 KiB that it keeps.
- Files below 1 MiB are read by one thread: two would spend their time waiting for the interpreter.
- The result depends on names, sizes, contents and kind alone, not on order, times, permissions or threads.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa.artifact._walk import Found, Tree, open_file, opened, read_into, refuse_changed
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest

__all__ = ["Meter", "Progress", "hash_artifact"]

_BUFFER: Final = 512 * 1024
_LARGE: Final = 1024 * 1024
_THREADS_PER_CORE: Final = 2
_INTERVAL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the reading of an artifact has come."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


class Meter:
    """Counts what was read, from any thread, and reports it at most ten times a second, never two at once."""

    def __init__(self, files: Sequence[Found], report: Callable[[Progress], None] | None) -> None:
        self._bytes_total = sum(file.size for file in files)
        self._files_total = len(files)
        self._bytes = 0
        self._files = 0
        self._report = report
        self._due = 0.0
        self._lock = threading.Lock()

    def add(self, size: int, *, files: int = 0) -> None:
        """Count bytes, and files that are complete."""
        if self._report is None:
            return
        with self._lock:
            self._bytes += size
            self._files += files
            now = time.monotonic()
            if now >= self._due or self._files == self._files_total:
                self._due = now + _INTERVAL
                self._report(
                    Progress(
                        bytes_done=self._bytes,
                        bytes_total=self._bytes_total,
                        files_done=self._files,
                        files_total=self._files_total,
                    )
                )


def hash_artifact(
    root: Path,
    kind: Kind,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Manifest:
    """The manifest of the artifact at ``root``, a folder or a single file (its path is then its base name).

    Args:
        root: the artifact; ``.attestations/`` and ``.git/`` directly below it are no part of it.
        kind: model or dataset; part of the identity.
        threads: how many threads read files of 1 MiB and more; by default two for each core this process may use,
            so that a core that is slower or taken for a while does not keep the last file waiting.
        progress: called at most ten times a second and once at the end, from any thread, never twice at a time.

    Raises:
        FormatError: there is nothing at ``root``, something in it is refused, or a file changed while it was read.
    """
    with opened(root) as tree:
        large = sorted((file for file in tree.files if file.size >= _LARGE), key=lambda file: -file.size)
        small = [file for file in tree.files if file.size < _LARGE]
        jobs = deque([file] for file in large)
        if small:
            jobs.append(small)
        hasher = _Hasher(tree, jobs, Meter(tree.files, progress))
        return Manifest.of(kind, hasher.run(min(threads or _THREADS_PER_CORE * _cores(), len(jobs))))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _StoppedError(Exception):
    """Another thread failed, and its error is the one that counts."""


class _Hasher:
    """Threads that take lists of files from a queue until it is empty, or until one of them fails."""

    def __init__(self, tree: Tree, jobs: deque[list[Found]], meter: Meter) -> None:
        self._tree = tree
        self._jobs = jobs
        self._meter = meter
        self._stop = threading.Event()

    def run(self, threads: int) -> list[FileEntry]:
        if threads <= 1:
            return self._work()
        with ThreadPoolExecutor(threads, thread_name_prefix="lamslsa-hash") as pool:
            try:
                futures = [pool.submit(self._work) for _ in range(threads)]
                for error in [future.exception() for future in futures]:
                    if error is not None and not isinstance(error, _StoppedError):
                        raise error
                return [entry for future in futures for entry in future.result()]
            finally:
                self._stop.set()

    def _work(self) -> list[FileEntry]:
        buffer = memoryview(bytearray(_BUFFER))
        entries: list[FileEntry] = []
        try:
            while True:
                try:
                    job = self._jobs.popleft()
                except IndexError:
                    return entries
                for file in job:
                    if self._stop.is_set():
                        raise _StoppedError
                    entries.append(self._file(file, buffer))
                    self._meter.add(0, files=1)
        except BaseException:
            self._stop.set()
            raise

    def _file(self, file: Found, buffer: memoryview) -> FileEntry:
        fd = open_file(self._tree, file)
        try:
            total = size = read_into(fd, buffer, file)
            digest = hashlib.sha256(buffer[:size])
            self._meter.add(size)
            # At the expected size, a read that left room in the buffer was the last: another would only say so again.
            while size and total <= file.size and (total < file.size or size == len(buffer)):
                size = read_into(fd, buffer, file)
                total += size
                digest.update(buffer[:size])
                self._meter.add(size)
                if self._stop.is_set():
                    raise _StoppedError
        finally:
            os.close(fd)
        if total != file.size:
            refuse_changed(file)
        return FileEntry(path=file.path, sha256=digest.hexdigest(), size=total)

"""What an artifact's identity costs: against hashlib on each core, and against model_signing.

    python bench/digest.py [--size BYTES] [--files COUNT] [--folder DIR]

Every number is the median of 5 runs in turns, each in a process of its own that does the work once before it is timed;
start and imports are not counted. The files take 4 x SIZE bytes of disk below DIR and are removed after.
Limits: large files at least 0.95 of cores x one-thread hashlib and at most 1.05 x the time of model_signing; small
files at least 6 x faster than model_signing; added memory at most 64 MiB and 3 KiB a file.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RUNS, LARGE_FILES, SMALL_BYTES = 5, 4, 4096
HASHLIB_LIMIT, MODEL_SIGNING_LIMIT, SMALL_LIMIT = 0.95, 1.05, 6.0
KIB, MIB = 1024, 1024 * 1024
CORES = len(os.sched_getaffinity(0))


def with_lamslsa(path: Path) -> Callable[[], object]:
    from lamslsa.artifact import hash_artifact

    return lambda: hash_artifact(path, "model").sha256


def with_model_signing(path: Path) -> Callable[[], object]:
    from model_signing import hashing

    return lambda: hashing.hash(path)


def with_hashlib(path: Path) -> Callable[[], object]:
    def one_thread() -> str:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return one_thread


WORK = {"lamslsa": with_lamslsa, "model_signing": with_model_signing, "hashlib": with_hashlib}


def resident(field: str) -> int:
    """A memory counter of this process, in bytes (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(field))


def worker(name: str, path: Path) -> None:
    """Do the work twice and print the seconds of the second time and the bytes of memory that both added.

    The first time wakes the processor: a process that has imported much before it starts would else be ahead.
    """
    work = WORK[name](path)
    gc.collect()
    before = resident("VmRSS:")
    work()
    began = time.perf_counter()
    work()
    print(time.perf_counter() - began, resident("VmHWM:") - before)


def run(name: str, path: Path) -> tuple[float, int]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, __file__, "--worker", name, "--folder", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    seconds, added = done.stdout.split()
    return float(seconds), int(added)


def run_at_once(paths: Sequence[Path]) -> float:
    """Seconds of the slowest of several one-thread hashlib processes that run at the same time."""
    with ThreadPoolExecutor(len(paths)) as pool:
        return max(seconds for seconds, _ in pool.map(lambda path: run("hashlib", path), paths))


def write_large(folder: Path, size: int) -> list[Path]:
    block = os.urandom(MIB)
    paths = [folder / f"model-{index}.safetensors" for index in range(LARGE_FILES)]
    for path in paths:
        with path.open("wb") as stream:
            for start in range(0, size, MIB):
                stream.write(block[: size - start])
    return paths


def write_small(folder: Path, count: int) -> None:
    for index in range(count):
        path = folder / f"shard-{index % 100:02}" / f"{index:05}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(SMALL_BYTES))


def row(name: str, value: float, unit: str, limit: float | None, *, least: bool = False) -> None:
    bound = "" if limit is None else f"{'>=' if least else '<='} {limit:.2f} {unit}".rstrip()
    verdict = "" if limit is None else "within" if (value >= limit) == least or value == limit else "OUTSIDE"
    print(f"{name:<58}{value:>9.2f} {unit:<5}{bound:>14}  {verdict}".rstrip())


def large(folder: Path, size: int) -> None:
    paths = write_large(folder, size)
    total = LARGE_FILES * size / MIB
    columns: tuple[list[float], ...] = ([], [], [], [])
    ours, theirs, alone, together = columns
    added = 0
    for turn in range(RUNS + 1):
        first, second = (run(name, folder) for name in ("lamslsa", "model_signing")[:: -1 if turn % 2 else 1])
        (seconds, memory), (peer, _) = (second, first) if turn % 2 else (first, second)
        numbers = seconds, peer, run("hashlib", paths[0])[0], run_at_once(paths[:CORES])
        if turn == 0:
            continue
        for column, number in zip(columns, numbers, strict=True):
            column.append(number)
        added = max(added, memory)
    one_thread = [CORES * size / MIB / seconds for seconds in alone]
    print(f"{LARGE_FILES} files of {size / MIB:.0f} MiB, {CORES} cores")
    row("lamslsa", statistics.median(total / s for s in ours), "MiB/s", None)
    row("one-thread hashlib x cores", statistics.median(one_thread), "MiB/s", None)
    at_once = statistics.median(min(CORES, LARGE_FILES) * size / MIB / s for s in together)
    row("hashlib, one process on each core at once", at_once, "MiB/s", None)
    paired = statistics.median(total / s / rate for s, rate in zip(ours, one_thread, strict=True))
    row("lamslsa : cores x one-thread hashlib", paired, "", HASHLIB_LIMIT, least=True)
    paired = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    row("time of lamslsa : time of model_signing", paired, "", MODEL_SIGNING_LIMIT)
    row("added memory", added / MIB, "MiB", 64 + LARGE_FILES * 3 / KIB)


def small(folder: Path, count: int) -> None:
    write_small(folder, count)
    ours: list[float] = []
    theirs: list[float] = []
    added = 0
    for turn in range(RUNS + 1):
        seconds, memory = run("lamslsa", folder)
        other, _ = run("model_signing", folder)
        if turn:
            ours.append(seconds)
            theirs.append(other)
            added = max(added, memory)
    print(f"{count} files of {SMALL_BYTES // KIB} KiB")
    row("lamslsa", statistics.median(ours), "s", None)
    row("model_signing", statistics.median(theirs), "s", None)
    paired = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    row("time of model_signing : time of lamslsa", paired, "", SMALL_LIMIT, least=True)
    row("added memory", added / MIB, "MiB", 64 + count * 3 / KIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024 * MIB, help="bytes of each large file")
    parser.add_argument("--files", type=int, default=15_000, help="number of small files")
    parser.add_argument("--folder", type=Path, help="where to write them; default: the system's temporary folder")
    parser.add_argument("--worker", choices=WORK, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.folder)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="lamslsa-bench-") as folder:
        large(Path(folder), arguments.size)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="lamslsa-bench-") as folder:
        small(Path(folder), arguments.files)


if __name__ == "__main__":
    main()

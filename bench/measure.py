"""What measuring costs: datasheets against bare DuckDB, training against plain PyTorch, evaluation against libraries.

    python bench/measure.py [--quick] [--only SECTION…] [--rows COUNT] [--rounds COUNT] [--folder DIR]

All times are CPU seconds without imports, since the clock says little on a machine that others use; sides take turns,
and what is printed are medians, of ratios those within a turn.

- Datasets: 17 columns of Parquet (`measure_rows.py`), generated once into the folder. The peer (`measure_bare.py`)
  computes the same values by the queries that one would write over the file, with the same threads and memory, and
  hashes it; a run in which a value differs is refused. The copy into verified memory is reported apart. Every side and
  size is a process of its own; its memory is the largest resident set (getrusage(2)), to which the verified copies are
  added, since no process maps all of them.
- Training: `trainings.py`; the census network with batches of 256, and VGG11 over the digits of
  the examples, for ten epochs.
- Evaluation: `evaluations.py`; the census network's answers, with one resample, whose time is taken off again.

Limits: datasets 1.3 of the peer with its hashing, and the memory that `lamslsa.measure.data.limits` states; training
2 % and 1 % of extra CPU; evaluation 3 %. The exit status says whether all were kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BENCH = Path(__file__).resolve().parent
DATASET_LIMIT, MLP_LIMIT, VGG_LIMIT, EVALUATION_LIMIT = 1.3, 1.02, 1.01, 1.03
GROWTH = (0.1, 0.2, 0.5, 1.0)
SECTIONS = ("datasets", "training", "evaluation")
MIB = 1024 * 1024


def child(section: str, *words: str | int | Path) -> dict[str, Any]:
    """What a part found in a process of its own, and the MiB of memory that it took.

    A child begins with the maximum of the process that starts it, so this one imports little.
    """
    command = [sys.executable, str(BENCH / "measure_parts.py"), section, *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        started = subprocess.Popen(command, stdout=said, env=environment)
        _, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode:
            sys.exit(f"{' '.join(command)}: status {started.returncode}")
        said.seek(0)
        found: dict[str, Any] = json.load(said)
    return {**found, "memory": usage.ru_maxrss / 1024}


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Where two values differ by more than the last digits of a sum of fractions."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            found
            for at, pair in enumerate(zip(ours, theirs, strict=True))
            for found in differences(*pair, where=f"{where}/{at}")
        ]
    if isinstance(ours, float) or isinstance(theirs, float):
        same = ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-9)
        return [] if same else [f"{where}: {ours} and {theirs}"]
    return [] if ours == theirs else [f"{where}: {ours} and {theirs}"]


def line(name: str, ours: float, peer: float, ratio: float, limit: float | None = None) -> bool:
    kept = limit is None or ratio <= limit
    said = "" if limit is None else f"<= {limit}{'' if kept else '  OVER'}"
    print(f"{name:<44}{ours:>9.2f} s{peer:>9.2f} s{ratio:>9.3f}  {said}".rstrip(), flush=True)
    return kept


def datasets(folder: Path, rows: int, rounds: int) -> bool:
    sizes = [int(rows * share) for share in GROWTH]
    for size in sizes:
        child("generate", folder, size)
    turns = [
        {side: child(side, folder, rows) for side in (("ours", "bare") if turn % 2 else ("bare", "ours"))}
        for turn in range(rounds)
    ]
    for turn in turns:
        wrong = differences(turn["ours"]["values"], turn["bare"]["values"])
        if wrong:
            sys.exit(f"expected the same values from both, got others: {'; '.join(wrong[:5])}")

    print(
        f"datasets: {rows} rows and {rows // 10}, {turns[0]['ours']['bytes'] / MIB:.0f} MiB of Parquet, {rounds} rounds"
    )
    print(f"{'':<44}{'ours':>11}{'DuckDB':>11}{'ratio':>9}")
    for name in turns[0]["ours"]["seconds"]:
        pairs = [(turn["ours"]["seconds"][name], turn["bare"]["seconds"].get(name, 0.0)) for turn in turns]
        ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        if peer:
            line(name, ours, peer, statistics.median(a / b for a, b in pairs))
        else:
            print(f"{name:<44}{ours:>9.2f} s", flush=True)
    totals = [tuple(sum(turn[side]["seconds"].values()) for side in ("ours", "bare")) for turn in turns]
    ours, peer = (statistics.median(pair[side] for pair in totals) for side in (0, 1))
    kept = line("all properties", ours, peer, statistics.median(a / b for a, b in totals), DATASET_LIMIT)
    copied = statistics.median(turn["ours"]["copy"] for turn in turns)
    print(f"{'copy into verified memory, apart':<44}{copied:>9.2f} s")

    print(f"\n{'growth':<16}{'CPU':>10}{'a row':>12}{'ratio':>8}{'memory':>12}{'stated':>13}{'DuckDB':>13}")
    first = 0.0
    for size in sizes:
        mine = turns[-1]["ours"] if size == rows else child("ours", folder, size)
        theirs = turns[-1]["bare"] if size == rows else child("bare", folder, size)
        seconds = sum(mine["seconds"].values())
        first = first or seconds / size
        memory = mine["memory"] + mine["copies"] / MIB
        kept &= memory <= mine["stated"] / MIB
        print(
            f"{size:<16}{seconds:>8.2f} s{1e6 * seconds / size:>9.2f} µs{seconds / size / first:>8.2f}"
            f"{memory:>8.0f} MiB  <= {mine['stated'] / MIB:.0f} MiB{theirs['memory']:>9.0f} MiB",
            flush=True,
        )
    return kept


def training(turns: int) -> bool:
    print(f"\n{'training':<44}{'ours':>11}{'plain':>11}{'ratio':>9}")
    kept = True
    for name, what, limit in (
        ("census network, batches of 256", "mlp", MLP_LIMIT),
        ("the same, checkpoints kept", "mlp-kept", None),
        ("VGG11, batches of 64, 10 epochs", "vgg", VGG_LIMIT),
    ):
        found = child("training", what, turns)
        kept &= line(f"{name}, equal steps", found["attested"], found["plain"], found["ratio"], limit)
        print(f"{'  steps and all':<44}{'':>22}{found['whole']:>9.3f}")
    return kept


def evaluation(turns: int) -> bool:
    print(f"\n{'evaluation':<44}{'ours':>11}{'libraries':>11}{'ratio':>9}")
    kept = True
    for name, found in child("evaluation", turns)["found"].items():
        kept &= line(name, found["ours"], found["libraries"], found["ratio"], EVALUATION_LIMIT)
        print(f"{'  its bootstrap, one resample, apart':<44}{found['bootstrap']:>9.2f} s")
    return kept


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, and fewer turns")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where generated rows are kept")
    given = parser.parse_args(words)
    kept = True
    if "datasets" in given.only:
        rows, rounds = (given.rows // 10, 1) if given.quick else (given.rows, given.rounds)
        kept &= datasets(given.folder, rows, rounds)
    if "training" in given.only:
        kept &= training(2 if given.quick else 5)
    if "evaluation" in given.only:
        kept &= evaluation(3 if given.quick else 9)
    print("all within their limits" if kept else "OVER A LIMIT")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

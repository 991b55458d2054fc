"""The parts of `measure.py` that run in processes of their own; each says what it found as JSON on stdout."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure_rows import GROUPS, JOB, generate

ROOT = Path(__file__).resolve().parent.parent
CENSUS = ROOT / "examples" / "census" / "census.yaml"
ADULT = ROOT / "build" / "demo" / "data"
DIGITS = ROOT / "build" / "examples" / "digits" / "data"
FOOTING = 300_000_000
VGG_EPOCHS = 10

OURS = (
    ("reading and typing", 1),
    ("missing, distinct, duplicates", 1),
    ("group distributions", len(GROUPS)),
    ("overlap with the second file", 1),
    ("conditional counts", 2),
    ("summaries of 4 columns", 4),
    ("anonymity by 5 columns, 3 sensitive", 1),
    ("drift of 3 columns", 3),
    ("shares", 2),
    ("statement", 1),
)


def ours(folder: Path, rows: int) -> dict[str, Any]:
    """A datasheet, with the time between any two reports of progress given to what was done in between."""
    import duckdb
    import numpy as np
    import pyarrow as pa
    import scipy.stats

    from lamslsa.artifact.reader import read_verified
    from lamslsa.measure import load_job
    from lamslsa.measure.data import limits
    from lamslsa.testing.measuring import measure_dataset

    assert all((duckdb, np, pa, scipy.stats))
    paths = generate(folder, rows)
    marks: list[float] = []
    job = load_job(JOB.encode(), "measure_rows.py")
    began = time.process_time()
    with read_verified(paths[0], "dataset") as subject, read_verified(paths[1], "dataset") as reference:
        read = time.process_time() - began
        files = [artifact.only() for artifact in (subject, reference)]
        began = time.process_time()
        for file in files:
            hashlib.sha256(file.view()).hexdigest()
        hashing = time.process_time() - began
        began = time.process_time()
        payload = measure_dataset(
            subject,
            name="rows",
            job=job,
            others={"reference": reference},
            progress=lambda *_: marks.append(time.process_time()),
        )
        ended = time.process_time()
        size = sum(file.entry.size for file in files)
    # The first report comes before anything is read, and the last but one with the last property.
    times = [began, *marks[1:-1], ended]
    assert len(times) == 1 + sum(count for _, count in OURS), len(times)
    seconds = {"SHA-256 of both files": hashing}
    at = 0
    for name, count in OURS:
        seconds[name] = times[at + count] - times[at]
        at += count
    return {
        "seconds": seconds,
        "copy": read - hashing,
        "values": _values(json.loads(payload)["predicate"]),
        "bytes": size,
        "copies": 2 * size,
        "stated": 3 * size + _bytes(limits.DATABASE_MEMORY) + FOOTING,
    }


def _bytes(text: str) -> int:
    assert text.endswith("GB"), text
    return int(text.removesuffix("GB")) * 10**9


def _values(sheet: dict[str, Any]) -> list[Any]:
    """Every value of a datasheet in the shape of `measure_bare.py`."""

    def cells(found: dict[str, Any]) -> list[Any]:
        return [[*cell["values"], cell["count"]] for cell in found["cells"]]

    (anonymity,), (shared,) = sheet["anonymity"], sheet["overlaps"]
    return [
        [[column["missing"], column["distinct"]] for column in sheet["columns"]],
        sheet["duplicates"]["rows"],
        [*map(cells, sheet["distributions"]), cells(sheet["labelBalance"])],
        [shared["rows"], shared["distinct"]],
        [
            [[*group["given"], *cell] for group in item["groups"] for cell in cells(group)]
            for item in sheet["conditional"]
        ],
        [
            [
                *(item[name] for name in ("samples", "minimum", "maximum", "mean", "deviation")),
                *(quantile["value"] for quantile in item["quantiles"]),
            ]
            for item in sheet["summaries"]
        ],
        [anonymity["classes"], anonymity["smallestClass"], *(item["rows"] for item in anonymity["rowsBelow"])],
        [[item["distinctDiversity"], item["entropyDiversity"], item["closeness"]] for item in anonymity["sensitive"]],
        [
            [item["psi"], *(item["kolmogorovSmirnov"][key] for key in ("statistic", "pValue") if key)]
            if "kolmogorovSmirnov" in item
            else [item["psi"]]
            for item in sheet["drift"]
        ],
        [item["holds"] for item in sheet["shares"]],
    ]


def bare(folder: Path, rows: int) -> dict[str, Any]:
    """The peer, with DuckDB's threads and memory as ours has them."""
    import numpy as np
    import scipy.stats
    from measure_bare import QUERIES, Bare

    from lamslsa.measure.data.database import CONFIG

    assert all((np, scipy.stats))
    config = {name: CONFIG[name] for name in ("threads", "memory_limit", "temp_directory")}
    peer = Bare(*generate(folder, rows), config)
    seconds: dict[str, float] = {}
    values = []
    for name, work in QUERIES:
        began = time.process_time()
        found = work(peer)
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - began
        values.append(found)
    return {"seconds": seconds, "values": values[1:]}


def training(what: str, turns: int) -> dict[str, Any]:
    import torch
    from trainings import attested_training, compare, plain_mlp, plain_vgg

    from lamslsa.evidence import attester_for
    from lamslsa.measure import load_job
    from lamslsa.measure.training.images import ImageTraining

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    path, data, plain = (
        (ROOT / "examples" / "digits" / "job.yaml", DIGITS / "train", plain_vgg)
        if what == "vgg"
        else (CENSUS, ADULT / "adult.data", plain_mlp)
    )
    job = load_job(path.read_bytes(), str(path))
    plan = job.require_training()
    if isinstance(plan, ImageTraining):
        job = dataclasses.replace(
            job, training=dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, epochs=VGG_EPOCHS))
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        attester = attester_for("simulated", simulated_platform=folder / "platform", now=dt.datetime.now(dt.UTC))

        def attested(out: Path) -> Any:
            kept = folder / f"kept-{out.name}" if what == "mlp-kept" else None
            if kept is not None:
                kept.mkdir()
            return attested_training(data, job, attester, out, kept=kept)

        found = compare(lambda out: plain(data, job, out), attested, folder, turns=turns)
    return {"plain": found.plain, "attested": found.attested, "ratio": found.ratio, "whole": found.whole}


def evaluation(turns: int) -> dict[str, Any]:
    import torch
    from evaluations import compare_evaluation

    from lamslsa.artifact.reader import read_verified
    from lamslsa.measure import load_job
    from lamslsa.testing.measuring import measure_training

    torch.set_num_threads(1)
    job = load_job(CENSUS.read_bytes(), str(CENSUS))
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        with read_verified(ADULT / "adult.data", "dataset") as rows:
            measure_training(rows, job=job).write(model)
        for name, slices in (("metrics, fairness, slices", True), ("metrics and fairness, no slices", False)):
            spent = compare_evaluation(model, ADULT / "adult.test", job, turns=turns, slices=slices)
            found[name] = dataclasses.asdict(spent)
    return {"found": found}


def main() -> None:
    part, *words = sys.argv[1:]
    if part == "generate":
        generate(Path(words[0]), int(words[1]))
        found: dict[str, Any] = {}
    elif part in ("ours", "bare"):
        found = (ours if part == "ours" else bare)(Path(words[0]), int(words[1]))
    elif part == "training":
        found = training(words[0], int(words[1]))
    else:
        found = evaluation(int(words[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

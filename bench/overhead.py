"""What attesting costs: attested training against the same without lamslsa, and one run's quote and signatures.

    python bench/overhead.py

The plain training is what a user would write with DuckDB, NumPy and PyTorch; its weights must be bit-identical to the
attested ones, else the comparison is refused. CPU seconds of this process, imports excluded, in turns, medians of 5.

The epochs are the same instructions in both and vary by several percent from run to run on a shared machine, more than
the limit. So the CPU time around them is measured apart: extra CPU = (attested - plain) around the epochs, over the
whole plain training. The ratio of the whole is printed beside it. Limits: 2 % extra CPU; 5 ms to quote, bind and sign
one run with the key decrypted.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import safetensors.torch
import torch

from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run
from lamslsa.measure import Job, load_job
from lamslsa.measure.interface import silent
from lamslsa.publish import evidence_statement
from lamslsa.sign import KeySigner, generate
from lamslsa.testing.measuring import attest_training, tabular_training

ROOT = Path(__file__).resolve().parent.parent
CPU_LIMIT, SIGN_LIMIT_MS, RUNS = 1.02, 5.0, 5


def plain_training(path: Path, job: Job, model_out: Path) -> None:
    """The same training, nothing attested."""
    training = tabular_training(job)
    columns = [column.name for column in training.dataset.table.columns]
    numbers = {column.name for column in training.dataset.table.columns if column.type != "string"}
    table = duckdb.connect(config={"threads": 1}).execute(
        "select * from read_csv(?, header=false, delim=',', all_varchar=true, auto_detect=false, columns=?)",
        [str(path), dict.fromkeys(columns, "VARCHAR")],
    )
    raw: dict[str, Any] = table.fetchnumpy()
    values = {name: [None if v.strip() == "?" else v.strip() for v in raw[name].tolist()] for name in columns}
    inputs: list[Any] = []
    for name in columns:
        if name == "income" or name in training.drop:
            continue
        if name in numbers:
            column = np.array(values[name], dtype=np.float64)
            mean = math.fsum(column) / len(column)
            deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in column.tolist()) / len(column))
            inputs.append(((column - mean) / deviation).astype(np.float32)[:, None])
        else:
            categories = sorted({value for value in values[name] if value is not None})
            positions = {category: index for index, category in enumerate(categories)}
            hot = np.zeros((len(values[name]), len(categories)), dtype=np.float32)
            for row, value in enumerate(values[name]):
                if value is not None:
                    hot[row, positions[value]] = 1
            inputs.append(hot)
    features = torch.from_numpy(np.concatenate(inputs, axis=1))
    targets = torch.tensor([float(value == ">50K") for value in values["income"]])

    torch.manual_seed(training.settings.seed)
    widths = [features.shape[1], *training.hidden, 1]
    layers: list[torch.nn.Module] = []
    for below, above in pairwise(widths):
        layers += [torch.nn.Linear(below, above), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    shuffle = torch.Generator().manual_seed(training.settings.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=training.settings.optimizer.learning_rate, foreach=False)
    compute_loss = torch.nn.BCEWithLogitsLoss()
    for _ in range(training.settings.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(len(targets), generator=shuffle), training.settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = compute_loss(model(features[batch]).squeeze(1), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    model_out.mkdir()
    safetensors.torch.save_file(model.state_dict(), model_out / "model.safetensors")


def attested_training(path: Path, job: Job, attester: Attester, model_out: Path) -> Run:
    """The training with its statement and quote."""
    run, trained = attest_training(path, job=job, attester=attester, progress=silent, nonce=Nonce.random())
    trained.write(model_out)
    return run


class Clock:
    """CPU seconds of a training, and of what is around its epochs.

    The epochs begin with the first shuffle and end when the weights are taken out of the model.
    """

    def __init__(self) -> None:
        self._marks: list[float] = []
        self._shuffle, self._weights = torch.randperm, torch.nn.Module.state_dict

    def time(self, work: Callable[[], object]) -> tuple[float, float]:
        self._marks.clear()
        torch.randperm = self._marked(self._shuffle)
        torch.nn.Module.state_dict = self._marked(self._weights)  # type: ignore[method-assign]  # put back below
        began = time.process_time()
        try:
            work()
        finally:
            torch.randperm = self._shuffle
            torch.nn.Module.state_dict = self._weights  # type: ignore[method-assign]  # as it was
        whole = time.process_time() - began
        return whole, whole - (self._marks[-1] - self._marks[0])

    def _marked(self, function: Any) -> Any:
        def marked(*arguments: Any, **keywords: Any) -> Any:
            self._marks.append(time.process_time())
            return function(*arguments, **keywords)

        return marked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "demo" / "data" / "adult.data")
    parser.add_argument("--job", type=Path, default=ROOT / "examples" / "census" / "census.yaml")
    chosen = parser.parse_args()
    job = load_job(chosen.job.read_bytes(), source=str(chosen.job))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        attester = attester_for("simulated", simulated_platform=folder / "platform", now=dt.datetime.now(dt.UTC))
        signer = KeySigner.load(generate(None), None)
        plain, attested, ratios, signing = [], [], [], []
        runs: list[Run] = []
        clock = Clock()
        for turn in range(RUNS + 1):
            models = folder / f"plain-{turn}", folder / f"attested-{turn}"
            work = (
                lambda out=models[0]: plain_training(chosen.data, job, out),
                lambda out=models[1]: runs.append(attested_training(chosen.data, job, attester, out)),
            )
            order = (0, 1) if turn % 2 else (1, 0)  # in turns, so that a machine that slows down favours neither
            seconds = {index: clock.time(work[index]) for index in order}
            weights = {(model / "model.safetensors").read_bytes() for model in models}
            if len({bytes_without_order(data) for data in weights}) != 1:
                sys.exit("expected bit-identical weights from both trainings, got others")
            if turn:  # the first turn warms up
                (whole, around), (attested_whole, attested_around) = seconds[0], seconds[1]
                plain.append(whole)
                attested.append(attested_whole)
                ratios.append(1 + (attested_around - around) / whole)
        for _ in range(50):
            began = time.perf_counter()
            attester.quote(bytes(64))
            signer.sign(evidence_statement(runs[-1]))
            for item in runs[-1].statements:
                signer.sign(item.payload)
            signing.append((time.perf_counter() - began) * 1e3)

    ratio, sign_ms = statistics.median(ratios), statistics.median(signing)
    whole_ratio = statistics.median(b / a for a, b in zip(plain, attested, strict=True))
    print(f"{'attesting':<40}{'median':>12}{'limit':>10}{'ratio':>8}")
    print(f"{'plain training, CPU':<40}{statistics.median(plain):>10.2f} s")
    print(f"{'attested training, CPU':<40}{statistics.median(attested):>10.2f} s")
    print(f"{'attested / plain, epochs and all':<40}{whole_ratio:>12.4f}")
    print(f"{'attested / plain, equal epochs':<40}{ratio:>12.4f}{CPU_LIMIT:>10.2f}{ratio / CPU_LIMIT:>8.2f}")
    print(
        f"{'quote, bind and sign one run':<40}{sign_ms:>9.2f} ms{SIGN_LIMIT_MS:>7.2f} ms{sign_ms / SIGN_LIMIT_MS:>8.2f}"
    )


def bytes_without_order(data: bytes) -> bytes:
    """The tensors of a safetensors file in one order: header layout is no part of the comparison."""
    tensors = safetensors.torch.load(data)
    return b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))


if __name__ == "__main__":
    main()

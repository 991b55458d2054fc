"""Trainings that are attested, and the same without lamslsa: what users would write with DuckDB, Pillow and PyTorch.

The weights of both must be bit-identical, else a comparison is refused. The epochs are the same instructions in both
and vary by several percent from run to run on a shared machine, more than any limit here. So the CPU time around them
is measured apart: extra CPU = (attested - plain) outside of the steps, over the whole plain training. The steps of an
epoch begin when its first gradients are cleared and end when the last update is done; what is hashed before or after
them, and between epochs, is outside.
"""

from __future__ import annotations

import functools
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import safetensors.torch
import torch
from PIL import Image

from lamslsa.attest import Planned, attest
from lamslsa.evidence import Attester
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run
from lamslsa.measure import Context, Job
from lamslsa.measure.checkpoints import KEY_BYTES, SealedFolder
from lamslsa.measure.environment import code_identity
from lamslsa.measure.interface import silent
from lamslsa.measure.training.images import ImageTraining
from lamslsa.testing.measuring import tabular_training

__all__ = ["Compared", "attested_training", "compare", "plain_mlp", "plain_vgg"]

VGG11 = (1, 1, 2, 2, 2), (1, 2, 4, 8, 8)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Medians: CPU seconds of both, and attested over plain: of the whole, and with the same steps in both."""

    plain: float
    attested: float
    whole: float
    ratio: float
    runs: list[Run]


def plain_mlp(path: Path, job: Job, model_out: Path) -> None:
    """The network over a table, nothing attested."""
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
    layers: list[torch.nn.Module] = []
    for below, above in pairwise([features.shape[1], *training.hidden, 1]):
        layers += [torch.nn.Linear(below, above), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    compute_loss = torch.nn.BCEWithLogitsLoss()
    _epochs(
        model,
        training.settings,
        len(targets),
        lambda batch: compute_loss(model(features[batch]).squeeze(1), targets[batch]),
    )
    _save(model.state_dict(), model_out)


def plain_vgg(folder: Path, job: Job, model_out: Path) -> None:
    """VGG11 over a folder of images, nothing attested."""
    training = job.require_training()
    if not isinstance(training, ImageTraining):
        raise TypeError("expected a training over images")
    paths = sorted(folder.glob("*/*.png"), key=lambda path: path.relative_to(folder).as_posix().encode())
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in paths])).unsqueeze(1)
    targets = torch.tensor([int(path.parent.name) for path in paths])
    scaled = pixels.numpy() / 255
    mean, deviation = float(scaled.mean()), float(scaled.std())

    torch.manual_seed(training.settings.seed)
    layers: list[torch.nn.Module] = []
    below, side = 1, training.schema.height
    for count, times in zip(*VGG11, strict=True):
        for _ in range(count):
            above = training.first_width * times
            layers += [torch.nn.Conv2d(below, above, kernel_size=3, padding=1), torch.nn.BatchNorm2d(above)]
            layers.append(torch.nn.ReLU())
            below = above
        if side >= 2:
            layers.append(torch.nn.MaxPool2d(2))
            side //= 2
    layers.append(torch.nn.Flatten())
    for width in training.hidden:
        layers += [torch.nn.Linear(below, width), torch.nn.ReLU(), torch.nn.Dropout(training.dropout)]
        below = width
    layers.append(torch.nn.Linear(below, len(training.schema.classes)))
    model = torch.nn.Sequential(*layers).train()
    compute_loss = torch.nn.CrossEntropyLoss()

    def loss(batch: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = compute_loss(model((pixels[batch].float() / 255 - mean) / deviation), targets[batch])
        return found

    _epochs(model, training.settings, len(targets), loss)
    _save({name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}, model_out)


def _epochs(model: torch.nn.Module, settings: Any, rows: int, loss_of: Callable[[torch.Tensor], torch.Tensor]) -> None:
    shuffle = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.optimizer.learning_rate, foreach=False)
    for _ in range(settings.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(rows, generator=shuffle), settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)


def _save(state: dict[str, torch.Tensor], model_out: Path) -> None:
    model_out.mkdir()
    safetensors.torch.save_file(state, model_out / "model.safetensors")


def attested_training(path: Path, job: Job, attester: Attester, model_out: Path, *, kept: Path | None = None) -> Run:
    """The training with its statement and quote; checkpoints are sealed in the folder `kept`, if there is one."""
    code_identity.cache_clear()  # a process that attests has read its files once
    planned = Planned(plan=job.require_training(), paths={"train": path})
    checkpoints = None if kept is None else SealedFolder(kept, key=bytes(KEY_BYTES))
    context = Context(progress=silent, checkpoints=checkpoints)
    run, made = attest([planned], attester=attester, nonce=Nonce.random(), context=context)
    (trained,) = made.outputs.values()
    trained.write(model_out)
    return run


class Clock:
    """CPU seconds of a training, and of all in it that is no step of an epoch."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._stepped = 0.0
        self._steps = 0.0

    def time(self, work: Callable[[], object]) -> tuple[float, float]:
        self._began, self._steps = None, 0.0
        shuffle, clear, step = torch.randperm, torch.optim.Adam.zero_grad, torch.optim.Adam.step
        torch.randperm = self._before(shuffle, self._end)
        torch.optim.Adam.zero_grad = self._before(clear, self._begin)  # type: ignore[method-assign]  # put back below
        torch.optim.Adam.step = self._after(step)  # type: ignore[method-assign]
        began = time.process_time()
        try:
            work()
        finally:
            torch.randperm = shuffle
            torch.optim.Adam.zero_grad = clear  # type: ignore[method-assign]  # as it was
            torch.optim.Adam.step = step  # type: ignore[method-assign]
        whole = time.process_time() - began
        self._end()
        return whole, whole - self._steps

    def _begin(self) -> None:
        if self._began is None:
            self._began = time.process_time()

    def _end(self) -> None:
        if self._began is not None:
            self._steps += self._stepped - self._began
            self._began = None

    @staticmethod
    def _before(function: Any, mark: Callable[[], None]) -> Any:
        @functools.wraps(function)
        def marked(*arguments: Any, **keywords: Any) -> Any:
            mark()
            return function(*arguments, **keywords)

        return marked

    def _after(self, function: Any) -> Any:
        @functools.wraps(function)
        def marked(*arguments: Any, **keywords: Any) -> Any:
            found = function(*arguments, **keywords)
            self._stepped = time.process_time()
            return found

        return marked


def compare(plain: Callable[[Path], object], attested: Callable[[Path], Run], folder: Path, *, turns: int) -> Compared:
    """Both in turns, so that a machine that slows down favours neither; the first turn warms up."""
    taken: list[tuple[float, float, float]] = []
    runs: list[Run] = []
    clock = Clock()
    for turn in range(turns + 1):
        models = folder / f"plain-{turn}", folder / f"attested-{turn}"
        work = (lambda out=models[0]: plain(out), lambda out=models[1]: runs.append(attested(out)))
        seconds = {index: clock.time(work[index]) for index in ((0, 1) if turn % 2 else (1, 0))}
        if len({_tensors((model / "model.safetensors").read_bytes()) for model in models}) != 1:
            sys.exit("expected bit-identical weights from both trainings, got others")
        if turn:
            (whole, around), (attested_whole, attested_around) = seconds[0], seconds[1]
            taken.append((whole, attested_whole, 1 + (attested_around - around) / whole))
    return Compared(
        plain=statistics.median(item[0] for item in taken),
        attested=statistics.median(item[1] for item in taken),
        whole=statistics.median(item[1] / item[0] for item in taken),
        ratio=statistics.median(item[2] for item in taken),
        runs=runs,
    )


def _tensors(data: bytes) -> tuple[bytes, ...]:
    """The tensors of a safetensors file in their order by name, without the names: networks number their layers each
    in its own way, but in the same order."""
    tensors = safetensors.torch.load(data)
    return tuple(sorted(tensor.numpy().tobytes() for tensor in tensors.values()))

"""A small world in the shape of Adult: a job file, and CSV bytes drawn from a fixed seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact.manifest import Kind
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.measure import Job, load_job
from lamslsa.testing.measuring import measure_training

JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  people:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: "?"
    columns:
      - {name: age, type: integer}
      - {name: work class, type: string}
      - {name: score, type: number}
      - {name: member, type: boolean}
      - {name: sex, type: string}
      - {name: race, type: string}
      - {name: income, type: string}
    label: {column: income, classes: {"<=50K": 0, "<=50K.": 0, ">50K": 1, ">50K.": 1}}
datasets:
  people-train: {schema: people, skipLines: 0, groups: [[sex], [sex, race], [race, income]], overlap: []}
  people-test:
    schema: people
    skipLines: 1
    groups: [[member], [sex, race]]
    overlap: [people-train]
    declared: {license: CC-BY-4.0, source: a test}
training: {trainer: tabular-mlp/1, model: people-mlp, dataset: people-train, hidden: [8, 4], epochs: 3, batchSize: 32,
  learningRate: 1e-2, weightDecay: 0, optimizer: adam, seed: 7, drop: [score]}
evaluation: {measurer: tabular-evaluation/1, dataset: people-test, rows: all, threshold: 0.5, confidenceLevel: 0.95,
  resamples: 200, calibrationBins: 10, groups: [[sex], [race]], slices: [[sex, race]]}
"""

Read = Callable[..., VerifiedArtifact]


def draw_rows(count: int, seed: int) -> list[list[str]]:
    """Rows as texts, with missing values, duplicates and a label that follows age and membership."""
    source = random.Random(seed)
    rows: list[list[str]] = []
    while len(rows) < count:
        if rows and source.random() < 0.05:
            rows.append(list(source.choice(rows)))
            continue
        age, member = source.randint(17, 90), source.random() < 0.4
        rich = source.random() < (0.1 + 0.4 * member + 0.3 * (age > 45))
        rows.append(
            [
                str(age),
                source.choice(["Private", "State-gov", "Self-emp", "?"]),
                source.choice([f"{source.uniform(-9, 9):.3f}", "?", "1e3", "-0"]),
                "true" if member else "false",
                source.choice(["Male", "Male", "Female"]),
                source.choice(["White", "White", "Black", "Other"]),
                ">50K" if rich else "<=50K",
            ]
        )
    return rows


def to_csv(rows: list[list[str]], *, first: str = "", dot: str = "") -> bytes:
    """As Adult is published: a blank after each comma, an empty line at the end."""
    return (first + "".join(", ".join([*row[:-1], row[-1] + dot]) + "\n" for row in rows) + "\n").encode()


@pytest.fixture(scope="session")
def train_rows() -> list[list[str]]:
    return draw_rows(500, 1)


@pytest.fixture(scope="session")
def test_rows(train_rows: list[list[str]]) -> list[list[str]]:
    return draw_rows(300, 2) + [list(row) for row in train_rows[:7]]


@pytest.fixture
def job_text() -> str:
    return JOB


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(*changes: tuple[str, str]) -> Job:
        text = JOB
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return load_job(text.encode(), "job.yaml")

    return make


@pytest.fixture
def job(make_job: Callable[..., Job]) -> Job:
    return make_job()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Write files below ``tmp_path`` and read them as a verified artifact."""
    with ExitStack() as stack:
        count = 0

        def one(files: dict[str, bytes], kind: Kind = "dataset") -> VerifiedArtifact:
            nonlocal count
            count += 1
            root = tmp_path / f"artifact-{count}"
            for name, data in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
            single = root / next(iter(files)) if len(files) == 1 and kind == "dataset" else root
            return stack.enter_context(read_verified(single, kind))

        yield one


@pytest.fixture
def train_set(read: Read, train_rows: list[list[str]]) -> VerifiedArtifact:
    return read({"people.data": to_csv(train_rows)})


@pytest.fixture
def test_set(read: Read, test_rows: list[list[str]]) -> VerifiedArtifact:
    return read({"people.test": to_csv(test_rows, first="|1x3 Cross validator\n", dot=".")})


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, train_rows: list[list[str]]) -> dict[str, bytes]:
    """A trained model, path to bytes."""
    path = tmp_path_factory.mktemp("training") / "people.data"
    path.write_bytes(to_csv(train_rows))
    with read_verified(path, "dataset") as artifact:
        return dict(measure_training(artifact, job=load_job(JOB.encode(), "job.yaml")).files)


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A job on real data: see `tests.unit.measure.real_world.World`."""
    from tests.unit.measure.real_world import World

    with ExitStack() as stack:

        def make(text: str, data: Mapping[str, bytes | Mapping[str, bytes]]) -> World:
            return World(tmp_path_factory.mktemp("world"), text, data, stack)

        yield make


@pytest.fixture(scope="session")
def census(adult: Path, make_world: Callable[..., Any]) -> Any:
    """UCI Adult and a network of it: a `tests.unit.measure.real_world.Census`."""
    from tests.unit.measure.real_world import read_census

    return read_census(adult, make_world)


@pytest.fixture(scope="session")
def rival(census: Any, make_world: Callable[..., Any]) -> Any:
    """Another network of the same rows, which started from other weights: a `tests.unit.measure.real_world.World`."""
    from tests.unit.measure.real_world import ADULT

    return make_world(ADULT.replace("seed: 7", "seed: 8"), census.bytes_of())


@pytest.fixture(scope="session")
def linear_model() -> Callable[..., dict[str, bytes]]:
    """The files of a ``tabular-mlp/1`` without hidden layers, of coefficients that somebody else found."""
    import numpy as np
    import safetensors.numpy

    def build(
        features: list[dict[str, Any]],
        coefficients: Any,
        intercept: Any,
        *,
        label: str,
        says: dict[str, Any] | None = None,
    ) -> dict[str, bytes]:
        description: dict[str, Any] = {"architecture": "tabular-mlp/1", "features": features, "hidden": []}
        description |= {"label": label} | ({} if says is None else {"says": says})
        weights = {
            "0.weight": np.ascontiguousarray(np.atleast_2d(coefficients), np.float32),
            "0.bias": np.ascontiguousarray(np.atleast_1d(intercept), np.float32),
        }
        return {
            "model.json": json.dumps(description).encode(),
            "model.safetensors": safetensors.numpy.save(weights),
        }

    return build

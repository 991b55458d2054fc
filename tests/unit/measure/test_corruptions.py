"""Damaged images, rows and texts: by hand, by other libraries, and in the statement."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Job
from lamslsa.measure.data.schema import ImageSchema, Task
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.evaluation.corruption import Corruptions, corrupter
from lamslsa.measure.evaluation.corruption_images import IMAGES, disk
from lamslsa.measure.evaluation.corruption_rows import TABLES, TEXTS, Place, Table, lacking, places
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.features import CategoryFeature, NumberFeature
from lamslsa.measure.models.interface import ImageInputs, TableInputs, TextInputs
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.measure.models.words import encode_texts
from lamslsa.measure.registry import BUILT_IN
from lamslsa.predicates import Evaluation
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB

pytest.importorskip("torch")
pytest.importorskip("PIL")

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]
SEED = bytes(range(32))
EVALUATION = JOB[JOB.index("evaluation: ") :].rstrip()
CORRUPTIONS = """evaluation: {measurer: corruptions/1, dataset: people-test, rows: all, confidenceLevel: 0.95,
  resamples: 50, corruptions: all, severities: [1, 5], columns: all}"""


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def random(seed: int = 0) -> Any:
    return np.random.default_rng(seed)


def damaged(name: str, images: Any, amount: float) -> Any:
    return IMAGES[name][0](images, random(), amount)


@pytest.fixture
def colours() -> Any:
    return (random(1).integers(0, 256, (5, 3, 12, 10)) / 255).astype(np.float32)


@pytest.fixture
def greys() -> Any:
    from sklearn.datasets import load_digits

    return (load_digits().images[:40, None] / 16).astype(np.float32)


@pytest.mark.parametrize("name", list(IMAGES))
def test_every_result_is_an_image_and_severity_grows(name: str, colours: Any, greys: Any) -> None:
    for images in (colours, greys):
        before = images.copy()
        distances = []
        for amount in IMAGES[name][1]:
            found = damaged(name, images, amount)
            assert found.dtype == np.float32
            assert found.shape == images.shape
            assert (found == damaged(name, images, amount)).all()
            assert (np.round(found * 255) / 255 == pytest.approx(found, abs=1e-7)) is True
            assert 0 <= found.min() <= found.max() <= 1
            distances.append(float(np.abs(found - images).mean()))
        assert (images == before).all()
        assert distances[0] > 0
        assert distances[-1] > distances[0] * 1.05
    assert damaged(name, colours[:0], IMAGES[name][1][0]).shape == (0, 3, 12, 10)


def test_noises_have_the_distributions_that_they_name() -> None:
    flat = np.full((1, 1, 200, 200), 0.5, dtype=np.float32)
    gaussian = damaged("gaussian-noise", flat, 0.08)
    assert gaussian.mean() == pytest.approx(0.5, abs=0.002)
    assert gaussian.std() == pytest.approx(0.08, rel=0.03)
    shot = damaged("shot-noise", flat, 100)  # a Poisson variable of mean 50, by 100
    assert shot.mean() == pytest.approx(0.5, abs=0.002)
    assert shot.std() == pytest.approx(np.sqrt(50) / 100, rel=0.03)
    impulse = damaged("impulse-noise", flat, 0.07)
    assert (impulse == 0).mean() == pytest.approx(0.035, abs=0.004)
    assert (impulse == 1).mean() == pytest.approx(0.035, abs=0.004)
    assert np.isin(impulse, np.array([0, 1, 128 / 255], dtype=np.float32)).all()
    assert not damaged("shot-noise", np.zeros((1, 1, 4, 4), dtype=np.float32), 50).any()


def test_brightness_is_that_of_the_standard_library(colours: Any) -> None:
    colours[0, :, 0, 0] = 0
    found = damaged("brightness", colours, 0.2)
    for image in range(5):
        for row in range(12):
            for column in range(10):
                hue, saturation, value = colorsys.rgb_to_hsv(*colours[image, :, row, column].tolist())
                expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2))
                assert found[image, :, row, column] == pytest.approx(np.array(expected), abs=0.5 / 255 + 1e-6)
    grey = np.array([[[[0.0, 0.5, 0.9]]]], dtype=np.float32)
    assert damaged("brightness", grey, 0.2).reshape(-1).tolist() == pytest.approx([0.2, 0.7, 1.0], abs=0.003)


def test_contrast_by_hand() -> None:
    image = np.array([[[[0.0, 0.4], [0.8, 0.4]]]], dtype=np.float32)
    assert damaged("contrast", image, 0.5).reshape(-1) == pytest.approx(np.array([0.2, 0.4, 0.6, 0.4]), abs=0.003)


def test_defocus_by_brute_force(greys: Any) -> None:
    for radius in IMAGES["defocus-blur"][1]:
        kernel = disk(radius)
        reach = kernel.shape[0] // 2
        assert kernel.sum() == pytest.approx(1)
        assert (kernel == kernel.T).all()
        assert (kernel == kernel[::-1]).all()
        assert kernel[reach, reach] == pytest.approx(1 / (np.pi * radius**2), rel=0.02)
        image = greys[3, 0].astype(np.float64)
        padded = np.pad(image, reach, mode="symmetric")
        expected = np.zeros((8, 8))
        for row in range(8):
            for column in range(8):
                window = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
                expected[row, column] = (window * kernel).sum()
        assert damaged("defocus-blur", greys[3:4], radius)[0, 0] == pytest.approx(expected, abs=0.5 / 255 + 1e-6)


def test_pixelate_is_the_mean_of_boxes(greys: Any) -> None:
    found = damaged("pixelate", greys, 0.5)
    means = greys.reshape(40, 4, 2, 4, 2).mean(axis=(2, 4))
    assert found[:, 0] == pytest.approx(means.repeat(2, axis=1).repeat(2, axis=2), abs=0.5 / 255 + 1e-6)
    assert damaged("pixelate", greys[:, :, :1, :1], 0.65) == pytest.approx(greys[:, :, :1, :1], abs=0.003)


def test_jpeg_is_that_of_a_file(colours: Any, greys: Any) -> None:
    from PIL import Image

    for images, mode in ((colours, "RGB"), (greys, "L")):
        found = damaged("jpeg", images, 50)
        pixels = np.round(images[1].transpose(1, 2, 0) * 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.frombytes(mode, (images.shape[3], images.shape[2]), pixels.tobytes()).save(stream, "JPEG", quality=50)
        with Image.open(stream) as opened:
            expected = np.frombuffer(opened.tobytes(), dtype=np.uint8).reshape(pixels.shape)
        assert np.round(found[1].transpose(1, 2, 0) * 255).astype(np.uint8).tolist() == expected.tolist()


FEATURES = (
    NumberFeature(name="age", mean=40.0, deviation=10.0),
    CategoryFeature(name="work", categories=("a", "b", "c")),
    NumberFeature(name="member", mean=0.5, deviation=0.5),
    CategoryFeature(name="only", categories=("x",)),
    CategoryFeature(name="none", categories=()),
)


def table(rows: int = 4000) -> Table:
    source = random(2)
    inputs = np.zeros((rows, 6), dtype=np.float32)
    inputs[:, 0] = source.normal(size=rows)
    inputs[np.arange(rows), 1 + source.integers(0, 3, rows)] = 1
    inputs[:50, 1:4] = 0  # missing, or unknown to the model
    inputs[:, 4] = source.choice([-1, 1], rows)
    inputs[:, 5] = 1
    absent = np.arange(rows) < 30
    inputs[absent, 0] = 0
    return Table(inputs=inputs, places=places(TableInputs(features=FEATURES)), absent={"age": absent})


def test_places_are_those_of_the_encoder() -> None:
    assert places(TableInputs(features=FEATURES)) == (
        Place(name="age", start=0, categories=0),
        Place(name="work", start=1, categories=3),
        Place(name="member", start=4, categories=0),
        Place(name="only", start=5, categories=1),
    )


def test_missing_values() -> None:
    before = table()
    found = TABLES["missing-values"][0](before, random(), 0.3)
    gone = (found == 0) & (before.inputs != 0)
    assert gone[:, 0].mean() == pytest.approx(0.3, abs=0.03)
    assert gone[:, 5].mean() == pytest.approx(0.3, abs=0.03)
    assert gone[50:, 1:4].any(axis=1).mean() == pytest.approx(0.3, abs=0.03)
    assert (found[~gone] == before.inputs[~gone]).all()
    assert set(np.unique(found[:, 1:4].sum(axis=1)).tolist()) == {0, 1}
    both = gone[:, 0] & gone[:, 5]
    assert both.mean() == pytest.approx(0.09, abs=0.02)  # each feature by itself


def test_numeric_noise() -> None:
    before = table()
    found = TABLES["numeric-noise"][0](before, random(), 0.5)
    moved = found - before.inputs
    assert not moved[:, 1:].any()
    assert not moved[:30].any()
    assert moved[30:, 0].std() == pytest.approx(0.5, rel=0.05)
    assert moved[30:, 0].mean() == pytest.approx(0, abs=0.03)


def test_category_swaps() -> None:
    before = table()
    found = TABLES["category-swaps"][0](before, random(), 0.2)
    assert (np.delete(found, [1, 2, 3], axis=1) == np.delete(before.inputs, [1, 2, 3], axis=1)).all()
    assert not found[:50, 1:4].any()
    assert (found[50:, 1:4].sum(axis=1) == 1).all()
    old, new = before.inputs[50:, 1:4].argmax(1), found[50:, 1:4].argmax(1)
    assert (old != new).mean() == pytest.approx(0.2, abs=0.02)
    shifts = ((new - old) % 3)[old != new]
    assert (shifts == 1).mean() == pytest.approx(0.5, abs=0.06)


def test_what_would_do_nothing_says_so() -> None:
    bare = Table(inputs=np.zeros((3, 2)), places=(Place(name="a", start=0, categories=1),), absent={})
    assert lacking(bare) == {
        "numeric-noise": "there is no number to add noise to",
        "category-swaps": "there is no feature of two categories or more",
    }
    assert lacking(table(60)) == {}


def test_typos_and_dropped_words() -> None:
    texts = ["the quick brown fox, 123 times", "", "Straße", "x" * 5000, "one two " * 2000]
    for amount in TEXTS["typos"][1]:
        found = TEXTS["typos"][0](texts, random(3), amount)
        assert found == TEXTS["typos"][0](texts, random(3), amount)
        assert found[1] == ""
        assert "123" in found[0]
        # Of letters that are hit a quarter is left out, a quarter doubled: the length stays about the same.
        assert len(found[3]) == pytest.approx(5000, rel=0.05)
        changed = sum(letter != "x" for letter in found[3])
        assert changed == pytest.approx(5000 * amount / 4, rel=0.5, abs=5)
    assert TEXTS["typos"][0](texts, random(), 0) == texts
    for amount in TEXTS["word-drops"][1]:
        found = TEXTS["word-drops"][0](texts, random(3), amount)
        assert len(found[4].split()) == pytest.approx(4000 * (1 - amount), rel=0.05)
        assert set(found[4].split()) == {"one", "two"}
        assert found[1] == ""
    swapped = {TEXTS["typos"][0](["ab"], random(seed), 1)[0] for seed in range(200)}
    assert {"ba", "aabb", ""} <= swapped


def parsed(payload: bytes) -> Evaluation:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Evaluation)
    return predicate


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def run(job: Job, model: VerifiedArtifact, data: VerifiedArtifact) -> bytes:
    (plan,) = job.require_evaluations().values()
    return run_plan(plan, {"model": model, "dataset": data}, name="people-mlp")[0]


def test_statement(make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    job = make_job((EVALUATION, CORRUPTIONS))
    payload = run(job, model, test_set)
    assert payload == run(job, model, test_set)
    found = parsed(payload)
    assert found.configuration == {
        "rows": "all", "confidenceLevel": 0.95, "resamples": 50, "corruptions": "all", "severities": [1, 5],
        "columns": "all",
    }  # fmt: skip
    by_damage = {
        (item.parameters["corruption"], item.parameters["severity"]): item.value
        for item in found.metrics
        if item.parameters and "severity" in item.parameters
    }
    assert list(by_damage) == [(name, severity) for name in TABLES for severity in (1, 5)]
    accuracy = found.metrics[0].value
    assert accuracy is not None
    assert found.metrics[0].name == "accuracy"
    mean, drop = found.metrics[-2:]
    assert mean.name == "mean_corruption_accuracy"
    assert mean.parameters == drop.parameters == {"corruptions": "missing-values,numeric-noise,category-swaps"}
    assert mean.value == pytest.approx(np.mean(list(by_damage.values())))
    assert drop.value == pytest.approx(1 - (mean.value or 0) / accuracy)
    assert mean.interval is not None
    assert mean.interval.lower < (mean.value or 0) < mean.interval.upper
    part = parsed(run(make_job((EVALUATION, CORRUPTIONS.replace("[1, 5]", "[5]"))), model, test_set))
    assert len(part.metrics) == 1 + 3 + 2


def test_no_value_depends_on_which_others_were_asked_for(job: Job, model: VerifiedArtifact) -> None:
    loaded = load_model(model)
    inputs = random().normal(size=(80, 10)).astype(np.float32)
    examples = Examples(inputs=inputs, labels=random().integers(0, 2, 80), columns={"age": ["1"] * 80})

    def metrics(**changes: Any) -> dict[Any, float | None]:
        values: dict[str, Any] = {
            "dataset": job.dataset("people-test"), "rows": None, "confidence_level": 0.9, "resamples": 3,
            "corruptions": None, "severities": (1, 2), "columns": None,
        }  # fmt: skip
        plan = Corruptions(**(values | changes))
        found = plan.metrics(loaded, examples, SEED, Context())
        return {
            tuple(item.parameters.values()): item.value
            for item in found
            if item.parameters and "severity" in item.parameters
        }

    whole = metrics()
    assert len(whole) == 6
    assert metrics(corruptions=("numeric-noise",), severities=(2,)) == {("numeric-noise", 2): whole["numeric-noise", 2]}
    assert metrics(columns=("age",))["category-swaps", 1] is None


def test_only_declared_columns_are_damaged(
    make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    found = parsed(run(make_job((EVALUATION, CORRUPTIONS.replace("columns: all", "columns: [sex]"))), model, test_set))
    undefined = [
        item.undefined for item in found.metrics if (item.parameters or {}).get("corruption") == "numeric-noise"
    ]
    assert undefined == 2 * ["there is no number to add noise to"]
    assert [item.parameters for item in found.metrics[-2:]] == 2 * [{"corruptions": "missing-values,category-swaps"}]
    loaded = load_model(model)
    examples = Examples(inputs=np.ones((50, 10), dtype=np.float32), labels=np.zeros(50), columns={})
    _, make, _ = corrupter(loaded, examples, ("sex",))
    changed = (make("missing-values", 5, random()) != 1).any(axis=0)
    place = next(item for item in places(loaded.description.inputs) if item.name == "sex")  # type: ignore[arg-type]
    assert np.flatnonzero(changed).tolist() == list(range(place.start, place.start + place.categories))


class Described:
    architecture = "test/1"
    label = "folder"

    def __init__(self, inputs: Any, classes: int | None) -> None:
        self.inputs = inputs
        self.task = Task(classes=classes)

    def refuse(self) -> None: ...


def plan(**changes: Any) -> Corruptions:
    schema = ImageSchema(channels=1, height=8, width=8, classes={"a": 0, "b": 1})
    values: dict[str, Any] = {
        "dataset": DatasetJob(name="digits", schema=schema, groups=(), overlap=(), declared=None), "rows": None,
        "confidence_level": 0.9, "resamples": 10, "corruptions": None, "severities": (1, 2, 3, 4, 5), "columns": None,
    }  # fmt: skip
    return Corruptions(**(values | changes))


def test_images_through_a_model(greys: Any) -> None:
    """The mean brightness decides: what damage does to the mean, it does to the class."""
    labels = (greys.mean(axis=(1, 2, 3)) >= 0.3).astype(np.int64)

    def answer(batch: Any) -> Any:
        return (batch.mean(axis=(1, 2, 3)) + 0.2).astype(np.float32)

    loaded = LoadedModel(
        description=Described(ImageInputs(channels=1, height=8, width=8), 2), network=None, answer=answer
    )
    examples = Examples(inputs=greys, labels=labels, columns={})
    found = plan().metrics(loaded, examples, SEED, Context())
    values = {tuple(item.parameters.values()): item.value for item in found[:-2] if item.parameters}
    assert len(values) == 8 * 5
    assert found[0].value == 1
    brighter = np.minimum(greys + 0.3, 1).mean(axis=(1, 2, 3)) >= 0.3
    assert values["brightness", 5] == pytest.approx((brighter == labels).mean(), abs=0.03)
    assert values["contrast", 5] == pytest.approx(1, abs=0.05)
    never = plan().metrics(loaded, Examples(inputs=greys, labels=1 - labels, columns={}), SEED, Context())
    assert never[-1].undefined == "no row gets its class to begin with"
    empty = plan().metrics(loaded, Examples(inputs=greys[:0], labels=labels[:0], columns={}), SEED, Context())
    assert {item.undefined for item in empty} == {"there are no rows"}


def test_texts_through_a_model() -> None:
    what = TextInputs(column="review", vocabulary=("good", "bad"), length=5)
    texts = ["good good good", "bad bad", "(missing)"] * 40
    clean = encode_texts(["" if text == "(missing)" else text for text in texts], what)
    labels = np.array([1, 0, 0] * 40)
    loaded = LoadedModel(
        description=Described(what, 2), network=None, answer=lambda batch: (batch == 2).any(axis=1).astype(np.float32)
    )
    examples = Examples(inputs=clean, labels=labels, columns={"review": texts})
    assert plan().wanted_columns(loaded) == ("review",)
    found = plan().metrics(loaded, examples, SEED, Context())
    values = {tuple(item.parameters.values()): item.value for item in found[:-2] if item.parameters}
    assert len(values) == 2 * 5
    assert found[0].value == 1
    assert values["word-drops", 5] == pytest.approx(1 - 0.5**3 / 3, abs=0.06)
    # A word of four letters survives with (1 - a)^4; a good review needs one of three.
    survives = 1 - (1 - 0.8**4) ** 3
    assert values["typos", 5] == pytest.approx(1 - (1 - survives) / 3, abs=0.08)


def test_refusals(make_job: MakeJob, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    for changes, reason in (
        ([("corruptions: all", "corruptions: [jpeg]")], "corruption-kind"),
        ([("columns: all", "columns: [score]")], "corruption-columns"),
    ):
        text = CORRUPTIONS
        for old, new in changes:
            text = text.replace(old, new)
        with pytest.raises(FormatError) as caught:
            run(make_job((EVALUATION, text)), model, test_set)
        assert caught.value.reason == reason
    images = LoadedModel(
        description=Described(ImageInputs(channels=1, height=8, width=8), 2), network=None, answer=lambda batch: batch
    )
    with pytest.raises(FormatError) as caught:
        plan(columns=("x",)).wanted_columns(images)
    assert caught.value.reason == "corruption-columns"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("severities: [1, 5]", "severities: [5, 1]", "job-severities"),
        ("severities: [1, 5]", "severities: [0]", "yaml-range"),
        ("severities: [1, 5]", "severities: [6]", "yaml-range"),
        ("corruptions: all", "corruptions: [rain]", "yaml-choice"),
        ("corruptions: all", "corruptions: [typos, typos]", "job-corruptions"),
        ("corruptions: all", "corruptions: some", "yaml-choice"),
        ("columns: all", "columns: [income]", "yaml-choice"),
        (", columns: all", "", "yaml-missing-key"),
    ],
)
def test_mistakes_in_a_job_are_refused(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        make_job((EVALUATION, CORRUPTIONS.replace(old, new)))
    assert caught.value.reason == reason


def test_images_are_declared_without_columns() -> None:
    text = CORRUPTIONS[len("evaluation: ") :].replace("people-test", "digits")
    scope = Scope(datasets={"digits": plan().dataset})
    declared = BUILT_IN.declare(
        "evaluation", "measurer", _yaml.loads(text.encode(), source="job.yaml").mapping(), scope
    )
    assert declared.steps() == ("all corruptions at severity 1, 5 on all rows of digits",)

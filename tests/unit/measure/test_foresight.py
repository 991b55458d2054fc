"""What plans say of themselves before they are run is what comes of them, and every built-in plan says how long."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest

from lamslsa.attest import Planned, read_inputs
from lamslsa.measure import Context, Outcome, Plan, foresight, load_job
from lamslsa.measure.dataset.declare import NAMES
from lamslsa.measure.interface import Stage
from lamslsa.measure.registry import BUILT_IN
from lamslsa.measure.training.own import load_own_training
from lamslsa.testing.table import JOB, ROWS

EXAMPLES = Path(__file__).parents[3] / "examples"
WITHHELD = JOB.replace("overlap: []}", "overlap: [], properties: {withhold: [duplicates, distributions]}}") + (
    "inference: {measurer: inference/1, dataset: train, disclose: {inputs: false, outputs: false}, seed: null}\n"
    "transforms:\n  parts: {transform: preprocess/1, dataset: train, nullToken: null, label: null,\n"
    "    steps: [{step: split, into: {a: 50, b: 50}, seed: 1, together: [], stratify: []}], outputs: {a: x, b: y}}\n"
    "  small: {transform: quantize-int8/1, model: small, granularity: tensor,\n"
    "    difference: {dataset: train, confidenceLevel: 0.95}}\n"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def run(plan: Plan, **paths: Path) -> Outcome:
    with read_inputs(Planned(plan=plan, paths=paths), Context()) as given:
        return plan.measure(given, Context())


def test_what_is_told_is_what_comes_of_it(data: Path, tmp_path: Path) -> None:
    job = load_job(WITHHELD.encode(), "job.yaml")
    inference, training = job.inference, job.require_training()
    assert inference is not None
    trained = run(training, train=data)
    trained.outputs["people-mlp"].write(tmp_path / "model")
    model = tmp_path / "model"
    outcomes = [
        (training, trained),
        (job.sheet("train"), run(job.sheet("train"), dataset=data)),
        (inference, run(inference, model=model, dataset=data)),
        (job.require_transform("parts"), run(job.require_transform("parts"), dataset=data)),
        (job.require_transform("small"), run(job.require_transform("small"), parent=model, difference=data)),
    ]
    told = [(set(foresight.makes(plan) or ()), foresight.makes_private(plan)) for plan, _ in outcomes]
    assert told == [(set(outcome.outputs), bool(outcome.private)) for _, outcome in outcomes]
    assert told == [({"people-mlp"}, False), (set(), True), (set(), True), ({"x", "y"}, False), ({"small"}, False)]
    open_ = load_job(JOB.encode(), "job.yaml").sheet("train")
    assert not foresight.makes_private(open_)
    assert not run(open_, dataset=data).private


def test_a_plan_that_says_nothing_is_asked_nothing() -> None:
    silent = cast("Plan", SimpleNamespace())
    assert (foresight.makes(silent), foresight.makes_private(silent), foresight.estimate(silent, {})) == (
        None,
        False,
        None,
    )


def test_nobody_knows_how_long_code_of_others_takes() -> None:
    job = b"""
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: theirs}
models: {}
configuration: {}
"""
    assert foresight.estimate(load_own_training(job, source="job.yaml"), {"train": 1}) is None


def example(name: str, more: str, *changes: tuple[str, str]) -> Any:
    """The schemas and datasets of an example, and what else a job is to have."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    text = text[: min(text.index(f"\n{key}:") for key in ("training", "transforms") if f"\n{key}:" in text)]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_job(f"{text}\n{more}".encode(), name)


CENSUS, DIGITS, GERMAN, MOVIE = (
    "census/census.yaml",
    "digits/job.yaml",
    "german-credit/job.yaml",
    "movie-snippets/job.yaml",
)
ADAM = (
    "optimizer: adam, learningRate: 1e-3, weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,"
    " schedule: constant, augmentation: none"
)
PRIVACY = "privacy: {noiseMultiplier: 1, maxGradNorm: 1, delta: 1e-5, accountant: rdp, sampling: poisson}"
MLP = (
    f"{{trainer: tabular-mlp/1, model: m, dataset: census-train, hidden: [64, 32], drop: [], epochs: 2,"
    f" batchSize: 256, seed: 1, {ADAM}}}"
)
CNN = (
    f"{{trainer: image-cnn/1, model: m, dataset: digits-train, widths: [8, 16], hidden: [32], batchNorm: false,"
    f" dropout: 0, normalization: learned, epochs: 1, batchSize: 64, seed: 1, {ADAM}}}"
)
VGG = (
    f"{{trainer: image-vgg/1, model: m, dataset: digits-train, depth: 11, firstWidth: 8, hidden: [64], batchNorm: true,"
    f" dropout: 0.2, normalization: learned, epochs: 1, batchSize: 64, seed: 1, {ADAM}}}"
)
LSTM = (
    f"{{trainer: text-lstm/1, model: m, dataset: snippets-train, textColumn: text, tokens: casefold-words,"
    f" vocabularySize: 4000, minimumCount: 3, length: 24, embedding: 32, hidden: 32, layers: 1, bidirectional: true,"
    f" dropout: 0.3, epochs: 2, batchSize: 64, seed: 1, {ADAM}}}"
)
LOGISTIC = (
    "{trainer: logistic-regression/1, model: m, dataset: census-train, solver: lbfgs, C: 1, maxIterations: 1000,"
    " tolerance: 1e-4, seed: 3, drop: [], conversionTolerance: 1e-3}"
)
BOOSTING = (
    "{trainer: gradient-boosting/1, model: m, dataset: census-train, trees: 100, learningRate: 0.1, maxDepth: 3,"
    " minSamplesLeaf: 20, subsample: 1, seed: 3, drop: [], conversionTolerance: 1e-3}"
)
SAMPLING = "rows: all, confidenceLevel: 0.95, resamples: 1000"
RATES = "falsePositiveRates: [0.001, 0.01]"
DIFFERENCE = "difference: {dataset: census-train, confidenceLevel: 0.95}"
CENSUS_EVALUATIONS = f"""
evaluations:
  tabular: {{measurer: tabular-evaluation/1, dataset: census-test, {SAMPLING}, threshold: 0.5, calibrationBins: 15,
    groups: [[sex], [race]], slices: [[sex, race]]}}
  classes: {{measurer: classification/1, dataset: census-test, {SAMPLING}, calibrationBins: 15, topK: [],
    groups: [[sex]], slices: [[race]]}}
  fairness: {{measurer: group-fairness/1, dataset: census-test, {SAMPLING}, threshold: 0.5, minimumGroupSize: 30,
    groups: [[sex], [sex, race]]}}
  flips: {{measurer: counterfactual-fairness/1, dataset: census-test, {SAMPLING}, threshold: 0.5, coChanges: [],
    attributes: [{{column: sex, values: [Female, Male]}}, {{column: race, values: [White, Black, Other]}}]}}
  compared: {{measurer: baseline-comparison/1, dataset: census-test, {SAMPLING}, threshold: 0.5}}
  nudged: {{measurer: pgd/1, dataset: census-test, rows: 1000, confidenceLevel: 0.95, norm: Linf,
    epsilons: [0.03, 0.1, 0.3], loss: margin, steps: 20, stepSize: 0.125, restarts: 2, features: all}}
  damaged: {{measurer: corruptions/1, dataset: census-test, {SAMPLING}, corruptions: all, severities: [1, 3, 5],
    columns: all}}
  members: {{measurer: membership-inference/1, dataset: census-test, train: census-train, {SAMPLING}, {RATES}}}
  shadows: {{measurer: lira/1, dataset: census-test, train: census-train, rows: all, confidenceLevel: 0.95,
    resamples: 100, {RATES}, variant: offline, variance: global, shadows: 4,
    shadow: {{trainer: tabular-mlp/1, epochs: 2, batchSize: 256, {ADAM}}}}}
"""
DIGITS_EVALUATIONS = f"""
evaluations:
  classes: {{measurer: classification/1, dataset: digits-test, {SAMPLING}, calibrationBins: 15, topK: [3], groups: [],
    slices: []}}
  nudged: {{measurer: pgd/1, dataset: digits-test, rows: all, confidenceLevel: 0.95, norm: Linf,
    epsilons: [0.05, 0.1], loss: margin, steps: 20, stepSize: 0.125, restarts: 1, features: all}}
  attacked: {{measurer: autoattack/1, dataset: digits-test, rows: 100, confidenceLevel: 0.95, version: standard,
    norm: Linf, epsilons: [0.05], iterations: 5, queries: 20}}
  damaged: {{measurer: corruptions/1, dataset: digits-test, {SAMPLING}, corruptions: all, severities: [1, 3, 5],
    columns: all}}
  shadows: {{measurer: lira/1, dataset: digits-test, train: digits-train, rows: all, confidenceLevel: 0.95,
    resamples: 100, {RATES}, variant: offline, variance: global, shadows: 4,
    shadow: {{trainer: image-cnn/1, epochs: 1, batchSize: 64, {ADAM}}}}}
"""
MOVIE_EVALUATIONS = f"""
evaluations:
  classes: {{measurer: classification/1, dataset: snippets-test, {SAMPLING}, calibrationBins: 15, topK: [], groups: [],
    slices: []}}
  damaged: {{measurer: corruptions/1, dataset: snippets-test, {SAMPLING}, corruptions: all, severities: [1, 3, 5],
    columns: all}}
"""
TRANSFORMS = f"""
transforms:
  halves: {{transform: preprocess/1, dataset: census-train, nullToken: "?", outputs: {{a: a, b: b}},
    steps: [{{step: dropDuplicates, columns: all}},
      {{step: split, into: {{a: 80, b: 20}}, seed: 11, together: [], stratify: [income]}}],
    label: {{column: income, classes: {{"<=50K": 0, ">50K": 1}}}}}}
  small: {{transform: quantize-int8/1, model: q, granularity: channel, {DIFFERENCE}}}
  sparse: {{transform: prune/1, model: q, share: 0.5, scope: global, {DIFFERENCE}}}
  soup: {{transform: average/1, model: q, parents: [{{name: a, weight: 0.5}}, {{name: b, weight: 0.5}}], {DIFFERENCE}}}
  portable: {{transform: convert-onnx/1, model: q, opset: 21, tolerance: 1e-4, {DIFFERENCE}}}
inference: {{measurer: inference/1, dataset: census-test, disclose: {{inputs: false, outputs: true}}, seed: null}}
model: {{measurer: model-properties/1, perTensor: false}}
"""
HOURS = "label: {column: hours-per-week, type: number}"
CLASSES = 'label:\n      column: income\n      classes: {"<=50K": 0, "<=50K.": 0, ">50K": 1, ">50K.": 1}'
WITHOUT_HOURS = ("hours-per-week, native-country]", "native-country]")
REGRESSION = f"""
evaluations:
  numbers: {{measurer: regression/1, dataset: census-test, {SAMPLING}, groups: [[sex]], slices: [[race]]}}
"""
CORPUS = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas: {c: {format: text, documents: line}}
datasets:
  c: {schema: c, overlap: [%s]%s}
  d: {schema: c, overlap: []}
"""
NEAR = (
    ", properties: {nearDuplicates: [{normalization: [nfkc, casefold], unit: letters, size: 3, threshold: 0.8,"
    " permutations: 128, bands: 32, rows: 4}]}"
)
NGRAMS = ", properties: {ngramOverlap: [{with: d, n: 5, normalization: [nfkc, casefold], words: letters}]}"
CSV = 'format: csv\n    delimiter: ","\n    header: false\n    trim: true\n    nullToken: "?"'


def other_format(name: str) -> tuple[tuple[str, str], ...]:
    return (
        (CSV, f"format: {name}\n    nullToken: null"),
        ("    skipLines: 0\n", ""),
        ("    skipLines: 1\n", ""),
    )


def sheet(name: str, dataset: str, *changes: tuple[str, str]) -> Plan:
    plan: Plan = example(name, "", *changes).sheet(dataset)
    return plan


def training(name: str, part: str, *changes: tuple[str, str]) -> Plan:
    plan: Plan = example(name, f"training: {part}", *changes).require_training()
    return plan


def evaluation(of: str, name: str, evaluations: str, *changes: tuple[str, str]) -> Plan:
    plan: Plan = example(of, evaluations, *changes).evaluations[name]
    return plan


def corpus(*, overlap: str = "", properties: str = "") -> Plan:
    return load_job((CORPUS % (overlap, properties)).encode(), "job.yaml").sheet("c")


def private(part: str) -> str:
    return part.replace("batchNorm: true", "batchNorm: false")[:-1] + f", {PRIVACY}}}"


TRAIN, TEST, IMAGES, OTHER_IMAGES = 3_974_305, 2_003_153, 3_520_000, 880_000
SNIPPETS, OTHER_SNIPPETS, TEXTS = 1_042_043, 261_386, 1_195_700
NETWORK, SMALLER, CONVOLUTIONS, DEEPER, READER = 38_326, 16_291, 107_609, 606_620, 619_668
OF_NETWORK = {"model": NETWORK, "dataset": TEST}
JOBS: Mapping[str, Callable[[], Any]] = {
    "transforms": lambda: example(CENSUS, TRANSFORMS),
    "german": lambda: load_job((EXAMPLES / GERMAN).read_bytes(), GERMAN),
}
MEASURED: Mapping[str, tuple[Callable[[], Plan], dict[str, int], float]] = {
    "sheet csv": (lambda: sheet(CENSUS, "census-train"), {"dataset": TRAIN}, 0.51),
    "sheet overlap": (
        lambda: sheet(CENSUS, "census-test"),
        {"dataset": TEST, "compared:census-train": TRAIN},
        0.60,
    ),
    "sheet parquet": (lambda: sheet(CENSUS, "census-train", *other_format("parquet")), {"dataset": 361_563}, 0.24),
    "sheet jsonl": (lambda: sheet(CENSUS, "census-train", *other_format("jsonl")), {"dataset": 11_174_547}, 1.60),
    "sheet arrow": (lambda: sheet(CENSUS, "census-train", *other_format("arrow")), {"dataset": 5_327_554}, 0.35),
    "sheet german": (lambda: sheet(GERMAN, "german"), {"dataset": 79_793}, 0.19),
    "sheet images": (lambda: sheet(DIGITS, "digits-train"), {"dataset": IMAGES}, 0.75),
    "sheet texts": (corpus, {"dataset": TEXTS}, 0.11),
    "sheet near": (lambda: corpus(properties=NEAR), {"dataset": TEXTS}, 3.54),
    "sheet ngrams": (lambda: corpus(properties=NGRAMS), {"dataset": TEXTS, "compared:d": TEXTS}, 0.60),
    "mlp": (lambda: training(CENSUS, MLP), {"train": TRAIN}, 3.45),
    "mlp wide": (
        lambda: training(CENSUS, MLP.replace("[64, 32]", "[1024, 1024]").replace("epochs: 2", "epochs: 3")),
        {"train": TRAIN},
        13.42,
    ),
    "mlp parquet": (lambda: training(CENSUS, MLP, *other_format("parquet")), {"train": 361_563}, 2.76),
    "mlp private": (
        lambda: training(CENSUS, private(MLP.replace("epochs: 2", "epochs: 1"))),
        {"train": TRAIN},
        5.79,
    ),
    "cnn": (lambda: training(DIGITS, CNN), {"train": IMAGES}, 4.21),
    "cnn private": (lambda: training(DIGITS, private(CNN)), {"train": IMAGES}, 4.83),
    "vgg": (lambda: training(DIGITS, VGG), {"train": IMAGES}, 4.03),
    "vgg private": (lambda: training(DIGITS, private(VGG)), {"train": IMAGES}, 9.22),
    "lstm": (lambda: training(MOVIE, LSTM), {"train": SNIPPETS}, 6.29),
    "lstm private": (
        lambda: training(MOVIE, private(LSTM.replace("epochs: 2", "epochs: 1"))),
        {"train": SNIPPETS},
        20.15,
    ),
    "logistic": (lambda: training(CENSUS, LOGISTIC), {"train": TRAIN}, 3.49),
    "logistic german": (lambda: JOBS["german"]().require_training(), {"train": 59_963}, 2.24),
    "boosting": (lambda: training(CENSUS, BOOSTING), {"train": TRAIN}, 11.43),
    "tabular": (lambda: evaluation(CENSUS, "tabular", CENSUS_EVALUATIONS), OF_NETWORK, 5.42),
    "classes": (lambda: evaluation(CENSUS, "classes", CENSUS_EVALUATIONS), OF_NETWORK, 4.80),
    "classes images": (
        lambda: evaluation(DIGITS, "classes", DIGITS_EVALUATIONS),
        {"model": DEEPER, "dataset": OTHER_IMAGES},
        4.08,
    ),
    "classes texts": (
        lambda: evaluation(MOVIE, "classes", MOVIE_EVALUATIONS),
        {"model": READER, "dataset": OTHER_SNIPPETS},
        3.93,
    ),
    "numbers": (
        lambda: evaluation(CENSUS, "numbers", REGRESSION, (CLASSES, HOURS), WITHOUT_HOURS),
        {"model": 38_061, "dataset": TEST},
        5.10,
    ),
    "fairness": (lambda: evaluation(CENSUS, "fairness", CENSUS_EVALUATIONS), OF_NETWORK, 5.16),
    "flips": (lambda: evaluation(CENSUS, "flips", CENSUS_EVALUATIONS), OF_NETWORK, 4.03),
    "compared": (
        lambda: evaluation(CENSUS, "compared", CENSUS_EVALUATIONS),
        {**OF_NETWORK, "baseline": SMALLER},
        4.95,
    ),
    "pgd": (lambda: evaluation(CENSUS, "nudged", CENSUS_EVALUATIONS), OF_NETWORK, 3.75),
    "pgd images": (
        lambda: evaluation(DIGITS, "nudged", DIGITS_EVALUATIONS),
        {"model": CONVOLUTIONS, "dataset": OTHER_IMAGES},
        11.91,
    ),
    "autoattack": (
        lambda: evaluation(DIGITS, "attacked", DIGITS_EVALUATIONS),
        {"model": DEEPER, "dataset": OTHER_IMAGES},
        7.35,
    ),
    "corruptions": (lambda: evaluation(CENSUS, "damaged", CENSUS_EVALUATIONS), OF_NETWORK, 3.61),
    "corruptions images": (
        lambda: evaluation(DIGITS, "damaged", DIGITS_EVALUATIONS),
        {"model": DEEPER, "dataset": OTHER_IMAGES},
        10.01,
    ),
    "corruptions texts": (
        lambda: evaluation(MOVIE, "damaged", MOVIE_EVALUATIONS),
        {"model": READER, "dataset": OTHER_SNIPPETS},
        4.04,
    ),
    "membership": (
        lambda: evaluation(CENSUS, "members", CENSUS_EVALUATIONS),
        {**OF_NETWORK, "train": TRAIN},
        8.21,
    ),
    "lira": (lambda: evaluation(CENSUS, "shadows", CENSUS_EVALUATIONS), {**OF_NETWORK, "train": TRAIN}, 5.79),
    "lira images": (
        lambda: evaluation(DIGITS, "shadows", DIGITS_EVALUATIONS),
        {"model": CONVOLUTIONS, "dataset": OTHER_IMAGES, "train": IMAGES},
        9.85,
    ),
    "preprocess": (lambda: JOBS["transforms"]().require_transform("halves"), {"dataset": TRAIN}, 0.60),
    "preprocess german": (lambda: JOBS["german"]().require_transform("prepare"), {"dataset": 79_793}, 0.28),
    "quantise": (
        lambda: JOBS["transforms"]().require_transform("small"),
        {"parent": NETWORK, "difference": TRAIN},
        4.34,
    ),
    "prune": (
        lambda: JOBS["transforms"]().require_transform("sparse"),
        {"parent": NETWORK, "difference": TRAIN},
        4.25,
    ),
    "average": (
        lambda: JOBS["transforms"]().require_transform("soup"),
        {"parent:a": NETWORK, "parent:b": NETWORK, "difference": TRAIN},
        4.96,
    ),
    "convert": (
        lambda: JOBS["transforms"]().require_transform("portable"),
        {"parent": NETWORK, "difference": TRAIN},
        5.06,
    ),
    "inference": (lambda: JOBS["transforms"]().require_inference(), OF_NETWORK, 5.26),
    "model": (lambda: JOBS["transforms"]().require_model(), {"model": NETWORK}, 1.28),
}
"""Plans, the bytes of what they read, and the CPU seconds that a fresh process took for them."""


def seconds(plan: Plan, sizes: Mapping[str, int]) -> float:
    found = foresight.estimate(plan, sizes)
    assert found is not None, plan.measurer
    assert math.isfinite(found)
    assert found > 0
    return found


@pytest.mark.parametrize("name", MEASURED)
def test_an_estimate_is_within_three_of_what_was_measured(name: str) -> None:
    plan, sizes, measured = MEASURED[name]
    planned = plan()
    assert {item.role for item in planned.inputs} == set(sizes)
    assert measured / 3 < seconds(planned, sizes) < measured * 3


def test_every_built_in_plan_says_how_long_it_takes() -> None:
    built_in = {name for stage in get_args(Stage) for name in BUILT_IN.names(stage)}
    assert {str(plan().measurer) for plan, _, _ in MEASURED.values()} == built_in | set(NAMES)


@pytest.mark.parametrize("name", MEASURED)
def test_more_bytes_take_longer(name: str) -> None:
    plan, sizes, _ = MEASURED[name]
    planned = plan()
    for role, size in sizes.items():
        assert seconds(planned, {**sizes, role: 100 * size}) > seconds(planned, sizes), role


def grown() -> Iterator[tuple[str, Plan, Plan]]:
    for name in ("mlp", "mlp private", "cnn", "vgg", "lstm"):
        plan: Any = MEASURED[name][0]()
        yield name, plan, replace(plan, settings=replace(plan.settings, epochs=10 * plan.settings.epochs))
    for name in ("classes", "numbers", "fairness", "flips", "compared"):
        plan = MEASURED[name][0]()
        yield name, plan, replace(plan, sampling=replace(plan.sampling, resamples=10_000))
    for name in ("tabular", "membership", "lira", "corruptions"):
        plan = MEASURED[name][0]()
        yield name, plan, replace(plan, resamples=10_000)
    plan = MEASURED["lira"][0]()
    yield "lira", plan, replace(plan, shadows=8)
    yield "lira", plan, replace(plan, settings=replace(plan.settings, epochs=20))
    plan = MEASURED["pgd"][0]()
    yield "pgd", plan, replace(plan, descent=replace(plan.descent, steps=200))
    yield "pgd", plan, replace(plan, rows=10_000)
    plan = MEASURED["autoattack"][0]()
    yield "autoattack", plan, replace(plan, ensemble=replace(plan.ensemble, queries=5000))
    plan = MEASURED["corruptions"][0]()
    yield "corruptions", plan, replace(plan, severities=(1, 2, 3, 4, 5))
    for name, key, more in (("logistic", "solver", "sag"), ("boosting", "trees", 1000), ("boosting", "maxDepth", 6)):
        plan = MEASURED[name][0]()
        yield name, plan, replace(plan, hyperparameters={**plan.hyperparameters, key: more})


def test_more_work_takes_longer() -> None:
    for name, less, more in grown():
        sizes = MEASURED[name][1]
        assert seconds(more, sizes) > seconds(less, sizes), name


def test_a_loop_grows_with_its_epochs() -> None:
    plan: Any = MEASURED["mlp"][0]()
    by_epochs = [
        seconds(replace(plan, settings=replace(plan.settings, epochs=epochs)), {"train": TRAIN}) for epochs in (1, 2, 3)
    ]
    assert by_epochs[2] - by_epochs[1] == pytest.approx(by_epochs[1] - by_epochs[0])


def test_shadows_are_trainings() -> None:
    plan: Any = MEASURED["lira"][0]()
    sizes = MEASURED["lira"][1]
    by_shadows = [seconds(replace(plan, shadows=shadows), sizes) for shadows in (4, 8, 12)]
    assert by_shadows[2] - by_shadows[1] == pytest.approx(by_shadows[1] - by_shadows[0])


@pytest.mark.parametrize("name", ["mlp", "cnn", "vgg", "lstm"])
def test_privacy_takes_longer(name: str) -> None:
    plan: Any = MEASURED[name][0]()
    sizes = MEASURED[name][1]
    noisy = replace(plan, settings=replace(plan.settings, privacy=object()))
    assert seconds(noisy, sizes) > seconds(plan, sizes)

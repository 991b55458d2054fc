"""Transforms of a network of UCI Adult, and of its rows, computed anew."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from lamslsa.measure import Context, Given, load_job
from tests.unit.measure.real_world import ADULT, TEST, Array, Census, Tensors, World, affine, near, wilson
from tests.unit.measure.transforming import content


@pytest.mark.parametrize("which", ["channels", "tensors"])
def test_int8_differs_by_as_much_as_its_integers(census: Census, which: str) -> None:
    predicate, files = census.world.transform(which)
    stored = safetensors.numpy.load(files["model.safetensors"])
    weights: dict[str, Array] = {}
    scales = set()
    for name, tensor in census.world.tensors.items():
        weights[name] = stored[name].astype(np.float64)
        if tensor.ndim == 2:
            largest = np.abs(tensor).max(axis=1) if which == "channels" else np.abs(tensor).max().reshape(1)
            scale = largest / np.float32(127)
            assert np.array_equal(stored[f"{name}.scale"], scale)
            assert stored[name].dtype == np.int8
            assert np.array_equal(stored[name], np.rint(tensor / np.where(scale > 0, scale, 1)[:, None]))
            weights[name] *= scale[:, None]
            scales.add(len(scale))
            worst = content(predicate, "measured")["largestWeightDifference"][name]
            assert worst == near(np.abs(weights[name] - tensor).max(), 1e-7)
        else:
            assert np.array_equal(stored[name], tensor)
    assert scales == ({16, 8, 1} if which == "channels" else {1})
    assert content(predicate, "measured")["weightBytes"] == len(files["model.safetensors"])
    differs(census, predicate, weights)


@pytest.mark.parametrize("which", ["pruned", "layers"])
def test_pruned_differs_by_as_much_as_its_zeros(census: Census, which: str) -> None:
    predicate, files = census.world.transform(which)
    matrices = {name: tensor for name, tensor in census.world.tensors.items() if tensor.ndim == 2}
    sets = [list(matrices)] if which == "pruned" else [[name] for name in matrices]
    weights = dict(census.world.tensors)
    cuts = []
    for names in sets:
        sizes = np.sort(np.abs(np.concatenate([matrices[name].reshape(-1) for name in names])))
        cuts.append(int(0.6 * len(sizes)))
        assert sizes[cuts[-1] - 1] < sizes[cuts[-1]]
        for name in names:
            weights[name] = np.where(np.abs(matrices[name]) < sizes[cuts[-1]], 0, matrices[name])
    stored = safetensors.numpy.load(files["model.safetensors"])
    assert all(np.array_equal(stored[name], weights[name]) for name in census.world.tensors)
    measured, total = content(predicate, "measured"), sum(tensor.size for tensor in matrices.values())
    assert (measured["weights"], measured["zeros"]) == (total, sum(cuts))
    assert measured["zerosPerTensor"] == {name: (weights[name] == 0).sum() for name in matrices}
    assert measured["zerosBefore"] == sum((tensor == 0).sum() for tensor in matrices.values())
    assert measured["sparsity"] == near(sum(cuts) / total)
    differs(census, predicate, weights)


def differs(
    census: Census,
    predicate: dict[str, Any],
    weights: Tensors,
    *,
    role: str = "parent",
    parent: Tensors | None = None,
) -> None:
    """The difference that is told is that of these weights."""
    inputs = census.matrix(census.test)
    tensors = census.world.tensors if parent is None else parent
    before, after = (1 / (1 + np.exp(-affine(own, inputs)[:, 0])) for own in (tensors, weights))
    gaps = np.abs(after - before)
    told = content(predicate, "difference")["from"][role]
    assert gaps.max() > 1e-3, "a difference that can be seen"
    assert told["maximum"] == near(gaps.max(), 1e-6)
    assert told["mean"] == near(gaps.mean(), 1e-6)
    changed = ((before >= 0.5) != (after >= 0.5)).sum()
    assert told["changed"]["rows"] == changed
    assert told["changed"]["value"] == near(changed / TEST)
    interval = told["changed"]["interval"]
    assert (interval["lower"], interval["upper"]) == near(wilson(changed / TEST, TEST, 0.95))
    assert told["samples"] == told["changed"]["samples"] == TEST


def test_onnx_differs_by_as_much_as_onnxruntime_says(census: Census) -> None:
    import onnxruntime

    predicate, files = census.world.transform("onnx")
    session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {session.get_inputs()[0].name: census.matrix(census.test)})
    gaps = np.abs(said[:, 1].astype(np.float64) - census.answers)
    told = content(predicate, "difference")["from"]["parent"]
    step = 2**-23
    assert told["maximum"] == pytest.approx(gaps.max(), abs=step)
    assert told["mean"] == pytest.approx(gaps.mean(), abs=step / 10)
    assert told["changed"]["rows"] == 0
    assert gaps.max() < 1e-6


def test_average_is_that_of_numpy(census: Census, rival: World) -> None:
    """Of two networks of the same rows that started from other weights."""
    parents = {"parent:one": census.world, "parent:two": rival}
    predicate, files = census.world.transform("soup", parents)
    stored = safetensors.numpy.load(files["model.safetensors"])
    weights = {
        name: np.average([tensor.astype(np.float64), rival.tensors[name]], axis=0, weights=[0.3, 0.7])
        for name, tensor in census.world.tensors.items()
    }
    assert stored.keys() == weights.keys()
    for name, tensor in weights.items():
        assert stored[name].dtype == np.float32
        assert np.abs(stored[name] - tensor).max() <= np.spacing(np.abs(tensor).astype(np.float32)).max()
        assert np.abs(stored[name] - rival.tensors[name]).max() > 1e-3, "parents that differ"
    for role, world in parents.items():
        differs(census, predicate, weights, role=role, parent=world.tensors)
    digests = {
        item["annotations"]["role"]: item["digest"]["sha256"]
        for item in predicate["buildDefinition"]["resolvedDependencies"]
        if item["annotations"]["kind"] == "model"
    }
    assert digests == {role: world.model.manifest.sha256 for role, world in parents.items()}


STEPS = """
  - {step: dropMissing, columns: [occupation]}
  - {step: filter, column: hours-per-week, operator: ">=", value: 20, missing: drop}
  - {step: dropDuplicates, columns: all}
  - {step: split, into: {train: 4, test: 1}, seed: 5, together: [], stratify: []}
  - {step: impute, columns: [native-country], with: mode, learnedFrom: train}
  - {step: encode, column: race, as: oneHot, categories: learned, learnedFrom: train, unseen: zeros}
  - {step: encode, column: relationship, as: ordinal, categories: learned, learnedFrom: train, unseen: missing}
  - {step: bin, column: age, edges: [30, 50], labels: [young, middle, old]}
  - {step: mapValues, column: sex, values: {Male: m, Female: f}, others: refuse}
  - {step: drop, columns: [fnlwgt]}
"""


def test_prepared_rows_are_those_of_pandas(census: Census) -> None:
    label = 'label: {column: income, classes: {"<=50K": 0, ">50K": 1}}'
    steps = STEPS.replace("\n  ", "\n      ").rstrip()
    text = ADULT[: ADULT.index("training:")] + (
        f"transforms:\n  prepare:\n    transform: preprocess/1\n    dataset: train\n    steps:{steps}\n"
        f'    nullToken: "?"\n    {label}\n    outputs: {{train: fit, test: held}}\n'
    )
    plan = load_job(text.encode(), "job.yaml").require_transform("prepare")
    outcome = plan.measure({"dataset": Given(artifact=census.world.data["train"], name="train")}, Context())
    rows = census.train.copy()
    counts = [len(rows)]
    rows = rows.dropna(subset=["occupation"])
    counts.append(len(rows))
    rows = rows[rows["hours-per-week"] >= 20]
    counts.append(len(rows))
    rows = rows.drop_duplicates()
    counts.append(len(rows))
    assert counts[0] > counts[1] > counts[2] >= counts[3]
    order = sorted(range(len(rows)), key=lambda row: hashlib.sha256(b"lamslsa preprocess/1\n5\n%d" % row).digest())
    cut = len(rows) * 4 // 5
    parts = {"fit": rows.iloc[sorted(order[:cut])], "held": rows.iloc[sorted(order[cut:])]}
    (mode,) = parts["fit"]["native-country"].mode()
    races, ties = (sorted(parts["fit"][name].unique()) for name in ("race", "relationship"))
    for name, part in parts.items():
        expected = part.drop(columns="fnlwgt").copy()
        expected["native-country"] = part["native-country"].fillna(mode)
        expected["relationship"] = part["relationship"].map({value: number for number, value in enumerate(ties)})
        expected["age"] = pd.cut(part["age"], [0, 30, 50, 200], right=False, labels=["young", "middle", "old"])
        expected["sex"] = part["sex"].str[0].str.lower()
        place = list(expected.columns).index("race")
        hot = pd.DataFrame({f"race={race}": (part["race"] == race).astype(int) for race in races})
        expected = pd.concat([expected.iloc[:, :place], hot, expected.iloc[:, place + 1 :]], axis=1)
        made = pd.read_csv(io.BytesIO(outcome.outputs[name].files["data.csv"]), keep_default_na=False, na_values="?")
        assert list(made.columns) == list(expected.columns)
        for column in made.columns:
            assert made[column].fillna("?").tolist() == expected[column].astype(object).fillna("?").tolist(), column
    for payload in outcome.statements:
        predicate = json.loads(payload.data)["predicate"]
        (report,) = [item for item in predicate["runDetails"]["byproducts"] if item["name"] == "report"]
        told = report["annotations"]["steps"]
        sizes = {"train": len(parts["fit"]), "test": len(parts["held"])}
        into = [step["rowsIn"] for step in told]
        assert into[:4] == [{"all": count} for count in counts]
        assert into[4:] == [sizes] * 6
        assert [step["rowsOut"] for step in told] == [*into[1:], sizes]
        holes = {name: int(part["native-country"].isna().sum()) for name, part in parts.items()}
        assert told[4]["filled"] == {
            "train": {"native-country": holes["fit"]},
            "test": {"native-country": holes["held"]},
        }
        learned = {"value": mode, "samples": sizes["train"] - holes["fit"]}
        assert told[4]["learned"] == {"native-country": learned}
        assert told[5]["learned"] == {"race": {"categories": races}}
        assert told[6]["learned"] == {"relationship": {"categories": ties}}
        assert told[5]["unseen"] == {"train": 0, "test": (~parts["held"]["race"].isin(races)).sum()}
        fit, held = (pd.read_csv(io.BytesIO(outcome.outputs[name].files["data.csv"])) for name in ("fit", "held"))
        features = [column for column in fit.columns if column != "income"]
        keys = [pd.MultiIndex.from_frame(each[features].fillna("?").astype(str)) for each in (fit, held)]
        mine, theirs = keys if subjects(payload) == "fit" else keys[::-1]
        ((_, shared),) = report["annotations"]["shared"].items()
        assert shared == mine.isin(theirs).sum() > 0


def subjects(payload: Any) -> str:
    """What the one subject of a statement is called."""
    (subject,) = json.loads(payload.data)["subject"]
    return str(subject["name"])

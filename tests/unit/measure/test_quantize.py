"""Int8 weights: the formula by NumPy, the child's real arithmetic, and every way in which its files can lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from scipy.stats import norm

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Job
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import predict
from lamslsa.measure.transform.difference import compare
from tests.unit.measure.transforming import DIFFERENCE, content, transformed

Read = Callable[..., VerifiedArtifact]


def text(granularity: str) -> str:
    return f"{{transform: quantize-int8/1, model: small, granularity: {granularity}, {DIFFERENCE}}}"


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_integers_and_scales_are_those_of_the_formula(
    model: VerifiedArtifact, test_set: VerifiedArtifact, granularity: str
) -> None:
    predicate, files = transformed(text(granularity), {"parent": model, "difference": test_set})
    before = safetensors.numpy.load(model.file("model.safetensors").bytes())
    after = safetensors.numpy.load(files["model.safetensors"])
    measured = content(predicate, "measured")
    assert set(files) == {"model.json", "model.safetensors"}
    for name, weight in before.items():
        if weight.ndim < 2:
            assert np.array_equal(after[name], weight)
            continue
        axis = None if granularity == "tensor" else 1
        scale = np.abs(weight).max(axis=axis, keepdims=True).astype(np.float32) / np.float32(127)
        expected = np.clip(np.rint(weight / scale), -127, 127)
        assert after[name].dtype == np.int8
        assert np.array_equal(after[name], expected)
        assert np.array_equal(after[f"{name}.scale"], scale.reshape(-1))
        back = after[name].astype(np.float32) * scale
        assert np.abs(back - weight).max() <= scale.max() / 2 * (1 + 1e-5)
        assert measured["largestWeightDifference"][name] == np.abs(back - weight).max()
    assert measured["weightBytes"] == len(files["model.safetensors"]) < len(model.file("model.safetensors").bytes())


def forward(tensors: dict[str, Any], inputs: Any) -> Any:
    """The network by NumPy in float64."""
    values = inputs.astype(np.float64)
    for layer in ("0", "2", "4"):
        weight = tensors[f"{layer}.weight"].astype(np.float64)
        if f"{layer}.weight.scale" in tensors:
            weight = weight * tensors[f"{layer}.weight.scale"].astype(np.float64)[:, None]
        values = values @ weight.T + tensors[f"{layer}.bias"]
        values = np.maximum(values, 0) if layer != "4" else values
    return 1 / (1 + np.exp(-values[:, 0]))


def test_the_child_answers_with_its_own_weights_and_the_difference_is_that(
    read: Read, model: VerifiedArtifact, test_set: VerifiedArtifact, job: Job
) -> None:
    predicate, files = transformed(text("tensor"), {"parent": model, "difference": test_set})
    child, parent = load_model(read(files, "model")), load_model(model)
    assert child.architecture == "int8/1"
    assert (child.label, child.task) == (parent.label, parent.task)
    rows = read_examples(child, test_set, job.dataset("people-test"))
    expected = forward(safetensors.numpy.load(files["model.safetensors"]), rows.inputs)
    answers = predict(child, rows.inputs, Context())
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    before = predict(parent, rows.inputs, Context())
    gaps = np.abs(answers.astype(np.float64) - before.astype(np.float64))
    difference = content(predicate, "difference")
    assert difference["dataset"] == "people-test"
    found = difference["from"]["parent"]
    assert found["maximum"] == gaps.max() > 0
    assert found["mean"] == pytest.approx(gaps.mean(), rel=1e-12)
    changed = int(((answers >= 0.5) != (before >= 0.5)).sum())
    assert found["samples"] == found["changed"]["samples"] == 307
    assert found["changed"]["rows"] == changed
    assert found["changed"]["value"] == changed / 307
    z = norm.ppf(0.975)
    share = changed / 307
    middle = (share + z * z / 614) / (1 + z * z / 307)
    half = z / (1 + z * z / 307) * np.sqrt(share * (1 - share) / 307 + z * z / (4 * 307**2))
    assert found["changed"]["interval"]["lower"] == pytest.approx(max(0, middle - half), abs=1e-12)
    assert found["changed"]["interval"]["upper"] == pytest.approx(middle + half, abs=1e-12)


def test_the_statement_names_parent_and_data(model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    predicate, _ = transformed(text("channel"), {"parent": model, "difference": test_set})
    external = predicate["buildDefinition"]["externalParameters"]
    assert external["transform"] == {"name": "quantize-int8", "version": "1"}
    assert external["configuration"] == {"granularity": "channel", "confidenceLevel": 0.95}
    assert external["models"] == {"parent": "parent-model"}
    assert external["datasets"] == {"difference": "people-test"}
    dependencies = {item["name"]: item for item in predicate["buildDefinition"]["resolvedDependencies"]}
    assert dependencies["parent-model"]["digest"] == {"sha256": model.manifest.sha256}
    assert dependencies["parent-model"]["annotations"] == {"kind": "model", "role": "parent"}
    assert dependencies["people-test"]["digest"] == {"sha256": test_set.manifest.sha256}


def test_twice_is_the_same(model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    inputs = {"parent": model, "difference": test_set}
    assert transformed(text("channel"), inputs) == transformed(text("channel"), inputs)


def test_a_matrix_of_zeros(read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact) -> None:
    tensors = safetensors.numpy.load(model_files["model.safetensors"])
    tensors["2.weight"][:] = 0
    zeros = {**model_files, "model.safetensors": safetensors.numpy.save(tensors)}
    _, files = transformed(text("channel"), {"parent": read(zeros, "model"), "difference": test_set})
    after = safetensors.numpy.load(files["model.safetensors"])
    assert not after["2.weight"].any()
    assert not after["2.weight.scale"].any()
    assert load_model(read(files, "model")).network is not None


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(FormatError) as caught:
        call()
    return caught.value.reason


def test_a_child_is_not_quantised_again(read: Read, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    _, files = transformed(text("channel"), {"parent": model, "difference": test_set})
    again = {"parent": read(files, "model"), "difference": test_set}
    assert refused(lambda: transformed(text("channel"), again)) == "transform-architecture"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d, t: t["0.weight"].__setitem__((0, 0), -128), "int8-range"),
        (lambda d, t: t["0.weight.scale"].__setitem__(0, np.inf), "model-not-finite"),
        (lambda d, t: t["0.weight.scale"].__setitem__(0, np.nan), "model-not-finite"),
        (lambda d, t: t["0.weight.scale"].__setitem__(0, -1), "model-not-finite"),
        (lambda d, t: t["0.weight.scale"].__setitem__(slice(None), 3e38), "model-not-finite"),
        (lambda d, t: t["0.bias"].__setitem__(0, np.nan), "model-not-finite"),
        (lambda d, t: t.pop("0.weight.scale"), "model-shape"),
        (lambda d, t: t.update({"0.weight": t["0.weight"].astype(np.float32)}), "model-shape"),
        (lambda d, t: t.update({"0.weight": t["0.weight"].astype(np.uint8)}), "model-shape"),
        (lambda d, t: t.update({"extra": np.zeros(1, np.int8)}), "model-shape"),
        (lambda d, t: d.update(granularity="tensor"), "model-shape"),
        (lambda d, t: d.update(granularity="group"), "model-description"),
        (lambda d, t: d.update(of={"architecture": "int8/1"}), "model-description"),
        (lambda d, t: d.update(of={"architecture": "onnx/1"}), "model-description"),
        (lambda d, t: d.update(of={}), "model-description"),
        (lambda d, t: d["of"].update(extra=1), "model-description"),
        (lambda d, t: d["of"].update(hidden=[8192] * 6), "model-size"),
        (lambda d, t: d.pop("of"), "model-description"),
    ],
)
def test_files_that_lie(
    read: Read,
    model: VerifiedArtifact,
    test_set: VerifiedArtifact,
    change: Callable[[dict[str, Any], dict[str, Any]], Any],
    reason: str,
) -> None:
    _, files = transformed(text("channel"), {"parent": model, "difference": test_set})
    document = json.loads(files["model.json"])
    tensors = {name: value.copy() for name, value in safetensors.numpy.load(files["model.safetensors"]).items()}
    change(document, tensors)
    altered = {"model.json": json.dumps(document).encode(), "model.safetensors": safetensors.numpy.save(tensors)}
    assert refused(lambda: load_model(read(altered, "model"))) == reason


def test_weights_that_are_no_safetensors(read: Read, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    _, files = transformed(text("channel"), {"parent": model, "difference": test_set})
    altered = {**files, "model.safetensors": b"\x80\x04K\x01."}
    assert refused(lambda: load_model(read(altered, "model"))) == "model-weights"


def test_answers_of_another_shape_are_not_compared(model: VerifiedArtifact) -> None:
    loaded = load_model(model)
    for before, after in ((np.zeros(3), np.zeros(4)), (np.zeros(0), np.zeros(0))):
        assert refused(lambda b=before, a=after: compare(b, a, loaded=loaded, level=0.9)) == "difference-shape"  # type: ignore[misc]

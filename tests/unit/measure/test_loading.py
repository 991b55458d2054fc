"""Models from verified bytes: data only, exactly as described."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.models import mlp, safetensors_file, weights
from lamslsa.measure.models.loading import load_model

Read = Callable[..., VerifiedArtifact]


class Bomb:
    """What a pickle can do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def refusal(read: Read, files: dict[str, bytes]) -> str:
    with pytest.raises(FormatError) as caught:
        load_model(read(files, "model"))
    assert len(str(caught.value)) < 400
    return caught.value.reason


def test_model_is_loaded_for_evaluation(read: Read, model_files: dict[str, bytes]) -> None:
    documentation = {"README.md": b"#", "LICENSE": b"", "docs/notes.txt": b"", "NOTICE.txt": b""}
    loaded = load_model(read({**model_files, **documentation}, "model"))
    assert loaded.network is not None
    assert not loaded.network.training
    assert isinstance(loaded.description, mlp.Description)
    assert loaded.description.hidden == (8, 4)
    assert all(not parameter.is_meta for parameter in loaded.network.parameters())


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model.pt",
        "model.pt2",
        "model.pth",
        "model.pkl",
        "model.h5",
        "modeling.py",
        "run.sh",
        "config.json",
        "other.safetensors",
        "sub/model.safetensors",
        "sub/model.json",
        "model.safetensors.index.json",
        "README.md.pt",
        "LICENSE.py",
        "Model.JSON2",
        ".hidden",
    ],
)
def test_any_other_file_is_refused(read: Read, model_files: dict[str, bytes], name: str) -> None:
    assert refusal(read, {**model_files, name: b""}) == "model-unsafe-file"


def test_pickle_under_the_name_of_the_weights_is_not_run(
    read: Read, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    assert refusal(read, {**model_files, "model.safetensors": pickle.dumps(Bomb(mark))}) == "model-weights"
    assert refusal(read, {**model_files, "model.bin": pickle.dumps(Bomb(mark))}) == "model-unsafe-file"
    assert not mark.exists()


def test_a_dataset_is_no_model(read: Read, model_files: dict[str, bytes]) -> None:
    with pytest.raises(FormatError) as caught:
        load_model(read(model_files, "dataset"))
    assert caught.value.reason == "model-kind"


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_both_files_are_needed(read: Read, model_files: dict[str, bytes], name: str) -> None:
    files = {path: data for path, data in model_files.items() if path != name}
    assert refusal(read, files) == "model-files"


def _set(*path: Any) -> Callable[[Any], None]:
    *keys, last, value = path

    def change(document: Any) -> None:
        for key in keys:
            document = document[key]
        document[last] = value

    return change


NUMBER, CATEGORY = ("features", 0), ("features", 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("architecture"), "model-description"),
        (lambda d: d.pop("features"), "model-description"),
        (lambda d: d.pop("hidden"), "model-description"),
        (lambda d: d.pop("label"), "model-description"),
        (lambda d: d["features"][0].pop("mean"), "model-description"),
        (lambda d: d["features"][1].pop("categories"), "model-description"),
        (_set("architecture", "tabular-mlp/2"), "model-description"),
        (_set("auto_map", {"AutoModel": "evil.Model"}), "model-description"),
        (_set(*NUMBER, "unit", "years"), "model-description"),
        (_set(*NUMBER, "type", "lambda"), "model-description"),
        (_set(*NUMBER, "mean", "38"), "model-description"),
        (_set(*NUMBER, "mean", None), "model-description"),
        (_set(*NUMBER, "deviation", 0), "model-description"),
        (_set(*NUMBER, "deviation", -1.0), "model-description"),
        (_set(*NUMBER, "name", "sex"), "model-description"),
        (_set(*NUMBER, "name", "income"), "model-description"),
        (_set(*CATEGORY, "categories", ["b", "a"]), "model-description"),
        (_set(*CATEGORY, "categories", ["a", "a"]), "model-description"),
        (_set(*CATEGORY, "categories", [1]), "model-description"),
        (_set("features", []), "model-description"),
        (_set("hidden", [0]), "model-description"),
        (_set("hidden", [8.0, 4]), "model-description"),
        (_set("hidden", [True]), "model-description"),
        (_set("hidden", [1] * 33), "model-description"),
        (_set("hidden", [8193]), "model-description"),
        (_set("hidden", [8192] * 6), "model-size"),
        (_set("hidden", [4, 8]), "model-shape"),
        (_set("hidden", [8]), "model-shape"),
        (_set("hidden", [8, 4, 4]), "model-shape"),
        (_set(*CATEGORY, "categories", ["a"]), "model-shape"),
    ],
)
def test_description_is_parsed_strictly(
    read: Read, model_files: dict[str, bytes], change: Callable[[Any], Any], reason: str
) -> None:
    document = json.loads(model_files["model.json"])
    change(document)
    assert refusal(read, {**model_files, "model.json": json.dumps(document).encode()}) == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "json-syntax"),
        (b"[]", "model-description"),
        (b'{"hidden": [1], "hidden": [1]}', "json-duplicate-key"),
        (b'{"hidden": NaN}', "json-number"),
        (b"[" * 1000, "json-depth"),
    ],
)
def test_description_is_strict_json(read: Read, model_files: dict[str, bytes], data: bytes, reason: str) -> None:
    assert refusal(read, {**model_files, "model.json": data}) == reason


def _saved(model_files: dict[str, bytes], change: Callable[[dict[str, Any]], Any]) -> dict[str, bytes]:
    import safetensors.torch

    state = safetensors.torch.load(model_files["model.safetensors"])
    change(state)
    return {**model_files, "model.safetensors": safetensors.torch.save(state)}


def test_weights_must_be_those_of_the_description(read: Read, model_files: dict[str, bytes]) -> None:
    import torch

    changes: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda s: s.pop("0.bias"), "model-shape"),
        (lambda s: s.update({"6.weight": torch.zeros(1)}), "model-shape"),
        (lambda s: s.update({"0.bias": torch.zeros(9)}), "model-shape"),
        (lambda s: s.update({"0.weight": s["0.weight"].t().contiguous()}), "model-shape"),
        (lambda s: s.update({"0.bias": s["0.bias"].double()}), "model-type"),
        (lambda s: s.update({"0.bias": s["0.bias"].half()}), "model-type"),
        (lambda s: s["0.bias"].fill_(float("nan")), "model-not-finite"),
        (lambda s: s["4.weight"].fill_(float("inf")), "model-not-finite"),
    ]
    for change, reason in changes:
        assert refusal(read, _saved(model_files, change)) == reason


@pytest.mark.parametrize("damage", ["empty", "short", "long", "header", "junk"])
def test_bytes_that_are_no_safetensors(read: Read, model_files: dict[str, bytes], damage: str) -> None:
    stored = model_files["model.safetensors"]
    data = {
        "empty": b"",
        "short": stored[:-1],
        "long": stored + b"\0",
        "header": b"\xff" * 8 + stored[8:],
        "junk": b"PK\x03\x04" + bytes(100),
    }[damage]
    assert refusal(read, {**model_files, "model.safetensors": data}) == "model-weights"


def test_weights_are_bounded_before_they_are_copied(
    read: Read, model_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_MAX_WEIGHT_BYTES", len(model_files["model.safetensors"]) - 1)
    assert refusal(read, model_files) == "model-size"


@pytest.mark.parametrize("shape", [[0, 2**63], [2**64, 0], [0, 2**62, 4]])
def test_a_shape_past_the_library_is_no_crash(read: Read, model_files: dict[str, bytes], shape: list[int]) -> None:
    header = json.dumps({"0.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
    damaged = len(header).to_bytes(8, "little") + header
    assert refusal(read, {**model_files, "model.safetensors": damaged}) in {"model-weights", "model-shape"}


def _twice(*entries: tuple[str, str, list[int], int, int]) -> bytes:
    header = ",".join(
        f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{stop}]}}'
        for name, dtype, shape, start, stop in entries
    )
    text = f"{{{header}}}".encode()
    return len(text).to_bytes(8, "little") + text


def test_a_tensor_named_twice_is_refused(read: Read) -> None:
    """Readers that take the first and readers that take the last would see two different models in one file."""
    description: dict[str, Any] = {
        "architecture": "tabular-mlp/1",
        "features": [{"type": "number", "name": "x", "mean": 0.0, "deviation": 1.0}],
        "hidden": [1],
        "label": "y",
    }
    biases = [("0.bias", "F32", [1], 8, 12), ("2.bias", "F32", [1], 12, 16)]
    weight = [(name, "F32", [1, 1], start, start + 4) for name, start in (("0.weight", 0), ("2.weight", 4))]
    swapped = [(name, "F32", [1, 1], start, start + 4) for name, start in (("0.weight", 4), ("2.weight", 0))]
    body = np.array([5, -1, 0, 0], dtype="<f4").tobytes()
    files = {"model.json": json.dumps(description).encode()}
    once = load_model(read({**files, "model.safetensors": _twice(*weight, *biases) + body}, "model"))
    assert once.network is not None
    assert [float(value.sum()) for value in once.network.state_dict().values()] == [5, 0, -1, 0]
    assert refusal(read, {**files, "model.safetensors": _twice(*weight, *swapped, *biases) + body}) == "model-weights"

    scales = [("0.weight.scale", "F32", [1], 8, 12), ("2.weight.scale", "F32", [1], 12, 16)]
    biases = [("0.bias", "F32", [1], 0, 4), ("2.bias", "F32", [1], 4, 8)]
    integers = [(name, "I8", [1, 1], start, start + 1) for name, start in (("0.weight", 16), ("2.weight", 17))]
    swapped = [(name, "I8", [1, 1], start, start + 1) for name, start in (("0.weight", 17), ("2.weight", 16))]
    files = {"model.json": json.dumps({"architecture": "int8/1", "of": description, "granularity": "tensor"}).encode()}
    body = np.array([0, 0, 1, 1], dtype="<f4").tobytes() + np.array([5, -1], dtype=np.int8).tobytes()
    load_model(read({**files, "model.safetensors": _twice(*biases, *scales, *integers) + body}, "model"))
    twice = _twice(*biases, *scales, *integers, *swapped) + body
    assert refusal(read, {**files, "model.safetensors": twice}) == "model-weights"


def test_tensors_are_counted_before_the_library_reads(
    read: Read, model_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_file, "MAX_TENSORS", 3)
    assert refusal(read, model_files) == "model-weights"

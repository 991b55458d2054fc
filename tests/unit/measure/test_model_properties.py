"""Properties of models: statistics against NumPy and fractions, formats by their bytes, and code in every costume."""

from __future__ import annotations

import bz2
import collections
import gzip
import hashlib
import io
import json
import lzma
import math
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rfc8785
import safetensors.numpy
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import load_job
from lamslsa.measure.model import archives, pickles, properties, scan
from lamslsa.measure.model.statistics import CHUNK, Sums
from lamslsa.measure.model.tensors import MalformedError, parse_safetensors
from lamslsa.predicates import Model
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB
from tests.unit.measure.test_onnx import DESCRIPTION, graph

Read = Callable[..., VerifiedArtifact]


def measured(artifact: VerifiedArtifact, *, per_tensor: bool = True) -> Model:
    text = f"{JOB}model: {{measurer: model-properties/1, perTensor: {str(per_tensor).lower()}}}\n"
    payload, outputs = run_plan(load_job(text.encode(), "job.yaml").require_model(), {"model": artifact}, name="m")
    assert not outputs
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Model)
    return predicate


def kinds(read: Read, files: dict[str, bytes]) -> set[tuple[str, str, str]]:
    return {(item.path, item.kind, item.severity) for item in measured(read(files, "model")).findings}


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class TestStatistics:
    @pytest.mark.parametrize(
        "values",
        [
            np.random.default_rng(0).normal(size=3000),
            np.random.default_rng(1).normal(size=3000).astype(np.float32) * np.float32(1e-30),
            np.random.default_rng(2).normal(size=500).astype(np.float16),
            np.array([1e300, -1e300, 1e-300]),
            np.array([5e-324, 5e-324, -5e-324]),
            np.array([0.0, -0.0, 3.0]),
            np.arange(-127, 128, dtype=np.int8),
            np.array([1e16, 1.0, -1e16, 1.0]),
        ],
    )
    def test_sums_are_exact(self, values: Any) -> None:
        sums = Sums()
        for part in np.array_split(values, 3):
            other = Sums()
            other.add(part)
            sums.merge(other)
        result = sums.result()
        exact = [Fraction(float(value)) for value in values]
        mean = sum(exact) / len(exact)
        variance = sum((value - mean) ** 2 for value in exact) / len(exact)
        assert result.mean == float(mean)
        assert result.deviation is not None
        scale = Fraction(max(abs(value) for value in exact))
        root = math.sqrt(float(variance / scale**2))
        step = float(Fraction(5e-324) / scale)  # of subnormal numbers, which are rounded to
        assert math.isclose(float(Fraction(result.deviation) / scale), root, rel_tol=1e-15, abs_tol=step)
        assert (result.minimum, result.maximum) == (float(values.min()), float(values.max()))
        assert result.zeros == int((values == 0).sum())

    def test_more_than_a_chunk(self) -> None:
        values = np.random.default_rng(3).normal(size=CHUNK + 5).astype(np.float32)
        sums = Sums()
        sums.add(values)
        result = sums.result()
        assert result.mean == math.fsum(values.tolist()) / len(values)
        assert result.deviation == pytest.approx(values.std(dtype=np.float64), rel=1e-12)

    def test_what_is_not_finite_is_counted_and_left_out(self) -> None:
        sums = Sums()
        sums.add(np.array([np.nan, np.inf, -np.inf, 1.0, 3.0]))
        result = sums.result()
        assert (result.non_finite, result.mean, result.maximum, result.deviation) == (3, 2.0, 3.0, 1.0)

    def test_nothing_finite_is_undefined(self) -> None:
        sums = Sums()
        assert sums.result().undefined == "no values"
        sums.add(np.array([np.nan]))
        assert sums.result().undefined == "no finite values"
        assert sums.result().mean is None


class TestWeights:
    def test_a_network_of_ours(self, read: Read, model_files: dict[str, bytes]) -> None:
        model = measured(read(model_files, "model"))
        tensors = safetensors.numpy.load(model_files["model.safetensors"])
        every = np.concatenate([value.reshape(-1) for value in tensors.values()]).astype(np.float64)
        assert model.weights.elements == model.weights.trainable == every.size
        assert model.weights.dtypes == {"F32": every.size}
        assert model.weights.bytes == 4 * every.size
        assert model.weights.statistics.mean == math.fsum(every) / every.size
        assert model.weights.statistics.deviation == pytest.approx(every.std(), rel=1e-13)
        assert {item.name for item in model.tensors} == set(tensors)
        for item in model.tensors:
            value = torch.from_numpy(tensors[item.name]).double()
            assert item.shape == tuple(value.shape)
            assert item.statistics.minimum == value.min().item()
            assert item.statistics.maximum == value.max().item()
            assert item.statistics.deviation == pytest.approx(value.std(correction=0).item(), rel=1e-12)
        assert model.findings == ()
        assert model.severities == {"code": 0, "unknown": 0, "notice": 0}
        assert {item.path: item.format for item in model.files} == {
            "model.json": "json",
            "model.safetensors": "safetensors",
        }
        assert model.architecture.name == "tabular-mlp/1"

    def test_running_statistics_are_not_trained(self, read: Read) -> None:
        from lamslsa.measure.models import weights
        from lamslsa.measure.models.interface import dump_description
        from tests.unit.measure.test_convert import VGG

        network = VGG.network()
        files = {
            "model.json": dump_description(VGG),
            "model.safetensors": weights.dump(weights.state_of(network)),
        }
        model = measured(read(files, "model"), per_tensor=False)
        assert model.weights.trainable == sum(item.numel() for item in network.parameters())
        buffers = sum(item.numel() for name, item in network.named_buffers() if "running" in name)
        assert model.weights.elements == model.weights.trainable + buffers
        assert model.tensors == ()

    def test_every_type(self, read: Read) -> None:
        values = torch.tensor([[1.5, -2.0, 0.0], [448.0, 0.25, -0.5]])
        tensors = {
            "f64": values.double(),
            "f32": values,
            "f16": values.half(),
            "bf16": values.bfloat16(),
            "f8a": values.to(torch.float8_e4m3fn),
            "f8b": values.to(torch.float8_e5m2),
            "i8": torch.tensor([-128, 127], dtype=torch.int8),
            "u8": torch.tensor([0, 255], dtype=torch.uint8),
            "i64": torch.tensor([-(2**40), 2**50]),
            "flag": torch.tensor([True, False]),
            "scalar": torch.tensor(3.0),
            "none": torch.zeros(0, 4),
            "huge": torch.tensor([2**53 + 1]),
        }
        model = measured(read({"w.safetensors": safetensors.torch.save(tensors), "README.md": b"#"}, "model"))
        for item in model.tensors:
            value = tensors[item.name]
            if item.name in ("none", "huge"):
                assert item.statistics.undefined
                assert item.statistics.mean is None
                continue
            wide = value.to(torch.float64)
            assert item.statistics.mean == wide.mean().item(), item.name
            assert item.statistics.deviation == pytest.approx(wide.std(correction=0).item(), rel=1e-12)
        floating = sum(item.numel() for item in tensors.values() if item.is_floating_point())
        assert model.weights.statistics.elements == floating
        assert model.weights.trainable is None
        assert model.weights.dtypes["F8_E4M3"] == 6

    def test_eight_bit_floats_are_those_of_torch(self) -> None:
        from lamslsa.measure.model.tensors import _eight_bits

        codes = torch.arange(256, dtype=torch.uint8)
        for name, kind in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
            expected = codes.view(kind).to(torch.float64).numpy()
            assert np.array_equal(_eight_bits(name), expected, equal_nan=True)

    def test_onnx(self, read: Read) -> None:
        data = graph().SerializeToString(deterministic=True)
        model = measured(read({"model.json": json.dumps(DESCRIPTION).encode(), "model.onnx": data}, "model"))
        assert {(item.name, item.shape) for item in model.tensors} == {("w", (2, 3)), ("b", (3,))}
        assert model.weights.elements == 9
        assert model.weights.trainable is None
        assert model.findings == ()

    def test_what_trees_learned_is_counted(self, read: Read) -> None:
        from tests.unit.measure.test_sklearn import BOOSTING, trained

        made, _, _ = trained(read, "binary", BOOSTING, 120)
        model = measured(read(made.files, "model"))
        names = {item.name for item in model.tensors}
        assert {"0.nodes_values", "0.class_weights"} <= names
        assert model.findings == ()

    def test_a_tensor_in_two_files(self, read: Read) -> None:
        data = safetensors.numpy.save({"w": np.zeros(2, np.float32)})
        assert kinds(read, {"a.safetensors": data, "b.safetensors": data}) == {
            ("b.safetensors", "tensor-twice", "unknown")
        }

    def test_too_many_tensors(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(properties, "MAX_TENSORS", 1)
        data = safetensors.numpy.save({"v": np.zeros(2, np.float32), "w": np.zeros(2, np.float32)})
        artifact = read({"a.safetensors": data, "README.md": b""}, "model")
        with pytest.raises(FormatError) as caught:
            measured(artifact)
        assert caught.value.reason == "model-tensors"
        assert measured(artifact, per_tensor=False).weights.tensors == 2


class TestArchitecture:
    def test_the_digest_is_that_of_the_specification(self, read: Read, model_files: dict[str, bytes]) -> None:
        model = measured(read(model_files, "model"))
        description = json.loads(model_files["model.json"])
        for feature in description["features"]:
            if feature["type"] == "number":
                del feature["mean"], feature["deviation"]
            else:
                feature["categories"] = len(feature["categories"])
        tensors = safetensors.numpy.load(model_files["model.safetensors"])
        rows = sorted([name, "F32", list(value.shape)] for name, value in tensors.items())
        whole = rfc8785.dumps({"description": description, "tensors": rows})
        assert model.architecture.digest.sha256 == hashlib.sha256(whole).hexdigest()

    def test_what_was_learned_does_not_change_it(self, read: Read, model_files: dict[str, bytes]) -> None:
        before = measured(read(model_files, "model")).architecture
        document = json.loads(model_files["model.json"])
        document["features"][0]["mean"] += 1
        tensors = {name: value + 1 for name, value in safetensors.numpy.load(model_files["model.safetensors"]).items()}
        altered = {
            "model.json": json.dumps(document).encode(),
            "model.safetensors": safetensors.numpy.save(tensors),
        }
        assert measured(read(altered, "model")).architecture == before
        document["features"][0]["name"] = "other"
        assert measured(read({**altered, "model.json": json.dumps(document).encode()}, "model")).architecture != before

    def test_nothing_to_describe(self, read: Read) -> None:
        model = measured(read({"README.md": b"hello", "LICENSE": b""}, "model"))
        expected = hashlib.sha256(b'{"description":null,"tensors":[]}').hexdigest()
        assert model.architecture.digest.sha256 == expected
        text = (Path(__file__).parents[3] / "predicates/model/v1/README.md").read_text(encoding="utf-8")
        assert expected in text
        assert (model.architecture.name, model.architecture.source) == (None, None)

    def test_a_folder_of_another_library(self, read: Read) -> None:
        config = {"architectures": ["BertModel"], "hidden_size": 2, "_name_or_path": "x", "transformers_version": "5"}
        data = safetensors.numpy.save({"w": np.zeros(2, np.float32)})
        model = measured(read({"config.json": json.dumps(config).encode(), "model.safetensors": data}, "model"))
        assert (model.architecture.name, model.architecture.source) == ("BertModel", "config.json")
        moved = json.dumps(config | {"_name_or_path": "y", "transformers_version": "6"}).encode()
        again = measured(read({"config.json": moved, "model.safetensors": data}, "model"))
        assert again.architecture == model.architecture


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _saved(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def _scripted() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), stream)
    return stream.getvalue()


def _numpy(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _one(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


BOMB = pickle.dumps(Bomb(Path("/nonexistent/mark")))


class TestPickles:
    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "README.md", "notes"])
    def test_a_pickle_under_any_name(self, read: Read, tmp_path: Path, protocol: int, name: str) -> None:
        mark = tmp_path / "ran"
        files = {name: pickle.dumps(Bomb(mark), protocol=protocol), "LICENSE": b""}
        model = measured(read(files, "model"))
        (finding,) = model.findings
        assert (finding.path, finding.kind, finding.severity) == (name, "pickle", "code")
        assert "Path" in finding.detail
        assert model.severities["code"] == 1
        assert not mark.exists()

    @pytest.mark.parametrize(
        ("costume", "inside"),
        [
            (lambda: _saved({"w": torch.zeros(2)}), "archive/data.pkl"),
            (lambda: _zip({"x/data.pkl": BOMB}, zipfile.ZIP_STORED), "x/data.pkl"),
            (lambda: _zip({"inner.zip": _zip({"p": BOMB})}), "inner.zip!p"),
            (lambda: _tar({"weights.ckpt": BOMB}), "weights.ckpt"),
            (lambda: gzip.compress(BOMB), "content"),
            (lambda: bz2.compress(BOMB), "content"),
            (lambda: lzma.compress(BOMB), "content"),
            (lambda: zlib.compress(BOMB), "content"),
            (lambda: gzip.compress(_tar({"p": BOMB})), "content!p"),
            (lambda: b"#" * 1000 + _zip({"p": BOMB}), "p"),
        ],
    )
    def test_archives(self, read: Read, costume: Callable[[], bytes], inside: str) -> None:
        found = kinds(read, {"file": costume(), "LICENSE": b""})
        assert (f"file!{inside}", "pickle", "code") in found

    def test_a_legacy_file_of_torch(self, read: Read) -> None:
        data = _saved({"w": torch.zeros(2)}, _use_new_zipfile_serialization=False)
        (finding,) = (item for item in measured(read({"w": data, "LICENSE": b""}, "model")).findings)
        assert finding.kind == "pickle"
        assert "torch._utils._rebuild_tensor_v2" in finding.detail  # which stands in the fourth pickle of the file

    def test_a_polyglot_of_weights_and_archive(self, read: Read) -> None:
        archive = _zip({"p": BOMB}, zipfile.ZIP_STORED)
        padded = np.frombuffer(archive + bytes(-len(archive) % 4), dtype=np.uint8)
        if len(archive) % 4:
            archive = _zip({"p" + "p" * (4 - len(archive) % 4): BOMB}, zipfile.ZIP_STORED)
        data = safetensors.numpy.save({"w": padded[: len(archive)]})
        model = measured(read({"model.safetensors": data, "LICENSE": b""}, "model"))
        assert {item.format for item in model.files} == {"safetensors", "empty"}
        assert model.severities["code"] >= 1

    def test_names_that_only_the_unpickler_can_read(self, read: Read) -> None:
        assert kinds(read, {"w": "cmodulé\nrun\n(S'x'\ntR.".encode(), "LICENSE": b""}) == {("w", "pickle", "code")}

    def test_too_many_opcodes_to_follow(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pickles, "MAX_OPCODES", 50)
        assert kinds(read, {"w": b"N0" * 60 + BOMB[2:], "LICENSE": b""}) == {("w", "pickle", "code")}

    def test_opcodes_without_a_protocol(self, read: Read) -> None:
        assert kinds(read, {"w": b"\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", "LICENSE": b""}) == {
            ("w", "pickle", "code")
        }

    @pytest.mark.parametrize(
        "text", [b"contents of this folder\nare weights\n", b"a\nb\n", b"", b"{}", b"code\nhere\nRead on"]
    )
    def test_texts_are_no_pickles(self, text: bytes) -> None:
        assert pickles.look(text) is None

    def test_values_alone_are_a_pickle_too(self) -> None:
        seen = pickles.look(pickle.dumps(collections.OrderedDict(a=1)))
        assert seen is not None
        assert seen.imports == ("collections.OrderedDict",)
        assert seen.whole


class TestCode:
    @pytest.mark.parametrize(
        ("make", "kind", "severity"),
        [
            (lambda: _one(np.array([{}], dtype=object)), "numpy-object", "code"),
            (lambda: _one(np.zeros(2, dtype=[("a", "f4"), ("b", "O")])), "numpy-object", "code"),
            (lambda: b"\x93NUMPY\x01\x00\xff\xff", "malformed", "unknown"),
            (lambda: b"import os\nos.system('x')\n", "python", "code"),
            (lambda: b"#!/bin/sh\nrm x\n", "script", "code"),
            (lambda: b'{"nbformat": 4, "cells": []}', "notebook", "code"),
            (lambda: b"a: !!python/object/apply:os.system [x]\n", "yaml-python", "code"),
            (lambda: b'{"auto_map": {"AutoModel": "m.M"}}', "remote-code", "code"),
            (lambda: b'{"x": [{"trust_remote_code": true}]}', "remote-code", "code"),
            (lambda: b'{"_class_name": ["pipeline", "P"]}', "remote-code", "code"),
            (lambda: b'{"config": {"layers": [{"class_name": "Lambda"}]}}', "keras-lambda", "code"),
            (lambda: b'{"module": "evil.layers", "class_name": "Dense"}', "keras-custom", "code"),
            (lambda: b'{"chat_template": "{{ x }}"}', "chat-template", "notice"),
            (lambda: b"{% for x in y %}{% endfor %}", "template", "notice"),
            (lambda: b'{"a": NaN}', "malformed", "unknown"),
            (lambda: b'{"a": 1, "a": 2}', "malformed", "unknown"),
            (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "lfs-pointer", "unknown"),
            (lambda: b"\x7fELF" + bytes(60), "native", "code"),
            (lambda: b"MZ" + bytes(60), "native", "code"),
            (lambda: b"\0asm" + bytes(60), "native", "code"),
            (lambda: b"\xa7\r\r\n" + bytes(60), "native", "code"),
            (lambda: b"\x89HDF\r\n\x1a\n" + bytes(60), "hdf5", "unknown"),
            (lambda: b"\x89HDF\r\n\x1a\n" + b'{"class_name": "Lambda"}', "keras-lambda", "code"),
            (lambda: b"ARROW1\0\0" + b"arrow.py_extension_type", "arrow-pickle", "code"),
            (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(60), "archive", "unknown"),
            (lambda: b"PK\x03\x04" + bytes(60), "archive", "unknown"),
            (lambda: b"\xff\xfe\xfd\xfc" * 9, "unknown-format", "unknown"),
            (lambda: "naïve".encode("utf-16"), "unknown-format", "unknown"),
            (lambda: (2).to_bytes(8, "little") + b"{}" + b"\0\0", "malformed", "unknown"),
        ],
    )
    def test_a_file_by_its_bytes(self, read: Read, make: Callable[[], bytes], kind: str, severity: str) -> None:
        assert kinds(read, {"weights.txt": make(), "LICENSE": b""}) == {("weights.txt", kind, severity)}

    def test_programs_of_torch(self, read: Read) -> None:
        assert ("w", "torchscript", "code") in kinds(read, {"w": _scripted(), "LICENSE": b""})
        exported = _zip({"m/archive_format": b"pt2", "m/models/model.json": b"{}"})
        assert kinds(read, {"w": exported, "LICENSE": b""}) == {("w", "torch-export", "code")}

    def test_arrays_of_objects_in_an_archive(self, read: Read) -> None:
        data = _numpy(plain=np.zeros(3), objects=np.array([{}], dtype=object))
        assert kinds(read, {"w": data, "LICENSE": b""}) == {("w!objects.npy", "numpy-object", "code")}

    @pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:\\x", "..\\x"])
    def test_members_that_lead_out(self, read: Read, name: str) -> None:
        found = kinds(read, {"w": _zip({name: b"text"}), "LICENSE": b""})
        assert ("archive-path", "code") in {(kind, severity) for _, kind, severity in found}

    def test_archives_that_never_end(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        nested = b"text"
        for _ in range(scan.MAX_DEPTH + 2):
            nested = _zip({"inner": nested})
        assert "archive-depth" in {kind for _, kind, _ in kinds(read, {"w": nested, "LICENSE": b""})}
        monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
        bomb = _zip({"zeros.txt": b"a" * 1_000_000})
        assert kinds(read, {"w": bomb, "LICENSE": b""}) == {("w!zeros.txt", "archive-member", "unknown")}
        monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
        many = _zip({f"{index}.txt": b"a" for index in range(5)})
        assert kinds(read, {"w": many, "LICENSE": b""}) == {("w", "archive", "unknown")}

    def test_links_in_archives(self, read: Read) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            info = tarfile.TarInfo("l")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
        assert kinds(read, {"w": stream.getvalue(), "LICENSE": b""}) == {("w!l", "archive-member", "unknown")}

    def test_bytes_behind_a_compressed_file(self, read: Read) -> None:
        assert kinds(read, {"w": gzip.compress(b"text") + BOMB, "LICENSE": b""}) == {
            ("w!content", "archive-member", "unknown")
        }

    def test_findings_are_bounded(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan, "MAX_FINDINGS", 3)
        model = measured(read({f"f{index}": BOMB for index in range(9)}, "model"))
        assert [item.kind for item in model.findings] == ["pickle", "pickle", "pickle", "findings"]
        assert model.severities == {"code": 3, "unknown": 1, "notice": 0}

    @pytest.mark.parametrize(
        "data",
        [
            b"# Model card\n\nIt is good (very).\n",
            b'{"hidden_size": 3}',
            b"[1, 2]",
            "naïve\n".encode(),
            b"[PAD]\n##ing\n",
        ],
    )
    def test_plain_texts_are_without_findings(self, read: Read, data: bytes) -> None:
        assert kinds(read, {"vocab.txt": data, "LICENSE": b""}) == set()


class TestOnnx:
    def test_custom_operators_and_external_data_wherever_they_are(self, read: Read) -> None:
        inner = helper.make_graph([helper.make_node("Evil", [], ["o"], domain="com.evil")], "g", [], [])
        tensor = numpy_helper.from_array(np.zeros(2, np.float32), "t")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
        inner.initializer.append(tensor)
        node = helper.make_node("If", ["c"], ["o"])
        node.attribute.append(helper.make_attribute("then_branch", inner))
        model = helper.make_model(helper.make_graph([node], "g", [], []))
        found = {
            (item.kind, item.severity)
            for item in measured(read({"m.dat": model.SerializeToString(), "LICENSE": b""}, "model")).findings
        }
        assert found == {("onnx-custom-operator", "code"), ("onnx-external-data", "code")}

    def test_external_weights_are_not_read(self, read: Read) -> None:
        model = graph()
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "weights.bin"
        found = kinds(read, {"m": model.SerializeToString(), "LICENSE": b""})
        assert found == {("m", "onnx-external-data", "code"), ("m", "tensors", "unknown")}

    def test_functions_of_the_model_are_no_custom_operators(self, read: Read) -> None:
        model = graph()
        model.functions.add(name="F", domain="local", output=["o"])
        model.graph.node.append(helper.make_node("F", [], ["o"], domain="local"))
        assert onnx.ModelProto.FromString(model.SerializeToString()).functions
        assert kinds(read, {"m": model.SerializeToString(), "LICENSE": b""}) == set()


def _gguf(entries: dict[str, str | int], version: int = 3) -> bytes:
    data = b"GGUF" + struct.pack("<IQQ", version, 0, len(entries))
    for key, value in entries.items():
        data += struct.pack("<Q", len(key)) + key.encode()
        if isinstance(value, str):
            data += struct.pack("<IQ", 8, len(value)) + value.encode()
        else:
            data += struct.pack("<II", 4, value)
    return data


def test_templates_in_gguf(read: Read) -> None:
    assert kinds(read, {"m": _gguf({"a": 1, "general.name": "x"}), "LICENSE": b""}) == set()
    found = kinds(read, {"m": _gguf({"a": 1, "tokenizer.chat_template": "{{ x }}"}), "LICENSE": b""})
    assert found == {("m", "chat-template", "notice")}
    for data in (_gguf({"a": "x"})[:-3], _gguf({}, version=9), b"GGUF", b"GGUF" + b"\xff" * 40):
        assert kinds(read, {"m": data, "LICENSE": b""}) == {("m", "malformed", "unknown")}


def _file(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def _f32(start: int, stop: int, shape: list[Any] | None = None) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(stop - start) // 4] if shape is None else shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8 + b"{}",
        _file([]),
        _file(b'{"a": 1, "a": 2}'),
        _file({}, b"more"),
        _file({"w": _f32(0, 8)}, bytes(4)),
        _file({"w": _f32(4, 8)}, bytes(8)),
        _file({"v": _f32(0, 8), "w": _f32(4, 8)}, bytes(8)),
        _file({"w": _f32(0, 8, [3])}, bytes(8)),
        _file({"w": _f32(0, 8, [-2, -1])}, bytes(8)),
        _file({"w": _f32(0, 8, [2.0])}, bytes(8)),
        _file({"w": _f32(0, 8, [True, 2])}, bytes(8)),
        _file({"w": _f32(0, 0, [0] * 33)}),
        _file({"w": {**_f32(0, 8), "dtype": "OBJECT"}}, bytes(8)),
        _file({"w": {**_f32(0, 8), "more": 1}}, bytes(8)),
        _file({"w": 1}),
        _file({"__metadata__": {"a": 1}}),
        _file({"w": _f32(8, 0, [2])}, bytes(8)),
    ],
)
def test_safetensors_that_are_not_sound(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_safetensors(memoryview(data))


def test_sound_safetensors_are_those_of_the_library() -> None:
    tensors: dict[str, Any] = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.arange(3, dtype=np.int8)}
    data = safetensors.numpy.save(tensors, metadata={"format": "np"})
    entries = parse_safetensors(memoryview(data))
    assert [(item.name, item.shape, bytes(item.data)) for item in entries] == [
        (name, tensors[name].shape, tensors[name].tobytes()) for name in ("a", "b")
    ]

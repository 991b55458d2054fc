"""Model folders that would have those who look at them work without end."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from lamslsa.measure.model import scan as scanning
from lamslsa.measure.model.scan import Scan, scan
from lamslsa.measure.model.statistics import Sums
from lamslsa.measure.model.tensors import MalformedError, onnx_tensors


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def nested(depth: int, each: int) -> bytes:
    """An archive of archives, ``each`` in every one."""
    data = b"a text"
    for _ in range(depth):
        data = zipped({str(number): data for number in range(each)})
    return data


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of what was looked at."""
    seen: list[str] = []
    look = scanning._look

    def noting(found: Scan, path: str, data: memoryview, *, depth: int) -> str:
        seen.append(path)
        return look(found, path, data, depth=depth)

    monkeypatch.setattr(scanning, "_look", noting)
    return seen


def test_archives_in_archives_are_looked_into_while_there_is_room(
    members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = nested(3, 12)
    found = scan(iter([("model.bin", memoryview(data))]))
    assert len(members) == 1 + 12 + 12**2 + 12**3
    assert found.findings == []
    members.clear()
    monkeypatch.setattr(scanning, "_ROOM", 100 * 4096)
    found = scan(iter([("model.bin", memoryview(data)), ("config.json", memoryview(b"{}"))]))
    assert len(members) < 120
    assert {(item.kind, item.severity) for item in found.findings} == {("archive", "unknown")}
    assert found.formats == {"model.bin": "zip", "config.json": "json"}


def test_a_folder_has_room_for_what_lies_in_it_unpacked(members: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_ROOM", 20 * 4096)
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("weights", bytes(range(256)) * 4096)
    files = [(f"{number}.bin", memoryview(stored.getvalue())) for number in range(9)]
    assert not [item for item in scan(iter(files)).findings if item.kind == "archive"]
    assert len(members) == 18


def onnx_with(**names: bytes) -> bytes:
    """A model with external data in which names are other bytes than UTF-8."""
    import onnx
    from onnx import helper, numpy_helper

    weight = numpy_helper.from_array(np.zeros(2, np.float32), "TENSOR")
    node = helper.make_node("OPERATOR", ["x", "TENSOR"], ["y"], domain="DOMAIN")
    graph = helper.make_graph([node], "g", [], [], initializer=[weight])
    if "LOCATION" in names:
        graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        entry = graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", "LOCATION"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("DOMAIN", 1)])
    data: bytes = model.SerializeToString()
    for name, value in names.items():
        data = data.replace(name.encode(), value.ljust(len(name), b"\xff"))
    return data


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"DOMAIN": b"\xfe", "OPERATOR": b"\xfd"}, {("onnx-custom-operator", "code")}),
        ({"LOCATION": b"\xfc"}, {("onnx-custom-operator", "code"), ("onnx-external-data", "code")}),
        ({"TENSOR": b"\xfb"}, {("onnx-custom-operator", "code")}),
    ],
)
def test_names_that_are_no_text_are_looked_at_all_the_same(names: dict[str, bytes], expected: set[Any]) -> None:
    """Protobuf gives them as bytes."""
    data = memoryview(onnx_with(**names))
    found = scan(iter([("model.onnx", data)]))
    assert found.formats == {"model.onnx": "onnx"}
    assert {(item.kind, item.severity) for item in found.findings} == expected
    assert all(isinstance(item.detail, str) and item.detail.isprintable() for item in found.findings)
    if "TENSOR" in names:
        with pytest.raises(MalformedError, match="no text"):
            list(onnx_tensors(data))


def test_numbers_that_signal_are_none_without_a_warning() -> None:
    sums = Sums()
    sums.add(np.array([0x7FA00000, 0x3F800000], dtype=np.uint32).view(np.float32))
    assert (sums.result().non_finite, sums.result().mean) == (1, 1.0)

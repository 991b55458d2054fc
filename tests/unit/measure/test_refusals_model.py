"""Model folders that would have those who look at them work without end."""

from __future__ import annotations

import io
import zipfile

import pytest

from lamslsa.measure.model import scan as scanning
from lamslsa.measure.model.scan import Scan, scan


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

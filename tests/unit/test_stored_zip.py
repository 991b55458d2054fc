"""One spelling of a ZIP file: no byte of it may be another one."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa import _stored_zip
from lamslsa.errors import FormatError

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=20)
FILES = {"a.json": b"{}", "b/c.txt": b"text" * 10, "d": b""}


def refused(data: bytes) -> bool:
    try:
        _stored_zip.read(data)
    except FormatError as err:
        return err.reason == "zip-spelling"
    return False


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5))
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    data = _stored_zip.write(files)
    assert _stored_zip.read(data) == files
    assert list(_stored_zip.read(data)) == sorted(files)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == files


def test_every_byte_counts() -> None:
    """A changed byte of a header, name or checksum is refused; one of content changes the content."""
    data = _stored_zip.write(FILES)
    for at in range(len(data)):
        for bit in (1, 128):
            changed = bytearray(data)
            changed[at] ^= bit
            assert refused(bytes(changed)), at
    for at in range(len(data)):
        assert refused(data[:at] + data[at + 1 :]), at
        assert refused(data[:at]), at


@pytest.mark.parametrize("name", ["", "a\\b", "\u00e9", "a\nb", "\x00", "x" * 1025])
def test_names(name: str) -> None:
    with pytest.raises(FormatError):
        _stored_zip.write({name: b""})


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stored_zip, "_MAX_ENTRIES", 3)
    data = _stored_zip.write(FILES)
    monkeypatch.setattr(_stored_zip, "_MAX_ENTRIES", 2)
    assert refused(data)
    with pytest.raises(FormatError):
        _stored_zip.write(FILES)
    monkeypatch.undo()
    monkeypatch.setattr(_stored_zip, "_MAX_BYTES", len(data) - 1)
    with pytest.raises(FormatError):
        _stored_zip.write(FILES)


def test_first_name() -> None:
    assert _stored_zip.first_name(_stored_zip.write(FILES)) == "a.json"
    for data in (b"", b"PK", b"PK\x03\x04", _stored_zip.write({})):
        assert _stored_zip.first_name(data) is None


def test_the_same_file_twice() -> None:
    one = _stored_zip.write({"a": b"1"})
    entry = one[: one.index(b"PK\x01\x02")]
    assert refused(entry + one)

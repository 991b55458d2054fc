"""Files of text to documents: strict UTF-8, and nothing longer than was foreseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.schema import TextSchema
from lamslsa.measure.data.texts import read_texts

FILES = TextSchema(documents="file")
LINES = TextSchema(documents="line")
Read = Callable[..., VerifiedArtifact]


def test_a_file_is_a_document_in_the_order_of_the_manifest(read: Read) -> None:
    artifact = read({"b.txt": b"zwei\n", "a/é.txt": "日本\r\n".encode(), "empty.txt": b""})
    assert list(read_texts(artifact, FILES)) == ["日本\r\n", "zwei\n", ""]


def test_a_line_is_a_document(read: Read) -> None:
    artifact = read({"a.txt": "one\n\ntwo\u2028\r\n".encode(), "b.txt": b"three"})
    assert list(read_texts(artifact, LINES)) == ["one", "", "two\u2028\r", "three"]


@pytest.mark.parametrize("schema", [FILES, LINES])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a\xff", "text-utf8"),
        (b"\xed\xa0\x80", "text-utf8"),
        (b"\x80\x04\x95.", "text-utf8"),
        (b"a\0b", "text-nul"),
        (b"\xef\xbb\xbfa", "text-bom"),
        (b"x" * 101, "text-size"),
    ],
)
def test_hostile_texts_are_refused(
    read: Read, monkeypatch: pytest.MonkeyPatch, schema: TextSchema, data: bytes, reason: str
) -> None:
    monkeypatch.setattr(limits, "MAX_DOCUMENT_BYTES", 100)
    with pytest.raises(FormatError) as caught:
        list(read_texts(read({"a.txt": data}), schema))
    assert caught.value.reason == reason


def test_documents_are_counted(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DOCUMENTS", 2)
    for data in (b"a\nb\nc\n", b""):
        with pytest.raises(FormatError) as caught:
            list(read_texts(read({"a.txt": data}), LINES))
        assert caught.value.reason == "text-count"

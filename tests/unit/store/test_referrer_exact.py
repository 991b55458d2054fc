"""Descriptors to the last field, and files of bundles to the last line."""

from __future__ import annotations

import json

from lamslsa.errors import FormatError
from lamslsa.store import contents
from lamslsa.store.contents import each
from lamslsa.store.interface import StoredBundle
from lamslsa.store.referrer import Descriptor, parse_descriptor, parse_index

FULL = Descriptor(media_type="a/b", sha256="ab" * 32, size=0, artifact_type="c/d", annotations={"e": "f"})


def test_a_descriptor_comes_back_whole() -> None:
    assert parse_descriptor(FULL.wire(), what="x") == FULL
    plain = Descriptor(media_type="a/b", sha256="ab" * 32, size=7)
    index = json.dumps({"manifests": [FULL.wire(), plain.wire()]}).encode()
    assert parse_index(index) == (FULL, plain)
    assert [entry.annotations for entry in parse_index(index) if isinstance(entry, Descriptor)] == [{"e": "f"}, {}]


def test_as_many_lines_as_there_may_be() -> None:
    line = b'{"mediaType":"x"}'
    most = b"\n" * (contents._MAX_LINES - 1)
    (found,) = each(StoredBundle(source="a.intoto.jsonl", data=line + most))
    assert (found.source, found.data) == ("a.intoto.jsonl:1", line)
    (found,) = each(StoredBundle(source="a.intoto.jsonl", data=line + most + b"\n"))
    assert found.source == "a.intoto.jsonl"
    assert isinstance(found.data, FormatError)
    assert found.data.reason == "store-lines"

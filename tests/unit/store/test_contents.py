"""What bundles say of themselves: one at a time, laxly, and never silently left out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lamslsa.errors import FormatError
from lamslsa.store import StoredBundle, contents
from lamslsa.store.contents import About, about, each


def test_about(bundle: Any) -> None:
    assert about(bundle(name="Census")) == About(predicate_type="https://lamslsa.dev/evaluation/v1", subject="Census")
    assert about(bundle(name="Census")).name == "evaluation/v1 of Census"


@pytest.mark.parametrize(
    ("predicate_type", "name"),
    [
        ("https://slsa.dev/provenance/v1", "provenance/v1"),
        ("https://in-toto.io/attestation/svr/v0.2", "svr/v0.2"),
        ("custom", "custom"),
    ],
)
def test_names(predicate_type: str, name: str) -> None:
    assert About(predicate_type=predicate_type).name == name


def test_a_statement_without_subject_has_a_type() -> None:
    payload = base64.b64encode(b'{"predicateType":"p"}').decode()
    assert about(json.dumps({"mediaType": "m", "dsseEnvelope": {"payload": payload}}).encode()).name == "p"


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"mediaType": "m"},
        {"dsseEnvelope": {"payload": "e30="}},
        {"mediaType": "m", "dsseEnvelope": {"payload": "e30="}},
        {"mediaType": "m", "dsseEnvelope": {"payload": base64.b64encode(b'{"predicateType":""}').decode()}},
    ],
)
def test_no_statement(value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        about(json.dumps(value).encode())
    assert caught.value.reason == "store-no-statement"


def test_each_line_is_a_bundle(bundle: Any) -> None:
    lines = b"\n".join([bundle(1), b"", b"{", b'{"other": 1}', bundle(2) + b"\r", b""])
    found = list(each(StoredBundle(source="a.intoto.jsonl", data=lines)))
    assert [item.source for item in found] == [f"a.intoto.jsonl:{number}" for number in (1, 3, 4, 5)]
    assert found[0].data == bundle(1)
    assert isinstance(found[1].data, FormatError)
    assert isinstance(found[2].data, FormatError)
    assert found[2].data.reason == "store-line"
    assert found[3].data == bundle(2)


def test_other_files_and_errors_stay_as_they_are() -> None:
    for found in (
        StoredBundle(source="a.sigstore.json", data=b"{}\n{}"),
        StoredBundle(source="a.intoto.jsonl", data=FormatError("x", reason="x")),
    ):
        assert list(each(found)) == [found]


def test_lines_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_MAX_LINES", 2)
    (found,) = each(StoredBundle(source="a.intoto.jsonl", data=b"{}\n{}\n{}"))
    assert isinstance(found.data, FormatError)
    assert found.data.reason == "store-lines"

"""A policy in one line: it comes out as it went in, and what somebody changed is refused."""

from __future__ import annotations

import base64
import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import FormatError, LamslsaError, PolicyError, VerificationError
from lamslsa.policy.inline import MAX_INLINE_BYTES, POLICY, open_inline, pack, pack_policy, unpack
from lamslsa.policy.opening import OpenedPolicy, open_policy
from lamslsa.sign.keyless.root import _EMBEDDED, _client_folder

BASE = Path(__file__).parents[2] / "vectors" / "policy" / "base"


@pytest.fixture
def opened(tmp_path: Path) -> OpenedPolicy:
    """A policy that names files and another policy."""
    for file in BASE.iterdir():
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / "top.yaml").write_text((tmp_path / "policy.yaml").read_text() + "extends: [policy.yaml]\n")
    return open_policy(str(tmp_path / "top.yaml"))


def line(document: Any) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.b64encode(zlib.compress(data)).decode()


def test_it_comes_out_as_it_went_in(opened: OpenedPolicy) -> None:
    text = pack_policy(opened)
    assert text == pack_policy(opened)
    assert len(text) < 8192
    found = open_inline(text, closure=opened.policy.closure)
    assert found.policy.closure == opened.policy.closure
    assert (found.data, found.files) == (opened.data, opened.files)
    assert "policy.yaml" in found.files
    assert unpack(text).trusted_root is None


def test_files_of_any_bytes() -> None:
    files = {"a": b"", "b/c": b"\xff\x00", "c": "ü\n".encode(), "d": b'"\\'}
    found = unpack(pack(files, b"\xfe"))
    assert (found.files, found.trusted_root, found.collateral) == (files, b"\xfe", ())
    assert unpack(pack(files, collateral=[b"{}", b"[1]"])).collateral == (b"{}", b"[1]")
    assert list(pack(files)) == list(pack(dict(reversed(files.items()))))


def test_the_trusted_root_goes_along(opened: OpenedPolicy) -> None:
    root = (_client_folder() / "_store" / _EMBEDDED / "trusted_root.json").read_bytes()
    text = pack_policy(opened, root)
    assert unpack(text).trusted_root == root
    assert open_inline(text, closure=opened.policy.closure).policy.closure == opened.policy.closure
    with pytest.raises(FormatError):
        pack_policy(opened, b"{}")


def test_another_policy_is_refused(opened: OpenedPolicy) -> None:
    text = pack({**opened.files, POLICY: opened.data + b"# weaker\n"})
    with pytest.raises(VerificationError) as caught:
        open_inline(text, closure=opened.policy.closure)
    assert caught.value.reason == "policy-inline-digest"
    changed = {**opened.files, "auditor.pub": opened.files["trainer.pub"], POLICY: opened.data}
    with pytest.raises(LamslsaError):
        open_inline(pack(changed), closure=opened.policy.closure)


def test_no_file_but_those_in_the_line_is_read(
    opened: OpenedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {name: data for name, data in opened.files.items() if name != "auditor.pub"}
    assert (tmp_path / "auditor.pub").exists()
    with pytest.raises(FormatError) as caught:
        open_inline(pack({**files, POLICY: opened.data}), closure=opened.policy.closure)
    assert caught.value.reason == "policy-file"


def test_too_large_a_policy(opened: OpenedPolicy) -> None:
    noise = random.Random(0).randbytes(MAX_INLINE_BYTES)
    with pytest.raises(PolicyError) as caught:
        pack({POLICY: noise})
    assert caught.value.reason == "policy-inline-size"


def test_what_only_fits_while_it_is_packed(opened: OpenedPolicy) -> None:
    with pytest.raises(PolicyError) as caught:
        pack({POLICY: opened.data + b"#" * 8 * 1024 * 1024})
    assert caught.value.reason == "policy-inline-size"


def test_collateral_is_text() -> None:
    with pytest.raises(FormatError) as caught:
        pack({POLICY: b""}, collateral=[b"\xff"])
    assert caught.value.reason == "policy-inline"
    with pytest.raises(FormatError) as refused:
        unpack("A" * (MAX_INLINE_BYTES + 4))
    assert refused.value.reason == "policy-inline"


def test_a_file_with_the_new_name_of_the_policy(opened: OpenedPolicy) -> None:
    with pytest.raises(PolicyError) as caught:
        pack_policy(OpenedPolicy(policy=opened.policy, data=opened.data, files={**opened.files, POLICY: b""}))
    assert caught.value.reason == "policy-inline-name"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "policy-inline"),
        ("ü", "policy-inline"),
        ("AAAA", "policy-inline"),
        (" " + line({"files": {}, "binary": {}, "collateral": []}), "policy-inline"),
        (line({"files": {}, "binary": {}, "collateral": []})[:-8], "policy-inline"),
        (base64.b64encode(zlib.compress(b"{}") + b"x").decode(), "policy-inline"),
        (base64.b64encode(zlib.compress(b"{}")[:-1]).decode(), "policy-inline"),
        (line(b" " * (8 * 1024 * 1024 + 1)), "policy-inline"),
        (line(b"{"), "json-syntax"),
        (line([]), "policy-inline"),
        (line({"files": {}}), "policy-inline"),
        (line({"files": {POLICY: ""}, "binary": {}}), "policy-inline"),
        (line({"files": {POLICY: ""}, "binary": {}, "collateral": [1]}), "policy-inline"),
        (line({"files": {}, "binary": {}, "collateral": [], "more": 1}), "policy-inline"),
        (line({"files": {"a": 1}, "binary": {}, "collateral": []}), "policy-inline"),
        (line({"files": {"a": ""}, "binary": {"a": ""}, "collateral": []}), "policy-inline"),
        (line({"files": {}, "binary": {"a": "?"}, "collateral": []}), "base64"),
        (line({"files": {}, "binary": {}, "collateral": [], "trustedRoot": 1}), "policy-inline"),
        (line({"files": {}, "binary": {}, "collateral": []}), "policy-inline"),
        (line({"files": {POLICY: "a: ["}, "binary": {}, "collateral": []}), "yaml-syntax"),
    ],
)
def test_what_is_no_policy(text: str, reason: str) -> None:
    with pytest.raises(LamslsaError) as caught:
        open_inline(text, closure="0" * 64)
    assert caught.value.reason == reason

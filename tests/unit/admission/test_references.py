"""Which references a runtime is bound to."""

from __future__ import annotations

import pytest

from lamslsa.admission.references import key, pinned
from lamslsa.errors import LamslsaError

DIGEST = "sha256:" + "3f" * 32


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"registry.example/team/census@{DIGEST}", "oci://registry.example/team/census"),
        (f"oci://registry.example/census@{DIGEST}", "oci://registry.example/census"),
        (f"registry.example/census:v1@{DIGEST}", "oci://registry.example/census"),
        (f"localhost/census@{DIGEST}", "oci://localhost/census"),
        (f"registry:5000/census@{DIGEST}", "oci://registry:5000/census"),
        (f"[::1]:5000/census@{DIGEST}", "oci://[::1]:5000/census"),
        (f"REGISTRY.example/census@{DIGEST}", "oci://registry.example/census"),
    ],
)
def test_by_digest(text: str, place: str) -> None:
    found = pinned(text)
    assert (found.place, found.digest, found.tag) == (place, DIGEST, None)
    assert key(found) == f"{place}@{DIGEST}"


def test_tags_do_not_tell_two_references_apart() -> None:
    one, other = (pinned(f"registry.example/census:{tag}@{DIGEST}") for tag in ("v1", "v2"))
    assert one == other == pinned(f"oci://registry.example/census@{DIGEST}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "admission-unpinned"),
        ("registry.example/census", "admission-unpinned"),
        ("registry.example/census:v1", "admission-unpinned"),
        ("registry.example/census@sha512:" + "0" * 128, "admission-unpinned"),
        ("registry.example/census@SHA256:" + "0" * 64, "admission-unpinned"),
        ("registry.example/census@sha256:" + "A" * 64, "registry-reference"),
        ("registry.example/census@sha256:" + "0" * 63, "registry-reference"),
        (f"registry.example/census@{DIGEST}@{DIGEST}", "registry-reference"),
        (f"registry.example/census@{DIGEST}\n", "registry-reference"),
        (f"registry.example/../census@{DIGEST}", "registry-reference"),
        (f"user@registry.example/census@{DIGEST}", "registry-reference"),
        (f"census@{DIGEST}", "admission-host"),
        (f"team/census@{DIGEST}", "admission-host"),
        (f"s3://bucket/census@{DIGEST}", "admission-source"),
        (f"OCI://registry.example/census@{DIGEST}", "admission-source"),
        (f"oci://oci://registry.example/census@{DIGEST}", "registry-reference"),
        ("pvc://weights", "admission-source"),
    ],
)
def test_not_by_digest(text: str, reason: str) -> None:
    with pytest.raises(LamslsaError) as caught:
        pinned(text)
    assert caught.value.reason == reason
    assert caught.value.hint


def test_what_is_shown_is_safe_to_show() -> None:
    with pytest.raises(LamslsaError) as caught:
        pinned("registry.example/\u202egnp\n" + "x" * 500)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300

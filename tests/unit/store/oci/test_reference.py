from __future__ import annotations

import pytest

from lamslsa.errors import FormatError
from lamslsa.store.oci.reference import Reference, is_loopback

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        "oci://registry.example/model",
        "oci://registry.example:5000/a/b/c:v1.0-rc_1",
        f"oci://localhost/m@{DIGEST}",
        f"oci://127.0.0.1:5000/m:t@{DIGEST}",
        "oci://[::1]:5000/m:t",
        "oci://docker.io/library/a__b--c.d",
    ],
)
def test_references_come_back(text: str) -> None:
    assert str(Reference.parse(text)) == text


def test_hosts_are_lower_case() -> None:
    assert Reference.parse("oci://GHCR.io/a").host == "ghcr.io"


def test_docker_hub_is_asked_elsewhere_and_adds_nothing() -> None:
    reference = Reference.parse("oci://docker.io/alpine")
    assert (reference.registry, reference.repository, reference.place) == (
        "registry-1.docker.io",
        "alpine",
        "oci://docker.io/alpine",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registry.example/model",
        "https://registry.example/model",
        "oci:registry.example/model",
        "OCI://registry.example/model",
        "oci://model",
        "oci:///model",
        "oci://registry.example/",
        "oci://registry.example/Model",
        "oci://registry.example/a//b",
        "oci://registry.example/a/../b",
        "oci://registry.example/-a",
        "oci://registry.example/a_",
        "oci://registry.example/a:",
        "oci://registry.example/a:-v",
        "oci://registry.example/a:" + "v" * 129,
        "oci://registry.example/a@sha512:" + "a" * 128,
        "oci://registry.example/a@sha256:" + "A" * 64,
        "oci://registry.example/a@sha256:" + "a" * 63,
        f"oci://registry.example/a@{DIGEST}:v1",
        "oci://registry.example/a?b",
        "oci://registry.example/a#b",
        "oci://registry.example/a\n",
        "oci://user@registry.example/a",
        "oci://user:word@registry.example/a",
        "oci://registry.example:port/a",
        "oci://registry.example:99999/a",
        "oci://registry.example:0/a",
        "oci://registry_.example/a",
        "oci://-registry.example/a",
        "oci://[::1/a",
        "oci://[1:2]/a",
        "oci://registry.example/ä",
        "oci://registry.example/a:vé",
        "oci://registry.example/" + "a" * 256,
        "oci://r/" + "a/" * 600 + "a",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        Reference.parse(text)
    assert caught.value.reason == "registry-reference"


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "127.9.8.7:1", "[::1]:80", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "192.0.2.1", "[::2]", "registry.example:80", ""])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)

"""Where an answer may lead, one refusal a rule."""

from __future__ import annotations

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.store.oci.options import Options
from lamslsa.store.oci.reference import Reference
from lamslsa.store.oci.transport import Transport

HERE = "https://registry.example/v2/model/blobs/x"


@pytest.fixture(scope="module")
def transport() -> Transport:
    return Transport(Reference.parse("oci://registry.example/model"), Options())


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/other", "https://registry.example/v2/other"),
        ("https://cdn.example/a?b=c", "https://cdn.example/a?b=c"),
        ("https://cdn.example:8443/a", "https://cdn.example:8443/a"),
        ("//cdn.example/a", "https://cdn.example/a"),
        ("https:///a", "https://registry.example/a"),
    ],
)
def test_addresses(transport: Transport, location: str, expected: str) -> None:
    assert transport.follow(HERE, location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://cdn.example/a",
        "ftp://cdn.example/a",
        "https://me@cdn.example/a",
        "https://cdn.example:port/a",
        "https://cdn.example:99999/a",
        "https://[::1/a",
        "https://cdn.example/a b",
        "https://cdn.example/\u00e4",
        "https://cdn.example/" + "a" * 8192,
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_what_is_no_address(transport: Transport, location: str, own: bool) -> None:
    with pytest.raises(UnavailableError) as caught:
        transport.follow(HERE, location, own=own)
    assert caught.value.reason == "registry-redirect"


@pytest.mark.parametrize(
    ("location", "own"),
    [
        ("/v2/other", True),
        ("https://registry.example/a", True),
        ("https://registry.example:443/a", True),
        ("https://registry.example:8443/a", False),
        ("https://other.example/a", False),
        ("https://registry.example.other.example/a", False),
    ],
)
def test_lists_go_on_at_the_registry_itself(transport: Transport, location: str, own: bool) -> None:
    if own:
        transport.follow(HERE, location, own=True)
        return
    with pytest.raises(UnavailableError) as caught:
        transport.follow(HERE, location, own=True)
    assert caught.value.reason == "registry-redirect"

from __future__ import annotations

import contextlib
import json
import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.snp.collateral import (
    MEDIA_TYPE,
    CertificateTable,
    SnpCollateral,
    completed,
    from_certificate_table,
    from_certificates,
    parse,
    parse_certificate_table,
    render,
)
from lamslsa.testing.simulated import SimulatedVendor

GUIDS = {
    "vcek": "63da758d-e664-4564-adc5-f4b93be8accd",
    "vlek": "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
    "issuer": "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "root": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "other": "00000000-0000-0000-0000-000000000001",
}


def table(*entries: tuple[str, bytes]) -> bytes:
    """A certificate table as a host writes it."""
    at = 24 * (len(entries) + 1)
    head, data = b"", b""
    for name, content in entries:
        head += uuid.UUID(GUIDS[name]).bytes + struct.pack("<II", at + len(data), len(content))
        data += content
    return head + bytes(24) + data


def test_media_type() -> None:
    assert MEDIA_TYPE == "application/vnd.lamslsa.collateral.snp+json"


def test_what_is_written_is_read() -> None:
    data = render(leaf=b"leaf", issuer=b"issuer", root=b"root", revocation_list=b"list")
    assert json.loads(data) == {
        "leaf": "bGVhZg==",
        "issuer": "aXNzdWVy",
        "root": "cm9vdA==",
        "revocationList": "bGlzdA==",
    }
    assert parse(data) == SnpCollateral(leaf=b"leaf", issuer=b"issuer", root=b"root", revocation_list=b"list")
    assert parse(render(root=b"root")) == SnpCollateral(root=b"root")


@pytest.mark.parametrize("member", ["leaf", "issuer", "root"])
def test_sizes(member: str) -> None:
    assert parse(json.dumps({member: "AAAA" * 5461}).encode())
    with pytest.raises(FormatError) as caught:
        parse(json.dumps({member: "AAAA" * 5462}).encode())
    assert caught.value.reason == "base64-size"


def test_size_of_the_whole() -> None:
    with pytest.raises(FormatError) as caught:
        parse(b" " * (2 * 1024 * 1024 + 1))
    assert caught.value.reason == "json-size"
    assert parse(render(revocation_list=bytes(1024 * 1024)))
    with pytest.raises(FormatError) as caught:
        parse(render(revocation_list=bytes(1024 * 1024 + 1)))
    assert caught.value.reason == "base64-size"


def test_completed_adds_and_never_replaces() -> None:
    own = render(leaf=b"own leaf", root=b"own root")
    held = render(leaf=b"leaf", issuer=b"issuer", root=b"root", revocation_list=b"list")
    assert parse(completed(own, held)) == SnpCollateral(
        leaf=b"own leaf", issuer=b"issuer", root=b"own root", revocation_list=b"list"
    )
    assert completed(held, own) == held
    assert parse(completed(render(issuer=b"issuer"), render(leaf=b"leaf"))) == SnpCollateral(
        leaf=b"leaf", issuer=b"issuer"
    )
    for pair in ((b"{}", held), (held, b"{}")):
        with pytest.raises(FormatError):
            completed(*pair)


def test_from_files() -> None:
    chain = render_chain([b"issuer", b"root"])
    expected = SnpCollateral(leaf=b"leaf", issuer=b"issuer", root=b"root", revocation_list=b"list")
    for leaf in (b"leaf", render_chain([b"leaf"]), render_chain([b"leaf"]).rstrip()):
        for end in (b"", b"\n", b"\n\n"):
            assert from_certificates(leaf, chain.rstrip() + end, revocation_list=b"list") == expected
    assert from_certificates(None, chain) == SnpCollateral(issuer=b"issuer", root=b"root")


@pytest.mark.parametrize(
    ("leaf", "chain"),
    [(None, [b"one"]), (None, [b"one", b"two", b"three"]), ([b"one", b"two"], [b"issuer", b"root"])],
)
def test_other_numbers_of_certificates(leaf: list[bytes] | None, chain: list[bytes]) -> None:
    with pytest.raises(FormatError) as caught:
        from_certificates(None if leaf is None else render_chain(leaf), render_chain(chain))
    assert caught.value.reason == "snp-certificates"


def test_a_chain_that_is_no_pem() -> None:
    with pytest.raises(FormatError) as caught:
        from_certificates(None, b"issuer")
    assert caught.value.reason == "pem-chain"


def test_a_table() -> None:
    data = table(("vcek", b"leaf"), ("issuer", render_chain([b"issuer"])), ("other", b"?"), ("root", b"root"))
    assert parse_certificate_table(data) == CertificateTable(vcek=b"leaf", issuer=b"issuer", root=b"root")
    assert from_certificate_table(data) == SnpCollateral(leaf=b"leaf", issuer=b"issuer", root=b"root")
    assert parse_certificate_table(data + bytes(4096)) == parse_certificate_table(data)


def test_a_table_with_less() -> None:
    assert from_certificate_table(table(("vlek", b"leaf"))) == SnpCollateral(leaf=b"leaf")
    assert parse_certificate_table(table()) == CertificateTable()


def test_a_table_with_both_kinds_of_leaf() -> None:
    data = table(("vcek", b"leaf"), ("vlek", b"other"))
    assert parse_certificate_table(data) == CertificateTable(vcek=b"leaf", vlek=b"other")
    with pytest.raises(FormatError) as caught:
        from_certificate_table(data)
    assert caught.value.reason == "snp-certificates"


ENTRY = uuid.UUID(GUIDS["vcek"]).bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(23),
        table(("vcek", b"leaf"))[:24],
        table(("vcek", b"leaf"), ("vcek", b"leaf")),
        ENTRY + struct.pack("<II", 48, 1) + bytes(24),
        ENTRY + struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF) + bytes(24),
        bytes(16) + struct.pack("<II", 1, 0),
        bytes(16) + struct.pack("<II", 0, 1),
        table(*[("other", b"?")] * 16),
        bytes(128 * 1024 + 1),
    ],
)
def test_hostile_tables(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse_certificate_table(data)
    assert caught.value.reason == "snp-certificate-table"


def test_the_largest_tables() -> None:
    assert parse_certificate_table(table(*[("other", b"?")] * 15)) == CertificateTable()
    assert parse_certificate_table(bytes(128 * 1024)) == CertificateTable()
    assert parse_certificate_table(ENTRY + struct.pack("<II", 47, 1) + bytes(24)) == CertificateTable(vcek=b"\0")


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for call in (parse, parse_certificate_table, from_certificate_table):
        with contextlib.suppress(FormatError):
            call(data)
    with contextlib.suppress(FormatError):
        from_certificates(data, data)


@given(st.binary(max_size=64), st.integers(0, 150))
def test_any_bytes_inside_a_table(data: bytes, at: int) -> None:
    whole = table(("vcek", b"leaf"), ("issuer", b"issuer"), ("root", b"root"))
    with contextlib.suppress(FormatError):
        parse_certificate_table(whole[:at] + data + whole[at + len(data) :])


def test_a_refusal_names_the_certificate(vendor: SimulatedVendor) -> None:
    two = render_chain(vendor.chain[:2])
    with pytest.raises(FormatError, match="expected one certificate as leaf, got 2"):
        from_certificates(two, two)
    for name in ("vcek", "vlek", "issuer", "root"):
        with pytest.raises(FormatError, match=f"expected one certificate as {name}, got 2"):
            parse_certificate_table(table((name, two)))

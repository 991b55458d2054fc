from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpGuest, raw_tcb
from lamslsa.evidence.snp.parse import (
    PRODUCTS,
    REPORT_BYTES,
    SIGNED_BYTES,
    Product,
    Tcb,
    parse,
    parse_tcb,
    product_of,
)
from lamslsa.testing.simulated_snp import SimulatedSnpVendor

DATA = bytes(range(64))
GUEST = SnpGuest(
    measurement=b"M" * 48,
    host_data=b"H" * 32,
    policy=0x0102030405060708,
    vmpl=2,
    guest_svn=7,
    family_id=b"F" * 16,
    image_id=b"I" * 16,
    id_key_digest=b"K" * 48,
    author_key_digest=b"A" * 48,
)


@pytest.fixture(scope="module")
def report(snp_vendor: SimulatedSnpVendor) -> bytes:
    return snp_vendor.report(DATA, guest=GUEST)


def numbered() -> bytes:
    """A report in which every field that is not a number has bytes of its own."""
    body = bytearray(SIGNED_BYTES)
    struct.pack_into("<II", body, 0, 5, 11)
    struct.pack_into("<Q", body, 0x08, 0x1122334455667788)
    body[0x10:0x30] = b"f" * 16 + b"i" * 16
    struct.pack_into("<II", body, 0x30, 3, 1)
    body[0x38:0x40] = b"currentt"
    struct.pack_into("<QI", body, 0x40, 0x25, 0b101)
    body[0x50:0x90] = DATA
    body[0x90:0xC0] = b"m" * 48
    body[0xC0:0xE0] = b"h" * 32
    body[0xE0:0x110] = b"k" * 48
    body[0x110:0x140] = b"a" * 48
    body[0x140:0x160] = b"r" * 32
    body[0x160:0x180] = b"g" * 32
    body[0x180:0x188] = b"reported"
    body[0x188:0x18B] = bytes((0x19, 0x11, 0x02))
    body[0x1A0:0x1E0] = bytes(range(64))
    body[0x1E0:0x1E8] = b"committe"
    body[0x1E8:0x1EB] = bytes((29, 55, 1))
    body[0x1EC:0x1EF] = bytes((28, 54, 2))
    body[0x1F0:0x1F8] = b"launched"
    struct.pack_into("<QQ", body, 0x1F8, 6, 9)
    signature = bytearray(512)
    signature[0] = 5
    signature[47] = 1
    signature[72] = 6
    signature[72 + 47] = 2
    return bytes(body + signature)


def test_every_field_at_its_offset() -> None:
    report = parse(numbered())
    assert report.body == numbered()[:672]
    assert report.signature == (5 + (1 << 376), 6 + (2 << 376))
    assert (report.version, report.guest_svn, report.vmpl) == (5, 11, 3)
    assert report.policy == 0x1122334455667788
    assert (report.family_id, report.image_id) == (b"f" * 16, b"i" * 16)
    assert report.current_tcb == b"currentt"
    assert report.platform_info == 0x25
    assert report.author_key
    assert report.signing_key == "vlek"
    assert report.report_data == DATA
    assert (report.measurement, report.host_data) == (b"m" * 48, b"h" * 32)
    assert (report.id_key_digest, report.author_key_digest) == (b"k" * 48, b"a" * 48)
    assert (report.report_id, report.report_id_ma) == (b"r" * 32, b"g" * 32)
    assert report.reported_tcb == b"reported"
    assert report.cpuid == (0x19, 0x11, 0x02)
    assert report.product == "Genoa"
    assert report.chip_id == bytes(range(64))
    assert report.committed_tcb == b"committe"
    assert report.current_version == (1, 55, 29)
    assert report.committed_version == (2, 54, 28)
    assert report.launch_tcb == b"launched"
    assert (report.launch_mitigations, report.current_mitigations) == (6, 9)
    assert report.hardware_id("Milan") == report.hardware_id("Genoa") == bytes(range(64))
    assert report.hardware_id("Turin") == bytes(range(8))


def test_older_versions_have_fewer_fields(snp_vendor: SimulatedSnpVendor) -> None:
    two, three = (parse(snp_vendor.report(DATA, version=version)) for version in (2, 3))
    assert two.cpuid is None
    assert two.product is None
    assert three.cpuid == (0x19, 0x01, 0x01)
    for report in (two, three):
        assert (report.launch_mitigations, report.current_mitigations) == (None, None)
        assert not report.author_key
        assert report.signing_key == "vcek"


def test_the_complete_measurement(report: bytes) -> None:
    assert parse(report).parts == {
        "measurement": "4d" * 48,
        "hostData": "48" * 32,
        "policy": "0102030405060708",
        "vmpl": "00000002",
    }


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x00, "Milan"),
        (0x19, 0x0F, "Milan"),
        (0x19, 0x10, "Genoa"),
        (0x19, 0x1F, "Genoa"),
        (0x19, 0x20, None),
        (0x19, 0x9F, None),
        (0x19, 0xA0, "Genoa"),
        (0x19, 0xAF, "Genoa"),
        (0x19, 0xB0, None),
        (0x1A, 0x00, "Turin"),
        (0x1A, 0x1F, "Turin"),
        (0x1A, 0x20, None),
        (0x18, 0x00, None),
        (0x1B, 0x00, None),
    ],
)
def test_products(family: int, model: int, product: str | None) -> None:
    assert product_of(family=family, model=model) == product


@pytest.mark.parametrize("product", PRODUCTS)
def test_patch_levels(product: Product) -> None:
    tcb = Tcb(bootloader=1, tee=2, snp=3, microcode=255, fmc=5 if product == "Turin" else None)
    raw = {"Turin": "05010203000000ff"}.get(product, "01020000000003ff")
    assert parse_tcb(bytes.fromhex(raw), product) == tcb
    assert raw_tcb(tcb).hex() == raw


@pytest.mark.parametrize(
    ("product", "reserved"), [("Milan", (2, 3, 4, 5)), ("Genoa", (2, 3, 4, 5)), ("Turin", (4, 5, 6))]
)
def test_reserved_bytes_of_a_patch_level(product: Product, reserved: tuple[int, ...]) -> None:
    for position in range(8):
        raw = bytearray(8)
        raw[position] = 1
        if position in reserved:
            with pytest.raises(FormatError) as caught:
                parse_tcb(bytes(raw), product)
            assert caught.value.reason == "snp-reserved"
        else:
            assert parse_tcb(bytes(raw), product)


@pytest.mark.parametrize("version", [2, 3, 5])
def test_a_byte_is_a_field_or_reserved(snp_vendor: SimulatedSnpVendor, version: int) -> None:
    """Whatever byte is flipped: the report is refused, or says something else."""
    whole = snp_vendor.report(DATA, guest=GUEST, version=version)
    before = parse(whole)
    for position in range(REPORT_BYTES):
        flipped = bytearray(whole)
        flipped[position] ^= 0x80
        try:
            after = parse(bytes(flipped))
        except FormatError:
            continue
        changed = [name for name in before.__slots__ if getattr(before, name) != getattr(after, name)]
        assert [name for name in changed if name != "body"], position


def test_every_truncation_is_refused(report: bytes) -> None:
    for length in range(len(report)):
        with pytest.raises(FormatError):
            parse(report[:length])


@given(st.binary(max_size=1300))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse(data)


@given(st.binary(max_size=200), st.integers(0, REPORT_BYTES))
def test_any_bytes_inside_a_report(report: bytes, data: bytes, at: int) -> None:
    with contextlib.suppress(FormatError):
        parse((report[:at] + data + report[at + len(data) :])[:REPORT_BYTES])


def test_the_simulated_chip_writes_what_is_read(report: bytes) -> None:
    parsed = parse(report)
    assert parsed.chip_id == SnpChip().chip_id
    assert parsed.reported_tcb == parsed.current_tcb == raw_tcb(SnpChip().tcb)
    assert parsed.author_key


@pytest.mark.parametrize(("product", "offset"), [("Milan", 2), ("Genoa", 5), ("Turin", 4), ("Turin", 6)])
def test_a_refusal_names_the_patch_level(product: Product, offset: int) -> None:
    raw = bytes(offset) + b"\1" + bytes(7 - offset)
    with pytest.raises(FormatError, match=f"reserved bytes of a patch level of {product},") as caught:
        parse_tcb(raw, product)
    assert caught.value.reason == "snp-reserved"


def test_a_refusal_names_the_signature(report: bytes) -> None:
    for offset in (SIGNED_BYTES + 48, SIGNED_BYTES + 120, REPORT_BYTES - 1):
        changed = bytearray(report)
        changed[offset] = 1
        with pytest.raises(FormatError, match="reserved bytes of a signature,") as caught:
            parse(bytes(changed))
        assert caught.value.reason == "snp-reserved"


@pytest.mark.parametrize("version", [2, 3, 5])
def test_a_refusal_names_the_version(snp_vendor: SimulatedSnpVendor, version: int) -> None:
    changed = bytearray(snp_vendor.report(DATA, guest=GUEST, version=version))
    changed[SIGNED_BYTES - 1] = 1
    with pytest.raises(FormatError, match=f"reserved bytes of a report of version {version},") as caught:
        parse(bytes(changed))
    assert caught.value.reason == "snp-reserved"

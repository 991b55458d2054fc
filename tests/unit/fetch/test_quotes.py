from __future__ import annotations

import datetime as dt
import struct
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, write_run
from lamslsa.evidence.simulated.certificates import Cpu
from lamslsa.evidence.snp.collateral import render
from lamslsa.fetch.interface import AmdPlatform, Chip, IntelPlatform
from lamslsa.fetch.quotes import MAX_PLATFORMS, Quote, platform_of, read_quotes, requests
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    PREDICATE_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_COLLATERAL_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)
from lamslsa.sign.dsse import make_bundle
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

SGX = IntelPlatform(tee="sgx", fmspc=b"SIM\0\0\0".hex(), ca="platform")
MILAN, GENOA, TURIN = (0x19, 0x01), (0x19, 0x11), (0x1A, 0x02)
CHIP_ID = bytes(range(1, 65))
PATCH_LEVEL = bytes([4, 0, 0, 0, 0, 0, 24, 219])


def report(
    *,
    version: int = 3,
    cpuid: tuple[int, int] = MILAN,
    vlek: bool = False,
    chip_id: bytes = CHIP_ID,
    patch_level: bytes = PATCH_LEVEL,
) -> bytes:
    """An SNP report that says what decides which certificate is asked for; nobody signed it."""
    data = bytearray(1184)
    struct.pack_into("<I", data, 0x00, version)
    struct.pack_into("<I", data, 0x34, 1)
    struct.pack_into("<I", data, 0x48, 4 if vlek else 0)
    data[0x180:0x188] = patch_level
    if version >= 3:
        data[0x188:0x18B] = bytes([*cpuid, 1])
    data[0x1A0:0x1E0] = chip_id
    return bytes(data)


def snp(data: bytes, collateral: bytes | None = None) -> Quote:
    return Quote(source="report", media_type=SNP_REPORT_MEDIA_TYPE, data=data, collateral=collateral)


def refused(quote: Quote, **options: Any) -> LamslsaError:
    with pytest.raises(FormatError) as caught:
        platform_of(quote, **options)
    assert quote.source in str(caught.value)
    return caught.value


def bundle(evidence: Evidence, *, predicate_type: str = PREDICATE_TYPE) -> bytes:
    """Evidence in a bundle that nobody signed."""

    def content(media_type: str, data: bytes) -> dict[str, Any]:
        digest = {"sha256": _codec.sha256_hex(data)}
        return {"mediaType": media_type, "content": _codec.encode_base64(data), "digest": digest}

    predicate: dict[str, Any] = {
        "nonce": _codec.encode_base64(bytes(32)),
        "quote": content(evidence.media_type, evidence.quote),
    }
    if evidence.collateral is not None:
        predicate["collateral"] = content(SNP_COLLATERAL_MEDIA_TYPE, evidence.collateral)
    payload = statement.make([statement.Subject(name="statement-1", sha256="0" * 64)], predicate_type, predicate)
    return make_bundle(payload, signature=b"\0" * 64, key_hint=_codec.encode_base64(bytes(32)))


@pytest.fixture(scope="module")
def tdx(now: dt.datetime) -> bytes:
    return SimulatedTdxVendor(now).quote(bytes(64))


def test_files_by_their_first_bytes(tmp_path: Path, vendor: SimulatedVendor, tdx: bytes) -> None:
    sgx = vendor.quote(bytes(64))
    for data, media_type in (
        (sgx, SGX_QUOTE_MEDIA_TYPE),
        (sgx + bytes(70), SGX_QUOTE_MEDIA_TYPE),
        (tdx, TDX_QUOTE_MEDIA_TYPE),
        (report(), SNP_REPORT_MEDIA_TYPE),
        (report(version=5), SNP_REPORT_MEDIA_TYPE),
        (b"\x84\x44\xa1\x01\x38\x22", NITRO_DOCUMENT_MEDIA_TYPE),
        (b"\xd2\x84\x44\xa1\x01\x38\x22", NITRO_DOCUMENT_MEDIA_TYPE),
    ):
        path = tmp_path / "quote"
        path.write_bytes(data)
        assert read_quotes(path) == (Quote(source=str(path), media_type=media_type, data=data),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "fetch-no-quote"), (b"{}", "fetch-no-quote"), (bytes(1184), ""), (b"\x03" * 65537, "quote-size")],
)
def test_files_that_hold_no_quote(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "quote").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        requests(read_quotes(tmp_path / "quote"))
    assert caught.value.reason == reason or not reason


def test_a_run(tmp_path: Path, vendor: SimulatedVendor) -> None:
    evidence = vendor.evidence(bytes(64))
    run = Run(
        statements=(NamedPayload(name="01-dataset", payload=b"{}"),),
        nonce=Nonce(value=bytes(32)),
        evidence=evidence,
        quoted_at="2026-11-22T06:00:00Z",
    )
    write_run(run, tmp_path / "run")
    (quote,) = read_quotes(tmp_path / "run")
    assert (quote.media_type, quote.data, quote.collateral) == (
        SGX_QUOTE_MEDIA_TYPE,
        evidence.quote,
        evidence.collateral,
    )
    (tmp_path / "run" / "quote.bin").unlink()
    with pytest.raises(FormatError):
        read_quotes(tmp_path / "run")


def test_attestations(tmp_path: Path, vendor: SimulatedVendor) -> None:
    first, second = vendor.evidence(bytes(64)), vendor.evidence(b"\1" * 64)
    (tmp_path / "a.sigstore.json").write_bytes(bundle(first))
    other = bundle(first, predicate_type="https://example.com/other/v1")
    (tmp_path / "b.intoto.jsonl").write_bytes(b"not json\n" + other + b"\n" + bundle(second) + b"\n")
    (tmp_path / "c.sigstore.json").write_bytes(b"{}")
    (tmp_path / "d.sigstore.json").write_bytes(b"x" * 17_000_000)
    notes: list[str] = []
    found = read_quotes(tmp_path, notify=notes.append)
    assert [quote.data for quote in found] == [first.quote, second.quote]
    assert [quote.collateral for quote in found] == [first.collateral, second.collateral]
    assert found[1].source.endswith("b.intoto.jsonl:3")
    assert [note.split(" is not read")[0].split("/")[-1] for note in notes] == [
        "b.intoto.jsonl:1",
        "b.intoto.jsonl:2",
        "c.sigstore.json",
        "d.sigstore.json",
    ]
    (line,) = read_quotes(tmp_path / "a.sigstore.json")
    assert line.data == first.quote
    (request,) = requests([*found, line])
    assert (request.platform, request.quotes) == (SGX, (*found, line))


def test_a_quote_in_a_bundle_is_capped(tmp_path: Path) -> None:
    too_long = Evidence(media_type=SGX_QUOTE_MEDIA_TYPE, quote=bytes(65537), collateral=None)
    (tmp_path / "a.sigstore.json").write_bytes(bundle(too_long))
    notes: list[str] = []
    with pytest.raises(FormatError) as caught:
        read_quotes(tmp_path, notify=notes.append)
    assert caught.value.reason == "fetch-no-quote"
    assert "at most 65536 bytes" in notes[0]


def test_intel(vendor: SimulatedVendor, tdx: bytes) -> None:
    sgx = Quote(source="q", media_type=SGX_QUOTE_MEDIA_TYPE, data=vendor.quote(bytes(64)))
    assert platform_of(sgx) == SGX
    td = Quote(source="q", media_type=TDX_QUOTE_MEDIA_TYPE, data=tdx)
    assert platform_of(td) == IntelPlatform(tee="tdx", fmspc=SGX.fmspc, ca="platform")


def test_a_quote_without_its_pck_certificate(vendor: SimulatedVendor) -> None:
    data = bytearray(vendor.quote(bytes(64)))
    certification = data.rindex(struct.pack("<H", 5) + struct.pack("<I", len(data) - data.index(b"-----BEGIN")))
    data[certification] = 3
    error = refused(Quote(source="q", media_type=SGX_QUOTE_MEDIA_TYPE, data=bytes(data)))
    assert error.reason == "fetch-pck-certificate"
    assert "not supported" in str(error.hint)


@pytest.mark.parametrize("data", [b"", b"x" * 5000])
def test_intel_bytes_that_are_no_quote(data: bytes) -> None:
    assert refused(Quote(source="q", media_type=TDX_QUOTE_MEDIA_TYPE, data=data)).reason == "fetch-pck-certificate"


@pytest.mark.parametrize("media_type", ["application/vnd.lamslsa.quote.nvidia-gpu+json", "text/plain"])
def test_other_media_types(media_type: str) -> None:
    assert refused(Quote(source="q", media_type=media_type, data=b"")).reason == "evidence-media-type"


@pytest.mark.parametrize(("cpuid", "product"), [(MILAN, "Milan"), (GENOA, "Genoa"), ((0x19, 0xA0), "Genoa")])
def test_amd(cpuid: tuple[int, int], product: Any) -> None:
    versions = (("blSPL", 4), ("teeSPL", 0), ("snpSPL", 24), ("ucodeSPL", 219))
    chip = Chip(hardware_id=CHIP_ID.hex(), versions=versions)
    assert platform_of(snp(report(cpuid=cpuid))) == AmdPlatform(product=product, key="vcek", chip=chip)


def test_amd_turin() -> None:
    versions = (("fmcSPL", 1), ("blSPL", 2), ("teeSPL", 3), ("snpSPL", 4), ("ucodeSPL", 5))
    found = platform_of(snp(report(version=5, cpuid=TURIN, patch_level=bytes([1, 2, 3, 4, 0, 0, 0, 5]))))
    chip = Chip(hardware_id=CHIP_ID[:8].hex(), versions=versions)
    assert found == AmdPlatform(product="Turin", key="vcek", chip=chip)


def test_amd_product_that_the_report_does_not_say() -> None:
    old = snp(report(version=2))
    error = refused(old)
    assert (error.reason, "--product" in str(error.hint)) == ("fetch-product", True)
    found = platform_of(old, product="Genoa")
    assert isinstance(found, AmdPlatform)
    assert found.product == "Genoa"
    assert platform_of(snp(report()), product="Genoa") == platform_of(snp(report())), "the report knows better"


def test_amd_chip_that_is_masked() -> None:
    error = refused(snp(report(chip_id=bytes(64))))
    assert error.reason == "fetch-platform"


def test_amd_vlek_takes_its_certificate_along() -> None:
    masked = report(vlek=True, chip_id=bytes(64))
    travelling = render(leaf=b"leaf", issuer=b"issuer", root=b"root")
    assert platform_of(snp(masked)) == AmdPlatform(product="Milan", key="vlek")
    assert platform_of(snp(masked), leaf=b"given") == AmdPlatform(product="Milan", key="vlek", leaf=b"given")
    for leaf in (None, b"given"):
        found = platform_of(snp(masked, travelling), leaf=leaf)
        assert found == AmdPlatform(product="Milan", key="vlek", leaf=b"leaf")
    assert platform_of(snp(masked, b"{}")) == AmdPlatform(product="Milan", key="vlek")


def test_platforms_are_asked_about_once(vendor: SimulatedVendor) -> None:
    first = Quote(source="a", media_type=SGX_QUOTE_MEDIA_TYPE, data=vendor.quote(bytes(64)))
    second = Quote(source="b", media_type=SGX_QUOTE_MEDIA_TYPE, data=vendor.quote(b"\1" * 64))
    nitro = Quote(source="c", media_type=NITRO_DOCUMENT_MEDIA_TYPE, data=b"")
    found = requests([first, nitro, snp(report()), second])
    assert [len(request.quotes) for request in found] == [2, 1]
    assert requests([nitro]) == ()


def test_hostile_attestations_cannot_ask_about_everything() -> None:
    chips = [snp(report(chip_id=bytes([number] * 64))) for number in range(1, MAX_PLATFORMS + 2)]
    assert len(requests(chips[:-1])) == MAX_PLATFORMS
    with pytest.raises(FormatError) as caught:
        requests(chips)
    assert caught.value.reason == "fetch-platforms"


def test_names_tell_platforms_apart(now: dt.datetime) -> None:
    other = SimulatedVendor(now, cpu=Cpu(fmspc=b"SIM\0\0\1")).quote(bytes(64))
    quotes = [
        Quote(source="a", media_type=SGX_QUOTE_MEDIA_TYPE, data=other),
        snp(report()),
        snp(report(patch_level=bytes([4, 0, 0, 0, 0, 0, 24, 220]))),
        snp(report(chip_id=bytes([9] * 64))),
        snp(report(vlek=True)),
        snp(report(vlek=True), render(leaf=b"leaf", issuer=b"issuer", root=b"root")),
        snp(report(vlek=True, cpuid=GENOA)),
    ]
    names = [request.platform.name for request in requests(quotes)]
    assert len(set(names)) == len(names) == len(quotes)
    assert names[:2] == ["sgx-53494d000001-platform", "snp-milan-vcek-0102030405060708-040018db"]

from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.evidence.simulated._folder import Key
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpRole, generate_keys
from lamslsa.evidence.snp.parse import Tcb
from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.collect import Fetched, collect
from lamslsa.fetch.kds import KeyDistributionService
from lamslsa.fetch.pcs import ProvisioningService
from lamslsa.fetch.quotes import Quote, Request, platform_of
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, SNP_REPORT_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.provisioning import FakeKds, FakePccs, FakeServer
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor
from lamslsa.testing.simulated_snp import SimulatedSnpVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

DAY = dt.timedelta(days=1)


def collected(server: FakeServer, fetcher: Fetcher, quotes: list[Quote], now: dt.datetime) -> Fetched:
    services = {
        "pcs": ProvisioningService(fetcher, base=server.url),
        "kds": KeyDistributionService(fetcher, base=server.url),
    }
    request = Request(platform=platform_of(quotes[0]), quotes=tuple(quotes))
    return collect(request, now=now, **services)  # type: ignore[arg-type]  # one of each kind


def sgx(data: bytes, source: str = "q") -> Quote:
    return Quote(source=source, media_type=SGX_QUOTE_MEDIA_TYPE, data=data)


def test_collateral_that_verifies_its_quotes(vendor: SimulatedVendor, fetcher: Fetcher, now: dt.datetime) -> None:
    with FakePccs(vendor.collateral()) as server:
        quotes = [sgx(vendor.quote(bytes(64))), sgx(vendor.quote(b"\1" * 64))]
        found = collected(server, fetcher, quotes, now)
    assert found.verified == 2
    (remark,) = found.remarks
    assert vendor.root.sha256 in remark
    assert "simulated" in remark


def test_collateral_of_a_td(fetcher: Fetcher, now: dt.datetime) -> None:
    vendor = SimulatedTdxVendor(now)
    with FakePccs(vendor.collateral()) as server:
        quote = Quote(source="q", media_type=TDX_QUOTE_MEDIA_TYPE, data=vendor.quote(bytes(64)))
        found = collected(server, fetcher, [quote], now)
    assert (found.verified, len(found.remarks)) == (1, 1)


@pytest.fixture(scope="module")
def keys() -> dict[SnpRole, Key]:
    """RSA keys take long to make."""
    return generate_keys()


TURIN = SnpChip(
    product="Turin",
    cpuid=(0x1A, 0x02, 0x01),
    tcb=Tcb(bootloader=2, tee=3, snp=4, microcode=5, fmc=1),
    chip_id=(b"T" * 8).ljust(64, b"\0"),
)


def kds(vendor: SimulatedSnpVendor, *, key: str = "vcek") -> FakeKds:
    tcb, hardware_id = vendor.chip.tcb, vendor.chip.chip_id.hex()
    versions = f"blSPL={tcb.bootloader:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.microcode:02}"
    target = f"{hardware_id[:16]}?fmcSPL={tcb.fmc:02}&{versions}" if tcb.fmc else f"{hardware_id}?{versions}"
    return FakeKds(
        product=vendor.chip.product,
        chains={key: [vendor.der("issuer"), vendor.der("root")]},
        revocation_list=vendor.revocation_list(),
        leaves={target: vendor.der("leaf")},
    )


@pytest.mark.parametrize("chip", [SnpChip(), TURIN], ids=["Milan", "Turin"])
def test_certificates_of_a_chip(keys: dict[SnpRole, Key], fetcher: Fetcher, now: dt.datetime, chip: SnpChip) -> None:
    vendor = SimulatedSnpVendor(now, chip=chip, keys=keys)
    with kds(vendor) as server:
        quote = Quote(source="q", media_type=SNP_REPORT_MEDIA_TYPE, data=vendor.report(bytes(64)))
        found = collected(server, fetcher, [quote], now)
    assert found.collateral.root == vendor.root.sha256
    assert found.collateral.expires == now + 29 * DAY
    assert (found.verified, len(found.remarks)) == (1, 1)


def test_certificates_of_a_vlek(keys: dict[SnpRole, Key], fetcher: Fetcher, now: dt.datetime) -> None:
    vendor = SimulatedSnpVendor(now, chip=SnpChip(signing_key="vlek", chip_id=bytes(64)), keys=keys)
    report, travelling = vendor.report(bytes(64)), vendor.collateral(listed=False)
    with kds(vendor, key="vlek") as server:
        alone = Quote(source="q", media_type=SNP_REPORT_MEDIA_TYPE, data=report)
        found = collected(server, fetcher, [alone], now)
        assert found.verified == 0
        assert "add it with --leaf" in found.remarks[-1]
        quote = Quote(source="q", media_type=SNP_REPORT_MEDIA_TYPE, data=report, collateral=travelling)
        found = collected(server, fetcher, [quote], now)
    assert (found.verified, len(found.remarks)) == (1, 1)


@pytest.mark.parametrize("kind", ["forged", "debug", "revoked", "other vendor"])
def test_collateral_that_does_not_verify_its_quote(
    vendor: SimulatedVendor, fetcher: Fetcher, now: dt.datetime, kind: str
) -> None:
    data, collateral = vendor.quote(bytes(64)), vendor.collateral()
    if kind == "forged":
        data = data[:400] + bytes([data[400] ^ 1]) + data[401:]
    elif kind == "debug":
        from lamslsa.evidence.simulated.quote import Enclave

        enclave = Enclave(mr_enclave=bytes(32), mr_signer=bytes(32), attributes=DEBUG_ATTRIBUTES)
        data = vendor.quote(bytes(64), enclave=enclave)
    elif kind == "revoked":
        collateral = vendor.collateral(revoked=["pck"])
    else:
        collateral = SimulatedVendor(now).collateral()
    with FakePccs(collateral) as server:
        found = collected(server, fetcher, [sgx(data, "bad"), sgx(vendor.quote(bytes(64)), "good")], now)
    assert found.collateral.data == collateral
    assert found.verified == (1 if kind in {"forged", "debug"} else 0)
    assert found.remarks[0].startswith("bad does not verify with it: expected ")
    assert "(evidence-" in found.remarks[0]


def test_a_server_that_is_behind(vendor: SimulatedVendor, fetcher: Fetcher, now: dt.datetime) -> None:
    with FakePccs(vendor.collateral(window=(now - 30 * DAY, now))) as server:
        found = collected(server, fetcher, [sgx(vendor.quote(bytes(64)))], now)
    assert any("the server is behind" in remark for remark in found.remarks)
    with FakePccs(vendor.collateral(window=(now - 30 * DAY, now + DAY))) as server:
        found = collected(server, fetcher, [sgx(vendor.quote(bytes(64)))], now)
    assert not any("the server is behind" in remark for remark in found.remarks)

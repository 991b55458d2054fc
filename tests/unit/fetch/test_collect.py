from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.collect import Fetched, collect
from lamslsa.fetch.kds import KeyDistributionService
from lamslsa.fetch.pcs import ProvisioningService
from lamslsa.fetch.quotes import Quote, Request, platform_of
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.provisioning import FakePccs, FakeServer
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor
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

"""Intel's own collateral, served from disk as Intel serves it, comes out as it went in and verifies the quote."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.collect import collect
from lamslsa.fetch.http import HttpClient
from lamslsa.fetch.kds import KeyDistributionService
from lamslsa.fetch.pcs import ProvisioningService
from lamslsa.fetch.quotes import read_quotes, requests
from lamslsa.testing.provisioning import FakePccs

INSIDE = dt.datetime(2025, 7, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("hexadecimal", [True, False])
@pytest.mark.parametrize(
    ("name", "platform", "expires"),
    [
        ("sgx/sgx_quote", "sgx-00a067110000-processor", "2025-07-19T10:01:18+00:00"),
        ("tdx/tdx_quote", "tdx-b0c06f000000-platform", "2025-07-19T10:00:35+00:00"),
    ],
)
def test_intel(shared: Path, name: str, platform: str, expires: str, hexadecimal: bool) -> None:
    served = (shared / "evidence" / f"{name}_collateral.json").read_bytes()
    (request,) = requests(read_quotes(shared / "evidence" / name))
    assert request.platform.name == platform
    with FakePccs(served, hexadecimal=hexadecimal) as server:
        fetcher = Fetcher(HttpClient(), now=INSIDE)
        pcs, kds = ProvisioningService(fetcher, base=server.url), KeyDistributionService(fetcher)
        fetched = collect(request, pcs=pcs, kds=kds, now=INSIDE)
    parts, original = json.loads(fetched.collateral.data), json.loads(served)
    assert parts == {key: original[key] for key in parts}
    assert fetched.collateral.expires.isoformat() == expires
    assert (fetched.verified, fetched.remarks) == (1, ())


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("sgx/occlum_quote.dat", "sgx-00606a000000-platform"),
        ("tdx/cos-113-tdx-quote.dat", "tdx-00806f050000-platform"),
        ("snp/attestation.bin", "snp-milan-vcek-3ac3fe21e13fb099-02000544"),
        ("snp/test-vlek-report.bin", "snp-milan-vlek"),
    ],
)
def test_what_is_asked_for(shared: Path, name: str, platform: str) -> None:
    (request,) = requests(read_quotes(shared / "evidence" / name), product="Milan")
    assert request.platform.name == platform


def test_nitro_needs_nothing(shared: Path) -> None:
    assert requests(read_quotes(shared / "evidence" / "nitro" / "valid-attestation-doc-bytes")) == ()

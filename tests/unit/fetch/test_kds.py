from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.evidence.snp.collateral import SnpCollateral, parse
from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.interface import AmdPlatform, Chip
from lamslsa.fetch.kds import KeyDistributionService
from lamslsa.testing.provisioning import Answer, FakeKds, Instead

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HARDWARE_ID = "ab" * 64
VERSIONS = (("blSPL", 4), ("teeSPL", 0), ("snpSPL", 24), ("ucodeSPL", 219))
CHIP = Chip(hardware_id=HARDWARE_ID, versions=VERSIONS)
QUERY = f"{HARDWARE_ID}?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"
MILAN = AmdPlatform(product="Milan", key="vcek", chip=CHIP)


@dataclass(frozen=True, slots=True)
class Canned:
    """Certificates and a list that parse; who signed them is nobody's question here."""

    leaf: bytes
    issuer: bytes
    root: bytes
    revoked: bytes


def certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{days} days")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW - DAY, NOW + days * DAY)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def canned() -> Canned:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ARK")])
    builder = x509.CertificateRevocationListBuilder(name, NOW - DAY, NOW + 40 * DAY)
    return Canned(
        leaf=certificate(30),
        issuer=certificate(200),
        root=certificate(300),
        revoked=builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER),
    )


def kds(canned: Canned, *, product: str = "Milan", key: str = "vcek", target: str = QUERY) -> FakeKds:
    return FakeKds(
        product=product,
        chains={key: [canned.issuer, canned.root]},
        revocation_list=canned.revoked,
        leaves={target: canned.leaf},
    )


def refused(service: KeyDistributionService, platform: AmdPlatform = MILAN) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        service.collateral(platform)
    return caught.value


def test_a_chip(canned: Canned, fetcher: Fetcher) -> None:
    with kds(canned) as server:
        fetched = KeyDistributionService(fetcher, base=server.url + "/").collateral(MILAN)
        assert server.requests == ["/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl", f"/vcek/v1/Milan/{QUERY}"]
    assert parse(fetched.data) == SnpCollateral(
        leaf=canned.leaf, issuer=canned.issuer, root=canned.root, revocation_list=canned.revoked
    )
    assert fetched.root == _codec.sha256_hex(canned.root)
    assert fetched.expires == NOW + 30 * DAY


def test_a_chip_of_turin(canned: Canned, fetcher: Fetcher) -> None:
    chip = Chip(hardware_id="0123456789abcdef", versions=(("fmcSPL", 1), *VERSIONS))
    target = "0123456789abcdef?fmcSPL=01&blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"
    with kds(canned, product="Turin", target=target) as server:
        service = KeyDistributionService(fetcher, base=server.url)
        fetched = service.collateral(AmdPlatform(product="Turin", key="vcek", chip=chip))
    assert parse(fetched.data).leaf == canned.leaf


@pytest.mark.parametrize("key", ["vcek", "vlek"])
def test_no_chip(canned: Canned, fetcher: Fetcher, key: str) -> None:
    with kds(canned, product="Genoa", key=key) as server:
        service = KeyDistributionService(fetcher, base=server.url)
        fetched = service.collateral(AmdPlatform(product="Genoa", key=key))  # type: ignore[arg-type]  # both are keys
        assert server.requests == [f"/{key}/v1/Genoa/cert_chain", f"/{key}/v1/Genoa/crl"]
    assert parse(fetched.data).leaf is None
    assert fetched.expires == NOW + 40 * DAY


def test_a_vlek_brings_its_certificate(canned: Canned, fetcher: Fetcher) -> None:
    with kds(canned, key="vlek") as server:
        service = KeyDistributionService(fetcher, base=server.url)
        fetched = service.collateral(AmdPlatform(product="Milan", key="vlek", leaf=canned.leaf))
        assert len(server.requests) == 2
        assert (parse(fetched.data).leaf, fetched.expires) == (canned.leaf, NOW + 30 * DAY)
        assert isinstance(refused(service, AmdPlatform(product="Milan", key="vlek", leaf=b"none")), FormatError)


def test_a_chip_that_the_server_does_not_know(canned: Canned, fetcher: Fetcher) -> None:
    with kds(canned, target="other") as server:
        error = refused(KeyDistributionService(fetcher, base=server.url))
    assert (type(error), error.reason) == (UnavailableError, "fetch-not-found")


def test_asked_too_often(canned: Canned, fetcher: Fetcher) -> None:
    with kds(canned) as server:
        server.faults = [Instead(Answer(status=429, headers={"Retry-After": "10"}))]
        assert KeyDistributionService(fetcher, base=server.url).collateral(MILAN).platform == MILAN


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\x30\x82\xff\xff", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"]
)
def test_garbage(canned: Canned, fetcher: Fetcher, which: int, body: bytes) -> None:
    with kds(canned) as server:
        targets = ["/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl"][:which]
        server.faults = [*(Instead(server.answer(target)) for target in targets), Instead(Answer(body=body))]
        assert type(refused(KeyDistributionService(fetcher, base=server.url))) is FormatError


@pytest.mark.parametrize("which", range(3))
def test_caps(canned: Canned, fetcher: Fetcher, which: int) -> None:
    with kds(canned) as server:
        targets = ["/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl"][:which]
        server.faults = [
            *(Instead(server.answer(target)) for target in targets),
            Instead(Answer(body=b"x" * 2_000_000)),
        ]
        assert refused(KeyDistributionService(fetcher, base=server.url)).reason == "fetch-size"


def test_a_chain_of_another_length(canned: Canned, fetcher: Fetcher) -> None:
    for chain in ([canned.root], [canned.issuer, canned.root, canned.root]):
        with FakeKds(product="Milan", chains={"vcek": chain}, revocation_list=canned.revoked) as server:
            assert refused(KeyDistributionService(fetcher, base=server.url)).reason == "fetch-answer"


@pytest.mark.parametrize("hardware_id", ["", "0" * 128, "0" * 16, "ab" * 63, "AB" * 64, "ab" * 64 + "/", "../" * 40])
def test_hardware_ids_that_are_none(hardware_id: str) -> None:
    with pytest.raises(FormatError) as caught:
        Chip(hardware_id=hardware_id, versions=VERSIONS)
    assert caught.value.reason == "fetch-platform"


@pytest.mark.parametrize("number", [-1, 256])
def test_versions_that_are_none(number: int) -> None:
    with pytest.raises(FormatError) as caught:
        Chip(hardware_id=HARDWARE_ID, versions=(("blSPL", number),))
    assert caught.value.reason == "fetch-platform"


def test_bases_that_must_not_be_asked(fetcher: Fetcher) -> None:
    with pytest.raises(FormatError) as caught:
        KeyDistributionService(fetcher, base="http://kds.example")
    assert caught.value.reason == "fetch-url"

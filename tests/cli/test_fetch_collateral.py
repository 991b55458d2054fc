"""``lamslsa fetch-collateral`` against servers on this machine: files, folders, caches, failures."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.snp import collateral as snp
from lamslsa.testing.provisioning import Answer, FakeKds, FakePccs, Instead
from lamslsa.testing.simulated import SimulatedVendor

Run = Any
FMSPC = b"SIM\0\0\0".hex()
NAME = f"sgx-{FMSPC}-platform"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


@pytest.fixture(scope="module")
def made(vendor: SimulatedVendor) -> bytes:
    """The vendor's collateral."""
    return vendor.collateral()


@pytest.fixture
def pccs(made: bytes) -> Iterator[FakePccs]:
    with FakePccs(made) as server:
        yield server


@pytest.fixture
def quote(vendor: SimulatedVendor, tmp_path: Path) -> Path:
    path = tmp_path / "quote.bin"
    path.write_bytes(vendor.quote(bytes(64)))
    return path


def test_a_quote(
    lamslsa: Run, pccs: FakePccs, quote: Path, vendor: SimulatedVendor, made: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "collateral.json"
    done = lamslsa("fetch-collateral", quote, "--out", out, "--pcs", pccs.url)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == made
    assert NAME in done.stdout
    assert "1 of 1" in done.stdout
    assert f"root {vendor.root.sha256}, which is no vendor's: simulated" in done.stderr
    assert "fetching collateral: 100%" in done.stderr


def test_json_and_quiet(lamslsa: Run, pccs: FakePccs, quote: Path, vendor: SimulatedVendor, tmp_path: Path) -> None:
    words = ["fetch-collateral", quote, quote, "--to", tmp_path / "held", "--pcs", pccs.url]
    done = lamslsa(*words, "--format", "json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = json.loads(done.stdout)["collateral"]
    assert entry["file"] == str(tmp_path / "held" / f"{NAME}.json")
    assert (entry["platform"], entry["root"], entry["quotesVerified"]) == (NAME, vendor.root.sha256, 2)
    assert entry["quotes"] == [str(quote), str(quote)]
    assert entry["expires"] == f"{NOW + dt.timedelta(days=29):%Y-%m-%dT%H:%M:%SZ}"
    assert len(entry["remarks"]) == 1
    assert sorted(path.name for path in (tmp_path / "held").iterdir()) == [f"{NAME}.json"]


def test_without_a_quote(lamslsa: Run, pccs: FakePccs, made: bytes, tmp_path: Path) -> None:
    out = tmp_path / "collateral.json"
    named = ["--tee", "sgx", "--fmspc", FMSPC.upper(), "--ca", "platform"]
    done = lamslsa("fetch-collateral", *named, "--out", out, "--pcs", pccs.url, "--update", "early")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == made
    assert pccs.requests[0].endswith("&update=early")


def test_the_cache(lamslsa: Run, pccs: FakePccs, quote: Path, tmp_path: Path) -> None:
    words = ["fetch-collateral", quote, "--out", tmp_path / "out.json", "--pcs", pccs.url]
    for more, asked in (((), 4), ((), 4), (("--no-cache",), 8), (("--refresh",), 12), ((), 12)):
        assert lamslsa(*words, *more, XDG_CACHE_HOME=str(tmp_path / "kept")).returncode == 0
        assert len(pccs.requests) == asked
    assert len(list((tmp_path / "kept" / "lamslsa" / "collateral").iterdir())) == 4
    assert lamslsa(*words, "--cache", tmp_path / "other").returncode == 0
    assert len(pccs.requests) == 16


def test_a_quote_that_does_not_verify_is_said(lamslsa: Run, quote: Path, tmp_path: Path) -> None:
    with FakePccs(SimulatedVendor(NOW).collateral()) as other:
        done = lamslsa("fetch-collateral", quote, "--out", tmp_path / "out.json", "--pcs", other.url)
    assert done.returncode == 0, done.stderr
    assert "0 of 1" in done.stdout
    assert f"{quote} does not verify with it" in done.stderr
    assert "--refresh" in done.stderr


@pytest.fixture(scope="module")
def amd() -> tuple[bytes, bytes]:
    """A certificate and a revocation list that parse: AMD's chains have more to say, and verifiers read it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ARK")])
    day = dt.timedelta(days=1)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW - day, NOW + day)
    revoked = x509.CertificateRevocationListBuilder(name, NOW - day, NOW + day)
    return (
        certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.DER),
        revoked.sign(key, hashes.SHA256()).public_bytes(Encoding.DER),
    )


def test_amd_without_a_report(lamslsa: Run, amd: tuple[bytes, bytes], tmp_path: Path) -> None:
    chains = {"vcek": [amd[0]] * 2, "vlek": [amd[0]] * 2}
    with FakeKds(product="Genoa", chains=chains, revocation_list=amd[1]) as server:
        done = lamslsa("fetch-collateral", "--product", "Genoa", "--to", tmp_path / "held", "--kds", server.url)
    assert done.returncode == 0, done.stderr
    for name in ("snp-genoa-vcek.json", "snp-genoa-vlek.json"):
        assert snp.parse((tmp_path / "held" / name).read_bytes()).leaf is None
    assert "--leaf" not in done.stderr


@pytest.mark.parametrize("pem", [True, False])
def test_amd_with_the_certificate_of_a_vlek(lamslsa: Run, amd: tuple[bytes, bytes], tmp_path: Path, pem: bool) -> None:
    report = bytearray(1184)
    report[0], report[0x34], report[0x48] = 2, 1, 4  # version, signature algorithm, VLEK
    (tmp_path / "report.bin").write_bytes(report)
    (tmp_path / "vlek").write_bytes(render_chain([amd[0]]) if pem else amd[0])
    words = ["fetch-collateral", tmp_path / "report.bin", "--out", tmp_path / "a.json", "--leaf", tmp_path / "vlek"]
    unnamed = lamslsa(*words)
    assert (unnamed.returncode, "error[fetch-product]" in unnamed.stderr) == (3, True)
    with FakeKds(product="Milan", chains={"vlek": [amd[0]] * 2}, revocation_list=amd[1]) as server:
        without = lamslsa(*words[:4], "--product", "Milan", "--kds", server.url)
        assert (without.returncode, "add it with --leaf" in without.stderr) == (0, True)
        done = lamslsa(*words, "--product", "Milan", "--kds", server.url)
    assert done.returncode == 0, done.stderr
    assert snp.parse((tmp_path / "a.json").read_bytes()).leaf == amd[0]
    (tmp_path / "vlek").write_bytes(render_chain([amd[0]] * 2))
    refused = lamslsa(*words, "--product", "Milan")
    assert (refused.returncode, "error[fetch-leaf]" in refused.stderr) == (3, True)


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (Answer(status=404), 6, "fetch-not-found"),
        (Answer(status=403), 6, "fetch-status"),
        (Answer(status=302, headers={"Location": "https://elsewhere.example/"}), 6, "fetch-redirect"),
        (Answer(body=b"<html>"), 3, "json-syntax"),
        (Answer(body=b" " * 3_000_000), 3, "fetch-size"),
    ],
)
def test_failures(
    lamslsa: Run, pccs: FakePccs, quote: Path, tmp_path: Path, answer: Answer, code: int, reason: str
) -> None:
    pccs.faults = [Instead(answer)]
    out = tmp_path / "out.json"
    out.write_text("what was there")
    done = lamslsa("fetch-collateral", quote, "--out", out, "--pcs", pccs.url)
    assert done.returncode == code, done.stderr
    assert f"error[{reason}]" in done.stderr
    assert done.stdout == ""
    assert out.read_text() == "what was there"


@pytest.mark.parametrize(
    "words",
    [
        ("quote.bin",),
        ("quote.bin", "--out", "a", "--to", "b"),
        ("--out", "a"),
        ("--out", "a", "--tee", "sgx"),
        ("--out", "a", "--tee", "sgx", "--fmspc", FMSPC),
        ("--out", "a", "--product", "Milan"),
        ("--out", "a", "--product", "Rome"),
        ("--out", "a", "--tee", "snp"),
        ("--to", "a", "--product", "Milan", "--leaf", "quote.bin"),
        ("--to", "a", "--product", "Milan", "--tee", "sgx"),
        ("quote.bin", "--out", "a", "--tee", "sgx", "--fmspc", FMSPC, "--ca", "platform"),
    ],
)
def test_usage(lamslsa: Run, words: tuple[str, ...]) -> None:
    assert lamslsa("fetch-collateral", *words).returncode == 2


def test_plain_http_leaves_this_machine_for_nobody(lamslsa: Run, quote: Path, tmp_path: Path) -> None:
    for words in (("--pcs", "http://192.0.2.1"), ("--pcs", "http://127.0.0.1:9", "--kds", "http://192.0.2.1")):
        done = lamslsa("fetch-collateral", quote, "--out", tmp_path / "a", *words)
        assert (done.returncode, "error[fetch-url]" in done.stderr) == (3, True)


def test_a_folder_without_evidence(lamslsa: Run, tmp_path: Path) -> None:
    done = lamslsa("fetch-collateral", tmp_path, "--out", tmp_path / "a")
    assert (done.returncode, "error[fetch-no-quote]" in done.stderr) == (3, True)


def test_intel_is_not_asked_about_simulated_platforms(lamslsa: Run, quote: Path, tmp_path: Path) -> None:
    done = lamslsa("fetch-collateral", quote, "--out", tmp_path / "out.json")
    assert done.returncode == 3
    assert "fetch-simulated" in done.stderr
    assert not (tmp_path / "out.json").exists()

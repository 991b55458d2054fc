"""Genuine Nitro documents through the verifier; expected values: evidence/SOURCES.md of the shared files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import cbor2
import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence.interface import Root
from lamslsa.evidence.nitro.parse import parse
from lamslsa.evidence.nitro.verify import NitroVerifier
from lamslsa.evidence.roots import load_root
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE
from lamslsa.testing.simulated_nitro import SimulatedNitroVendor

AWS = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
SECOND = dt.timedelta(seconds=1)
VALID = dt.datetime(2022, 10, 13, 8, 58, 2, 136000, tzinfo=dt.UTC)
VALID_LEAF = (dt.datetime(2022, 10, 13, 8, 57, 59, tzinfo=dt.UTC), dt.datetime(2022, 10, 13, 11, 58, 2, tzinfo=dt.UTC))
DEBUG = dt.datetime(2022, 10, 12, 13, 50, 6, 81000, tzinfo=dt.UTC)
DEBUG_LEAF = (
    dt.datetime(2022, 10, 12, 13, 49, 51, tzinfo=dt.UTC),
    dt.datetime(2022, 10, 12, 16, 49, 54, tzinfo=dt.UTC),
)


@pytest.fixture(scope="module")
def root(shared: Path) -> Root:
    return load_root((shared / "evidence/nitro/nitro.pem").read_bytes().rstrip() + b"\n")


@pytest.fixture(scope="module")
def valid(shared: Path) -> bytes:
    return (shared / "evidence/nitro/valid-attestation-doc-bytes").read_bytes()


@pytest.fixture(scope="module")
def debug(shared: Path) -> bytes:
    return (shared / "evidence/nitro/debug-mode-attestation-doc-bytes").read_bytes()


def test_a_document_at_its_own_time(root: Root, valid: bytes) -> None:
    assert parse(valid).timestamp == VALID
    claims = NitroVerifier().verify(valid, collateral=None, roots=[root], at=VALID)
    assert not claims.simulated
    assert claims.root == AWS
    assert not claims.debug
    assert claims.timestamp == VALID
    assert claims.platform_id == claims.module_id == "i-020b6af9246d90e92-enc0183d09086c24190"
    assert claims.measurement == {
        "pcr0": "f4d48b81a460c9916d1e685119074bf24660afd3e34fae9fca0a0d28d9d5599936332687e6f66fc890ac8cf150142d8b",
        "pcr1": "bcdf05fefccaa8e55bf2c8d6dee9e79bbff31e34bf28a99aa19e6b29c37ee80b214a414b7607236edf26fcb78654e63f",
        "pcr2": "d8f114da658de5481f8d9ec73907feb553560787522f705c92d7d96beed8e15e2aa611984e098c576832c292e8dc469a",
        "pcr8": "8790eb3cce6c83d07e84b126dc61ca923333d6f66615c4a79157de48c5ab2418bdc60746ea7b7afbff03a1c6210201cb",
    }
    assert set(claims.pcrs) == set(range(16))
    assert claims.report_data == b""
    assert claims.nonce is not None
    assert len(claims.nonce) == 512
    assert claims.public_key is None


def test_a_document_in_debug_mode(root: Root, debug: bytes) -> None:
    claims = NitroVerifier().verify(debug, collateral=None, roots=[root], at=DEBUG)
    assert claims.timestamp == DEBUG
    assert claims.debug
    assert claims.measurement == {f"pcr{index}": "00" * 48 for index in (0, 1, 2, 8)}
    assert claims.report_data == b"hello, world!"
    assert claims.public_key == b"my super secret key".hex()


def test_before_inside_and_after_the_window(root: Root, valid: bytes, debug: bytes) -> None:
    for document, (first, last) in ((valid, VALID_LEAF), (debug, DEBUG_LEAF)):
        for at in (first, last):
            assert NitroVerifier().verify(document, collateral=None, roots=[root], at=at)
        for at in (first - SECOND, last + SECOND):
            with pytest.raises(VerificationError) as caught:
                NitroVerifier().verify(document, collateral=None, roots=[root], at=at)
            assert caught.value.reason == "evidence-certificate-window"


def test_one_spelling(valid: bytes, debug: bytes) -> None:
    """AWS writes documents in the one spelling that is read: an independent reader gives the bytes back."""
    for document in (valid, debug):
        value = cbor2.loads(document)
        assert cbor2.dumps(value) == document
        assert cbor2.dumps(cbor2.loads(value[2])) == value[2] == parse(document).payload


def test_any_byte_changed(root: Root, valid: bytes) -> None:
    accepted = []
    for position in range(len(valid)):
        changed = bytearray(valid)
        changed[position] ^= 1
        try:
            NitroVerifier().verify(bytes(changed), collateral=None, roots=[root], at=VALID)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


def test_the_root(root: Root, valid: bytes) -> None:
    verifier = verifier_for(NITRO_DOCUMENT_MEDIA_TYPE)
    assert root.sha256 == AWS
    assert verifier.presented_root(valid, None) == root
    with pytest.raises(VerificationError) as caught:
        verifier.verify(valid, collateral=None, roots=[SimulatedNitroVendor(VALID).root], at=VALID)
    assert caught.value.reason == "evidence-root"

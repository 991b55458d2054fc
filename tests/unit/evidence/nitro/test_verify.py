"""What no vector shows: sweeps over all bytes, the interface, claims. Refusals: tests/vectors/evidence-nitro."""

from __future__ import annotations

import contextlib
import datetime as dt

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.interface import EvidenceVerifier, Root, Standing
from lamslsa.evidence.nitro.parse import PROTECTED, signed_bytes
from lamslsa.evidence.nitro.verify import NitroClaims, NitroVerifier
from lamslsa.evidence.simulated.nitro_document import sign
from lamslsa.testing.simulated_nitro import PCRS, SimulatedNitroVendor

DATA = bytes(range(64))
AWS = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"


@pytest.fixture(scope="module")
def document(nitro_vendor: SimulatedNitroVendor) -> bytes:
    return nitro_vendor.document(DATA, members={"nonce": b"nonce", "public_key": b"key"})


def verify(vendor: SimulatedNitroVendor, document: bytes, at: dt.datetime | None = None) -> NitroClaims:
    return NitroVerifier().verify(document, collateral=None, roots=[vendor.root], at=at or vendor.now)


def test_claims(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    assert verify(nitro_vendor, document) == NitroClaims(
        tee="nitro",
        simulated=True,
        root=nitro_vendor.root.sha256,
        measurement={"pcr0": "11" * 48, "pcr1": "12" * 48, "pcr2": "13" * 48, "pcr8": "00" * 48},
        versions={},
        report_data=DATA,
        debug=False,
        tcb_status=None,
        advisories=(),
        tcb_evaluation_data_number=None,
        platform_id="i-simulated-enc0",
        module_id="i-simulated-enc0",
        timestamp=nitro_vendor.now,
        pcrs={index: register.hex() for index, register in PCRS.items()},
        public_key=b"key".hex(),
        nonce=b"nonce".hex(),
    )
    bare = verify(nitro_vendor, nitro_vendor.document(None))
    assert (bare.public_key, bare.nonce, bare.report_data) == (None, None, b"")


def test_the_interface(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    verifier: EvidenceVerifier = NitroVerifier()
    assert verifier.tee == "nitro"
    assert verifier.media_type == "application/vnd.lamslsa.quote.nitro+cbor"
    assert verifier.collateral_media_type is None
    assert verifier.presented_root(document, None) == nitro_vendor.root
    assert verifier.presented_report_data(document) == DATA
    assert verifier.presented_report_data(nitro_vendor.document(None)) == b""
    assert not verifier.concerns(document, document)
    assert verifier.standing(document, collateral=None, roots=[], now=nitro_vendor.now) == Standing(revoked=False)
    for call in (lambda: verifier.presented_root(b"junk", None), lambda: verifier.presented_report_data(b"junk")):
        with pytest.raises(FormatError):
            call()


def test_one_root_of_several(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    roots = [Root(der=b"another", sha256="00" * 32), nitro_vendor.root]
    assert NitroVerifier().verify(document, collateral=None, roots=roots, at=nitro_vendor.now).simulated


def test_a_fingerprint_that_a_caller_wrote_counts_for_nothing(
    nitro_vendor: SimulatedNitroVendor, document: bytes
) -> None:
    lie = Root(der=nitro_vendor.root.der, sha256=AWS)
    claims = NitroVerifier().verify(document, collateral=None, roots=[lie], at=nitro_vendor.now)
    assert claims.simulated
    assert claims.root == nitro_vendor.root.sha256
    with pytest.raises(VerificationError) as caught:
        NitroVerifier().verify(
            document, collateral=None, roots=[Root(der=b"", sha256=nitro_vendor.root.sha256)], at=nitro_vendor.now
        )
    assert caught.value.reason == "evidence-root"


def test_a_time_without_zone_is_a_bug(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    naive = nitro_vendor.now.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        verify(nitro_vendor, document, at=naive)
    with pytest.raises(ValueError, match="time zone"):
        NitroVerifier().standing(document, collateral=None, roots=[], now=naive)


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_times_far_away(nitro_vendor: SimulatedNitroVendor, document: bytes, year: int) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(nitro_vendor, document, at=dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    assert caught.value.reason == "evidence-certificate-window"


def test_three_hours(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    end = nitro_vendor.now + dt.timedelta(hours=3)
    assert verify(nitro_vendor, document, at=end)
    assert verify(nitro_vendor, document, at=end.astimezone(dt.timezone(dt.timedelta(hours=9))))
    with pytest.raises(VerificationError):
        verify(nitro_vendor, document, at=end + dt.timedelta(seconds=1))


def test_any_byte_of_the_document_changed(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    accepted = []
    for position in range(len(document)):
        changed = bytearray(document)
        changed[position] ^= 1
        try:
            verify(nitro_vendor, bytes(changed))
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300), st.integers(0, 2000))
def test_any_bytes(nitro_vendor: SimulatedNitroVendor, document: bytes, data: bytes, at: int) -> None:
    for hostile in (data, document[:at] + data + document[at + len(data) :]):
        with contextlib.suppress(LamslsaError):
            verify(nitro_vendor, hostile)


def test_a_signature_over_something_else_than_cose_says(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    """Context, header and external data are signed with the payload."""
    payload = cbor2.loads(document)[2]
    key = nitro_vendor.keys["leaf"]
    for signed in (
        payload,
        cbor2.dumps(["Signature", PROTECTED, b"", payload]),
        cbor2.dumps(["Signature1", b"", b"", payload]),
        cbor2.dumps(["Signature1", PROTECTED, b"more", payload]),
    ):
        with pytest.raises(VerificationError) as caught:
            verify(nitro_vendor, cbor2.dumps([PROTECTED, {}, payload, sign(key, signed)]))
        assert caught.value.reason == "evidence-signature"
    assert verify(nitro_vendor, cbor2.dumps([PROTECTED, {}, payload, sign(key, signed_bytes(payload))]))


def test_the_authoritys_key_signs_no_documents(nitro_vendor: SimulatedNitroVendor) -> None:
    """An instance's certificate in place of the enclave's: its key may sign certificates only."""
    members = {
        **nitro_vendor.members(DATA),
        "certificate": nitro_vendor.der("instance"),
        "cabundle": [nitro_vendor.der("root")],
    }
    payload = cbor2.dumps(members)
    signature = sign(nitro_vendor.keys["instance"], signed_bytes(payload))
    with pytest.raises(VerificationError) as caught:
        verify(nitro_vendor, cbor2.dumps([PROTECTED, {}, payload, signature]))
    assert caught.value.reason == "evidence-chain"

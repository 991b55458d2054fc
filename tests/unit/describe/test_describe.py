"""Descriptions: every format is recognised by its bytes, and what is not verified is said."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa import _codec
from lamslsa.describe import Description, Surroundings, describe, describe_evidence
from lamslsa.describe.model import plain
from lamslsa.describe.statements import describe_run
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.evidence.simulated.snp_report import SnpGuest
from lamslsa.publish import evidence_statement
from lamslsa.sign import BundleVerifier, KeySigner, generate
from lamslsa.testing import chain
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor
from lamslsa.testing.simulated_snp import SimulatedSnpVendor

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)


def around(
    *held: bytes, keys: Mapping[str, BundleVerifier] | None = None, now: dt.datetime = NOW, at: dt.datetime = NOW
) -> Surroundings:
    return Surroundings(at=at, now=now, held=held, keys=keys or {})


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


@pytest.fixture(scope="module")
def run(vendor: SimulatedVendor) -> Run:
    payload, nonce = chain.census()["evaluation"], Nonce(value=bytes(32))
    quote = vendor.quote(binding.report_data(nonce.value, statements=[_codec.sha256_hex(payload)]))
    return Run(
        statements=(NamedPayload(name="01-evaluation", payload=payload),),
        nonce=nonce,
        evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=vendor.collateral()),
        quoted_at="2026-11-22T00:00:00Z",
    )


def words(found: Description) -> str:
    return " | ".join((*found.verified, "NOT:", *found.unverified))


def test_a_quote_alone_is_what_its_bytes_say(vendor: SimulatedVendor) -> None:
    found = describe_evidence(vendor.quote(bytes(64)), around())
    assert found.kind == "SGX quote"
    assert found.verified == ()
    assert "no endorsements at hand" in found.unverified[0]
    assert found.facts["report"]["mrEnclave"] == "11" * 32


def test_a_quote_with_its_endorsements_is_verified_and_says_simulated(vendor: SimulatedVendor) -> None:
    found = describe_evidence(vendor.quote(bytes(64)), around(vendor.collateral(advisories=("INTEL-SA-1",))))
    assert "SIMULATED" in found.verified[0]
    assert found.verified[1] == "not revoked as of 2026-11-22T06:00:00Z, advisories INTEL-SA-1"
    assert found.facts["root"].startswith(vendor.root.sha256)
    assert found.facts["tcbStatus"] == "UpToDate"
    assert "a policy decides" in words(found)


def test_a_quote_under_foreign_endorsements_is_not_verified(vendor: SimulatedVendor) -> None:
    found = describe_evidence(vendor.quote(bytes(64)), around(SimulatedVendor(NOW).collateral()))
    assert found.verified == ()


def test_a_quote_that_does_not_verify_says_why(vendor: SimulatedVendor) -> None:
    later = NOW + dt.timedelta(days=60)
    found = describe_evidence(vendor.quote(bytes(64)), around(vendor.collateral(), at=later, now=later))
    assert found.verified == ()
    assert "evidence-collateral-window" in found.unverified[0]


def test_a_debug_quote_is_never_described_as_verified(vendor: SimulatedVendor) -> None:
    enclave = Enclave(mr_enclave=bytes(32), mr_signer=bytes(32), attributes=DEBUG_ATTRIBUTES)
    found = describe_evidence(vendor.quote(bytes(64), enclave=enclave), around(vendor.collateral()))
    assert found.verified == ()


def test_a_platform_that_is_revoked_now(vendor: SimulatedVendor) -> None:
    then = vendor.collateral()
    later = NOW + dt.timedelta(days=60)
    now = vendor.collateral(window=(later - dt.timedelta(days=1), later + dt.timedelta(days=1)), revoked=["pck"])
    found = describe_evidence(vendor.quote(bytes(64)), around(now, then, now=later))
    assert "REVOKED" in words(found) or "how the platform stands now" in words(found)


@pytest.mark.parametrize("kind", ["DCAP quote collateral"])
def test_collateral(vendor: SimulatedVendor, kind: str) -> None:
    found = describe_evidence(vendor.collateral(), around())
    assert (found.kind, found.verified) == (kind, ())
    assert found.facts["tcbEvaluationDataNumber"] == 17


def test_a_bare_statement_is_nobodys_word() -> None:
    found = describe(chain.census()["evaluation"], around())
    assert (found.kind, found.verified) == ("in-toto statement: evaluation of a model", ())
    assert found.facts["predicateType"] == "https://lamslsa.dev/evaluation/v1"


def test_a_statement_of_an_unknown_predicate() -> None:
    document = _codec.loads(chain.census()["evaluation"]) | {"predicateType": "https://example.com/p/v1"}
    found = describe(_codec.dumps(document), around())
    assert "its predicate" in found.unverified[0]


def test_a_bundle_with_and_without_the_key(signer: KeySigner) -> None:
    bundle = signer.sign(chain.census()["evaluation"])
    without, other = describe(bundle, around()), KeySigner.load(generate(None), None).verifier()
    assert "no key at hand" in without.unverified[0]
    assert describe(bundle, around(keys={"other.pub": other})).verified == ()
    found = describe(bundle, around(keys={"other.pub": other, "auditor.pub": signer.verifier()}))
    assert found.verified == ("signed with auditor.pub",)
    assert found.parts[0].kind == "in-toto statement: evaluation of a model"


def test_evidence_says_what_it_covers(run: Run, signer: KeySigner) -> None:
    found = describe(signer.sign(evidence_statement(run)), around()).parts[0]
    assert found.kind == "TEE evidence"
    assert "covers exactly these 1 statements" in found.verified[0]
    assert "the platform is not revoked" in found.verified
    assert "when it was quoted" in found.unverified[-1]
    assert found.facts["claims"]["simulated"] is True


def test_evidence_that_covers_nothing(run: Run) -> None:
    other = dataclasses.replace(run, nonce=Nonce(value=b"\x01" * 32))
    document = _codec.loads(evidence_statement(run))
    document["predicate"]["nonce"] = _codec.encode_base64(other.nonce.value)
    found = describe(_codec.dumps(document), around())
    assert found.verified == ()
    assert "evidence-binding" in found.unverified[0]


def test_lines_of_bundles(signer: KeySigner) -> None:
    made = [signer.sign(payload).replace(b"\n", b"") for payload in chain.census().values()]
    found = describe(b"\n".join([*made, b"{broken"]), around())
    assert found.kind == "5 bundles, one a line"
    assert found.parts[-1].kind == "a line that is no bundle"


def test_a_run_folder(run: Run) -> None:
    found = describe_run(run, around())
    assert found.verified == ("the quote's report data is that of exactly these statements, devices and this nonce",)
    assert [part.kind for part in found.parts] == ["SGX quote", "in-toto statement: evaluation of a model"]
    other = describe_run(dataclasses.replace(run, nonce=Nonce(value=bytes(16))), around())
    assert other.verified == ()
    assert other.unverified[0].startswith("NOT so")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"text", b"{", b"\x00" * 100])
def test_other_bytes(data: bytes) -> None:
    for look in (describe, describe_evidence):
        with pytest.raises(FormatError):
            look(data, around())


def test_a_statement_is_no_evidence() -> None:
    with pytest.raises(FormatError) as caught:
        describe_evidence(chain.census()["evaluation"], around())
    assert caught.value.reason == "inspect-unknown"


_STARTS = [b"", b"\x03\x00\x02\x00", b"\x04\x00\x02\x00", b"\x05\x00\x02\x00", b"\x84", b"\xd2\x84", b"HCLA", b"{"]


@given(start=st.sampled_from(_STARTS), rest=st.binary(max_size=2000))
def test_any_bytes_give_a_description_or_an_error(start: bytes, rest: bytes) -> None:
    try:
        found = describe(start + rest, around())
    except LamslsaError:
        return
    json.dumps(found.document())


def test_plain_values() -> None:
    value: Any = {"a": b"\x01", "b": [NOW, None, 1.5], "c": frozenset({"y", "x"}), "d": dt.timedelta(seconds=1)}
    assert plain(value) == {
        "a": "01",
        "b": ["2026-11-22T06:00:00Z", None, 1.5],
        "c": ["x", "y"],
        "d": "0:00:01",
    }


def many(vendor: SimulatedSnpVendor, *, debug: bool) -> bytes:
    payloads = [
        chain.edited(chain.census()["evaluation"], ("subject", 0, "name"), f"m{number}") for number in range(20)
    ]
    digests = [_codec.sha256_hex(payload) for payload in payloads]
    guest = SnpGuest(measurement=b"\x11" * 48, policy=0x30000 | debug << 19)
    run = Run(
        statements=tuple(
            NamedPayload(name=f"{number:02d}-evaluation", payload=payload) for number, payload in enumerate(payloads)
        ),
        nonce=Nonce(value=bytes(32)),
        evidence=vendor.evidence(binding.report_data(bytes(32), statements=digests), guest=guest),
        quoted_at="2026-11-22T00:00:00Z",
    )
    return evidence_statement(run)


@pytest.mark.parametrize("debug", [True, False])
def test_what_is_verified_says_simulated_and_what_is_not_says_debug(debug: bool) -> None:
    found = describe(many(SimulatedSnpVendor(NOW), debug=debug), around())
    assert "SIMULATED" in found.verified[0]
    assert ("DEBUG" in words(found)) is debug
    assert next(iter(found.facts)) == "claims", "before any number of subjects"


def test_report_data_elsewhere_in_a_quote_is_no_binding(vendor: SimulatedVendor, run: Run) -> None:
    expected = vendor_report_data(run)
    enclave = Enclave(mr_enclave=bytes(32), mr_signer=bytes(32), config_id=expected)
    forged = dataclasses.replace(run.evidence, quote=vendor.quote(b"\xee" * 64, enclave=enclave))
    found = describe_run(dataclasses.replace(run, evidence=forged), around())
    assert found.verified == ()
    assert found.unverified[0].startswith("NOT so")


def test_a_run_whose_quote_is_not_verified_is_not_verified(run: Run) -> None:
    bare = dataclasses.replace(run, evidence=dataclasses.replace(run.evidence, collateral=None))
    found = describe_run(bare, around())
    assert found.verified == ()
    assert "as far as the quote can be believed" in found.unverified[0]


def vendor_report_data(run: Run) -> bytes:
    return binding.report_data(run.nonce.value, statements=[_codec.sha256_hex(run.statements[0].payload)])

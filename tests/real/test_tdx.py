"""Genuine Intel TDX quotes through the verifier; expected values: evidence/SOURCES.md of the shared files."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import Standing, collateral, verifier_for
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.tdx.ccel import parse as parse_log
from lamslsa.evidence.tdx.ccel import replay, verify_event_log
from lamslsa.evidence.tdx.parse import parse
from lamslsa.evidence.tdx.verify import MEDIA_TYPE, TdxClaims
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

VALID = dt.datetime(2025, 6, 25, tzinfo=dt.UTC)
FIRST = dt.datetime(2025, 6, 19, 10, 32, 27, tzinfo=dt.UTC)
LAST = dt.datetime(2025, 7, 19, 10, 0, 34, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
ROOTS = [INTEL_SGX_ROOT]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "evidence" / "tdx"


@pytest.fixture(scope="module")
def quote(folder: Path) -> bytes:
    return (folder / "tdx_quote").read_bytes()


@pytest.fixture(scope="module")
def endorsements(folder: Path) -> bytes:
    return (folder / "tdx_quote_collateral.json").read_bytes()


@pytest.fixture(scope="module")
def claims(quote: bytes, endorsements: bytes) -> TdxClaims:
    found = verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=ROOTS, at=VALID)
    assert isinstance(found, TdxClaims)
    return found


def test_accepted_under_intels_root(claims: TdxClaims) -> None:
    assert not claims.simulated
    assert claims.root == INTEL_SGX_ROOT.sha256
    assert (claims.tcb_status, claims.advisories, claims.tcb_evaluation_data_number) == ("UpToDate", (), 17)
    assert claims.measurement["mrTd"].startswith("91eb2b44d141d4ece09f0c75c2c53d24")
    assert claims.measurement["rtmr3"] == "00" * 48
    assert claims.measurement["tdAttributes"] == claims.td_attributes == "0000001000000000"
    assert claims.measurement["xfam"] == claims.xfam == "e702060000000000"
    assert claims.versions == {"tdxModule": 6, "tdxModuleMajor": 1, "seamLoader": 3}
    assert claims.report_data.hex().startswith("9a9d48e7f6799642d3d1b34e1e5e1742")
    assert claims.platform_id == "811dca2a26b952e85bb6448b097ba4fd"
    assert claims.mr_seam.startswith("5b38e33a6487958b72c3c12a938eaa5e")
    assert claims.mr_signer_seam == "00" * 48
    assert (claims.version, claims.qe_svn, claims.pce_svn, claims.debug) == (4, 6, 11, False)


def test_padding_is_no_part_of_the_quote(quote: bytes) -> None:
    assert len(quote) == 5006
    assert len(parse(quote).raw) == 4936
    with pytest.raises(FormatError) as caught:
        parse(quote[:-1] + b"x")
    assert caught.value.reason == "quote-trailing"


@pytest.mark.parametrize("at", [FIRST, LAST])
def test_accepted_on_the_edges_of_the_window(quote: bytes, endorsements: bytes, at: dt.datetime) -> None:
    assert verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=ROOTS, at=at)


@pytest.mark.parametrize("at", [FIRST - SECOND, LAST + SECOND, dt.datetime(2026, 11, 22, tzinfo=dt.UTC)])
def test_refused_outside_the_window(quote: bytes, endorsements: bytes, at: dt.datetime) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    with pytest.raises(VerificationError) as caught:
        verifier.verify(quote, collateral=endorsements, roots=ROOTS, at=at)
    assert caught.value.reason == "evidence-collateral-window"
    with pytest.raises(VerificationError) as caught:
        verifier.standing(quote, collateral=endorsements, roots=ROOTS, now=at)
    assert caught.value.reason == "evidence-collateral-window"


def test_how_the_platform_stood(quote: bytes, endorsements: bytes) -> None:
    stood = verifier_for(MEDIA_TYPE).standing(quote, collateral=endorsements, roots=ROOTS, now=VALID)
    assert stood == Standing(revoked=False, advisories=(), tcb_evaluation_data_number=17)


def test_refused_with_any_signed_byte_changed(quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    accepted = []
    for position in range(0, 1260, 3):
        changed = bytearray(quote)
        changed[position] ^= 1
        try:
            verifier.verify(bytes(changed), collateral=endorsements, roots=ROOTS, at=VALID)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


def test_refused_without_what_it_needs(shared: Path, quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    sgx = (shared / "evidence/sgx/sgx_quote_collateral.json").read_bytes()
    other = SimulatedTdxVendor(VALID)
    for held, roots, reason in (
        (None, ROOTS, "evidence-collateral-missing"),
        (sgx, ROOTS, "evidence-collateral-tee"),
        (endorsements, [other.root], "evidence-root"),
        (other.collateral(), ROOTS, "evidence-collateral-root"),
    ):
        with pytest.raises(VerificationError) as caught:
            verifier.verify(quote, collateral=held, roots=roots, at=VALID)
        assert caught.value.reason == reason


def test_collateral_is_found_by_the_platform(folder: Path, shared: Path, quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    outdated = (folder / "tdx_quote_outdated_collateral.json").read_bytes()
    assert verifier.concerns(quote, endorsements)
    assert verifier.concerns((folder / "tdx_quote_outdated").read_bytes(), outdated)
    assert not verifier.concerns(quote, outdated)
    assert not verifier.concerns((folder / "tdx_quote_outdated").read_bytes(), endorsements)
    assert not verifier.concerns(quote, (shared / "evidence/sgx/sgx_quote_collateral.json").read_bytes())


def test_an_outdated_platform_has_no_level(folder: Path) -> None:
    quote = (folder / "tdx_quote_outdated").read_bytes()
    held = (folder / "tdx_quote_outdated_collateral.json").read_bytes()
    parsed, window = parse(quote), collateral.parse(held)
    assert (parsed.version, parsed.report.debug, parsed.report.mr_service_td) == (5, False, bytes(48))
    assert window.issued < dt.datetime(2026, 2, 19, tzinfo=dt.UTC) < window.expires
    for at, reason in (
        (dt.datetime(2026, 2, 10, tzinfo=dt.UTC), "evidence-collateral-window"),
        (dt.datetime(2026, 2, 25, tzinfo=dt.UTC), "evidence-quote"),
        (dt.datetime(2026, 3, 18, tzinfo=dt.UTC), "evidence-quote"),
        (dt.datetime(2026, 3, 25, tzinfo=dt.UTC), "evidence-collateral-window"),
    ):
        with pytest.raises(VerificationError) as caught:
            verifier_for(MEDIA_TYPE).verify(quote, collateral=held, roots=ROOTS, at=at)
        assert caught.value.reason == reason
        assert ("No matching TCB level" in str(caught.value)) is (reason == "evidence-quote")


def test_a_debug_td_is_refused(folder: Path, endorsements: bytes) -> None:
    quote = (folder / "tdx_quote_debug.dat").read_bytes()
    assert parse(quote).report.debug
    for held in (None, endorsements):
        with pytest.raises(VerificationError) as caught:
            verifier_for(MEDIA_TYPE).verify(quote, collateral=held, roots=ROOTS, at=VALID)
        assert caught.value.reason == "evidence-debug"


def test_an_event_log_replays_to_all_four_registers(folder: Path, claims: TdxClaims) -> None:
    log = (folder / "ccel_data.dat").read_bytes()
    quote = parse((folder / "cos-113-tdx-quote.dat").read_bytes())
    assert quote.root == INTEL_SGX_ROOT.der
    events = parse_log(log)
    assert len(events) == 43
    assert replay(events) == quote.report.rtmrs
    registers = [register.hex() for register in quote.report.rtmrs]
    booted = dataclasses.replace(claims, rtmrs=(registers[0], registers[1], registers[2], registers[3]))
    assert verify_event_log(log, booted) == events
    with pytest.raises(VerificationError) as caught:
        verify_event_log(log, claims)
    assert caught.value.reason == "evidence-event-log"


def test_every_digest_of_the_event_log_counts(folder: Path, claims: TdxClaims) -> None:
    log = (folder / "ccel_data.dat").read_bytes()
    events = parse_log(log)
    registers = [register.hex() for register in replay(events)]
    booted = dataclasses.replace(claims, rtmrs=(registers[0], registers[1], registers[2], registers[3]))
    for digest in {event.digest for event in events if event.extends}:
        at = log.index(digest)
        with pytest.raises(VerificationError) as caught:
            verify_event_log(log[:at] + bytes((log[at] ^ 1,)) + log[at + 1 :], booted)
        assert caught.value.reason == "evidence-event-log"


@pytest.mark.parametrize("name", ["tdx_quote", "tdx_quote_outdated", "tdx_quote_debug.dat", "cos-113-tdx-quote.dat"])
def test_the_library_reads_the_same_report(folder: Path, name: str) -> None:
    import dcap_qvl

    data = (folder / name).read_bytes()
    ours, theirs = parse(data).report, dcap_qvl.parse_quote(data).report
    assert ours.tee_tcb_svn == bytes(theirs.tee_tcb_svn)
    assert (ours.mr_seam, ours.mr_signer_seam) == (bytes(theirs.mr_seam), bytes(theirs.mr_signer_seam))
    assert (ours.mr_td, ours.mr_config_id) == (bytes(theirs.mr_td), bytes(theirs.mr_config_id))
    assert (ours.td_attributes, ours.xfam) == (bytes(theirs.td_attributes), bytes(theirs.xfam))
    assert (ours.mr_owner, ours.mr_owner_config) == (bytes(theirs.mr_owner), bytes(theirs.mr_owner_config))
    assert ours.rtmrs == tuple(bytes(getattr(theirs, f"rt_mr{number}")) for number in range(4))
    assert ours.report_data == bytes(theirs.report_data)


@pytest.mark.parametrize("name", ["sgx/sgx_quote", "sgx/occlum_quote.dat", "snp/attestation.bin", "tdx/ccel_data.dat"])
def test_other_evidence_is_no_tdx_quote(shared: Path, name: str) -> None:
    with pytest.raises(FormatError):
        parse((shared / "evidence" / name).read_bytes())


def test_sgx_quotes_are_refused_by_name(shared: Path) -> None:
    with pytest.raises(FormatError, match="version 3 of kind SGX") as caught:
        parse((shared / "evidence/sgx/sgx_quote").read_bytes())
    assert caught.value.reason == "quote-version"


def test_edited_collateral_is_refused(quote: bytes, endorsements: bytes) -> None:
    value = json.loads(endorsements)
    value["tcb_info"] = value["tcb_info"].replace("OutOfDate", "UpToDate")
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=json.dumps(value).encode(), roots=ROOTS, at=VALID)
    assert caught.value.reason == "evidence-quote"

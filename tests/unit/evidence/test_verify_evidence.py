"""Evidence statements as a whole: devices, event logs, endorsements and beacons beside the quote."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence import attester_for, binding
from lamslsa.evidence.interface import Evidence, Standing
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Beacon
from lamslsa.evidence.simulated.gpu_report import Gpu
from lamslsa.evidence.tdx.ccel import Event, replay
from lamslsa.evidence.verify import EvidenceTrust, Freshness, VerifiedEvidence, verify_evidence
from lamslsa.predicates._common import Digest
from lamslsa.predicates.tee_evidence import (
    BEACON_CHECKPOINT_MEDIA_TYPE,
    CCEL_MEDIA_TYPE,
    COLLATERAL_MEDIA_TYPE,
    NVIDIA_REPORT_MEDIA_TYPE,
    SNP_COLLATERAL_MEDIA_TYPE,
    Content,
    TeeEvidence,
)
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor, render_event_log

NONCE = bytes(range(32))
COVERS = ("11" * 32, "22" * 32)
ASKED = binding.device_nonce(NONCE, statements=COVERS)
DAY = dt.timedelta(days=1)
EVENTS = (Event(register=1, kind=0xD, digest=hashlib.sha384(b"boot").digest(), data=b"boot"),)
LOG = render_event_log(EVENTS)


@pytest.fixture(scope="module")
def guests(now: dt.datetime) -> SimulatedTdxVendor:
    return SimulatedTdxVendor(now)


@pytest.fixture(scope="module")
def gpu(now: dt.datetime) -> SimulatedGpuVendor:
    return SimulatedGpuVendor(now)


def content(media_type: str, data: bytes) -> Content:
    return Content(
        media_type=media_type, content=_codec.encode_base64(data), digest=Digest(sha256=_codec.sha256_hex(data))
    )


def report_data(devices: Sequence[bytes] = (), nonce: bytes = NONCE) -> bytes:
    digests = [_codec.sha256_hex(device) for device in devices]
    return binding.report_data(nonce, device_evidence=digests, statements=COVERS)


def stated(evidence: Evidence, devices: Sequence[bytes] = (), nonce: bytes = NONCE, **more: Any) -> TeeEvidence:
    """The predicate of evidence whose quote is over `report_data`."""
    return TeeEvidence(
        nonce=_codec.encode_base64(nonce),
        quote=content(evidence.media_type, evidence.quote),
        device_evidence=tuple(content(NVIDIA_REPORT_MEDIA_TYPE, device) for device in devices),
        collateral=content(COLLATERAL_MEDIA_TYPE, evidence.collateral) if evidence.collateral else None,
        **more,
    )


def guest(vendor: SimulatedTdxVendor, devices: Sequence[bytes] = (), **more: Any) -> TeeEvidence:
    domain = dataclasses.replace(TRUST_DOMAIN, rtmrs=replay(EVENTS))
    return stated(vendor.evidence(report_data(devices), domain=domain), devices, **more)


def verified(predicate: TeeEvidence, at: dt.datetime, **trust: Any) -> VerifiedEvidence:
    surroundings = EvidenceTrust(**{"at": at, "now": at, **trust})
    return verify_evidence(predicate, statement="33" * 32, covers=COVERS, trust=surroundings)


def refused(predicate: TeeEvidence, at: dt.datetime, **trust: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        verified(predicate, at, **trust)
    return caught.value


# --- devices ----------------------------------------------------------------------------------------------------------


def test_a_device_that_answers_beside_a_guest(
    guests: SimulatedTdxVendor, gpu: SimulatedGpuVendor, now: dt.datetime
) -> None:
    report = gpu.report(ASKED)
    found = verified(guest(guests, [report]), now)
    assert (found.statement, found.covers) == ("33" * 32, COVERS)
    assert found.claims.report_data == report_data([report])
    (device,) = found.claims.devices
    assert (device.kind, device.simulated, device.root) == ("nvidia-gpu", True, gpu.root.sha256)
    assert device.golden_values == "not compared"
    assert verified(guest(guests), now).claims.devices == ()


def test_manifests_that_the_verifier_holds_are_compared(
    guests: SimulatedTdxVendor, gpu: SimulatedGpuVendor, now: dt.datetime
) -> None:
    manifests = (gpu.manifest("driver"), gpu.manifest("vbios"))
    (device,) = verified(guest(guests, [gpu.report(ASKED)]), now, manifests=manifests).claims.devices
    assert device.golden_values == "matched"


def test_devices_stay_in_their_order_and_answer_once(
    guests: SimulatedTdxVendor, gpu: SimulatedGpuVendor, now: dt.datetime
) -> None:
    other = SimulatedGpuVendor(now, gpu=Gpu())
    reports = [gpu.report(ASKED), other.report(ASKED)]
    found = verified(guest(guests, reports), now).claims.devices
    assert [device.root for device in found] == [gpu.root.sha256, other.root.sha256]
    twice = refused(guest(guests, [gpu.report(ASKED), gpu.report(ASKED)]), now)
    assert twice.reason == "evidence-device-twice"
    assert f"got {found[0].device_id} twice" in str(twice)


def test_a_device_answers_for_this_run_and_as_of_its_time(
    guests: SimulatedTdxVendor, gpu: SimulatedGpuVendor, now: dt.datetime
) -> None:
    for report in (gpu.report(NONCE), gpu.report(binding.device_nonce(NONCE, statements=COVERS[:1]))):
        assert isinstance(refused(guest(guests, [report]), now), VerificationError)
    expired = SimulatedGpuVendor(now, windows={"report": (now - 2 * DAY, now - DAY)})
    assert refused(guest(guests, [expired.report(ASKED)]), now).reason == "evidence-certificate-window"


def test_an_enclave_vouches_for_no_device(vendor: SimulatedVendor, gpu: SimulatedGpuVendor, now: dt.datetime) -> None:
    devices = [gpu.report(ASKED)]
    error = refused(stated(vendor.evidence(report_data(devices)), devices), now)
    assert error.reason == "evidence-device"
    assert "no device evidence with sgx" in str(error)


@pytest.mark.parametrize(("number", "reason"), [(64, "evidence-digest"), (65, "evidence-binding-count")])
def test_number_of_devices(guests: SimulatedTdxVendor, now: dt.datetime, number: int, reason: str) -> None:
    forged = Content(media_type=NVIDIA_REPORT_MEDIA_TYPE, content="AAAA", digest=Digest(sha256="00" * 32))
    predicate = stated(guests.evidence(report_data()))
    assert refused(msgspec.structs.replace(predicate, device_evidence=(forged,) * number), now).reason == reason


# --- event logs -------------------------------------------------------------------------------------------------------


def test_an_event_log_that_replays(guests: SimulatedTdxVendor, now: dt.datetime) -> None:
    assert verified(guest(guests, event_log=content(CCEL_MEDIA_TYPE, LOG)), now).claims.tee == "tdx"


def test_an_event_log_that_does_not(guests: SimulatedTdxVendor, now: dt.datetime) -> None:
    other = content(CCEL_MEDIA_TYPE, render_event_log(EVENTS * 2))
    assert refused(guest(guests, event_log=other), now).reason == "evidence-event-log"


def test_an_event_log_of_another_type(guests: SimulatedTdxVendor, now: dt.datetime) -> None:
    error = refused(guest(guests, event_log=content(COLLATERAL_MEDIA_TYPE, LOG)), now)
    assert (error.reason, "in event log" in str(error)) == ("evidence-media-type", True)


def test_an_event_log_of_an_enclave(vendor: SimulatedVendor, now: dt.datetime) -> None:
    predicate = stated(vendor.evidence(report_data()), event_log=content(CCEL_MEDIA_TYPE, LOG))
    error = refused(predicate, now)
    assert (error.reason, "got one with sgx" in str(error)) == ("evidence-event-log", True)


# --- endorsements -----------------------------------------------------------------------------------------------------


def test_a_document_carries_its_endorsements(tmp_path: Path, vendor: SimulatedVendor, now: dt.datetime) -> None:
    attester = attester_for("simulated-nitro", simulated_platform=tmp_path / "platform", now=now)
    evidence = attester.quote(report_data())
    found = verified(stated(evidence), now, held=(vendor.collateral(),))
    assert (found.claims.tee, found.standing, found.standing_message) == ("nitro", Standing(revoked=False), "")
    error = refused(stated(dataclasses.replace(evidence, collateral=vendor.collateral())), now)
    assert (error.reason, "no collateral with nitro" in str(error)) == ("evidence-media-type", True)


def test_none_at_all(vendor: SimulatedVendor, now: dt.datetime) -> None:
    bare = dataclasses.replace(vendor.evidence(report_data()), collateral=None)
    assert refused(stated(bare), now).reason == "evidence-collateral-missing"
    found = verified(stated(bare), now, held=(vendor.collateral(evaluation_data_number=3),))
    assert found.claims.tcb_evaluation_data_number == 3
    assert found.standing == Standing(revoked=False, tcb_evaluation_data_number=3)


def test_held_ones_of_another_time_or_platform_are_passed_over(vendor: SimulatedVendor, now: dt.datetime) -> None:
    old = vendor.collateral(window=(now - 9 * DAY, now - 8 * DAY), evaluation_data_number=2)
    foreign = SimulatedVendor(now).collateral(evaluation_data_number=3)
    evidence = stated(vendor.evidence(report_data(), evaluation_data_number=17))
    found = verified(evidence, now, held=(foreign, old))
    assert found.claims.tcb_evaluation_data_number == 17
    assert found.standing is None
    assert "valid at" in found.standing_message
    found = verified(evidence, now, held=(foreign,))
    assert found.standing == Standing(revoked=False, tcb_evaluation_data_number=17)


def test_one_of_another_time_is_what_is_said_where_none_travels(vendor: SimulatedVendor, now: dt.datetime) -> None:
    bare = dataclasses.replace(vendor.evidence(report_data()), collateral=None)
    old = vendor.collateral(window=(now - 9 * DAY, now - 8 * DAY))
    assert refused(stated(bare), now, held=(old,)).reason == "evidence-collateral-window"


def test_a_chain_that_travels_in_the_endorsements(tmp_path: Path, now: dt.datetime) -> None:
    evidence = attester_for("simulated-snp", simulated_platform=tmp_path / "platform", now=now).quote(report_data())
    assert evidence.collateral is not None
    predicate = stated(dataclasses.replace(evidence, collateral=None))
    for part, trust in (
        ({"collateral": content(SNP_COLLATERAL_MEDIA_TYPE, evidence.collateral)}, {}),
        ({}, {"held": (evidence.collateral,)}),
    ):
        found = verified(msgspec.structs.replace(predicate, **part), now, **trust)
        assert (found.claims.tee, found.standing) == ("snp", Standing(revoked=False))


def test_a_nonce_that_is_too_long(vendor: SimulatedVendor, now: dt.datetime) -> None:
    predicate = stated(vendor.evidence(report_data()))
    long = msgspec.structs.replace(predicate, nonce=_codec.encode_base64(bytes(65)))
    assert refused(long, now).reason == "base64-size"


def test_held_ones_that_refuse_are_not_passed_over(vendor: SimulatedVendor, now: dt.datetime) -> None:
    evidence = stated(vendor.evidence(report_data()))
    assert refused(evidence, now, held=(vendor.collateral(revoked=["pck"]),)).reason == "evidence-revoked"
    assert refused(evidence, now, held=(vendor.collateral(tcb_status="Revoked"),)).reason == "evidence-revoked"


def test_a_revocation_that_came_with_another_platform_counts(vendor: SimulatedVendor, now: dt.datetime) -> None:
    """Held endorsements are of another family, so they are not about this platform, and their lists still are."""
    evidence = stated(vendor.evidence(report_data()))
    other = {"fmspc": "000000000000"}
    found = verified(evidence, now, held=(vendor.collateral(tcb_info=other),))
    assert found.standing == Standing(revoked=False, tcb_evaluation_data_number=17)
    for role in ("pck", "pck-ca", "tcb-signing"):
        found = verified(evidence, now, held=(vendor.collateral(tcb_info=other, revoked=[role]),))
        assert found.standing == Standing(revoked=True, tcb_evaluation_data_number=17)
    late = now + 60 * DAY
    found = verified(evidence, now, now=late, held=(vendor.collateral(tcb_info=other, revoked=["pck"]),))
    assert found.standing == Standing(revoked=True)
    early = (now + DAY, now + 9 * DAY)
    found = verified(evidence, now, held=(vendor.collateral(tcb_info=other, revoked=["pck"], window=early),))
    assert found.standing == Standing(revoked=False, tcb_evaluation_data_number=17)


def test_a_level_that_is_revoked_in_any_of_them_is_enough(vendor: SimulatedVendor, now: dt.datetime) -> None:
    newest = vendor.collateral(evaluation_data_number=19)
    older = vendor.collateral(evaluation_data_number=18, tcb_status="Revoked")
    standing = verified(stated(vendor.evidence(report_data())), now, held=(newest, older)).standing
    assert standing == Standing(revoked=True, tcb_evaluation_data_number=19)


def test_of_several_the_newest_speak(vendor: SimulatedVendor, now: dt.datetime) -> None:
    first = vendor.collateral(evaluation_data_number=0, advisories=("INTEL-SA-0",))
    second = vendor.collateral(evaluation_data_number=1, advisories=("INTEL-SA-1",))
    for held in ((first, second), (second, first)):
        standing = verified(stated(vendor.evidence(report_data())), now, held=held).standing
        assert standing == Standing(revoked=False, advisories=("INTEL-SA-1",), tcb_evaluation_data_number=1)


@pytest.mark.parametrize("part", ["quote", "collateral", "device_evidence"])
def test_a_part_with_another_digest_is_named(
    guests: SimulatedTdxVendor, gpu: SimulatedGpuVendor, now: dt.datetime, part: str
) -> None:
    fields = {name: getattr(guest(guests, [gpu.report(ASKED)]), name) for name in ("nonce", "quote", "collateral")}
    fields["device_evidence"] = (content(NVIDIA_REPORT_MEDIA_TYPE, gpu.report(ASKED)),)
    sound = fields[part][0] if part == "device_evidence" else fields[part]
    other = Content(media_type=sound.media_type, content=sound.content, digest=Digest(sha256="00" * 32))
    error = refused(TeeEvidence(**{**fields, part: (other,) if part == "device_evidence" else other}), now)
    assert (error.reason, part.replace("_", " ") in str(error)) == ("evidence-digest", True)


# --- beacons ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A source of beacons that takes every one of the type of checkpoints."""

    moment: dt.datetime

    def time(self, beacon: Beacon) -> dt.datetime:
        if beacon.media_type != BEACON_CHECKPOINT_MEDIA_TYPE:
            raise FormatError("expected a checkpoint, got another beacon", reason="beacon-source")
        return self.moment


def with_beacon(vendor: SimulatedVendor, beacon: bytes, media_type: str = BEACON_CHECKPOINT_MEDIA_TYPE) -> TeeEvidence:
    nonce = hashlib.sha256(beacon).digest()
    evidence = vendor.evidence(report_data(nonce=nonce))
    return stated(evidence, nonce=nonce, freshness=content(media_type, beacon))


def test_a_beacon_of_any_source_that_takes_it(vendor: SimulatedVendor, now: dt.datetime) -> None:
    predicate = with_beacon(vendor, b"a checkpoint")
    assert verified(predicate, now, beacons=(Source(now - DAY),)).freshness == Freshness(not_before=now - DAY)
    found = verified(predicate, now).freshness
    assert (found.not_before, found.message) == (None, "the policy names no source of beacons")
    other = with_beacon(vendor, b"a checkpoint", "text/plain")
    found = verified(other, now, beacons=(Source(now),)).freshness
    assert (found.not_before, found.message) == (None, "expected a checkpoint, got another beacon")


@pytest.mark.parametrize("size", [MAX_BEACON_BYTES, MAX_BEACON_BYTES + 1])
def test_size_of_a_beacon(vendor: SimulatedVendor, now: dt.datetime, size: int) -> None:
    predicate = with_beacon(vendor, bytes(size))
    if size > MAX_BEACON_BYTES:
        assert refused(predicate, now).reason == "beacon-size"
    else:
        assert verified(predicate, now, beacons=(Source(now),)).freshness.not_before == now


def test_a_beacon_that_the_nonce_is_not_made_of(vendor: SimulatedVendor, now: dt.datetime) -> None:
    predicate = stated(vendor.evidence(report_data()), freshness=content(BEACON_CHECKPOINT_MEDIA_TYPE, b"another"))
    assert refused(predicate, now).reason == "evidence-freshness"


def test_a_nonce_by_chance(vendor: SimulatedVendor, now: dt.datetime) -> None:
    found = verified(stated(vendor.evidence(report_data())), now).freshness
    assert (found.not_before, found.message) == (None, "the nonce is no beacon")

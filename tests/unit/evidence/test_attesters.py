"""Attesters of hardware against devices in memory that sign whole quotes: what comes out verifies."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
import threading
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence.devices import WithDevices
from lamslsa.evidence.interface import Attester, DeviceEvidence, Evidence
from lamslsa.evidence.sgx.attester import SgxAttester
from lamslsa.evidence.sgx.parse import MAX_QUOTE_BYTES
from lamslsa.evidence.sgx.verify import SgxVerifier
from lamslsa.evidence.tdx.attester import EVENT_LOG, TdxAttester
from lamslsa.evidence.tdx.ccel import MAX_LOG_BYTES, replay, verify_event_log
from lamslsa.evidence.tdx.ccel import parse as parse_log
from lamslsa.evidence.tdx.verify import TdxVerifier
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.devices import BrokenProtocolError, FakeLinux, FileDevice, GramineDevice
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor
from lamslsa.testing.tsm import TsmDevice

DATA = bytes(range(64))


@pytest.fixture(scope="module")
def tdx(now: dt.datetime) -> SimulatedTdxVendor:
    return SimulatedTdxVendor(now)


def _refused(attester: Attester) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        attester.quote(DATA)
    assert caught.value.hint
    return caught.value


class TestSgx:
    @pytest.mark.parametrize("chunk", [1000, 1 << 20])
    def test_the_quote_verifies(self, vendor: SimulatedVendor, chunk: int) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote), chunk=chunk)
        attester = SgxAttester(kernel)
        evidence = attester.quote(DATA)
        assert (attester.tee, attester.device_evidence(bytes(32))) == ("sgx", ())
        assert (evidence.media_type, evidence.collateral) == (SGX_QUOTE_MEDIA_TYPE, None)
        claims = SgxVerifier().verify(
            evidence.quote, collateral=vendor.collateral(), roots=[vendor.root], at=vendor.now
        )
        assert claims.report_data == DATA
        kernel.settled()

    def test_again_and_again(self, vendor: SimulatedVendor) -> None:
        attester = SgxAttester(FakeLinux(GramineDevice(quote=vendor.quote)))
        for number in range(3):
            data = bytes([number]) * 64
            assert SgxVerifier().presented_report_data(attester.quote(data).quote) == data

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_report_data_of_another_size(self, vendor: SimulatedVendor, size: int) -> None:
        with pytest.raises(ValueError, match="expected 64 bytes"):
            SgxAttester(FakeLinux(GramineDevice(quote=vendor.quote))).quote(bytes(size))

    @pytest.mark.parametrize("kind", [b"none", b"epid", b"dcap\n", b"", b"d" * 64])
    def test_an_enclave_that_does_not_attest_with_dcap(self, vendor: SimulatedVendor, kind: bytes) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote, attestation_type=kind))
        assert _refused(SgxAttester(kernel)).reason == "tee-attestation-type"
        kernel.settled()

    def test_a_type_without_end(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote, attestation_type=b"d" * 65))
        assert _refused(SgxAttester(kernel)).reason == "tee-answer"

    def test_gramine_without_sgx_and_no_gramine(self, vendor: SimulatedVendor) -> None:
        for kernel in (FakeLinux(GramineDevice(quote=vendor.quote, attestation_type=None)), FakeLinux()):
            error = _refused(SgxAttester(kernel))
            assert error.reason == "tee-missing"
            assert "gramine-sgx" in (error.hint or "")

    def test_no_quoting_enclave_on_the_host(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote, quoting_enclave=False))
        assert _refused(SgxAttester(kernel)).reason == "tee-denied"

    def test_another_thread_writes_in_between(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote, meanwhile=lambda data: data[:-1] + b"\0"))
        assert _refused(SgxAttester(kernel)).reason == "evidence-race"
        kernel.settled()

    def test_report_data_taken_in_part_are_not_quoted(self, vendor: SimulatedVendor) -> None:
        """Gramine would pad them with zeros."""
        kernel = FakeLinux(GramineDevice(quote=vendor.quote), short_writes=1)
        assert _refused(SgxAttester(kernel)).reason == "tee-failed"

    @pytest.mark.parametrize("answer", [b"", b"x", bytes(MAX_QUOTE_BYTES), bytes(MAX_QUOTE_BYTES + 1)])
    def test_an_answer_that_is_no_quote(self, answer: bytes) -> None:
        kernel = FakeLinux(GramineDevice(quote=lambda data: answer))
        assert _refused(SgxAttester(kernel)).reason == "tee-answer"
        kernel.settled()

    def test_one_thread_at_a_time(self, vendor: SimulatedVendor) -> None:
        """The second thread waits until the first has its quote."""
        inside, go_on = threading.Event(), threading.Event()
        overlaps: list[bool] = []

        def slow(data: bytes) -> bytes:
            overlaps.append(inside.is_set())
            inside.set()
            go_on.wait(10)
            inside.clear()
            return vendor.quote(data)

        first, second = FakeLinux(GramineDevice(quote=slow)), FakeLinux(GramineDevice(quote=slow))
        threads = [threading.Thread(target=SgxAttester(kernel).quote, args=(DATA,)) for kernel in (first, second)]
        for thread in threads:
            thread.start()
        assert inside.wait(10)
        threads[0].join(0.05)  # long enough for the other to come in, were there no lock
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert overlaps == [False, False]

    def test_the_double_refuses_a_quote_that_is_read_first(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote))
        with pytest.raises(BrokenProtocolError, match="before report data were written"):
            kernel.open("/dev/attestation/quote", "r")

    def test_the_double_refuses_a_second_write_without_reopening(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote))
        descriptor = kernel.open("/dev/attestation/user_report_data", "w")
        kernel.write(descriptor, DATA)
        with pytest.raises(BrokenProtocolError, match="written twice without closing"):
            kernel.write(descriptor, DATA)

    def test_the_double_refuses_a_quote_while_report_data_are_open(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote))
        kernel.write(kernel.open("/dev/attestation/user_report_data", "w"), DATA)
        with pytest.raises(BrokenProtocolError, match="before the file of the report data was closed"):
            kernel.open("/dev/attestation/quote", "r")

    def test_the_double_refuses_a_stale_quote(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote))
        SgxAttester(kernel).quote(DATA)
        with pytest.raises(BrokenProtocolError, match="before report data were written"):
            kernel.open("/dev/attestation/quote", "r")

    def test_the_double_refuses_more_than_gramine_keeps(self, vendor: SimulatedVendor) -> None:
        kernel = FakeLinux(GramineDevice(quote=vendor.quote))
        with pytest.raises(BrokenProtocolError, match="65 bytes"):
            kernel.write(kernel.open("/dev/attestation/user_report_data", "w"), DATA + b"\0")


def _event_log(*events: tuple[int, int, bytes]) -> bytes:
    """A log of events: register, type, data; with SHA-384 alone."""
    log = struct.pack("<II20sI", 0, 3, b"", 33) + struct.pack(
        "<16sI4BIHHB", b"Spec ID Event03", 0, 0, 2, 0, 2, 1, 12, 48, 0
    )
    for register, kind, data in events:
        log += struct.pack("<IIIH48sI", register, kind, 1, 12, hashlib.sha384(data).digest(), len(data)) + data
    return log


EVENTS = [(1, 1, b"firmware volume"), (2, 4, b"separator"), (2, 3, b"no action"), (3, 0x80000008, b"kernel")]
LOG = _event_log(*EVENTS) + b"\xff" * 100
DOMAIN = replace(TRUST_DOMAIN, rtmrs=replay(parse_log(LOG)))


class TestTdx:
    def _kernel(self, vendor: SimulatedTdxVendor, log: bytes | None = None, **changes: Any) -> FakeLinux:
        usual: dict[str, Any] = {"quote": partial(vendor.quote, domain=DOMAIN), "provider": "tdx_guest"}
        return FakeLinux(TsmDevice(**usual | changes), FileDevice({} if log is None else {EVENT_LOG: log}), chunk=999)

    @pytest.mark.parametrize("version", [4, 5])
    def test_the_quote_verifies(self, tdx: SimulatedTdxVendor, version: Literal[4, 5]) -> None:
        kernel = self._kernel(tdx, quote=partial(tdx.quote, domain=DOMAIN, version=version))
        attester = TdxAttester(kernel)
        evidence = attester.quote(DATA)
        assert (attester.tee, attester.device_evidence(bytes(32))) == ("tdx", ())
        assert (evidence.media_type, evidence.collateral, evidence.event_log) == (TDX_QUOTE_MEDIA_TYPE, None, None)
        claims = TdxVerifier().verify(evidence.quote, collateral=tdx.collateral(), roots=[tdx.root], at=tdx.now)
        assert claims.report_data == DATA
        kernel.settled()

    def test_the_event_log_goes_with_the_quote_it_explains(self, tdx: SimulatedTdxVendor) -> None:
        kernel = self._kernel(tdx, LOG)
        evidence = TdxAttester(kernel).quote(DATA)
        assert evidence.event_log == LOG
        claims = TdxVerifier().verify(evidence.quote, collateral=tdx.collateral(), roots=[tdx.root], at=tdx.now)
        assert len(verify_event_log(LOG, claims)) == len(EVENTS)
        kernel.settled()

    @pytest.mark.parametrize(
        "log",
        [
            _event_log(*EVENTS[:-1]),
            _event_log(*EVENTS, (4, 1, b"one more")),
            _event_log(*reversed(EVENTS), (1, 1, b"")),
            LOG[:-120],
            b"",
            b"\xff" * 64,
            LOG + bytes(MAX_LOG_BYTES),
        ],
        ids=["lacks an event", "has one more", "other order", "cut", "empty", "filler", "too large"],
    )
    def test_another_log_stays_behind(self, tdx: SimulatedTdxVendor, log: bytes) -> None:
        kernel = self._kernel(tdx, log)
        assert TdxAttester(kernel).quote(DATA).event_log is None
        kernel.settled()

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_report_data_of_another_size(self, tdx: SimulatedTdxVendor, size: int) -> None:
        with pytest.raises(ValueError, match="expected 64 bytes"):
            TdxAttester(self._kernel(tdx)).quote(bytes(size))

    def test_another_guest_and_none(self, tdx: SimulatedTdxVendor) -> None:
        assert _refused(TdxAttester(self._kernel(tdx, provider="sev_guest"))).reason == "tee-provider"
        assert _refused(TdxAttester(FakeLinux())).reason == "tee-missing"

    def test_a_quote_over_other_report_data(self, tdx: SimulatedTdxVendor) -> None:
        kernel = self._kernel(tdx, quote=lambda data: tdx.quote(data[::-1]))
        assert _refused(TdxAttester(kernel)).reason == "evidence-race"

    @pytest.mark.parametrize("answer", [b"", b"x", bytes(5000)])
    def test_an_answer_that_is_no_quote(self, tdx: SimulatedTdxVendor, answer: bytes) -> None:
        assert _refused(TdxAttester(self._kernel(tdx, quote=lambda data: answer))).reason == "tee-answer"


class _Guest:
    def __init__(self, tee: str, own: tuple[DeviceEvidence, ...] = ()) -> None:
        self.tee = tee
        self._own = own

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        return self._own

    def quote(self, report_data: bytes) -> Evidence:
        return Evidence(media_type=self.tee, quote=report_data, collateral=None)


class TestDevices:
    @pytest.mark.parametrize("tee", ["tdx", "snp", "simulated-tdx", "simulated-snp"])
    def test_a_guest_has_its_devices_answer(self, tee: str) -> None:
        own = DeviceEvidence(media_type="own", data=b"")
        attester: Attester = WithDevices(
            _Guest(tee, (own,)), lambda nonce: (DeviceEvidence(media_type="gpu", data=nonce),)
        )
        assert attester.tee == tee
        assert attester.device_evidence(b"n" * 32) == (own, DeviceEvidence(media_type="gpu", data=b"n" * 32))
        assert attester.quote(DATA).quote == DATA

    @pytest.mark.parametrize("tee", ["sgx", "nitro", "simulated", "simulated-sgx", "simulated-nitro", "tdx2", ""])
    def test_an_enclave_gets_no_devices(self, tee: str) -> None:
        with pytest.raises(UnavailableError) as caught:
            WithDevices(_Guest(tee), lambda nonce: (DeviceEvidence(media_type="gpu", data=nonce),))
        assert caught.value.reason == "gpu-needs-guest"
        assert caught.value.hint

    def test_no_device_answers(self) -> None:
        with pytest.raises(UnavailableError) as caught:
            WithDevices(_Guest("tdx"), lambda nonce: ()).device_evidence(bytes(32))
        assert caught.value.reason == "gpu-missing"

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_a_nonce_of_another_size(self, size: int) -> None:
        def collect(nonce: bytes) -> Any:
            raise AssertionError("not asked")

        with pytest.raises(ValueError, match="expected a nonce of 32 bytes"):
            WithDevices(_Guest("tdx"), collect).device_evidence(bytes(size))

"""Attesters of hardware against devices in memory that sign whole quotes: what comes out verifies."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import struct
import threading
import uuid
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import cbor2
import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence.interface import Attester
from lamslsa.evidence.nitro.attester import NSM_EXCHANGE, NitroAttester, exchange
from lamslsa.evidence.nitro.verify import NitroVerifier
from lamslsa.evidence.sgx.attester import SgxAttester
from lamslsa.evidence.sgx.parse import MAX_QUOTE_BYTES
from lamslsa.evidence.sgx.verify import SgxVerifier
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpRole
from lamslsa.evidence.snp.attester import SnpAttester
from lamslsa.evidence.snp.verify import SnpVerifier
from lamslsa.evidence.tdx.attester import EVENT_LOG, TdxAttester
from lamslsa.evidence.tdx.ccel import MAX_LOG_BYTES, replay, verify_event_log
from lamslsa.evidence.tdx.ccel import parse as parse_log
from lamslsa.evidence.tdx.verify import TdxVerifier
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)
from lamslsa.testing.devices import BrokenProtocolError, FakeLinux, FileDevice, GramineDevice, NsmDevice, failure
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_nitro import SimulatedNitroVendor
from lamslsa.testing.simulated_snp import SimulatedSnpVendor
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor
from lamslsa.testing.tsm import TsmDevice

DATA = bytes(range(64))


@pytest.fixture(scope="module")
def tdx(now: dt.datetime) -> SimulatedTdxVendor:
    return SimulatedTdxVendor(now)


@pytest.fixture(scope="module")
def snp(now: dt.datetime) -> SimulatedSnpVendor:
    return SimulatedSnpVendor(now)


@pytest.fixture(scope="module")
def nitro(now: dt.datetime) -> SimulatedNitroVendor:
    return SimulatedNitroVendor(now)


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


TABLE = {
    "vcek": "63da758d-e664-4564-adc5-f4b93be8accd",
    "vlek": "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
    "issuer": "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "root": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "of the host": "01020304-0506-0708-090a-0b0c0d0e0f10",
}


def _table(**certificates: bytes) -> bytes:
    """A certificate table; GHCB, table 5."""
    entries, blobs = b"", b""
    start = 24 * (len(certificates) + 1)
    for name, der in certificates.items():
        entries += uuid.UUID(TABLE[name]).bytes + struct.pack("<II", start + len(blobs), len(der))
        blobs += der
    return entries + bytes(24) + blobs


class TestSnp:
    def _kernel(self, vendor: SimulatedSnpVendor, **changes: Any) -> FakeLinux:
        usual: dict[str, Any] = {"quote": vendor.report, "provider": "sev_guest", "auxiliary": b"", "floor": 0}
        return FakeLinux(TsmDevice(**usual | changes), chunk=999)

    @pytest.mark.parametrize("version", [2, 3, 5])
    def test_the_report_verifies(self, snp: SimulatedSnpVendor, version: int) -> None:
        kernel = self._kernel(snp, quote=partial(snp.report, version=version))
        attester = SnpAttester(kernel)
        evidence = attester.quote(DATA)
        assert (attester.tee, attester.device_evidence(bytes(32))) == ("snp", ())
        assert (evidence.media_type, evidence.collateral, evidence.event_log) == (SNP_REPORT_MEDIA_TYPE, None, None)
        claims = SnpVerifier().verify(evidence.quote, collateral=snp.collateral(), roots=[snp.root], at=snp.now)
        assert claims.report_data == DATA
        kernel.settled()

    def test_with_the_chain_that_the_host_hands_over(self, snp: SimulatedSnpVendor) -> None:
        chain = {"vcek": snp.der("leaf"), "issuer": snp.der("issuer"), "root": snp.der("root")}
        evidence = SnpAttester(self._kernel(snp, auxiliary=_table(**chain))).quote(DATA)
        assert evidence.collateral == snp.collateral(listed=False)
        claims = SnpVerifier().verify(evidence.quote, collateral=evidence.collateral, roots=[snp.root], at=snp.now)
        assert claims.report_data == DATA

    @pytest.mark.parametrize(
        ("given", "without"),
        [
            ({"vcek": "leaf"}, ["issuer", "root"]),
            ({"issuer": "issuer"}, ["leaf", "root"]),
            ({"root": "root"}, ["leaf", "issuer"]),
            ({"vcek": "leaf", "vlek": "root"}, ["issuer", "root"]),
            ({"vlek": "leaf", "issuer": "issuer"}, ["leaf", "root"]),
        ],
    )
    def test_with_a_part_of_the_chain(
        self, snp: SimulatedSnpVendor, given: dict[str, SnpRole], without: list[SnpRole]
    ) -> None:
        table = _table(**{name: snp.der(role) for name, role in given.items()})
        evidence = SnpAttester(self._kernel(snp, auxiliary=table)).quote(DATA)
        assert evidence.collateral == snp.collateral(listed=False, without=without)

    def test_the_leaf_is_that_of_the_key_that_signed(self, snp: SimulatedSnpVendor, now: dt.datetime) -> None:
        vlek = SimulatedSnpVendor(now, chip=SnpChip(signing_key="vlek"), keys=snp.keys)
        table = _table(vcek=snp.der("root"), vlek=vlek.der("leaf"))
        evidence = SnpAttester(self._kernel(vlek, auxiliary=table)).quote(DATA)
        assert evidence.collateral == vlek.collateral(listed=False, without=["issuer", "root"])

    @pytest.mark.parametrize("table", [b"", bytes(24), bytes(4096), _table(**{"of the host": b"its own affair"})])
    def test_without_certificates(self, snp: SimulatedSnpVendor, table: bytes) -> None:
        assert SnpAttester(self._kernel(snp, auxiliary=table)).quote(DATA).collateral is None

    @pytest.mark.parametrize("table", [b"x", bytes(23), b"\xff" * 48])
    def test_a_table_that_is_none(self, snp: SimulatedSnpVendor, table: bytes) -> None:
        assert _refused(SnpAttester(self._kernel(snp, auxiliary=table))).reason == "tee-answer"

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_report_data_of_another_size(self, snp: SimulatedSnpVendor, size: int) -> None:
        with pytest.raises(ValueError, match="expected 64 bytes"):
            SnpAttester(self._kernel(snp)).quote(bytes(size))

    def test_the_report_is_asked_for_at_the_most_privileged_level(self, snp: SimulatedSnpVendor) -> None:
        levels: list[int | None] = []
        kernel = self._kernel(snp, meanwhile=lambda name, entry: levels.append(entry.privilege_level))
        SnpAttester(kernel).quote(DATA)
        assert levels[-1] == 0

    def test_another_guest_another_level_and_none(self, snp: SimulatedSnpVendor) -> None:
        assert _refused(SnpAttester(self._kernel(snp, provider="tdx_guest"))).reason == "tee-provider"
        assert _refused(SnpAttester(self._kernel(snp, floor=2))).reason == "tee-privilege-level"
        assert _refused(SnpAttester(FakeLinux())).reason == "tee-missing"

    def test_a_report_over_other_report_data(self, snp: SimulatedSnpVendor) -> None:
        kernel = self._kernel(snp, quote=lambda data: snp.report(data[::-1]))
        assert _refused(SnpAttester(kernel)).reason == "evidence-race"

    @pytest.mark.parametrize("answer", [b"", b"x", bytes(1184)])
    def test_an_answer_that_is_no_report(self, snp: SimulatedSnpVendor, answer: bytes) -> None:
        assert _refused(SnpAttester(self._kernel(snp, quote=lambda data: answer))).reason == "tee-answer"


class TestNitro:
    def _kernel(self, vendor: SimulatedNitroVendor, **changes: Any) -> FakeLinux:
        """A security module that understands CBOR by another implementation than ours."""

        def answer(request: bytes) -> bytes:
            asked = cbor2.loads(request)
            assert set(asked) == {"Attestation"}
            assert set(asked["Attestation"]) == {"user_data", "nonce", "public_key"}
            assert (asked["Attestation"]["nonce"], asked["Attestation"]["public_key"]) == (None, None)
            return cbor2.dumps({"Attestation": {"document": vendor.document(asked["Attestation"]["user_data"])}})

        return FakeLinux(NsmDevice(**{"answer": answer} | changes))

    def test_the_document_verifies(self, nitro: SimulatedNitroVendor) -> None:
        kernel = self._kernel(nitro)
        attester = NitroAttester(kernel)
        evidence = attester.quote(DATA)
        assert (attester.tee, attester.device_evidence(bytes(32))) == ("nitro", ())
        assert (evidence.media_type, evidence.collateral) == (NITRO_DOCUMENT_MEDIA_TYPE, None)
        claims = NitroVerifier().verify(evidence.quote, collateral=None, roots=[nitro.root], at=nitro.now)
        assert claims.report_data == DATA
        kernel.settled()

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_report_data_of_another_size(self, nitro: SimulatedNitroVendor, size: int) -> None:
        with pytest.raises(ValueError, match="expected 64 bytes"):
            NitroAttester(self._kernel(nitro)).quote(bytes(size))

    @pytest.mark.parametrize("other", [None, DATA[:-1], bytes(64)])
    def test_a_document_over_other_user_data(self, nitro: SimulatedNitroVendor, other: bytes | None) -> None:
        answer = cbor2.dumps({"Attestation": {"document": nitro.document(other)}})
        error = _refused(NitroAttester(self._kernel(nitro, answer=lambda request: answer)))
        assert error.reason == "evidence-race"

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\xff",
            cbor2.dumps({"Error": "InvalidOperation"}),
            cbor2.dumps({"Error": 1}),
            cbor2.dumps("Attestation"),
            cbor2.dumps({"Attestation": {"document": "text"}}),
            cbor2.dumps({"Attestation": {"document": b"no document"}}),
            cbor2.dumps({"DescribeNSM": {}}),
            cbor2.dumps({"Attestation": {"document": b""}}) + b"\0",
        ],
    )
    def test_an_answer_that_is_no_document(self, nitro: SimulatedNitroVendor, answer: bytes) -> None:
        kernel = self._kernel(nitro, answer=lambda request: answer)
        assert _refused(NitroAttester(kernel)).reason == "tee-answer"
        kernel.settled()

    def test_the_error_of_the_module_is_said(self, nitro: SimulatedNitroVendor) -> None:
        answer = cbor2.dumps({"Error": "InternalError" + "!" * 500})
        error = _refused(NitroAttester(self._kernel(nitro, answer=lambda request: answer)))
        assert "InternalError" in str(error)
        assert len(str(error)) < 250

    @pytest.mark.parametrize("length", [0x3001, 1 << 63])
    def test_a_length_beyond_the_buffer(self, nitro: SimulatedNitroVendor, length: int) -> None:
        error = _refused(NitroAttester(self._kernel(nitro, length=length)))
        assert error.reason == "tee-answer"
        assert str(length) in str(error)

    def test_an_answer_that_fills_the_buffer(self) -> None:
        assert exchange(FakeLinux(NsmDevice(answer=lambda request: b"a" * 0x3000)), b"x") == b"a" * 0x3000

    def test_an_answer_that_is_too_long_for_the_buffer(self) -> None:
        with pytest.raises(OSError, match="File too large"):
            exchange(FakeLinux(NsmDevice(answer=lambda request: bytes(0x3001))), b"x")

    def test_the_module_gets_the_bytes_and_the_descriptor_is_closed(self) -> None:
        asked: list[bytes] = []

        def answer(request: bytes) -> bytes:
            asked.append(request)
            return b"answer"

        kernel = FakeLinux(NsmDevice(answer=answer))
        assert exchange(kernel, b"request\0with a zero") == b"answer"
        assert asked == [b"request\0with a zero"]
        kernel.settled()

    def test_a_driver_that_refuses(self, nitro: SimulatedNitroVendor) -> None:
        def answer(request: bytes) -> bytes:
            raise failure(errno.EPERM, "/dev/nsm")

        kernel = self._kernel(nitro, answer=answer)
        assert _refused(NitroAttester(kernel)).reason == "tee-denied"
        kernel.settled()

    def test_not_in_an_enclave(self) -> None:
        assert _refused(NitroAttester(FakeLinux())).reason == "tee-missing"
        assert _refused(NitroAttester(FakeLinux(FileDevice({})))).reason == "tee-missing"

    def test_the_request_is_that_of_the_kernels_header(self) -> None:
        """_IOWR(0x0A, 0, struct nsm_raw), which is four 64-bit words."""
        assert NSM_EXCHANGE == (3 << 30) | (32 << 16) | (0x0A << 8)

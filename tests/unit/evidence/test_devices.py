"""Attached devices: only a confidential guest may vouch for them, and none is not an answer."""

from __future__ import annotations

from typing import Any

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence.devices import WithDevices
from lamslsa.evidence.interface import Attester, DeviceEvidence, Evidence

DATA = bytes(range(64))


class _Guest:
    def __init__(self, tee: str, own: tuple[DeviceEvidence, ...] = ()) -> None:
        self.tee = tee
        self._own = own

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        return self._own

    def quote(self, report_data: bytes) -> Evidence:
        return Evidence(media_type=self.tee, quote=report_data, collateral=None)


@pytest.mark.parametrize("tee", ["tdx", "snp", "simulated-tdx", "simulated-snp"])
def test_a_guest_has_its_devices_answer(tee: str) -> None:
    own = DeviceEvidence(media_type="own", data=b"")
    attester: Attester = WithDevices(_Guest(tee, (own,)), lambda nonce: (DeviceEvidence(media_type="gpu", data=nonce),))
    assert attester.tee == tee
    assert attester.device_evidence(b"n" * 32) == (own, DeviceEvidence(media_type="gpu", data=b"n" * 32))
    assert attester.quote(DATA).quote == DATA


def test_the_guest_is_asked_for_its_own_over_the_same_nonce() -> None:
    class Guest(_Guest):
        def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
            return (DeviceEvidence(media_type="own", data=nonce),)

    attester = WithDevices(Guest("tdx"), lambda nonce: (DeviceEvidence(media_type="gpu", data=nonce),))
    assert [answer.data for answer in attester.device_evidence(b"n" * 32)] == [b"n" * 32] * 2


@pytest.mark.parametrize("tee", ["sgx", "nitro", "simulated", "simulated-sgx", "simulated-nitro", "tdx2", ""])
def test_an_enclave_gets_no_devices(tee: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        WithDevices(_Guest(tee), lambda nonce: (DeviceEvidence(media_type="gpu", data=nonce),))
    assert caught.value.reason == "gpu-needs-guest"
    assert caught.value.hint


def test_no_device_answers() -> None:
    with pytest.raises(UnavailableError) as caught:
        WithDevices(_Guest("tdx"), lambda nonce: ()).device_evidence(bytes(32))
    assert caught.value.reason == "gpu-missing"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_nonce_of_another_size(size: int) -> None:
    def collect(nonce: bytes) -> Any:
        raise AssertionError("not asked")

    with pytest.raises(ValueError, match="expected a nonce of 32 bytes"):
        WithDevices(_Guest("tdx"), collect).device_evidence(bytes(size))

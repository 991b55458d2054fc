"""configfs-tsm: one write, counted; whatever else writes is noticed, and nothing is left behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence._tsm import FOLDER, MAX_BLOB_BYTES, Provider, request_report
from lamslsa.testing.devices import BrokenProtocolError, FakeLinux, failure
from lamslsa.testing.tsm import TsmDevice, TsmEntry

TDX = Provider(name="tdx_guest", product="TDX")
SNP = Provider(name="sev_guest", product="SEV-SNP", privilege_level=0, has_auxiliary=True)
DATA = bytes(range(64))
ATTRIBUTES = ["inblob", "outblob", "provider", "auxblob"]


def _report(inblob: bytes) -> bytes:
    return b"report on " + inblob


def _snp(**changes: Any) -> TsmDevice:
    usual: dict[str, Any] = {"quote": _report, "provider": "sev_guest", "auxiliary": b"table", "floor": 0}
    return TsmDevice(**usual | changes)


def _tdx(**changes: Any) -> TsmDevice:
    usual: dict[str, Any] = {"quote": _report, "provider": "tdx_guest"}
    return TsmDevice(**usual | changes)


def _refused(device: TsmDevice, provider: Provider = SNP, **kernel: Any) -> UnavailableError:
    linux = FakeLinux(device, **kernel)
    with pytest.raises(UnavailableError) as caught:
        request_report(linux, DATA, provider=provider, pause=lambda seconds: None)
    linux.settled()
    return caught.value


def _until(times: int, act: Callable[[TsmEntry], None], *, at: str) -> Callable[[str, TsmEntry], None]:
    """Something else in the guest that acts the first ``times`` that a file has been used."""
    left = [times]

    def meanwhile(name: str, entry: TsmEntry) -> None:
        if name == at and left[0]:
            left[0] -= 1
            act(entry)

    return meanwhile


def _overwrite(entry: TsmEntry) -> None:
    entry.inblob = b"\xff" * 64
    entry.generation += 1


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_report_and_what_came_with_it(chunk: int) -> None:
    kernel = FakeLinux(_snp(), chunk=chunk)
    answer = request_report(kernel, DATA, provider=SNP)
    assert (answer.outblob, answer.auxiliary) == (b"report on " + DATA, b"table")
    kernel.settled()


def test_a_guest_without_levels_and_without_certificates() -> None:
    kernel = FakeLinux(_tdx())
    answer = request_report(kernel, DATA, provider=TDX)
    assert (answer.outblob, answer.auxiliary) == (b"report on " + DATA, b"")
    kernel.settled()


def test_the_level_is_chosen_and_not_left_to_the_kernel() -> None:
    levels: list[int | None] = []
    device = _snp(meanwhile=lambda name, entry: levels.append(entry.privilege_level))
    request_report(FakeLinux(device), DATA, provider=SNP)
    assert levels[-1] == 0


def test_every_report_has_an_entry_of_its_own() -> None:
    device = _tdx()
    for _ in range(3):
        request_report(FakeLinux(device), DATA, provider=TDX)
    assert len(set(device.names)) == 3
    assert all(name.startswith(f"{FOLDER}/lamslsa-") and len(name) == len(FOLDER) + 25 for name in device.names)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_race_is_run_again(attribute: str) -> None:
    device = _snp(meanwhile=_until(4, _overwrite, at=attribute))
    pauses: list[float] = []
    kernel = FakeLinux(device)
    assert request_report(kernel, DATA, provider=SNP, pause=pauses.append).outblob == b"report on " + DATA
    assert len(device.names) == 5
    assert pauses == sorted(pauses)
    assert len(pauses) == 4
    assert sum(pauses) < 1
    kernel.settled()


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_race_that_never_ends_is_refused(attribute: str) -> None:
    device = _snp(meanwhile=_until(1000, _overwrite, at=attribute))
    assert _refused(device).reason == "evidence-race"
    assert len(device.names) == 5


def test_a_generation_that_went_back_is_a_race() -> None:
    def rewind(entry: TsmEntry) -> None:
        entry.generation -= 1

    assert _refused(_snp(meanwhile=_until(1000, rewind, at="provider"))).reason == "evidence-race"


def test_a_write_that_the_kernel_dropped_is_a_race() -> None:
    """Configfs loses the error of a write that counts on closing; only the generation shows it."""

    def drop(entry: TsmEntry) -> None:
        entry.generation -= 1
        entry.inblob = b"\xee" * 64

    assert _refused(_tdx(meanwhile=_until(1000, drop, at="inblob")), TDX).reason == "evidence-race"


def test_a_busy_module_is_asked_again() -> None:
    kernel = FakeLinux(_tdx(busy=4))
    answer = request_report(kernel, DATA, provider=TDX, pause=lambda seconds: None)
    assert answer.outblob == b"report on " + DATA
    kernel.settled()


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT])
def test_a_module_that_stays_busy_is_refused(number: int) -> None:
    asked = []

    def busy(inblob: bytes) -> bytes:
        asked.append(inblob)
        raise failure(number, "outblob")

    error = _refused(_tdx(quote=busy), TDX)
    assert (error.reason, len(asked)) == ("tee-failed", 5)


def test_another_failure_is_not_tried_again() -> None:
    asked = []

    def broken(inblob: bytes) -> bytes:
        asked.append(inblob)
        raise failure(errno.EIO, "outblob")

    assert _refused(_tdx(quote=broken), TDX).reason == "tee-failed"
    assert len(asked) == 1


def test_names_that_are_taken_are_passed_over() -> None:
    device = _tdx(taken=4)
    request_report(FakeLinux(device), DATA, provider=TDX)
    assert len(device.names) == 5
    assert _refused(_tdx(taken=5), TDX).reason == "tee-failed"


@pytest.mark.parametrize("provider", ["sev_guest", "tdx_gues", "tdx_guest_2", ""])
def test_another_provider_is_refused(provider: str) -> None:
    assert _refused(_tdx(provider=provider), TDX).reason == "tee-provider"


def test_no_provider_and_no_configfs() -> None:
    assert _refused(_tdx(provider=None), TDX).reason == "tee-missing"
    with pytest.raises(UnavailableError) as caught:
        request_report(FakeLinux(), DATA, provider=TDX)
    assert caught.value.reason == "tee-missing"
    assert "TDX" in str(caught.value)
    assert caught.value.hint is not None
    assert "6.7" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_user_who_may_not_ask(number: int) -> None:
    class Denied(TsmDevice):
        def mkdir(self, path: str) -> bool:
            raise failure(number, path)

    assert _refused(Denied(quote=_report, provider="tdx_guest"), TDX).reason == "tee-denied"


def test_a_guest_below_a_paravisor_is_refused() -> None:
    assert _refused(_snp(floor=2)).reason == "tee-privilege-level"


def test_levels_that_fail_otherwise() -> None:
    assert _refused(_snp(floor=None)).reason == "tee-missing"


@pytest.mark.parametrize(
    ("device", "size"),
    [("outblob", MAX_BLOB_BYTES + 1), ("auxblob", MAX_BLOB_BYTES + 1), ("provider", 65)],
)
def test_answers_are_capped(device: str, size: int) -> None:
    changes: dict[str, Any] = {
        "outblob": {"quote": lambda inblob: bytes(size)},
        "auxblob": {"auxiliary": bytes(size)},
        "provider": {"provider": "s" * size},
    }
    assert _refused(_snp(**changes[device])).reason == "tee-answer"


def test_answers_of_the_greatest_size_are_taken() -> None:
    answer = request_report(
        FakeLinux(_snp(quote=lambda inblob: bytes(MAX_BLOB_BYTES), auxiliary=bytes(MAX_BLOB_BYTES))), DATA, provider=SNP
    )
    assert (len(answer.outblob), len(answer.auxiliary)) == (MAX_BLOB_BYTES, MAX_BLOB_BYTES)


@pytest.mark.parametrize("text", [b"", b"1", b"-1\n", b"01\n", b"one\n", b"1\n1\n", b"9" * 21 + b"\n"])
def test_a_generation_that_is_no_number(text: bytes) -> None:
    class Odd(TsmDevice):
        def _content(self, entry: TsmEntry, path: str, name: str) -> bytes:
            return text if name == "generation" else super()._content(entry, path, name)

    assert _refused(Odd(quote=_report, provider="tdx_guest"), TDX).reason == "tee-answer"


def test_a_short_write_is_a_failure() -> None:
    assert _refused(_tdx(), TDX, short_writes=1).reason == "tee-failed"


def test_what_cannot_be_removed_costs_no_report() -> None:
    class Sticky(TsmDevice):
        def rmdir(self, path: str) -> bool:
            raise failure(errno.EBUSY, path)

    device = Sticky(quote=_report, provider="tdx_guest")
    assert request_report(FakeLinux(device), DATA, provider=TDX).outblob == b"report on " + DATA


def test_report_data_of_another_size_are_refused_by_the_kernel() -> None:
    kernel = FakeLinux(_tdx())
    for data in (DATA[:-1], DATA + b"\0"):
        with pytest.raises(UnavailableError):
            request_report(kernel, data, provider=TDX)
        kernel.settled()


class TestTheDouble:
    """What the device in memory would not let pass."""

    ENTRY = f"{FOLDER}/mine"

    def _kernel(self, device: TsmDevice, *, watched: bool = True) -> FakeLinux:
        kernel = FakeLinux(device)
        kernel.mkdir(self.ENTRY)
        if watched:
            kernel.close(kernel.open(f"{self.ENTRY}/generation", "r"))
        return kernel

    def _write(self, kernel: FakeLinux, name: str, data: bytes) -> None:
        descriptor = kernel.open(f"{self.ENTRY}/{name}", "w")
        try:
            kernel.write(descriptor, data)
        finally:
            kernel.close(descriptor)

    def test_inblob_written_twice(self) -> None:
        kernel = self._kernel(_tdx())
        self._write(kernel, "inblob", DATA)
        with pytest.raises(BrokenProtocolError, match="inblob written twice"):
            self._write(kernel, "inblob", DATA)

    def test_inblob_written_twice_without_closing_it(self) -> None:
        kernel = self._kernel(_tdx())
        descriptor = kernel.open(f"{self.ENTRY}/inblob", "w")
        kernel.write(descriptor, DATA)
        with pytest.raises(BrokenProtocolError, match="without closing"):
            kernel.write(descriptor, DATA)

    def test_inblob_written_before_the_generation_is_read(self) -> None:
        with pytest.raises(BrokenProtocolError, match="before the generation"):
            self._write(self._kernel(_tdx(), watched=False), "inblob", DATA)

    def test_outblob_read_first(self) -> None:
        with pytest.raises(BrokenProtocolError, match="before inblob was written"):
            self._kernel(_tdx()).open(f"{self.ENTRY}/outblob", "r")

    def test_no_level_chosen(self) -> None:
        kernel = self._kernel(_snp())
        self._write(kernel, "inblob", DATA)
        with pytest.raises(BrokenProtocolError, match="privilege level"):
            kernel.open(f"{self.ENTRY}/outblob", "r")

    def test_an_entry_and_a_file_left_behind(self) -> None:
        kernel = self._kernel(_tdx())
        with pytest.raises(BrokenProtocolError, match="left behind"):
            kernel.settled()
        descriptor = kernel.open(f"{self.ENTRY}/generation", "r")
        with pytest.raises(BrokenProtocolError, match="left open"):
            kernel.settled()
        with pytest.raises(OSError, match="busy"):
            kernel.rmdir(self.ENTRY)
        kernel.close(descriptor)
        kernel.rmdir(self.ENTRY)
        kernel.settled()

    def test_a_new_write_makes_a_new_report(self) -> None:
        device = _snp()
        kernel = self._kernel(device)
        self._write(kernel, "privlevel", b"0")
        self._write(kernel, "inblob", DATA)
        kernel.close(kernel.open(f"{self.ENTRY}/outblob", "r"))
        device.entries[self.ENTRY].inblob = bytes(64)
        assert kernel.read(kernel.open(f"{self.ENTRY}/outblob", "r"), 1000) == b"report on " + DATA
        device.entries[self.ENTRY].generation += 1
        assert kernel.read(kernel.open(f"{self.ENTRY}/outblob", "r"), 1000) == b"report on " + bytes(64)

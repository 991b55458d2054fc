"""What is said of hardware that is missing, and what of hardware that answers wrongly."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence import Attester, _tsm, attester_for
from lamslsa.evidence._kernel import Mode
from lamslsa.evidence.detect import Kind, Machine, available
from lamslsa.evidence.nitro import attester as nitro
from lamslsa.evidence.nitro.attester import NitroAttester
from lamslsa.evidence.sgx.attester import SgxAttester
from lamslsa.evidence.snp.attester import SnpAttester
from lamslsa.evidence.tdx.attester import TdxAttester
from lamslsa.testing.devices import FakeLinux, FileDevice, GramineDevice, NsmDevice
from lamslsa.testing.tsm import TsmDevice

TSM = "sys/kernel/config/tsm/report/x"


def machine(root: Path, *names: str, writable: bool = True, gramine: str | None = None) -> Machine:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Machine(
        root=root,
        find=lambda program: f"/usr/bin/{program}" if program == gramine else None,
        writable=lambda path: writable,
        why_no_gpu=lambda: "no driver",
    )


def said(looked_at: Machine, kind: Kind) -> tuple[str, str]:
    (offer,) = (offer for offer in available(looked_at) if offer.kind == kind)
    assert not offer.usable
    return offer.why, offer.hint


# --- what is missing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "product"), [("tdx", "TDX"), ("snp", "SEV-SNP")])
def test_a_guest(tmp_path: Path, kind: Kind, product: str) -> None:
    device = {"tdx": "dev/tdx_guest", "snp": "dev/sev-guest"}[kind]
    hint = f"run inside a {product} guest whose kernel has its driver"
    assert said(machine(tmp_path), kind) == (f"no /{device}", hint)
    why, hint = said(machine(tmp_path, device, TSM, writable=False), kind)
    assert (why, hint) == (
        f"/{device}, but /sys/kernel/config/tsm/report cannot be written to",
        "run as a user who may",
    )


def test_a_host_with_sgx(tmp_path: Path) -> None:
    why, hint = said(machine(tmp_path), "sgx-host")
    assert (why, hint[:11]) == ("no /dev/sgx_enclave", "turn SGX on")
    bare = machine(tmp_path, "dev/sgx_enclave")
    assert said(bare, "sgx-host") == ("/dev/sgx_enclave, but no gramine-sgx on PATH", "install Gramine")
    assert said(machine(tmp_path, gramine="gramine-sgx"), "sgx-host") == (
        "no quoting service at /var/run/aesmd/aesm.socket",
        "install and start Intel's aesmd",
    )


def test_an_enclave_of_another_type(tmp_path: Path) -> None:
    looked_at = machine(tmp_path, "dev/attestation/quote", "dev/attestation/attestation_type")
    (tmp_path / "dev/attestation/attestation_type").write_bytes(b"dcap" + b"x" * 5000)
    why, _ = said(looked_at, "sgx")
    assert why.startswith("inside an enclave that attests with b'dcapxx")
    assert len(why) < 150


@pytest.mark.parametrize("tee", ["sgx", "tdx", "snp", "nitro"])
def test_an_attester_that_is_asked_for(tmp_path: Path, tee: Kind) -> None:
    empty = machine(tmp_path / "empty")
    with pytest.raises(UnavailableError) as caught:
        attester_for(tee, simulated_platform=tmp_path / "platform", machine=empty)
    why, hint = said(empty, tee)
    enclave = "on a host with SGX name the enclave build to measure in: --enclave DIR"
    assert caught.value.reason == "tee-missing"
    assert str(caught.value) == f"expected {tee} on this machine, got none: {why}"
    rehearse = "to rehearse without hardware, ask for it by name: --tee simulated"
    assert caught.value.hint == f"{enclave if tee == 'sgx' else hint}; {rehearse}"


@pytest.mark.parametrize(
    ("tee", "names"), [("tdx", ("dev/tdx_guest", TSM)), ("snp", ("dev/sev-guest", TSM)), ("nitro", ("dev/nsm",))]
)
def test_an_attester_that_is_there(tmp_path: Path, tee: str, names: tuple[str, ...]) -> None:
    looked_at = machine(tmp_path / "machine", *names)
    assert attester_for(tee, simulated_platform=tmp_path / "platform", machine=looked_at).tee == tee


# --- what answers wrongly ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attester", "named"),
    [
        (SgxAttester(FakeLinux()), "Gramine"),
        (TdxAttester(FakeLinux()), "TDX through configfs-tsm"),
        (SnpAttester(FakeLinux()), "SEV-SNP through configfs-tsm"),
        (NitroAttester(FakeLinux()), "the Nitro security module"),
    ],
)
def test_who_does_not_answer_is_named(attester: Attester, named: str) -> None:
    with pytest.raises(UnavailableError, match=f"expected {named} to answer") as caught:
        attester.quote(bytes(64))
    assert caught.value.reason == "tee-missing"
    assert caught.value.hint


def junk(data: bytes) -> bytes:
    del data
    return b"junk"


@pytest.mark.parametrize(
    ("attester", "named"),
    [
        (SgxAttester(FakeLinux(GramineDevice(quote=junk))), "Gramine"),
        (TdxAttester(FakeLinux(TsmDevice(quote=junk, provider="tdx_guest"))), "the quoting service"),
        (
            SnpAttester(FakeLinux(TsmDevice(quote=junk, provider="sev_guest", auxiliary=b"", floor=0))),
            "the secure processor",
        ),
        (NitroAttester(FakeLinux(NsmDevice(answer=junk))), "the Nitro security module"),
    ],
)
def test_who_answers_with_something_else_is_named(attester: Attester, named: str) -> None:
    with pytest.raises(UnavailableError, match=f"expected evidence from {named}, got: ") as caught:
        attester.quote(bytes(64))
    assert caught.value.reason == "tee-answer"
    assert caught.value.hint


def test_the_security_module_is_opened_for_both() -> None:
    class Spy(FakeLinux):
        opened: list[tuple[str, Mode]]

        def open(self, path: str, mode: Mode) -> int:
            self.opened = [*getattr(self, "opened", []), (path, mode)]
            return super().open(path, mode)

    kernel = Spy(NsmDevice(answer=lambda request: b"\xa0" + request))
    assert nitro.exchange(kernel, b"question") == b"\xa0question"
    assert kernel.opened == [("/dev/nsm", "rw")]
    kernel.settled()


@pytest.mark.parametrize("length", [0x3000, 0x3001])
def test_an_answer_of_an_impossible_length(length: int) -> None:
    kernel = FakeLinux(NsmDevice(answer=lambda request: b"\xa0", length=length))
    if length == 0x3000:
        assert nitro.exchange(kernel, b"question") == b"\xa0".ljust(length, b"\0")
        return
    with pytest.raises(FormatError) as caught:
        nitro.exchange(kernel, b"question")
    assert caught.value.reason == "nsm-answer"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (cbor2.dumps({"Error": "InternalError"}), "nsm-answer"),
        (cbor2.dumps({"DescribeNSM": {}}), "nsm-answer"),
        (cbor2.dumps({"Attestation": {"document": "text"}}), "nsm-answer"),
        (cbor2.dumps({"Attestation": {"document": b"x" * 0x3000}}), "cbor-size"),
    ],
)
def test_an_answer_without_a_document(answer: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        nitro._document(answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", [b"", b"\n", b"-1\n", b"1 2\n", b"x\n"])
def test_a_generation_that_is_no_number(text: bytes) -> None:
    kernel = FakeLinux(FileDevice({"/entry/generation": text}))
    with pytest.raises(FormatError) as caught:
        _tsm._generation(kernel, "/entry")
    assert caught.value.reason == "tsm-generation"

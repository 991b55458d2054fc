"""What a machine offers, told from a folder that stands for its file system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence.detect import AUTO, Availability, Kind, Machine, available, choose_auto
from lamslsa.evidence.nvidia.collect import why_unavailable

PROGRAMS = {"gramine-sgx": "/usr/bin/gramine-sgx", "gramine-direct": "/usr/bin/gramine-direct"}

ENCLAVE = {"dev/attestation/attestation_type": b"dcap", "dev/attestation/quote": b""}
NITRO = {"dev/nsm": b""}
TDX = {"dev/tdx_guest": b"", "sys/kernel/config/tsm/report/x": b""}
SNP = {"dev/sev-guest": b"", "sys/kernel/config/tsm/report/x": b""}
SGX_HOST = {"dev/sgx_enclave": b"", "var/run/aesmd/aesm.socket": b""}
GPU = {"dev/nvidiactl": b""}


def _machine(tmp_path: Path, *parts: dict[str, bytes], **changes: Any) -> Machine:
    for part in parts:
        for name, content in part.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    usual: dict[str, Any] = {"find": lambda name: None, "why_no_gpu": lambda: "no driver"}
    return Machine(root=tmp_path, **usual | changes)


def _offer(machine: Machine, kind: Kind) -> Availability:
    (offer,) = (offer for offer in available(machine) if offer.kind == kind)
    return offer


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("sgx", ENCLAVE), ("nitro", NITRO), ("tdx", TDX), ("snp", SNP), ("sgx-host", SGX_HOST)],
)
def test_the_hardware_that_is_there(tmp_path: Path, kind: Kind, parts: dict[str, bytes]) -> None:
    machine = _machine(tmp_path, parts, find={"gramine-sgx": "/usr/bin/gramine-sgx"}.get)
    assert [offer.kind for offer in available(machine) if offer.usable] == [kind]
    assert choose_auto(machine) == kind
    offer = _offer(machine, kind)
    assert offer.hint == ""
    assert "/dev/" in offer.why


@pytest.mark.parametrize("kind", AUTO)
def test_a_part_that_is_missing_is_named(tmp_path: Path, kind: Kind) -> None:
    parts = {"sgx": ENCLAVE, "nitro": NITRO, "tdx": TDX, "snp": SNP, "sgx-host": SGX_HOST}[kind]
    for number, missing in enumerate(parts):
        folder = tmp_path / str(number)
        folder.mkdir()
        kept = {name: content for name, content in parts.items() if name != missing}
        offer = _offer(_machine(folder, kept, find=PROGRAMS.get), kind)
        assert not offer.usable, missing
        assert offer.why
        assert offer.hint


def test_nothing_is_there(tmp_path: Path) -> None:
    machine = _machine(tmp_path)
    offers = available(machine)
    assert {offer.kind for offer in offers} == {*AUTO, "gramine-direct", "nvidia"}
    assert len(offers) == 7
    assert not any(offer.usable for offer in offers)
    assert all(offer.why and offer.hint for offer in offers)
    with pytest.raises(UnavailableError) as caught:
        choose_auto(machine)
    assert caught.value.reason == "tee-missing"
    assert "--tee simulated" in (caught.value.hint or "")


def test_the_order_is_that_of_the_documentation(tmp_path: Path) -> None:
    assert AUTO == ("sgx", "nitro", "tdx", "snp", "sgx-host")
    parts = [(ENCLAVE, "sgx"), (NITRO, "nitro"), (TDX, "tdx"), (SNP, "snp"), (SGX_HOST, "sgx-host")]
    for number in range(len(parts)):
        folder = tmp_path / str(number)
        folder.mkdir()
        machine = _machine(folder, *(part for part, _ in parts[number:]), find=PROGRAMS.get)
        assert choose_auto(machine) == parts[number][1]


def test_simulation_and_what_rests_on_it_are_never_chosen(tmp_path: Path) -> None:
    machine = _machine(tmp_path, GPU, find={"gramine-direct": "/usr/bin/gramine-direct"}.get, why_no_gpu=lambda: None)
    assert [offer.kind for offer in available(machine) if offer.usable] == ["gramine-direct", "nvidia"]
    assert "simulated" in _offer(machine, "gramine-direct").why
    with pytest.raises(UnavailableError):
        choose_auto(machine)


def test_the_environment_steers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a TEE not even PATH is looked at."""

    def find(program: str) -> str | None:
        raise AssertionError("PATH is the host's")

    machine = _machine(tmp_path, TDX, find=find)
    for name in ("SGX", "TEE", "LAMSLSA_TEE", "GRAMINE_TYPE", "SGX_AESM_ADDR", "NITRO_CLI_BLOBS"):
        monkeypatch.setenv(name, "sgx")
    assert choose_auto(machine) == "tdx"


@pytest.mark.parametrize("kind", [b"none", b"epid", b"", b"dcap" + b"x" * 100])
def test_an_enclave_that_cannot_attest(tmp_path: Path, kind: bytes) -> None:
    offer = _offer(_machine(tmp_path, ENCLAVE | {"dev/attestation/attestation_type": kind}), "sgx")
    assert not offer.usable
    assert "sgx.remote_attestation" in offer.hint
    assert len(offer.why) < 150


def test_gramine_without_sgx_is_told_from_no_gramine(tmp_path: Path) -> None:
    outside = _offer(_machine(tmp_path), "sgx")
    (tmp_path / "dev" / "attestation" / "keys").mkdir(parents=True)
    inside = _offer(_machine(tmp_path), "sgx")
    assert "not inside" in outside.why
    assert "but not on SGX" in inside.why
    assert not inside.usable


@pytest.mark.parametrize("kind", ["tdx", "snp"])
def test_a_guest_that_may_not_write(tmp_path: Path, kind: Kind) -> None:
    asked: list[Path] = []

    def writable(path: Path) -> bool:
        asked.append(path)
        return False

    machine = _machine(tmp_path, TDX, SNP, writable=writable)
    offer = _offer(machine, kind)
    assert not offer.usable
    assert "cannot be written" in offer.why
    assert set(asked) == {tmp_path / "sys/kernel/config/tsm/report"}


@pytest.mark.parametrize(("kind", "device"), [("tdx", "dev/tdx_guest"), ("snp", "dev/sev-guest")])
def test_a_guest_whose_kernel_is_too_old(tmp_path: Path, kind: Kind, device: str) -> None:
    offer = _offer(_machine(tmp_path, {device: b""}), kind)
    assert offer.why == f"/{device}, but no /sys/kernel/config/tsm/report"
    assert "6.7" in offer.hint


def test_looking_changes_nothing(tmp_path: Path) -> None:
    machine = _machine(tmp_path, ENCLAVE, NITRO, TDX, SNP, SGX_HOST, GPU, find=PROGRAMS.get, why_no_gpu=lambda: None)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    available(machine)
    choose_auto(machine)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_a_host_without_gramine_or_without_a_quoting_service(tmp_path: Path) -> None:
    assert "gramine-sgx" in _offer(_machine(tmp_path, SGX_HOST), "sgx-host").why
    (tmp_path / "var/run/aesmd/aesm.socket").unlink()
    offer = _offer(_machine(tmp_path, find=PROGRAMS.get), "sgx-host")
    assert "aesm" in offer.why
    (tmp_path / "run" / "aesmd").mkdir(parents=True)
    (tmp_path / "run" / "aesmd" / "aesm.socket").touch()
    assert _offer(_machine(tmp_path, find=PROGRAMS.get), "sgx-host").usable


def test_a_gpu_in_confidential_mode(tmp_path: Path) -> None:
    offer = _offer(_machine(tmp_path, GPU, why_no_gpu=lambda: None), "nvidia")
    assert offer.usable
    assert "tdx or snp" in offer.why


def test_a_gpu_that_cannot_attest(tmp_path: Path) -> None:
    offer = _offer(_machine(tmp_path, GPU, why_no_gpu=lambda: "expected confidential mode, got none"), "nvidia")
    assert (offer.usable, offer.why) == (False, "expected confidential mode, got none")
    assert "lamslsa[gpu]" in offer.hint


def test_no_gpu_is_not_asked(tmp_path: Path) -> None:
    def why_no_gpu() -> str | None:
        raise AssertionError("there is no device")

    assert "nvidiactl" in _offer(_machine(tmp_path, why_no_gpu=why_no_gpu), "nvidia").why


def test_the_driver_of_this_machine_can_be_asked() -> None:
    assert Machine().why_no_gpu() == why_unavailable()


def test_this_machine_can_be_asked() -> None:
    offers = available()
    assert len(offers) == 7
    assert all(offer.usable or offer.hint for offer in offers)
    assert Machine().at("/dev/nsm") == Path("/dev/nsm")
    assert Machine().writable(Path(os.devnull))
    assert not Machine().has("/dev/\0")
    assert not Machine().has("/" + "x" * 300)
    usable = [kind for kind in AUTO if any(offer.usable and offer.kind == kind for offer in offers)]
    if usable:
        assert choose_auto() == usable[0]
    else:
        with pytest.raises(UnavailableError):
            choose_auto()

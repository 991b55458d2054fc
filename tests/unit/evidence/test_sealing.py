"""Sealing keys: the same for the same code on the same machine, another for anything else; some TEEs have none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._kernel import Linux, Mode
from lamslsa.evidence.sealing import CHECKPOINTS, sealing_key


class Gramine(Linux):
    """A machine whose only key file is one of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, path: str, mode: Mode) -> int:
        assert path == "/dev/attestation/keys/_sgx_mrenclave"
        return super().open(str(self.path), mode)


def key(folder: Path, *, tee: str = "simulated", purpose: str = CHECKPOINTS, code: bytes = b"code") -> bytes:
    return sealing_key(tee, purpose=purpose, simulated_platform=folder / "p", code=lambda: code)


def test_a_simulated_platform_keeps_its_secret(tmp_path: Path) -> None:
    for name in ("p", "p-tdx", "q"):
        (tmp_path / name).mkdir()
    first = key(tmp_path)
    assert len(first) == 32
    assert key(tmp_path) == first
    others = {
        key(tmp_path, tee="simulated-tdx"),
        key(tmp_path, purpose="another"),
        key(tmp_path, code=b"changed code"),
        sealing_key("simulated", purpose=CHECKPOINTS, simulated_platform=tmp_path / "q", code=lambda: b"code"),
    }
    assert len(others - {first}) == 4
    assert stat.S_IMODE((tmp_path / "p" / "sealing.key").stat().st_mode) == 0o600
    (tmp_path / "p" / "sealing.key").write_bytes(b"short")
    with pytest.raises(FormatError) as error:
        key(tmp_path)
    assert error.value.reason == "sealing-key"


def test_an_enclave_has_the_key_of_its_measurement(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(bytes(range(16)))

    def ask() -> bytes:
        return sealing_key(
            "sgx", purpose=CHECKPOINTS, simulated_platform=tmp_path / "none", code=bytes, kernel=Gramine(file)
        )

    expected = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"", info=CHECKPOINTS.encode()).derive(bytes(range(16)))
    assert ask() == expected
    assert not (tmp_path / "none").exists()
    for wrong in (bytes(16), b"short"):
        file.write_bytes(wrong)
        with pytest.raises(FormatError) as error:
            ask()
        assert error.value.reason == "sealing-key"
    file.unlink()
    with pytest.raises(UnavailableError):
        ask()


@pytest.mark.parametrize("tee", ["tdx", "snp", "nitro"])
def test_other_tees_have_none(tmp_path: Path, tee: str) -> None:
    with pytest.raises(UnavailableError) as error:
        key(tmp_path, tee=tee)
    assert error.value.reason == "sealing-key"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as error:
        key(tmp_path)
    assert error.value.reason == "sealing-key"

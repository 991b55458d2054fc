"""The SIGSTRUCT that gramine-sgx-sign made: what it says, and no bit of it may change."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from lamslsa.errors import LamslsaError
from lamslsa.evidence.sgx.sigstruct import SIGSTRUCT_BYTES, verify


@pytest.fixture(scope="module")
def sigstruct(shared: Path) -> bytes:
    return (shared / "evidence" / "sigstruct" / "gramine.sig").read_bytes()


def test_what_it_says(sigstruct: bytes) -> None:
    found = verify(sigstruct)
    assert (found.isv_prod_id, found.isv_svn, found.debug) == (7, 3, False)
    assert found.mr_enclave.hex() == "0da5157941f766ca368c47d422e6319c958156bc5504482680232440634bb204"
    assert found.mr_signer.hex() == "d80f9e4e84db3fbe8d74a32087facfe1fcb0777aff5a45bb99d4904dc9657814"
    assert found.date == dt.date(2026, 11, 22)
    assert found.open_bits.hex() == "0000000000000000e400000000000000"


def test_its_measurement(sigstruct: bytes) -> None:
    proposal = verify(sigstruct).proposal()
    assert proposal.complete({}).parts["attributes"] == "05000000000000000300060000000000"
    quoted = "0500000000000000e700060000000000"
    assert proposal.complete({"attributes": quoted}).parts["attributes"] == quoted
    assert proposal.minimum_svns == {"isvSvn": 3}


def test_every_byte_counts(sigstruct: bytes) -> None:
    for at in range(SIGSTRUCT_BYTES):
        changed = sigstruct[:at] + bytes([sigstruct[at] ^ 0x10]) + sigstruct[at + 1 :]
        with pytest.raises(LamslsaError):
            verify(changed)

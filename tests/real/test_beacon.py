"""A timestamp and a witnessed checkpoint that exist: those of a bundle of Sigstore's staging instance.

The witnesses' keys are those that their operators publish (https://navigli.sunlight.geomys.org,
https://witness.stagemole.eu/about); that they are the right ones shows in the key ids.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import VerificationError
from lamslsa.evidence._note import COSIGNATURE, ED25519, Key
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog
from lamslsa.evidence.nonce import Beacon, Nonce

WITNESSES = {
    "witness.stagemole.eu": "4a921b7caef58ae670cdc11ef4184f1c058f7b9259a9107a969f69fa54aa496f",
    "witness.navigli.sunlight.geomys.org": "dcbf728e02d479f5a7e20dc09adf525833ed6e797526517aeb07fc6854849fc6",
}
ORIGIN = "log2025-alpha3.rekor.sigstage.dev"
TIME = dt.datetime(2026, 5, 13, 19, 23, 32, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "sigstore" / "conformance" / "rekor2-dsse-happy-path"


@pytest.fixture(scope="module")
def root(folder: Path) -> Any:
    return json.loads((folder / "trusted_root.json").read_text())


@pytest.fixture(scope="module")
def material(folder: Path) -> Any:
    return json.loads((folder / "bundle.sigstore.json").read_text())["verificationMaterial"]


def beacon_of(data: bytes) -> Beacon:
    beacon = Nonce.of_beacon(data).beacon
    assert beacon is not None
    return beacon


def test_timestamp(root: Any, material: Any) -> None:
    stamp = base64.b64decode(material["timestampVerificationData"]["rfc3161Timestamps"][0]["signedTimestamp"])
    certificates = root["timestampAuthorities"][0]["certChain"]["certificates"]
    chain = [base64.b64decode(item["rawBytes"]) for item in certificates]
    assert TimestampAuthority.load(render_chain(chain)).time(beacon_of(stamp)) == TIME
    with pytest.raises(VerificationError):
        TimestampAuthority.load(render_chain(chain)).time(beacon_of(stamp[:-1] + bytes([stamp[-1] ^ 1])))


def test_checkpoint(root: Any, material: Any) -> None:
    checkpoint = material["tlogEntries"][0]["inclusionProof"]["checkpoint"]["envelope"].encode()
    (public,) = (
        base64.b64decode(log["publicKey"]["rawBytes"])[-32:] for log in root["tlogs"] if log["baseUrl"].endswith(ORIGIN)
    )
    lines = [f"log {Key.of(ORIGIN, ED25519, public).vkey}"]
    for name, key in WITNESSES.items():
        lines.append(f"witness {name} {Key.of(name, COSIGNATURE, bytes.fromhex(key)).vkey}")
    for needed in ("all", "any"):
        text = "\n".join([*lines, f"group both {needed} {' '.join(WITNESSES)}", "quorum both", ""])
        at = WitnessedLog.load(text.encode()).time(beacon_of(checkpoint))
        assert at == dt.datetime(2026, 5, 13, 19, 23, 34, tzinfo=dt.UTC)

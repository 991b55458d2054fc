"""An artifact, and bundles as anybody could make them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Bundle = Callable[..., bytes]

FILES = {
    "README.md": b"# a model\n",
    "config.json": b"{}",
    "copy of config.json": b"{}",
    "empty.txt": b"",
    "weights/model.safetensors": bytes(range(256)) * 9000,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with files large and small, two of them alike, one empty."""
    root = tmp_path / "model"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """``bundle(number, …)``: a Sigstore bundle whose signature nobody looks at here."""

    def make(number: int = 0, *, predicate_type: str = "https://lamslsa.dev/evaluation/v1", name: str = "m") -> bytes:
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": "0" * 64}}],
            "predicateType": predicate_type,
            "predicate": {"number": number},
        }
        payload = base64.b64encode(json.dumps(statement).encode()).decode()
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {"publicKey": {"hint": base64.b64encode(bytes(32)).decode()}},
                "dsseEnvelope": {
                    "payload": payload,
                    "payloadType": "application/vnd.in-toto+json",
                    "signatures": [{"sig": "AAAA"}],
                },
            }
        ).encode()

    return make

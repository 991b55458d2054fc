"""A small model with its chain, quoted on a simulated platform in milliseconds and signed by three roles."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamslsa import _codec
from lamslsa.evidence import report_data
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.publish import publish_run
from lamslsa.sign import KeySigner, generate
from lamslsa.store import open_store
from lamslsa.testing import chain
from lamslsa.testing.simulated import SimulatedVendor

BASE = Path(__file__).parents[1] / "vectors" / "policy" / "base" / "policy.yaml"
ROLES = {"train": "data-owner", "test": "data-owner", "training": "trainer", "evaluation": "auditor"}
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class World:
    """A model, who signs, one simulated platform, and a policy of them."""

    folder: Path
    vendor: SimulatedVendor
    signers: dict[str, KeySigner]

    @classmethod
    def of(cls, folder: Path, *, now: dt.datetime = NOW) -> World:
        world = cls(
            folder=folder,
            vendor=SimulatedVendor(now),
            signers={role: KeySigner.load(generate(None), None) for role in set(ROLES.values())},
        )
        world.model.mkdir()
        (world.model / "model.json").write_text("{}")
        (world.model / "model.safetensors").write_text("weights")
        for role, signer in world.signers.items():
            (folder / f"{role}.pub").write_bytes(signer.public_pem)
        (folder / "simulated-root.pem").write_bytes(render_chain([world.vendor.root.der]))
        return world

    @property
    def model(self) -> Path:
        return self.folder / "census-mlp"

    def policy(self, *, max_age: str | None = None, beacons: str = "") -> Path:
        lines = BASE.read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("    production:"))
        text = text.replace(text.split("measurements: [")[1].split("]")[0], "").replace(
            "measurements: []", "unsafeAnyMeasurement: true"
        )
        if max_age is not None:
            text = text.replace("    samples: {min: 10000}\n", f"    maxAge: {max_age}\n")
        path = self.folder / "policy.yaml"
        path.write_text(text.replace("\ningredients:", f"{beacons}\ningredients:"))
        return path

    def publish(self, nonce: Nonce, *, low: bool = False, **collateral: Any) -> None:
        """Every statement with a quote of its own, over this nonce."""
        for name, payload in chain.census().items():
            edited = chain.edited(payload, ("predicate", "metrics"), []) if low and name == "evaluation" else payload
            digest = _codec.sha256_hex(edited)
            run = Run(
                statements=(NamedPayload(name="01-statement", payload=edited),),
                nonce=nonce,
                evidence=self.vendor.evidence(
                    report_data(nonce.value, device_evidence=[], statements=[digest]), **collateral
                ),
                quoted_at="2026-01-01T00:00:00Z",
            )
            store = open_store(str(self.model / ".attestations"))
            publish_run(run, signer=self.signers[ROLES[name]], store=store)

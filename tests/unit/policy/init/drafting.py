"""Bundles of a small chain, signed and quoted on a simulated platform, and a policy drafted from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamslsa import _codec
from lamslsa.artifact.manifest import Manifest
from lamslsa.evidence import report_data
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.policy import Appraisal, Policy, appraise, load_policy, read_file
from lamslsa.policy.init import Draft, DraftedPolicy, IdentityWanted, PlatformWanted, TrustWanted
from lamslsa.publish import publish_run
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.store import open_store
from lamslsa.testing import chain
from lamslsa.verification import verify_bundles
from tests.cli.world import World

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
MEASUREMENT = "7d7a2425d5bcf9211a8050d3fb964271889e7324fe39333a44c33dc085d21631"
NONCE = Nonce.of_challenge(bytes(32))
ROLES = {"train": "data-owner", "test": "data-owner", "training": "trainer", "evaluation": "auditor"}
PLATFORM = PlatformWanted(
    name="rehearsal", tee="sgx", simulated=True, roots=["simulated-root.pem"], measurements=[MEASUREMENT]
)


def world(folder: Path) -> World:
    """Who signs, and the simulated platform."""
    folder.mkdir()
    return World.of(folder, now=NOW)


def publish(made: World, payloads: Mapping[str, bytes], roles: Mapping[str, str] = ROLES) -> None:
    """Sign each payload by its role, each with a quote of its own."""
    store = open_store(str(made.folder / "attestations"))
    for name, payload in payloads.items():
        digest = _codec.sha256_hex(payload)
        run = Run(
            statements=(NamedPayload(name=f"{name}-statement", payload=payload),),
            nonce=NONCE,
            evidence=made.vendor.evidence(report_data(NONCE.value, device_evidence=[], statements=[digest])),
            quoted_at="2026-01-01T00:00:00Z",
        )
        publish_run(run, signer=made.signers[roles.get(name, "auditor")], store=store)


def draft(made: World, *, model: Manifest | None = None, **changes: Any) -> Draft:
    """What a policy is drafted from; changes are of its attributes."""
    values: dict[str, Any] = {
        "name": "census-mlp",
        "model": model or chain.model(),
        "model_name": "census-mlp",
        "bundles": bundles(made),
        "trust": TrustWanted(
            identities={role: IdentityWanted(key=f"{role}.pub") for role in made.signers}, platform=PLATFORM
        ),
        "expires": NOW + dt.timedelta(days=365),
        "margin": 0.01,
        "read": read_file,
        "directory": made.folder,
        "root": SigstoreRoot.embedded(),
        "at": NOW,
        "now": NOW,
    }
    return Draft(**(values | changes))


def bundles(made: World) -> tuple[Any, ...]:
    """Every bundle that was published."""
    return tuple(open_store(str(made.folder / "attestations")).bundles())


def loaded(made: World, text: str) -> Policy:
    """The policy as others would read it."""
    return load_policy(text.encode(), source="policy.yaml", directory=made.folder)


def judged(made: World, drafted: DraftedPolicy, *, model: Manifest | None = None) -> Appraisal:
    """What the drafted policy says of everything that was published by now."""
    policy = loaded(made, drafted.text)
    return appraise(
        policy,
        model=model or chain.model(),
        model_name="census-mlp",
        verification=verify_bundles(bundles(made), policy.trust_material(at=NOW, now=NOW)),
        at=NOW,
    )

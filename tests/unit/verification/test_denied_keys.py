"""Evidence that only a denied key signed is set aside; somebody else's signature brings it back."""

from __future__ import annotations

import dataclasses

import pytest

from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.verification import verify_bundles
from tests.unit.verification.test_bundles import NOW, PAYLOAD, bundle, evidence, trust


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


def test_evidence_needs_a_signature_by_a_key_that_is_not_denied(vendor: SimulatedVendor) -> None:
    auditor, thief = (KeySigner.load(generate(None), None) for _ in range(2))
    stated = evidence(vendor)
    sheet = bundle("a", PAYLOAD, auditor)
    stolen, own = bundle("b", stated, thief), bundle("c", stated, auditor)
    open_to_all = trust(auditor=auditor.verifier(), thief=thief.verifier())
    digest = thief.verifier().verify(parse_bundle(thief.sign(b"{}"))).key_sha256
    denying = dataclasses.replace(open_to_all, denied_keys=frozenset({digest}))

    assert len(verify_bundles([sheet, stolen], open_to_all).attestations[0].evidence) == 1
    outcome = verify_bundles([sheet, stolen], denying)
    assert outcome.attestations[0].evidence == ()
    assert [(aside.source, aside.reason) for aside in outcome.set_aside] == [(stolen.source, "signer-denied")]
    assert len(verify_bundles([sheet, stolen, own], denying).attestations[0].evidence) == 1

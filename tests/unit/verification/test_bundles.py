"""What verification says besides yes and no: who signed, what was set aside and why, and under which trust."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

import pytest

from lamslsa import _codec, verification
from lamslsa.errors import VerificationError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.predicates import Evaluation
from lamslsa.publish import evidence_statement
from lamslsa.sign import KeySigner, generate
from lamslsa.sign.interface import BundleVerifier, Envelope, Signature
from lamslsa.store import StoredBundle
from lamslsa.testing import chain
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.verification import TrustMaterial, verify_bundles

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
PAYLOAD = chain.census()["evaluation"]


@pytest.fixture(scope="module")
def auditor() -> KeySigner:
    return KeySigner.load(generate(None), None)


@pytest.fixture(scope="module")
def trainer() -> KeySigner:
    return KeySigner.load(generate(None), None)


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


def evidence(vendor: SimulatedVendor, nonce: bytes = bytes(32)) -> bytes:
    """Evidence about the evaluation."""
    quote = vendor.quote(binding.report_data(nonce, statements=[_codec.sha256_hex(PAYLOAD)]))
    return evidence_statement(
        Run(
            statements=(NamedPayload(name="01-evaluation", payload=PAYLOAD),),
            nonce=Nonce(value=nonce),
            evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=vendor.collateral()),
            quoted_at="2026-11-22T06:00:00Z",
        )
    )


def forged_evidence(vendor: SimulatedVendor, number: int) -> bytes:
    """Evidence whose quote is over another nonce than it states."""
    document = _codec.loads(evidence(vendor))
    document["predicate"]["nonce"] = base64.b64encode(number.to_bytes(32, "big")).decode()
    return _codec.dumps(document)


def trust(**identities: BundleVerifier) -> TrustMaterial:
    return TrustMaterial(identities=identities, at=NOW, now=NOW)


def bundle(source: str, payload: bytes, signer: KeySigner) -> StoredBundle:
    return StoredBundle(source=f"{source}.sigstore.json", data=signer.sign(payload))


def test_an_attestation_carries_its_predicate_and_its_evidence(vendor: SimulatedVendor, auditor: KeySigner) -> None:
    stated = evidence(vendor)
    under = trust(auditor=auditor.verifier())
    outcome = verify_bundles([bundle("a", PAYLOAD, auditor), bundle("b", stated, auditor)], under)
    assert outcome.trust is under
    (item,) = outcome.attestations
    assert isinstance(item.predicate, Evaluation)
    assert item.sources == ("a.sigstore.json",)
    (found,) = item.evidence
    assert found.statement == _codec.sha256_hex(stated), "evidence is named by the statement that carries it"
    assert found.covers == (_codec.sha256_hex(PAYLOAD),)


def test_evidence_that_is_refused_hides_no_other(vendor: SimulatedVendor, auditor: KeySigner) -> None:
    good = evidence(vendor)
    forged = [forged_evidence(vendor, number) for number in range(1, 4)]
    while all(_codec.sha256_hex(item) > _codec.sha256_hex(good) for item in forged):  # one of them comes first
        forged.append(forged_evidence(vendor, len(forged) + 1))
    bundles = [bundle(str(number), item, auditor) for number, item in enumerate(forged)]
    outcome = verify_bundles(
        [*bundles, bundle("good", good, auditor), bundle("a", PAYLOAD, auditor)], trust(auditor=auditor.verifier())
    )
    (item,) = outcome.attestations
    assert [found.statement for found in item.evidence] == [_codec.sha256_hex(good)]
    assert {aside.reason for aside in outcome.set_aside} == {"evidence-binding"}
    assert [aside.source for aside in outcome.set_aside] == sorted(bundle.source for bundle in bundles)


def test_evidence_is_set_aside_under_each_of_its_sources(
    vendor: SimulatedVendor, auditor: KeySigner, trainer: KeySigner
) -> None:
    forged = forged_evidence(vendor, 1)
    outcome = verify_bundles(
        [bundle("b", forged, auditor), bundle("a", forged, trainer)],
        trust(auditor=auditor.verifier(), trainer=trainer.verifier()),
    )
    assert [(aside.source, aside.reason) for aside in outcome.set_aside] == [
        ("a.sigstore.json", "evidence-binding"),
        ("b.sigstore.json", "evidence-binding"),
    ]
    assert all("expected" in aside.message for aside in outcome.set_aside)


def test_what_is_set_aside_says_what_was_expected(auditor: KeySigner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_BUNDLES", 1)
    bundles = [bundle("a", PAYLOAD, auditor), bundle("b", PAYLOAD, auditor), bundle("c", PAYLOAD, auditor)]
    outcome = verify_bundles(bundles, trust(auditor=auditor.verifier()))
    (aside,) = outcome.set_aside
    assert (aside.source, aside.reason) == ("b.sigstore.json", "bundles-too-many")
    assert aside.message.startswith("expected at most 1 bundles, got more")
    assert [item.sources for item in outcome.attestations] == [("a.sigstore.json",)]


# --- which identity's refusal is said ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refuses:
    """An identity that never signed."""

    reason: str
    message: str

    def verify(self, envelope: Envelope) -> Signature:
        del envelope
        raise VerificationError(self.message, reason=self.reason)


OTHER_KEY = Refuses("signature-key", "expected that key, got another")
OTHER_KEY_TOO = Refuses("signature-key", "expected a third key, got another")
FORGED = Refuses("signature-value", "expected an authentic signature, got another")


@pytest.mark.parametrize(
    ("identities", "said"),
    [
        ((OTHER_KEY,), OTHER_KEY),
        ((OTHER_KEY, OTHER_KEY_TOO), OTHER_KEY),
        ((OTHER_KEY, FORGED), FORGED),
        ((FORGED, OTHER_KEY), FORGED),
        ((OTHER_KEY, FORGED, OTHER_KEY_TOO), FORGED),
        ((), Refuses("signature-key", "expected an identity in the policy, got none")),
    ],
)
def test_the_refusal_that_says_most_is_kept(auditor: KeySigner, identities: tuple[Refuses, ...], said: Refuses) -> None:
    """A forged signature under a key of the policy says more than that other identities have other keys."""
    named = {str(number): identity for number, identity in enumerate(identities)}
    outcome = verify_bundles([bundle("a", PAYLOAD, auditor)], trust(**named))
    assert outcome.attestations == ()
    assert [(aside.reason, aside.message) for aside in outcome.set_aside] == [(said.reason, said.message)]

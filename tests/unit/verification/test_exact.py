"""What verification says where nobody of the policy signed, and which of several times counts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest

from lamslsa import statement, verification
from lamslsa.errors import VerificationError
from lamslsa.predicates import parse as parse_predicate
from lamslsa.sign import KeySigner, generate
from lamslsa.sign.interface import Envelope, Signature, TrustedTime, Witnessed
from lamslsa.store import StoredBundle
from lamslsa.testing import chain
from lamslsa.verification import SetAside, TrustMaterial, VerifiedSignature, verify_bundles

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
PAYLOAD = chain.census()["evaluation"]


@dataclass(frozen=True)
class Refuses:
    """An identity that a certificate is not."""

    reason: str
    message: str

    def verify(self, envelope: Envelope) -> Signature:
        raise VerificationError(self.message, reason=self.reason)


def aside(**identities: Refuses) -> SetAside:
    bundle = StoredBundle(source="a.sigstore.json", data=KeySigner.load(generate(None), None).sign(PAYLOAD))
    (found,) = verify_bundles([bundle], TrustMaterial(identities=identities, at=NOW, now=NOW)).set_aside
    return found


ISSUER = Refuses("signature-identity", "expected issuer x, got y")
SUBJECT = Refuses("signature-identity", "expected subject x, got y")
KEY = Refuses("signature-key", "expected this key, got another")


def test_every_identity_that_a_certificate_is_not() -> None:
    found = aside(trainer=ISSUER, auditor=SUBJECT, owner=KEY)
    assert found.reason == "signature-identity"
    assert found.message == (
        "expected a certificate of an identity in the policy, got another: "
        "as trainer, expected issuer x, got y; as auditor, expected subject x, got y"
    )


def test_one_identity_speaks_for_itself() -> None:
    found = aside(trainer=ISSUER, owner=KEY)
    assert (found.reason, found.message) == ("signature-identity", ISSUER.message)


def test_no_more_identities_than_anybody_reads() -> None:
    found = aside(**{f"person-{number}": SUBJECT for number in range(20)})
    assert found.message.count("as person-") == verification._SHOWN_IDENTITIES


@pytest.mark.parametrize("order", [1, -1])
def test_the_earliest_time_of_each_identity(order: int) -> None:
    def signed(name: str, *days: int) -> VerifiedSignature:
        times = tuple(TrustedTime(at=NOW + day * DAY, source="log") for day in days)
        return VerifiedSignature(
            identity=name, signature=Signature(signer="x", witnessed=Witnessed(times=times)), source="a"
        )

    parsed = statement.parse(PAYLOAD)
    signatures = [signed("trainer", 2), signed("trainer", 1), signed("auditor", 3), signed("owner")][::order]
    item = verification._Signed(statement=parsed, predicate=parse_predicate(parsed), signatures=signatures)
    found = item.dated(TrustMaterial(identities={}, at=NOW, now=NOW))
    assert found == {"trainer": NOW + DAY, "auditor": NOW + 3 * DAY}

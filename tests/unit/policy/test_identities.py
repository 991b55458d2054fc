"""When a credential counts: at the earliest trusted time, and never at one that a signer wrote."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.policy.identities import Credential, Identity, IdentitySignature
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.interface import Envelope, Signature, TrustedTime, Witnessed

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
UNSEEN = Witnessed()


@dataclass(frozen=True)
class Known:
    """A verifier whose trusted root has seen the signature already."""

    witnessed: Witnessed = UNSEEN
    error: LamslsaError | None = None
    key_id: str = "x"

    def verify(self, envelope: Envelope) -> Signature:
        if self.error is not None:
            raise self.error
        return Signature(signer="key x", key_id=self.key_id, witnessed=self.witnessed)


@pytest.fixture(scope="module")
def envelope() -> Envelope:
    return parse_bundle(KeySigner.load(generate(None), None).sign(b"{}"))


def seen(*offsets: int, source: str = "timestamp", logged: bool = False) -> Witnessed:
    times = tuple(TrustedTime(at=NOW + offset * DAY, source=source) for offset in sorted(offsets))  # type: ignore[arg-type]
    return Witnessed(times=times, logged=logged)


def look(envelope: Envelope, witnessed: Witnessed, *, identity: Any = None, **validity: int) -> str:
    credential = Credential(verifier=Known(witnessed), **{name: NOW + days * DAY for name, days in validity.items()})
    owner = Identity(credentials=(credential,), **(identity or {}))
    refusals = owner.refusals(owner.verify(envelope), name="trainer")
    assert all(item.message.startswith("expected ") and "trainer" in item.message and item.mend for item in refusals)
    return ", ".join(item.reason for item in refusals)


def test_without_terms_any_signature_counts(envelope: Envelope) -> None:
    assert look(envelope, Witnessed()) == ""
    assert look(envelope, seen(-400)) == ""


@pytest.mark.parametrize("key", ["valid_until", "revoked_at"])
def test_a_credential_that_ends_needs_a_trusted_time(envelope: Envelope, key: str) -> None:
    assert look(envelope, Witnessed(), **{key: 100}) == "signer-undated"
    assert look(envelope, Witnessed(), **{key: -100}) == "signer-undated"
    assert look(envelope, seen(-1), **{key: 0}) == ""


def test_why_no_time_counts_is_said(envelope: Envelope) -> None:
    credential = Credential(verifier=Known(Witnessed(message="another authority")), valid_until=NOW)
    owner = Identity(credentials=(credential,), require_timestamp=True, require_log=True)
    refusals = owner.refusals(owner.verify(envelope), name="trainer")
    assert [item.reason for item in refusals] == ["signer-undated", "signature-timestamp", "signature-unlogged"]
    assert all("(another authority)" in item.message for item in refusals)


def test_the_end_itself_is_too_late(envelope: Envelope) -> None:
    assert look(envelope, seen(0), valid_until=0) == "signer-expired"
    assert look(envelope, seen(0), revoked_at=0) == "signer-revoked"
    assert look(envelope, seen(1), valid_until=2, revoked_at=1) == "signer-revoked"
    assert look(envelope, seen(2), valid_until=1, revoked_at=2) == "signer-expired"


def test_the_earliest_time_decides(envelope: Envelope) -> None:
    assert look(envelope, seen(-2, 5), valid_until=0) == ""
    assert look(envelope, seen(-2, 5), valid_from=-1) == "signer-not-yet"


def test_valid_from(envelope: Envelope) -> None:
    assert look(envelope, seen(-1), valid_from=0) == "signer-not-yet"
    assert look(envelope, seen(0), valid_from=0) == ""
    assert look(envelope, Witnessed(), valid_from=0) == "signer-undated"
    assert look(envelope, seen(1), valid_from=0) == ""


def test_required_timestamp(envelope: Envelope) -> None:
    asked = {"require_timestamp": True}
    assert look(envelope, Witnessed(), identity=asked) == "signature-timestamp"
    assert look(envelope, seen(-1, source="log"), identity=asked) == "signature-timestamp"
    assert look(envelope, seen(-1), identity=asked) == ""


def test_required_log(envelope: Envelope) -> None:
    asked = {"require_log": True}
    assert look(envelope, seen(-1), identity=asked) == "signature-unlogged"
    assert look(envelope, seen(-1, logged=True), identity=asked) == ""


def several(envelope: Envelope, *validities: dict[str, int]) -> set[str]:
    """What comes of a certificate that meets all of these credentials, in either order."""
    found = set()
    for order in (validities, validities[::-1]):
        credentials = tuple(
            Credential(verifier=Known(seen(0)), **{name: NOW + days * DAY for name, days in validity.items()})
            for validity in order
        )
        owner = Identity(credentials=credentials)
        found.add(", ".join(item.reason for item in owner.refusals(owner.verify(envelope), name="trainer")))
    return found


def test_any_of_several_credentials(envelope: Envelope) -> None:
    assert several(envelope, {}, {"valid_until": 0}) == {""}
    assert several(envelope, {"valid_until": 0}, {"valid_until": 1}) == {""}
    assert several(envelope, {"valid_from": 1}, {"valid_from": -1}) == {""}
    assert several(envelope, {"valid_until": 0}, {"valid_until": -1}) == {"signer-expired"}


def test_a_revoked_credential_decides(envelope: Envelope) -> None:
    """One person who left, under a pattern for everybody."""
    assert several(envelope, {}, {"revoked_at": 0}) == {"signer-revoked"}
    assert several(envelope, {"valid_until": 5}, {"revoked_at": -1}) == {"signer-revoked"}
    assert several(envelope, {}, {"revoked_at": 1}) == {""}


def test_credentials_that_are_not_met_say_nothing(envelope: Envelope) -> None:
    stranger = Credential(
        verifier=Known(error=VerificationError("expected x, got y", reason="signature-key")), revoked_at=NOW - DAY
    )
    good = Credential(verifier=Known(seen(0)))
    for credentials in ((stranger, good), (good, stranger)):
        owner = Identity(credentials=credentials)
        signature = owner.verify(envelope)
        assert signature.credentials == (good,)
        assert not owner.refusals(signature, name="trainer")


def test_nobody_signed(envelope: Envelope) -> None:
    errors = [
        VerificationError("expected x, got y", reason="signature-key"),
        VerificationError("expected x, got y", reason="signature-identity"),
        FormatError("expected x, got y", reason="bundle-shape"),
    ]
    for count in (1, 2, 3):
        owner = Identity(credentials=tuple(Credential(verifier=Known(error=error)) for error in errors[:count]))
        with pytest.raises(LamslsaError) as caught:
            owner.verify(envelope)
        assert caught.value is errors[count - 1]


def test_a_signature_from_elsewhere_is_no_signature_of_the_identity(envelope: Envelope) -> None:
    owner = Identity(credentials=(Credential(verifier=Known()),))
    with pytest.raises(TypeError):
        owner.refusals(Signature(signer="key x"), name="trainer")
    assert isinstance(owner.verify(envelope), IdentitySignature)


class TestDating:
    """Which signatures date the evidence in their bundle."""

    @staticmethod
    def date(
        envelope: Envelope, witnessed: Witnessed, *, key_id: str = "x", identity: Any = None, **validity: int
    ) -> dt.datetime | None:
        times = {name: NOW + days * DAY for name, days in validity.items()}
        credential = Credential(verifier=Known(witnessed, key_id=key_id), **times)
        owner = Identity(credentials=(credential,), **(identity or {}))
        return owner.dates(owner.verify(envelope), name="trainer")

    def test_a_certificate(self, envelope: Envelope) -> None:
        assert self.date(envelope, seen(-3, -1), key_id="") == NOW - 3 * DAY
        assert self.date(envelope, UNSEEN, key_id="") is None

    def test_a_timestamp_beside_a_key_that_was_known(self, envelope: Envelope) -> None:
        assert self.date(envelope, seen(-1), valid_from=-2) == NOW - DAY

    def test_a_timestamp_beside_a_key_that_may_have_been_chosen_later(self, envelope: Envelope) -> None:
        assert self.date(envelope, seen(-1)) is None
        assert self.date(envelope, seen(-1), valid_until=5) is None

    def test_a_log_names_the_key(self, envelope: Envelope) -> None:
        assert self.date(envelope, seen(-1, source="log")) == NOW - DAY

    @pytest.mark.parametrize(
        ("identity", "validity"),
        [
            ({}, {"valid_from": 0}),
            ({}, {"valid_until": -5}),
            ({}, {"revoked_at": -5}),
            ({"require_log": True}, {}),
        ],
    )
    def test_a_signature_that_does_not_count_dates_nothing(
        self, envelope: Envelope, identity: Any, validity: dict[str, int]
    ) -> None:
        assert self.date(envelope, seen(-1), key_id="", identity=identity, **validity) is None

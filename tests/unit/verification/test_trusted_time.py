"""As of when evidence is judged: the earliest time at which somebody who is trusted has seen its signature."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from lamslsa import _codec, verification
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.verify import Challenge
from lamslsa.model_signature import statement as model_statement
from lamslsa.publish import evidence_statement
from lamslsa.sign import KeySigner, generate
from lamslsa.sign.interface import BundleVerifier, Envelope, Signature, TrustedTime, Witnessed
from lamslsa.store import StoredBundle
from lamslsa.testing import chain
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.verification import TrustMaterial, Verification, verify_bundles

THEN = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
LATER = THEN + dt.timedelta(days=400)
PAYLOAD = chain.census()["evaluation"]


@dataclasses.dataclass(frozen=True)
class Dated:
    """The verifier of a key whose signatures third parties have seen at these times."""

    inner: BundleVerifier
    times: tuple[dt.datetime, ...]

    def verify(self, envelope: Envelope) -> Signature:
        times = tuple(TrustedTime(at=at, source="timestamp") for at in self.times)
        return dataclasses.replace(self.inner.verify(envelope), witnessed=Witnessed(times=times))


@dataclasses.dataclass(frozen=True)
class Broken:
    """A verifier that cannot make anything of the bundle."""

    error: LamslsaError

    def verify(self, envelope: Envelope) -> Signature:
        raise self.error


@pytest.fixture(scope="module")
def keys() -> dict[str, KeySigner]:
    return {name: KeySigner.load(generate(None), None) for name in ("auditor", "trainer")}


@pytest.fixture(scope="module")
def evidence() -> bytes:
    """Evidence about the evaluation, with endorsements of its day."""
    vendor = SimulatedVendor(THEN)
    nonce = bytes(32)
    quote = vendor.quote(binding.report_data(nonce, statements=[_codec.sha256_hex(PAYLOAD)]))
    return evidence_statement(
        Run(
            statements=(NamedPayload(name="01-evaluation", payload=PAYLOAD),),
            nonce=Nonce(value=nonce),
            evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=vendor.collateral()),
            quoted_at="2026-11-22T06:00:00Z",
        )
    )


def run(keys: dict[str, KeySigner], evidence: bytes, at: dt.datetime, **times: tuple[dt.datetime, ...]) -> Verification:
    """Verify the evaluation and its evidence; the evidence is signed by everybody for whom there are times."""
    bundles = [StoredBundle(source="evaluation.sigstore.json", data=keys["auditor"].sign(PAYLOAD))]
    bundles += [StoredBundle(source=f"evidence-{name}.sigstore.json", data=keys[name].sign(evidence)) for name in times]
    identities: dict[str, BundleVerifier] = {"auditor": keys["auditor"].verifier()}
    identities |= {name: Dated(keys[name].verifier(), seen) for name, seen in times.items()}
    return verify_bundles(bundles, TrustMaterial(identities=identities, at=at, now=LATER))


def test_without_a_trusted_time_the_time_of_the_verifier_counts(keys: dict[str, KeySigner], evidence: bytes) -> None:
    (item,) = run(keys, evidence, THEN, auditor=()).attestations
    assert [found.as_of for found in item.evidence] == [THEN]
    late = run(keys, evidence, LATER, auditor=())
    assert not late.attestations[0].evidence
    assert [aside.reason for aside in late.set_aside] == ["evidence-collateral-window"]


def test_evidence_outlives_its_collateral(keys: dict[str, KeySigner], evidence: bytes) -> None:
    (item,) = run(keys, evidence, LATER, auditor=(THEN,)).attestations
    assert [found.as_of for found in item.evidence] == [THEN]


def test_a_trusted_time_counts_before_the_time_of_the_verifier(keys: dict[str, KeySigner], evidence: bytes) -> None:
    """A quote of later days is not brought back by an earlier time that the caller chose."""
    late = run(keys, evidence, THEN, auditor=(LATER,))
    assert not late.attestations[0].evidence
    assert [aside.reason for aside in late.set_aside] == ["evidence-collateral-window"]


def test_the_earliest_time_of_an_identity_counts(keys: dict[str, KeySigner], evidence: bytes) -> None:
    (item,) = run(keys, evidence, LATER, auditor=(LATER, THEN)).attestations
    assert [(found.as_of, found.dated_by) for found in item.evidence] == [(THEN, "auditor")]


def test_nobody_dates_evidence_for_somebody_else(keys: dict[str, KeySigner], evidence: bytes) -> None:
    """The statement is the auditor's; what the trainer's timestamp proves stands apart, and rules tell it apart."""
    (item,) = run(keys, evidence, THEN, auditor=(), trainer=(THEN,)).attestations
    assert [(found.as_of, found.dated_by) for found in item.evidence] == [(THEN, None), (THEN, "trainer")]
    (item,) = run(keys, evidence, LATER, auditor=(), trainer=(THEN,)).attestations
    assert [(found.as_of, found.dated_by) for found in item.evidence] == [(THEN, "trainer")]
    (item,) = run(keys, evidence, LATER, auditor=(LATER,), trainer=(THEN,)).attestations
    assert [(found.as_of, found.dated_by) for found in item.evidence] == [(THEN, "trainer")]


def test_evidence_that_is_good_at_one_of_two_times_is_not_set_aside(
    keys: dict[str, KeySigner], evidence: bytes
) -> None:
    outcome = run(keys, evidence, LATER, auditor=(LATER,), trainer=(THEN,))
    assert (len(outcome.attestations[0].evidence), outcome.set_aside) == (1, ())


def test_a_signature_that_dates_nothing(keys: dict[str, KeySigner], evidence: bytes) -> None:
    """The policy says which signatures count; the others leave the time of the verifier."""
    bundles = [
        StoredBundle(source="evaluation.sigstore.json", data=keys["auditor"].sign(PAYLOAD)),
        StoredBundle(source="evidence.sigstore.json", data=keys["auditor"].sign(evidence)),
    ]
    asked: list[str] = []

    def dates(name: str, signature: Signature) -> dt.datetime | None:
        asked.append(name)
        assert signature.witnessed.times
        return None

    trust = TrustMaterial(
        identities={"auditor": Dated(keys["auditor"].verifier(), (THEN,))}, dates=dates, at=LATER, now=LATER
    )
    assert not verify_bundles(bundles, trust).attestations[0].evidence
    assert asked == ["auditor"]


def test_a_quote_that_is_younger_than_its_signature(keys: dict[str, KeySigner], evidence: bytes) -> None:
    """An upper bound below the lower one: one of them is a lie."""
    bundles = [
        StoredBundle(source="evaluation.sigstore.json", data=keys["auditor"].sign(PAYLOAD)),
        StoredBundle(source="evidence.sigstore.json", data=keys["auditor"].sign(evidence)),
    ]
    dated = {"auditor": Dated(keys["auditor"].verifier(), (THEN,))}
    for issued, reasons in (
        (THEN, []),
        (THEN + dt.timedelta(seconds=1), ["evidence-time-contradiction"]),
    ):
        challenge = Challenge(nonce=bytes(32), issued_at=issued)
        trust = TrustMaterial(identities=dated, at=LATER, now=LATER, challenge=challenge)
        outcome = verify_bundles(bundles, trust)
        assert [aside.reason for aside in outcome.set_aside] == reasons
        assert bool(outcome.attestations[0].evidence) == (not reasons)


@pytest.mark.parametrize(
    ("snapshot", "held", "status"),
    [(None, (), "UpToDate"), ("OutOfDate", (), "OutOfDate"), (None, ("OutOfDate",), "OutOfDate")],
)
def test_endorsements_that_came_along_rank_with_the_snapshot(
    keys: dict[str, KeySigner], snapshot: str | None, held: tuple[str, ...], status: str
) -> None:
    """They complete what the evidence lacks, and replace neither its own nor what the verifier holds."""
    vendor, nonce = SimulatedVendor(THEN), bytes(32)
    quote = vendor.quote(binding.report_data(nonce, statements=[_codec.sha256_hex(PAYLOAD)]))
    own = None if snapshot is None else vendor.collateral(tcb_status=snapshot)
    stated = evidence_statement(
        Run(
            statements=(NamedPayload(name="01-evaluation", payload=PAYLOAD),),
            nonce=Nonce(value=nonce),
            evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=own),
            quoted_at="2026-11-22T06:00:00Z",
        )
    )
    bundles = [
        StoredBundle(source="evaluation.sigstore.json", data=keys["auditor"].sign(PAYLOAD)),
        StoredBundle(source="evidence.sigstore.json", data=keys["auditor"].sign(stated)),
    ]
    trust = TrustMaterial(
        identities={"auditor": keys["auditor"].verifier()},
        at=THEN,
        now=THEN,
        held=tuple(vendor.collateral(tcb_status=item, evaluation_data_number=17) for item in held),
        carried=(vendor.collateral(evaluation_data_number=16),),
    )
    (found,) = verify_bundles(bundles, trust).attestations[0].evidence
    assert found.claims.tcb_status == status
    assert found.standing is not None
    assert found.standing.tcb_evaluation_data_number == (16 if status == "UpToDate" else 17)


def test_times_of_the_statement_say_nothing_of_its_evidence(keys: dict[str, KeySigner], evidence: bytes) -> None:
    bundles = [
        StoredBundle(source="evaluation.sigstore.json", data=keys["trainer"].sign(PAYLOAD)),
        StoredBundle(source="evidence.sigstore.json", data=keys["auditor"].sign(evidence)),
    ]
    identities: dict[str, BundleVerifier] = {"auditor": keys["auditor"].verifier()}
    identities["trainer"] = Dated(keys["trainer"].verifier(), (THEN,))
    outcome = verify_bundles(bundles, TrustMaterial(identities=identities, at=LATER, now=LATER))
    assert not outcome.attestations[0].evidence
    assert [time.at for time in outcome.attestations[0].signatures[0].signature.witnessed.times] == [THEN]


def test_a_timestamp_on_a_signature_of_nobody_counts_for_nothing(keys: dict[str, KeySigner], evidence: bytes) -> None:
    """The bundle with the time is of a signer whom the policy does not name; the other one has none."""
    stranger = Dated(keys["trainer"].verifier(), (THEN,))
    bundles = [
        StoredBundle(source="evaluation.sigstore.json", data=keys["auditor"].sign(PAYLOAD)),
        StoredBundle(source="a.sigstore.json", data=keys["trainer"].sign(evidence)),
        StoredBundle(source="b.sigstore.json", data=keys["auditor"].sign(evidence)),
    ]
    identities: dict[str, BundleVerifier] = {"auditor": keys["auditor"].verifier()}
    outcome = verify_bundles(bundles, TrustMaterial(identities=identities, at=LATER, now=LATER))
    assert [aside.reason for aside in outcome.set_aside] == ["signature-key", "evidence-collateral-window"]
    named = verify_bundles(bundles, TrustMaterial(identities=identities | {"trainer": stranger}, at=LATER, now=LATER))
    assert named.attestations[0].evidence


def test_the_reason_that_says_most_is_shown(keys: dict[str, KeySigner]) -> None:
    other = VerificationError("expected another", reason="signature-key")
    identity = VerificationError("expected another", reason="signature-identity")
    bad = VerificationError("expected a good one", reason="signature")
    damaged = FormatError("expected a bundle", reason="bundle-shape")
    bundles = [StoredBundle(source="a.sigstore.json", data=keys["auditor"].sign(PAYLOAD))]
    for errors, reason in (
        ((other,), "signature-key"),
        ((other, identity, other), "signature-identity"),
        ((identity, bad, other), "signature"),
        ((damaged, other), "bundle-shape"),
    ):
        identities: dict[str, BundleVerifier] = {str(number): Broken(error) for number, error in enumerate(errors)}
        outcome = verify_bundles(bundles, TrustMaterial(identities=identities, at=THEN, now=THEN))
        assert [aside.reason for aside in outcome.set_aside] == [reason]
        with_auditor = identities | {"auditor": keys["auditor"].verifier()}
        assert verify_bundles(bundles, TrustMaterial(identities=with_auditor, at=THEN, now=THEN)).attestations


def test_model_signatures_stand_apart(keys: dict[str, KeySigner]) -> None:
    """They are about a list of files, and their subject is no artifact."""
    payload = model_statement(chain.model(), name="m")
    data = keys["auditor"].sign(payload)
    identities = {"auditor": keys["auditor"].verifier()}
    outcome = verify_bundles(
        [StoredBundle(source="model.sigstore.json", data=data)],
        TrustMaterial(identities=identities, at=THEN, now=THEN),
    )
    assert not outcome.attestations
    assert not outcome.set_aside
    (item,) = outcome.model_signatures
    (signed,) = item.signatures
    assert (signed.identity, signed.bundle) == ("auditor", _codec.sha256_hex(data))
    assert item.seal is verification._SEAL

"""The base policy of the test vectors, and attestations as verification would hand them over."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lamslsa import _confined, predicates, statement, verification
from lamslsa._codec import sha256_hex
from lamslsa.artifact.manifest import Manifest
from lamslsa.evidence.roots import load_root
from lamslsa.policy import Appraisal, Policy, appraise, load_policy
from lamslsa.policy.identities import Credential, IdentitySignature
from lamslsa.predicates import Dataset, Evaluation, Model, Provenance
from lamslsa.sign import KeySigner, generate
from lamslsa.sign.interface import Witnessed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import SetAside, Verification, VerifiedAttestation, VerifiedEvidence, VerifiedSignature

VECTORS = Path(__file__).parents[2] / "vectors"
BASE = VECTORS / "policy" / "base"
AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
UNSEEN = Witnessed()


@pytest.fixture(autouse=True)
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expressions are evaluated in forked processes, whatever harmless threads the runner of the tests has."""
    monkeypatch.setattr(_confined, "_may_fork", lambda: True)


@pytest.fixture(scope="session")
def vectors() -> Path:
    return VECTORS


@pytest.fixture(scope="session")
def at() -> dt.datetime:
    return AT


@pytest.fixture(scope="session")
def policy_text() -> str:
    return (BASE / "policy.yaml").read_text()


@pytest.fixture(scope="session")
def root() -> str:
    """The fingerprint of the simulated root that the base policy pins."""
    return load_root((BASE / "simulated-root.pem").read_bytes()).sha256


@pytest.fixture
def entries(root: str) -> dict[str, Entry]:
    return chain.entries(root=root)


@pytest.fixture(scope="session")
def load() -> Callable[[str], Policy]:
    return lambda text: load_policy(text.encode(), source="policy.yaml", directory=BASE)


@functools.cache
def _signed(name: str, witnessed: Witnessed = UNSEEN, **validity: dt.datetime) -> VerifiedSignature:
    """A signature of the policy's identity of this name, with one credential."""
    key = KeySigner.load(generate(None), None).verifier()
    signature = IdentitySignature(
        signer=f"key of {name}",
        key_sha256=sha256_hex(name.encode()),
        witnessed=witnessed,
        credentials=(Credential(verifier=key, **validity),),
    )
    return VerifiedSignature(identity=name, signature=signature, source="test")


@pytest.fixture(scope="session")
def signed() -> Callable[..., VerifiedSignature]:
    """A signature of the policy's identity of this name; further arguments date it and limit its credential."""
    return _signed


def _attestation(entry: Entry) -> VerifiedAttestation:
    parsed = statement.parse(entry.payload)
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, Dataset | Evaluation | Model | Provenance)
    return VerifiedAttestation(
        statement=parsed,
        predicate=predicate,
        signatures=tuple(_signed(name) for name in sorted(entry.signers)),
        evidence=tuple(
            VerifiedEvidence(
                claims=claims,
                statement=sha256_hex(repr(claims).encode()),
                covers=(parsed.sha256,),
                as_of=AT,
                standing=entry.standing,
                standing_message="" if entry.standing else "no endorsements at hand",
                freshness=entry.freshness,
            )
            for claims in entry.claims
        ),
        seal=verification._SEAL,
    )


@pytest.fixture(scope="session")
def sealed() -> Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]:
    """The attestations that verification would return for these entries."""
    return lambda items: tuple(_attestation(item) for item in items)


@pytest.fixture(scope="session")
def judge(
    load: Callable[[str], Policy],
    sealed: Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]],
    policy_text: str,
) -> Callable[..., Appraisal]:
    """Appraise entries under a policy; the base policy and the base model where none is given."""
    base = load(policy_text)

    def run(
        items: Iterable[Entry],
        *,
        policy: Policy | None = None,
        model: Manifest | None = None,
        set_aside: tuple[SetAside, ...] = (),
        at: dt.datetime = AT,
        now: dt.datetime | None = None,
        within: bool = False,
    ) -> Appraisal:
        chosen = policy or base
        attestations = sealed(items)

        def verified(under: Policy) -> Verification:
            trust = under.trust_material(at=at, now=now or at)
            return Verification(trust=trust, attestations=attestations, set_aside=set_aside)

        return appraise(
            chosen,
            model=model or chain.model(),
            model_name="census-mlp",
            verification=verified(chosen),
            at=at,
            within={inner.closure: verified(inner) for inner in chosen.within} if within else None,
        )

    return run

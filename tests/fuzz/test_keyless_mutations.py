"""Any single byte of a keyless chain changed, dropped or doubled ends in a refusal, or in the same result.

The demo's statements and evidence, signed anew by identities: the data owner's by a workflow with Rekor v1 and a
timestamp, the trainer's by another one with Rekor v2, the auditor's by a person; the policy asks for a log and trusts
one root. `make test` tries some thousand mutations, `make fuzz` every single byte.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from lamslsa.artifact import hash_artifact
from lamslsa.policy import Policy, load_policy
from lamslsa.policy.identities import Credential, Identity
from lamslsa.sign import parse_bundle
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from lamslsa.testing.sigstore import LocalSigstore, Rekor, github_claims
from tests.fuzz.parsers import attempt
from tests.fuzz.test_mutations import KINDS, Target, assert_refused_or_same
from tests.unit.sign.keyless.bundles import Signing

CLAIMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "data-owner": github_claims("acme/data"),
    "trainer": github_claims("acme/model"),
    "auditor": {"sub": "1", "email": "auditor@example.test", "email_verified": True},
}
TERMS: Final[Mapping[str, Mapping[str, str]]] = {
    "data-owner": {"repository": "acme/data"},
    "trainer": {"identity_regex": r"https://github\.com/acme/model/\.github/.+"},
    "auditor": {"identity": "auditor@example.test"},
}


def _sign(sigstore: LocalSigstore, policy: Policy, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same payloads in other bundles."""
    people = {name: Signing.of(sigstore, claims) for name, claims in CLAIMS.items()}
    signed = {}
    for file, data in files.items():
        envelope = parse_bundle(data)
        (name,) = (name for name, identity in policy.identities.items() if attempt(identity.verify, envelope))
        rekor: Rekor = 2 if name == "trainer" else 1
        signed[file] = people[name].envelope(envelope.payload, rekor=rekor, stamped=name != "auditor")
    return signed


@pytest.fixture(scope="module")
def target(chain: Any) -> Target:
    policy_file: Path = chain.policy
    policy = load_policy(policy_file.read_bytes(), source="policy.yaml", directory=policy_file.parent)
    files = {path.name: path.read_bytes() for path in sorted(chain.store.iterdir())}
    with LocalSigstore() as sigstore:
        root = SigstoreRoot.load(sigstore.trusted_root_json().encode())
        signed = _sign(sigstore, policy, files)
        identities = {
            name: Identity(
                credentials=(
                    Credential(
                        verifier=KeylessVerifier(terms=KeylessTerms(issuer=sigstore.issuer, **TERMS[name]), root=root)
                    ),
                ),
                require_log=True,
                require_timestamp=name != "auditor",
            )
            for name in CLAIMS
        }
    return Target(
        files=tuple(sorted(signed.items())),
        policy=dataclasses.replace(policy, identities={**policy.identities, **identities}),
        model=hash_artifact(chain.model, "model"),
        at=dt.datetime.now(dt.UTC),
    )


def _random(target: Target, seed: int, count: int) -> Iterator[tuple[int, str, int]]:
    chooser = random.Random(seed)
    for _ in range(count):
        yield chooser.randrange(target.size), chooser.choice(KINDS), chooser.randrange(1, 256)


def _assert_refused_or_same(target: Target, mutations: Iterator[tuple[int, str, int]]) -> None:
    """Evidence whose own bundle has lost its timestamp is judged as of the verifier's time instead, and of no other."""
    now = target.at.isoformat().replace("+00:00", "Z")
    dated = set(_dates(target.appraise(target.bundles)))

    def meaning(document: dict[str, Any]) -> Any:
        assert set(_dates(document)) <= {*dated, now}
        return _undated({key: value for key, value in document.items() if key != "setAside"})

    assert_refused_or_same(target, _not_set_aside(target, mutations), meaning)


def _dates(value: Any) -> Iterator[str]:
    """As of when each piece of evidence was judged."""
    if isinstance(value, dict):
        yield from (value["asOf"],) if "asOf" in value else ()
        yield from (date for item in value.values() for date in _dates(item))
    elif isinstance(value, list | tuple):
        yield from (date for item in value for date in _dates(item))


def _undated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _undated(item) for key, item in value.items() if key != "asOf"}
    return [_undated(item) for item in value] if isinstance(value, list | tuple) else value


def _not_set_aside(target: Target, mutations: Iterator[tuple[int, str, int]]) -> Iterator[tuple[int, str, int]]:
    """What verifies when it is verified alone; a bundle that is set aside is as good as absent."""
    return (item for item in mutations if not target.sets_aside(*item))


def test_without_any_one_bundle_the_model_is_refused(target: Target) -> None:
    assert target.appraise(target.bundles)["accepted"]
    for index in range(len(target.files)):
        without = target.bundles[:index] + target.bundles[index + 1 :]
        assert not target.appraise(without)["accepted"], target.files[index][0]


@pytest.mark.parametrize("fresh", [False, True], ids=["seeded", "fresh"])
def test_mutations_are_refused_or_change_nothing(target: Target, fresh: bool) -> None:
    seed = int(os.environ["LAMSLSA_FUZZ_SEED"]) if fresh else 20261122
    _assert_refused_or_same(target, _random(target, seed, 1000))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(8))
def test_every_mutation_is_refused_or_changes_nothing(
    target: Target, kind: str, part: int, request: pytest.FixtureRequest
) -> None:
    step = 1 if request.config.getoption("--every-mutation") else 997
    values = random.Random(part)
    mutations = ((number, kind, values.randrange(1, 256)) for number in range(part * step, target.size, 8 * step))
    _assert_refused_or_same(target, mutations)

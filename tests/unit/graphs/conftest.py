"""Bundles of the Census chain and of more, attestations as verification hands them over, and graphs of bare steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from lamslsa import predicates, statement, verification
from lamslsa._codec import sha256_hex
from lamslsa.evidence.verify import VerifiedEvidence
from lamslsa.graphs import Graph, Step
from lamslsa.graphs.interface import Node, Quote, Signed
from lamslsa.lineage import Artifact, Link
from lamslsa.policy import Appraisal
from lamslsa.predicates import inference, provenance, verification_summary
from lamslsa.sign import KeySigner, Signature, TrustedTime, Witnessed, generate
from lamslsa.store import StoredBundle
from lamslsa.testing import chain
from lamslsa.verification import SetAside, VerifiedAttestation, VerifiedSignature

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
MODEL = chain.model().sha256
RAW = "a" * 64
SHA = {"sha256": "0" * 64}
ENVIRONMENT = {"python": "CPython 3.11.7", "machine": {}, "variables": {}, "packages": []}
_KEY = KeySigner.load(generate(None), None)


def bundle(payload: bytes, source: str = "") -> StoredBundle:
    """Signed with one key for all."""
    name = source or f"{sha256_hex(payload)[:8]}.sigstore.json"
    return StoredBundle(source=name, data=_KEY.sign(payload))


def quote(*payloads: bytes, media_type: str = "application/vnd.lamslsa.quote.sgx+bin") -> bytes:
    """A statement that claims to be evidence of these; its quote is no quote at all."""
    subjects = [statement.Subject(name=f"s{number}", sha256=sha256_hex(item)) for number, item in enumerate(payloads)]
    content = {"mediaType": media_type, "content": "AAAA", "digest": SHA}
    return statement.make(subjects, predicates.tee_evidence.PREDICATE_TYPE, {"nonce": "A" * 24, "quote": content})


def _made(name: str, sha256: str, predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    return statement.make([statement.Subject(name=name, sha256=sha256)], predicate_type, predicate)


def prepared(product: str = chain.TRAIN, source: str = RAW) -> bytes:
    """A preprocessing of a dataset out of another."""
    definition = {
        "buildType": provenance.TRANSFORM_BUILD_TYPE,
        "externalParameters": {
            "transform": {"name": "tabular-preprocess", "version": "1"},
            "configuration": {},
            "datasets": {"source": "raw"},
            "produces": "dataset",
        },
        "internalParameters": {"environment": ENVIRONMENT},
        "resolvedDependencies": [{"name": "raw", "digest": {"sha256": source}, "annotations": {"kind": "dataset"}}],
    }
    run = {"builder": {"id": f"{provenance.BUILDER_PREFIX}0.1.0"}}
    predicate = {"buildDefinition": definition, "runDetails": run}
    return _made("census-train", product, provenance.PREDICATE_TYPE, predicate)


def answered() -> bytes:
    """What the model answered to records of a dataset."""
    predicate = {
        "kind": "model",
        "measurer": {"name": "tabular-inference", "version": "1"},
        "model": {"architecture": "tabular-mlp/1", "files": []},
        "dataset": {"name": "questions", "digest": {"sha256": "b" * 64}, "schemaDigest": SHA},
        "configuration": {},
        "configurationDigest": SHA,
        "records": {"algorithm": "rfc9162-sha256", "size": 5, "root": SHA},
        "environment": ENVIRONMENT,
    }
    return _made("census-mlp", MODEL, inference.PREDICATE_TYPE, predicate)


def summary() -> bytes:
    """That the model passed somebody's policy."""
    predicate = {
        "verifier": {"id": "https://verifier.example/v1"},
        "timeVerified": "2020-01-02T03:04:05Z",
        "resourceUri": "https://models.example/census",
        "policy": {"uri": "https://policies.example/p", "digest": SHA},
        "verificationResult": "PASSED",
        "verifiedLevels": ["LAMSLSA_INGREDIENTS"],
    }
    return _made("census-mlp", MODEL, verification_summary.PREDICATE_TYPE, predicate)


def verified(
    payload: bytes, *signers: str, at: Sequence[dt.datetime] = (), simulated: bool = True, root: str = "00"
) -> VerifiedAttestation:
    """An authentic attestation, on a TEE, signed by some and dated by a timestamp authority."""
    parsed = statement.parse(payload)
    predicate: Any = predicates.parse(parsed)
    times = tuple(TrustedTime(at=each, source="timestamp") for each in at)
    signature = Signature(signer="key", witnessed=Witnessed(times=times))
    return VerifiedAttestation(
        statement=parsed,
        predicate=predicate,
        signatures=tuple(
            VerifiedSignature(identity=name, signature=signature, source="test") for name in signers or ("somebody",)
        ),
        evidence=(
            VerifiedEvidence(
                claims=chain.claims(root=root, simulated=simulated),
                statement="e" * 64,
                covers=(parsed.sha256,),
                as_of=AT,
                standing=None,
            ),
        ),
        seal=verification._SEAL,
    )


def appraisal(
    attestations: Iterable[VerifiedAttestation],
    qualifying: Iterable[VerifiedAttestation] = (),
    set_aside: Iterable[SetAside] = (),
    **changes: Any,
) -> Appraisal:
    """A refused appraisal."""
    fields: dict[str, Any] = {
        "model_name": "census-mlp",
        "model": MODEL,
        "policy_name": "census-income",
        "policy_sha256": "1" * 64,
        "policy_closure": "2" * 64,
        "at": AT,
        "now": AT,
        "rules": (),
        "attestations": tuple(attestations),
        "qualifying": tuple(qualifying),
        "set_aside": tuple(set_aside),
    }
    return Appraisal(**fields | changes)


def artifact(number: int, kind: Any = "model") -> Artifact:
    return Artifact(kind=kind, sha256=f"{number:064x}")


def step(number: int, subject: Artifact, *targets: Artifact, **changes: Any) -> Step:
    """A transform of models, unless changed."""
    fields: dict[str, Any] = {
        "sha256": f"{number + 10**9:064x}",
        "kind": "transform",
        "code": "quantize/1",
        "subject": subject,
        "name": f"m{number}",
        "links": tuple(Link(relation="derived-from", source=subject, target=each, name="base") for each in targets),
        "standing": "claimed",
        "signed": (Signed(who="somebody"),),
        "quotes": (Quote(tee="sgx", simulated=None),),
    }
    return Step(**fields | changes)


def graph(*steps: Step, **changes: Any) -> Graph:
    """The graph of the model 0 over these steps, each artifact at the distance of its first appearance."""
    about: dict[Artifact, list[Step]] = {}
    for each in steps:
        about.setdefault(each.subject, []).append(each)
    distances = {artifact(0): 0}
    order = [artifact(0)]
    for here in order:
        for each in about.get(here, ()):
            for link in each.links:
                if link.target not in distances:
                    distances[link.target] = distances[here] + 1
                    order.append(link.target)
    nodes = tuple(
        Node(
            artifact=each,
            names=(f"m{int(each.sha256, 16)}",),
            distance=distances[each],
            steps=tuple(about.get(each, ())),
        )
        for each in order
    )
    fields: dict[str, Any] = {"model": artifact(0), "name": "m0", "verdict": None, "nodes": nodes}
    return Graph(**fields | changes)


class Made:
    """What the tests build with; a fixture, since test modules import nothing from each other."""

    AT = AT
    MODEL = MODEL
    RAW = RAW
    KEY = _KEY
    answered = staticmethod(answered)
    appraisal = staticmethod(appraisal)
    artifact = staticmethod(artifact)
    bundle = staticmethod(bundle)
    graph = staticmethod(graph)
    prepared = staticmethod(prepared)
    quote = staticmethod(quote)
    step = staticmethod(step)
    summary = staticmethod(summary)
    verified = staticmethod(verified)


@pytest.fixture(scope="session")
def made() -> type[Made]:
    return Made

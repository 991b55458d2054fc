"""Publishing: bytes pass through untouched, evidence goes first, and nothing is signed twice."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.model_signature import statement as model_statement
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE, PREDICATE_TYPE, SNP_REPORT_MEDIA_TYPE
from lamslsa.publish import evidence_statement, publish_run, with_collateral
from lamslsa.publish import payloads as to_sign
from lamslsa.sign import BundleVerifier, Envelope, KeySigner, generate, parse_bundle
from lamslsa.statement import Subject
from lamslsa.store import DirectoryStore
from lamslsa.testing import chain
from lamslsa.testing.simulated import SimulatedVendor

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def run() -> Run:
    vendor, payload, nonce = SimulatedVendor(NOW), chain.census()["evaluation"], Nonce(value=bytes(32))
    quote = vendor.quote(binding.report_data(nonce.value, statements=[_codec.sha256_hex(payload)]))
    return Run(
        statements=(NamedPayload(name="01-evaluation", payload=payload),),
        nonce=nonce,
        evidence=Evidence(media_type=MEDIA_TYPE, quote=quote, collateral=vendor.collateral()),
        quoted_at="2026-11-22T00:00:00Z",
    )


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def payloads(store: Path) -> list[bytes]:
    parsed = [parse_bundle(path.read_bytes()) for path in sorted(store.iterdir())]
    return [item.payload for item in parsed if isinstance(item, Envelope)]


def test_payload_bytes_pass_through_untouched(run: Run, signer: KeySigner, tmp_path: Path) -> None:
    published = publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    assert [item.name for item in published] == ["tee-evidence", "01-evaluation"], "evidence first"
    assert run.statements[0].payload in payloads(tmp_path)
    types = {statement.parse(payload).predicate_type for payload in payloads(tmp_path)}
    assert types == {PREDICATE_TYPE, "https://lamslsa.dev/evaluation/v1"}


def test_publishing_again_signs_nothing(run: Run, signer: KeySigner, tmp_path: Path) -> None:
    publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    assert [item.location for item in again] == [None, None]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interrupted_publication_is_completed(run: Run, signer: KeySigner, tmp_path: Path) -> None:
    first = publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    assert first[1].location is not None
    Path(first[1].location).unlink()
    again = publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    assert [item.location is None for item in again] == [True, False]


class Flaky:
    """Signs so often, and then a service is away."""

    def __init__(self, signer: KeySigner, times: int) -> None:
        self.signer, self.times, self.identity = signer, times, signer.identity

    def verifier(self) -> BundleVerifier:
        return self.signer.verifier()

    def sign(self, payload: bytes) -> bytes:
        if not self.times:
            raise UnavailableError("expected an answer, got none", reason="rekor-unavailable")
        self.times -= 1
        return self.signer.sign(payload)


def test_what_was_signed_before_a_failure_is_stored_and_not_signed_again(
    run: Run, signer: KeySigner, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError):
        publish_run(run, signer=Flaky(signer, 1), store=DirectoryStore(tmp_path))
    assert [statement.parse(payload).predicate_type for payload in payloads(tmp_path)] == [PREDICATE_TYPE]
    again = publish_run(run, signer=Flaky(signer, 1), store=DirectoryStore(tmp_path))
    assert [item.location is None for item in again] == [True, False]
    assert all(
        item.location is None for item in publish_run(run, signer=Flaky(signer, 0), store=DirectoryStore(tmp_path))
    )


def test_what_is_to_be_signed_is_known_beforehand(run: Run) -> None:
    assert [(item.name, item.payload) for item in to_sign(run)] == [
        ("tee-evidence", evidence_statement(run)),
        ("01-evaluation", run.statements[0].payload),
    ]


def test_another_signer_signs_for_himself(run: Run, signer: KeySigner, tmp_path: Path) -> None:
    publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    other = KeySigner.load(generate(None), None)
    assert all(item.location for item in publish_run(run, signer=other, store=DirectoryStore(tmp_path)))
    assert len(payloads(tmp_path)) == 4


def test_a_bundle_that_only_looks_signed_is_no_reason_to_skip(run: Run, signer: KeySigner, tmp_path: Path) -> None:
    (name,) = (item.location for item in publish_run(run, signer=signer, store=DirectoryStore(tmp_path))[1:])
    assert name is not None
    document = _codec.loads(Path(name).read_bytes())
    other = _codec.loads(signer.sign(b"{}"))
    document["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    Path(name).write_bytes(_codec.dumps(document))
    assert publish_run(run, signer=signer, store=DirectoryStore(tmp_path))[1].location is not None


@pytest.mark.parametrize("change", ["payload", "nonce", "order"])
def test_a_run_that_was_changed_is_not_signed(run: Run, signer: KeySigner, tmp_path: Path, change: str) -> None:
    match change:
        case "payload":
            edited = run.statements[0].payload.replace(b"0.855", b"0.955")
            run = dataclasses.replace(run, statements=(NamedPayload(name="01-evaluation", payload=edited),))
        case "nonce":
            run = dataclasses.replace(run, nonce=Nonce(value=bytes(31) + b"1"))
        case _:
            run = dataclasses.replace(run, statements=run.statements * 2)
    with pytest.raises(VerificationError) as caught:
        publish_run(run, signer=signer, store=DirectoryStore(tmp_path))
    assert caught.value.reason == "evidence-binding"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "foreign",
    [
        model_statement(chain.model(), name="m"),
        statement.make(
            [Subject(name="v", sha256="ab" * 32)],
            "https://lamslsa.dev/reference-values/v1",
            {"tee": "sgx"},
        ),
        statement.make([Subject(name="v", sha256="ab" * 32)], "https://slsa.dev/verification_summary/v1", {"a": 1}),
    ],
)
def test_what_no_run_makes_is_not_signed(signer: KeySigner, tmp_path: Path, foreign: bytes) -> None:
    """Even with a quote over it: the host wrote the folder, and here the quote too."""
    vendor, nonce = SimulatedVendor(NOW), Nonce(value=bytes(32))
    named = (
        NamedPayload(name="01-evaluation", payload=chain.census()["evaluation"]),
        NamedPayload(name="02-notes", payload=foreign),
    )
    digests = [_codec.sha256_hex(item.payload) for item in named]
    changed = Run(
        statements=named,
        nonce=nonce,
        evidence=Evidence(
            media_type=MEDIA_TYPE,
            quote=vendor.quote(binding.report_data(nonce.value, statements=digests)),
            collateral=vendor.collateral(),
        ),
        quoted_at="2026-11-22T00:00:00Z",
    )
    with pytest.raises(FormatError) as caught:
        publish_run(changed, signer=signer, store=DirectoryStore(tmp_path / "store"))
    assert caught.value.reason == "run-statement-type"
    assert not (tmp_path / "store").exists()


def test_evidence_without_collateral_says_so_by_leaving_it_out(run: Run) -> None:
    bare = dataclasses.replace(run, evidence=dataclasses.replace(run.evidence, collateral=None))
    assert "collateral" not in statement.parse(evidence_statement(bare)).predicate


def test_collateral_of_the_host_travels_with_the_quote(run: Run) -> None:
    newer = SimulatedVendor(NOW).collateral()
    changed = with_collateral(
        dataclasses.replace(run, evidence=dataclasses.replace(run.evidence, collateral=None)), newer
    )
    assert changed.evidence.collateral == newer
    assert changed.evidence.quote == run.evidence.quote


def test_collateral_of_no_known_shape_does_not(run: Run) -> None:
    with pytest.raises(FormatError):
        with_collateral(run, b"{}")
    nitro = dataclasses.replace(run.evidence, media_type=NITRO_DOCUMENT_MEDIA_TYPE)
    with pytest.raises(FormatError) as caught:
        with_collateral(dataclasses.replace(run, evidence=nitro), b"{}")
    assert caught.value.reason == "evidence-media-type"


def test_amds_endorsements_complete_those_of_the_run(run: Run) -> None:
    def wire(**parts: bytes) -> bytes:
        return _codec.dumps({name: _codec.encode_base64(data) for name, data in parts.items()})

    held = wire(issuer=b"i", root=b"r", revocationList=b"l")
    report = dataclasses.replace(run.evidence, media_type=SNP_REPORT_MEDIA_TYPE, collateral=wire(leaf=b"own"))
    changed = with_collateral(dataclasses.replace(run, evidence=report), held)
    assert changed.evidence.collateral is not None
    assert set(_codec.loads(changed.evidence.collateral)) == {"leaf", "issuer", "root", "revocationList"}
    bare = dataclasses.replace(report, collateral=None)
    assert with_collateral(dataclasses.replace(run, evidence=bare), held).evidence.collateral == held

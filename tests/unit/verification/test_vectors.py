"""Runs tests/vectors/verify: a small chain with real keys and real quotes, attacked once per case."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa import _codec, statement, verification
from lamslsa.errors import VerificationError
from lamslsa.evidence import binding
from lamslsa.evidence.interface import Evidence, Standing
from lamslsa.evidence.nonce import Beacon, Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.simulated.certificates import Role
from lamslsa.evidence.verify import BeaconVerifier, Challenge, Freshness, VerifiedEvidence
from lamslsa.predicates.tee_evidence import (
    BEACON_CHECKPOINT_MEDIA_TYPE,
    CCEL_MEDIA_TYPE,
    COLLATERAL_MEDIA_TYPE,
    NITRO_DOCUMENT_MEDIA_TYPE,
    NVIDIA_REPORT_MEDIA_TYPE,
    PREDICATE_TYPE,
)
from lamslsa.publish import evidence_statement
from lamslsa.sign import KeySigner, generate
from lamslsa.sign.dsse import make_bundle, pae
from lamslsa.store import DirectoryStore, StoredBundle
from lamslsa.testing import chain
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.verification import TrustMaterial, Verification, verify_bundles

VECTORS = Path(__file__).parents[2] / "vectors" / "verify"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
NONCE = Nonce(value=bytes(range(32)))
ROLES = ("data-owner", "trainer", "auditor", "outsider")


@dataclass(slots=True, kw_only=True)
class World:
    """The evaluation and the datasheet of one run under one quote, signed by the auditor; a case changes it.

    Attributes:
        payloads: what is signed, by name; ``evidence`` is made from ``statements`` unless a case replaces it.
        bundles: finished bundles that replace the signed payload of that name.
    """

    vendor: SimulatedVendor
    signers: dict[str, KeySigner]
    payloads: dict[str, bytes]
    evidence: bytes
    signer_of: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, bytes] = field(default_factory=dict)
    trusted: tuple[str, ...] = ("data-owner", "trainer", "auditor")
    at: dt.datetime = NOW
    now: dt.datetime = NOW
    held: tuple[bytes, ...] = ()
    beacons: tuple[BeaconVerifier, ...] = ()
    challenge: Challenge | None = None

    def sign(self, name: str, payload: bytes) -> bytes:
        return self.signers[self.signer_of.get(name, "auditor")].sign(payload)

    def stored(self) -> list[StoredBundle]:
        everything = {**self.payloads, "evidence": self.evidence}
        made = {name: self.sign(name, payload) for name, payload in everything.items()} | self.bundles
        return [StoredBundle(source=f"{name}.sigstore.json", data=data) for name, data in made.items()]

    def verify(self) -> Verification:
        identities = {name: self.signers[name].verifier() for name in self.trusted}
        trust = TrustMaterial(
            identities=identities,
            at=self.at,
            now=self.now,
            held=self.held,
            beacons=self.beacons,
            challenge=self.challenge,
        )
        return verify_bundles(self.stored(), trust)

    # --- what cases are made of ---------------------------------------------------------------------------------------

    def bundle(self, name: str) -> Any:
        payload = self.evidence if name == "evidence" else self.payloads[name]
        return json.loads(self.sign(name, payload))

    def put(self, name: str, bundle: Any) -> None:
        self.bundles[name] = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()

    def predicate(self, **changes: Any) -> None:
        """Edit the evidence predicate and sign it again: only the binding and the quote are left to refuse it."""
        document = _codec.loads(self.evidence)
        for key, value in changes.items():
            if value is None:
                del document["predicate"][key]
            else:
                document["predicate"][key] = value
        self.evidence = _codec.dumps(document)

    def subjects(self, change: Callable[[list[Any]], list[Any]]) -> None:
        document = _codec.loads(self.evidence)
        document["subject"] = change(document["subject"])
        self.evidence = _codec.dumps(document)

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit the text of a payload; the text must be there."""
        text = self.payloads[name].decode()
        assert old in text
        self.payloads[name] = text.replace(old, new, 1).encode()


def quoted(vendor: SimulatedVendor, payloads: dict[str, bytes], nonce: Nonce = NONCE) -> Run:
    report_data = binding.report_data(nonce.value, statements=[_codec.sha256_hex(item) for item in payloads.values()])
    named = [
        NamedPayload(name=f"{index:02d}-{name}", payload=item) for index, (name, item) in enumerate(payloads.items())
    ]
    evidence = Evidence(media_type=MEDIA_TYPE, quote=vendor.quote(report_data), collateral=vendor.collateral())
    return Run(statements=tuple(named), nonce=nonce, evidence=evidence, quoted_at="2026-11-22T06:00:00Z")


@pytest.fixture(scope="module")
def keys() -> dict[str, KeySigner]:
    return {role: KeySigner.load(generate(None), None) for role in ROLES}


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor(NOW)


@pytest.fixture
def world(keys: dict[str, KeySigner], vendor: SimulatedVendor) -> World:
    made = chain.census()
    payloads = {"evaluation": made["evaluation"], "datasheet": made["test"]}
    return World(vendor=vendor, signers=keys, payloads=payloads, evidence=evidence_statement(quoted(vendor, payloads)))


# --- the cases: each changes the world in one way ---------------------------------------------------------------------

Case = Callable[[World], None]
ATTACKS: dict[str, Case] = {}


def case(attack: Case) -> Case:
    name = attack.__name__
    refused = "_fail" if name.endswith("_fail") else ""
    ATTACKS[name.removesuffix("_fail").replace("_", "-") + refused] = attack
    return attack


@case
def untouched(world: World) -> None:
    del world


@case
def order_and_strangers(world: World) -> None:
    world.put("stranger", {"mediaType": "application/vnd.other+json"})
    world.put("noise", b"\x00\xff")
    world.payloads = dict(reversed(world.payloads.items()))


@case
def signed_by_two(world: World) -> None:
    world.put("again", world.signers["trainer"].sign(world.payloads["evaluation"]))


@case
def other_key_fail(world: World) -> None:
    world.signer_of["evaluation"] = "outsider"


@case
def hint_of_another_fail(world: World) -> None:
    payload = world.payloads["evaluation"]
    bundle = json.loads(world.signers["trainer"].sign(payload))
    bundle["verificationMaterial"]["publicKey"]["hint"] = world.signers["auditor"].key_id
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = world.signers["auditor"].key_id
    world.put("evaluation", bundle)


@case
def signature_of_another_statement_fail(world: World) -> None:
    bundle, other = world.bundle("evaluation"), world.bundle("datasheet")
    bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    world.put("evaluation", bundle)


@case
def payload_of_another_statement_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    edited = world.payloads["evaluation"].replace(b"0.855", b"0.955", 1)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(edited).decode()
    world.put("evaluation", bundle)


@case
def two_signatures_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    bundle["dsseEnvelope"]["signatures"] *= 2
    world.put("evaluation", bundle)


@case
def no_signature_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    bundle["dsseEnvelope"]["signatures"] = []
    world.put("evaluation", bundle)


@case
def payload_type_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    bundle["dsseEnvelope"]["payloadType"] = "application/json"
    world.put("evaluation", bundle)


@case
def payload_type_signed_fail(world: World) -> None:
    payload, kind = world.payloads["evaluation"], "text/plain"
    auditor = world.signers["auditor"]
    signature = auditor._key.sign(pae(kind, payload), ec.ECDSA(hashes.SHA256()))
    bundle = json.loads(make_bundle(payload, signature=signature, key_hint=auditor.key_id))
    bundle["dsseEnvelope"]["payloadType"] = kind
    world.put("evaluation", bundle)


@case
def stripped_key_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    del bundle["verificationMaterial"]["publicKey"]
    world.put("evaluation", bundle)


@case
def foreign_certificate_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    bundle["verificationMaterial"]["certificate"] = {"rawBytes": "AAAA"}
    world.put("evaluation", bundle)


@case
def foreign_message_fail(world: World) -> None:
    bundle = world.bundle("evaluation")
    bundle["messageSignature"] = {"signature": "AAAA"}
    world.put("evaluation", bundle)


@case
def evidence_by_an_outsider_fail(world: World) -> None:
    world.signer_of["evidence"] = "outsider"


@case
def no_evidence_fail(world: World) -> None:
    world.put("evidence", b"{}")


@case
def statement_byte_changed_fail(world: World) -> None:
    world.replace("evaluation", "0.855", "0.856")


@case
def statement_respelled_fail(world: World) -> None:
    world.payloads["evaluation"] = json.dumps(json.loads(world.payloads["evaluation"]), indent=1).encode()


@case
def quote_of_another_run_fail(world: World) -> None:
    other = quoted(world.vendor, {"training": chain.census()["training"]})
    world.predicate(quote=to_wire_content(MEDIA_TYPE, other.evidence.quote))


@case
def evidence_of_another_run_fail(world: World) -> None:
    world.evidence = evidence_statement(quoted(world.vendor, {"training": chain.census()["training"]}))


@case
def list_reordered_fail(world: World) -> None:
    world.subjects(lambda subjects: subjects[::-1])


@case
def list_lengthened_fail(world: World) -> None:
    extra = {"name": "02-more", "digest": {"sha256": _codec.sha256_hex(chain.census()["training"])}}
    world.subjects(lambda subjects: [*subjects, extra])


@case
def list_shortened_fail(world: World) -> None:
    world.subjects(lambda subjects: subjects[:1])


@case
def digest_swapped_fail(world: World) -> None:
    edited = world.payloads["evaluation"].replace(b"0.855", b"0.955", 1)
    world.payloads["evaluation"] = edited
    digest = {"sha256": _codec.sha256_hex(edited)}
    world.subjects(lambda subjects: [{**subjects[0], "digest": digest}, *subjects[1:]])


@case
def nonce_changed_fail(world: World) -> None:
    world.predicate(nonce=base64.b64encode(bytes(32)).decode())


@case
def nonce_short_fail(world: World) -> None:
    world.predicate(nonce=base64.b64encode(bytes(15)).decode())


@case
def nonce_absent_fail(world: World) -> None:
    world.predicate(nonce=None)


@case
def device_evidence_fail(world: World) -> None:
    world.predicate(deviceEvidence=[to_wire_content(NVIDIA_REPORT_MEDIA_TYPE, b"a report")])


@case
def quote_media_type_fail(world: World) -> None:
    quote = _codec.loads(world.evidence)["predicate"]["quote"]
    world.predicate(quote={**quote, "mediaType": "application/vnd.lamslsa.quote.tdx+bin"})


@case
def quote_digest_fail(world: World) -> None:
    quote = _codec.loads(world.evidence)["predicate"]["quote"]
    world.predicate(quote={**quote, "digest": {"sha256": "0" * 64}})


@case
def quote_bit_fail(world: World) -> None:
    quote = bytearray(base64.b64decode(_codec.loads(world.evidence)["predicate"]["quote"]["content"]))
    quote[100] ^= 1
    world.predicate(quote=to_wire_content(MEDIA_TYPE, bytes(quote)))


@case
def collateral_absent_fail(world: World) -> None:
    world.predicate(collateral=None)


@case
def collateral_of_the_verifier(world: World) -> None:
    world.predicate(collateral=None)
    world.held = (world.vendor.collateral(),)


@case
def collateral_of_the_verifier_wins_fail(world: World) -> None:
    world.held = (world.vendor.collateral(revoked=["pck"]),)


@case
def collateral_of_another_vendor_fail(world: World) -> None:
    other = SimulatedVendor(NOW).collateral()
    world.predicate(collateral=to_wire_content(COLLATERAL_MEDIA_TYPE, other))


@case
def collateral_media_type_fail(world: World) -> None:
    world.predicate(collateral=to_wire_content("application/json", world.vendor.collateral()))


@case
def collateral_expired_fail(world: World) -> None:
    world.at = NOW + dt.timedelta(days=60)


@case
def collateral_of_the_verifier_from_another_time(world: World) -> None:
    later = NOW + dt.timedelta(days=90)
    world.held = (world.vendor.collateral(window=(later, later + dt.timedelta(days=30))),)


@case
def collateral_of_the_verifier_about_another_platform(world: World) -> None:
    world.held = (SimulatedVendor(NOW).collateral(revoked=["pck"]), b"no collateral")


@case
def collateral_of_a_nitro_document_fail(world: World) -> None:
    world.predicate(quote=to_wire_content(NITRO_DOCUMENT_MEDIA_TYPE, b"a document"))


@case
def event_log_fail(world: World) -> None:
    world.predicate(eventLog=to_wire_content(CCEL_MEDIA_TYPE, b"a log"))


@case
def event_log_media_type_fail(world: World) -> None:
    world.predicate(eventLog=to_wire_content("text/plain", b"a log"))


@case
def beacon_of_another_nonce_fail(world: World) -> None:
    world.predicate(freshness=to_wire_content(BEACON_CHECKPOINT_MEDIA_TYPE, b"a checkpoint"))


@case
def beacon_too_large_fail(world: World) -> None:
    world.predicate(freshness=to_wire_content(BEACON_CHECKPOINT_MEDIA_TYPE, b"a" * 65537))


@case
def beacon_digest_fail(world: World) -> None:
    beacon = to_wire_content(BEACON_CHECKPOINT_MEDIA_TYPE, b"a checkpoint")
    world.predicate(freshness={**beacon, "digest": {"sha256": "0" * 64}})


@case
def beacon(world: World) -> None:
    nonce = Nonce.of_beacon(b"a checkpoint")
    world.evidence = evidence_statement(quoted(world.vendor, world.payloads, nonce))


@case
def gpu_as_quote_fail(world: World) -> None:
    world.predicate(quote=to_wire_content(NVIDIA_REPORT_MEDIA_TYPE, b"a report"))


@case
def azure_fail(world: World) -> None:
    world.predicate(quote=to_wire_content("application/vnd.lamslsa.quote.azure-hcl+bin", b"a report"))


@case
def duplicate_key_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model"', '"kind":"model","kind":"model"')


@case
def not_a_number_fail(world: World) -> None:
    world.replace("evaluation", '"value":0.855', '"value":NaN')


@case
def infinity_fail(world: World) -> None:
    world.replace("evaluation", '"value":0.855', '"value":-Infinity')


@case
def overflow_fail(world: World) -> None:
    world.replace("evaluation", '"value":0.855', '"value":1e400')


@case
def large_integer_fail(world: World) -> None:
    world.replace("evaluation", '"samples":16281', '"samples":9007199254740993')


@case
def number_as_string_fail(world: World) -> None:
    world.replace("evaluation", '"value":0.855', '"value":"0.855"')


@case
def number_as_true_fail(world: World) -> None:
    world.replace("evaluation", '"samples":16281', '"samples":true')


@case
def samples_null_fail(world: World) -> None:
    world.replace("evaluation", '"samples":16281', '"samples":null')


@case
def field_absent_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model",', "")


@case
def nesting_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model"', '"deep":' + "[" * 100 + "]" * 100 + ',"kind":"model"')


@case
def nesting_of_3_mb_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model"', '"deep":' + "[" * 1_500_000 + "]" * 1_500_000 + ',"kind":"model"')


@case
def nesting_of_10_mb_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model"', '"deep":' + "[" * 5_000_000 + "]" * 5_000_000 + ',"kind":"model"')


@case
def predicate_version_fail(world: World) -> None:
    world.replace("evaluation", "https://lamslsa.dev/evaluation/v1", "https://lamslsa.dev/evaluation/v2")


@case
def second_subject_fail(world: World) -> None:
    document = _codec.loads(world.payloads["evaluation"])
    document["subject"].append({"name": "other", "digest": {"sha256": "0" * 64}})
    world.payloads["evaluation"] = _codec.dumps(document)


@case
def second_digest_fail(world: World) -> None:
    document = _codec.loads(world.payloads["evaluation"])
    document["subject"][0]["digest"]["sha512"] = "0" * 128
    world.payloads["evaluation"] = _codec.dumps(document)


@case
def statement_version_fail(world: World) -> None:
    world.replace("evaluation", "https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@case
def assurance_written_by_the_prover_fail(world: World) -> None:
    world.replace("evaluation", '"kind":"model"', '"assurance":"tee","hardware":true,"kind":"model"')


def to_wire_content(media_type: str, data: bytes) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "content": base64.b64encode(data).decode(),
        "digest": {"sha256": _codec.sha256_hex(data)},
    }


@pytest.mark.parametrize("name", CASES)
def test_vector(world: World, name: str) -> None:
    expected = json.loads((VECTORS / name / "case.json").read_bytes())
    ATTACKS[name](world)
    outcome = world.verify()
    evaluations = [item for item in outcome.attestations if item.statement.predicate_type.endswith("/evaluation/v1")]
    covered = [item for item in evaluations if item.evidence]
    assert {
        "signed": bool(evaluations),
        "covered": bool(covered),
        "setAside": sorted({item.reason for item in outcome.set_aside}),
    } == {key: expected[key] for key in ("signed", "covered", "setAside")}
    assert bool(covered) is not name.endswith("_fail")


def test_a_file_that_cannot_be_read_is_set_aside_and_hides_nothing(world: World, tmp_path: Path) -> None:
    for bundle in world.stored():
        assert isinstance(bundle.data, bytes)
        (tmp_path / bundle.source).write_bytes(bundle.data)
    (tmp_path / "aa.sigstore.json").write_bytes(bytes(16 * 1024 * 1024 + 1))
    trust = TrustMaterial(identities={"auditor": world.signers["auditor"].verifier()}, at=NOW, now=NOW)
    outcome = verify_bundles(DirectoryStore(tmp_path).bundles(), trust)
    assert [item.reason for item in outcome.set_aside] == ["store-size"]
    assert all(item.evidence for item in outcome.attestations)
    assert len(outcome.attestations) == 2


def test_bundles_past_the_limit_are_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_BUNDLES", 3)
    garbage = [StoredBundle(source="a.intoto.jsonl", data=b"x\n" * 4000)]
    trust = TrustMaterial(identities={"auditor": world.signers["auditor"].verifier()}, at=NOW, now=NOW)
    outcome = verify_bundles([*garbage, *world.stored()], trust)
    assert outcome.attestations == ()
    assert [item.reason for item in outcome.set_aside] == ["bundle-line"] * 3 + ["bundles-too-many"]


def test_every_case_is_a_folder_and_every_folder_a_case() -> None:
    assert set(ATTACKS) == set(CASES)


def test_signers_of_the_same_bytes_add_up(world: World) -> None:
    signed_by_two(world)
    (evaluation,) = (
        item for item in world.verify().attestations if item.statement.payload == world.payloads["evaluation"]
    )
    assert evaluation.signers == {"auditor", "trainer"}
    assert len(evaluation.sources) == 2


def test_claims_say_simulated_and_name_the_root(world: World) -> None:
    for item in world.verify().attestations:
        (evidence,) = item.evidence
        assert evidence.claims.simulated
        assert evidence.claims.root == world.vendor.root.sha256
        assert set(evidence.covers) == {_codec.sha256_hex(payload) for payload in world.payloads.values()}


def test_the_evidence_statement_is_what_its_specification_says(world: World) -> None:
    parsed = statement.parse(world.evidence)
    assert parsed.predicate_type == PREDICATE_TYPE
    assert [subject.sha256 for subject in parsed.subjects] == [
        _codec.sha256_hex(payload) for payload in world.payloads.values()
    ]


# --- how the platform stands now, and since when evidence can exist ---------------------------------------------------


def evidence_of(world: World) -> VerifiedEvidence:
    (evidence,) = {item.evidence[0].statement: item.evidence[0] for item in world.verify().attestations}.values()
    return evidence


def test_standing_is_that_of_the_snapshot_while_it_is_valid(world: World) -> None:
    assert evidence_of(world).standing == Standing(revoked=False, advisories=(), tcb_evaluation_data_number=17)


def test_standing_is_unknown_once_the_snapshot_has_expired(world: World) -> None:
    world.now = NOW + dt.timedelta(days=60)
    evidence = evidence_of(world)
    assert evidence.standing is None
    assert "valid at" in evidence.standing_message


def held_later(world: World, **changes: Any) -> None:
    world.now = NOW + dt.timedelta(days=60)
    window = (world.now - dt.timedelta(days=1), world.now + dt.timedelta(days=29))
    world.held += (world.vendor.collateral(window=window, **changes),)


def test_a_platform_that_was_revoked_since(world: World) -> None:
    held_later(world, revoked=["pck"])
    evidence = evidence_of(world)
    assert evidence.claims.tcb_status == "UpToDate", "as of its own time"
    assert evidence.standing is not None
    assert evidence.standing.revoked


def test_the_newest_endorsements_speak_and_one_that_revokes_is_enough(world: World) -> None:
    held_later(world, evaluation_data_number=19, advisories=("INTEL-SA-2",))
    held_later(world, evaluation_data_number=18, advisories=("INTEL-SA-1",))
    assert evidence_of(world).standing == Standing(
        revoked=False, advisories=("INTEL-SA-2",), tcb_evaluation_data_number=19
    )
    held_later(world, evaluation_data_number=17, revoked=["pck"])
    standing = evidence_of(world).standing
    assert standing is not None
    assert standing.revoked
    assert standing.tcb_evaluation_data_number == 19


@pytest.mark.parametrize("role", ["pck", "pck-ca", "tcb-signing"])
def test_a_revocation_counts_whichever_platform_it_came_with(world: World, role: Role) -> None:
    world.held = (world.vendor.collateral(revoked=[role], tcb_info={"fmspc": "001122334455"}),)
    standing = evidence_of(world).standing
    assert standing is not None
    assert standing.revoked
    world.now = NOW + dt.timedelta(days=60)
    assert evidence_of(world).standing == Standing(revoked=True), "also where nothing else says how the platform stands"


def test_what_another_vendor_revokes_is_nothing_to_this_platform(world: World) -> None:
    world.held = (SimulatedVendor(NOW).collateral(revoked=["pck", "pck-ca", "tcb-signing"]),)
    assert evidence_of(world).standing == Standing(revoked=False, tcb_evaluation_data_number=17)


def test_what_the_verifier_holds_is_asked_before_what_the_prover_chose(world: World) -> None:
    world.held = (world.vendor.collateral(tcb_status="OutOfDate", evaluation_data_number=18),)
    assert evidence_of(world).claims.tcb_status == "OutOfDate"


@dataclass(frozen=True, slots=True)
class Source:
    """A source of beacons that knows one of them."""

    data: bytes

    def time(self, beacon: Beacon) -> dt.datetime:
        if beacon.data != self.data:
            raise VerificationError("expected a beacon of this source, got another", reason="beacon-source")
        return NOW - dt.timedelta(hours=3)


def with_beacon(world: World) -> None:
    world.evidence = evidence_statement(quoted(world.vendor, world.payloads, Nonce.of_beacon(b"a checkpoint")))


def test_a_beacon_of_a_named_source_bounds_the_age(world: World) -> None:
    with_beacon(world)
    world.beacons = (Source(b"another"), Source(b"a checkpoint"))
    assert evidence_of(world).freshness == Freshness(not_before=NOW - dt.timedelta(hours=3))


@pytest.mark.parametrize(("sources", "message"), [((), "no source"), ((Source(b"another"),), "of this source")])
def test_a_beacon_of_no_named_source_bounds_nothing(
    world: World, sources: tuple[BeaconVerifier, ...], message: str
) -> None:
    with_beacon(world)
    world.beacons = sources
    freshness = evidence_of(world).freshness
    assert freshness.not_before is None
    assert message in freshness.message


def test_a_challenge_bounds_the_age_of_what_answers_it(world: World) -> None:
    issued = NOW - dt.timedelta(minutes=5)
    world.challenge = Challenge(nonce=NONCE.value, issued_at=issued)
    assert evidence_of(world).freshness == Freshness(not_before=issued)
    world.challenge = Challenge(nonce=bytes(32), issued_at=issued)
    assert evidence_of(world).freshness.not_before is None
    assert "not that of the challenge" in evidence_of(world).freshness.message


def test_with_a_challenge_no_beacon_counts(world: World) -> None:
    with_beacon(world)
    world.beacons = (Source(b"a checkpoint"),)
    world.challenge = Challenge(nonce=bytes(32), issued_at=NOW)
    freshness = evidence_of(world).freshness
    assert freshness.not_before is None
    assert "not that of the challenge" in freshness.message


def test_a_nonce_by_chance_bounds_nothing(world: World) -> None:
    world.beacons = (Source(b""),)
    assert evidence_of(world).freshness.not_before is None

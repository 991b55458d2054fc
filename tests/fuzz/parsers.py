"""What takes a format apart, as functions of bytes: a value, or a `LamslsaError`.

Anything else is a fault, and so is a value that the bytes do not have: one value with two spellings, or a beacon that
looks younger than its signer said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

from cryptography.x509 import Certificate, CertificateRevocationList

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence.nonce import Beacon
from lamslsa.predicates import tee_evidence
from tests.fuzz import seeds
from tests.fuzz.mutate import encode_cbor, split
from tests.fuzz.seeds import NOW

__all__ = [
    "attempt",
    "cbor",
    "certificate",
    "checkpoint",
    "corim",
    "corim_key",
    "cut",
    "dcap_collateral",
    "describe",
    "dice",
    "enclave_manifest",
    "event_log",
    "gpu_manifest",
    "gpu_messages",
    "gpu_report",
    "gpu_text",
    "job",
    "kds",
    "launch",
    "nitro_document",
    "pcs",
    "pem",
    "platform_of_quote",
    "require",
    "revocation_list",
    "root",
    "sgx_quote",
    "sigstruct",
    "snp_certificates",
    "snp_collateral",
    "snp_report",
    "snp_table",
    "statements",
    "tdx_quote",
    "timestamp",
    "timestamp_authority",
    "witness_policy",
]

P = ParamSpec("P")
T = TypeVar("T")


def attempt(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """The value; None where it is refused."""
    try:
        return call(*args, **kwargs)
    except LamslsaError:
        return None


def require(holds: bool, what: str) -> None:
    """Fail unless it holds; unlike an assertion, whatever the interpreter's options."""
    if not holds:
        raise AssertionError(what)


def sgx_quote(data: bytes) -> object:
    from lamslsa.evidence.sgx.parse import parse

    return parse(data).report.measurement


def tdx_quote(data: bytes) -> object:
    from lamslsa.evidence.tdx.parse import parse

    return parse(data).report.measurement


def event_log(data: bytes) -> object:
    from lamslsa.evidence.tdx.ccel import parse, replay

    events = parse(data)
    return replay(events), [event.measures_its_data for event in events[:64]]


def snp_report(data: bytes) -> object:
    from lamslsa.evidence.snp.parse import PRODUCTS, parse, parse_tcb

    report = parse(data)
    return report, [attempt(parse_tcb, report.reported_tcb, product) for product in PRODUCTS]


def snp_collateral(data: bytes) -> object:
    from lamslsa.evidence.snp.certificates import load_path
    from lamslsa.evidence.snp.collateral import completed, parse

    completed(data, seeds.snp()[4])
    return load_path(parse(data))


def snp_table(data: bytes) -> object:
    from lamslsa.evidence.snp.collateral import from_certificate_table, parse_certificate_table

    parse_certificate_table(data)
    return from_certificate_table(data)


def snp_certificates(data: bytes) -> object:
    from lamslsa.evidence.snp.collateral import from_certificates

    leaf, chain = split(data, 2)
    return from_certificates(leaf, chain)


def nitro_document(data: bytes) -> object:
    from lamslsa.evidence.nitro.parse import parse

    return parse(data).parts


def cbor(data: bytes) -> object:
    from lamslsa.evidence._cbor import loads

    value = loads(data, what="input")
    require(encode_cbor(value) == data, "one value with two spellings")
    return value


def gpu_report(data: bytes) -> object:
    from lamslsa.evidence.nvidia.parse import parse

    return parse(data)


def gpu_messages(data: bytes) -> object:
    from lamslsa.evidence.nvidia.parse import parse_report

    report = parse_report(data)
    require(report.signed + report.signature == data, "bytes that are neither signed nor signature")
    return report


def gpu_text(data: bytes) -> object:
    from lamslsa.evidence.nvidia.collect import from_text

    report, chain = (part.decode("utf-8", "replace") for part in split(data, 2))
    return from_text(report, chain)


def gpu_manifest(data: bytes) -> object:
    from lamslsa.evidence.nvidia.rim import parse

    return parse(data)


def dice(data: bytes) -> object:
    from lamslsa.evidence._x509 import load_certificate
    from lamslsa.evidence.nvidia.dice import elements, fwid_of

    attempt(elements, data)
    return fwid_of(load_certificate(data, what="input"))


def certificate(data: bytes) -> object:
    """A certificate by itself, under and above those of the seeds."""
    from lamslsa.evidence._x509 import load_certificate, revoked_serials, verify_path

    loaded = load_certificate(data, what="input")
    for other in _certificates()[:4]:
        attempt(verify_path, [loaded, other], at=NOW, what="input")
    attempt(verify_path, [loaded], at=NOW, what="input", to_authority=True)
    for revocations in _revocation_lists():
        attempt(revoked_serials, revocations, issuer=loaded, at=NOW, what="input")
    return loaded


def revocation_list(data: bytes) -> object:
    """A revocation list; what its issuer signed says what one of the seeds says."""
    from lamslsa.evidence._x509 import load_revocation_list, revoked_serials

    loaded = load_revocation_list(data, what="input")
    pairs = [
        (item, issuer) for item in _revocation_lists() for issuer in _certificates() if item.issuer == issuer.subject
    ]
    known = [revoked_serials(item, issuer=issuer, at=NOW, what="a seed") for item, issuer in pairs]
    for _, issuer in pairs:
        found = attempt(revoked_serials, loaded, issuer=issuer, at=NOW, what="input")
        require(found is None or found in known, f"a list that its issuer did not sign: {found}")
    return loaded


@lru_cache(maxsize=1)
def _certificates() -> list[Certificate]:
    from lamslsa.evidence._x509 import load_certificate

    return [load_certificate(der, what="a seed") for der in seeds.certificates()]


@lru_cache(maxsize=1)
def _revocation_lists() -> list[CertificateRevocationList]:
    from lamslsa.evidence._x509 import load_revocation_list

    return [load_revocation_list(der, what="a seed") for der in seeds.revocation_lists()]


def pem(data: bytes) -> object:
    from lamslsa.evidence._pem import parse_chain, render_chain

    found = parse_chain(data, what="input")
    require(render_chain(found) == data, "one chain with two spellings")
    return found


def dcap_collateral(data: bytes) -> object:
    from lamslsa.evidence.collateral import parse

    return parse(data)


def root(data: bytes) -> object:
    from lamslsa.evidence.roots import load_root

    return load_root(data)


def sigstruct(data: bytes) -> object:
    from lamslsa.evidence.sgx.sigstruct import verify

    found = verify(data)
    known = [verify(item) for item in (*seeds.sigstruct(), *seeds.real("sigstruct/gramine.sig"))]
    require(found in known, f"a SIGSTRUCT that nobody signed: {found}")
    return found.proposal()


def launch(data: bytes) -> object:
    from lamslsa.evidence.launch import parse

    proposal = parse(data)
    return proposal, attempt(proposal.complete, {})


def corim(data: bytes) -> object:
    from lamslsa.evidence.corim import read

    *_, signed, key = seeds.corim()
    found = attempt(read, data, key=key, at=NOW)
    require(found is None or found == read(signed, key=key, at=NOW), "a CoRIM that the key did not sign")
    proposal = read(data, key=None, at=NOW).proposal
    return proposal, attempt(proposal.complete, {})


def corim_key(data: bytes) -> object:
    from lamslsa.evidence.corim import read

    found = read(seeds.corim()[3], key=data, at=NOW)
    require(found.signature == "verified", "a signature that was not looked at")
    return found


def timestamp_authority(data: bytes) -> object:
    from lamslsa.evidence.beacon import TimestampAuthority

    authority = TimestampAuthority.load(data)
    return authority, attempt(authority.time, _stamped(seeds.timestamp()[1]))


def timestamp(data: bytes) -> object:
    from lamslsa.evidence.beacon import TimestampAuthority

    authority = TimestampAuthority.load(seeds.timestamp()[0])
    found = authority.time(_stamped(data))
    known = [authority.time(_stamped(item)) for item in seeds.timestamp()[1:]]
    require(found in known, f"a time that the authority did not state: {found}")
    return found


def _stamped(data: bytes) -> Beacon:
    return Beacon(media_type=tee_evidence.BEACON_TIMESTAMP_MEDIA_TYPE, data=data)


def witness_policy(data: bytes) -> object:
    from lamslsa.evidence.beacon import WitnessedLog

    log = WitnessedLog.load(data)
    return log, attempt(log.time, _cosigned(seeds.log()[1]))


def checkpoint(data: bytes) -> object:
    from lamslsa.evidence.beacon import WitnessedLog

    policy, cosigned = seeds.log()
    log = WitnessedLog.load(policy)
    found = log.time(_cosigned(data))
    require(found <= log.time(_cosigned(cosigned)), f"a checkpoint that looks younger than it is: {found}")
    return found


def _cosigned(data: bytes) -> Beacon:
    return Beacon(media_type=tee_evidence.BEACON_CHECKPOINT_MEDIA_TYPE, data=data)


def statements(data: bytes) -> object:
    """A statement, its predicate, and what a reference value or evidence makes of it."""
    from lamslsa.evidence.beacon import WitnessedLog
    from lamslsa.evidence.reference import measurement_of
    from lamslsa.evidence.verify import EvidenceTrust, verify_evidence

    parsed = statement.parse(data)
    predicate = predicates.parse(parsed)
    if isinstance(predicate, predicates.ReferenceValues):
        return measurement_of(parsed, predicate)
    if isinstance(predicate, predicates.TeeEvidence):
        covers = tuple(subject.sha256 for subject in parsed.subjects)
        trust = EvidenceTrust(at=NOW, now=NOW, beacons=(WitnessedLog.load(seeds.log()[0]),))
        found = attempt(verify_evidence, predicate, statement=parsed.sha256, covers=covers, trust=trust)
        require(found is None or covers == (seeds.COVERED,), "evidence for a statement that no quote covers")
        return predicate, found
    return predicate


def describe(data: bytes) -> object:
    from lamslsa import describe as descriptions

    around = descriptions.Surroundings(at=NOW, now=NOW, held=(seeds.sgx()[1], seeds.snp()[1]), keys={})
    attempt(descriptions.describe_evidence, data, around)
    found = descriptions.describe(data, around)
    return json.dumps(found.document(), allow_nan=False, ensure_ascii=False).encode("utf-8")


def platform_of_quote(data: bytes) -> object:
    from lamslsa.fetch.quotes import Quote, platform_of

    types = (tee_evidence.SGX_QUOTE_MEDIA_TYPE, tee_evidence.TDX_QUOTE_MEDIA_TYPE, tee_evidence.SNP_REPORT_MEDIA_TYPE)
    found = [attempt(platform_of, Quote(source="input", media_type=kind, data=data)) for kind in types]
    return _or_refuse([platform for platform in found if platform])


def _or_refuse(found: T) -> T:
    if not found:
        raise FormatError("expected something, got nothing", reason="fuzz")
    return found


@dataclass(frozen=True, slots=True)
class _Server:
    """Answers from memory: by a word of the URL, the body and the chain for its headers."""

    answers: Mapping[str, tuple[bytes, bytes]]

    def get(self, url: str, *, limit: int) -> Any:
        from urllib.parse import quote

        from lamslsa.fetch.interface import Response

        body, chain = next(answer for word, answer in self.answers.items() if word in url)
        if len(body) > limit:
            raise FormatError("expected fewer bytes", reason="fetch-size")
        names = ("tcb-info-issuer-chain", "sgx-enclave-identity-issuer-chain", "sgx-pck-crl-issuer-chain")
        return Response(body=body, headers=dict.fromkeys(names, quote(chain)))


def pcs(data: bytes) -> object:
    from lamslsa.evidence.collateral import parse
    from lamslsa.fetch.cache import Fetcher
    from lamslsa.fetch.interface import IntelPlatform
    from lamslsa.fetch.pcs import ProvisioningService

    info, info_chain, identity, identity_chain, revoked, revoked_chain, root_list = split(data, 7)
    answers = {"/tcb?": (info, info_chain), "/qe/": (identity, identity_chain), "/pckcrl": (revoked, revoked_chain)}
    service = ProvisioningService(Fetcher(_Server(answers | {"": (root_list, b"")}), now=NOW), base="https://localhost")
    return service.collateral(IntelPlatform(tee="sgx", fmspc=parse(seeds.sgx()[1]).fmspc, ca="platform"))


def kds(data: bytes) -> object:
    from lamslsa.fetch.cache import Fetcher
    from lamslsa.fetch.interface import AmdPlatform, Chip
    from lamslsa.fetch.kds import KeyDistributionService

    chain, revoked, leaf = split(data, 3)
    server = _Server({"/cert_chain": (chain, b""), "/crl": (revoked, b""), "": (leaf, b"")})
    chip = Chip(hardware_id="53" * 64, versions=(("blSPL", 4),))
    service = KeyDistributionService(Fetcher(server, now=NOW))
    return service.collateral(AmdPlatform(product="Milan", key="vcek", chip=chip))


def cut(data: bytes) -> object:
    from lamslsa.fetch import pcs as service

    value = _codec.loads(data)
    members = list(value.items())[:8] if isinstance(value, dict) else []
    for key, member in members:
        require(json.loads(service.cut(data.decode("utf-8"), key)) == member, "not the member that was asked for")
    return _or_refuse(members)


def enclave_manifest(data: bytes) -> object:
    from lamslsa.enclave.manifest import parse_manifest

    return parse_manifest(data)


def job(data: bytes) -> object:
    from lamslsa.enclave.job import Job

    found = Job.parse(data)
    require(Job.parse(found.dumps()) == found, "a job that reads back as another one")
    return found

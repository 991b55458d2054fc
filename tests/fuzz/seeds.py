"""Valid inputs that mutations start from: evidence of the simulated vendors, made at run time, and real files in place.

Where ``LAMSLSA_FUZZ_KEPT`` names a folder, what was made with chance (keys, signatures) is kept there, so that an input
that was found today can be tried again tomorrow under the same keys.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import os
import runpy
import struct
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lamslsa import _codec, statement
from lamslsa.evidence import binding
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.reference import make_statement
from lamslsa.predicates import TeeEvidence, tee_evidence, to_wire
from lamslsa.predicates._common import Digest
from lamslsa.predicates.reference_values import MEASURE_VOUCHES, EnclaveBuild
from lamslsa.predicates.tee_evidence import Content
from lamslsa.statement import Subject
from tests.fuzz.mutate import encode_cbor, join, split

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED: Final = (ROOT / os.environ.get("LAMSLSA_SHARED", "../shared")).resolve()
NOW: Final = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
NONCE: Final = bytes(range(32))
COVERED: Final = "11" * 32
_REPORT_DATA: Final = binding.report_data(NONCE, statements=[COVERED])
_MINUTE: Final = dt.timedelta(minutes=1)


def real(*names: str) -> list[bytes]:
    """Files of the shared folder with real evidence, as far as they are there."""
    paths = [SHARED / "evidence" / name for name in names]
    return [path.read_bytes() for path in paths if path.is_file()]


def real_gpu() -> list[bytes]:
    """The genuine GPU report as it travels."""
    from lamslsa.evidence.nvidia.collect import from_text

    found = real("nvidia/hopperAttestationReport.txt", "nvidia/hopperCertChain.txt")
    return [from_text(found[0].decode("ascii"), found[1].decode("ascii"))] if len(found) == 2 else []


def kept(name: str, count: int) -> Callable[[Callable[[], Sequence[bytes]]], Callable[[], list[bytes]]]:
    """Made once for all targets of a run, and kept for later ones where there is a folder for that."""

    def wrap(make: Callable[[], Sequence[bytes]]) -> Callable[[], list[bytes]]:
        @lru_cache(maxsize=1)
        def made() -> list[bytes]:
            folder = os.environ.get("LAMSLSA_FUZZ_KEPT")
            if folder is None:
                return list(make())
            path = Path(folder) / name
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(join(*make()))
            return split(path.read_bytes(), count)

        return made

    return wrap


@kept("sgx", 3)
def sgx() -> list[bytes]:
    """Quote; collateral; collateral that revokes."""
    from lamslsa.testing.simulated import SimulatedVendor

    vendor = SimulatedVendor(NOW)
    return [
        vendor.quote(_REPORT_DATA),
        vendor.collateral(advisories=("INTEL-SA-1",)),
        vendor.collateral(revoked=["pck"]),
    ]


@kept("tdx", 5)
def tdx() -> list[bytes]:
    """Quotes of version 4 and 5; collateral; event log; a quote whose registers it replays to."""
    from lamslsa.evidence.tdx.ccel import Event, replay
    from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor, render_event_log

    def event(register: int, kind: int, text: bytes) -> Event:
        return Event(register=register, kind=kind, digest=hashlib.sha384(text).digest(), data=text)

    events = [
        event(register, kind, b"event %d" % kind) for register, kind in ((1, 8), (2, 3), (2, 13), (3, 13), (4, 6))
    ]
    vendor = SimulatedTdxVendor(NOW)
    domain = dataclasses.replace(TRUST_DOMAIN, rtmrs=replay(events))
    quotes = [vendor.quote(_REPORT_DATA, version=version) for version in (4, 5)]
    return [*quotes, vendor.collateral(), render_event_log(events, size=800), vendor.quote(_REPORT_DATA, domain=domain)]


@kept("snp", 6)
def snp() -> list[bytes]:
    """Report and collateral under a VCEK; the same under a VLEK; collateral without leaf; collateral that revokes."""
    from lamslsa.evidence.simulated.snp_report import SnpChip
    from lamslsa.testing.simulated_snp import SimulatedSnpVendor

    vcek = SimulatedSnpVendor(NOW)
    vlek = SimulatedSnpVendor(NOW, chip=SnpChip(signing_key="vlek"), keys=vcek.keys)
    return [
        vcek.report(_REPORT_DATA),
        vcek.collateral(),
        vlek.report(_REPORT_DATA, version=2),
        vlek.collateral(),
        vcek.collateral(without=["leaf"]),
        vcek.collateral(revocations=vcek.revocation_list(revoked=["issuer"])),
    ]


@kept("nitro", 2)
def nitro() -> list[bytes]:
    """Documents with and without what an enclave may put in."""
    from lamslsa.testing.simulated_nitro import SimulatedNitroVendor

    vendor = SimulatedNitroVendor(NOW)
    return [vendor.document(_REPORT_DATA), vendor.document(None, members={"public_key": b"key", "nonce": b"nonce"})]


@kept("gpu", 4)
def gpu() -> list[bytes]:
    """Report over `NONCE`; manifests of driver and VBIOS; one of other measurements."""
    from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

    vendor = SimulatedGpuVendor(NOW)
    other = vendor.manifest("driver", measurements={20: [bytes(48), b"\x01" * 48]})
    return [vendor.report(NONCE), vendor.manifest("driver"), vendor.manifest("vbios"), other]


@kept("guest", 3)
def guest() -> list[bytes]:
    """A TD with a GPU, a boot event log and a beacon as nonce: quote, GPU report, collateral."""
    from lamslsa.evidence.tdx.ccel import parse, replay
    from lamslsa.testing.simulated_gpu import SimulatedGpuVendor
    from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor

    nonce = hashlib.sha256(log()[1]).digest()
    report = SimulatedGpuVendor(NOW).report(binding.device_nonce(nonce, statements=[COVERED]))
    data = binding.report_data(nonce, device_evidence=[_codec.sha256_hex(report)], statements=[COVERED])
    vendor = SimulatedTdxVendor(NOW)
    domain = dataclasses.replace(TRUST_DOMAIN, rtmrs=replay(parse(tdx()[3])))
    return [vendor.quote(data, domain=domain), report, vendor.collateral()]


@kept("sigstruct", 1)
def sigstruct() -> list[bytes]:
    """A signed SIGSTRUCT."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=3, key_size=3072)
    modulus = key.public_key().public_numbers().n
    data = bytearray(1808)
    for at, value in {
        0: bytes.fromhex("06000000e10000000000010000000000"),
        20: struct.pack("<I", 0x20261122),
        24: bytes.fromhex("01010000600000006000000001000000"),
        128: modulus.to_bytes(384, "little"),
        512: struct.pack("<I", 3),
        904: b"\xff" * 4,
        928: bytes.fromhex("0400000000000000e700000000000000"),
        944: bytes.fromhex("ffffffffffffffff1bffffffffffffff"),
        960: b"\x11" * 32,
        1024: struct.pack("<HH", 7, 3),
    }.items():
        data[at : at + len(value)] = value
    number = int.from_bytes(key.sign(bytes(data[:128] + data[900:1028]), padding.PKCS1v15(), hashes.SHA256()), "big")
    first = number * number // modulus
    for at, part in ((516, number), (1040, first), (1424, (number**3 - first * number * modulus) // modulus)):
        data[at : at + 384] = part.to_bytes(384, "little")
    return [bytes(data)]


@kept("timestamp", 3)
def timestamp() -> list[bytes]:
    """Certificates of an authority; its timestamps with and without accuracy."""
    from lamslsa.testing.beacons import TimestampServer

    server = TimestampServer(NOW)
    return [server.own_pem, server.stamp(NOW, accuracy=(1, 500)), server.stamp(NOW - _MINUTE)]


@kept("log", 2)
def log() -> list[bytes]:
    """Logs and witnesses of which two have to cosign; a checkpoint that all three cosigned."""
    from lamslsa.testing.beacons import Log

    made = Log(witnesses=3)
    return [made.policy("2"), made.checkpoint({0: NOW, 1: NOW - _MINUTE, 2: NOW - 2 * _MINUTE})]


@kept("corim", 5)
def corim() -> list[bytes]:
    """CoRIMs of both profiles; a signed one, its key in PEM and its time."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from lamslsa.evidence._cbor import Tagged as Tag

    amd, intel = Tag(32, "tag:amd.com,2024:snp-corim-profile"), Tag(111, bytes.fromhex("6086480186f84d011001"))
    chip, enclave = Tag(111, bytes.fromhex("2b060104019c780301")), Tag(111, bytes.fromhex("6086480186f84d0102030501"))
    policy = {4: Tag(563, [(0x30000).to_bytes(8, "little"), b"\xff" * 8])}
    report = {1: {1: Tag(553, 3)}, 2: policy, 5: {4: bytes(4)}, 641: {2: [[7, b"\x41" * 48]]}, 642: {4: bytes(32)}}
    sgx_values: dict[int, Any] = {-83: [[1, b"\x11" * 32]], -84: [1, b"\x22" * 32], -73: Tag(60010, [2, 3])}
    tdx_values: dict[int, Any] = {-83: [7, b"\x11" * 48], 14: {number: [[7, b"\x05" * 48]] for number in range(4)}}

    def whole(profile: Tag, class_id: Tag, values: list[dict[int, Any]]) -> bytes:
        triples = {0: [[{0: {0: class_id}}, values]]}
        comid = Tag(506, encode_cbor({1: {0: "an id"}, 4: triples}))
        window = {0: Tag(1, int(NOW.timestamp()) - 60), 1: Tag(1, int(NOW.timestamp()) + 60)}
        return encode_cbor(Tag(501, {0: "a corim", 1: [comid], 3: profile, 4: window}))

    plain = whole(amd, chip, [{0: key, 1: value} for key, value in report.items()])
    key = ec.generate_private_key(ec.SECP384R1())
    protected = encode_cbor({1: -35, 3: "application/rim+cbor", 8: encode_cbor({0: {0: "signer"}})})
    der = key.sign(encode_cbor(["Signature1", protected, b"", plain]), ec.ECDSA(hashes.SHA384()))
    raw = b"".join(number.to_bytes(48, "big") for number in utils.decode_dss_signature(der))
    return [
        plain,
        whole(intel, enclave, [{1: sgx_values}]),
        whole(intel, enclave, [{1: tdx_values}]),
        encode_cbor(Tag(18, [protected, {}, plain, raw])),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ]


def snp_tables() -> list[bytes]:
    """Certificate tables as a host hands them over: in DER and in PEM."""
    import uuid

    from lamslsa.evidence.snp.collateral import parse

    found = parse(snp()[1])
    guids = (
        "63da758d-e664-4564-adc5-f4b93be8accd",
        "4ab7b379-bbac-4fe4-a02f-05aef327c782",
        "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    )
    ders = [der for der in (found.leaf, found.issuer, found.root) if der is not None]
    tables = []
    for bodies in (ders, [render_chain([der]) for der in ders]):
        at, entries = 24 * (len(bodies) + 1), b""
        for guid, body in zip(guids, bodies, strict=True):
            entries += struct.pack("<16sII", uuid.UUID(guid).bytes, at, len(body))
            at += len(body)
        tables.append(entries + bytes(24) + b"".join(bodies))
    return tables


def certificates() -> list[bytes]:
    """Certificates of every vendor in DER, with all extensions that anything reads; a GPU's is the last one."""
    from lamslsa.evidence.nitro.parse import parse as parse_nitro
    from lamslsa.evidence.nvidia.parse import parse as parse_gpu
    from lamslsa.evidence.sgx.parse import parse as parse_sgx
    from lamslsa.evidence.snp.collateral import parse as parse_snp

    amd = parse_snp(snp()[1])
    found = [amd.leaf, amd.root, *parse_sgx(sgx()[0]).chain, *parse_nitro(nitro()[0]).chain]
    return [der for der in (*found, *parse_gpu(gpu()[0]).chain[:1]) if der is not None]


def revocation_lists() -> list[bytes]:
    """Lists of AMD's and Intel's kind, which revoke."""
    from lamslsa.evidence.collateral import parse as parse_dcap
    from lamslsa.evidence.snp.collateral import parse as parse_snp

    return [parse_snp(snp()[5]).revocation_list or b"", parse_dcap(sgx()[2]).pck_crl]


def pcs_answers() -> list[bytes]:
    """What a PCCS answers for the SGX platform: four bodies, and the chains in three headers."""
    parts = _codec.loads(sgx()[1])
    bodies = [
        f'{{"tcbInfo":{parts["tcb_info"]},"signature":"{parts["tcb_info_signature"]}"}}',
        parts["tcb_info_issuer_chain"],
        f'{{"enclaveIdentity":{parts["qe_identity"]},"signature":"{parts["qe_identity_signature"]}"}}',
        parts["qe_identity_issuer_chain"],
        parts["pck_crl"],
        parts["pck_crl_issuer_chain"],
        parts["root_ca_crl"],
    ]
    return [join(*(body.encode() for body in bodies))]


def kds_answers() -> list[bytes]:
    """What AMD's service answers for a chip: chain, revocation list, leaf."""
    from lamslsa.evidence.snp.collateral import parse

    found = parse(snp()[1])
    chain = render_chain([der for der in (found.issuer, found.root) if der is not None])
    return [join(chain, found.revocation_list or b"", found.leaf or b"")]


def gpu_texts() -> list[bytes]:
    """A GPU's report as NVIDIA's tools print it: hexadecimal, and PEM."""
    from lamslsa.evidence.nvidia.parse import parse

    found = parse(gpu()[0])
    return [join(found.report.raw.hex().encode(), render_chain(found.chain))]


def _content(media_type: str, data: bytes) -> Content:
    return Content(
        media_type=media_type, content=_codec.encode_base64(data), digest=Digest(sha256=_codec.sha256_hex(data))
    )


@lru_cache(maxsize=1)
def statements() -> list[bytes]:
    """Evidence with collateral; evidence with everything that may travel; a reference value."""
    quote, report, collateral = guest()
    plain = TeeEvidence(
        nonce=_codec.encode_base64(NONCE),
        quote=_content(tee_evidence.SGX_QUOTE_MEDIA_TYPE, sgx()[0]),
        collateral=_content(tee_evidence.COLLATERAL_MEDIA_TYPE, sgx()[1]),
    )
    full = TeeEvidence(
        nonce=_codec.encode_base64(hashlib.sha256(log()[1]).digest()),
        quote=_content(tee_evidence.TDX_QUOTE_MEDIA_TYPE, quote),
        device_evidence=(_content(tee_evidence.NVIDIA_REPORT_MEDIA_TYPE, report),),
        event_log=_content(tee_evidence.CCEL_MEDIA_TYPE, tdx()[3]),
        freshness=_content(tee_evidence.BEACON_CHECKPOINT_MEDIA_TYPE, log()[1]),
        collateral=_content(tee_evidence.COLLATERAL_MEDIA_TYPE, collateral),
    )
    subject = [Subject(name="statement", sha256=COVERED)]
    evidence = [statement.make(subject, tee_evidence.PREDICATE_TYPE, to_wire(item)) for item in (plain, full)]
    parts = {f"pcr{number}": f"{number:02x}" * 48 for number in (0, 1, 2, 8)}
    reference = make_statement(
        Measurement(tee="nitro", parts=parts),
        release="1.0",
        build=EnclaveBuild(name="measure"),
        vouches_for=MEASURE_VOUCHES,
        minimum_svns={},
    )
    return [*evidence, reference]


def bundles() -> list[bytes]:
    """Signed statements, alone and several a file."""
    from lamslsa.sign import KeySigner, generate

    signer = KeySigner.load(generate(None), None)
    made = [signer.sign(payload) for payload in statements()]
    return [made[0], b"\n".join((*made, b""))]


def manifests() -> list[bytes]:
    """A final manifest of each enclave build, as Gramine completes it."""
    from lamslsa.enclave.manifest import BUILDS, ENTRIES, PACKAGES, PYTHON
    from lamslsa.enclave.template import Mount, TrustedFile, render

    dumps = runpy.run_path(str(ROOT / "tests" / "unit" / "enclave" / "fake_gramine.py"))["dumps"]
    python = PurePosixPath(f"{PYTHON}/bin/python3.11")
    uris = {str(python): "file:/usr/bin/python3.11", PACKAGES: "file:/opt/packages"}
    made = []
    for build in BUILDS:
        code = PurePosixPath("/home/me/code") if build == "train-own" else None
        listed = ["file:/usr/bin/python3.11", *("file:/opt" + entry for entry in (ENTRIES[build],))]
        listed += [] if code is None else [f"file:{code}/train.py"]
        text = render(
            build,
            python=python,
            mounts=[Mount(path=path, uri=uri) for path, uri in uris.items()],
            trusted=[TrustedFile(uri=uri, sha256="ab" * 32) for uri in listed],
            code=code,
        )
        document = tomllib.loads(text.decode().replace("{{ gramine.runtimedir() }}", "/usr/lib/gramine"))
        document["loader"]["entrypoint"] = {"uri": "file:/usr/lib/gramine/libsysdb.so", "sha256": "ab" * 32}
        document["sgx"]["trusted_files"][0] = {"uri": "file:/usr/lib/gramine/libc.so.6", "sha256": "cd" * 32}
        made.append(dumps(document).encode())
    return made


def roots() -> list[bytes]:
    """Root certificates in DER and PEM, on both curves and with RSA."""
    from lamslsa.evidence.nitro.parse import parse as parse_nitro
    from lamslsa.evidence.sgx.parse import parse as parse_sgx
    from lamslsa.evidence.snp.collateral import parse as parse_snp

    ders = [parse_sgx(sgx()[0]).root, parse_nitro(nitro()[0]).root, parse_snp(snp()[1]).root or b""]
    return [*ders, *(render_chain([der]) for der in ders)]


def chains() -> list[bytes]:
    """PEM text."""
    return [timestamp()[0], timestamp()[0][: len(render_chain(parse_chain(timestamp()[0], what="seed")[:1]))]]

"""Everything that takes others' bytes apart, one target each: any bytes give a value or a `LamslsaError`.

The table says where the bytes go (`parsers`, `verifiers`) and what mutations start from (`seeds`); what signatures and
stores are made of, and what measurements read and make, has tables of its own (`signing`, `stores`, `measuring`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lamslsa import _codec
from lamslsa.predicates import tee_evidence
from tests.fuzz import measuring, parsers, seeds, signing, stores, verifiers
from tests.fuzz.mutate import join, split
from tests.fuzz.seeds import NONCE
from tests.fuzz.target import KIB, Target
from tests.fuzz.verifiers import Pair, QuoteTarget

__all__ = ["TARGETS", "Target"]


def _sgx_pairs() -> list[Pair]:
    return [(seeds.sgx()[0], seeds.sgx()[1])]


def _tdx_pairs() -> list[Pair]:
    four, five, collateral, _, other = seeds.tdx()
    return [(quote, collateral) for quote in (four, five, other)]


def _snp_pairs() -> list[Pair]:
    vcek, with_vcek, vlek, with_vlek, *_ = seeds.snp()
    return [(vcek, with_vcek), (vlek, with_vlek)]


def _nitro_pairs() -> list[Pair]:
    return [(document, None) for document in seeds.nitro()]


def _joined(pairs: Callable[[], Sequence[Pair]]) -> Callable[[], Sequence[bytes]]:
    return lambda: [join(quote, collateral or b"") for quote, collateral in pairs()]


def _everything() -> list[bytes]:
    return [
        *(seeds.sgx()[0], seeds.sgx()[1], seeds.tdx()[1], seeds.tdx()[3], seeds.snp()[0], seeds.snp()[1]),
        *(seeds.nitro()[0], seeds.gpu()[0], *seeds.sigstruct(), *seeds.statements(), *seeds.bundles()),
    ]


def _chain_file(data: bytes) -> bytes:
    from lamslsa.evidence._pem import render_chain
    from lamslsa.evidence.snp.collateral import parse

    found = parse(data)
    return join(found.leaf or b"", render_chain([found.issuer or b"", found.root or b""]))


def _job_seeds() -> list[bytes]:
    from lamslsa.enclave.job import Job

    inputs = {"dataset": "adult.data", "a": "b"}
    jobs = [
        Job(kind="dataset", tee="tdx", name="train", inputs=inputs, challenge=NONCE, gpu=True, device="cuda"),
        Job(kind="evaluation", tee="sgx", name=None, inputs={"model": "m", "dataset": "d"}, with_beacon=True),
        Job(kind="training", tee="snp", name=None, inputs=inputs, checkpoints=True, arguments=("--epochs", "3")),
    ]
    return [job.dumps() for job in jobs]


def _launch_seeds() -> list[bytes]:
    return [
        _codec.dumps({"tee": "snp", "measurement": {"measurement": "41" * 48, "vmpl": "00" * 4}}),
        _codec.dumps({"tee": "nitro", "measurement": {f"pcr{number}": "42" * 48 for number in (0, 1, 2, 8)}}),
    ]


def _gpu_messages_seeds() -> list[bytes]:
    from lamslsa.evidence.nvidia.parse import parse

    return [parse(seeds.gpu()[0]).report.raw]


TARGETS: Final[Mapping[str, Target]] = {
    "sgx-quote": Target(
        take=parsers.sgx_quote,
        seeds=lambda: seeds.sgx()[:1],
        real=lambda: seeds.real("sgx/sgx_quote", "sgx/occlum_quote.dat"),
    ),
    "tdx-quote": Target(
        take=parsers.tdx_quote,
        seeds=lambda: seeds.tdx()[:2],
        real=lambda: seeds.real("tdx/tdx_quote", "tdx/tdx_quote_debug.dat", "tdx/cos-113-tdx-quote.dat"),
    ),
    "tdx-event-log": Target(
        take=parsers.event_log,
        seeds=lambda: seeds.tdx()[3:4],
        real=lambda: seeds.real("tdx/ccel_data.dat"),
        max_bytes=64 * KIB,
    ),
    "snp-report": Target(
        take=parsers.snp_report,
        seeds=lambda: [seeds.snp()[0], seeds.snp()[2]],
        real=lambda: seeds.real("snp/attestation.bin", "snp/test-vlek-report.bin"),
        max_bytes=2 * KIB,
    ),
    "snp-collateral": Target(take=parsers.snp_collateral, seeds=lambda: [seeds.snp()[1], *seeds.snp()[3:]]),
    "snp-certificate-table": Target(take=parsers.snp_table, seeds=seeds.snp_tables),
    "snp-certificates": Target(take=parsers.snp_certificates, seeds=lambda: [_chain_file(seeds.snp()[1])], parts=2),
    "nitro-document": Target(
        take=parsers.nitro_document,
        seeds=seeds.nitro,
        real=lambda: seeds.real("nitro/valid-attestation-doc-bytes", "nitro/debug-mode-attestation-doc-bytes"),
    ),
    "cbor": Target(take=parsers.cbor, seeds=lambda: [*seeds.nitro(), *seeds.corim()[:4]]),
    "gpu-report": Target(take=parsers.gpu_report, seeds=lambda: seeds.gpu()[:1], real=seeds.real_gpu),
    "gpu-messages": Target(take=parsers.gpu_messages, seeds=_gpu_messages_seeds),
    "gpu-text": Target(take=parsers.gpu_text, seeds=seeds.gpu_texts, parts=2),
    "gpu-manifest": Target(
        take=parsers.gpu_manifest,
        seeds=lambda: seeds.gpu()[1:],
        real=lambda: seeds.real(
            "nvidia/1010_0200_882_96005E0001_PROD.swidtag", "nvidia/Driver_RIM_test_no_gpu.swidtag"
        ),
        max_bytes=32 * KIB,
    ),
    "gpu-dice": Target(take=parsers.dice, seeds=lambda: seeds.certificates()[-1:], max_bytes=4 * KIB),
    "certificate": Target(
        take=parsers.certificate,
        seeds=seeds.certificates,
        real=lambda: seeds.real("snp/test-vlek.der"),
        max_bytes=4 * KIB,
    ),
    "revocation-list": Target(take=parsers.revocation_list, seeds=seeds.revocation_lists, max_bytes=4 * KIB),
    "pem": Target(take=parsers.pem, seeds=seeds.chains, max_bytes=4 * KIB),
    "dcap-collateral": Target(
        take=parsers.dcap_collateral,
        seeds=lambda: [*seeds.sgx()[1:], seeds.tdx()[2]],
        real=lambda: seeds.real("sgx/sgx_quote_collateral.json", "tdx/tdx_quote_collateral.json"),
        max_bytes=32 * KIB,
    ),
    "root": Target(
        take=parsers.root,
        seeds=seeds.roots,
        real=lambda: seeds.real("nitro/nitro.pem", "nvidia/verifier_device_root.pem"),
        max_bytes=4 * KIB,
    ),
    "sigstruct": Target(
        take=parsers.sigstruct,
        seeds=seeds.sigstruct,
        real=lambda: seeds.real("sigstruct/gramine.sig"),
        max_bytes=2 * KIB,
    ),
    "launch": Target(take=parsers.launch, seeds=_launch_seeds, max_bytes=2 * KIB),
    "corim": Target(take=parsers.corim, seeds=lambda: seeds.corim()[:4], max_bytes=4 * KIB),
    "corim-key": Target(take=parsers.corim_key, seeds=lambda: seeds.corim()[4:], max_bytes=2 * KIB),
    "timestamp-authority": Target(take=parsers.timestamp_authority, seeds=lambda: seeds.timestamp()[:1]),
    "timestamp": Target(take=parsers.timestamp, seeds=lambda: seeds.timestamp()[1:], max_bytes=4 * KIB),
    "witness-policy": Target(take=parsers.witness_policy, seeds=lambda: seeds.log()[:1], max_bytes=4 * KIB),
    "checkpoint": Target(take=parsers.checkpoint, seeds=lambda: seeds.log()[1:], max_bytes=4 * KIB),
    "statement": Target(take=parsers.statements, seeds=seeds.statements, max_bytes=64 * KIB),
    "describe": Target(
        take=parsers.describe,
        seeds=_everything,
        real=lambda: seeds.real("sgx/sgx_quote", "tdx/tdx_quote", "snp/attestation.bin", "tdx/ccel_data.dat"),
        max_bytes=128 * KIB,
    ),
    "platform-of-quote": Target(
        take=parsers.platform_of_quote,
        seeds=lambda: [seeds.sgx()[0], *seeds.tdx()[:2], seeds.snp()[0]],
        real=lambda: seeds.real("sgx/sgx_quote", "tdx/tdx_quote", "snp/attestation.bin"),
    ),
    "pcs-answers": Target(take=parsers.pcs, seeds=seeds.pcs_answers, parts=7, max_bytes=32 * KIB),
    "kds-answers": Target(take=parsers.kds, seeds=seeds.kds_answers, parts=3),
    "cut-json": Target(take=parsers.cut, seeds=lambda: [split(seeds.pcs_answers()[0], 1)[0]]),
    "enclave-manifest": Target(take=parsers.enclave_manifest, seeds=seeds.manifests),
    "enclave-job": Target(take=parsers.job, seeds=_job_seeds, max_bytes=2 * KIB),
    "verify-sgx": Target(
        take=QuoteTarget(tee_evidence.SGX_QUOTE_MEDIA_TYPE, _sgx_pairs, lambda: seeds.sgx()[2:]),
        seeds=lambda: [*_joined(_sgx_pairs)(), join(seeds.sgx()[0], seeds.sgx()[2])],
        parts=2,
        max_bytes=32 * KIB,
    ),
    "verify-tdx": Target(
        take=QuoteTarget(tee_evidence.TDX_QUOTE_MEDIA_TYPE, _tdx_pairs),
        seeds=_joined(_tdx_pairs),
        parts=2,
        max_bytes=32 * KIB,
    ),
    "verify-snp": Target(
        take=QuoteTarget(tee_evidence.SNP_REPORT_MEDIA_TYPE, _snp_pairs, lambda: seeds.snp()[4:]),
        seeds=lambda: [*_joined(_snp_pairs)(), *(join(seeds.snp()[0], item) for item in seeds.snp()[4:])],
        parts=2,
    ),
    "verify-nitro": Target(take=QuoteTarget(tee_evidence.NITRO_DOCUMENT_MEDIA_TYPE, _nitro_pairs), seeds=seeds.nitro),
    "verify-event-log": Target(take=verifiers.verify_event_log, seeds=lambda: seeds.tdx()[3:4]),
    "verify-gpu": Target(take=verifiers.verify_gpu, seeds=lambda: seeds.gpu()[:1]),
    "verify-gpu-manifest": Target(
        take=verifiers.verify_gpu_manifest, seeds=lambda: seeds.gpu()[1:], max_bytes=32 * KIB
    ),
    **measuring.TARGETS,
    **signing.TARGETS,
    **stores.TARGETS,
}

"""What verifying evidence costs, on real quotes and reports.

    python bench/evidence.py        needs LAMSLSA_SHARED, the folder with the real evidence (../shared by default)

Limits, medians of 200: an SGX or TDX quote at most 1.3 × a bare call of dcap_qvl on the same bytes in the same round;
an SEV-SNP report and a Nitro document at most 3 ms; a GPU report at most 10 ms. "First" stands beside without a limit:
what the process remembers of parsing and of the links between certificates is forgotten before each call, as for the
first evidence from a vendor in a process. The machine may be shared, so calls of ours and bare calls alternate.
"""

from __future__ import annotations

import datetime as dt
import functools
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dcap_qvl

from lamslsa.evidence import device_verifier_for, verifier_for
from lamslsa.evidence.interface import EvidenceVerifier
from lamslsa.evidence.nitro.parse import parse as parse_document
from lamslsa.evidence.nvidia.collect import from_text
from lamslsa.evidence.nvidia.parse import parse as parse_gpu
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.snp.collateral import from_certificates, render
from lamslsa.predicates import tee_evidence as types

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("LAMSLSA_SHARED", ROOT.parent / "shared")) / "evidence"
RUNS = 200
RATIO_LIMIT, SMALL_LIMIT_MS, GPU_LIMIT_MS = 1.3, 3.0, 10.0
_REMEMBERS = type(functools.lru_cache(int))
JUNE_2025 = dt.datetime(2025, 6, 30, tzinfo=dt.UTC)


def remembering() -> list[Any]:
    """Everything in lamslsa that remembers earlier results."""
    caches = (item for item in gc.get_objects() if isinstance(item, _REMEMBERS))
    return [cache for cache in caches if (cache.__module__ or "").startswith("lamslsa")]


def alternate(*works: Callable[[], object], first: bool = False) -> list[float]:
    """Median milliseconds of each, called in turn; with ``first`` as if for the first time."""
    for work in works:
        work()
    caches = remembering() if first else []
    times: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS + 5):
        for work, taken in zip(works, times, strict=True):
            for cache in caches:
                cache.cache_clear()
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[5:]) * 1e3 for taken in times]


def ours(verifier: EvidenceVerifier, quote: bytes, collateral: bytes | None, at: dt.datetime) -> Callable[[], object]:
    """One verification as `lamslsa verify` does it, the root that is presented included."""

    def work() -> object:
        root = verifier.presented_root(quote, collateral)
        return verifier.verify(quote, collateral=collateral, roots=(root,), at=at)

    return work


def intel(folder: str, name: str, media_type: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """A verification of ours, and the bare call on the same bytes."""
    quote = (SHARED / folder / name).read_bytes()
    collateral = (SHARED / folder / f"{name}_collateral.json").read_bytes()
    now = int(JUNE_2025.timestamp())
    text = collateral.decode()

    def bare() -> object:
        verifier = dcap_qvl.QuoteVerifier(INTEL_SGX_ROOT.der)
        loaded = dcap_qvl.QuoteCollateralV3.from_json(text)
        return verifier.verify_with_policy(quote, loaded, now, dcap_qvl.QuotePolicy.claims_only(now))

    return ours(verifier_for(media_type), quote, collateral, JUNE_2025), bare


def snp() -> Callable[[], object]:
    folder = SHARED / "snp"
    leaf, chain = (folder / "vcek.testcer").read_bytes(), (folder / "milan.testcer").read_bytes()
    found = from_certificates(leaf, chain)
    collateral = render(leaf=found.leaf, issuer=found.issuer, root=found.root)
    report = (folder / "attestation.bin").read_bytes()
    return ours(verifier_for(types.SNP_REPORT_MEDIA_TYPE), report, collateral, JUNE_2025)


def nitro() -> Callable[[], object]:
    document = (SHARED / "nitro" / "valid-attestation-doc-bytes").read_bytes()
    return ours(verifier_for(types.NITRO_DOCUMENT_MEDIA_TYPE), document, None, parse_document(document).timestamp)


def gpu() -> Callable[[], object]:
    folder = SHARED / "nvidia"
    report = from_text(
        (folder / "hopperAttestationReport.txt").read_text(), (folder / "hopperCertChain.txt").read_text()
    )
    nonce = parse_gpu(report).report.nonce
    verifier = device_verifier_for(types.NVIDIA_REPORT_MEDIA_TYPE)

    def work() -> object:
        roots = (verifier.presented_root(report),)
        return verifier.verify(report, nonce=nonce, roots=roots, manifests=(), at=JUNE_2025)

    return work


def main() -> None:
    if not SHARED.is_dir():
        sys.exit(f"expected real evidence in {SHARED}: set LAMSLSA_SHARED")
    kept = True
    print(f"{'evidence':<16}{'first':>10}{'again':>10}{'dcap_qvl':>10}{'ratio':>8}  limit")
    for folder, name, media_type in (
        ("sgx", "sgx_quote", types.SGX_QUOTE_MEDIA_TYPE),
        ("tdx", "tdx_quote", types.TDX_QUOTE_MEDIA_TYPE),
    ):
        mine, bare = intel(folder, name, media_type)
        (first, _), (again, theirs) = alternate(mine, bare, first=True), alternate(mine, bare)
        kept &= again <= RATIO_LIMIT * theirs
        print(
            f"{folder + ' quote':<16}{first:>7.2f} ms{again:>7.2f} ms{theirs:>7.2f} ms{again / theirs:>8.2f}"
            f"  {RATIO_LIMIT} x dcap_qvl"
        )
    for name, work, limit in (
        ("snp report", snp(), SMALL_LIMIT_MS),
        ("nitro document", nitro(), SMALL_LIMIT_MS),
        ("gpu report", gpu(), GPU_LIMIT_MS),
    ):
        (first,), (again,) = alternate(work, first=True), alternate(work)
        kept &= again <= limit
        print(f"{name:<16}{first:>7.2f} ms{again:>7.2f} ms{'':>18}  {limit} ms")
    print("all within their limits" if kept else "OVER A LIMIT")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

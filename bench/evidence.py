"""What verifying evidence costs: new evidence of a platform that is known, and the first of one that is not.

    python bench/evidence.py        needs LAMSLSA_SHARED, the folder with the real evidence (../shared by default)

"New" is the median of 200 different quotes, reports or documents of simulated vendors, each verified once after
another one of the same platform: what a verifier meets day by day. Formats and algorithms are those of hardware; a
Nitro document brings a certificate of its own, as there.
Limits: an SGX or TDX quote at most 1.3 × a bare call of dcap_qvl on the same bytes in the same round; an SEV-SNP report
and a Nitro document at most 3 ms; a GPU report at most 10 ms. "First" stands beside without a limit: real evidence,
and before each call the process forgets what it remembers of parsing and of the links between certificates. The
machine may be shared, so times are those of this thread on a processor, calls of ours and bare calls alternate, and
the ratio is the median of the 200 pairs.
"""

from __future__ import annotations

import datetime as dt
import functools
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dcap_qvl

from lamslsa.evidence import device_verifier_for, verifier_for
from lamslsa.evidence.nitro.parse import parse as parse_document
from lamslsa.evidence.nvidia.collect import from_text
from lamslsa.evidence.nvidia.parse import parse as parse_gpu
from lamslsa.evidence.simulated.nitro import SimulatedNitroAttester, SimulatedNitroPlatform
from lamslsa.evidence.snp.collateral import from_certificates, render
from lamslsa.predicates import tee_evidence as types
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor
from lamslsa.testing.simulated_snp import SimulatedSnpVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("LAMSLSA_SHARED", ROOT.parent / "shared")) / "evidence"
RUNS = 200
RATIO_LIMIT, SMALL_LIMIT_MS, GPU_LIMIT_MS = 1.3, 3.0, 10.0
_REMEMBERS = type(functools.lru_cache(int))
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
JUNE_2025 = dt.datetime(2025, 6, 30, tzinfo=dt.UTC)

Work = Callable[[], object]


def quote(media_type: str, data: bytes, collateral: bytes | None, at: dt.datetime) -> Work:
    """One verification as `lamslsa verify` does it, the root that is presented included."""
    verifier = verifier_for(media_type)

    def work() -> object:
        root = verifier.presented_root(data, collateral)
        return verifier.verify(data, collateral=collateral, roots=(root,), at=at)

    return work


def gpu_report(report: bytes, at: dt.datetime) -> Work:
    """The same for a GPU."""
    verifier = device_verifier_for(types.NVIDIA_REPORT_MEDIA_TYPE)
    nonce = parse_gpu(report).report.nonce

    def work() -> object:
        return verifier.verify(report, nonce=nonce, roots=(verifier.presented_root(report),), manifests=(), at=at)

    return work


def bare(root: bytes, data: bytes, collateral: bytes, at: dt.datetime) -> Work:
    """What dcap_qvl alone takes for a quote."""
    now, text = int(at.timestamp()), collateral.decode()

    def work() -> object:
        loaded = dcap_qvl.QuoteCollateralV3.from_json(text)
        policy = dcap_qvl.QuotePolicy.claims_only(now)
        return dcap_qvl.QuoteVerifier(root).verify_with_policy(data, loaded, now, policy)

    return work


def remembering() -> list[Any]:
    """Everything in lamslsa that remembers earlier results."""
    caches = (item for item in gc.get_objects() if isinstance(item, _REMEMBERS))
    return [cache for cache in caches if (cache.__module__ or "").startswith("lamslsa")]


def timed(work: Work) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3


def each_once(works: Sequence[Work]) -> float:
    """Median milliseconds of different verifications, the first of which makes the platform known."""
    return statistics.median([timed(work) for work in works][1:])


def each_once_in_turn(works: Sequence[Work], others: Sequence[Work]) -> tuple[float, float, float]:
    """The same for two rows of work whose pairs are done in turn, in changing order; and the ratio within a pair."""
    times: list[tuple[float, float]] = []
    for number, (work, other) in enumerate(zip(works, others, strict=True)):
        if number % 2:
            mine, theirs = timed(work), timed(other)
        else:
            theirs, mine = timed(other), timed(work)
        times.append((mine, theirs))
    rows = *zip(*times[1:], strict=True), [mine / theirs for mine, theirs in times[1:]]
    new, bare_call, ratio = (statistics.median(row) for row in rows)
    return new, bare_call, ratio


def as_if_first(work: Work) -> float:
    """Median milliseconds where the process knows nothing of earlier calls, but has loaded its modules."""
    work()
    caches = remembering()
    times = []
    for _ in range(RUNS):
        for cache in caches:
            cache.cache_clear()
        times.append(timed(work))
    return statistics.median(times)


def different(size: int) -> list[bytes]:
    """What the evidence of one table line is made over."""
    return [number.to_bytes(size, "big") for number in range(RUNS + 1)]


def intel(vendor: SimulatedVendor | SimulatedTdxVendor, media_type: str) -> tuple[float, float, float]:
    collateral = vendor.collateral()
    quotes = [vendor.quote(data) for data in different(64)]
    return each_once_in_turn(
        [quote(media_type, item, collateral, NOW) for item in quotes],
        [bare(vendor.root.der, item, collateral, NOW) for item in quotes],
    )


def snp() -> float:
    vendor = SimulatedSnpVendor(NOW)
    collateral = vendor.collateral()
    reports = [vendor.report(data) for data in different(64)]
    return each_once([quote(types.SNP_REPORT_MEDIA_TYPE, report, collateral, NOW) for report in reports])


def nitro() -> float:
    """Each document comes with a key and a certificate of its own."""
    with tempfile.TemporaryDirectory() as folder:
        platform = SimulatedNitroPlatform.create(Path(folder, "platform"), now=NOW)
        attester = SimulatedNitroAttester(platform, clock=lambda: NOW)
        documents = [attester.quote(data).quote for data in different(64)]
    return each_once([quote(types.NITRO_DOCUMENT_MEDIA_TYPE, document, None, NOW) for document in documents])


def gpu() -> float:
    vendor = SimulatedGpuVendor(NOW)
    return each_once([gpu_report(vendor.report(nonce), NOW) for nonce in different(32)])


def real_intel(folder: str, name: str, media_type: str) -> Work:
    collateral = (SHARED / folder / f"{name}_collateral.json").read_bytes()
    return quote(media_type, (SHARED / folder / name).read_bytes(), collateral, JUNE_2025)


def real_snp() -> Work:
    folder = SHARED / "snp"
    found = from_certificates((folder / "vcek.testcer").read_bytes(), (folder / "milan.testcer").read_bytes())
    collateral = render(leaf=found.leaf, issuer=found.issuer, root=found.root)
    return quote(types.SNP_REPORT_MEDIA_TYPE, (folder / "attestation.bin").read_bytes(), collateral, JUNE_2025)


def real_nitro() -> Work:
    document = (SHARED / "nitro" / "valid-attestation-doc-bytes").read_bytes()
    return quote(types.NITRO_DOCUMENT_MEDIA_TYPE, document, None, parse_document(document).timestamp)


def real_gpu() -> Work:
    folder = SHARED / "nvidia"
    texts = ((folder / name).read_text() for name in ("hopperAttestationReport.txt", "hopperCertChain.txt"))
    return gpu_report(from_text(*texts), JUNE_2025)


def main() -> None:
    if not SHARED.is_dir():
        sys.exit(f"expected real evidence in {SHARED}: set LAMSLSA_SHARED")
    kept = True
    print(f"{'evidence':<16}{'new':>10}{'dcap_qvl':>12}{'ratio':>8}  {'limit':<16}{'first (real)':>12}")
    for name, (new, theirs, ratio), first in (
        (
            "sgx quote",
            intel(SimulatedVendor(NOW), types.SGX_QUOTE_MEDIA_TYPE),
            real_intel("sgx", "sgx_quote", types.SGX_QUOTE_MEDIA_TYPE),
        ),
        (
            "tdx quote",
            intel(SimulatedTdxVendor(NOW), types.TDX_QUOTE_MEDIA_TYPE),
            real_intel("tdx", "tdx_quote", types.TDX_QUOTE_MEDIA_TYPE),
        ),
    ):
        kept &= ratio <= RATIO_LIMIT
        limit = f"{RATIO_LIMIT} x dcap_qvl"
        print(f"{name:<16}{new:>7.2f} ms{theirs:>9.2f} ms{ratio:>8.2f}  {limit:<16}{as_if_first(first):>9.2f} ms")
    for name, new, limit_ms, first in (
        ("snp report", snp(), SMALL_LIMIT_MS, real_snp()),
        ("nitro document", nitro(), SMALL_LIMIT_MS, real_nitro()),
        ("gpu report", gpu(), GPU_LIMIT_MS, real_gpu()),
    ):
        kept &= new <= limit_ms
        limit = f"{limit_ms} ms"
        print(f"{name:<16}{new:>7.2f} ms{'':>20}  {limit:<16}{as_if_first(first):>9.2f} ms")
    print("all within their limits" if kept else "OVER A LIMIT")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

"""What verification costs: the whole process, one key-signed statement, one evidence statement.

    make demo && python bench/verify.py

Limits: whole process 0.4 s and none of torch, sigstore, duckdb, pandas imported; in process 0.6 ms for a key-signed
statement and 2.2 ms for an evidence statement. Medians; the machine may be shared.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lamslsa.policy import load_policy
from lamslsa.predicates.tee_evidence import PREDICATE_TYPE
from lamslsa.store import DirectoryStore, StoredBundle
from lamslsa.verify import TrustMaterial, verify_bundles

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = ("torch", "sigstore", "duckdb", "pandas")
PROCESS_LIMIT_S, STATEMENT_LIMIT_MS, EVIDENCE_LIMIT_MS = 0.4, 0.6, 2.2


def process_seconds(model: Path, policy: Path, runs: int = 5) -> float:
    """Median wall-clock seconds of `lamslsa verify`, bytecode compiled by one run that is not counted."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [str(Path(sys.executable).parent / "lamslsa"), "verify", str(model), "--policy", str(policy)]
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def imported(model: Path, policy: Path) -> list[str]:
    """Which of the forbidden packages `lamslsa verify` imports."""
    code = (
        "import sys; from lamslsa._cli.main import main;"
        f"code = main(['verify', {str(model)!r}, '--policy', {str(policy)!r}, '--quiet']);"
        f"print(*(name for name in {FORBIDDEN!r} if name in sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stderr.split()


def median_ms(work: Callable[[], object], runs: int = 200) -> float:
    """Median milliseconds of one call."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def classify(bundles: list[StoredBundle], trust: TrustMaterial) -> tuple[list[StoredBundle], list[StoredBundle]]:
    """The key-signed property statements, and the evidence statements."""
    properties = [bundle for bundle in bundles if verify_bundles([bundle], trust).attestations]
    evidence = [bundle for bundle in bundles if bundle not in properties]
    assert all(not verify_bundles([bundle], trust).set_aside for bundle in bundles), PREDICATE_TYPE
    return properties, evidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, nargs="?", default=ROOT / "build" / "demo")
    demo: Path = parser.parse_args().demo
    model, policy = demo / "census-mlp", demo / "policy.yaml"
    if not policy.is_file():
        sys.exit(f"expected a demo in {demo}: run make demo")
    terms = load_policy(policy.read_bytes(), source=str(policy), directory=policy.parent)
    now = dt.datetime.now(dt.UTC)
    trust = terms.trust_material(at=now, now=now)
    properties, evidence = classify(list(DirectoryStore(model / ".attestations").bundles()), trust)
    statement = statistics.median(median_ms(partial(verify_bundles, [item], trust)) for item in properties)
    quote = statistics.median(median_ms(partial(verify_bundles, [item], trust)) for item in evidence)
    process = process_seconds(model, policy)
    heavy = imported(model, policy)

    print(f"{'verification':<34}{'median':>10}{'limit':>10}{'ratio':>8}")
    for name, value, limit, unit in (
        ("whole process, demo chain", process, PROCESS_LIMIT_S, "s"),
        ("key-signed statement, in process", statement, STATEMENT_LIMIT_MS, "ms"),
        ("evidence statement, in process", quote, EVIDENCE_LIMIT_MS, "ms"),
    ):
        print(f"{name:<34}{value:>7.2f} {unit:<2}{limit:>7.2f} {unit:<2}{value / limit:>8.2f}")
    print(f"imported of {', '.join(FORBIDDEN)}: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()

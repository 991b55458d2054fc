"""What verification costs: the whole process, one key-signed statement, one evidence statement, one keyless bundle.

    make demo demo-keyless && python bench/verify.py

Limits: whole process 0.4 s with keys, and none of torch, sigstore, duckdb, pandas imported; 1.5 s for a chain of three
keyless identities. In process 0.6 ms for a key-signed statement and 2.2 ms for an evidence statement. Who signed a
keyless bundle, and when, costs from its bytes at most 1.15 × what sigstore's own parsing and ``verify_dsse`` take of
the same bytes in the same round: 200 different bundles of a local Sigstore, ours and theirs in turn, times of this
thread on a processor, the ratio the median of the pairs. Beside it, without a limit, the whole way to a verified
attestation, whose statement and predicate sigstore does not look at. Medians; the machine may be shared.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from sigstore.dsse import Statement

from lamslsa.policy import load_policy
from lamslsa.predicates.tee_evidence import PREDICATE_TYPE
from lamslsa.sign import parse_bundle
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from lamslsa.store import DirectoryStore, StoredBundle
from lamslsa.testing import chain
from lamslsa.testing.sigstore import LocalSigstore
from lamslsa.verification import TrustMaterial, verify_bundles

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = ("torch", "sigstore", "duckdb", "pandas")
PROCESS_LIMIT_S, STATEMENT_LIMIT_MS, EVIDENCE_LIMIT_MS = 0.4, 0.6, 2.2
KEYLESS_PROCESS_LIMIT_S, KEYLESS_LIMIT = 1.5, 1.15
KEYLESS_BUNDLES = 200
KEYLESS: Final[tuple[tuple[str, Literal[1, 2], bool], ...]] = (("log time", 1, False), ("timestamp", 2, True))
SUBJECT = "https://ci.example.test/build@refs/heads/main"


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


def keyless(rekor: Literal[1, 2], *, tsa: bool) -> tuple[float, float, float]:
    """Median milliseconds of who signed; its median ratio to sigstore's own, and that of the whole way."""
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext
    from sigstore.verify import Verifier, policy

    payload = chain.census()["evaluation"]
    with LocalSigstore() as sigstore, tempfile.TemporaryDirectory() as folder:
        config = ClientTrustConfig.from_json(sigstore.trust_config_json(rekor, tsa=tsa))
        root_file = Path(folder) / "trusted-root.json"
        root_file.write_text(sigstore.trusted_root_json())
        with SigningContext.from_trust_config(config).signer(IdentityToken(sigstore.token(SUBJECT))) as signer:
            bundles = [signer.sign_dsse(Statement(payload)).to_json().encode() for _ in range(KEYLESS_BUNDLES)]
        theirs = Verifier(trusted_root=TrustedRoot.from_file(str(root_file)))
        expected = policy.Identity(identity=SUBJECT, issuer=sigstore.issuer)
        terms = KeylessTerms(issuer=sigstore.issuer, identity=SUBJECT)
        data = root_file.read_bytes()
        ours = KeylessVerifier(terms=terms, root=SigstoreRoot.load(data))
        now = dt.datetime.now(dt.UTC)
        whole = KeylessVerifier(terms=terms, root=SigstoreRoot.load(data))  # it remembers the last bundle
        trust = TrustMaterial(identities={"ci": whole}, at=now, now=now)
        times: list[float] = []
        ratios: list[tuple[float, float]] = []
        for number, bundle in enumerate(bundles):
            works: list[Callable[[], object]] = [
                partial(_theirs, bundle, theirs, expected),
                partial(lambda given: ours.verify(parse_bundle(given)), bundle),
                partial(_attested, bundle, trust),
            ]
            turn = number % len(works)
            spent = {at: thread_ms(works[at]) for at in [*range(turn, len(works)), *range(turn)]}
            times.append(spent[1])
            ratios.append((spent[1] / spent[0], spent[2] / spent[0]))
    own, whole_way = (statistics.median(column) for column in zip(*ratios, strict=True))
    return statistics.median(times), own, whole_way


def _attested(data: bytes, trust: TrustMaterial) -> object:
    return verify_bundles([StoredBundle(source="bundle.sigstore.json", data=data)], trust).attestations[0]


def _theirs(data: bytes, verifier: Any, expected: Any) -> object:
    from sigstore.models import Bundle

    return verifier.verify_dsse(Bundle.from_json(data), expected)


def thread_ms(work: Callable[[], object]) -> float:
    """Milliseconds of this thread on a processor."""
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, nargs="?", default=ROOT / "build" / "demo")
    parser.add_argument("--keyless", type=Path, default=ROOT / "build" / "demo-keyless")
    chosen = parser.parse_args()
    demo: Path = chosen.demo
    model, policy = demo / "census-mlp", demo / "policy.yaml"
    pulled, identities = chosen.keyless / "pulled", chosen.keyless / "policy.yaml"
    for file, target in ((policy, "demo"), (identities, "demo-keyless")):
        if not file.is_file():
            sys.exit(f"expected a demo in {file.parent}: run make {target}")
    terms = load_policy(policy.read_bytes(), source=str(policy), directory=policy.parent)
    now = dt.datetime.now(dt.UTC)
    trust = terms.trust_material(at=now, now=now)
    properties, evidence = classify(list(DirectoryStore(model / ".attestations").bundles()), trust)
    statement = statistics.median(median_ms(partial(verify_bundles, [item], trust)) for item in properties)
    quote = statistics.median(median_ms(partial(verify_bundles, [item], trust)) for item in evidence)
    process = process_seconds(model, policy)
    keyless_process = process_seconds(pulled, identities)
    heavy = imported(model, policy)

    print(f"{'verification':<34}{'median':>10}{'limit':>10}{'ratio':>8}")
    for name, value, limit, unit in (
        ("whole process, demo chain", process, PROCESS_LIMIT_S, "s"),
        ("whole process, three identities", keyless_process, KEYLESS_PROCESS_LIMIT_S, "s"),
        ("key-signed statement, in process", statement, STATEMENT_LIMIT_MS, "ms"),
        ("evidence statement, in process", quote, EVIDENCE_LIMIT_MS, "ms"),
    ):
        print(f"{name:<34}{value:>7.2f} {unit:<2}{limit:>7.2f} {unit:<2}{value / limit:>8.2f}")
    for words, rekor, tsa in KEYLESS:
        milliseconds, ratio, whole = keyless(rekor, tsa=tsa)
        print(
            f"keyless bundle with {words}: {milliseconds:.2f} ms, {ratio:.2f} x sigstore's own (limit {KEYLESS_LIMIT}),"
        )
        print(f"    to a verified attestation {whole:.2f} x")
    print(f"imported of {', '.join(FORBIDDEN)}: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()

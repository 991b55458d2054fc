"""What attesting costs: attested training against the same without lamslsa, and one run's quote and signatures.

    python bench/overhead.py

`trainings.py` has the plain training and says how both are compared: CPU seconds of this process, imports excluded, in
turns, medians of 5. The ratio of the whole is printed beside that with the same steps in both, which has the limit.
Limits: 2 % extra CPU; 5 ms to quote, bind and sign one run with the key decrypted.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from trainings import attested_training, compare, plain_mlp

from lamslsa.evidence import attester_for
from lamslsa.measure import load_job
from lamslsa.publish import evidence_statement
from lamslsa.sign import KeySigner, generate

ROOT = Path(__file__).resolve().parent.parent
CPU_LIMIT, SIGN_LIMIT_MS, RUNS = 1.02, 5.0, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "demo" / "data" / "adult.data")
    parser.add_argument("--job", type=Path, default=ROOT / "examples" / "census" / "census.yaml")
    chosen = parser.parse_args()
    job = load_job(chosen.job.read_bytes(), source=str(chosen.job))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        attester = attester_for("simulated", simulated_platform=folder / "platform", now=dt.datetime.now(dt.UTC))
        signer = KeySigner.load(generate(None), None)
        found = compare(
            lambda out: plain_mlp(chosen.data, job, out),
            lambda out: attested_training(chosen.data, job, attester, out),
            folder,
            turns=RUNS,
        )
        signing = []
        for _ in range(50):
            began = time.perf_counter()
            attester.quote(bytes(64))
            signer.sign(evidence_statement(found.runs[-1]))
            for item in found.runs[-1].statements:
                signer.sign(item.payload)
            signing.append((time.perf_counter() - began) * 1e3)

    sign_ms = statistics.median(signing)
    print(f"{'attesting':<40}{'median':>12}{'limit':>10}{'ratio':>8}")
    print(f"{'plain training, CPU':<40}{found.plain:>10.2f} s")
    print(f"{'attested training, CPU':<40}{found.attested:>10.2f} s")
    print(f"{'attested / plain, steps and all':<40}{found.whole:>12.4f}")
    print(f"{'attested / plain, equal steps':<40}{found.ratio:>12.4f}{CPU_LIMIT:>10.2f}{found.ratio / CPU_LIMIT:>8.2f}")
    print(
        f"{'quote, bind and sign one run':<40}{sign_ms:>9.2f} ms{SIGN_LIMIT_MS:>7.2f} ms{sign_ms / SIGN_LIMIT_MS:>8.2f}"
    )
    sys.exit(0 if found.ratio <= CPU_LIMIT and sign_ms <= SIGN_LIMIT_MS else 1)


if __name__ == "__main__":
    main()

"""What a decision costs once everything is verified: a chain of eight, and growth up to 10,000 attestations.

    python bench/policy.py [--rounds COUNT]

Attestations are sealed as verification would hand them over, with the payloads of `lamslsa.testing.chain` and claims of
a simulated platform; what verification costs is in `verification.py`. The policy is policies/census-income.

- Chain: two datasheets, a training, four transforms, an evaluation. Limits: 5 ms, and 40 ms with an expression, which a
  worker evaluates. What reading the policy costs is told beside it, since expressions are compiled there.
- Growth: 200 metric rules. *One model*: every attestation is an evaluation of the model that is appraised, by the right
  signer and under the right configuration; half of them miss every rule that they are about. *Many models*: a registry
  in which each model has a training, an evaluation and a datasheet of its own. *Strangers*: evaluations of the model
  that nobody whom the policy names has signed. *Chain*: each model is made from the one before it. Limit: 2 s for
  10,000 attestations, and at most 2 × the time for each attestation of the smallest size.

Milliseconds by the clock for the chain, since a worker is waited for, and of this process on a processor for growth;
medians. What the collector of garbage would look through is what the appraisal makes, not what was verified before.
The exit status says whether all limits were kept.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from lamslsa import predicates, statement, verification
from lamslsa._codec import sha256_hex
from lamslsa.evidence.interface import Standing
from lamslsa.evidence.roots import load_root
from lamslsa.evidence.verify import Freshness
from lamslsa.policy import Appraisal, Policy, appraise, load_policy
from lamslsa.policy.identities import Credential, IdentitySignature
from lamslsa.predicates import Dataset, Evaluation, Provenance
from lamslsa.sign import KeyVerifier
from lamslsa.sign.interface import Witnessed
from lamslsa.testing import chain
from lamslsa.verification import Verification, VerifiedAttestation, VerifiedEvidence, VerifiedSignature

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "tests" / "vectors" / "policy" / "base"
POLICY = ROOT / "policies" / "census-income" / "policy.yaml.in"
CHAIN_LIMIT_MS, EXPRESSION_LIMIT_MS, GROWTH_LIMIT_MS, GROWTH_LIMIT = 5.0, 40.0, 2000.0, 2.0
SIZES: Final = (1_000, 2_000, 5_000, 10_000)
RULES: Final = 200
AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
EXPRESSION: Final = (
    'attestations.exists(a, has(a.evaluation) && a.evaluation.metrics.exists(m, m.name == "accuracy" && m.value > 0.8))'
)


def policy_text(folder: Path, *, more: str = "") -> str:
    """The census-income policy over the test chain, its keys in the folder; it pins the code of the chain by digest."""
    for name in ("data-owner.pub", "trainer.pub", "auditor.pub", "enclave-release.pub", "simulated-root.pem"):
        shutil.copy(BASE / name, folder / name)
    shutil.copy(BASE / "enclave.reference-values.sigstore.json", folder / "enclave.sigstore.json")
    text = POLICY.read_text()
    pinned = f'measurements: ["{chain.claims(root="").measurement_digest}"]'
    for token, value in (
        ("@EXPIRES@", "2027-06-30T00:00:00Z"),
        ("@TRAIN@", f"sha256:{chain.TRAIN}"),
        ("@TEST@", f"sha256:{chain.TEST}"),
        ("@PLATFORM@", "rehearsal"),
    ):
        text = text.replace(token, value)
    text = text.replace("referenceValues: {file: enclave.sigstore.json, signedBy: enclave-release}", pinned, 1)
    transforms = "transforms: {signedBy: trainer, platform: rehearsal, allow: [quantize-int8/1]}\n\n"
    return text.replace("\nrequire:\n", f"\n{transforms}require:\n") + more


def metric_rules(count: int) -> str:
    """Rules about a metric of a slice each; one in ten has a limit that half of the evaluations miss."""
    return "".join(
        f"  - {{name: rule {number}, metric: accuracy, slice: {{part: 'p{number % 20}'}}, min: "
        f"{0.8 if number % 10 else 0.9}, use: lowerBound, measurer: tabular-evaluation/1, "
        f"dataset: {{name: census-test, digest: 'sha256:{chain.TEST}', "
        f"datasheet: {{signedBy: data-owner, platform: rehearsal}}}}, signedBy: auditor, platform: rehearsal}}\n"
        for number in range(count)
    )


@cache
def signature(name: str) -> VerifiedSignature:
    """One of the policy's identities has signed."""
    verifier = KeyVerifier.load((BASE / f"{name}.pub").read_bytes())
    signed = IdentitySignature(
        signer=name,
        key_sha256=sha256_hex(name.encode()),
        witnessed=Witnessed(),
        credentials=(Credential(verifier=verifier),),
    )
    return VerifiedSignature(identity=name, signature=signed, source="bench")


def attested(payload: bytes, signer: str | None) -> VerifiedAttestation:
    """A statement as verification hands it over, quoted by a simulated platform."""
    parsed = statement.parse(payload)
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, Dataset | Evaluation | Provenance), parsed.predicate_type
    root = load_root((BASE / "simulated-root.pem").read_bytes()).sha256
    evidence = VerifiedEvidence(
        claims=chain.claims(root=root),
        statement=sha256_hex(parsed.sha256.encode()),
        covers=(parsed.sha256,),
        as_of=AT,
        standing=Standing(revoked=False, tcb_evaluation_data_number=17),
        standing_message="",
        freshness=Freshness(),
    )
    return VerifiedAttestation(
        statement=parsed,
        predicate=predicate,
        signatures=() if signer is None else (signature(signer),),
        evidence=(evidence,),
        seal=verification._SEAL,  # noqa: SLF001  # verification is measured elsewhere
    )


def census_chain() -> list[VerifiedAttestation]:
    """Two datasheets, a training, four transforms that lead to the model, and its evaluation."""
    model = chain.model()
    steps = [*(chain.model({"model.safetensors": f"step {number}"}) for number in range(4)), model]
    values = {"balanced_accuracy": 0.78, "f1": 0.68, "auroc": 0.91, "expected_calibration_error": 0.02}
    metrics = [
        chain.metric("accuracy", 0.855),
        *(chain.metric(name, value) for name, value in values.items()),
        *(
            chain.metric(name, 0.15, groups=[group])
            for name in ("demographic_parity_difference", "equalized_odds_difference")
            for group in ("sex", "race")
        ),
        chain.metric("accuracy", 0.95, rows={"sex": "Female", "race": "Black"}, samples=2000),
    ]
    census = chain.census(model)
    return [
        attested(census["train"], "data-owner"),
        attested(census["test"], "data-owner"),
        attested(chain.trained(steps[0]), "trainer"),
        *(
            attested(chain.transformed(made, parents=[("census-mlp", parent.sha256)]), "trainer")
            for parent, made in itertools.pairwise(steps)
        ),
        attested(chain.evaluated(model, metrics=metrics), "auditor"),
    ]


def _sliced(value: float) -> list[dict[str, Any]]:
    return [chain.metric("accuracy", value, rows={"part": f"p{number}"}, samples=2000) for number in range(20)]


def one_model(size: int, *, signer: str | None = "auditor") -> Iterator[VerifiedAttestation]:
    """Evaluations of the model that is appraised, all different."""
    payloads = [chain.evaluated(chain.model(), metrics=_sliced(value)) for value in (0.92, 0.85)]
    for number in range(size):
        yield attested(_respelled(payloads[number % 2], number), signer)


def many_models(size: int) -> Iterator[VerifiedAttestation]:
    """Of each model a training, an evaluation, and a datasheet of what it was evaluated on."""
    for number in range(size // 3):
        model = chain.model({"model.safetensors": f"model {number}"})
        data = sha256_hex(f"data {number}".encode())
        yield attested(chain.datasheet("data", data, rows=9), "data-owner")
        yield attested(chain.trained(model), "trainer")
        yield attested(chain.evaluated(model, dataset=("data", data, ""), metrics=_sliced(0.9)), "auditor")


def deep_chain(size: int) -> Iterator[VerifiedAttestation]:
    """Transforms, each of the model before it; the last one makes the model that is appraised."""
    names = [*(f"{number:064x}" for number in range(1, size)), chain.model().sha256]
    payload = chain.transformed(chain.model(), parents=[("parent", chain.PARENT)])
    for parent, made in itertools.pairwise(names):
        own = payload.replace(chain.PARENT.encode(), parent.encode())
        yield attested(own.replace(chain.model().sha256.encode(), made.encode()), "trainer")


def _respelled(payload: bytes, number: int) -> bytes:
    """The same statement in other bytes: which spaces stand behind it says the number in binary."""
    return payload + bytes(b" \n"[bit == "1"] for bit in f"{number:b}")


def appraisal(policy: Policy, items: Sequence[VerifiedAttestation]) -> Appraisal:
    """The decision about the model of the test chain."""
    verification = Verification(trust=policy.trust_material(at=AT, now=AT), attestations=tuple(items), set_aside=())
    return appraise(policy, model=chain.model(), model_name="census-mlp", verification=verification, at=AT)


def median_ms(work: Callable[[], object], rounds: int, clock: Callable[[], float]) -> float:
    """Median milliseconds of one call; a first one is not counted."""
    work()
    times = []
    for _ in range(rounds):
        began = clock()
        work()
        times.append(clock() - began)
    return statistics.median(times) * 1e3


def load(text: str, folder: Path) -> Policy:
    return load_policy(text.encode(), source="policy.yaml", directory=folder)


def small(folder: Path, rounds: int) -> bool:
    """The chain of eight, without and with an expression."""
    items = census_chain()
    expression = f"  - {{name: in words, cel: '{EXPRESSION}', signedBy: auditor, platform: rehearsal}}\n"
    kept = True
    print(f"{f'a chain of {len(items)}, census-income':<34}{'median':>12}{'limit':>12}{'ratio':>8}")
    for name, more, limit in (("without", "", CHAIN_LIMIT_MS), ("with", expression, EXPRESSION_LIMIT_MS)):
        text = policy_text(folder, more=more)
        began = time.perf_counter()
        policy = load(text, folder)
        first = (time.perf_counter() - began) * 1e3
        refused = [f"{rule.name}: {rule.message}" for rule in appraisal(policy, items).rules if rule.message]
        if refused:
            sys.exit(f"expected the chain accepted, got {refused[0]}")
        spent = median_ms(partial(appraisal, policy, items), rounds * 10, time.perf_counter)
        kept &= spent <= limit
        print(f"{f'{name} an expression':<34}{spent:>9.2f} ms{limit:>9.2f} ms{spent / limit:>8.2f}")
        reading = median_ms(partial(load, text, folder), rounds, time.perf_counter)
        print(f"{'  reading the policy':<34}{reading:>9.2f} ms{'':>12}{'':>8}  the first time {first:.0f} ms")
    return kept


def growth(folder: Path, rounds: int) -> bool:
    """200 rules over more and more attestations."""
    policy = load(policy_text(folder, more=metric_rules(RULES - 10)), folder)
    base = census_chain()
    kept = True
    print(f"\n{f'{len(policy.require)} rules':<16}{'attestations':>14}{'median':>12}{'each':>12}{'ratio':>8}")
    for name, made in (
        ("one model", one_model),
        ("many models", many_models),
        ("strangers", partial(one_model, signer=None)),
        ("chain", deep_chain),
    ):
        every = list(made(SIZES[-1]))
        gc.collect()
        gc.freeze()
        first = 0.0
        for size in SIZES:
            items = [*base, *every[: size - len(base)]]
            spent = median_ms(partial(appraisal, policy, items), rounds, time.process_time)
            first = first or spent / size
            ratio = spent / size / first
            over = ratio > GROWTH_LIMIT or (size == SIZES[-1] and spent > GROWTH_LIMIT_MS)
            kept &= not over
            mark = "  OVER" if over else ""
            print(f"{name:<16}{size:>14}{spent:>9.0f} ms{1e3 * spent / size:>9.1f} µs{ratio:>8.2f}{mark}", flush=True)
        gc.unfreeze()
    print(f"limits: {GROWTH_LIMIT_MS:.0f} ms for {SIZES[-1]}, {GROWTH_LIMIT} x the time for each of {SIZES[0]}")
    return kept


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        kept = small(Path(name), given.rounds)
        kept &= growth(Path(name), given.rounds)
    print("all within their limits" if kept else "OVER A LIMIT")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

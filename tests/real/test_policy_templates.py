"""The policies that people can start from refuse real evidence that is not what they ask for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lamslsa.evidence import verifier_for
from lamslsa.evidence.appraise import Vouched, appraise
from lamslsa.evidence.interface import Claims, Standing
from lamslsa.evidence.nitro.verify import NitroVerifier
from lamslsa.evidence.roots import INTEL_SGX_ROOT, load_root
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.verify import VerifiedEvidence
from lamslsa.policy.opening import open_policy
from lamslsa.predicates import evaluation
from tests.loading import load_script

POLICIES = Path(__file__).parents[2] / "policies"
NAMES = ["census-income", "confidential-data", "eu-ai-act-annex-iv", "hub-model", "quantized-release"]
NITRO_AT = dt.datetime(2022, 10, 12, 13, 50, 6, 81000, tzinfo=dt.UTC)
SGX_AT = dt.datetime(2025, 6, 25, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def rehearse(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = load_script(POLICIES / "rehearse.py", "rehearse_real")
    folder = tmp_path_factory.mktemp("templates")

    def make(name: str) -> Any:
        if not (folder / name).exists():
            stage = module.Stage(folder / name, roles=frozenset({"auditor", "data-owner", "trainer", "hub-publisher"}))
            stage.fill(POLICIES / name / "policy.yaml.in", module.REHEARSALS[name]().values)
        return open_policy(str(folder / name / "policy.yaml")).policy

    return make


def _reasons(claims: Claims, terms: Any, at: dt.datetime) -> set[str]:
    found = VerifiedEvidence(
        claims=claims,
        statement="0" * 64,
        covers=("0" * 64,),
        as_of=at,
        standing=Standing(revoked=False, tcb_evaluation_data_number=17),
    )
    vouched = Vouched(predicate_type=evaluation.PREDICATE_TYPE, measurer="tabular-evaluation/1")
    return {refusal.reason for refusal in appraise(found, terms, now=at, statement=vouched)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("platform", ["rehearsal", "production"])
def test_a_processor_that_is_not_configured_well_and_runs_other_code(
    shared: Path, rehearse: Any, name: str, platform: str
) -> None:
    quote = (shared / "evidence/sgx/sgx_quote").read_bytes()
    collateral = (shared / "evidence/sgx/sgx_quote_collateral.json").read_bytes()
    claims = verifier_for(MEDIA_TYPE).verify(quote, collateral=collateral, roots=[INTEL_SGX_ROOT], at=SGX_AT)
    reasons = _reasons(claims, rehearse(name).platforms[platform], SGX_AT)
    assert reasons >= {"platform-tcb", "platform-measurement"}
    assert ("platform-hardware" in reasons) == (platform == "rehearsal")


@pytest.mark.parametrize("name", NAMES)
def test_an_enclave_in_debug_mode(shared: Path, rehearse: Any, name: str) -> None:
    document = (shared / "evidence/nitro/debug-mode-attestation-doc-bytes").read_bytes()
    root = load_root((shared / "evidence/nitro/nitro.pem").read_bytes().rstrip() + b"\n")
    claims = NitroVerifier().verify(document, collateral=None, roots=[root], at=NITRO_AT)
    assert _reasons(claims, rehearse(name).platforms["production"], NITRO_AT) >= {"platform-debug", "platform-tee"}

"""The library: the same verdict as on the command line, and weights of the bytes that were appraised."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import lamslsa
from lamslsa import _codec, api, decision, load_verified, verify
from lamslsa.artifact import hash_artifact
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence import report_data
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.policy.opening import open_policy
from lamslsa.publish import publish_run
from lamslsa.store import open_store
from lamslsa.testing import chain
from tests.cli.world import NOW, ROLES, World

WEIGHTS = {"0.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "0.bias": torch.zeros(2)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.of(tmp_path)
    made.policy()
    (made.model / "model.safetensors").unlink()
    save_file(WEIGHTS, made.model / "model.safetensors")
    return made


def publish(world: World) -> None:
    """The chain of this very model."""
    for name, payload in chain.census(hash_artifact(world.model, "model")).items():
        run = Run(
            statements=(NamedPayload(name="01-statement", payload=payload),),
            nonce=(nonce := Nonce.random()),
            evidence=world.vendor.evidence(
                report_data(nonce.value, device_evidence=[], statements=[_codec.sha256_hex(payload)])
            ),
            quoted_at="2026-01-01T00:00:00Z",
        )
        publish_run(run, signer=world.signers[ROLES[name]], store=open_store(str(world.model / ".attestations")))


def test_the_verdict(world: World) -> None:
    publish(world)
    appraisal = verify(world.model, world.folder / "policy.yaml", now=NOW)
    assert appraisal.accepted, [rule.message for rule in appraisal.rules if rule.outcome != "satisfied"]
    with pytest.raises(TypeError):
        bool(appraisal)


def test_nothing_published_is_nothing_accepted(world: World) -> None:
    appraisal = verify(str(world.model), str(world.folder / "policy.yaml"), now=NOW)
    assert not appraisal.accepted
    assert appraisal.exit_code == 4


def test_attestations_elsewhere_and_a_policy_at_hand(world: World, tmp_path: Path) -> None:
    publish(world)
    (world.model / ".attestations").rename(tmp_path / "kept")
    policy = open_policy(str(world.folder / "policy.yaml")).policy
    assert not verify(world.model, policy, now=NOW).accepted
    assert verify(world.model, policy, now=NOW, attestations=[tmp_path / "kept"]).accepted
    assert load_verified(world.model, policy, now=NOW, attestations=[tmp_path / "kept"]).keys() == WEIGHTS.keys()


def test_weights_are_those_that_were_appraised(world: World) -> None:
    publish(world)
    found = load_verified(world.model, world.folder / "policy.yaml", now=NOW)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_a_refused_model_is_not_loaded(world: World) -> None:
    publish(world)
    save_file({**WEIGHTS, "0.bias": torch.ones(2)}, world.model / "model.safetensors")
    with pytest.raises(LamslsaError) as caught:
        load_verified(world.model, world.folder / "policy.yaml", now=NOW)
    assert caught.value.reason == "model-refused"
    assert caught.value.exit_code == 4


def test_a_file_swapped_after_it_was_read_makes_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(world)
    decide = decision.decide

    def swapped(*args: object, **kwargs: object) -> object:
        save_file({"0.weight": torch.ones(1)}, world.model / "model.safetensors")
        return decide(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "decide", swapped)
    found = load_verified(world.model, world.folder / "policy.yaml", now=NOW)
    assert torch.equal(found["0.weight"], WEIGHTS["0.weight"])


@pytest.mark.parametrize("files", [[], ["a.safetensors", "b.safetensors"]])
def test_weights_that_are_none_or_twice_there(world: World, files: list[str]) -> None:
    (world.model / "model.safetensors").unlink()
    for name in files:
        save_file(WEIGHTS, world.model / name)
    publish(world)
    with pytest.raises(FormatError) as caught:
        load_verified(world.model, world.folder / "policy.yaml", now=NOW)
    assert caught.value.reason == ("weights-twice" if files else "weights-missing")


def test_a_policy_that_has_ended(world: World) -> None:
    publish(world)
    with pytest.raises(LamslsaError) as caught:
        verify(world.model, world.folder / "policy.yaml", now=NOW + dt.timedelta(days=36500))
    assert caught.value.reason == "policy-expired"


def test_both_are_functions_of_the_package() -> None:
    assert set(lamslsa.__all__) == {"__version__", "load_verified", "verify"}
    assert (lamslsa.verify, lamslsa.load_verified) == (api.verify, api.load_verified)
    with pytest.raises(AttributeError, match="verifies"):
        lamslsa.verifies  # type: ignore[attr-defined]  # noqa: B018


def test_what_measures_imports_nothing_of_it() -> None:
    script = (
        "import sys, lamslsa.attest; assert not {'lamslsa.api', 'lamslsa.policy', 'lamslsa.sign'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

"""Large policies and graphs: what is done grows with them, counted in calls of this package, and nothing recurses."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import pytest

from lamslsa.policy import Appraisal, Policy
from lamslsa.policy.model import TransformTerms, Witness
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation
from tests.unit.policy.deciding import decide

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
LINEAR = 2.2
MEGABYTE = 1_000_000
TRAINER = Witness(signed_by="trainer", platform="rehearsal")


def calls(work: Callable[[], object]) -> int:
    """How many functions of this package are called."""
    count = 0

    def seen(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call" and "/lamslsa/" in frame.f_code.co_filename

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def rules(count: int) -> str:
    return "".join(
        f"  - {{name: rule {number}, metric: accuracy, min: 0.{number % 80 + 1:02}, use: value, "
        f"measurer: tabular-evaluation/1, dataset: {{name: census-test, digest: 'sha256:{chain.TEST}', "
        "datasheet: {signedBy: data-owner, platform: rehearsal}}, signedBy: auditor, platform: rehearsal}\n"
        for number in range(count)
    )


def evaluations(entries: dict[str, Entry], count: int) -> list[Entry]:
    good = entries["evaluation"]
    return [*entries.values(), *(replace(good, payload=good.payload + b" " * (number + 1)) for number in range(count))]


def descent(entries: dict[str, Entry], length: int) -> list[Entry]:
    """A chain of transforms that begins with the training and ends with the model."""
    names = [chain.PARENT, *(f"{number:064x}" for number in range(1, length)), chain.model().sha256]
    made = chain.transformed(chain.model(), parents=[("parent", chain.PARENT)])
    training = chain.edited(entries["training"].payload, ["subject", 0, "digest", "sha256"], chain.PARENT)
    steps = [
        replace(
            entries["training"],
            payload=made.replace(chain.model().sha256.encode(), b"$MADE")
            .replace(chain.PARENT.encode(), parent.encode())
            .replace(b"$MADE", product.encode()),
        )
        for parent, product in itertools.pairwise(names)
    ]
    return [*entries.values(), replace(entries["training"], payload=training), *steps]


@pytest.fixture
def load_with(load: Callable[[str], Policy], policy_text: str) -> Callable[[int], Policy]:
    return lambda count: load(policy_text + rules(count))


def test_a_policy_of_a_megabyte(
    load: Callable[[str], Policy], policy_text: str, judge: Callable[..., Appraisal], entries: dict[str, Entry]
) -> None:
    count = MEGABYTE // len(rules(1)) + 1
    text = policy_text + rules(count)
    assert len(text) > MEGABYTE
    policy = load(text)
    appraisal = judge(entries.values(), policy=policy)
    assert appraisal.accepted
    assert len(appraisal.rules) == count + 7


def test_reading_and_deciding_grow_with_the_rules(
    load_with: Callable[[int], Policy], entries: dict[str, Entry], sealed: Sealed
) -> None:
    items = sealed(evaluations(entries, 20))
    few, many = load_with(100), load_with(200)
    assert calls(lambda: load_with(200)) < LINEAR * calls(lambda: load_with(100))
    assert calls(lambda: decide(many, items)) < LINEAR * calls(lambda: decide(few, items))


def test_rules_cost_no_further_look_at_each_evaluation(
    load_with: Callable[[int], Policy], entries: dict[str, Entry], sealed: Sealed
) -> None:
    """Of rules times evaluations there may be millions."""
    few, many = sealed(evaluations(entries, 20)), sealed(evaluations(entries, 120))
    growth = [
        calls(partial(decide, policy, many)) - calls(partial(decide, policy, few))
        for policy in (load_with(20), load_with(200))
    ]
    assert growth[1] < 1.5 * growth[0]


def test_a_descent_deeper_than_the_stack(
    load: Callable[[str], Policy], policy_text: str, entries: dict[str, Entry], sealed: Sealed
) -> None:
    """A short one is accepted; one deeper than any real one is refused, in steps that grow with it."""
    policy = replace(load(policy_text), transforms=(TransformTerms(witness=TRAINER, allow=("quantize-int8/1",)),))
    own = {name: entry for name, entry in entries.items() if name != "training"}

    def made(length: int) -> tuple[VerifiedAttestation, ...]:
        return sealed([*own.values(), *descent(entries, length)[len(entries) :]])

    assert decide(policy, made(5)).accepted
    depth = sys.getrecursionlimit() + 200
    deep, half = made(depth), made(depth // 2)
    (training,) = [rule for rule in decide(policy, deep).rules if rule.name == "training"]
    assert training.reason == "parent-unknown"
    assert calls(lambda: decide(policy, deep)) < LINEAR * calls(lambda: decide(policy, half))

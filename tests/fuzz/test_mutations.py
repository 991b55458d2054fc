"""Any single byte of the demo's attestations changed, dropped or doubled ends in a refusal, or in the same result.

`make test` tries 2,000 mutations from a fixed seed and 500 from a fresh one, which stands in the header of the run and
can be given again in LAMSLSA_FUZZ_SEED; `make fuzz` tries all.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import Manifest, hash_artifact
from lamslsa.policy import Policy, appraise, load_policy
from lamslsa.reports import About
from lamslsa.reports import json as report
from lamslsa.store import StoredBundle
from lamslsa.verification import verify_bundles

KINDS = ("changed", "dropped", "doubled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The demo's attestations, and what appraising them says."""

    files: tuple[tuple[str, bytes], ...]
    policy: Policy
    model: Manifest
    at: dt.datetime

    def appraise(self, bundles: tuple[StoredBundle, ...]) -> dict[str, Any]:
        verification = verify_bundles(bundles, self.policy.trust_material(at=self.at, now=self.at))
        appraisal = appraise(
            self.policy, model=self.model, model_name="census-mlp", verification=verification, at=self.at
        )
        return report.values(appraisal, About())

    @property
    def bundles(self) -> tuple[StoredBundle, ...]:
        return tuple(StoredBundle(source=source, data=data) for source, data in self.files)

    def mutate(self, number: int, kind: str, value: int) -> tuple[StoredBundle, ...]:
        """The bundles with byte ``number``, counted over all of them, mutated."""
        result = list(self.bundles)
        for index, (source, original) in enumerate(self.files):
            if number < len(original):
                data = bytearray(original)
                if kind == "changed":
                    data[number] ^= value
                elif kind == "dropped":
                    del data[number]
                else:
                    data.insert(number, data[number])
                result[index] = StoredBundle(source=source, data=bytes(data))
                return tuple(result)
            number -= len(original)
        raise IndexError(number)

    def sets_aside(self, number: int, kind: str, value: int) -> bool:
        """Whether the mutated bundle by itself is not authentic."""
        before = self.bundles
        (mutated,) = (new for new, old in zip(self.mutate(number, kind, value), before, strict=True) if new != old)
        alone = verify_bundles([mutated], self.policy.trust_material(at=self.at, now=self.at))
        return bool(alone.set_aside) and not alone.attestations

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.files)


@pytest.fixture(scope="module")
def target(chain: Any) -> Target:
    policy_file: Path = chain.policy
    return Target(
        files=tuple((path.name, path.read_bytes()) for path in sorted(chain.store.iterdir())),
        policy=load_policy(policy_file.read_bytes(), source="policy.yaml", directory=policy_file.parent),
        model=hash_artifact(chain.model, "model"),
        at=dt.datetime.now(dt.UTC),
    )


def _meaning(document: dict[str, Any]) -> dict[str, Any]:
    """What a result says, without the bundles that were set aside."""
    return {key: value for key, value in document.items() if key != "setAside"}


def assert_refused_or_same(
    target: Target, mutations: Iterator[tuple[int, str, int]], meaning: Callable[[dict[str, Any]], Any] = _meaning
) -> None:
    untouched = target.appraise(target.bundles)
    assert untouched["accepted"]
    for number, kind, value in mutations:
        document = target.appraise(target.mutate(number, kind, value))
        if document["accepted"]:
            assert meaning(document) == meaning(untouched), (number, kind, value)
        else:
            assert document["exitCode"] in (4, 5), (number, kind, value)


def _random(target: Target, seed: int, count: int) -> Iterator[tuple[int, str, int]]:
    chooser = random.Random(seed)
    for _ in range(count):
        yield chooser.randrange(target.size), chooser.choice(KINDS), chooser.randrange(1, 256)


@pytest.fixture(scope="module")
def absent(target: Target) -> None:
    """Without any one of the bundles the model is refused: so one that is set aside by itself needs no appraisal."""
    for index in range(len(target.files)):
        without = target.bundles[:index] + target.bundles[index + 1 :]
        assert not target.appraise(without)["accepted"], target.files[index][0]


def _telling(target: Target, mutations: Iterator[tuple[int, str, int]]) -> Iterator[tuple[int, str, int]]:
    """Those that have to be appraised in full: a bundle that is set aside when verified alone is as good as absent."""
    return (item for item in mutations if not target.sets_aside(*item))


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("part", range(4))
def test_seeded_mutations_are_refused_or_change_nothing(target: Target, part: int) -> None:
    assert_refused_or_same(target, _telling(target, _random(target, 20261122 + part, 500)))


@pytest.mark.usefixtures("absent")
def test_fresh_mutations_are_refused_or_change_nothing(target: Target) -> None:
    seed = int(os.environ["LAMSLSA_FUZZ_SEED"])
    assert_refused_or_same(target, _telling(target, _random(target, seed, 500)))


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(8))
def test_every_mutation_is_refused_or_changes_nothing(
    target: Target, kind: str, part: int, request: pytest.FixtureRequest
) -> None:
    step = 1 if request.config.getoption("--every-mutation") else 997
    values = random.Random(part)
    mutations = ((number, kind, values.randrange(1, 256)) for number in range(part * step, target.size, 8 * step))
    assert_refused_or_same(target, _telling(target, mutations))

"""Ways in which a model may have come to be: many of them, deep ones, and none that hides the good one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from lamslsa.policy import Appraisal, Policy
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

TRANSFORMS = "\ntransforms: {signedBy: trainer, platform: rehearsal, allow: [prune/1]}\n\nrequire:\n"


@pytest.fixture
def policy(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text.replace("\nrequire:\n", TRANSFORMS))


def _entry(payload: bytes, root: str) -> Entry:
    return Entry(payload=payload, signers=frozenset({"trainer"}), claims=(chain.claims(root=root),))


def _chain(depth: int, root: str) -> dict[str, Entry]:
    """A model pruned ``depth`` times, each step attested twice under other names."""
    digests = [f"{level:064x}" for level in range(depth)] + [chain.model().sha256]
    training = chain.edited(chain.trained(chain.model()), ["subject", 0, "digest", "sha256"], digests[0])
    made = {"training": _entry(training, root)}
    for level in range(1, depth + 1):
        step = chain.transformed(chain.model(), parents=[("parent", digests[level - 1])], by="prune/1")
        step = chain.edited(step, ["subject", 0, "digest", "sha256"], digests[level])
        made[f"step-{level}"] = _entry(step, root)
        made[f"again-{level}"] = _entry(chain.edited(step, ["subject", 0, "name"], f"again-{level}"), root)
    return made


@pytest.mark.parametrize("depth", [1, 20, 32])
def test_a_long_chain_attested_twice_is_walked_once(
    judge: Callable[..., Appraisal], entries: dict[str, Entry], policy: Policy, root: str, depth: int
) -> None:
    everything = {**entries, **_chain(depth, root)}
    appraisal = judge(everything.values(), policy=policy)
    assert appraisal.exit_code == 0, [rule.message for rule in appraisal.rules]


def test_deeper_than_is_looked_at_refuses(
    judge: Callable[..., Appraisal], entries: dict[str, Entry], policy: Policy, root: str
) -> None:
    everything = {**{name: item for name, item in entries.items() if name != "training"}, **_chain(33, root)}
    assert judge(everything.values(), policy=policy).exit_code == 4


def test_many_genuine_provenances_hide_no_good_one(
    judge: Callable[..., Appraisal], entries: dict[str, Entry], policy: Policy, root: str
) -> None:
    def others() -> Iterable[Entry]:
        for number in range(200):
            other = f"{number:064x}"
            datasets = [("census-train", chain.TRAIN, ""), (f"other-{number}", other, "")]
            yield _entry(chain.trained(chain.model(), datasets=datasets), root)

    appraisal = judge([*others(), *entries.values()], policy=policy)
    assert appraisal.exit_code == 0
    assert appraisal.warnings

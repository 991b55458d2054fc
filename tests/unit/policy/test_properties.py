"""The monotonic core with all its terms, as properties: what is taken away or damaged never accepts.

The policy asks for everything in the core at once: a prepared dataset with a licence, listed code and packages, a base
model under a policy of its own, limits on values, an overlap, and a comparison with another model. What stands outside
the core (``every``, ``latest``, ``conflicts: refuse``, ``deny``, expressions) has an example each, which says so.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa._codec import sha256_hex
from lamslsa.policy import Appraisal, Policy, appraise
from lamslsa.policy.model import (
    CelRule,
    CodeTerms,
    Comparison,
    Deny,
    MetricRule,
    ModelTerms,
    PackageTerms,
    PreparationTerms,
    Witness,
)
from lamslsa.reports import About
from lamslsa.reports import json as report
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation
from tests.unit.policy.deciding import AT, OTHER, dated, measured, ruled, seen

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
BASE = chain.model({"model.json": "{}", "model.safetensors": "the base"})
RAW = "a" * 64
DATA_OWNER = Witness(signed_by="data-owner", platform="rehearsal")
GOOD = 10
"""How many of the universe make up what is accepted."""


def _prepared(product: str, source: str, by: str = "split/1") -> bytes:
    payload = chain.transformed(chain.model(), parents=(), datasets=[("raw", source, "")], by=by)
    payload = chain.edited(payload, ["predicate", "buildDefinition", "externalParameters", "produces"], "dataset")
    return chain.edited(payload, ["subject", 0, "digest", "sha256"], product)


def _with_package(payload: bytes, version: str) -> bytes:
    item = {
        "name": "torch",
        "uri": f"pkg:pypi/torch@{version}",
        "digest": {"sha256": "d" * 64},
        "annotations": {"kind": "package"},
    }
    place = 3  # behind dataset, base model and code
    return chain.edited(payload, ["predicate", "buildDefinition", "resolvedDependencies", place], item)


def _declared(payload: bytes, license_: str) -> bytes:
    return chain.edited(payload, ["predicate", "declared"], {"license": license_})


@pytest.fixture(scope="module")
def whole_core(load: Callable[[str], Policy], policy_text: str) -> Policy:
    base = load(policy_text)
    rules = ruled(base, no_worse_than=Comparison(sha256=OTHER.sha256, margin=0.01, higher_is_better=True)).require
    inner = replace(base, name="for bases", closure=sha256_hex(b"for bases"))
    (train,) = base.ingredients.datasets
    prepared = replace(train, preparation=PreparationTerms(witness=DATA_OWNER, allow=("split/1",)))
    ingredients = replace(
        base.ingredients,
        datasets=(prepared, replace(train, name="raw", sha256=RAW, license="MIT")),
        models=(ModelTerms(name="base", sha256=BASE.sha256, policy=inner, license="MIT"),),
        code=(CodeTerms(name="lamslsa", sha256="c" * 64),),
        packages=(PackageTerms(purl="pkg:pypi/torch", versions="<3,>=2.6"),),
        licenses=frozenset({"MIT", "CC-BY-4.0"}),
    )
    return replace(base, ingredients=ingredients, require=rules)


def _universe(root: str) -> list[Entry]:
    """The good ones first; then others of every quality about the same artifacts."""
    base, of_base = chain.entries(root=root), chain.entries(root=root, manifest=BASE)
    by = {name: base[name] for name in ("train", "test", "training", "evaluation")}

    def made(like: str, payload: bytes) -> Entry:
        return replace(by[like], payload=payload)

    training = _with_package(chain.trained(chain.model(), bases=[("base", BASE.sha256)]), "2.7.0")
    good = [
        made("train", _declared(by["train"].payload, "CC-BY-4.0")),
        made("train", chain.datasheet("raw", RAW, rows=40000)),
        made("train", _prepared(chain.TRAIN, RAW)),
        by["test"],
        made("training", training),
        by["evaluation"],
        measured(by["evaluation"], 0.86, model=OTHER),
        of_base["training"],
        of_base["evaluation"],
        made("train", by["train"].payload),
    ]
    assert len(good) == GOOD
    others = [
        made("train", _declared(by["train"].payload, "GPL-3.0-only")),
        made("train", _prepared(chain.TRAIN, "b" * 64)),
        made("train", _prepared(chain.TRAIN, RAW, by="other/1")),
        made("training", _with_package(chain.trained(chain.model(), bases=[("base", BASE.sha256)]), "1.0.0")),
        made("training", chain.trained(chain.model(), bases=[("base", "9" * 64)])),
        made("training", chain.trained(chain.model(), configuration={"epochs": 99})),
        made("training", chain.trained(chain.model())),
        measured(by["evaluation"], 0.5),
        measured(by["evaluation"], 0.99, model=OTHER),
        measured(by["evaluation"], 0.5, model=OTHER),
        measured(by["evaluation"], 0.5, model=BASE),
        made("training", chain.trained(BASE, datasets=[("census-test", chain.TEST, "")])),
        made("training", chain.trained(BASE, bases=[("m", chain.model().sha256)])),
    ]
    return [*good, *others]


@dataclass(frozen=True)
class Damage:
    """One thing that is taken away or spoilt: of an attestation by its place, of an identity or platform by name."""

    kind: str
    place: int = 0
    name: str = ""


def damaged(policy: Policy, items: Sequence[Entry | None], damage: Damage) -> tuple[Policy, list[Entry | None]]:
    left = list(items)
    entry = left[damage.place]
    platform = policy.platforms["rehearsal"]
    match damage.kind:
        case "left out" | "corrupted":
            left[damage.place] = None  # a byte that differs is set aside, and so is not there
        case "of a stranger" if entry is not None:
            left[damage.place] = replace(entry, signers=frozenset({"nobody"}))
        case "unquoted" if entry is not None:
            left[damage.place] = replace(entry, claims=())
        case "without standing" if entry is not None:
            left[damage.place] = replace(entry, standing=None)
        case "key":
            left = [item if item and damage.name not in item.signers else None for item in left]
        case "root":
            platform = replace(platform, roots=frozenset({"f" * 64}))
        case "reference value":
            platform = replace(platform, code=())
        case "platform":
            platform = replace(platform, tee=frozenset({"tdx"}))
        case _:
            pass
    spoilt = {**policy.platforms, "rehearsal": platform}

    def under(one: Policy) -> Policy:
        models = tuple(
            replace(terms, policy=None if terms.policy is None else under(terms.policy))
            for terms in one.ingredients.models
        )
        return replace(one, platforms=spoilt, ingredients=replace(one.ingredients, models=models))

    return under(policy), left


_PLACED = st.builds(
    Damage,
    kind=st.sampled_from(["left out", "corrupted", "of a stranger", "unquoted", "without standing"]),
    place=st.integers(0, GOOD + 12),
)
_NAMED = st.builds(Damage, kind=st.just("key"), name=st.sampled_from(["data-owner", "trainer", "auditor"]))
_PLATFORM = st.builds(Damage, kind=st.sampled_from(["root", "reference value", "platform"]))


@pytest.fixture(scope="module")
def universe(root: str) -> list[Entry]:
    return _universe(root)


@pytest.fixture(scope="module")
def judged(sealed: Sealed) -> Callable[..., Appraisal]:
    """Appraise attestations under a policy and those within it."""

    def run(policy: Policy, attestations: Iterable[VerifiedAttestation], at: dt.datetime = AT) -> Appraisal:
        items = tuple(attestations)

        def verified(under: Policy) -> Verification:
            return Verification(trust=under.trust_material(at=at, now=at), attestations=items, set_aside=())

        return appraise(
            policy,
            model=chain.model(),
            model_name="m",
            verification=verified(policy),
            at=at,
            within={item.closure: verified(item) for item in policy.within},
        )

    return run


class World:
    """Everything that a property is about; shown in a word, so that a counterexample can be read."""

    def __init__(self, core: Policy, entries: list[Entry], judged: Callable[..., Appraisal], sealed: Sealed) -> None:
        self.core, self.entries, self.judged, self.sealed = core, entries, judged, sealed

    def __repr__(self) -> str:
        return "world"

    def judge(self, items: Iterable[Entry | None], policy: Policy | None = None) -> Appraisal:
        return self.judged(policy or self.core, self.sealed(item for item in items if item))


@pytest.fixture(scope="module")
def world(whole_core: Policy, universe: list[Entry], judged: Callable[..., Appraisal], sealed: Sealed) -> World:
    return World(whole_core, universe, judged, sealed)


def _chosen(universe: Sequence[Entry], without: Iterable[int], extra: Iterable[int]) -> list[Entry | None]:
    places = (set(range(GOOD)) - set(without)) | {GOOD + number for number in extra}
    return [entry if place in places else None for place, entry in enumerate(universe)]


_WITHOUT = st.sets(st.integers(0, GOOD - 1), max_size=2)
_EXTRA = st.sets(st.integers(0, 12), max_size=6)


def test_the_good_ones_are_accepted(world: World) -> None:
    """Else the properties below would hold of nothing."""
    appraisal = world.judge(world.entries[:GOOD])
    assert [(rule.name, rule.message) for rule in appraisal.rules if rule.outcome != "satisfied"] == []
    needed = [
        place
        for place in range(GOOD)
        if not world.judge(entry for index, entry in enumerate(world.entries[:GOOD]) if index != place).accepted
    ]
    assert needed == list(range(GOOD - 1)), "each of them but the second datasheet is needed"


@settings(max_examples=60, deadline=None)
@given(
    without=_WITHOUT,
    extra=_EXTRA,
    damages=st.lists(st.one_of(_PLACED, _PLACED, _NAMED, _PLATFORM), min_size=1, max_size=3),
)
def test_damage_never_accepts(
    without: set[int],
    extra: set[int],
    damages: list[Damage],
    world: World,
) -> None:
    items = _chosen(world.entries, without, extra)
    policy, left = world.core, items
    for damage in damages:
        policy, left = damaged(policy, left, damage)
    before = world.judge(items)
    after = world.judge(left, policy)
    assert before.accepted >= after.accepted
    assert before.accepted >= (not without - {GOOD - 1}), "what else is there hinders nothing"


@settings(max_examples=40, deadline=None)
@given(without=_WITHOUT, extra=_EXTRA, seed=st.integers())
def test_order_changes_no_byte_of_the_report(
    without: set[int],
    extra: set[int],
    seed: int,
    world: World,
) -> None:
    items = [item for item in _chosen(world.entries, without, extra) if item]
    shuffled = random.Random(seed).sample(items, len(items))
    told = [report.render(world.judge(order), About()) for order in (items, shuffled)]
    assert told[0] == told[1]


@dataclass(frozen=True)
class Hostile:
    """An attestation that is well formed, says what somebody likes, and is signed and quoted as the good ones."""

    kind: int
    name: str
    value: float
    digest: str
    samples: int
    signer: str
    foreign: bool

    def entry(self, root: str, number: int) -> Entry:
        name, digest, model = self.name, self.digest, chain.model()
        metrics = [
            chain.metric("accuracy", self.value, rows={name: name} if number % 2 else None, samples=self.samples)
        ]
        made: tuple[Callable[[], bytes], ...] = (
            lambda: chain.evaluated(model, metrics=metrics * (number % 3)),
            lambda: chain.evaluated(model, dataset=(name, digest, ""), configuration={"a": self.value}),
            lambda: chain.evaluated(BASE, metrics=metrics),
            lambda: chain.trained(model, bases=[(name, digest)]),
            lambda: chain.trained(model, datasets=[(name, digest, ""), (name, digest, "")]),
            lambda: chain.trained(BASE, bases=[(name, BASE.sha256)]),
            lambda: chain.transformed(model, parents=[(name, digest), ("base", BASE.sha256)]),
            lambda: chain.datasheet(name, digest, rows=self.samples, overlaps=[(digest, "0" * 64, 0)]),
            lambda: _prepared(chain.TRAIN, digest),
            lambda: _prepared(digest, chain.TRAIN),
        )
        claims = (chain.claims(root="f" * 64 if self.foreign else root),)
        payload = made[self.kind % len(made)]() + b" " * (number + 1)
        return Entry(payload=payload, signers=frozenset({self.signer}), claims=claims)


_HOSTILE = st.builds(
    Hostile,
    kind=st.integers(0, 9),
    name=st.sampled_from(["t", "x" * 255, "\x00\x1b[31m", "'; drop", "\ufdfd \u202e", "{}[]&*!"]),
    value=st.sampled_from([-1.0, 0.0, 1e308, 5e-324]),
    digest=st.sampled_from([chain.TRAIN, chain.TEST, RAW, BASE.sha256, chain.model().sha256, "0" * 64]),
    samples=st.sampled_from([0, 1, 2**53 - 1]),
    signer=st.sampled_from(["trainer", "auditor", "data-owner", "nobody"]),
    foreign=st.booleans(),
).filter(lambda item: not _turns_back(item))


def _turns_back(item: Hostile) -> bool:
    """Whether those who are trusted with it say that the raw data came of what was made of them.

    That is refused: see ``test_a_cycle`` of ``test_ingredients``.
    """
    trusted = item.signer in {"trainer", "data-owner"} and not item.foreign
    return trusted and item.kind == 9 and item.digest == RAW


@settings(max_examples=50, deadline=None)
@given(added=st.lists(_HOSTILE, min_size=1, max_size=6))
def test_whatever_is_added_accepts_as_before(
    added: list[Hostile],
    world: World,
    root: str,
) -> None:
    entries = [item.entry(root, number) for number, item in enumerate(added)]
    appraisal = world.judge([*world.entries[:GOOD], *entries])
    assert [(rule.name, rule.message) for rule in appraisal.rules if rule.outcome != "satisfied"] == []


# outside the core


@pytest.fixture
def two(entries: dict[str, Entry], sealed: Sealed) -> tuple[tuple[VerifiedAttestation, ...], VerifiedAttestation]:
    """The accepted chain, and one more evaluation that misses a limit."""
    (worse,) = sealed([measured(entries["evaluation"], 0.5)])
    return sealed(entries.values()), worse


@pytest.mark.parametrize("term", ["every", "conflicts"])
def test_what_is_left_out_accepts_under(
    term: str,
    two: tuple[tuple[VerifiedAttestation, ...], VerifiedAttestation],
    judged: Callable[..., Appraisal],
    load: Callable[[str], Policy],
    policy_text: str,
) -> None:
    base = load(policy_text)
    policy = ruled(base, every=True) if term == "every" else replace(base, refuse_conflicts=True)
    good, worse = two
    assert not judged(policy, [*good, worse]).accepted
    assert judged(policy, good).accepted
    assert judged(base, [*good, worse]).accepted, "without the term it is in the core"


def test_a_later_evaluation_that_is_left_out_accepts_under_latest(
    two: tuple[tuple[VerifiedAttestation, ...], VerifiedAttestation],
    judged: Callable[..., Appraisal],
    load: Callable[[str], Policy],
    policy_text: str,
) -> None:
    good, worse = two
    early, late = ([dated(item, [seen(day)]) for item in items] for day, items in ((-2, good), (-1, [worse])))
    identities = policy_text.replace(
        "auditor: {key: auditor.pub}", "auditor: {key: auditor.pub, validFrom: 2026-01-01T00:00:00Z}"
    )
    policy = ruled(load(identities), latest=True)
    assert not judged(policy, [*early, *late]).accepted
    assert judged(policy, early).accepted


def test_a_denied_artifact_that_nobody_names_any_more_accepts_under_deny(
    entries: dict[str, Entry],
    judged: Callable[..., Appraisal],
    sealed: Sealed,
    load: Callable[[str], Policy],
    policy_text: str,
) -> None:
    """Whoever withholds the one provenance that names it gets the model accepted by the other one."""
    base = load(policy_text)
    policy = replace(base, deny=replace(base.deny, artifacts=frozenset({"9" * 64})))
    assert isinstance(policy.deny, Deny)
    other = replace(entries["training"], payload=chain.trained(chain.model(), bases=[("denied", "9" * 64)]))
    assert not judged(policy, sealed([*entries.values(), other])).accepted
    assert judged(policy, sealed(entries.values())).accepted


def test_an_expression_may_come_true_for_what_is_left_out(
    two: tuple[tuple[VerifiedAttestation, ...], VerifiedAttestation],
    judged: Callable[..., Appraisal],
    load: Callable[[str], Policy],
    policy_text: str,
) -> None:
    base = load(policy_text)
    text = "attestations.all(a, !has(a.evaluation) || a.evaluation.metric('accuracy') >= 0.8)"
    witness = next(rule.witness for rule in base.require if isinstance(rule, MetricRule))
    rule = CelRule(name="all of them", expression=text, witness=witness, parameters={})
    policy = replace(base, require=(*base.require, rule))
    good, worse = two
    assert not judged(policy, [*good, worse]).accepted
    assert judged(policy, good).accepted

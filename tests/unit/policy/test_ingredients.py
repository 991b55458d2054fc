"""The ingredients list: prepared datasets, code, packages, and transforms by several signers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from lamslsa import _yaml
from lamslsa.policy import Appraisal, Policy, RuleResult
from lamslsa.policy.model import CodeTerms, PackageTerms, PreparationTerms, TransformTerms, Witness
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

RAW = "a" * 64
OTHER = "b" * 64
LAMSLSA = "c" * 64
DEPENDENCIES = ["predicate", "buildDefinition", "resolvedDependencies"]
PREPARED = PreparationTerms(witness=Witness(signed_by="data-owner", platform="rehearsal"), allow=("split/1",))


@pytest.fixture
def base(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture
def by(root: str) -> Callable[[str, bytes], Entry]:
    return lambda signer, payload: Entry(
        payload=payload, signers=frozenset({signer}), claims=(chain.claims(root=root),)
    )


def made(product: str, sources: Sequence[str], by: str = "split/1") -> bytes:
    """The provenance of a dataset made out of datasets."""
    payload = chain.transformed(
        chain.model(), parents=(), datasets=[(f"from-{item[:4]}", item, "") for item in sources], by=by
    )
    payload = chain.edited(payload, ["predicate", "buildDefinition", "externalParameters", "produces"], "dataset")
    return chain.edited(payload, ["subject", 0, "digest", "sha256"], product)


def listing(policy: Policy, extra: Sequence[str], prepared: Sequence[str] = (chain.TRAIN,)) -> Policy:
    """The policy with further datasets in its list, some of which have to be prepared."""
    (first,) = policy.ingredients.datasets
    datasets = [first, *(replace(first, name=f"raw-{item[:4]}", sha256=item) for item in extra)]
    found = tuple(replace(terms, preparation=PREPARED if terms.sha256 in prepared else None) for terms in datasets)
    return replace(policy, ingredients=replace(policy.ingredients, datasets=found))


def rule_of(appraisal: Appraisal, name: str) -> RuleResult:
    return next(rule for rule in appraisal.rules if rule.name == name)


class TestPreparation:
    @pytest.fixture
    def chained(self, entries: dict[str, Entry], by: Callable[[str, bytes], Entry]) -> dict[str, Entry]:
        """The chain, with census-train made out of a raw dataset that has a datasheet."""
        return {
            **entries,
            "raw": by("data-owner", chain.datasheet("raw", RAW, rows=48842)),
            "split": by("data-owner", made(chain.TRAIN, [RAW])),
        }

    def test_a_dataset_made_of_a_listed_one(
        self, judge: Callable[..., Appraisal], base: Policy, chained: dict[str, Entry]
    ) -> None:
        appraisal = judge(chained.values(), policy=listing(base, [RAW]))
        assert appraisal.accepted, [rule.message for rule in appraisal.rules]
        assert rule_of(appraisal, "preparation: census-train").observed == f"split/1 of 'from-{RAW[:4]}'"
        assert rule_of(appraisal, "ingredient: raw-aaaa").outcome == "satisfied"
        assert {item.statement.sha256 for item in appraisal.qualifying} == {
            item.statement.sha256 for item in appraisal.attestations
        }

    def test_without_its_provenance(
        self, judge: Callable[..., Appraisal], base: Policy, entries: dict[str, Entry]
    ) -> None:
        appraisal = judge(entries.values(), policy=listing(base, [RAW]))
        rule = rule_of(appraisal, "preparation: census-train")
        assert (rule.reason, appraisal.exit_code) == ("preparation-missing", 4)

    @pytest.mark.parametrize("left_out", ["raw", "split"])
    def test_leaving_something_out_refuses(
        self, judge: Callable[..., Appraisal], base: Policy, chained: dict[str, Entry], left_out: str
    ) -> None:
        rest = [item for name, item in chained.items() if name != left_out]
        assert not judge(rest, policy=listing(base, [RAW])).accepted

    def test_out_of_a_dataset_that_is_not_listed(
        self, judge: Callable[..., Appraisal], base: Policy, chained: dict[str, Entry]
    ) -> None:
        appraisal = judge(chained.values(), policy=listing(base, []))
        rule = rule_of(appraisal, "lineage")
        assert (rule.reason, appraisal.exit_code) == ("ingredient-not-listed", 5)
        assert f"digest: sha256:{RAW}" in rule.mend

    def test_the_way_that_the_policy_allows_is_found(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        others = [by("data-owner", made(chain.TRAIN, [f"{number:064x}"])) for number in range(100)]
        appraisal = judge([*others, *chained.values()], policy=listing(base, [RAW]))
        assert appraisal.accepted

    @pytest.mark.parametrize(
        ("signer", "code", "reason"),
        [("trainer", "split/1", "signer-other"), ("data-owner", "other/1", "transform-other")],
    )
    def test_by_somebody_or_something_else(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
        signer: str,
        code: str,
        reason: str,
    ) -> None:
        chained["split"] = by(signer, made(chain.TRAIN, [RAW], by=code))
        appraisal = judge(chained.values(), policy=listing(base, [RAW]))
        assert rule_of(appraisal, "preparation: census-train").reason == reason

    def test_without_a_quote(self, judge: Callable[..., Appraisal], base: Policy, chained: dict[str, Entry]) -> None:
        chained["split"] = replace(chained["split"], claims=())
        appraisal = judge(chained.values(), policy=listing(base, [RAW]))
        assert rule_of(appraisal, "preparation: census-train").reason == "evidence-missing"
        assert appraisal.exit_code == 4

    def test_what_a_source_was_made_of_is_asked_for_too(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        policy = listing(base, [RAW, OTHER], prepared=(chain.TRAIN, RAW))
        appraisal = judge(chained.values(), policy=policy)
        assert rule_of(appraisal, "preparation: raw-aaaa").reason == "preparation-missing"
        chained["first"] = by("data-owner", made(RAW, [OTHER]))
        chained["other"] = by("data-owner", chain.datasheet("other", OTHER, rows=48842))
        assert judge(chained.values(), policy=policy).accepted

    def test_a_cycle(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        chained["back"] = by("data-owner", made(RAW, [chain.TRAIN]))
        appraisal = judge(chained.values(), policy=listing(base, [RAW], prepared=(chain.TRAIN, RAW)))
        assert rule_of(appraisal, "preparation: census-train").reason == "lineage-cycle"

    @pytest.mark.parametrize("cycle", [(chain.TRAIN, chain.TRAIN), (chain.TRAIN, RAW, chain.TRAIN)])
    @pytest.mark.parametrize("bare", [chain.TRAIN, RAW])
    def test_a_cycle_that_a_bare_provenance_opens(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
        cycle: tuple[str, ...],
        bare: str,
    ) -> None:
        """Data made of themselves come from nowhere, whatever a statement that nothing quotes says beside it."""
        del chained["split"]
        steps = [by("data-owner", made(new, [old])) for new, old in pairwise(cycle)]
        opening = [replace(by("trainer", made(item, [OTHER])), claims=()) for item in (bare, cycle[0])]
        policy = listing(base, [RAW], prepared=(chain.TRAIN, RAW))
        appraisal = judge([*chained.values(), *steps, *opening], policy=policy)
        assert rule_of(appraisal, "preparation: census-train").reason == "lineage-cycle"
        opened = [by("data-owner", made(item, [OTHER])) for item in (bare, cycle[0])]
        appraisal = judge([*chained.values(), *steps, *opened], policy=policy)
        assert rule_of(appraisal, "lineage").reason == "ingredient-not-listed"

    @pytest.mark.parametrize("signer", ["data-owner", "auditor"])
    def test_what_nobody_asked_closes_no_cycle(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
        signer: str,
    ) -> None:
        """A statement that does not count would stop the appraisal of those that do."""
        back = by(signer, made(RAW, [chain.TRAIN]))
        back = replace(back, claims=back.claims if signer == "auditor" else ())
        assert judge([*chained.values(), back], policy=listing(base, [RAW])).accepted

    def test_a_way_round_beside_one_that_leads_to_listed_data(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        """It is neither followed instead nor in the way: where the data come from is what the other one says."""
        chained["round"] = by("data-owner", made(chain.TRAIN, [chain.TRAIN]))
        assert judge(chained.values(), policy=listing(base, [RAW])).accepted
        assert rule_of(judge(chained.values(), policy=listing(base, [])), "lineage").reason == "ingredient-not-listed"

    def test_evaluated_on_what_training_data_were_made_of(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        chained["split"] = by("data-owner", made(chain.TRAIN, [RAW, chain.TEST]))
        appraisal = judge(chained.values(), policy=listing(base, [RAW, chain.TEST]))
        assert "evaluated-on-training-data" in {rule.reason for rule in appraisal.rules}

    def test_longer_than_is_followed(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        chained: dict[str, Entry],
        by: Callable[[str, bytes], Entry],
    ) -> None:
        line = [chain.TRAIN, *(f"{number:064x}" for number in range(33))]
        steps = [by("data-owner", made(new, [old])) for new, old in pairwise(line)]
        sheets = [by("data-owner", chain.datasheet("raw", item, rows=1)) for item in line[1:]]
        del chained["split"]
        policy = listing(base, line[1:], prepared=line[:-1])
        appraisal = judge([*chained.values(), *steps, *sheets], policy=policy)
        assert "preparation-missing" in {rule.reason for rule in appraisal.rules}
        policy = listing(base, line[1:], prepared=line[:-2])
        assert judge([*chained.values(), *steps, *sheets], policy=policy).accepted


def with_dependencies(payload: bytes, items: Sequence[Mapping[str, Any]]) -> bytes:
    for number, item in enumerate(items):
        payload = chain.edited(payload, [*DEPENDENCIES, 2 + number], item)
    return payload


def package(purl: str | None, digest: str = "d" * 64) -> dict[str, Any]:
    item: dict[str, Any] = {"name": "torch", "digest": {"sha256": digest}, "annotations": {"kind": "package"}}
    return item | ({} if purl is None else {"uri": purl})


@pytest.fixture
def under(judge: Callable[..., Appraisal], base: Policy, entries: dict[str, Entry]) -> Callable[..., Appraisal]:
    """Appraise with dependencies beside dataset and lamslsa, under lists of code and packages."""

    def run(
        items: Sequence[Mapping[str, Any]],
        *,
        code: Sequence[str] | None = None,
        packages: Sequence[PackageTerms] | None = None,
    ) -> Appraisal:
        ingredients = replace(
            base.ingredients,
            code=None if code is None else tuple(CodeTerms(name="c", sha256=item) for item in code),
            packages=None if packages is None else tuple(packages),
        )
        training = replace(entries["training"], payload=with_dependencies(entries["training"].payload, items))
        policy = replace(base, ingredients=ingredients)
        return judge({**entries, "training": training}.values(), policy=policy)

    return run


class TestCode:
    def test_listed(self, under: Callable[..., Appraisal]) -> None:
        appraisal = under([], code=[LAMSLSA])
        assert appraisal.accepted
        assert rule_of(appraisal, "code").kind == "ingredient"

    def test_without_the_key_the_measurement_is_the_list(self, under: Callable[..., Appraisal]) -> None:
        appraisal = under([])
        assert appraisal.accepted
        assert "code" not in {rule.name for rule in appraisal.rules}

    def test_not_listed_prints_the_line(self, under: Callable[..., Appraisal]) -> None:
        appraisal = under([], code=[OTHER])
        rule = rule_of(appraisal, "code")
        assert (rule.reason, appraisal.exit_code) == ("ingredient-code", 5)
        (line,) = rule.mend.splitlines()[1:]
        assert _yaml.loads(line.encode(), source="line").plain() == [{"name": "lamslsa", "digest": f"sha256:{LAMSLSA}"}]

    def test_training_code_that_the_policy_pins_is_listed_there(self, base: Policy, entries: dict[str, Entry]) -> None:
        from lamslsa.policy import _packages

        ingredients = replace(base.ingredients, code=(CodeTerms(name="c", sha256=OTHER),))
        training = replace(base.training, own_code=LAMSLSA)
        assert _packages.unlisted_code(ingredients, training, []) == ()


class TestPackages:
    @pytest.mark.parametrize(
        ("purl", "terms"),
        [
            ("pkg:pypi/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch")),
            ("pkg:pypi/torch@2.6.0%2Bcpu", PackageTerms(purl="pkg:pypi/torch", versions=">=2.6,<3")),
            ("pkg:pypi/Torch_Vision@1", PackageTerms(purl="pkg:PyPI/torch-vision")),
            ("pkg:pypi/torch@2.7rc1", PackageTerms(purl="pkg:pypi/torch", versions=">=2.7rc1")),
            ("pkg:pypi/torch@1%211.0", PackageTerms(purl="pkg:pypi/torch", versions=">=1!0")),
            ("pkg:pypi/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch", sha256=frozenset({"d" * 64}))),
            ("pkg:conda/acme/torch@abc", PackageTerms(purl="pkg:conda/acme/torch")),
        ],
    )
    def test_listed(self, under: Callable[..., Appraisal], purl: str, terms: PackageTerms) -> None:
        assert under([package(purl)], packages=[terms]).accepted

    @pytest.mark.parametrize(
        ("purl", "terms"),
        [
            ("pkg:pypi/torch@2.6.0", PackageTerms(purl="pkg:pypi/numpy")),
            ("pkg:npm/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch")),
            ("pkg:pypi/torch@2.5.1", PackageTerms(purl="pkg:pypi/torch", versions=">=2.6,<3")),
            ("pkg:pypi/torch@2.7rc1", PackageTerms(purl="pkg:pypi/torch", versions=">=2.6")),
            ("pkg:pypi/torch@new", PackageTerms(purl="pkg:pypi/torch", versions=">=2.6")),
            pytest.param(  # more digits than Python makes a number of
                f"pkg:pypi/torch@{'9' * 5000}", PackageTerms(purl="pkg:pypi/torch", versions=">=2.6"), id="digits"
            ),
            ("pkg:pypi/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch", versions="newest")),
            ("pkg:pypi/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch", sha256=frozenset({"e" * 64}))),
            ("pkg:pypi/torch@2.6.0?repository_url=host", PackageTerms(purl="pkg:pypi/torch")),
            ("pkg:pypi/torch@2.6.0#part", PackageTerms(purl="pkg:pypi/torch")),
            ("pkg:pypi/torch", PackageTerms(purl="pkg:pypi/torch")),
            ("pkg:pypi/torch@", PackageTerms(purl="pkg:pypi/torch")),
            ("https://pypi.org/torch@2.6.0", PackageTerms(purl="pkg:pypi/torch")),
            (None, PackageTerms(purl="pkg:pypi/torch")),
        ],
    )
    def test_not_listed(self, under: Callable[..., Appraisal], purl: str | None, terms: PackageTerms) -> None:
        appraisal = under([package(purl)], packages=[terms])
        assert (rule_of(appraisal, "packages").reason, appraisal.exit_code) == ("ingredient-package", 5)

    def test_the_line_that_it_prints_lists_it(self, under: Callable[..., Appraisal]) -> None:
        refused = rule_of(under([package("pkg:pypi/torch@2.6.0%2Bcpu")], packages=[]), "packages")
        (line,) = refused.mend.splitlines()[1:]
        assert _yaml.loads(line.encode(), source="line").plain() == [
            {"purl": "pkg:pypi/torch", "version": "==2.6.0+cpu"}
        ]
        listed = PackageTerms(purl="pkg:pypi/torch", versions="==2.6.0+cpu")
        assert under([package("pkg:pypi/torch@2.6.0%2Bcpu")], packages=[listed]).accepted

    def test_a_list_with_digests_is_told_the_digest(self, under: Callable[..., Appraisal]) -> None:
        pinned = PackageTerms(purl="pkg:pypi/torch", sha256=frozenset({"e" * 64}))
        refused = rule_of(under([package("pkg:pypi/torch@2.6.0")], packages=[pinned]), "packages")
        assert f"digest: [sha256:{'d' * 64}]" in refused.mend

    def test_many_are_counted(self, under: Callable[..., Appraisal]) -> None:
        items = [{**package(f"pkg:pypi/p{number}@1"), "name": f"p{number}"} for number in range(30)]
        rule = rule_of(under(items, packages=[]), "packages")
        lines = rule.mend.splitlines()
        assert (len([line for line in lines if line.startswith("- {")]), lines[-1]) == (20, "# and 10 more")
        assert "30 not listed" in rule.message

    def test_names_of_hosts_end_no_line(self, under: Callable[..., Appraisal]) -> None:
        item = package('pkg:pypi/a"}\n- {purl: pkg:pypi/evil@1')
        rule = rule_of(under([item], packages=[]), "packages")
        assert len(rule.mend.splitlines()) == 2

    def test_one_training_with_listed_packages_is_enough(
        self, judge: Callable[..., Appraisal], base: Policy, entries: dict[str, Entry]
    ) -> None:
        policy = replace(base, ingredients=replace(base.ingredients, packages=()))
        payload = with_dependencies(entries["training"].payload, [package("pkg:pypi/torch@1")])
        other = replace(entries["training"], payload=payload)
        assert not judge([*(v for k, v in entries.items() if k != "training"), other], policy=policy).accepted
        assert judge([*entries.values(), other], policy=policy).accepted


class TestTransforms:
    def transforms(self, *pairs: tuple[str, str]) -> tuple[TransformTerms, ...]:
        return tuple(
            TransformTerms(witness=Witness(signed_by=signer, platform="rehearsal"), allow=(code,))
            for signer, code in pairs
        )

    @pytest.fixture
    def twice(self, entries: dict[str, Entry], by: Callable[[str, bytes], Entry]) -> dict[str, Entry]:
        """The chain with a model that was pruned by the trainer and quantized by the auditor."""
        middle = "f" * 64
        training = chain.edited(entries["training"].payload, ["subject", 0, "digest", "sha256"], chain.PARENT)
        pruned = chain.transformed(chain.model(), by="prune/1", datasets=())
        quantized = chain.transformed(chain.model(), parents=[("pruned", middle)], datasets=())
        return {
            **entries,
            "training": by("trainer", training),
            "prune": by("trainer", chain.edited(pruned, ["subject", 0, "digest", "sha256"], middle)),
            "quantize": by("auditor", quantized),
        }

    def test_each_step_by_its_own_signer(
        self, judge: Callable[..., Appraisal], base: Policy, twice: dict[str, Entry]
    ) -> None:
        terms = self.transforms(("trainer", "prune/1"), ("auditor", "quantize-int8/1"))
        appraisal = judge(twice.values(), policy=replace(base, transforms=terms))
        assert appraisal.accepted, [rule.message for rule in appraisal.rules]
        assert [rule.signer for rule in appraisal.rules if rule.kind == "transform"] == ["auditor", "trainer"]

    @pytest.mark.parametrize(
        ("pairs", "reason"),
        [
            ([("trainer", "prune/1"), ("trainer", "quantize-int8/1")], "signer-other"),
            ([("trainer", "prune/1"), ("auditor", "prune/1")], "transform-other"),
            ([("auditor", "quantize-int8/1")], "parent-unknown"),
            ([], "transform-not-allowed"),
        ],
    )
    def test_a_step_under_none_of_them(
        self,
        judge: Callable[..., Appraisal],
        base: Policy,
        twice: dict[str, Entry],
        pairs: list[tuple[str, str]],
        reason: str,
    ) -> None:
        appraisal = judge(twice.values(), policy=replace(base, transforms=self.transforms(*pairs)))
        assert rule_of(appraisal, "training").reason == reason

    def test_the_signer_of_one_with_the_code_of_another_is_neither(
        self, judge: Callable[..., Appraisal], base: Policy, twice: dict[str, Entry]
    ) -> None:
        terms = self.transforms(("trainer", "quantize-int8/1"), ("auditor", "prune/1"))
        assert not judge(twice.values(), policy=replace(base, transforms=terms)).accepted

    def test_a_file_names_several(self, load: Callable[[str], Policy], policy_text: str) -> None:
        one = "{signedBy: trainer, platform: rehearsal, allow: [prune/1]}"
        other = "{signedBy: auditor, platform: rehearsal, allow: [quantize-int8/1]}"
        policy = load(re.sub(r"\nrequire:\n", f"\ntransforms: [{one}, {other}]\n\nrequire:\n", policy_text))
        assert policy.transforms == self.transforms(("trainer", "prune/1"), ("auditor", "quantize-int8/1"))

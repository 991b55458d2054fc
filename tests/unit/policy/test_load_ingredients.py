"""What a policy says across organisations: ingredients, comparisons, plans, denials, and policies within policies."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from lamslsa import _codec
from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy import Policy, load_policy
from lamslsa.policy._files import PolicyFile, Read, read_file
from lamslsa.policy.model import (
    CelRule,
    CodeTerms,
    Comparison,
    Deny,
    MetricRule,
    ModelTerms,
    PackageTerms,
    PreparationTerms,
    SummaryTerms,
    TransformTerms,
    Witness,
)
from lamslsa.sign import KeyVerifier

T = TypeVar("T")
Load = Callable[[str], Policy]
BASE = Path(__file__).parents[2] / "vectors" / "policy" / "base"
ONE, TWO = "1" * 64, "2" * 64
SHEET = "datasheet: {signedBy: data-owner, platform: rehearsal}}"
WITNESS = Witness(signed_by="trainer", platform="rehearsal")
WORDS = "signedBy: trainer, platform: rehearsal"
LIMIT = "    min: 0.84\n    use: lowerBound\n"


def _with(text: str, old: str, new: str) -> str:
    assert old in text, f"{old!r} is not in the policy"
    return text.replace(old, new, 1)


@pytest.fixture
def of(load: Load, policy_text: str) -> Load:
    """The base policy with more under ``ingredients``."""
    return lambda more: load(_with(policy_text, "ingredients:\n", f"ingredients:\n  {more}\n"))


@pytest.fixture
def top(load: Load, policy_text: str) -> Load:
    """The base policy with more at its top."""
    return lambda more: load(_with(policy_text, "ingredients:\n", f"{more}\ningredients:\n"))


@pytest.fixture
def rule(load: Load, policy_text: str) -> Callable[[str], MetricRule]:
    """The first rule of the base policy with another limit."""

    def read(words: str) -> MetricRule:
        found = load(_with(policy_text, LIMIT, words)).require[0]
        assert isinstance(found, MetricRule)
        return found

    return read


def _refused(read: Callable[[T], object], words: T) -> FormatError:
    with pytest.raises(FormatError) as caught:
        read(words)
    assert str(caught.value).startswith("policy.yaml:")
    return caught.value


class TestIngredients:
    def test_without_the_keys(self, load: Load, policy_text: str) -> None:
        found = load(policy_text).ingredients
        assert (found.models, found.code, found.packages, found.licenses) == ((), None, None, None)
        assert [item.license for item in found.datasets] == [None]

    def test_a_dataset(self, load: Load, policy_text: str) -> None:
        more = f", license: mit or cc-by-4.0, preparation: {{{WORDS}, maxAge: 3d, allow: [tabular-preprocess/1]}}}}"
        (terms,) = load(_with(policy_text, SHEET, SHEET[:-1] + more)).ingredients.datasets
        assert terms.license == "MIT OR CC-BY-4.0"
        witness = Witness(signed_by="trainer", platform="rehearsal", max_age=dt.timedelta(days=3))
        assert terms.preparation == PreparationTerms(witness=witness, allow=("tabular-preprocess/1",))

    def test_base_models(self, of: Load) -> None:
        summary = f"{{signedBy: auditor, verifier: https://v.example, policies: ['sha256:{TWO}'], maxAge: 30d}}"
        (terms,) = of(
            f"models: [{{name: base, digest: 'sha256:{ONE}', license: Apache-2.0, signature: {{signedBy: trainer}}, "
            f"summary: {summary}}}]"
        ).ingredients.models
        assert terms == ModelTerms(
            name="base",
            sha256=ONE,
            license="Apache-2.0",
            signed_by="trainer",
            summary=SummaryTerms(
                signed_by="auditor", verifier="https://v.example", policies=(TWO,), max_age=dt.timedelta(days=30)
            ),
        )

    def test_code_packages_and_licences(self, of: Load) -> None:
        found = of(f"code: [{{name: trainer, digest: 'sha256:{ONE}'}}]").ingredients
        assert found.code == (CodeTerms(name="trainer", sha256=ONE),)
        found = of(
            "packages: [{purl: pkg:pypi/torch, version: ' >=2.6, <3'}, "
            f"{{purl: pkg:pypi/numpy, digest: ['sha256:{ONE}', 'sha256:{TWO}']}}]"
        ).ingredients
        assert found.packages == (
            PackageTerms(purl="pkg:pypi/torch", versions="<3,>=2.6"),
            PackageTerms(purl="pkg:pypi/numpy", sha256=frozenset({ONE, TWO})),
        )
        found = of("licenses: {allow: [mit, gpl-2.0-only with classpath-exception-2.0]}").ingredients
        assert found.licenses == frozenset({"MIT", "GPL-2.0-only WITH Classpath-exception-2.0"})

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (f"models: [{{name: a, digest: 'sha256:{ONE}'}}, {{name: b, digest: 'sha256:{ONE}'}}]", "policy-duplicate"),
            (f"models: [{{name: a, digest: 'sha256:{ONE}', signature: {{signedBy: nobody}}}}]", "yaml-choice"),
            (f"models: [{{name: a, digest: 'sha256:{ONE}', summary: {{signedBy: auditor}}}}]", "yaml-missing-key"),
            (f"models: [{{name: a, digest: 'sha256:{ONE}', policy: absent.yaml}}]", "policy-file"),
            ("models: [{name: a}]", "yaml-missing-key"),
            ("code: []", "yaml-empty"),
            (f"code: [{{name: a, digest: 'sha256:{ONE}'}}, {{name: b, digest: 'sha256:{ONE}'}}]", "policy-duplicate"),
            ("packages: []", "yaml-empty"),
            ("packages: [{purl: pkg:pypi/torch}, {purl: pkg:pypi/torch}]", "policy-duplicate"),
            ("packages: [{purl: pkg:pypi/torch@2.6}]", "policy-package"),
            ("packages: [{purl: pkg:npm/torch}]", "policy-package"),
            ("packages: [{purl: torch}]", "policy-package"),
            ("packages: [{purl: pkg:pypi/torch, version: latest}]", "policy-versions"),
            ("packages: [{purl: pkg:pypi/torch, version: 2.6}]", "yaml-type"),
            ("packages: [{purl: pkg:pypi/torch, digest: []}]", "yaml-empty"),
            ("licenses: {allow: []}", "yaml-empty"),
            ("licenses: {}", "yaml-missing-key"),
            ("licenses: {allow: [MIT OR ISC]}", "policy-license"),
            ("licenses: {allow: [(MIT)]}", "policy-license"),
            ("licenses: {allow: [free]}", "policy-license"),
            (f"licenses: {{allow: [LicenseRef-{'a' * 1000}]}}", "policy-license"),
            (f"licenses: {{allow: ['{'(' * 40}MIT{')' * 40}']}}", "policy-license"),
        ],
    )
    def test_refused(self, of: Load, words: str, reason: str) -> None:
        assert _refused(of, words).reason == reason

    def test_the_one_spelling_of_a_package_is_proposed(self, of: Load) -> None:
        refusal = _refused(of, "packages: [{purl: pkg:pypi/Scikit_Learn}]")
        assert (refusal.reason, refusal.hint) == ("policy-package", "write pkg:pypi/scikit-learn")

    def test_a_dataset_with_another_licence_elsewhere(self, load: Load, policy_text: str) -> None:
        head, _, tail = policy_text.rpartition(SHEET)
        assert _refused(load, f"{head}{SHEET[:-1]}, license: MIT}}{tail}").reason == "policy-dataset"


class TestRules:
    def test_everything(self, rule: Callable[[str], MetricRule]) -> None:
        found = rule(
            f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0.01, better: higher}}\n    use: lowerBound\n"
            "    plan: {signedBy: auditor}\n    every: true\n"
        )
        assert found.no_worse_than == Comparison(sha256=ONE, margin=0.01, higher_is_better=True)
        assert (found.minimum, found.maximum, found.plan_signed_by) == (None, None, "auditor")
        assert (found.every, found.latest) == (True, False)
        assert rule(LIMIT + "    latest: true\n").latest
        lower = rule(f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0, better: lower}}\n    use: upperBound\n")
        assert lower.no_worse_than == Comparison(sha256=ONE, margin=0, higher_is_better=False)

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (LIMIT + "    every: false\n", "policy-rule"),
            (LIMIT + "    latest: false\n", "policy-rule"),
            (LIMIT + "    every: true\n    latest: true\n", "policy-rule"),
            (LIMIT + "    every: 1\n", "yaml-type"),
            (LIMIT + "    plan: {signedBy: nobody}\n", "yaml-choice"),
            (LIMIT + "    plan: {}\n", "yaml-missing-key"),
            (f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0.01}}\n    use: value\n", "yaml-missing-key"),
            (f"    noWorseThan: {{model: 'sha256:{ONE}', by: -1, better: lower}}\n    use: value\n", "yaml-range"),
            (f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0, better: more}}\n    use: value\n", "yaml-choice"),
            ("    noWorseThan: {model: mine, by: 0, better: lower}\n    use: value\n", "digest"),
            (f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0, better: lower}}\n    use: lowerBound\n", "policy-use"),
            (f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0, better: higher}}\n    use: upperBound\n", "policy-use"),
            (LIMIT + f"    noWorseThan: {{model: 'sha256:{ONE}', by: 0, better: lower}}\n", "policy-use"),
            (LIMIT + "    cel: 'true'\n", "policy-rule"),
        ],
    )
    def test_refused(self, rule: Callable[[str], MetricRule], words: str, reason: str) -> None:
        assert _refused(rule, words).reason == reason

    def test_an_expression(self, load: Load, policy_text: str) -> None:
        text = f"{policy_text}  - name: said\n    cel: model.digest.sha256 != params.other\n    params: {{other: x}}\n"
        found = load(f"{text}    signedBy: auditor\n    platform: rehearsal\n").require[-1]
        assert found == CelRule(
            name="said",
            expression="model.digest.sha256 != params.other",
            parameters={"other": "x"},
            witness=Witness(signed_by="auditor", platform="rehearsal"),
        )
        refusal = _refused(load, f"{text}    signedBy: auditor\n    platform: x\n")
        assert refusal.reason == "yaml-choice"

    def test_an_expression_with_a_typo(self, load: Load, policy_text: str) -> None:
        text = (
            f"{policy_text}  - {{name: said, cel: model.digst.sha256 != '', signedBy: auditor, platform: rehearsal}}\n"
        )
        refusal = _refused(load, text)
        line = len(policy_text.splitlines()) + 1
        assert str(refusal).startswith(f"policy.yaml:{line}:23: expected require[4].cel to be")
        assert refusal.reason == "cel-expression"
        assert "digest comes nearest" in (refusal.hint or "")


class TestTop:
    def test_what_is_read(self, top: Load, load: Load, policy_text: str) -> None:
        assert load(policy_text).deny == Deny()
        assert not load(policy_text).refuse_conflicts
        assert not top("conflicts: warn").refuse_conflicts
        assert top("conflicts: refuse").refuse_conflicts
        text = _with(policy_text, "name: census-income", "name: census-income, effectiveFrom: 2026-01-01T00:00:00Z")
        assert load(text).effective_from == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def test_transforms_in_either_form(self, top: Load) -> None:
        first, second = f"{{{WORDS}, allow: [a/1]}}", "{signedBy: auditor, platform: rehearsal, allow: [b/1]}"
        one = TransformTerms(witness=WITNESS, allow=("a/1",))
        assert top(f"transforms: {first}").transforms == (one,)
        both = top(f"transforms: [{first}, {second}]").transforms
        assert [item.allow for item in both] == [("a/1",), ("b/1",)]
        assert both[1].witness.signed_by == "auditor"
        assert _refused(top, "transforms: []").reason == "yaml-empty"

    def test_denied(self, top: Load) -> None:
        pem = (BASE / "auditor.pub").read_bytes()
        found = top(
            f"deny: {{artifacts: ['sha256:{ONE}'], attestations: ['sha256:{TWO}'], measurements: ['{ONE}'], "
            f"keys: [auditor.pub, 'sha256:{TWO}']}}"
        ).deny
        (own,) = found.keys - {TWO}
        assert base64.b64encode(bytes.fromhex(own)).decode() == KeyVerifier.load(pem).key_id
        assert found == Deny(
            artifacts=frozenset({ONE}),
            attestations=frozenset({TWO}),
            measurements=frozenset({ONE}),
            keys=frozenset({own, TWO}),
        )

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            ("deny: {}", "yaml-empty"),
            ("deny: {artifacts: []}", "yaml-empty"),
            (f"deny: {{artifacts: ['{ONE}']}}", "digest"),
            ("deny: {measurements: [abc]}", "policy-identifier"),
            ("deny: {keys: [absent.pub]}", "policy-file"),
            ("deny: {keys: [simulated-root.pem]}", "key-pem"),
            ("deny: {keys: ['sha256:abc']}", "digest"),
            ("deny: {key: [x]}", "yaml-unknown-key"),
            ("conflicts: ignore", "yaml-choice"),
        ],
    )
    def test_refused(self, top: Load, words: str, reason: str) -> None:
        assert _refused(top, words).reason == reason


class TestPolicies:
    """Policies that a policy names, in files that are made up."""

    @pytest.fixture
    def world(self, policy_text: str) -> Callable[[dict[str, str]], Policy]:
        """The policy ``top.yaml`` of these; text that stands for the top of the base policy, by path."""

        def load(files: dict[str, str]) -> Policy:
            texts = {
                path: _with(policy_text, "ingredients:\n", f"{more}\ningredients:\n") for path, more in files.items()
            }

            def read(path: Path, limit: int, /) -> bytes:
                known = texts.get(path.as_posix())
                return read_file(BASE / path.name, limit) if known is None else known.encode()

            return load_policy(texts["top.yaml"].encode(), source="policy.yaml", directory=Path(), read=read)

        return load

    def test_extended(self, world: Callable[[dict[str, str]], Policy]) -> None:
        files = {
            "top.yaml": "extends: [base.yaml, inner/other.yaml]",
            "base.yaml": "# base",
            "inner/other.yaml": "extends: [third.yaml]",
            "inner/third.yaml": "# third",
        }
        policy = world(files)
        assert [len(item.extends) for item in policy.extends] == [0, 1]
        closures = {
            policy.closure,
            world(files | {"inner/third.yaml": "# 3rd"}).closure,
            world({"top.yaml": ""}).closure,
        }
        assert len(closures) == 3, "what a policy names is part of it"

    def test_of_a_base_model(self, world: Callable[[dict[str, str]], Policy], policy_text: str) -> None:
        line = f"ingredients:\n  models: [{{name: base, digest: 'sha256:{ONE}', policy: base.yaml}}]\n"

        def read(path: Path, limit: int, /) -> bytes:
            return policy_text.encode() if path.name == "base.yaml" else read_file(BASE / path.name, limit)

        text = _with(policy_text, "ingredients:\n", line).encode()
        policy = load_policy(text, source="p", directory=Path(), read=read)
        inner = policy.ingredients.models[0].policy
        assert inner is not None
        assert inner.sha256 == _codec.sha256_hex(policy_text.encode())

    @pytest.mark.parametrize(
        ("files", "reason"),
        [
            ({"top.yaml": "extends: [top.yaml]"}, "policy-cycle"),
            (dict.fromkeys(("top.yaml", "again.yaml"), "extends: [again.yaml]"), "policy-cycle"),
            ({"top.yaml": "extends: [a.yaml]", "a.yaml": "extends: [top.yaml]"}, "policy-cycle"),
            ({"top.yaml": "extends: [absent.yaml]"}, "policy-file"),
            ({"top.yaml": "extends: [/etc/hostname]"}, "policy-source"),
            ({"top.yaml": "extends: ['https://policies.example/p.yaml']"}, "policy-source"),
            ({"top.yaml": "extends: [a.yaml]", "a.yaml": "conflicts: x"}, "yaml-choice"),
            ({"top.yaml": "extends: [a.yaml, a.yaml]", "a.yaml": ""}, "policy-duplicate"),
            (
                {"top.yaml": "extends: [p0.yaml]"} | {f"p{i}.yaml": f"extends: [p{i + 1}.yaml]" for i in range(20)},
                "policy-cycle",
            ),
        ],
    )
    def test_refused(self, world: Callable[[dict[str, str]], Policy], files: dict[str, str], reason: str) -> None:
        refusal = _refused(world, files)
        assert refusal.reason == reason

    def test_one_that_many_name_is_read_once(self, world: Callable[[dict[str, str]], Policy]) -> None:
        """Each names the next two, which is 2^14 ways through 28 policies."""
        files = {"top.yaml": "extends: [a0.yaml, b0.yaml]", "a13.yaml": "# a", "b13.yaml": "# b"}
        for i in range(13):
            for kind in "ab":
                files[f"{kind}{i}.yaml"] = f"extends: [a{i + 1}.yaml, b{i + 1}.yaml]  # {kind}"
        policy = world(files)
        depth = 0
        while policy.extends:
            policy, depth = policy.extends[0], depth + 1
        assert depth == 14

    def test_what_is_wrong_within_names_both_places(self, world: Callable[[dict[str, str]], Policy]) -> None:
        refusal = _refused(world, {"top.yaml": "extends: [a.yaml]", "a.yaml": "conflicts: x"})
        assert "policy.yaml:14:11: expected a policy, got 'a.yaml': a.yaml:14:12: expected one of" in str(refusal)

    def test_another_policy_than_the_one_that_is_pinned(self, policy_text: str) -> None:
        closures: list[str] = []

        def pinned(name: str, /, *, directory: Path, read: Read) -> PolicyFile:
            def check(policy: Policy) -> None:
                closures.append(policy.closure)
                raise VerificationError(f"expected {name}, got another", reason="policy-source-digest")

            return PolicyFile(data=policy_text.encode(), source=name, directory=directory, read=read, check=check)

        text = _with(policy_text, "ingredients:\n", "extends: [pinned]\ningredients:\n").encode()
        with pytest.raises(VerificationError):
            load_policy(text, source="p", directory=BASE, sources=pinned)
        assert closures == [load_policy(policy_text.encode(), source="p", directory=BASE).closure]

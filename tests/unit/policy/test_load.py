"""The policy file: what is read from it, and every refusal with its reason, line and column."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, PolicyError
from lamslsa.evidence.verify import Challenge
from lamslsa.policy import Policy, load_policy
from lamslsa.policy._files import MAX_FILE_BYTES, read_file
from lamslsa.policy.model import Ingredients, MetricRule, OverlapRule
from lamslsa.predicates import configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS
from lamslsa.testing import chain

Load = Callable[[str], Policy]
AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

SHEET = "datasheet: {signedBy: data-owner, platform: rehearsal}"
TRAIN = f"{{name: census-train, digest: sha256:{chain.TRAIN}, {SHEET}}}"
TEST = f"{{name: census-test, digest: sha256:{chain.TEST}, {SHEET}}}"
ONE_RULE = f"""require:
  - {{name: a, metric: accuracy, dataset: {TEST}, measurer: tabular-evaluation/1, min: 0.8, use: value,
     signedBy: auditor, platform: rehearsal}}
"""


def _with(text: str, old: str, new: str) -> str:
    assert old in text, f"{old!r} is not in the policy"
    return text.replace(old, new, 1)


def test_what_is_read(load: Load, policy_text: str, root: str) -> None:
    policy = load(policy_text)
    assert policy.name == "census-income"
    assert policy.expires == dt.datetime(2027, 6, 30, tzinfo=dt.UTC)
    assert sorted(policy.identities) == ["auditor", "data-owner", "trainer"]
    rehearsal, production = policy.platforms["rehearsal"], policy.platforms["production"]
    assert (rehearsal.simulated, rehearsal.roots, rehearsal.tcb) == (True, frozenset({root}), frozenset({"UpToDate"}))
    assert (production.simulated, production.roots) == (False, frozenset())
    assert production.tcb == {"UpToDate", "SWHardeningNeeded"}
    assert [item.measurement for item in rehearsal.code] == [chain.claims(root=root).measurement_digest]
    assert not rehearsal.unsafe_any_measurement
    accurate, fair, black_women, leakage = policy.require
    assert isinstance(accurate, MetricRule)
    assert isinstance(fair, MetricRule)
    assert isinstance(black_women, MetricRule)
    assert isinstance(leakage, OverlapRule)
    assert accurate.configuration == configuration_digest(dict(DEFAULT_CONFIGURATIONS["tabular-evaluation/1"]))
    assert (accurate.minimum, accurate.maximum, accurate.use, accurate.samples) == (0.84, None, "lowerBound", 10000)
    assert (fair.groups, fair.slice, fair.samples) == (("sex",), None, 0)
    assert black_women.slice == {"sex": "Female", "race": "Black"}
    assert (leakage.training.sha256, leakage.dataset.sha256, leakage.maximum) == (chain.TRAIN, chain.TEST, 30)


def test_sha256_is_that_of_the_bytes(load: Load, policy_text: str) -> None:
    assert load(policy_text).sha256 != load(policy_text + "\n").sha256


def test_expiry_and_parameters_are_optional(load: Load, policy_text: str) -> None:
    text = _with(policy_text, ", expires: 2027-06-30T00:00:00Z", "")
    policy = load(_with(text, ", parameters: {epochs: {max: 50}}", ""))
    assert policy.expires is None
    assert policy.training.parameters == ()
    policy.refuse_out_of_force(dt.datetime(9999, 1, 1, tzinfo=dt.UTC))


def test_tcb_of_a_simulated_platform(load: Load, policy_text: str) -> None:
    policy = load(_with(policy_text, "simulated: true,", "simulated: true, tcb: [OutOfDate],"))
    assert policy.platforms["rehearsal"].tcb == {"OutOfDate"}


REFUSALS = [
    # the document
    ("apiVersion: lamslsa.dev/policy/v1", "apiVersion: lamslsa.dev/policy/v2", "policy-version", "1:13"),
    ("apiVersion: lamslsa.dev/policy/v1\n", "", "yaml-missing-key", "1:1"),
    ("kind: IngredientsPolicy", "kind: Policy", "policy-kind", "2:7"),
    ("name: census-income", "name: census income", "policy-name", "3:18"),
    ("name: census-income", "name: ''", "yaml-empty", "3:18"),
    ("name: census-income", "nam: census-income", "yaml-unknown-key", "3:12"),
    ("2027-06-30T00:00:00Z}", "2027-06-30T00:00:00Z, effectiveFrom: x}", "policy-time", "3:79"),
    ("2027-06-30T00:00:00Z}", "2027-06-30T00:00:00Z, effectiveFrom: 2027-06-30T00:00:00Z}", "policy-time", "3:79"),
    ("2027-06-30T00:00:00Z}", "2027-06-30T00:00:00Z, description: ''}", "yaml-empty", "3:77"),
    ("2027-06-30T00:00:00Z", "2027-06-30", "policy-time", "3:42"),
    ("2027-06-30T00:00:00Z", "2027-06-30T00:00:00+01:00", "policy-time", "3:42"),
    ("2027-06-30T00:00:00Z", "2027-02-30T00:00:00Z", "policy-time", "3:42"),
    ("2027-06-30T00:00:00Z", "null", "yaml-type", "3:42"),
    ("ingredients:\n", "extends: x\ningredients:\n", "yaml-type", "14:10"),
    ("ingredients:\n", "extends: []\ningredients:\n", "yaml-empty", "14:10"),
    ("ingredients:\n", "extend: [x]\ningredients:\n", "yaml-unknown-key", "14:1"),
    ("trust:\n", "trust:\n  logs: {}\n", "yaml-unknown-key", "6:3"),
    # identities
    ("data-owner: {key: data-owner.pub}", "data-owner: {}", "policy-identity", "7:17"),
    ("{key: data-owner.pub}", "{key: data-owner.pub, validSince: x}", "yaml-unknown-key", "7:39"),
    ("{key: data-owner.pub}", "{key: data-owner.pub, validFrom: x}", "policy-time", "7:50"),
    ("data-owner: {key", "data owner: {key", "policy-name", "7:5"),
    ("key: data-owner.pub", "key: absent.pub", "policy-file", "7:23"),
    ("key: data-owner.pub", "key: /etc/hostname", "policy-file", "7:23"),
    ("key: data-owner.pub", "key: .", "policy-file", "7:23"),
    ("key: data-owner.pub", 'key: "a\\0b"', "policy-file", "7:23"),
    ("key: data-owner.pub", "key: simulated-root.pem", "key-pem", "7:23"),
    ("key: trainer.pub", "key: data-owner.pub", "policy-key-shared", "8:20"),
    ("    auditor: {key: auditor.pub}\n", "    data-owner: {key: auditor.pub}\n", "yaml-duplicate-key", "9:5"),
    # platforms
    ("rehearsal: {tee: [sgx]", "rehearsal: {tee: []", "yaml-empty", "11:22"),
    ("rehearsal: {tee: [sgx]", "rehearsal: {tee: [trustzone]", "yaml-choice", "11:23"),
    ("rehearsal: {tee: [sgx]", "rehearsal: {tee: [sgx, sgx]", "policy-duplicate", "11:28"),
    ("simulated: true", "simulated: yes", "yaml-type", "11:40"),
    ("simulated: true", "simulated: false", "policy-root", "11:54"),
    ("simulated: true, roots: [simulated-root.pem]", "simulated: true", "yaml-missing-key", "11:16"),
    ("roots: [simulated-root.pem]", "roots: []", "yaml-empty", "11:53"),
    ("roots: [simulated-root.pem]", "roots: [absent.pem]", "policy-file", "11:54"),
    ("roots: [simulated-root.pem]", "roots: [auditor.pub]", "pem-chain", "11:54"),
    ("roots: [simulated-root.pem]", "roots: [simulated-root.pem, simulated-root.pem]", "policy-duplicate", "11:74"),
    ("tcb: [UpToDate, SWHardeningNeeded], ", "", "yaml-missing-key", "12:17"),
    ("tcb: [UpToDate, ", "tcb: [Revoked, ", "yaml-choice", "12:36"),
    ("tcb: [UpToDate, ", "tcb: [SWHardeningNeeded, ", "policy-duplicate", "12:55"),
    ("tcb: [UpToDate, ", "roots: [simulated-root.pem], tcb: [UpToDate, ", "policy-root", "12:37"),
    ("tcb: [UpToDate, ", "denyAdvisories: [x], tcb: [UpToDate, ", "yaml-unknown-key", "12:30"),
    ("platforms:\n", "platforms: {}\n  other:\n", "yaml-empty", "10:14"),
    # ingredients
    ("ingredients:\n  datasets:\n", "ingredients:\n  models: []\n  datasets:\n", "yaml-empty", "15:11"),
    (f"\n    - {TRAIN}", " []", "yaml-empty", "15:13"),
    (TRAIN, f"{TRAIN}\n    - {TRAIN}", "policy-duplicate", "17:7"),
    (
        f"{{name: census-train, digest: sha256:{chain.TRAIN}, {SHEET}}}",
        f"{{name: a, {SHEET}}}",
        "yaml-missing-key",
        "16:7",
    ),
    (f"digest: sha256:{chain.TRAIN}", f"digest: sha512:{chain.TRAIN}", "digest", "16:36"),
    (f"digest: sha256:{chain.TRAIN}", f"digest: sha256:{chain.TRAIN[:-1]}", "digest", "16:36"),
    (f"{SHEET}}}", f"{SHEET}, licence: CC-BY-4.0}}", "yaml-unknown-key", None),
    (f"{SHEET}}}", "datasheet: {signedBy: data-owner}}", "yaml-missing-key", None),
    (f"{SHEET}}}", "datasheet: {signedBy: data-owner, platform: rehearsal, maxAge: 1}}", "yaml-type", None),
    # training
    ("training: {signedBy: trainer", "training: {signedBy: trainr", "yaml-choice", "18:22"),
    (
        "training: {signedBy: trainer, platform: rehearsal",
        "training: {signedBy: trainer, platform: x",
        "yaml-choice",
        "18:41",
    ),
    ("training: {signedBy: trainer, ", "training: {", "yaml-missing-key", "18:11"),
    ("{epochs: {max: 50}}}", "{epochs: {max: 50}}, code: x}", "yaml-unknown-key", "18:85"),
    ("{epochs: {max: 50}}", "{epochs: {max: 50, unit: x}}", "yaml-unknown-key", None),
    ("{epochs: {max: 50}}", "{}", "yaml-empty", None),
    ("{epochs: {max: 50}}", "{epochs: {}}", "policy-limits", None),
    ("{epochs: {max: 50}}", "{epochs: {max: 50, min: 51}}", "policy-limits", None),
    ("{epochs: {max: 50}}", "{epochs: {max: many}}", "yaml-type", None),
    ("{epochs: {max: 50}}", "{epochs: {max: 50, equals: 3}}", "yaml-unknown-key", None),
    ("{epochs: {max: 50}}", "{epochs: {equals: null}}", "policy-limits", None),
    ("{epochs: {max: 50}}", "{epochs: {equals: 9007199254740992}}", "canonical-value", None),
    # rules
    ("  - name: accurate\n", "  - name: fair by sex\n", "policy-duplicate", "30:11"),
    ("  - name: accurate\n", "  - name: training\n", "policy-name", "21:11"),
    ("  - name: accurate\n", "  - name: lineage\n", "policy-name", "21:11"),
    ("  - name: accurate\n", "  - name: 'ingredient: x'\n", "policy-name", "21:11"),
    ("  - name: accurate\n", f"  - name: {'a' * 129}\n", "policy-name", "21:11"),
    ("  - name: accurate\n", '  - name: "a\\e[2J"\n', "policy-name", "21:11"),
    ("    metric: accuracy\n", "", "policy-rule", "21:5"),
    ("    metric: accuracy\n", "    metric: accuracy\n    overlap: census-train\n", "policy-rule", "21:5"),
    ("    min: 0.84\n", "", "policy-limits", "21:5"),
    ("    min: 0.84\n", "    min: 0.84\n    max: 0.83\n", "policy-limits", "21:5"),
    ("    min: 0.84\n", "    min: '0.84'\n", "yaml-type", "25:10"),
    ("    min: 0.84\n", "    min: .nan\n", "yaml-number", "25:10"),
    ("    use: lowerBound\n", "", "yaml-missing-key", "21:5"),
    ("    use: lowerBound\n", "    use: lower\n", "yaml-choice", "26:10"),
    ("    use: lowerBound\n", "    use: upperBound\n", "policy-use", "26:10"),
    ("    use: upperBound\n", "    use: lowerBound\n", "policy-use", None),
    ("    samples: {min: 10000}\n", "    samples: {}\n", "yaml-missing-key", "27:14"),
    ("    samples: {min: 10000}\n", "    samples: {min: 0}\n", "yaml-range", "27:20"),
    ("    samples: {min: 10000}\n", "    samples: {min: 1, max: 2}\n", "yaml-unknown-key", "27:23"),
    ("    samples: {min: 10000}\n", "    cel: 'true'\n", "policy-rule", "21:5"),
    ("    signedBy: auditor\n", "", "yaml-missing-key", "21:5"),
    ("    signedBy: auditor\n", "    signedBy: auditr\n", "yaml-choice", "28:15"),
    ("    measurer: tabular-evaluation/1\n", "    measurer: tabular-evaluation\n", "policy-measurer", "24:15"),
    ("    measurer: tabular-evaluation/1\n", "    measurer: a/b/1\n", "policy-measurer", "24:15"),
    ("    measurer: tabular-evaluation/1\n", "    measurer: other/1\n", "policy-configuration", "24:15"),
    ("    measurer: tabular-evaluation/1\n", "    measurer: other/1\n    configuration: x\n", "digest", "25:20"),
    ("    groups: [sex]\n", "    groups: []\n", "yaml-empty", None),
    ("    groups: [sex]\n", "    groups: [sex, sex]\n", "policy-duplicate", None),
    ("    slice: {sex: Female, race: Black}\n", "    slice: {}\n", "yaml-empty", None),
    ("    slice: {sex: Female, race: Black}\n", "    slice: {sex: 1}\n", "yaml-type", None),
    (TEST, f"{{name: census-test, digest: sha256:{'9' * 64}, {SHEET}}}", "policy-dataset", None),
    (TEST, f"{{name: other, digest: sha256:{chain.TEST}, {SHEET}}}", "policy-dataset", None),
    (TEST, TEST.replace("platform: rehearsal", "platform: production"), "policy-dataset", None),
    (TEST, TEST.replace("signedBy: data-owner", "signedBy: auditor"), "policy-dataset", None),
    # overlap
    ("    overlap: census-train\n", "    overlap: census-test\n", "yaml-choice", None),
    ("    max: 30\n", "", "yaml-missing-key", None),
    ("    max: 30\n", "    max: 30.5\n", "yaml-type", None),
    ("    max: 30\n", "    max: -1\n", "yaml-range", None),
    ("    max: 30\n", "    max: 30\n    min: 1\n", "yaml-unknown-key", None),
    ("    max: 30\n", "    max: 30\n    use: value\n", "yaml-unknown-key", None),
]


@pytest.mark.parametrize(("old", "new", "reason", "position"), REFUSALS)
def test_refused(load: Load, policy_text: str, old: str, new: str, reason: str, position: str | None) -> None:
    with pytest.raises(FormatError) as caught:
        load(_with(policy_text, old, new))
    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"policy.yaml:{position or ''}")


MEASUREMENTS = [
    ("", "policy-measurement"),
    (", measurements: []", "yaml-empty"),
    (", measurements: [abc]", "policy-measurement"),
    (f", measurements: ['{'A' * 64}']", "policy-measurement"),
    (f", measurements: ['{'a' * 64}', '{'a' * 64}']", "policy-duplicate"),
    (", unsafeAnyMeasurement: false", "policy-measurement"),
    (f", measurements: ['{'a' * 64}'], unsafeAnyMeasurement: true", "policy-measurement"),
]


@pytest.mark.parametrize(("words", "reason"), MEASUREMENTS)
def test_measurements_refused(load: Load, policy_text: str, root: str, words: str, reason: str) -> None:
    listed = f', measurements: ["{chain.claims(root=root).measurement_digest}"]'
    with pytest.raises(FormatError) as caught:
        load(_with(policy_text, listed, words))
    assert caught.value.reason == reason


def test_unknown_names_come_with_the_nearest(load: Load, policy_text: str) -> None:
    with pytest.raises(FormatError) as caught:
        load(_with(policy_text, "signedBy: trainer", "signedBy: trainr"))
    assert caught.value.hint == "did you mean 'trainer'?"
    with pytest.raises(FormatError) as caught:
        load(_with(policy_text, "    samples: {min: 10000}", "    sampels: {min: 10000}"))
    assert caught.value.hint == "did you mean 'samples'?"
    with pytest.raises(FormatError, match=r"got 'singedBy'") as caught:
        load(_with(policy_text, "signedBy: auditor", "singedBy: auditor"))
    assert caught.value.hint == "did you mean 'signedBy'?"


def test_overlap_of_a_dataset_with_itself_is_refused(load: Load, policy_text: str) -> None:
    head, _, tail = policy_text.rpartition(TEST)
    with pytest.raises(FormatError) as caught:
        load(f"{head}{TRAIN}{tail}")
    assert caught.value.reason == "policy-rule"


def test_a_vendor_root_is_no_root_of_a_simulated_platform(policy_text: str) -> None:
    from lamslsa.evidence.roots import INTEL_SGX_ROOT

    base = Path(__file__).parents[2] / "vectors" / "policy" / "base"

    def read(path: Path, limit: int, /) -> bytes:
        return INTEL_SGX_ROOT.der if path.name == "simulated-root.pem" else path.read_bytes()

    with pytest.raises(FormatError) as caught:
        load_policy(policy_text.encode(), source="p", directory=base, read=read)
    assert caught.value.reason == "policy-root"


def test_a_key_that_somebody_else_reads_is_relative_to_the_directory(policy_text: str, tmp_path: Path) -> None:
    asked: list[Path] = []
    base = Path(__file__).parents[2] / "vectors" / "policy" / "base"

    def read(path: Path, limit: int, /) -> bytes:
        asked.append(path)
        return (base / path.name).read_bytes()

    load_policy(policy_text.encode(), source="p", directory=tmp_path, read=read)
    assert tmp_path / "data-owner.pub" in asked


def test_file_size_is_capped(policy_text: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (64 * 1024 + 1))
    with pytest.raises(FormatError) as caught:
        read_file(tmp_path / "big", MAX_FILE_BYTES)
    assert caught.value.reason == "policy-file"
    (tmp_path / "big").write_bytes(b"x" * (64 * 1024))
    assert len(read_file(tmp_path / "big", MAX_FILE_BYTES)) == 64 * 1024


def test_only_regular_files_are_read() -> None:
    with pytest.raises(FileNotFoundError):
        read_file(Path("/dev/zero"), 10)


def test_a_rule_name_may_have_128_characters(load: Load, policy_text: str) -> None:
    name = "a" * 128
    assert load(_with(policy_text, "name: accurate\n", f"name: {name}\n")).require[0].name == name


def test_what_a_file_holds_is_not_quoted(policy_text: str, tmp_path: Path) -> None:
    (tmp_path / "data-owner.pub").write_text("a secret that is no key")
    with pytest.raises(FormatError) as caught:
        load_policy(policy_text.encode(), source="p", directory=tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff", b"a: [", b"[]", b"a", b"--- a\n--- b\n", b"a: &x 1\nb: *x\n", b"\0"])
def test_other_bytes_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        load_policy(data, source="p", directory=tmp_path)


def test_a_policy_without_rules_cannot_be_made(load: Load, policy_text: str) -> None:
    policy = load(policy_text)
    with pytest.raises(FormatError) as caught:
        dataclasses.replace(policy, require=())
    assert caught.value.reason == "policy-empty"
    with pytest.raises(FormatError) as caught:
        dataclasses.replace(policy, ingredients=Ingredients(datasets=()))
    assert caught.value.reason == "policy-empty"


def test_an_expired_policy_yields_no_trust(load: Load, policy_text: str) -> None:
    policy = load(policy_text)
    assert policy.expires is not None
    with pytest.raises(PolicyError) as caught:
        policy.trust_material(at=policy.expires, now=AT)
    assert caught.value.reason == "policy-expired"
    with pytest.raises(PolicyError) as caught:
        policy.trust_material(at=AT, now=policy.expires)
    assert caught.value.reason == "policy-expired"
    challenge = Challenge(nonce=bytes(16), issued_at=AT)
    last = policy.expires - dt.timedelta(seconds=1)
    trust = policy.trust_material(at=AT, now=last, held=[b"{}"], challenge=challenge)
    assert set(trust.identities) == {"auditor", "data-owner", "trainer"}
    assert (trust.at, trust.now, trust.held, trust.challenge) == (AT, last, (b"{}",), challenge)


def test_a_naive_time_is_a_mistake_of_the_caller(load: Load, policy_text: str) -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        load(policy_text).refuse_out_of_force(dt.datetime(2026, 1, 1))  # noqa: DTZ001


def test_one_rule_is_enough(load: Load, policy_text: str) -> None:
    assert len(load(policy_text[: policy_text.index("require:")] + ONE_RULE).require) == 1


def test_the_documented_policy_is_one(load: Load) -> None:
    text = (Path(__file__).parents[3] / "policies" / "README.md").read_text()
    policy = load(text.partition("```yaml\n")[2].partition("```")[0])
    assert [rule.name for rule in policy.require] == [
        "accurate",
        "fair by sex",
        "accurate for black women",
        "no leakage",
    ]
    assert policy.platforms["rehearsal"].unsafe_any_measurement

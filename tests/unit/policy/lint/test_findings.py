"""Each finding: a policy that has it, at its line, and one that does not."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.policy import Policy
from lamslsa.policy.lint import RULES, Finding, lint
from lamslsa.policy.lint._thresholds import METRICS

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DOCUMENT = Path(__file__).parents[4] / "policies" / "lint.md"
Edits = Sequence[tuple[str, str]]

TRAIN = "sha256:41906df00468abc50f1aae39fbd40ce899903a4bfdd51af5f4d693c1ee17642b"
TEST = "sha256:9307a4e1afec5a1bb64c2eeac7aee07ff969d45ec775f1a672d9144d0af0f1dc"
MEASUREMENT = "2bf8dfc988d7173be9743f4c6752267dc4056cc00d034bd1f5f8a9b4601764e9"
AUDITOR = "auditor: {key: auditor.pub}"
TRAINER = "trainer: {key: trainer.pub}"
ACCURATE = "    min: 0.84\n    use: lowerBound\n    samples: {min: 10000}\n    signedBy: auditor\n"
SHEET = f"dataset: {{name: census-test, digest: {TEST}, datasheet: {{signedBy: data-owner, platform: rehearsal}}}}"
OTHER = "b" * 64


def keyless(terms: str) -> tuple[str, str]:
    """The auditor by certificates instead of by key."""
    return AUDITOR, f"auditor: {{keyless: {{issuer: https://token.actions.githubusercontent.com, {terms}}}}}"


def trainer(terms: str) -> tuple[str, str]:
    return TRAINER, f"trainer: {{keyless: {{issuer: https://token.actions.githubusercontent.com, {terms}}}}}"


def accurate(lines: str, *, name: str = "more") -> tuple[str, str]:
    """One more rule, about what the rule ``accurate`` is about."""
    rule = f"  - name: {name}\n    metric: accuracy\n    {SHEET}\n    measurer: tabular-evaluation/1\n{lines}"
    return "  - name: no leakage\n", f"{rule}    platform: rehearsal\n  - name: no leakage\n"


def expression(text: str) -> tuple[str, str]:
    """One more rule, of this expression."""
    rule = f'  - name: said\n    cel: "{text}"\n    signedBy: auditor\n    platform: rehearsal\n'
    return "  - name: no leakage\n", f"{rule}  - name: no leakage\n"


NARROW = "repository: acme/audit, repositoryId: 7, workflow: .github/workflows/a.yml, ref: refs/heads/main"
FULL = (
    "ingredients:\n",
    "ingredients:\n  code: [{name: ours, digest: sha256:" + OTHER + "}]\n  packages: [{purl: pkg:pypi/torch}]\n"
    "  licenses: {allow: [MIT]}\n",
)
GPU = (
    "tee: [sgx], tcb: [UpToDate, SWHardeningNeeded]",
    (
        "tee: [snp], minSvns: {snp: {milan: {bootloader: 4, tee: 0, snp: 22, microcode: 213}}}, "
        "gpu: {architectures: [hopper], goldenValues: unsafeNotCompared}"
    ),
)
OFFICE = ("    rehearsal: {tee", "    office: {unsafeNoEvidence: true}\n    rehearsal: {tee")
ON_PRODUCTION = (
    "samples: {min: 10000}\n    signedBy: auditor\n    platform: rehearsal",
    "samples: {min: 10000}\n    signedBy: auditor\n    platform: production",
)
TIMED = "auditor: {key: auditor.pub, validFrom: 2026-01-01T00:00:00Z, requireTimestamp: true}"

# rule: (edits of a policy that has the finding, a text on its line; edits of one that does not)
CASES: dict[str, tuple[Edits, str, Edits]] = {
    "trainer-judges": (
        [("samples: {min: 10000}\n    signedBy: auditor", "samples: {min: 10000}\n    signedBy: trainer")],
        "signedBy: trainer",
        [],
    ),
    "undated": (
        [(ACCURATE, ACCURATE.replace("    samples", "    latest: true\n    samples"))],
        "latest: true",
        [(ACCURATE, ACCURATE.replace("    samples", "    latest: true\n    samples")), (AUDITOR, TIMED)],
    ),
    "every-incomplete": (
        [(ACCURATE, ACCURATE.replace("    samples", "    every: true\n    samples"))],
        "every: true",
        [],
    ),
    "no-expiry": ([(", expires: 2027-06-30T00:00:00Z", "")], "metadata:", []),
    "expired": ([("expires: 2027-06-30", "expires: 2026-11-22")], "metadata:", []),
    "identity-endless": (
        [],
        AUDITOR,
        [
            (f": {{key: {name}.pub}}", f": {{key: {name}.pub, validUntil: 2027-01-01T00:00:00Z}}")
            for name in ("data-owner", "trainer", "auditor")
        ],
    ),
    "identity-not-revocable": (
        [],
        AUDITOR,
        [
            (f": {{key: {name}.pub}}", f": {{key: {name}.pub, requireLog: true}}")
            for name in ("data-owner", "trainer", "auditor")
        ],
    ),
    "identity-unused": (
        [(AUDITOR, f"{AUDITOR}\n    stranger: {{key: enclave-release.pub}}")],
        "stranger:",
        [],
    ),
    "keyless-regex": (
        [keyless(r'identityRegex: ".*"')],
        "auditor: {keyless",
        [keyless(r'identityRegex: "https://github\\.com/acme/audit/\\.github/workflows/a\\.yml@refs/tags/v[0-9]+"')],
    ),
    "keyless-repository-id": ([keyless(NARROW.replace("repositoryId: 7, ", ""))], "auditor:", [keyless(NARROW)]),
    "keyless-ref": ([keyless(NARROW.replace(", ref: refs/heads/main", ""))], "auditor:", [keyless(NARROW)]),
    "platform-simulated": ([], "rehearsal: {tee", [("platform: rehearsal", "platform: production")]),
    "platform-unused": ([], "production: {tee", [ON_PRODUCTION]),
    "unsafe-any-measurement": (
        [(f'measurements: ["{MEASUREMENT}"]', "unsafeAnyMeasurement: true")],
        "rehearsal: {tee",
        [],
    ),
    "unsafe-as-of-only": ([("simulated: true", "simulated: true, unsafeAsOfOnly: true")], "rehearsal: {tee", []),
    "unsafe-no-evidence": (
        [
            ("training: {signedBy: trainer, platform: rehearsal", "training: {signedBy: trainer, platform: office"),
            OFFICE,
        ],
        "office: {unsafe",
        [OFFICE],
    ),
    "unsafe-not-compared": ([GPU, ON_PRODUCTION], "production: {tee", [ON_PRODUCTION]),
    "age-unbounded": (
        [],
        "training:",
        [("    samples: {min: 10000}\n", "    samples: {min: 10000}\n    maxAge: 90d\n")],
    ),
    "rule-shadowed": (
        [accurate(ACCURATE.replace("0.84", "0.80"))],
        "name: more",
        [accurate(ACCURATE.replace("0.84", "0.90").replace("{min: 10000}", "{min: 9000}"))],
    ),
    "rule-unsatisfiable": ([("min: 0.84", "min: 84")], "min: 84", [("min: 0.84", "min: 0.99")]),
    "rules-contradict": (
        [accurate("    max: 0.8\n    use: upperBound\n    signedBy: auditor\n")],
        "name: more",
        [accurate("    max: 0.9\n    use: upperBound\n    signedBy: auditor\n")],
    ),
    "metric-unknown": ([("metric: accuracy", "metric: acuracy")], "metric: acuracy", []),
    "use-value": ([], "use: value", [("use: value", "use: lowerBound")]),
    "samples-missing": (
        [],
        "name: fair by sex",
        [
            ("    max: 0.20\n", "    max: 0.20\n    samples: {min: 1}\n"),
            ("    min: 0.80\n", "    min: 0.80\n    samples: {min: 1}\n"),
        ],
    ),
    "dataset-unused": (
        [
            (
                "ingredients:\n  datasets:\n",
                (
                    f"ingredients:\n  datasets:\n    - {{name: spare, digest: sha256:{OTHER}, datasheet: "
                    "{signedBy: data-owner, platform: rehearsal}}\n"
                ),
            )
        ],
        "name: spare",
        [],
    ),
    "evaluated-ingredient": (
        [
            (
                "ingredients:\n  datasets:\n",
                (
                    f"ingredients:\n  datasets:\n    - {{name: census-test, digest: {TEST}, datasheet: "
                    "{signedBy: data-owner, platform: rehearsal}}\n"
                ),
            )
        ],
        SHEET,
        [],
    ),
    "overlap-missing": (
        [
            (
                "ingredients:\n  datasets:\n",
                (
                    f"ingredients:\n  datasets:\n    - {{name: spare, digest: sha256:{OTHER}, datasheet: "
                    "{signedBy: data-owner, platform: rehearsal}}\n"
                ),
            )
        ],
        SHEET,
        [],
    ),
    "code-by-measurement": ([], "  datasets:", [FULL]),
    "packages-by-measurement": ([], "  datasets:", [FULL]),
    "licenses-absent": ([], "  datasets:", [FULL]),
    "deny-contradicts": (
        [("\ntraining:", f"\ndeny: {{artifacts: [{TRAIN}]}}\n\ntraining:")],
        "name: census-train",
        [("\ntraining:", f"\ndeny: {{artifacts: [sha256:{OTHER}]}}\n\ntraining:")],
    ),
    "cel-all": (
        [expression("attestations.all(a, a.predicateType != '')")],
        "attestations.all",
        [expression("size(attestations) > 0 && attestations.all(a, a.predicateType != '')")],
    ),
    "cel-label": (
        [expression("attestations.exists(a, a.evaluation.dataset.name == 'x')")],
        "attestations.exists",
        [expression("attestations.exists(a, a.predicateType != '')")],
    ),
}
ELSEWHERE = {"self-vouching"}  # needs reference values that a certificate signs


@pytest.fixture
def found(load: Callable[[str], Policy], policy_text: str) -> Callable[..., tuple[Finding, ...]]:
    """The findings about the base policy with edits."""

    def run(edits: Edits = ()) -> tuple[Finding, ...]:
        text = edited(policy_text, edits)
        return lint(load(text), _yaml.loads(text.encode(), source="policy.yaml"), now=AT)

    return run


def edited(text: str, edits: Edits) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("rule", CASES)
def test_a_policy_that_has_it(rule: str, policy_text: str, found: Callable[..., tuple[Finding, ...]]) -> None:
    edits, line, _ = CASES[rule]
    text = edited(policy_text, edits).splitlines()
    mine = [finding for finding in found(edits) if finding.rule == rule]
    assert mine
    assert any(line in text[finding.line - 1] for finding in mine), [text[finding.line - 1] for finding in mine]
    for finding in mine:
        assert finding.severity == RULES[rule]
        assert finding.message.startswith("expected ")
        assert ", got " in finding.message
        assert finding.mend


@pytest.mark.parametrize("rule", CASES)
def test_a_policy_that_does_not(rule: str, found: Callable[..., tuple[Finding, ...]]) -> None:
    _, _, edits = CASES[rule]
    assert rule not in {finding.rule for finding in found(edits)}


def test_every_rule_has_a_case_and_a_row() -> None:
    assert CASES.keys() | ELSEWHERE == RULES.keys()
    rows = {
        cells[1].strip("` "): cells[2].strip()
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) > 3
    }
    assert rows == dict(RULES)


def test_findings_are_in_the_order_of_the_file(found: Callable[..., tuple[Finding, ...]]) -> None:
    places = [(finding.line, finding.column) for finding in found()]
    assert places == sorted(places)
    assert found() == found()


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (
            [
                (
                    "signedBy: data-owner, platform: rehearsal}}\n    measurer: tabular-e",
                    "signedBy: trainer, platform: rehearsal}}\n    measurer: tabular-e",
                ),
                (
                    "signedBy: data-owner, platform: rehearsal}}\n    measurer: tabular-d",
                    "signedBy: trainer, platform: rehearsal}}\n    measurer: tabular-d",
                ),
            ],
            "the datasheet of census-test",
        ),
        ([keyless(NARROW), trainer(NARROW.replace("a.yml", "b.yml"))], "of the same repository acme/audit"),
        (
            [
                keyless("identity: https://github.com/acme/audit/.github/workflows/a.yml@refs/heads/main"),
                trainer(NARROW.replace("a.yml", "b.yml")),
            ],
            "of the same repository acme/audit",
        ),
        (
            [("\ntraining:", "\ntransforms: {signedBy: auditor, platform: rehearsal, allow: [prune/1]}\n\ntraining:")],
            "got auditor",
        ),
    ],
)
def test_trainer_judges(edits: Edits, words: str, found: Callable[..., tuple[Finding, ...]]) -> None:
    assert any(words in finding.message for finding in found(edits) if finding.rule == "trainer-judges")


@pytest.mark.parametrize(
    "terms",
    [
        r'identityRegex: ".+@.+"',
        r'identityRegex: "https://github\\.com/acme/audit/.*"',
        r'identityRegex: "[^@]+@example.com"',
    ],
)
def test_broad_patterns(terms: str, found: Callable[..., tuple[Finding, ...]]) -> None:
    assert "keyless-regex" in {finding.rule for finding in found([keyless(terms)])}


@pytest.mark.parametrize(
    ("threshold", "unsatisfiable"),
    [
        ("    min: 1\n    use: lowerBound\n", True),
        ("    min: 1\n    use: value\n", False),
        ("    max: 0\n    use: upperBound\n", True),
        ("    max: -0.1\n    use: value\n", True),
        ("    min: 0.99\n    use: lowerBound\n", False),
    ],
)
def test_thresholds_that_nothing_meets(
    threshold: str, unsatisfiable: bool, found: Callable[..., tuple[Finding, ...]]
) -> None:
    rules = {finding.rule for finding in found([("    min: 0.84\n    use: lowerBound\n", threshold)])}
    assert ("rule-unsatisfiable" in rules) is unsatisfiable


@pytest.mark.parametrize(
    ("lines", "shadowed"),
    [
        (ACCURATE, True),  # alike: the later of the two
        (ACCURATE.replace("use: lowerBound", "use: value"), True),
        (ACCURATE.replace("    samples: {min: 10000}\n", ""), True),
        (ACCURATE.replace("signedBy: auditor", "signedBy: data-owner"), False),
        (ACCURATE.replace("    samples", "    maxAge: 1d\n    samples"), False),
        (ACCURATE.replace("    samples", "    every: true\n    samples"), False),
        (ACCURATE.replace("    samples", "    plan: {signedBy: auditor}\n    samples"), False),
        (ACCURATE.replace("    samples", "    slice: {sex: Female}\n    samples"), False),
    ],
)
def test_shadowed(lines: str, shadowed: bool, found: Callable[..., tuple[Finding, ...]]) -> None:
    mine = [finding.message for finding in found([accurate(lines)]) if finding.rule == "rule-shadowed"]
    assert any("'more', which holds whenever 'accurate' does" in message for message in mine) is shadowed


@pytest.mark.parametrize(
    "deny",
    [f"artifacts: [{TRAIN}]", f'measurements: ["{MEASUREMENT}"]', "keys: [auditor.pub]"],
)
def test_denied_and_accepted(deny: str, found: Callable[..., tuple[Finding, ...]]) -> None:
    edits = [("\ntraining:", f"\ndeny: {{{deny}}}\n\ntraining:")]
    assert "deny-contradicts" in {finding.rule for finding in found(edits)}


@pytest.mark.parametrize(
    ("text", "judges"),
    [
        ("attestations.exists(a, has(a.provenance))", False),
        ("attestations.exists(a, has(a.evaluation))", True),
        ("lineage.overlap('census-train', 'census-test') <= 26", True),
    ],
)
def test_expressions_of_the_trainer(text: str, judges: bool, found: Callable[..., tuple[Finding, ...]]) -> None:
    """Only the trainer can say how the model was trained."""
    old, new = expression(text)
    rules = {finding.rule for finding in found([(old, new.replace("signedBy: auditor", "signedBy: trainer"))])}
    assert ("trainer-judges" in rules) is judges


def test_an_overlap_in_an_expression_is_one(found: Callable[..., tuple[Finding, ...]], policy_text: str) -> None:
    overlap = policy_text[policy_text.index("  - name: no leakage\n") :]
    assert "overlap-missing" in {finding.rule for finding in found([(overlap, "")])}
    text = "lineage.overlap('census-train', 'census-test') <= 26"
    rules = {finding.rule for finding in found([expression(text), (overlap, "")])}
    assert not {"overlap-missing", "dataset-unused"} & rules


@pytest.mark.parametrize(("repository", "same"), [("acme/audit", True), ("acme/enclaves", False)])
def test_reference_values_of_the_same_repository(
    repository: str, same: bool, load: Callable[[str], Policy], policy_text: str
) -> None:
    """The nodes say who signs reference values; no certificate has to sign any for this."""
    release = f"release: {{keyless: {{issuer: https://token.actions.githubusercontent.com, repository: {repository}}}}}"
    text = edited(policy_text, [keyless(NARROW), ("  platforms:\n", f"    {release}\n  platforms:\n")])
    values = "referenceValues: {file: values.sigstore.json, signedBy: release}"
    root = _yaml.loads(edited(text, [(f'measurements: ["{MEASUREMENT}"]', values)]).encode(), source="policy.yaml")
    mine = [item for item in lint(load(text), root, now=AT) if item.rule == "self-vouching"]
    assert bool(mine) is same
    assert all("release, of the same repository acme/audit as auditor" in item.message for item in mine)


def test_a_policy_that_never_begins_cannot_be_read(load: Callable[[str], Policy], policy_text: str) -> None:
    text = policy_text.replace("expires: 2027", "effectiveFrom: 2028-01-01T00:00:00Z, expires: 2027")
    with pytest.raises(FormatError, match="effectiveFrom before expires"):
        load(text)


def test_every_metric_of_the_specification_is_known() -> None:
    """The tables of predicates/evaluation/v1 that begin with a name of a metric, and nothing else."""
    text = (Path(__file__).parents[4] / "predicates" / "evaluation" / "v1" / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| `name` \|[^\n]*definition \|\n(?:\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) >= 9
    rows = [line for table in tables for line in table.splitlines()[2:]]
    named = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}
    assert named <= METRICS
    assert named >= {name for name in METRICS if not name.endswith("_difference")}
